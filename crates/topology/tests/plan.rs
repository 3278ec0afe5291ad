//! The contact plan: what it answers between grid points, its windows, and their names.

use proptest::prelude::*;
use topology::{
    Arrival, ContactPlan, ContactWindow, LinkNeed, PairSeries, PairState, PathState, PlanError,
    SunSeries,
};
use types::{Epoch, LatencyUs, NodeId, PlanVersion};

const STEP_MS: u32 = 10_000;

fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("test names are names")
}

fn start() -> Epoch {
    Epoch::parse("2026-11-22T10:00:00Z").expect("a time")
}

fn after(steps: f64) -> Epoch {
    start().plus_s(steps * 10.0)
}

fn state(latency_ms: u32) -> PathState {
    PathState { latency: LatencyUs(latency_ms * 1000), rate_kbps: 500, loss_ppm: 0, hops: 2 }
}

/// A plan for `drone` and `sat` from latencies in milliseconds; 0 is no path.
fn plan(first: Epoch, latencies_ms: &[u32]) -> ContactPlan {
    let states = latencies_ms.iter().map(|ms| (*ms != 0).then(|| state(*ms))).collect();
    let pair = PairSeries { a: node("drone"), b: node("sat"), states, confidence_ppm: 1_000_000 };
    let steps = u32::try_from(latencies_ms.len()).expect("short");
    ContactPlan::new(PlanVersion(1), first, STEP_MS, steps, vec![pair], vec![])
        .expect("a good plan")
}

fn within(limit_ms: u32) -> LinkNeed {
    LinkNeed::latency(LatencyUs(limit_ms * 1000))
}

fn whole(plan: &ContactPlan, need: &LinkNeed) -> Vec<ContactWindow> {
    plan.windows(&node("sat"), &node("drone"), (plan.start, plan.end()), need)
}

#[test]
fn between_two_points_the_worse_one_counts() {
    let plan = plan(start(), &[5, 9, 0, 4]);
    let at = |steps: f64| plan.state(&node("sat"), &node("drone"), after(steps));
    assert_eq!(at(0.0), PairState::Path(state(5)));
    assert_eq!(at(0.1), PairState::Path(state(9)));
    assert_eq!(at(1.0), PairState::Path(state(9)));
    assert_eq!(at(1.5), PairState::Down);
    assert_eq!(at(2.5), PairState::Down);
    assert_eq!(at(3.0), PairState::Path(state(4)));
    assert_eq!(at(3.01), PairState::Outside);
    assert_eq!(at(-0.01), PairState::Outside);
    assert_eq!(plan.state(&node("sat"), &node("other"), start()), PairState::Outside);
    assert_eq!(plan.state(&node("sat"), &node("sat"), after(99.0)), PairState::Same);
    assert_eq!(plan.end(), after(3.0));
}

#[test]
fn windows_are_runs_of_points_that_meet_the_need() {
    let plan = plan(start(), &[5, 9, 30, 0, 8, 8, 21, 7]);
    let spans: Vec<_> = whole(&plan, &within(20))
        .into_iter()
        .map(|w| (w.open, w.close, w.open_known, w.close_known, w.latency_max.0 / 1000))
        .collect();
    assert_eq!(
        spans,
        [
            (after(0.0), after(1.0), false, true, 9),
            (after(4.0), after(5.0), true, true, 8),
            (after(7.0), after(7.0), true, false, 7),
        ]
    );
    assert_eq!(whole(&plan, &LinkNeed::default()).len(), 2);
}

#[test]
fn a_window_is_given_whole_when_the_question_touches_it() {
    let plan = plan(start(), &[5, 5, 0, 5, 5, 5, 0]);
    let ask = |from: f64, to: f64| {
        let span = (after(from), after(to));
        plan.windows(&node("drone"), &node("sat"), span, &within(20))
    };
    assert_eq!(ask(3.2, 3.4), ask(5.0, 9.0));
    assert_eq!(ask(3.2, 3.4)[0].open, after(3.0));
    assert_eq!(ask(1.1, 2.9), []);
    let next = |at: f64| {
        let next = plan.next_window(&node("drone"), &node("sat"), after(at), &within(20));
        next.map(|window| window.open)
    };
    assert_eq!(next(0.5), Some(after(0.0)));
    assert_eq!(next(1.5), Some(after(3.0)));
    assert_eq!(next(5.5), None);
}

#[test]
fn a_node_is_always_in_contact_with_itself() {
    let plan = plan(start(), &[0, 0]);
    let windows = plan.windows(&node("sat"), &node("sat"), (start(), after(1.0)), &within(1));
    assert_eq!(windows.len(), 1);
    assert_eq!((windows[0].open, windows[0].close), (start(), after(1.0)));
    assert!(!windows[0].open_known && !windows[0].close_known);
    let unknown = plan.windows(&node("x"), &node("y"), (start(), after(1.0)), &within(1));
    assert_eq!(unknown, []);
}

#[test]
fn rate_and_loss_are_needs_too() {
    let plan = plan(start(), &[5, 5]);
    let need = |rate, loss| LinkNeed {
        latency_max: None,
        rate_kbps_min: Some(rate),
        loss_ppm_max: Some(loss),
        ..LinkNeed::default()
    };
    assert_eq!(whole(&plan, &need(500, 0)).len(), 1);
    assert_eq!(whole(&plan, &need(501, 0)).len(), 0);
}

#[test]
fn an_amount_arrives_by_latency_and_rate() {
    let path = |rate_kbps| PathState { latency: LatencyUs(5000), rate_kbps, loss_ppm: 0, hops: 1 };
    // 8192 bits at 500 kbit/s are 16.384 ms; rounded up at 300 kbit/s.
    assert_eq!(path(500).arrival(1), Some(LatencyUs(21_384)));
    assert_eq!(path(300).arrival(1), Some(LatencyUs(5000 + 27_307)));
    assert_eq!(path(0).arrival(1), None);
    assert_eq!(path(1).arrival(u32::MAX), None);
    assert_eq!(PathState::NONE_NEEDED.arrival(1), Some(LatencyUs(1)));
    let plan = plan(start(), &[5, 5]);
    let need = |within| LinkNeed {
        arrival: Some(Arrival { kib: 1, within: LatencyUs(within) }),
        ..LinkNeed::default()
    };
    let (met, other) = (whole(&plan, &need(21_384)), whole(&plan, &need(21_385)));
    assert_eq!((met.len(), whole(&plan, &need(21_383)).len()), (1, 0));
    // It has a name of its own.
    let any = whole(&plan, &LinkNeed::default());
    assert!(met[0].id != other[0].id && met[0].id != any[0].id);
}

#[test]
fn a_direct_link_is_a_need_and_has_a_name_of_its_own() {
    let over =
        |hops: u16| PathState { latency: LatencyUs(5000), rate_kbps: 500, loss_ppm: 0, hops };
    let states = [1, 1, 2, 3, 1].map(|hops| Some(over(hops))).to_vec();
    let pair = PairSeries { a: node("drone"), b: node("sat"), states, confidence_ppm: 1_000_000 };
    let plan = ContactPlan::new(PlanVersion(1), start(), 10_000, 5, vec![pair], vec![]).unwrap();
    let seconds = |need: &LinkNeed| -> Vec<(f64, f64)> {
        let since = |at: Epoch| at.seconds_since(start());
        whole(&plan, need).iter().map(|w| (since(w.open), since(w.close))).collect()
    };
    assert_eq!(seconds(&LinkNeed::direct()), [(0.0, 10.0), (40.0, 40.0)]);
    let two = LinkNeed { hops_max: Some(2), ..LinkNeed::default() };
    assert_eq!(seconds(&two), [(0.0, 20.0), (40.0, 40.0)]);
    assert_eq!(seconds(&LinkNeed::default()), [(0.0, 40.0)]);
    let ids: Vec<_> = [LinkNeed::direct(), two, LinkNeed::default()]
        .iter()
        .map(|need| whole(&plan, need).pop().unwrap().id)
        .collect();
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
}

#[test]
fn window_names_tell_pair_need_and_close_apart() {
    let plan = plan(start(), &[5, 5, 0, 5, 0]);
    let near = whole(&plan, &within(20));
    let far = whole(&plan, &within(21));
    assert_eq!(near.len(), 2);
    assert_ne!(near[0].id, near[1].id);
    assert_ne!(near[0].id, far[0].id);
    let id = |a: &str, b: &str| topology::window_id(&node(a), &node(b), &within(20), after(1.0));
    assert_eq!(id("drone", "sat"), near[0].id);
    assert_eq!(id("sat", "drone"), near[0].id);
    assert_ne!(id("dron", "esat"), near[0].id);
    // Frozen, and computed by an independent FNV-1a: ids are compared across versions of the program.
    assert_eq!(near[0].id.0, 8_612_403_885_690_872_493);
}

#[test]
fn sunlight_is_linear_between_points() {
    let sun = SunSeries { node: node("sat"), sunlit: vec![1.0, 0.0] };
    let plan = ContactPlan::new(PlanVersion(1), start(), STEP_MS, 2, vec![], vec![sun]).unwrap();
    for (steps, expected) in [(0.0, 1.0), (0.25, 0.75), (1.0, 0.0)] {
        let sunlit = plan.sunlit(&node("sat"), after(steps)).unwrap();
        assert!((f64::from(sunlit) - expected).abs() < 1e-6, "{steps}: {sunlit}");
    }
    assert_eq!(plan.sunlit(&node("sat"), after(1.1)), None);
    assert_eq!(plan.sunlit(&node("drone"), start()), None);
}

#[test]
fn impossible_plans_are_refused() {
    let make = |first: Epoch, step_ms, steps, pairs, sun| {
        ContactPlan::new(PlanVersion(1), first, step_ms, steps, pairs, sun)
            .expect_err("a bad plan")
            .to_string()
    };
    let pair = |a: &str, b: &str, n: usize| PairSeries {
        a: node(a),
        b: node(b),
        states: vec![None; n],
        confidence_ppm: 1_000_000,
    };
    let sun = |n: usize, value| SunSeries { node: node("a"), sunlit: vec![value; n] };
    let bad_grid = "1 to 12000 points, at least 1 ms apart";
    for (message, rule) in [
        (make(start(), 0, 1, vec![], vec![]), bad_grid),
        (make(start(), 1, 0, vec![], vec![]), bad_grid),
        (make(start(), 1, 12_001, vec![], vec![]), bad_grid),
        (
            make(start().plus_s(1.0), STEP_MS, 1, vec![], vec![]),
            "not a multiple of 10000 ms since 1970",
        ),
        (
            make(
                Epoch::from_unix_ns(i64::MAX - i64::MAX % 10_000_000_000),
                STEP_MS,
                2,
                vec![],
                vec![],
            ),
            "2261",
        ),
        (make(start(), STEP_MS, 1, vec![pair("b", "a", 1)], vec![]), "pair b, a is not in order"),
        (make(start(), STEP_MS, 1, vec![pair("a", "a", 1)], vec![]), "pair a, a is not in order"),
        (
            make(start(), STEP_MS, 1, vec![pair("a", "b", 1), pair("a", "b", 1)], vec![]),
            "a, b occurs twice",
        ),
        (
            make(start(), STEP_MS, 2, vec![pair("a", "b", 1)], vec![]),
            "a, b has 1 values for 2 grid points",
        ),
        (make(start(), STEP_MS, 2, vec![], vec![sun(3, 0.5)]), "a has 3 values for 2 grid points"),
        (make(start(), STEP_MS, 1, vec![], vec![sun(1, 1.5)]), "sunlight of a at point 0 is 1.5"),
        (make(start(), STEP_MS, 1, vec![], vec![sun(1, f32::NAN)]), "outside 0 to 1"),
        (make(start(), STEP_MS, 1, vec![], vec![sun(1, 0.0), sun(1, 0.0)]), "a occurs twice"),
    ] {
        assert!(message.contains(rule), "{message}");
    }
    let crowd = (0..255).flat_map(|i| (0..129).map(move |j| (i, j)));
    let crowd = crowd.map(|(i, j)| pair(&format!("a{i}"), &format!("b{j}"), 1)).collect::<Vec<_>>();
    let result = ContactPlan::new(PlanVersion(1), start(), STEP_MS, 1, crowd, vec![]);
    assert!(matches!(result, Err(PlanError::TooLarge { .. })));
}

fn latencies() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(prop_oneof![Just(0_u32), 1_u32..40], 1..60)
}

proptest! {
    #[test]
    fn windows_agree_with_a_scan_of_every_instant(
        latencies in latencies(), limit in 1_u32..40, fine in 1_u32..5
    ) {
        let plan = plan(start(), &latencies);
        let need = within(limit);
        let windows = whole(&plan, &need);
        for pair in windows.windows(2) {
            prop_assert!(pair[0].close < pair[1].open);
        }
        // Several instants per step, grid points among them.
        let count = u32::try_from(latencies.len()).unwrap();
        for instant in 0..=(count - 1) * fine {
            let at = start().plus_s(f64::from(instant) * 10.0 / f64::from(fine));
            let met = plan.state(&node("drone"), &node("sat"), at).path().is_some_and(|s| need.is_met_by(&s));
            let inside = windows.iter().find(|window| window.contains(at));
            prop_assert_eq!(met, inside.is_some(), "{}", at);
            let next = plan.next_window(&node("drone"), &node("sat"), at, &need);
            let expected = windows.iter().find(|window| at <= window.close);
            prop_assert_eq!(next.as_ref(), expected);
        }
        for window in &windows {
            let within_it = plan.windows(&node("drone"), &node("sat"), (window.open, window.close), &need);
            prop_assert_eq!(within_it, std::slice::from_ref(window));
            prop_assert!(window.latency_max <= LatencyUs(limit * 1000));
        }
    }

    #[test]
    fn a_window_keeps_its_name_in_later_plans_on_the_same_grid(
        latencies in latencies(), limit in 1_u32..40, cut in 0_usize..60, more in latencies()
    ) {
        // The later plan starts `cut` steps later and reaches farther.
        let cut = cut % latencies.len();
        let later: Vec<u32> = latencies[cut..].iter().chain(&more).copied().collect();
        let need = within(limit);
        let old = plan(start(), &latencies);
        let new = plan(old.time_of(u32::try_from(cut).unwrap()), &later);
        let new_windows = whole(&new, &need);
        for window in whole(&old, &need) {
            if window.close_known && new.start <= window.close {
                let same = new_windows.iter().find(|other| other.id == window.id).unwrap();
                prop_assert_eq!(same.close, window.close);
                prop_assert!(same.close_known);
                prop_assert_eq!(same.open, window.open.max(new.start));
            }
        }
    }

    #[test]
    fn the_order_of_series_changes_nothing(latencies in latencies()) {
        let states = latencies.iter().map(|ms| (*ms != 0).then(|| state(*ms))).collect::<Vec<_>>();
        let pair = |a: &str, b: &str| PairSeries { a: node(a), b: node(b), states: states.clone(), confidence_ppm: 1_000_000 };
        let steps = u32::try_from(latencies.len()).unwrap();
        let make = |pairs| ContactPlan::new(PlanVersion(1), start(), STEP_MS, steps, pairs, vec![]);
        prop_assert_eq!(
            make(vec![pair("a", "b"), pair("a", "c"), pair("b", "c")]),
            make(vec![pair("b", "c"), pair("a", "b"), pair("a", "c")])
        );
    }
}
