//! Workflows that make no sense are refused with the place and the rule.

use placement::Workflow;
use types::{MilliCpu, NodeKind};

use crate::bed::{Bed, plain_node, task, task_id};

fn good() -> Workflow {
    let bed = Bed::new().task(task("extract", &[("ingest", 20.0)]));
    bed.source("reference", "drone", 175.0).task(task("detect", &[("extract", 0.0)])).workflow
}

#[track_caller]
fn check(change: impl Fn(&mut Workflow), message: &str) {
    let mut workflow = good();
    change(&mut workflow);
    assert_eq!(workflow.check().expect_err("a bad workflow").to_string(), message);
}

#[test]
fn a_good_workflow_passes() {
    assert_eq!(good().check(), Ok(()));
    assert!(plain_node("a", NodeKind::Edge).alive);
}

#[test]
fn bad_workflows_are_refused() {
    check(|w| w.tasks.clear(), "workflow flood has 0 tasks; 1 to 32 are possible");
    check(|w| w.run_deadline_ms = 0, "workflow flood: run_deadline_ms 0 is not greater than 0");
    check(
        |w| w.tasks[2].id = task_id("extract"),
        "workflow flood: the name extract occurs twice; tasks and sources share one set of names",
    );
    check(
        |w| w.sources[0].name = task_id("ingest"),
        "workflow flood: the name ingest occurs twice; tasks and sources share one set of names",
    );
    check(
        |w| w.tasks[0].after = w.tasks[2].after.clone(),
        "task ingest: after extract does not name a task listed before it; \
         list each task after its predecessors (a cycle cannot be listed)",
    );
    check(
        |w| w.sources.clear(),
        "task extract: source reference is not declared; add a [[source]] of that name",
    );
    check(
        |w| w.tasks[2].after = vec![w.tasks[2].after[0].clone(); 2],
        "task detect names the input extract twice",
    );
    check(
        |w| w.tasks[1].milli_cpu = MilliCpu(0),
        "task extract: milli_cpu 0 is not greater than 0",
    );
    check(
        |w| w.tasks[1].expected_run_s = f64::NAN,
        "task extract: expected_run_s NaN is not between 0 and 86400",
    );
    check(|w| w.tasks[1].watts = -1.0, "task extract: watts -1 is not between 0 and 1000000");
    check(
        |w| w.tasks[1].after[0].latency_max_ms = Some(-1.0),
        "task extract: latency_max_ms -1 is not between 0 and 4294967",
    );
}

#[test]
fn a_task_has_a_bounded_number_of_inputs() {
    let mut bed = Bed::new();
    let names: Vec<_> = (0..17).map(|i| format!("t{i}")).collect();
    for name in &names {
        bed = bed.task(task(name, &[]));
    }
    let all: Vec<_> = names.iter().map(|name| (name.as_str(), 0.0)).collect();
    let message = bed.task(task("last", &all)).workflow.check().unwrap_err().to_string();
    assert_eq!(message, "task last has 17 inputs; at most 16 are possible");
}
