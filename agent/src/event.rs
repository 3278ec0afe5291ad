//! Everything that can wake the agent, and everything that it can want: two closed lists.
//!
//! The shell turns frames, timers and finished work into [`Input`]s, hands them to [`crate::agent::Agent`] one at a
//! time, and does what the [`Output`]s say.

use std::fmt;

use protocol::command::{BoardOrder, Command, CommandReply, CommandVerdict};
use protocol::desired::{CalleeSpec, Desired, DesiredReply, FunctionRef, SourceRef, TaskSpec};
use protocol::event::{BackEndChange, Event, EventKind, EventPage, EventQuery};
use protocol::invoke::{self, Invoked};
use protocol::report::{Group, LinkSample, Report, ReportBody};
use types::{Epoch, Instant, NodeId, OwnerEpoch, RunId, TaskId, WallTime, WorkflowId};

use crate::life;
use crate::state::{GroupEvent, GroupId, GroupStatus, RoleChange, TransferError};

/// One moment on all clocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Now {
    /// Since the process began; also its uptime.
    pub at: Instant,
    /// The wall clock, which outlives the process.
    pub wall: WallTime,
    /// The sky.
    pub sky: Epoch,
    /// Sky seconds per wall second.
    pub rate: f64,
}

impl Now {
    /// When the sky will show `sky`; now, if it has.
    pub fn when(&self, sky: Epoch) -> Instant {
        let ahead_s = sky.seconds_since(self.sky).max(0.0) / self.rate;
        // A year is further than any plan.
        self.at.plus(std::time::Duration::from_secs_f64(ahead_s.min(31_557_600.0)))
    }
}

/// A question that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A small record that lasts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record {
    /// The newest desired state that was obeyed, as its frame.
    Desired,
    /// The highest epoch that a command came with.
    Fence,
    /// Commands that have their time.
    Timed,
    /// What the driver of a workflow has done.
    Journal(WorkflowId),
}

impl fmt::Display for Record {
    /// The name under which it is stored.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Desired => f.write_str("desired"),
            Self::Fence => f.write_str("fence"),
            Self::Timed => f.write_str("timed"),
            Self::Journal(workflow) => write!(f, "journal/{workflow}"),
        }
    }
}

/// What can wake the agent.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A deadline has passed.
    Timer,
    /// A controller says what this node is to do.
    Desired {
        /// What.
        desired: Box<Desired>,
        /// Who waits for the verdict.
        ticket: Ticket,
    },
    /// Somebody asks how this node stands.
    StatusAsked(Ticket),
    /// A command.
    Command {
        /// What.
        command: Command,
        /// Who waits.
        ticket: Ticket,
    },
    /// Somebody missed events.
    EventsAsked {
        /// Which.
        query: EventQuery,
        /// Who waits.
        ticket: Ticket,
    },
    /// A record is durable, or is not.
    Saved {
        /// Which.
        record: Record,
        /// Why not.
        result: Result<(), String>,
    },
    /// A record was read.
    Read {
        /// Which.
        record: Record,
        /// What was in it.
        bytes: Option<Vec<u8>>,
    },
    /// The state service has taken a role, or has not.
    RoleTaken {
        /// Of which group.
        group: GroupId,
        /// What changed.
        result: Result<RoleChange, String>,
        /// How the group stands now.
        status: GroupStatus,
    },
    /// A peer changed a group.
    GroupChanged {
        /// How.
        event: GroupEvent,
        /// How the group stands now.
        status: GroupStatus,
    },
    /// A function is checked, compiled and at hand, or cannot be; also when that changes.
    Loaded {
        /// SHA-256 of its signed manifest.
        manifest: [u8; 32],
        /// Why not.
        result: Result<(), String>,
    },
    /// A group was copied, or not.
    Replicated {
        /// Which.
        group: GroupId,
        /// To whom.
        to: NodeId,
        /// Why not.
        result: Result<(), TransferError>,
        /// How the group stands now.
        status: GroupStatus,
    },
    /// A group was handed over, or not.
    HandedOver {
        /// Which.
        group: GroupId,
        /// The epoch of the new owner, or why not.
        result: Result<OwnerEpoch, TransferError>,
        /// How the group stands now.
        status: GroupStatus,
    },
    /// A call of a task was committed here.
    Called {
        /// Which task.
        group: GroupId,
        /// For which run.
        run: RunId,
        /// How its group stands now.
        status: GroupStatus,
    },
    /// A stage of a run that this node drives was answered, or not.
    StageAnswered {
        /// Which call.
        call: CallId,
        /// The answer.
        answer: Answer,
    },
    /// Sensors were read.
    Sampled(ReportBody),
    /// A back end of inference came, went or failed.
    BackEnd {
        /// Which one.
        name: String,
        /// What happened to it.
        change: BackEndChange,
        /// On which device, or why.
        reason: String,
    },
    /// A link was measured.
    Pinged(LinkSample),
    /// A command that the shell judges was judged, and what it says is durable.
    Judged {
        /// Who waits.
        ticket: Ticket,
        /// The command.
        id: u64,
        /// The answer.
        verdict: CommandVerdict,
    },
    /// Something happened that is to be told.
    Happened(EventKind),
    /// The process is to end: start nothing new.
    Stopping,
}

/// One try of one stage of one run that this node drives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallId {
    /// Of which workflow.
    pub workflow: WorkflowId,
    /// Which run.
    pub run: RunId,
    /// Which stage.
    pub task: TaskId,
    /// Which try of it, from 1.
    pub attempt: u32,
}

/// What became of a call to another node.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It answered.
    Invoked(Box<Invoked>),
    /// It did not.
    Silence(String),
}

/// What the agent wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Make a record durable, then say [`Input::Saved`].
    Save {
        /// Which.
        record: Record,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Read a record, then say [`Input::Read`].
    Read(Record),
    /// Answer who asked about desired state.
    AnswerDesired {
        /// Who.
        ticket: Ticket,
        /// What.
        reply: Box<DesiredReply>,
    },
    /// Answer a command.
    AnswerCommand {
        /// Who.
        ticket: Ticket,
        /// What.
        reply: CommandReply,
    },
    /// Answer who missed events.
    AnswerEvents {
        /// Who.
        ticket: Ticket,
        /// What.
        page: EventPage,
    },
    /// Take a role and take calls for the task, then say [`Input::RoleTaken`].
    Hold(Box<TaskSpec>),
    /// Let go of a task: it is not desired here any more.
    LetGo(GroupId),
    /// Know that the functions which those of this node may call are there.
    Callees(Vec<CalleeSpec>),
    /// Take an order for another program of the agent, or not, then say [`Input::Judged`].
    Update {
        /// Who waits.
        ticket: Ticket,
        /// What is asked.
        asked: Box<life::book::Asked>,
    },
    /// Leave safe mode, then say [`Input::Judged`].
    Resume {
        /// Who waits.
        ticket: Ticket,
        /// The command.
        id: u64,
    },
    /// Have a board do something, then say [`Input::Judged`].
    Board {
        /// Who waits.
        ticket: Ticket,
        /// The command.
        id: u64,
        /// The board, by its name.
        board: String,
        /// What.
        order: BoardOrder,
    },
    /// Get a function from disk or controller, check and compile it, then say [`Input::Loaded`].
    Load(FunctionRef),
    /// Forget a function, by the SHA-256 of its signed manifest.
    Unload([u8; 32]),
    /// Copy a group, then say [`Input::Replicated`].
    Replicate {
        /// Which.
        group: GroupId,
        /// To whom.
        to: NodeId,
    },
    /// Hand a group over, then say [`Input::HandedOver`].
    HandOver {
        /// Which.
        group: GroupId,
        /// To whom.
        to: NodeId,
    },
    /// Invoke a stage, then say [`Input::StageAnswered`].
    Call(Box<StageCall>),
    /// Read the sensors of a group, then say [`Input::Sampled`].
    Sample(Group),
    /// Measure a link, then say [`Input::Pinged`].
    Ping(NodeId),
    /// Publish a report.
    Report(Box<Report>),
    /// Publish an event.
    Event(Box<Event>),
}

/// A call of a stage.
#[derive(Clone, Debug, PartialEq)]
pub struct StageCall {
    /// Its workflow.
    pub workflow: WorkflowId,
    /// The task.
    pub task: TaskId,
    /// The run.
    pub run: RunId,
    /// Counts tries of this stage, from 1.
    pub attempt: u32,
    /// Stages before this one.
    pub hops: u8,
    /// Whom to call.
    pub node: NodeId,
    /// Wall time left, in milliseconds.
    pub deadline_ms: u32,
    /// Outputs of the stages before.
    pub inputs: Vec<invoke::Input>,
    /// Data sources whose objects it takes.
    pub sources: Vec<SourceRef>,
    /// Who takes its outputs.
    pub outputs_to: Option<NodeId>,
    /// Which file of the input directory triggers it, counted; `None` for all but the first stage.
    pub trigger: Option<u64>,
}
