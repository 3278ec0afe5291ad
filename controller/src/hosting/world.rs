//! What is known when moves are decided: nodes, what tasks are promised, and the room that is left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use types::{Capacity, MiB, MilliCpu, NodeId};

use super::{Host, TaskKey};
use crate::event::Moment;

/// A node when moves are decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeNow {
    /// Whether its lease runs.
    pub is_alive: bool,
    /// Since its last report (wall); for a lost node, when that was noticed.
    pub silence: Duration,
    /// What it can carry in all.
    pub capacity: Capacity,
}

/// What is known when moves are decided.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// One moment.
    pub moment: Moment,
    /// All nodes; who is not among them is lost.
    pub nodes: BTreeMap<NodeId, NodeNow>,
    /// What each task is promised.
    pub promises: BTreeMap<TaskKey, Capacity>,
    /// Tasks that only their node can run.
    pub pinned: BTreeSet<TaskKey>,
    /// Nodes that must not see the data of a task.
    pub forbidden: BTreeSet<(TaskKey, NodeId)>,
    /// Nodes that have declined a task, and what they said.
    pub declined: BTreeMap<(TaskKey, NodeId), String>,
}

impl World {
    /// Whether a node is alive and may see the data of a task.
    pub(super) fn may_hold(&self, key: &TaskKey, node: &NodeId) -> bool {
        self.is_alive(node) && !self.forbidden.contains(&(key.clone(), node.clone()))
    }

    /// Whether a node would not run a task, or cannot.
    pub(super) fn is_declined(&self, key: &TaskKey, node: &NodeId) -> bool {
        self.declined.contains_key(&(key.clone(), node.clone()))
    }

    /// Whether a node's lease runs.
    pub fn is_alive(&self, node: &NodeId) -> bool {
        self.node(node).is_alive
    }

    pub(super) fn node(&self, node: &NodeId) -> NodeNow {
        self.nodes.get(node).copied().unwrap_or_default()
    }

    fn promise(&self, key: &TaskKey) -> Capacity {
        self.promises.get(key).copied().unwrap_or_default()
    }
}

/// What every node has promised, hosts and next hosts alike: a node that is told to carry more than it can would
/// refuse all that it is told.
#[derive(Debug, Default)]
pub(super) struct Room {
    used: BTreeMap<NodeId, Vec<(TaskKey, Capacity)>>,
}

impl Room {
    pub(super) fn of(world: &World, hosts: &BTreeMap<TaskKey, Host>) -> Self {
        let mut room = Self::default();
        for (key, host) in hosts {
            room.take(world, key, &host.node);
            if let Some(step) = &host.step {
                room.take(world, key, &step.to);
            }
        }
        room
    }

    pub(super) fn take(&mut self, world: &World, key: &TaskKey, node: &NodeId) {
        self.used.entry(node.clone()).or_default().push((key.clone(), world.promise(key)));
    }

    pub(super) fn has(&self, world: &World, key: &TaskKey, node: &NodeId) -> bool {
        let others = self.used.get(node).into_iter().flatten().filter(|(other, _)| other != key);
        let sum =
            others.map(|(_, promise)| *promise).fold(world.promise(key), |sum, more| Capacity {
                milli_cpu: MilliCpu(sum.milli_cpu.0.saturating_add(more.milli_cpu.0)),
                memory_mib: MiB(sum.memory_mib.0.saturating_add(more.memory_mib.0)),
            });
        let most = world.node(node).capacity;
        sum.milli_cpu <= most.milli_cpu && sum.memory_mib <= most.memory_mib
    }
}
