//! The models of motion on real constellations: published positions, the same bits on any number of threads.
//!
//! The data lie beside the repository in `../shared/data`; without them each test says so in one line and passes.

#[path = "support/shared.rs"]
mod support;

use std::path::Path;
use std::sync::Arc;

use orbit::pass::{Pass, Search, Site, Whereabouts};
use orbit::propagate::{ModelKind, Propagator, Sgp4, StardustCompat, positions};
use orbit::{Elements, parse_elements};
use serde_json::Value;
use support::shared;
use types::{Epoch, Geodetic};

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("the shared file is readable text")
}

fn elements(folder: &Path, file: &str) -> Arc<[Elements]> {
    parse_elements(&text(&folder.join(file))).expect("the sets are right").into()
}

fn epoch(value: &Value) -> Epoch {
    Epoch::parse(value.as_str().expect("a time")).expect("a valid time")
}

fn metres(value: &Value) -> [f64; 3] {
    let numbers: Vec<f64> =
        value.as_array().expect("a vector").iter().map(|n| n.as_f64().expect("metres")).collect();
    numbers.try_into().expect("three axes")
}

fn apart(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

fn start() -> Epoch {
    Epoch::parse("2025-10-01T00:00:00Z").expect("a valid time")
}

#[test]
fn the_published_positions_come_out_to_the_millimetre() {
    let test = "the_published_positions_come_out_to_the_millimetre";
    let Some([folder]) = shared(test, ["stardust"]) else { return };
    let golden: Value = serde_json::from_str(&text(&folder.join("golden-compat.json")))
        .expect("the shared file is well-formed JSON");
    let (mut compared, mut worst_m) = (0, 0.0_f64);
    let mut check = |set: &[Elements], name: &Value, at: Epoch, wanted: &Value| {
        let index = set.iter().position(|e| Some(e.name.as_str()) == name.as_str());
        let index = index.expect("a satellite of the set");
        let position =
            StardustCompat::new(set, start()).state(index, at).expect("it never fails").0;
        let off_m = apart(position.map(|km| km * 1000.0), metres(wanted));
        assert!(off_m < 1.0e-3, "{name} at {at}: {off_m} m");
        worst_m = worst_m.max(off_m);
        compared += 1;
    };
    for row in golden["positions"].as_array().expect("positions") {
        let set = elements(&folder, row["tle"].as_str().expect("a file"));
        check(&set, &row["name"], epoch(&row["time"]), &row["position_m"]);
    }
    for paths in golden["mst_paths"].as_array().expect("paths") {
        let set = elements(&folder, paths["tle"].as_str().expect("a file"));
        for step in paths["steps"].as_array().expect("steps") {
            for city in ["graz", "honolulu"] {
                let wanted = &step[format!("position_{city}_uplink_m")];
                check(&set, &step[format!("uplink_{city}")], epoch(&step["time"]), wanted);
            }
        }
    }
    println!("{compared} published positions, the worst {worst_m:.1e} m off");
    assert_eq!(compared, 42);
}

#[test]
fn the_published_ground_turns_as_published() {
    let test = "the_published_ground_turns_as_published";
    let Some([folder]) = shared(test, ["stardust"]) else { return };
    let golden: Value = serde_json::from_str(&text(&folder.join("golden-compat.json")))
        .expect("the shared file is well-formed JSON");
    let cities = [("graz", 47.0707, 15.4409), ("honolulu", 21.3069, -157.8583)];
    let model = StardustCompat::new(&[], start());
    let mut compared = 0;
    for paths in golden["mst_paths"].as_array().expect("paths") {
        for step in paths["steps"].as_array().expect("steps") {
            let turn = model.ground_turn(epoch(&step["time"]));
            for (city, lat_deg, lon_deg) in cities {
                let place = Geodetic { lat_deg, lon_deg, alt_km: 0.0 };
                let site = turn.to_teme(orbit::geodesy::to_ecef_km(&place)).map(|km| km * 1000.0);
                let satellite = metres(&step[format!("position_{city}_uplink_m")]);
                let wanted = step[format!("{city}_uplink_distance_m")].as_f64().expect("metres");
                let off_m = (apart(site, satellite) - wanted).abs();
                assert!(off_m < 1.0e-3, "{city}: {off_m} m");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 40);
}

fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.expect("a pool of threads").install(work)
}

fn walker() -> Arc<[Elements]> {
    let sets = include_str!("vectors/sky.json");
    let vectors: Value = serde_json::from_str(sets).expect("well-formed JSON");
    let base = parse_elements(vectors["tle"].as_str().expect("sets")).expect("valid sets");
    // Enough for several parts of a batch, the last one short.
    base.iter().cycle().take(1001).cloned().collect()
}

#[test]
fn positions_are_the_same_bits_on_any_number_of_threads() {
    let elements = walker();
    for kind in ModelKind::ALL {
        let model = kind.propagator(Arc::clone(&elements), start());
        let at = Epoch::parse("2025-03-20T07:00:00Z").expect("a valid time");
        let batch = |threads| {
            let mut out = vec![[0.0; 3]; elements.len()];
            on_threads(threads, || positions(&*model, at, &mut out));
            out.into_iter().map(|position| position.map(f64::to_bits)).collect::<Vec<_>>()
        };
        let one = batch(1);
        assert!(one == batch(2) && one == batch(8), "{}", model.name());
        for (index, position) in one.iter().enumerate() {
            let alone = model.state(index, at).map_or([f64::NAN; 3], |(r, _)| r);
            assert_eq!(*position, alone.map(f64::to_bits), "{} {index}", model.name());
        }
    }
}

#[test]
fn passes_are_the_same_on_any_number_of_threads() {
    let elements = walker();
    let model = Sgp4::new(elements);
    let place = Geodetic { lat_deg: 47.07, lon_deg: 15.44, alt_km: 0.35 };
    let site = Site { place: Whereabouts::Fixed(place), min_elevation_deg: 10.0 };
    let from = Epoch::parse("2025-03-20T00:00:00Z").expect("a valid time");
    let all: Vec<u32> = (0..200).collect();
    let passes = |threads| -> Vec<Pass> {
        let search = Search { propagator: &model, from, to: from.plus_s(21_600.0) };
        on_threads(threads, || search.passes(&all, &[site])).expect("a valid search")
    };
    let one = passes(1);
    assert!(!one.is_empty());
    assert!(one == passes(2) && one == passes(8));
}
