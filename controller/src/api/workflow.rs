//! Workflows and where their tasks are.

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
}

/// `GET /api/v1/workflows/{id}`; `POST /api/v1/workflows` (TOML or JSON) answers it too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkflowInfo {
    /// Its name.
    pub id: WorkflowId,
    /// How its placement stands.
    pub placement: PlacementState,
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
