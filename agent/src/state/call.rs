//! One call's view of state: a snapshot to read, an overlay to write, and what came with the call.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use belt::{StageId, Stamp};
use protocol::belt::ObjectMeta;
use protocol::call::is_call;
use protocol::invoke::{Input, OUTPUTS_MAX};
use types::{FunctionId, ObjectId, OwnerEpoch, StateKey, TaskId, Version};

use super::groups::Held;
use super::inner::Inner;
use crate::store::{ObjectRow, Snapshot, StateError, is_reserved, visible_keys};

/// Largest value of lasting state.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// Most calls of the state interface by one call.
pub const STATE_OPS_MAX: u32 = 64;
/// Most bytes of state that one call reads and writes.
pub const STATE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most bytes of outputs of one call.
pub const OUTPUT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most values of one group; with graves and commit records they fit into one bundle.
pub const GROUP_VALUES_MAX: usize = 128;

/// Why a function's state operation was not done. The shell turns it into the guest's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateFault {
    /// The key cannot be used.
    #[error("{0}")]
    BadInput(String),
    /// There is no such thing.
    #[error("not found")]
    NotFound,
    /// Over a limit.
    #[error("{0}")]
    TooLarge(String),
    /// The present version is another one.
    #[error("the present version is {0}")]
    Conflict(u64),
    /// The store failed.
    #[error("{0}")]
    Internal(String),
}

impl From<StateError> for StateFault {
    fn from(error: StateError) -> Self {
        Self::Internal(error.to_string())
    }
}

/// A write of lasting state that waits for the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Write {
    /// The version that it will have.
    pub(super) version: Version,
    /// `None` removes the value.
    pub(super) value: Option<Vec<u8>>,
}

/// What a call has seen, to be checked when it commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reads {
    /// The versions of the values that it looked at; `None` where there was none.
    pub(super) versions: BTreeMap<StateKey, Option<Version>>,
    /// The prefixes that it listed, with what it found.
    pub(super) lists: Vec<(Option<StateKey>, Vec<StateKey>)>,
}

/// What is needed to take writes back.
#[derive(Debug, Default)]
struct Undo {
    /// What writes replaced since the first mark that is still set, oldest first.
    replaced: Vec<(StateKey, Option<Write>)>,
    marks: u32,
}

/// What a call had written at a moment.
#[derive(Debug, Default)]
pub struct Mark(usize);

/// Ends a call for the machines when it is dropped.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) inner: Arc<Inner>,
    pub(super) held: Arc<Held>,
    pub(super) stage: StageId,
    pub(super) attempt: u32,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.inner.stage_ended(&self.stage, self.attempt);
        self.held.call_ended();
    }
}

/// The data half of a call: reads see the state as it was when the call began, and the call's own writes.
/// Nothing of it is durable or visible before `commit`; dropping it ends the call without a trace.
#[derive(Debug)]
pub struct CallState {
    pub(super) guard: Guard,
    pub(super) epoch: OwnerEpoch,
    /// The newest commit of the group when the call began.
    pub(super) stamp: Stamp,
    pub(super) local_at_start: bool,
    /// Boxed: many table handles, moved from hand to hand.
    snapshot: Box<Snapshot>,
    inputs: Vec<ObjectRow>,
    metas: Vec<ObjectMeta>,
    /// Boxed, as are the rest that is used now and then: the answer of `begin` stays small.
    pub(super) reads: Box<Reads>,
    pub(super) writes: BTreeMap<StateKey, Write>,
    pub(super) outputs: BTreeMap<StateKey, Vec<u8>>,
    undo: Box<Undo>,
    ops: u32,
    state_bytes: usize,
    output_bytes: usize,
}

impl CallState {
    pub(super) fn new(
        guard: Guard,
        (epoch, stamp): (OwnerEpoch, Stamp),
        snapshot: Snapshot,
        inputs: Vec<ObjectRow>,
        local_at_start: bool,
    ) -> Self {
        let metas = inputs.iter().map(|row| row.meta.clone()).collect();
        Self {
            guard,
            epoch,
            stamp,
            local_at_start,
            snapshot: Box::new(snapshot),
            inputs,
            metas,
            reads: Box::default(),
            writes: BTreeMap::new(),
            outputs: BTreeMap::new(),
            undo: Box::default(),
            ops: 0,
            state_bytes: 0,
            output_bytes: 0,
        }
    }

    /// Remembers what is written now, for [`Self::roll_back`]; [`Self::unmark`] must follow.
    pub fn mark(&mut self) -> Mark {
        self.undo.marks += 1;
        Mark(self.undo.replaced.len())
    }

    /// Takes back all writes of state since a mark. What they used of the limits stays used.
    pub fn roll_back(&mut self, to: &Mark) {
        while to.0 < self.undo.replaced.len()
            && let Some((key, before)) = self.undo.replaced.pop()
        {
            match before {
                Some(write) => _ = self.writes.insert(key, write),
                None => _ = self.writes.remove(&key),
            }
        }
    }

    /// The last mark is not needed any more.
    pub fn unmark(&mut self) {
        self.undo.marks = self.undo.marks.saturating_sub(1);
        if self.undo.marks == 0 {
            self.undo.replaced.clear();
        }
    }

    fn write(&mut self, key: &StateKey, write: Write) {
        let before = self.writes.insert(key.clone(), write);
        if 0 < self.undo.marks {
            self.undo.replaced.push((key.clone(), before));
        }
    }

    fn id(&self, key: &StateKey) -> ObjectId {
        let group = &self.guard.held.id;
        let (workflow, task) = (group.workflow.clone(), group.task.clone());
        ObjectId { workflow, run: None, task, key: key.clone() }
    }

    fn operation(&mut self, key: Option<&StateKey>) -> Result<(), StateFault> {
        if STATE_OPS_MAX <= self.ops {
            let rule = format!("a call uses state at most {STATE_OPS_MAX} times");
            return Err(StateFault::TooLarge(rule));
        }
        self.ops += 1;
        refuse_reserved(key)
    }

    fn count(&mut self, bytes: usize) -> Result<(), StateFault> {
        let total = self.state_bytes.saturating_add(bytes);
        if STATE_BYTES_MAX < total {
            let rule = format!("a call moves at most {STATE_BYTES_MAX} bytes of state");
            return Err(StateFault::TooLarge(rule));
        }
        self.state_bytes = total;
        Ok(())
    }

    /// The committed value of a key, as of the beginning of the call.
    fn committed(&mut self, key: &StateKey) -> Result<Option<ObjectRow>, StateFault> {
        let row = self.snapshot.object(&self.id(key))?;
        let version = row.as_ref().map(|row| row.meta.version);
        self.reads.versions.insert(key.clone(), version);
        Ok(row)
    }

    /// Reads a value and the count of its committed writes; sees the writes of this call.
    ///
    /// # Errors
    /// [`StateFault`] over the limits of a call, or when the store fails.
    pub fn state_get(&mut self, key: &StateKey) -> Result<Option<(Vec<u8>, u64)>, StateFault> {
        self.operation(Some(key))?;
        if let Some(write) = self.writes.get(key) {
            let found = write.value.clone().map(|value| (value, write.version.0));
            self.count(found.as_ref().map_or(0, |(value, _)| value.len()))?;
            return Ok(found);
        }
        let Some(row) = self.committed(key)? else { return Ok(None) };
        let len = usize::try_from(row.meta.bytes).unwrap_or(usize::MAX);
        self.count(len)?;
        Ok(Some((self.snapshot.read(&row, 0, len)?, row.meta.version.0)))
    }

    /// Reads at most `len` bytes of a value from `offset` on; a short answer means its end.
    ///
    /// # Errors
    /// [`StateFault`] over the limits of a call, or when the store fails.
    pub fn state_get_range(
        &mut self,
        key: &StateKey,
        offset: u64,
        len: u32,
    ) -> Result<Option<Vec<u8>>, StateFault> {
        self.operation(Some(key))?;
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(VALUE_BYTES_MAX);
        if let Some(write) = self.writes.get(key) {
            let found = write.value.as_ref().map(|value| part(value, offset, len).to_vec());
            self.count(found.as_ref().map_or(0, Vec::len))?;
            return Ok(found);
        }
        let Some(row) = self.committed(key)? else { return Ok(None) };
        let found = self.snapshot.read(&row, offset, len)?;
        self.count(found.len())?;
        Ok(Some(found))
    }

    /// Makes all writes (key, value or removal, expected version) or, with the first fault, none. Answers their versions;
    /// 0 for a removed value.
    ///
    /// # Errors
    /// [`StateFault`] on another version, or over the limits of a call.
    pub fn state_batch(
        &mut self,
        writes: Vec<(StateKey, Option<Vec<u8>>, Option<u64>)>,
    ) -> Result<Vec<u64>, StateFault> {
        let (mark, bytes_before) = (self.mark(), self.state_bytes);
        let made = writes.into_iter().map(|(key, value, expect)| match value {
            Some(value) => self.state_put(&key, value, expect),
            None => self.state_remove(&key, expect).map(|()| 0),
        });
        let versions = made.collect::<Result<_, _>>();
        if versions.is_err() {
            self.roll_back(&mark);
            self.state_bytes = bytes_before;
        }
        self.unmark();
        versions
    }

    /// The present version of a key, 0 if it has no value, and the version that a write will have.
    fn versions(&mut self, key: &StateKey) -> Result<(u64, Version), StateFault> {
        if let Some(write) = self.writes.get(key) {
            let present = if write.value.is_some() { write.version.0 } else { 0 };
            return Ok((present, write.version));
        }
        let present = self.committed(key)?.map(|row| row.meta.version);
        let last = match present {
            Some(version) => version,
            // Versions of a key only rise, also over its deletion.
            None => {
                let floor =
                    self.snapshot.group(&self.guard.held.id)?.map_or(Version(0), |g| g.floor);
                self.snapshot.tombstone(&self.id(key))?.unwrap_or(Version(0)).max(floor)
            }
        };
        Ok((present.map_or(0, |version| version.0), last.next()))
    }

    /// Writes a value; with `expect` only if that is the present version (0: no value yet).
    /// Answers the version that it will have.
    ///
    /// # Errors
    /// [`StateFault`] on another version, or over the limits of a call.
    pub fn state_put(
        &mut self,
        key: &StateKey,
        value: Vec<u8>,
        expect: Option<u64>,
    ) -> Result<u64, StateFault> {
        self.operation(Some(key))?;
        if VALUE_BYTES_MAX < value.len() {
            let rule = format!("a value has at most {VALUE_BYTES_MAX} bytes, not {}", value.len());
            return Err(StateFault::TooLarge(rule));
        }
        let (present, next) = self.versions(key)?;
        if expect.is_some_and(|expected| expected != present) {
            return Err(StateFault::Conflict(present));
        }
        self.count(value.len())?;
        self.write(key, Write { version: next, value: Some(value) });
        Ok(next.0)
    }

    /// Removes a value.
    ///
    /// # Errors
    /// [`StateFault::NotFound`] when there is none, or over the limits of a call.
    pub fn state_delete(&mut self, key: &StateKey) -> Result<(), StateFault> {
        self.state_remove(key, None)
    }

    fn state_remove(&mut self, key: &StateKey, expect: Option<u64>) -> Result<(), StateFault> {
        self.operation(Some(key))?;
        let (present, next) = self.versions(key)?;
        if expect.is_some_and(|expected| expected != present) {
            return Err(StateFault::Conflict(present));
        }
        if present == 0 {
            return Err(StateFault::NotFound);
        }
        self.write(key, Write { version: next, value: None });
        Ok(())
    }

    /// The keys at or below a prefix, in order; all without one.
    ///
    /// # Errors
    /// [`StateFault`] over the limits of a call, or when the store fails.
    pub fn state_keys(&mut self, prefix: Option<&StateKey>) -> Result<Vec<StateKey>, StateFault> {
        self.operation(prefix)?;
        let rows = self.snapshot.group_objects(&self.guard.held.id)?;
        let mut keys = visible_keys(&rows, prefix);
        self.reads.lists.push((prefix.cloned(), keys.clone()));
        for (key, write) in &self.writes {
            match (keys.binary_search(key), &write.value) {
                (Ok(at), None) => _ = keys.remove(at),
                (Err(at), Some(_)) if prefix.is_none_or(|prefix| key.is_within(prefix)) => {
                    keys.insert(at, key.clone());
                }
                _ => {}
            }
        }
        Ok(keys)
    }

    /// The epoch under which this node owns the task.
    pub const fn owner_epoch(&self) -> OwnerEpoch {
        self.epoch
    }

    /// What the last instance of a function wanted to be remembered; forgotten when the call commits, since an instance has it then.
    ///
    /// # Errors
    /// [`StateFault::Internal`] when the store fails.
    pub fn take_memory(&mut self, function: &FunctionId) -> Result<Option<Vec<u8>>, StateFault> {
        let key = memory_key(function);
        let Some(row) = self.snapshot.object(&self.id(&key))? else { return Ok(None) };
        let memory = self.snapshot.read(&row, 0, VALUE_BYTES_MAX)?;
        self.write(&key, Write { version: row.meta.version.next(), value: None });
        Ok(Some(memory))
    }

    /// What came with the call: outputs of the stages before, and objects of data sources.
    pub fn inputs(&self) -> &[ObjectMeta] {
        &self.metas
    }

    /// Reads a part of an input; a short answer means its end.
    ///
    /// # Errors
    /// [`StateFault::NotFound`] for what did not come with the call.
    pub fn input_read(
        &mut self,
        task: &TaskId,
        key: &StateKey,
        offset: u64,
        len: u32,
    ) -> Result<Vec<u8>, StateFault> {
        let row = self.input(task, key)?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        Ok(self.snapshot.read(row, offset, len)?)
    }

    /// Writes all of an input to where another process reads it.
    ///
    /// # Errors
    /// [`StateFault::NotFound`] for what did not come with the call, [`StateFault::Internal`] if it cannot be written there.
    pub fn input_copy(
        &self,
        task: &TaskId,
        key: &StateKey,
        out: &mut dyn io::Write,
    ) -> Result<(), StateFault> {
        Ok(self.snapshot.copy(self.input(task, key)?, out)?)
    }

    /// How many bytes an input has.
    ///
    /// # Errors
    /// [`StateFault::NotFound`] if there is none.
    pub fn bytes_of_input(&self, task: &TaskId, key: &StateKey) -> Result<u64, StateFault> {
        Ok(self.input(task, key)?.meta.bytes)
    }

    fn input(&self, task: &TaskId, key: &StateKey) -> Result<&ObjectRow, StateFault> {
        let is_it = |row: &&ObjectRow| row.meta.id.task == *task && row.meta.id.key == *key;
        self.inputs.iter().find(is_it).ok_or(StateFault::NotFound)
    }

    /// Writes an object for the stages after; a second write of a key appends to it.
    ///
    /// # Errors
    /// [`StateFault`] over the limits of a call.
    pub fn output_write(&mut self, key: &StateKey, bytes: Vec<u8>) -> Result<(), StateFault> {
        self.output_admit(key, bytes.len())?;
        match self.outputs.get_mut(key) {
            Some(present) => present.extend_from_slice(&bytes),
            None => _ = self.outputs.insert(key.clone(), bytes),
        }
        Ok(())
    }

    /// Writes over a part of an object of this call; what goes beyond its end extends it.
    ///
    /// # Errors
    /// [`StateFault`] for an offset beyond its end, or over the limits of a call.
    pub fn output_write_at(
        &mut self,
        key: &StateKey,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), StateFault> {
        let length = self.outputs.get(key).map_or(0, Vec::len);
        let start = usize::try_from(offset).ok().filter(|start| *start <= length);
        let start = start.ok_or_else(|| {
            StateFault::BadInput(format!("offset {offset} lies beyond the {length} bytes of {key}"))
        })?;
        let end = start.saturating_add(bytes.len());
        self.output_admit(key, end.saturating_sub(length))?;
        let object = self.outputs.entry(key.clone()).or_default();
        object.resize(length.max(end), 0);
        object[start..end].copy_from_slice(bytes);
        Ok(())
    }

    /// Counts bytes that an object of this call will have more.
    ///
    /// # Errors
    /// [`StateFault`] over the limits of a call.
    pub fn output_admit(&mut self, key: &StateKey, bytes: usize) -> Result<(), StateFault> {
        refuse_reserved(Some(key))?;
        let total = self.output_bytes.saturating_add(bytes);
        if OUTPUT_BYTES_MAX < total {
            let rule = format!("a call writes at most {OUTPUT_BYTES_MAX} bytes of objects");
            return Err(StateFault::TooLarge(rule));
        }
        if !self.outputs.contains_key(key) && OUTPUTS_MAX <= self.outputs.len() {
            let rule = format!("a call writes at most {OUTPUTS_MAX} objects");
            return Err(StateFault::TooLarge(rule));
        }
        self.output_bytes = total;
        Ok(())
    }

    /// Takes a whole object whose bytes were counted.
    ///
    /// # Errors
    /// [`StateFault`] when there are too many objects after all.
    pub fn output_take(&mut self, key: &StateKey, bytes: &[u8]) -> Result<(), StateFault> {
        self.output_admit(key, 0)?;
        self.outputs.insert(key.clone(), bytes.to_vec());
        Ok(())
    }

    /// An object that this call has written so far.
    pub fn output_read(&self, key: &StateKey) -> Option<&Vec<u8>> {
        self.outputs.get(key)
    }

    /// Hands an input on as an object of this call.
    ///
    /// # Errors
    /// [`StateFault::NotFound`] for what did not come with the call, or over the limits of a call.
    pub fn output_forward(
        &mut self,
        task: &TaskId,
        key: &StateKey,
        to: &StateKey,
    ) -> Result<(), StateFault> {
        let bytes = self.input_read(task, key, 0, u32::MAX)?;
        self.output_write(to, bytes)
    }

    /// How often the state interface was called.
    pub const fn state_ops(&self) -> u32 {
        self.ops
    }

    /// Whether all of these inputs were made on this node, or by its data sources; `None`: there are none.
    pub fn are_inputs_of_here(&self, inputs: &[Input]) -> Option<bool> {
        let me = &self.guard.inner.me;
        let is_of_here = |row: &ObjectRow| match row.meta.id.run {
            // What another node made has no commit of a group of this one.
            Some(_) if row.seq != 0 => true,
            // Of a data source, or lent by a function of this node.
            _ => {
                let mut named = inputs.iter().filter(|input| input.object.id == row.meta.id);
                let is_made_here = row.meta.id.run.is_none_or(is_call);
                is_made_here && named.any(|input| input.holder == *me)
            }
        };
        (!self.inputs.is_empty()).then(|| self.inputs.iter().all(is_of_here))
    }

    /// Bytes of all inputs.
    pub fn input_bytes(&self) -> u64 {
        self.metas.iter().map(|input| input.bytes).sum()
    }

    /// Bytes of outputs and state written so far.
    pub fn written_bytes(&self) -> u64 {
        let written = self.writes.values().filter_map(|write| write.value.as_ref());
        let state: usize = written.map(Vec::len).sum();
        (state + self.output_bytes) as u64
    }
}

/// At most `len` bytes from `offset` on.
fn part(bytes: &[u8], offset: u64, len: usize) -> &[u8] {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    bytes.get(start..start.saturating_add(len).min(bytes.len())).unwrap_or_default()
}

/// Where it lies what an instance of a function wants to be remembered.
pub(super) fn memory_key(function: &FunctionId) -> StateKey {
    StateKey::new(&format!(".memory/{function}")).expect("the name of a function is a segment")
}

fn refuse_reserved(key: Option<&StateKey>) -> Result<(), StateFault> {
    match key {
        Some(key) if is_reserved(key) => {
            let rule = format!("key {key} begins with a dot; such keys belong to the node");
            Err(StateFault::BadInput(rule))
        }
        _ => Ok(()),
    }
}
