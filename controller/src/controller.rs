//! The controller without its shell: one input at a time goes in, orders come out.
//!
//! Performs no I/O and reads no clock. It places and commands only when it knows the sky, the contact plan and, for
//! every node that is there, what that node runs already: a controller that was started anew adopts, it does not
//! restart.

mod commands;
mod events;
mod functions;
mod judge;
mod life;
mod saved;
mod signers;
mod view;
mod what_if;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use placement::{Decision, Workflow, WorkflowError};
use protocol::backlog::{Backlog, LateStream, Receipt};
use protocol::decode;
use protocol::desired::{DRIVES_MAX, DesiredReply, Phase};
use protocol::event::RunRecord;
use serde::{Deserialize, Serialize};
use topology::{ContactPlan, LinkNeed, PairState};
use types::{
    Epoch, FunctionId, Generation, Instant, LeaderEpoch, NodeId, NodeKind, SkyClock, TaskId,
    WorkflowId,
};

pub use commands::CommandRefusal;
pub use functions::{FUNCTIONS_MAX, RemoveError};
pub use saved::{Saved, SavedFunction, SavedWorkflow};
pub use signers::{Seen, SignerBook, SignerError};
pub use view::ViewError;
pub use what_if::{alternatives, what_if};

use crate::api::LinkSampleInfo;
use crate::config::Config;
use crate::declines::Declines;
use crate::event::{Input, Moment, Now, Output};
use crate::executor::{Executor, Order, Verdicts};
use crate::fleet::{Change, Fleet, FrameError, Lease};
use crate::history::History;
use crate::hosting::{Hosting, NodeNow, TaskKey, World};
use crate::late::{LateBook, Line, last_id};
use crate::planner;

/// Decisions are looked at again so often (wall), even if nothing happens.
const ROUND: Duration = Duration::from_secs(1);
/// Run records that are kept: hours of a run each second.
const RUNS_KEPT: usize = 10_000;
/// Link samples that are kept: more than an hour of 8 nodes that measure 8 peers every 2 s.
const SAMPLES_KEPT: usize = 50_000;

/// A workflow and how it goes.
#[derive(Clone, Debug)]
struct Deployment {
    workflow: Workflow,
    /// The newest decision, `None` before the first.
    decision: Option<Decision>,
    /// What that decision rests on, so that anybody can repeat it.
    basis: Option<Basis>,
    /// Whether runs are started; once true, it stays so.
    is_driving: bool,
    /// For whom it was set aside, and since when: then it runs nowhere until there is room for both.
    set_aside: Option<SetAside>,
    completed: u64,
    failed: u64,
    violation_s: f64,
    placed_s: f64,
}

/// A workflow that gives way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// To which.
    pub by: WorkflowId,
    /// Since when (sky).
    pub since: Epoch,
}

/// All that a decision rests on.
#[derive(Clone, Debug)]
struct Basis {
    moment: Moment,
    plan: Arc<ContactPlan>,
    picture: planner::Picture,
}

/// A run that ended, and who drove it.
#[derive(Clone, Debug, PartialEq)]
struct Run {
    driver: NodeId,
    record: RunRecord,
}

/// Why a workflow is not taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SubmitError {
    /// It makes no sense.
    #[error("{0}")]
    Invalid(#[from] WorkflowError),
    /// The code of a task is not there.
    #[error(
        "task {task}: function {function} was never pushed; push it first: starbelt fn push {function} COMPONENT --manifest function.toml"
    )]
    NoFunction {
        /// The task.
        task: TaskId,
        /// Its function.
        function: FunctionId,
    },
    /// A node that the fleet does not have.
    #[error("{what}: the fleet has no node {node}")]
    NoNode {
        /// What names it.
        what: String,
        /// The node.
        node: NodeId,
    },
    /// Another workflow of that name has other tasks.
    #[error(
        "workflow {0} is there already with other tasks; give this one another id, or remove that first: starbelt workflow remove {0}"
    )]
    OtherTasks(WorkflowId),
    /// No more are possible.
    #[error("{DRIVES_MAX} workflows are there already, the most that one node can drive")]
    TooMany,
}

/// The controller.
#[derive(Debug)]
pub struct Controller {
    config: Config,
    started: Instant,
    clock: Option<SkyClock>,
    plan: Option<Arc<ContactPlan>>,
    plan_problem: Option<String>,
    fleet: Fleet,
    executor: Executor,
    hosting: Hosting,
    /// The table as it was last kept on disk.
    kept: Hosting,
    deployments: BTreeMap<WorkflowId, Deployment>,
    functions: BTreeMap<FunctionId, SavedFunction>,
    /// The highest version of every function that there ever was.
    seen: BTreeMap<FunctionId, Seen>,
    signers: SignerBook,
    /// How tasks stand on nodes, as these said last.
    phases: BTreeMap<(NodeId, TaskKey), Phase>,
    /// What nodes would not do or cannot do.
    declines: Declines,
    /// How long lost nodes had been silent when that was noticed.
    lost_after: BTreeMap<NodeId, Duration>,
    runs: History<Run>,
    runs_known: BTreeSet<(WorkflowId, types::RunId)>,
    samples: History<LinkSampleInfo>,
    late: LateBook,
    first_heard: Option<Instant>,
    is_settled: bool,
    /// Whether something happened that may change a decision.
    is_stirred: bool,
    last_round: Option<Instant>,
    counted_until: Option<Epoch>,
    outputs: Vec<Output>,
}

impl Controller {
    /// A controller of an epoch that is higher than that of any before, with what the last one left.
    pub fn new(config: Config, epoch: LeaderEpoch, mut saved: Saved, now: Now) -> Self {
        let fleet =
            Fleet::new(config.controller.fleet.clone(), config.lease.duration(), &config.node);
        let executor = Executor::new(epoch, config.node.iter().map(|node| node.name.clone()));
        let (seen, signers) = (std::mem::take(&mut saved.seen), std::mem::take(&mut saved.signers));
        let (deployments, functions, hosting) = saved.unpack();
        Self {
            config,
            started: now.instant,
            clock: None,
            plan: None,
            plan_problem: None,
            fleet,
            executor,
            kept: hosting.clone(),
            hosting,
            deployments,
            functions,
            seen,
            signers,
            phases: BTreeMap::new(),
            declines: Declines::default(),
            lost_after: BTreeMap::new(),
            runs: History::new(RUNS_KEPT),
            runs_known: BTreeSet::new(),
            late: LateBook::default(),
            samples: History::new(SAMPLES_KEPT),
            first_heard: None,
            is_settled: false,
            is_stirred: false,
            last_round: None,
            counted_until: None,
            outputs: Vec::new(),
        }
    }

    /// Applies one input and says what is to be done, in that order.
    pub fn handle(&mut self, now: Now, input: Input) -> Vec<Output> {
        match input {
            Input::Tick => self.tick(now),
            Input::Report { key, frame } => {
                let changes = self.fleet.report(now.instant, &key, &frame);
                self.take(now, changes);
            }
            Input::Event { key, frame } => {
                let changes = self.fleet.event(now.instant, &key, &frame);
                self.take(now, changes);
            }
            Input::Replayed { node, frame } => {
                let frame = frame.as_deref().map_err(String::as_str);
                let changes = self.fleet.replayed(now.instant, &node, frame);
                self.take(now, changes);
            }
            Input::Answered { node, told, frame } => self.answered(now, &node, told, frame),
            Input::Clock(clock) => self.clock = Some(clock),
            Input::Plan(plan) => {
                self.plan = Some(plan);
                self.plan_problem = None;
                self.is_stirred = true;
            }
            Input::PlanFailed(problem) => self.plan_problem = Some(problem),
        }
        self.think(now)
    }

    /// The receipt of a node, and the lines of what it brought late and is new: they are to be durable before
    /// [`Controller::kept`] and before the node hears so. `None` for a node that the fleet does not have.
    pub fn receipt(&self, backlog: &Backlog) -> Option<(Receipt, Vec<Line>)> {
        let node = self.fleet.node(&backlog.node)?;
        let late = self.late.through(&backlog.node, backlog.boot, LateStream::Events);
        let (reports_through, reports_seen, events_through) = node.receipt(backlog.boot, late);
        let receipt = Receipt {
            controller: self.config.controller.name.clone(),
            reports_through,
            reports_seen,
            events_through,
            late_through: None,
        };
        let late = backlog.late.as_ref();
        let lines = late.map_or_else(Vec::new, |late| self.late.lines(&backlog.node, late));
        Some((receipt, lines))
    }

    /// What a node brought late is durable: it counts.
    pub fn kept(&mut self, now: Now, backlog: &Backlog, lines: Vec<Line>) -> Vec<Output> {
        let (Some(late), Some(through)) = (&backlog.late, last_id(backlog)) else {
            return Vec::new();
        };
        self.late.kept(&backlog.node, late.boot, late.stream, through);
        let changes = self.fleet.late(lines);
        self.take(now, Ok(changes));
        self.think(now)
    }

    /// What earlier controllers have kept of what nodes said late.
    pub fn remember_late(&mut self, book: LateBook) {
        self.late = book;
    }

    /// Takes a workflow, or another version of one.
    ///
    /// # Errors
    /// [`SubmitError`] when it cannot be taken; nothing has changed then.
    pub fn submit(&mut self, now: Now, workflow: Workflow) -> Result<Vec<Output>, SubmitError> {
        self.check(&workflow)?;
        match self.deployments.get_mut(&workflow.id) {
            Some(known) if known.workflow == workflow => return Ok(Vec::new()),
            Some(known) => {
                self.declines.forget_workflow(&workflow.id);
                known.workflow = workflow;
                known.decision = None;
            }
            None => {
                self.deployments.insert(workflow.id.clone(), Deployment::new(workflow, false));
            }
        }
        self.outputs.push(Output::Save);
        self.is_stirred = true;
        Ok(self.think(now))
    }

    /// Takes a workflow off its nodes and forgets it. What its tasks have stored stays there until the room is needed; one of
    /// the same name goes on from it.
    ///
    /// # Errors
    /// [`ViewError::NotFound`] for one that was never submitted.
    pub fn remove_workflow(&mut self, now: Now, id: &WorkflowId) -> Result<Vec<Output>, ViewError> {
        self.deployment(id)?;
        self.hosting.park(id, "the workflow was removed");
        self.deployments.remove(id);
        self.declines.forget_workflow(id);
        tracing::info!(workflow = %id, "removed");
        self.outputs.push(Output::Save);
        self.is_stirred = true;
        Ok(self.think(now))
    }

    /// The sky, if its clock is known.
    pub fn moment(&self, now: Now) -> Option<Moment> {
        let clock = self.clock?;
        // Whole milliseconds, as times are printed: what is read from a record decides as it did.
        let ns = clock.sky(now.wall).unix_ns();
        let sky = Epoch::from_unix_ns(ns - ns.rem_euclid(1_000_000));
        Some(Moment { instant: now.instant, sky, rate: clock.rate })
    }

    /// The newest contact plan.
    pub fn contact_plan(&self) -> Option<Arc<ContactPlan>> {
        self.plan.clone()
    }

    /// What the nodes of the fleet are.
    pub fn kinds(&self) -> Vec<(NodeId, NodeKind)> {
        self.config.node.iter().map(|node| (node.name.clone(), node.kind)).collect()
    }

    /// Whether there is a place in the table.
    fn check_place(&self, workflow: &Workflow) -> Result<(), SubmitError> {
        let tasks = |of: &Workflow| of.tasks.iter().map(|task| task.id.clone()).collect::<Vec<_>>();
        match self.deployments.get(&workflow.id) {
            Some(known) if tasks(&known.workflow) == tasks(workflow) => Ok(()),
            Some(_) => Err(SubmitError::OtherTasks(workflow.id.clone())),
            None if DRIVES_MAX <= self.deployments.len() => Err(SubmitError::TooMany),
            None => Ok(()),
        }
    }

    fn check_references(&self, workflow: &Workflow) -> Result<(), SubmitError> {
        for task in &workflow.tasks {
            if !self.functions.contains_key(&task.function) {
                let (task, function) = (task.id.clone(), task.function.clone());
                return Err(SubmitError::NoFunction { task, function });
            }
        }
        let pins = workflow.tasks.iter().filter_map(|task| {
            task.pinned.as_ref().map(|node| (format!("task {} is pinned", task.id), node))
        });
        let sources = workflow.sources.iter().map(|s| (format!("source {}", s.name), &s.node));
        match pins.chain(sources).find(|(_, node)| self.fleet.node(node).is_none()) {
            Some((what, node)) => Err(SubmitError::NoNode { what, node: node.clone() }),
            None => Ok(()),
        }
    }

    fn tick(&mut self, now: Now) {
        let moment = self.moment(now);
        let name = &self.config.controller.name;
        let plan = self.plan.as_deref();
        let changes = self.fleet.tick(now.instant, |node| {
            moment.zip(plan).and_then(|(moment, plan)| silence_left(plan, &moment, name, node))
        });
        self.take(now, Ok(changes));
        let is_due = self.last_round.is_none_or(|last| last.plus(ROUND) <= now.instant);
        if !is_due {
            return;
        }
        self.last_round = Some(now.instant);
        self.is_stirred = true;
        for node in self.unclear() {
            if self.fleet.is_alive(&node)
                && let Some(Order::Ask(node)) = self.executor.ask(now.instant, &node)
            {
                self.outputs.push(Output::Ask(node));
            }
        }
    }

    /// Nodes that have to be asked again how they stand.
    fn unclear(&self) -> BTreeSet<NodeId> {
        let serves = |key: &TaskKey, node: &NodeId| {
            matches!(self.phases.get(&(node.clone(), key.clone())), Some(Phase::Active))
        };
        let starting = self.hosting.iter().filter(|(key, host)| !serves(key, &host.node));
        let waiting = self.hosting.iter().filter_map(|(_, host)| {
            host.step.as_ref().filter(|step| !step.is_prepared).map(|step| &step.to)
        });
        let doubtful = self.hosting.doubtful();
        starting.map(|(_, host)| &host.node).chain(waiting).chain(doubtful).cloned().collect()
    }

    fn take(&mut self, now: Now, changes: Result<Vec<Change>, FrameError>) {
        // A refused frame is counted where it was refused.
        for change in changes.into_iter().flatten() {
            match change {
                Change::Up(node) => {
                    tracing::info!(%node, "up");
                    self.first_heard.get_or_insert(now.instant);
                    self.executor.came(&node);
                    self.is_stirred = true;
                }
                Change::Restarted(node) => {
                    tracing::info!(%node, "agent started anew");
                    self.executor.came(&node);
                    self.declines.forget_node(&node);
                    self.is_stirred = true;
                }
                Change::Silent(node) => tracing::info!(%node, "silent as predicted"),
                Change::Down { node, silence } => {
                    let silence_ms = silence.as_millis();
                    tracing::warn!(%node, silence_ms, "lease ran out");
                    self.lost_after.insert(node.clone(), silence);
                    self.phases.retain(|(holder, _), _| *holder != node);
                    self.is_stirred = true;
                }
                Change::Event(event) => self.happened(now, *event),
                Change::Past(event) => self.had_happened(*event),
                Change::Missing { node, from_seq } => {
                    self.outputs.push(Output::Replay { node, from_seq });
                }
                Change::Measured { node, samples } => {
                    for sample in samples {
                        let protocol::report::LinkSample { peer, at, rtt_us } = sample;
                        let node = node.clone();
                        self.samples.add(LinkSampleInfo { cursor: 0, node, peer, at, rtt_us });
                    }
                }
            }
        }
    }

    fn answered(
        &mut self,
        now: Now,
        node: &NodeId,
        told: Option<Generation>,
        frame: Result<Vec<u8>, String>,
    ) {
        let reply = match frame.map(|frame| decode::<DesiredReply>(&frame)) {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => {
                self.fleet.refuse_answer(node, &error);
                return self.executor.unanswered(now.instant, node, told);
            }
            Err(reason) => {
                tracing::debug!(%node, reason, "no answer");
                return self.executor.unanswered(now.instant, node, told);
            }
        };
        match self.executor.answered(now.instant, node, told, &reply) {
            Verdicts::Fine => {}
            Verdicts::Old => return,
            Verdicts::Refused(reason) => {
                tracing::warn!(%node, reason, "desired state refused");
                self.fleet.note(node, format!("desired state refused: {reason}"));
            }
            Verdicts::Deposed(by) => {
                tracing::error!(%node, epoch = %by, "deposed: a controller with a higher epoch commands");
                return;
            }
        }
        self.phases.retain(|(holder, _), _| holder != node);
        for status in &reply.tasks {
            let key = TaskKey { workflow: status.workflow.clone(), task: status.task.clone() };
            self.phases.insert((node.clone(), key), status.phase);
        }
        self.note_declines(now, node, told, &reply);
        self.fleet.set_facts(node, reply.facts);
        if let Some(world) = self.world(now) {
            for status in &reply.tasks {
                self.hosting.stands(&world, node, status);
            }
        }
        self.is_stirred = true;
    }

    /// Decides, if something may have changed, and sends what is due.
    fn think(&mut self, now: Now) -> Vec<Output> {
        if let Some(moment) = self.moment(now)
            && self.is_ready(now, &moment)
            && std::mem::take(&mut self.is_stirred)
        {
            self.judge(now, &moment);
        }
        let fleet = &self.fleet;
        let can_be_reached =
            |node: &NodeId| fleet.node(node).is_some_and(|node| node.lease == Lease::Up);
        for order in self.executor.due(now.instant, can_be_reached) {
            self.outputs.push(match order {
                Order::Ask(node) => Output::Ask(node),
                Order::Tell(desired) => Output::Tell(desired),
            });
        }
        std::mem::take(&mut self.outputs)
    }

    /// Whether all is known that decisions need. Nodes that are not there are not waited for longer than two leases.
    fn is_ready(&mut self, now: Now, moment: &Moment) -> bool {
        let covers = self.plan.as_ref().is_some_and(|plan| plan.step_at(moment.sky).is_some());
        if !covers || self.executor.deposed_by().is_some() {
            return false;
        }
        if !self.is_settled {
            let Some(first) = self.first_heard else { return false };
            let patience = first.plus(self.config.lease.duration().saturating_mul(2));
            let mut nodes = self.config.node.iter();
            self.is_settled =
                patience <= now.instant || nodes.all(|node| self.executor.is_met(&node.name));
        }
        self.is_settled
    }

    fn world(&self, now: Now) -> Option<World> {
        let moment = self.moment(now)?;
        let node_now = |node: &crate::fleet::Node| NodeNow {
            is_alive: self.fleet.is_alive(node.id()),
            silence: match self.lost_after.get(node.id()) {
                Some(noticed) if !self.fleet.is_alive(node.id()) => *noticed,
                Some(_) | None => node.age(now.instant).unwrap_or(Duration::MAX),
            },
            capacity: planner::capacity(node),
        };
        let nodes = self.fleet.nodes().map(|node| (node.id().clone(), node_now(node))).collect();
        let promises = self.deployments.values().flat_map(Deployment::promises).collect();
        let pinned = self.deployments.values().flat_map(Deployment::pinned).collect();
        let forbidden = self.deployments.values().flat_map(|one| one.forbidden(&self.fleet));
        let forbidden = forbidden.collect();
        let declined = self.declines.all(now.instant);
        let declined = declined
            .map(|(key, node, why)| ((key.clone(), node.clone()), why.to_owned()))
            .collect();
        Some(World { moment, nodes, promises, pinned, forbidden, declined })
    }
}

/// How long (wall) the contact plan predicts no path to a node from now on.
fn silence_left(
    plan: &ContactPlan,
    moment: &Moment,
    controller: &NodeId,
    node: &NodeId,
) -> Option<Duration> {
    match plan.state(controller, node, moment.sky) {
        PairState::Down => {
            let next = plan.next_window(controller, node, moment.sky, &LinkNeed::default());
            Some(moment.wall_until(next.map_or_else(|| plan.end(), |window| window.open)))
        }
        PairState::Same | PairState::Path(_) | PairState::Outside => None,
    }
}
