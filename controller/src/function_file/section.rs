//! The sections of a `function.toml` that say what a function is, may and does, and what they are in its manifest.

use accel::ModuleFacts;
use protocol::manifest::{
    Capability, Exec, ExecFacts, Grants, LATENCY_MS_MAX, Probe, ResourceProfile, Slo, Switch,
};
use serde::Deserialize;
use types::{Epoch, ExecutionMode, FunctionId, MiB, MilliCpu, ResourceProfileId, StateKey};

/// `[function.limits]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsSection {
    /// Largest linear memory of a component.
    pub linear_memory_mib: Option<u32>,
    /// Wall time of one call.
    pub deadline_ms: u32,
}

/// `[function.grants]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GrantsSection {
    /// Prefixes of state keys.
    pub state_prefixes: Vec<StateKey>,
    /// Topics.
    pub topics: Vec<String>,
    /// Models.
    pub models: Vec<String>,
    /// Functions that it may call.
    pub calls: Vec<FunctionId>,
}

/// `[function.validity]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ValiditySection {
    /// It may not be loaded before.
    pub not_before: Option<Epoch>,
    /// It may not be loaded after.
    pub not_after: Option<Epoch>,
}

/// What an author may choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModeChoice {
    /// The platform decides.
    #[default]
    Auto,
    /// Only on a processor.
    Cpu,
    /// Only on a graphics processor.
    Gpu,
}

/// `[function.exec]`; what is not written is as in [`Switch::default`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExecSection {
    /// The choice.
    pub mode: ModeChoice,
    /// A back end must be better by so much.
    pub gap_ms: Option<u32>,
    /// Below this rate latency decides nothing, calls per second.
    pub min_rate: Option<f32>,
    /// Below this rate a function is idle, calls per second.
    pub idle_rate: Option<f32>,
    /// So long after a switch latency decides nothing.
    pub cold_wait_s: Option<u32>,
    /// Shortest stay on a processor.
    pub up_dwell_s: Option<u32>,
    /// Shortest stay on a graphics processor.
    pub down_dwell_s: Option<u32>,
    /// Calls that try the other back end.
    pub probe: Option<ProbeSection>,
}

/// `probe = { … }` in `[function.exec]`
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeSection {
    /// Their share of all calls.
    pub share: f32,
    /// At least so many.
    pub min: u32,
    /// For so long.
    pub seconds: u32,
}

/// `[function.slo]`
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SloSection {
    /// 95th percentile of wall time.
    pub latency_p95_ms: u32,
    /// The same while idle; absent: twice as much.
    pub low_rate_latency_ms: Option<u32>,
    /// Over so long; absent: ten minutes.
    pub window_s: Option<u32>,
    /// Fewest calls per second that must be possible.
    pub throughput_min: Option<f32>,
}

/// `[function.capability]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapabilitySection {
    /// Its name.
    pub name: String,
    /// How well, 0 to 1.
    pub accuracy: Option<f32>,
}

/// `[[function.profile]]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileSection {
    /// Its name.
    pub id: ResourceProfileId,
    /// Processor.
    pub milli_cpu: u32,
    /// Memory.
    pub memory_mib: u32,
}

impl GrantsSection {
    pub(super) fn grants(&self) -> Grants {
        let Self { state_prefixes, topics, models, calls } = self.clone();
        Grants { state_prefixes, topics, models, calls }
    }
}

impl ExecSection {
    /// When to switch.
    pub fn switch(&self) -> Switch {
        let default = Switch::default();
        Switch {
            gap_ms: self.gap_ms.unwrap_or(default.gap_ms),
            min_rate: self.min_rate.unwrap_or(default.min_rate),
            idle_rate: self.idle_rate.unwrap_or(default.idle_rate),
            cold_wait_s: self.cold_wait_s.unwrap_or(default.cold_wait_s),
            up_dwell_s: self.up_dwell_s.unwrap_or(default.up_dwell_s),
            down_dwell_s: self.down_dwell_s.unwrap_or(default.down_dwell_s),
            probe: match self.probe {
                Some(ProbeSection { share, min, seconds }) => Some(Probe { share, min, seconds }),
                None => default.probe,
            },
        }
    }

    /// What the author chose; `None`: the platform decides.
    pub fn chosen(&self) -> Option<ExecutionMode> {
        match self.mode {
            ModeChoice::Auto => None,
            ModeChoice::Cpu => Some(ExecutionMode::Cpu),
            ModeChoice::Gpu => Some(ExecutionMode::Gpu),
        }
    }

    /// The author's choice, besides what the code says.
    pub(super) fn with(&self, identified: Exec) -> Exec {
        Exec { chosen: self.chosen(), switch: self.switch(), ..identified }
    }
}

/// What the facts of a component say.
pub(super) fn identified(facts: &ModuleFacts) -> Exec {
    let identified = accel::identify(facts);
    let mix = &facts.mix;
    Exec {
        chosen: None,
        identified: identified.mode,
        reason: identified.reason,
        facts: ExecFacts {
            instructions: mix.instructions,
            float_ops: mix.float_ops,
            vector_ops: mix.vector_ops,
            loop_depth_max: mix.loop_depth_max,
            weighted_instructions: mix.weighted_instructions,
            weighted_flops: mix.weighted_flops,
            weighted_bytes: mix.weighted_bytes,
            data_bytes: facts.data_bytes,
            memory_pages_min: facts.memory_pages_min,
        },
        switch: Switch::default(),
    }
}

impl SloSection {
    pub(super) fn slo(self) -> Slo {
        let twice = self.latency_p95_ms.saturating_mul(2).min(LATENCY_MS_MAX);
        Slo {
            latency_p95_ms: self.latency_p95_ms,
            low_rate_latency_ms: self.low_rate_latency_ms.unwrap_or(twice),
            window_s: self.window_s.unwrap_or(600),
            throughput_min: self.throughput_min,
        }
    }
}

impl CapabilitySection {
    pub(super) fn capability(&self) -> Capability {
        Capability { name: self.name.clone(), accuracy: self.accuracy }
    }
}

impl ProfileSection {
    pub(super) fn profile(&self) -> ResourceProfile {
        ResourceProfile {
            id: self.id.clone(),
            milli_cpu: MilliCpu(self.milli_cpu),
            memory_mib: MiB(self.memory_mib),
        }
    }
}
