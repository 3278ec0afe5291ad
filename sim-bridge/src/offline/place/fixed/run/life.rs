//! A workflow under way, and the time that its tasks take on one node after the other.

use placement::{Job, JobTask, NodeView, Origin, Promise, Stay, Step};
use topology::NodeIx;

use super::{instant_us, step_of};
use crate::offline::place::fixed::demand::{Request, seconds};
use crate::offline::place::fixed::flow::job;
use crate::offline::place::fixed::outcome::Reason;

/// A workflow under way.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) request: Request,
    pub(super) job: Job,
    /// By task.
    pub(super) tasks: Vec<Life>,
    pub(super) finished_us: Option<u64>,
    /// Why it was given up.
    pub(super) unplaced: Option<Reason>,
    pub(super) is_power_lost: bool,
}

/// How far a task is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Waiting,
    Running,
    Done,
}

/// What became of a task so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Life {
    pub(super) phase: Phase,
    /// When its inputs have arrived.
    pub(super) start_us: u64,
    pub(super) end_us: u64,
    pub(super) latency_ms: f64,
    /// Where it runs now.
    pub(super) host: Option<NodeIx>,
    pub(super) promises: Vec<(NodeIx, Promise)>,
    pub(super) violated_us: u64,
    pub(super) is_hot: bool,
}

/// That a task runs on a node for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leg {
    pub(super) node: NodeIx,
    pub(super) from_us: u64,
    pub(super) until_us: u64,
    pub(super) is_first: bool,
}

impl Flow {
    pub(super) fn new((number, request): (usize, &Request)) -> Self {
        let job = job(number, request);
        Self {
            request: *request,
            tasks: vec![Life::default(); job.tasks.len()],
            job,
            finished_us: None,
            unplaced: None,
            is_power_lost: false,
        }
    }

    /// Whether it has ended or was given up.
    pub(super) const fn is_over(&self) -> bool {
        self.finished_us.is_some() || self.unplaced.is_some() || self.is_power_lost
    }

    /// A task starts to run.
    pub(super) fn begin(
        &mut self,
        task: usize,
        (start_us, end_us): (u64, u64),
        latency_ms: f64,
        (legs, now): (&[Leg], Step),
    ) {
        let from = |leg: &Leg| if leg.is_first { now } else { step_of(leg.from_us) };
        let stays = legs.iter().map(|leg| Stay { node: leg.node, from: from(leg) });
        self.job.tasks[task].stays = stays.collect();
        let life = &mut self.tasks[task];
        life.phase = Phase::Running;
        (life.start_us, life.end_us, life.latency_ms) = (start_us, end_us, latency_ms);
        life.host = legs.first().map(|leg| leg.node);
    }

    /// The tasks that wait for nothing any more, now that one has ended.
    pub(super) fn ready_after(&self, ended: usize) -> Vec<usize> {
        let waits_for = |task: usize| self.before(task);
        let is_ready = |task: &usize| {
            self.tasks[*task].phase == Phase::Waiting
                && waits_for(*task).any(|before| before == ended)
                && waits_for(*task).all(|before| self.tasks[before].phase == Phase::Done)
        };
        (0..self.tasks.len()).filter(is_ready).collect()
    }

    /// Says when tasks start that have not: as if each ran on the slowest processor from now or from the end of the last before it on.
    pub(super) fn expect_starts(&mut self, now_us: u64) {
        let mut ends_us: Vec<u64> = Vec::new();
        for task in 0..self.tasks.len() {
            let life = &self.tasks[task];
            if life.phase != Phase::Waiting {
                ends_us.push(life.end_us);
                self.job.tasks[task].start = step_of(life.start_us);
                continue;
            }
            let begin_us = self.before(task).map(|before| ends_us[before]).fold(now_us, u64::max);
            let of = &mut self.job.tasks[task];
            of.start = step_of(begin_us);
            let slowest_s = of.runs.iter().map(|run| run.seconds).fold(0.0, f64::max);
            ends_us.push(begin_us + micros(slowest_s));
        }
    }

    /// The tasks whose outputs a task takes.
    fn before(&self, task: usize) -> impl Iterator<Item = usize> {
        self.job.tasks[task].inputs.iter().filter_map(|input| match input.origin {
            Origin::Task(before) => Some(before),
            Origin::Node(_) => None,
        })
    }
}

/// How long a task runs on each of its hosts, on each as fast as its processor; what is planned for after the end is left out. `None` where a
/// processor cannot run it.
pub(super) fn legs(
    task: &JobTask,
    stays: &[Stay],
    nodes: &[NodeView],
    start_us: u64,
) -> Option<Vec<Leg>> {
    let mut legs: Vec<Leg> = Vec::new();
    let (mut from_us, mut left) = (start_us, 1.0);
    for (at, stay) in stays.iter().enumerate() {
        let run_s = task.run_s(nodes.get(stay.node.index())?.arch)?;
        let next_us = stays.get(at + 1).map_or(u64::MAX, |next| instant_us(next.from));
        if next_us <= from_us {
            continue;
        }
        let end_us = from_us.saturating_add(micros(run_s * left).max(1));
        let is_first = legs.is_empty();
        let until_us = end_us.min(next_us);
        legs.push(Leg { node: stay.node, from_us, until_us, is_first });
        if end_us <= next_us {
            break;
        }
        left -= seconds(next_us - from_us) / run_s;
        from_us = next_us;
    }
    (!legs.is_empty()).then_some(legs)
}

/// Seconds in whole microseconds.
pub(super) fn micros(seconds: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and float to int saturates"
    )]
    let micros = (seconds * 1.0e6).ceil() as u64;
    micros
}

#[cfg(test)]
mod tests {
    use placement::Run;
    use types::{Arch, Capacity, NodeId, NodeKind};

    use super::*;

    #[test]
    fn what_is_left_runs_as_fast_as_the_next_host() {
        let node = |name: &str, arch| {
            NodeView::new(NodeId::new(name).unwrap(), NodeKind::Edge, arch, Capacity::default())
        };
        let nodes = [node("slow", Arch::Arm64), node("fast", Arch::X86_64)];
        let runs = vec![
            Run { arch: Arch::Arm64, seconds: 120.0 },
            Run { arch: Arch::X86_64, seconds: 60.0 },
        ];
        let task = JobTask {
            name: "task".to_owned(),
            needs: Capacity::default(),
            watts: 1.0,
            runs,
            start: 0,
            inputs: vec![],
            stays: vec![],
        };
        let stays = [(0, 0), (1, 2), (0, 9)].map(|(node, from)| Stay { node: NodeIx(node), from });
        let found = legs(&task, &stays, &nodes, 0).unwrap();
        // Half of it in 60 s, the other half twice as fast; what comes after is left out.
        let ends: Vec<_> = found.iter().map(|leg| (leg.node.0, leg.until_us)).collect();
        assert_eq!(ends, [(0, 60_000_000), (1, 90_000_000)]);
        // Who starts after a hand-over starts on the next host.
        let late = legs(&task, &stays, &nodes, 60_000_000).unwrap();
        assert_eq!((late[0].node.0, late[0].is_first, late.len()), (1, true, 1));
    }
}
