//! When a task moves, to whom, and when it does not.

use placement::Decision;
use topology::{LinkNeed, window_id};
use types::LatencyUs;

use crate::bed::{Bed, at, gist, node, task};

/// `extract` within 20 ms of the drone; satellite windows as given (first step, last step).
fn sky(windows: &[(&str, u32, u32)]) -> Bed {
    let names: Vec<_> = windows.iter().map(|window| window.0).collect();
    let bed = Bed::new().satellites(&names).task(task("extract", &[("ingest", 20.0)]));
    windows.iter().fold(bed, |bed, (name, from, to)| {
        let before = (0, from.saturating_sub(1), 40);
        let after = (to + 1, 99, 40);
        let early: &[_] = if *from == 0 { &[] } else { &[before] };
        bed.link("drone", name, &[early, &[(*from, *to, 8), after]].concat())
    })
}

#[track_caller]
fn check(bed: &Bed, step: f64, expected: &str) {
    let assignment = bed.assigned(step, "extract");
    assert_eq!(gist(&assignment), expected, "{assignment}");
}

#[test]
fn the_next_host_takes_over_before_the_window_closes() {
    let bed = sky(&[("sat-1", 0, 20), ("sat-2", 15, 40), ("sat-3", 10, 30)]);
    // The guard of 30 s is three steps; of those open then, sat-2 closes last.
    check(&bed, 2.0, "sat-1 0-20, sat-2 at 17");
    let bed = bed.runs("extract", "sat-1");
    check(&bed, 2.0, "sat-1 0-20, sat-2 at 17");
    check(&bed, 16.9, "sat-1 0-20, sat-2 at 17");
    let assignment = bed.assigned(2.0, "extract");
    assert_eq!(
        assignment.because,
        "stays: holds 20 ms to ingest until 10:03:20; then sat-2 at 10:02:50"
    );
    assert_eq!(assignment.replica, Some(node("sat-2")));
    let window = assignment.window.unwrap();
    let need = LinkNeed::latency(LatencyUs(20_000));
    assert_eq!(window.id, window_id(&node("drone"), &node("sat-1"), &need, at(20.0)));
    assert_eq!(
        bed.plan().windows(&node("sat-1"), &node("drone"), (at(0.0), at(1.0)), &need),
        [window]
    );
}

/// `prepare` follows `extract`, wherever that is: near on all satellites, farther away on `far`.
fn chain_of_three() -> Bed {
    let windows = [("sat-1", 0, 20), ("sat-2", 10, 40), ("sat-3", 30, 60)];
    let mut bed = sky(&windows).satellites(&["far"]).task(task("prepare", &[("extract", 100.0)]));
    for (a, b) in [("sat-1", "sat-2"), ("sat-1", "sat-3"), ("sat-2", "sat-3")] {
        bed = bed.link(a, b, &[(0, 99, 5)]);
    }
    windows.iter().fold(bed, |bed, (name, ..)| bed.link("far", name, &[(0, 99, 50)]))
}

#[test]
fn a_later_task_keeps_off_the_nodes_that_an_earlier_one_comes_to() {
    let bed = chain_of_three();
    check(&bed, 2.0, "sat-1 0-20, sat-2 at 17");
    let prepare = bed.assigned(2.0, "prepare");
    assert_eq!(prepare.node, node("far"));
    assert!(prepare.because.ends_with("sat-3 is to host extract later"), "{prepare}");
    let why_not = prepare.refused.iter().find(|refusal| refusal.node == node("sat-3"));
    assert_eq!(
        why_not.unwrap().to_string(),
        "sat-3: would do, but extract is to come there, and both do not fit"
    );
}

#[test]
fn what_is_in_the_way_of_the_only_follower_is_moved_in_time() {
    let bed = chain_of_three().runs("extract", "sat-1").runs("prepare", "sat-2");
    check(&bed, 2.0, "sat-1 0-20, sat-2 at 17");
    assert_eq!(bed.assigned(2.0, "prepare").node, node("far"));
    // Where it can go nowhere else, it stays, and so does the dead end.
    let stuck = chain_of_three().down("far").down("sat-3");
    let stuck = stuck.runs("extract", "sat-1").runs("prepare", "sat-2");
    check(&stuck, 2.0, "sat-1 0-20");
    assert_eq!(stuck.assigned(2.0, "prepare").node, node("sat-2"));
}

#[test]
fn a_window_that_closes_beyond_the_plan_needs_no_successor() {
    let bed = sky(&[("sat-1", 0, 99), ("sat-2", 15, 99)]).runs("extract", "sat-1");
    check(&bed, 2.0, "sat-1 0-99+");
    check(&bed, 99.0, "sat-1 0-99+");
    assert_eq!(bed.assigned(2.0, "extract").because, "stays: holds beyond 10:16:30");
}

#[test]
fn a_look_ahead_shorter_than_the_plan_ends_sooner() {
    let mut bed = sky(&[("sat-1", 0, 20), ("sat-2", 15, 40)]);
    bed.options.horizon_s = 100.0;
    check(&bed, 2.0, "sat-1 0-12+");
}

#[test]
fn without_an_overlap_the_task_stays_until_violated_and_is_then_refused() {
    let bed = sky(&[("sat-1", 0, 20), ("sat-2", 22, 40)]).runs("extract", "sat-1");
    check(&bed, 2.0, "sat-1 0-20");
    let because = bed.assigned(2.0, "extract").because;
    assert!(because.ends_with("no node is known to follow"), "{because}");
    // Within the guard it is still the best there is.
    check(&bed, 19.5, "sat-1 0-20");
    check(&bed, 20.0, "sat-1 0-20");
    let refusal = bed.refused(20.5);
    assert_eq!(
        refusal.to_string(),
        "flood at 2026-11-22T10:03:25Z: no node can host extract\n    \
         drone: 0 mCPU free, 4000 mCPU needed\n    \
         sat-1: latency to ingest 40 ms exceeds 20 ms at 10:03:25\n    \
         sat-2: latency to ingest 40 ms exceeds 20 ms at 10:03:25\n"
    );
    check(&bed, 22.0, "sat-2 22-40");
}

#[test]
fn a_successor_that_opens_after_the_guard_is_planned_for_when_it_opens() {
    let bed = sky(&[("sat-1", 0, 20), ("sat-2", 19, 40)]).runs("extract", "sat-1");
    check(&bed, 2.0, "sat-1 0-20, sat-2 at 19");
    check(&bed, 18.5, "sat-1 0-20, sat-2 at 19");
    // Before the close, though not with the whole guard.
    check(&bed, 19.0, "sat-2 19-40");
    let because = bed.assigned(19.0, "extract").because;
    assert_eq!(
        because,
        "leaves sat-1; holds 20 ms to ingest until 10:06:40, \
         200 s longer than the next best, sat-1; no node is known to follow"
    );
}

#[test]
fn a_slightly_better_node_moves_nothing() {
    let bed = sky(&[("sat-1", 0, 30), ("sat-2", 0, 33)]);
    check(&bed, 2.0, "sat-2 0-33");
    let bed = bed.runs("extract", "sat-1");
    check(&bed, 2.0, "sat-1 0-30, sat-2 at 27");
    let refused = bed.assigned(2.0, "extract").refused;
    assert_eq!(
        refused[1].to_string(),
        "sat-2: holds for 310 s, where the task is for 280 s: too little to move for"
    );
}

#[test]
fn after_a_failover_the_old_node_returns_and_nothing_moves() {
    let bed = sky(&[("sat-1", 0, 60), ("sat-2", 0, 40)]).runs("extract", "sat-1");
    let lost = bed.clone().down("sat-1");
    check(&lost, 5.0, "sat-2 0-40");
    let because = lost.assigned(5.0, "extract").because;
    assert!(because.starts_with("leaves sat-1: is down; "), "{because}");
    let mut back = bed;
    back.running[0].node = node("sat-2");
    check(&back, 6.0, "sat-2 0-40, sat-1 at 37");
}

#[test]
fn the_node_with_the_second_copy_takes_over_from_a_dead_one() {
    let bed = sky(&[("sat-1", 0, 60), ("sat-2", 0, 40), ("sat-3", 0, 50)]);
    let bed = bed.runs("extract", "sat-1").with("sat-2", None).down("sat-1");
    check(&bed, 5.0, "sat-2 0-40, sat-3 at 37");
    let assignment = bed.assigned(5.0, "extract");
    assert!(assignment.because.contains("has the second copy of the state"), "{assignment}");
    let other = assignment.refused.iter().find(|refusal| refusal.node.as_str() == "sat-3");
    assert_eq!(other.unwrap().to_string(), "sat-3: holds for 450 s, but has no copy of the state");
    // A copy where the needs are not met helps nobody.
    let far = sky(&[("sat-1", 0, 60), ("sat-2", 30, 40), ("sat-3", 0, 50)]);
    let far = far.runs("extract", "sat-1").with("sat-2", None).down("sat-1");
    check(&far, 5.0, "sat-3 0-50");
}

#[test]
fn an_announced_hand_over_is_kept_while_it_serves() {
    let bed = sky(&[("sat-1", 0, 20), ("sat-2", 5, 40), ("sat-3", 5, 60)]).runs("extract", "sat-1");
    check(&bed, 2.0, "sat-1 0-20, sat-3 at 17");
    // Announced to sat-2, a little earlier than needed, when sat-3 was down.
    let told = bed.clone().with("sat-2", Some(("sat-2", 15.0)));
    check(&told, 2.0, "sat-1 0-20, sat-2 at 15");
    // Much too early, or too late: to the same node, at the right time.
    check(&bed.clone().with("sat-2", Some(("sat-2", 7.0))), 2.0, "sat-1 0-20, sat-2 at 17");
    check(&bed.with("sat-2", Some(("sat-2", 19.0))), 2.0, "sat-1 0-20, sat-2 at 17");
    // A successor that died is replaced.
    check(&told.clone().down("sat-2"), 2.0, "sat-1 0-20, sat-3 at 17");
    // When it is due the successor is the host, until it says so itself.
    check(&told, 15.0, "sat-2 5-40, sat-3 at 37");
    check(&told, 16.5, "sat-2 5-40, sat-3 at 37");
    let because = told.assigned(15.0, "extract").because;
    assert!(because.contains("the announced hand-over is due"), "{because}");
    // Unless it cannot be any more.
    check(&told.down("sat-2"), 16.5, "sat-1 0-20, sat-3 at 17");
}

#[test]
fn a_first_placement_must_last_for_a_whole_run() {
    // 60 s of run after 20 s of preparation are eight steps.
    let bed = sky(&[("sat-1", 0, 12)]);
    check(&bed, 4.0, "sat-1 0-12");
    let refusal = bed.refused(5.0);
    assert_eq!(
        refusal.nodes[1].to_string(),
        "sat-1: latency to ingest 40 ms exceeds 20 ms at 10:02:10"
    );
    // What runs already takes what there is.
    check(&bed.runs("extract", "sat-1"), 5.0, "sat-1 0-12");
    // A run that the next host carries on is whole.
    let chain = sky(&[("sat-1", 0, 12), ("sat-2", 8, 30)]);
    check(&chain, 5.0, "sat-1 0-12, sat-2 at 9");
}

/// `detect` within 50 ms of `extract`, which goes from sat-1 to sat-2 at step 17.
fn followed(near: &[(&str, &str, u32, u32)]) -> Bed {
    let bed = sky(&[("sat-1", 0, 20), ("sat-2", 15, 60)]).runs("extract", "sat-1");
    let bed = bed.task(task("detect", &[("extract", 50.0)]));
    let mut names: Vec<_> = near.iter().map(|link| link.1).collect();
    names.dedup();
    let bed = bed.satellites(&names);
    let far = |from, to| (from, to, 90);
    near.iter().fold(bed, |bed, (a, b, from, to)| bed.link(a, b, &[(*from, *to, 30), far(0, 99)]))
}

#[test]
fn a_task_follows_its_predecessor_to_where_that_will_be() {
    // One is near sat-1 for long and never near sat-2; two is near both, until step 40.
    let bed = followed(&[
        ("sat-1", "one", 0, 99),
        ("sat-2", "one", 99, 99),
        ("sat-1", "two", 0, 30),
        ("sat-2", "two", 10, 40),
    ]);
    let detect = bed.assigned(2.0, "detect");
    assert_eq!(gist(&detect), "two 0-40", "{detect}");
    let one = detect.refused.iter().find(|refusal| refusal.node.as_str() == "one").unwrap();
    assert_eq!(one.to_string(), "one: holds for 150 s, the host for 380 s");
    // The window is the one to the later host.
    let window = detect.window.unwrap();
    assert_eq!((window.a.as_str(), window.b.as_str()), ("sat-2", "two"));
    // Already on one, it leaves before its predecessor does.
    let bed = bed.runs("detect", "one");
    let detect = bed.assigned(2.0, "detect");
    assert_eq!(gist(&detect), "one 0-17, two at 14", "{detect}");
    let window = detect.window.unwrap();
    assert_eq!((window.a.as_str(), window.b.as_str()), ("one", "sat-1"));
    assert!(detect.because.starts_with("stays: holds 50 ms to extract until 10:02:50"));
}

#[test]
fn a_task_follows_its_predecessor_over_several_hosts() {
    // Extract goes from sat-1 to sat-2 at step 17 and to sat-3 at step 37, where one is far away.
    let bed = sky(&[("sat-1", 0, 20), ("sat-2", 15, 40), ("sat-3", 30, 99)]);
    let bed = bed.task(task("detect", &[("extract", 50.0)])).satellites(&["one", "two"]);
    let near = [(0, 99, 30)];
    let bed = bed.link("sat-1", "one", &near).link("sat-2", "one", &near);
    let bed = bed.link("sat-1", "two", &near).link("sat-2", "two", &near);
    let bed = bed.link("sat-3", "one", &[(0, 99, 90)]).link("sat-3", "two", &[(0, 99, 45)]);
    let bed = bed.runs("extract", "sat-1");
    assert_eq!(gist(&bed.assigned(2.0, "detect")), "two 0-99+");
    let bed = bed.runs("detect", "one");
    assert_eq!(gist(&bed.assigned(2.0, "detect")), "one 0-37, two at 34");
}

#[test]
fn of_two_owners_the_one_of_the_higher_epoch_counts() {
    let bed = sky(&[("sat-1", 0, 60), ("sat-2", 0, 40)]);
    let mut bed = bed.runs("extract", "sat-1").runs("extract", "sat-2");
    bed.running[1].owner_epoch.0 = 3;
    check(&bed, 5.0, "sat-2 0-40, sat-1 at 37");
    bed.running.reverse();
    check(&bed, 5.0, "sat-2 0-40, sat-1 at 37");
}

#[test]
fn a_need_is_not_judged_against_a_host_that_is_only_guessed() {
    // Extract is known to be on sat-2 until step 60 and nobody knows where then.
    let bed = followed(&[
        ("sat-1", "one", 0, 99),
        ("sat-2", "one", 10, 70),
        ("sat-1", "two", 0, 99),
        ("sat-2", "two", 0, 99),
    ]);
    let bed = bed.runs("detect", "one");
    let detect = bed.assigned(2.0, "detect");
    // It would fail at step 71, but that is no reason to move yet.
    assert_eq!(gist(&detect), "one 0-70+", "{detect}");
}

#[test]
fn without_prediction_a_task_moves_only_after_the_violation() {
    let bed = sky(&[("sat-1", 0, 20), ("sat-2", 15, 40)]).without_prediction();
    check(&bed, 2.0, "sat-1");
    let bed = bed.runs("extract", "sat-1");
    check(&bed, 19.9, "sat-1");
    check(&bed, 20.0, "sat-1");
    check(&bed, 20.1, "sat-2");
    let assignment = bed.assigned(20.1, "extract");
    assert_eq!(
        assignment.because,
        "leaves sat-1: latency to ingest 40 ms exceeds 20 ms at 10:03:21; \
         meets its needs at 8 ms now, the only node that can"
    );
    // A window about to close is as good as any other.
    check(&sky(&[("sat-1", 0, 20), ("sat-2", 15, 40)]).without_prediction(), 18.0, "sat-1");
}

#[test]
fn beyond_the_plan_nothing_is_promised() {
    let bed = sky(&[("sat-1", 0, 99)]).runs("extract", "sat-1");
    let refusal = bed.refused(99.5);
    assert_eq!(
        refusal.nodes[1].to_string(),
        "sat-1: the contact plan does not know the path to ingest at 10:16:35"
    );
    // A task without needs does not care.
    assert_eq!(gist(&Bed::new().assigned(200.0, "ingest")), "drone");
}

/// Violated steps, and the hosts of `extract` in order, when every decision is carried out at once.
fn carried_out(mut bed: Bed) -> (u32, Vec<String>) {
    let mut violated = 0;
    let mut hosts: Vec<String> = vec![];
    for step in 0..80_u32 {
        let step = f64::from(step) + 0.5;
        for running in &mut bed.running {
            if let Some(successor) = running.successor.take_if(|next| next.at <= at(step)) {
                running.replica = Some(std::mem::replace(&mut running.node, successor.node));
            }
        }
        violated += u32::from(bed.is_violated(step));
        if let Decision::Placed(plan) = bed.decide(step) {
            bed = bed.carry_out(&plan);
        }
        let extract = bed.running.iter().find(|running| running.task.as_str() == "extract");
        let host = extract.expect("it is placed at once").node.to_string();
        if hosts.last() != Some(&host) {
            hosts.push(host);
        }
    }
    (violated, hosts)
}

#[test]
fn along_a_chain_of_satellites_prediction_leaves_no_step_violated() {
    let windows =
        [("one", 0, 22), ("two", 15, 40), ("three", 33, 58), ("four", 50, 75), ("five", 68, 99)];
    let names = windows.map(|window| window.0.to_owned());
    let (violated, hosts) = carried_out(sky(&windows));
    assert_eq!((violated, hosts), (0, names.to_vec()));
    // Without it each of the four moves comes one step too late.
    let (violated, hosts) = carried_out(sky(&windows).without_prediction());
    assert_eq!((violated, hosts), (4, names.to_vec()));
}
