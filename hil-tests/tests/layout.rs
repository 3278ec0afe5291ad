//! What the bed tells its processes before they start.

use std::collections::BTreeSet;

use clap::Parser;
use hil_tests::fleet::{ATTACHED_SATELLITES, Fleet, NODES};
use hil_tests::layout::{Layout, endpoints};
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

/// A constellation from beside the repository: four of its satellites follow each other.
#[track_caller]
#[expect(clippy::print_stdout, reason = "read by the runner")]
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
