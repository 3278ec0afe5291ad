//! One call of a function: what goes in, what comes out, what it cost.

use std::time::Duration;

use types::{Backend, ResourceProfileId};

use crate::host::HostFault;

/// A call.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The run that calls.
    pub run: u64,
    /// The run that started the chain of calls.
    pub root: u64,
    /// Calls between the trigger and this one.
    pub hops: u8,
    /// Counts tries of this stage, from 1.
    pub attempt: u32,
    /// The node that calls.
    pub source: String,
    /// Wall time left for all of it.
    pub deadline: Duration,
    /// Identifies the schema of the body; empty if none was agreed.
    pub schema_id: String,
    /// Media type of the body.
    pub content_type: String,
    /// The body, at most [`crate::BODY_BYTES_MAX`].
    pub body: Vec<u8>,
}

/// What one call may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// Largest linear memory, of all memories of the call together; at most [`crate::LINEAR_MEMORY_MIB_MAX`] count.
    pub linear_memory_mib: u32,
    /// Wall time for the guest; the request's deadline and [`crate::DEADLINE_MAX`] bound it too.
    pub deadline: Duration,
}

/// How one call is executed: what it may use, and on what. Nothing chooses yet, so that every call gets the default
/// that [`From<CallLimits>`] makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallProfile {
    /// The resource profile that was chosen, for the record of the call.
    pub id: Option<ResourceProfileId>,
    /// What executes it; `None`: what the runtime has.
    pub backend: Option<Backend>,
    /// What it may use.
    pub limits: CallLimits,
}

impl From<CallLimits> for CallProfile {
    /// No profile was chosen: these limits, on what the runtime has.
    fn from(limits: CallLimits) -> Self {
        Self { id: None, backend: None, limits }
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub struct CallReport {
    /// The answer of the function, or why there is none.
    pub outcome: Result<Vec<u8>, CallFault>,
    /// What it cost, also when it failed.
    pub usage: Usage,
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallFault {
    /// The function answered a fault.
    #[error("the function answered: {0}")]
    Guest(HostFault),
    /// It was stopped at its deadline.
    #[error("the function was stopped at its deadline")]
    Deadline,
    /// It wanted more linear memory than granted.
    #[error("the function wanted more linear memory than granted")]
    MemoryLimit,
    /// It did what it must not; the text says what.
    #[error("the function trapped: {0}")]
    Trap(String),
    /// Too many calls or too much granted memory in flight; try later.
    #[error("no room for the call now")]
    Busy,
    /// The profile asks for a back end that this runtime does not have.
    #[error("this node executes nothing on {0:?}")]
    NoBackend(Backend),
    /// The named part is over its limit.
    #[error("{0} is over its limit of 8 MiB")]
    TooLarge(&'static str),
}

/// What a call cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Making store and instance, nanoseconds of wall time.
    pub instantiate_ns: u64,
    /// Running the guest, host calls included, nanoseconds of wall time.
    pub run_ns: u64,
    /// Processor time of the thread for both, nanoseconds.
    pub cpu_ns: u64,
    /// Largest linear memory, all memories together.
    pub peak_memory_bytes: u64,
    /// Calls of the state interface.
    pub state_ops: u32,
    /// Whether this was the first call since the function was loaded.
    pub cold: bool,
    /// Whether log lines were cut or left out.
    pub log_cut: bool,
    /// What executed it.
    pub backend: Backend,
}
