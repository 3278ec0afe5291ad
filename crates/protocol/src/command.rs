//! Commands to a node: idempotent by id, fenced by epoch, answered before their deadline.

use alloc::string::String;

use serde::{Deserialize, Serialize};
use types::{Epoch, ExecutionMode, FunctionId, LeaderEpoch, NodeId, TaskId};

use crate::codec::{Message, Schema};
use crate::release::SignedRelease;
use crate::rule;
use crate::serial::OFF_MS;

/// How long one start of a new program may take to be well, in seconds.
pub const WITHIN_S: core::ops::RangeInclusive<u32> = 10..=86_400;

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
    /// Do something at a time, link or no link; what became of it is an event. The same epoch, id and `until` again
    /// is the same command.
    At {
        /// Not before (sky).
        at: Epoch,
        /// Not after (sky).
        until: Epoch,
        /// What.
        act: Act,
    },
    /// Take back a command of [`Verb::At`] that has not begun.
    Cancel {
        /// Its epoch.
        epoch: LeaderEpoch,
        /// Its id.
        id: u64,
    },
    /// Get another program of the agent, try it, and keep it if it is well. The answer is [`CommandVerdict::Scheduled`]
    /// once that is durable; what follows is told by events.
    Update {
        /// The frame of a [`crate::release::SignedRelease`].
        #[serde(with = "serde_bytes")]
        release: alloc::vec::Vec<u8>,
        /// How long one start of it may take to be well, in seconds.
        within_s: u32,
        /// Only say whether it would be taken.
        is_rehearsal: bool,
    },
    /// Leave safe mode: start anew, with functions.
    Resume,
    /// Have a board at a serial line of the node do something; answered once the board has. [`CommandVerdict::Denied`] also tells that
    /// the board did not answer: then nobody knows what it did.
    Board {
        /// The board, as the configuration of the node calls it.
        board: String,
        /// What.
        order: BoardOrder,
    },
}

/// What a board can be told. Numbered by position: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BoardOrder {
    /// A relay has to be so.
    Relay {
        /// Which, from 0.
        relay: u8,
        /// Whether it conducts.
        is_on: bool,
    },
    /// A relay is opened, and closed again by the board alone.
    PowerCycle {
        /// Which, from 0.
        relay: u8,
        /// How long it is off, in ms: see [`OFF_MS`].
        off_ms: u32,
    },
    /// Its energy is counted from zero.
    ResetEnergy,
}

/// What can be done at a time. Numbered by position: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Nothing; the event says that it was time.
    Nop,
    /// Take all reports.
    ReportNow,
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
    /// Durable, and waits for its time.
    Scheduled,
}

impl Message for Command {
    const SCHEMA: Schema = Schema::Command;
    const BYTES_MAX: usize = 4 * 1024;

    fn validate(&self) -> Result<(), &'static str> {
        match &self.verb {
            Verb::FlTrain { task: text } | Verb::SetPolicy { policy: text, .. } => {
                rule::reason(text)
            }
            Verb::At { at, until, .. } => {
                (at <= until).then_some(()).ok_or("a command ends after it begins")
            }
            Verb::Update { release, within_s, .. } => {
                if SignedRelease::BYTES_MAX < release.len() {
                    return Err("a signed release has at most 384 bytes");
                }
                let is_possible = WITHIN_S.contains(within_s);
                is_possible.then_some(()).ok_or("an update is given 10 s to a day to be well")
            }
            Verb::Board { board, order } => {
                if TaskId::new(board).is_err() {
                    return Err("a board is named by 1 to 63 of a-z, 0-9 and -, the first no -");
                }
                let is_possible = match order {
                    BoardOrder::PowerCycle { off_ms, .. } => OFF_MS.contains(off_ms),
                    BoardOrder::Relay { .. } | BoardOrder::ResetEnergy => true,
                };
                is_possible.then_some(()).ok_or("a relay is off for 100 ms to ten minutes")
            }
            Verb::Nop
            | Verb::Resume
            | Verb::ReportNow
            | Verb::SetExecMode { .. }
            | Verb::RunProfileJob { .. }
            | Verb::Cancel { .. } => Ok(()),
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
            | CommandVerdict::Expired
            | CommandVerdict::Scheduled => Ok(()),
        }
    }
}
