//! What other simulators of constellations offer, and no other file here holds; docs/peers.md says which row a test is for.

use std::sync::Arc;

use orbit::geodesy::great_circle_km;
use orbit::link::{Isl, IslSet, LinkProtocol, ProtocolKind, Scene};
use orbit::station::{Station, WayPoint};
use sim_bridge::cli::source::SourceArgs;
use sim_bridge::offline::moment::Moment;
use sim_bridge::offline::nodes::Nodes;
use sim_bridge::offline::parts::Parts;
use sim_bridge::offline::scenario::Scenario;
use sim_bridge::offline::simulation::Simulation;
use sim_bridge::offline::watch::NoWatch;
use topology::{Link, NodeIx};
use types::{Epoch, Geodetic};

use super::{START, cities, scenario, simulation, steps};

/// Speed of light in vacuum (exact, SI 2019), km/s.
const LIGHT_KM_S: f64 = 299_792.458;
/// Equatorial radius of WGS-84, km.
const EARTH_KM: f64 = 6378.137;

/// Four minutes above a Walker shell.
fn shell(walker: &str, tail: &str) -> Scenario {
    scenario(&format!(
        "start = '{START}'\nsteps = 4\nstep_s = 60.0\n[sources]\nwalker = ['{walker}@{START}']\n{tail}"
    ))
}

fn distance_km([ax, ay, az]: [f64; 3], [bx, by, bz]: [f64; 3]) -> f64 {
    ((ax - bx).powi(2) + (ay - by).powi(2) + (az - bz).powi(2)).sqrt()
}

/// How near the way between two places comes to the Earth's centre.
fn lowest_km(from: [f64; 3], to: [f64; 3]) -> f64 {
    let along = [0, 1, 2].map(|axis| to[axis] - from[axis]);
    let dot = |a: [f64; 3], b: [f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let share = (-dot(from, along) / dot(along, along)).clamp(0.0, 1.0);
    distance_km([0, 1, 2].map(|axis| from[axis] + share * along[axis]), [0.0; 3])
}

/// The node of a station.
fn ground_node(moment: &Moment, station: u32) -> u32 {
    u32::try_from(moment.positions_km.len()).expect("few satellites") + station
}

/// The link between two nodes.
fn link_between(moment: &Moment, a: u32, b: u32) -> Link {
    let mut links = moment.graph.links_of(NodeIx(a));
    *links.find(|(to, _)| *to == NodeIx(b)).expect("they are linked").1
}

#[test]
fn no_link_of_any_protocol_passes_the_earth_or_its_limits() {
    for kind in ProtocolKind::ALL {
        let text = format!(
            "[links]\nprotocol = '{}'\nrange_max_km = 5000.0\ngrazing_altitude_km = 90.0\nterminals = 3\n",
            kind.name()
        );
        let mut scenario = shell("24x22:550:53:17", &text);
        // A star: its first and last plane meet head-on.
        scenario.sources.walker.push(format!("6x11:780:86.4:2:star@{START}"));
        scenario.step_s = 600.0;
        let mut simulation = simulation(&scenario, Vec::new());
        let mut links = 0;
        for (moment, _) in steps(&scenario, &mut simulation) {
            let mut degrees = vec![0; moment.positions_km.len()];
            for link in &moment.isl.links {
                let ends = [link.a as usize, link.b as usize];
                ends.iter().for_each(|end| degrees[*end] += 1);
                let [from, to] = ends.map(|end| moment.positions_km[end]);
                assert!((link.length_km - distance_km(from, to)).abs() < 1.0e-6, "{kind:?}");
                assert!(link.length_km <= 5000.0, "{kind:?}: {link:?}");
                let lowest = lowest_km(from, to) - EARTH_KM;
                assert!(90.0 - 1.0e-6 <= lowest, "{kind:?}: {link:?} passes at {lowest} km");
            }
            assert!(degrees.iter().all(|degree| *degree <= 3), "{kind:?}");
            links += moment.isl.links.len();
        }
        assert_eq!(0 < links, kind != ProtocolKind::None, "{kind:?}");
    }
}

#[test]
fn without_links_between_satellites_paths_bend_at_one_satellite() {
    let text = "[links]\nprotocol = 'none'\n[ground_links]\npolicy = 'all_visible'\n\
        [[route]]\nfrom = 'Vienna'\nto = 'Graz'\n[[route]]\nfrom = 'Vienna'\nto = 'Sydney'\n";
    let scenario = shell("72x22:550:53:17", text);
    let mut stations = cities();
    let place = Geodetic { lat_deg: 47.07, lon_deg: 15.44, alt_km: 0.35 };
    let graz = Station { name: "Graz".to_owned(), place, ..stations[0].clone() };
    stations.push(graz);
    let mut simulation = simulation(&scenario, stations);
    let nodes = Arc::clone(simulation.nodes());
    for (_, summary) in steps(&scenario, &mut simulation) {
        assert_eq!(summary.links, 0);
        let [near, far] = summary.routes.as_slice() else { panic!("{:?}", summary.routes) };
        let [_, relay, _] = near.path.as_slice() else { panic!("{near:?}") };
        assert!(nodes.find(relay).unwrap().index() < nodes.satellites(), "{near:?}");
        assert!(2.0 * 540.0 / LIGHT_KM_S * 1000.0 < near.latency_ms.unwrap(), "{near:?}");
        assert_eq!((far.latency_ms, far.hops), (None, None));
    }
}

/// Links each satellite of an even number with the next one, wherever they are.
#[derive(Debug)]
struct InPairs;

impl LinkProtocol for InPairs {
    fn name(&self) -> &'static str {
        "in_pairs"
    }

    fn choose(&mut self, scene: &Scene<'_>, set: &mut IslSet) {
        set.links.clear();
        set.forest = None;
        for (a, pair) in (0_u32..).step_by(2).zip(scene.positions_km.chunks_exact(2)) {
            set.links.push(Isl { a, b: a + 1, length_km: distance_km(pair[0], pair[1]) });
        }
    }
}

#[test]
fn a_rule_of_ones_own_can_stand_in_the_place_of_a_protocol() {
    let scenario = shell("1x6:550:53", "");
    let source = SourceArgs::of(&scenario.sources).load().unwrap();
    let nodes = Arc::new(Nodes::new(&source.elements, cities()).unwrap());
    let start = scenario.start.unwrap();
    let mut parts = Parts::new(&scenario, &source.elements, source.shells, start);
    parts.protocol = Box::new(InPairs);
    let mut simulation = Simulation::new(&scenario, source.elements, nodes, start, parts).unwrap();
    for (moment, summary) in steps(&scenario, &mut simulation) {
        let pairs: Vec<(u32, u32)> = moment.isl.links.iter().map(|isl| (isl.a, isl.b)).collect();
        assert_eq!(pairs, [(0, 1), (2, 3), (4, 5)]);
        assert_eq!((summary.links, summary.components), (3, 3));
        assert!(pairs.iter().all(|(a, b)| 0.0 < link_between(&moment, *a, *b).delay_us));
    }
}

#[test]
fn a_route_takes_the_best_of_all_satellites_that_its_ends_see() {
    let latencies = |policy: &str| -> Vec<Option<f64>> {
        let text = format!(
            "[ground_links]\npolicy = '{policy}'\n[[route]]\nfrom = 'Vienna'\nto = 'Sydney'\n\
             [[route]]\nfrom = 'Lima'\nto = 'Nairobi'\n"
        );
        let mut scenario = shell("24x22:550:53:17", &text);
        scenario.steps = 20;
        let mut simulation = simulation(&scenario, cities());
        let steps = steps(&scenario, &mut simulation);
        steps.iter().flat_map(|(_, step)| step.routes.iter().map(|r| r.latency_ms)).collect()
    };
    let (mut found, mut better) = (0, 0);
    for (nearest, all) in latencies("nearest").into_iter().zip(latencies("all_visible")) {
        let Some(nearest) = nearest else { continue };
        let all = all.expect("the nearest one is one of all");
        assert!(all <= nearest + 1.0e-9, "{all} {nearest}");
        found += 1;
        better += usize::from(all + 0.1 < nearest);
    }
    assert!(10 < found && 0 < better, "{better} of {found}");
}

#[test]
fn with_slots_stations_choose_anew_only_at_their_beginnings() {
    let ground = |slots: &str| -> Vec<Vec<(u32, u32)>> {
        let text = format!("[ground_links]\npolicy = 'nearest'\n{slots}");
        let mut scenario = shell("24x22:550:53:17", &text);
        (scenario.step_s, scenario.steps) = (5.0, 121);
        let mut simulation = simulation(&scenario, cities());
        let pairs = |moment: &Moment| {
            moment.ground.iter().map(|link| (link.station, link.satellite)).collect()
        };
        steps(&scenario, &mut simulation).iter().map(|(moment, _)| pairs(moment)).collect()
    };
    let (slotted, free) = (ground("reallocation_s = 15.0\n"), ground(""));
    for (step, now) in slotted.iter().enumerate() {
        // The start is a whole minute of UTC: every third step begins a slot.
        if step % 3 == 0 {
            assert_eq!(*now, free[step], "step {step}");
        } else {
            assert!(now.iter().all(|pair| slotted[step - 1].contains(pair)), "step {step}");
        }
    }
    assert_ne!(slotted, free);
}

#[test]
fn links_carry_lose_and_delay_what_the_scenario_says() {
    let text = "[link_model]\nisl_rate_mbps = 10000.0\nground_rate_mbps = 250.0\nprocessing_us = 20.0\n\
        isl_loss_ppm = 7\nground_loss_ppm = 11\n";
    let scenario = shell("24x22:550:53:17", text);
    let mut simulation = simulation(&scenario, cities());
    let close = |link: Link, length_km: f64| {
        (link.delay_us - 20.0 - length_km / LIGHT_KM_S * 1.0e6).abs() < 1.0e-6
    };
    for (moment, _) in steps(&scenario, &mut simulation) {
        assert!(!moment.isl.links.is_empty() && !moment.ground.is_empty());
        for isl in &moment.isl.links {
            let link = link_between(&moment, isl.a, isl.b);
            assert_eq!((link.rate_kbps, link.loss_ppm), (10_000_000, 7));
            assert!(close(link, isl.length_km), "{link:?}");
        }
        for up in &moment.ground {
            let link = link_between(&moment, up.satellite, ground_node(&moment, up.station));
            assert_eq!((link.rate_kbps, link.loss_ppm), (250_000, 11));
            assert!(close(link, up.range_km), "{link:?}");
        }
    }
}

#[test]
fn under_link_budgets_rates_fall_with_distance() {
    let text = "[link_model]\nisl = 'laser_100g'\nground = 'ka_ground'\n\
        [ground_links]\npolicy = 'all_visible'\nmin_elevation_deg = 10.0\n";
    let scenario = shell("24x22:550:53:17", text);
    let mut simulation = simulation(&scenario, cities());
    let mut rates: Vec<(f64, u32)> = Vec::new();
    for (moment, _) in steps(&scenario, &mut simulation) {
        for isl in &moment.isl.links {
            // Within 5000 km the laser keeps its full rate.
            assert!(isl.length_km < 5000.0);
            assert_eq!(link_between(&moment, isl.a, isl.b).rate_kbps, 100_000_000);
        }
        for up in &moment.ground {
            let link = link_between(&moment, up.satellite, ground_node(&moment, up.station));
            rates.push((up.range_km, link.rate_kbps));
        }
    }
    rates.sort_by(|x, y| x.0.total_cmp(&y.0));
    assert!(rates.is_sorted_by(|near, far| far.1 <= near.1), "{rates:?}");
    let (nearest, farthest) = (rates[0], rates[rates.len() - 1]);
    assert!(farthest.1 < nearest.1, "{nearest:?} {farthest:?}");
}

#[test]
fn a_change_of_a_link_holds_for_its_time_only() {
    let mut plain = simulation(&shell("24x22:550:53:17", ""), Vec::new());
    let (moment, _) = plain.step(&mut NoWatch).unwrap();
    let Isl { a, b, .. } = moment.isl.links[0];
    let [from, to] = [a, b].map(|end| plain.nodes().name(NodeIx(end)).to_owned());
    let change = format!(
        "[[change]]\nlink = ['{from}', '{to}']\nfrom_s = 60.0\nto_s = 180.0\nrate_max_mbps = 5.0\n\
         extra_delay_ms = 2.5\nloss_min_ppm = 1000\n"
    );
    let scenario = shell("24x22:550:53:17", &change);
    let mut changed = simulation(&scenario, Vec::new());
    let mut seen = Vec::new();
    for (moment, _) in steps(&scenario, &mut changed) {
        let link = link_between(&moment, a, b);
        let isl = moment.isl.links.iter().find(|isl| (isl.a, isl.b) == (a, b));
        let light_us = isl.expect("the grid holds it").length_km / LIGHT_KM_S * 1.0e6;
        let late_us = link.delay_us - light_us;
        let is_late = 1000.0 < late_us;
        let expected_us = if is_late { 2500.0 } else { 0.0 };
        assert!((late_us - expected_us).abs() < 1.0e-6, "{late_us}");
        seen.push((link.rate_kbps, link.loss_ppm, is_late));
        // The other links are as they were.
        let full = moment.graph.links().iter().filter(|other| other.rate_kbps == 200_000_000);
        assert_eq!(full.count() + usize::from(is_late), moment.graph.links().len());
    }
    let (free, held) = ((200_000_000, 0, false), (5_000, 1000, true));
    assert_eq!(seen, [free, held, held, free]);
}

#[test]
fn cables_join_stations_by_name_and_by_kind() {
    let text = "[links]\nprotocol = 'none'\n\
        [[terrestrial]]\na = 'Nairobi'\nb = 'Vienna'\nlength_factor = 1.2\nspeed_factor = 0.5\nrate_mbps = 400.0\n\
        loss_ppm = 9\n[[terrestrial]]\na = 'kind:cloud'\nb = 'kind:cloud'\n\
        [[route]]\nfrom = 'Nairobi'\nto = 'Sydney'\n[[route]]\nfrom = 'Nairobi'\nto = 'Lima'\n";
    let scenario = shell("24x22:550:53:17", text);
    let mut simulation = simulation(&scenario, cities());
    let places: Vec<Geodetic> = cities().iter().map(|station| station.place).collect();
    let [vienna, nairobi, sydney] = [0, 1, 3];
    // From Nairobi to Vienna at half the speed of light, and on to Sydney by the cable of all data centres.
    let first_km = great_circle_km(&places[nairobi], &places[vienna]) * 1.2 / 0.5;
    let second_km = great_circle_km(&places[vienna], &places[sydney]) * 1.5 / 0.67;
    let expected_ms = (first_km + second_km) / LIGHT_KM_S * 1000.0;
    for (moment, summary) in steps(&scenario, &mut simulation) {
        let [there, nowhere] = summary.routes.as_slice() else { panic!("{:?}", summary.routes) };
        assert_eq!(there.path, ["Nairobi", "Vienna", "Sydney"]);
        assert!((there.latency_ms.unwrap() - expected_ms).abs() < 1.0e-6, "{there:?}");
        assert_eq!((nowhere.latency_ms, nowhere.hops), (None, None));
        let cable = link_between(&moment, ground_node(&moment, 1), ground_node(&moment, 0));
        assert_eq!((cable.rate_kbps, cable.loss_ppm), (400_000, 9));
        // No station has a link with another one but these two cables.
        let on_the_ground = |end: NodeIx| moment.positions_km.len() <= end.index();
        let links = moment.graph.links().iter();
        let cables = links.filter(|link| on_the_ground(link.a) && on_the_ground(link.b));
        assert_eq!(cables.count(), 2);
    }
}

#[test]
fn a_moving_station_is_where_its_way_has_it_and_its_links_follow() {
    let begin = Epoch::parse(START).unwrap();
    let from = Geodetic { lat_deg: 38.7, lon_deg: -9.2, alt_km: 0.0 };
    let to = Geodetic { lat_deg: 33.6, lon_deg: -7.7, alt_km: 0.0 };
    let way =
        vec![WayPoint { at: begin, place: from }, WayPoint { at: begin.plus_s(5400.0), place: to }];
    let ship = Station { name: "ship".to_owned(), place: from, way, ..cities().remove(0) };
    let mut scenario = shell("72x22:550:53:17", "");
    scenario.step_s = 1800.0;
    let mut simulation = simulation(&scenario, vec![ship]);
    let whole_km = great_circle_km(&from, &to);
    assert!(500.0 < whole_km);
    for (moment, _) in steps(&scenario, &mut simulation) {
        let now = &moment.stations[0];
        let share = f64::from(u32::try_from(moment.step).unwrap()) / 3.0;
        let gone_km = great_circle_km(&from, &now.place);
        assert!((gone_km - share * whole_km).abs() < 1.0e-3, "{gone_km} of {whole_km}");
        assert!((gone_km + great_circle_km(&now.place, &to) - whole_km).abs() < 1.0e-3);
        assert_eq!(moment.ground.len(), 1);
        for link in &moment.ground {
            let satellite = moment.positions_km[link.satellite as usize];
            let range_km = distance_km(now.viewer.position_km, satellite);
            assert!((link.range_km - range_km).abs() < 1.0e-6, "{link:?}");
            assert!(25.0 <= now.viewer.elevation_deg(satellite) + 1.0e-6, "{link:?}");
        }
    }
}

#[test]
fn a_hundred_thousand_satellites_make_a_step() {
    let mut scenario = shell("100x200:540:53:17", "[links]\nprotocol = 'mst_smart_loop'\n");
    for walker in
        ["100x200:550:70:17", "100x200:560:43:17", "100x200:570:97.6:17", "100x200:580:33:17"]
    {
        scenario.sources.walker.push(format!("{walker}@{START}"));
    }
    scenario.steps = 1;
    let mut simulation = simulation(&scenario, cities());
    let (moment, summary) = steps(&scenario, &mut simulation).remove(0);
    assert_eq!((moment.positions_km.len(), summary.down, summary.ground_links), (100_000, 0, 4));
    let forest = moment.isl.forest.expect("a tree protocol");
    assert_eq!(forest.edges + forest.components, 100_000);
    assert_eq!(summary.tree_edges, Some(forest.edges));
    // Four terminals each may leave a few apart.
    assert!(99_900 < forest.edges && forest.edges < summary.links, "{forest:?}");
    assert!(summary.components <= forest.components);
    let mut degrees = vec![0; moment.positions_km.len()];
    for end in moment.isl.links.iter().flat_map(|link| [link.a, link.b]) {
        degrees[end as usize] += 1;
    }
    assert!(degrees.iter().all(|degree| *degree <= 4));
}
