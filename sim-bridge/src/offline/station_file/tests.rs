//! Stations in each notation, good and wrong.

use orbit::station::StationKind;

use super::*;

fn load_texts(texts: &[(&str, &str)]) -> Result<Vec<Station>, String> {
    let dir = tempfile::tempdir().unwrap();
    let files: Vec<PathBuf> = texts.iter().map(|(name, _)| dir.path().join(name)).collect();
    for (file, (_, text)) in files.iter().zip(texts) {
        std::fs::write(file, text).unwrap();
    }
    load(&files).map_err(|e| e.to_string().replace(&format!("{}/", dir.path().display()), ""))
}

#[track_caller]
fn refused(name: &str, text: &str, expected: &str) {
    let message = load_texts(&[(name, text)]).unwrap_err();
    assert!(message.contains(expected), "{message}");
}

const YAML: &str = "- Name: Graz\n  Lat: 47.0707\n  Lon: 15.4409\n  Protocol: nearest\n  Router: a-star\n  ComputingType: Cloud
- Name: Made-up\n  Lat: -10\n  Lon: 20\n";
const CSV: &str =
    "name,lat_deg,lon_deg,kind,alt_m\r\nGraz,47.0707,15.4409,cloud,353\r\nShip,1,2,user,\r\n";
const TOML: &str =
    "[[station]]\nname = 'Graz'\nlat_deg = 47.0707\nlon_deg = 15.4409\nalt_m = 353.0\nkind = 'edge'
min_elevation_deg = 30.0\nterminals = 2
[[station]]\nname = 'Ship'\nkind = 'user'
[[station.way]]\nat = '2026-01-01T00:00:00Z'\nlat_deg = 1.0\nlon_deg = 2.0
[[station.way]]\nat = '2026-01-01T01:00:00Z'\nlat_deg = 1.0\nlon_deg = 3.0\nalt_m = 10.0\n";

#[test]
fn each_notation_is_read() {
    let yaml = load_texts(&[("g.yml", YAML)]).unwrap();
    let seen: Vec<_> = yaml.iter().map(|s| (s.name.as_str(), s.kind)).collect();
    assert_eq!(seen, [("Graz", StationKind::Cloud), ("Made-up", StationKind::Ground)]);
    let csv = load_texts(&[("g.csv", CSV)]).unwrap();
    assert_eq!((csv[0].kind, csv[1].kind), (StationKind::Cloud, StationKind::User));
    assert!((csv[0].place.alt_km - 0.353).abs() < 1.0e-12 && csv[1].place.alt_km.abs() < 1.0e-12);
    let toml = load_texts(&[("g.toml", TOML)]).unwrap();
    assert_eq!((toml[0].min_elevation_deg, toml[0].terminals), (Some(30.0), Some(2)));
    assert_eq!((toml[1].way.len(), toml[1].place), (2, toml[1].way[0].place));
    for (named, text) in [(&yaml, YAML), (&csv, CSV), (&toml, TOML)] {
        assert_eq!(&load_texts(&[("stations", text)]).unwrap(), named);
    }
    let csv = "kind,name,lon_deg,lat_deg\nground,A,1,2\n";
    assert!((load_texts(&[("a.csv", csv)]).unwrap()[0].place.lat_deg - 2.0).abs() < 1.0e-12);
}

#[test]
fn what_is_wrong_is_named_with_file_line_and_field() {
    refused("a.csv", "", "a.csv: must hold at least one station");
    refused("a.yml", "# none\n", "a.yml: must hold at least one station");
    refused("a.toml", "", "a.toml: must hold at least one station");
    refused(
        "a.csv",
        &CSV.replace(",2,user,", ",200,user,"),
        "a.csv, line 3, lon_deg: lon_deg 200 is outside -180 to 180",
    );
    refused(
        "a.csv",
        &CSV.replace(",2,user,", ",east,user,"),
        "a.csv, line 3, lon_deg: invalid float",
    );
    refused("a.csv", &CSV.replace("user,", "boat,"), "a.csv, line 3: unknown variant `boat`");
    refused(
        "a.csv",
        &CSV.replace(",user,", ""),
        "a.csv, line 3: 3 values must be 5 like the header",
    );
    refused("a.csv", "name,lat_deg,lon_deg\nA,1,2\n", "missing field `kind`");
    refused(
        "a.yml",
        &YAML.replace("Lat: -10", "Lat: -100"),
        "a.yml, line 7, item 2 \"Made-up\", Lat: lat_deg -100",
    );
    refused("a.yml", &YAML.replace("Lat: -10", "Lat: south"), "a.yml, line 8");
    refused("a.yml", &YAML.replace("Lat: -10", "Height: 1"), "a.yml, line 8");
    refused(
        "a.toml",
        &TOML.replace("alt_m = 353.0", "alt_m = -5e3"),
        "a.toml, line 5, station[0].alt_m: height in km -5 is outside",
    );
    refused(
        "a.toml",
        &TOML.replace("lat_deg = 47.0707\n", ""),
        "a.toml, line 1, station[0].lat_deg: must be given",
    );
    refused(
        "a.toml",
        &TOML.replace("T01:00", "T00:00"),
        "station[1].way[1].at: 2026-01-01T00:00:00.000Z must be after",
    );
    refused(
        "a.toml",
        &TOML.replace("kind = 'user'", "kind = 'boat'"),
        "a.toml, line 11, station[1].kind: unknown variant",
    );
}

#[test]
fn two_stations_of_one_name_are_refused_with_both_places() {
    let twin = YAML.replace("Made-up", "Graz");
    refused(
        "a.yml",
        &twin,
        "a.yml, line 7, item 2: name \"Graz\" must not come twice, but is that of line 1 already",
    );
    let both = load_texts(&[("a.yml", YAML), ("b.csv", CSV)]).unwrap_err();
    let expected =
        "b.csv, line 2: name \"Graz\" must not come twice, but is that of line 1 of a.yml already";
    assert_eq!(both, expected);
}
