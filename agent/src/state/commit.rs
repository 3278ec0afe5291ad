//! Calls: begin, fetch what is missing, commit here, copy elsewhere, acknowledge.

use std::collections::BTreeMap;
use std::iter;
use std::sync::Arc;

use belt::commit::{Finish, SecondCopy, Settled, Single, Stages, settle};
use belt::group::{Input as GroupInput, Output, With};
use belt::{GroupId, StageId, hash_of};
use protocol::belt::ObjectMeta;
use protocol::call::is_call;
use protocol::invoke::{
    COPIES_MAX, Committed, Fault, InvocationRecord, Invoke, Invoked, LinkBytes, Outcome, SingleCopy,
};
use tokio::time::Instant;
use types::{NodeId, ObjectId, OwnerEpoch, RunId, StateKey, TaskId, Version};

use super::bundle::COMMITS_MAX;
use super::call::{CallState, GROUP_VALUES_MAX, Guard, Reads, Write};
use super::fetch::missing;
use super::groups::{Admission, Held, commit_id};
use super::inner::{Inner, blocking, cut, internal, refusal};
use super::{Begin, CommitCost, Peers};
use crate::store::{
    GroupRow, ObjectRow, Room, Settlement, StateError, Sync, Tombstone, Writer, is_reserved,
    visible_keys,
};

/// Graves of deleted values that a group remembers; the oldest are forgotten, and the version that no key may fall
/// below remembered instead.
const GRAVES_MAX: usize = 32;

/// A stage that is durable here and not yet acknowledged.
pub(super) struct Local {
    pub(super) held: Arc<Held>,
    commit: ObjectId,
    outputs: Vec<ObjectMeta>,
    /// The values that this commit wrote and that nothing has replaced since.
    values: Vec<ObjectMeta>,
    /// Whether the outputs are here; a new owner may hold the commit and not them.
    has_outputs: bool,
    /// The answer; its copies are those that hold the outputs by the commit record.
    done: Committed,
}

/// Why a call does not commit.
enum Stop {
    Fault(Fault),
    /// Another attempt was first.
    Again,
}

impl From<StateError> for Stop {
    fn from(error: StateError) -> Self {
        // A full store too: room may come, and whoever waits learns what is missing.
        Self::Fault(internal(error))
    }
}

fn stage_of(call: &Invoke) -> (GroupId, StageId) {
    let (workflow, run, task) = (call.workflow.clone(), call.run, call.task.clone());
    let group = GroupId { workflow: workflow.clone(), task: task.clone() };
    (group, StageId { workflow, run, task })
}

impl Inner {
    pub(super) fn begin(self: &Arc<Self>, call: &Invoke) -> Result<Begin, Fault> {
        let (group, stage) = stage_of(call);
        let snapshot = self.store.snapshot().map_err(internal)?;
        if let Some(done) = self.settled(&group, call).map_err(internal)? {
            return Ok(Begin::Again(done));
        }
        let mut missing = missing(&snapshot, &call.inputs);
        let held = self.groups.get(&group);
        let held = held.ok_or_else(|| Fault::NotFound(format!("{group} is not here")))?;
        if self.must_catch_up(&held) {
            missing.extend(self.heads_to_ask(&group));
        }
        let (epoch, stamp, snapshot) = match held.admit(|| self.store.snapshot()) {
            Admission::Admitted { epoch, stamp, seen } => (epoch, stamp, seen),
            Admission::Refused(outputs) => return Err(refusal(&group, &outputs)),
            Admission::Failed(error) => return Err(internal(error)),
        };
        if !missing.is_empty() {
            held.call_ended();
            self.call_missed(&stage, call.attempt);
            return Ok(Begin::Missing(missing));
        }
        if !self.stage_started(&stage, call.attempt) {
            held.call_ended();
            return Err(Fault::Busy);
        }
        let local_at_start = self.was_local(&stage, call.attempt);
        let guard = Guard { inner: Arc::clone(self), held, stage, attempt: call.attempt };
        let mut inputs: Vec<ObjectRow> = Vec::new();
        for input in &call.inputs {
            inputs.extend(snapshot.object(&input.object.id).map_err(internal)?);
        }
        let seen = (epoch, stamp);
        Ok(Begin::Ready(CallState::new(guard, seen, snapshot, inputs, local_at_start)))
    }

    /// The answer of a stage that was acknowledged here.
    fn settled(&self, group: &GroupId, call: &Invoke) -> Result<Option<Committed>, StateError> {
        let commit = commit_id(group, call.run);
        let now = self.store.snapshot()?;
        let (Some(how), Some(row)) = (now.settled(&commit)?, now.object(&commit)?) else {
            return Ok(None);
        };
        let done = read_commit(&now.read(&row, 0, usize::MAX)?)?;
        Ok(Some(Committed {
            copies: how.copies,
            single_copy: single_copy(how.single_refused),
            again: true,
            ..done
        }))
    }

    /// Makes a stage durable here, unless another attempt did.
    fn commit_local(&self, call: &Invoke, state: CallState, body: Vec<u8>) -> Result<Local, Fault> {
        let (group, _) = stage_of(call);
        let commit = commit_id(&group, call.run);
        let held = Arc::clone(&state.guard.held);
        let new = New::of(call, &group, &state, body)?;
        let at = self.stored_at();
        let input = GroupInput::Commit { epoch: state.epoch };
        let step = held.step(&self.store, input, |writer, with, row| match with {
            With::Call => new.write(writer, &state, row, at),
            With::Nothing | With::Bundle { .. } => Ok(()),
        });
        match step {
            Ok(outputs) if outputs.iter().any(|o| matches!(o, Output::Committed { .. })) => {
                let New { outputs, values, done, .. } = new;
                Ok(Local { held, commit, outputs, values, has_outputs: true, done })
            }
            Ok(outputs) => Err(refusal(&group, &outputs)),
            Err(Stop::Again) => self.committed_before(held, commit).map_err(internal),
            Err(Stop::Fault(fault)) => Err(fault),
        }
    }

    /// A commit of an earlier attempt that was never acknowledged here: its copies are made now.
    fn committed_before(&self, held: Arc<Held>, commit: ObjectId) -> Result<Local, StateError> {
        let now = self.store.snapshot()?;
        let damaged = || StateError::new("read a commit", "it is not there any more");
        let row = now.object(&commit)?.ok_or_else(damaged)?;
        let done = read_commit(&now.read(&row, 0, usize::MAX)?)?;
        let mut has_outputs = true;
        for output in &done.outputs {
            let found = now.object(&output.id)?;
            has_outputs &= found.is_some_and(|row| row.meta.hash == output.hash);
        }
        let values = now.group_objects(&held.id)?.into_iter();
        let values =
            values.filter(|value| value.seq == row.seq && !is_reserved(&value.meta.id.key));
        Ok(Local {
            held,
            commit,
            outputs: done.outputs.clone(),
            values: values.map(|value| value.meta).collect(),
            has_outputs,
            done: Committed { again: true, ..done },
        })
    }

    /// Acknowledges: the audit log first, then the settlement, which a crash may forget.
    fn acknowledge(&self, local: &Local, copies: &Copies) -> Result<Committed, Fault> {
        let (settled, single) = match settle(&self.me, &copies.outputs, &copies.state) {
            Settled::Acknowledge { copies, single } => (copies, single),
            Settled::Unanswered => return Err(Fault::Busy),
            Settled::Fenced { epoch, by } => {
                return Err(Fault::Moved { to: by, owner_epoch: epoch });
            }
        };
        if let Some(audit) = &self.audit {
            let (with_outputs, with_state) =
                (self.holders(&copies.outputs), self.holders(&copies.state));
            let outputs = local.outputs.iter().filter(|_| local.has_outputs);
            let lines = outputs.map(|meta| (meta, with_outputs.as_slice()));
            let lines = lines.chain(local.values.iter().map(|meta| (meta, with_state.as_slice())));
            let lines: Vec<_> = lines.collect();
            audit.acknowledge(self.sky(), &self.me, &lines).map_err(internal)?;
        }
        let how = Settlement {
            copies: local.holders_with(settled),
            single_refused: single.map(|why| why == Single::Refused),
        };
        let kept = self.store.write(Sync::Later, |writer| writer.settle(&local.commit, &how));
        if let Err(error) = kept {
            // The next attempt makes the copies again.
            tracing::warn!(%error, "settlement not kept");
        }
        let single_copy = single_copy(how.single_refused);
        Ok(Committed { copies: how.copies, single_copy, ..local.done.clone() })
    }

    fn holders(&self, copy: &SecondCopy) -> Vec<NodeId> {
        let mut holders = vec![self.me.clone()];
        if let SecondCopy::On(node) = copy {
            holders.push(node.clone());
        }
        holders
    }
}

/// What became of the second copies.
struct Copies {
    outputs: SecondCopy,
    state: SecondCopy,
}

pub(super) async fn commit(
    inner: &Arc<Inner>,
    peers: &impl Peers,
    call: &Invoke,
    state: CallState,
    body: Vec<u8>,
    deadline: Instant,
) -> Result<(Committed, CommitCost), Fault> {
    let started = Instant::now();
    let (this, stage) = (Arc::clone(inner), call.clone());
    let local = blocking(internal, move || this.commit_local(&stage, state, body)).await?;
    let plan = local.plan(&inner.me, call.outputs_to.as_ref());
    // Outputs first: whoever takes over with the commit record must find them where the record says they are.
    let outputs = inner.copy_objects(peers, &plan.objects, plan.objects_to.as_ref(), deadline);
    let (outputs, outputs_bytes) = outputs.await;
    let (state, state_bytes) = match (&outputs, plan.state_goes_with_objects) {
        (SecondCopy::Unanswered, _) | (_, true) => (SecondCopy::NotNeeded, 0),
        _ => inner.copy_state(peers, &local.held, plan.state_to.as_ref(), deadline).await,
    };
    let to = [(&plan.objects_to, outputs_bytes), (&plan.state_to, state_bytes)];
    let pushed = to.into_iter().filter_map(|(to, sent)| {
        to.clone().filter(|_| sent != 0).map(|node| LinkBytes { node, sent, received: 0 })
    });
    let pushed: Vec<_> = pushed.collect();
    let copies = Copies { outputs, state };
    let this = Arc::clone(inner);
    let done = blocking(internal, move || this.acknowledge(&local, &copies)).await?;
    let commit_ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    Ok((done, CommitCost { commit_ns, pushed }))
}

/// What goes where.
struct Plan {
    objects: Vec<ObjectId>,
    objects_to: Option<NodeId>,
    state_to: Option<NodeId>,
    /// Nothing of lasting state was written and nobody keeps copies of it: the commit record is enough.
    state_goes_with_objects: bool,
}

/// Who takes the outputs: the next stage's node, or else who keeps copies of the state.
fn objects_to(
    outputs_to: Option<&NodeId>,
    replica: Option<&NodeId>,
    me: &NodeId,
) -> Option<NodeId> {
    let other = |node: &&NodeId| *node != me;
    outputs_to.filter(other).or_else(|| replica.filter(other)).cloned()
}

impl Local {
    /// Who holds the answer: those that took a copy now, and where the outputs never came here, those that hold them by
    /// the commit record.
    fn holders_with(&self, settled: Vec<NodeId>) -> Vec<NodeId> {
        let mut holders = settled;
        for node in self.done.copies.iter().filter(|_| !self.has_outputs) {
            if !holders.contains(node) && holders.len() < COPIES_MAX {
                holders.push(node.clone());
            }
        }
        holders
    }

    fn plan(&self, me: &NodeId, outputs_to: Option<&NodeId>) -> Plan {
        let state_to = self.held.word().replica.filter(|node| node != me);
        let objects_to = objects_to(outputs_to, state_to.as_ref(), me);
        let mut objects = Vec::new();
        if self.has_outputs {
            objects.extend(self.outputs.iter().map(|output| output.id.clone()));
        }
        let alone = state_to.is_none() && self.done.state_writes == 0;
        let state_goes_with_objects = alone && objects_to.is_some();
        if state_goes_with_objects {
            objects.push(self.commit.clone());
        }
        Plan { objects, objects_to, state_to, state_goes_with_objects }
    }
}

/// What a call writes.
struct New {
    commit: ObjectId,
    commit_bytes: Vec<u8>,
    outputs: Vec<ObjectMeta>,
    values: Vec<ObjectMeta>,
    done: Committed,
}

impl New {
    fn of(call: &Invoke, group: &GroupId, state: &CallState, body: Vec<u8>) -> Result<Self, Fault> {
        let id = |run, key: &StateKey| {
            let (workflow, task) = (group.workflow.clone(), group.task.clone());
            ObjectId { workflow, run, task, key: key.clone() }
        };
        let meta = |id, version, owner_epoch, bytes: &[u8]| {
            let hash = hash_of(bytes);
            ObjectMeta { id, version, owner_epoch, hash, bytes: bytes.len() as u64 }
        };
        let outputs: Vec<ObjectMeta> = state
            .outputs
            .iter()
            .map(|(key, bytes)| meta(id(Some(call.run), key), Version(1), OwnerEpoch(0), bytes))
            .collect();
        let me = &state.guard.inner.me;
        let replica = state.guard.held.word().replica;
        let to = objects_to(call.outputs_to.as_ref(), replica.as_ref(), me);
        let to = to.filter(|_| !outputs.is_empty());
        let values = state.writes.iter().filter_map(|(key, write)| {
            let value = write.value.as_ref()?;
            Some(meta(id(None, key), write.version, state.epoch, value))
        });
        let done = Committed {
            outputs: outputs.clone(),
            // Both hold the outputs before anybody else gets this record.
            copies: iter::once(me.clone()).chain(to).collect(),
            single_copy: None,
            state_writes: u32::try_from(
                state.writes.keys().filter(|key| !is_reserved(key)).count(),
            )
            .unwrap_or(u32::MAX),
            local_at_start: state.local_at_start,
            again: false,
            body,
        };
        let values = values.collect();
        let commit_bytes = write_commit(&done)?;
        Ok(Self { commit: commit_id(group, call.run), commit_bytes, outputs, values, done })
    }

    /// Compare and swap: everything of the call, if its stage has not committed and what it has read still holds.
    fn write(
        &self,
        writer: &mut Writer<'_>,
        state: &CallState,
        row: &mut GroupRow,
        at: i64,
    ) -> Result<(), Stop> {
        if Stages::finish(writer.object(&self.commit)?.is_some()) == Finish::Again {
            return Err(Stop::Again);
        }
        let group = &state.guard.held.id;
        let seq = row.record.stamp.seq;
        if state.stamp.seq.checked_add(1) != Some(seq)
            || state.stamp.epoch != row.record.stamp.epoch
        {
            check_reads(writer, group, &state.reads)?;
        }
        for meta in &self.outputs {
            writer.put(meta, &state.outputs[&meta.id.key], (seq, at), Room::Own)?;
        }
        for meta in &self.values {
            if let Some(value) = state.writes.get(&meta.id.key).and_then(|w| w.value.as_ref()) {
                writer.put(meta, value, (seq, at), Room::Own)?;
                writer.unbury(&meta.id)?;
            }
        }
        self.delete(writer, group, &state.writes, row)?;
        let commit = ObjectMeta {
            id: self.commit.clone(),
            version: Version(1),
            owner_epoch: OwnerEpoch(0),
            hash: hash_of(&self.commit_bytes),
            bytes: self.commit_bytes.len() as u64,
        };
        writer.put(&commit, &self.commit_bytes, (seq, at), Room::Own)?;
        remember(&mut row.recent, self.commit.run);
        Ok(())
    }

    fn delete(
        &self,
        writer: &mut Writer<'_>,
        group: &GroupId,
        writes: &BTreeMap<StateKey, Write>,
        row: &mut GroupRow,
    ) -> Result<(), Stop> {
        let seq = row.record.stamp.seq;
        for (key, write) in writes.iter().filter(|(_, write)| write.value.is_none()) {
            let (workflow, task) = (group.workflow.clone(), group.task.clone());
            let id = ObjectId { workflow, run: None, task, key: key.clone() };
            writer.remove(&id)?;
            writer.bury(&Tombstone { id, version: write.version, seq })?;
        }
        let mut graves = writer.tombstones(group)?;
        graves.sort_by_key(|grave| grave.seq);
        let forgotten = graves.len().saturating_sub(GRAVES_MAX);
        for grave in graves.drain(..forgotten) {
            writer.unbury(&grave.id)?;
            row.floor = row.floor.max(grave.version);
        }
        let values = visible_keys(&writer.group_objects(group)?, None).len();
        if GROUP_VALUES_MAX < values {
            let rule = format!("a task keeps at most {GROUP_VALUES_MAX} values, not {values}");
            return Err(Stop::Fault(Fault::TooLarge(rule)));
        }
        Ok(())
    }
}

/// Remembers a stage as the last one; as many runs of workflows as calls of functions, so that neither drives the other out.
fn remember(recent: &mut Vec<RunId>, run: Option<RunId>) {
    let Some(run) = run else { return };
    recent.push(run);
    let is_of_kind = |other: &&RunId| is_call(**other) == is_call(run);
    if COMMITS_MAX < recent.iter().filter(is_of_kind).count()
        && let Some(oldest) = recent.iter().position(|other| is_of_kind(&other))
    {
        recent.remove(oldest);
    }
}

/// Other calls have committed since this one began: what it has seen must still be so.
fn check_reads(writer: &Writer<'_>, group: &GroupId, reads: &Reads) -> Result<(), Stop> {
    let rows = writer.group_objects(group)?;
    let present = |key: &StateKey| {
        rows.iter().find(|row| row.meta.id.key == *key).map(|row| row.meta.version)
    };
    for (key, seen) in &reads.versions {
        let now = present(key);
        if now != *seen {
            return Err(Stop::Fault(Fault::Conflict(now.map_or(0, |version| version.0))));
        }
    }
    for (prefix, seen) in &reads.lists {
        if visible_keys(&rows, prefix.as_ref()) != *seen {
            return Err(Stop::Fault(Fault::Conflict(0)));
        }
    }
    Ok(())
}

const fn single_copy(refused: Option<bool>) -> Option<SingleCopy> {
    match refused {
        None => None,
        Some(false) => Some(SingleCopy::NonePlanned),
        Some(true) => Some(SingleCopy::Refused),
    }
}

/// A commit record is the answer of its stage, as it would travel.
fn write_commit(done: &Committed) -> Result<Vec<u8>, Fault> {
    let outcome = Outcome::Committed(done.clone());
    let frame = Invoked { outcome, record: InvocationRecord::default() };
    protocol::encode(&frame).map_err(|error| Fault::TooLarge(cut(&error.to_string())))
}

fn read_commit(frame: &[u8]) -> Result<Committed, StateError> {
    let damaged = |reason: String| StateError::new("read a commit", reason);
    let invoked: Invoked = protocol::decode(frame).map_err(|error| damaged(error.to_string()))?;
    match invoked.outcome {
        Outcome::Committed(done) => Ok(done),
        Outcome::Failed(_) => Err(damaged("it is a failure".to_owned())),
    }
}

/// The name under which data sources are kept.
pub(super) fn source_id(name: &TaskId, key: &StateKey) -> ObjectId {
    let workflow = types::WorkflowId::new("source").expect("letters");
    ObjectId { workflow, run: None, task: name.clone(), key: key.clone() }
}
