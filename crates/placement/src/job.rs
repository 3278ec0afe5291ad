//! A workflow as policies see it: tasks by number, each with its time, on nodes by number.

use topology::NodeIx;
use types::{Arch, Capacity};

use crate::forecast::Step;

/// A workflow that is to be placed, or is placed in part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Job {
    /// Its number, by which a policy may remember it: each in a run has its own.
    pub number: usize,
    /// The tasks, each after those whose outputs it takes.
    pub tasks: Vec<JobTask>,
}

/// A task of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobTask {
    /// Its name.
    pub name: String,
    /// What it is promised on its host.
    pub needs: Capacity,
    /// What it draws beside the idle load of its host, W.
    pub watts: f64,
    /// How long it runs on each processor that can run it; none named = on any, for no known time.
    pub runs: Vec<Run>,
    /// When it starts.
    pub start: Step,
    /// What it takes, those that come first in the order of the file first.
    pub inputs: Vec<Input>,
    /// Where it is and will be, in order of time; empty while it has no host.
    pub stays: Vec<Stay>,
}

/// How long a task runs on one kind of processor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// The processor.
    pub arch: Arch,
    /// Sky seconds.
    pub seconds: f64,
}

/// What a task takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Input {
    /// From where.
    pub origin: Origin,
    /// Longest one-way latency, ms, at any moment of the run; `None` asks for any path.
    pub latency_max_ms: Option<f64>,
}

/// Where an input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From a task of the job, by its number: a predecessor.
    Task(usize),
    /// From a node that holds data.
    Node(NodeIx),
}

/// That a task is on a node from a step on, until the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stay {
    /// The node.
    pub node: NodeIx,
    /// The first step.
    pub from: Step,
}

impl JobTask {
    /// Where it is at a step; before its first stay, where that will be.
    pub fn host_at(&self, step: Step) -> Option<NodeIx> {
        host_at(&self.stays, step)
    }

    /// Whether a processor can run it.
    pub fn runs_on(&self, arch: Arch) -> bool {
        self.runs.is_empty() || self.run_s(arch).is_some()
    }

    /// How long it runs on a processor, sky seconds; `None` where that is not known.
    pub fn run_s(&self, arch: Arch) -> Option<f64> {
        self.runs.iter().find(|run| run.arch == arch).map(|run| run.seconds)
    }
}

/// Where one is at a step that has these stays.
pub(crate) fn host_at(stays: &[Stay], step: Step) -> Option<NodeIx> {
    let now = stays.iter().rev().find(|stay| stay.from <= step);
    now.or_else(|| stays.first()).map(|stay| stay.node)
}

/// Where an input comes from at a step; `None` from a task without a host.
pub(crate) fn origin_at(job: &Job, input: &Input, step: Step) -> Option<NodeIx> {
    match input.origin {
        Origin::Node(node) => Some(node),
        Origin::Task(task) => job.tasks.get(task)?.host_at(step),
    }
}
