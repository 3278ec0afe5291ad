//! What would help where nothing can be placed.

use placement::{Decision, nodes_at};
use topology::SunSeries;
use types::DataClass;

use crate::bed::{Bed, STEPS, at, node, task};

/// So many milliseconds from one step to another.
type Spell = (u32, u32, u32);

/// `extract` within 20 ms of the drone; what the paths to the satellites are like over time.
fn sky(links: &[(&str, &[Spell])]) -> Bed {
    let names: Vec<_> = links.iter().map(|link| link.0).collect();
    let bed = Bed::new().satellites(&names).task(task("extract", &[("ingest", 20.0)]));
    links.iter().fold(bed, |bed, (name, spans)| bed.link("drone", name, spans))
}

#[track_caller]
fn check(bed: &Bed, expected: &[&str]) {
    let refusal = bed.advised(0.0);
    let found: Vec<_> = refusal.alternatives.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "{refusal}");
}

#[test]
fn the_next_pass_and_the_nearest_objective_are_named() {
    let far = (0, 99, 31);
    let bed = sky(&[("sat-1", &[(0, 39, 112), (40, 99, 12)]), ("sat-2", &[far])]);
    check(
        &bed,
        &["feasible from 10:06:40", "feasible with latency to ingest >= 31 ms instead of 20 ms"],
    );
    assert!(matches!(bed.decide(40.0), Decision::Placed(_)));
    assert!(matches!(bed.decide(39.0), Decision::Refused(_)));
}

#[test]
fn a_limit_is_rounded_up_to_what_can_be_read() {
    let mut bed = sky(&[("sat-1", &[(0, 99, 111)])]);
    for state in bed.pairs[0].states.iter_mut().flatten() {
        state.latency.0 += 204;
    }
    check(&bed, &["feasible with latency to ingest >= 112 ms instead of 20 ms"]);
}

#[test]
fn a_pass_that_is_too_short_for_a_run_is_passed_over() {
    // 80 s are needed from the beginning to the end.
    check(&sky(&[("sat-1", &[(10, 15, 12), (30, 38, 12)])]), &["feasible from 10:05:00"]);
    // What would run beyond the end of the plan is not known to do so.
    check(&sky(&[("sat-1", &[(93, 99, 12)])]), &[]);
    check(&sky(&[("sat-1", &[(91, 99, 12)])]), &["feasible from 10:15:10"]);
}

#[test]
fn what_no_time_and_no_objective_changes_has_no_alternative() {
    let bed = sky(&[("sat-1", &[(0, 99, 5)])]);
    let mut big = bed.clone();
    big.workflow.tasks[1].milli_cpu.0 = 4001;
    check(&big, &[]);
    let mut secret = bed.clone();
    secret.workflow.tasks[1].class = Some(DataClass::Restricted);
    check(&secret, &[]);
    check(&bed.without_prediction().down("sat-1"), &[]);
}

#[test]
fn a_battery_that_fills_is_waited_for() {
    let bed = sky(&[("sat-1", &[(0, 99, 5)])]).change("sat-1", |view| {
        view.battery_wh = Some(10.0);
        view.state_of_charge = Some(0.25);
        (view.reserve, view.idle_w, view.solar_w) = (0.3, 9.0, 60.0);
    });
    let lit = |from: u32| {
        let sunlit = (0..STEPS).map(|step| if from <= step { 1.0 } else { 0.0 }).collect();
        Bed { sun: vec![SunSeries { node: node("sat-1"), sunlit }], ..bed.clone() }
    };
    // 57 W in, 9.47 W out: 0.05 of 10 Wh takes 38 s of light.
    check(&lit(0), &["feasible from 10:00:40"]);
    // Four minutes of darkness cost 0.063 first.
    check(&lit(24), &["feasible from 10:05:20"]);
    let snapshot = lit(24).snapshot(0.0).later(at(32.0));
    assert!(snapshot.nodes[1].state_of_charge.is_some_and(|charge| 0.3 < charge));
    assert!(matches!(snapshot.decide(), Decision::Placed(_)));
}

#[test]
fn the_far_future_is_dark_but_not_endless_work() {
    let bed = sky(&[("sat-1", &[(0, 99, 5)])]).change("sat-1", |view| {
        (view.battery_wh, view.state_of_charge) = (Some(10.0), Some(0.9));
        view.idle_w = 1.0;
    });
    let year = bed.snapshot(0.0).later(at(3_000_000.0));
    assert_eq!(year.nodes[1].state_of_charge, Some(0.0));
    let snapshot = bed.snapshot(0.0);
    let view = placement::WorldView {
        now: snapshot.now,
        plan: &snapshot.plan,
        nodes: &snapshot.nodes,
        running: &snapshot.running,
        prediction: snapshot.prediction,
    };
    assert_eq!(nodes_at(&view, at(0.0)), snapshot.nodes);
}
