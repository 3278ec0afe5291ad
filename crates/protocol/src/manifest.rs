//! The manifest of a function. Its slots are reserved now, because it will be signed as it stands.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use types::{ExecutionMode, FunctionId, MiB, ResourceProfileId, StateKey};

use crate::codec::{Message, Schema};
use crate::event::TEXT_BYTES_MAX;

/// Most entries in any list of a manifest.
pub const ENTRIES_MAX: usize = 64;

/// What a function is and what it is granted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its name.
    pub name: FunctionId,
    /// Rises with each release; a lower one than ever seen is refused.
    pub version: u64,
    /// SHA-256 of the component.
    pub sha256: [u8; 32],
    /// SHA-256 of the contract's WIT text that it was built against.
    pub world: [u8; 32],
    /// Its limits.
    pub limits: Limits,
    /// Prefixes of state keys that it may use.
    pub state_prefixes: Vec<StateKey>,
    /// Topics on which it may emit.
    pub topics: Vec<String>,
    /// Models that it may run.
    pub models: Vec<String>,
    /// How it executes, and why.
    pub exec: Exec,
    /// Other builds of the same function.
    pub variants: Vec<Variant>,
    /// Resource profiles to choose from.
    pub profiles: Vec<ResourceProfileId>,
    /// What starts it.
    pub triggers: Vec<SlotValue>,
    /// Services and devices that it needs.
    pub needs: Vec<SlotValue>,
    /// Schemas of input and output.
    pub schemas: Vec<SlotValue>,
    /// What to do when it fails, budgets, preferences, objectives, data class, capability.
    pub policies: Vec<SlotValue>,
}

/// Limits of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Largest linear memory.
    pub linear_memory_mib: MiB,
    /// Wall time, in milliseconds.
    pub deadline_ms: u32,
}

/// How a function executes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// The mode.
    pub mode: ExecutionMode,
    /// Why, in words.
    pub reason: String,
}

/// Another build of the same function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// For example `gpu-kernel` or `onnx`.
    pub kind: String,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
}

/// A named value that this version keeps and does not act on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotValue {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl Message for Manifest {
    const SCHEMA: Schema = Schema::Manifest;
    const BYTES_MAX: usize = 64 * 1024;

    fn validate(&self) -> Result<(), &'static str> {
        let lists = [
            self.state_prefixes.len(),
            self.topics.len(),
            self.models.len(),
            self.variants.len(),
            self.profiles.len(),
            self.triggers.len(),
            self.needs.len(),
            self.schemas.len(),
            self.policies.len(),
        ];
        if lists.iter().any(|len| ENTRIES_MAX < *len) {
            return Err("a list of a manifest has at most 64 entries");
        }
        let slots = [&self.triggers, &self.needs, &self.schemas, &self.policies];
        let slots_fit = slots.iter().all(|list| {
            list.iter().all(|slot| slot.name.len() <= 64 && slot.value.len() <= TEXT_BYTES_MAX)
        });
        slots_fit.then_some(()).ok_or("a slot has a name of 64 and a value of 512 bytes at most")
    }
}
