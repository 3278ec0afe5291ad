//! Roles and housekeeping: what the controller wants of a group, sources, how things stand, garbage.

use belt::group::{Input, Output, Part};
use belt::hash_of;
use protocol::belt::ObjectMeta;
use protocol::desired::Role;
use types::{Epoch, NodeId, OwnerEpoch, StateKey, TaskId, Version};

use super::commit::source_id;
use super::groups::{Held, Word, is_commit};
use super::inner::Inner;
use super::{Collected, GroupId, GroupStatus, Ownership, RoleChange};
use crate::store::{OBJECT_OVERHEAD, Room, StateError, StoreUsage, Sync, is_reserved};

/// Objects freed in one transaction, so that calls need not wait long.
const FREED_AT_ONCE: usize = 512;

impl Inner {
    pub(super) fn set_role(
        &self,
        group: &GroupId,
        role: &Role,
        replica: Option<NodeId>,
    ) -> Result<RoleChange, StateError> {
        let held = self.groups.get_or_new(group)?;
        let (input, word) = match role {
            Role::Owner { owner_epoch, successor } => {
                let successor = successor.as_ref().map(|successor| successor.node.clone());
                let named = Some(*owner_epoch);
                (Input::Own { epoch: *owner_epoch }, Word { named, replica, successor })
            }
            Role::Standby { owner, .. } => {
                let word = Word {
                    named: None,
                    replica: replica.or_else(|| Some(owner.clone())),
                    successor: None,
                };
                (Input::StandBy { owner: owner.clone() }, word)
            }
        };
        let outputs = held.plain_step(&self.store, input)?;
        let freezes_for = held.look(|machine| machine.freezing().cloned());
        if freezes_for.is_some() && freezes_for != word.successor {
            held.plain_step(&self.store, Input::Thaw)?;
        }
        held.set_word(word);
        Ok(change(&outputs))
    }

    pub(super) fn drop_role(&self, group: &GroupId) -> Result<(), StateError> {
        let Some(held) = self.groups.get(group) else { return Ok(()) };
        held.plain_step(&self.store, Input::Drop)?;
        held.set_word(Word::default());
        Ok(())
    }

    pub(super) fn group_status(&self, group: &GroupId) -> GroupStatus {
        let values = self.store.snapshot().and_then(|now| now.group_objects(group));
        let values = values.unwrap_or_else(|error| {
            tracing::error!(%error, %group, "group cannot be read");
            Vec::new()
        });
        let values = || values.iter().filter(|value| !is_reserved(&value.meta.id.key));
        let held = self.groups.get(group);
        GroupStatus {
            ownership: held.as_ref().map_or(Ownership::Unknown, |held| ownership(held)),
            owner_epoch: held.as_ref().map_or(OwnerEpoch(0), |held| held.look(epoch)),
            state_bytes: values().map(|value| value.meta.bytes).sum(),
            objects: u32::try_from(values().count()).unwrap_or(u32::MAX),
            replica_current: held.is_some_and(|held| held.look(is_current)),
        }
    }

    pub(super) fn put_source(
        &self,
        name: &TaskId,
        key: &StateKey,
        bytes: &[u8],
    ) -> Result<ObjectMeta, StateError> {
        let id = source_id(name, key);
        let at = self.stored_at();
        let hash = hash_of(bytes);
        let present = self.store.snapshot()?.object(&id)?;
        if let Some(row) = present.as_ref().filter(|row| row.meta.hash == hash) {
            return Ok(row.meta.clone());
        }
        let version = present.map_or(Version(0), |row| row.meta.version).next();
        let meta =
            ObjectMeta { id, version, owner_epoch: OwnerEpoch(0), hash, bytes: bytes.len() as u64 };
        self.store.write(Sync::Now, |writer| writer.put(&meta, bytes, (0, at), Room::Own))?;
        Ok(meta)
    }

    pub(super) fn usage(&self) -> StoreUsage {
        self.store.usage().unwrap_or_else(|error| {
            tracing::error!(%error, "usage cannot be read");
            // Full, so that nobody counts on room that may not be there.
            let quota_bytes = self.store.quota_bytes();
            StoreUsage { bytes: quota_bytes, quota_bytes, objects: 0 }
        })
    }

    pub(super) fn collect_garbage(&self, before: Epoch) -> Result<Collected, StateError> {
        let mut collected = Collected::default();
        let open = |bundle: &[u8]| self.receiving.is_open(bundle);
        let snapshot = self.store.snapshot()?;
        let has_old = snapshot.has_object_before(before.unix_ns())?;
        if !has_old && !snapshot.stages_others(open)? && !self.store.is_behind() {
            // An idle node writes nothing: even an empty transaction costs a page of the disk.
            return Ok(collected);
        }
        drop(snapshot);
        loop {
            let (objects, bytes) = self.store.write(Sync::Later, |writer| {
                let old = writer.objects_before(before.unix_ns(), FREED_AT_ONCE)?;
                for row in &old {
                    writer.remove(&row.meta.id)?;
                    if is_commit(&row.meta.id) {
                        writer.unsettle(&row.meta.id)?;
                    }
                }
                let bytes: u64 = old.iter().map(|row| row.meta.bytes + OBJECT_OVERHEAD).sum();
                Ok::<_, StateError>((old.len(), bytes))
            })?;
            collected.objects += objects as u64;
            collected.bytes += bytes;
            if objects < FREED_AT_ONCE {
                break;
            }
        }
        self.store.write(Sync::Now, |writer| writer.unstage_others(open))?;
        Ok(collected)
    }
}

fn change(outputs: &[Output]) -> RoleChange {
    let mut change = RoleChange::default();
    for output in outputs {
        match output {
            Output::TookOver { epoch, .. } => change.took_over = Some(*epoch),
            Output::SteppedDown => change.stepped_down = true,
            Output::Outranked { fence } => change.outranked = Some(*fence),
            _ => {}
        }
    }
    change
}

fn ownership(held: &Held) -> Ownership {
    held.look(|machine| match (&machine.record().part, machine.freezing()) {
        (Part::Owner { .. }, Some(to)) => Ownership::Freezing { to: to.clone() },
        (Part::Owner { .. }, None) => Ownership::Owner,
        (Part::Standby { .. }, _) => Ownership::Standby,
        (Part::Granted { to, confirmed: true, .. }, _) => Ownership::Released { to: to.clone() },
        (Part::Granted { to, confirmed: false, .. }, _) => Ownership::Granting { to: to.clone() },
        (Part::Copy, _) => Ownership::Copy,
    })
}

fn epoch(machine: &belt::group::Group) -> OwnerEpoch {
    machine.record().stamp.epoch
}

fn is_current(machine: &belt::group::Group) -> bool {
    let record = machine.record();
    match record.part {
        Part::Owner { .. } => record.stamp <= record.confirmed,
        Part::Copy | Part::Standby { .. } | Part::Granted { .. } => {
            record.stamp.epoch != OwnerEpoch(0) && record.stamp.epoch == record.fence
        }
    }
}
