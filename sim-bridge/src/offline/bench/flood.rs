//! The paper's workflow of four tasks, and the brute-force way to place it.

use topology::NodeIx;

use super::brute;
use crate::offline::compute::{Compute, Room};
use crate::offline::moment::Moment;
use crate::offline::scenario::{Anchor, NodeClass, Reference, TaskEntry, WorkflowEntry};

/// A task of the paper.
#[derive(Clone, Copy, Debug)]
struct Task {
    name: &'static str,
    milli_cpu: u32,
    memory_mib: u32,
    latency_max_ms: f64,
    /// The task that it must be near to; without one the anchor.
    near: Option<usize>,
}

const fn task(
    name: &'static str,
    (milli_cpu, memory_mib): (u32, u32),
    latency_max_ms: f64,
    near: Option<usize>,
) -> Task {
    Task { name, milli_cpu, memory_mib, latency_max_ms, near }
}

/// The tasks, in the order in which they are placed.
const TASKS: [Task; 4] = [
    task("object-det", (4_000, 2_048), 175.0, None),
    task("extract-frames", (4_000, 2_048), 150.0, Some(0)),
    task("ingest", (1_000, 2_048), 100.0, Some(1)),
    task("prepare-ds", (4_000, 4_096), 100.0, Some(0)),
];

/// So many workflows at each step, each at a node drawn at random, removed at the next step.
pub fn entry(instances: u32) -> WorkflowEntry {
    let tasks = TASKS.iter().map(|task| TaskEntry {
        name: task.name.to_owned(),
        milli_cpu: task.milli_cpu,
        memory_mib: task.memory_mib,
        latency_max_ms: Some(task.latency_max_ms),
        to: task
            .near
            .map_or(Reference::Anchor, |near| Reference::Task(TASKS[near].name.to_owned())),
        on: NodeClass::ALL.to_vec(),
    });
    WorkflowEntry {
        name: "flood".to_owned(),
        orchestrator: Some("workflow".to_owned()),
        anchor: Anchor::Random,
        first_step: 0,
        every_steps: 1,
        instances,
        lifetime_steps: Some(1),
        tasks: tasks.collect(),
    }
}

/// Places a workflow: for each task the delays to all nodes, then the nearest with room; answers how many found a place.
pub fn place_by_brute_force(moment: &Moment, compute: &mut Compute, anchor: NodeIx) -> usize {
    let mut hosts = [None; TASKS.len()];
    for (index, task) in TASKS.iter().enumerate() {
        let Some(from) = task.near.map_or(Some(anchor), |near| hosts[near]) else { continue };
        let delays_us = brute::shortest_delays_us(&moment.graph, from);
        let need = Room { milli_cpu: task.milli_cpu, memory_mib: task.memory_mib };
        let near = (0_u32..).zip(delays_us).filter(|(_, us)| *us <= task.latency_max_ms * 1000.0);
        let fits = near.filter(|(node, _)| compute.fits(NodeIx(*node), need));
        let best = fits.min_by(|one, other| one.1.total_cmp(&other.1).then(one.0.cmp(&other.0)));
        let host = best.map(|(node, _)| NodeIx(node));
        hosts[index] = host.filter(|host| compute.take(*host, need));
    }
    hosts.iter().flatten().count()
}
