//! Element sets of the real world: SGP4's verification set, constellations; the readers' conformance corpus is in `gpconf.rs`.
//!
//! The data lie beside the repository in `../shared/data`; without them each test says so in one line and passes.

#[path = "support/shared.rs"]
mod support;

use std::path::Path;

use orbit::catalog::{ReadPolicy, duplicated, read};
use orbit::format::Format;
use orbit::predict::{Search, chain};
use orbit::{Elements, Sky, SkySpec, omm, parse_elements, tle};
use support::shared;
use topology::NodeIx;
use types::{Epoch, LatencyUs, NodeId};

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("the shared file is readable text")
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

#[test]
fn real_constellations_survive_every_format() {
    let test = "real_constellations_survive_every_format";
    let sets = ["stardust/tle/starlink-2024-12-15.tle", "omm/iridium-next.json"];
    let Some(files) = shared(test, sets) else { return };
    for (path, file) in sets.into_iter().zip(files) {
        let (first, _) = read(&text(&file), None, ReadPolicy::default()).expect("the set is right");
        for (format, text) in [
            (Format::OmmJson, omm::to_json(&first)),
            (Format::OmmCsv, omm::to_csv(&first)),
            (Format::OmmKvn, omm::to_kvn(&first)),
            (Format::OmmXml, omm::to_xml(&first)),
        ] {
            let (again, report) = read(&text, None, ReadPolicy::default())
                .unwrap_or_else(|e| panic!("{path} as {format}: {e}"));
            assert_eq!((again.len(), report.records), (first.len(), first.len()), "{path}");
            let same = again.iter().zip(&first).all(|(a, b)| a.says_the_same_as(b));
            assert!(same, "{path} as {format}");
        }
        let written = tle::write(&first).expect("numbers of five digits").text;
        let original = text(&file);
        if path.ends_with(".tle") {
            // What came as TLE goes as TLE, but for a derivative of zero, whose sign was never said.
            let differing =
                written.lines().zip(original.lines()).filter(|(a, b)| a.trim_end() != b.trim_end());
            assert_eq!(differing.count(), 0, "{path}");
        }
    }
}

#[test]
fn the_papers_largest_set_is_made_of_copies() {
    let test = "the_papers_largest_set_is_made_of_copies";
    let Some([file]) = shared(test, ["stardust/tle/starlink-2024-12-15.tle"]) else { return };
    let first = parse_elements(&text(&file)).expect("the set is right");
    let all = duplicated(&first, 20_646).expect("copies fly like their originals");
    assert_eq!(all.len(), 20_646);
    assert_eq!(all[6882].name, format!("{} DUPLICATE1", first[0].name));
    assert_eq!(all[20_645].name, format!("{} DUPLICATE2", first[6881].name));
    // Read back leniently: catalogue numbers repeat, names do not.
    let lenient =
        ReadPolicy { faults: orbit::catalog::Faults::TakeOrSkip, ..ReadPolicy::default() };
    let written = tle::write(&all).expect("numbers of five digits").text;
    let begin = std::time::Instant::now();
    let (again, report) = read(&written, None, lenient).expect("names differ");
    let load = begin.elapsed();
    println!("20,646 records of {} bytes read in {load:?}", written.len());
    assert_eq!((again.len(), report.repeated_catalog_numbers), (20_646, 2 * 6882));
    assert!(load.as_secs_f64() < 2.0, "ten times the bound of 0.2 s: {load:?}");
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
