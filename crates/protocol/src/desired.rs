//! Desired and actual state: generations, epochs, and what each task on a node is to be.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use types::{
    Epoch, FunctionId, Generation, LeaderEpoch, MiB, MilliCpu, NodeId, OwnerEpoch, PlanVersion,
    TaskId, WindowId, WorkflowId,
};

use crate::codec::{Message, Schema};
use crate::event::{NodeFacts, STAGES_MAX};
use crate::rule;

/// Most tasks on one node.
pub const TASKS_MAX: usize = 64;
/// Most workflows that one node drives.
pub const DRIVES_MAX: usize = 16;
/// Most tasks whose functions a node is told where to call.
pub const CALLEES_MAX: usize = 128;
/// Most inputs of one task.
pub const INPUTS_MAX: usize = 16;

/// All that a node is to do. Replaces what it was told before, if epoch and generation are newer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Desired {
    /// For whom; another node answers `denied`.
    pub node: NodeId,
    /// The controller's incarnation; a lower one than ever obeyed is refused as stale.
    pub epoch: LeaderEpoch,
    /// Counts within that epoch; a lower one is refused as stale, the same is answered again.
    pub generation: Generation,
    /// The sky when it was decided.
    pub decided_at: Epoch,
    /// The contact plan that it rests on.
    pub plan: PlanVersion,
    /// The tasks to hold.
    pub tasks: Vec<TaskSpec>,
    /// The workflows to drive (this node hosts their first task).
    pub drives: Vec<DriveSpec>,
    /// Where functions are that the functions of these tasks may call.
    pub callees: Vec<CalleeSpec>,
}

/// What a task on this node is to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Its workflow.
    pub workflow: WorkflowId,
    /// The task.
    pub task: TaskId,
    /// The code.
    pub function: FunctionRef,
    /// Owner, or in waiting.
    pub role: Role,
    /// Where the second copy of its state goes; `None` when the plan knows no second node.
    pub replica: Option<NodeId>,
    /// Processor to promise.
    pub milli_cpu: MilliCpu,
    /// Memory to promise.
    pub memory_mib: MiB,
    /// Largest linear memory of the guest, in MiB.
    pub linear_memory_mib: MiB,
    /// Wall time that one call may take, in milliseconds.
    pub deadline_ms: u32,
    /// The data sources whose objects its calls take: they are fetched ahead of the first.
    pub sources: Vec<SourceRef>,
}

/// Which code.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FunctionRef {
    /// Its name.
    pub name: FunctionId,
    /// SHA-256 of the component.
    pub sha256: [u8; 32],
    /// Size of the component in bytes.
    pub bytes: u32,
    /// SHA-256 of the signed manifest, under which it is asked for like a module.
    pub manifest: [u8; 32],
}

/// A task that runs a function, for those that may call it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CalleeSpec {
    /// The function.
    pub function: FunctionId,
    /// The workflow of the task.
    pub workflow: WorkflowId,
    /// The task.
    pub task: TaskId,
    /// Who owns it.
    pub node: NodeId,
}

/// The part that a node plays for a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Role {
    /// Runs the task and owns its state.
    Owner {
        /// The epoch under which it owns. A node that holds a higher one keeps it;
        /// a node that holds none or a lower one takes this over (the controller has fenced the rest).
        owner_epoch: OwnerEpoch,
        /// Who follows, if that is planned.
        successor: Option<Successor>,
    },
    /// Fetches code and state and waits for the owner's grant.
    Standby {
        /// Who owns now.
        owner: NodeId,
        /// When the grant is planned (sky).
        expected_at: Epoch,
    },
}

/// A planned hand-over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Successor {
    /// To whom.
    pub node: NodeId,
    /// When the owner starts it (sky).
    pub at: Epoch,
    /// The contact window whose close makes it necessary.
    pub window: WindowId,
    /// When that window closes (sky).
    pub window_closes: Epoch,
}

/// How to drive the runs of a workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriveSpec {
    /// The workflow.
    pub workflow: WorkflowId,
    /// Starts a run so often (wall); 0 starts none.
    pub every_ms: u32,
    /// A run that takes longer (wall) has failed.
    pub run_deadline_ms: u32,
    /// The stages in topological order.
    pub stages: Vec<StageSpec>,
}

/// One stage of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageSpec {
    /// The task.
    pub task: TaskId,
    /// Where it is to be invoked now.
    pub node: NodeId,
    /// Wall time that one call may take, in milliseconds.
    pub deadline_ms: u32,
    /// The tasks whose outputs it takes.
    pub after: Vec<TaskId>,
    /// The data sources whose objects it takes.
    pub sources: Vec<SourceRef>,
}

/// A standing data source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRef {
    /// Its name, a task-like owner of objects.
    pub name: TaskId,
    /// Who holds it.
    pub node: NodeId,
}

/// The answer to [`Desired`], and to an empty query on the same key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DesiredReply {
    /// What became of it.
    pub verdict: Verdict,
    /// What the node is.
    pub facts: NodeFacts,
    /// BLAKE3 over tasks, drives and callees of the state that it runs; equal means adopt, never restart.
    pub digest: [u8; 32],
    /// How each task stands.
    pub tasks: Vec<TaskStatus>,
}

/// What a node says to a desired state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Only asked.
    Reported,
    /// Taken over and durable.
    Accepted,
    /// Already running exactly that.
    Adopted,
    /// Older than what it has obeyed.
    Stale {
        /// The highest epoch obeyed.
        epoch: LeaderEpoch,
        /// The highest generation obeyed in it.
        generation: Generation,
    },
    /// Not for this node, or more than it can carry.
    Denied {
        /// Why.
        reason: String,
    },
}

/// How a task stands on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStatus {
    /// Its workflow.
    pub workflow: WorkflowId,
    /// The task.
    pub task: TaskId,
    /// Its phase.
    pub phase: Phase,
    /// The owner epoch of the state held here; 0 if none.
    pub owner_epoch: OwnerEpoch,
    /// Bytes of its state held here.
    pub state_bytes: u64,
}

/// The life of a task on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Phase {
    /// Code or state is still on its way.
    Preparing,
    /// All is here; waits for the grant.
    Ready,
    /// Serves calls.
    Active,
    /// Hands over; calls wait.
    Freezing,
    /// Handed over; calls are sent on.
    Released,
    /// Cannot run; an event says why.
    Failed,
}

impl Desired {
    /// What is hashed (BLAKE3) for [`DesiredReply::digest`]: tasks, drives and callees, without who decided it when.
    ///
    /// # Panics
    /// Never: writing these types to memory cannot fail.
    pub fn spec_bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(&(&self.tasks, &self.drives, &self.callees))
            .expect("writing to memory fails for no value of these types")
    }
}

impl Message for Desired {
    const SCHEMA: Schema = Schema::Desired;
    const BYTES_MAX: usize = 1344 * 1024;

    fn validate(&self) -> Result<(), &'static str> {
        if TASKS_MAX < self.tasks.len() {
            return Err("a node holds at most 64 tasks");
        }
        if DRIVES_MAX < self.drives.len() {
            return Err("a node drives at most 16 workflows");
        }
        if CALLEES_MAX < self.callees.len() {
            return Err("a node is told at most 128 tasks to call");
        }
        if self.tasks.iter().any(|task| INPUTS_MAX < task.sources.len()) {
            return Err("a task takes at most 16 data sources");
        }
        let stages_fit = self.drives.iter().all(|drive| {
            drive.stages.len() <= STAGES_MAX
                && drive.stages.iter().all(|s| s.after.len() + s.sources.len() <= INPUTS_MAX)
        });
        stages_fit.then_some(()).ok_or("a workflow has at most 32 stages with 16 inputs each")
    }
}

impl Message for DesiredReply {
    const SCHEMA: Schema = Schema::DesiredReply;
    const BYTES_MAX: usize = 64 * 1024;

    fn validate(&self) -> Result<(), &'static str> {
        if TASKS_MAX < self.tasks.len() {
            return Err("a node holds at most 64 tasks");
        }
        if let Verdict::Denied { reason } = &self.verdict {
            rule::reason(reason)?;
        }
        self.facts.validate()
    }
}
