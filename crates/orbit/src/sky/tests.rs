//! The prepared world as stories.

use proptest::prelude::*;

use super::*;
use crate::frame::J2000;
use crate::sky_spec::{SatelliteSpec, SiteSpec};

const WALKER: &str = "walker = { name = 'w', planes = 24, slots = 22, altitude_km = 550.0, \
    inclination_deg = 53.0, phasing = 7, epoch = '2026-01-01T00:00:00Z' }";
const PLACES: &str = "
    [[site]]\nnode = 'drone'\nlat_deg = 39.5\nlon_deg = -123.0\nalt_km = 0.5
    [[site]]\nnode = 'ground-station'\nlat_deg = 47.07\nlon_deg = 15.44
    [[site]]\nnode = 'cloud'\nlat_deg = 50.11\nlon_deg = 8.68
    [[satellite]]\nnode = 'sat-1'\nname = 'w-03-05'
    [[satellite]]\nnode = 'sat-2'\nname = 'w-20-21'
    [[same_place]]\nnode = 'controller'\nat = 'ground-station'
    [[fibre]]\na = 'controller'\nb = 'cloud'\n";

fn spec(constellation: &str, rest: &str) -> SkySpec {
    toml::from_str(&format!("[constellation]\n{constellation}\n{rest}")).unwrap()
}

fn sky() -> Sky {
    Sky::new(&spec(WALKER, PLACES), None).unwrap()
}

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn minute(sky: &Sky, minutes: f64) -> Epoch {
    sky.newest_epoch().plus_s(minutes * 60.0)
}

/// Element sets of a few made-up satellites in one plane, as a text of OMM.
fn omm(anomalies_deg: &[f64], mean_motion: f64) -> String {
    let set = |(i, anomaly): (usize, &f64)| {
        format!(
            r#"{{"OBJECT_NAME":"m-{i}","EPOCH":"2026-01-01T00:00:00","MEAN_MOTION":{mean_motion},"ECCENTRICITY":0.0,
            "INCLINATION":53,"RA_OF_ASC_NODE":10,"ARG_OF_PERICENTER":0,"MEAN_ANOMALY":{anomaly},"BSTAR":0,
            "NORAD_CAT_ID":{}}}"#,
            90_000 + i
        )
    };
    let sets: Vec<String> = anomalies_deg.iter().enumerate().map(set).collect();
    format!("[{}]", sets.join(","))
}

fn of_elements(text: &str, rest: &str) -> Result<Sky, SkyError> {
    Sky::new(&spec("file = 'made-up.json'", rest), Some(text))
}

#[test]
fn endpoints_are_sorted_and_share_places() {
    let sky = sky();
    let names: Vec<&str> = sky.endpoints().iter().map(|e| e.node.as_str()).collect();
    assert_eq!(names, ["cloud", "controller", "drone", "ground-station", "sat-1", "sat-2"]);
    assert_eq!(sky.satellites(), 528);
    assert_eq!(sky.endpoints()[4].kind, EndpointKind::Satellite(3 * 22 + 5));
    assert_eq!(sky.satellite_name(3 * 22 + 5), "w-03-05");
    assert_eq!(sky.satellite_name(528), "");
    let moment = sky.at(sky.newest_epoch());
    assert_eq!(moment.node_ix(&node("controller")), moment.node_ix(&node("ground-station")));
    assert_eq!(moment.node_ix(&node("sat-1")), Some(NodeIx(71)));
    assert_eq!(moment.node_ix(&node("nobody")), None);
}

#[test]
fn the_pairs_are_the_best_paths_of_the_graph() {
    let sky = sky();
    for minutes in [0.0, 11.0, 47.0] {
        let moment = sky.at(minute(&sky, minutes));
        let pairs = moment.pairs();
        assert_eq!(pairs.len(), 15);
        assert!(pairs.is_sorted_by(|x, y| (&x.a, &x.b) < (&y.a, &y.b)));
        for pair in &pairs {
            let (from, to) = (moment.node_ix(&pair.a).unwrap(), moment.node_ix(&pair.b).unwrap());
            assert_eq!(pair.state, moment.graph().shortest_paths(from).state_to(to));
        }
    }
}

#[test]
fn one_place_needs_no_path_and_fibre_runs_beside_the_sky() {
    let sky = sky();
    let pairs = sky.pairs_at(sky.newest_epoch());
    let state = |a: &str, b: &str| {
        pairs.iter().find(|p| p.a.as_str() == a && p.b.as_str() == b).unwrap().state.unwrap()
    };
    assert_eq!(state("controller", "ground-station"), PathState::NONE_NEEDED);
    // 600 km as the crow flies, times 1.2, at 0.67 c.
    let fibre = state("cloud", "controller");
    assert_eq!((fibre.hops, fibre.rate_kbps), (1, 10_000_000));
    assert!((fibre.latency.as_ms() - 3.59).abs() < 0.01, "{}", fibre.latency);
    // To the other side of the Earth and back up: as fast as light at best.
    let far = state("cloud", "drone");
    assert_eq!(far.rate_kbps, GROUND_RATE_KBPS);
    assert!(30.0 < far.latency.as_ms() && far.latency.as_ms() < 60.0, "{}", far.latency);
}

#[test]
fn no_link_of_a_walker_shell_ever_passes_the_earth() {
    let sky = Sky::new(
        &spec(
            &WALKER.replace("planes = 24", "planes = 72").replace("phasing = 7", "phasing = 17"),
            "",
        ),
        None,
    )
    .unwrap();
    for minutes in [0.0, 13.0, 29.5, 47.0, 81.0] {
        let moment = sky.at(minute(&sky, minutes));
        // All of them are in sight at all times, the seam included.
        assert_eq!(moment.isl_count(), 2 * 1584);
        let longest = moment.graph().links().iter().map(|l| l.delay_us).fold(0.0, f64::max);
        assert!(longest / 1.0e6 * SPEED_OF_LIGHT_KM_S < 2000.0, "{longest}");
    }
}

#[test]
fn sites_see_what_stands_above_their_mask() {
    let sky = sky();
    for minutes in [0.0, 5.0, 64.0] {
        let moment = sky.at(minute(&sky, minutes));
        let visible = |site: &str| {
            let elevation = |i| moment.elevation_deg(&node(site), i).unwrap();
            (0..sky.satellites()).filter(|i| 25.0 <= elevation(*i)).count()
        };
        let seen: usize = ["drone", "ground-station", "cloud"].into_iter().map(visible).sum();
        assert_eq!(moment.ground_link_count(), seen);
    }
    let moment = sky.at(sky.newest_epoch());
    assert_eq!(moment.elevation_deg(&node("sat-1"), 0), None);
    assert_eq!(moment.elevation_deg(&node("drone"), 10_000), None);
}

#[test]
fn a_satellite_stands_in_the_zenith_of_its_subpoint() {
    let plain = Sky::new(&spec(WALKER, ""), None).unwrap();
    for minutes in [0.0, 33.0, 1440.0] {
        let at = minute(&plain, minutes);
        let below = plain.at(at).subpoint(100).unwrap();
        assert!((530.0..580.0).contains(&below.alt_km) && below.lat_deg.abs() <= 53.3, "{below:?}");
        let mut spec = spec(WALKER, "");
        let (lat_deg, lon_deg) = (below.lat_deg, below.lon_deg);
        spec.site = vec![SiteSpec { node: node("below"), lat_deg, lon_deg, alt_km: 0.0 }];
        let moment = Sky::new(&spec, None).unwrap().at(at);
        assert!(89.999 < moment.elevation_deg(&node("below"), 100).unwrap());
    }
}

#[test]
fn the_ground_turns_under_the_orbits() {
    let sky = Sky::new(&spec(WALKER, ""), None).unwrap();
    // After one sidereal day the Earth has turned once; the plane has drifted west by 4.5 degrees or so.
    let lon = |at: Epoch| sky.at(at).satellite_ecef_km(0).map(|[x, y, _]| y.atan2(x).to_degrees());
    let teme = |at: Epoch| {
        sky.at(at).satellite_teme_km(0).map(|[x, y, _]| y.atan2(x).to_degrees()).unwrap()
    };
    for minutes in [0.0, 200.0, 777.0] {
        let at = minute(&sky, minutes);
        let turned = (teme(at) - lon(at).unwrap()).rem_euclid(360.0);
        let ut1 = at.plus_s(crate::ut1::ut1_minus_utc_s(at));
        assert!((turned - crate::frame::gmst_rad(ut1).to_degrees()).abs() < 1.0e-9);
    }
}

#[test]
fn tiny_skies_are_skies() {
    for (anomalies, isls) in [(&[][..], 0), (&[0.0], 0), (&[0.0, 16.0], 1), (&[0.0, 180.0], 0)] {
        let text = omm(anomalies, 15.05);
        let sky = of_elements(&text, "").unwrap();
        assert_eq!(sky.satellites(), anomalies.len());
        let moment = sky.at(sky.newest_epoch().plus_s(100.0));
        assert_eq!((moment.isl_count(), moment.ground_link_count()), (isls, 0));
        assert!(sky.pairs_at(sky.newest_epoch()).is_empty());
        let with_site = of_elements(
            &text,
            "[[site]]\nnode = 'a'\nlat_deg = 0\nlon_deg = 0\n[[site]]\nnode = 'b'\nlat_deg = 0\nlon_deg = 9",
        );
        let pairs = with_site.unwrap().pairs_at(Epoch::from_unix_ns(0));
        assert_eq!(pairs.len(), 1);
    }
    assert_eq!(of_elements("[]", "").unwrap().newest_epoch(), J2000);
}

#[test]
fn what_has_no_orbit_is_down_and_nowhere() {
    // A revolution in 80 minutes lies below the ground, one in 84 minutes 30 km below it.
    for mean_motion in [18.0, 17.15] {
        let endpoint = "[[satellite]]\nnode = 's'\ncatalog = '90001'";
        let sky = of_elements(&omm(&[0.0, 10.0], mean_motion), endpoint).unwrap();
        let moment = sky.at(sky.newest_epoch());
        assert_eq!(moment.satellite_ecef_km(1), None);
        assert_eq!(moment.subpoint(1), None);
        assert_eq!(moment.isl_count(), 0);
        assert_eq!(sky.sunlit(&node("s"), sky.newest_epoch()), None);
    }
}

#[test]
fn no_record_breaks_a_sky() {
    // The slowest orbit that is taken, almost a parabola, and drag terms that throw an object out of the system.
    for (eccentricity, mean_motion, bstar) in [
        (0.0, 1.0e-5, "0"),
        (0.0, 0.01, "0"),
        (0.999_999, 0.01, "0"),
        (0.999_999, 20.0, "0"),
        (0.0, 15.0, "-1e9"),
        (0.0, 15.0, "1e9"),
        (0.5, 0.5, "-1e5"),
        (0.0, 1.0, "-1"),
    ] {
        let text = omm(&[0.0, 90.0, 180.0], mean_motion)
            .replace("\"BSTAR\":0", &format!("\"BSTAR\":{bstar}"))
            .replace("\"ECCENTRICITY\":0.0", &format!("\"ECCENTRICITY\":{eccentricity}"));
        for isl in ["grid", "nearest"] {
            let sites = format!("[links]\nisl = '{isl}'\nmin_elevation_deg = 0\n{PLACES}");
            let sites = sites.split("[[satellite]]").next().unwrap();
            let Ok(sky) = of_elements(&text, sites) else { continue };
            for minutes in [0.0, 10.0, 1.0e3, 1.0e4, 1.0e6, -1.0e6] {
                let moment = sky.at(minute(&sky, minutes));
                assert!(moment.isl_count() <= 3);
                for (satellite, (_, link)) in
                    (0..3).flat_map(|s| moment.graph().links_of(NodeIx(s)).map(move |l| (s, l)))
                {
                    assert!(link.delay_us < 5.1e6, "{text} {satellite} {link:?}");
                }
            }
        }
    }
    // Slower is refused: a link to where such an orbit leads would be too long for a graph.
    let error = of_elements(&omm(&[0.0], 1.0e-9), "").unwrap_err().to_string();
    assert!(error.contains("MEAN_MOTION") && error.contains("0.00001 to 20"), "{error}");
}

#[test]
fn an_epoch_far_ahead_of_the_others_does_not_move_the_start() {
    let of_epochs = |epochs: &[&str]| {
        let zeros = vec![0.0; epochs.len()];
        let parts = omm(&zeros, 15.05);
        let mut parts = parts.split("2026-01-01T00:00:00");
        let mut text = parts.next().unwrap().to_owned();
        parts.zip(epochs).for_each(|(part, epoch)| text.extend([*epoch, part]));
        let sky = of_elements(&text, "").unwrap();
        let ahead: Vec<String> = sky.ahead_of_time().map(|e| e.name.clone()).collect();
        (sky.newest_epoch().to_string(), ahead)
    };
    let (old, new, typo) = ("2023-05-01T00:00:00", "2026-01-01T00:00:00", "2062-01-01T00:00:00");
    let newest = "2026-01-01T00:00:00.000Z".to_owned();
    // Objects that are lost long ago are usual, and change nothing.
    assert_eq!(of_epochs(&[old, new, new]), (newest.clone(), vec![]));
    assert_eq!(of_epochs(&[new, typo, new]), (newest.clone(), vec!["m-1".to_owned()]));
    // Of two halves the newer one counts.
    assert_eq!(of_epochs(&[new, old]), (newest, vec![]));
    assert_eq!(of_epochs(&[typo]).1.len(), 0);
}

#[test]
fn a_satellite_is_found_by_name_or_number_and_else_refused() {
    let text = omm(&[0.0, 10.0], 15.05).replace("m-1", "m-0");
    let ask = |field: &str, value: &str| {
        let mut spec = spec("file = 'x'", "");
        let value = Some(value.to_owned());
        let (name, catalog) = if field == "name" { (value, None) } else { (None, value) };
        spec.satellite = vec![SatelliteSpec { node: node("s"), name, catalog }];
        Sky::new(&spec, Some(&text)).map(|sky| sky.endpoints()[0].kind).map_err(|e| e.to_string())
    };
    assert_eq!(ask("catalog", "90001"), Ok(EndpointKind::Satellite(1)));
    assert_eq!(ask("catalog", "+090001"), Ok(EndpointKind::Satellite(1)));
    assert_eq!(
        ask("catalog", "90002").unwrap_err(),
        "satellite \"s\" catalog: \"90002\" must belong to a satellite of the constellation"
    );
    assert_eq!(
        ask("name", "m-0").unwrap_err(),
        "satellite \"s\" name: \"m-0\" must belong to one satellite only; use its catalog number"
    );
    assert!(ask("name", "90001").is_err());
}

#[test]
fn all_problems_are_told_together_and_elements_keep_their_line() {
    let text = WALKER.replace("slots = 22", "slots = 0");
    let error = Sky::new(&spec(&text, "[links]\nmin_elevation_deg = 95"), None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "constellation.walker.slots: 0 must be at least 1; links.min_elevation_deg: 95 must be 0 to 89"
    );
    let error = of_elements("x\ny", "").unwrap_err();
    assert_eq!(error.to_string(), "line 1, record 1, name: \"x\" must be followed by a line 1");
    let unread = Sky::new(&spec("file = 'x'", ""), None).unwrap_err();
    assert!(unread.to_string().starts_with("constellation.file: x must be read"), "{unread}");
}

#[test]
fn light_is_a_fraction_and_day_follows_night() {
    let sky = sky();
    let site = |minutes: f64| sky.sunlit(&node("drone"), minute(&sky, minutes)).unwrap();
    // 39 N, 123 W on the 1st of January: sunrise near 15:30 UTC, sunset near 01:00 UTC.
    assert!([9.0, 12.0, 15.0].iter().all(|h| site(h * 60.0) < 0.5));
    assert!([17.0, 20.0, 23.5].iter().all(|h| 0.5 < site(h * 60.0)));
    let satellite: Vec<f32> =
        (0..96).map(|m| sky.sunlit(&node("sat-1"), minute(&sky, f64::from(m))).unwrap()).collect();
    assert!(satellite.iter().all(|lit| (0.0..=1.0).contains(lit)));
    let dark = satellite.iter().filter(|lit| **lit < 0.5).count();
    assert!(dark <= 36, "{dark} of 96 minutes in the shadow");
    assert_eq!(sky.sunlit(&node("nobody"), sky.newest_epoch()), None);
}

#[test]
fn remembering_the_layout_changes_nothing() {
    let text = spec(WALKER, &format!("[links]\nisl = 'grid'\n{PLACES}"));
    let (grid, other) = (Sky::new(&text, None).unwrap(), Sky::new(&text, None).unwrap());
    let mut memo = LayoutMemo::default();
    for minutes in [0.0, 3.0, 9.99, 10.0, 25.0, 3.0] {
        let at = minute(&grid, minutes);
        let remembered = grid.pairs_at_with(&mut memo, at);
        assert_eq!(remembered, grid.pairs_at(at));
        // A memo of another sky is not used.
        assert_eq!(other.pairs_at_with(&mut memo.clone(), at), remembered);
    }
}

#[test]
fn all_kinds_of_layouts_connect_a_shell() {
    for kind in ["plus-grid", "grid", "nearest"] {
        let sky = Sky::new(&spec(WALKER, &format!("[links]\nisl = '{kind}'\n{PLACES}")), None);
        let sky = sky.unwrap();
        let moment = sky.at(minute(&sky, 42.0));
        let reached = moment.graph().shortest_paths(NodeIx(0));
        let count = (0..528).filter(|i| reached.delay_us(NodeIx(*i)).is_some()).count();
        let least = if kind == "nearest" { 400 } else { 528 };
        assert!(least <= count, "{kind}: {count}");
        for satellite in 0..528 {
            let isls = moment.graph().links_of(NodeIx(satellite)).filter(|(to, _)| to.0 < 528);
            assert!(isls.count() <= 4, "{kind}: {satellite}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn a_path_is_as_long_there_as_back(seconds in 0.0_f64..1.0e6) {
        let sky = sky();
        let moment = sky.at(sky.newest_epoch().plus_s(seconds));
        for pair in moment.pairs() {
            let (a, b) = (moment.node_ix(&pair.a).unwrap(), moment.node_ix(&pair.b).unwrap());
            let back = moment.graph().shortest_paths(b).state_to(a);
            prop_assert_eq!(pair.state.is_some(), back.is_some());
            if let (Some(there), Some(back)) = (pair.state, back) {
                prop_assert!(there.latency.0.abs_diff(back.latency.0) <= 1);
            }
        }
    }
}
