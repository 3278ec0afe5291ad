//! Events: what happened on a node, once each, in order, replayed after gaps.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use types::{
    Arch, Capacity, EnergySource, Epoch, Generation, LeaderEpoch, NodeId, NodeKind, OwnerEpoch,
    RunId, TaskId, WorkflowId,
};

use crate::codec::{Message, Schema};
use crate::invoke::{COPIES_MAX, InvocationRecord};
use crate::report::Header;
use crate::rule;

/// Most stages in a run record: the most tasks of a workflow.
pub const STAGES_MAX: usize = 32;
/// Longest free text in an event, in bytes.
pub const TEXT_BYTES_MAX: usize = 512;
/// Longest body of the last answer that a run record holds, in bytes.
pub const RESULT_BYTES_MAX: usize = 16 * 1024;
/// Longest version of an agent, in bytes.
pub const VERSION_BYTES_MAX: usize = 64;
/// Longest name of a back end, in bytes.
pub const BACK_END_BYTES_MAX: usize = 64;
/// Most events in one page of a replay.
pub const PAGE_EVENTS_MAX: usize = 64;

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Who, when, and its number in the order of this start.
    pub header: Header,
    /// What happened.
    pub kind: EventKind,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EventKind {
    /// The agent is up and has read its store.
    Started(NodeFacts),
    /// Code and state of a task are here and current, and the task may start at once.
    Prepared {
        /// Its workflow.
        workflow: WorkflowId,
        /// The task.
        task: TaskId,
        /// The desired state that asked for it.
        generation: Generation,
    },
    /// This node became the owner of a task's state.
    TookOver {
        /// Its workflow.
        workflow: WorkflowId,
        /// The task.
        task: TaskId,
        /// The epoch under which it owns.
        owner_epoch: OwnerEpoch,
        /// Who owned before; `None` for the first owner or when nobody answered.
        from: Option<NodeId>,
    },
    /// The first call of a task since this node took it over.
    FirstCall {
        /// Its workflow.
        workflow: WorkflowId,
        /// The task.
        task: TaskId,
        /// The run that called.
        run: RunId,
        /// The epoch under which it owns.
        owner_epoch: OwnerEpoch,
    },
    /// A run that this node drives came to its end.
    RunFinished(RunRecord),
    /// The agent would not do what it was told.
    Refused {
        /// What and why.
        reason: String,
    },
    /// A back end of inference came, went or failed.
    BackEnd {
        /// Its name on the node.
        name: String,
        /// What happened to it.
        change: BackEndChange,
        /// On which device, or why, in words.
        reason: String,
    },
    /// A command that had its time came to its end.
    Timed {
        /// The epoch of its controller.
        epoch: LeaderEpoch,
        /// The command.
        id: u64,
        /// How.
        outcome: TimedOutcome,
    },
    /// An update of the agent's program went a step further, or came to its end.
    Update {
        /// The number of the release.
        number: u64,
        /// Its version.
        version: String,
        /// How far it came.
        step: UpdateStep,
        /// Why, in words; empty where there is nothing to say.
        reason: String,
    },
    /// This start is in safe mode: it runs no functions.
    SafeMode {
        /// Starts in a row that came to a bad end.
        failed: u32,
        /// After how long it tries to start with functions again, in seconds.
        for_s: u32,
    },
}

/// How far an update of the agent's program came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateStep {
    /// It is wanted, and its bytes are on their way.
    Ordered,
    /// All of it is here and is what was signed: it is tried.
    Fetched,
    /// It runs, and has to show that it is well.
    OnTrial,
    /// It is well, and stays.
    Committed,
    /// It was not well: the program before runs again.
    RolledBack,
    /// It was not tried.
    Refused,
}

impl UpdateStep {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Ordered => "is on its way",
            Self::Fetched => "is here and will be tried",
            Self::OnTrial => "is on trial",
            Self::Committed => "is well and stays",
            Self::RolledBack => "was not well, the program before runs again",
            Self::Refused => "is refused",
        }
    }
}

/// How a command that had its time ended. It is executed once or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimedOutcome {
    /// Done in its time.
    Done,
    /// The node was not up in its time, or its clock was not.
    Missed,
    /// Taken back before.
    Cancelled,
    /// A controller of a higher epoch commands by now.
    Stale,
    /// The node went down between beginning and end; it is not begun again.
    Interrupted,
}

impl TimedOutcome {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Done => "was done",
            Self::Missed => "missed its time",
            Self::Cancelled => "was taken back",
            Self::Stale => "is of a controller that does not command any more",
            Self::Interrupted => "was interrupted",
        }
    }
}

/// What can happen to a back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackEndChange {
    /// It answered a probe as the processor did, and is used.
    Advertised,
    /// It did not, and is not used.
    NotAdvertised,
    /// It failed while it ran, and is left alone for a time.
    Demoted,
    /// It failed, and the call went on on another one.
    FellBack,
}

impl BackEndChange {
    /// In words, as they follow the name of a back end.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Advertised => "is used",
            Self::NotAdvertised => "is not used",
            Self::Demoted => "failed and is left alone",
            Self::FellBack => "failed and the call went on elsewhere",
        }
    }
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// Its role.
    pub kind: NodeKind,
    /// Its processor.
    pub arch: Arch,
    /// What it offers to functions.
    pub capacity: Capacity,
    /// Where its energy comes from.
    pub energy: EnergySource,
    /// Version of the agent.
    pub version: String,
    /// The highest controller epoch that it has obeyed.
    pub epoch: LeaderEpoch,
    /// The generation that it runs.
    pub generation: Generation,
}

/// How a run went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its workflow.
    pub workflow: WorkflowId,
    /// The run.
    pub run: RunId,
    /// When it was triggered (sky).
    pub started_at: Epoch,
    /// From trigger to last commit, wall time in microseconds.
    pub wall_us: u64,
    /// `None` if it completed, else why it failed.
    pub failure: Option<String>,
    /// The stages in the order in which they committed.
    pub stages: Vec<StageRecord>,
    /// The body of the last stage's answer, for example a summary as JSON; at most 16 KiB.
    #[serde(with = "serde_bytes")]
    pub result: Vec<u8>,
}

/// How a stage of a run went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// The task.
    pub task: TaskId,
    /// Where it ran.
    pub node: NodeId,
    /// How often it was tried, from 1.
    pub attempts: u32,
    /// Where its results are durable.
    pub copies: Vec<NodeId>,
    /// What it cost.
    pub record: InvocationRecord,
}

/// Asks a node for events that were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventQuery {
    /// The first wanted number.
    pub from_seq: u64,
}

/// The answer: what is still kept from there on, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventPage {
    /// The events.
    pub events: Vec<Event>,
    /// How many that were asked for are gone.
    pub lost: u64,
}

impl Message for Event {
    const SCHEMA: Schema = Schema::Event;
    const BYTES_MAX: usize = 64 * 1024;

    fn validate(&self) -> Result<(), &'static str> {
        match &self.kind {
            EventKind::Started(facts) => facts.validate(),
            EventKind::RunFinished(run) => run.validate(),
            EventKind::Refused { reason } => rule::reason(reason),
            EventKind::BackEnd { name, change: _, reason } => {
                if BACK_END_BYTES_MAX < name.len() {
                    return Err("the name of a back end has at most 64 bytes");
                }
                rule::reason(reason)
            }
            EventKind::Update { version, reason, .. } => {
                if VERSION_BYTES_MAX < version.len() {
                    return Err("a version has at most 64 bytes");
                }
                rule::reason(reason)
            }
            EventKind::Prepared { .. }
            | EventKind::TookOver { .. }
            | EventKind::FirstCall { .. }
            | EventKind::Timed { .. }
            | EventKind::SafeMode { .. } => Ok(()),
        }
    }
}

impl NodeFacts {
    pub(crate) fn validate(&self) -> Result<(), &'static str> {
        if VERSION_BYTES_MAX < self.version.len() {
            return Err("a version has at most 64 bytes");
        }
        rule::energy(&self.energy)
    }
}

impl RunRecord {
    fn validate(&self) -> Result<(), &'static str> {
        if STAGES_MAX < self.stages.len() {
            return Err("a run has at most 32 stages");
        }
        if RESULT_BYTES_MAX < self.result.len() {
            return Err("the result of a run has at most 16 KiB");
        }
        rule::reason_of(self.failure.as_ref())?;
        self.stages.iter().try_for_each(StageRecord::validate)
    }
}

impl StageRecord {
    fn validate(&self) -> Result<(), &'static str> {
        if COPIES_MAX < self.copies.len() {
            return Err("the results of a stage are on at most 4 nodes");
        }
        self.record.validate()
    }
}

impl Message for EventQuery {
    const SCHEMA: Schema = Schema::EventQuery;
    const BYTES_MAX: usize = 16;
}

impl Message for EventPage {
    const SCHEMA: Schema = Schema::EventPage;
    const BYTES_MAX: usize = 4 * 1024 * 1024;

    fn validate(&self) -> Result<(), &'static str> {
        if PAGE_EVENTS_MAX < self.events.len() {
            return Err("a page holds at most 64 events");
        }
        self.events.iter().try_for_each(Message::validate)
    }
}
