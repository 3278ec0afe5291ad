//! The agent's configuration: one TOML file, its drop-ins and the environment, checked as a whole before anything starts.
//!
//! Precedence: `STARBELT_<SECTION>__<KEY>`, then `<file>.d/*.toml` in order of name, then the file, then defaults.
//! Relative paths start at the directory of the file.

mod body;
pub mod early;
mod mcu;
mod mqtt;
mod program;
mod read;
mod section;
mod tree;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use types::{Capacity, EnergySource, FleetId, Geodetic, NodeId, NodeKind, StateKey, TaskId};

pub use self::mqtt::{
    BrokerUrl, InvalidBroker, MqttConfig, MqttNodes, MqttProfile, MqttProtocol, MqttTls,
};
use self::tree::Origin;
use crate::life::starts::Limits;
use crate::sensor::charge::PackSpec;

/// Largest configuration file; a typical one has 2 KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Everything an operator decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Its name; also the node id.
    pub node: NodeId,
    /// Its role.
    pub kind: NodeKind,
    /// Its fleet.
    pub fleet: FleetId,
    /// Where it stands, if it does not move and an operator said so.
    pub place: Option<Geodetic>,
    /// A receiver that tells where it is.
    pub receiver: Option<ReceiverConfig>,
    /// What it offers to functions.
    pub capacity: Capacity,
    /// How it meets the others.
    pub bus: BusConfig,
    /// Its place in a fleet with certificates; `None` in an insecure one.
    pub identity: Option<IdentityConfig>,
    /// Where the emulation is, if this node is part of one.
    pub sim: Option<Endpoint>,
    /// Where it keeps what must last.
    pub store: StoreSection,
    /// What it keeps while it has no link.
    pub queue: QueueConfig,
    /// How often it reports.
    pub report: ReportConfig,
    /// How its starts are counted.
    pub start: StartConfig,
    /// Who may bring another program.
    pub update: UpdateConfig,
    /// In which processes functions run, and what those may use.
    pub functions: FunctionsConfig,
    /// What runs models and kernels.
    pub inference: InferenceConfig,
    /// What it draws and where its energy comes from.
    pub battery: BatteryConfig,
    /// How warm it gets.
    pub thermal: ThermalConfig,
    /// Temperature from which on the node begins no work, in °C.
    pub ceiling_c: f64,
    /// Below which directory the files of the kernel are that sensors read: `/`, or a recording.
    pub sysfs_root: PathBuf,
    /// Boards at its serial lines.
    pub boards: Vec<McuConfig>,
    /// Standing data-source objects that it holds.
    pub sources: Vec<SourceConfig>,
    /// The directory whose files trigger the runs that this node drives.
    pub input: Option<PathBuf>,
    /// The bridge to an MQTT broker, if it is enabled.
    pub mqtt: Option<MqttConfig>,
}

/// The fleet's bus.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BusConfig {
    /// Where others reach this node.
    pub listen: Vec<Endpoint>,
    /// Where this node reaches others.
    pub connect: Vec<Endpoint>,
    /// Whom it measures links to.
    pub peers: Vec<NodeId>,
}

/// Its key and certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityConfig {
    /// Their folder.
    pub dir: PathBuf,
    /// Where it joins and renews, like `https://controller:7449`.
    pub controller: Option<String>,
}

/// The store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSection {
    /// Its directory.
    pub dir: PathBuf,
    /// Most bytes of state in it.
    pub quota_bytes: u64,
    /// Where acknowledged writes are logged for an independent check.
    pub audit_log: Option<PathBuf>,
}

/// What is kept while there is no link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueConfig {
    /// Most bytes on disk.
    pub quota_bytes: u64,
    /// How long a report is worth sending; time in which the agent runs counts.
    pub report_ttl: Duration,
    /// The same of an event.
    pub event_ttl: Duration,
}

/// Reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportConfig {
    /// Between two reports of a group.
    pub interval: Duration,
    /// Between two measurements of a link.
    pub ping_interval: Duration,
}

/// Starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartConfig {
    /// Failed starts in a row before safe mode, and how long that lasts at first.
    pub limits: Limits,
    /// How long a start must be well to count as a good one.
    pub healthy: Duration,
}

/// Updates of the agent's program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateConfig {
    /// Public keys whose releases are taken; without one, none is.
    pub keys: Vec<[u8; 32]>,
    /// Starts that a new program has to show that it is well.
    pub starts: u32,
}

/// The processes of functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionsConfig {
    /// In which processes they run.
    pub isolation: Isolation,
    /// Linear memory of all calls in one of these processes, in MiB.
    pub runner_memory_mib: u32,
    /// Of the linear memory that a call has written, what stays for the next one in its place, in MiB.
    pub keep_mib: u32,
    /// Runners at once, where each tenant has its own; an idle one makes room for another.
    pub runners_max: usize,
    /// Address space of the child that compiles a component, in MiB; `None`: a quarter of the machine's memory, 512 at most.
    pub compile_memory_mib: Option<u32>,
    /// Processor time of that child.
    pub compile_cpu: Duration,
}

/// What runs models and kernels for functions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InferenceConfig {
    /// The folder of models, `NAME.onnx` each; `None`: only kernels run.
    pub models: Option<PathBuf>,
    /// Whether a graphics processor is tried, if this agent was built for one.
    pub gpu: bool,
    /// An ONNX Runtime to load, if this agent was built for one.
    pub onnx_runtime: Option<PathBuf>,
    /// Whether that runs on a graphics processor, by CUDA.
    pub cuda: bool,
    /// Memory that all jobs on graphics processors may need at once, in MiB; `None`: the default of `infer`.
    pub gpu_memory_mib: Option<u32>,
    /// Native programs.
    pub programs: Vec<ProgramConfig>,
}

/// Native programs of a node at most: with the back ends that are built in, all that `infer` handles.
pub const PROGRAMS_MAX: usize = 4;

/// A program that computes on a graphics processor by itself and answers as `native/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramConfig {
    /// Its name, without `native/`.
    pub name: String,
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its environment, all of it.
    pub environment: Vec<(String, String)>,
    /// Memory of its process, in MiB, where there are cgroups.
    pub memory_mib: u32,
    /// Processor time of its process, in thousandths of a processor, where there are cgroups.
    pub milli_cpu: u32,
    /// What it takes of the memory budget of the graphics processors while it runs, in MiB.
    pub gpu_memory_mib: u32,
    /// A file of inputs, as safetensors.
    pub probe_input: PathBuf,
    /// A file of what it has to answer to them.
    pub probe_output: PathBuf,
    /// A model or kernel that answers where it cannot.
    pub fallback: Option<String>,
}

/// In which processes functions run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// In one runner, for all tenants.
    Process,
    /// In a runner for each tenant.
    Tenant,
    /// In the agent.
    None,
}

/// Energy.
#[derive(Clone, Debug, PartialEq)]
pub struct BatteryConfig {
    /// Where the energy comes from.
    pub source: EnergySource,
    /// What the node draws, if that is known.
    pub load: Option<LoadModel>,
    /// A battery that the emulation feeds; `None` for nodes without one.
    pub cell: Option<VirtualBattery>,
    /// Whether what hardware measures goes before the model of what the node draws.
    pub measures_load: bool,
    /// State of charge that must not be used up, 0 to 1: plans keep it.
    pub reserve: f64,
    /// State of charge below which the node itself begins no work, 0 to 1.
    pub floor: f64,
    /// Which hardware is asked.
    pub hardware: BatteryHardware,
}

/// Which hardware tells of a battery.
#[derive(Clone, Debug, PartialEq)]
pub enum BatteryHardware {
    /// None.
    None,
    /// Whatever the kernel knows of, if anything.
    Auto,
    /// A battery with a driver of the kernel.
    PowerSupply,
    /// A meter on a UPS board, and how its cells are counted.
    Ina219(MeterConfig),
}

/// A meter between cells and board.
#[derive(Clone, Debug, PartialEq)]
pub struct MeterConfig {
    /// The I²C bus.
    pub bus: u8,
    /// The address on it.
    pub address: u16,
    /// The shunt, Ω.
    pub shunt_ohm: f64,
    /// 1 where a positive current charges, -1 where it discharges.
    pub sign: f64,
    /// The cells.
    pub pack: PackSpec,
}

/// What a node draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadModel {
    /// At rest, in W.
    pub idle_w: f64,
    /// For each busy core, in W.
    pub watts_per_core: f64,
}

/// A battery that is not there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VirtualBattery {
    /// Capacity in Wh.
    pub capacity_wh: f64,
    /// State of charge at the very first start, 0 to 1.
    pub initial_soc: f64,
    /// What the panels give at 1361 W/m², in W.
    pub solar_w: f64,
    /// State of charge that must not be used up, 0 to 1.
    pub reserve: f64,
    /// Of what flows in, what is stored, above 0 to 1.
    pub charge_efficiency: f64,
    /// Of what is stored, what flows out, above 0 to 1.
    pub discharge_efficiency: f64,
    /// Most that it takes, W; `None`: half its capacity in an hour.
    pub charge_w_max: Option<f64>,
    /// Capacity lost with each full cycle, as a share.
    pub fade_per_cycle: f64,
    /// Capacity lost each year, as a share.
    pub fade_per_year: f64,
}

/// Where a receiver of a satellite navigation system is heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiverConfig {
    /// `host:port` of gpsd, or of whatever serves NMEA lines.
    Tcp(String),
    /// A serial line on which it says NMEA lines.
    Line {
        /// The path of the device; `*` in its last part stands for any letters.
        device: PathBuf,
        /// The rate of the line, in baud.
        baud: u32,
    },
}

impl fmt::Display for ReceiverConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Line { device, .. } => write!(f, "{}", device.display()),
        }
    }
}

/// A board at a serial line.
#[derive(Clone, Debug, PartialEq)]
pub struct McuConfig {
    /// What it is called.
    pub name: String,
    /// The path of the device; `*` in its last part stands for any letters.
    pub device: PathBuf,
    /// The rate of the line, in baud.
    pub baud: u32,
    /// What it is for.
    pub role: McuRole,
    /// Between two values of a kind.
    pub period: Duration,
    /// Capacity of the battery that it measures, in Wh.
    pub capacity_wh: Option<f64>,
}

/// What a board is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum McuRole {
    /// It measures the battery of the node.
    Battery,
    /// It switches power, maybe of other machines.
    PowerSwitch,
    /// It senses.
    Sensor,
}

/// Temperature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ThermalConfig {
    /// No sensor.
    None,
    /// Whatever the kernel knows of, if anything.
    Auto,
    /// A body that the load warms and the surroundings cool.
    Virtual(VirtualThermal),
}

/// A body of one temperature, or of a chip in a structure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VirtualThermal {
    /// Temperature at the very first start, in °C.
    pub initial_c: f64,
    /// Where throttling starts, in °C.
    pub limit_c: f64,
    /// Heat capacity, in J/K.
    pub heat_capacity_j_k: f64,
    /// Conductance to the surroundings, in W/K.
    pub conductance_w_k: f64,
    /// The chip that the load warms, if its temperature differs.
    pub chip: Option<VirtualChip>,
    /// What the Sun warms and the sky cools.
    pub radiator: RadiatorConfig,
}

/// A chip in a structure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VirtualChip {
    /// Heat capacity, in J/K.
    pub heat_capacity_j_k: f64,
    /// Conductance to the structure, in W/K.
    pub conductance_w_k: f64,
}

/// Faces of a body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RadiatorConfig {
    /// Emissivity times area, in m².
    pub radiating_m2: f64,
    /// Absorptivity times area that faces the Sun, in m².
    pub absorbing_m2: f64,
}

/// A standing data source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceConfig {
    /// Its name.
    pub name: TaskId,
    /// The key of its object.
    pub key: StateKey,
    /// Where the bytes are.
    pub file: PathBuf,
}

/// An address of the bus: `tls/<host>:<port>`, or `tcp/<host>:<port>` where that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(String);

/// An address that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address like tls/10.0.0.1:7447")]
pub struct InvalidEndpoint(String);

impl Endpoint {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether what goes over it is encrypted, between members of the fleet only.
    pub fn is_secure(&self) -> bool {
        self.0.starts_with("tls/")
    }

    /// Whether only processes of this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        match self.0.split_once('/').and_then(|(_, rest)| rest.rsplit_once(':')) {
            Some(("localhost" | "[::1]", _)) => true,
            Some((host, _)) => {
                host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
            }
            None => false,
        }
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let invalid = || InvalidEndpoint(text.to_owned());
        let rest = text.strip_prefix("tls/").or_else(|| text.strip_prefix("tcp/"));
        let rest = rest.ok_or_else(invalid)?;
        let (host, port) = rest.rsplit_once(':').ok_or_else(invalid)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-[]:".contains(c);
        if host.is_empty() || !host.chars().all(plain) || port.parse::<u16>().is_err() {
            return Err(invalid());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One thing that is wrong: file, line, field and rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    source: String,
    line: Option<usize>,
    field: String,
    rule: String,
}

impl Problem {
    fn new(origin: &Origin, field: &str, rule: String) -> Self {
        Self { source: origin.source.to_string(), line: origin.line, field: field.to_owned(), rule }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ", {}: {}", self.field, self.rule)
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Everything that is wrong with it, a line each.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl Config {
    /// Reads the file, its drop-ins and the variables, and checks all of it.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] for a file that cannot be read, else [`ConfigError::Invalid`] with all problems.
    pub fn load(
        path: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut texts = vec![(path.display().to_string(), read_file(path)?)];
        for drop_in in drop_ins(path)? {
            texts.push((drop_in.display().to_string(), read_file(&drop_in)?));
        }
        let base = path.parent().unwrap_or_else(|| Path::new(""));
        Self::from_texts(&texts, environment, base)
    }

    /// Reads the texts of a file and its drop-ins, each with its name; relative paths start at `base`.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with all problems.
    pub fn from_texts(
        texts: &[(String, String)],
        environment: impl IntoIterator<Item = (String, String)>,
        base: &Path,
    ) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let mut merged = tree::Table::new();
        for (name, text) in texts {
            tree::merge(&mut merged, tree::parse(name, text, &mut problems));
        }
        for (name, text) in environment {
            tree::override_from_env(&mut merged, &section::NAMES, &name, &text);
        }
        let name = texts.first().map_or("configuration", |(name, _)| name.as_str());
        let config = section::read(merged, &Origin::new(name), base, &mut problems);
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(ConfigError::Invalid(problems)),
        }
    }
}

fn read_file(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.display().to_string(), source };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if FILE_BYTES_MAX < bytes {
        let text = format!("{bytes} bytes are more than a configuration has ({FILE_BYTES_MAX})");
        return Err(unreadable(std::io::Error::other(text)));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// The files `<name>.d/*.toml` beside `<name>.toml`, in order of name.
fn drop_ins(path: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let dir = path.with_extension("d");
    let unreadable = |source| ConfigError::Unreadable { path: dir.display().to_string(), source };
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&dir).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file.extension().is_some_and(|extension| extension == "toml") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests;
