//! Where tasks are and why, and how workflows go.

use std::collections::BTreeMap;

use placement::{Assignment, Decision, NodeRefusal};
use types::{LatencyUs, NodeId, OwnerEpoch, TaskId};

use super::plan::window_info;
use crate::api::{
    NextInfo, PlacementInfo, PlacementState, RefusalInfo, RunInfo, StageInfo, WorkflowInfo,
};
use crate::controller::{Controller, Deployment, Run, SetAside};
use crate::hosting::{Host, TaskKey};

impl Controller {
    pub(super) fn placement(&self, deployment: &Deployment, task: &TaskId) -> PlacementInfo {
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
            because: because(host, deployment, assignment),
            latency_ms: current.and_then(|a| a.latency_now).map(LatencyUs::as_ms),
            window: current.and_then(|a| a.window.as_ref()).map(window_info),
            next: next_info(host, current),
            refused,
        }
    }

    pub(super) fn workflow_info(&self, deployment: &Deployment) -> WorkflowInfo {
        let id = &deployment.workflow.id;
        let refusals = match &deployment.decision {
            Some(Decision::Refused(refusal)) => refusals(&refusal.task, &refusal.nodes),
            Some(Decision::Placed(_)) | None => Vec::new(),
        };
        let last = self.runs.newest(|run| run.record.workflow == *id);
        WorkflowInfo {
            id: id.clone(),
            priority: deployment.workflow.priority,
            placement: match (&deployment.set_aside, &deployment.decision) {
                (Some(_), _) => PlacementState::SetAside,
                (None, None) => PlacementState::Pending,
                (None, Some(Decision::Placed(_))) => PlacementState::Placed,
                (None, Some(Decision::Refused(_))) => PlacementState::Refused,
            },
            set_aside_for: deployment.set_aside.as_ref().map(|aside| aside.by.clone()),
            set_aside_since: deployment.set_aside.as_ref().map(|aside| aside.since),
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

fn because(
    host: Option<&Host>,
    deployment: &Deployment,
    assignment: Option<&Assignment>,
) -> String {
    if let Some(SetAside { by, since }) = &deployment.set_aside {
        return format!("set aside for {by} since {since:.0}: it goes on when there is room");
    }
    match (host, deployment.decision.as_ref(), assignment) {
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

fn next_info(host: Option<&Host>, assignment: Option<&Assignment>) -> Option<NextInfo> {
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

pub(in crate::controller) fn refusals(task: &TaskId, nodes: &[NodeRefusal]) -> Vec<RefusalInfo> {
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
                let target =
                    ["to", "task", "source"].iter().find_map(|field| of.as_object()?.get(*field));
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

pub(super) fn run_info(cursor: u64, run: &Run) -> RunInfo {
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
