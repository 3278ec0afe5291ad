//! Bundles: what is offered to another node, and where its bytes are.

use std::sync::Arc;

use belt::transfer::{Layout, Piece};
use belt::{GroupId, Hash, Stamp, hash_of};
use protocol::belt::{BUNDLE_BYTES_MAX, CHUNK_BYTES, Chunk, ObjectMeta, Offer, Purpose};
use types::{NodeId, ObjectId, OwnerEpoch};

use super::groups::{commit_id, head_id};
use crate::store::{ObjectRow, Snapshot, StateError};

/// Most chunks of a bundle.
const CHUNKS_MAX: u32 = 1024;
const _: () = assert!(CHUNKS_MAX as u64 * CHUNK_BYTES as u64 == BUNDLE_BYTES_MAX);
/// Commit records that travel with a group: of more runs than are under way at once, and as many of calls of functions.
pub(super) const COMMITS_MAX: usize = 32;
/// Their bytes; older ones stay behind first.
const COMMIT_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// What a group is sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// As a copy.
    AsCopy,
    /// With its ownership, under this epoch.
    AsGrant(OwnerEpoch),
}

/// A bundle to send.
#[derive(Debug)]
pub(super) struct Bundle {
    /// What is offered.
    pub(super) offer: Offer,
    /// Names it: BLAKE3 of the frame of the offer.
    pub(super) hash: Hash,
    /// How it is cut.
    pub(super) layout: Layout,
    /// The commit that it stands for, if it is a group.
    pub(super) stamp: Stamp,
    rows: Vec<ObjectRow>,
    snapshot: Arc<Snapshot>,
}

impl Bundle {
    /// A whole group as of one commit; `None` for one that never had an owner here.
    pub(super) fn of_group(
        snapshot: Snapshot,
        group: &GroupId,
        from: &NodeId,
        sent: Sent,
    ) -> Result<Option<Self>, StateError> {
        let Some(row) = snapshot.group(group)? else { return Ok(None) };
        let head = head_id(group);
        let mut rows = snapshot.group_objects(group)?;
        let Some(at) = rows.iter().position(|row| row.meta.id == head) else { return Ok(None) };
        let head = rows.remove(at);
        let stamp = Stamp { epoch: head.meta.owner_epoch, seq: head.meta.version.0 };
        let mut left = COMMIT_BYTES_MAX;
        for run in row.recent.iter().rev().take(2 * COMMITS_MAX) {
            if let Some(commit) = snapshot.object(&commit_id(group, *run))? {
                let Some(rest) = left.checked_sub(commit.meta.bytes) else { break };
                left = rest;
                rows.push(commit);
            }
        }
        // What changed long ago first: chunks at the front then stay the same from bundle to bundle.
        rows.sort_by(|a, b| (a.seq, &a.meta.id).cmp(&(b.seq, &b.meta.id)));
        rows.insert(0, head);
        let (workflow, task) = (group.workflow.clone(), group.task.clone());
        let purpose = match sent {
            Sent::AsCopy => Purpose::Replica { workflow, task, owner_epoch: stamp.epoch },
            Sent::AsGrant(owner_epoch) => Purpose::Grant { workflow, task, owner_epoch },
        };
        let deleted = snapshot.tombstones(group)?;
        let offer = Offer {
            from: from.clone(),
            purpose,
            objects: rows.iter().map(|row| row.meta.clone()).collect(),
            deleted: deleted.into_iter().map(|grave| (grave.id, grave.version)).collect(),
        };
        Self::new(offer, stamp, rows, snapshot).map(Some)
    }

    /// Objects of a run. Those that are not here are left out.
    pub(super) fn of_objects(
        snapshot: Snapshot,
        ids: &[ObjectId],
        from: &NodeId,
    ) -> Result<Self, StateError> {
        let mut rows = Vec::new();
        for id in ids {
            rows.extend(snapshot.object(id)?);
        }
        let objects: Vec<ObjectMeta> = rows.iter().map(|row| row.meta.clone()).collect();
        let from = from.clone();
        let offer = Offer { from, purpose: Purpose::Input, objects, deleted: Vec::new() };
        Self::new(offer, Stamp::default(), rows, snapshot)
    }

    fn new(
        offer: Offer,
        stamp: Stamp,
        rows: Vec<ObjectRow>,
        snapshot: Snapshot,
    ) -> Result<Self, StateError> {
        let (hash, layout) = shape(&offer)?;
        Ok(Self { offer, hash, layout, stamp, rows, snapshot: Arc::new(snapshot) })
    }

    /// One chunk with its bytes.
    pub(super) fn chunk(&self, index: u32) -> Result<Chunk, StateError> {
        let mut bytes = Vec::with_capacity(self.layout.chunk_len(index));
        for Piece { object, offset, within } in self.layout.pieces(index) {
            bytes.extend(self.snapshot.read(&self.rows[object], offset, within.len())?);
        }
        Ok(Chunk { bundle: self.hash, index, bytes })
    }
}

/// The name of an offered bundle and how it is cut.
pub(super) fn shape(offer: &Offer) -> Result<(Hash, Layout), StateError> {
    let unfit = |reason: String| StateError::new("make a bundle", reason);
    let frame = protocol::encode(offer).map_err(|error| unfit(error.to_string()))?;
    let sizes = offer.objects.iter().map(|object| object.bytes);
    let layout = Layout::new(sizes, CHUNK_BYTES, CHUNKS_MAX);
    Ok((hash_of(&frame), layout.map_err(|error| unfit(error.to_string()))?))
}
