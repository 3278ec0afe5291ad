//! Everything that an agent and its runner say to each other. Bytes of bodies, values and objects are not in here but beside the
//! message, see [`super::frame`].

use std::time::Duration;

use accel::ModuleFacts;
use serde::{Deserialize, Serialize};
use types::{Backend, Epoch, FunctionId, NodeId, NodeKind, StateKey, TaskId, TenantId};

use crate::cache::ModuleHash;
use crate::host::{Elsewhere, Returned};
use crate::jail::JailReport;
use crate::pool::{Memory, PoolMode};
use crate::{
    Budget, CallFault, CallHeader, CallProfile, Contact, Element, HandOver, HostFault, InferTiming,
    InputInfo, Level, NodeInfo, Position, Request, Tensor, Usage,
};

/// The first message to a runner.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// Who starts it.
    pub(crate) parent: u32,
    /// How its instances get their memory: what code is compiled for.
    pub(crate) mode: PoolMode,
    /// Linear memory of all its calls together.
    pub(crate) memory: Memory,
}

/// Its answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ready {
    /// It is in its jail, and takes lanes.
    Yes(JailReport),
    /// It cannot work, for this reason.
    No(String),
}

/// What follows on the control socket: a lane, which comes along.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TakeLane;

/// To a runner, on a lane.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToRunner {
    /// Run this; its body comes along.
    Call(Box<Call>),
    /// Have the code of this at hand for the calls that will come.
    Prepare(ModuleHash),
    /// The code of a function comes along; what the pre-scan found in it.
    Code(ModuleHash, Box<ModuleFacts>),
    /// The answer to a question.
    Answer(HostAnswer),
    /// The instance that waits for the next call of a task is to end.
    End(Box<End>),
}

/// Which instance is to end.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct End {
    pub(crate) tenant: TenantId,
    pub(crate) task: String,
    /// Whether it is asked what it wants to be remembered.
    pub(crate) suspend: bool,
}

/// A call, apart from its body.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) module: ModuleHash,
    pub(crate) request: Request,
    pub(crate) profile: CallProfile,
}

/// From a runner, on a lane.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromRunner {
    /// It has no code for the call.
    NeedsCode,
    /// It has the code that was to be prepared.
    Prepared,
    /// The code is of no use, for this reason.
    BadCode(String),
    /// The function asks its node something.
    Ask(HostCall),
    /// The function logs a line; nobody answers.
    Log(Level, String),
    /// The call has ended; the body of the answer comes along.
    Report(Outcome, Usage),
    /// An instance has ended; what it wants to be remembered comes along. `None`: there was none, or it was not asked.
    Ended(Option<(Outcome, Usage)>),
}

/// A question of a function; values come along.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum HostCall {
    StateGet(StateKey),
    StatePut {
        key: StateKey,
        expect: Option<u64>,
    },
    StateDelete(StateKey),
    StateKeys(Option<StateKey>),
    Inputs,
    InputRead {
        task: TaskId,
        key: StateKey,
        offset: u64,
        len: u32,
    },
    /// All of an input, as sealed memory.
    InputSealed {
        task: TaskId,
        key: StateKey,
    },
    OutputWrite(StateKey),
    Describe,
    SkyNow,
    NextContact(NodeId),
    StateGetRange {
        key: StateKey,
        offset: u64,
        len: u32,
    },
    /// The values lie one after the other in what comes along; here are their lengths.
    StateBatch(Vec<BatchWrite>),
    OutputWriteAt {
        key: StateKey,
        offset: u64,
    },
    OutputAdmit {
        key: StateKey,
        bytes: u64,
    },
    OutputTake(StateKey),
    OutputRead(StateKey),
    OutputForward {
        task: TaskId,
        key: StateKey,
        to: StateKey,
    },
    NextContactWith(NodeKind),
    Position,
    Latency(NodeId),
    Name,
    /// Another function is to be called.
    Enter(FunctionId),
    /// Its code, which the runner does not have.
    Code(ModuleHash),
    /// It has ended.
    Leave(Outcome, Usage),
    /// It is elsewhere; body and objects lie one after the other in what comes along.
    CallElsewhere(Box<Outward>),
    /// The data of the tensors lie one after the other in what comes along.
    Infer {
        model: String,
        inputs: Vec<TensorHead>,
        /// Time left.
        time: Duration,
    },
    Emit(String),
    Entropy,
    /// What the last instance of the task wanted to be remembered.
    Remembered,
}

/// A tensor, apart from its data.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TensorHead {
    name: String,
    dims: Vec<u32>,
    element: Element,
    length: u64,
}

impl TensorHead {
    /// Takes tensors apart.
    pub(crate) fn of(tensors: Vec<Tensor>) -> (Vec<Self>, Vec<u8>) {
        let mut all = Vec::with_capacity(tensors.iter().map(|tensor| tensor.data.len()).sum());
        let head = |Tensor { name, dims, element, data }| {
            all.extend_from_slice(&data);
            Self { name, dims, element, length: data.len() as u64 }
        };
        let heads = tensors.into_iter().map(head).collect();
        (heads, all)
    }

    /// Puts them together again.
    pub(crate) fn with(heads: Vec<Self>, bytes: &[u8]) -> Result<Vec<Tensor>, HostFault> {
        let mut pieces = Pieces::of(bytes);
        let tensor = |Self { name, dims, element, length }| {
            Ok(Tensor { name, dims, element, data: pieces.next(length)?.to_vec() })
        };
        heads.into_iter().map(tensor).collect()
    }
}

/// Values that lie one after the other.
pub(crate) struct Pieces<'a>(&'a [u8]);

impl<'a> Pieces<'a> {
    pub(crate) const fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next one; who says more than it sends has lost its way.
    pub(crate) fn next(&mut self, length: u64) -> Result<&'a [u8], HostFault> {
        let short = || HostFault::Internal("less was sent than was said".to_owned());
        let length = usize::try_from(length).map_err(|_overflow| short())?;
        let (piece, rest) = self.0.split_at_checked(length).ok_or_else(short)?;
        self.0 = rest;
        Ok(piece)
    }
}

/// One write of a batch, apart from its value.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BatchWrite {
    pub(crate) key: StateKey,
    pub(crate) length: Option<u64>,
    pub(crate) expect: Option<u64>,
}

/// A call of a function elsewhere, apart from its bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Outward {
    pub(crate) header: CallHeader,
    pub(crate) function: FunctionId,
    pub(crate) content_type: String,
    pub(crate) body: u64,
    pub(crate) objects: Vec<(StateKey, u64)>,
}

/// What came of it, apart from its bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Inward {
    /// The lengths of body and objects.
    pub(crate) outcome: Result<(u64, Vec<(StateKey, u64)>), HostFault>,
    pub(crate) used: Budget,
    pub(crate) mode: Option<HandOver>,
}

impl Inward {
    /// Takes it apart; what is more than goes along is a fault.
    pub(crate) fn of(came: Elsewhere, bytes_max: usize) -> (Self, Vec<u8>) {
        let Elsewhere { outcome, used, mode } = came;
        let fits = |back: &Returned| {
            let objects: usize = back.objects.iter().map(|(_, object)| object.len()).sum();
            objects.saturating_add(back.body.len()) <= bytes_max
        };
        match outcome {
            Ok(back) if fits(&back) => {
                let (body, mut bytes) = (back.body.len() as u64, back.body);
                let head = |(key, object): (StateKey, Vec<u8>)| {
                    bytes.extend_from_slice(&object);
                    (key, object.len() as u64)
                };
                let objects = back.objects.into_iter().map(head).collect();
                (Self { outcome: Ok((body, objects)), used, mode }, bytes)
            }
            Ok(_) => (Self { outcome: Err(HostFault::TooLarge), used, mode }, Vec::new()),
            Err(fault) => (Self { outcome: Err(fault), used, mode }, Vec::new()),
        }
    }

    /// Puts it together again.
    pub(crate) fn with(self, bytes: &[u8]) -> Elsewhere {
        let Self { outcome, used, mode } = self;
        let mut pieces = Pieces::of(bytes);
        let outcome = outcome.and_then(|(body, objects)| {
            let body = pieces.next(body)?.to_vec();
            let object = |(key, length)| Ok((key, pieces.next(length)?.to_vec()));
            let objects = objects.into_iter().map(object).collect::<Result<_, HostFault>>()?;
            Ok(Returned { body, objects })
        });
        Elsewhere { outcome, used, mode }
    }
}

/// The answer to it; values come along.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum HostAnswer {
    Fault(HostFault),
    Done,
    /// A value of this version, or none.
    Value(Option<u64>),
    Version(u64),
    Keys(Vec<StateKey>),
    Inputs(Vec<InputInfo>),
    Bytes,
    Node(NodeInfo),
    Sky(Epoch),
    Contact(Option<Contact>),
    Versions(Vec<u64>),
    /// An object, or none.
    Object(bool),
    Position(Option<Position>),
    Latency(Option<f64>),
    Name(String),
    /// Where a function is: here with this module and profile, or elsewhere.
    Callee(Option<Box<CalleeHere>>),
    Code(Box<ModuleFacts>),
    /// Body and objects lie one after the other in what comes along.
    Elsewhere(Box<Inward>),
    /// The data of the tensors lie one after the other in what comes along.
    Inferred(Vec<TensorHead>, InferTiming),
    Entropy(Option<[u8; 32]>),
}

/// A function that is at hand.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CalleeHere {
    pub(crate) module: ModuleHash,
    pub(crate) profile: CallProfile,
    pub(crate) fused: bool,
}

/// How a call ended, apart from the body.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Outcome {
    Answered,
    Guest(HostFault),
    Deadline,
    Budget,
    MemoryLimit,
    Trap(String),
    Busy,
    NoBackend(Backend),
    BodyTooLarge,
    AnswerTooLarge,
    ObjectTooLarge,
}

/// What a fault calls what is too large.
const BODY: &str = "the body of the call";
const ANSWER: &str = "the answer of the function";
const OBJECT: &str = "an object of the call";

impl Outcome {
    /// Of a call that has no answer.
    pub(crate) fn of(fault: CallFault) -> Self {
        match fault {
            CallFault::Guest(fault) => Self::Guest(fault),
            CallFault::Deadline => Self::Deadline,
            CallFault::Budget => Self::Budget,
            CallFault::MemoryLimit => Self::MemoryLimit,
            CallFault::Trap(text) | CallFault::Runner(text) => Self::Trap(text),
            CallFault::Busy => Self::Busy,
            CallFault::NoBackend(backend) => Self::NoBackend(backend),
            CallFault::TooLarge(BODY) => Self::BodyTooLarge,
            CallFault::TooLarge(OBJECT) => Self::ObjectTooLarge,
            CallFault::TooLarge(_) => Self::AnswerTooLarge,
        }
    }

    /// How a call ended, and its body apart.
    pub(crate) fn apart(outcome: Result<Vec<u8>, CallFault>) -> (Self, Vec<u8>) {
        match outcome {
            Ok(body) => (Self::Answered, body),
            Err(fault) => (Self::of(fault), Vec::new()),
        }
    }

    /// With the body that came along.
    pub(crate) fn with(self, body: Option<Vec<u8>>) -> Result<Vec<u8>, CallFault> {
        Err(match self {
            Self::Answered => return Ok(body.unwrap_or_default()),
            Self::Guest(fault) => CallFault::Guest(fault),
            Self::Deadline => CallFault::Deadline,
            Self::Budget => CallFault::Budget,
            Self::MemoryLimit => CallFault::MemoryLimit,
            Self::Trap(text) => CallFault::Trap(text),
            Self::Busy => CallFault::Busy,
            Self::NoBackend(backend) => CallFault::NoBackend(backend),
            Self::BodyTooLarge => CallFault::TooLarge(BODY),
            Self::AnswerTooLarge => CallFault::TooLarge(ANSWER),
            Self::ObjectTooLarge => CallFault::TooLarge(OBJECT),
        })
    }
}
