//! Passes against a dense search, over all kinds of orbits.

use proptest::prelude::*;

use super::*;
use crate::elements::{Elements, parse_elements};
use crate::propagate::{KeplerJ2, Sgp4};
use crate::station::{StationKind, WayPoint};

fn epoch() -> Epoch {
    Epoch::parse("2026-03-01T00:00:00Z").unwrap()
}

/// One object by its mean elements.
fn object([i, node, e, w, m, n]: [f64; 6]) -> Elements {
    let text = format!(
        r#"[{{"EPOCH":"2026-03-01T00:00:00","MEAN_MOTION":{n},"ECCENTRICITY":{e},"INCLINATION":{i},
        "RA_OF_ASC_NODE":{node},"ARG_OF_PERICENTER":{w},"MEAN_ANOMALY":{m},"BSTAR":0.0001,"NORAD_CAT_ID":7}}]"#
    );
    parse_elements(&text).unwrap().remove(0)
}

fn sgp4(elements: [f64; 6]) -> Sgp4 {
    Sgp4::new([object(elements)].into())
}

fn site(lat_deg: f64, lon_deg: f64, alt_km: f64, min_elevation_deg: f64) -> Site<'static> {
    let place = Whereabouts::Fixed(Geodetic { lat_deg, lon_deg, alt_km });
    Site { place, min_elevation_deg }
}

fn search(propagator: &dyn Propagator, hours: f64) -> Search<'_> {
    Search { propagator, from: epoch(), to: epoch().plus_s(hours * 3600.0) }
}

/// In sight or not, second by second.
fn scan(search: &Search<'_>, site: &Site<'_>) -> Vec<(f64, f64)> {
    let seconds = (0..).map(f64::from).take_while(|s| *s <= search.length_s());
    let elevation = |at_s: f64| {
        search
            .look(0, site.place, search.from.plus_s(at_s))
            .map_or(-90.0, |look| look.elevation_deg)
    };
    seconds.map(|at_s| (at_s, elevation(at_s))).collect()
}

/// Every pass agrees with the scan, and no stretch of the scan is without a pass.
fn check(search: &Search<'_>, site: &Site<'_>) -> Result<usize, TestCaseError> {
    let passes = search.passes(&[0], &[*site]).unwrap();
    let seconds_of = |at: Epoch| at.seconds_since(search.from);
    for (at_s, elevation) in scan(search, site) {
        let inside = |pass: &&Pass| {
            seconds_of(pass.rise) - 0.1 <= at_s && at_s <= seconds_of(pass.set) + 0.1
        };
        let edge = |pass: &Pass| {
            (seconds_of(pass.rise) - at_s).abs() < 0.1 || (seconds_of(pass.set) - at_s).abs() < 0.1
        };
        let pass = passes.iter().find(inside);
        if passes.iter().all(|pass| !edge(pass)) {
            let visible = site.min_elevation_deg <= elevation;
            prop_assert_eq!(visible, pass.is_some(), "{} s: {} degrees", at_s, elevation);
        }
        if let Some(pass) = pass {
            prop_assert!(elevation <= pass.max_elevation_deg + 1.0e-4, "{pass:?}");
        }
    }
    for pass in &passes {
        let top = search.look(0, site.place, pass.max_at).unwrap().elevation_deg;
        prop_assert!((top - pass.max_elevation_deg).abs() < 1.0e-6, "{pass:?}: {top}");
        let at_rise = search.look(0, site.place, pass.rise).unwrap().elevation_deg;
        let on_mask = (at_rise - site.min_elevation_deg).abs() < 0.01;
        prop_assert!(on_mask == pass.rise_known || !pass.rise_known, "{pass:?}: {at_rise}");
        prop_assert!(pass.rise <= pass.max_at && pass.max_at <= pass.set, "{pass:?}");
        prop_assert!(pass.rise_known || pass.rise == search.from);
        prop_assert!(pass.set_known || pass.set == search.to);
    }
    Ok(passes.len())
}

const ISS: [f64; 6] = [51.64, 160.0, 0.0005, 50.0, 310.0, 15.49];
const MOLNIYA: [f64; 6] = [63.4, 40.0, 0.72, 270.0, 20.0, 2.006];

#[test]
fn passes_of_a_low_orbit_are_those_of_a_scan() {
    let model = sgp4(ISS);
    let passes = check(&search(&model, 24.0), &site(47.07, 15.44, 0.35, 10.0)).unwrap();
    assert!((3..=6).contains(&passes), "{passes}");
}

#[test]
fn a_high_orbit_is_seen_for_hours() {
    let model = sgp4(MOLNIYA);
    let search = search(&model, 24.0);
    let high = site(60.0, 40.0, 0.1, 30.0);
    assert!(0 < check(&search, &high).unwrap());
    let passes = search.passes(&[0], &[high]).unwrap();
    assert!(passes.iter().any(|pass| 7.0 * 3600.0 < pass.set.seconds_since(pass.rise)));
}

#[test]
fn a_geostationary_satellite_is_seen_always_or_never() {
    let model = sgp4([0.02, 0.0, 0.0001, 0.0, 0.0, 1.002_737_9]);
    let search = search(&model, 30.0);
    let below = search.look(0, site(0.0, 0.0, 0.0, 0.0).place, search.from).unwrap();
    // It stands where sidereal time has it: seek the longitude below it.
    let under = (0..360)
        .map(f64::from)
        .find(|lon| {
            let place = site(0.0, *lon, 0.0, 0.0).place;
            89.0 < search.look(0, place, search.from).unwrap().elevation_deg
        })
        .unwrap();
    let sites = [site(10.0, under, 0.0, 20.0), site(10.0, under + 180.0, 0.0, 0.0)];
    let passes = search.passes(&[0], &sites).unwrap();
    assert_eq!(passes.len(), 1, "{below:?}");
    let pass = passes[0];
    assert!((pass.site, pass.rise, pass.set) == (0, search.from, search.to));
    assert!(!pass.rise_known && !pass.set_known && 70.0 < pass.max_elevation_deg);
}

#[test]
fn a_pass_that_began_before_begins_with_the_search() {
    let model = sgp4(ISS);
    let day = search(&model, 24.0);
    let graz = site(47.07, 15.44, 0.35, 5.0);
    let pass = day.passes(&[0], &[graz]).unwrap()[1];
    let cut = Search { from: pass.max_at.plus_s(30.0), to: pass.set.plus_s(-30.0), ..day };
    let part = cut.passes(&[0], &[graz]).unwrap();
    assert_eq!(part.len(), 1);
    assert!((part[0].rise, part[0].set) == (cut.from, cut.to));
    assert!(!part[0].rise_known && !part[0].set_known);
    // It sinks from the begin on.
    assert!((part[0].max_at.seconds_since(cut.from)).abs() < 0.01);
    assert!(part[0].max_elevation_deg < pass.max_elevation_deg);
}

#[test]
fn a_pass_of_seconds_is_found_wherever_it_lies_between_samples() {
    let model = sgp4(ISS);
    let day = search(&model, 24.0);
    let low = day.passes(&[0], &[site(47.07, 15.44, 0.35, 5.0)]).unwrap();
    for pass in low {
        // A mask that lets a hundredth of a degree of the pass through, with the samples in every position against it.
        let grazing = site(47.07, 15.44, 0.35, pass.max_elevation_deg - 0.01);
        for shift in 0..12 {
            let from = pass.max_at.plus_s(-1000.0 - f64::from(shift) * 5.0);
            let cut = Search { from, to: from.plus_s(2000.0), ..day };
            let found = cut.passes(&[0], &[grazing]).unwrap();
            assert_eq!(found.len(), 1, "{pass:?}, {shift}");
            let length_s = found[0].set.seconds_since(found[0].rise);
            assert!(0.1 < length_s && length_s < 30.0, "{length_s}");
            assert!(found[0].max_at.seconds_since(pass.max_at).abs() < 0.05);
        }
        let above = site(47.07, 15.44, 0.35, pass.max_elevation_deg + 0.001);
        assert!(day.passes(&[0], &[above]).unwrap().iter().all(|other| other.rise != pass.rise));
    }
}

#[test]
fn a_moving_place_sees_what_a_scan_sees_from_it() {
    let model = sgp4(ISS);
    let way_point = |hour: f64| WayPoint {
        at: epoch().plus_s(hour * 3600.0),
        place: Geodetic { lat_deg: 30.0 + hour, lon_deg: -40.0 + 6.0 * hour, alt_km: 10.0 },
    };
    let ship = Station {
        name: "ship".to_owned(),
        kind: StationKind::Edge,
        place: way_point(0.0).place,
        min_elevation_deg: None,
        terminals: None,
        way: [0.0, 6.0, 12.0, 24.0].map(way_point).to_vec(),
    };
    let site = Site::of(&ship, 3.0);
    assert!(3 < check(&search(&model, 24.0), &site).unwrap());
}

#[test]
fn what_is_down_is_not_seen() {
    let model = sgp4([51.6, 0.0, 0.05, 0.0, 0.0, 16.4]);
    assert!(model.state(0, epoch()).is_err());
    let found = search(&model, 3.0).passes(&[0], &[site(0.0, 0.0, 0.0, 0.0)]).unwrap();
    assert!(found.iter().all(|pass| pass.max_elevation_deg.is_finite()));
}

#[test]
fn searches_that_cannot_be_done_are_refused() {
    let model = sgp4(ISS);
    let day = search(&model, 24.0);
    let here = site(0.0, 0.0, 0.0, 0.0);
    let message = |search: Search<'_>, satellites: &[u32], site: Site<'_>| {
        search.passes(satellites, &[site]).unwrap_err().to_string()
    };
    let order = message(Search { to: day.from, ..day }, &[0], here);
    assert!(order.ends_with("has no length: the end must come after the begin"), "{order}");
    let long = message(Search { to: day.from.plus_s(4.0e7), ..day }, &[0], here);
    assert!(long.ends_with("must span at most 366 days"), "{long}");
    for mask in [-0.1, 90.0, f64::NAN] {
        let mask = message(day, &[0], Site { min_elevation_deg: mask, ..here });
        assert!(mask.ends_with("of site 0 must be 0 to below 90 degrees"), "{mask}");
    }
    let unknown = message(day, &[1], here);
    assert_eq!(unknown, "satellite 1 must be below 1, the number of satellites");
}

#[test]
fn passes_come_in_order_and_whatever_the_model() {
    let objects: Vec<Elements> =
        (0..20).map(|k| object([53.0, f64::from(k) * 18.0, 0.0001, 0.0, 0.0, 15.06])).collect();
    let model = KeplerJ2::new(&objects);
    let sites = [site(47.0, 15.0, 0.0, 25.0), site(21.3, -157.9, 0.0, 25.0)];
    let all: Vec<u32> = (0..20).collect();
    let passes = search(&model, 12.0).passes(&all, &sites).unwrap();
    assert!(20 < passes.len());
    let keys = |pass: &Pass| (pass.rise, pass.satellite, pass.site);
    assert!(passes.is_sorted_by_key(keys));
    // One by one they are the same.
    let one = search(&model, 12.0).passes(&[7], &sites).unwrap();
    let same: Vec<Pass> = passes.into_iter().filter(|pass| pass.satellite == 7).collect();
    assert_eq!(one, same);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn passes_of_any_orbit_are_those_of_a_scan(
        (i, node, w, m) in (0.0_f64..180.0, 0.0_f64..360.0, 0.0_f64..360.0, 0.0_f64..360.0),
        perigee_km in 180.0_f64..2_000.0,
        e in prop_oneof![0.0_f64..0.02, 0.02_f64..0.75],
        (lat_deg, lon_deg, alt_km) in (-90.0_f64..=90.0, -180.0_f64..180.0, 0.0_f64..4.0),
        mask in prop_oneof![0.0_f64..30.0, 30.0_f64..85.0],
    ) {
        // n = sqrt(mu / a^3) with a = (R + perigee) / (1 - e)
        let a_km: f64 = (6378.135 + perigee_km) / (1.0 - e);
        let n = (398_600.8 / a_km.powi(3)).sqrt() * 86_400.0 / core::f64::consts::TAU;
        let model = sgp4([i, node, e, w, m, n]);
        check(&search(&model, 12.0), &site(lat_deg, lon_deg, alt_km, mask))?;
    }
}
