//! Where data may be: hosts, those that follow, and second copies.

use types::DataClass;

use crate::bed::{Bed, gist, node, region, task, task_id};

/// `extract` on confidential data for `eu`, and three satellites that are near enough: `eu-1` and `eu-2` may see them.
fn confidential() -> Bed {
    let names = ["eu-1", "eu-2", "us-1"];
    let mut bed = Bed::new().satellites(&names).task(task("extract", &[("ingest", 20.0)]));
    for name in names {
        bed = bed.change(name, |view| {
            view.region = Some(region(&name[..2]));
            view.trust = DataClass::Confidential;
        });
    }
    bed.workflow.tasks[1].class = Some(DataClass::Confidential);
    bed.workflow.tasks[1].regions = vec![region("eu")];
    bed
}

#[track_caller]
fn check(bed: &Bed, name: &str, expected: &str) {
    let refused = bed.assigned(0.0, "extract").refused;
    let found = refused.iter().find(|refusal| refusal.node.as_str() == name);
    assert_eq!(found.expect("a verdict").to_string(), format!("{name}: {expected}"));
}

#[test]
fn the_nearest_and_longest_is_no_host_where_the_data_must_not_be() {
    let bed = confidential().link("drone", "eu-1", &[(0, 50, 19)]);
    let bed = bed.link("drone", "us-1", &[(0, 99, 2)]).link("drone", "eu-2", &[(0, 20, 5)]);
    assert_eq!(gist(&bed.assigned(0.0, "extract")), "eu-1 0-50");
    check(&bed, "us-1", "stands in us, the data may be in eu only");
    check(&bed, "drone", "is trusted with internal data, not with confidential ones");
    let unknown = bed.clone().change("us-1", |view| view.region = None);
    check(&unknown, "us-1", "not known where it stands, the data may be in eu only");
    let less = bed.clone().change("eu-2", |view| view.trust = DataClass::Public);
    check(&less, "eu-2", "is trusted with public data, not with confidential ones");
    // More trust than is needed does no harm.
    let more = bed.change("eu-1", |view| view.trust = DataClass::Restricted);
    assert_eq!(more.assigned(0.0, "extract").node, node("eu-1"));
}

#[test]
fn no_hand_over_leads_where_the_data_must_not_be() {
    let bed = confidential().link("drone", "eu-1", &[(0, 20, 5)]);
    let bed = bed.link("drone", "us-1", &[(0, 99, 5)]).link("drone", "eu-2", &[(15, 60, 5)]);
    assert_eq!(gist(&bed.assigned(0.0, "extract")), "eu-1 0-20, eu-2 at 17");
    let alone = bed.clone().down("eu-2").assigned(0.0, "extract");
    assert_eq!(gist(&alone), "eu-1 0-20");
    // Nor does one that was announced when the rule was another.
    let announced = bed.runs("extract", "eu-1").with("us-1", Some(("us-1", 17.0)));
    assert_eq!(gist(&announced.assigned(0.0, "extract")), "eu-1 0-20, eu-2 at 17");
}

#[test]
fn no_second_copy_lies_where_the_data_must_not_be() {
    let bed = confidential().link("drone", "eu-1", &[(0, 99, 5)]);
    let bed = bed.link("eu-1", "us-1", &[(0, 99, 1)]).link("eu-1", "eu-2", &[(0, 10, 30)]);
    let copy = |bed: &Bed| bed.assigned(0.0, "extract").replica.map(|id| id.to_string());
    assert_eq!(copy(&bed).as_deref(), Some("eu-2"));
    let kept = bed.clone().runs("extract", "eu-1").with("us-1", None);
    assert_eq!(copy(&kept).as_deref(), Some("eu-2"));
    assert_eq!(copy(&bed.down("eu-2")), None);
}

#[test]
fn what_runs_leaves_a_node_that_may_no_longer_see_its_data() {
    let bed = confidential().link("drone", "eu-1", &[(0, 50, 5)]);
    let bed = bed.link("drone", "us-1", &[(0, 99, 2)]).runs("extract", "us-1");
    let assignment = bed.assigned(0.0, "extract");
    assert_eq!(assignment.node, node("eu-1"));
    let because = "leaves us-1: stands in us, the data may be in eu only; reaches ingest until";
    assert!(assignment.because.starts_with(because), "{}", assignment.because);
}

/// `extract` takes 100 KiB from `ingest` within 900 ms. The path has 5 ms, and 1000 kbit/s up to step 49; then it is as
/// said.
fn taking(late_kbps: u32) -> Bed {
    let mut bed = Bed::new().satellites(&["sat-1"]).task(task("extract", &[("ingest", 0.0)]));
    bed = bed.link("drone", "sat-1", &[(0, 99, 5)]);
    for (step, state) in bed.pairs[0].states.iter_mut().enumerate() {
        let state = state.as_mut().expect("always a path");
        state.rate_kbps = if step < 50 { 1_000 } else { late_kbps };
    }
    let after = &mut bed.workflow.tasks[1].after[0];
    (after.kib, after.arrives_within_ms) = (Some(100), Some(900.0));
    bed
}

#[test]
fn what_a_call_takes_must_arrive_in_time() {
    // 819,200 bits take 819.2 ms at 1000 kbit/s, and 1,024 ms at 800 kbit/s.
    let bed = taking(800);
    assert_eq!(
        bed.assigned(0.0, "extract").because,
        "has 100 KiB from ingest within 900 ms until 10:08:10, the only node that can; no node is known to follow"
    );
    let refusal = bed.advised(60.0);
    assert_eq!(
        refusal.nodes[1].to_string(),
        "sat-1: 100 KiB from ingest take 1029 ms, more than 900 ms, at 10:10:00"
    );
    let words: Vec<_> = refusal.alternatives.iter().map(ToString::to_string).collect();
    assert_eq!(words, ["feasible with arrival from ingest >= 1029 ms instead of 900 ms"]);
    let mut relaxed = bed.clone();
    relaxed.workflow.tasks[1].after[0].arrives_within_ms = Some(1029.0);
    assert_eq!(gist(&relaxed.assigned(60.0, "extract")), "sat-1 0-99+");
    // To the microsecond.
    relaxed.workflow.tasks[1].after[0].arrives_within_ms = Some(1028.999);
    assert_eq!(gist(&relaxed.assigned(0.0, "extract")), "sat-1 0-49");
    // On one node nothing has to be sent.
    let here = bed.change("drone", |view| view.capacity.milli_cpu.0 = 5000);
    assert_eq!(here.assigned(60.0, "extract").node, node("drone"));
}

#[test]
fn a_path_must_be_steady_from_step_to_step() {
    let mut bed = taking(1_000);
    for state in bed.pairs[0].states.iter_mut().skip(50).flatten() {
        state.latency.0 += 7_000;
    }
    bed.workflow.tasks[1].after[0].jitter_max_ms = Some(7.0);
    assert_eq!(gist(&bed.assigned(0.0, "extract")), "sat-1 0-99+");
    bed.workflow.tasks[1].after[0].jitter_max_ms = Some(6.0);
    assert_eq!(
        bed.assigned(0.0, "extract").because,
        "changes by at most 6 ms a step to ingest until 10:08:10, the only node that can; no node is known to follow"
    );
    // After it, and in it.
    assert_eq!(gist(&bed.assigned(50.0, "extract")), "sat-1 50-99+");
    let refusal = bed.advised(49.5);
    assert_eq!(
        refusal.nodes[1].to_string(),
        "sat-1: latency to ingest changes by 7 ms in a step, more than 6 ms, at 10:08:15"
    );
    let words: Vec<_> = refusal.alternatives.iter().map(ToString::to_string).collect();
    assert_eq!(words, ["feasible from 10:08:20"]);
    // Another path after a hand-over is no change of a path.
    let bed = bed.satellites(&["sat-2"]).link("drone", "sat-2", &[(0, 99, 60)]);
    assert_eq!(
        gist(&bed.runs("extract", "sat-1").assigned(0.0, "extract")),
        "sat-1 0-49, sat-2 at 46"
    );
}

#[test]
fn what_is_not_sent_never_arrives() {
    let refusal = taking(0).advised(60.0);
    assert_eq!(
        refusal.nodes[1].to_string(),
        "sat-1: 100 KiB from ingest do not arrive in an hour, let alone 900 ms, at 10:10:00"
    );
    assert_eq!(refusal.alternatives, []);
}

#[test]
fn between_two_steps_the_longer_way_and_the_smaller_rate_count() {
    // 819.2 ms and 80 ms before, 682.7 ms and 216 ms after: each would do, but not the worse of both.
    let mut bed = taking(1_200);
    for (step, state) in bed.pairs[0].states.iter_mut().enumerate() {
        let state = state.as_mut().expect("always a path");
        state.latency.0 = if step < 50 { 80_000 } else { 216_000 };
    }
    assert_eq!(gist(&bed.assigned(0.0, "extract")), "sat-1 0-49");
    assert_eq!(gist(&bed.assigned(50.0, "extract")), "sat-1 50-99+");
    let refusal = bed.refused(49.5);
    let words = "sat-1: 100 KiB from ingest take 1035.2 ms, more than 900 ms, at 10:08:15";
    assert_eq!(refusal.nodes[1].to_string(), words);
}

#[test]
fn a_path_must_be_wide_and_good_enough() {
    let mut bed = Bed::new().satellites(&["sat-1"]).task(task("extract", &[("ingest", 20.0)]));
    bed = bed.link("drone", "sat-1", &[(0, 99, 5)]);
    for state in bed.pairs[0].states.iter_mut().skip(50).flatten() {
        (state.rate_kbps, state.loss_ppm) = (1_000, 20_000);
    }
    let after = bed.workflow.tasks[1].after[0].clone();
    let with = |kbps, loss| {
        let mut bed = bed.clone();
        let after = placement::After { bandwidth_min_kbps: kbps, loss_max: loss, ..after.clone() };
        bed.workflow.tasks[1].after[0] = after;
        bed
    };
    let because = |bed: &Bed| bed.assigned(0.0, "extract").because;
    assert_eq!(because(&with(None, None)), "holds beyond 10:16:30, the only node that can");
    assert_eq!(
        because(&with(Some(2_000), Some(0.01))),
        "holds 2000 kbit/s to ingest until 10:08:10, the only node that can; no node is known to follow"
    );
    assert_eq!(
        because(&with(Some(1_000), Some(0.01))),
        "loses at most 1 % to ingest until 10:08:10, the only node that can; no node is known to follow"
    );
    let refusal = with(Some(2_000), None).refused(60.0);
    assert_eq!(refusal.task, task_id("extract"));
    assert_eq!(
        refusal.nodes[1].to_string(),
        "sat-1: bandwidth to ingest 1000 kbit/s falls below 2000 kbit/s at 10:10:00"
    );
    let lossy = with(None, Some(0.01));
    assert_eq!(
        lossy.refused(60.0).nodes[1].to_string(),
        "sat-1: loss to ingest 2 % exceeds 1 % at 10:10:00"
    );
    let words = |bed: &Bed| {
        bed.advised(60.0).alternatives.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        words(&with(Some(2_000), None)),
        ["feasible with bandwidth to ingest <= 1000 kbit/s instead of 2000 kbit/s"]
    );
    assert_eq!(words(&lossy), ["feasible with loss to ingest >= 2 % instead of 1 %"]);
}
