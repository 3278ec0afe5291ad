//! Rules of links that a scenario gives: rain and antennas, jitter, and what routes must offer.

use std::sync::Arc;

use sim_bridge::offline::moment::Moment;
use sim_bridge::offline::scenario::Scenario;
use sim_bridge::offline::summary::{RouteSummary, StepSummary};
use topology::{Link, NodeIx};

use super::{START, cities, scenario, simulation, steps};

fn shell(tail: &str) -> Scenario {
    scenario(&format!(
        "start = '{START}'\nsteps = 4\nstep_s = 20.0\n[sources]\nwalker = ['24x22:550:53:17@{START}']\n{tail}"
    ))
}

fn run(tail: &str) -> Vec<(Arc<Moment>, StepSummary)> {
    let scenario = shell(tail);
    let mut simulation = simulation(&scenario, cities());
    steps(&scenario, &mut simulation)
}

const KA: &str = "[link_model]\nground = 'ka_ground'\n[ground_links]\npolicy = 'all_visible'\n";

/// The rates of the links of a station, kbit/s, by satellite.
fn rates(moment: &Moment, station: u32) -> Vec<(u32, u32)> {
    let satellites = u32::try_from(moment.positions_km.len()).expect("few");
    let node = NodeIx(satellites + station);
    let up = moment.graph.links_of(node).filter(|(node, _)| node.0 < satellites);
    up.map(|(satellite, link)| (satellite.0, link.rate_kbps)).collect()
}

#[test]
fn rain_takes_its_part_of_the_links_of_its_stations_for_its_time() {
    let dry = run(KA);
    let rain = "[[weather]]\nstations = ['Vienna', 'Lima']\nrain_mm_h = 12.0\nfrom_s = 20.0\nto_s = 60.0\n\
        [[weather]]\nstations = ['Lima']\nrain_mm_h = 3.0\n";
    let wet = run(&format!("{KA}{rain}"));
    let light = run(&format!("{KA}[[weather]]\nrain_mm_h = 3.0\n"));
    let sum = |links: &[(u32, u32)]| links.iter().map(|(_, rate)| u64::from(*rate)).sum::<u64>();
    for (step, ((dry, _), (wet, _))) in dry.iter().zip(&wet).enumerate() {
        let [vienna, nairobi, lima] = [0, 1, 2].map(|station| {
            let (dry, wet) = (rates(dry, station), rates(wet, station));
            assert!(!dry.is_empty(), "{station} sees nothing");
            (sum(&wet), sum(&dry))
        });
        assert_eq!(vienna.0 < vienna.1, step == 1 || step == 2, "step {step}: {vienna:?}");
        assert_eq!(nairobi.0, nairobi.1, "step {step}");
        assert!(lima.0 < lima.1, "step {step}: {lima:?}");
        // The heaviest of all that falls counts.
        let light = sum(&rates(&light[step].0, 2));
        assert_eq!(lima.0 < light, step == 1 || step == 2, "step {step}: {lima:?} {light}");
    }
}

#[test]
fn a_cloudburst_over_all_stations_leaves_no_link_to_the_ground() {
    let wet = run(&format!("{KA}[[weather]]\nrain_mm_h = 300.0\nfrom_s = 20.0\nto_s = 40.0\n"));
    let links: Vec<usize> = wet.iter().map(|(_, summary)| summary.ground_links).collect();
    assert!(0 < links[0] && links[1] < links[0] / 2 && links[1] < links[2], "{links:?}");
    let lowest = wet[1].0.ground.iter().map(|link| link.elevation_deg).fold(90.0, f64::min);
    let lowest_dry = wet[0].0.ground.iter().map(|link| link.elevation_deg).fold(90.0, f64::min);
    assert!(lowest_dry < lowest, "{lowest_dry} {lowest}: low paths go first");
}

#[test]
fn antennas_that_point_beside_each_other_carry_less() {
    let rate = |off_axis_deg: f64| {
        let text = KA.replace(
            "[ground_links]",
            &format!("ground_off_axis_deg = {off_axis_deg:?}\n[ground_links]"),
        );
        let moment = Arc::clone(&run(&text)[0].0);
        (0..4).flat_map(|station| rates(&moment, station)).map(|(_, rate)| u64::from(rate)).sum()
    };
    let (straight, askew): (u64, u64) = (rate(0.0), rate(0.9));
    assert!(0 < askew && askew < straight, "{askew} {straight}");
}

const JITTER: &str = "[link_model]\nisl_jitter_us = 30.0\nground_jitter_us = 400.0\n\
    [[terrestrial]]\na = 'Vienna'\nb = 'Nairobi'\njitter_us = 5.0\n";

#[test]
fn the_graph_knows_the_jitter_that_is_given_for_all_links() {
    let change = "[[change]]\nnode = 'Lima'\nfrom_s = 0.0\ndown = true\n";
    for (moment, _) in run(&format!("{JITTER}{change}")) {
        let satellites = moment.positions_km.len();
        let mut seen = [0; 3];
        for (number, link) in moment.graph.links().iter().enumerate() {
            let is_station = |end: NodeIx| usize::from(satellites <= end.index());
            let kind = is_station(link.a) + is_station(link.b);
            seen[kind] += 1;
            assert_eq!(moment.graph.jitter_us(number), Some([30.0, 400.0, 5.0][kind]), "{link:?}");
        }
        assert!(seen.iter().all(|count| 0 < *count), "{seen:?}");
    }
    let partly = JITTER.replace("jitter_us = 5.0\n", "");
    for (moment, _) in run(&partly) {
        assert_eq!(moment.graph.jitter_us(0), None);
    }
}

/// The routes of the first step.
fn routes(tail: &str) -> Vec<RouteSummary> {
    run(tail).remove(0).1.routes
}

/// From Lima to Sydney over satellites under a need.
fn route(need: &str) -> String {
    format!("[[route]]\nfrom = 'Lima'\nto = 'Sydney'\n{need}\n")
}

#[test]
fn a_route_that_does_not_meet_its_need_is_none() {
    let model = format!("{}isl_loss_ppm = 10\n", JITTER.split_once("[[").expect("a cable").0);
    let any = routes(&format!("{model}{}", route(""))).remove(0);
    let (latency_ms, hops) = (any.latency_ms.expect("a route"), any.hops.expect("a route"));
    let between = f64::from(u32::try_from(hops).expect("few")) - 2.0;
    let (loss_ppm, jitter_ms) = (between * 10.0, between * 0.03 + 0.8);
    assert!(2.0 < between, "{any:?}");
    for (need, value) in [
        ("rate_min_mbps", 500.0),
        ("latency_max_ms", latency_ms + 0.001),
        ("loss_max_ppm", loss_ppm),
        ("jitter_max_ms", jitter_ms + 1.0e-6),
    ] {
        let met = routes(&format!("{model}{}", route(&format!("{need} = {value:?}"))));
        assert_eq!(met, std::slice::from_ref(&any), "{need} = {value}");
        let more = if need == "rate_min_mbps" { value + 1.0 } else { value * 0.5 };
        let unmet = routes(&format!("{model}{}", route(&format!("{need} = {more:?}")))).remove(0);
        assert_eq!((unmet.latency_ms, unmet.hops), (None, None), "{need} = {more}");
        assert!(unmet.path.is_empty());
    }
}

#[test]
fn a_route_goes_around_a_link_that_is_too_slow_for_it() {
    let any = routes(&route("")).remove(0);
    let slow = format!(
        "[[change]]\nlink = ['{}', '{}']\nfrom_s = 0.0\nrate_max_mbps = 20.0\n",
        any.path[2], any.path[3]
    );
    let both = routes(&format!("{slow}{}{}", route(""), route("rate_min_mbps = 21.0")));
    assert_eq!(both[0], any);
    assert!(both[1].latency_ms.is_some() && any.latency_ms < both[1].latency_ms, "{both:?}");
    assert!(!both[1].path.windows(2).any(|hop| hop == &any.path[2..4]), "{both:?}");
}

#[test]
fn without_a_word_links_carry_the_published_rates() {
    for text in ["", "[link_model]\nprocessing_us = 1.0\n"] {
        let moment = Arc::clone(&run(text)[0].0);
        let satellites = moment.positions_km.len();
        let is_ground = |link: &Link| satellites <= link.a.index().max(link.b.index());
        for link in moment.graph.links() {
            assert_eq!(link.rate_kbps, if is_ground(link) { 500_000 } else { 200_000_000 });
        }
    }
}
