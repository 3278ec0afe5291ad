//! How a policy did, in the numbers in which the published results were given.

use placement::{Latencies, Origin, Step};
use serde::Serialize;

use super::fixture::Fixture;
use super::published_sky::PublishedSky;
use super::run::{Decided, Flow, input_latencies_ms};

/// A policy on one size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Mean over the workflows of the sum of latencies from predecessors, when each task was placed, ms; absent where a task has none.
    pub wf_pred_ms: Option<f64>,
    /// The same with the longer one of predecessor and data, ms.
    pub wf_max_ms: Option<f64>,
    /// Tasks that met all objectives when they were placed.
    pub slo_met_at_placement: usize,
    /// Minutes of runs that were watched: each from the minute of placement to the end on 64-bit ARM, both included.
    pub run_minutes: usize,
    /// Of these, how many violated an objective on the node that had the task then.
    pub run_minutes_violated: usize,
    /// Tasks with any such minute.
    pub tasks_violated: usize,
    /// Satellites left above the recommended temperature, in the published model of heat.
    pub over_recommended: usize,
    /// Satellites left above the highest temperature, in the published model of heat.
    pub over_max: usize,
    /// The lowest charge of any battery; absent, since the published scenario has none.
    pub min_state_of_charge: Option<f64>,
}

impl Summary {
    pub(super) fn of(
        fixture: &Fixture,
        sky: &PublishedSky,
        flows: &[Flow],
        decisions: &[Decided],
    ) -> Self {
        let mut latencies = Latencies::new(sky);
        let watched: Vec<_> =
            tasks(flows).map(|at| watch(fixture, flows, at, &mut latencies)).collect();
        let met = |at: &(usize, usize)| {
            meets(&flows[at.0], at.1, flows[at.0].job.tasks[at.1].start, &mut latencies)
        };
        let slo_met_at_placement = tasks(flows).filter(met).count();
        let heat = temperatures(fixture, flows);
        Self {
            wf_pred_ms: mean_sum_ms(flows.len(), decisions, |one| one.pred_latency_ms),
            wf_max_ms: mean_sum_ms(flows.len(), decisions, |one| {
                Some(one.pred_latency_ms?.max(one.data_latency_ms.unwrap_or(0.0)))
            }),
            slo_met_at_placement,
            run_minutes: watched.iter().map(|(minutes, _)| minutes).sum(),
            run_minutes_violated: watched.iter().map(|(_, violated)| violated).sum(),
            tasks_violated: watched.iter().filter(|(_, violated)| *violated != 0).count(),
            over_recommended: heat.iter().filter(|(over, _)| *over).count(),
            over_max: heat.iter().filter(|(_, over)| *over).count(),
            min_state_of_charge: None,
        }
    }
}

/// Workflow and number of each task that was decided.
fn tasks(flows: &[Flow]) -> impl Iterator<Item = (usize, usize)> {
    let of = |(workflow, flow): (usize, &Flow)| {
        let decided = flow.job.tasks.iter().enumerate().filter(|(_, task)| !task.inputs.is_empty());
        decided.map(move |(task, _)| (workflow, task)).collect::<Vec<_>>()
    };
    flows.iter().enumerate().flat_map(of)
}

fn mean_sum_ms(
    workflows: usize,
    decisions: &[Decided],
    of: impl Fn(&Decided) -> Option<f64>,
) -> Option<f64> {
    let sum: f64 = decisions.iter().map(of).sum::<Option<f64>>()?;
    #[expect(clippy::cast_precision_loss, reason = "a handful of workflows")]
    let workflows = workflows as f64;
    (0.0 < workflows).then(|| sum / workflows)
}

/// Minutes of the run of a task, and how many violate an objective.
fn watch(
    fixture: &Fixture,
    flows: &[Flow],
    (workflow, task): (usize, usize),
    latencies: &mut Latencies<'_>,
) -> (usize, usize) {
    let spec = &fixture.workload.tasks[task];
    let run_s = spec.exec_ms.arm64.unwrap_or(0.0) / 1000.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "minutes of a run")]
    let steps = (run_s / fixture.workload.minute_step_s).ceil() as Step;
    let flow = &flows[workflow];
    let start = flow.job.tasks[task].start;
    let steps: Vec<_> = (start..=start.saturating_add(steps)).collect();
    let violated = steps.iter().filter(|step| !meets(flow, task, **step, latencies)).count();
    (steps.len(), violated)
}

/// Whether all objectives of a task hold at a step, on the node that has it then.
fn meets(flow: &Flow, task: usize, step: Step, latencies: &mut Latencies<'_>) -> bool {
    let (pred_ms, data_ms) = input_latencies_ms(flow, task, step, latencies);
    flow.job.tasks[task].inputs.iter().all(|input| {
        let latency_ms = match input.origin {
            Origin::Task(_) => pred_ms,
            Origin::Node(_) => data_ms,
        };
        input.latency_max_ms.is_none_or(|limit_ms| latency_ms.is_some_and(|ms| ms <= limit_ms))
    })
}

/// For each satellite that a task was placed on: whether it is above the recommended temperature, and the highest one, after its last task.
fn temperatures(fixture: &Fixture, flows: &[Flow]) -> Vec<(bool, bool)> {
    let mut last = std::collections::BTreeMap::new();
    for (workflow, task) in tasks(flows) {
        let of = &flows[workflow].job.tasks[task];
        for stay in &of.stays {
            let node = stay.node.index();
            let Some(heat) = fixture.heat.get(node).and_then(Option::as_ref) else { continue };
            let after_c = heat.after_c(of.run_s(fixture.nodes[node].arch), of.needs.milli_cpu.0);
            let newest = last.entry(node).or_insert((stay.from, (false, false)));
            if newest.0 <= stay.from {
                *newest = (stay.from, (heat.recommended_c < after_c, heat.max_c < after_c));
            }
        }
    }
    last.into_values().map(|(_, over)| over).collect()
}
