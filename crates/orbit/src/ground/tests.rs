//! Policies against brute force, on real geometry.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::geodesy;
use crate::propagate::{Sgp4, positions};
use crate::walker::WalkerShell;

fn start() -> Epoch {
    Epoch::parse("2026-01-01T00:00:00Z").unwrap()
}

/// A shell in low orbit, and a ring that stands still over the equator.
fn sgp4() -> Sgp4 {
    let low = WalkerShell {
        name: "low".to_owned(),
        planes: 24,
        slots: 22,
        altitude_km: 550.0,
        inclination_deg: 53.0,
        phasing: 7,
        raan_span_deg: 360.0,
        epoch: start(),
    };
    let still = WalkerShell {
        name: "still".to_owned(),
        planes: 1,
        slots: 6,
        altitude_km: 35_786.0,
        inclination_deg: 0.1,
        phasing: 0,
        ..low
    };
    let all = [low, still].map(|shell| shell.elements().unwrap()).concat();
    Sgp4::new(Arc::from(all))
}

/// A place, a mask and terminals.
type Site = (f64, f64, Option<f64>, u16);

#[derive(Debug)]
struct World {
    sgp4: Sgp4,
    sites: Vec<Site>,
    satellite_terminals: u16,
}

impl World {
    fn stations(&self, at: Epoch) -> Vec<StationNow> {
        let turn = PolarTurn::at(at);
        let now = |(lat_deg, lon_deg, min_elevation_deg, terminals): &Site| {
            let place = Geodetic { lat_deg: *lat_deg, lon_deg: *lon_deg, alt_km: 0.2 };
            let viewer = Viewer {
                position_km: turn.to_teme(geodesy::to_ecef_km(&place)),
                up: turn.to_teme(geodesy::up(&place)),
            };
            let (min_elevation_deg, terminals) = (*min_elevation_deg, *terminals);
            StationNow { place, viewer, min_elevation_deg, terminals }
        };
        self.sites.iter().map(now).collect()
    }

    fn positions(&self, at: Epoch) -> Vec<[f64; 3]> {
        let mut out = vec![[0.0; 3]; self.sgp4.satellites()];
        positions(&self.sgp4, at, &mut out);
        // One satellite is down.
        out[17] = [f64::NAN; 3];
        out
    }

    fn choose(&self, policy: &mut dyn GroundPolicy, after_s: f64) -> Vec<GroundLink> {
        let at = start().plus_s(after_s);
        let (stations, positions_km) = (self.stations(at), self.positions(at));
        let scene = GroundScene {
            at,
            turn: PolarTurn::at(at),
            positions_km: &positions_km,
            stations: &stations,
            satellite_terminals: self.satellite_terminals,
            propagator: &self.sgp4,
        };
        let mut links = Vec::new();
        policy.choose(&scene, &mut links);
        assert!(links.is_sorted_by_key(|link| (link.station, link.satellite)));
        links
    }

    fn chosen(&self, kind: GroundPolicyKind, after_s: f64) -> Vec<GroundLink> {
        let mut policy = policy(kind, None);
        assert_eq!(policy.name(), kind.name());
        self.choose(policy.as_mut(), after_s)
    }

    /// Station and satellite of every pair above the mask, one by one.
    fn brute(&self, after_s: f64) -> Vec<(u32, u32)> {
        let at = start().plus_s(after_s);
        let positions = self.positions(at);
        let mut seen = Vec::new();
        for (station, now) in (0..).zip(self.stations(at)) {
            let sin_mask = now.min_elevation_deg.unwrap_or(0.0).to_radians().sin();
            let up = |p: &[f64; 3]| now.viewer.range_above_km(*p, sin_mask).is_some();
            let all = (0..).zip(&positions).filter(|(_, p)| up(p));
            seen.extend(all.map(|(satellite, _)| (station, satellite)));
        }
        seen
    }
}

fn ends(links: &[GroundLink]) -> Vec<(u32, u32)> {
    links.iter().map(|link| (link.station, link.satellite)).collect()
}

fn a_world() -> impl Strategy<Value = World> {
    let mask = prop_oneof![3 => (0.0_f64..60.0).prop_map(Some), 1 => Just(Some(25.0))];
    let site = (-89.0_f64..89.0, -180.0_f64..180.0, mask, 0_u16..4);
    // Neighbours contend for the same satellites.
    let crowd = (30.0_f64..34.0, 10.0_f64..14.0, Just(Some(25.0)), 1_u16..4);
    let sites = prop::collection::vec(prop_oneof![site, crowd], 0..20);
    (sites, 1_u16..3).prop_map(|(sites, satellite_terminals)| World {
        sgp4: sgp4(),
        sites,
        satellite_terminals,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn all_visible_is_what_brute_force_sees(world in a_world(), after_s in 0.0_f64..7000.0) {
        let links = world.chosen(GroundPolicyKind::AllVisible, after_s);
        prop_assert_eq!(ends(&links), world.brute(after_s));
        let at = start().plus_s(after_s);
        let (stations, positions) = (world.stations(at), world.positions(at));
        for link in links {
            let viewer = stations[link.station as usize].viewer;
            let elevation_deg = viewer.elevation_deg(positions[link.satellite as usize]);
            prop_assert!((link.elevation_deg - elevation_deg).abs() < 1.0e-6);
        }
    }

    #[test]
    fn no_policy_exceeds_terminals_or_looks_below_the_mask(
        world in a_world(),
        after_s in 0.0_f64..7000.0,
    ) {
        let seen = world.brute(after_s);
        for kind in GroundPolicyKind::ALL {
            if kind == GroundPolicyKind::AllVisible {
                continue;
            }
            let links = ends(&world.chosen(kind, after_s));
            let taken = |of: &dyn Fn(&(u32, u32)) -> bool| links.iter().filter(|l| of(l)).count();
            for link in &links {
                prop_assert!(seen.contains(link));
                let of_satellite = taken(&|other| other.1 == link.1);
                prop_assert!(of_satellite <= usize::from(world.satellite_terminals));
                let of_station = taken(&|other| other.0 == link.0);
                prop_assert!(of_station <= usize::from(world.sites[link.0 as usize].3));
            }
            // Nobody goes without where both ends have a terminal left.
            for pair in seen.iter().filter(|pair| !links.contains(pair)) {
                let full = usize::from(world.satellite_terminals) <= taken(&|l| l.1 == pair.1)
                    || usize::from(world.sites[pair.0 as usize].3) <= taken(&|l| l.0 == pair.0);
                prop_assert!(full, "{kind:?} leaves {pair:?}");
            }
        }
    }

    #[test]
    fn without_a_mask_the_nearest_satellite_is_taken_wherever_it_is(
        sites in prop::collection::vec((-89.0_f64..89.0, -180.0_f64..180.0), 1..10),
        after_s in 0.0_f64..7000.0,
    ) {
        let sites = sites.into_iter().map(|(lat, lon)| (lat, lon, None, 1)).collect();
        let world = World { sgp4: sgp4(), sites, satellite_terminals: u16::MAX };
        let at = start().plus_s(after_s);
        let positions = world.positions(at);
        let links = world.chosen(GroundPolicyKind::Nearest, after_s);
        prop_assert_eq!(links.len(), world.sites.len());
        for (link, station) in links.iter().zip(world.stations(at)) {
            let here = station.viewer.position_km;
            let km = |p: &[f64; 3]| crate::vector::norm(crate::vector::minus(*p, here));
            let known = (0..).zip(&positions).filter(|(_, p)| p[0].is_finite());
            let nearest = known.min_by(|(_, x), (_, y)| km(x).total_cmp(&km(y))).unwrap();
            prop_assert_eq!(link.satellite, nearest.0);
            prop_assert!((link.range_km - km(nearest.1)).abs() < 1.0e-9);
        }
    }
}

fn one_site(mask_deg: f64, terminals: u16) -> World {
    let sites = vec![(47.07, 15.44, Some(mask_deg), terminals)];
    World { sgp4: sgp4(), sites, satellite_terminals: 4 }
}

#[test]
fn the_policies_order_as_they_say() {
    let world = one_site(10.0, 1);
    for step in 0..40 {
        let after_s = f64::from(step) * 97.0;
        let all = world.chosen(GroundPolicyKind::AllVisible, after_s);
        let best = |kind| world.chosen(kind, after_s).first().copied();
        let nearest = all.iter().min_by(|x, y| x.range_km.total_cmp(&y.range_km)).copied();
        assert_eq!(best(GroundPolicyKind::Nearest), nearest);
        let highest =
            all.iter().max_by(|x, y| x.elevation_deg.total_cmp(&y.elevation_deg)).copied();
        assert_eq!(best(GroundPolicyKind::HighestElevation), highest);
    }
}

#[test]
fn the_longest_pass_is_the_one_that_a_walk_in_seconds_sees_last() {
    // Above 40 degrees nothing that stands still is in sight here.
    let world = one_site(40.0, 1);
    let mut compared = 0;
    for step in 0..20 {
        let after_s = f64::from(step) * 311.0;
        let mut left = ends(&world.chosen(GroundPolicyKind::AllVisible, after_s));
        let chosen = ends(&world.chosen(GroundPolicyKind::LongestPass, after_s));
        let mut walked_s = 0.0;
        let mut last = left.clone();
        while !left.is_empty() {
            last.clone_from(&left);
            walked_s += 1.0;
            let now = world.brute(after_s + walked_s);
            left.retain(|pair| now.contains(pair));
        }
        if last.len() == 1 {
            assert_eq!(chosen, last, "after {after_s} s");
            compared += 1;
        }
    }
    assert!(10 <= compared, "{compared}");
}

#[test]
fn a_station_that_saves_handovers_changes_only_when_its_satellite_sets() {
    // Above 40 degrees nothing that stands still is in sight here.
    let world = one_site(40.0, 1);
    let mut saving = policy(GroundPolicyKind::FewestHandovers, None);
    let mut nearest = policy(GroundPolicyKind::Nearest, None);
    let (mut before, mut before_nearest) = (Vec::new(), Vec::new());
    let (mut changes, mut changes_nearest) = (0, 0);
    for step in 0..200 {
        let after_s = f64::from(step) * 10.0;
        let now = ends(&world.choose(saving.as_mut(), after_s));
        if before != now {
            let seen = world.brute(after_s);
            assert!(before.iter().all(|pair| !seen.contains(pair)), "{before:?} to {now:?}");
            changes += 1;
        }
        let now_nearest = ends(&world.choose(nearest.as_mut(), after_s));
        changes_nearest += u32::from(before_nearest != now_nearest);
        (before, before_nearest) = (now, now_nearest);
    }
    assert!(1 < changes && changes < changes_nearest, "{changes} and {changes_nearest}");
}

#[test]
fn a_station_of_two_terminals_hands_over_one_link_at_a_time() {
    // As far north nothing that stands still is in sight above 33 degrees.
    let sites = vec![(51.5, 15.44, Some(33.0), 2)];
    let world = World { sgp4: sgp4(), sites, satellite_terminals: 4 };
    let mut saving = policy(GroundPolicyKind::FewestHandovers, None);
    let mut before: Vec<(u32, u32)> = Vec::new();
    let (mut one, mut both) = (0, 0);
    for step in 0..400 {
        let after_s = f64::from(step) * 5.0;
        let now = ends(&world.choose(saving.as_mut(), after_s));
        let seen = world.brute(after_s);
        for pair in &before {
            assert_eq!(now.contains(pair), seen.contains(pair), "{pair:?} after {after_s} s");
        }
        if (before.len(), now.len()) == (2, 2) {
            let kept = before.iter().filter(|pair| now.contains(pair)).count();
            one += u32::from(kept == 1);
            both += u32::from(kept == 0);
        }
        before = now;
    }
    assert!(3 < one && both < one, "{one} and {both}");
}

#[test]
fn between_slots_a_station_keeps_what_it_sees() {
    let world = one_site(25.0, 2);
    let mut slotted = policy(GroundPolicyKind::Nearest, Some(15.0));
    let mut held = Vec::new();
    for second in 0..600 {
        let after_s = f64::from(second);
        let now = ends(&world.choose(slotted.as_mut(), after_s));
        if second % 15 == 0 {
            assert_eq!(now, ends(&world.chosen(GroundPolicyKind::Nearest, after_s)), "{second}");
        } else {
            let seen = world.brute(after_s);
            held.retain(|pair| seen.contains(pair));
            assert_eq!(now, held, "{second}");
        }
        held = now;
    }
}

#[test]
fn no_station_and_no_satellite_are_fine() {
    let nobody = World { sgp4: sgp4(), sites: Vec::new(), satellite_terminals: 1 };
    let empty = Sgp4::new(Arc::from([]));
    let stations = one_site(25.0, 1).stations(start());
    let unmasked = StationNow { min_elevation_deg: None, ..stations[0] };
    for kind in GroundPolicyKind::ALL {
        assert_eq!(nobody.chosen(kind, 0.0), []);
        let scene = GroundScene {
            at: start(),
            turn: PolarTurn::at(start()),
            positions_km: &[],
            stations: &[stations[0], unmasked],
            satellite_terminals: 1,
            propagator: &empty,
        };
        let mut links = Vec::new();
        policy(kind, None).choose(&scene, &mut links);
        assert_eq!(links, []);
    }
}
