//! `starbelt-sim position`, `contacts` and `eclipses` as they are called.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clap::Parser;
use orbit::catalog::ReadReport;
use orbit::parse_elements;
use orbit::station::{Station, StationKind};
use serde_json::Value;
use sim_bridge::cli::source::Source;
use sim_bridge::cli::{contacts, position};
use types::{Epoch, Geodetic};

/// The day of the vectors.
const DAY: [&str; 4] = ["--from", "2025-03-20T00:00:00Z", "--to", "2025-03-21T00:00:00Z"];

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors/sky.json")).expect("well-formed JSON")
}

/// A folder with the sets of the vectors.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let sets = vectors()["tle"].as_str().expect("sets").to_owned();
    std::fs::write(folder.path().join("sets.tle"), sets).expect("the file is written");
    folder
}

fn call(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_starbelt-sim"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the program starts")
}

/// The JSON that a call writes.
fn answer(folder: &Path, arguments: &[&str]) -> Value {
    let file: PathBuf = folder.join("answer.json");
    let arguments = [arguments, &["--json", "answer.json"]].concat();
    let output = call(folder, &arguments);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&std::fs::read(file).expect("an answer")).expect("well-formed JSON")
}

#[track_caller]
fn refused(output: &Output, code: i32, message: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert_eq!(told.trim_end().lines().count(), 1, "{told}");
    assert!(told.contains(message), "{told}");
}

#[test]
fn positions_are_told_in_three_frames() {
    let folder = folder();
    let at = "2025-03-20T05:00:00.000Z";
    let said = answer(folder.path(), &["position", "--tle", "sets.tle", "--at", at]);
    assert_eq!(said["time"], "2025-03-20T05:00:00.000Z");
    let satellites = said["satellites"].as_array().expect("satellites");
    assert_eq!(satellites.len(), 16);
    let mut compared = 0;
    for row in vectors()["positions"].as_array().expect("positions") {
        if row[1] == at {
            let now = satellites.iter().find(|now| now["name"] == row[0]).expect("the satellite");
            for axis in 0..3 {
                let (got, wanted) = (&now["ecef_km"][axis], &row[2][axis]);
                let off_km = got.as_f64().expect("km") - wanted.as_f64().expect("km");
                assert!(off_km.abs() < 0.2, "{row}");
            }
            let sunlit = now["sunlit"].as_f64().expect("a fraction");
            assert!((0.0..=1.0).contains(&sunlit), "{now}");
            assert!(now.get("azimuth_deg").is_none() && now.get("down").is_none(), "{now}");
            compared += 1;
        }
    }
    assert_eq!(compared, 16);
    let one = ["position", "--tle", "sets.tle", "--at", at, "--sat", "GEO", "--model", "kepler-j2"];
    let said = answer(folder.path(), &one);
    assert_eq!(
        (&said["satellites"][0]["name"], &said["model"]),
        (&"GEO".into(), &"kepler-j2".into())
    );
    let table = call(folder.path(), &["position", "--tle", "sets.tle", "--at", at]);
    let table = String::from_utf8(table.stdout).expect("text");
    assert!(table.contains("WALKER-3-2") && !table.contains('\u{1b}'), "{table}");
}

#[test]
fn the_plane_of_an_orbit_has_its_angle_to_the_sun() {
    let folder = folder();
    let said =
        answer(folder.path(), &["position", "--tle", "sets.tle", "--at", "2025-03-20T05:00:00Z"]);
    let satellites = said["satellites"].as_array().expect("satellites");
    // sin(beta) = sin i cos(dec) sin(node - ra) + cos i sin(dec); four hours before the equinox of 09:01 the Sun stands at
    // ra -0.152, dec -0.066 degrees, and the nodes of planes of 53 degrees have drifted by -0.93 degrees since midnight.
    for (name, node_deg) in [("WALKER-0-0", 0.0_f64), ("WALKER-1-0", 90.0), ("WALKER-3-2", 270.0)] {
        let (i, ra, dec) =
            (53.0_f64.to_radians(), -0.152_f64.to_radians(), -0.066_f64.to_radians());
        let node = (node_deg - 0.93).to_radians();
        let sin = i.sin() * dec.cos() * (node - ra).sin() + i.cos() * dec.sin();
        let now = satellites.iter().find(|now| now["name"] == name).expect("the satellite");
        let beta_deg = now["beta_deg"].as_f64().expect("an angle");
        let off_deg = beta_deg - sin.asin().to_degrees();
        assert!(off_deg.abs() < 0.1, "{name}: {beta_deg} is {off_deg} off");
    }
}

/// Stations of the vectors, as a file.
const GROUND: &str = "name,lat_deg,lon_deg,kind,alt_m\nGraz,47.0707,15.4409,ground,353\n";

#[test]
fn a_station_is_told_how_fast_a_satellite_comes_and_what_its_carrier_sounds_like() {
    let folder = folder();
    std::fs::write(folder.path().join("ground.csv"), GROUND).expect("the file is written");
    let ask = |at: &str, more: &[&str]| {
        let asked = ["position", "--tle", "sets.tle", "--ground", "ground.csv", "--at", at];
        let asked = [&asked[..], &["--sat", "WALKER-0-0", "--station", "Graz"], more].concat();
        answer(folder.path(), &asked)["satellites"][0].clone()
    };
    let number = |now: &Value, key: &str| now[key].as_f64().expect("a number");
    let [before, after] = ["2025-03-20T12:59:59Z", "2025-03-20T13:00:01Z"].map(|at| ask(at, &[]));
    let now = ask("2025-03-20T13:00:00Z", &["--frequency", "20e9"]);
    let rate_km_s = (number(&after, "range_km") - number(&before, "range_km")) / 2.0;
    assert!((number(&now, "range_rate_km_s") - rate_km_s).abs() < 1.0e-3, "{now}");
    // Lower while it goes: -f v / c
    let doppler_hz = -20.0e9 * rate_km_s / 299_792.458;
    assert!(1.0e5 < doppler_hz.abs(), "{doppler_hz}");
    assert!((number(&now, "doppler_hz") - doppler_hz).abs() < 100.0, "{now}");
    assert!(before.get("doppler_hz").is_none(), "{before}");
    for (more, message) in [
        (&["--frequency", "20e9"][..], "--station"),
        (&["--station", "Graz", "--frequency", "0"][..], "must be a number above 0"),
    ] {
        let asked = ["position", "--tle", "sets.tle", "--ground", "ground.csv", "--at"];
        let told = call(folder.path(), &[&asked[..], &["2025-03-20T13:00:00Z"], more].concat());
        let told = String::from_utf8_lossy(&told.stderr).into_owned();
        assert!(told.contains(message), "{told}");
    }
}

#[test]
fn the_ground_of_the_published_model_turns_from_the_start_on() {
    let folder = folder();
    std::fs::write(folder.path().join("ground.csv"), GROUND).expect("the file is written");
    let ask = |command: &str, from: &str, more: &[&str]| -> Vec<Value> {
        let asked = [command, "--tle", "sets.tle", "--model", "stardust-compat", "--from", from];
        let to = ["--to", "2025-03-20T06:00:00Z"];
        let answer = answer(folder.path(), &[&asked[..], &to, more].concat());
        answer.as_array().expect("a list").clone()
    };
    let (midnight, later) = ("2025-03-20T00:00:00Z", "2025-03-20T03:00:00Z");
    let ground = ["--ground", "ground.csv"];
    let since = [&ground[..], &["--start", midnight]].concat();
    let late = |row: &&Value| later < row["rise"].as_str().expect("a time");
    let whole = ask("contacts", midnight, &ground);
    let expected: Vec<&Value> = whole.iter().filter(late).collect();
    let part = ask("contacts", later, &since);
    let part: Vec<&Value> = part.iter().filter(late).collect();
    assert!(!part.is_empty());
    assert_eq!(part.len(), expected.len());
    for (got, expected) in part.iter().zip(expected) {
        assert_eq!(
            (&got["satellite"], &got["station"]),
            (&expected["satellite"], &expected["station"])
        );
        // The samples of a search begin with it, and what lies between is refined to a millisecond.
        let off = |key: &str| {
            let at =
                |row: &Value| Epoch::parse(row[key].as_str().expect("a time")).expect("a time");
            at(got).seconds_since(at(expected)).abs()
        };
        assert!(off("rise") < 0.01 && off("set") < 0.01, "{got} is not {expected}");
    }
    assert_ne!(ask("contacts", later, &ground), ask("contacts", later, &since));
    // Shadows do not depend on how the ground lies.
    assert_eq!(ask("eclipses", later, &[]), ask("eclipses", later, &["--start", midnight]));
}

#[test]
fn a_time_far_from_the_epochs_is_a_warning_with_the_age_and_no_refusal() {
    let folder = folder();
    for (at, warned) in [("2025-03-25T00:00:00Z", false), ("2025-06-20T00:00:00Z", true)] {
        let told = call(folder.path(), &["position", "--tle", "sets.tle", "--at", at]);
        assert!(told.status.success());
        let told = String::from_utf8(told.stderr).expect("text");
        let age =
            told.contains("more than 14 days away from 2025-06-20") && told.contains("median 92");
        assert_eq!(age, warned, "{told}");
    }
}

#[test]
fn what_is_down_says_why_and_has_no_numbers() {
    let folder = folder();
    let late = ["position", "--tle", "sets.tle", "--at", "2025-03-20T05:00:00Z"];
    let sets = vectors()["tle"].as_str().expect("sets").to_owned();
    // A mean motion of 17.5 is an orbit below the surface; the last digit is the checksum.
    let low = sets.replacen("15.05000000    13", "17.50000000    15", 1);
    std::fs::write(folder.path().join("sets.tle"), low).expect("the file is written");
    let now = answer(folder.path(), &late)["satellites"][0].clone();
    assert!(
        now["down"].as_str().is_some_and(|why| why.contains("km from the Earth's centre")),
        "{now}"
    );
    let keys =
        ["teme_km", "teme_km_s", "ecef_km", "lat_deg", "lon_deg", "alt_km", "sunlit", "beta_deg"];
    for key in keys {
        assert!(now.get(key).is_some_and(Value::is_null), "{key}: {now}");
    }
}

#[test]
fn eclipses_are_listed_by_entry() {
    let folder = folder();
    let arguments = [&["eclipses", "--tle", "sets.tle", "--sat", "GEO"], &DAY[..]].concat();
    let said = answer(folder.path(), &arguments);
    let rows = said.as_array().expect("a list");
    // In March the shadow falls across the ring of geostationary satellites once a day, more than an hour long.
    let kinds: Vec<_> = rows.iter().map(|row| row["kind"].as_str().expect("a kind")).collect();
    assert_eq!(kinds, ["penumbra", "umbra"]);
    let keys: Vec<&String> = rows[0].as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["enter", "exit", "kind", "satellite"]);
    let enters: Vec<_> = rows.iter().map(|row| row["enter"].as_str().expect("a time")).collect();
    assert!(enters.is_sorted() && enters[0].ends_with('Z'));
}

#[test]
fn what_cannot_be_answered_is_refused_in_one_line() {
    let folder = folder();
    let call = |arguments: &[&str]| call(folder.path(), arguments);
    let unknown = [&["eclipses", "--tle", "sets.tle", "--sat", "walker-0-O"], &DAY[..]].concat();
    refused(&call(&unknown), 3, "there is no satellite \"walker-0-O\"; near to it: WALKER-0-0");
    let reverse = ["--from", "2025-03-21T00:00:00Z", "--to", "2025-03-20T00:00:00Z"];
    let reverse = [&["eclipses", "--tle", "sets.tle"], &reverse[..]].concat();
    refused(&call(&reverse), 78, "the end must come after the begin");
    let long = ["--from", "2025-03-21T00:00:00Z", "--to", "2027-03-20T00:00:00Z"];
    let long = [&["eclipses", "--tle", "sets.tle"], &long[..]].concat();
    refused(&call(&long), 78, "must span at most 366 days");
    let nobody = [&["contacts", "--tle", "sets.tle"], &DAY[..]].concat();
    refused(&call(&nobody), 78, "there are no stations");
    let nothing = [&["eclipses"], &DAY[..]].concat();
    refused(&call(&nothing), 78, "no satellites: name some with --tle, --omm or --walker");
}

#[derive(Debug, Parser)]
enum Asked {
    Contacts(contacts::Args),
    Position(position::Args),
}

/// The sets and the stations of the vectors, as a source holds them.
fn source() -> Source {
    let vectors = vectors();
    let number = |value: &Value| value.as_f64().expect("a number");
    let station = |row: &Value| Station {
        name: row["name"].as_str().expect("a name").to_owned(),
        kind: StationKind::Ground,
        place: Geodetic {
            lat_deg: number(&row["lat_deg"]),
            lon_deg: number(&row["lon_deg"]),
            alt_km: number(&row["alt_m"]) / 1000.0,
        },
        min_elevation_deg: None,
        terminals: None,
        way: Vec::new(),
    };
    let sets = parse_elements(vectors["tle"].as_str().expect("sets")).expect("valid sets");
    let stations = vectors["stations"].as_array().expect("stations").iter().map(station);
    Source {
        elements: sets.into(),
        shells: Vec::new(),
        stations: stations.collect(),
        report: ReadReport::default(),
        warnings: Vec::new(),
    }
}

#[test]
fn contacts_are_listed_by_rise_and_agree_with_the_vectors() {
    let asked = ["x", "contacts", "--sat", "MOLNIYA", "--sat", "WALKER-1-2", "--station", "Graz"];
    let asked = [&asked[..], &DAY[..], &["--min-elevation", "10"]].concat();
    let Asked::Contacts(args) = Asked::parse_from(asked) else { panic!("contacts are asked for") };
    let found = args.contacts(&source()).expect("an answer");
    let vectors = vectors();
    let wanted: Vec<&Value> = vectors["passes"]
        .as_array()
        .expect("passes")
        .iter()
        .filter(|row| row[1] == "Graz" && (row[0] == "MOLNIYA" || row[0] == "WALKER-1-2"))
        .collect();
    assert_eq!(found.len(), wanted.len());
    assert!(found.is_sorted_by_key(|contact| contact.rise));
    for row in wanted {
        let rise = row[2].as_str().map_or("2025-03-20T00:00:00Z", |rise| rise);
        let rise = Epoch::parse(rise).expect("a time");
        let near = |c: &&contacts::Contact| c.rise.seconds_since(rise).abs() < 2.0;
        let contact = found.iter().find(near).unwrap_or_else(|| panic!("{row} is not listed"));
        assert!(contact.satellite == row[0] && contact.station == "Graz", "{contact:?}");
        assert!(contact.rise_known == row[2].is_string(), "{contact:?}");
        assert!(10.0 <= contact.max_elevation_deg && contact.max_at <= contact.set);
    }
    let json = serde_json::to_value(&found[0]).expect("an answer can be written");
    let keys: Vec<&String> = json.as_object().expect("an object").keys().collect();
    let wanted = ["max_at", "max_elevation_deg", "rise", "satellite", "set", "station"];
    assert_eq!(keys, wanted);
}

#[test]
fn bad_masks_and_unknown_stations_are_refused() {
    let refusal = |more: &[&str]| {
        let asked = [&["x", "contacts"], &DAY[..], more].concat();
        let Asked::Contacts(args) = Asked::parse_from(asked) else { panic!("contacts") };
        args.contacts(&source()).expect_err("it is refused").to_string()
    };
    let mask = refusal(&["--min-elevation", "90"]);
    assert_eq!(mask, "--min-elevation 90 must be 0 to below 90 degrees");
    let station = refusal(&["--station", "Gratz"]);
    assert!(station.starts_with("there is no station \"Gratz\"; near to it: Graz"), "{station}");
}

#[test]
fn a_station_looks_at_every_satellite() {
    let at = "2025-03-20T05:00:00.000Z";
    let asked = ["x", "position", "--at", at, "--station", "La Paz"];
    let Asked::Position(args) = Asked::parse_from(asked) else { panic!("positions") };
    let said = serde_json::to_value(args.answer(&source()).expect("an answer")).expect("JSON");
    let vectors = vectors();
    let mut compared = 0;
    for row in vectors["looks"].as_array().expect("looks") {
        if row[1] == "La Paz" && row[2] == at {
            let satellites = said["satellites"].as_array().expect("satellites");
            let now = satellites.iter().find(|now| now["name"] == row[0]).expect("the satellite");
            let off = |key: &str, k: usize| {
                (now[key].as_f64().expect("a number") - row[k].as_f64().expect("a number")).abs()
            };
            assert!(off("azimuth_deg", 3) < 0.05 && off("elevation_deg", 4) < 0.05, "{now}");
            assert!(off("range_km", 5) < 0.2 && now["range_rate_km_s"].is_number(), "{now}");
            compared += 1;
        }
    }
    assert!(0 < compared);
}
