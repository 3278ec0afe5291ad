//! What each policy is told to do.

use placement::NoChoice;
use placement::policy::baseline::Random;
use placement::policy::{Policy, catalog};
use topology::NodeIx;
use types::NodeKind;

use crate::sample::{Fleet, Links, chain, node, stay};

/// Policies that do not ask where inputs come from.
const IGNORES: [&str; 3] = ["first-fit", "round-robin", "random"];

/// Satellites 0 and 1, edge 2, ground station 3; 0 is 5 ms from 1, 10 from 2, 20 from 3.
fn fleet() -> Fleet {
    fleet_of([5.0, 10.0, 20.0])
}

/// The same with other latencies from 0 to the others, ms.
fn fleet_of(ms: [f64; 3]) -> Fleet {
    let kinds = [NodeKind::Satellite, NodeKind::Satellite, NodeKind::Edge, NodeKind::GroundStation];
    let nodes = kinds.into_iter().enumerate().map(|(number, kind)| node(number, kind, 1000));
    let links: Links = vec![(0, 1, ms[0]), (0, 2, ms[1]), (0, 3, ms[2])];
    Fleet::new(nodes.collect(), &[links])
}

/// Where a policy puts one task after another, of which each fills a node.
fn places(policy: &mut dyn Policy, limit_ms: Option<f64>) -> Vec<u32> {
    let mut fleet = fleet();
    let mut placed = Vec::new();
    loop {
        let mut job = chain(&[(0, 0.0, limit_ms)]);
        match fleet.place(policy, &mut job, 0) {
            Ok(choice) => placed.push(choice.stays[0].node.0),
            Err(NoChoice::NoneEligible { .. }) => return placed,
            Err(other) => panic!("{other}"),
        }
    }
}

fn of_name(name: &str) -> Box<dyn Policy> {
    catalog::of_name(name, 1).expect("a policy of that name")
}

#[test]
fn first_fit_goes_by_kind_then_by_number_and_asks_for_no_objective() {
    assert_eq!(places(of_name("first-fit").as_mut(), Some(1.0)), [3, 2, 0, 1]);
}

#[test]
fn round_robin_goes_by_number_and_begins_again() {
    assert_eq!(places(of_name("round-robin").as_mut(), Some(1.0)), [0, 1, 2, 3]);
    let mut fleet = fleet();
    let mut policy = of_name("round-robin");
    let mut job = chain(&[(0, 0.0, None)]);
    for _ in 0..3 {
        fleet.place(policy.as_mut(), &mut job, 0).unwrap();
    }
    fleet.book = placement::Book::new(fleet.nodes.iter().map(|node| node.capacity));
    let places: Vec<_> = (0..2)
        .map(|_| fleet.place(policy.as_mut(), &mut job, 0).unwrap().stays[0].node.0)
        .collect();
    assert_eq!(places, [3, 0]);
}

#[test]
fn random_repeats_itself_from_the_same_seed_only() {
    let draw = |seed| places(&mut Random::new(seed), None);
    assert_eq!(draw(3), draw(3));
    assert!((0..20).any(|seed| draw(seed) != draw(3)), "another order from another seed");
    let mut all = draw(3);
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3]);
}

#[test]
fn the_nearest_is_chosen_while_it_meets_the_objective() {
    assert_eq!(places(of_name("greedy-nearest").as_mut(), None), [0, 1, 2, 3]);
    assert_eq!(places(of_name("greedy-nearest").as_mut(), Some(12.0)), [0, 1, 2]);
}

#[test]
fn ours_and_the_published_one_meet_the_objective_too() {
    for policy in ["lookahead", "hyperdrive"] {
        let mut placed = places(of_name(policy).as_mut(), Some(12.0));
        placed.sort_unstable();
        assert_eq!(placed, [0, 1, 2], "{policy}");
    }
}

#[test]
fn among_equals_the_published_policy_takes_the_first_kind_and_scores_a_half() {
    // Less than half a millisecond is none to it.
    let mut fleet = fleet_of([0.1, 0.2, 0.3]);
    let mut job = chain(&[(0, 0.0, None)]);
    let choice = fleet.place(of_name("hyperdrive").as_mut(), &mut job, 0).unwrap();
    assert_eq!((choice.stays, choice.score), (stay(3, 0), 50));
}

#[test]
fn what_cannot_be_placed_says_why() {
    let mut fleet = fleet();
    for name in catalog::NAMES {
        let mut job = chain(&[(0, 0.0, None), (0, 0.0, None)]);
        let error = fleet.place(of_name(name).as_mut(), &mut job, 9).unwrap_err();
        assert_eq!(error.to_string(), "task 9 does not exist: the job has 2 tasks", "{name}");
    }
    for name in catalog::NAMES.into_iter().filter(|name| !IGNORES.contains(name)) {
        let mut job = chain(&[(0, 0.0, None), (0, 0.0, None)]);
        let error = fleet.place(of_name(name).as_mut(), &mut job, 1).unwrap_err();
        let said = "task t1: its predecessor t0 has no host yet; place that first";
        assert_eq!(error.to_string(), said, "{name}");
    }
}

#[test]
fn ours_hands_over_before_an_objective_is_violated_and_only_then() {
    // 1 is near at first, 2 later.
    let near = |node| -> Links { vec![(0, node, 5.0), (1, 2, 40.0)] };
    let steps = [near(1), near(1), near(2), near(2)];
    let kinds = [NodeKind::Edge, NodeKind::Satellite, NodeKind::Satellite];
    let mut nodes: Vec<_> = (0..3).map(|at| node(at, kinds[at], 1000)).collect();
    nodes[0] = node(0, NodeKind::Edge, 0);
    let mut fleet = Fleet::new(nodes, &steps);
    let mut job = chain(&[(0, 180.0, Some(10.0))]);
    fleet.drive("lookahead", &mut job).unwrap();
    let stays: Vec<_> = job.tasks[0].stays.iter().map(|stay| (stay.node, stay.from)).collect();
    assert_eq!(stays, [(NodeIx(1), 0), (NodeIx(2), 2)]);
    assert_eq!(fleet.cost(&job).0, 0);
}
