//! Plans of small constellations: what stepping finds, and that a refreshed plan is the plan of the whole.

use std::sync::Arc;

use types::Geodetic;

use super::*;
use crate::geodesy;
use crate::propagate::Sgp4;
use crate::station::StationKind;
use crate::visibility::{SightRule, Viewer};
use crate::walker::WalkerShell;

/// All pairs nearer than a limit: the simplest rule there is.
#[derive(Debug)]
struct Near(f64);

impl LinkProtocol for Near {
    fn name(&self) -> &'static str {
        "near"
    }

    fn choose(&mut self, scene: &Scene<'_>, set: &mut IslSet) {
        let rule = SightRule { range_max_km: self.0, grazing_altitude_km: 80.0 };
        set.links.clear();
        let positions = scene.positions_km;
        for (a, p) in (0_u32..).zip(positions) {
            for (b, q) in (a + 1..).zip(&positions[a as usize + 1..]) {
                let length_km = rule.distance_km(*p, *q);
                set.links.extend(length_km.map(|length_km| crate::link::Isl { a, b, length_km }));
            }
        }
    }
}

fn start() -> Epoch {
    Epoch::parse("2026-03-01T12:00:00Z").unwrap()
}

fn elements() -> Arc<[Elements]> {
    let shell = WalkerShell {
        name: "w".to_owned(),
        planes: 8,
        slots: 11,
        altitude_km: 550.0,
        inclination_deg: 53.0,
        phasing: 3,
        raan_span_deg: 360.0,
        epoch: start(),
    };
    shell.elements().unwrap().into()
}

fn stations() -> Vec<Station> {
    let station = |name: &str, lat_deg, lon_deg, min_elevation_deg| Station {
        name: name.to_owned(),
        kind: StationKind::Ground,
        place: Geodetic { lat_deg, lon_deg, alt_km: 0.0 },
        min_elevation_deg,
        terminals: None,
        way: Vec::new(),
    };
    vec![station("Graz", 47.07, 15.44, None), station("Quito", -0.18, -78.47, Some(25.0))]
}

struct World {
    elements: Arc<[Elements]>,
    propagator: Sgp4,
    stations: Vec<Station>,
}

impl World {
    fn new() -> Self {
        let elements = elements();
        Self { propagator: Sgp4::new(Arc::clone(&elements)), elements, stations: stations() }
    }

    fn request(&self, version: u64, from_min: i32, to_min: i32) -> PlanRequest<'_> {
        PlanRequest {
            version,
            start: start().plus_s(f64::from(from_min) * 60.0),
            end: start().plus_s(f64::from(to_min) * 60.0),
            step_s: STEP_S,
            elements: &self.elements,
            propagator: &self.propagator,
            stations: &self.stations,
            min_elevation_deg: 10.0,
            rates: LinkRates::default(),
        }
    }

    fn plan(&self, version: u64, from_min: i32, to_min: i32) -> LinkPlan {
        let request = self.request(version, from_min, to_min);
        let ground = ground_passes(&request).unwrap();
        link_plan(&request, &mut Near(2500.0), &ground).unwrap()
    }

    fn viewer(&self, station: usize, at: Epoch) -> Viewer {
        let place = self.stations[station].place_at(at);
        let turn = self.propagator.ground_turn(at);
        Viewer {
            position_km: turn.to_teme(geodesy::to_ecef_km(&place)),
            up: turn.to_teme(geodesy::up(&place)),
        }
    }
}

#[test]
fn a_refreshed_plan_is_the_plan_of_the_whole() {
    let world = World::new();
    for (seam, from, to) in [(20, 5, 45), (30, 30, 40), (10, 0, 30)] {
        let refreshed = world
            .plan(1, 0, seam)
            .refreshed(start().plus_s(f64::from(from) * 60.0), world.plan(2, seam, to));
        let whole = world.plan(2, from, to);
        assert!(whole.windows().iter().any(|window| !window.close_known));
        let refreshed = refreshed.unwrap();
        for (got, expected) in refreshed.windows().iter().zip(whole.windows()) {
            assert_eq!(got, expected);
        }
        assert!(refreshed == whole, "other numbers of windows");
    }
}

#[test]
fn ground_windows_are_what_stepping_at_a_second_finds_and_ranges_keep_their_error() {
    let world = World::new();
    let plan = world.plan(1, 0, 190);
    let first_station = u32::try_from(world.elements.len()).unwrap();
    let mut errors_km: Vec<f64> = Vec::new();
    let (mut compared, mut apart_s) = (0, 0);
    for (station, mask_deg) in [(0_usize, 10.0), (1, 25.0)] {
        let node = topology::NodeIx(first_station + u32::try_from(station).unwrap());
        for second in 0..190 * 60 {
            let at = start().plus_s(f64::from(second));
            let viewer = world.viewer(station, at);
            for satellite in 0..first_station {
                let (position, _) = world.propagator.state(satellite as usize, at).unwrap();
                let seen = mask_deg <= viewer.elevation_deg(position);
                let window = plan.window_at(topology::NodeIx(satellite), node, at);
                apart_s += u32::from(seen != window.is_some());
                if let Some(window) = window {
                    let range_km =
                        crate::vector::norm(crate::vector::minus(position, viewer.position_km));
                    let off_km = (window.range_km(at).unwrap() - range_km).abs();
                    let minute = usize::try_from(
                        (at.unix_ns().div_euclid(60_000_000_000))
                            - window.open.unix_ns().div_euclid(60_000_000_000),
                    )
                    .unwrap();
                    let error_km = window.range[minute].error_km_max;
                    assert!(off_km <= error_km + 1e-6, "{off_km} km off, not {error_km}");
                    errors_km.push(error_km);
                    compared += 1;
                }
            }
        }
    }
    assert_eq!(apart_s, 0);
    assert!(10_000 < compared, "{compared}");
    // A quadratic over a minute is within half a kilometre, 2 us, on the whole; worst in the zenith.
    errors_km.sort_by(f64::total_cmp);
    assert!(errors_km[errors_km.len() / 2] < 0.5, "{}", errors_km[errors_km.len() / 2]);
    assert!(errors_km[errors_km.len() - 1] < 2.0, "{}", errors_km[errors_km.len() - 1]);
}

#[test]
fn a_pass_that_rises_and_sets_between_two_steps_is_in_the_plan() {
    let mut world = World::new();
    let passes = ground_passes(&world.request(1, 0, 190)).unwrap();
    let highest_deg = passes.iter().map(|pass| pass.max_elevation_deg).fold(0.0, f64::max);
    world.stations.iter_mut().for_each(|s| s.min_elevation_deg = Some(highest_deg - 0.02));
    let plan = world.plan(1, 0, 190);
    let first_station = world.elements.len();
    let grounds = plan.windows().iter().filter(|window| first_station <= window.b.index());
    let lengths_s: Vec<f64> = grounds.map(|w| w.close.seconds_since(w.open)).collect();
    assert_eq!(lengths_s.len(), 1, "only the highest one");
    assert!(0.1 < lengths_s[0] && lengths_s[0] < f64::from(STEP_S), "{lengths_s:?}");
}

#[test]
fn links_between_satellites_are_those_of_the_protocol_at_each_step() {
    let world = World::new();
    let plan = world.plan(1, 0, 30);
    let mut set = IslSet::default();
    let mut near = Near(2500.0);
    let isls = |at: Epoch| {
        let graph = plan.graph_at(at).unwrap();
        let mut pairs: Vec<(u32, u32)> = graph.links().iter().map(|l| (l.a.0, l.b.0)).collect();
        pairs.retain(|(_, b)| (*b as usize) < world.elements.len());
        pairs.sort_unstable();
        pairs
    };
    let mut changes = 0;
    for at in world.request(1, 0, 30).instants().filter(|at| *at < plan.end()) {
        let mut positions_km = vec![[0.0; 3]; world.elements.len()];
        positions(&world.propagator, at, &mut positions_km);
        let before = set.links.len();
        near.choose(
            &Scene {
                at,
                positions_km: &positions_km,
                elements: &world.elements,
                propagator: &world.propagator,
            },
            &mut set,
        );
        changes += usize::from(before != set.links.len());
        let expected: Vec<(u32, u32)> = set.links.iter().map(|isl| (isl.a, isl.b)).collect();
        assert_eq!(isls(at), expected);
        assert_eq!(isls(at.plus_s(9.9)), expected);
    }
    assert!(3 < changes, "the constellation moves");
}

#[test]
fn a_synthetic_constellation_is_certain_and_names_are_those_of_the_elements() {
    let world = World::new();
    let plan = world.plan(5, 0, 2);
    assert!(plan.windows().iter().all(|window| window.confidence_ppm == 1_000_000));
    assert_eq!((plan.version(), plan.nodes().len()), (5, 90));
    assert_eq!((plan.nodes()[0].as_str(), plan.nodes()[89].as_str()), ("w-00-00", "Quito"));
}

#[test]
fn impossible_requests_are_refused() {
    let world = World::new();
    let good = world.request(1, 0, 2);
    let refused = |request: PlanRequest<'_>| {
        link_plan(&request, &mut Near(1.0), &[]).unwrap_err().to_string()
    };
    for step_s in [0, 7, 12, 20, 60] {
        assert!(refused(PlanRequest { step_s, ..good }).contains("must be 1, 2, 3"));
    }
    assert!(
        refused(PlanRequest { min_elevation_deg: f64::NAN, ..good })
            .contains("elevation mask NaN of the plan")
    );
    assert!(refused(PlanRequest { elements: &[], ..good }).contains("one to one"));
    assert!(refused(PlanRequest { end: good.start, ..good }).contains("whole minutes"));
    // Nothing at all is a plan, too.
    let none = Sgp4::new(Arc::from([]));
    let empty = PlanRequest { elements: &[], propagator: &none, stations: &[], ..good };
    assert_eq!(link_plan(&empty, &mut Near(1.0), &[]).unwrap().windows().len(), 0);
}
