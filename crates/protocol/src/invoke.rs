//! Invocations: one call of one task, its answer and what it cost.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use types::{Backend, NodeId, OwnerEpoch, ResourceProfileId, RunId, TaskId, WorkflowId};

use crate::belt::ObjectMeta;
use crate::codec::{Message, Schema};
use crate::desired::INPUTS_MAX;
use crate::rule;

/// Largest body in and out (larger values travel as objects).
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest chain of calls that one trigger may cause.
pub const HOPS_MAX: u8 = 32;
/// Most objects that one call may write.
pub const OUTPUTS_MAX: usize = 64;
/// Longest media type of a body, in bytes.
pub const CONTENT_TYPE_BYTES_MAX: usize = 128;
/// Most nodes on which the results of a stage are durable: here, where outputs go, where state goes, and one more.
pub const COPIES_MAX: usize = 4;
/// Most links in the record of a call.
pub const RECORD_LINKS_MAX: usize = 8;

/// A call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Invoke {
    /// Its workflow.
    pub workflow: WorkflowId,
    /// The task.
    pub task: TaskId,
    /// The run; with workflow and task the name of the stage that commits at most once.
    pub run: RunId,
    /// Counts tries of this stage, from 1.
    pub attempt: u32,
    /// The run that started the chain of calls.
    pub root: RunId,
    /// Calls between the trigger and this one.
    pub hops: u8,
    /// Who calls.
    pub source: NodeId,
    /// Wall time left, in milliseconds.
    pub deadline_ms: u32,
    /// What it and all calls that follow from it may use.
    pub budget: Budget,
    /// Outputs of predecessors and objects of data sources, with who holds them.
    pub inputs: Vec<Input>,
    /// Where the outputs are needed next, so that they go there before the call is answered.
    pub outputs_to: Option<NodeId>,
    /// Media type of the body.
    pub content_type: String,
    /// The body.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

/// What a chain of calls may still use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Calls of functions that may follow.
    pub calls: u32,
    /// Processor time, in microseconds.
    pub cpu_us: u64,
}

impl Default for Budget {
    /// 64 calls and 30 s: what one chain has unless the manifest says otherwise.
    fn default() -> Self {
        Self { calls: 64, cpu_us: 30_000_000 }
    }
}

/// An object that a call takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Which.
    pub object: ObjectMeta,
    /// Who surely holds it.
    pub holder: NodeId,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Invoked {
    /// What came out.
    pub outcome: Outcome,
    /// What it cost, also when it failed.
    pub record: InvocationRecord,
}

/// What came out of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// It ran and its writes are durable.
    Committed(Committed),
    /// It did not commit; nothing of it remains.
    Failed(Fault),
}

/// A committed stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Committed {
    /// The objects that it wrote for its successors.
    pub outputs: Vec<ObjectMeta>,
    /// The nodes on which state and outputs are durable; the first is the one that answers.
    pub copies: Vec<NodeId>,
    /// Why there is only one copy, if so.
    pub single_copy: Option<SingleCopy>,
    /// How many writes of lasting state were acknowledged.
    pub state_writes: u32,
    /// Whether all inputs and state were here when it started.
    pub local_at_start: bool,
    /// `true` when this stage had been committed by an earlier attempt.
    pub again: bool,
    /// The answer of the function.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

/// Why a stage is durable on one node only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SingleCopy {
    /// The contact plan knows no second node in time.
    NonePlanned,
    /// The planned node is there and has no room.
    Refused,
}

/// Why a call did not commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The input cannot be used.
    BadInput(String),
    /// No such task or object here.
    NotFound(String),
    /// Not granted.
    Denied(String),
    /// No room; try later.
    Busy,
    /// Over a limit.
    TooLarge(String),
    /// Out of time.
    Deadline,
    /// The expected version is not the present one.
    Conflict(u64),
    /// Another node owns the task now.
    Moved {
        /// Who.
        to: NodeId,
        /// Under which epoch.
        owner_epoch: OwnerEpoch,
    },
    /// An input could not be had from its holder.
    InputMissing(String),
    /// The function trapped or failed.
    Internal(String),
    /// This agent does not know the request.
    Unsupported,
}

/// What a call cost. Numbers are totals of this call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InvocationRecord {
    /// What executed it; `None` when nothing ran: refused, out of time, or answered from an earlier commit.
    pub backend: Option<Backend>,
    /// The resource profile, if one was chosen.
    pub profile: Option<ResourceProfileId>,
    /// Input objects and body, bytes.
    pub input_bytes: u64,
    /// Outputs and body, bytes.
    pub output_bytes: u64,
    /// Finding inputs and the task, nanoseconds of wall time.
    pub route_ns: u64,
    /// Waiting for a place, nanoseconds.
    pub queue_ns: u64,
    /// Fetching inputs that were not here, nanoseconds.
    pub fetch_ns: u64,
    /// Loading code, nanoseconds; 0 when it was warm.
    pub instantiate_ns: u64,
    /// Running the guest, nanoseconds.
    pub run_ns: u64,
    /// Making it durable here and on the second node, nanoseconds.
    pub commit_ns: u64,
    /// Processor time of the guest, nanoseconds.
    pub cpu_ns: u64,
    /// Graphics processor time, nanoseconds.
    pub gpu_ns: u64,
    /// Whether code had to be compiled or loaded first.
    pub cold: bool,
    /// Largest linear memory, bytes.
    pub peak_memory_bytes: u64,
    /// Bytes fetched over links.
    pub fetched_bytes: u64,
    /// Bytes pushed over links.
    pub pushed_bytes: u64,
    /// What went over which link; beyond [`RECORD_LINKS_MAX`] the busiest ones. The totals above count all.
    pub links: Vec<LinkBytes>,
    /// Calls of the state interface.
    pub state_ops: u32,
    /// Calls of other functions, and what those called.
    pub calls: u32,
    /// How data went to functions that it called; the farthest. `None`: it called none.
    pub hand_over: Option<HandOver>,
    /// Energy estimate in joules, if the node has a model.
    pub joules: Option<f32>,
    /// How its input objects came; the farthest. `None`: none came.
    pub inputs: Option<HandOver>,
    /// Whether it ran in an instance that had served a call before.
    pub warm: bool,
}

/// How data came from one function to the next: the farther, the later in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum HandOver {
    /// Within one store: same tenant and workflow.
    Fused,
    /// From store to store of one process: one copy.
    Process,
    /// Between two processes of a node: sealed memory.
    Node,
    /// Over the network.
    Network,
}

/// Bytes of objects and state that a call moved over one link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkBytes {
    /// The other end.
    pub node: NodeId,
    /// Sent there.
    pub sent: u64,
    /// Received from there.
    pub received: u64,
}

impl InvocationRecord {
    pub(crate) fn validate(&self) -> Result<(), &'static str> {
        if RECORD_LINKS_MAX < self.links.len() {
            return Err("the record of a call names at most 8 links");
        }
        let possible = self.joules.is_none_or(|joules| (0.0..=1.0e9).contains(&joules));
        possible.then_some(()).ok_or("the energy of a call lies outside 0 to 1e9 J")
    }
}

impl Message for Invoke {
    const SCHEMA: Schema = Schema::Invoke;
    const BYTES_MAX: usize = BODY_BYTES_MAX + 640 * 1024;

    fn validate(&self) -> Result<(), &'static str> {
        if BODY_BYTES_MAX < self.body.len() {
            return Err("a body has at most 8 MiB");
        }
        if HOPS_MAX < self.hops {
            return Err("a chain has at most 32 calls");
        }
        if INPUTS_MAX * OUTPUTS_MAX < self.inputs.len() {
            return Err("a call takes at most 1024 objects");
        }
        if CONTENT_TYPE_BYTES_MAX < self.content_type.len() {
            return Err("a content type has at most 128 bytes");
        }
        (self.attempt != 0).then_some(()).ok_or("attempts count from 1")
    }
}

impl Message for Invoked {
    const SCHEMA: Schema = Schema::Invoked;
    const BYTES_MAX: usize = BODY_BYTES_MAX + 64 * 1024;

    fn validate(&self) -> Result<(), &'static str> {
        self.record.validate()?;
        match &self.outcome {
            Outcome::Committed(done) => done.validate(),
            Outcome::Failed(fault) => fault.validate(),
        }
    }
}

impl Committed {
    fn validate(&self) -> Result<(), &'static str> {
        if BODY_BYTES_MAX < self.body.len() {
            return Err("a body has at most 8 MiB");
        }
        if OUTPUTS_MAX < self.outputs.len() {
            return Err("a call writes at most 64 objects");
        }
        let durable = !self.copies.is_empty() && self.copies.len() <= COPIES_MAX;
        durable.then_some(()).ok_or("a committed stage is durable on 1 to 4 nodes")
    }
}

impl Fault {
    fn validate(&self) -> Result<(), &'static str> {
        match self {
            Self::BadInput(text)
            | Self::NotFound(text)
            | Self::Denied(text)
            | Self::TooLarge(text)
            | Self::InputMissing(text)
            | Self::Internal(text) => rule::reason(text),
            Self::Busy
            | Self::Deadline
            | Self::Conflict(_)
            | Self::Moved { .. }
            | Self::Unsupported => Ok(()),
        }
    }
}
