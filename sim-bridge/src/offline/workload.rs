//! Workflows on the move: deployed, watched, moved when the sky has moved away from them, removed.

mod spec;

use std::collections::{BTreeMap, BTreeSet};

use topology::{NodeIx, PathSearch};

use super::compute::Compute;
use super::moment::Moment;
use super::nodes::{Nodes, UnknownName};
use super::orchestrator::{Board, Registry, Services, TaskSpec};
use super::overrides::Overrides;
use super::scenario::{Scenario, WorkflowEntry};
use super::summary::WorkloadSummary;
use spec::{Anchors, Workflow};

/// Most instances of workflows at a time: each holds its tasks, some hundred bytes.
pub const RUNNING_MAX: usize = 1_000_000;

/// The number of an instance of a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InstanceId(pub u64);

/// Why a workflow cannot be deployed or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// A name.
    #[error("workflow {workflow:?}: {source}")]
    Unknown {
        /// The workflow.
        workflow: String,
        /// The name.
        source: UnknownName,
    },
    /// An anchor of a kind of which there is none.
    #[error("workflow {workflow:?}: its anchor is a station, but there are none")]
    NoStations {
        /// The workflow.
        workflow: String,
    },
    /// An orchestrator that nobody has registered.
    #[error("workflow {workflow:?}: there is no orchestrator {name:?}")]
    NoOrchestrator {
        /// The workflow.
        workflow: String,
        /// What was asked for.
        name: String,
    },
    /// Too many.
    #[error("more than {RUNNING_MAX} instances of workflows would run")]
    TooMany,
    /// A task that must be near to one that does not stand before it.
    #[error(
        "workflow {workflow:?}: task {task:?} must be near to {to:?}, which is no task before it"
    )]
    NotBefore {
        /// The workflow.
        workflow: String,
        /// The task.
        task: String,
        /// What it names.
        to: String,
    },
    /// An instance or a task of it.
    #[error("there is no task {task:?} in instance {instance}")]
    NoTask {
        /// The instance.
        instance: u64,
        /// The task.
        task: String,
    },
    /// A node.
    #[error("task {task:?} does not fit on {node:?}")]
    NoRoom {
        /// The task.
        task: String,
        /// The node.
        node: String,
    },
}

/// An instance of a workflow.
#[derive(Clone, Debug)]
struct Instance {
    workflow: usize,
    anchor: NodeIx,
    hosts: Vec<Option<NodeIx>>,
    /// The step at which it is removed.
    ends: Option<u64>,
}

/// All workflows, and the resources that they share.
#[derive(Debug)]
pub struct Workload {
    seed: u64,
    default_orchestrator: String,
    workflows: Vec<Workflow>,
    /// How many of `workflows` the scenario deploys; the others are of plugins.
    of_scenario: usize,
    running: BTreeMap<InstanceId, Instance>,
    next_id: u64,
    compute: Compute,
    services: Services,
    registry: Registry,
    searches: Vec<PathSearch>,
    /// Deployed by plugins, and not placed completely yet.
    waiting: BTreeSet<InstanceId>,
}

impl Workload {
    /// The workflows of a scenario; nothing runs yet.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub fn new(
        scenario: &Scenario,
        nodes: &Nodes,
        compute: Compute,
    ) -> Result<Self, WorkloadError> {
        let workflows = scenario.workflows.iter().map(|entry| Workflow::new(entry, nodes));
        let workflows = workflows.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            seed: scenario.seed,
            default_orchestrator: scenario.orchestrator.clone(),
            of_scenario: workflows.len(),
            workflows,
            running: BTreeMap::new(),
            next_id: 0,
            compute,
            services: Services::default(),
            registry: Registry::default(),
            searches: Vec::new(),
            waiting: BTreeSet::new(),
        })
    }

    /// Resources.
    pub fn compute(&self) -> &Compute {
        &self.compute
    }

    pub(super) fn compute_mut(&mut self) -> &mut Compute {
        &mut self.compute
    }

    /// What runs where, by name of task.
    pub fn services(&self) -> &Services {
        &self.services
    }

    pub(super) fn registry_mut(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// Whether each workflow so far has an orchestrator.
    pub(super) fn check_orchestrators(&self) -> Result<(), WorkloadError> {
        let default = &self.default_orchestrator;
        let mut workflows = self.workflows.iter();
        workflows.try_for_each(|workflow| check_orchestrator(&self.registry, workflow, default))
    }

    /// The instances, ascending by number.
    pub fn instances(&self) -> impl Iterator<Item = InstanceId> {
        self.running.keys().copied()
    }

    /// The anchor of an instance, and the hosts of its tasks in the order of the workflow.
    pub fn placement(&self, id: InstanceId) -> Option<(NodeIx, &[Option<NodeIx>])> {
        self.running.get(&id).map(|instance| (instance.anchor, instance.hosts.as_slice()))
    }

    /// Deploys a workflow of a plugin: it is placed at the next step and tried again at each step until it fits.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub fn deploy(
        &mut self,
        nodes: &Nodes,
        entry: &WorkflowEntry,
        anchor: NodeIx,
        step: u64,
    ) -> Result<InstanceId, WorkloadError> {
        let workflow = Workflow::new(entry, nodes)?;
        check_orchestrator(&self.registry, &workflow, &self.default_orchestrator)?;
        let known = self.workflows.iter().position(|other| *other == workflow);
        let index = known.unwrap_or_else(|| {
            self.workflows.push(workflow);
            self.workflows.len() - 1
        });
        let id = self.add(index, anchor, step)?;
        self.waiting.insert(id);
        Ok(id)
    }

    /// Removes an instance with all its tasks; false if there is none.
    pub fn remove(&mut self, id: InstanceId) -> bool {
        let Some(instance) = self.running.remove(&id) else { return false };
        self.waiting.remove(&id);
        for (task, host) in self.workflows[instance.workflow].tasks.iter().zip(instance.hosts) {
            if let Some(host) = host {
                self.compute.give(host, task.need);
                self.services.remove(&task.name, host);
            }
        }
        true
    }

    /// Moves a task to a node where it fits, whatever its latency there; the next step moves it back if that is too long.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub fn move_task(
        &mut self,
        nodes: &Nodes,
        id: InstanceId,
        name: &str,
        to: NodeIx,
    ) -> Result<(), WorkloadError> {
        let no_task = || WorkloadError::NoTask { instance: id.0, task: name.to_owned() };
        let instance = self.running.get_mut(&id).ok_or_else(no_task)?;
        let tasks = &self.workflows[instance.workflow].tasks;
        let index = tasks.iter().position(|task| task.name == name).ok_or_else(no_task)?;
        let task = &tasks[index];
        let allowed = self.compute.class(to).is_some_and(|class| task.on.contains(&class));
        if !allowed || !self.compute.take(to, task.need) {
            let (task, node) = (name.to_owned(), nodes.name(to).to_owned());
            return Err(WorkloadError::NoRoom { task, node });
        }
        if let Some(from) = instance.hosts[index].replace(to) {
            self.compute.give(from, task.need);
            self.services.remove(name, from);
        }
        self.services.add(name, to);
        Ok(())
    }

    /// Ends what is over, moves what is too far, deploys what is due; `None` where there never was anything.
    pub(super) fn step(
        &mut self,
        nodes: &Nodes,
        moment: &Moment,
        overrides: &Overrides,
    ) -> Option<WorkloadSummary> {
        if self.workflows.is_empty() {
            return None;
        }
        let mut summary = WorkloadSummary::default();
        self.end(moment.step, &mut summary);
        let ids: Vec<InstanceId> = self.running.keys().copied().collect();
        for id in ids {
            self.repair(id, nodes, moment, overrides, &mut summary);
        }
        self.deploy_due(nodes, moment, overrides, &mut summary);
        summary.instances = self.running.len();
        let hosts = self.running.values().flat_map(|instance| &instance.hosts);
        summary.tasks = hosts.filter(|host| host.is_some()).count();
        Some(summary)
    }

    fn end(&mut self, step: u64, summary: &mut WorkloadSummary) {
        let over = |instance: &Instance| instance.ends.is_some_and(|ends| ends <= step);
        let ids = self.running.iter().filter(|(_, instance)| over(instance)).map(|(id, _)| *id);
        for id in ids.collect::<Vec<_>>() {
            self.remove(id);
            summary.ended += 1;
        }
    }

    fn add(
        &mut self,
        workflow: usize,
        anchor: NodeIx,
        step: u64,
    ) -> Result<InstanceId, WorkloadError> {
        if RUNNING_MAX <= self.running.len() {
            return Err(WorkloadError::TooMany);
        }
        let id = InstanceId(self.next_id);
        self.next_id += 1;
        let Workflow { tasks, lifetime_steps, .. } = &self.workflows[workflow];
        let hosts = vec![None; tasks.len()];
        let ends = lifetime_steps.map(|steps| step.saturating_add(steps));
        self.running.insert(id, Instance { workflow, anchor, hosts, ends });
        Ok(id)
    }

    fn deploy_due(
        &mut self,
        nodes: &Nodes,
        moment: &Moment,
        overrides: &Overrides,
        summary: &mut WorkloadSummary,
    ) {
        for workflow in 0..self.of_scenario {
            for number in 0..self.workflows[workflow].due(moment.step) {
                let anchors = Anchors { nodes, moment, overrides, seed: self.seed };
                let anchor = anchors.draw(&self.workflows[workflow], workflow, number);
                let Some(anchor) = anchor else {
                    summary.refused += 1;
                    continue;
                };
                match self.add(workflow, anchor, moment.step) {
                    Err(_) => summary.refused += 1,
                    Ok(id) if self.place(id, nodes, moment, overrides) => summary.deployed += 1,
                    Ok(id) => {
                        self.remove(id);
                        summary.refused += 1;
                    }
                }
            }
        }
    }

    /// Takes tasks off nodes that are gone or too far by now, and places them anew; where no place is found they stay
    /// where they are, if that still exists.
    fn repair(
        &mut self,
        id: InstanceId,
        nodes: &Nodes,
        moment: &Moment,
        overrides: &Overrides,
        summary: &mut WorkloadSummary,
    ) {
        let Some(before) = self.running.get(&id).map(|instance| instance.hosts.clone()) else {
            return;
        };
        self.drop_lost(id, moment, overrides);
        // A task that moved may leave those that refer to it behind: at most once along the whole row.
        let mut good = true;
        for _ in 0..=before.len() {
            let kept = self.running[&id].hosts.clone();
            let mut late = self.late(id, nodes, moment, overrides);
            if late.is_empty() && kept.iter().all(Option::is_some) {
                break;
            }
            if self.moves_all(id) {
                late = (0..kept.len()).collect();
            }
            late.iter().for_each(|task| self.release(id, *task));
            good = self.place(id, nodes, moment, overrides);
            for task in late {
                self.hold_again(id, task, kept[task]);
            }
            if !good {
                summary.broken += 1;
                break;
            }
        }
        let after = &self.running[&id].hosts;
        let moved = before.iter().zip(after).filter(|(old, new)| new.is_some() && old != new);
        let moved = moved.count();
        // What was never placed completely has not moved.
        if !self.waiting.contains(&id) {
            summary.moved += moved;
        } else if good {
            self.waiting.remove(&id);
            summary.deployed += 1;
        }
    }

    fn moves_all(&mut self, id: InstanceId) -> bool {
        let workflow = &self.workflows[self.running[&id].workflow];
        let orchestrator = self.registry.resolve(workflow.orchestrator(&self.default_orchestrator));
        orchestrator.is_some_and(|orchestrator| orchestrator.moves_all())
    }

    /// Tasks on nodes without a position, or failed ones, are gone.
    fn drop_lost(&mut self, id: InstanceId, moment: &Moment, overrides: &Overrides) {
        let hosts = self.running[&id].hosts.clone();
        for (task, host) in hosts.into_iter().enumerate() {
            let lost = host.is_some_and(|host| !is_up(host, moment, overrides));
            if lost {
                self.release(id, task);
            }
        }
    }

    /// The tasks that are farther from what they refer to than they may be.
    fn late(
        &mut self,
        id: InstanceId,
        nodes: &Nodes,
        moment: &Moment,
        overrides: &Overrides,
    ) -> Vec<usize> {
        let Self { running, workflows, compute, services, searches, .. } = self;
        let instance = &running[&id];
        let tasks = &workflows[instance.workflow].tasks;
        let mut board = Board { nodes, moment, overrides, compute, services, searches };
        let mut late = Vec::new();
        for (index, task) in tasks.iter().enumerate() {
            let Some(host) = instance.hosts[index] else { continue };
            let sources = board.sources(task, instance.anchor, &instance.hosts);
            if sources.contains(&host) || task.limit_us.is_infinite() {
                continue;
            }
            let mut search = board.lend_search(index);
            search.start_all(&moment.graph, sources);
            let delay = search.delay_within(&moment.graph, host, task.limit_us);
            board.return_search(index, search);
            if delay.is_none() {
                late.push(index);
            }
        }
        late
    }

    /// Lets the orchestrator place what has no host.
    fn place(
        &mut self,
        id: InstanceId,
        nodes: &Nodes,
        moment: &Moment,
        overrides: &Overrides,
    ) -> bool {
        let Self { running, workflows, compute, services, searches, registry, .. } = self;
        let Some(instance) = running.get_mut(&id) else { return false };
        let workflow = &workflows[instance.workflow];
        let name = workflow.orchestrator(&self.default_orchestrator);
        let Some(orchestrator) = registry.resolve(name) else { return false };
        let before = instance.hosts.clone();
        let mut board = Board { nodes, moment, overrides, compute, services, searches };
        let hosts = &mut instance.hosts;
        let all = orchestrator.place(&mut board, &workflow.tasks, instance.anchor, hosts);
        for (index, task) in workflow.tasks.iter().enumerate() {
            if let (None, Some(host)) = (before[index], instance.hosts[index]) {
                services.add(&task.name, host);
            }
        }
        all
    }

    fn release(&mut self, id: InstanceId, task: usize) {
        let Some(instance) = self.running.get_mut(&id) else { return };
        let spec: &TaskSpec = &self.workflows[instance.workflow].tasks[task];
        if let Some(host) = instance.hosts[task].take() {
            self.compute.give(host, spec.need);
            self.services.remove(&spec.name, host);
        }
    }

    /// Puts a task that found no other place back to where it was.
    fn hold_again(&mut self, id: InstanceId, task: usize, host: Option<NodeIx>) {
        let Some(instance) = self.running.get_mut(&id) else { return };
        let spec = &self.workflows[instance.workflow].tasks[task];
        if let (None, Some(host)) = (instance.hosts[task], host)
            && self.compute.take_back(host, spec.need)
        {
            instance.hosts[task] = Some(host);
            self.services.add(&spec.name, host);
        }
    }
}

/// Refuses a workflow whose orchestrator nobody has registered.
fn check_orchestrator(
    registry: &Registry,
    workflow: &Workflow,
    default: &str,
) -> Result<(), WorkloadError> {
    let name = workflow.orchestrator(default);
    if registry.names().any(|known| known == name) {
        return Ok(());
    }
    let (workflow, name) = (workflow.name.clone(), name.to_owned());
    Err(WorkloadError::NoOrchestrator { workflow, name })
}

/// Whether a node is there and has not failed.
fn is_up(node: NodeIx, moment: &Moment, overrides: &Overrides) -> bool {
    let position = moment.positions_km.get(node.index());
    position.is_none_or(|position| !position[0].is_nan()) && !overrides.is_down(node)
}
