//! What a decision looks like.

use serde::Serialize;
use topology::ContactWindow;
use types::{Epoch, LatencyUs, NodeId, TaskId, WorkflowId};

use crate::alternative::Alternative;
use crate::constraint::NodeRefusal;

/// Where the tasks of a workflow go, or why they cannot go anywhere.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// All tasks have a node.
    Placed(Plan),
    /// At least one task has none, so none is placed; what runs stays where it is.
    Refused(Refusal),
}

/// A node for each task of a workflow.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The sky when it was decided.
    pub at: Epoch,
    /// One for each task, in the order of the workflow.
    pub assignments: Vec<Assignment>,
    /// Workflows of lower classes that have to give way first: without it there is no room. As few as were found.
    pub sets_aside: Vec<WorkflowId>,
}

/// Where a task goes, why, and where it goes after that.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assignment {
    /// The task.
    pub task: TaskId,
    /// Its host from now on. Where that is not its present owner, the task is to move at once; where it is
    /// the announced successor, whose time has come, the move is under way.
    pub node: NodeId,
    /// Why, in one line.
    pub because: String,
    /// How long the host is known to meet all needs. The pair is the host and the neighbour whose need
    /// fails first (the host twice where the host itself fails: battery, temperature); `None` without
    /// prediction.
    pub window: Option<ContactWindow>,
    /// The planned hand-over, if one is needed and possible.
    pub next: Option<Next>,
    /// Who keeps the second copy of its state.
    pub replica: Option<NodeId>,
    /// The longest one-way latency to what it takes its inputs from, now; `None` if it takes none.
    pub latency_now: Option<LatencyUs>,
    /// For each other node the number that decided against it.
    pub refused: Vec<NodeRefusal>,
}

/// A planned hand-over.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Next {
    /// To whom.
    pub node: NodeId,
    /// When: at least the guard before the close of the host's window.
    pub at: Epoch,
    /// How long the next host is known to meet all needs.
    pub window: ContactWindow,
}

/// Why a workflow cannot be placed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Refusal {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The first task without a node.
    pub task: TaskId,
    /// The sky when it was decided.
    pub at: Epoch,
    /// For each node the first constraint that forbids it.
    pub nodes: Vec<NodeRefusal>,
    /// What would help, as far as it was asked for ([`crate::advise`]); the nearest in time first, then objectives.
    pub alternatives: Vec<Alternative>,
}
