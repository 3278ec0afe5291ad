//! What the demo sees of its fleet at one moment, ready to be shown: facts from the controller's API, no decisions.

use std::time::Duration;

use types::{Epoch, NodeId, NodeKind, TaskId};

/// One look at the fleet.
#[derive(Clone, Debug)]
pub struct View {
    /// The sky.
    pub sky: Epoch,
    /// Since the last node's first report.
    pub elapsed: Duration,
    /// All nodes, by name.
    pub nodes: Vec<NodeRow>,
    /// The tasks of the workflow, in order.
    pub tasks: Vec<TaskRow>,
    /// The last run that ended.
    pub last_run: Option<RunRow>,
    /// Runs that completed with the right result.
    pub completed: u64,
    /// Runs that failed or came out wrong.
    pub failed: u64,
    /// Planned hand-overs so far.
    pub handovers: usize,
    /// Forced moves so far.
    pub failovers: usize,
    /// What happened last, oldest first.
    pub notes: Vec<Note>,
}

/// A node.
#[derive(Clone, Debug)]
pub struct NodeRow {
    /// Its name.
    pub node: NodeId,
    /// Its role.
    pub kind: NodeKind,
    /// Whether its lease holds.
    pub alive: bool,
    /// Wall time since its last report.
    pub silent_for: Option<Duration>,
    /// One-way latency of the sky's path to the drone now, ms; `None` when there is no path.
    pub to_drone_ms: Option<f64>,
    /// When the tightest requirement of the workflow can next be met from the drone: open until, or opens at.
    pub contact: Contact,
    /// State of charge, 0 to 1.
    pub battery: Option<f64>,
    /// Temperature, °C.
    pub temperature_c: Option<f64>,
    /// Seen share of the Sun, 0 to 1.
    pub sunlit: Option<f64>,
    /// Processor in use, cores.
    pub load_cores: Option<f64>,
    /// Tasks that it runs.
    pub tasks: Vec<TaskId>,
}

/// A contact with the drone that meets the workflow's tightest requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// Open, until then.
    OpenUntil(Epoch),
    /// Opens then.
    OpensAt(Epoch),
    /// Not within the plan.
    None,
}

/// A task.
#[derive(Clone, Debug)]
pub struct TaskRow {
    /// Its name.
    pub task: TaskId,
    /// Where it runs.
    pub node: Option<NodeId>,
    /// How it reaches its inputs.
    pub reach: Reach,
    /// When its window closes.
    pub closes: Option<Epoch>,
    /// Who follows, and when.
    pub next: Option<(NodeId, Epoch)>,
    /// Why it is there.
    pub because: String,
}

/// How a task reaches its inputs: predecessors and data sources.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reach {
    /// It takes none.
    Source,
    /// Over paths of which the longest has this latency.
    Path {
        /// One way, ms.
        ms: f64,
        /// The tightest limit, ms.
        limit_ms: Option<f64>,
    },
    /// There is no path to one of them.
    NoPath,
    /// Not known now: it has no host, or is on its way to another.
    Unknown,
}

/// A run.
#[derive(Clone, Debug)]
pub struct RunRow {
    /// Its number.
    pub run: u64,
    /// What it took in all, ms of wall time.
    pub wall_ms: f64,
    /// Where each stage ran and what it took, ms.
    pub stages: Vec<(TaskId, NodeId, f64)>,
    /// Its result in words.
    pub result: String,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// When (sky).
    pub at: Epoch,
    /// What.
    pub text: String,
}
