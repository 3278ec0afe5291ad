//! Who gives way where there is no room for all.

use std::collections::BTreeSet;

use placement::{Decision, Plan, Priority, Snapshot};
use proptest::prelude::*;
use types::{MilliCpu, WorkflowId};

use crate::bed::{Bed, STEPS, node, task};
use crate::properties::{NODES, links};

/// What runs beside the workflow: a name, its class, cores in thousandths and where.
type Other<'a> = (&'a str, Priority, u32, &'a str);

fn id(name: &str) -> WorkflowId {
    WorkflowId::new(name).expect("test names are names")
}

/// Two satellites of four cores beside the drone; `extract` needs a whole one.
fn bed(priority: Priority, others: &[Other<'_>]) -> Bed {
    let always = [(0, STEPS - 1, 10)];
    let bed = Bed::new().satellites(&["sat-1", "sat-2"]).task(task("extract", &[("ingest", 20.0)]));
    let bed = bed.link("drone", "sat-1", &always).link("drone", "sat-2", &always);
    beside(bed, priority, others)
}

fn beside(mut bed: Bed, priority: Priority, others: &[Other<'_>]) -> Bed {
    bed.workflow.priority = priority;
    for (name, class, milli_cpu, place) in others {
        bed = bed.runs("ingest", place);
        let running = bed.running.last_mut().expect("just pushed");
        (running.workflow, running.priority) = (id(name), *class);
        running.milli_cpu = MilliCpu(*milli_cpu);
        running.memory_mib.0 = 10;
    }
    bed
}

#[track_caller]
fn aside(bed: &Bed) -> Vec<String> {
    bed.placed(0.0).sets_aside.iter().map(ToString::to_string).collect()
}

use Priority::{Background, Critical, Normal};

#[test]
fn nobody_gives_way_while_there_is_room() {
    let bed = bed(Critical, &[("a", Background, 4000, "sat-1")]);
    assert_eq!(aside(&bed), Vec::<String>::new());
    assert_eq!(bed.assigned(0.0, "extract").node, node("sat-2"));
}

#[test]
fn the_lowest_class_that_is_enough_gives_way() {
    let others = [("a", Normal, 4000, "sat-1"), ("b", Background, 500, "sat-2")];
    assert_eq!(aside(&bed(Critical, &others)), ["b"]);
    assert_eq!(bed(Critical, &others).assigned(0.0, "extract").node, node("sat-2"));
    assert_eq!(aside(&bed(Normal, &others)), ["b"]);
}

#[test]
fn a_class_never_gives_way_to_itself_or_to_a_lower_one() {
    for class in [Normal, Critical] {
        let others = [("a", class, 4000, "sat-1"), ("b", class, 500, "sat-2")];
        bed(Normal, &others).refused(0.0);
        bed(Background, &others).refused(0.0);
    }
}

#[test]
fn those_give_way_without_whom_it_does_and_no_others() {
    let others = [
        ("a", Background, 200, "sat-1"),
        ("b", Normal, 200, "sat-1"),
        ("c", Background, 200, "sat-2"),
        ("d", Background, 200, "sat-2"),
    ];
    // Of two each, those of the lower class.
    assert_eq!(aside(&bed(Critical, &others)), ["c", "d"]);
    let text = bed(Critical, &others).decide(0.0).to_string();
    assert!(text.contains("  sets c aside, for its room\n"), "{text}");
}

#[test]
fn what_room_does_not_help_is_refused() {
    let mut far = bed(Critical, &[("a", Background, 4000, "sat-1")]);
    far.workflow.tasks[1].after[0].latency_max_ms = Some(5.0);
    far.refused(0.0);
    // All that runs here is of higher classes, but for one that takes too little.
    let others = [
        ("a", Critical, 500, "sat-1"),
        ("b", Critical, 500, "sat-2"),
        ("c", Background, 3500, "sat-2"),
    ];
    bed(Critical, &others).refused(0.0);
}

/// A decision as if some workflows did not run.
fn without(snapshot: &Snapshot, aside: &BTreeSet<&WorkflowId>) -> Decision {
    let mut less = snapshot.clone();
    less.running.retain(|running| !aside.contains(&running.workflow));
    less.decide()
}

fn gives_way(snapshot: &Snapshot, plan: &Plan) -> Result<(), TestCaseError> {
    let aside: BTreeSet<&WorkflowId> = plan.sets_aside.iter().collect();
    let lower = |id: &&WorkflowId| {
        let of = snapshot.running.iter().filter(|running| running.workflow == **id);
        of.clone().count() != 0 && of.clone().all(|one| one.priority < snapshot.workflow.priority)
    };
    prop_assert!(aside.iter().all(lower), "{plan}");
    let alone = match without(snapshot, &aside) {
        Decision::Placed(alone) => alone,
        Decision::Refused(refusal) => return Err(TestCaseError::fail(format!("{refusal}"))),
    };
    prop_assert_eq!(&alone.assignments, &plan.assignments);
    prop_assert!(alone.sets_aside.is_empty());
    for kept in &plan.sets_aside {
        let mut fewer = aside.clone();
        fewer.remove(kept);
        if let Decision::Placed(fewer) = without(snapshot, &fewer) {
            prop_assert!(!fewer.sets_aside.is_empty(), "{kept} could stay: {fewer}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Only lower classes give way, the plan is the one without them, none of them could stay, and what a lower class is refused
    /// a higher one with the same needs is not refused for others.
    #[test]
    fn as_few_give_way_as_are_found_and_never_the_wrong_ones(
        links in links(),
        others in prop::collection::vec((0_usize..5, 1_u32..9, 0..NODES.len()), 0..9),
        class in 0_usize..3,
    ) {
        let classes = [Background, Normal, Critical];
        let names = ["a", "b", "c", "d", "e"];
        let mut sky = Bed::new().satellites(&NODES[1..]).task(task("extract", &[("ingest", 35.0)]));
        sky = sky.task(task("detect", &[("extract", 35.0)]));
        sky.pairs = links;
        let others: Vec<Other<'_>> = others
            .iter()
            .map(|(name, eighths, place)| {
                (names[*name], classes[name % 3], eighths * 500, NODES[*place])
            })
            .collect();
        let of = |class: Priority| beside(sky.clone(), class, &others).snapshot(0.0);
        match of(classes[class]).decide() {
            Decision::Placed(plan) => gives_way(&of(classes[class]), &plan)?,
            Decision::Refused(_) => {
                let lower = classes[..class].iter().map(|class| of(*class).decide());
                let placed = lower.filter(|decision| matches!(decision, Decision::Placed(_)));
                prop_assert_eq!(placed.count(), 0);
            }
        }
    }
}
