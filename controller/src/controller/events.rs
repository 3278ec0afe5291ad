//! What events that nodes tell change.

use protocol::desired::{DesiredReply, Phase, TaskStatus, Verdict};
use protocol::event::{Event, EventKind, RunRecord};
use types::{Generation, NodeId, TaskId, WorkflowId};

use super::{Controller, RUNS_KEPT, Run};
use crate::event::Now;
use crate::hosting::TaskKey;

impl Controller {
    /// What an event that is told late changes: counts and notes, nothing of what is now.
    pub(super) fn had_happened(&mut self, event: Event) {
        let node = event.header.node;
        match event.kind {
            EventKind::RunFinished(record) => self.run_finished(node, record),
            EventKind::Refused { reason } => {
                self.fleet.note(&node, format!("had refused: {reason}"));
            }
            EventKind::Timed { epoch, id, outcome } => {
                let words = outcome.words();
                self.fleet.note(&node, format!("command {id} of epoch {epoch} {words}"));
            }
            kind @ (EventKind::Update { .. } | EventKind::SafeMode { .. }) => {
                self.note_life(&node, &kind);
            }
            EventKind::Started(_)
            | EventKind::Prepared { .. }
            | EventKind::TookOver { .. }
            | EventKind::FirstCall { .. }
            | EventKind::BackEnd { .. } => {}
        }
    }

    pub(super) fn happened(&mut self, now: Now, event: Event) {
        let (node, at) = (event.header.node, event.header.at);
        tracing::debug!(%node, boot = event.header.boot.0, seq = event.header.seq, "event");
        match event.kind {
            EventKind::Started(facts) => {
                self.declines.forget_node(&node);
                self.fleet.set_facts(&node, facts);
            }
            EventKind::Prepared { workflow, task, generation: _ } => {
                let key = TaskKey { workflow, task };
                let is_owner = self.hosting.host(&key).is_some_and(|host| host.node == node);
                let phase = if is_owner { Phase::Active } else { Phase::Ready };
                self.phases.insert((node.clone(), key.clone()), phase);
                if let Some(world) = self.world(now) {
                    self.hosting.prepared(&world, &key, &node, at);
                }
                self.is_stirred = true;
            }
            EventKind::TookOver { workflow, task, owner_epoch, from } => {
                let key = TaskKey { workflow, task };
                if let Some(phase) = self.phases.get_mut(&(node.clone(), key.clone()))
                    && *phase == Phase::Ready
                {
                    *phase = Phase::Active;
                }
                if self.hosting.took_over(&key, &node, owner_epoch, from.as_ref(), at) {
                    tracing::info!(workflow = %key.workflow, task = %key.task, %node, %owner_epoch, "took over");
                }
                self.is_stirred = true;
            }
            EventKind::FirstCall { workflow, task, run: _, owner_epoch } => {
                self.hosting.first_call(&TaskKey { workflow, task }, &node, owner_epoch, at);
            }
            EventKind::RunFinished(record) => self.run_finished(node, record),
            EventKind::Refused { reason } => {
                tracing::warn!(%node, reason, "node refuses");
                self.fleet.note(&node, format!("refuses: {reason}"));
            }
            EventKind::Timed { epoch, id, outcome } => {
                let words = outcome.words();
                tracing::info!(%node, %epoch, id, "command {words}");
                self.fleet.note(&node, format!("command {id} of epoch {epoch} {words}"));
            }
            EventKind::BackEnd { name, change, reason } => {
                let what = change.words();
                tracing::info!(%node, back_end = name, reason, "back end {what}");
                self.fleet.note(&node, format!("back end {name} {what}: {reason}"));
            }
            kind @ (EventKind::Update { .. } | EventKind::SafeMode { .. }) => {
                self.note_life(&node, &kind);
            }
        }
    }

    fn run_finished(&mut self, driver: NodeId, record: RunRecord) {
        // Events are replayed after gaps and after a start of this process.
        if !self.runs_known.insert((record.workflow.clone(), record.run)) {
            return;
        }
        while RUNS_KEPT < self.runs_known.len() {
            self.runs_known.pop_first();
        }
        if let Some(deployment) = self.deployments.get_mut(&record.workflow) {
            match record.failure {
                None => deployment.completed += 1,
                Some(_) => deployment.failed += 1,
            }
        }
        self.runs.add(Run { driver, record });
    }

    /// Notes which tasks a node declines in its answer: those that it cannot run, and what is new to it of a state that it
    /// would not take.
    pub(super) fn note_declines(
        &mut self,
        now: Now,
        node: &NodeId,
        told: Option<Generation>,
        reply: &DesiredReply,
    ) {
        let failed = reply.tasks.iter().filter(|status| status.phase == Phase::Failed);
        let key = |workflow: &WorkflowId, task: &TaskId| TaskKey {
            workflow: workflow.clone(),
            task: task.clone(),
        };
        let mut said: Vec<(TaskKey, &str)> = failed
            .map(|status| (key(&status.workflow, &status.task), "it cannot run the function"))
            .collect();
        if let Verdict::Denied { reason } = &reply.verdict
            && told == Some(self.executor.generations(node).0)
        {
            let is_held = |key: &TaskKey| {
                let same = |status: &TaskStatus| {
                    status.workflow == key.workflow && status.task == key.task
                };
                reply.tasks.iter().any(same)
            };
            let tasks = self.executor.wanted(node).into_iter().flat_map(|wanted| &wanted.tasks);
            let tasks = tasks.map(|spec| key(&spec.workflow, &spec.task));
            said.extend(tasks.filter(|key| !is_held(key)).map(|key| (key, reason.as_str())));
        }
        for (key, reason) in said {
            if self.declines.add(now.instant, node, &key, reason) {
                let TaskKey { workflow, task } = &key;
                tracing::warn!(%node, %workflow, %task, reason, "node declines a task");
                self.fleet.note(node, format!("declines {workflow}.{task}: {reason}"));
            }
        }
    }
}
