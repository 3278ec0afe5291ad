//! The report of a demo: what was seen, from outside, in numbers.

use std::collections::BTreeMap;

use controller::api::{Handover, LinkSampleInfo};
use orbit::Sky;
use serde::Serialize;
use types::{Epoch, NodeId};

use crate::checker::Verdict;

/// A measured round trip is as predicted within this, ms …
pub const RTT_TOLERANCE_MS: f64 = 2.0;
/// … or within this share of the prediction.
pub const RTT_TOLERANCE_SHARE: f64 = 0.10;

/// The exact sky is computed for so many moments at most, some milliseconds each: all of the first minutes, and every
/// second, third … one of longer runs.
const MOMENTS_MAX: usize = 4_000;

/// One object with everything.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Of the demo.
    pub seed: u64,
    /// Its name.
    pub constellation: String,
    /// Predicted satellites, with and without an agent.
    pub satellites: usize,
    /// Sky seconds per wall second.
    pub speed: f64,
    /// Elevation mask, degrees.
    pub min_elevation_deg: f64,
    /// Whether the future was an input.
    pub prediction: bool,
    /// The sky at the first and at the last look.
    pub sky_from: Epoch,
    /// See `sky_from`.
    pub sky_until: Epoch,
    /// Wall time from the last node's first report to the end of watching, s.
    pub wall_seconds: f64,
    /// Whether the user ended it.
    pub stopped_early: bool,
    /// Nodes that were heard at least once.
    pub nodes_reporting: usize,
    /// Runs that completed and found the known targets.
    pub workflows_completed: u64,
    /// Runs that failed or found something else.
    pub workflows_failed: u64,
    /// Why, one line each.
    pub workflow_failures: Vec<String>,
    /// Wall time of a completed run, ms.
    pub workflow_ms: Percentiles,
    /// Planned moves, by time.
    pub handovers: Vec<Move>,
    /// Those that were decided, prefetched and taken over before the predicted close.
    pub handovers_before_close: usize,
    /// Moves after a broken limit (with `--no-prediction`).
    pub reactive_moves: Vec<Move>,
    /// Moves forced by a lost node.
    pub failovers: Vec<Move>,
    /// What was done to the fleet.
    pub faults: Vec<FaultRecord>,
    /// Writes that an agent acknowledged, by the independent checker. Each of them is counted in one of the next four.
    pub state_writes_acknowledged: u64,
    /// Those whose place a write of the same key with a higher version took.
    pub state_writes_superseded: u64,
    /// Outputs of runs that are older than agents promise to keep them; lasting state never expires.
    pub state_writes_expired: u64,
    /// Outputs of runs within their promise that were not read, since only the newest are.
    pub state_writes_unchecked: u64,
    /// Those that were judged: read back, or lost or out of reach.
    pub state_writes_checked: u64,
    /// Of the checked: those that no node has, or that a later owner went on without.
    pub state_lost: usize,
    /// Which, one line each.
    pub state_lost_objects: Vec<String>,
    /// Of the checked: those that no node has that could be asked, while others did not answer.
    pub state_unreachable: usize,
    /// Which and why, one line each.
    pub state_unreachable_objects: Vec<String>,
    /// Keys for which two nodes acknowledged different values under one version.
    pub state_forked: usize,
    /// Runs whose functions saw an older state than a run before them, one line each.
    pub state_went_back: Vec<String>,
    /// Calls with inputs or state of which everything was there when they started.
    pub state_local_at_start_ratio: f64,
    /// Sky seconds in which a running task's host broke a latency limit, over all tasks; in runs of hours by sampling.
    pub slo_violation_run_seconds: f64,
    /// Measured against predicted round trips.
    pub link_rtt_error_ms: RttErrors,
    /// Proportional set size of each agent, largest seen, MiB.
    pub agent_pss_mib: BTreeMap<NodeId, f64>,
    /// Busy cores of all processes of the bed, mean.
    pub cpu_load: f64,
    /// Processors that share it.
    pub cpus: usize,
}

/// A move of a function.
#[derive(Clone, Debug, Serialize)]
pub struct Move {
    /// The task.
    pub function: String,
    /// Old host.
    pub from: NodeId,
    /// New host.
    pub to: NodeId,
    /// The window whose close made it necessary.
    pub window_id: Option<String>,
    /// When that window closes.
    pub predicted_close: Option<Epoch>,
    /// When it was decided.
    pub decided_at: Epoch,
    /// When code and state were at the new host.
    pub prefetch_done_at: Option<Epoch>,
    /// When the new host owned function and state.
    pub took_over_at: Option<Epoch>,
    /// When the new host was first called; `null` if it never was.
    pub first_call_at: Option<Epoch>,
    /// In words.
    pub reason: String,
    /// From the last report of a lost node to the decision, wall ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detection_ms: Option<u64>,
}

impl From<&Handover> for Move {
    fn from(handover: &Handover) -> Self {
        Self {
            function: handover.function.to_string(),
            from: handover.from.clone(),
            to: handover.to.clone(),
            window_id: handover.window_id.clone(),
            predicted_close: handover.predicted_close,
            decided_at: handover.decided_at,
            prefetch_done_at: handover.prefetch_done_at,
            took_over_at: handover.took_over_at,
            first_call_at: handover.first_call_at,
            reason: handover.reason.clone(),
            detection_ms: handover.detection_ms,
        }
    }
}

impl Move {
    /// Decided, prefetched and taken over before the window closed: its state has moved by then.
    pub fn is_before_close(&self) -> bool {
        let steps = [Some(self.decided_at), self.prefetch_done_at, self.took_over_at];
        let is_before = |close| steps.iter().all(|step| step.is_some_and(|at| at < close));
        self.predicted_close.is_some_and(is_before)
    }
}

/// A fault that was injected.
#[derive(Clone, Debug, Serialize)]
pub struct FaultRecord {
    /// When (sky).
    pub at: Epoch,
    /// What.
    pub what: String,
    /// To whom.
    pub node: NodeId,
}

/// Median and tail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// How many.
    pub samples: usize,
}

/// Errors of round trips, ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct RttErrors {
    /// Median of the absolute error.
    pub p50: f64,
    /// 95th percentile of it.
    pub p95: f64,
    /// Answered probes with a predicted path.
    pub samples: usize,
    /// Share of them within max(2 ms, 10 %).
    pub within_tolerance_ratio: f64,
    /// Probes without an answer.
    pub unanswered: usize,
    /// Answered probes of pairs without a predicted path (routed round over other pairs).
    pub unpredicted: usize,
    /// Probes that were not compared: of longer runs only every second, third … moment is.
    pub uncompared: usize,
}

/// The value below which a share of all values lies (nearest rank); 0 of none.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rank within the slice"
    )]
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// Median and tail of values in any order.
pub fn percentiles(values: impl IntoIterator<Item = f64>) -> Percentiles {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    Percentiles {
        p50: percentile(&sorted, 0.50),
        p95: percentile(&sorted, 0.95),
        samples: sorted.len(),
    }
}

/// Compares measured round trips with what the elements predict, on a grid of `grid_s` sky seconds.
pub fn rtt_errors(sky: &Sky, samples: &[LinkSampleInfo], grid_s: f64) -> RttErrors {
    let mut by_moment: BTreeMap<Epoch, Vec<&LinkSampleInfo>> = BTreeMap::new();
    for sample in samples {
        by_moment.entry(snapped(sample.at, grid_s)).or_default().push(sample);
    }
    let by_moment = thinned(by_moment, MOMENTS_MAX);
    let moments: Vec<Epoch> = by_moment.keys().copied().collect();
    let predicted = on_two_threads(sky, &moments);
    let mut errors = Vec::new();
    let compared: usize = by_moment.values().map(Vec::len).sum();
    let mut out = RttErrors { uncompared: samples.len() - compared, ..RttErrors::default() };
    let mut within = 0_usize;
    for (pairs, samples) in predicted.iter().zip(by_moment.values()) {
        for sample in samples {
            let Some(rtt_us) = sample.rtt_us else {
                out.unanswered += 1;
                continue;
            };
            let Some(one_way_ms) = latency_ms(pairs, &sample.node, &sample.peer) else {
                out.unpredicted += 1;
                continue;
            };
            let expected_ms = 2.0 * one_way_ms;
            let error = (f64::from(rtt_us) / 1000.0 - expected_ms).abs();
            within += usize::from(error <= RTT_TOLERANCE_MS.max(RTT_TOLERANCE_SHARE * expected_ms));
            errors.push(error);
        }
    }
    let spread = percentiles(errors);
    (out.p50, out.p95, out.samples) = (spread.p50, spread.p95, spread.samples);
    #[expect(clippy::cast_precision_loss, reason = "counts of samples")]
    {
        out.within_tolerance_ratio = within as f64 / spread.samples.max(1) as f64;
    }
    out
}

/// A need of a running task at one moment: its host, the other end, and the limit in ms.
#[derive(Clone, Debug)]
pub struct RunningNeed {
    /// The sky.
    pub at: Epoch,
    /// How long it counts, sky seconds.
    pub for_s: f64,
    /// The host.
    pub host: NodeId,
    /// Predecessor's host or data source.
    pub other: NodeId,
    /// One-way limit, ms.
    pub limit_ms: f64,
}

/// Sky seconds in which a running task's host broke a limit on the exact sky.
pub fn violation_seconds(sky: &Sky, needs: &[RunningNeed], grid_s: f64) -> f64 {
    let mut by_moment: BTreeMap<Epoch, Vec<&RunningNeed>> = BTreeMap::new();
    for need in needs {
        by_moment.entry(snapped(need.at, grid_s)).or_default().push(need);
    }
    let seconds_of = |by_moment: &BTreeMap<Epoch, Vec<&RunningNeed>>| -> f64 {
        by_moment.values().flatten().map(|need| need.for_s).sum()
    };
    let all_s = seconds_of(&by_moment);
    let by_moment = thinned(by_moment, MOMENTS_MAX);
    let looked_at_s = seconds_of(&by_moment);
    let moments: Vec<Epoch> = by_moment.keys().copied().collect();
    let predicted = on_two_threads(sky, &moments);
    let broken_s: f64 = predicted
        .iter()
        .zip(by_moment.values())
        .flat_map(|(pairs, needs)| needs.iter().map(move |need| (pairs, need)))
        .filter(|(pairs, need)| {
            latency_ms(pairs, &need.host, &need.other).is_none_or(|ms| need.limit_ms < ms)
        })
        .map(|(_, need)| need.for_s)
        // An empty sum would be -0.
        .fold(0.0, |sum, seconds| sum + seconds);
    if 0.0 < looked_at_s && looked_at_s < all_s { broken_s * all_s / looked_at_s } else { broken_s }
}

/// Every n-th moment, so that at most `max` are left.
fn thinned<T>(by_moment: BTreeMap<Epoch, T>, max: usize) -> BTreeMap<Epoch, T> {
    let every = by_moment.len().div_ceil(max).max(1);
    by_moment.into_iter().step_by(every).collect()
}

fn snapped(at: Epoch, grid_s: f64) -> Epoch {
    #[expect(clippy::cast_possible_truncation, reason = "a grid of milliseconds to minutes")]
    let grid_ns = ((grid_s * 1e9) as i64).max(1);
    let ns = at.unix_ns();
    Epoch::from_unix_ns(ns - ns.rem_euclid(grid_ns) + grid_ns / 2)
}

fn on_two_threads(sky: &Sky, moments: &[Epoch]) -> Vec<Vec<orbit::PairNow>> {
    let (first, second) = moments.split_at(moments.len() / 2);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| sky.plan_slice(second));
        let mut all = sky.plan_slice(first);
        all.extend(other.join().expect("prediction does not panic"));
        all
    })
}

fn latency_ms(pairs: &[orbit::PairNow], a: &NodeId, b: &NodeId) -> Option<f64> {
    if a == b {
        return Some(0.0);
    }
    let (a, b) = if a < b { (a, b) } else { (b, a) };
    let pair = pairs.iter().find(|pair| pair.a == *a && pair.b == *b)?;
    pair.state.map(|state| state.latency.as_ms())
}

/// Takes over what the checker found.
pub fn take_verdict(report: &mut Report, verdict: &Verdict) {
    report.state_writes_acknowledged = verdict.acknowledged;
    report.state_writes_superseded = verdict.superseded;
    report.state_writes_expired = verdict.expired;
    report.state_writes_unchecked = verdict.unchecked;
    report.state_writes_checked = verdict.checked;
    report.state_lost = verdict.lost.len();
    report.state_lost_objects.clone_from(&verdict.lost);
    report.state_unreachable = verdict.unreachable.len();
    report.state_unreachable_objects.clone_from(&verdict.unreachable);
    report.state_forked = verdict.forked.len();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_take_the_nearest_rank() {
        let values = percentiles((1..=100).map(f64::from));
        assert_eq!((values.p50, values.p95, values.samples), (50.0, 95.0, 100));
        assert_eq!(percentiles([]).samples, 0);
    }

    #[test]
    fn of_long_runs_every_nth_moment_is_looked_at() {
        let moments = |count| -> BTreeMap<Epoch, i64> {
            (0..count).map(|s| (Epoch::from_unix_s(s).unwrap(), s)).collect()
        };
        for (count, left) in [(0, vec![]), (3, vec![0, 1, 2]), (4, vec![0, 2]), (7, vec![0, 3, 6])]
        {
            assert_eq!(thinned(moments(count), 3).into_values().collect::<Vec<_>>(), left);
        }
    }

    #[test]
    fn a_move_counts_as_before_close_only_when_all_of_it_was() {
        let at = |s| Epoch::from_unix_s(s).unwrap();
        let check = |decided, prefetched: Option<i64>, took_over: Option<i64>, expected| {
            let one = Move {
                function: "f".to_owned(),
                from: NodeId::new("a").unwrap(),
                to: NodeId::new("b").unwrap(),
                window_id: None,
                predicted_close: Some(at(100)),
                decided_at: at(decided),
                prefetch_done_at: prefetched.map(at),
                took_over_at: took_over.map(at),
                first_call_at: None,
                reason: String::new(),
                detection_ms: None,
            };
            assert_eq!(one.is_before_close(), expected, "{one:?}");
            assert!(!Move { predicted_close: None, ..one }.is_before_close());
        };
        check(50, Some(60), Some(99), true);
        check(50, Some(60), Some(100), false);
        check(50, Some(100), Some(101), false);
        check(100, Some(101), Some(102), false);
        check(50, Some(60), None, false);
        check(50, None, Some(60), false);
    }
}
