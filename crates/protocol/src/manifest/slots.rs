//! What an author asks of the platform besides running: parsed and kept, acted on as the platform learns to.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
pub use types::DataClass;
use types::{NodeKind, StateKey, TenantId};

use super::{SLOTS_MAX, label};
use crate::invoke::CONTENT_TYPE_BYTES_MAX;

/// Shortest time between two starts by a timer, in milliseconds.
pub const EVERY_MS_MIN: u32 = 100;
/// Longest time between two starts by a timer, in milliseconds: a day.
pub const EVERY_MS_MAX: u32 = 86_400_000;
/// Most devices of one kind.
pub const DEVICES_MAX: u8 = 16;
/// Most tries after the first one.
pub const RETRIES_MAX: u8 = 10;
/// Most calls that one call may cause: a fan-out over a thousand nodes, and as much again.
pub const BUDGET_CALLS_MAX: u32 = 65_536;
/// Most processor time of a call and all that it causes, in milliseconds: an hour.
pub const BUDGET_CPU_MS_MAX: u32 = 3_600_000;
/// Most energy of a call and all that it causes, in joules: a kilowatt-hour.
pub const BUDGET_JOULES_MAX: f32 = 3.6e6;
/// Most regions that are listed.
pub const REGIONS_MAX: usize = 64;

/// Shortest time that an instance waits for its next call, in milliseconds.
pub const WARM_IDLE_MS_MIN: u32 = 100;
/// Longest time that it waits, in milliseconds: ten minutes, about as long as a satellite is in sight.
pub const WARM_IDLE_MS_MAX: u32 = 600_000;
/// Most calls of one instance: what it leaks adds up.
pub const WARM_CALLS_MAX: u32 = 1_000_000;

/// What starts a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trigger {
    /// Time: once every so often, on the wall clock.
    Every {
        /// How often, 100 ms to a day.
        every_ms: u32,
    },
    /// A message on a topic.
    Topic {
        /// The topic.
        topic: String,
    },
    /// A committed write of lasting state.
    State {
        /// At or below this key.
        prefix: StateKey,
    },
    /// The opening of a contact.
    Contact {
        /// With a node of this kind.
        kind: NodeKind,
    },
}

/// What a node must have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Services, by name.
    pub services: Vec<String>,
    /// Devices.
    pub devices: Vec<DeviceNeed>,
}

/// A kind of device that a node must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceNeed {
    /// For example `thermal-camera`; once in a list.
    pub kind: String,
    /// How many, 1 to 16.
    pub count: u8,
}

/// What a body looks like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// Name of the schema, for example `thermal-burst/1`.
    pub schema: String,
    /// Media type; empty: any.
    pub content_type: String,
}

/// What to do with a call that fails.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailurePolicy {
    /// Tries after the first one, 0 to 10.
    pub retries: u8,
    /// Where the request goes in the end; a topic that is granted.
    pub dead_letter: Option<String>,
}

/// What one call, and all that it causes, may use up. `None`: what the platform gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Budgets {
    /// Calls of other functions, 0 to 65,536.
    pub calls: Option<u32>,
    /// Processor time in milliseconds, 1 to 3,600,000.
    pub cpu_ms: Option<u32>,
    /// Energy in joules, above 0 to 3.6e6.
    pub joules: Option<f32>,
}

/// What counts where several nodes will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preference {
    /// The answer comes soon.
    Latency,
    /// Little energy.
    Energy,
    /// Little carbon for that energy.
    Carbon,
    /// Little money.
    Cost,
}

/// How the instances of a function are kept between the calls of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warm {
    /// One that has waited so long for its next call is suspended, 100 to 600,000 ms.
    pub idle_ms: u32,
    /// One that has served so many calls is suspended, and the next call gets a new one, 1 to 1,000,000.
    pub calls_max: u32,
}

/// How its data are to be handled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataPolicy {
    /// Who may see them.
    pub class: DataClass,
    /// Regions that they may be in; empty: all.
    pub regions: Vec<String>,
}

/// With whom a function has to do beyond its own tenant and its own memory. Unless it says so: with nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sharing {
    /// Other tenants whose functions may call it, if theirs grant the call; each once.
    pub tenants: Vec<TenantId>,
    /// Whether functions that it calls, or that call it, may share a store with it: those of its tenant, its signer and its
    /// workflow that say so, too.
    pub fuse: bool,
}

impl Trigger {
    /// Checks it.
    ///
    /// # Errors
    /// The broken rule in words.
    pub fn validate(&self) -> Result<(), &'static str> {
        match self {
            Self::Every { every_ms } => (EVERY_MS_MIN..=EVERY_MS_MAX)
                .contains(every_ms)
                .then_some(())
                .ok_or("a timer runs every 100 to 86400000 ms"),
            Self::Topic { topic } => label(topic),
            Self::State { .. } | Self::Contact { .. } => Ok(()),
        }
    }
}

impl Needs {
    pub(super) fn validate(&self) -> Result<(), &'static str> {
        if SLOTS_MAX < self.services.len() || SLOTS_MAX < self.devices.len() {
            return Err("a list of needs has at most 16 entries");
        }
        self.services.iter().try_for_each(|name| label(name))?;
        self.devices.iter().try_for_each(|device| {
            let possible = (1..=DEVICES_MAX).contains(&device.count);
            possible.then_some(()).ok_or("a function needs 1 to 16 devices of a kind")?;
            label(&device.kind)
        })?;
        let is_twice =
            |at: usize| self.devices[..at].iter().any(|other| other.kind == self.devices[at].kind);
        let is_once = !(0..self.devices.len()).any(is_twice);
        is_once.then_some(()).ok_or("a kind of device occurs twice")
    }
}

impl Payload {
    pub(super) fn validate(&self) -> Result<(), &'static str> {
        label(&self.schema)?;
        let fits = self.content_type.len() <= CONTENT_TYPE_BYTES_MAX;
        fits.then_some(()).ok_or("a media type has at most 128 bytes")
    }
}

impl FailurePolicy {
    pub(super) fn validate(&self, topics: &[String]) -> Result<(), &'static str> {
        if RETRIES_MAX < self.retries {
            return Err("a call is tried again at most 10 times");
        }
        let is_granted = self.dead_letter.as_ref().is_none_or(|topic| topics.contains(topic));
        is_granted.then_some(()).ok_or("a dead letter goes to a topic that is granted")
    }
}

impl Budgets {
    /// Checks its numbers.
    ///
    /// # Errors
    /// The broken rule in words.
    pub fn validate(&self) -> Result<(), &'static str> {
        if self.calls.is_some_and(|calls| BUDGET_CALLS_MAX < calls) {
            return Err("a budget has at most 65536 calls");
        }
        if self.cpu_ms.is_some_and(|ms| !(1..=BUDGET_CPU_MS_MAX).contains(&ms)) {
            return Err("a budget has 1 to 3600000 ms of processor time");
        }
        let possible = self.joules.is_none_or(|j| 0.0 < j && j <= BUDGET_JOULES_MAX);
        possible.then_some(()).ok_or("a budget has more than 0 and at most 3.6e6 joules")
    }
}

impl Sharing {
    /// Checks it.
    ///
    /// # Errors
    /// The broken rule in words.
    pub fn validate(&self) -> Result<(), &'static str> {
        if SLOTS_MAX < self.tenants.len() {
            return Err("at most 16 tenants may call a function");
        }
        let is_twice = |at: usize| self.tenants[..at].contains(&self.tenants[at]);
        let is_once = !(0..self.tenants.len()).any(is_twice);
        is_once.then_some(()).ok_or("a tenant that may call occurs twice")
    }
}

impl Warm {
    /// Checks its numbers.
    ///
    /// # Errors
    /// The broken rule in words.
    pub fn validate(&self) -> Result<(), &'static str> {
        if !(WARM_IDLE_MS_MIN..=WARM_IDLE_MS_MAX).contains(&self.idle_ms) {
            return Err("a warm instance waits 100 to 600000 ms for its next call");
        }
        let possible = (1..=WARM_CALLS_MAX).contains(&self.calls_max);
        possible.then_some(()).ok_or("a warm instance serves 1 to 1000000 calls")
    }
}

impl DataPolicy {
    pub(super) fn validate(&self) -> Result<(), &'static str> {
        if REGIONS_MAX < self.regions.len() {
            return Err("at most 64 regions are listed");
        }
        self.regions.iter().try_for_each(|region| label(region))
    }
}
