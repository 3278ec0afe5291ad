//! What plugins see of a simulation, and what they can do to it.

use topology::{NodeIx, Route, RouteNeed, Router};
use types::Epoch;

use crate::offline::moment::Moment;
use crate::offline::nodes::Nodes;
use crate::offline::overrides::Overrides;
use crate::offline::scenario::WorkflowEntry;
use crate::offline::workload::{InstanceId, Workload, WorkloadError};

/// A simulation between two steps, as plugins see it.
///
/// Before a step the moment, links and routes are those of the step before, and overrides hold from this step on; after
/// a step all are those of the step, and overrides hold from the next one on.
#[derive(Debug)]
pub struct SimulationView<'a> {
    /// The step that is about to be computed, or was.
    pub step: u64,
    /// Its instant.
    pub at: Epoch,
    /// From one step to the next, seconds.
    pub step_s: f64,
    pub(super) nodes: &'a Nodes,
    pub(super) moment: Option<&'a Moment>,
    pub(super) router: &'a mut dyn Router,
    pub(super) overrides: &'a mut Overrides,
    pub(super) workload: &'a mut Workload,
}

impl<'a> SimulationView<'a> {
    /// The nodes.
    pub fn nodes(&self) -> &'a Nodes {
        self.nodes
    }

    /// Positions, links and graph; `None` before the first step.
    pub fn moment(&self) -> Option<&'a Moment> {
        self.moment
    }

    /// The route of least latency that meets a need; `None` where there is none, and before the first step.
    pub fn route(&mut self, from: NodeIx, to: NodeIx, need: &RouteNeed) -> Option<Route> {
        self.router.route(&self.moment?.graph, from, to, need)
    }

    /// Changes of nodes and links; they hold until they are taken back.
    pub fn overrides(&mut self) -> &mut Overrides {
        self.overrides
    }

    /// Tasks and resources.
    pub fn workload(&self) -> &Workload {
        self.workload
    }

    /// Lets a node take new tasks, or not; what runs there stays.
    pub fn set_open(&mut self, node: NodeIx, open: bool) {
        self.workload.compute_mut().set_open(node, open);
    }

    /// Deploys a workflow at the next step's placement, once. See [`Workload::deploy`].
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub fn deploy(
        &mut self,
        workflow: &WorkflowEntry,
        anchor: NodeIx,
    ) -> Result<InstanceId, WorkloadError> {
        self.workload.deploy(self.nodes, workflow, anchor, self.step)
    }

    /// Removes an instance of a workflow with all its tasks; false if there is none.
    pub fn remove(&mut self, instance: InstanceId) -> bool {
        self.workload.remove(instance)
    }

    /// Moves a task of an instance to a node, if it fits there.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub fn move_task(
        &mut self,
        instance: InstanceId,
        task: &str,
        to: NodeIx,
    ) -> Result<(), WorkloadError> {
        self.workload.move_task(self.nodes, instance, task, to)
    }
}
