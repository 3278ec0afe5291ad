//! Which node is chosen, and what is said about the others.

use placement::{Constraint, Decision, NodeRefusal, violation};
use topology::SunSeries;
use types::{MilliCpu, NodeId, NodeKind, TaskId};

use crate::bed::{Bed, STEPS, at, gist, node, plain_node, task, task_id};

/// `extract` within 20 ms of the drone, which reaches all the named satellites for the whole time.
fn near(satellites: &[(&str, u32)]) -> Bed {
    let names: Vec<_> = satellites.iter().map(|(name, _)| *name).collect();
    let bed = Bed::new().satellites(&names).task(task("extract", &[("ingest", 20.0)]));
    satellites.iter().fold(bed, |bed, (name, ms)| bed.link("drone", name, &[(0, 99, *ms)]))
}

fn refusal_of(refusals: &[NodeRefusal], name: &str) -> NodeRefusal {
    let found = refusals.iter().find(|refusal| refusal.node.as_str() == name);
    found.expect("each node has a verdict").clone()
}

#[track_caller]
fn check(bed: &Bed, name: &str, expected: &str) {
    let refusals = match bed.decide(0.0) {
        Decision::Placed(plan) => plan.assignments[1].refused.clone(),
        Decision::Refused(refusal) => refusal.nodes,
    };
    assert_eq!(refusal_of(&refusals, name).to_string(), format!("{name}: {expected}"));
}

#[test]
fn equal_windows_go_to_the_nearest_and_then_to_the_first() {
    let bed = near(&[("sat-1", 9), ("sat-2", 7), ("sat-3", 7)]);
    let assignment = bed.assigned(0.0, "extract");
    assert_eq!(gist(&assignment), "sat-2 0-99+");
    assert_eq!(assignment.because, "holds beyond 10:16:30, as does sat-3");
    check(&bed, "sat-1", "holds as long, but at 9 ms now, the host at 7 ms");
    check(&bed, "sat-3", "does as well, but comes later in order");
    let other = near(&[("sat-1", 9), ("sat-2", 7)]).assigned(0.0, "extract");
    assert_eq!(other.because, "holds beyond 10:16:30, at 7 ms now, sat-1 at 9 ms");
}

#[test]
fn a_seed_draws_the_order_of_equals() {
    let mut bed = near(&[("sat-1", 7), ("sat-2", 7), ("sat-3", 7), ("sat-4", 7)]);
    let mut hosts: Vec<_> = (0..20)
        .map(|seed| {
            bed.options.seed = seed;
            bed.assigned(0.0, "extract").node
        })
        .collect();
    assert_eq!(hosts[0], node("sat-1"));
    hosts.sort();
    hosts.dedup();
    assert_eq!(hosts.len(), 4);
}

#[test]
fn each_node_hears_what_speaks_against_it() {
    let mut bed = near(&[("sat-1", 7), ("sat-2", 21), ("sat-3", 5), ("sat-4", 5)]);
    bed.workflow.tasks[1].kinds = vec![NodeKind::Satellite];
    bed.nodes.push(plain_node("cloud", NodeKind::Cloud));
    let bed = bed.satellites(&["sat-5", "sat-6"]).link("sat-5", "drone", &[]);
    let bed = bed.down("sat-3").change("sat-4", |view| view.capacity.memory_mib.0 = 1023);
    for (name, expected) in [
        ("cloud", "not of a kind that may host the task"),
        ("drone", "not of a kind that may host the task"),
        ("sat-2", "latency to ingest 21 ms exceeds 20 ms at 10:00:00"),
        ("sat-3", "is down"),
        ("sat-4", "1023 MiB free, 1024 MiB needed"),
        ("sat-5", "no path to ingest at 10:00:00"),
        ("sat-6", "the contact plan does not know the path to ingest at 10:00:00"),
    ] {
        check(&bed, name, expected);
    }
    let refused = bed.assigned(0.0, "extract").refused;
    assert_eq!(refused.len(), 7);
    let cpu = refusal_of(&bed.placed(0.0).assignments[0].refused, "sat-1");
    assert_eq!(
        (cpu.constraint, cpu.value, cpu.limit, cpu.unit),
        (Constraint::Pinned, 0.0, 1.0, "")
    );
}

#[test]
fn two_tasks_do_not_share_what_is_enough_for_one() {
    let bed = near(&[("sat-1", 5), ("sat-2", 7)]).task(task("detect", &[("extract", 20.0)]));
    let bed = bed.link("sat-1", "sat-2", &[(0, 99, 4)]);
    let plan = bed.placed(0.0);
    let hosts: Vec<_> = plan.assignments.iter().map(|a| a.node.as_str()).collect();
    assert_eq!(hosts, ["drone", "sat-1", "sat-2"]);
    let full = refusal_of(&plan.assignments[2].refused, "sat-1");
    assert_eq!(full.to_string(), "sat-1: 0 mCPU free, 4000 mCPU needed");
    // With one satellite only, one of them finds no place, and so none is placed.
    let refusal = bed.clone().down("sat-2").refused(0.0);
    assert_eq!(refusal.task, task_id("detect"));
    assert_eq!(refusal_of(&refusal.nodes, "sat-1").constraint, Constraint::Cpu);
    // Half a satellite each is enough.
    let mut small = bed.down("sat-2");
    for task in &mut small.workflow.tasks {
        task.milli_cpu = MilliCpu(1000);
    }
    small.placed(0.0);
}

#[test]
fn other_workflows_and_their_announced_hosts_take_room() {
    let mut bed = near(&[("sat-1", 5), ("sat-2", 7), ("sat-3", 9)]).runs("extract", "sat-1");
    bed = bed.with("sat-2", Some(("sat-2", 30.0)));
    bed.running[0].workflow = types::WorkflowId::new("other").unwrap();
    assert_eq!(bed.assigned(0.0, "extract").node, node("sat-3"));
    check(&bed, "sat-1", "0 mCPU free, 4000 mCPU needed");
    check(&bed, "sat-2", "0 mCPU free, 4000 mCPU needed");
    // Its own place does not stand in its way.
    bed.running[0].workflow = bed.workflow.id.clone();
    assert_eq!(bed.assigned(0.0, "extract").node, node("sat-1"));
}

#[test]
fn an_earlier_task_steps_aside_for_one_that_has_no_other_place() {
    // Detect can only be on sat-1, which would be the best for extract.
    let bed = near(&[("sat-1", 5), ("sat-2", 7)]).task(task("detect", &[("extract", 20.0)]));
    let bed = bed.source("reference", "sat-1", 1.0).link("sat-1", "sat-2", &[(0, 99, 4)]);
    let plan = bed.placed(0.0);
    let hosts: Vec<_> = plan.assignments.iter().map(|a| a.node.as_str()).collect();
    assert_eq!(hosts, ["drone", "sat-2", "sat-1"]);
    check(&bed, "sat-1", "would leave no node for detect");
    assert_eq!(plan.assignments[1].because, "holds beyond 10:16:30, the only node that can");
}

#[test]
fn what_runs_gives_way_when_nothing_else_helps() {
    // Extract lost its node; only sat-2 can host it, where detect runs; detect can go to sat-3.
    let bed = near(&[("sat-1", 5), ("sat-2", 7)]).task(task("detect", &[("extract", 20.0)]));
    let bed = bed.satellites(&["sat-3"]).link("sat-2", "sat-3", &[(0, 99, 4)]);
    let bed = bed.runs("extract", "sat-1").runs("detect", "sat-2").down("sat-1");
    let plan = bed.placed(0.0);
    let hosts: Vec<_> = plan.assignments.iter().map(|a| a.node.as_str()).collect();
    assert_eq!(hosts, ["drone", "sat-2", "sat-3"]);
}

#[test]
fn a_pinned_task_on_a_dead_node_is_refused() {
    let refusal = near(&[("sat-1", 5)]).down("drone").refused(0.0);
    assert_eq!(refusal.task, task_id("ingest"));
    assert_eq!(refusal_of(&refusal.nodes, "drone").to_string(), "drone: is down");
    let other = refusal_of(&refusal.nodes, "sat-1");
    assert_eq!(other.to_string(), "sat-1: the task is pinned elsewhere");
    let mut unknown = near(&[("sat-1", 5)]);
    unknown.nodes.remove(0);
    assert_eq!(unknown.refused(0.0).nodes.len(), 1);
}

#[test]
fn a_source_on_a_node_that_is_down_is_said() {
    let bed = near(&[("sat-1", 5)]).source("reference", "holder", 175.0);
    check(&bed, "sat-1", "the node of source reference is down or not known");
    let bed = bed.satellites(&["holder"]).link("holder", "sat-1", &[(0, 99, 90)]);
    bed.placed(0.0);
    let bed = bed.down("holder");
    check(&bed, "sat-1", "the node of source reference is down or not known");
}

#[test]
fn a_source_too_far_away_is_said() {
    let bed = near(&[("sat-1", 5)]).source("reference", "holder", 175.0).satellites(&["holder"]);
    check(
        &bed.link("holder", "sat-1", &[(0, 99, 176)]),
        "sat-1",
        "latency to reference 176 ms exceeds 175 ms at 10:00:00",
    );
}

/// A satellite that draws 19 W with the task and gets 30 W in the light, that is before step `dark`.
fn powered(dark: u32, charge: f64) -> Bed {
    let mut bed = near(&[("sat-1", 5)]).change("sat-1", |view| {
        view.battery_wh = Some(10.0);
        view.state_of_charge = Some(charge);
        view.reserve = 0.3;
        view.idle_w = 9.0;
        view.solar_w = 30.0;
    });
    let sunlit = (0..STEPS).map(|step| if step < dark { 1.0 } else { 0.0 }).collect();
    bed.sun = vec![SunSeries { node: node("sat-1"), sunlit }];
    bed
}

#[test]
fn the_battery_must_last_through_the_shadow() {
    // 19 W are 20 W out of a battery of 10 Wh: 0.06 of its charge last 108 s.
    let bed = powered(0, 0.36);
    let assignment = bed.runs("extract", "sat-1").assigned(0.0, "extract");
    assert_eq!(gist(&assignment), "sat-1 0-10");
    assert_eq!(
        assignment.because,
        "stays: keeps its reserve of 30 % until 10:01:40; no node is known to follow"
    );
    let window = assignment.window.unwrap();
    assert_eq!((window.a.as_str(), window.b.as_str()), ("sat-1", "sat-1"));
    // A first placement must last for 80 s: 0.04 of charge last 72 s.
    check(
        &powered(0, 0.34),
        "sat-1",
        "charge 29.556 % falls below the reserve of 30 % at 10:01:20",
    );
    // In the light it lasts; the shadow from step 20 on ends it.
    let lit = powered(20, 0.36).assigned(0.0, "extract");
    let window = lit.window.unwrap();
    assert!(at(20.0) < window.close && window.close_known, "{window:?}");
    // Below the reserve already.
    check(&powered(99, 0.29), "sat-1", "charge 29 % falls below the reserve of 30 % at 10:00:00");
}

#[test]
fn another_node_takes_over_before_the_battery_is_at_its_reserve() {
    let mut bed = powered(0, 0.5).satellites(&["sat-2"]).link("drone", "sat-2", &[(0, 99, 9)]);
    bed = bed.runs("extract", "sat-1");
    let assignment = bed.assigned(0.0, "extract");
    assert_eq!(gist(&assignment), "sat-1 0-36, sat-2 at 33");
}

#[test]
fn what_a_successor_drains_while_it_waits_counts() {
    // Sat-1, in the dark, is to take over at step 17 from sat-0, whose window closes at step 20.
    let next = |charge: f64| {
        let bed = powered(0, charge).satellites(&["sat-0"]).link("drone", "sat-0", &[(0, 20, 9)]);
        bed.runs("extract", "sat-0").assigned(0.0, "extract").next.map(|next| next.node)
    };
    // 9 W for 170 s cost 0.045 of charge, and 19 W from then to step 20 another 0.017.
    assert_eq!(next(0.36), None);
    assert_eq!(next(0.37), Some(node("sat-1")));
}

#[test]
fn the_board_must_stay_below_its_limit() {
    let hot = |now_c| {
        near(&[("sat-1", 5)]).change("sat-1", move |view| {
            view.temperature_c = Some(now_c);
            view.temperature_max_c = 60.0;
            view.ambient_c = Some(10.0);
            view.idle_w = 10.0;
            // 20 W over 0.25 W/K end at 90 °C, with a time constant of 200 s.
            view.conductance_w_k = Some(0.25);
            view.heat_capacity_j_k = Some(50.0);
        })
    };
    check(&hot(60.0), "sat-1", "temperature 60 °C reaches the limit of 60 °C at 10:00:00");
    // (90 - 20) exp(-t / 200 s) = 30 after 169.5 s.
    let assignment = hot(20.0).assigned(0.0, "extract");
    assert_eq!(gist(&assignment), "sat-1 0-16");
    assert!(assignment.because.starts_with("stays below 60 °C until 10:02:40, the only"));
    // Without the task it would cool to 50 °C.
    let cool = hot(20.0).change("sat-1", |view| view.conductance_w_k = Some(1.0));
    assert_eq!(gist(&cool.assigned(0.0, "extract")), "sat-1 0-99+");
}

#[test]
fn the_second_copy_lies_where_the_task_could_go_or_contact_lasts() {
    // Not one of the others meets its needs, the drone has no room either; sat-3 stays in contact longest.
    let bed = near(&[("sat-1", 5)]).satellites(&["sat-2", "sat-3", "sat-4"]);
    let bed = bed
        .link("sat-1", "sat-2", &[(0, 50, 3)])
        .link("sat-1", "sat-3", &[(0, 60, 30)])
        .link("sat-1", "sat-4", &[(1, 99, 1)]);
    let copy = |bed: &Bed| bed.assigned(0.0, "extract").replica.map(|id| id.to_string());
    assert_eq!(copy(&bed).as_deref(), Some("sat-3"));
    let bed = bed.runs("extract", "sat-1").with("sat-2", None);
    assert_eq!(copy(&bed).as_deref(), Some("sat-2"));
    assert_eq!(copy(&bed.clone().down("sat-2")).as_deref(), Some("sat-3"));
    // One that could host it comes first.
    let bed = bed.link("drone", "sat-3", &[(0, 99, 19)]);
    assert_eq!(copy(&bed).as_deref(), Some("sat-3"));
    // Without any that has room, who stays in contact longest.
    let full = near(&[("sat-1", 5)]);
    assert_eq!(copy(&full).as_deref(), Some("drone"));
    // Nobody is in reach.
    let mut alone = near(&[]).satellites(&["sat-2"]);
    alone.workflow.tasks.truncate(1);
    assert_eq!(alone.assigned(0.0, "ingest").replica, None);
}

#[test]
fn a_violation_is_what_the_filter_would_say() {
    let bed = near(&[("sat-1", 5), ("sat-2", 21)]);
    let plan = bed.plan();
    let task = &bed.workflow.tasks[1];
    let on = |name: &str, host_of: &dyn Fn(&TaskId) -> Option<NodeId>| {
        let state = |a: &NodeId, b: &NodeId| plan.state(a, b, at(3.0));
        violation(&bed.workflow, task, &node(name), at(3.0), host_of, state)
    };
    let drone = |_: &TaskId| Some(node("drone"));
    assert_eq!(on("sat-1", &drone), None);
    assert_eq!(on("drone", &drone), None);
    assert_eq!(
        on("sat-2", &drone).unwrap().to_string(),
        "sat-2: latency to ingest 21 ms exceeds 20 ms at 10:00:30"
    );
    let nowhere = on("sat-1", &|_| None).unwrap();
    assert_eq!(nowhere.constraint, Constraint::Unplanned { to: task_id("ingest") });
}

#[test]
fn a_plan_is_readable() {
    let bed = near(&[("sat-3", 21)]).satellites(&["sat-1", "sat-2"]);
    let bed = bed.link("drone", "sat-1", &[(0, 40, 5)]).link("drone", "sat-2", &[(30, 70, 7)]);
    let mut bed = bed.task(task("detect", &[("extract", 50.0)])).runs("extract", "sat-1");
    bed.workflow.tasks[2].milli_cpu = MilliCpu(500);
    bed.nodes.push(plain_node("edge", NodeKind::Edge));
    let bed = bed.link("sat-1", "edge", &[(0, 50, 40), (51, 99, 60)]);
    let bed = bed.link("sat-2", "edge", &[(0, 60, 45)]).link("drone", "edge", &[(0, 99, 44)]);
    let bed = bed.link("sat-1", "sat-2", &[]).link("sat-1", "sat-3", &[(0, 60, 3)]);
    let bed = bed.link("sat-2", "sat-3", &[(0, 99, 3)]);
    assert_eq!(format!("{}", bed.decide(1.5)), include_str!("plan.txt"));
}

#[test]
fn a_workflow_that_was_never_checked_does_no_harm() {
    let mut bed = near(&[("sat-1", 5)]);
    bed.workflow.tasks[1].after[0].task = task_id("nothing");
    let snapshot = bed.snapshot(0.0);
    assert!(matches!(snapshot.decide(), Decision::Refused(_)));
    let mut empty = bed.clone();
    empty.workflow.tasks.clear();
    assert!(matches!(empty.snapshot(0.0).decide(), Decision::Placed(_)));
    bed.workflow.tasks[1].after.clear();
    bed.options.horizon_s = f64::NAN;
    bed.options.guard_s = f64::INFINITY;
    bed.options.prepare_s = -1.0;
    assert!(matches!(bed.snapshot(0.0).decide(), Decision::Placed(_)));
}
