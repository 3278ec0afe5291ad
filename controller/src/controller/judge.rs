//! One round of decisions: plan every workflow, move what has to move, say what each node is to do.

use std::sync::Arc;

use placement::{Decision, Plan, Priority, Task, Workflow, violation};
use protocol::desired::Phase;
use topology::ContactPlan;
use types::{Capacity, NodeId, TaskId, WorkflowId};

use super::view::ViewError;
use super::{Basis, Controller, Deployment, SetAside};
use crate::api::DecisionInfo;
use crate::event::{Moment, Now, Output};
use crate::executor::Wanted;
use crate::fleet::Fleet;
use crate::hosting::{Hosting, TaskKey, World};
use crate::planner::Picture;

/// Time that is not counted when decisions pause for longer: the process was stopped, sky seconds per wall second.
const PAUSE_MAX_S: f64 = 10.0;

impl Deployment {
    pub(super) const fn new(workflow: Workflow, is_driving: bool) -> Self {
        Self {
            workflow,
            decision: None,
            basis: None,
            is_driving,
            set_aside: None,
            completed: 0,
            failed: 0,
            violation_s: 0.0,
            placed_s: 0.0,
        }
    }

    /// What its tasks are promised.
    pub(super) fn promises(&self) -> impl Iterator<Item = (TaskKey, Capacity)> + '_ {
        self.workflow.tasks.iter().map(|task| {
            let capacity = Capacity { milli_cpu: task.milli_cpu, memory_mib: task.memory_mib };
            (self.key(task), capacity)
        })
    }

    /// Its tasks that only one node can run.
    pub(super) fn pinned(&self) -> impl Iterator<Item = TaskKey> + '_ {
        let pinned = self.workflow.tasks.iter().filter(|task| task.pinned.is_some());
        pinned.map(|task| self.key(task))
    }

    /// Its tasks with the nodes that must not see their data.
    pub(super) fn forbidden(&self, fleet: &Fleet) -> impl Iterator<Item = (TaskKey, NodeId)> {
        self.workflow.demands().flat_map(|(task, demand)| {
            let key = TaskKey { workflow: self.workflow.id.clone(), task: task.clone() };
            let sections = fleet.nodes().map(|node| &node.section);
            sections
                .filter(|one| demand.objection(one.trust, one.region.as_ref()).is_some())
                .map(|one| (key.clone(), one.name.clone()))
                .collect::<Vec<_>>()
        })
    }

    fn key(&self, task: &Task) -> TaskKey {
        TaskKey { workflow: self.workflow.id.clone(), task: task.id.clone() }
    }
}

impl Controller {
    /// The newest decision about a workflow and all that it rests on.
    ///
    /// # Errors
    /// [`ViewError`] for one that was never submitted or not decided about yet.
    pub fn decision(&self, id: &WorkflowId) -> Result<DecisionInfo, ViewError> {
        let deployment = self.deployment(id)?;
        let (Some(basis), Some(decision)) = (&deployment.basis, &deployment.decision) else {
            return Err(ViewError::NotYet("the decision about this workflow"));
        };
        let Basis { moment, plan, picture } = basis;
        Ok(DecisionInfo {
            snapshot: picture.snapshot(moment, plan, &deployment.workflow, &self.config.plan),
            decision: decision.to_string(),
        })
    }

    pub(super) fn judge(&mut self, now: Now, moment: &Moment) {
        let Some(world) = self.world(now) else { return };
        self.place(&world);
        self.start_driving();
        self.count(moment);
        if !self.hosting.is_same(&self.kept) {
            self.kept = self.hosting.clone();
            self.outputs.push(Output::Save);
        }
        self.spread(moment);
    }

    fn place(&mut self, world: &World) {
        let Some(plan) = self.plan.clone() else { return };
        for class in [Priority::Critical, Priority::Normal, Priority::Background] {
            for name in &self.in_order(world, &plan, class) {
                self.decide(world, &plan, name);
            }
        }
        let deployments = &self.deployments;
        self.hosting.tend(world, |workflow| {
            deployments
                .get(workflow)
                .is_some_and(|d| matches!(d.decision, Some(Decision::Placed(_))))
        });
    }

    /// The workflows of a class in the order in which they are decided about: those that run somewhere, then those that wait, so that
    /// as many as possible find a place.
    fn in_order(&self, world: &World, plan: &ContactPlan, class: Priority) -> Vec<WorkflowId> {
        let all = self.deployments.values().map(|deployment| &deployment.workflow);
        let of_class = all.filter(|workflow| workflow.priority == class);
        let runs =
            |workflow: &&Workflow| self.hosting.iter().any(|(key, _)| key.workflow == workflow.id);
        let (running, waiting): (Vec<_>, Vec<_>) = of_class.partition(runs);
        let order = match waiting.len() {
            0 | 1 => (0..waiting.len()).collect(),
            _ => self.picture(world).order(&world.moment, plan, &waiting, &self.config.plan),
        };
        let waiting = order.into_iter().filter_map(|at| waiting.get(at));
        running.iter().chain(waiting).map(|workflow| workflow.id.clone()).collect()
    }

    /// What is known now, as placement takes it.
    pub(super) fn picture(&self, world: &World) -> Picture {
        let workflows = self.deployments.values().map(|deployment| &deployment.workflow);
        Picture::draw(&self.fleet, &self.hosting, workflows, world)
    }

    /// Decides about one workflow; each sees where the ones before it have just gone.
    fn decide(&mut self, world: &World, plan: &Arc<ContactPlan>, name: &WorkflowId) {
        let picture = self.picture(world);
        let Some(deployment) = self.deployments.get_mut(name) else { return };
        let decision = picture.decide(&world.moment, plan, &deployment.workflow, &self.config.plan);
        note_refusal(deployment.decision.as_ref(), &decision);
        deployment.decision = Some(decision.clone());
        let plan = Arc::clone(plan);
        deployment.basis = Some(Basis { moment: world.moment, plan, picture });
        if let Decision::Placed(placed) = &decision {
            self.carry_out(world, placed);
        }
    }

    /// A plan becomes what is: who has to give way to it does so first.
    fn carry_out(&mut self, world: &World, plan: &Plan) {
        let (by, since) = (&plan.workflow, world.moment.sky);
        for victim in &plan.sets_aside {
            let Some(deployment) = self.deployments.get_mut(victim) else { continue };
            tracing::warn!(workflow = %victim, for_workflow = %by, "set aside");
            deployment.set_aside = Some(SetAside { by: by.clone(), since });
            self.hosting.park(victim, &format!("set aside for {by}"));
        }
        self.hosting.apply(world, plan);
        let placed = self.deployments.get_mut(by);
        if let Some(SetAside { by: other, .. }) = placed.and_then(|one| one.set_aside.take()) {
            tracing::info!(workflow = %by, was_for = %other, "goes on: there is room again");
            self.outputs.push(Output::Save);
        }
        if !plan.sets_aside.is_empty() {
            self.outputs.push(Output::Save);
        }
    }

    /// Runs start once every task is served.
    fn start_driving(&mut self) {
        let (hosting, phases) = (&self.hosting, &self.phases);
        let is_served = |workflow: &WorkflowId, task: &TaskId| {
            let key = TaskKey { workflow: workflow.clone(), task: task.clone() };
            let host = hosting.host(&key);
            host.and_then(|host| phases.get(&(host.node.clone(), key))) == Some(&Phase::Active)
        };
        for deployment in self.deployments.values_mut().filter(|d| !d.is_driving) {
            let workflow = &deployment.workflow;
            if workflow.tasks.iter().all(|task| is_served(&workflow.id, &task.id)) {
                tracing::info!(workflow = %workflow.id, "runs start");
                deployment.is_driving = true;
                self.outputs.push(Output::Save);
            }
        }
    }

    /// Counts how long workflows were placed, and how long a need was not met.
    fn count(&mut self, moment: &Moment) {
        let Some(plan) = self.plan.as_deref() else { return };
        let since = self.counted_until.replace(moment.sky).unwrap_or(moment.sky);
        let span_s = moment.sky.seconds_since(since);
        if span_s <= 0.0 || PAUSE_MAX_S * moment.rate < span_s {
            return;
        }
        let hosting = &self.hosting;
        for deployment in self.deployments.values_mut() {
            let workflow = &deployment.workflow;
            let Some(hosts) = hosts_of(hosting, workflow) else { continue };
            let host_of = |task: &TaskId| {
                hosts.iter().find(|(id, _)| *id == task).map(|(_, node)| (*node).clone())
            };
            let state = |a: &NodeId, b: &NodeId| plan.state(a, b, moment.sky);
            let is_violated = workflow.tasks.iter().zip(&hosts).any(|(task, (_, node))| {
                violation(workflow, task, node, moment.sky, host_of, state).is_some()
            });
            deployment.placed_s += span_s;
            if is_violated {
                deployment.violation_s += span_s;
            }
        }
    }

    /// Says what each node is to do.
    fn spread(&mut self, moment: &Moment) {
        let version = self.plan.as_ref().map(|plan| plan.version).unwrap_or_default();
        let deployments = &self.deployments;
        let workflows = deployments.values().map(|deployment| &deployment.workflow);
        let functions = self.function_table();
        let mut wanted = self.hosting.wanted(workflows, &functions, |workflow| {
            deployments.get(&workflow.id).is_some_and(|deployment| deployment.is_driving)
        });
        let nodes: Vec<NodeId> = self.fleet.nodes().map(|node| node.id().clone()).collect();
        for node in nodes {
            let wanted: Wanted = wanted.remove(&node).unwrap_or_default();
            self.executor.want(&node, wanted, version, moment.sky);
        }
    }
}

/// The host of each task in order; `None` if one has none.
fn hosts_of<'a>(
    hosting: &'a Hosting,
    workflow: &'a Workflow,
) -> Option<Vec<(&'a TaskId, &'a NodeId)>> {
    let host = |task: &'a TaskId| {
        let key = TaskKey { workflow: workflow.id.clone(), task: task.clone() };
        hosting.host(&key).map(|host| (task, &host.node))
    };
    workflow.tasks.iter().map(|task| host(&task.id)).collect()
}

/// One line when a workflow becomes infeasible, and one when it is placed (again).
fn note_refusal(before: Option<&Decision>, after: &Decision) {
    match (before, after) {
        (Some(Decision::Refused(old)), Decision::Refused(new)) if old.task == new.task => {}
        (_, Decision::Refused(new)) => {
            tracing::warn!(workflow = %new.workflow, task = %new.task, "no feasible node");
        }
        (Some(Decision::Placed(_)), Decision::Placed(_)) => {}
        (_, Decision::Placed(plan)) => tracing::info!(workflow = %plan.workflow, "placed"),
    }
}
