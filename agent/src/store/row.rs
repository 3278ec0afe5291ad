//! Keys and rows: how objects and groups are written.

use std::ops::Range;

use belt::group::Record;
use belt::{GroupId, Hash};
use protocol::belt::ObjectMeta;
use serde::{Deserialize, Serialize};
use types::{NodeId, ObjectId, OwnerEpoch, RunId, StateKey, TaskId, Version, WorkflowId};

use super::StateError;

/// The key of an object: workflow, 0, run, 0, task, 0, key. The run is `-` for none, else `r` and 16 hexadecimal
/// digits, so that keys sort as [`ObjectId`]s do.
pub(crate) fn object_key(id: &ObjectId) -> Vec<u8> {
    let mut key = run_prefix(&id.workflow, id.run);
    key.extend_from_slice(id.task.as_str().as_bytes());
    key.push(0);
    key.extend_from_slice(id.key.as_str().as_bytes());
    key
}

fn run_prefix(workflow: &WorkflowId, run: Option<RunId>) -> Vec<u8> {
    let mut key = workflow.as_str().as_bytes().to_vec();
    key.push(0);
    match run {
        None => key.push(b'-'),
        Some(run) => key.extend_from_slice(format!("r{:016x}", run.0).as_bytes()),
    }
    key.push(0);
    key
}

/// All keys that start with `prefix`, which ends with a 0.
fn below(mut prefix: Vec<u8>) -> Range<Vec<u8>> {
    let start = prefix.clone();
    if let Some(last) = prefix.last_mut() {
        *last += 1;
    }
    start..prefix
}

/// The keys of all lasting state of a group.
pub(crate) fn group_range(group: &GroupId) -> Range<Vec<u8>> {
    let mut prefix = run_prefix(&group.workflow, None);
    prefix.extend_from_slice(group.task.as_str().as_bytes());
    prefix.push(0);
    below(prefix)
}

/// The keys of all objects of a workflow.
pub(crate) fn workflow_range(workflow: &WorkflowId) -> Range<Vec<u8>> {
    let mut prefix = workflow.as_str().as_bytes().to_vec();
    prefix.push(0);
    below(prefix)
}

pub(crate) fn group_key(group: &GroupId) -> Vec<u8> {
    [group.workflow.as_str().as_bytes(), &[0], group.task.as_str().as_bytes()].concat()
}

fn damaged(what: &str) -> StateError {
    StateError::new("read the store", format!("{what} is damaged"))
}

pub(crate) fn object_of(key: &[u8]) -> Result<ObjectId, StateError> {
    let parse = || {
        let text = std::str::from_utf8(key).ok()?;
        let mut parts = text.splitn(4, '\0');
        let workflow = WorkflowId::new(parts.next()?).ok()?;
        let run = match parts.next()? {
            "-" => None,
            run => Some(RunId(u64::from_str_radix(run.strip_prefix('r')?, 16).ok()?)),
        };
        let task = TaskId::new(parts.next()?).ok()?;
        let key = StateKey::new(parts.next()?).ok()?;
        Some(ObjectId { workflow, run, task, key })
    };
    parse().ok_or_else(|| damaged("the key of an object"))
}

pub(crate) fn group_of(key: &[u8]) -> Result<GroupId, StateError> {
    let parse = || {
        let (workflow, task) = std::str::from_utf8(key).ok()?.split_once('\0')?;
        let (workflow, task) = (WorkflowId::new(workflow).ok()?, TaskId::new(task).ok()?);
        Some(GroupId { workflow, task })
    };
    parse().ok_or_else(|| damaged("the key of a group"))
}

/// What is kept of an object beside its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectRow {
    pub(crate) meta: ObjectMeta,
    /// Where its bytes are.
    pub(crate) blob: u64,
    /// The commit of its group that wrote it; orders a group for its journey, least changed first.
    pub(crate) seq: u64,
    /// When it was stored here (sky), nanoseconds since 1970.
    pub(crate) stored_at: i64,
}

/// version, owner epoch, bytes, blob, seq, stored at: 8 bytes each, little endian; then the hash.
const ROW_BYTES: usize = 6 * 8 + 32;

impl ObjectRow {
    pub(crate) fn to_bytes(&self) -> [u8; ROW_BYTES] {
        let numbers = [
            self.meta.version.0.to_le_bytes(),
            self.meta.owner_epoch.0.to_le_bytes(),
            self.meta.bytes.to_le_bytes(),
            self.blob.to_le_bytes(),
            self.seq.to_le_bytes(),
            self.stored_at.to_le_bytes(),
        ];
        let mut row = [0; ROW_BYTES];
        for (slot, number) in row.chunks_exact_mut(8).zip(numbers) {
            slot.copy_from_slice(&number);
        }
        row[48..].copy_from_slice(&self.meta.hash);
        row
    }

    pub(crate) fn read(key: &[u8], row: &[u8]) -> Result<Self, StateError> {
        let (numbers, hash) = row.split_at_checked(48).ok_or_else(|| damaged("an object row"))?;
        let hash: Hash = hash.try_into().map_err(|_length| damaged("an object row"))?;
        let mut next = numbers.as_chunks::<8>().0.iter().map(|eight| u64::from_le_bytes(*eight));
        let mut number = || next.next().unwrap_or_default();
        let (version, owner_epoch, bytes) = (Version(number()), OwnerEpoch(number()), number());
        let meta = ObjectMeta { id: object_of(key)?, version, owner_epoch, hash, bytes };
        Ok(Self { meta, blob: number(), seq: number(), stored_at: number().cast_signed() })
    }
}

/// What is kept of a group beside its objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupRow {
    pub(crate) record: Record,
    /// Runs whose commit records travel with the group, oldest first.
    pub(crate) recent: Vec<RunId>,
    /// No forgotten key ever had a higher version.
    pub(crate) floor: Version,
}

impl GroupRow {
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, StateError> {
        serde_json::to_vec(self).map_err(|error| StateError::new("write a group", error))
    }

    pub(crate) fn read(row: &[u8]) -> Result<Self, StateError> {
        serde_json::from_slice(row).map_err(|error| StateError::new("read a group", error))
    }
}

/// How a commit was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settlement {
    pub(crate) copies: Vec<NodeId>,
    /// `Some(false)`: no second node was planned; `Some(true)`: it had no room.
    pub(crate) single_refused: Option<bool>,
}

impl Settlement {
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, StateError> {
        serde_json::to_vec(self).map_err(|error| StateError::new("write a settlement", error))
    }

    pub(crate) fn read(row: &[u8]) -> Result<Self, StateError> {
        serde_json::from_slice(row).map_err(|error| StateError::new("read a settlement", error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(workflow: &str, run: Option<u64>, task: &str, key: &str) -> ObjectId {
        ObjectId {
            workflow: WorkflowId::new(workflow).unwrap(),
            run: run.map(RunId),
            task: TaskId::new(task).unwrap(),
            key: StateKey::new(key).unwrap(),
        }
    }

    #[test]
    fn keys_sort_as_objects_do_and_come_back() {
        let mut ids = Vec::new();
        for workflow in ["a", "a-b", "a0", "ab", "b"] {
            for run in [None, Some(0), Some(9), Some(10), Some(u64::MAX)] {
                for task in ["t", "t-1", "t0"] {
                    for key in [".group", "a", "a-b", "a.b", "a/b", "a0"] {
                        ids.push(id(workflow, run, task, key));
                    }
                }
            }
        }
        let by_key = |a: &ObjectId, b: &ObjectId| object_key(a).cmp(&object_key(b));
        let mut sorted = ids.clone();
        sorted.sort();
        ids.sort_by(by_key);
        assert_eq!(ids, sorted);
        assert!(ids.iter().all(|id| object_of(&object_key(id)).unwrap() == *id));
    }

    #[test]
    fn ranges_hold_their_own_and_nothing_else() {
        let group =
            GroupId { workflow: WorkflowId::new("a").unwrap(), task: TaskId::new("t").unwrap() };
        let range = group_range(&group);
        assert!(range.contains(&object_key(&id("a", None, "t", ".group"))));
        assert!(range.contains(&object_key(&id("a", None, "t", "z/9"))));
        for other in
            [id("a", Some(0), "t", "k"), id("a", None, "t0", "k"), id("a-b", None, "t", "k")]
        {
            assert!(!range.contains(&object_key(&other)), "{other}");
        }
        let range = workflow_range(&group.workflow);
        assert!(range.contains(&object_key(&id("a", Some(3), "x", "k"))));
        assert!(!range.contains(&object_key(&id("a-b", None, "t", "k"))));
        assert_eq!(group_of(&group_key(&group)).unwrap(), group);
    }

    #[test]
    fn rows_come_back_and_damage_is_noticed() {
        let meta = ObjectMeta {
            id: id("w", Some(3), "t", "k"),
            version: Version(7),
            owner_epoch: OwnerEpoch(2),
            hash: [9; 32],
            bytes: 12,
        };
        let row = ObjectRow { meta, blob: 4, seq: 5, stored_at: -6 };
        let key = object_key(&row.meta.id);
        assert_eq!(ObjectRow::read(&key, &row.to_bytes()).unwrap(), row);
        assert!(ObjectRow::read(&key, &row.to_bytes()[..79]).is_err());
        assert!(ObjectRow::read(&key, &[]).is_err());
        assert!(object_of(b"w\0x\0t\0k").is_err());
        assert!(GroupRow::read(b"{}").is_err());
    }
}
