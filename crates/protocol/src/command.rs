//! Commands to a node: idempotent by id, fenced by epoch, answered before their deadline.

use alloc::string::String;

use serde::{Deserialize, Serialize};
use types::{Epoch, ExecutionMode, FunctionId, LeaderEpoch, NodeId};

use crate::codec::{Message, Schema};
use crate::rule;

/// A command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// The same id is answered from memory, never executed again.
    pub id: u64,
    /// Counts the commands of this controller.
    pub seq: u64,
    /// The controller's incarnation; a lower one is stale.
    pub epoch: LeaderEpoch,
    /// For whom.
    pub node: NodeId,
    /// After this (sky) it must not be started.
    pub deadline: Epoch,
    /// What to do.
    pub verb: Verb,
}

/// What can be commanded. Numbered by position: append only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Verb {
    /// Answer, nothing else.
    Nop,
    /// Send all reports now.
    ReportNow,
    /// Reserved: force an execution mode of a function.
    SetExecMode {
        /// Which.
        function: FunctionId,
        /// How.
        mode: ExecutionMode,
    },
    /// Reserved: measure a function for its resource profile.
    RunProfileJob {
        /// Which.
        function: FunctionId,
    },
    /// Reserved: a round of federated learning.
    FlTrain {
        /// Which task.
        task: String,
    },
    /// Reserved: a policy until its expiry.
    SetPolicy {
        /// Which.
        policy: String,
        /// Until when (sky).
        expires: Epoch,
    },
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandReply {
    /// Of which command.
    pub id: u64,
    /// What became of it.
    pub verdict: CommandVerdict,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommandVerdict {
    /// Done.
    Done,
    /// Not known to this version.
    Unsupported,
    /// From an older controller than one obeyed before.
    Stale {
        /// The highest epoch obeyed.
        epoch: LeaderEpoch,
    },
    /// Too late.
    Expired,
    /// For another node, or not allowed.
    Denied {
        /// Why.
        reason: String,
    },
}

impl Message for Command {
    const SCHEMA: Schema = Schema::Command;
    const BYTES_MAX: usize = 4 * 1024;

    fn validate(&self) -> Result<(), &'static str> {
        match &self.verb {
            Verb::FlTrain { task: text } | Verb::SetPolicy { policy: text, .. } => {
                rule::reason(text)
            }
            Verb::Nop | Verb::ReportNow | Verb::SetExecMode { .. } | Verb::RunProfileJob { .. } => {
                Ok(())
            }
        }
    }
}

impl Message for CommandReply {
    const SCHEMA: Schema = Schema::CommandReply;
    const BYTES_MAX: usize = 1024;

    fn validate(&self) -> Result<(), &'static str> {
        match &self.verdict {
            CommandVerdict::Denied { reason } => rule::reason(reason),
            CommandVerdict::Done
            | CommandVerdict::Unsupported
            | CommandVerdict::Stale { .. }
            | CommandVerdict::Expired => Ok(()),
        }
    }
}
