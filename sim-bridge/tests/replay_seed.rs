//! A replay is a function of its clock: the same instants give the same links, whoever asks and when.

use std::path::Path;

use orbit::{LayoutMemo, Sky, SkySpec};
use sim_bridge::config::SimConfig;
use sim_bridge::replay::{start_clock, start_of};
use sim_bridge::schedule::link_table;
use sim_bridge::shape::{LinkParams, PairId};
use sim_bridge::sky_file;
use types::{Epoch, NodeId};

fn sky() -> Sky {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/sky/walker-72x22.toml");
    sky_file::load(&file).expect("the shipped sky is good")
}

fn pairs(sky: &Sky) -> Vec<PairId> {
    let nodes: Vec<&NodeId> = sky.endpoints().iter().map(|endpoint| &endpoint.node).collect();
    let pairs = nodes
        .iter()
        .enumerate()
        .flat_map(|(i, a)| nodes[i + 1..].iter().map(|b| PairId::of(a, b)).collect::<Vec<_>>());
    pairs.collect()
}

/// The tables of ten minutes from `start`, a minute apart.
fn replay(start: Epoch) -> Vec<Vec<Option<LinkParams>>> {
    let (sky, mut memo) = (sky(), LayoutMemo::default());
    let pairs = pairs(&sky);
    let minutes = (0..10_u32).map(|minute| start.plus_s(f64::from(minute) * 60.0));
    minutes.map(|at| link_table(&sky, &mut memo, &pairs, at)).collect()
}

fn start() -> Epoch {
    Epoch::parse("2026-01-01T06:00:00Z").expect("a valid time")
}

#[test]
fn the_same_start_gives_the_same_links() {
    assert_eq!(replay(start()), replay(start()));
}

#[test]
fn asking_in_another_order_or_anew_changes_nothing() {
    let (sky, pairs) = (sky(), pairs(&sky()));
    for (minute, table) in replay(start()).iter().enumerate().rev() {
        let at = start().plus_s(f64::from(u32::try_from(minute).unwrap()) * 60.0);
        assert_eq!(link_table(&sky, &mut LayoutMemo::default(), &pairs, at), *table);
    }
}

#[test]
fn another_start_gives_other_links_and_time_moves_them() {
    assert_ne!(replay(start()), replay(start().plus_s(1800.0)));
    let tables = replay(start());
    assert_ne!(tables[0], tables[9]);
}

#[test]
fn the_order_of_the_pairs_is_the_callers() {
    let sky = sky();
    let mut pairs = pairs(&sky);
    let table = link_table(&sky, &mut LayoutMemo::default(), &pairs, start());
    pairs.reverse();
    let mut reversed = link_table(&sky, &mut LayoutMemo::default(), &pairs, start());
    reversed.reverse();
    assert_eq!(table, reversed);
    let stranger = PairId::of(&pairs[0].a, &NodeId::new("stranger").unwrap());
    let nowhere = link_table(&sky, &mut LayoutMemo::default(), &[stranger], start());
    assert_eq!(nowhere, [None]);
}

#[test]
fn nodes_of_one_place_are_linked_without_delay_and_others_are_not() {
    let sky = sky();
    let pairs = pairs(&sky);
    let table = link_table(&sky, &mut LayoutMemo::default(), &pairs, start());
    for (pair, link) in pairs.iter().zip(table) {
        let same = pair.to_string() == "controller~ground-station";
        assert_eq!(link.is_some_and(|link| link.delay.is_zero()), same, "{pair}");
    }
}

#[test]
fn a_replay_starts_as_told_or_at_the_newest_elements() {
    let text = "version = 1\nrate = 30.0\n[sky]\nfile = 'x'\n[bus]\ninsecure = true\nlisten = 'tcp/127.0.0.1:1'";
    let mut config: SimConfig = toml::from_str(text).unwrap();
    let tle = include_str!("data/two-epochs.tle");
    let spec: SkySpec = toml::from_str("[constellation]\nfile = 'two-epochs.tle'").unwrap();
    let sky = Sky::new(&spec, Some(tle)).unwrap();
    let newest = "2024-10-30T12:00:00.000Z";
    assert_eq!(start_of(&config, &sky).to_string(), newest);
    assert_eq!(start_clock(&config, &sky).unwrap().sky_at.to_string(), newest);
    config.start = Some(start());
    assert_eq!(start_of(&config, &sky), start());
}
