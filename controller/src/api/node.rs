//! Nodes: what they are, how they are, what they host.

use protocol::report::{BacklogReport, CodeMode, LifeReport, Summary};
use serde::{Deserialize, Serialize};
use types::{
    Arch, Backend, Capacity, DataClass, EnergySource, Epoch, Geodetic, NodeId, NodeKind,
    OwnerEpoch, Region, TaskId, WorkflowId,
};

/// `GET /api/v1/nodes`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeList {
    /// The sky at the answer; `None` while the clock is not known.
    pub at: Option<Epoch>,
    /// All nodes of the configuration, by name.
    pub nodes: Vec<NodeInfo>,
}

/// How a node stands with its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// Never heard since the controller started.
    Unheard,
    /// Heard within its lease.
    Up,
    /// Not heard, as the contact plan predicted.
    Silent,
    /// Not heard for longer than its lease.
    Down,
}

/// `GET /api/v1/nodes/{id}`; a value that is `null` is not known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its name.
    pub id: NodeId,
    /// Its role.
    pub kind: NodeKind,
    /// Where it stands, as far as law or contract goes; `None` is outside all regions.
    #[serde(default)]
    pub region: Option<Region>,
    /// The highest class of data that it may see.
    #[serde(default)]
    pub trust: DataClass,
    /// Its processor.
    pub arch: Option<Arch>,
    /// Version of its agent.
    pub version: Option<String>,
    /// How it stands with its lease.
    pub state: NodeState,
    /// Whether any report was heard since the controller started.
    pub heard: bool,
    /// Since the last report, wall milliseconds.
    pub age_ms: Option<u64>,
    /// The sky when the last report was sent.
    pub last_report_at: Option<Epoch>,
    /// How long its agent has run, milliseconds.
    pub uptime_ms: Option<u64>,
    /// Starts of its agent that were seen since the controller started.
    pub boots_seen: u32,
    /// What it offers to functions.
    pub capacity: Capacity,
    /// What is not promised to a task.
    pub free: Option<Capacity>,
    /// State of charge, 0 to 1.
    pub state_of_charge: Option<f64>,
    /// Capacity of its battery, Wh.
    pub battery_wh: Option<f64>,
    /// What it draws, W.
    pub load_w: Option<f64>,
    /// What its panels give, W.
    pub solar_w: Option<f64>,
    /// Where its energy comes from.
    pub energy: Option<EnergySource>,
    /// Sunlight as the contact plan predicts it for now, 0 to 1.
    pub sunlit: Option<f64>,
    /// Its hottest part, °C.
    pub temperature_c: Option<f64>,
    /// Where throttling starts, °C.
    pub temperature_max_c: Option<f64>,
    /// Processor time in use by agent and functions, thousandths of a core.
    pub load_milli_cpu: Option<f64>,
    /// Proportional set size of its agent, MiB.
    pub pss_mib: Option<f64>,
    /// Threads of its agent.
    pub threads: Option<f64>,
    /// Where it is, as it says itself.
    pub position: Option<Geodetic>,
    /// One-way latency from the controller as the plan predicts it for now, ms; `null` is no path.
    pub latency_ms: Option<f64>,
    /// Bytes of state that it holds.
    pub state_bytes: Option<u64>,
    /// How it executes code; `pulley` is interpreted, 10 to 20 times slower. `null` until its first function.
    pub code: Option<CodeMode>,
    /// What it hosts or is to host.
    pub tasks: Vec<HostedTask>,
    /// Sums over its calls since its agent started.
    pub calls: Vec<TaskCalls>,
    /// The newest desired state that was made for it, 0 for none.
    pub generation: u64,
    /// The newest desired state that it acknowledged, 0 for none.
    pub acknowledged: u64,
    /// Reports taken.
    pub reports: u64,
    /// Reports that got lost on the way (latest wins, so none is sent again).
    pub reports_missed: u64,
    /// Reports that came late (kept in `late.ndjson` of the controller's state directory), thinned ones counted as what they stand for.
    pub reports_late: u64,
    /// Events that came late.
    pub events_late: u64,
    /// What waits on the node for a link, as it said last.
    pub backlog: Option<BacklogReport>,
    /// Its program: in safe mode, and once there was an update; as it said last.
    pub life: Option<LifeReport>,
    /// Events taken.
    pub events: u64,
    /// Events that were gone when they were asked for again.
    pub events_lost: u64,
    /// Frames of it that were refused here: malformed, impossible values, or not its own key.
    pub frames_refused: u64,
    /// Frames that it refused itself.
    pub frames_dropped: Option<u64>,
    /// What is wrong with it, one line each.
    pub flags: Vec<String>,
}

/// A task on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostedTask {
    /// Its workflow.
    pub workflow: WorkflowId,
    /// The task.
    pub task: TaskId,
    /// `owner`, `standby` or `replica`.
    pub role: String,
    /// How it stands there as the node said last, for example `Active`.
    pub phase: Option<String>,
    /// The owner epoch.
    pub owner_epoch: OwnerEpoch,
}

/// The calls of a task on a node by what executed them: sums since its agent started, and what the last ones were like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskCalls {
    /// Its workflow.
    pub workflow: WorkflowId,
    /// The task.
    pub task: TaskId,
    /// What executed them; `null` for calls that ended before anything ran.
    pub backend: Option<Backend>,
    /// Calls that answered.
    pub calls: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Calls whose inputs and state were all there when they started.
    pub local_starts: u64,
    /// Wall time, microseconds.
    pub wall_us: u64,
    /// Processor time, microseconds.
    pub cpu_us: u64,
    /// Calls for which code had to be compiled or loaded first.
    pub cold_starts: u64,
    /// Wall time of the last calls that found their code warm, milliseconds.
    pub time_ms: Option<Summary>,
    /// Energy of the last calls, joules; `null` without a model of what the node draws.
    pub energy_j: Option<Summary>,
    /// Input and output of the last calls, bytes.
    pub bytes: Option<Summary>,
    /// Calls per second over the last minute; `null` until a minute has been watched.
    pub rate_1min: Option<f32>,
    /// Calls per second over the last 30 minutes; `null` until so long has been watched.
    pub rate_30min: Option<f32>,
}
