//! Tasks that share a node, and tasks that keep apart.

use placement::{Decision, Task, violation};
use topology::PairState;
use types::{MilliCpu, NodeId, TaskId};

use crate::bed::{Bed, at, gist, node, task, task_id};

/// A task of one core.
fn small(name: &str, after: &[(&str, f64)]) -> Task {
    Task { milli_cpu: MilliCpu(1000), ..task(name, after) }
}

fn with(task: Task, other: &str) -> Task {
    Task { with: vec![task_id(other)], ..task }
}

fn apart(task: Task, other: &str) -> Task {
    Task { apart: vec![task_id(other)], ..task }
}

/// `extract` within 20 ms of the drone; satellite windows as given (first step, last step).
fn sky(windows: &[(&str, u32, u32)]) -> Bed {
    let names: Vec<_> = windows.iter().map(|window| window.0).collect();
    let bed = Bed::new().satellites(&names).task(small("extract", &[("ingest", 20.0)]));
    windows.iter().fold(bed, |bed, (name, from, to)| bed.link("drone", name, &[(*from, *to, 8)]))
}

#[track_caller]
fn check(bed: &Bed, step: f64, expected: [&str; 2]) {
    let plan = bed.placed(step);
    let gists: Vec<_> = plan.assignments[1..].iter().map(gist).collect();
    assert_eq!(gists, expected, "{plan}");
}

#[track_caller]
fn verdict(bed: &Bed, (step, task): (f64, &str), on: &str) -> String {
    let refused = bed.assigned(step, task).refused;
    let found = refused.iter().find(|refusal| refusal.node.as_str() == on);
    found.expect("each node has a verdict").to_string()
}

#[test]
fn who_goes_with_another_one_moves_when_that_one_does() {
    let bed = sky(&[("sat-1", 0, 20), ("sat-2", 15, 40), ("sat-3", 0, 10)]);
    let bed = bed.task(with(small("alert", &[("extract", 0.0)]), "extract"));
    // No guard of its own: it has that of the other one.
    let moves = ["sat-1 0-20, sat-2 at 17", "sat-1 0-17, sat-2 at 17"];
    check(&bed, 2.0, moves);
    assert_eq!(
        verdict(&bed, (2.0, "alert"), "sat-3"),
        "sat-3: extract is on sat-1 at 10:00:20, and this task shares its node"
    );
    let plan = bed.placed(2.0);
    let bed = bed.carry_out(&plan);
    for step in [2.0, 14.0, 15.5, 16.9] {
        check(&bed, step, moves);
    }
    assert_eq!(
        bed.assigned(16.0, "alert").because,
        "stays: shares the node of extract until 10:02:50; then sat-2 at 10:02:50"
    );
    // Both are due at once.
    check(&bed, 17.0, ["sat-2 15-40", "sat-2 0-99+"]);
    // Where one has come there alone, the other one follows it.
    let mut late = bed.clone();
    (late.running[1].node, late.running[1].successor) = (node("sat-2"), None);
    late.running[2].successor = None;
    check(&late, 17.5, ["sat-2 15-40", "sat-2 0-99+"]);
    // Where the first one cannot leave, the other one stays with it.
    let stuck = bed.down("sat-2");
    check(&stuck, 17.5, ["sat-1 0-20", "sat-1 0-99+"]);
}

#[test]
fn no_step_of_a_chain_finds_companions_on_two_nodes() {
    let windows = [("one", 0, 22), ("two", 15, 40), ("three", 33, 58), ("four", 50, 99)];
    let bed = sky(&windows).task(with(small("alert", &[]), "extract"));
    let mut bed = bed.task(apart(small("watch", &[]), "alert"));
    let mut hosts: Vec<NodeId> = vec![];
    for step in (0..80).map(|step| f64::from(step) + 0.5) {
        for running in &mut bed.running {
            if let Some(successor) = running.successor.take_if(|next| next.at <= at(step)) {
                running.replica = Some(std::mem::replace(&mut running.node, successor.node));
            }
        }
        assert!(!bed.is_violated(step), "{step}: {bed:?}");
        let plan = bed.placed(step);
        bed = bed.carry_out(&plan);
        let on = |task: usize| &plan.assignments[task].node;
        assert!(on(1) == on(2) && on(2) != on(3), "{plan}");
        hosts.push(on(1).clone());
    }
    hosts.dedup();
    assert_eq!(hosts, windows.map(|window| node(window.0)));
}

#[test]
fn without_prediction_it_follows_at_once() {
    let bed = sky(&[("sat-1", 0, 20), ("sat-2", 15, 40)]);
    let bed = bed.task(with(small("alert", &[]), "extract")).without_prediction();
    let bed = bed.runs("extract", "sat-1").runs("alert", "sat-1");
    check(&bed, 20.0, ["sat-1", "sat-1"]);
    check(&bed, 20.5, ["sat-2", "sat-2"]);
    let because = bed.assigned(20.5, "alert").because;
    let expected = "leaves sat-1: extract is on sat-2 at 10:03:25, and this task shares its node; ";
    assert!(because.starts_with(expected), "{because}");
}

#[test]
fn where_the_other_one_is_only_guessed_nothing_moves() {
    // Nobody follows sat-1: extract may be anywhere after step 20.
    let bed = sky(&[("sat-1", 0, 20)]).satellites(&["sat-2"]);
    let together = bed.clone().task(with(small("alert", &[]), "extract"));
    check(&together, 2.0, ["sat-1 0-20", "sat-1 0-99+"]);
    check(&bed.task(apart(small("alert", &[]), "extract")), 2.0, ["sat-1 0-20", "sat-2 0-99+"]);
}

#[test]
fn who_keeps_apart_is_gone_before_the_other_one_comes() {
    let bed = sky(&[("sat-1", 0, 20), ("sat-2", 15, 40)]).satellites(&["sat-3"]);
    let bed = bed.task(apart(small("watch", &[]), "extract"));
    check(&bed, 2.0, ["sat-1 0-20, sat-2 at 17", "sat-3 0-99+"]);
    assert_eq!(
        verdict(&bed, (2.0, "watch"), "sat-1"),
        "sat-1: extract is here at 10:00:20, and this task keeps apart from it"
    );
    let bed = bed.runs("extract", "sat-1").runs("watch", "sat-2");
    check(&bed, 2.0, ["sat-1 0-20, sat-2 at 17", "sat-2 0-17, sat-3 at 14"]);
    let because = bed.assigned(2.0, "watch").because;
    assert_eq!(because, "stays: keeps apart from extract until 10:02:50; then sat-3 at 10:02:20");
    // There is no other node for it: it goes where the other one comes from, when that goes.
    check(&bed.down("sat-3"), 2.0, ["sat-1 0-20, sat-2 at 17", "sat-2 0-17, sat-1 at 17"]);
}

#[test]
fn a_task_goes_where_those_that_go_with_it_have_a_place() {
    let bed = sky(&[("sat-1", 0, 60), ("sat-2", 0, 40)]);
    // Sat-1 would do for longer, but has three cores left beside extract.
    let mut big = with(task("alert", &[]), "extract");
    let room =
        bed.clone().task(big.clone()).change("sat-2", |view| view.capacity.milli_cpu.0 = 5000);
    check(&room, 2.0, ["sat-2 0-40", "sat-2 0-99+"]);
    assert_eq!(verdict(&room, (2.0, "extract"), "sat-1"), "sat-1: would leave no node for alert");
    assert_eq!(
        room.assigned(2.0, "extract").because,
        "reaches ingest until 10:06:40, sat-1 would leave no node for alert; no node is known to follow"
    );
    // Nothing tells beforehand that it cannot be there: it is found by trying.
    big.milli_cpu = MilliCpu(1000);
    let tried = bed.task(big).source("reference", "holder", 10.0).satellites(&["holder"]);
    let tried =
        tried.link("holder", "sat-2", &[(0, 99, 5)]).link("holder", "sat-1", &[(0, 99, 11)]);
    check(&tried, 2.0, ["sat-2 0-40, sat-1 at 37", "sat-2 0-37"]);
    assert_eq!(verdict(&tried, (2.0, "extract"), "sat-1"), "sat-1: would leave no node for alert");
    let refusal = tried.down("sat-2").refused(2.0);
    assert_eq!(refusal.task, task_id("alert"));
    assert_eq!(
        refusal.nodes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "drone: 0 mCPU free, 1000 mCPU needed",
            "holder: extract is on sat-1 at 10:00:20, and this task shares its node",
            "sat-1: latency to reference 11 ms exceeds 10 ms at 10:00:20",
            "sat-2: is down",
        ]
    );
}

#[test]
fn a_task_is_handed_over_to_where_those_that_go_with_it_have_a_place() {
    let bed = sky(&[("sat-1", 0, 20), ("sat-2", 15, 60), ("sat-3", 15, 40)]);
    let pair = bed.clone().task(with(small("alert", &[]), "extract"));
    let pair = pair.runs("extract", "sat-1").runs("alert", "sat-1");
    check(&pair, 2.0, ["sat-1 0-20, sat-2 at 17", "sat-1 0-17, sat-2 at 17"]);
    let full = pair.change("sat-2", |view| view.capacity.milli_cpu.0 = 1500);
    check(&full, 2.0, ["sat-1 0-20, sat-3 at 17", "sat-1 0-17, sat-3 at 17"]);
    // Nor to where it would drive away what keeps apart from it.
    let watched = bed.task(apart(small("watch", &[]), "extract"));
    let watched = watched.runs("extract", "sat-1").runs("watch", "sat-2");
    check(&watched, 2.0, ["sat-1 0-20, sat-3 at 17", "sat-2 0-37, sat-1 at 34"]);
}

#[test]
fn what_no_time_brings_together_has_no_alternative() {
    let pinned = |task: Task, on: &str| Task { pinned: Some(node(on)), ..task };
    let bed = sky(&[("sat-1", 0, 99), ("sat-2", 0, 99)]);
    let words = |alert: Task| {
        let refusal = bed.clone().task(alert).advised(2.0);
        assert_eq!(refusal.task, task_id("alert"));
        refusal.alternatives
    };
    assert_eq!(words(pinned(with(small("alert", &[]), "ingest"), "sat-1")), []);
    assert_eq!(words(pinned(apart(small("alert", &[]), "ingest"), "drone")), []);
    // A pass that lets both be there is waited for.
    let later = sky(&[("sat-1", 0, 99), ("sat-2", 40, 99)]);
    let later = later.task(with(small("alert", &[]), "extract")).source("reference", "sat-2", 0.0);
    let later = later.advised(2.0).alternatives.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(later, ["feasible from 10:06:40"]);
}

#[test]
fn a_violation_of_company_needs_no_path_to_be_seen() {
    let mut alert = with(small("alert", &[]), "extract");
    alert.apart = vec![task_id("ingest")];
    let bed = sky(&[]).task(alert);
    let found = |on: &str, host_of: &dyn Fn(&TaskId) -> Option<NodeId>| {
        let outside = |_: &NodeId, _: &NodeId| PairState::Outside;
        let alert = &bed.workflow.tasks[2];
        violation(&bed.workflow, alert, &node(on), at(3.0), host_of, outside)
            .map(|refusal| refusal.to_string())
    };
    let extract_on = |name: &'static str| {
        move |task: &TaskId| Some(node(if task.as_str() == "ingest" { "drone" } else { name }))
    };
    assert_eq!(found("sat-1", &extract_on("sat-1")), None);
    let elsewhere = "sat-1: extract is on sat-2 at 10:00:30, and this task shares its node";
    assert_eq!(found("sat-1", &extract_on("sat-2")).as_deref(), Some(elsewhere));
    let here = "drone: ingest is here at 10:00:30, and this task keeps apart from it";
    assert_eq!(found("drone", &extract_on("drone")).as_deref(), Some(here));
    let unknown = "sat-1: not known where extract is at 10:00:30, and this task shares its node";
    assert_eq!(found("sat-1", &|_| None).as_deref(), Some(unknown));
}

#[test]
fn company_that_was_never_checked_does_no_harm() {
    let mut bed = sky(&[("sat-1", 0, 99)]).task(with(small("alert", &[]), "nothing"));
    assert!(matches!(bed.snapshot(0.0).decide(), Decision::Refused(_)));
    assert!(matches!(bed.snapshot(0.0).advise(), Decision::Refused(_)));
    bed.workflow.tasks[2] = apart(small("alert", &[]), "nothing");
    assert!(matches!(bed.snapshot(0.0).decide(), Decision::Placed(_)));
    bed.workflow.tasks[2] = with(small("alert", &[]), "alert");
    assert!(matches!(bed.snapshot(0.0).decide(), Decision::Refused(_)));
}
