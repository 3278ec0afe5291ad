//! Puts a bundle that has arrived into the store, after checking its bytes; part of one transaction.

use std::collections::BTreeMap;

use belt::group::With;
use belt::{GroupId, hash_of};
use protocol::belt::{Chunk, ObjectMeta, Offer};
use types::{ObjectId, Version};

use super::groups::{is_commit, is_head};
use super::serve::Open;
use crate::store::{Chunks, GroupRow, Room, StateError, Tombstone, Writer};

/// Why a bundle was not installed.
#[derive(Debug)]
pub(super) enum Install {
    /// The bytes are not those that were announced.
    Corrupt,
    /// The store failed, or is full.
    Store(StateError),
}

impl From<StateError> for Install {
    fn from(error: StateError) -> Self {
        Self::Store(error)
    }
}

/// The new bytes of a bundle by object; objects that are here already have none.
///
/// Holds the new bytes of one bundle in memory, 256 MiB at most and rarely more than a few.
fn assemble(
    writer: &mut Writer<'_>,
    open: &Open,
    last: Option<&Chunk>,
) -> Result<BTreeMap<usize, Vec<u8>>, Install> {
    let mut chunks: Chunks = writer.take_staged(&open.bundle)?;
    if let Some(last) = last {
        chunks.insert(last.index, last.bytes.clone());
    }
    let mut fresh = BTreeMap::new();
    for (at, object) in open.offer.objects.iter().enumerate() {
        let held = writer.object(&object.id)?;
        if held.is_none_or(|row| row.meta.hash != object.hash) {
            fresh.insert(at, Vec::new());
        }
    }
    for index in 0..open.layout.chunks() {
        let Some(chunk) = chunks.get(&index) else { continue };
        for piece in open.layout.pieces(index) {
            if let Some(bytes) = fresh.get_mut(&piece.object) {
                bytes.extend_from_slice(chunk.get(piece.within).ok_or(Install::Corrupt)?);
            }
        }
    }
    let is_right = |(at, bytes): (&usize, &Vec<u8>)| {
        let object = &open.offer.objects[*at];
        bytes.len() as u64 == object.bytes && hash_of(bytes) == object.hash
    };
    if fresh.iter().all(is_right) { Ok(fresh) } else { Err(Install::Corrupt) }
}

/// Objects of runs.
pub(super) fn install_objects(
    writer: &mut Writer<'_>,
    open: &Open,
    last: Option<&Chunk>,
    at: i64,
) -> Result<(), Install> {
    let fresh = assemble(writer, open, last)?;
    for (index, bytes) in &fresh {
        let object = &open.offer.objects[*index];
        // Another result of the same run: some node acknowledged it, so it is not ours to drop.
        writer.keep(&object.id)?;
        writer.put(object, bytes, (0, at), Room::Custody)?;
    }
    Ok(())
}

/// A whole group, as another node holds it.
#[derive(Debug)]
pub(super) struct New {
    /// Its objects.
    pub(super) objects: Vec<ObjectMeta>,
    /// The values that were deleted.
    pub(super) deleted: Vec<(ObjectId, Version)>,
    /// The bytes of those that are not here yet, by their place in `objects`.
    pub(super) fresh: BTreeMap<usize, Vec<u8>>,
    /// What no version of a new value may fall below.
    pub(super) floor: Version,
}

/// A whole group in place of the one that is here.
pub(super) fn install_group(
    writer: &mut Writer<'_>,
    open: &Open,
    last: Option<&Chunk>,
    (with, at): (With, i64),
    row: &mut GroupRow,
) -> Result<(), Install> {
    let group = open.group().ok_or(Install::Corrupt)?;
    let fresh = assemble(writer, open, last)?;
    let Offer { objects, deleted, .. } = open.offer.clone();
    let head = objects.iter().position(|object| is_head(&object.id));
    let floor = floor_of(head.and_then(|head| fresh.get(&head))).unwrap_or(row.floor);
    let new = New { objects, deleted, fresh, floor };
    replace_group(writer, &group, &new, (with, at), row)
}

/// Puts a group in place of the one that is here.
pub(super) fn replace_group(
    writer: &mut Writer<'_>,
    group: &GroupId,
    new: &New,
    (with, at): (With, i64),
    row: &mut GroupRow,
) -> Result<(), Install> {
    let With::Bundle { keep_old } = with else { return Ok(()) };
    let seq = row.record.stamp.seq;
    for old in writer.group_objects(group)? {
        let stays = |object: &ObjectMeta| object.id == old.meta.id && object.hash == old.meta.hash;
        if new.objects.iter().any(stays) {
            continue;
        }
        if keep_old && !is_head(&old.meta.id) {
            writer.keep(&old.meta.id)?;
        } else {
            writer.remove(&old.meta.id)?;
        }
    }
    for (index, object) in new.objects.iter().enumerate() {
        match (new.fresh.get(&index), writer.object(&object.id)?) {
            (Some(bytes), old) => {
                if old.is_some() && is_commit(&object.id) {
                    writer.keep(&object.id)?;
                    writer.unsettle(&object.id)?;
                }
                writer.put(object, bytes, (seq, at), Room::Custody)?;
            }
            (None, Some(old)) if old.meta != *object => writer.retitle(&old, object)?,
            (None, _) => {}
        }
    }
    for old in writer.tombstones(group)? {
        writer.unbury(&old.id)?;
    }
    for (id, version) in &new.deleted {
        writer.bury(&Tombstone { id: id.clone(), version: *version, seq })?;
    }
    let commits = new.objects.iter().filter(|object| is_commit(&object.id));
    row.recent = commits.filter_map(|object| object.id.run).collect();
    row.floor = new.floor;
    Ok(())
}

fn floor_of(head: Option<&Vec<u8>>) -> Option<Version> {
    let bytes: [u8; 8] = head?.as_slice().try_into().ok()?;
    Some(Version(u64::from_le_bytes(bytes)))
}
