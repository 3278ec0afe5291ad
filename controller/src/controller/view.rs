//! What the API shows: values of [`crate::api`] from what the controller knows.

mod node;
pub(super) mod place;
mod plan;

use protocol::manifest::Code;
use protocol::signed::KeyId;
use topology::LinkNeed;
use types::{FunctionId, KeyName, LatencyUs, NodeId, NodeKind, TaskId, WorkflowId};

use self::place::run_info;
use self::plan::{pair_summary, pair_windows};
use super::{Controller, Deployment, Run, SavedFunction};
use crate::api::{
    ClockInfo, FunctionInfo, FunctionList, HandoverKind, HandoverList, HandoverState, Health,
    HealthState, KeyInfo, KeyList, LinkSampleInfo, LinkSamples, NodeInfo, NodeList, PlacementList,
    PlanInfo, RunPage, WorkflowInfo, WorkflowList,
};
use crate::event::Now;
use crate::fleet::{Lease, Node};
use crate::hex::hex;
use crate::hosting::TaskKey;

/// Most run records in one answer.
const RUNS_MAX: usize = 500;
/// Most link samples in one answer.
const SAMPLES_MAX: usize = 5_000;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// No such thing.
    #[error("{what} {name} is not known; {known}")]
    NotFound {
        /// What was asked for.
        what: &'static str,
        /// Its name.
        name: String,
        /// What is known.
        known: String,
    },
    /// Not yet.
    #[error("{0} is not known yet; try again")]
    NotYet(&'static str),
}

impl Controller {
    /// All nodes.
    pub fn nodes(&self, now: Now) -> NodeList {
        let nodes = self.fleet.nodes().map(|node| self.node_info(now, node)).collect();
        NodeList { at: self.moment(now).map(|moment| moment.sky), nodes }
    }

    /// One node.
    ///
    /// # Errors
    /// [`ViewError::NotFound`] for one that the configuration does not name.
    pub fn node(&self, now: Now, id: &NodeId) -> Result<NodeInfo, ViewError> {
        match self.fleet.node(id) {
            Some(node) => Ok(self.node_info(now, node)),
            None => {
                let known = self.fleet.nodes().map(|node| node.id().as_str());
                Err(not_found("node", id.as_str(), known))
            }
        }
    }

    /// The contact plan, or the windows of one pair of it.
    ///
    /// # Errors
    /// [`ViewError`] while there is no plan, or for an endpoint that the sky does not have.
    pub fn plan(
        &self,
        now: Now,
        pair: Option<(&NodeId, &NodeId, Option<LatencyUs>)>,
    ) -> Result<PlanInfo, ViewError> {
        let plan = self.plan.as_deref().ok_or(ViewError::NotYet("the contact plan"))?;
        let moment = self.moment(now).ok_or(ViewError::NotYet("the sky clock"))?;
        let asked = match pair {
            Some((a, b, latency_max)) => {
                let need = self.need(a, b, latency_max);
                Some(pair_windows(plan, moment.sky, (a, b), &need)?)
            }
            None => None,
        };
        let pairs = match asked {
            Some(_) => Vec::new(),
            None => {
                plan.pairs().iter().map(|p| pair_summary(plan, moment.sky, &p.a, &p.b)).collect()
            }
        };
        Ok(PlanInfo {
            version: plan.version,
            start: plan.start,
            end: plan.end(),
            step_ms: plan.step_ms,
            steps: plan.steps,
            pairs,
            asked,
        })
    }

    /// What makes a window of a pair: the latency if one is given; else direct visibility for a satellite and what is
    /// none, and any path for others, which seldom see each other.
    fn need(&self, a: &NodeId, b: &NodeId, latency_max: Option<LatencyUs>) -> LinkNeed {
        let is_satellite = |id: &NodeId| {
            self.fleet.node(id).is_some_and(|node| node.section.kind == NodeKind::Satellite)
        };
        match latency_max {
            Some(latency_max) => LinkNeed::latency(latency_max),
            None if is_satellite(a) != is_satellite(b) => LinkNeed::direct(),
            None => LinkNeed::default(),
        }
    }

    /// Where every task is and why.
    ///
    /// # Errors
    /// [`ViewError::NotFound`] for a workflow that was never submitted, or a task that it does not have.
    pub fn placements(
        &self,
        now: Now,
        workflow: Option<&WorkflowId>,
        task: Option<&TaskId>,
    ) -> Result<PlacementList, ViewError> {
        if let Some(id) = workflow {
            let tasks = &self.deployment(id)?.workflow.tasks;
            if let Some(task) = task.filter(|task| tasks.iter().all(|t| t.id != **task)) {
                return Err(not_found("task", task.as_str(), tasks.iter().map(|t| t.id.as_str())));
            }
        }
        let wanted = self.deployments.iter().filter(|(id, _)| workflow.is_none_or(|w| w == *id));
        let placements = wanted.flat_map(|(_, deployment)| {
            let tasks = deployment.workflow.tasks.iter();
            let wanted = tasks.filter(|t| task.is_none_or(|task| *task == t.id));
            wanted.map(|task| self.placement(deployment, &task.id))
        });
        let at = self.moment(now).map(|moment| moment.sky);
        Ok(PlacementList { at, placements: placements.collect(), alternatives: vec![] })
    }

    /// All moves; abandoned ones only on request.
    pub fn handovers(&self, with_abandoned: bool) -> HandoverList {
        let records = self.hosting.ledger().records().iter();
        let wanted = records.filter(|r| with_abandoned || r.state != HandoverState::Abandoned);
        let (failovers, handovers) =
            wanted.cloned().partition(|record| record.kind == HandoverKind::Failover);
        HandoverList { handovers, failovers }
    }

    /// All workflows.
    pub fn workflows(&self) -> WorkflowList {
        WorkflowList {
            workflows: self.deployments.values().map(|d| self.workflow_info(d)).collect(),
        }
    }

    /// One workflow.
    ///
    /// # Errors
    /// [`ViewError::NotFound`] for one that was never submitted.
    pub fn workflow(&self, id: &WorkflowId) -> Result<WorkflowInfo, ViewError> {
        self.deployment(id).map(|deployment| self.workflow_info(deployment))
    }

    /// Runs that ended after a cursor.
    ///
    /// # Errors
    /// [`ViewError::NotFound`] for a workflow that was never submitted.
    pub fn runs(&self, workflow: Option<&WorkflowId>, after: u64) -> Result<RunPage, ViewError> {
        if let Some(id) = workflow {
            self.deployment(id)?;
        }
        let is_wanted = |run: &Run| workflow.is_none_or(|id| *id == run.record.workflow);
        let part = self.runs.after(after, RUNS_MAX, is_wanted);
        let runs = part.records.iter().map(|(cursor, run)| run_info(*cursor, run)).collect();
        Ok(RunPage { runs, next: part.next, more: part.more })
    }

    /// Measured links after a cursor.
    pub fn links(&self, after: u64) -> LinkSamples {
        let part = self.samples.after(after, SAMPLES_MAX, |_| true);
        let numbered = |(cursor, sample)| LinkSampleInfo { cursor, ..sample };
        let samples = part.records.into_iter().map(numbered).collect();
        LinkSamples { samples, next: part.next, more: part.more }
    }

    /// All functions.
    pub fn functions(&self) -> FunctionList {
        FunctionList { functions: self.functions.values().map(|f| self.function_info(f)).collect() }
    }

    /// A function and who uses it.
    pub fn function_info(&self, function: &SavedFunction) -> FunctionInfo {
        FunctionInfo {
            name: function.name.clone(),
            version: function.version,
            tenant: function.tenant.clone(),
            key: function.key,
            trusted: self.signers.is_trusted(function.key),
            sha256: hex(&function.sha256),
            manifest_sha256: hex(&function.manifest),
            bytes: u64::from(function.bytes),
            imports: function.imports.clone(),
            code: match &function.code {
                Code::Component => "component".to_owned(),
                Code::Onnx => "onnx".to_owned(),
                Code::Named(name) => name.clone(),
            },
            workflows: self.users_of(&function.name),
        }
    }

    /// A function of that name.
    ///
    /// # Errors
    /// [`ViewError::NotFound`].
    pub fn function(&self, name: &FunctionId) -> Result<FunctionInfo, ViewError> {
        let known = self.functions.keys().map(FunctionId::as_str);
        let function = self.functions.get(name);
        let function = function.ok_or_else(|| not_found("function", name.as_str(), known))?;
        Ok(self.function_info(function))
    }

    /// Whose signatures count, and whose do not any more.
    pub fn keys(&self) -> KeyList {
        let trusted = self
            .signers
            .trusted()
            .map(|(id, name, key)| self.key_info(id, Some((name.clone(), hex(key)))));
        let revoked = self.signers.revoked().map(|id| self.key_info(id, None));
        KeyList { keys: trusted.chain(revoked).collect() }
    }

    /// A key that is trusted or revoked; `None` if it is neither.
    pub fn key(&self, id: KeyId) -> Option<KeyInfo> {
        self.keys().keys.into_iter().find(|key| key.id == id)
    }

    fn key_info(&self, id: KeyId, trusted: Option<(KeyName, String)>) -> KeyInfo {
        let signed = self.functions.values().filter(|function| function.key == id);
        let (name, public_key) = trusted.unzip();
        let revoked = name.is_none();
        let functions = signed.map(|function| function.name.to_string()).collect();
        KeyInfo { id, name, public_key, revoked, functions }
    }

    /// The clock of the sky.
    ///
    /// # Errors
    /// [`ViewError::NotYet`] before the bridge has told it.
    pub fn clock(&self, now: Now) -> Result<ClockInfo, ViewError> {
        let clock = self.clock.ok_or(ViewError::NotYet("the sky clock"))?;
        let source = if self.config.sim.is_some() { "replay" } else { "real" };
        let source = source.to_owned();
        Ok(ClockInfo { sky: clock.sky(now.wall), rate: clock.rate, source, clock })
    }

    /// Whether the controller can do its work.
    pub fn health(&self, now: Now, inputs_dropped: u64) -> Health {
        let count = |is_wanted: fn(&Node) -> bool| {
            u32::try_from(self.fleet.nodes().filter(|node| is_wanted(node)).count())
                .unwrap_or(u32::MAX)
        };
        let refused: u64 = self.fleet.nodes().map(|node| node.frames_refused).sum();
        let deposed = self.executor.deposed_by();
        let waiting_for = self.waiting_for();
        let deposition =
            deposed.map(|epoch| format!("a controller of epoch {epoch} commands the nodes"));
        Health {
            state: match (deposed, waiting_for.is_empty()) {
                (Some(_), _) => HealthState::Deposed,
                (None, true) => HealthState::Ready,
                (None, false) => HealthState::Starting,
            },
            waiting_for,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: self.executor.epoch(),
            uptime_ms: millis(now.instant.saturating_since(self.started)),
            plan: self.plan.as_ref().map(|plan| plan.version),
            nodes: count(|_| true),
            nodes_heard: count(|node| node.lease != Lease::Unheard),
            nodes_up: count(|node| node.lease == Lease::Up),
            frames_refused: refused + self.fleet.strange_frames(),
            inputs_dropped,
            problems: self.plan_problem.clone().into_iter().chain(deposition).collect(),
        }
    }

    /// The nodes that may hold an object of a task, the most likely first: owner, or the last one if it runs nowhere now;
    /// second copy; all others that are there.
    pub fn holders(&self, workflow: &WorkflowId, task: &TaskId) -> Vec<NodeId> {
        let key = TaskKey { workflow: workflow.clone(), task: task.clone() };
        let host = self.hosting.host(&key);
        let parked = || self.hosting.parked(&key).map(|parked| &parked.node);
        let first = host.map(|host| &host.node).or_else(parked).cloned();
        let second = host.and_then(|host| host.second_copy().cloned());
        let mut holders: Vec<NodeId> = first.into_iter().chain(second).collect();
        for node in self.fleet.nodes().filter(|node| node.lease == Lease::Up) {
            if !holders.contains(node.id()) {
                holders.push(node.id().clone());
            }
        }
        holders
    }

    fn waiting_for(&self) -> Vec<String> {
        let mut waiting = Vec::new();
        if self.clock.is_none() {
            waiting.push("the sky clock".to_owned());
        }
        if self.plan.is_none() {
            waiting.push("the contact plan".to_owned());
        }
        if self.first_heard.is_none() {
            waiting.push("a report of any node".to_owned());
        } else if !self.is_settled {
            waiting.push("what the nodes run already".to_owned());
        }
        waiting
    }

    pub(super) fn deployment(&self, id: &WorkflowId) -> Result<&Deployment, ViewError> {
        let known = self.deployments.keys().map(WorkflowId::as_str);
        self.deployments.get(id).ok_or_else(|| not_found("workflow", id.as_str(), known))
    }

    fn phase(&self, node: &NodeId, key: &TaskKey) -> Option<String> {
        self.phases.get(&(node.clone(), key.clone())).map(|phase| format!("{phase:?}"))
    }
}

fn not_found<'a>(
    what: &'static str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> ViewError {
    let known: Vec<&str> = known.collect();
    let known = if known.is_empty() {
        "there is none".to_owned()
    } else {
        format!("known: {}", known.join(", "))
    };
    ViewError::NotFound { what, name: name.to_owned(), known }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
