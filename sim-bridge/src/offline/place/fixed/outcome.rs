//! What is counted of a run.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

/// Why a task was not placed, in words: ours, or those of a policy that has its own.
pub type Reason = Cow<'static, str>;

/// How a policy did on one workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The policy.
    pub policy: String,
    /// All of it in a few numbers.
    pub summary: Summary,
    /// Each workflow, in the order of their arrival.
    pub workflows: Vec<FlowTold>,
    /// How long decisions took; all that differs between two runs of the same seed.
    pub timing: Timing,
}

/// A run in a few numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// How many were submitted.
    pub workflows: usize,
    /// How many ended.
    pub finished: usize,
    /// How many of these met all objectives from the first to the last moment, and their deadline.
    pub good: usize,
    /// How many ended after their deadline.
    pub late: usize,
    /// Good workflows per hour of submissions.
    pub goodput_per_h: f64,
    /// Workflows that were given up since a task found no host, by the reason of the last refusal.
    pub unplaced: BTreeMap<Reason, usize>,
    /// Workflows that were lost since the battery of a host was empty.
    pub power_lost: usize,
    /// Workflows that had not ended when the run did.
    pub unfinished: usize,
    /// Seconds of runs in which an objective was violated.
    pub violation_s: f64,
    /// Tasks with any such second.
    pub tasks_violated: usize,
    /// Tasks that ran or were to.
    pub tasks: usize,
    /// Of the workflows that ended, the mean of the sum over tasks of the longest latency of the inputs when the task started, ms.
    pub latency_ms: Option<f64>,
    /// Of the workflows that ended, the mean time from submission to the end, seconds.
    pub makespan_s: Option<f64>,
    /// What tasks drew from batteries beyond what idling draws, Wh.
    pub battery_wh: f64,
    /// The same for each good workflow: what others drew in vain is borne by these.
    pub battery_wh_per_good: Option<f64>,
    /// The lowest charge of any satellite until one turn of the orbit after the last task, 0 to 1.
    pub min_state_of_charge: f64,
    /// Satellites that were below their reserve until then.
    pub below_reserve: usize,
    /// Tasks on boards that were as hot as they must not be while the task ran.
    pub over_temperature: usize,
    /// Hand-overs of running tasks.
    pub hand_overs: usize,
    /// Times that a task came to a node that could not carry it beside what ran there: a fault of the driver or of a policy.
    pub oversubscribed: usize,
}

/// What became of a workflow.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FlowTold {
    /// Its kind.
    pub kind: &'static str,
    /// By what its latencies were multiplied.
    pub strictness: f64,
    /// Whether it belonged to a burst.
    pub is_burst: bool,
    /// Where it began, by the number of the node.
    pub edge: u32,
    /// The satellite with its data, by number.
    pub data: u32,
    /// When it was submitted, seconds since the start.
    pub submitted_s: f64,
    /// When it ended; absent for one that did not.
    pub finished_s: Option<f64>,
    /// What became of it.
    pub end: End,
    /// Why it was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What its tasks drew from batteries beyond what idling draws, Wh.
    pub battery_wh: f64,
    /// Its tasks that started.
    pub tasks: Vec<TaskTold>,
}

/// What became of a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// All objectives were met, and the deadline.
    Good,
    /// An objective was violated, or the deadline passed.
    Broken,
    /// A task found no host.
    Unplaced,
    /// The battery of a host was empty.
    PowerLost,
    /// The run ended first.
    Unfinished,
}

/// What became of a task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskTold {
    /// Its name.
    pub task: &'static str,
    /// When its inputs had arrived, seconds since the start.
    pub start_s: f64,
    /// When it ended or was to end.
    pub end_s: f64,
    /// Where it ran, one node after the other.
    pub stays: Vec<StayTold>,
    /// The longest latency of its inputs at the start, ms.
    pub latency_ms: f64,
    /// Seconds in which an objective was violated.
    pub violation_s: f64,
    /// Whether the board was as hot as it must not be.
    pub is_hot: bool,
}

/// That a task was on a node until it came to the next one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StayTold {
    /// The node, by number.
    pub node: u32,
    /// Since when, seconds since the start.
    pub from_s: f64,
}

/// How long decisions took, those that failed included.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Timing {
    /// How many there were.
    pub decisions: usize,
    /// The median, microseconds.
    pub p50_us: u64,
    /// What 99 of 100 stay within, microseconds.
    pub p99_us: u64,
}

impl Timing {
    /// Of the time of each decision, microseconds.
    pub fn of(mut all_us: Vec<u64>) -> Self {
        all_us.sort_unstable();
        let at = |percent: usize| {
            let rank = (all_us.len() * percent).div_ceil(100).saturating_sub(1);
            all_us.get(rank).copied().unwrap_or(0)
        };
        Self { decisions: all_us.len(), p50_us: at(50), p99_us: at(99) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_that_so_many_stay_within() {
        let timing = Timing::of((1..=200).rev().collect());
        assert_eq!((timing.p50_us, timing.p99_us), (100, 198));
        assert_eq!(Timing::of(vec![]), Timing::default());
    }
}
