//! Moves of tasks: planned hand-overs, moves after a violation, failovers.

use serde::{Deserialize, Serialize};
use types::{Epoch, NodeId, OwnerEpoch, TaskId, WorkflowId};

/// `GET /api/v1/handovers`, by decision time; with `?all=true` abandoned ones too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HandoverList {
    /// Moves that were planned or forced by a violated SLO, in the order of their decisions.
    pub handovers: Vec<Handover>,
    /// Moves forced by a lost node.
    pub failovers: Vec<Handover>,
}

/// Why a task moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HandoverKind {
    /// Before its window closes, as the contact plan predicted.
    Planned,
    /// After an SLO or a limit was already violated.
    Reactive,
    /// Its node was lost.
    Failover,
}

/// How far a move has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HandoverState {
    /// Both nodes are told.
    Decided,
    /// Code and state are at the new node.
    Prepared,
    /// The new node owns the task.
    TookOver,
    /// The new node has answered a call.
    Serving,
    /// Given up before the new node owned the task.
    Abandoned,
}

/// One move of one task. Times are of the sky.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Handover {
    /// Counts moves, from 1.
    pub id: u64,
    /// Why.
    pub kind: HandoverKind,
    /// Whether it was decided before the window closed.
    pub planned: bool,
    /// How far it has come.
    pub state: HandoverState,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The task.
    pub function: TaskId,
    /// The old host.
    pub from: NodeId,
    /// The new host.
    pub to: NodeId,
    /// The contact window whose close makes it necessary; 16 hexadecimal digits.
    pub window_id: Option<String>,
    /// When that window closes.
    pub predicted_close: Option<Epoch>,
    /// When the old host is to start it.
    pub at: Option<Epoch>,
    /// When it was decided.
    pub decided_at: Epoch,
    /// When code and state were at the new host.
    pub prefetch_done_at: Option<Epoch>,
    /// When the new host owned the task.
    pub took_over_at: Option<Epoch>,
    /// When the new host was first called.
    pub first_call_at: Option<Epoch>,
    /// The epoch under which the new host owns.
    pub owner_epoch: OwnerEpoch,
    /// In words.
    pub reason: String,
    /// Failovers: from the last report of the lost node to the decision, wall ms.
    pub detection_ms: Option<u64>,
}
