//! Gaia's rules, one by one, and what its experiments saw.

use super::*;

const CPU: ExecutionMode = ExecutionMode::CpuPreferred;
const GPU: ExecutionMode = ExecutionMode::GpuPreferred;

/// A state of Gaia's policy: mode, minutes since the last switch, stored latencies of processor and graphics processor.
fn state(
    mode: ExecutionMode,
    switched_min: Option<u64>,
    cpu_ms: Option<f64>,
    gpu_ms: Option<f64>,
) -> ExecState {
    let switched_at = switched_min.map(|minutes| at_s(NOW_S - 60 * minutes));
    ExecState {
        policy: Policy::GaiaCompat(GaiaRules::default()),
        mode,
        switched_at,
        cpu_ms,
        gpu_ms,
    }
}

/// Latency over the window, and the rates of a minute and of 30 minutes.
fn metrics(
    p95_ms: impl Into<Option<f64>>,
    rate_1min: impl Into<Option<f64>>,
    rate_30min: impl Into<Option<f64>>,
) -> Metrics {
    let p95_ms = p95_ms.into();
    let (rate_1min, rate_30min) = (rate_1min.into(), rate_30min.into());
    Metrics { p95_ms, p95_long_ms: p95_ms, rate_1min, rate_30min }
}

const NOW_S: u64 = 100_000;

fn at_s(seconds: u64) -> Instant {
    Instant::default().plus(Duration::from_secs(seconds))
}

#[track_caller]
fn check(cases: &[(ExecState, Metrics, Action)]) {
    for (state, metrics, expected) in cases {
        let action = decide(state, metrics, &Slo::default(), at_s(NOW_S));
        assert_eq!(action, *expected, "{state:?} {metrics:?}");
    }
}

#[test]
fn the_static_policy_keeps_every_mode_whatever_is_measured() {
    for mode in [ExecutionMode::Cpu, CPU, GPU, ExecutionMode::Gpu] {
        for metrics in [metrics(1e6, 10.0, 10.0), metrics(None, None, None)] {
            let state = ExecState { policy: Policy::Static, ..state(mode, None, Some(1e6), None) };
            check(&[(state, metrics, Action::Keep)]);
        }
    }
}

#[test]
fn what_an_author_fixed_is_never_changed() {
    for mode in [ExecutionMode::Cpu, ExecutionMode::Gpu] {
        let hopeless = state(mode, None, Some(2e5), Some(10.0));
        check(&[(hopeless, metrics(1e6, 10.0, 10.0), Action::Keep)]);
    }
}

#[test]
fn rule_0_gives_a_hopeless_processor_up() {
    let calls = metrics(500.0, 0.5, 0.5);
    check(&[
        (state(CPU, Some(20), Some(100_000.0), Some(900.0)), calls, Action::Promote),
        (state(GPU, Some(20), Some(100_000.0), Some(900.0)), calls, Action::Promote),
        (state(GPU, Some(20), Some(99_999.0), Some(900.0)), calls, Action::Keep),
        // The graphics processor is not better by the gap.
        (state(CPU, Some(20), Some(100_000.0), Some(99_800.0)), calls, Action::Keep),
        (state(CPU, Some(20), Some(100_000.0), None), calls, Action::Keep),
    ]);
    let pinned = state(CPU, None, Some(100_000.0), Some(900.0));
    let after = pinned.after(Action::Promote, &calls, at_s(NOW_S));
    assert_eq!(after.mode, ExecutionMode::Gpu, "for good");
}

#[test]
fn rule_1_lets_latency_decide_only_with_enough_calls() {
    check(&[
        (state(CPU, None, None, None), metrics(5000.0, 0.1, 0.1), Action::Promote),
        (state(CPU, None, None, None), metrics(5000.0, 0.099, 0.1), Action::Keep),
        (state(CPU, None, None, None), metrics(5000.0, None, 0.1), Action::Keep),
        (state(CPU, None, None, None), metrics(None, 1.0, 0.1), Action::Keep),
    ]);
}

#[test]
fn rule_2_promotes_what_breaks_its_objective() {
    let calls = |p95_ms| metrics(p95_ms, 1.0, 1.0);
    check(&[
        (state(CPU, None, None, None), calls(1000.1), Action::Promote),
        (state(CPU, None, None, None), calls(1000.0), Action::Keep),
        // A graphics processor that is known must be better by the gap.
        (state(CPU, Some(30), None, Some(1000.0)), calls(1200.0), Action::Promote),
        (state(CPU, Some(30), None, Some(1000.0)), calls(1199.0), Action::Keep),
        // No dwell: even at once after a switch.
        (state(CPU, Some(0), None, Some(100.0)), calls(1200.0), Action::Promote),
        (state(GPU, Some(30), None, None), calls(5000.0), Action::Keep),
    ]);
}

#[test]
fn rule_3_takes_back_a_recent_switch_that_was_no_gain() {
    let calls = |p95_ms| metrics(p95_ms, 1.0, 1.0);
    check(&[
        (state(GPU, Some(2), Some(500.0), None), calls(300.0), Action::Demote),
        (state(GPU, Some(2), Some(500.0), None), calls(299.0), Action::Keep),
        (state(GPU, Some(1), Some(500.0), None), calls(400.0), Action::Keep),
        (state(GPU, Some(9), Some(500.0), None), calls(400.0), Action::Demote),
        (state(GPU, Some(10), Some(500.0), None), calls(400.0), Action::Keep),
        (state(GPU, Some(2), None, None), calls(400.0), Action::Keep),
        // Also while the objective holds.
        (state(CPU, Some(2), None, Some(300.0)), calls(500.0), Action::Promote),
        (state(CPU, Some(2), None, Some(301.0)), calls(500.0), Action::Keep),
        (state(CPU, None, None, Some(300.0)), calls(500.0), Action::Keep),
    ]);
}

#[test]
fn rule_4_demotes_what_is_idle() {
    let idle = |rate| metrics(None, None, rate);
    check(&[
        (state(GPU, None, None, None), idle(None), Action::Demote),
        (state(GPU, None, None, None), idle(Some(0.009)), Action::Demote),
        (state(GPU, None, None, None), idle(Some(0.01)), Action::Keep),
        (state(GPU, Some(10), Some(1999.0), None), idle(None), Action::Demote),
        (state(GPU, Some(10), Some(2000.0), None), idle(None), Action::Keep),
        (state(GPU, Some(9), None, None), idle(None), Action::Keep),
        (state(CPU, None, None, None), idle(None), Action::Keep),
    ]);
}

#[test]
fn a_switch_remembers_the_worst_latency_of_what_it_leaves() {
    let start = state(CPU, None, Some(3000.0), None);
    let up = start.after(Action::Promote, &metrics(2000.0, 1.0, 1.0), at_s(7));
    assert_eq!((up.mode, up.cpu_ms, up.gpu_ms), (GPU, Some(3000.0), None));
    assert_eq!(up.switched_at, Some(at_s(7)));
    let down = up.after(Action::Demote, &metrics(90.0, 1.0, 1.0), at_s(9));
    assert_eq!((down.mode, down.cpu_ms, down.gpu_ms), (CPU, Some(3000.0), Some(90.0)));
    assert_eq!(down.after(Action::Keep, &Metrics::default(), at_s(11)), down);
}

/// Ticks of 30 s over so many minutes at one rate and one latency for each back end: the seconds of each switch.
fn replay(
    rules: GaiaRules,
    rate: f64,
    cpu_ms: f64,
    gpu_ms: f64,
    minutes: u64,
) -> Vec<(u64, Action)> {
    let mut state =
        ExecState { policy: Policy::GaiaCompat(rules), mode: CPU, ..Default::default() };
    let mut switches = Vec::new();
    for tick in 1..=2 * minutes {
        let now = at_s(30 * tick);
        let p95_ms = if state.mode == CPU { cpu_ms } else { gpu_ms };
        let seen = metrics(p95_ms, rate, rate);
        let action = decide(&state, &seen, &Slo::default(), now);
        if action != Action::Keep {
            switches.push((30 * tick, action));
        }
        state = state.after(action, &seen, now);
    }
    switches
}

/// The workloads of the published evaluation, with their measured means.
#[test]
fn published_workloads_end_where_gaia_took_them() {
    let rules = GaiaRules::default();
    // Waiting is not faster on a graphics processor: taken back after two minutes.
    let idle_wait = replay(rules, 0.4, 2095.0, 2091.0, 30);
    assert_eq!(idle_wait, [(30, Action::Promote), (150, Action::Demote)]);
    let resnet = replay(rules, 5.0, 149.0, 137.0, 30);
    assert_eq!(resnet, []);
    let llm = replay(rules, 0.6, 1577.0, 164.0, 30);
    assert_eq!(llm, [(30, Action::Promote)]);
}

/// Slow calls come seldom: with the usual least rate the function that needs it most is never promoted.
#[test]
fn a_slow_model_is_never_promoted_unless_the_least_rate_is_lowered() {
    let seldom = 1.0 / 16.0;
    assert_eq!(replay(GaiaRules::default(), seldom, 16_000.0, 2100.0, 60), []);
    let lower = GaiaRules { min_rate: 0.05, ..GaiaRules::default() };
    assert_eq!(replay(lower, seldom, 16_000.0, 2100.0, 60), [(30, Action::Promote)]);
}
