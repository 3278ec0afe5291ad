//! Workflows and where their tasks are.

use placement::Priority;
use serde::{Deserialize, Serialize};
use types::{Epoch, NodeId, OwnerEpoch, TaskId, WorkflowId};

use super::plan::WindowInfo;
use super::run::RunInfo;

/// `GET /api/v1/workflows`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkflowList {
    /// By name.
    pub workflows: Vec<WorkflowInfo>,
}

/// How the placement of a workflow stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlacementState {
    /// Not tried yet: nodes, clock or contact plan are still missing.
    Pending,
    /// Every task has a host.
    Placed,
    /// Some task has no feasible node; what runs is left where it is.
    Refused,
    /// It gives way to a workflow of a higher class: it runs nowhere until there is room for both.
    SetAside,
}

/// `GET /api/v1/workflows/{id}`; `POST /api/v1/workflows` (TOML or JSON) answers it too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkflowInfo {
    /// Its name.
    pub id: WorkflowId,
    /// Who gives way to whom where there is no room for all.
    #[serde(default)]
    pub priority: Priority,
    /// How its placement stands.
    pub placement: PlacementState,
    /// To which workflow it gives way.
    #[serde(default)]
    pub set_aside_for: Option<WorkflowId>,
    /// Since when (sky).
    #[serde(default)]
    pub set_aside_since: Option<Epoch>,
    /// Whether runs are being started.
    pub driving: bool,
    /// A run is started so often, wall ms; 0 is never.
    pub every_ms: u32,
    /// Its tasks in topological order.
    pub tasks: Vec<TaskId>,
    /// Runs that completed since the controller started.
    pub completed: u64,
    /// Runs that failed since the controller started.
    pub failed: u64,
    /// The newest run that ended.
    pub last_run: Option<RunInfo>,
    /// How long a latency need of a placed task was not met by its host as predicted, sky seconds.
    pub slo_violation_s: f64,
    /// How long all its tasks have been placed, sky seconds.
    pub placed_s: f64,
    /// Why it is refused, one line for each reason.
    pub refusals: Vec<RefusalInfo>,
}

/// `GET /api/v1/placements[?workflow=[&task=]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlacementList {
    /// The sky at the answer; `None` while the clock is not known.
    pub at: Option<Epoch>,
    /// By workflow, then in topological order.
    pub placements: Vec<PlacementInfo>,
    /// What would help the workflow that was asked for, where it is refused.
    #[serde(default)]
    pub alternatives: Vec<AlternativeInfo>,
}

/// A change under which a refused workflow could be placed, found by deciding again under it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlternativeInfo {
    /// The refused task.
    pub task: TaskId,
    /// `from`, `latency`, `bandwidth`, `arrival` or `loss`.
    pub kind: String,
    /// The input whose objective would have to be another.
    pub to: Option<TaskId>,
    /// From when on (sky), for `from`.
    pub at: Option<Epoch>,
    /// The objective that would do, in `unit`.
    pub limit: Option<f64>,
    /// The objective that was asked for, in `unit`.
    pub asked: Option<f64>,
    /// `ms`, `kbit/s` or `%`; empty for `from`.
    pub unit: String,
    /// All of that in one line.
    pub text: String,
}

/// `GET /api/v1/what-if/{workflow}[?at=]` about a workflow that is there, `POST /api/v1/what-if[?at=]` (TOML or JSON) about
/// any: what would be decided, at the moment asked for or now. Nothing is changed by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WhatIf {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The moment (sky).
    pub at: Epoch,
    /// Whether all its tasks have a node then.
    pub is_feasible: bool,
    /// Where each task would be; empty if there is no place for one.
    pub hosts: Vec<WhatIfHost>,
    /// Why there is none, one line for each node.
    pub refusals: Vec<RefusalInfo>,
    /// What would help.
    pub alternatives: Vec<AlternativeInfo>,
    /// Workflows of lower classes that would have to give way.
    #[serde(default)]
    pub sets_aside: Vec<WorkflowId>,
    /// The decision as readable text.
    pub text: String,
}

/// Where a task would be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WhatIfHost {
    /// The task.
    pub task: TaskId,
    /// Its host.
    pub node: NodeId,
    /// Why, in one line.
    pub because: String,
    /// Who would follow.
    pub next: Option<NodeId>,
    /// When (sky).
    pub next_at: Option<Epoch>,
    /// Where the second copy of its state would be.
    pub replica: Option<NodeId>,
}

/// Where a task is and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlacementInfo {
    /// Its workflow.
    pub workflow: WorkflowId,
    /// The task.
    pub task: TaskId,
    /// Its host; `null` when it has none.
    pub node: Option<NodeId>,
    /// How it stands there as the node said last, for example `Active`.
    pub phase: Option<String>,
    /// The epoch under which the host owns it.
    pub owner_epoch: OwnerEpoch,
    /// Where the second copy of its state goes.
    pub replica: Option<NodeId>,
    /// Since when it is there (sky).
    pub since: Option<Epoch>,
    /// Why it is there, in one line.
    pub because: String,
    /// The largest one-way latency to what it needs now, ms.
    pub latency_ms: Option<f64>,
    /// The need whose margin is smallest is met until this window closes.
    pub window: Option<WindowInfo>,
    /// Who follows.
    pub next: Option<NextInfo>,
    /// Nodes that cannot host it now, each with the first constraint that fails.
    pub refused: Vec<RefusalInfo>,
}

/// Who follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NextInfo {
    /// The next host.
    pub node: NodeId,
    /// When it takes over (sky).
    pub at: Epoch,
    /// Whether both nodes are told already.
    pub decided: bool,
    /// Whether code and state are there already.
    pub prepared: bool,
    /// How long it can stay there.
    pub window: Option<WindowInfo>,
}

/// A node that cannot host a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefusalInfo {
    /// The task.
    pub task: TaskId,
    /// The node.
    pub node: NodeId,
    /// The first constraint that fails, for example `latency to ingest`.
    pub constraint: String,
    /// When it fails (sky).
    pub at: Epoch,
    /// The value then.
    pub value: f64,
    /// The limit.
    pub limit: f64,
    /// The unit of both.
    pub unit: String,
    /// All of that in one line.
    pub text: String,
}

/// `GET /api/v1/decisions/{workflow}`: the newest decision, and all that it rests on. Anybody who gives the snapshot
/// to `placement` gets the same decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionInfo {
    /// What was known.
    pub snapshot: placement::Snapshot,
    /// What was decided, as readable text.
    pub decision: String,
}
