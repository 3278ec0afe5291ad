//! The manifest of a function: what it is, what it is granted, what it asks for. It is signed as it stands, so all
//! that the platform may want to know has its place; what is in [`slots`] is kept now and acted on later.

mod code;
pub mod slots;

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use types::{
    Backend, Epoch, ExecutionMode, FunctionId, MiB, MilliCpu, ResourceProfileId, StateKey, TenantId,
};

/// The rule for the name of a slot, topic, model, variant kind, capability or region.
pub use types::{LABEL_BYTES_MAX, is_label};

pub use self::code::{Code, KERNEL, NATIVE, NO_BYTES_SHA256, NO_WORLD};
use self::slots::{
    Budgets, DataPolicy, FailurePolicy, Needs, Payload, Preference, Sharing, Trigger, Warm,
};
use crate::codec::{Message, Schema};
use crate::rule;
use crate::signed::KeyId;

/// Most entries in a list of a manifest.
pub const ENTRIES_MAX: usize = 64;
/// Most triggers, services or kinds of devices.
pub const SLOTS_MAX: usize = 16;
/// Longest wall time of one call, in milliseconds.
pub const DEADLINE_MS_MAX: u32 = 30_000;
/// Most linear memory of one call, in MiB.
pub const LINEAR_MEMORY_MIB_MAX: u32 = 256;
/// Longest latency of an objective, in milliseconds: an hour.
pub const LATENCY_MS_MAX: u32 = 3_600_000;
/// Longest window, dwell or wait, in seconds: a day.
pub const WINDOW_S_MAX: u32 = 86_400;
/// Highest call rate of a rule, per second.
pub const RATE_MAX: f32 = 1.0e6;

/// What a function is and what it is granted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its name.
    pub name: FunctionId,
    /// Rises with each release; a lower one than ever seen is refused.
    pub version: u64,
    /// SHA-256 of its bytes: of the component or the ONNX file; [`NO_BYTES_SHA256`] for what has none.
    pub sha256: [u8; 32],
    /// SHA-256 of the contract's WIT text that it was built against; [`NO_WORLD`] for what knows no contract.
    pub world: [u8; 32],
    /// Whose it is.
    pub tenant: TenantId,
    /// The key that signs it.
    pub key: KeyId,
    /// It may not be loaded before (wall clock, UTC); `None`: no such bound.
    pub not_before: Option<Epoch>,
    /// It may not be loaded after (wall clock, UTC); `None`: no such bound.
    pub not_after: Option<Epoch>,
    /// Its limits.
    pub limits: Limits,
    /// What it may use.
    pub grants: Grants,
    /// How it executes, and why.
    pub exec: Exec,
    /// What its calls must keep to, if its author says so.
    pub slo: Option<Slo>,
    /// What it can do, so that a workflow may ask for that instead of a function.
    pub capability: Option<Capability>,
    /// Other builds of the same function.
    pub variants: Vec<Variant>,
    /// Resource profiles to choose from; none: its task's resources.
    pub profiles: Vec<ResourceProfile>,
    /// What starts it.
    pub triggers: Vec<Trigger>,
    /// What its node must have.
    pub needs: Needs,
    /// What a request looks like; `None`: anything.
    pub input: Option<Payload>,
    /// What an answer looks like; `None`: anything.
    pub output: Option<Payload>,
    /// What to do when it fails.
    pub failure: FailurePolicy,
    /// What a call and all that it causes may use up.
    pub budgets: Budgets,
    /// What counts where several nodes will do, the most important first; each at most once.
    pub preferences: Vec<Preference>,
    /// How its data are to be handled.
    pub data: DataPolicy,
    /// With whom it has to do beyond its own tenant and its own memory.
    pub sharing: Sharing,
    /// How its instances are kept between calls; `None`: each call has a new one.
    pub warm: Option<Warm>,
    /// What it consists of.
    pub code: Code,
}

/// What a function may use. What is not listed is denied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// Prefixes of state keys, by whole segments.
    pub state_prefixes: Vec<StateKey>,
    /// Topics on which it may emit.
    pub topics: Vec<String>,
    /// Models that it may run.
    pub models: Vec<String>,
    /// Functions that it may call.
    pub calls: Vec<FunctionId>,
}

/// Limits of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Largest linear memory of a component, 1 to 256 MiB; 0 of what has none.
    pub linear_memory_mib: MiB,
    /// Wall time, 1 to 30,000 ms.
    pub deadline_ms: u32,
}

/// How a function executes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exec {
    /// What its author chose; `None` is `auto`: the platform decides, at first by what it identified.
    pub chosen: Option<ExecutionMode>,
    /// What the platform identified from the module.
    pub identified: ExecutionMode,
    /// Why, in words.
    pub reason: String,
    /// The counts that this rests on.
    pub facts: ExecFacts,
    /// When to switch between back ends.
    pub switch: Switch,
}

impl Exec {
    /// The mode in which it starts.
    pub fn mode(&self) -> ExecutionMode {
        self.chosen.unwrap_or(self.identified)
    }
}

/// What was counted in a module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecFacts {
    /// Instructions.
    pub instructions: u64,
    /// Scalar floating-point operations among them.
    pub float_ops: u64,
    /// Vector operations among them.
    pub vector_ops: u64,
    /// Deepest loops within loops.
    pub loop_depth_max: u32,
    /// Instructions, weighted by the loops around them.
    pub weighted_instructions: u64,
    /// Floating-point operations, weighted alike.
    pub weighted_flops: u64,
    /// Bytes moved by loads and stores, weighted alike.
    pub weighted_bytes: u64,
    /// Bytes in data segments.
    pub data_bytes: u64,
    /// Pages of 64 KiB with which its memories start.
    pub memory_pages_min: u64,
}

/// When to switch between back ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Switch {
    /// A back end must be better by so much, in milliseconds.
    pub gap_ms: u32,
    /// Below this rate latency decides nothing, calls per second.
    pub min_rate: f32,
    /// Below this rate a function counts as idle, calls per second.
    pub idle_rate: f32,
    /// So long after a switch latency decides nothing, in seconds.
    pub cold_wait_s: u32,
    /// Shortest stay on a processor, in seconds.
    pub up_dwell_s: u32,
    /// Shortest stay on a graphics processor, in seconds.
    pub down_dwell_s: u32,
    /// Calls that try the other back end before a switch; `None`: no trial.
    pub probe: Option<Probe>,
}

impl Default for Switch {
    /// The values of `[function.exec]` unless told otherwise.
    fn default() -> Self {
        Self {
            gap_ms: 200,
            min_rate: 0.1,
            idle_rate: 0.01,
            cold_wait_s: 120,
            up_dwell_s: 60,
            down_dwell_s: 300,
            probe: Some(Probe::default()),
        }
    }
}

/// Calls that try the other back end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Their share of all calls, 0 to 1.
    pub share: f32,
    /// At least so many, 1 to 1000.
    pub min: u32,
    /// For so long, in seconds.
    pub seconds: u32,
}

impl Default for Probe {
    fn default() -> Self {
        Self { share: 0.05, min: 5, seconds: 30 }
    }
}

/// What the calls of a function must keep to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slo {
    /// The 95th percentile of wall time, in milliseconds.
    pub latency_p95_ms: u32,
    /// The same while the function is idle; at least `latency_p95_ms`.
    pub low_rate_latency_ms: u32,
    /// Over so long, in seconds.
    pub window_s: u32,
    /// Fewest calls per second that must be possible.
    pub throughput_min: Option<f32>,
}

/// What a function can do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capability {
    /// Its name, for example `object-detection`.
    pub name: String,
    /// How well, 0 to 1, as its author measured.
    pub accuracy: Option<f32>,
}

/// Another build of the same function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// For example `gpu-kernel` or `onnx`.
    pub kind: String,
    /// What executes it.
    pub backend: Backend,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// How well it does what the function does, 0 to 1, as its author measured.
    pub accuracy: Option<f32>,
}

/// Resources that a call may be given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceProfile {
    /// Its name, unique in the manifest.
    pub id: ResourceProfileId,
    /// Processor, at least 1.
    pub milli_cpu: MilliCpu,
    /// Memory, at least 1.
    pub memory_mib: MiB,
}

impl Message for Manifest {
    const SCHEMA: Schema = Schema::Manifest;
    const BYTES_MAX: usize = 128 * 1024;

    fn validate(&self) -> Result<(), &'static str> {
        if ENTRIES_MAX < self.variants.len() || ENTRIES_MAX < self.profiles.len() {
            return Err("a list of a manifest has at most 64 entries");
        }
        if self.not_before.zip(self.not_after).is_some_and(|(from, until)| until < from) {
            return Err("a manifest ends before it begins");
        }
        self.validate_code()?;
        self.grants.validate()?;
        self.exec.validate()?;
        self.slo.iter().try_for_each(Slo::validate)?;
        self.capability.iter().try_for_each(Capability::validate)?;
        self.variants.iter().try_for_each(Variant::validate)?;
        self.profiles.iter().try_for_each(ResourceProfile::validate)?;
        let is_twice = |at: usize| self.profiles[..at].iter().any(|p| p.id == self.profiles[at].id);
        if (0..self.profiles.len()).any(is_twice) {
            return Err("a resource profile occurs twice");
        }
        self.validate_slots()
    }
}

impl Manifest {
    fn validate_slots(&self) -> Result<(), &'static str> {
        if SLOTS_MAX < self.triggers.len() {
            return Err("a function has at most 16 triggers");
        }
        self.triggers.iter().try_for_each(Trigger::validate)?;
        self.needs.validate()?;
        self.input.iter().chain(&self.output).try_for_each(Payload::validate)?;
        self.failure.validate(&self.grants.topics)?;
        self.budgets.validate()?;
        let is_twice = |at: usize| self.preferences[..at].contains(&self.preferences[at]);
        if (0..self.preferences.len()).any(is_twice) {
            return Err("a preference occurs twice");
        }
        self.warm.iter().try_for_each(Warm::validate)?;
        self.data.validate()?;
        self.sharing.validate()
    }
}

impl Grants {
    fn validate(&self) -> Result<(), &'static str> {
        let Self { state_prefixes, topics, models, calls } = self;
        let lists = [state_prefixes.len(), topics.len(), models.len(), calls.len()];
        if lists.iter().any(|len| ENTRIES_MAX < *len) {
            return Err("a list of a manifest has at most 64 entries");
        }
        models.iter().try_for_each(|text| label(text))?;
        topics.iter().try_for_each(|text| topic(text))
    }
}

/// The tenant of who names none.
///
/// # Panics
/// Never: it is a name.
pub fn default_tenant() -> TenantId {
    TenantId::new("default").expect("a name")
}

/// Whether a text can be a topic: a label that is a key on the bus, too.
pub fn is_topic(text: &str) -> bool {
    is_label(text) && text.split('/').all(|segment| !segment.is_empty())
}

fn topic(text: &str) -> Result<(), &'static str> {
    label(text)?;
    is_topic(text).then_some(()).ok_or("no segment of a topic is empty")
}

pub(crate) fn label(text: &str) -> Result<(), &'static str> {
    is_label(text).then_some(()).ok_or(
        "a name in a manifest has 1 to 64 characters of A-Z, a-z, 0-9, '.', '_', '-' and '/'",
    )
}

fn share(value: Option<f32>) -> Result<(), &'static str> {
    let possible = value.is_none_or(|value| (0.0..=1.0).contains(&value));
    possible.then_some(()).ok_or("a share or accuracy lies outside 0 to 1")
}

impl Exec {
    fn validate(&self) -> Result<(), &'static str> {
        rule::reason(&self.reason)?;
        self.switch.validate()
    }
}

impl Switch {
    /// Checks its numbers.
    ///
    /// # Errors
    /// The broken rule in words.
    pub fn validate(&self) -> Result<(), &'static str> {
        if LATENCY_MS_MAX < self.gap_ms {
            return Err("a latency lies outside 0 to 3600000 ms");
        }
        let rates = [self.min_rate, self.idle_rate];
        if !rates.iter().all(|rate| (0.0..=RATE_MAX).contains(rate)) {
            return Err("a call rate lies outside 0 to 1e6 per second");
        }
        let waits = [self.cold_wait_s, self.up_dwell_s, self.down_dwell_s];
        if waits.iter().any(|wait| WINDOW_S_MAX < *wait) {
            return Err("a wait is longer than 86400 s");
        }
        self.probe.iter().try_for_each(Probe::validate)
    }
}

impl Probe {
    fn validate(&self) -> Result<(), &'static str> {
        share(Some(self.share))?;
        let possible = (1..=1000).contains(&self.min) && (1..=WINDOW_S_MAX).contains(&self.seconds);
        possible.then_some(()).ok_or("a probe takes 1 to 1000 calls and 1 to 86400 s")
    }
}

impl Slo {
    /// Checks its numbers.
    ///
    /// # Errors
    /// The broken rule in words.
    pub fn validate(&self) -> Result<(), &'static str> {
        let latencies = 1..=LATENCY_MS_MAX;
        if !latencies.contains(&self.latency_p95_ms)
            || !latencies.contains(&self.low_rate_latency_ms)
        {
            return Err("the latency of an objective lies outside 1 to 3600000 ms");
        }
        if self.low_rate_latency_ms < self.latency_p95_ms {
            return Err("the latency while idle is below the latency");
        }
        if !(1..=WINDOW_S_MAX).contains(&self.window_s) {
            return Err("the window of an objective lies outside 1 to 86400 s");
        }
        let possible = self.throughput_min.is_none_or(|rate| (0.0..=RATE_MAX).contains(&rate));
        possible.then_some(()).ok_or("a call rate lies outside 0 to 1e6 per second")
    }
}

impl Capability {
    fn validate(&self) -> Result<(), &'static str> {
        label(&self.name)?;
        share(self.accuracy)
    }
}

impl Variant {
    fn validate(&self) -> Result<(), &'static str> {
        label(&self.kind)?;
        share(self.accuracy)
    }
}

impl ResourceProfile {
    fn validate(&self) -> Result<(), &'static str> {
        let possible = self.milli_cpu.0 != 0 && self.memory_mib.0 != 0;
        possible.then_some(()).ok_or("a resource profile has no resources")
    }
}
