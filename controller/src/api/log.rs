//! Logs of functions.

use protocol::log::LogLevel;
use serde::{Deserialize, Serialize};
use types::{Epoch, NodeId, RunId, TaskId, WorkflowId};

/// One line of `GET /api/v1/functions/{name}/logs[?follow=true]`, which answers JSON lines (`application/x-ndjson`): what is
/// kept, the oldest first, and with `follow` what comes, until either side ends it. Empty lines say that there is no news.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The node.
    pub node: NodeId,
    /// The workflow; `None` where whole messages were lost.
    pub workflow: Option<WorkflowId>,
    /// The task.
    pub task: Option<TaskId>,
    /// When (sky).
    pub at: Epoch,
    /// The run that called.
    pub run: Option<RunId>,
    /// How bad it is.
    pub level: Option<LogLevel>,
    /// What the function said; empty where lines were left out.
    pub text: String,
    /// Lines that were left out here: by the node, because there were too many, or for this reader, who was too slow.
    pub dropped: u64,
    /// Messages of the node that did not arrive.
    pub lost: u64,
}
