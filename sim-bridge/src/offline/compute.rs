//! Processors and memory of the nodes: what is there, and what is in use.

use topology::NodeIx;

use super::nodes::Nodes;
use super::scenario::{ClassEntry, ComputeEntry, NodeClass};

/// Processor time and memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Thousandths of a processor core.
    pub milli_cpu: u32,
    /// Memory, MiB.
    pub memory_mib: u32,
}

impl From<ClassEntry> for Room {
    fn from(entry: ClassEntry) -> Self {
        Self { milli_cpu: entry.milli_cpu, memory_mib: entry.memory_mib }
    }
}

impl Room {
    fn holds(self, need: Self) -> bool {
        need.milli_cpu <= self.milli_cpu && need.memory_mib <= self.memory_mib
    }
}

/// One node.
#[derive(Clone, Copy, Debug)]
struct Host {
    class: Option<NodeClass>,
    total: Room,
    free: Room,
    open: bool,
}

/// All nodes.
#[derive(Clone, Debug)]
pub struct Compute(Vec<Host>);

impl Compute {
    /// Nothing is in use, and all nodes take tasks.
    pub fn new(entry: &ComputeEntry, nodes: &Nodes) -> Self {
        let host = |node| {
            let class = nodes.class(node);
            let total = class.map_or_else(Room::default, |class| {
                Room::from(match class {
                    NodeClass::Space => entry.space,
                    NodeClass::Edge => entry.edge,
                    NodeClass::Cloud => entry.cloud,
                })
            });
            Host { class, total, free: total, open: true }
        };
        Self(nodes.all().map(host).collect())
    }

    /// Where a node computes, if it does.
    pub fn class(&self, node: NodeIx) -> Option<NodeClass> {
        self.0.get(node.index())?.class
    }

    /// What a node has.
    pub fn total(&self, node: NodeIx) -> Room {
        self.0.get(node.index()).map(|host| host.total).unwrap_or_default()
    }

    /// What is in use on a node.
    pub fn used(&self, node: NodeIx) -> Room {
        let Some(host) = self.0.get(node.index()) else { return Room::default() };
        Room {
            milli_cpu: host.total.milli_cpu - host.free.milli_cpu,
            memory_mib: host.total.memory_mib - host.free.memory_mib,
        }
    }

    /// Lets a node take new tasks, or not.
    pub fn set_open(&mut self, node: NodeIx, open: bool) {
        if let Some(host) = self.0.get_mut(node.index()) {
            host.open = open;
        }
    }

    /// Whether a node takes new tasks, as far as anybody has said.
    pub fn is_open(&self, node: NodeIx) -> bool {
        self.0.get(node.index()).is_some_and(|host| host.open)
    }

    /// Whether a task fits on a node that takes tasks.
    pub fn fits(&self, node: NodeIx, need: Room) -> bool {
        let host = self.0.get(node.index());
        host.is_some_and(|host| host.open && host.class.is_some() && host.free.holds(need))
    }

    /// Takes room on a node; false if it does not fit.
    #[must_use]
    pub fn take(&mut self, node: NodeIx, need: Room) -> bool {
        self.fits(node, need) && self.take_back(node, need)
    }

    /// Takes room that was just given back, also on a node that takes no new tasks; false if it is gone.
    #[must_use]
    pub fn take_back(&mut self, node: NodeIx, need: Room) -> bool {
        let Some(host) = self.0.get_mut(node.index()) else { return false };
        let fits = host.free.holds(need);
        if fits {
            host.free.milli_cpu -= need.milli_cpu;
            host.free.memory_mib -= need.memory_mib;
        }
        fits
    }

    /// Gives back what was taken.
    pub fn give(&mut self, node: NodeIx, need: Room) {
        if let Some(host) = self.0.get_mut(node.index()) {
            let back = |free: u32, more: u32, total: u32| free.saturating_add(more).min(total);
            host.free.milli_cpu = back(host.free.milli_cpu, need.milli_cpu, host.total.milli_cpu);
            host.free.memory_mib =
                back(host.free.memory_mib, need.memory_mib, host.total.memory_mib);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_on_a_node_may_stay_there_when_it_takes_no_new_tasks() {
        let nodes = Nodes::of_names(vec!["sat".to_owned()], Vec::new()).unwrap();
        let mut compute = Compute::new(&ComputeEntry::default(), &nodes);
        let (sat, need) = (NodeIx(0), Room { milli_cpu: 8_000, memory_mib: 1 });
        assert!(compute.take(sat, need));
        // Nothing is left for a second one.
        assert!(!compute.take(sat, Room { milli_cpu: 1, memory_mib: 0 }));
        compute.set_open(sat, false);
        compute.give(sat, need);
        assert!(!compute.take(sat, need) && compute.take_back(sat, need));
        assert_eq!(compute.used(sat), need);
    }
}
