//! Workflows that make no sense are refused with the place and the rule.

use placement::{Release, Workflow};
use types::{DataClass, MilliCpu, NodeKind};

use crate::bed::{Bed, plain_node, region, task, task_id};

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
    check(
        |w| w.tasks[1].sources[0].loss_max = Some(1.5),
        "task extract: loss_max 1.5 is not between 0 and 1",
    );
    check(
        |w| w.tasks[1].after[0].jitter_max_ms = Some(f64::INFINITY),
        "task extract: jitter_max_ms inf is not between 0 and 4294967",
    );
    check(|w| w.tasks[1].after[0].kib = Some(0), "task extract: kib 0 is not greater than 0");
    check(
        |w| {
            w.tasks[1].sources[0].kib = Some(1);
            w.tasks[1].sources[0].arrives_within_ms = Some(f64::NAN);
        },
        "task extract: arrives_within_ms NaN is not between 0 and 4294967",
    );
    check(
        |w| w.tasks[1].sources[0].arrives_within_ms = Some(500.0),
        "task extract: arrives_within_ms for reference says nothing without an amount; \
         add kib, what a call takes from it",
    );
    check(
        |w| w.sources[0].regions = vec![region("eu"); 65],
        "source reference: regions 65 is not at most 64, the number of regions",
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

#[test]
fn companions_are_tasks_listed_before_each_named_once() {
    let listed = |list: &str, name: &str| {
        format!(
            "task extract: {list} {name} does not name a task listed before it; \
             list each task after those that it goes with or keeps apart from"
        )
    };
    let ids = |names: &[&str]| names.iter().map(|name| task_id(name)).collect::<Vec<_>>();
    check(|w| w.tasks[1].with = ids(&["detect"]), &listed("with", "detect"));
    check(|w| w.tasks[1].apart = ids(&["extract"]), &listed("apart", "extract"));
    // A source is no task.
    check(|w| w.tasks[1].with = ids(&["reference"]), &listed("with", "reference"));
    let twice =
        "task detect names ingest twice in with and apart; name each task once, in one of the two";
    check(|w| w.tasks[2].with = ids(&["ingest", "ingest"]), twice);
    check(|w| w.tasks[2].apart = ids(&["extract", "ingest", "ingest"]), twice);
    check(
        |w| {
            w.tasks[2].with = ids(&["ingest"]);
            w.tasks[2].apart = ids(&["ingest"]);
        },
        twice,
    );
    check(
        |w| w.tasks[2].apart = vec![task_id("ingest"); 17],
        "task detect names 17 tasks in apart; at most 16 are possible",
    );
    let mut workflow = good();
    (workflow.tasks[2].with, workflow.tasks[2].apart) = (ids(&["extract"]), ids(&["ingest"]));
    assert_eq!(workflow.check(), Ok(()));
}

#[test]
fn what_data_ask_for_must_be_possible() {
    check(
        |w| {
            w.sources[0].regions = vec![region("eu"), region("at")];
            w.tasks[0].regions = vec![region("us")];
        },
        "task extract: no region is left: its data may be in us so far, and in at, eu because of \
         reference; no region is in both",
    );
    check(
        |w| {
            w.tasks[0].regions = vec![region("us")];
            w.tasks[2].regions = vec![region("eu")];
        },
        "task detect: no region is left: its data may be in us so far, and in eu because of \
         detect; no region is in both",
    );
    let releases = |class, regions: Option<&[&str]>| {
        Some(Release {
            class,
            regions: regions.map(|all| all.iter().map(|name| region(name)).collect()),
        })
    };
    check(
        |w| w.tasks[1].releases = releases(Some(DataClass::Confidential), None),
        "task extract works on internal data and releases confidential ones: \
         a release only lowers the class",
    );
    check(
        |w| w.tasks[1].releases = releases(None, Some(&["eu"])),
        "task extract releases into eu, but may run in all regions: \
         a release names these regions, too",
    );
    check(
        |w| {
            w.tasks[0].regions = vec![region("eu"), region("at")];
            w.tasks[1].releases = releases(None, Some(&["eu", "us"]));
        },
        "task extract releases into eu, us, but may run in at, eu: \
         a release names these regions, too",
    );
}

#[test]
fn demands_go_with_the_data_until_they_are_released() {
    let mut workflow = good();
    let demand = |workflow: &Workflow, task: &str| {
        assert_eq!(workflow.check(), Ok(()));
        let demand = workflow.demand(&task_id(task)).expect("a task");
        let regions = demand
            .regions
            .map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
        (demand.class, regions)
    };
    let nothing = (DataClass::Internal, None);
    assert_eq!(demand(&workflow, "ingest"), nothing);
    // Of which nothing is said is internal.
    workflow.sources[0].class = DataClass::Public;
    assert_eq!(demand(&workflow, "detect"), nothing);
    workflow.tasks[0].class = Some(DataClass::Public);
    assert_eq!(demand(&workflow, "detect"), (DataClass::Public, None));
    workflow.tasks[0].class = Some(DataClass::Confidential);
    workflow.tasks[0].regions = vec![region("eu"), region("at")];
    workflow.sources[0].regions = vec![region("at"), region("us")];
    let both = (DataClass::Confidential, Some("at".to_owned()));
    assert_eq!(demand(&workflow, "ingest").1.as_deref(), Some("at eu"));
    assert_eq!(demand(&workflow, "extract"), both);
    assert_eq!(demand(&workflow, "detect"), both);
    workflow.tasks[1].releases = Some(Release { class: Some(DataClass::Public), regions: None });
    assert_eq!(demand(&workflow, "extract"), both);
    assert_eq!(demand(&workflow, "detect"), (DataClass::Public, Some("at".to_owned())));
    workflow.tasks[1].releases = Some(Release { class: None, regions: Some(vec![]) });
    assert_eq!(demand(&workflow, "detect"), (DataClass::Confidential, None));
    // Its own class counts, too.
    workflow.tasks[2].class = Some(DataClass::Restricted);
    assert_eq!(demand(&workflow, "detect").0, DataClass::Restricted);
}
