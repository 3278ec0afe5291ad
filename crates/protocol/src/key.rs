//! Key expressions: who may say what where. `starbelt/<fleet>/<node>/…`, fleet services below `_…`.

use alloc::format;
use alloc::string::String;

use types::{FleetId, FunctionId, NodeId, TaskId, WorkflowId};

use crate::report::Group;

/// First segment of every key.
pub const ROOT: &str = "starbelt";

/// Builds the keys of one fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// The keys of `fleet`.
    pub fn new(fleet: &FleetId) -> Self {
        Self { prefix: format!("{ROOT}/{fleet}") }
    }

    /// Reports of one group: put, latest wins.
    pub fn report(&self, node: &NodeId, group: Group) -> String {
        format!("{}/{node}/tlm/{}", self.prefix, group.as_str())
    }

    /// All reports of the fleet.
    pub fn reports(&self) -> String {
        format!("{}/*/tlm/*", self.prefix)
    }

    /// Events of one node: put; queried with [`crate::event::EventQuery`] to fill gaps.
    pub fn events(&self, node: &NodeId) -> String {
        format!("{}/{node}/evt", self.prefix)
    }

    /// Events of all nodes.
    pub fn all_events(&self) -> String {
        format!("{}/*/evt", self.prefix)
    }

    /// What functions log on a node: put, beside its events, dropped where a link is full.
    pub fn logs(&self, node: &NodeId) -> String {
        format!("{}/{node}/evt/log", self.prefix)
    }

    /// What functions log on all nodes.
    pub fn all_logs(&self) -> String {
        format!("{}/*/evt/log", self.prefix)
    }

    /// What functions say on a topic, on one node: put when the call that said it has committed.
    pub fn topic(&self, node: &NodeId, topic: &str) -> String {
        format!("{}/{node}/topic/{topic}", self.prefix)
    }

    /// A board at a serial line of a node, by its number in hexadecimal digits: put, latest wins.
    pub fn board(&self, node: &NodeId, uid: [u8; 8]) -> String {
        format!("{}/{node}/mcu/{:016x}", self.prefix, u64::from_be_bytes(uid))
    }

    /// All boards of all nodes.
    pub fn all_boards(&self) -> String {
        format!("{}/*/mcu/*", self.prefix)
    }

    /// A command to a node.
    pub fn command(&self, node: &NodeId, id: u64) -> String {
        format!("{}/{node}/cmd/{id}", self.prefix)
    }

    /// All commands to a node.
    pub fn commands(&self, node: &NodeId) -> String {
        format!("{}/{node}/cmd/*", self.prefix)
    }

    /// Where a node takes its desired state.
    pub fn desired(&self, node: &NodeId) -> String {
        format!("{}/{node}/desired", self.prefix)
    }

    /// Where a task of a workflow is invoked on a node.
    pub fn invoke(&self, node: &NodeId, workflow: &WorkflowId, task: &TaskId) -> String {
        format!("{}/{node}/fn/{workflow}.{task}/invoke", self.prefix)
    }

    /// All invocations on a node.
    pub fn invocations(&self, node: &NodeId) -> String {
        format!("{}/{node}/fn/*/invoke", self.prefix)
    }

    /// Where a task of a workflow is called by a function of another node, or of another tenant.
    pub fn call(&self, node: &NodeId, workflow: &WorkflowId, task: &TaskId) -> String {
        format!("{}/{node}/fn/{workflow}.{task}/call", self.prefix)
    }

    /// All such calls on a node.
    pub fn calls(&self, node: &NodeId) -> String {
        format!("{}/{node}/fn/*/call", self.prefix)
    }

    /// How a function is executed on a node. Reserved: no node answers it in this version.
    pub fn exec(&self, node: &NodeId, function: &FunctionId) -> String {
        format!("{}/{node}/fn/{function}/exec", self.prefix)
    }

    /// Why it is executed so. Reserved: no node answers it in this version.
    pub fn exec_explain(&self, node: &NodeId, function: &FunctionId) -> String {
        format!("{}/{node}/fn/{function}/exec/explain", self.prefix)
    }

    /// How a function stands on a node. Reserved: no node answers it in this version.
    pub fn function_status(&self, node: &NodeId, function: &FunctionId) -> String {
        format!("{}/{node}/fn/{function}/status", self.prefix)
    }

    /// Belt services of a node: `offer`, `chunk`, `fetch`, `inventory`.
    pub fn belt(&self, node: &NodeId, service: BeltService) -> String {
        format!("{}/{node}/belt/{}", self.prefix, service.as_str())
    }

    /// Round-trip measurement to a node.
    pub fn ping(&self, node: &NodeId) -> String {
        format!("{}/{node}/ping", self.prefix)
    }

    /// Liveliness of one start of a node.
    pub fn alive(&self, node: &NodeId, boot: types::BootId) -> String {
        format!("{}/{node}/@alive/{boot}", self.prefix)
    }

    /// The contact plan, from the controller.
    pub fn plan(&self) -> String {
        format!("{}/_topo/plan", self.prefix)
    }

    /// The bytes of a function's module, from the controller.
    pub fn module(&self, function: &FunctionId) -> String {
        format!("{}/_fn/{function}/module", self.prefix)
    }

    /// The bytes of all modules.
    pub fn modules(&self) -> String {
        format!("{}/_fn/*/module", self.prefix)
    }

    /// Where a node asks for receipts and brings what is late, at the controller.
    pub fn backlog(&self, node: &NodeId) -> String {
        format!("{}/_ctl/backlog/{node}", self.prefix)
    }

    /// The same of all nodes.
    pub fn backlogs(&self) -> String {
        format!("{}/_ctl/backlog/*", self.prefix)
    }

    /// Whose signatures the fleet takes, from the controller: put when that changes, and queried.
    pub fn signers(&self) -> String {
        format!("{}/_ctl/signers", self.prefix)
    }

    /// Who belongs to the fleet, from the controller: put when that changes, and queried.
    pub fn members(&self) -> String {
        format!("{}/_ctl/members", self.prefix)
    }

    /// The bytes of programs of the agent, from the controller: asked for by hash, part by part.
    pub fn programs(&self) -> String {
        format!("{}/_ctl/program", self.prefix)
    }

    /// Fleet segments that later work will use; nobody may name them otherwise.
    pub const RESERVED: [&'static str; 11] =
        ["_topo", "_fn", "_trig", "_use", "_wf", "_fl", "_slo", "_ctl", "_sim", "_mcu", "_state"];
}

/// Keys of the emulation, on sessions of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimKeys;

impl SimKeys {
    /// The clock of the replay: put every second, and queried at start.
    pub const CLOCK: &'static str = "_sim/clock";
    /// The environments of all nodes.
    pub const ENVS: &'static str = "_sim/env/*";
    /// Injects or heals a fault.
    pub const FAULT: &'static str = "_sim/fault";
    /// Everything of the emulation.
    pub const ALL: &'static str = "_sim/**";

    /// The environment of one node.
    pub fn env(node: &NodeId) -> String {
        format!("_sim/env/{node}")
    }
}

/// The services of the belt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BeltService {
    /// Announces a transfer; the answer says what is missing.
    Offer,
    /// Carries a piece of it.
    Chunk,
    /// Reads an object.
    Fetch,
    /// Lists what a node holds.
    Inventory,
}

impl BeltService {
    /// Its key segment.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offer => "offer",
            Self::Chunk => "chunk",
            Self::Fetch => "fetch",
            Self::Inventory => "inventory",
        }
    }
}

/// The node that a key of `fleet` belongs to, if it is a node's key.
pub fn node_of(fleet: &FleetId, key: &str) -> Option<NodeId> {
    let rest = key.strip_prefix(ROOT)?.strip_prefix('/')?;
    let rest = rest.strip_prefix(fleet.as_str())?.strip_prefix('/')?;
    NodeId::new(rest.split('/').next()?).ok()
}

/// The task that the key of an invocation or of a call names.
pub fn invoked_task(key: &str) -> Option<(WorkflowId, TaskId)> {
    let (_, rest) = key.split_once("/fn/")?;
    let name = rest.strip_suffix("/invoke").or_else(|| rest.strip_suffix("/call"))?;
    let (workflow, task) = name.split_once('.')?;
    Some((WorkflowId::new(workflow).ok()?, TaskId::new(task).ok()?))
}

/// The node that the key of a backlog names.
pub fn backlog_node(key: &str) -> Option<NodeId> {
    let (_, node) = key.split_once("/_ctl/backlog/")?;
    NodeId::new(node).ok()
}

/// The function that a module key names.
pub fn module_function(key: &str) -> Option<FunctionId> {
    let (_, rest) = key.split_once("/_fn/")?;
    FunctionId::new(rest.strip_suffix("/module")?).ok()
}
