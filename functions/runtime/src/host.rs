//! What a function can ask of its node: the [`Host`] and the values that cross.

pub(crate) mod calls;
mod infer;
mod node;
pub(crate) mod objects;
mod piece;
mod state;
pub(crate) mod wire;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use types::{Epoch, FunctionId, NodeId, NodeKind, StateKey, TaskId};

use crate::memfd::Sealed;
use crate::{Budget, CallHeader, CallProfile, CallReport, Function, HandOver};

/// Serves one call of one function. Caps on state and objects are the host's; the runtime checks keys and names.
///
/// What a host need not offer has a default: denied, or unknown.
pub trait Host: Send {
    /// Reads a value of lasting state and its version; sees the writes of this call.
    ///
    /// # Errors
    /// The fault that the function gets to see.
    fn state_get(&mut self, key: &StateKey) -> Result<Option<(Vec<u8>, u64)>, HostFault>;

    /// At most `len` bytes of a value from `offset` on; fewer only at its end.
    ///
    /// # Errors
    /// The fault that the function gets to see.
    fn state_get_range(
        &mut self,
        key: &StateKey,
        offset: u64,
        len: u32,
    ) -> Result<Option<Vec<u8>>, HostFault> {
        let found = self.state_get(key)?;
        Ok(found.map(|(value, _)| part(&value, offset, len).to_vec()))
    }

    /// Writes a value, with `expect` only if that is its present version (0: no value yet), and answers its new version.
    ///
    /// # Errors
    /// The fault that the function gets to see; [`HostFault::Conflict`] with the present version.
    fn state_put(
        &mut self,
        key: &StateKey,
        value: Vec<u8>,
        expect: Option<u64>,
    ) -> Result<u64, HostFault>;

    /// Makes all writes or, with the first fault, none. Answers the new version of each, 0 for a removed value.
    ///
    /// # Errors
    /// The fault that the function gets to see; [`HostFault::Conflict`] with the present version.
    fn state_batch(&mut self, _writes: Vec<StateWrite>) -> Result<Vec<u64>, HostFault> {
        Err(HostFault::Denied)
    }

    /// Removes a value.
    ///
    /// # Errors
    /// The fault that the function gets to see.
    fn state_delete(&mut self, key: &StateKey) -> Result<(), HostFault>;

    /// The keys at or below `prefix`, in order; all without one.
    ///
    /// # Errors
    /// The fault that the function gets to see.
    fn state_keys(&mut self, prefix: Option<&StateKey>) -> Result<Vec<StateKey>, HostFault>;

    /// The objects that came with the call.
    fn inputs(&mut self) -> Vec<InputInfo>;

    /// At most `len` bytes of an input from `offset` on; fewer only at its end.
    ///
    /// # Errors
    /// The fault that the function gets to see.
    fn input_read(
        &mut self,
        task: &TaskId,
        key: &StateKey,
        offset: u64,
        len: u32,
    ) -> Result<Vec<u8>, HostFault>;

    /// All of an input in memory that another process can read; asked for a guest that runs in one, which then asks for parts of that
    /// input no more. `None`: it asks for parts.
    ///
    /// # Errors
    /// The fault that the function gets to see.
    fn input_sealed(
        &mut self,
        _task: &TaskId,
        _key: &StateKey,
    ) -> Result<Option<Sealed>, HostFault> {
        Ok(None)
    }

    /// Writes an object for the stages after; appends if the key was written before in this call.
    ///
    /// # Errors
    /// The fault that the function gets to see.
    fn output_write(&mut self, key: &StateKey, bytes: Vec<u8>) -> Result<(), HostFault>;

    /// Writes over a part of an object of this call; what goes beyond its end extends it.
    ///
    /// # Errors
    /// The fault that the function gets to see; [`HostFault::BadInput`] for an offset beyond the end.
    fn output_write_at(
        &mut self,
        _key: &StateKey,
        _offset: u64,
        _bytes: Vec<u8>,
    ) -> Result<(), HostFault> {
        Err(HostFault::Denied)
    }

    /// Whether an object of so many bytes may follow when the guest has ended.
    ///
    /// # Errors
    /// The fault that the function gets to see.
    fn output_admit(&mut self, _key: &StateKey, _bytes: u64) -> Result<(), HostFault> {
        Err(HostFault::Denied)
    }

    /// Takes an object that was admitted, from the memory of the guest, which has ended.
    ///
    /// # Errors
    /// Why the call fails after all.
    fn output_take(&mut self, _key: &StateKey, _bytes: &[u8]) -> Result<(), HostFault> {
        Err(HostFault::Denied)
    }

    /// An object that this call has written so far.
    fn output_read(&mut self, _key: &StateKey) -> Option<Vec<u8>> {
        None
    }

    /// Hands an input on as an object of this call.
    ///
    /// # Errors
    /// The fault that the function gets to see.
    fn output_forward(
        &mut self,
        _task: &TaskId,
        _key: &StateKey,
        _to: &StateKey,
    ) -> Result<(), HostFault> {
        Err(HostFault::Denied)
    }

    /// What the last instance of this task wanted to be remembered; asked once, for a new instance that may be kept. When the call
    /// commits it is forgotten here: the instance has it now.
    ///
    /// # Errors
    /// Why the call fails.
    fn remembered(&mut self) -> Result<Option<Vec<u8>>, HostFault> {
        Ok(None)
    }

    /// The node, now.
    fn describe(&mut self) -> NodeInfo;

    /// Randomness of this call that nobody can guess. Without it a function's randomness follows from what it is and which call
    /// this is: a run repeats exactly, and no key that a function makes is a secret.
    fn entropy(&mut self) -> Option<[u8; 32]> {
        None
    }

    /// The sky clock.
    fn sky_now(&mut self) -> Epoch;

    /// The present or next contact with `node`.
    fn next_contact(&mut self, node: &NodeId) -> Option<Contact>;

    /// The present or next contact with any node of a kind.
    fn next_contact_with(&mut self, _kind: NodeKind) -> Option<Contact> {
        None
    }

    /// Where the node is.
    fn position(&mut self) -> Option<Position> {
        None
    }

    /// One-way latency to a node now, in milliseconds.
    fn latency_ms(&mut self, _node: &NodeId) -> Option<f64> {
        None
    }

    /// Who calls, for those that are called: `function@node`.
    fn name(&mut self) -> String {
        format!("function@{}", self.describe().node)
    }

    /// Finds a function that this one wants to call. When it is here, all that is asked from then on until [`Host::leave`] is
    /// asked by that function.
    ///
    /// # Errors
    /// The fault that the function gets to see.
    fn enter(&mut self, _function: &FunctionId) -> Result<Callee, HostFault> {
        Err(HostFault::Denied)
    }

    /// The called function has ended: the one that called it asks again.
    fn leave(&mut self, _report: &CallReport) {}

    /// Has a function called that [`Host::enter`] found elsewhere, and waits for it, until the deadline of the call at most.
    fn call_elsewhere(&mut self, _call: &Outgoing<'_>) -> Elsewhere {
        Elsewhere::refused(HostFault::Denied)
    }

    /// Runs a model or a kernel, until then at the latest.
    ///
    /// # Errors
    /// The fault that the function gets to see.
    fn infer(
        &mut self,
        _model: &str,
        _inputs: Vec<Tensor>,
        _deadline: Instant,
    ) -> Result<(Vec<Tensor>, InferTiming), HostFault> {
        Err(HostFault::Denied)
    }

    /// Takes a message of at most 256 KiB, at most 64 in one call, to be published when the call succeeds.
    ///
    /// # Errors
    /// The fault that the function gets to see.
    fn emit(&mut self, _topic: &str, _body: Vec<u8>) -> Result<(), HostFault> {
        Err(HostFault::Denied)
    }

    /// Takes a line of the function's log: at most 8 KiB, 64 KiB in one call, free of control characters.
    fn log(&mut self, level: Level, message: &str);
}

/// Why something was not done, in either direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum HostFault {
    /// The input cannot be used.
    #[error("bad input: {0}")]
    BadInput(String),
    /// There is no such thing.
    #[error("not found")]
    NotFound,
    /// Not granted.
    #[error("denied")]
    Denied,
    /// No room now; try later.
    #[error("busy")]
    Busy,
    /// Over a limit.
    #[error("over a limit")]
    TooLarge,
    /// Out of time.
    #[error("out of time")]
    Deadline,
    /// The expected version is not the present one, which is given.
    #[error("conflict: the present version is {0}")]
    Conflict(u64),
    /// The node or the function failed.
    #[error("internal: {0}")]
    Internal(String),
}

/// At most `len` bytes from `offset` on.
pub(crate) fn part(bytes: &[u8], offset: u64, len: u32) -> &[u8] {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    let end = start.saturating_add(len as usize).min(bytes.len());
    bytes.get(start..end).unwrap_or_default()
}

/// One write of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateWrite {
    /// Of which key.
    pub key: StateKey,
    /// `None` removes the value.
    pub value: Option<Vec<u8>>,
    /// Only if that is the present version (0: no value yet).
    pub expect: Option<u64>,
}

/// Where a function is that another one wants to call.
#[derive(Debug)]
pub enum Callee {
    /// At hand in this process.
    Here {
        /// Its code.
        function: Function,
        /// What it may use; the budget, the hops and the deadline of the caller bound it too.
        profile: Box<CallProfile>,
        /// Whether it may share the store of its caller: same tenant and workflow.
        fused: bool,
    },
    /// Elsewhere: the host has it called.
    Elsewhere,
}

/// A call that one function makes of another.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The call, and what it may use.
    pub header: &'a CallHeader,
    /// Which function.
    pub function: &'a FunctionId,
    /// Media type of the body.
    pub content_type: &'a str,
    /// The body.
    pub body: &'a [u8],
    /// Objects that go along.
    pub objects: &'a [(StateKey, &'a [u8])],
}

/// What came of the call of a function elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// What it answered, or the fault that its caller gets to see.
    pub outcome: Result<Returned, HostFault>,
    /// What it used of the budget, also when it failed.
    pub used: Budget,
    /// How its data travelled; `None`: they did not.
    pub mode: Option<HandOver>,
}

/// What a function that was called elsewhere gave back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Returned {
    /// Its answer.
    pub body: Vec<u8>,
    /// The objects that it handed back.
    pub objects: Vec<(StateKey, Vec<u8>)>,
}

impl Elsewhere {
    /// Nothing was called.
    pub const fn refused(fault: HostFault) -> Self {
        let used = Budget { calls: 0, cpu: Duration::ZERO };
        Self { outcome: Err(fault), used, mode: None }
    }
}

/// What one element of a tensor is; all are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Element {
    /// An unsigned byte.
    U8,
    /// A signed integer of 32 bits.
    I32,
    /// A signed integer of 64 bits.
    I64,
    /// A float of 16 bits.
    F16,
    /// A float of 32 bits.
    F32,
}

/// An array of numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tensor {
    /// Its name in the model.
    pub name: String,
    /// Its shape, the outermost dimension first.
    pub dims: Vec<u32>,
    /// What its elements are.
    pub element: Element,
    /// Its elements.
    pub data: Vec<u8>,
}

/// What ran an inference, and how long that took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InferTiming {
    /// The back end.
    pub backend: String,
    /// Waiting, microseconds.
    pub queue_us: u64,
    /// Running, microseconds.
    pub run_us: u64,
}

/// A place on or above the WGS84 ellipsoid.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Degrees north.
    pub latitude_deg: f64,
    /// Degrees east.
    pub longitude_deg: f64,
    /// Kilometers above the ellipsoid.
    pub altitude_km: f64,
}

/// An object that came with a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputInfo {
    /// The task or data source that wrote it.
    pub task: TaskId,
    /// Its key within that task.
    pub key: StateKey,
    /// Its size.
    pub bytes: u64,
}

/// What a function may know of its node; `None` means unknown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its name.
    pub node: NodeId,
    /// Its role.
    pub kind: NodeKind,
    /// Charge of the battery in per cent.
    pub battery_pct: Option<f32>,
    /// Temperature in degrees Celsius.
    pub temperature_c: Option<f32>,
    /// Share of the solar disc in sight, 0 to 1.
    pub sunlit: Option<f32>,
    /// The back ends of inference that were proved to work here.
    pub accelerators: Vec<String>,
}

/// A contact with another node, in seconds of sky time from now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    /// With whom.
    pub node: NodeId,
    /// Until it opens; 0 if it is open.
    pub opens_in_s: f64,
    /// Until it closes.
    pub closes_in_s: f64,
    /// Largest one-way latency while it lasts, in milliseconds.
    pub latency_max_ms: f64,
}

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// Finest.
    Trace,
    /// For those who look for a fault.
    Debug,
    /// What happens.
    Info,
    /// What should not happen.
    Warn,
    /// What failed.
    Error,
}
