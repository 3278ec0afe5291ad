//! What functions log. It travels beside the events of a node, under a key and with numbers of its own, and is dropped where a
//! link is full: a storm of lines costs nobody an event.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use types::{Epoch, FunctionId, RunId, TaskId, WorkflowId};

use crate::codec::{Message, Schema};
use crate::report::Header;

/// Most lines in one message.
pub const LINES_MAX: usize = 64;
/// Longest line, in bytes; what is longer was cut.
pub const LINE_BYTES_MAX: usize = 1024;

/// Lines of one task, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogBatch {
    /// Who, when, and its number among the batches of this start.
    pub header: Header,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The task.
    pub task: TaskId,
    /// Its function.
    pub function: FunctionId,
    /// The lines.
    pub lines: Vec<LogLine>,
    /// Lines of that task that were left out before these, because there were too many.
    pub dropped: u64,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When (sky).
    pub at: Epoch,
    /// The run that called.
    pub run: RunId,
    /// How bad it is.
    pub level: LogLevel,
    /// What was said; control characters are escaped.
    pub text: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Every step.
    Trace,
    /// For who looks for a fault.
    Debug,
    /// What happens.
    Info,
    /// What should not happen.
    Warn,
    /// What failed.
    Error,
}

impl Message for LogBatch {
    const SCHEMA: Schema = Schema::LogBatch;
    const BYTES_MAX: usize = 96 * 1024;

    fn validate(&self) -> Result<(), &'static str> {
        if LINES_MAX < self.lines.len() {
            return Err("a batch has at most 64 lines");
        }
        let fits = self.lines.iter().all(|line| line.text.len() <= LINE_BYTES_MAX);
        fits.then_some(()).ok_or("a line has at most 1024 bytes")
    }
}
