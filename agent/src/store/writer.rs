//! One transaction on the store: all of it becomes visible and durable together.

use std::collections::BTreeMap;
use std::fmt;

use belt::{GroupId, Hash};
use protocol::belt::ObjectMeta;
use redb::{ReadableTable, Table, WriteTransaction};
use types::ObjectId;

use super::row::{group_key, group_range};
use super::snapshot::{Tombstone, group_row, object, rows_in, tombstones};
use super::tables::{BLOBS, COUNTERS, DELETED, GROUPS, KEPT, OBJECTS, RECORDS, SETTLED, STAGED};
use super::{
    CUSTODY_PERCENT, GroupRow, OBJECT_OVERHEAD, ObjectRow, Settlement, StateError, failed,
    object_key,
};

/// Bytes of one part of a blob: with its key just below a power of two, to which redb rounds large values up.
pub(super) const PART_BYTES: usize = 256 * 1024 - 512;

const WRITE: &str = "write the store";

/// Whose room a write takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// What this node makes itself: leaves a share of the quota free.
    Own,
    /// What other nodes entrust to this one: all of it.
    Custody,
}

/// The staged chunks of a bundle.
pub(crate) type Chunks = BTreeMap<u32, Vec<u8>>;

type Rows<'t> = Table<'t, &'static [u8], &'static [u8]>;

pub(crate) struct Writer<'t> {
    objects: Rows<'t>,
    kept: Rows<'t>,
    blobs: Table<'t, (u64, u32), &'static [u8]>,
    deleted: Rows<'t>,
    groups: Rows<'t>,
    settled: Rows<'t>,
    staged: Rows<'t>,
    records: Table<'t, &'static str, &'static [u8]>,
    counters: Table<'t, &'static str, u64>,
    quota_bytes: u64,
    used: u64,
    count: u64,
    next_blob: u64,
}

impl fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("used", &self.used).finish_non_exhaustive()
    }
}

impl<'t> Writer<'t> {
    pub(super) fn open(
        transaction: &'t WriteTransaction,
        quota_bytes: u64,
    ) -> Result<Self, StateError> {
        let rows = |table| transaction.open_table(table).map_err(failed(WRITE));
        let mut writer = Self {
            objects: rows(OBJECTS)?,
            kept: rows(KEPT)?,
            blobs: transaction.open_table(BLOBS).map_err(failed(WRITE))?,
            deleted: rows(DELETED)?,
            groups: rows(GROUPS)?,
            settled: rows(SETTLED)?,
            staged: rows(STAGED)?,
            records: transaction.open_table(RECORDS).map_err(failed(WRITE))?,
            counters: transaction.open_table(COUNTERS).map_err(failed(WRITE))?,
            quota_bytes,
            used: 0,
            count: 0,
            next_blob: 0,
        };
        writer.used = writer.counter("used")?;
        writer.count = writer.counter("objects")?;
        writer.next_blob = writer.counter("next_blob")?;
        Ok(writer)
    }

    pub(super) fn finish(mut self) -> Result<(), StateError> {
        for (name, value) in
            [("used", self.used), ("objects", self.count), ("next_blob", self.next_blob)]
        {
            if self.counter(name)? != value {
                self.set_counter(name, value)?;
            }
        }
        Ok(())
    }

    pub(super) fn counter(&self, name: &str) -> Result<u64, StateError> {
        let found = self.counters.get(name).map_err(failed(WRITE))?;
        Ok(found.map_or(0, |value| value.value()))
    }

    pub(super) fn set_counter(&mut self, name: &str, value: u64) -> Result<(), StateError> {
        self.counters.insert(name, value).map(|_| ()).map_err(failed(WRITE))
    }

    /// Takes room, or refuses.
    fn take(&mut self, bytes: u64, room: Room) -> Result<(), StateError> {
        let limit = limit(self.quota_bytes, room);
        if limit < self.used.saturating_add(bytes) {
            return Err(StateError::Full { wanted: bytes, used: self.used, limit });
        }
        self.used += bytes;
        Ok(())
    }

    const fn give_back(&mut self, bytes: u64) {
        self.used = self.used.saturating_sub(bytes);
    }

    pub(crate) fn object(&self, id: &ObjectId) -> Result<Option<ObjectRow>, StateError> {
        object(&self.objects, id)
    }

    pub(crate) fn group_objects(&self, group: &GroupId) -> Result<Vec<ObjectRow>, StateError> {
        rows_in(&self.objects, group_range(group))
    }

    /// Stores an object in place of the one of the same name.
    pub(crate) fn put(
        &mut self,
        meta: &ObjectMeta,
        bytes: &[u8],
        (seq, stored_at): (u64, i64),
        room: Room,
    ) -> Result<(), StateError> {
        self.remove(&meta.id)?;
        self.take(meta.bytes + OBJECT_OVERHEAD, room)?;
        let blob = self.next_blob;
        self.next_blob += 1;
        for (part, bytes) in (0_u32..).zip(bytes.chunks(PART_BYTES)) {
            self.blobs.insert((blob, part), bytes).map_err(failed(WRITE))?;
        }
        self.count += 1;
        self.put_row(&ObjectRow { meta: meta.clone(), blob, seq, stored_at })
    }

    fn put_row(&mut self, row: &ObjectRow) -> Result<(), StateError> {
        let key = object_key(&row.meta.id);
        let row = row.to_bytes();
        self.objects.insert(key.as_slice(), row.as_slice()).map(|_| ()).map_err(failed(WRITE))
    }

    /// The same bytes under a new version.
    pub(crate) fn retitle(&mut self, old: &ObjectRow, meta: &ObjectMeta) -> Result<(), StateError> {
        self.put_row(&ObjectRow { meta: meta.clone(), ..old.clone() })
    }

    /// Removes an object; says whether there was one.
    pub(crate) fn remove(&mut self, id: &ObjectId) -> Result<bool, StateError> {
        let Some(row) = self.object(id)? else { return Ok(false) };
        self.objects.remove(object_key(id).as_slice()).map_err(failed(WRITE))?;
        self.remove_blob(&row)?;
        self.count = self.count.saturating_sub(1);
        self.give_back(row.meta.bytes + OBJECT_OVERHEAD);
        Ok(true)
    }

    fn remove_blob(&mut self, row: &ObjectRow) -> Result<(), StateError> {
        let range = (row.blob, 0)..=(row.blob, u32::MAX);
        self.blobs.retain_in(range, |_, _| false).map_err(failed(WRITE))
    }

    /// Takes an object away from its name and keeps it nevertheless.
    pub(crate) fn keep(&mut self, id: &ObjectId) -> Result<(), StateError> {
        let Some(row) = self.object(id)? else { return Ok(()) };
        let key = object_key(id);
        let kept_key = [&key[..], &[0], &row.meta.hash[..]].concat();
        if self.kept.get(kept_key.as_slice()).map_err(failed(WRITE))?.is_some() {
            return self.remove(id).map(|_| ());
        }
        self.objects.remove(key.as_slice()).map_err(failed(WRITE))?;
        self.count = self.count.saturating_sub(1);
        let row = row.to_bytes();
        self.kept.insert(kept_key.as_slice(), row.as_slice()).map(|_| ()).map_err(failed(WRITE))
    }

    pub(crate) fn tombstones(&self, group: &GroupId) -> Result<Vec<Tombstone>, StateError> {
        tombstones(&self.deleted, group)
    }

    pub(crate) fn bury(&mut self, tombstone: &Tombstone) -> Result<(), StateError> {
        let row = [tombstone.version.0.to_le_bytes(), tombstone.seq.to_le_bytes()].concat();
        let key = object_key(&tombstone.id);
        self.deleted.insert(key.as_slice(), row.as_slice()).map(|_| ()).map_err(failed(WRITE))
    }

    pub(crate) fn unbury(&mut self, id: &ObjectId) -> Result<(), StateError> {
        let key = object_key(id);
        self.deleted.remove(key.as_slice()).map(|_| ()).map_err(failed(WRITE))
    }

    pub(crate) fn group(&self, group: &GroupId) -> Result<GroupRow, StateError> {
        Ok(group_row(&self.groups, group)?.unwrap_or_default())
    }

    pub(crate) fn put_group(&mut self, group: &GroupId, row: &GroupRow) -> Result<(), StateError> {
        let (key, row) = (group_key(group), row.to_bytes()?);
        self.groups.insert(key.as_slice(), row.as_slice()).map(|_| ()).map_err(failed(WRITE))
    }

    pub(crate) fn settle(&mut self, commit: &ObjectId, how: &Settlement) -> Result<(), StateError> {
        let (key, row) = (object_key(commit), how.to_bytes()?);
        self.settled.insert(key.as_slice(), row.as_slice()).map(|_| ()).map_err(failed(WRITE))
    }

    pub(crate) fn unsettle(&mut self, commit: &ObjectId) -> Result<(), StateError> {
        let key = object_key(commit);
        self.settled.remove(key.as_slice()).map(|_| ()).map_err(failed(WRITE))
    }

    pub(crate) fn stage(
        &mut self,
        bundle: &Hash,
        index: u32,
        bytes: &[u8],
    ) -> Result<(), StateError> {
        self.take(bytes.len() as u64, Room::Custody)?;
        let key = staged_key(bundle, index);
        let old = self.staged.insert(key.as_slice(), bytes).map_err(failed(WRITE))?;
        let replaced = old.map_or(0, |old| old.value().len() as u64);
        self.give_back(replaced);
        Ok(())
    }

    /// The chunks of a bundle that are here; they are not staged any more.
    pub(crate) fn take_staged(&mut self, bundle: &Hash) -> Result<Chunks, StateError> {
        let (start, end) = staged_range(bundle);
        let (mut chunks, mut freed) = (Chunks::new(), 0);
        let range = start.as_slice()..=end.as_slice();
        let take = |key: &[u8], bytes: &[u8]| {
            freed += bytes.len() as u64;
            if let Some(index) = key.last_chunk::<4>() {
                chunks.insert(u32::from_be_bytes(*index), bytes.to_vec());
            }
            false
        };
        self.staged.retain_in::<&[u8], _>(range, take).map_err(failed(WRITE))?;
        self.give_back(freed);
        Ok(chunks)
    }

    /// Frees the chunks of all bundles but those that `is_open` names.
    pub(crate) fn unstage_others(
        &mut self,
        is_open: impl Fn(&[u8]) -> bool,
    ) -> Result<(), StateError> {
        let mut freed = 0;
        self.staged
            .retain(|key, bytes| {
                let stays = key.get(..32).is_some_and(&is_open);
                if !stays {
                    freed += bytes.len() as u64;
                }
                stays
            })
            .map_err(failed(WRITE))?;
        self.give_back(freed);
        Ok(())
    }

    pub(crate) fn put_record(&mut self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        self.records.insert(name, bytes).map(|_| ()).map_err(failed(WRITE))
    }

    /// Objects of runs that were stored before a moment; at most `max`.
    pub(crate) fn objects_before(
        &self,
        before: i64,
        max: usize,
    ) -> Result<Vec<ObjectRow>, StateError> {
        let mut found = Vec::new();
        for entry in self.objects.iter().map_err(failed(WRITE))? {
            let (key, row) = entry.map_err(failed(WRITE))?;
            let row = ObjectRow::read(key.value(), row.value())?;
            if row.meta.id.run.is_some() && row.stored_at < before {
                found.push(row);
                if found.len() == max {
                    break;
                }
            }
        }
        Ok(found)
    }
}

pub(super) const fn limit(quota_bytes: u64, room: Room) -> u64 {
    match room {
        Room::Own => quota_bytes - quota_bytes / 100 * CUSTODY_PERCENT,
        Room::Custody => quota_bytes,
    }
}

fn staged_key(bundle: &Hash, index: u32) -> Vec<u8> {
    [&bundle[..], &index.to_be_bytes()].concat()
}

/// The keys of all chunks of a bundle: from the first to the last.
pub(super) fn staged_range(bundle: &Hash) -> (Vec<u8>, Vec<u8>) {
    (staged_key(bundle, 0), staged_key(bundle, u32::MAX))
}
