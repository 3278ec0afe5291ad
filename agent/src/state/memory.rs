//! What instances of functions want to be remembered: a value of their task beside those that functions see. It is written when an
//! instance ends, outside of any call, and removed by the commit of the first call of the next one.

use std::sync::Arc;

use belt::group::{Input, With};
use belt::hash_of;
use protocol::belt::ObjectMeta;
use tokio::time::{Duration, Instant};
use types::{FunctionId, ObjectId, OwnerEpoch, StateKey};

use super::call::{VALUE_BYTES_MAX, memory_key};
use super::inner::{Inner, blocking};
use super::{GroupId, Peers};
use crate::store::{Room, StateError, Writer};

/// Longest that its second copy may take; it is made again with that of the next commit.
const COPY_TIME_MAX: Duration = Duration::from_secs(5);

const REMEMBER: &str = "keep what an instance remembers";

pub(super) async fn remember(
    inner: &Arc<Inner>,
    peers: &impl Peers,
    (group, epoch): (&GroupId, OwnerEpoch),
    function: &FunctionId,
    memory: Vec<u8>,
    copy: bool,
) -> Result<(), StateError> {
    if VALUE_BYTES_MAX < memory.len() {
        let reason = format!("{} bytes, the limit is {VALUE_BYTES_MAX}", memory.len());
        return Err(StateError::new(REMEMBER, reason));
    }
    let (this, group_id, key) = (Arc::clone(inner), group.clone(), memory_key(function));
    let lost = |reason: String| StateError::new(REMEMBER, reason);
    blocking(lost, move || this.write_memory(&group_id, epoch, &key, &memory)).await?;
    if copy && let Some(held) = inner.groups.get(group) {
        let replica = held.word().replica.filter(|node| *node != inner.me);
        inner.copy_state(peers, &held, replica.as_ref(), Instant::now() + COPY_TIME_MAX).await;
    }
    Ok(())
}

impl Inner {
    fn write_memory(
        &self,
        group: &GroupId,
        epoch: OwnerEpoch,
        key: &StateKey,
        memory: &[u8],
    ) -> Result<(), StateError> {
        let not_owned =
            || StateError::new(REMEMBER, format!("{group} is not owned here under epoch {epoch}"));
        let held = self.groups.get(group).ok_or_else(not_owned)?;
        // An instance has served calls only after the group was looked for elsewhere; after a failover it must be again.
        if !held.look(|machine| machine.is_checked() && machine.owner_epoch() == Some(epoch)) {
            return Err(not_owned());
        }
        let at = self.stored_at();
        let (workflow, task) = (group.workflow.clone(), group.task.clone());
        let id = ObjectId { workflow, run: None, task, key: key.clone() };
        let mut is_written = false;
        held.step(&self.store, Input::Commit { epoch }, |writer, with, row| {
            if with != With::Call {
                return Ok(());
            }
            let last = last_version(writer, group, &id)?.max(row.floor);
            let (hash, bytes) = (hash_of(memory), memory.len() as u64);
            let (id, version) = (id.clone(), last.next());
            let meta = ObjectMeta { id, version, owner_epoch: epoch, hash, bytes };
            writer.put(&meta, memory, (row.record.stamp.seq, at), Room::Own)?;
            writer.unbury(&meta.id)?;
            is_written = true;
            Ok::<_, StateError>(())
        })?;
        is_written.then_some(()).ok_or_else(not_owned)
    }
}

/// The newest version that a value ever had here, as far as that is remembered.
fn last_version(
    writer: &Writer<'_>,
    group: &GroupId,
    id: &ObjectId,
) -> Result<types::Version, StateError> {
    if let Some(row) = writer.object(id)? {
        return Ok(row.meta.version);
    }
    let graves = writer.tombstones(group)?;
    let grave = graves.iter().find(|grave| grave.id == *id);
    Ok(grave.map_or(types::Version(0), |grave| grave.version))
}
