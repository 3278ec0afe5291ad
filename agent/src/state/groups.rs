//! The groups of a node: for each the machine of `belt`, run over the store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use belt::group::{Group, Input, Output, Record, With};
use belt::{GroupId, Stamp, hash_of};
use protocol::belt::ObjectMeta;
use tokio::sync::Notify;
use types::{NodeId, ObjectId, OwnerEpoch, RunId, StateKey, Version};

use crate::store::{GroupRow, Room, StateError, Store, Sync, Writer};

/// Most groups that a node knows: its 64 tasks, and copies of those of its neighbours.
const GROUPS_MAX: usize = 512;
/// The object that stands for a group: its version counts the group's commits, its epoch is that of the last owner.
const HEAD: &str = ".group";
/// The object that stands for a commit: the answer of the stage.
const COMMIT: &str = ".commit";

fn own_key(name: &str) -> StateKey {
    StateKey::new(name).expect("a dot and letters")
}

pub(super) fn head_id(group: &GroupId) -> ObjectId {
    object_id(group, None, HEAD)
}

pub(super) fn commit_id(group: &GroupId, run: RunId) -> ObjectId {
    object_id(group, Some(run), COMMIT)
}

fn object_id(group: &GroupId, run: Option<RunId>, name: &str) -> ObjectId {
    let (workflow, task) = (group.workflow.clone(), group.task.clone());
    ObjectId { workflow, run, task, key: own_key(name) }
}

pub(super) fn is_head(id: &ObjectId) -> bool {
    id.run.is_none() && id.key.as_str() == HEAD
}

pub(super) fn is_commit(id: &ObjectId) -> bool {
    id.run.is_some() && id.key.as_str() == COMMIT
}

/// Locks; a panic elsewhere leaves nothing half done here, since values are replaced whole.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the controller said last; said again at each start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// The epoch that it named.
    pub(super) named: Option<OwnerEpoch>,
    /// Where the second copy goes.
    pub(super) replica: Option<NodeId>,
    /// Who follows.
    pub(super) successor: Option<NodeId>,
}

/// One group.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) id: GroupId,
    machine: Mutex<Group>,
    word: Mutex<Word>,
    /// Told when no call is in flight while the group is being handed over.
    pub(super) quiet: Notify,
    /// One hand-over at a time.
    pub(super) handing_over: tokio::sync::Mutex<()>,
    /// One search for a fresher copy at a time.
    pub(super) catching_up: tokio::sync::Mutex<()>,
}

impl Held {
    fn new(id: GroupId, record: Record) -> Self {
        Self {
            id,
            machine: Mutex::new(Group::new(record)),
            word: Mutex::default(),
            quiet: Notify::new(),
            handing_over: tokio::sync::Mutex::default(),
            catching_up: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn word(&self) -> Word {
        locked(&self.word).clone()
    }

    pub(super) fn set_word(&self, word: Word) {
        *locked(&self.word) = word;
    }

    /// Looks at the machine.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Group) -> T) -> T {
        look(&locked(&self.machine))
    }

    /// Applies one input. What must be durable is, when this returns the rest; `data` writes what belongs to a record
    /// into its transaction. If anything fails, nothing has happened.
    pub(super) fn step<E: From<StateError>>(
        &self,
        store: &Store,
        input: Input,
        mut data: impl FnMut(&mut Writer<'_>, With, &mut GroupRow) -> Result<(), E>,
    ) -> Result<Vec<Output>, E> {
        let mut machine = locked(&self.machine);
        let mut next = machine.clone();
        let mut rest = Vec::new();
        for output in next.handle(input) {
            match output {
                Output::Persist { record, with } => store.write(Sync::Now, |writer| {
                    let mut row = writer.group(&self.id)?;
                    row.record = record;
                    data(writer, with, &mut row)?;
                    self.write_head(writer, &row)?;
                    Ok::<_, E>(writer.put_group(&self.id, &row)?)
                })?,
                Output::Quiet => {
                    self.quiet.notify_one();
                    rest.push(Output::Quiet);
                }
                other => rest.push(other),
            }
        }
        *machine = next;
        Ok(rest)
    }

    /// A step that takes no data along.
    pub(super) fn plain_step(
        &self,
        store: &Store,
        input: Input,
    ) -> Result<Vec<Output>, StateError> {
        self.step(store, input, |_, _, _| Ok(()))
    }

    /// A step that only needs memory.
    pub(super) fn call_ended(&self) {
        let mut machine = locked(&self.machine);
        if machine.handle(Input::CallEnded).contains(&Output::Quiet) {
            self.quiet.notify_one();
        }
    }

    /// Admits a call and looks at the store before anything else can commit.
    pub(super) fn admit<T>(&self, look: impl FnOnce() -> Result<T, StateError>) -> Admission<T> {
        let mut machine = locked(&self.machine);
        let outputs = machine.handle(Input::Call);
        let Some(Output::Admit { epoch }) = outputs.first() else {
            return Admission::Refused(outputs);
        };
        match look() {
            Ok(seen) => Admission::Admitted { epoch: *epoch, stamp: machine.record().stamp, seen },
            Err(error) => {
                machine.handle(Input::CallEnded);
                Admission::Failed(error)
            }
        }
    }

    fn write_head(&self, writer: &mut Writer<'_>, row: &GroupRow) -> Result<(), StateError> {
        let stamp = row.record.stamp;
        if stamp == Stamp::default() {
            return Ok(());
        }
        let floor = row.floor.0.to_le_bytes();
        let meta = ObjectMeta {
            id: head_id(&self.id),
            version: Version(stamp.seq),
            owner_epoch: stamp.epoch,
            hash: hash_of(&floor),
            bytes: floor.len() as u64,
        };
        match writer.object(&meta.id)? {
            Some(old) if old.meta == meta => Ok(()),
            Some(old) if old.meta.hash == meta.hash => writer.retitle(&old, &meta),
            _ => writer.put(&meta, &floor, (0, 0), Room::Custody),
        }
    }
}

/// What became of a call that wanted to begin.
pub(super) enum Admission<T> {
    Admitted { epoch: OwnerEpoch, stamp: Stamp, seen: T },
    Refused(Vec<Output>),
    Failed(StateError),
}

/// All groups.
#[derive(Debug)]
pub(super) struct Groups {
    held: Mutex<BTreeMap<GroupId, Arc<Held>>>,
}

impl Groups {
    /// The groups that the store knows.
    pub(super) fn open(store: &Store) -> Result<Self, StateError> {
        let rows = store.snapshot()?.groups()?;
        let held = rows.into_iter().map(|(id, row)| {
            let held = Arc::new(Held::new(id.clone(), row.record));
            (id, held)
        });
        Ok(Self { held: Mutex::new(held.collect()) })
    }

    pub(super) fn get(&self, id: &GroupId) -> Option<Arc<Held>> {
        locked(&self.held).get(id).cloned()
    }

    /// The group, new if it was never heard of.
    pub(super) fn get_or_new(&self, id: &GroupId) -> Result<Arc<Held>, StateError> {
        let mut held = locked(&self.held);
        if let Some(known) = held.get(id) {
            return Ok(Arc::clone(known));
        }
        if GROUPS_MAX <= held.len() {
            let reason = format!("this node knows {GROUPS_MAX} groups, the most it can");
            return Err(StateError::new("add a group", reason));
        }
        let new = Arc::new(Held::new(id.clone(), Record::default()));
        held.insert(id.clone(), Arc::clone(&new));
        Ok(new)
    }
}
