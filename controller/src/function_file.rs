//! `function.toml`: what the author of a function says about it. Read and checked completely, and with the component
//! turned into the manifest. Nothing is enforced by it in this version, see `functions/wit/ABI.md`.

use std::path::Path;

use accel::{InspectError, ModuleFacts, ScanLimits};
use protocol::Message as _;
use protocol::manifest::{
    Capability, DEADLINE_MS_MAX, Exec, ExecFacts, LABEL_BYTES_MAX, LATENCY_MS_MAX,
    LINEAR_MEMORY_MIB_MAX, Limits, Manifest, Probe, RATE_MAX, ResourceProfile, Slo, Switch,
    WINDOW_S_MAX,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use types::{ExecutionMode, FunctionId, MiB, MilliCpu, ResourceProfileId, StateKey};

use crate::config::{ConfigError, Layers, Problem};

/// The world that functions of this version are built against.
const WORLD: &str = "starbelt:function/function@0.2.0";
/// Its text, whose hash is in every manifest.
const WORLD_TEXT: &str = include_str!("../../functions/wit/world.wit");

/// A `function.toml`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionFile {
    /// All of it.
    pub function: FunctionSection,
}

/// `[function]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionSection {
    /// Its name.
    pub name: FunctionId,
    /// Rises with each release, from 1.
    pub version: u64,
    /// The contract that it is built against.
    pub world: String,
    /// Limits of one call.
    pub limits: LimitsSection,
    /// What it may use.
    #[serde(default)]
    pub grants: GrantsSection,
    /// How it executes.
    #[serde(default)]
    pub exec: ExecSection,
    /// What its calls must keep to.
    pub slo: Option<SloSection>,
    /// What it can do.
    pub capability: Option<CapabilitySection>,
    /// Resource profiles to choose from.
    #[serde(default)]
    pub profile: Vec<ProfileSection>,
}

/// `[function.limits]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsSection {
    /// Largest linear memory.
    pub linear_memory_mib: u32,
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

/// Why file and component make no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The component is refused.
    #[error(transparent)]
    Component(#[from] InspectError),
    /// A rule of manifests is broken.
    #[error("the manifest is not valid: {0}")]
    Rule(&'static str),
}

impl FunctionFile {
    /// Reads a file and checks it completely.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line, field and rule of everything that is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let layers = Layers::read(path, std::iter::empty())?;
        let file: Self = layers.decode()?;
        let problems = file.function.problems(&layers);
        if problems.is_empty() { Ok(file) } else { Err(ConfigError(problems)) }
    }

    /// The manifest for this component.
    ///
    /// # Errors
    /// [`ManifestError`] for a component that is refused, or more than a manifest holds.
    pub fn manifest(&self, component: &[u8]) -> Result<Manifest, ManifestError> {
        let facts = accel::inspect(component, &ScanLimits::default())?;
        let FunctionSection { name, version, limits, grants, exec, .. } = &self.function;
        let manifest = Manifest {
            name: name.clone(),
            version: *version,
            sha256: Sha256::digest(component).into(),
            world: Sha256::digest(WORLD_TEXT).into(),
            limits: Limits {
                linear_memory_mib: MiB(limits.linear_memory_mib),
                deadline_ms: limits.deadline_ms,
            },
            state_prefixes: grants.state_prefixes.clone(),
            topics: grants.topics.clone(),
            models: grants.models.clone(),
            exec: exec.with(&facts),
            slo: self.function.slo.map(SloSection::slo),
            capability: self.function.capability.as_ref().map(CapabilitySection::capability),
            variants: Vec::new(),
            profiles: self.function.profile.iter().map(ProfileSection::profile).collect(),
            triggers: Vec::new(),
            needs: Vec::new(),
            schemas: Vec::new(),
            policies: Vec::new(),
        };
        manifest.validate().map_err(ManifestError::Rule)?;
        Ok(manifest)
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

    /// The author's choice and what the component's facts say.
    fn with(&self, facts: &ModuleFacts) -> Exec {
        let identified = accel::identify(facts);
        let mix = &facts.mix;
        Exec {
            chosen: match self.mode {
                ModeChoice::Auto => None,
                ModeChoice::Cpu => Some(ExecutionMode::Cpu),
                ModeChoice::Gpu => Some(ExecutionMode::Gpu),
            },
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
            switch: self.switch(),
        }
    }
}

impl SloSection {
    fn slo(self) -> Slo {
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
    fn capability(&self) -> Capability {
        Capability { name: self.name.clone(), accuracy: self.accuracy }
    }
}

impl ProfileSection {
    fn profile(&self) -> ResourceProfile {
        ResourceProfile {
            id: self.id.clone(),
            milli_cpu: MilliCpu(self.milli_cpu),
            memory_mib: MiB(self.memory_mib),
        }
    }
}

/// A number with its section, key and range.
type Ranged = (&'static str, &'static str, Option<f64>, f64, f64);

impl FunctionSection {
    fn problems(&self, layers: &Layers) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut say = |section: &str, nth: usize, key: &str, rule: String| {
            problems.push(layers.problem(section, nth, key, rule));
        };
        if self.version == 0 {
            say("function", 0, "version", "0 is not 1 or more".to_owned());
        }
        if self.world != WORLD {
            let rule = format!("{:?} is not {WORLD:?}, the only world of this version", self.world);
            say("function", 0, "world", rule);
        }
        for (section, key, value, low, high) in self.numbers() {
            if let Some(value) = value.filter(|value| !(low..=high).contains(value)) {
                say(section, 0, key, format!("{value} is outside {low} to {high}"));
            }
        }
        for (key, names) in [("topics", &self.grants.topics), ("models", &self.grants.models)] {
            for name in names.iter().filter(|name| !is_label(name)) {
                say("function.grants", 0, key, not_a_label(name));
            }
        }
        if let Some(name) = self.capability.as_ref().map(|c| &c.name).filter(|n| !is_label(n)) {
            say("function.capability", 0, "name", not_a_label(name));
        }
        for (nth, profile) in self.profile.iter().enumerate() {
            for (key, value) in
                [("milli_cpu", profile.milli_cpu), ("memory_mib", profile.memory_mib)]
            {
                if value == 0 {
                    say("function.profile", nth, key, "0 is not 1 or more".to_owned());
                }
            }
            if self.profile[..nth].iter().any(|other| other.id == profile.id) {
                say("function.profile", nth, "id", format!("{} is taken already", profile.id));
            }
        }
        if let Some(SloSection { latency_p95_ms, low_rate_latency_ms: Some(idle_ms), .. }) =
            self.slo.filter(|slo| slo.low_rate_latency_ms.is_some_and(|ms| ms < slo.latency_p95_ms))
        {
            let rule = format!("{idle_ms} is less than latency_p95_ms, {latency_p95_ms}");
            say("function.slo", 0, "low_rate_latency_ms", rule);
        }
        problems
    }

    fn numbers(&self) -> Vec<Ranged> {
        const LIMITS: &str = "function.limits";
        const EXEC: &str = "function.exec";
        const SLO: &str = "function.slo";
        let of = |number: u32| Some(f64::from(number));
        let maybe = |number: Option<u32>| number.map(f64::from);
        let float = |number: Option<f32>| number.map(f64::from);
        let (limits, exec) = (self.limits, &self.exec);
        let (slo, probe) = (self.slo, exec.probe);
        let (rate, wait_s) = (f64::from(RATE_MAX), f64::from(WINDOW_S_MAX));
        let latency_ms = f64::from(LATENCY_MS_MAX);
        let memory_mib = f64::from(LINEAR_MEMORY_MIB_MAX);
        let accuracy = self.capability.as_ref().and_then(|capability| capability.accuracy);
        vec![
            (LIMITS, "linear_memory_mib", of(limits.linear_memory_mib), 1.0, memory_mib),
            (LIMITS, "deadline_ms", of(limits.deadline_ms), 1.0, f64::from(DEADLINE_MS_MAX)),
            (EXEC, "gap_ms", maybe(exec.gap_ms), 0.0, latency_ms),
            (EXEC, "min_rate", float(exec.min_rate), 0.0, rate),
            (EXEC, "idle_rate", float(exec.idle_rate), 0.0, rate),
            (EXEC, "cold_wait_s", maybe(exec.cold_wait_s), 0.0, wait_s),
            (EXEC, "up_dwell_s", maybe(exec.up_dwell_s), 0.0, wait_s),
            (EXEC, "down_dwell_s", maybe(exec.down_dwell_s), 0.0, wait_s),
            (EXEC, "probe", float(probe.map(|probe| probe.share)), 0.0, 1.0),
            (EXEC, "probe", maybe(probe.map(|probe| probe.min)), 1.0, 1000.0),
            (EXEC, "probe", maybe(probe.map(|probe| probe.seconds)), 1.0, wait_s),
            (SLO, "latency_p95_ms", maybe(slo.map(|slo| slo.latency_p95_ms)), 1.0, latency_ms),
            (
                SLO,
                "low_rate_latency_ms",
                maybe(slo.and_then(|slo| slo.low_rate_latency_ms)),
                1.0,
                latency_ms,
            ),
            (SLO, "window_s", maybe(slo.and_then(|slo| slo.window_s)), 1.0, wait_s),
            (SLO, "throughput_min", float(slo.and_then(|slo| slo.throughput_min)), 0.0, rate),
            ("function.capability", "accuracy", float(accuracy), 0.0, 1.0),
        ]
    }
}

fn is_label(text: &str) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&text.len())
}

fn not_a_label(text: &str) -> String {
    format!("{text:?} is not a name of 1 to {LABEL_BYTES_MAX} bytes")
}
