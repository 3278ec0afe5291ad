//! Drives runs: invokes the stages of a workflow in order, again and again, until each run's end or deadline.
//!
//! ```text
//! Opening ─journal read─▶ Idle ─due─▶ Saving ─durable─▶ Calling ─committed─▶ Saving … ─last─▶ Saving ─▶ Idle
//!                                                    ▲      │ fault, silence
//!                                                    └ Pausing ◀┘
//! ```
//! One run of a workflow is in flight at a time: its stages share lasting state, so the order of runs is the order
//! of commits. The journal is durable before a run starts and after each stage, so that a restarted driver goes on
//! where it was and no number is used twice.

pub(super) mod journal;

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::desired::{DriveSpec, StageSpec};
use protocol::event::{EventKind, RunRecord, StageRecord};
use protocol::invoke::{self, Committed, Fault, InvocationRecord, Outcome};
use types::{Instant, NodeId, OwnerEpoch, TaskId, WorkflowId};

use self::journal::{Journal, OpenRun, StageDone};
use super::tasks::Effects;
use crate::event::{Answer, CallId, Now, Output, Record, StageCall};

/// Pause before the second try of a stage; doubles with each further one.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
/// Longest pause between two tries: a link heals in half a second.
const PAUSE_MAX: Duration = Duration::from_millis(1000);
/// How long an answer from the former node of a stage is waited for after the stage has moved.
const MOVED_GRACE: Duration = Duration::from_secs(2);
/// Largest result that a run record carries.
const RESULT_BYTES_MAX: usize = 16 * 1024;

/// All workflows that this node drives.
#[derive(Debug, Default)]
pub(super) struct Driver {
    drives: BTreeMap<WorkflowId, Drive>,
    is_stopping: bool,
}

/// One workflow.
#[derive(Debug)]
struct Drive {
    spec: DriveSpec,
    /// Not desired any more: the run in flight is the last.
    is_retiring: bool,
    journal: Journal,
    /// Where a node sent calls of a stage on to: task → (the node that did, where to).
    moved: BTreeMap<TaskId, (NodeId, NodeId)>,
    next_start: Instant,
    step: Step,
}

/// What a drive waits for.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// Its journal.
    Opening,
    /// The next start.
    Idle,
    /// The journal to be durable.
    Saving,
    /// The journal could not be made durable: the next try.
    SaveAgain(Instant),
    /// The answer of a stage.
    Calling { task: TaskId, attempt: u32, node: NodeId, moved_at: Option<Instant> },
    /// The next try of a stage.
    Pausing { task: TaskId, attempt: u32, until: Instant },
}

impl Driver {
    /// Replaces what is driven.
    pub(super) fn apply(&mut self, now: &Now, specs: &[DriveSpec], effects: &mut Effects) {
        for drive in self.drives.values_mut() {
            drive.is_retiring = true;
        }
        for spec in specs {
            if let Some(drive) = self.drives.get_mut(&spec.workflow) {
                drive.is_retiring = false;
                drive.spec = spec.clone();
                continue;
            }
            effects.outputs.push(Output::Read(Record::Journal(spec.workflow.clone())));
            let drive = Drive {
                spec: spec.clone(),
                is_retiring: false,
                journal: Journal::default(),
                moved: BTreeMap::new(),
                next_start: now.at,
                step: Step::Opening,
            };
            self.drives.insert(spec.workflow.clone(), drive);
        }
        self.drives.retain(|_, drive| !drive.is_over());
    }

    /// Starts no further run.
    pub(super) fn stop(&mut self) {
        self.is_stopping = true;
    }

    /// A journal was read.
    pub(super) fn opened(
        &mut self,
        now: &Now,
        workflow: &WorkflowId,
        bytes: Option<&[u8]>,
        effects: &mut Effects,
    ) {
        let Some(drive) = self.drives.get_mut(workflow) else { return };
        if drive.step != Step::Opening {
            return;
        }
        match bytes.map_or_else(|| Ok(Journal::default()), Journal::from_bytes) {
            Ok(journal) => drive.journal = journal,
            // A number must not be used twice: nothing is driven until somebody looks at it.
            Err(reason) => {
                return effects.refused(format!("{workflow} is not driven: its journal {reason}"));
            }
        }
        if let Some(run) = &mut drive.journal.run {
            run.ends = run.ends_at(now, drive.spec.run_deadline_ms);
        }
        drive.go_on(now, effects);
    }

    /// A journal is durable, or is not.
    pub(super) fn saved(
        &mut self,
        now: &Now,
        workflow: &WorkflowId,
        result: Result<(), String>,
        effects: &mut Effects,
    ) {
        let Some(drive) = self.drives.get_mut(workflow) else { return };
        if drive.step != Step::Saving {
            return;
        }
        match result {
            Ok(()) => drive.go_on(now, effects),
            Err(_) => drive.step = Step::SaveAgain(now.at.plus(PAUSE_MAX)),
        }
        self.drives.retain(|_, drive| !drive.is_over());
    }

    /// A stage was answered, or was not.
    pub(super) fn answered(
        &mut self,
        now: &Now,
        call: &CallId,
        answer: Answer,
        effects: &mut Effects,
    ) {
        let Some(drive) = self.drives.get_mut(&call.workflow) else { return };
        if drive.journal.run.as_ref().map(|open| open.id) != Some(call.run) {
            return;
        }
        match &drive.step {
            Step::Calling { task, attempt, .. }
                if *task == call.task && *attempt == call.attempt =>
            {
                drive.answered(now, answer, effects);
            }
            // Too late: another try, or another stage, is under way.
            _ => {}
        }
    }

    /// Starts what is due. `serves` tells under which epoch this node serves a task.
    pub(super) fn tick(
        &mut self,
        now: &Now,
        serves: impl Fn(&WorkflowId, &TaskId) -> Option<OwnerEpoch>,
        effects: &mut Effects,
    ) {
        for drive in self.drives.values_mut() {
            if !self.is_stopping {
                drive.start(now, &serves, effects);
            }
            drive.tick(now, effects);
        }
        self.drives.retain(|_, drive| !drive.is_over());
    }

    /// When [`Driver::tick`] has something to do next.
    pub(super) fn deadline(
        &self,
        serves: impl Fn(&WorkflowId, &TaskId) -> Option<OwnerEpoch>,
    ) -> Option<Instant> {
        self.drives.values().filter_map(|drive| drive.deadline(&serves)).min()
    }
}

impl Drive {
    fn is_over(&self) -> bool {
        let rests = matches!(self.step, Step::Opening | Step::Idle);
        self.is_retiring && rests && self.journal.run.is_none()
    }

    fn may_start(
        &self,
        serves: &impl Fn(&WorkflowId, &TaskId) -> Option<OwnerEpoch>,
    ) -> Option<OwnerEpoch> {
        if self.step != Step::Idle || self.is_retiring || self.spec.every_ms == 0 {
            return None;
        }
        serves(&self.spec.workflow, &self.spec.stages.first()?.task)
    }

    fn start(
        &mut self,
        now: &Now,
        serves: &impl Fn(&WorkflowId, &TaskId) -> Option<OwnerEpoch>,
        effects: &mut Effects,
    ) {
        let Some(owner_epoch) = self.may_start(serves) else { return };
        if now.at < self.next_start {
            return;
        }
        let every = Duration::from_millis(u64::from(self.spec.every_ms));
        let planned = self.next_start.plus(every);
        self.next_start = if now.at < planned { planned } else { now.at.plus(every) };
        self.journal.open(owner_epoch, now, self.spec.run_deadline_ms);
        self.save(effects);
    }

    fn save(&mut self, effects: &mut Effects) {
        let record = Record::Journal(self.spec.workflow.clone());
        effects.outputs.push(Output::Save { record, bytes: self.journal.to_bytes() });
        self.step = Step::Saving;
    }

    /// Calls the next stage of the run, or rests.
    fn go_on(&mut self, now: &Now, effects: &mut Effects) {
        let Some(run) = &self.journal.run else {
            self.step = Step::Idle;
            return;
        };
        let next = self.spec.stages.iter().find(|stage| run.stage(&stage.task).is_none());
        match next.cloned() {
            Some(stage) => self.call(now, &stage, 1, effects),
            None => self.finish(now, None, effects),
        }
    }

    fn tick(&mut self, now: &Now, effects: &mut Effects) {
        if self.run_ends().is_some_and(|end| end <= now.at) {
            let failure = format!(
                "the run's deadline of {} ms has passed {}",
                self.spec.run_deadline_ms,
                self.whereabouts()
            );
            return self.finish(now, Some(failure), effects);
        }
        match self.step.clone() {
            Step::SaveAgain(at) if at <= now.at => self.save(effects),
            Step::Pausing { task, attempt, until } if until <= now.at => {
                self.call_again(now, &task, attempt, effects);
            }
            Step::Calling { task, attempt, node, moved_at } => {
                self.watch_moved(now, (task, attempt, node, moved_at), effects);
            }
            Step::Opening
            | Step::Idle
            | Step::Saving
            | Step::SaveAgain(_)
            | Step::Pausing { .. } => {}
        }
    }

    /// Gives up waiting for a node that the stage has left.
    fn watch_moved(
        &mut self,
        now: &Now,
        (task, attempt, node, moved_at): (TaskId, u32, NodeId, Option<Instant>),
        effects: &mut Effects,
    ) {
        let has_moved = self.spec_of(&task).is_some_and(|stage| self.node_of(stage) != node);
        match moved_at {
            _ if !has_moved => {}
            None => {
                let moved_at = Some(now.at);
                self.step = Step::Calling { task, attempt, node, moved_at };
            }
            Some(since) if since.plus(MOVED_GRACE) <= now.at => {
                self.call_again(now, &task, attempt + 1, effects);
            }
            Some(_) => {}
        }
    }

    fn call_again(&mut self, now: &Now, task: &TaskId, attempt: u32, effects: &mut Effects) {
        match self.spec_of(task).cloned() {
            Some(stage) => self.call(now, &stage, attempt, effects),
            // The workflow has changed under the run.
            None => self.go_on(now, effects),
        }
    }

    fn call(&mut self, now: &Now, stage: &StageSpec, attempt: u32, effects: &mut Effects) {
        let Some(run) = &self.journal.run else { return };
        let left = run.ends.saturating_since(now.at);
        let left_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
        let node = self.node_of(stage);
        let is_first = self.spec.stages.first().is_some_and(|first| first.task == stage.task);
        let call = StageCall {
            workflow: self.spec.workflow.clone(),
            task: stage.task.clone(),
            run: run.id,
            attempt,
            hops: u8::try_from(run.stages.len()).unwrap_or(u8::MAX),
            node: node.clone(),
            deadline_ms: stage.deadline_ms.min(left_ms).max(1),
            inputs: run.inputs_of(stage, &node, attempt),
            sources: stage.sources.clone(),
            outputs_to: self.consumer_of(&stage.task, &node),
            trigger: is_first.then_some(run.id.0),
        };
        effects.outputs.push(Output::Call(Box::new(call)));
        self.step = Step::Calling { task: stage.task.clone(), attempt, node, moved_at: None };
    }

    fn answered(&mut self, now: &Now, answer: Answer, effects: &mut Effects) {
        let Step::Calling { task, attempt, node, .. } = self.step.clone() else { return };
        let fault = match answer {
            Answer::Invoked(invoked) => match invoked.outcome {
                Outcome::Committed(done) => {
                    return self.committed((task, attempt, node), done, invoked.record, effects);
                }
                Outcome::Failed(fault) => Ok(fault),
            },
            Answer::Silence(reason) => Err(reason),
        };
        let text = match &fault {
            Ok(fault) => format!("{fault:?}"),
            Err(reason) => reason.clone(),
        };
        if let Some(run) = &mut self.journal.run {
            run.last_fault = super::cut(format!("{task} on {node}, attempt {attempt}: {text}"));
        }
        match fault {
            Ok(Fault::BadInput(_) | Fault::Denied(_) | Fault::TooLarge(_) | Fault::Unsupported) => {
                let failure = format!("no other try can help, {}", self.whereabouts());
                self.finish(now, Some(failure), effects);
            }
            Ok(Fault::Moved { to, .. }) => self.sent_on(now, (task, attempt, node), to, effects),
            Ok(_) | Err(_) => {
                // Whoever sent calls on to a node that fails may know better by now.
                self.moved.remove(&task);
                self.pause(now, task, attempt);
            }
        }
    }

    fn sent_on(
        &mut self,
        now: &Now,
        (task, attempt, node): (TaskId, u32, NodeId),
        to: NodeId,
        effects: &mut Effects,
    ) {
        let planned = self.spec_of(&task).map_or_else(|| node.clone(), |stage| stage.node.clone());
        if to == node || (to == planned && self.moved.contains_key(&task)) {
            // Sent in a circle: let it settle.
            self.moved.remove(&task);
            return self.pause(now, task, attempt);
        }
        self.moved.insert(task.clone(), (planned, to));
        self.call_again(now, &task, attempt + 1, effects);
    }

    fn pause(&mut self, now: &Now, task: TaskId, attempt: u32) {
        let doublings = attempt.saturating_sub(1).min(5);
        let pause = (PAUSE_FIRST * 2_u32.pow(doublings)).min(PAUSE_MAX);
        let until = now.at.plus(pause);
        self.step = Step::Pausing { task, attempt: attempt + 1, until };
    }

    fn committed(
        &mut self,
        (task, attempts, node): (TaskId, u32, NodeId),
        done: Committed,
        record: InvocationRecord,
        effects: &mut Effects,
    ) {
        let Some(run) = &mut self.journal.run else { return };
        let is_last = run.stages.len() + 1 == self.spec.stages.len();
        if is_last && done.body.len() <= RESULT_BYTES_MAX {
            run.result = done.body;
        }
        let record = StageRecord { task, node, attempts, copies: done.copies, record };
        run.stages.push(StageDone { record, outputs: done.outputs });
        self.save(effects);
    }

    /// Ends the run: told first, then noted, so that a restart in between tells it again rather than never.
    fn finish(&mut self, now: &Now, failure: Option<String>, effects: &mut Effects) {
        let Some(run) = self.journal.run.take() else { return };
        self.journal.last_finished = Some(run.id);
        effects.events.push(EventKind::RunFinished(RunRecord {
            workflow: self.spec.workflow.clone(),
            run: run.id,
            started_at: run.started_at,
            wall_us: u64::try_from(now.wall.0.saturating_sub(run.started_wall.0)).unwrap_or(0)
                / 1000,
            failure: failure.map(super::cut),
            stages: run.stages.into_iter().map(|stage| stage.record).collect(),
            result: run.result,
        }));
        self.save(effects);
    }

    fn deadline(
        &self,
        serves: &impl Fn(&WorkflowId, &TaskId) -> Option<OwnerEpoch>,
    ) -> Option<Instant> {
        let step = match &self.step {
            Step::Idle => self.may_start(serves).map(|_| self.next_start),
            Step::SaveAgain(at) | Step::Pausing { until: at, .. } => Some(*at),
            Step::Calling { moved_at, .. } => moved_at.map(|since| since.plus(MOVED_GRACE)),
            Step::Opening | Step::Saving => None,
        };
        step.into_iter().chain(self.run_ends()).min()
    }

    /// When the run has failed; not while its journal is being written, since only one write is under way at a time.
    fn run_ends(&self) -> Option<Instant> {
        let run = self.journal.run.as_ref()?;
        (self.step != Step::Saving).then_some(run.ends)
    }

    /// Where a stage is to be invoked: where the spec says, unless that node sent us on.
    fn node_of(&self, stage: &StageSpec) -> NodeId {
        match self.moved.get(&stage.task) {
            Some((from, to)) if *from == stage.node => to.clone(),
            _ => stage.node.clone(),
        }
    }

    /// Who takes the outputs of a task that runs at `at` first: the next stage, or else whoever drives the run.
    fn consumer_of(&self, task: &TaskId, at: &NodeId) -> Option<NodeId> {
        let consumer = self.spec.stages.iter().find(|stage| stage.after.contains(task));
        let home = || self.spec.stages.first().filter(|first| first.node != *at);
        Some(self.node_of(consumer.or_else(home)?))
    }

    fn spec_of(&self, task: &TaskId) -> Option<&StageSpec> {
        self.spec.stages.iter().find(|stage| stage.task == *task)
    }

    fn whereabouts(&self) -> String {
        let fault = self.journal.run.as_ref().map(|run| run.last_fault.as_str());
        match (&self.step, fault.filter(|fault| !fault.is_empty())) {
            (Step::Calling { task, node, attempt, .. }, None) => {
                format!("while {task} was called on {node}, attempt {attempt}")
            }
            (Step::Calling { task, node, attempt, .. }, Some(fault)) => {
                format!("while {task} was called on {node}, attempt {attempt}; before: {fault}")
            }
            (_, Some(fault)) => format!("after {fault}"),
            (_, None) => "before its first stage".to_owned(),
        }
    }
}

impl OpenRun {
    /// The outputs that a stage on `at` takes, each with a node that should hold it: first the one that made it, then,
    /// try by try, the others. What `at` itself holds it will find without being told.
    fn inputs_of(&self, stage: &StageSpec, at: &NodeId, attempt: u32) -> Vec<invoke::Input> {
        let mut inputs = Vec::new();
        for done in stage.after.iter().filter_map(|task| self.stage(task)) {
            let others: Vec<_> = done.record.copies.iter().filter(|copy| *copy != at).collect();
            let turn = usize::try_from(attempt.saturating_sub(1)).unwrap_or(0);
            let holder = turn.checked_rem(others.len()).map(|index| others[index]);
            let holder = holder.unwrap_or(&done.record.node);
            for object in &done.outputs {
                inputs.push(invoke::Input { object: object.clone(), holder: holder.clone() });
            }
        }
        inputs
    }

    fn stage(&self, task: &TaskId) -> Option<&StageDone> {
        self.stages.iter().find(|done| done.record.task == *task)
    }
}

#[cfg(test)]
mod tests;
