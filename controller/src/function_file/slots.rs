//! The sections of a `function.toml` that ask for what the platform keeps and acts on later.

use protocol::manifest::Variant;
use protocol::manifest::slots::{
    Budgets, DataClass, DataPolicy, DeviceNeed, FailurePolicy, Needs, Payload, Sharing, Trigger,
    Warm,
};
use serde::Deserialize;
use types::{Backend, NodeKind, StateKey, TenantId};

use crate::hex::read_hex;

/// `[[function.trigger]]`: one of its keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriggerSection {
    /// Once every so often.
    pub every_ms: Option<u32>,
    /// A message on a topic.
    pub topic: Option<String>,
    /// A committed write at or below a key.
    pub state: Option<StateKey>,
    /// The opening of a contact with a node of a kind.
    pub contact: Option<NodeKind>,
}

/// `[function.needs]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NeedsSection {
    /// Services.
    pub services: Vec<String>,
    /// Devices.
    pub devices: Vec<DeviceSection>,
}

/// `{ kind = "…", count = 1 }` in `devices`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceSection {
    /// Its kind.
    pub kind: String,
    /// How many; absent: one.
    #[serde(default = "one")]
    pub count: u8,
}

const fn one() -> u8 {
    1
}

/// `[function.input]` and `[function.output]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayloadSection {
    /// Name of the schema.
    pub schema: String,
    /// Media type; absent: any.
    #[serde(default)]
    pub content_type: String,
}

/// `[function.failure]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FailureSection {
    /// Tries after the first one.
    pub retries: u8,
    /// Where the request goes in the end.
    pub dead_letter: Option<String>,
}

/// `[function.budget]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetSection {
    /// Calls of other functions.
    pub calls: Option<u32>,
    /// Processor time.
    pub cpu_ms: Option<u32>,
    /// Energy.
    pub joules: Option<f32>,
}

/// `[function.data]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataSection {
    /// Who may see them.
    pub class: DataClass,
    /// Where they may be; none: everywhere.
    pub regions: Vec<String>,
}

/// `[function.sharing]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SharingSection {
    /// Other tenants whose functions may call it.
    pub tenants: Vec<TenantId>,
    /// Whether it may share a store with those that it calls, and with those that call it.
    pub fuse: bool,
}

/// `[function.warm]`: its instances are kept between calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WarmSection {
    /// For so long after a call.
    pub idle_ms: u32,
    /// For so many calls.
    pub calls_max: u32,
}

impl Default for WarmSection {
    /// A minute: a workflow runs every few seconds. A thousand calls: what an instance leaks does not add up to much.
    fn default() -> Self {
        Self { idle_ms: 60_000, calls_max: 1_000 }
    }
}

/// `[[function.variant]]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariantSection {
    /// For example `onnx`.
    pub kind: String,
    /// What executes it.
    pub backend: Backend,
    /// SHA-256 of its bytes, hexadecimal.
    #[serde(deserialize_with = "read_hex")]
    pub sha256: [u8; 32],
    /// How well it does.
    pub accuracy: Option<f32>,
}

impl TriggerSection {
    /// What it says; `None` unless it says exactly one thing.
    pub(super) fn trigger(&self) -> Option<Trigger> {
        let Self { every_ms, topic, state, contact } = self.clone();
        match (every_ms, topic, state, contact) {
            (Some(every_ms), None, None, None) => Some(Trigger::Every { every_ms }),
            (None, Some(topic), None, None) => Some(Trigger::Topic { topic }),
            (None, None, Some(prefix), None) => Some(Trigger::State { prefix }),
            (None, None, None, Some(kind)) => Some(Trigger::Contact { kind }),
            _ => None,
        }
    }

    /// The first key that is written.
    pub(super) fn key(&self) -> &'static str {
        match self {
            Self { every_ms: Some(_), .. } => "every_ms",
            Self { topic: Some(_), .. } => "topic",
            Self { state: Some(_), .. } => "state",
            Self { .. } => "contact",
        }
    }

    pub(super) fn rule_of_one(&self) -> String {
        "a trigger has exactly one of every_ms, topic, state and contact".to_owned()
    }
}

impl NeedsSection {
    pub(super) fn needs(&self) -> Needs {
        let device = |d: &DeviceSection| DeviceNeed { kind: d.kind.clone(), count: d.count };
        let devices = self.devices.iter().map(device).collect();
        Needs { services: self.services.clone(), devices }
    }
}

impl PayloadSection {
    pub(super) fn payload(&self) -> Payload {
        Payload { schema: self.schema.clone(), content_type: self.content_type.clone() }
    }
}

impl FailureSection {
    pub(super) fn policy(&self) -> FailurePolicy {
        FailurePolicy { retries: self.retries, dead_letter: self.dead_letter.clone() }
    }
}

impl BudgetSection {
    pub(super) const fn budgets(self) -> Budgets {
        Budgets { calls: self.calls, cpu_ms: self.cpu_ms, joules: self.joules }
    }
}

impl DataSection {
    pub(super) fn policy(&self) -> DataPolicy {
        DataPolicy { class: self.class, regions: self.regions.clone() }
    }
}

impl SharingSection {
    pub(super) fn sharing(&self) -> Sharing {
        Sharing { tenants: self.tenants.clone(), fuse: self.fuse }
    }
}

impl WarmSection {
    pub(super) const fn warm(self) -> Warm {
        Warm { idle_ms: self.idle_ms, calls_max: self.calls_max }
    }
}

impl VariantSection {
    pub(super) fn variant(&self) -> Variant {
        let Self { kind, backend, sha256, accuracy } = self.clone();
        Variant { kind, backend, sha256, accuracy }
    }
}
