//! What the store held at one moment: a consistent view for as long as it is kept.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;
use std::ops::{Bound, Range};

use belt::{GroupId, Hash};
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable};
use types::{ObjectId, StateKey, Version, WorkflowId};

use super::row::{group_key, group_of, group_range, object_of, workflow_range};
use super::tables::{BLOBS, COUNTERS, DELETED, GROUPS, KEPT, OBJECTS, RECORDS, SETTLED, STAGED};
use super::writer::{PART_BYTES, staged_range};
use super::{GroupRow, ObjectRow, Settlement, StateError, failed, object_key};

type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// A deleted value: its name, the version of the deletion and the commit that deleted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tombstone {
    pub(crate) id: ObjectId,
    pub(crate) version: Version,
    pub(crate) seq: u64,
}

pub(crate) struct Snapshot {
    objects: Rows,
    kept: Rows,
    blobs: ReadOnlyTable<(u64, u32), &'static [u8]>,
    deleted: Rows,
    groups: Rows,
    settled: Rows,
    staged: Rows,
    records: ReadOnlyTable<&'static str, &'static [u8]>,
    counters: ReadOnlyTable<&'static str, u64>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Snapshot")
    }
}

const READ: &str = "read the store";

impl Snapshot {
    pub(super) fn open(transaction: &ReadTransaction) -> Result<Self, StateError> {
        let rows = |table| transaction.open_table(table).map_err(failed(READ));
        Ok(Self {
            objects: rows(OBJECTS)?,
            kept: rows(KEPT)?,
            blobs: transaction.open_table(BLOBS).map_err(failed(READ))?,
            deleted: rows(DELETED)?,
            groups: rows(GROUPS)?,
            settled: rows(SETTLED)?,
            staged: rows(STAGED)?,
            records: transaction.open_table(RECORDS).map_err(failed(READ))?,
            counters: transaction.open_table(COUNTERS).map_err(failed(READ))?,
        })
    }

    pub(super) fn counter(&self, name: &str) -> Result<u64, StateError> {
        let found = self.counters.get(name).map_err(failed(READ))?;
        Ok(found.map_or(0, |value| value.value()))
    }

    pub(crate) fn object(&self, id: &ObjectId) -> Result<Option<ObjectRow>, StateError> {
        object(&self.objects, id)
    }

    /// The lasting state of a group, in order of its keys.
    pub(crate) fn group_objects(&self, group: &GroupId) -> Result<Vec<ObjectRow>, StateError> {
        rows_in(&self.objects, group_range(group))
    }

    pub(crate) fn tombstones(&self, group: &GroupId) -> Result<Vec<Tombstone>, StateError> {
        tombstones(&self.deleted, group)
    }

    pub(crate) fn tombstone(&self, id: &ObjectId) -> Result<Option<Version>, StateError> {
        tombstone(&self.deleted, id)
    }

    pub(crate) fn group(&self, group: &GroupId) -> Result<Option<GroupRow>, StateError> {
        group_row(&self.groups, group)
    }

    pub(crate) fn groups(&self) -> Result<Vec<(GroupId, GroupRow)>, StateError> {
        let mut found = Vec::new();
        for entry in self.groups.iter().map_err(failed(READ))? {
            let (key, row) = entry.map_err(failed(READ))?;
            found.push((group_of(key.value())?, GroupRow::read(row.value())?));
        }
        Ok(found)
    }

    pub(crate) fn settled(&self, commit: &ObjectId) -> Result<Option<Settlement>, StateError> {
        let key = object_key(commit);
        let found = self.settled.get(key.as_slice()).map_err(failed(READ))?;
        found.map(|row| Settlement::read(row.value())).transpose()
    }

    pub(crate) fn record(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        let found = self.records.get(name).map_err(failed(READ))?;
        Ok(found.map(|bytes| bytes.value().to_vec()))
    }

    /// The objects of a workflow after one, in order; at most `max`, and whether more follow.
    pub(crate) fn inventory(
        &self,
        workflow: &WorkflowId,
        after: Option<&ObjectId>,
        max: usize,
    ) -> Result<(Vec<ObjectRow>, bool), StateError> {
        let all = workflow_range(workflow);
        let start = match after {
            Some(after) => Bound::Excluded(object_key(after)),
            None => Bound::Included(all.start.clone()),
        };
        let mut found = Vec::new();
        let bounds = (as_slice(&start), Bound::Excluded(all.end.as_slice()));
        if matches!(&start, Bound::Excluded(start) if all.end <= *start || *start < all.start) {
            return Ok((found, false));
        }
        for entry in self.objects.range::<&[u8]>(bounds).map_err(failed(READ))? {
            let (key, row) = entry.map_err(failed(READ))?;
            if found.len() == max {
                return Ok((found, true));
            }
            found.push(ObjectRow::read(key.value(), row.value())?);
        }
        Ok((found, false))
    }

    /// The objects that were replaced although a newer owner may lack them.
    pub(crate) fn kept(&self) -> Result<Vec<ObjectRow>, StateError> {
        let mut found = Vec::new();
        for entry in self.kept.iter().map_err(failed(READ))? {
            let (key, row) = entry.map_err(failed(READ))?;
            let key = key.value();
            // The name, a 0 and the hash.
            let name = key.len().checked_sub(33).and_then(|end| key.get(..end)).unwrap_or(key);
            found.push(ObjectRow::read(name, row.value())?);
        }
        Ok(found)
    }

    /// Whether an object of a run was stored before a moment.
    pub(crate) fn has_object_before(&self, before: i64) -> Result<bool, StateError> {
        for entry in self.objects.iter().map_err(failed(READ))? {
            let (key, row) = entry.map_err(failed(READ))?;
            let row = ObjectRow::read(key.value(), row.value())?;
            if row.meta.id.run.is_some() && row.stored_at < before {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether chunks are staged of a bundle that is not open.
    pub(crate) fn stages_others(
        &self,
        is_open: impl Fn(&[u8]) -> bool,
    ) -> Result<bool, StateError> {
        for entry in self.staged.iter().map_err(failed(READ))? {
            let (key, _) = entry.map_err(failed(READ))?;
            if !key.value().get(..32).is_some_and(&is_open) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The chunks of a bundle that are here.
    pub(crate) fn staged(&self, bundle: &Hash) -> Result<BTreeSet<u32>, StateError> {
        let (start, end) = staged_range(bundle);
        let mut found = BTreeSet::new();
        let range = self.staged.range::<&[u8]>(start.as_slice()..=end.as_slice());
        for entry in range.map_err(failed(READ))? {
            let (key, _) = entry.map_err(failed(READ))?;
            if let Some(index) = key.value().last_chunk::<4>() {
                found.insert(u32::from_be_bytes(*index));
            }
        }
        Ok(found)
    }

    /// Bytes of an object from `offset` on, at most `len`; short at its end.
    pub(crate) fn read(
        &self,
        row: &ObjectRow,
        offset: u64,
        len: usize,
    ) -> Result<Vec<u8>, StateError> {
        let mut bytes = Vec::new();
        self.each_piece(row, offset, len, |piece, all| {
            if bytes.is_empty() {
                bytes.reserve_exact(all);
            }
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    /// Writes all bytes of an object.
    pub(crate) fn copy(&self, row: &ObjectRow, out: &mut dyn Write) -> Result<(), StateError> {
        self.each_piece(row, 0, usize::MAX, |piece, _| out.write_all(piece).map_err(failed(READ)))
    }

    /// Passes bytes of an object from `offset` on, at most `len`, in pieces, each with the number of all of them.
    fn each_piece(
        &self,
        row: &ObjectRow,
        offset: u64,
        len: usize,
        mut take: impl FnMut(&[u8], usize) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let left = usize::try_from(row.meta.bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = len.min(left);
        let mut taken = 0;
        while taken < len {
            let at = offset + taken as u64;
            let part = u32::try_from(at / PART_BYTES as u64).map_err(failed(READ))?;
            let within = usize::try_from(at % PART_BYTES as u64).map_err(failed(READ))?;
            let found = self.blobs.get((row.blob, part)).map_err(failed(READ))?;
            let piece = found.as_ref().and_then(|part| part.value().get(within..));
            let Some(piece) = piece.filter(|piece| !piece.is_empty()) else {
                return Err(StateError::new(READ, format!("bytes of {} are missing", row.meta.id)));
            };
            let piece = &piece[..piece.len().min(len - taken)];
            take(piece, len)?;
            taken += piece.len();
        }
        Ok(())
    }
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key.as_slice()),
        Bound::Excluded(key) => Bound::Excluded(key.as_slice()),
        Bound::Unbounded => Bound::Unbounded,
    }
}

pub(super) fn object(
    objects: &impl ReadableTable<&'static [u8], &'static [u8]>,
    id: &ObjectId,
) -> Result<Option<ObjectRow>, StateError> {
    let key = object_key(id);
    let found = objects.get(key.as_slice()).map_err(failed(READ))?;
    found.map(|row| ObjectRow::read(&key, row.value())).transpose()
}

pub(super) fn rows_in(
    objects: &impl ReadableTable<&'static [u8], &'static [u8]>,
    range: Range<Vec<u8>>,
) -> Result<Vec<ObjectRow>, StateError> {
    let mut found = Vec::new();
    let range = objects.range::<&[u8]>(range.start.as_slice()..range.end.as_slice());
    for entry in range.map_err(failed(READ))? {
        let (key, row) = entry.map_err(failed(READ))?;
        found.push(ObjectRow::read(key.value(), row.value())?);
    }
    Ok(found)
}

pub(super) fn group_row(
    groups: &impl ReadableTable<&'static [u8], &'static [u8]>,
    group: &GroupId,
) -> Result<Option<GroupRow>, StateError> {
    let found = groups.get(group_key(group).as_slice()).map_err(failed(READ))?;
    found.map(|row| GroupRow::read(row.value())).transpose()
}

fn two_numbers(row: &[u8]) -> (u64, u64) {
    let mut numbers = row.as_chunks::<8>().0.iter().map(|eight| u64::from_le_bytes(*eight));
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default())
}

fn tombstone(
    deleted: &impl ReadableTable<&'static [u8], &'static [u8]>,
    id: &ObjectId,
) -> Result<Option<Version>, StateError> {
    let found = deleted.get(object_key(id).as_slice()).map_err(failed(READ))?;
    Ok(found.map(|row| Version(two_numbers(row.value()).0)))
}

pub(super) fn tombstones(
    deleted: &impl ReadableTable<&'static [u8], &'static [u8]>,
    group: &GroupId,
) -> Result<Vec<Tombstone>, StateError> {
    let range = group_range(group);
    let mut found = Vec::new();
    let range = deleted.range::<&[u8]>(range.start.as_slice()..range.end.as_slice());
    for entry in range.map_err(failed(READ))? {
        let (key, row) = entry.map_err(failed(READ))?;
        let (version, seq) = two_numbers(row.value());
        found.push(Tombstone { id: object_of(key.value())?, version: Version(version), seq });
    }
    Ok(found)
}

/// The keys of values at or below a prefix, in order; keys of the node itself are left out.
pub(crate) fn visible_keys(rows: &[ObjectRow], prefix: Option<&StateKey>) -> Vec<StateKey> {
    let keys = rows.iter().map(|row| &row.meta.id.key);
    keys.filter(|key| !is_reserved(key) && prefix.is_none_or(|prefix| key.is_within(prefix)))
        .cloned()
        .collect()
}

/// Keys that begin with a dot belong to the node.
pub(crate) fn is_reserved(key: &StateKey) -> bool {
    key.as_str().starts_with('.')
}
