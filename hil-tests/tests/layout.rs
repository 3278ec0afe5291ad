//! What the bed tells its processes before they start.

use std::collections::BTreeSet;

use clap::Parser;
use hil_tests::fleet::{ATTACHED_SATELLITES, DRONE, Fleet, NODES};
use hil_tests::layout::{INITIAL_CHARGE, Layout, RESERVE, endpoints};
use hil_tests::options::Options;

fn options(args: &[&str]) -> Options {
    Options::parse_from(["demo"].iter().chain(args))
}

fn strings(value: &toml::Value) -> BTreeSet<String> {
    let list = value.as_array().expect("a list");
    list.iter().map(|item| item.as_str().expect("text").to_owned()).collect()
}

#[test]
fn a_process_knows_no_address_but_the_bridges() {
    let options = options(&[]);
    let fleet = Fleet::choose(&options).expect("the bed works");
    let dir = tempfile::tempdir().expect("the bed works");
    let layout = Layout::write(dir.path(), &fleet, &options).expect("the bed works");
    let of_bridge: BTreeSet<String> =
        layout.ports.pairs.values().map(|address| format!("tcp/{address}")).collect();
    let sim = format!("tcp/{}", layout.ports.sim);
    let configs = fleet
        .nodes()
        .map(|node| (node.to_string(), layout.agent_config(node)))
        .chain([("controller".to_owned(), layout.controller_config())]);
    for (name, path) in configs {
        let config: toml::Table =
            toml::from_str(&std::fs::read_to_string(path).expect("the bed works"))
                .expect("the bed works");
        let dialled = strings(&config["bus"]["connect"]);
        assert!(dialled.is_subset(&of_bridge), "{name} dials {dialled:?}");
        assert_eq!(config["sim"]["connect"].as_str(), Some(sim.as_str()), "{name}");
        let listens = strings(&config["bus"]["listen"]);
        assert!(listens.is_disjoint(&of_bridge), "{name} listens at {listens:?}");
    }
}

#[test]
fn every_pair_of_endpoints_meets_at_the_bridge_once() {
    let options = options(&[]);
    let fleet = Fleet::choose(&options).expect("the bed works");
    let dir = tempfile::tempdir().expect("the bed works");
    let layout = Layout::write(dir.path(), &fleet, &options).expect("the bed works");
    let count = endpoints(&fleet).len();
    assert_eq!(fleet.members.len(), NODES);
    assert_eq!(count, NODES + 1);
    assert_eq!(layout.ports.pairs.len(), count * (count - 1) / 2);
    let addresses: BTreeSet<_> =
        layout.ports.pairs.values().chain(layout.ports.listen.values()).collect();
    assert_eq!(addresses.len(), layout.ports.pairs.len() + count);
}

#[test]
fn another_seed_is_another_sky() {
    let chosen = |seed: &str| {
        let fleet = Fleet::choose(&options(&["--seed", seed])).expect("the bed works");
        let satellites: Vec<String> = fleet
            .members
            .iter()
            .filter(|member| member.kind == types::NodeKind::Satellite)
            .map(|member| member.node.to_string())
            .collect();
        assert_eq!(satellites.len(), ATTACHED_SATELLITES);
        (fleet.start, satellites)
    };
    assert_eq!(chosen("7"), chosen("7"));
    assert_ne!(chosen("7"), chosen("8"));
}

/// The demo may run for days of its sky: each battery on the ground lasts through the longest night under full load, and
/// the shortest day fills it again. Losses are those that placement reckons with.
#[test]
fn the_drone_lasts_through_the_longest_night_and_a_day_fills_it_again() {
    const EFFICIENCY: f64 = 0.95;
    // At 21.14° south the shortest day has 2/15 · acos(tan 21.14° · tan 23.44°) = 10.7 hours.
    const NIGHT_H: f64 = 13.4;
    let fleet = Fleet::choose(&options(&[])).expect("the bed works");
    let drone = fleet.members.iter().find(|member| member.node.as_str() == DRONE);
    let drone = drone.expect("the drone is a member");
    let body = drone.body;
    let battery_wh = body.battery_wh.expect("the table shows its battery");
    let load_w = body.idle_w + body.watts_per_core * f64::from(drone.capacity.milli_cpu.0) / 1000.0;
    let night_wh = load_w * NIGHT_H / EFFICIENCY;
    let day_wh = (body.solar_w * EFFICIENCY - load_w / EFFICIENCY) * (24.0 - NIGHT_H);
    let spare_wh = (INITIAL_CHARGE - RESERVE) * battery_wh;
    assert!(night_wh < spare_wh, "a night takes {night_wh} Wh of {spare_wh} Wh");
    assert!(night_wh < day_wh, "a night takes {night_wh} Wh, a day brings {day_wh} Wh");
}

/// A constellation from beside the repository: four of its satellites follow each other.
#[track_caller]
#[expect(clippy::print_stdout, reason = "what was skipped is counted from the tests' output")]
fn check_chain(test: &str, file: &str, mask_deg: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/").to_owned() + file;
    if !std::path::Path::new(&path).is_file() {
        println!("skipped: {test}: not in ../shared/data: {file}");
        return;
    }
    let options = options(&["--constellation", &path, "--min-elevation", mask_deg]);
    let fleet = Fleet::choose(&options).expect("the bed works");
    assert_eq!(fleet.members.len(), NODES, "{file}");
}

#[test]
fn starlink_offers_a_chain() {
    check_chain("starlink_offers_a_chain", "stardust/tle/starlink-2024-12-15.tle", "25");
}

#[test]
fn iridium_offers_a_chain() {
    check_chain("iridium_offers_a_chain", "omm/iridium-next.json", "10");
}

#[test]
fn oneweb_offers_a_chain() {
    check_chain("oneweb_offers_a_chain", "tle/oneweb-2022-09.tle", "25");
}

#[test]
fn a_malformed_constellation_is_refused_with_file_line_and_rule() {
    let dir = tempfile::tempdir().expect("the bed works");
    let path = dir.path().join("bad.tle");
    std::fs::write(
        &path,
        "SAT\n1 00005U 58002B   00179.78495062  .00000023  00000-0  28098-4 0  4750\n",
    )
    .expect("the bed works");
    let error =
        Fleet::choose(&options(&["--constellation", path.to_str().expect("the bed works")]))
            .unwrap_err();
    let message = error.to_string();
    assert!(message.contains("bad.tle") && message.contains("line 2"), "{message}");
}
