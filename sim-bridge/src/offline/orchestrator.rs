//! Who decides where tasks run: orchestrators by name, and the registry that finds the one of a workflow.
//!
//! All look at candidates by distance, nearest first, ties by number, and so are deterministic. They find a place for a
//! single task if there is one; a workflow whose tasks depend on each other is given up after [`LOOKS_MAX`] nodes, which
//! may refuse one that fits in the largest constellations. The published ones draw nodes at random (`Random(1)` shared by tasks that run in parallel, so that even
//! with its generator the draws of a task depend on the timing of the others): they cannot be reproduced, and there are
//! no versions of them here.

mod direct_uplink;
mod task;
mod workflow;

use std::collections::BTreeMap;
use std::fmt::Debug;

use topology::{NodeIx, PathSearch};

pub use direct_uplink::DirectUplink;
pub use task::TaskOrchestrator;
pub use workflow::{LOOKS_MAX, WorkflowOrchestrator};

use super::compute::{Compute, Room};
use super::moment::Moment;
use super::nodes::Nodes;
use super::overrides::Overrides;
use super::scenario::NodeClass;

/// Where latency is counted from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The workflow's anchor.
    Anchor,
    /// A task before this one, by its place in the workflow.
    Task(usize),
    /// A node.
    Node(NodeIx),
    /// The nearest node that runs a task of this name.
    Service(String),
}

/// A task to be placed.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskSpec {
    /// Its name, and that of the service it offers.
    pub name: String,
    /// What it takes.
    pub need: Room,
    /// Longest latency to `to`, microseconds; infinite without a limit.
    pub limit_us: f64,
    /// Where latency is counted from.
    pub to: Target,
    /// Where it may run.
    pub on: Vec<NodeClass>,
}

/// The hosts of services: how many tasks of a name run on which node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services(BTreeMap<String, BTreeMap<NodeIx, u32>>);

impl Services {
    /// The nodes that run a task of this name, ascending.
    pub fn hosts(&self, name: &str) -> impl Iterator<Item = NodeIx> {
        self.0.get(name).into_iter().flat_map(|hosts| hosts.keys().copied())
    }

    pub(super) fn add(&mut self, name: &str, host: NodeIx) {
        *self.0.entry(name.to_owned()).or_default().entry(host).or_default() += 1;
    }

    pub(super) fn remove(&mut self, name: &str, host: NodeIx) {
        let Some(hosts) = self.0.get_mut(name) else { return };
        if let Some(count) = hosts.get_mut(&host) {
            *count -= 1;
            if *count == 0 {
                hosts.remove(&host);
            }
        }
        if hosts.is_empty() {
            self.0.remove(name);
        }
    }
}

/// What orchestrators see and change.
#[derive(Debug)]
pub struct Board<'a> {
    /// The nodes.
    pub nodes: &'a Nodes,
    /// Links and graph of the step.
    pub moment: &'a Moment,
    /// The changes that hold: failed nodes take no task.
    pub overrides: &'a Overrides,
    /// Resources; orchestrators take what they place.
    pub compute: &'a mut Compute,
    /// What runs where already.
    pub services: &'a Services,
    /// Searches, one per task of the longest workflow so far, so that one can go on while another is under way.
    pub searches: &'a mut Vec<PathSearch>,
}

impl Board<'_> {
    /// Where the latency of a task is counted from: none where that does not run.
    pub fn sources(
        &self,
        task: &TaskSpec,
        anchor: NodeIx,
        hosts: &[Option<NodeIx>],
    ) -> Vec<NodeIx> {
        match &task.to {
            Target::Anchor => vec![anchor],
            Target::Task(index) => hosts.get(*index).copied().flatten().into_iter().collect(),
            Target::Node(node) => vec![*node],
            Target::Service(name) => self.services.hosts(name).collect(),
        }
    }

    /// Whether a node may run a task, has room, and is up.
    pub fn takes(&self, node: NodeIx, task: &TaskSpec) -> bool {
        let position = self.moment.positions_km.get(node.index());
        position.is_none_or(|position| !position[0].is_nan())
            && !self.overrides.is_down(node)
            && self.compute.class(node).is_some_and(|class| task.on.contains(&class))
            && self.compute.fits(node, task.need)
    }

    /// Lends the search of a task; give it back to the same place.
    pub(super) fn lend_search(&mut self, task: usize) -> PathSearch {
        if self.searches.len() <= task {
            self.searches.resize_with(task + 1, PathSearch::default);
        }
        std::mem::take(&mut self.searches[task])
    }

    pub(super) fn return_search(&mut self, task: usize, search: PathSearch) {
        self.searches[task] = search;
    }

    /// The nearest node that takes the task, the `index`th of its workflow, within its limit, and then holds it.
    pub fn place_nearest(
        &mut self,
        index: usize,
        task: &TaskSpec,
        anchor: NodeIx,
        hosts: &[Option<NodeIx>],
    ) -> Option<NodeIx> {
        let mut search = self.lend_search(index);
        let sources = self.sources(task, anchor, hosts);
        search.start_all(&self.moment.graph, sources);
        let mut found = None;
        while let Some((node, delay_us)) = search.next(&self.moment.graph) {
            if task.limit_us < delay_us {
                break;
            }
            if self.takes(node, task) && self.compute.take(node, task.need) {
                found = Some(node);
                break;
            }
        }
        self.return_search(index, search);
        found
    }
}

/// Decides where tasks run.
pub trait Orchestrator: Debug + Send {
    /// Its name in scenarios.
    fn name(&self) -> &'static str;

    /// Places the tasks that have no host yet, and takes their room; true if all have one then.
    ///
    /// May leave some without, but never one with a host outside of its limit or without room.
    ///
    /// It finds room by [`Board::takes`] and takes it by [`Compute::take`], or both by [`Board::place_nearest`].
    fn place(
        &mut self,
        board: &mut Board<'_>,
        tasks: &[TaskSpec],
        anchor: NodeIx,
        hosts: &mut [Option<NodeIx>],
    ) -> bool;

    /// Whether all tasks of an instance are placed anew when one of them has to move.
    fn moves_all(&self) -> bool {
        false
    }
}

/// Orchestrators by name: the built-in ones, and those that users of the library [register](Self::register).
///
/// A scenario that names others is [loaded with](super::scenario::Scenario::load_with) the registry that its simulation
/// [gets](super::simulation::Simulation::orchestrators_mut).
#[derive(Debug)]
pub struct Registry(BTreeMap<&'static str, Box<dyn Orchestrator>>);

impl Default for Registry {
    /// The built-in ones.
    fn default() -> Self {
        let mut registry = Self(BTreeMap::new());
        registry.register(Box::new(WorkflowOrchestrator::default()));
        registry.register(Box::new(TaskOrchestrator));
        registry.register(Box::new(DirectUplink));
        registry
    }
}

impl Registry {
    /// Adds an orchestrator, in place of one of the same name.
    pub fn register(&mut self, orchestrator: Box<dyn Orchestrator>) {
        self.0.insert(orchestrator.name(), orchestrator);
    }

    /// The names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// The orchestrator of this name.
    pub fn resolve(&mut self, name: &str) -> Option<&mut (dyn Orchestrator + 'static)> {
        self.0.get_mut(name).map(|orchestrator| &mut **orchestrator)
    }
}
