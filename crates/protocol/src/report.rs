//! Reports: what a node tells about itself, group by group, `starbelt/<fleet>/<node>/tlm/<group>`.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use types::{
    Backend, BootId, Capacity, EnergySource, Epoch, Geodetic, NodeId, TaskId, Uptime, WorkflowId,
};

use crate::codec::{Message, Schema};
use crate::event::{UpdateStep, VERSION_BYTES_MAX};
use crate::rule;

/// Most links in one report: eight times what a satellite's terminals and neighbours need.
pub const LINKS_MAX: usize = 64;
/// Most rows, one for each task and back end, in one report.
pub const FUNCTIONS_MAX: usize = 32;
/// Highest plausible count, size or load in a reading that has no range of its own.
const READING_MAX: f32 = 1.0e9;

/// The groups of reports; each has a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Group {
    /// Energy.
    Power,
    /// Temperature.
    Thermal,
    /// Processor and memory.
    Compute,
    /// Graphics processor.
    Gpu,
    /// Measured links.
    Link,
    /// Where the node is.
    Position,
    /// Functions and what they cost.
    Function,
    /// Queues and what they dropped.
    Queue,
    /// What waits for a link.
    Backlog,
    /// The agent's own program: which one runs, how an update goes, whether it runs functions.
    Life,
}

impl Group {
    /// Its key segment.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Power => "power",
            Self::Thermal => "thermal",
            Self::Compute => "compute",
            Self::Gpu => "gpu",
            Self::Link => "link",
            Self::Position => "position",
            Self::Function => "function",
            Self::Queue => "queue",
            Self::Backlog => "backlog",
            Self::Life => "life",
        }
    }
}

/// What every report and event carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Who says it; must equal the key.
    pub node: NodeId,
    /// Which start of that node.
    pub boot: BootId,
    /// Counts what this start said in this stream (reports of all groups; events apart), from 1.
    pub seq: u64,
    /// The sky when it was said.
    pub at: Epoch,
    /// How long the agent has run.
    pub uptime: Uptime,
}

/// One report. Each one renews the node's lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Who, when.
    pub header: Header,
    /// The newest event that this start issued, so that a gap is noticed; 0 for none.
    pub last_event_seq: u64,
    /// What.
    pub body: ReportBody,
}

/// The groups with their values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ReportBody {
    /// Energy.
    Power(PowerReport),
    /// Temperature.
    Thermal(ThermalReport),
    /// Processor and memory.
    Compute(ComputeReport),
    /// Graphics processor.
    Gpu(GpuReport),
    /// Measured links.
    Link(LinkReport),
    /// Where the node is.
    Position(PositionReport),
    /// Functions and what they cost.
    Function(FunctionReport),
    /// Queues and what they dropped.
    Queue(QueueReport),
    /// What waits for a link.
    Backlog(BacklogReport),
    /// The agent's own program.
    Life(LifeReport),
}

impl ReportBody {
    /// Its group.
    pub const fn group(&self) -> Group {
        match self {
            Self::Power(_) => Group::Power,
            Self::Thermal(_) => Group::Thermal,
            Self::Compute(_) => Group::Compute,
            Self::Gpu(_) => Group::Gpu,
            Self::Link(_) => Group::Link,
            Self::Position(_) => Group::Position,
            Self::Function(_) => Group::Function,
            Self::Queue(_) => Group::Queue,
            Self::Backlog(_) => Group::Backlog,
            Self::Life(_) => Group::Life,
        }
    }
}

/// A number from a sensor or model, or why there is none. Unknown is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reading {
    /// A value in the unit that the field's name states.
    Known {
        /// The value.
        value: f32,
        /// Its standard deviation in the same unit, where it is an estimate.
        sigma: Option<f32>,
        /// Where it comes from.
        source: Source,
    },
    /// No value.
    Unknown(NoReading),
}

impl Reading {
    /// A value without a stated uncertainty.
    pub const fn known(value: f32, source: Source) -> Self {
        Self::Known { value, sigma: None, source }
    }

    /// The value, if there is one.
    pub const fn value(self) -> Option<f32> {
        match self {
            Self::Known { value, .. } => Some(value),
            Self::Unknown(_) => None,
        }
    }

    /// Whether it is unknown, or lies in the range with a deviation that can be.
    pub(crate) fn is_within(self, low: f32, high: f32) -> bool {
        match self {
            Self::Known { value, sigma, .. } => {
                let sigma_is_one = sigma.is_none_or(|sigma| sigma.is_finite() && 0.0 <= sigma);
                (low..=high).contains(&value) && sigma_is_one
            }
            Self::Unknown(_) => true,
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// Measured by hardware.
    Measured,
    /// Counted by the kernel.
    Kernel,
    /// Estimated from measurements.
    Estimated,
    /// A model of hardware that is not there, fed by the emulation.
    Virtual,
    /// Written in the configuration.
    Configured,
}

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoReading {
    /// The board has no such sensor, or none was found.
    NoSensor,
    /// The sensor is there but the read failed.
    ReadFailed,
    /// The driver does not support it.
    NotSupported,
    /// The first sample is still to come.
    NotYet,
}

/// Energy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PowerReport {
    /// State of charge, 0 to 1.
    pub state_of_charge: Reading,
    /// Capacity in Wh.
    pub capacity_wh: Reading,
    /// What the node draws, in W.
    pub load_w: Reading,
    /// What its panels give, in W.
    pub solar_w: Reading,
    /// Where the energy comes from.
    pub source: EnergySource,
}

/// Temperature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThermalReport {
    /// The hottest part that decides throttling, in °C.
    pub hottest_c: Reading,
    /// Where throttling starts, in °C.
    pub limit_c: Reading,
}

/// Processor and memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComputeReport {
    /// What the node offers to functions in all.
    pub capacity: Capacity,
    /// What is not promised to a task.
    pub free: Capacity,
    /// Processor time in use by the agent and its functions, in thousandths of a core.
    pub load_milli_cpu: Reading,
    /// Proportional set size of the agent, in MiB.
    pub pss_mib: Reading,
    /// Threads of the agent.
    pub threads: Reading,
}

/// Graphics processor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GpuReport {
    /// Busy share, 0 to 1.
    pub load: Reading,
    /// Free memory in MiB.
    pub free_mib: Reading,
    /// Temperature in °C.
    pub temperature_c: Reading,
}

/// Measured links.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkReport {
    /// One sample for each peer that was asked since the last report.
    pub samples: Vec<LinkSample>,
}

/// One measured round trip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSample {
    /// The other end.
    pub peer: NodeId,
    /// The sky half-way through the round trip.
    pub at: Epoch,
    /// The round trip in microseconds; `None` when no answer came in time.
    pub rtt_us: Option<u32>,
}

/// Where the node is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PositionReport {
    /// The place.
    pub position: Geodetic,
    /// Where it comes from.
    pub source: Source,
}

/// Functions and what they cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FunctionReport {
    /// One entry for each task that was called here and each back end that executed it.
    pub tasks: Vec<TaskStats>,
    /// How code is executed; `None` until the first function has started the engine.
    pub code: Option<CodeMode>,
}

/// How a node executes code, from fast to slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CodeMode {
    /// Native, in instances from a pool made in advance.
    Pooled,
    /// Native, with memory mapped and unmapped for each call.
    OnDemand,
    /// Interpreted by Pulley, 10 to 20 times slower.
    Pulley,
}

/// The calls of one task on one back end: sums since the start of the agent, and what the last ones were like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskStats {
    /// Its workflow.
    pub workflow: WorkflowId,
    /// The task.
    pub task: TaskId,
    /// What executed the calls; `None` for those that ended before anything ran: refused, out of time, or answered
    /// from an earlier commit.
    pub backend: Option<Backend>,
    /// Calls that answered.
    pub calls: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Calls whose inputs and state were all here when they started.
    pub local_starts: u64,
    /// Calls for which code had to be compiled or loaded first.
    pub cold_starts: u64,
    /// Wall time in microseconds.
    pub wall_us: u64,
    /// Processor time in microseconds.
    pub cpu_us: u64,
    /// Wall time of the last calls that answered and found their code warm, in milliseconds.
    pub time_ms: Option<Summary>,
    /// Energy of the last calls that answered, in joules; `None` where the node has no model of what it draws.
    pub energy_j: Option<Summary>,
    /// Input and output of the last calls that answered, in bytes.
    pub bytes: Option<Summary>,
    /// Calls per second over the last minute; `None` until a minute has been watched.
    pub rate_1min: Option<f32>,
    /// Calls per second over the last 30 minutes; `None` until so long has been watched.
    pub rate_30min: Option<f32>,
}

/// A handful of numbers that stand for a histogram. Never empty: no values are no summary.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many values, at least one.
    pub count: u32,
    /// Their sum.
    pub sum: f64,
    /// The smallest.
    pub min: f32,
    /// The median: the smallest value that at least half of them do not exceed.
    pub p50: f32,
    /// The smallest value that at least 95 % of them do not exceed.
    pub p95: f32,
    /// The largest.
    pub max: f32,
}

/// Queues and what they dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueReport {
    /// Invocations waiting.
    pub invocations_waiting: u32,
    /// Transfers waiting for a contact.
    pub transfers_waiting: u32,
    /// Bytes of state held.
    pub state_bytes: u64,
    /// Frames that did not decode, since the start.
    pub frames_dropped: u64,
    /// Latest wins: reports that were replaced before they left.
    pub reports_dropped: u64,
}

/// What waits on disk for a link. Sums are since the start of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BacklogReport {
    /// Records that wait.
    pub records: u64,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Most bytes on disk.
    pub quota_bytes: u64,
    /// Bytes in memory, because the disk takes none.
    pub memory_bytes: u64,
    /// Records merged into sums for want of room.
    pub thinned: u64,
    /// Records given up for want of room on disk.
    pub lost_full: u64,
    /// Records that got too old.
    pub lost_expired: u64,
    /// Records given up for want of memory.
    pub lost_memory: u64,
    /// Bytes on disk that were damaged.
    pub damaged_bytes: u64,
    /// Failures of the disk.
    pub disk_failures: u64,
    /// How the line to the controller stands.
    pub line: Line,
}

/// How a node's line to its controller stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// No receipt came yet.
    Unknown,
    /// A receipt came within the lease.
    Heard,
    /// None did, as the contact plan predicts.
    Expected,
    /// None did, and the plan says nothing of that.
    Silent,
}

/// The agent's own program. Reported while there is something to say: in safe mode, and once there was an update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifeReport {
    /// The number of the program that runs: when it was built, seconds since 1970.
    pub number: u64,
    /// Whether it is the one of the package, and no update.
    pub is_packaged: bool,
    /// In safe mode: how it came to that.
    pub safe_mode: Option<SafeMode>,
    /// The update under way, else the last one.
    pub update: Option<UpdateReport>,
}

/// Why a node runs no functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SafeMode {
    /// Starts in a row that came to a bad end.
    pub failed: u32,
    /// After how long it tries to start with functions again, in seconds.
    pub left_s: u32,
}

/// How an update stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateReport {
    /// The number of the release.
    pub number: u64,
    /// Its version.
    pub version: String,
    /// How far it came.
    pub step: UpdateStep,
    /// Bytes that are here.
    pub have: u32,
    /// Bytes of all of it.
    pub bytes: u32,
    /// Why, in words; empty where there is nothing to say.
    pub reason: String,
}

/// A round-trip probe; the answer is the same frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// Tells answers apart.
    pub nonce: u64,
}

impl Message for Ping {
    const SCHEMA: Schema = Schema::Ping;
    const BYTES_MAX: usize = 16;
}

impl Message for Report {
    const SCHEMA: Schema = Schema::Report;
    const BYTES_MAX: usize = 16 * 1024;

    fn validate(&self) -> Result<(), &'static str> {
        match &self.body {
            ReportBody::Power(power) => power.validate(),
            ReportBody::Thermal(thermal) => {
                let possible = thermal.hottest_c.is_within(-150.0, 500.0)
                    && thermal.limit_c.is_within(-150.0, 500.0);
                possible.then_some(()).ok_or("a temperature lies outside -150 to 500 °C")
            }
            ReportBody::Compute(compute) => compute.validate(),
            ReportBody::Gpu(gpu) => gpu.validate(),
            ReportBody::Link(link) => (link.samples.len() <= LINKS_MAX)
                .then_some(())
                .ok_or("a link report holds at most 64 samples"),
            ReportBody::Function(function) => function.validate(),
            ReportBody::Position(position) => {
                let on_earth = position.position.checked().is_ok();
                on_earth.then_some(()).ok_or("the position is not on Earth")
            }
            ReportBody::Life(life) => life.update.as_ref().map_or(Ok(()), UpdateReport::validate),
            ReportBody::Queue(_) | ReportBody::Backlog(_) => Ok(()),
        }
    }
}

impl UpdateReport {
    fn validate(&self) -> Result<(), &'static str> {
        if VERSION_BYTES_MAX < self.version.len() {
            return Err("a version has at most 64 bytes");
        }
        rule::reason(&self.reason)
    }
}

impl PowerReport {
    fn validate(&self) -> Result<(), &'static str> {
        if !self.state_of_charge.is_within(0.0, 1.0) {
            return Err("the state of charge lies outside 0 to 1");
        }
        if !self.capacity_wh.is_within(0.0, 1.0e9) {
            return Err("the battery capacity lies outside 0 to 1e9 Wh");
        }
        if !self.load_w.is_within(-1.0e6, 1.0e6) || !self.solar_w.is_within(0.0, 1.0e6) {
            return Err("a power lies outside its range");
        }
        rule::energy(&self.source)
    }
}

impl ComputeReport {
    fn validate(&self) -> Result<(), &'static str> {
        let counts = [self.load_milli_cpu, self.pss_mib, self.threads];
        let possible = counts.iter().all(|reading| reading.is_within(0.0, READING_MAX));
        possible.then_some(()).ok_or("a compute reading lies outside 0 to 1e9")
    }
}

impl GpuReport {
    fn validate(&self) -> Result<(), &'static str> {
        if !self.load.is_within(0.0, 1.0) {
            return Err("the load of a graphics processor lies outside 0 to 1");
        }
        if !self.free_mib.is_within(0.0, READING_MAX) {
            return Err("the free memory of a graphics processor lies outside 0 to 1e9 MiB");
        }
        let possible = self.temperature_c.is_within(-150.0, 500.0);
        possible.then_some(()).ok_or("a temperature lies outside -150 to 500 °C")
    }
}

impl FunctionReport {
    fn validate(&self) -> Result<(), &'static str> {
        if FUNCTIONS_MAX < self.tasks.len() {
            return Err("a function report holds at most 32 rows");
        }
        self.tasks.iter().try_for_each(TaskStats::validate)
    }
}

impl TaskStats {
    fn validate(&self) -> Result<(), &'static str> {
        let summaries = [self.time_ms, self.energy_j, self.bytes];
        summaries.iter().flatten().try_for_each(Summary::validate)?;
        let rates = [self.rate_1min, self.rate_30min];
        let possible = rates.iter().flatten().all(|rate| (0.0..=1.0e6).contains(rate));
        possible.then_some(()).ok_or("a call rate lies outside 0 to 1e6 per second")
    }
}

impl Summary {
    fn validate(&self) -> Result<(), &'static str> {
        let Self { count, sum, min, p50, p95, max } = *self;
        let ordered = 0.0 <= min && min <= p50 && p50 <= p95 && p95 <= max && max.is_finite();
        let possible = count != 0 && ordered && sum.is_finite() && 0.0 <= sum;
        possible.then_some(()).ok_or("a summary holds values, finite, not negative and in order")
    }
}
