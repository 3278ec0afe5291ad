//! One call of a function: what goes in, what comes out, what it cost.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use types::{Backend, ResourceProfileId, TenantId};

use crate::host::HostFault;
use crate::warm::{Instance, Warm};

/// The tenant of whoever names none.
pub const TENANT_DEFAULT: &str = "default";

/// What names a call and bounds what follows from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallHeader {
    /// Names the call: two tries have the same.
    pub id: u64,
    /// The call that started the chain.
    pub root: u64,
    /// Calls between the trigger and this one.
    pub hops: u8,
    /// Counts tries of this call, from 1.
    pub attempt: u32,
    /// Who calls: a node, or `function@node`.
    pub source: String,
    /// Wall time left for all of it.
    pub deadline: Duration,
    /// What it and all that follows from it may use; that of the profile bounds it too.
    pub budget: Budget,
}

/// What a chain of calls may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Calls of functions that may follow.
    pub calls: u32,
    /// Processor time.
    pub cpu: Duration,
}

impl Budget {
    /// 64 calls, and as much processor time as the longest call may take of wall time.
    pub const USUAL: Self = Self { calls: 64, cpu: crate::DEADLINE_MAX };

    /// What both allow.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self { calls: self.calls.min(other.calls), cpu: self.cpu.min(other.cpu) }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::USUAL
    }
}

/// How data came from one function to the next: the farther, the later in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum HandOver {
    /// Within one store: same tenant and workflow.
    Fused,
    /// From store to store of one process: one copy.
    Process,
    /// Between two processes of a node: sealed memory, passed as a descriptor.
    Node,
    /// Over the network.
    Network,
}

/// A call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// What names and bounds it.
    pub header: CallHeader,
    /// Identifies the schema of the body; empty if none was agreed.
    pub schema_id: String,
    /// Media type of the body.
    pub content_type: String,
    /// The body, at most [`crate::BODY_BYTES_MAX`].
    pub body: Vec<u8>,
}

/// What one call may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallLimits {
    /// Largest linear memory, of all memories of the call together; at most [`crate::LINEAR_MEMORY_MIB_MAX`] count.
    pub linear_memory_mib: u32,
    /// Wall time for the guest; the request's deadline and [`crate::DEADLINE_MAX`] bound it too.
    pub deadline: Duration,
    /// What it and the calls that it makes may use; the budget of the request bounds it too.
    pub budget: Budget,
}

impl Default for CallLimits {
    /// 32 MiB, the longest deadline, the usual budget.
    fn default() -> Self {
        let linear_memory_mib = crate::pool::LINEAR_MEMORY_MIB_DEFAULT;
        Self { linear_memory_mib, deadline: crate::DEADLINE_MAX, budget: Budget::default() }
    }
}

/// How one call is executed: what it may use, and on what. Nothing chooses yet, so that every call gets the default
/// that [`From<CallLimits>`] makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallProfile {
    /// Whose call it is.
    pub tenant: TenantId,
    /// The resource profile that was chosen, for the record of the call.
    pub id: Option<ResourceProfileId>,
    /// What executes it; `None`: what the runtime has.
    pub backend: Option<Backend>,
    /// What it may use.
    pub limits: CallLimits,
    /// Whether it may have an instance that an earlier call has left; `None`: it gets a new one, which ends with it. A function
    /// without the hooks of a stateful one always gets a new one.
    pub warm: Option<Warm>,
}

impl From<CallLimits> for CallProfile {
    /// No profile was chosen: these limits, on what the runtime has, for the only tenant.
    fn from(limits: CallLimits) -> Self {
        let tenant = TenantId::new(TENANT_DEFAULT).expect("a name by the rules");
        Self { tenant, id: None, backend: None, limits, warm: None }
    }
}

impl From<CallLimits> for Cow<'_, CallProfile> {
    fn from(limits: CallLimits) -> Self {
        Self::Owned(limits.into())
    }
}

impl From<CallProfile> for Cow<'_, CallProfile> {
    fn from(profile: CallProfile) -> Self {
        Self::Owned(profile)
    }
}

impl<'a> From<&'a CallProfile> for Cow<'a, CallProfile> {
    fn from(profile: &'a CallProfile) -> Self {
        Self::Borrowed(profile)
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
    /// It used up the processor time of its chain of calls.
    #[error("the function was stopped: the processor time of its budget is used up")]
    Budget,
    /// It wanted more linear memory than granted.
    #[error("the function wanted more linear memory than granted")]
    MemoryLimit,
    /// It did what it must not; the text says what.
    #[error("the function trapped: {0}")]
    Trap(String),
    /// The process that ran it has ended, or is not to be had; the text says why.
    #[error("{0}")]
    Runner(String),
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Making store and instance, nanoseconds of wall time; 0 if an earlier call has left both.
    pub instantiate_ns: u64,
    /// Running the guest, host calls included, nanoseconds of wall time.
    pub run_ns: u64,
    /// Processor time of the thread for both, nanoseconds.
    pub cpu_ns: u64,
    /// Processor time of functions that were called elsewhere, and of what those called, nanoseconds.
    pub cpu_elsewhere_ns: u64,
    /// Largest linear memory, all memories together.
    pub peak_memory_bytes: u64,
    /// Calls of the state interface.
    pub state_ops: u32,
    /// Calls of other functions, and what those called.
    pub calls: u32,
    /// How data came and went between this function and those that it called; the farthest counts. `None`: it called none.
    pub hand_over: Option<HandOver>,
    /// Whether this was the first call since the function was loaded.
    pub cold: bool,
    /// Whether its runner had no code for it yet, so that it came with this call.
    pub code_came: bool,
    /// Whether log lines were cut or left out.
    pub log_cut: bool,
    /// What executed it.
    pub backend: Backend,
    /// What became of its instance, if that may be kept.
    pub instance: Option<Instance>,
}
