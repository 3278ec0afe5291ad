//! Who decides: one trait, and all that implement it.
//!
//! A policy is asked for one task when its time has come. It may plan further than that (`lookahead` plans the whole workflow, for all
//! of its time), but is asked again for the next task: what has changed in between counts.

pub mod baseline;
pub mod catalog;
pub mod energy;
pub mod hyperdrive;
pub mod lookahead;
pub mod obstacle;
pub mod sampling;
pub mod survey;
pub mod vicinity;

use std::fmt::Debug;

use topology::NodeIx;

use crate::book::{Book, Promise};
use crate::endurance::{Board, Breach, Condition, Least};
use crate::forecast::{Latencies, Step};
use crate::heat::Heat;
use crate::job::{Input, Job, JobTask, Origin, Stay, origin_at};
use crate::view::NodeView;

/// One orbit at 550 km, s: who drains a battery shows it in the next shadow.
const ORBIT_S: f64 = 5_736.0;

const S_PER_H: f64 = 3600.0;

/// How many steps of a forecast so many seconds take, the last one begun.
pub(crate) fn steps_of(seconds: f64, step_s: f64) -> Step {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and float to int saturates"
    )]
    let steps = (seconds / step_s).ceil() as Step;
    steps
}

/// What a policy knows of the world.
#[derive(Debug)]
pub struct World<'a, 'f> {
    /// All nodes; their positions in this list are their numbers.
    pub nodes: &'a [NodeView],
    /// How boards heat up in the published model, by node; empty where that is not known.
    pub heat: &'a [Option<Heat>],
    /// What of each node can be exhausted, and how it is now, by node; empty where nothing is known.
    pub boards: &'a [(Board, Condition)],
    /// What is promised to whom.
    pub book: &'a Book,
    /// How long a task keeps what it is promised.
    pub tenure: Tenure,
    /// The network, now and later.
    pub latencies: &'a mut Latencies<'f>,
    /// Now.
    pub now: Step,
    /// How many tasks ask for a host in this step, this one among them: where many do, each may take less time.
    pub waiting: usize,
}

/// How long a task keeps what it is promised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tenure {
    /// Until its run ends.
    #[default]
    Run,
    /// For good: nothing is ever given back, as in the published scenario.
    ForGood,
}

/// Where a task goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Where it starts, and where it is handed over to.
    pub stays: Vec<Stay>,
    /// How good the policy finds it, 0 to 100; each has its own measure.
    pub score: u32,
    /// How many nodes were considered, and how many could host it.
    pub considered: usize,
    /// See `considered`.
    pub eligible: usize,
}

/// Why a task goes nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoChoice {
    /// A task whose predecessor has no host.
    #[error("task {task}: its predecessor {predecessor} has no host yet; place that first")]
    Unplaced {
        /// The task.
        task: String,
        /// The predecessor.
        predecessor: String,
    },
    /// No node was considered at all.
    #[error("task {task}: no node is a candidate")]
    NoCandidate {
        /// The task.
        task: String,
    },
    /// None of those that were considered can host it.
    #[error("task {task}: none of {considered} candidates can host it")]
    NoneEligible {
        /// The task.
        task: String,
        /// How many were considered.
        considered: usize,
    },
    /// The job has no such task.
    #[error("task {task} does not exist: the job has {tasks} tasks")]
    UnknownTask {
        /// Its number.
        task: usize,
        /// How many there are.
        tasks: usize,
    },
    /// The policy wants it nowhere, for a reason of its own.
    #[error("task {task}: {reason}")]
    Refused {
        /// The task.
        task: String,
        /// The reason.
        reason: String,
    },
    /// The policy itself is broken: no decision of it counts, and it must not be asked again.
    #[error("{reason}")]
    Broken {
        /// What is wrong with it, when it was asked what, and what helps.
        reason: String,
    },
}

/// A way to place tasks. Each is deterministic: the same questions in the same order are answered alike.
pub trait Policy: Debug + Send {
    /// Its name on the command line and in results.
    fn name(&self) -> &str;

    /// Decides where a task of a job goes that starts now.
    ///
    /// # Errors
    /// [`NoChoice`]; then nothing is placed.
    fn choose(
        &mut self,
        world: &mut World<'_, '_>,
        job: &Job,
        task: usize,
    ) -> Result<Choice, NoChoice>;
}

impl World<'_, '_> {
    /// The number of a node.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = NodeIx> + use<> {
        (0..u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)).map(NodeIx)
    }

    /// Where the inputs of a task come from now, each with the most that its latency may be, ms.
    ///
    /// # Errors
    /// [`NoChoice`] for a task that there is not, or whose predecessor has no host.
    pub fn sources(&self, job: &Job, task: usize) -> Result<Vec<(NodeIx, Option<f64>)>, NoChoice> {
        let tasks = job.tasks.len();
        let of = job.tasks.get(task).ok_or(NoChoice::UnknownTask { task, tasks })?;
        let source = |input: &Input| {
            let node = origin_at(job, input, self.now);
            node.map(|node| (node, input.latency_max_ms)).ok_or_else(|| {
                let predecessor = match input.origin {
                    Origin::Task(task) => job.tasks.get(task).map_or("", |task| &task.name),
                    Origin::Node(_) => "",
                };
                NoChoice::Unplaced { task: of.name.clone(), predecessor: predecessor.to_owned() }
            })
        };
        of.inputs.iter().map(source).collect()
    }

    /// The longest latency to some sources now, ms; `None` where one is beyond its limit, or where no path leads.
    pub(crate) fn longest_ms(
        &mut self,
        node: NodeIx,
        sources: &[(NodeIx, Option<f64>)],
    ) -> Option<f64> {
        self.latencies.longest_if_within(node, self.now, sources.iter().copied())
    }

    /// How the published model has a board heat up, and its temperature after a task, °C; `None` where it says nothing.
    pub(crate) fn heat_after(&self, node: NodeIx, job: &Job, task: usize) -> Option<(&Heat, f64)> {
        let heat = self.heat.get(node.index())?.as_ref()?;
        let task = &job.tasks[task];
        let run_s = task.run_s(self.nodes[node.index()].arch);
        Some((heat, heat.after_c(run_s, task.needs.milli_cpu.0)))
    }

    /// Whether battery and board of a node bear a task from a step until another: from now until an orbit after that, with all that is promised and
    /// planned there.
    pub(crate) fn bears(
        &self,
        node: NodeIx,
        watts: f64,
        span: (Step, Step),
        planned: &[Promise],
    ) -> bool {
        self.endures(node, watts, span, planned).is_ok()
    }

    /// The same rule with the number that says so: the least that is left of charge and headroom.
    pub(crate) fn endures(
        &self,
        node: NodeIx,
        watts: f64,
        span: (Step, Step),
        planned: &[Promise],
    ) -> Result<Least, Breach> {
        let unlimited = Least { charge: 1.0, headroom_k: f64::INFINITY };
        let Some((board, now)) = self.limited(node) else { return Ok(unlimited) };
        let (steps, load_w) = (self.looked_at(span), self.load_w(node, watts, span, planned));
        let most_w = (steps.0..steps.1).map(&load_w).fold(0.0, f64::max);
        // To follow temperatures takes far longer than to follow charge.
        let sure_k = board.sure_headroom_k(*now, board.idle_w + most_w);
        let thermal = board.thermal.filter(|_| sure_k.is_none());
        let forecast = self.latencies.forecast();
        let at = |step| (load_w(step), forecast.light(node, step));
        let left = Board { thermal, ..*board }.endures(*now, steps, forecast.step_s(), at)?;
        Ok(Least { headroom_k: sure_k.unwrap_or(left.headroom_k), ..left })
    }

    /// What of a node can be exhausted, and how that is now; `None` where nothing can.
    fn limited(&self, node: NodeIx) -> Option<&(Board, Condition)> {
        self.boards.get(node.index()).filter(|(board, _)| !board.is_unlimited())
    }

    /// The steps at which is looked whether a node bears something: from now until an orbit after its end.
    pub(crate) fn looked_at(&self, (_, until): (Step, Step)) -> (Step, Step) {
        let forecast = self.latencies.forecast();
        let end = until.saturating_add(steps_of(ORBIT_S, forecast.step_s()));
        (self.now, end.min(forecast.steps()))
    }

    /// What a node draws at a step beside its idle load if it has a task from a step until another, with all that is promised and planned there, W.
    fn load_w(
        &self,
        node: NodeIx,
        watts: f64,
        (from, until): (Step, Step),
        planned: &[Promise],
    ) -> impl Fn(Step) -> f64 {
        move |step| {
            let own_w = if from <= step && step < until { watts } else { 0.0 };
            self.book.watts(node, step) + own_w + planned_w(planned, step)
        }
    }

    /// What a task takes from a node's battery from a step until another, beyond what idling and all that is promised and planned there take, Wh.
    pub(crate) fn drawn_wh(
        &self,
        node: NodeIx,
        watts: f64,
        (from, until): (Step, Step),
        planned: &[Promise],
    ) -> f64 {
        let Some((board, _)) = self.boards.get(node.index()) else { return 0.0 };
        if board.power.is_none() {
            return 0.0;
        }
        let forecast = self.latencies.forecast();
        let drained_w = |step| {
            let light = forecast.light(node, step);
            let without_w = board.idle_w + self.book.watts(node, step) + planned_w(planned, step);
            board.drained_w(without_w + watts, light) - board.drained_w(without_w, light)
        };
        (from..until).map(drained_w).sum::<f64>() * forecast.step_s() / S_PER_H
    }

    /// Whether a node is there, can run a task at all, and has room for it from now on.
    pub(crate) fn fits(&self, node: NodeIx, job: &Job, task: usize) -> bool {
        let until = self.kept_until(&job.tasks[task], self.now);
        self.admits(node, (job, task), (self.now, until)).is_ok()
    }

    /// The first step at which a task that starts at one needs nothing any more, on the slowest processor that may run it: it may be handed over to
    /// that.
    pub fn kept_until(&self, task: &JobTask, start: Step) -> Step {
        match self.tenure {
            Tenure::ForGood => Step::MAX,
            Tenure::Run => start.saturating_add(self.run_steps(task)).saturating_add(1),
        }
    }

    /// How many steps a run takes on the slowest processor that may run it, the last one begun.
    pub(crate) fn run_steps(&self, task: &JobTask) -> Step {
        let seconds = task.runs.iter().map(|run| run.seconds).fold(0.0, f64::max);
        steps_of(seconds, self.latencies.forecast().step_s())
    }
}

/// What all that is planned draws at a step, W.
fn planned_w(planned: &[Promise], step: Step) -> f64 {
    let at = planned.iter().filter(|of| of.from <= step && step < of.until);
    at.fold(0.0, |all, of| all + of.watts)
}

/// All nodes that can run a task and have room for it, in the order in which kinds are considered; at least one.
fn fitting(world: &World<'_, '_>, job: &Job, task: usize) -> Result<Vec<NodeIx>, NoChoice> {
    let tasks = job.tasks.len();
    let of = job.tasks.get(task).ok_or(NoChoice::UnknownTask { task, tasks })?;
    let all = vicinity::all(world);
    let considered = all.len();
    let fitting: Vec<_> = all.into_iter().filter(|node| world.fits(*node, job, task)).collect();
    let none = || NoChoice::NoneEligible { task: of.name.clone(), considered };
    if fitting.is_empty() { Err(none()) } else { Ok(fitting) }
}
