//! What is known of the world at the moment of a decision.

use serde::{Deserialize, Serialize};
use topology::ContactPlan;
use types::{
    Arch, Capacity, DataClass, Epoch, MiB, MilliCpu, NodeId, NodeKind, OwnerEpoch, Region, TaskId,
    WorkflowId,
};

use crate::decision::{Assignment, Decision};
use crate::workflow::{Priority, Task, Workflow};

/// What is known of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeView {
    /// Its name.
    pub id: NodeId,
    /// Its role.
    pub kind: NodeKind,
    /// Its processor.
    pub arch: Arch,
    /// What it can carry in all.
    pub capacity: Capacity,
    /// Where it stands, as far as law or contract goes; `None` where nothing is said: then outside all regions.
    #[serde(default)]
    pub region: Option<Region>,
    /// The highest class of data that it may see. Of what nothing is said is trusted with public and internal data.
    #[serde(default)]
    pub trust: DataClass,
    /// Whether its lease runs.
    #[serde(default)]
    pub alive: bool,
    /// What it has said that it will not or cannot run.
    #[serde(default)]
    pub declined: Vec<Declined>,
    /// Charge of its battery, 0 to 1; `None` where it is not known (then the reserve is assumed).
    #[serde(default)]
    pub state_of_charge: Option<f64>,
    /// Capacity of its battery in Wh; `None` for a node on the grid, whose energy is not limited.
    #[serde(default)]
    pub battery_wh: Option<f64>,
    /// What it draws without any task, in watts.
    #[serde(default)]
    pub idle_w: f64,
    /// What its panels yield in full sunlight, in watts.
    #[serde(default)]
    pub solar_w: f64,
    /// The charge that must never be touched, 0 to 1.
    #[serde(default)]
    pub reserve: f64,
    /// Temperature of its board in °C; `None` where it is not known (then its equilibrium is assumed).
    #[serde(default)]
    pub temperature_c: Option<f64>,
    /// The temperature that it must stay below, in °C.
    #[serde(default = "default_temperature_max_c")]
    pub temperature_max_c: f64,
    /// Temperature of its surroundings in °C; `None` where it is not known (then only the present
    /// temperature counts).
    #[serde(default)]
    pub ambient_c: Option<f64>,
    /// Heat that warms its board by one kelvin, in J/K; `None` reaches its equilibrium at once.
    #[serde(default)]
    pub heat_capacity_j_k: Option<f64>,
    /// Heat that flows to the surroundings per kelvin, in W/K; `None` as for `ambient_c`.
    #[serde(default)]
    pub conductance_w_k: Option<f64>,
}

/// Where boards throttle, °C: the trip point that Jetson and Raspberry Pi share.
const TEMPERATURE_MAX_DEFAULT_C: f64 = 85.0;

fn default_temperature_max_c() -> f64 {
    TEMPERATURE_MAX_DEFAULT_C
}

impl NodeView {
    /// A living node on the grid of which no temperature is known.
    pub fn new(id: NodeId, kind: NodeKind, arch: Arch, capacity: Capacity) -> Self {
        Self {
            id,
            kind,
            arch,
            capacity,
            region: None,
            trust: DataClass::default(),
            alive: true,
            declined: vec![],
            state_of_charge: None,
            battery_wh: None,
            idle_w: 0.0,
            solar_w: 0.0,
            reserve: 0.0,
            temperature_c: None,
            temperature_max_c: TEMPERATURE_MAX_DEFAULT_C,
            ambient_c: None,
            heat_capacity_j_k: None,
            conductance_w_k: None,
        }
    }
}

/// A task that a node will not or cannot run: it knows best.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declined {
    /// Its workflow.
    pub workflow: WorkflowId,
    /// The task.
    pub task: TaskId,
    /// What the node said.
    pub reason: String,
}

/// A task that a node owns now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Running {
    /// Its workflow.
    pub workflow: WorkflowId,
    /// The task.
    pub task: TaskId,
    /// Its owner, alive or not.
    pub node: NodeId,
    /// The class of its workflow.
    #[serde(default)]
    pub priority: Priority,
    /// Under which epoch it owns.
    pub owner_epoch: OwnerEpoch,
    /// The node that holds the second copy of its state.
    #[serde(default)]
    pub replica: Option<NodeId>,
    /// The hand-over that was announced to both nodes and is not done; `None` again once it is done or
    /// given up. It is kept while it serves, and its room is kept free.
    #[serde(default)]
    pub successor: Option<Successor>,
    /// Processor that it is promised.
    pub milli_cpu: MilliCpu,
    /// Memory that it is promised.
    pub memory_mib: MiB,
    /// What it draws beside the idle load, in watts.
    #[serde(default)]
    pub watts: f64,
}

impl Running {
    /// A task that begins where a plan has it: under its first epoch, and with no hand-over announced yet.
    pub fn begun(workflow: &Workflow, task: &Task, assignment: &Assignment) -> Self {
        Self {
            workflow: workflow.id.clone(),
            task: task.id.clone(),
            node: assignment.node.clone(),
            priority: workflow.priority,
            owner_epoch: OwnerEpoch(1),
            replica: assignment.replica.clone(),
            successor: None,
            milli_cpu: task.milli_cpu,
            memory_mib: task.memory_mib,
            watts: task.watts,
        }
    }
}

/// An announced hand-over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Successor {
    /// To whom.
    pub node: NodeId,
    /// When (sky).
    pub at: Epoch,
}

/// Whether the future counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prediction {
    /// The whole contact plan counts: moves are planned before they are needed.
    #[default]
    On,
    /// Only the present instant counts, as in schedulers that do not know the sky: a task moves after its
    /// objective is violated.
    Off,
}

/// What a decision rests on. The order of nodes and running tasks does not matter.
#[derive(Clone, Copy, Debug)]
pub struct WorldView<'a> {
    /// The sky now.
    pub now: Epoch,
    /// The future of links and light.
    pub plan: &'a ContactPlan,
    /// All nodes of the fleet.
    pub nodes: &'a [NodeView],
    /// All that runs, of all workflows.
    pub running: &'a [Running],
    /// Whether the future counts.
    pub prediction: Prediction,
}

/// How to decide.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// How far to look ahead, in sky seconds; the end of the contact plan ends it sooner.
    pub horizon_s: f64,
    /// A hand-over comes at least so long before the close of the window, in sky seconds.
    pub guard_s: f64,
    /// What fetching code and state before a first call takes, in sky seconds.
    pub prepare_s: f64,
    /// Draws the order of nodes that are equal in all that counts; 0 takes the order of their names.
    pub seed: u64,
}

impl Default for Options {
    /// Two orbits ahead; a guard and a preparation of two seconds at thirty times real time.
    fn default() -> Self {
        Self { horizon_s: 11_400.0, guard_s: 60.0, prepare_s: 60.0, seed: 0 }
    }
}

/// All that a decision rests on, to be recorded and replayed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The sky when it was decided.
    pub now: Epoch,
    /// The future as it was known.
    pub plan: ContactPlan,
    /// The nodes.
    pub nodes: Vec<NodeView>,
    /// What ran.
    pub running: Vec<Running>,
    /// Whether the future counted.
    pub prediction: Prediction,
    /// How it was decided.
    pub options: Options,
    /// For which workflow.
    pub workflow: Workflow,
}

impl Snapshot {
    /// Decides again; the same snapshot yields the same decision.
    pub fn decide(&self) -> Decision {
        crate::planner::plan(&self.view(), &self.workflow, &self.options)
    }

    /// The same, with what would help if nothing can be placed.
    pub fn advise(&self) -> Decision {
        crate::alternative::advise(&self.view(), &self.workflow, &self.options)
    }

    /// The same fleet at a later moment, if until then it does what it does now.
    #[must_use]
    pub fn later(&self, at: Epoch) -> Self {
        let nodes = crate::alternative::nodes_at(&self.view(), at);
        Self { now: at, nodes, ..self.clone() }
    }

    /// What was known, as decisions take it.
    pub fn view(&self) -> WorldView<'_> {
        WorldView {
            now: self.now,
            plan: &self.plan,
            nodes: &self.nodes,
            running: &self.running,
            prediction: self.prediction,
        }
    }
}
