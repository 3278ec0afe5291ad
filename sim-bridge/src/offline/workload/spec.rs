//! Workflows as the engine holds them, and where their data arise.

use topology::NodeIx;

use super::{WorkloadError, is_up};
use crate::offline::compute::Room;
use crate::offline::moment::Moment;
use crate::offline::nodes::Nodes;
use crate::offline::orchestrator::{Target, TaskSpec};
use crate::offline::overrides::Overrides;
use crate::offline::scenario::{Anchor, Reference, TaskEntry, WorkflowEntry};

/// Where anchors are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// Nodes from the first number to below the second.
    Drawn(u32, u32),
    Fixed(NodeIx),
}

/// A workflow with all names resolved.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Workflow {
    pub(super) name: String,
    pub(super) tasks: Vec<TaskSpec>,
    orchestrator: Option<String>,
    pub(super) lifetime_steps: Option<u64>,
    origin: Origin,
    first_step: u64,
    every_steps: u64,
    instances: u32,
}

impl Workflow {
    pub(super) fn new(entry: &WorkflowEntry, nodes: &Nodes) -> Result<Self, WorkloadError> {
        let unknown = |source| WorkloadError::Unknown { workflow: entry.name.clone(), source };
        let (satellites, all) = (count(nodes.satellites()), count(nodes.len()));
        let origin = match &entry.anchor {
            Anchor::Random => Origin::Drawn(0, all),
            Anchor::RandomSatellite => Origin::Drawn(0, satellites),
            Anchor::RandomStation if satellites == all => {
                return Err(WorkloadError::NoStations { workflow: entry.name.clone() });
            }
            Anchor::RandomStation => Origin::Drawn(satellites, all),
            Anchor::Node(name) => Origin::Fixed(nodes.find(name).map_err(unknown)?),
        };
        let task = |(index, task): (usize, &TaskEntry)| {
            let to = match &task.to {
                Reference::Anchor => Target::Anchor,
                Reference::Task(name) => {
                    let mut before = entry.tasks[..index].iter();
                    let place = before.position(|other| other.name == *name);
                    Target::Task(place.ok_or_else(|| WorkloadError::NotBefore {
                        workflow: entry.name.clone(),
                        task: task.name.clone(),
                        to: name.clone(),
                    })?)
                }
                Reference::Node(name) => Target::Node(nodes.find(name).map_err(unknown)?),
                Reference::Service(name) => Target::Service(name.clone()),
            };
            let need = Room { milli_cpu: task.milli_cpu, memory_mib: task.memory_mib };
            let limit_us = task.latency_max_ms.map_or(f64::INFINITY, |ms| ms * 1000.0);
            let (name, on) = (task.name.clone(), task.on.clone());
            Ok(TaskSpec { name, need, limit_us, to, on })
        };
        Ok(Self {
            name: entry.name.clone(),
            tasks: entry.tasks.iter().enumerate().map(task).collect::<Result<_, _>>()?,
            orchestrator: entry.orchestrator.clone(),
            lifetime_steps: entry.lifetime_steps,
            origin,
            first_step: entry.first_step,
            every_steps: entry.every_steps,
            instances: entry.instances,
        })
    }

    /// The name of who places it: its own, or the scenario's.
    pub(super) fn orchestrator<'a>(&'a self, default: &'a str) -> &'a str {
        self.orchestrator.as_deref().unwrap_or(default)
    }

    /// How many instances are deployed at a step.
    pub(super) fn due(&self, step: u64) -> u32 {
        let due = step.checked_sub(self.first_step).is_some_and(|since| {
            since == 0 || since.checked_rem(self.every_steps).is_some_and(|rest| rest == 0)
        });
        if due { self.instances } else { 0 }
    }
}

fn count(nodes: usize) -> u32 {
    u32::try_from(nodes).expect("at most NODES_MAX nodes")
}

/// Draws anchors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anchors<'a> {
    pub(super) nodes: &'a Nodes,
    pub(super) moment: &'a Moment,
    pub(super) overrides: &'a Overrides,
    pub(super) seed: u64,
}

impl Anchors<'_> {
    /// The anchor of an instance: the node drawn, or the next one after it that is up; `None` where none is.
    ///
    /// Depends on seed, step, workflow and number only.
    pub(super) fn draw(&self, workflow: &Workflow, index: usize, number: u32) -> Option<NodeIx> {
        let up = |node: &NodeIx| is_up(*node, self.moment, self.overrides);
        let (low, high) = match workflow.origin {
            Origin::Fixed(node) => return Some(node).filter(up),
            Origin::Drawn(low, high) => (low, high),
        };
        debug_assert!(high as usize <= self.nodes.len(), "drawn from the nodes");
        let index = u64::try_from(index).unwrap_or(u64::MAX);
        let parts = [self.moment.step, index, u64::from(number)];
        let drawn = parts.into_iter().fold(mixed(self.seed), |state, part| mixed(state ^ part));
        let span = high - low;
        // The bias of a remainder of 64 bits is below 1e-13.
        let first = u32::try_from(drawn % u64::from(span)).expect("below a u32");
        (0..span).map(|offset| NodeIx(low + (first + offset) % span)).find(up)
    }
}

/// SplitMix64 (Steele, Lea, Flood, 2014): a step of the generator and its mixing.
const fn mixed(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
