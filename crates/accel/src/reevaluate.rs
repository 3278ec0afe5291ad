//! Whether a function should change the back end that executes it, from how its last calls went (accel: Gaia).
//!
//! [`decide`] looks and says; [`ExecState::after`] remembers. Policies: [`Policy::Static`] keeps what there is, and is the
//! one in use, since no node has a second back end yet; [`Policy::GaiaCompat`] is Gaia's rules as published, flaws included:
//! they look at one tick, and a stored latency never decays.

use std::time::Duration;

use types::{ExecutionMode, Instant};

/// What to do with a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Keep,
    /// To a graphics processor. Where it runs on one already: for good.
    Promote,
    /// Back to the processor.
    Demote,
}

/// By which rules.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Policy {
    /// What was identified at deployment holds.
    #[default]
    Static,
    /// Gaia's rules 0 to 4.
    GaiaCompat(GaiaRules),
}

/// The numbers of Gaia's rules.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GaiaRules {
    /// A back end must be better by so much, ms.
    pub gap_ms: f64,
    /// Below this rate latency decides nothing, calls per second.
    pub min_rate: f64,
    /// Below this rate a function is idle, calls per second.
    pub idle_rate: f64,
    /// So long after a switch latency decides nothing.
    pub cold_wait: Duration,
}

impl Default for GaiaRules {
    /// As in the experiments: 200 ms, 0.1/s, 0.01/s, 2 minutes.
    fn default() -> Self {
        let cold_wait = Duration::from_secs(120);
        Self { gap_ms: 200.0, min_rate: 0.1, idle_rate: 0.01, cold_wait }
    }
}

/// A processor this slow is given up for good: the top bucket of Gaia's histogram, ms.
const HOPELESS_MS: f64 = 100_000.0;
/// Gaia counts whole minutes since a switch.
const MINUTE_S: u64 = 60;

/// What is known of the execution of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ExecState {
    /// The rules that apply.
    pub policy: Policy,
    /// The mode now. Only the preferred ones are ever re-evaluated.
    pub mode: ExecutionMode,
    /// The last switch; `None`: never.
    pub switched_at: Option<Instant>,
    /// The highest 95th percentile on the processor as of any switch away from it, ms.
    pub cpu_ms: Option<f64>,
    /// The same on a graphics processor, ms.
    pub gpu_ms: Option<f64>,
}

/// What was measured. What is not known is `None`, and decides nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Metrics {
    /// 95th percentile of wall time on the present back end over the objective's window, ms.
    pub p95_ms: Option<f64>,
    /// The same over the long window, 500 minutes in Gaia: what is stored at a switch, ms.
    pub p95_long_ms: Option<f64>,
    /// Calls per second over the last minute.
    pub rate_1min: Option<f64>,
    /// Calls per second over the last 30 minutes.
    pub rate_30min: Option<f64>,
}

/// What the calls of a function must keep to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slo {
    /// 95th percentile of wall time, ms.
    pub latency_ms: f64,
    /// What is tolerated on the processor while the function is idle, ms.
    pub low_rate_latency_ms: f64,
    /// Over so long; also how long a switch counts as recent.
    pub window: Duration,
}

impl Default for Slo {
    /// Gaia's: 1 s, 2 s, 10 minutes.
    fn default() -> Self {
        let window = Duration::from_secs(600);
        Self { latency_ms: 1000.0, low_rate_latency_ms: 2000.0, window }
    }
}

/// What to do, seen at `now`.
pub fn decide(state: &ExecState, metrics: &Metrics, slo: &Slo, now: Instant) -> Action {
    match (state.policy, state.mode) {
        (Policy::Static, _) | (_, ExecutionMode::Cpu | ExecutionMode::Gpu) => Action::Keep,
        (Policy::GaiaCompat(rules), ExecutionMode::CpuPreferred | ExecutionMode::GpuPreferred) => {
            gaia(&rules, state, metrics, slo, now)
        }
    }
}

/// Gaia's rules; the first that matches decides.
fn gaia(
    rules: &GaiaRules,
    state: &ExecState,
    metrics: &Metrics,
    slo: &Slo,
    now: Instant,
) -> Action {
    let on_cpu = state.mode == ExecutionMode::CpuPreferred;
    let since = state.switched_at.map(|at| whole_minutes(now.saturating_since(at)));
    // Rule 0.
    if rules.is_hopeless(state) {
        return Action::Promote;
    }
    // Rule 1: with too few calls latency decides nothing.
    let is_busy = metrics.rate_1min.is_some_and(|rate| rules.min_rate <= rate);
    if let Some(now_ms) = metrics.p95_ms.filter(|_| is_busy) {
        // Rule 2.
        let gpu_pays = state.gpu_ms.is_none_or(|gpu_ms| gpu_ms + rules.gap_ms <= now_ms);
        if on_cpu && slo.latency_ms < now_ms && gpu_pays {
            return Action::Promote;
        }
        // Rule 3: a recent switch was no gain.
        if since.is_some_and(|since| rules.cold_wait <= since && since < slo.window) {
            let cpu_was_as_good = state.cpu_ms.is_some_and(|cpu| cpu <= now_ms + rules.gap_ms);
            if !on_cpu && cpu_was_as_good {
                return Action::Demote;
            }
            let gpu_was_better = state.gpu_ms.is_some_and(|gpu| gpu <= now_ms - rules.gap_ms);
            if on_cpu && gpu_was_better {
                return Action::Promote;
            }
        }
    }
    // Rule 4: idle, and the processor will do.
    let has_settled = since.is_none_or(|since| slo.window <= since);
    let is_idle = metrics.rate_30min.is_none_or(|rate| rate < rules.idle_rate);
    let cpu_will_do = state.cpu_ms.is_none_or(|cpu_ms| cpu_ms < slo.low_rate_latency_ms);
    if !on_cpu && has_settled && is_idle && cpu_will_do {
        return Action::Demote;
    }
    Action::Keep
}

impl GaiaRules {
    /// The processor is out of the question, and a graphics processor is known to be better.
    fn is_hopeless(&self, state: &ExecState) -> bool {
        match (state.cpu_ms, state.gpu_ms) {
            (Some(cpu_ms), Some(gpu_ms)) => HOPELESS_MS <= cpu_ms && gpu_ms < cpu_ms - self.gap_ms,
            _ => false,
        }
    }
}

impl ExecState {
    /// The state once `action` is done at `now`; the latency of what is left is remembered.
    #[must_use]
    pub fn after(self, action: Action, metrics: &Metrics, now: Instant) -> Self {
        let is_final = matches!(self.policy, Policy::GaiaCompat(rules) if rules.is_hopeless(&self));
        let switched = Self { switched_at: Some(now), ..self };
        match (action, self.mode) {
            (Action::Promote, ExecutionMode::CpuPreferred) => Self {
                mode: if is_final { ExecutionMode::Gpu } else { ExecutionMode::GpuPreferred },
                cpu_ms: highest(self.cpu_ms, metrics.p95_long_ms),
                ..switched
            },
            (Action::Promote, ExecutionMode::GpuPreferred) => {
                Self { mode: ExecutionMode::Gpu, ..self }
            }
            (Action::Demote, ExecutionMode::GpuPreferred) => Self {
                mode: ExecutionMode::CpuPreferred,
                gpu_ms: highest(self.gpu_ms, metrics.p95_long_ms),
                ..switched
            },
            (Action::Keep | Action::Promote | Action::Demote, _) => self,
        }
    }
}

fn highest(stored: Option<f64>, now: Option<f64>) -> Option<f64> {
    match (stored, now) {
        (Some(stored), Some(now)) => Some(stored.max(now)),
        (stored, now) => stored.or(now),
    }
}

fn whole_minutes(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs() / MINUTE_S * MINUTE_S)
}

#[cfg(test)]
mod tests;
