//! What the API shows: values of [`crate::api`] from what the controller knows.

use std::collections::BTreeMap;

use placement::{Decision, NodeRefusal};
use protocol::report::Reading;
use topology::{ContactPlan, ContactWindow, LinkNeed, PairState};
use types::{Epoch, LatencyUs, NodeId, OwnerEpoch, TaskId, WorkflowId};

use super::saved::hex;
use super::{Controller, Deployment, Run, SavedFunction};
use crate::api::{
    ClockInfo, FunctionInfo, FunctionList, HandoverKind, HandoverList, HandoverState, Health,
    HealthState, HostedTask, LinkSampleInfo, LinkSamples, NextInfo, NodeInfo, NodeList, NodeState,
    PairSummary, PairWindows, PlacementInfo, PlacementList, PlacementState, PlanInfo, RefusalInfo,
    RunInfo, RunPage, StageInfo, TaskCalls, WindowInfo, WorkflowInfo, WorkflowList,
};
use crate::event::Now;
use crate::fleet::{Lease, Node};
use crate::hosting::{Host, TaskKey};
use crate::planner::{capacity, number};

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
            Some((a, b, latency_max)) => Some(pair_windows(plan, moment.sky, a, b, latency_max)?),
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
        Ok(PlacementList { at, placements: placements.collect() })
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
        let uses = |deployment: &&Deployment| {
            deployment.workflow.tasks.iter().any(|task| task.function == function.name)
        };
        let users = self.deployments.values().filter(uses);
        FunctionInfo {
            name: function.name.clone(),
            sha256: hex(&function.sha256),
            bytes: u64::from(function.bytes),
            imports: function.imports.clone(),
            workflows: users.map(|deployment| deployment.workflow.id.to_string()).collect(),
        }
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

    /// The nodes that may hold an object of a task, the most likely first: owner, second copy, all others that are
    /// there.
    pub fn holders(&self, workflow: &WorkflowId, task: &TaskId) -> Vec<NodeId> {
        let key = TaskKey { workflow: workflow.clone(), task: task.clone() };
        let host = self.hosting.host(&key);
        let first = host.map(|host| host.node.clone());
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

    fn node_info(&self, now: Now, node: &Node) -> NodeInfo {
        let moment = self.moment(now);
        let here = moment.zip(self.plan.as_deref());
        let readings = &node.readings;
        let (power, thermal) = (readings.power.as_ref(), readings.thermal.as_ref());
        let compute = readings.compute.as_ref();
        let read = |reading: Option<Reading>| reading.and_then(number);
        let path = here.and_then(|(moment, plan)| {
            plan.state(&self.config.controller.name, node.id(), moment.sky).path()
        });
        let (generation, acknowledged) = self.executor.generations(node.id());
        let (events, events_lost) = node.events();
        let function = readings.function.as_ref();
        NodeInfo {
            id: node.id().clone(),
            kind: node.section.kind,
            arch: node.facts.as_ref().map(|facts| facts.arch),
            version: node.facts.as_ref().map(|facts| facts.version.clone()),
            state: match node.lease {
                Lease::Unheard => NodeState::Unheard,
                Lease::Up => NodeState::Up,
                Lease::Silent => NodeState::Silent,
                Lease::Down => NodeState::Down,
            },
            heard: node.lease != Lease::Unheard,
            age_ms: node.age(now.instant).map(millis),
            last_report_at: readings.at,
            uptime_ms: readings.uptime.map(|uptime| uptime.0),
            boots_seen: node.boots_seen,
            capacity: capacity(node),
            free: compute.map(|compute| compute.free),
            state_of_charge: read(power.map(|power| power.state_of_charge)),
            battery_wh: read(power.map(|power| power.capacity_wh)),
            load_w: read(power.map(|power| power.load_w)),
            solar_w: read(power.map(|power| power.solar_w)),
            energy: power.map(|power| power.source.clone()),
            sunlit: here
                .and_then(|(moment, plan)| plan.sunlit(node.id(), moment.sky))
                .map(f64::from),
            temperature_c: read(thermal.map(|thermal| thermal.hottest_c)),
            temperature_max_c: Some(node.section.temperature_max_c),
            load_milli_cpu: read(compute.map(|compute| compute.load_milli_cpu)),
            pss_mib: read(compute.map(|compute| compute.pss_mib)),
            threads: read(compute.map(|compute| compute.threads)),
            position: readings.position.as_ref().map(|position| position.position),
            latency_ms: path.map(|path| path.latency.as_ms()),
            state_bytes: readings.queue.as_ref().map(|queue| queue.state_bytes),
            native_code: function.map(|function| function.native_code),
            tasks: self.tasks_of(node.id()),
            calls: function.map(|function| calls(&function.tasks)).unwrap_or_default(),
            generation: generation.0,
            acknowledged: acknowledged.0,
            reports: node.reports,
            reports_missed: node.reports_missed,
            events,
            events_lost,
            frames_refused: node.frames_refused,
            frames_dropped: readings.queue.as_ref().map(|queue| queue.frames_dropped),
            flags: node.flags.iter().cloned().collect(),
        }
    }

    fn tasks_of(&self, node: &NodeId) -> Vec<HostedTask> {
        let role = |host: &Host| match &host.step {
            _ if host.node == *node => Some("owner"),
            Some(step) if step.to == *node => Some("standby"),
            _ if host.second_copy() == Some(node) => Some("replica"),
            _ => None,
        };
        let hosted = |(key, host): (&TaskKey, &Host)| {
            role(host).map(|role| HostedTask {
                workflow: key.workflow.clone(),
                task: key.task.clone(),
                role: role.to_owned(),
                phase: self.phase(node, key),
                owner_epoch: host.owner_epoch,
            })
        };
        self.hosting.iter().filter_map(hosted).collect()
    }

    fn phase(&self, node: &NodeId, key: &TaskKey) -> Option<String> {
        self.phases.get(&(node.clone(), key.clone())).map(|phase| format!("{phase:?}"))
    }

    fn placement(&self, deployment: &Deployment, task: &TaskId) -> PlacementInfo {
        let workflow = &deployment.workflow.id;
        let key = TaskKey { workflow: workflow.clone(), task: task.clone() };
        let host = self.hosting.host(&key);
        let assignment = match &deployment.decision {
            Some(Decision::Placed(plan)) => plan.assignments.iter().find(|a| a.task == *task),
            Some(Decision::Refused(_)) | None => None,
        };
        // What was decided for another host says nothing about this one.
        let current = assignment.filter(|a| host.is_none_or(|host| host.node == a.node));
        let refused = match (assignment, &deployment.decision) {
            (Some(assignment), _) => refusals(task, &assignment.refused),
            (None, Some(Decision::Refused(refusal))) if refusal.task == *task => {
                refusals(task, &refusal.nodes)
            }
            (None, _) => Vec::new(),
        };
        PlacementInfo {
            workflow: workflow.clone(),
            task: task.clone(),
            node: host.map(|host| host.node.clone()),
            phase: host.and_then(|host| self.phase(&host.node, &key)),
            owner_epoch: host.map_or(OwnerEpoch(0), |host| host.owner_epoch),
            replica: host.and_then(|host| host.second_copy().cloned()),
            since: host.map(|host| host.since),
            because: because(host, deployment.decision.as_ref(), assignment),
            latency_ms: current.and_then(|a| a.latency_now).map(LatencyUs::as_ms),
            window: current.and_then(|a| a.window.as_ref()).map(window_info),
            next: next_info(host, current),
            refused,
        }
    }

    fn workflow_info(&self, deployment: &Deployment) -> WorkflowInfo {
        let id = &deployment.workflow.id;
        let refusals = match &deployment.decision {
            Some(Decision::Refused(refusal)) => refusals(&refusal.task, &refusal.nodes),
            Some(Decision::Placed(_)) | None => Vec::new(),
        };
        let last = self.runs.newest(|run| run.record.workflow == *id);
        WorkflowInfo {
            id: id.clone(),
            placement: match &deployment.decision {
                None => PlacementState::Pending,
                Some(Decision::Placed(_)) => PlacementState::Placed,
                Some(Decision::Refused(_)) => PlacementState::Refused,
            },
            driving: deployment.is_driving,
            every_ms: deployment.workflow.every_ms,
            tasks: deployment.workflow.tasks.iter().map(|task| task.id.clone()).collect(),
            completed: deployment.completed,
            failed: deployment.failed,
            last_run: last.map(|(cursor, run)| run_info(cursor, run)),
            slo_violation_s: deployment.violation_s,
            placed_s: deployment.placed_s,
            refusals,
        }
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

fn calls(tasks: &[protocol::report::TaskStats]) -> Vec<TaskCalls> {
    let one = |stats: &protocol::report::TaskStats| TaskCalls {
        workflow: stats.workflow.clone(),
        task: stats.task.clone(),
        calls: stats.calls,
        failures: stats.failures,
        local_starts: stats.local_starts,
        wall_us: stats.wall_us,
        cpu_us: stats.cpu_us,
    };
    tasks.iter().map(one).collect()
}

fn because(
    host: Option<&Host>,
    decision: Option<&Decision>,
    assignment: Option<&placement::Assignment>,
) -> String {
    match (host, decision, assignment) {
        (Some(host), _, Some(assignment)) if host.node != assignment.node => {
            format!("moves to {}: {}", assignment.node, assignment.because)
        }
        (_, _, Some(assignment)) => assignment.because.clone(),
        (Some(_), Some(Decision::Refused(refusal)), None) => {
            format!("stays: no feasible node for {} now", refusal.task)
        }
        (None, Some(Decision::Refused(refusal)), None) => {
            format!("not placed: no feasible node for {}", refusal.task)
        }
        (_, _, None) => "not decided yet".to_owned(),
    }
}

fn next_info(host: Option<&Host>, assignment: Option<&placement::Assignment>) -> Option<NextInfo> {
    let planned = assignment.and_then(|assignment| assignment.next.as_ref());
    let window_of = |node: &NodeId| {
        planned.filter(|next| next.node == *node).map(|next| window_info(&next.window))
    };
    match host.and_then(|host| host.step.as_ref()) {
        Some(step) => Some(NextInfo {
            node: step.to.clone(),
            at: step.at.unwrap_or(step.window_closes),
            decided: true,
            prepared: step.is_prepared,
            window: window_of(&step.to),
        }),
        None => planned.map(|next| NextInfo {
            node: next.node.clone(),
            at: next.at,
            decided: false,
            prepared: false,
            window: window_of(&next.node),
        }),
    }
}

fn refusals(task: &TaskId, nodes: &[NodeRefusal]) -> Vec<RefusalInfo> {
    let one = |refusal: &NodeRefusal| RefusalInfo {
        task: task.clone(),
        node: refusal.node.clone(),
        constraint: constraint_name(refusal),
        at: refusal.at,
        value: refusal.value,
        limit: refusal.limit,
        unit: refusal.unit.to_owned(),
        text: refusal.to_string(),
    };
    nodes.iter().map(one).collect()
}

/// For example `latency to ingest`.
fn constraint_name(refusal: &NodeRefusal) -> String {
    match serde_json::to_value(&refusal.constraint) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(serde_json::Value::Object(map)) => {
            let parts: BTreeMap<String, serde_json::Value> = map.into_iter().collect();
            let words = parts.iter().map(|(name, of)| {
                let target = of.as_object().and_then(|of| of.values().next());
                match target.and_then(serde_json::Value::as_str) {
                    Some(target) => format!("{name} to {target}"),
                    None => name.clone(),
                }
            });
            words.collect::<Vec<_>>().join(" ")
        }
        Ok(_) | Err(_) => "other".to_owned(),
    }
}

fn window_info(window: &ContactWindow) -> WindowInfo {
    WindowInfo {
        id: format!("{:016x}", window.id.0),
        a: window.a.clone(),
        b: window.b.clone(),
        open: window.open,
        close: window.close,
        open_known: window.open_known,
        close_known: window.close_known,
        latency_max_ms: window.latency_max.as_ms(),
    }
}

fn pair_summary(plan: &ContactPlan, sky: Epoch, a: &NodeId, b: &NodeId) -> PairSummary {
    let path = match plan.state(a, b, sky) {
        PairState::Path(path) => Some(path),
        PairState::Same | PairState::Down | PairState::Outside => None,
    };
    let windows = plan.windows(a, b, (plan.start, plan.end()), &LinkNeed::default());
    PairSummary {
        a: a.clone(),
        b: b.clone(),
        latency_ms: path.map(|path| path.latency.as_ms()),
        hops: path.map(|path| path.hops),
        rate_kbps: path.map(|path| path.rate_kbps),
        windows: u32::try_from(windows.len()).unwrap_or(u32::MAX),
    }
}

fn pair_windows(
    plan: &ContactPlan,
    sky: Epoch,
    a: &NodeId,
    b: &NodeId,
    latency_max: Option<LatencyUs>,
) -> Result<PairWindows, ViewError> {
    let known: std::collections::BTreeSet<&str> =
        plan.pairs().iter().flat_map(|pair| [pair.a.as_str(), pair.b.as_str()]).collect();
    for end in [a, b] {
        if !known.contains(end.as_str()) {
            return Err(not_found("endpoint", end.as_str(), known.iter().copied()));
        }
    }
    let need = LinkNeed { latency_max, ..LinkNeed::default() };
    let windows = plan.windows(a, b, (sky, plan.end()), &need);
    let (a, b) = if a <= b { (a, b) } else { (b, a) };
    Ok(PairWindows {
        a: a.clone(),
        b: b.clone(),
        latency_max_ms: latency_max.map(LatencyUs::as_ms),
        windows: windows.iter().map(window_info).collect(),
    })
}

fn run_info(cursor: u64, run: &Run) -> RunInfo {
    let record = &run.record;
    let stages = record.stages.iter().map(|stage| StageInfo {
        task: stage.task.clone(),
        node: stage.node.clone(),
        attempts: stage.attempts,
        copies: stage.copies.clone(),
        cost: stage.record.clone(),
    });
    RunInfo {
        cursor,
        workflow: record.workflow.clone(),
        run: record.run,
        driver: run.driver.clone(),
        started_at: record.started_at,
        wall_us: record.wall_us,
        failure: record.failure.clone(),
        stages: stages.collect(),
        result: String::from_utf8_lossy(&record.result).into_owned(),
    }
}
