//! Where every task is and where it is going: the running table, its moves, and the record of each move.
//!
//! Performs no I/O and reads no clock. The table says what *is* (an owner changes when the new one says that it
//! took over), the moves say what is *under way*. Three kinds of moves share one machinery: a planned hand-over is
//! announced to both nodes before its time; a move after a violation first prepares the new host, then announces;
//! a failover raises the owner epoch by two, which fences off the lost node and whatever grant it left behind.

mod ledger;
mod moves;
mod parking;
mod spec;
mod world;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use types::{Epoch, Instant, NodeId, OwnerEpoch, TaskId, WindowId, WorkflowId};

pub use ledger::Ledger;
pub use moves::HEIR_WAIT;
pub use parking::Parked;
pub use spec::{FunctionTable, KnownFunction};
pub use world::{NodeNow, World};

/// A task of a workflow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TaskKey {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The task.
    pub task: TaskId,
}

/// The window that keeps a task where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostWindow {
    /// Which.
    pub id: WindowId,
    /// When it closes (sky).
    pub close: Epoch,
    /// `false`: it stays open beyond the plan.
    pub close_known: bool,
}

/// A task and its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Who owns it.
    pub node: NodeId,
    /// Under which epoch.
    pub owner_epoch: OwnerEpoch,
    /// Who keeps the second copy of its state.
    pub replica: Option<NodeId>,
    /// Since when (sky).
    pub since: Epoch,
    /// How long it can stay, as planned last.
    pub window: Option<HostWindow>,
    /// The move that is under way.
    pub step: Option<Step>,
    /// Whether it was ever served, so that there may be state that must not be left behind.
    pub has_served: bool,
    /// Since when nobody alive is known to hold its state.
    #[serde(skip)]
    orphan_since: Option<Instant>,
    /// The other node that the planner wants, and since when.
    #[serde(skip)]
    rival: Option<(Option<NodeId>, Instant)>,
    /// Since when its node says that it does not serve although it should, and the newest epoch that it knows.
    #[serde(skip)]
    idle: Option<(Instant, OwnerEpoch)>,
}

/// A move under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its record.
    pub record: u64,
    /// The next owner.
    pub to: NodeId,
    /// When the owner is to hand over (sky); `None` until the next owner is prepared.
    pub at: Option<Epoch>,
    /// The window whose close makes it necessary; 0 for none.
    pub window: WindowId,
    /// When that closes, or when the move was decided (sky).
    pub window_closes: Epoch,
    /// Whether code and state are at the next owner.
    pub is_prepared: bool,
}

impl Host {
    /// Who gets the second copy of its state now: the next owner, if there is one.
    pub fn second_copy(&self) -> Option<&NodeId> {
        let target = self.step.as_ref().map(|step| &step.to).or(self.replica.as_ref());
        target.filter(|node| **node != self.node)
    }
}

/// The running table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hosting {
    hosts: BTreeMap<TaskKey, Host>,
    /// Where tasks were that run nowhere now.
    parked: Parked,
    ledger: Ledger,
}

/// The running table as it is kept on disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedHosting {
    /// The table.
    pub hosts: Vec<(TaskKey, Host)>,
    /// Where tasks were that run nowhere now, the longest parked first. Not in what a controller kept that parked none.
    #[serde(default)]
    pub parked: Parked,
    /// The records.
    pub ledger: Ledger,
}

impl Hosting {
    /// The table as another process left it.
    pub fn restore(saved: SavedHosting) -> Self {
        let SavedHosting { hosts, parked, ledger } = saved;
        Self { hosts: hosts.into_iter().collect(), parked, ledger }
    }

    /// What is to be kept on disk.
    pub fn save(&self) -> SavedHosting {
        let hosts = self.hosts.iter().map(|(key, host)| (key.clone(), host.clone())).collect();
        SavedHosting { hosts, parked: self.parked.clone(), ledger: self.ledger.clone() }
    }

    /// All tasks that have an owner.
    pub fn iter(&self) -> impl Iterator<Item = (&TaskKey, &Host)> {
        self.hosts.iter()
    }

    /// The owner of a task.
    pub fn host(&self, key: &TaskKey) -> Option<&Host> {
        self.hosts.get(key)
    }

    /// Changes whenever something changes that is to be kept on disk.
    pub fn is_same(&self, other: &Self) -> bool {
        self.ledger.revision() == other.ledger.revision()
            && self.hosts == other.hosts
            && self.parked == other.parked
    }

    /// The records of all moves.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}
