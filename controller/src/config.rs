//! `controller.toml`: read, overridden, checked completely before anything starts.

mod check;
mod layer;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::join::Role;
use serde::Deserialize;
use types::{Arch, Capacity, DataClass, FleetId, MiB, MilliCpu, NodeId, NodeKind, Region};

pub use layer::Layers;

/// Sections that later versions read.
const RESERVED: [&str; 3] = ["sizing", "cost", "learning"];

/// A field of a configuration file that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file (or the environment).
    pub file: PathBuf,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// The field, empty if the text is no TOML.
    pub field: String,
    /// Value and rule in words.
    pub rule: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.rule)
    }
}

/// A configuration that cannot be used; lists everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Problem>);

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// The controller's configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Version of this format: 1.
    pub version: u32,
    /// Who it is.
    pub controller: ControllerSection,
    /// The fleet's bus.
    pub bus: BusSection,
    /// The emulation's bus; absent with real nodes under the real sky.
    pub sim: Option<SimSection>,
    /// The HTTP API.
    #[serde(default)]
    pub http: HttpSection,
    /// The sky.
    pub sky: SkySection,
    /// The contact plan and what is made of it.
    #[serde(default)]
    pub plan: PlanSection,
    /// Our own lease.
    #[serde(default)]
    pub lease: LeaseSection,
    /// The fleet's authority and who may join; absent: an insecure fleet on this machine.
    pub identity: Option<IdentitySection>,
    /// The nodes of the fleet.
    #[serde(default)]
    pub node: Vec<NodeSection>,
    /// Who belongs to the fleet besides.
    #[serde(default)]
    pub member: Vec<MemberSection>,
}

/// `[controller]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControllerSection {
    /// Its endpoint in the sky.
    #[serde(default = "default_name")]
    pub name: NodeId,
    /// The namespace of all keys.
    pub fleet: FleetId,
    /// Where it keeps what must outlive it; relative to the file.
    pub state_dir: PathBuf,
}

/// `[bus]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusSection {
    /// Addresses to listen on, like `tls/0.0.0.0:7447`.
    #[serde(default)]
    pub listen: Vec<String>,
    /// Addresses to dial.
    #[serde(default)]
    pub connect: Vec<String>,
    /// Links are `tcp/`, on this machine only, and anybody on it may take part: for beds and trials.
    #[serde(default)]
    pub insecure: bool,
}

/// `[identity]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentitySection {
    /// The folder of the fleet's authority, made by `starbelt provision`; relative to the file.
    pub authority: PathBuf,
    /// Host names and IP addresses under which nodes dial the controller, besides its name.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// How long a certificate counts, seconds; it is renewed after two thirds of it.
    #[serde(default = "default_life_s")]
    pub life_s: u32,
    /// Where nodes join and renew; absent: nowhere.
    pub join: Option<SocketAddr>,
}

/// `[[member]]`: who belongs to the fleet and is no node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberSection {
    /// Its name.
    pub name: NodeId,
    /// What it may do: `viewer` or `bridge`.
    pub role: Role,
}

/// `[sim]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimSection {
    /// The bridge's address, like `tcp/127.0.0.1:7448`.
    pub connect: String,
}

/// `[http]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSection {
    /// Where the API listens.
    #[serde(default = "default_http")]
    pub listen: SocketAddr,
}

/// `[sky]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkySection {
    /// The sky file, shared with the sim-bridge; relative to this one.
    pub file: PathBuf,
}

/// `[plan]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlanSection {
    /// How far the contact plan reaches, sky seconds; two orbits.
    pub horizon_s: u32,
    /// Between two grid points, sky milliseconds.
    pub step_ms: u32,
    /// A new plan is made so often, sky seconds.
    pub refresh_s: u32,
    /// A hand-over starts so long before its window closes, sky seconds; absent: 1.5 wall seconds.
    pub guard_s: Option<f64>,
    /// What fetching code and state takes before a first call, wall milliseconds.
    pub prepare_ms: u32,
    /// `false`: nothing is planned ahead, tasks move only after a violation (for comparison).
    pub prediction: bool,
    /// Decides between nodes that are equal in all that counts.
    pub seed: u64,
}

/// `[lease]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LeaseSection {
    /// A node that is silent for longer is lost, wall milliseconds; predicted silence does not count.
    pub ms: u32,
}

/// `[[node]]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSection {
    /// Its name.
    pub name: NodeId,
    /// Its role.
    pub kind: NodeKind,
    /// Its processor, until it says so itself.
    #[serde(default = "default_arch")]
    pub arch: Arch,
    /// What it offers to functions at most, thousandths of a core.
    pub milli_cpu: MilliCpu,
    /// What it offers to functions at most, MiB.
    pub memory_mib: MiB,
    /// Where it stands, as far as law or contract goes; absent: outside all regions.
    pub region: Option<Region>,
    /// The highest class of data that it may see; absent: internal.
    #[serde(default)]
    pub trust: DataClass,
    /// What it draws without any task, W.
    #[serde(default)]
    pub idle_w: f64,
    /// What its panels give in full sun, W.
    #[serde(default)]
    pub solar_w: f64,
    /// The state of charge that must never be touched, 0 to 1.
    #[serde(default)]
    pub reserve: f64,
    /// The temperature that it must stay below, °C.
    #[serde(default = "default_temperature_max_c")]
    pub temperature_max_c: f64,
    /// Temperature of its surroundings, °C.
    pub ambient_c: Option<f64>,
    /// Heat that warms its board by one kelvin, J/K.
    pub heat_capacity_j_k: Option<f64>,
    /// Heat that flows to the surroundings per kelvin, W/K.
    pub conductance_w_k: Option<f64>,
    /// Others may be reached through it; then it is believed in what it passes on.
    #[serde(default)]
    pub relay: bool,
}

fn default_name() -> NodeId {
    NodeId::new("controller").expect("a valid name")
}

fn default_http() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}

/// 90 days: renewed after 60, so that a node may be out of reach for a month.
const fn default_life_s() -> u32 {
    90 * 24 * 3600
}

const fn default_arch() -> Arch {
    Arch::X86_64
}

/// Where boards throttle: the trip point that Jetson and Raspberry Pi share, °C.
const fn default_temperature_max_c() -> f64 {
    85.0
}

impl Default for HttpSection {
    fn default() -> Self {
        Self { listen: default_http() }
    }
}

impl Default for PlanSection {
    fn default() -> Self {
        Self {
            horizon_s: 11_400,
            step_ms: 10_000,
            refresh_s: 600,
            guard_s: None,
            prepare_ms: 2_000,
            prediction: true,
            seed: 0,
        }
    }
}

impl Default for LeaseSection {
    fn default() -> Self {
        Self { ms: 3_000 }
    }
}

impl LeaseSection {
    /// As a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.ms as u64)
    }
}

impl NodeSection {
    /// What it offers to functions at most.
    pub const fn capacity(&self) -> Capacity {
        Capacity { milli_cpu: self.milli_cpu, memory_mib: self.memory_mib }
    }
}

impl Config {
    /// Reads a file with its drop-ins (`<name>.d/*.toml` beside `<name>.toml`) and `STARBELT_<SECTION>__<KEY>` variables,
    /// and checks it completely.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line, field and rule of everything that is wrong.
    pub fn load(
        path: &Path,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let layers = Layers::read(path, variables)?;
        layers.refuse_reserved(&RESERVED)?;
        let config: Self = layers.decode()?;
        check::check(&config, &layers)?;
        Ok(config)
    }

    /// Who belongs to the fleet, and in which role.
    pub fn members(&self) -> BTreeMap<NodeId, Role> {
        let node = |node: &NodeSection| {
            (node.name.clone(), if node.relay { Role::Relay } else { Role::Node })
        };
        let others = self.member.iter().map(|member| (member.name.clone(), member.role));
        let own = (self.controller.name.clone(), Role::Controller);
        self.node.iter().map(node).chain(others).chain([own]).collect()
    }

    /// A path of the configuration, relative to the file that names it.
    pub fn resolve(config_file: &Path, path: &Path) -> PathBuf {
        config_file.parent().unwrap_or_else(|| Path::new("")).join(path)
    }
}
