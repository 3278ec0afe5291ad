//! From a run to what is told of it.

use placement::Stay;

use super::life::{Flow, Phase};
use super::{Driver, instant_us};
use crate::offline::place::fixed::demand::seconds;
use crate::offline::place::fixed::outcome::{
    End, FlowTold, Outcome, StayTold, Summary, TaskTold, Timing,
};
use crate::offline::report::real;

impl Driver<'_, '_> {
    /// What became of all.
    pub(super) fn told(self) -> Outcome {
        let drawn_wh = self.bodies.battery_wh();
        let workflows: Vec<_> = self.flows.iter().zip(drawn_wh).map(flow).collect();
        let mut summary = summary(&workflows, self.setting.minutes);
        for reason in self.flows.iter().filter_map(|flow| flow.unplaced.clone()) {
            *summary.unplaced.entry(reason).or_insert(0) += 1;
        }
        summary.late = self.flows.iter().filter(|flow| is_late(flow)).count();
        summary.battery_wh = drawn_wh.iter().sum();
        summary.battery_wh_per_good = per(summary.battery_wh, summary.good);
        summary.min_state_of_charge = self.bodies.charge_min();
        summary.below_reserve = self.bodies.below_reserve();
        summary.hand_overs = self.hand_overs;
        summary.oversubscribed = self.occupancy.oversubscribed();
        let timing = Timing::of(self.decisions_us);
        Outcome { policy: self.policy.name().to_owned(), summary, workflows, timing }
    }
}

fn flow((flow, battery_wh): (&Flow, &f64)) -> FlowTold {
    let started = |(at, life): (usize, &super::life::Life)| {
        let of = &flow.job.tasks[at];
        (life.phase != Phase::Waiting).then(|| TaskTold {
            task: flow.request.kind.tasks[at].name,
            start_s: seconds(life.start_us),
            end_s: seconds(life.end_us),
            stays: of.stays.iter().map(|stay| since(life.start_us, stay)).collect(),
            latency_ms: life.latency_ms,
            violation_s: seconds(life.violated_us),
            is_hot: life.is_hot,
        })
    };
    FlowTold {
        kind: flow.request.kind.name,
        strictness: flow.request.strictness,
        is_burst: flow.request.is_burst,
        edge: flow.request.edge.0,
        data: flow.request.data.0,
        submitted_s: seconds(flow.request.at_us),
        finished_s: flow.finished_us.map(seconds),
        end: end(flow),
        reason: flow.unplaced.clone(),
        battery_wh: *battery_wh,
        tasks: flow.tasks.iter().enumerate().filter_map(started).collect(),
    }
}

fn since(start_us: u64, stay: &Stay) -> StayTold {
    StayTold { node: stay.node.0, from_s: seconds(start_us.max(instant_us(stay.from))) }
}

fn end(flow: &Flow) -> End {
    let is_violated = flow.tasks.iter().any(|life| 0 < life.violated_us);
    match (flow.finished_us, &flow.unplaced) {
        _ if flow.is_power_lost => End::PowerLost,
        (_, Some(_)) => End::Unplaced,
        (None, None) => End::Unfinished,
        (Some(_), None) if is_violated || is_late(flow) => End::Broken,
        (Some(_), None) => End::Good,
    }
}

fn is_late(flow: &Flow) -> bool {
    let took_s = flow.finished_us.map(|end_us| seconds(end_us - flow.request.at_us));
    took_s.is_some_and(|took_s| flow.request.kind.deadline_s < took_s)
}

fn summary(flows: &[FlowTold], minutes: u32) -> Summary {
    let count = |end: End| flows.iter().filter(|flow| flow.end == end).count();
    let finished = || flows.iter().filter(|flow| flow.finished_s.is_some());
    let tasks = || flows.iter().flat_map(|flow| &flow.tasks);
    let good = count(End::Good);
    let latency_ms: f64 = finished().flat_map(|flow| &flow.tasks).map(|task| task.latency_ms).sum();
    let makespan_s: f64 =
        finished().filter_map(|flow| Some(flow.finished_s? - flow.submitted_s)).sum();
    Summary {
        workflows: flows.len(),
        finished: finished().count(),
        good,
        goodput_per_h: real(good) * 60.0 / f64::from(minutes.max(1)),
        power_lost: count(End::PowerLost),
        unfinished: count(End::Unfinished),
        violation_s: tasks().map(|task| task.violation_s).sum(),
        tasks_violated: tasks().filter(|task| 0.0 < task.violation_s).count(),
        tasks: tasks().count(),
        latency_ms: per(latency_ms, finished().count()),
        makespan_s: per(makespan_s, finished().count()),
        over_temperature: tasks().filter(|task| task.is_hot).count(),
        ..Summary::default()
    }
}

fn per(sum: f64, count: usize) -> Option<f64> {
    (0 < count).then(|| sum / real(count))
}
