//! Instances that are kept between the calls of one task: who may have them, and what became of one.

pub(crate) mod hooks;
pub(crate) mod shelf;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::pool::PoolMode;

/// Most bytes that an instance may want to be remembered.
pub const MEMORY_BYTES_MAX: usize = 1024 * 1024;
/// Longest that an instance may take to say what it remembers, or to take that up: it holds up a hand-over or a call.
pub const HOOK_TIME_MAX: Duration = Duration::from_millis(500);

/// Most instances that wait for their next call in one runner: each holds memory, and a slot of the pool.
const RESTING_MAX: u32 = 16;
/// Of the slots of a pool, one in so many is for instances that wait.
const SLOTS_FOR_RESTING: u32 = 4;

impl PoolMode {
    /// How many instances can wait for their next call.
    pub(crate) fn resting_max(self) -> u32 {
        match self {
            Self::Pooling { slots, .. } => RESTING_MAX.min(slots / SLOTS_FOR_RESTING),
            Self::OnDemand | Self::Pulley => RESTING_MAX,
        }
    }
}

/// That a call may have the instance which an earlier call of the same task has left, and leaves its own for the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warm {
    /// The task, for whoever has the runtime: an instance serves one tenant and one task.
    pub task: String,
}

/// What became of an instance that may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Calls that it has served, this one included: 1 for a new one.
    pub calls: u32,
    /// Linear memory that it holds.
    pub held_bytes: u64,
    /// Whether it waits for the next call. One that was stopped or has trapped does not.
    pub rests: bool,
}
