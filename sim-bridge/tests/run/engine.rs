//! The engine: the same bits on any number of threads, routes that obey physics, constellations of any size.

use std::sync::Arc;

use orbit::ground::GroundPolicyKind;
use orbit::link::ProtocolKind;
use orbit::station::Station;
use sim_bridge::offline::moment::Moment;
use sim_bridge::offline::scenario::Scenario;
use sim_bridge::offline::summary::StepSummary;
use types::Epoch;

use super::{START, cities, scenario, simulation, steps};

/// Speed of light in vacuum (exact, SI 2019), km/s.
const LIGHT_KM_S: f64 = 299_792.458;

fn shell(protocol: &str, policy: &str, steps: u64) -> Scenario {
    scenario(&format!(
        "start = '{START}'\nstep_s = 90.0\nsteps = {steps}\n\
         [sources]\nwalker = ['24x22:550:53:17@{START}']\n\
         [links]\nprotocol = '{protocol}'\n\
         [ground_links]\npolicy = '{policy}'\nstation_terminals = 2\n\
         [[route]]\nfrom = 'Vienna'\nto = 'Sydney'\n\
         [[route]]\nfrom = 'Nairobi'\nto = 'Vienna'\n"
    ))
}

/// Everything that a step has decided, bit by bit.
fn bits(moment: &Moment, summary: &StepSummary) -> (Vec<u64>, StepSummary) {
    let mut bits: Vec<u64> =
        moment.positions_km.iter().flatten().map(|number| number.to_bits()).collect();
    for link in &moment.isl.links {
        bits.extend([u64::from(link.a), u64::from(link.b), link.length_km.to_bits()]);
    }
    for link in &moment.ground {
        let ends = [u64::from(link.station), u64::from(link.satellite)];
        bits.extend(ends);
        bits.extend([link.range_km.to_bits(), link.elevation_deg.to_bits()]);
    }
    for link in moment.graph.links() {
        bits.extend([u64::from(link.a.0), u64::from(link.b.0), link.delay_us.to_bits()]);
    }
    (bits, summary.clone())
}

fn on_threads(scenario: &Scenario, threads: usize) -> Vec<(Vec<u64>, StepSummary)> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    pool.install(|| {
        let mut simulation = simulation(scenario, cities());
        let steps = steps(scenario, &mut simulation);
        steps.iter().map(|(moment, summary)| bits(moment, summary)).collect()
    })
}

fn assert_same_on_all_threads(scenario: &Scenario) {
    let one = on_threads(scenario, 1);
    for threads in [2, 8] {
        let more = on_threads(scenario, threads);
        let (links, ground) = (&scenario.links.protocol, &scenario.ground_links.policy);
        assert!(one == more, "{links} and {ground} on {threads} threads");
    }
}

#[test]
fn each_protocol_gives_the_same_bits_on_1_2_and_8_threads() {
    for kind in ProtocolKind::ALL {
        assert_same_on_all_threads(&shell(kind.name(), "nearest", 3));
    }
}

#[test]
fn each_ground_policy_gives_the_same_bits_on_1_2_and_8_threads() {
    for kind in GroundPolicyKind::ALL {
        assert_same_on_all_threads(&shell("plus_grid", kind.name(), 3));
    }
}

fn distance_km([ax, ay, az]: [f64; 3], [bx, by, bz]: [f64; 3]) -> f64 {
    ((ax - bx).powi(2) + (ay - by).powi(2) + (az - bz).powi(2)).sqrt()
}

#[test]
fn routes_take_as_long_as_light_along_their_path_and_so_never_beat_it() {
    let mut found = 0;
    for kind in ProtocolKind::ALL {
        let scenario = shell(kind.name(), "nearest", 4);
        let mut simulation = simulation(&scenario, cities());
        let nodes = Arc::clone(simulation.nodes());
        for (moment, summary) in steps(&scenario, &mut simulation) {
            let place = |name: &String| {
                let node = nodes.find(name).unwrap().index();
                let station = node.checked_sub(moment.positions_km.len());
                station.map_or_else(
                    || moment.positions_km[node],
                    |station| moment.stations[station].viewer.position_km,
                )
            };
            for route in &summary.routes {
                let Some(latency_ms) = route.latency_ms else {
                    assert_eq!((route.hops, route.path.len()), (None, 0));
                    continue;
                };
                found += 1;
                let path = &route.path;
                assert_eq!(route.hops, Some(path.len() - 1));
                assert_eq!((&path[0], &path[path.len() - 1]), (&route.from, &route.to));
                let hops = path.windows(2).map(|hop| distance_km(place(&hop[0]), place(&hop[1])));
                let along_ms = hops.sum::<f64>() / LIGHT_KM_S * 1000.0;
                assert!((latency_ms - along_ms).abs() < 1.0e-6, "{latency_ms} {along_ms}");
                let chord_km = distance_km(place(&route.from), place(&route.to));
                assert!(chord_km / LIGHT_KM_S * 1000.0 < latency_ms, "{route:?}");
            }
        }
    }
    // Trees leave no part of this shell out, grids neither: most routes exist.
    assert!(30 < found, "{found}");
}

#[test]
fn the_first_step_is_the_start_itself_and_the_others_follow_without_drift() {
    let mut scenario = shell("plus_grid", "nearest", 11);
    scenario.step_s = 0.1;
    let mut simulation = simulation(&scenario, cities());
    let times: Vec<Epoch> =
        steps(&scenario, &mut simulation).iter().map(|(_, step)| step.time).collect();
    assert_eq!(times[0], Epoch::parse(START).unwrap());
    assert_eq!(times[10], Epoch::parse("2026-03-20T12:00:01Z").unwrap());
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn one_or_two_satellites_and_no_station_work_with_all_protocols() {
    for kind in ProtocolKind::ALL {
        for (walker, satellites, stations) in
            [("1x1:550:53:0", 1, cities()), ("1x2:20000:53:0", 2, Vec::new())]
        {
            let scenario = scenario(&format!(
                "start = '{START}'\nsteps = 3\n[sources]\nwalker = ['{walker}@{START}']\n\
                 [links]\nprotocol = '{}'\nrange_max_km = 50000.0\n",
                kind.name()
            ));
            let stations: Vec<Station> = stations;
            let mut simulation = simulation(&scenario, stations);
            for (moment, summary) in steps(&scenario, &mut simulation) {
                assert_eq!(moment.positions_km.len(), satellites);
                assert_eq!(summary.down, 0);
                // The Earth is between the two.
                assert_eq!((summary.links, summary.components), (0, satellites));
            }
        }
    }
}

#[test]
fn failed_nodes_and_links_carry_nothing_while_they_are_down() {
    let text = format!(
        "start = '{START}'\nsteps = 4\nstep_s = 60.0\n\
         [sources]\nwalker = ['24x22:550:53:17:delta@{START}']\n\
         [[change]]\nnode = 'Vienna'\ndown = true\nfrom_s = 60.0\nto_s = 120.0\n\
         [[change]]\nnode = '#0'\ndown = true\nfrom_s = 120.0\n"
    );
    // Names of satellites are the generator's own.
    let plain = shell("plus_grid", "nearest", 1);
    let first = simulation(&plain, cities()).nodes().satellite_names()[0].clone();
    let scenario = scenario(&text.replace("#0", &first));
    let mut simulation = simulation(&scenario, cities());
    let steps = steps(&scenario, &mut simulation);
    let vienna = |step: usize| steps[step].0.ground.iter().filter(|link| link.station == 0).count();
    assert_eq!([vienna(0), vienna(1), vienna(2)], [1, 0, 1]);
    let links_of_first = |step: usize| {
        let links = &steps[step].0.isl.links;
        links.iter().filter(|link| link.a == 0 || link.b == 0).count()
    };
    assert!(1 < links_of_first(1));
    assert_eq!([links_of_first(2), links_of_first(3)], [0, 0]);
}
