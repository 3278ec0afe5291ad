//! Several workflows that wait: who comes first.

use std::collections::BTreeSet;

use placement::{Decision, Snapshot, Workflow, batch};
use proptest::prelude::*;
use types::{MilliCpu, WorkflowId};

use crate::bed::{Bed, STEPS, node, task};
use crate::properties::{NODES, links};

/// Workflows of the bed under other names, each with its own cores and limit to `ingest`.
fn waiting(bed: &Bed, all: &[(&str, u32, f64)]) -> Vec<Workflow> {
    let one = |(name, milli_cpu, limit_ms): &(&str, u32, f64)| {
        let mut workflow = bed.workflow.clone();
        workflow.id = WorkflowId::new(name).expect("test names are names");
        // Room on the drone for all of them.
        workflow.tasks[0].milli_cpu = MilliCpu(100);
        workflow.tasks[1].milli_cpu = MilliCpu(*milli_cpu);
        workflow.tasks[1].after[0].latency_max_ms = Some(*limit_ms);
        workflow
    };
    all.iter().map(one).collect()
}

fn order(snapshot: &Snapshot, all: &[Workflow]) -> Vec<usize> {
    batch::order(&snapshot.view(), &all.iter().collect::<Vec<_>>(), &snapshot.options)
}

/// How many are placed one after the other, each carried out before the next.
fn placed(bed: &Bed, all: &[Workflow], order: &[usize]) -> usize {
    let mut bed = bed.clone();
    let mut count = 0;
    for at in order {
        bed.workflow = all[*at].clone();
        if let Decision::Placed(plan) = bed.decide(0.0) {
            bed = bed.carry_out(&plan);
            // No hand-over is announced yet.
            bed.running.iter_mut().for_each(|running| running.successor = None);
            count += 1;
        }
    }
    count
}

fn two_satellites() -> Bed {
    let bed = Bed::new().satellites(&["sat-1", "sat-2"]).task(task("extract", &[("ingest", 20.0)]));
    let bed = bed.link("drone", "sat-1", &[(0, STEPS - 1, 5)]);
    bed.link("drone", "sat-2", &[(0, STEPS - 1, 15)])
}

#[test]
fn who_can_be_on_one_node_only_comes_before_who_could_be_elsewhere() {
    let bed = two_satellites();
    let all = waiting(&bed, &[("any", 4000, 20.0), ("near", 4000, 10.0)]);
    assert_eq!(placed(&bed, &all, &[0, 1]), 1);
    assert_eq!(order(&bed.snapshot(0.0), &all), [1, 0]);
    assert_eq!(placed(&bed, &all, &[1, 0]), 2);
}

#[test]
fn where_it_does_not_matter_the_order_stays() {
    let bed = two_satellites();
    let all = waiting(&bed, &[("a", 4000, 20.0), ("b", 4000, 20.0), ("c", 4000, 20.0)]);
    assert_eq!(order(&bed.snapshot(0.0), &all), [0, 1, 2]);
    assert_eq!(order(&bed.snapshot(0.0), &all[..1]), [0]);
    assert_eq!(order(&bed.snapshot(0.0), &[]), Vec::<usize>::new());
    assert_eq!(bed.assigned(0.0, "extract").node, node("sat-1"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn never_fewer_are_placed_than_in_the_order_in_which_they_came(
        links in links(),
        needs in prop::collection::vec((1_u32..9, 1_u32..8), 0..6),
    ) {
        let mut bed = Bed::new().satellites(&NODES[1..]).task(task("extract", &[("ingest", 20.0)]));
        bed.pairs = links;
        let names = ["a", "b", "c", "d", "e", "f"];
        let needs: Vec<_> = names
            .iter()
            .zip(&needs)
            .map(|(name, (eighths, limit))| (*name, eighths * 500, f64::from(limit * 5)))
            .collect();
        let all = waiting(&bed, &needs);
        let found = order(&bed.snapshot(0.0), &all);
        let as_given: Vec<usize> = (0..all.len()).collect();
        prop_assert_eq!(found.iter().copied().collect::<BTreeSet<_>>(), as_given.iter().copied().collect());
        prop_assert_eq!(found.len(), all.len());
        let (ours, theirs) = (placed(&bed, &all, &found), placed(&bed, &all, &as_given));
        prop_assert!(theirs <= ours, "{theirs} as they came, {ours} in {found:?}");
    }
}
