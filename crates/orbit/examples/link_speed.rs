//! How long links take: each protocol, and the tree beside brute force (all pairs in range, sorted, full Kruskal).
//!
//! `cargo run --release -p orbit --features parallel --example link_speed [TLE FILE]`. Without element sets the
//! satellites are spread over circular orbits of Starlink's inclinations and heights.

use std::hint::black_box;
use std::sync::Arc;
#[expect(
    clippy::disallowed_types,
    reason = "an example that measures is no part of the crate"
)]
use std::time::Instant;

use orbit::frame::PolarTurn;
use orbit::geodesy;
use orbit::ground::{GroundPolicyKind, GroundScene, StationNow, policy};
use orbit::link::{
    IslRules, IslSet, LinkProtocol, ProtocolKind, Rulebook, Scene, brute_force_mst, protocol,
};
use orbit::propagate::{Sgp4, positions};
use orbit::visibility::Viewer;
use orbit::{Propagator, tle};
use types::{Epoch, Geodetic};

/// Runs of which the median counts.
const RUNS: usize = 15;

/// Inclination, degrees, height, km, and share of Starlink's shells in December 2024.
const SHELLS: [(f64, f64, f64); 4] =
    [(53.0, 550.0, 0.58), (43.0, 525.0, 0.33), (70.0, 570.0, 0.06), (97.6, 560.0, 0.03)];

#[expect(
    clippy::disallowed_methods,
    reason = "an example may read its arguments and its file; the crate may not"
)]
fn main() {
    if let Some(path) = std::env::args().nth(1) {
        let text = std::fs::read_to_string(&path).expect("the file is readable text");
        let elements = tle::parse(&text).expect("the file holds element sets");
        let newest = elements.iter().map(|e| e.epoch).max().expect("the file is not empty");
        let sgp4 = Sgp4::new(Arc::from(elements));
        let base = at(&sgp4, newest);
        // More satellites by the rule of Stardust's paper: copies that fly ahead.
        let ahead = |minutes: f64| at(&sgp4, newest.plus_s(60.0 * minutes));
        let triple = [base.clone(), ahead(-5.0), ahead(-10.0)].concat();
        report("from the file", &base);
        report("three times the file", &triple);
    }
    for satellites in [250, 3_023, 6_882, 20_646, 100_000] {
        report("spread", &spread(satellites));
    }
}

fn at(propagator: &dyn Propagator, at: Epoch) -> Vec<[f64; 3]> {
    let mut out = vec![[0.0; 3]; propagator.satellites()];
    positions(propagator, at, &mut out);
    out
}

/// Satellites on circular orbits, in an order and at places that look random but are not.
fn spread(satellites: u32) -> Vec<[f64; 3]> {
    let golden = |i: u32, ratio: f64| (f64::from(i) * ratio).fract();
    let place = |i: u32| {
        let mut pick = golden(i, 0.754_877_666);
        let shell = SHELLS.iter().find(|(.., share)| {
            pick -= share;
            pick < 0.0
        });
        let (inclination, height, _) = *shell.unwrap_or(&SHELLS[0]);
        let node = core::f64::consts::TAU * golden(i, 0.569_840_291);
        let (sin_u, cos_u) = (core::f64::consts::TAU * golden(i, 0.618_033_989)).sin_cos();
        let (sin_i, cos_i) = f64::to_radians(inclination).sin_cos();
        let r = 6378.137 + height + golden(i, 0.324_717_957);
        let [x, y, z] = [cos_u, sin_u * cos_i, sin_u * sin_i];
        let (sin_o, cos_o) = node.sin_cos();
        [r * (x * cos_o - y * sin_o), r * (x * sin_o + y * cos_o), r * z]
    };
    (0..satellites).map(place).collect()
}

#[expect(clippy::print_stdout, reason = "an example prints what it measures")]
fn report(what: &str, at: &[[f64; 3]]) {
    let rules = IslRules::default();
    println!("{} satellites, {what}", at.len());
    for book in [Rulebook::Stardust, Rulebook::Starbelt] {
        for kind in ProtocolKind::ALL {
            if kind == ProtocolKind::PlusGrid || kind == ProtocolKind::None {
                continue;
            }
            let mut rule = protocol(kind, &rules, book, Vec::new());
            let mut set = IslSet::default();
            let ms = median_ms(RUNS, || choose(rule.as_mut(), at, &mut set));
            let parts = set.forest.map_or(0, |forest| forest.components);
            let name = kind.name();
            println!("  {book:?} {name:14} {ms:9.3} ms, {} links, {parts} trees", set.links.len());
        }
    }
    ground(at);
    if at.len() <= 30_000 {
        let book = Rulebook::Stardust;
        let mut rule = protocol(ProtocolKind::Mst, &rules, book, Vec::new());
        let mut set = IslSet::default();
        let ours = median_ms(RUNS, || choose(rule.as_mut(), at, &mut set));
        let (brute, pairs) = brute_force_mst(at, &rules, book);
        assert_eq!(set, brute, "the same tree");
        let theirs = median_ms(3, || drop(black_box(brute_force_mst(at, &rules, book))));
        println!("  brute force over {pairs} pairs {theirs:9.3} ms: {:.1} times", theirs / ours);
    }
}

/// How long 85 stations take to choose, on a mask of 25 degrees.
#[expect(clippy::print_stdout, reason = "an example prints what it measures")]
fn ground(positions_km: &[[f64; 3]]) {
    let station = |i: u32| {
        let golden = |ratio: f64| (f64::from(i) * ratio).fract();
        let (lat_deg, lon_deg) = (110.0 * golden(0.618_034) - 50.0, 360.0 * golden(0.754_878));
        let place = Geodetic { lat_deg, lon_deg, alt_km: 0.0 };
        let viewer = Viewer { position_km: geodesy::to_ecef_km(&place), up: geodesy::up(&place) };
        StationNow { place, viewer, min_elevation_deg: Some(25.0), terminals: 1 }
    };
    let stations: Vec<StationNow> = (0..85).map(station).collect();
    let nobody = Sgp4::new(Arc::from([]));
    let at = Epoch::from_unix_ns(0);
    let scene = GroundScene {
        at,
        turn: PolarTurn::at(at),
        positions_km,
        stations: &stations,
        satellite_terminals: u16::MAX,
        propagator: &nobody,
    };
    for kind in [GroundPolicyKind::Nearest, GroundPolicyKind::AllVisible] {
        let mut policy = policy(kind, None);
        let mut links = Vec::new();
        let ms = median_ms(RUNS, || policy.choose(&scene, &mut links));
        println!("  ground {:14} {ms:11.3} ms, {} links", kind.name(), links.len());
    }
}

fn choose(rule: &mut dyn LinkProtocol, at: &[[f64; 3]], set: &mut IslSet) {
    let nobody = Sgp4::new(Arc::from([]));
    let epoch = Epoch::from_unix_ns(0);
    let scene = Scene { at: epoch, positions_km: at, elements: &[], propagator: &nobody };
    rule.choose(&scene, set);
}

#[expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "an example that measures reads the clock; the crate may not"
)]
fn median_ms(runs: usize, mut run: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let begin = Instant::now();
            run();
            begin.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[runs / 2]
}
