//! Element sets of the real world: SGP4's verification set, readers' conformance corpus, constellations.
//!
//! The data lie beside the repository in `../shared/data`; without them each test says so in one line and passes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use orbit::predict::{Search, chain};
use orbit::{Elements, Sky, SkySpec, omm, parse_elements, tle};
use serde_json::Value;
use topology::NodeIx;
use types::{Epoch, LatencyUs, NodeId};

/// Files or folders below `../shared/data`; says that `test` is skipped where none is there.
///
/// # Panics
/// When only some are there: a test that ran on a part would look like one that ran on all.
#[expect(clippy::print_stdout, reason = "what was skipped is counted from the tests' output")]
fn shared<const N: usize>(test: &str, paths: [&str; N]) -> Option<[PathBuf; N]> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let missing: Vec<_> = paths.into_iter().filter(|path| !data.join(path).exists()).collect();
    if missing.is_empty() {
        return Some(paths.map(|path| data.join(path)));
    }
    let all = missing.join(", ");
    assert_eq!(missing.len(), N, "{all} not in ../shared/data, which has the rest: complete it");
    println!("skipped: {test}: not in ../shared/data: {all}");
    None
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("the shared file is readable text")
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&text(path)).expect("the shared file is well-formed JSON")
}

/// One case of the verification set: elements, and start, stop, step in minutes.
struct Case {
    elements: Elements,
    span: [f64; 3],
}

/// A block of expected rows: minutes, position in km, velocity in km/s.
type Rows = Vec<[f64; 7]>;

fn vallado_cases(set: &str) -> Vec<Case> {
    let reading = tle::read(set, tle::Checksum::Count);
    // Three made-up cases at the end carry five wrong checksums between them.
    assert_eq!(reading.wrong_checksums, 5);
    let spans = set.lines().filter(|line| line.starts_with("2 ")).map(|line| {
        let numbers: Vec<f64> =
            line[69..].split_whitespace().map(|n| n.parse().expect("a number")).collect();
        <[f64; 3]>::try_from(numbers).expect("start, stop and step")
    });
    let elements = reading.records.into_iter().map(|record| record.expect("all cases are read"));
    elements.zip(spans).map(|(elements, span)| Case { elements, span }).collect()
}

fn vallado_blocks(expected: &str) -> Vec<(String, Rows)> {
    let mut blocks: Vec<(String, Rows)> = Vec::new();
    for line in expected.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [catalog, "xx"] = words.as_slice() {
            blocks.push((catalog.to_string(), Rows::new()));
        } else if let Some((_, rows)) = blocks.last_mut() {
            let numbers: Vec<f64> =
                words[..7].iter().map(|n| n.parse().expect("a number")).collect();
            rows.push(<[f64; 7]>::try_from(numbers).expect("seven columns"));
        }
    }
    blocks
}

#[test]
fn sgp4_agrees_with_its_verification_set() {
    const TOLERANCE_KM: f64 = 1.0e-5;
    const TOLERANCE_KM_S: f64 = 1.0e-8;
    let Some([folder]) = shared("sgp4_agrees_with_its_verification_set", ["sgp4"]) else { return };
    let cases = vallado_cases(&text(&folder.join("SGP4-VER.TLE")));
    let blocks = vallado_blocks(&text(&folder.join("tcppver.out")));
    assert_eq!((cases.len(), blocks.len()), (33, 33));
    let (mut agreed, mut worst_km) = (0, 0.0_f64);
    for (case, (catalog, rows)) in cases.iter().zip(&blocks) {
        assert_eq!(&case.elements.catalog, catalog);
        // The only row of 33334 comes with an error: to be refused.
        for row in rows.iter().filter(|_| catalog != "33334") {
            let (position, velocity) =
                case.elements.state_teme(row[0]).unwrap_or_else(|e| panic!("{catalog}: {e}"));
            for axis in 0..3 {
                let off_km = (position[axis] - row[1 + axis]).abs();
                let off_km_s = (velocity[axis] - row[4 + axis]).abs();
                assert!(off_km < TOLERANCE_KM, "{catalog} at {} min: {off_km} km", row[0]);
                assert!(off_km_s < TOLERANCE_KM_S, "{catalog} at {} min: {off_km_s}", row[0]);
                worst_km = worst_km.max(off_km);
            }
            agreed += 1;
        }
    }
    println!("{agreed} rows agree, the worst to {worst_km:.1e} km");
    assert_eq!(agreed, 666);
}

#[test]
fn sgp4_refuses_what_its_verification_set_expects_to_fail() {
    let test = "sgp4_refuses_what_its_verification_set_expects_to_fail";
    let Some([folder]) = shared(test, ["sgp4"]) else { return };
    let cases = vallado_cases(&text(&folder.join("SGP4-VER.TLE")));
    let blocks = vallado_blocks(&text(&folder.join("tcppver.out")));
    let mut refused = Vec::new();
    for (case, (catalog, rows)) in cases.iter().zip(&blocks) {
        let [_, stop, step] = case.span;
        let last = rows.last().expect("each block has rows")[0];
        // A block that ends before its stop ended with an error at the next step.
        if last + step <= stop {
            let failed = if catalog == "33334" { 0.0 } else { last + step };
            let error = case.elements.state_teme(failed).expect_err(catalog);
            refused.push((
                catalog.as_str(),
                failed,
                error.to_string().contains("below the surface"),
            ));
        }
    }
    let expected = [
        ("22312", 494.202_867_2, false),
        ("28350", 1560.0, false),
        ("28872", 55.0, true),
        ("29141", 440.0, true),
        ("33333", 25.0, false),
        ("33334", 0.0, false),
        ("20413", 1_844_345.0, true),
    ];
    assert_eq!(refused.len(), expected.len(), "{refused:?}");
    for (got, wanted) in refused.iter().zip(expected) {
        assert!(got.0 == wanted.0 && got.2 == wanted.2, "{got:?} is not {wanted:?}");
        assert!((got.1 - wanted.1).abs() < 1.0e-6, "{got:?} is not {wanted:?}");
    }
}

/// Whether a record holds exactly what another one does.
fn same(a: &Elements, b: &Elements) -> bool {
    (&a.name, &a.catalog, a.epoch, a.mean) == (&b.name, &b.catalog, b.epoch, b.mean)
}

#[test]
fn corrupt_input_is_refused_and_its_neighbours_are_read() {
    let test = "corrupt_input_is_refused_and_its_neighbours_are_read";
    let Some([corpus]) = shared(test, ["gpconf"]) else { return };
    let expected = json(&corpus.join("fixtures/corrupt-input/expected.json"));
    let input = |name: &str| text(&corpus.join("derived/corrupt-input").join(name));
    let unedited = tle::parse(&input("unedited-sets.tle")).expect("the unedited sets are right");
    let mut files: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for record in expected["records"].as_array().expect("a list of records") {
        files.entry(record["file"].as_str().expect("a file")).or_default().push(record);
    }
    let mut seen = 0;
    for (file, wanted) in files.into_iter().filter(|(file, _)| file.ends_with(".tle")) {
        let records = tle::read(&input(file), tle::Checksum::Refuse).records;
        assert_eq!(records.len(), wanted.len(), "{file}");
        for ((record, wanted), right) in records.iter().zip(wanted).zip(&unedited) {
            match (wanted["role"].as_str(), record) {
                (Some("corrupt"), Err(error)) => println!("{file}: {error}"),
                (Some("valid"), Ok(read)) => assert!(same(read, right), "{file}: {read:?}"),
                (role, record) => panic!("{file}: {role:?} was read as {record:?}"),
            }
        }
        assert!(parse_elements(&input(file)).is_err(), "{file}");
        seen += 1;
    }
    assert_eq!(seen, 4);
    let cut = parse_elements(&input("c5-cut-closing-bracket.json")).expect_err("a cut array");
    println!("c5-cut-closing-bracket.json: {cut}");
    let whole = parse_elements(&input("unedited-array.json")).expect("the unedited array is right");
    let ids: Vec<&str> = whole.iter().map(|e| e.catalog.as_str()).collect();
    assert_eq!(ids, ["25544", "20453", "69999"]);
    let nothing = text(&corpus.join("recorded/celestrak-no-gp-data-found.txt"));
    println!("no data: {}", parse_elements(&nothing).expect_err("an answer without data"));
}

fn close(value: f64, expected: &Value, what: &str) {
    let expected: f64 = expected.as_str().and_then(|t| t.parse().ok()).expect("a decimal");
    assert!((value - expected).abs() <= expected.abs() * 1.0e-12, "{what}: {value} not {expected}");
}

fn check_values(read: &Elements, canonical: &Value, instead: &Value, what: &str) {
    let of = |key: &str| if instead[key].is_null() { &canonical[key] } else { &instead[key] };
    let epoch = canonical["epoch"].as_str().and_then(omm::epoch).expect("an epoch");
    assert_eq!(read.epoch, epoch, "{what}");
    // A name line has 24 columns.
    let name: String =
        canonical["object_name"].as_str().expect("a name").chars().take(24).collect();
    assert_eq!(read.name, name.trim(), "{what}");
    close(read.mean.mean_motion_rev_day, of("mean_motion"), what);
    close(read.mean.eccentricity, of("eccentricity"), what);
    close(read.mean.inclination_deg, of("inclination"), what);
    close(read.mean.raan_deg, of("ra_of_asc_node"), what);
    close(read.mean.arg_perigee_deg, of("arg_of_pericenter"), what);
    close(read.mean.mean_anomaly_deg, of("mean_anomaly"), what);
    close(read.mean.bstar, of("bstar"), what);
}

#[test]
fn alpha_5_sets_are_read_to_the_last_digit() {
    let test = "alpha_5_sets_are_read_to_the_last_digit";
    let Some([corpus]) = shared(test, ["gpconf"]) else { return };
    let expected = json(&corpus.join("fixtures/alpha5-tle-derived/expected.json"));
    let mut files: BTreeMap<&str, BTreeMap<String, Elements>> = BTreeMap::new();
    let mut checked = 0;
    for record in expected["records"].as_array().expect("a list of records") {
        let file = record["derived_file"].as_str().expect("a file");
        let sets = files.entry(file).or_insert_with(|| {
            let sets = tle::parse(&text(&corpus.join("derived/alpha5-tle").join(file)));
            let sets = sets.unwrap_or_else(|e| panic!("{file}: {e}"));
            sets.into_iter().map(|e| (e.catalog.clone(), e)).collect()
        });
        let id = record["norad_cat_id"].to_string();
        let what = format!("{file}: {id}");
        let differs = &record["by_format"]["tle"]["differs_from_omm"];
        check_values(sets.get(&id).expect(&what), &record["canonical"], differs, &what);
        checked += 1;
    }
    let read: usize = files.values().map(BTreeMap::len).sum();
    assert_eq!((checked, read), (750, 750));
}

#[test]
fn numbers_and_times_are_decoded_as_specified() {
    let test = "numbers_and_times_are_decoded_as_specified";
    let Some([corpus]) = shared(test, ["gpconf"]) else { return };
    let vectors = |name: &str| json(&corpus.join("vectors").join(name));
    let list = |value: &Value| value.as_array().cloned().expect("a list of vectors");
    let as_text = |value: &Value| value.as_str().expect("a text").to_owned();
    let alpha = vectors("alpha5.json");
    for key in ["official_examples", "boundaries", "skip_boundaries", "below_100000"] {
        for vector in list(&alpha[key]) {
            let number = tle::catalog_number(&as_text(&vector["field"])).map(u64::from);
            assert_eq!(number, vector["norad_cat_id"].as_u64(), "{vector}");
        }
    }
    for vector in list(&alpha["decode_invalid"]) {
        assert_eq!(tle::catalog_number(&as_text(&vector["field"])), None, "{vector}");
    }
    let numbers = vectors("norad-cat-id-text.json");
    for vector in list(&numbers["valid"]) {
        let number = omm::catalog_number(&as_text(&vector["text"])).map(u64::from);
        assert_eq!(number, vector["value"].as_u64(), "{vector}");
    }
    for vector in list(&numbers["invalid_in_omm"]) {
        assert_eq!(omm::catalog_number(&as_text(&vector["text"])), None, "{vector}");
    }
    let times = vectors("ccsds-epoch-strings.json");
    for vector in list(&times["valid"]) {
        let either = [
            vec![vector["iso"].clone()],
            vector["iso_alternatives"].as_array().cloned().unwrap_or_default(),
        ]
        .concat();
        let read = omm::epoch(&as_text(&vector["text"])).expect("a valid time");
        let allowed = |iso: &Value| Epoch::parse(&as_text(iso)) == Ok(read);
        assert!(either.iter().any(allowed), "{vector}: {read}");
    }
    for vector in list(&times["invalid"]) {
        assert_eq!(omm::epoch(&as_text(&vector["text"])), None, "{vector}");
    }
}

#[test]
fn real_constellations_are_read_whole_and_fly_where_they_should() {
    let test = "real_constellations_are_read_whole_and_fly_where_they_should";
    let sets = [
        ("stardust/tle/starlink-2024-12-15.tle", 6882, "2024-12-15T13:49"),
        ("stardust/tle/starlink-2024-10-20.tle", 6469, "2024-10-21T04:38"),
        ("stardust/tle/starlink_250.tle", 250, "2024-10-21"),
        ("stardust/tle/starlink_500.tle", 500, "2024-10-21"),
        ("tle/oneweb-2022-09.tle", 426, "2022-09-14T22:00"),
        ("omm/iridium-next.json", 80, "2024-10-30T06:02:54"),
    ];
    let Some(files) = shared(test, sets.map(|(path, ..)| path)) else { return };
    for ((path, satellites, newest), file) in sets.into_iter().zip(files) {
        let elements = parse_elements(&text(&file)).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!(elements.len(), satellites, "{path}");
        let at = elements.iter().map(|e| e.epoch).max().expect("some satellites");
        assert!(at.to_string().starts_with(newest), "{path}: {at}");
        let height_km = |satellite: &Elements| {
            let [x, y, z] = satellite.position_teme_km(at).unwrap_or_default();
            (x * x + y * y + z * z).sqrt() - 6378.137
        };
        let aloft = |satellite: &&Elements| (150.0..1300.0).contains(&height_km(satellite));
        // One of the October set has come down between its own epoch and the newest.
        let fallen = elements.len() - elements.iter().filter(aloft).count();
        assert!(fallen <= 1, "{path}: {fallen} have fallen");
    }
}

const SITES: &str = "
[[site]]\nnode = 'drone'\nlat_deg = 39.493917\nlon_deg = -122.981303
[[site]]\nnode = 'edge-server'\nlat_deg = 38.58\nlon_deg = -121.49
[[site]]\nnode = 'ground-station'\nlat_deg = 47.07\nlon_deg = 15.44
[[site]]\nnode = 'cloud'\nlat_deg = 50.11\nlon_deg = 8.68
[[same_place]]\nnode = 'controller'\nat = 'ground-station'
[[fibre]]\na = 'ground-station'\nb = 'cloud'\n";

fn sky(path: &Path, mask_deg: f64, satellites: &[String]) -> Sky {
    let attached: String = (1..)
        .zip(satellites)
        .map(|(i, name)| format!("[[satellite]]\nnode = 'sat-{i}'\nname = '{name}'\n"))
        .collect();
    let spec = format!(
        "[constellation]\nfile = 'x'\n[links]\nmin_elevation_deg = {mask_deg:?}\n{SITES}{attached}"
    );
    let spec: SkySpec = toml::from_str(&spec).expect("a well-formed spec");
    Sky::new(&spec, Some(&text(path))).expect("the real elements make a sky")
}

/// How many satellites hang together over links between satellites alone, in the largest such set.
fn largest_mesh(sky: &Sky, at: Epoch) -> usize {
    let moment = sky.at(at);
    let count = u32::try_from(sky.satellites()).expect("few satellites");
    let mut seen = vec![false; sky.satellites()];
    let mut largest = 0;
    for start in 0..count {
        let (mut open, mut size) = (vec![start], 0);
        while let Some(node) = open.pop() {
            if !std::mem::replace(&mut seen[node as usize], true) {
                size += 1;
                let links = moment.graph().links_of(NodeIx(node));
                open.extend(links.map(|(to, _)| to.0).filter(|to| *to < count));
            }
        }
        largest = largest.max(size);
    }
    largest
}

#[test]
fn real_constellations_make_a_connected_grid_and_a_chain_over_a_site() {
    let test = "real_constellations_make_a_connected_grid_and_a_chain_over_a_site";
    let sets = [
        ("stardust/tle/starlink-2024-12-15.tle", 25.0, 12_500, 6_800, 1000.0),
        ("tle/oneweb-2022-09.tle", 25.0, 780, 426, 1000.0),
        ("omm/iridium-next.json", 10.0, 130, 80, 600.0),
    ];
    let Some(files) = shared(test, sets.map(|(path, ..)| path)) else { return };
    for ((path, mask_deg, links_min, mesh_min, window_s_min), file) in sets.into_iter().zip(files) {
        let bare = sky(&file, mask_deg, &[]);
        let start = bare.newest_epoch();
        let drone = NodeId::new("drone").expect("a valid name");
        let search =
            Search { start, latency_max: LatencyUs(20_000), horizon_s: 5400.0, step_s: 20.0 };
        let windows = bare.latency_windows(&drone, &search).expect("the drone is a site");
        let chosen = chain(&windows, start, 4, 60.0);
        for pair in chosen.windows(2) {
            assert!(pair[1].open <= pair[0].close, "{path}: a gap in {chosen:?}");
        }
        assert_eq!(chosen.len(), 4, "{path}");
        assert!(chosen.iter().all(|w| window_s_min <= w.length_s()), "{path}: {chosen:?}");
        let names: Vec<String> =
            chosen.iter().map(|w| bare.satellite_name(w.satellite).to_owned()).collect();
        let attached = sky(&file, mask_deg, &names);
        for minutes in [0.0, 35.0, 95.0] {
            let at = start.plus_s(minutes * 60.0);
            let moment = attached.at(at);
            let mesh = largest_mesh(&attached, at);
            let paths = moment.pairs().iter().filter(|pair| pair.state.is_some()).count();
            println!(
                "{path} +{minutes} min: {} links, mesh of {mesh}, {paths} of 36 pairs connected",
                moment.isl_count()
            );
            assert!(links_min <= moment.isl_count() && mesh_min <= mesh, "{path}: {mesh}");
            assert_eq!(paths, 36, "{path}");
        }
    }
}
