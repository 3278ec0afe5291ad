//! Objects that go along with calls of functions elsewhere, and what comes back from there: in memory, for as long as the call,
//! and in parts over the bus as the inputs of stages.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use belt::hash_of;
use protocol::belt::{FETCH_BYTES_MAX, Fetch, Fetched, ObjectMeta};
use protocol::call::CALLER;
use protocol::invoke::{Fault, Input, Invoke, OUTPUTS_MAX};
use tokio::time::Instant;
use types::{NodeId, ObjectId, OwnerEpoch, RunId, StateKey, TaskId, Version, WorkflowId};

use super::call::OUTPUT_BYTES_MAX;
use super::fetch::fetch_object;
use super::groups::locked;
use super::inner::{Inner, blocking, internal};
use super::{Peers, StateError};
use crate::store::Sync;

/// Bytes of all objects that go along with calls at one time: what two calls may write.
const LENT_BYTES_MAX: usize = 2 * OUTPUT_BYTES_MAX;

/// Objects that others may fetch while their call lasts.
#[derive(Debug, Default)]
pub(super) struct Parcels(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    objects: BTreeMap<ObjectId, (ObjectMeta, Arc<[u8]>)>,
    bytes: usize,
}

/// Objects that go along with a call; they are gone when this is.
#[derive(Debug)]
pub struct Lending {
    inner: Arc<Inner>,
    metas: Vec<ObjectMeta>,
}

impl Lending {
    /// What they are.
    pub fn metas(&self) -> &[ObjectMeta] {
        &self.metas
    }
}

impl Drop for Lending {
    fn drop(&mut self) {
        let mut held = locked(&self.inner.parcels.0);
        for meta in &self.metas {
            if let Some((_, bytes)) = held.objects.remove(&meta.id) {
                held.bytes = held.bytes.saturating_sub(bytes.len());
            }
        }
    }
}

impl Parcels {
    /// A part of an object that is lent.
    pub(super) fn part(&self, fetch: &Fetch) -> Option<Fetched> {
        let (meta, bytes) = locked(&self.0).objects.get(&fetch.id).cloned()?;
        let start = usize::try_from(fetch.offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = start.saturating_add(FETCH_BYTES_MAX).min(bytes.len());
        Some(Fetched::Part { meta, bytes: bytes[start..end].to_vec() })
    }

    /// All of one.
    pub(super) fn whole(&self, id: &ObjectId) -> Option<Arc<[u8]>> {
        locked(&self.0).objects.get(id).map(|(_, bytes)| Arc::clone(bytes))
    }
}

impl Inner {
    /// Lends objects to the call of that run; `None` if there is no room for them now.
    pub(super) fn lend(
        self: &Arc<Self>,
        (workflow, run): (&WorkflowId, RunId),
        objects: &[(StateKey, &[u8])],
    ) -> Option<Lending> {
        let task = TaskId::new(CALLER).expect("a valid name");
        let mut lending = Lending { inner: Arc::clone(self), metas: Vec::new() };
        for (key, bytes) in objects {
            let (workflow, task) = (workflow.clone(), task.clone());
            let id = ObjectId { workflow, run: Some(run), task, key: key.clone() };
            let (version, owner_epoch) = (Version(1), OwnerEpoch(0));
            let (hash, size) = (hash_of(bytes), bytes.len() as u64);
            let meta = ObjectMeta { id, version, owner_epoch, hash, bytes: size };
            let mut held = locked(&self.parcels.0);
            if held.objects.contains_key(&meta.id) || LENT_BYTES_MAX - held.bytes < bytes.len() {
                return None;
            }
            held.bytes += bytes.len();
            held.objects.insert(meta.id.clone(), (meta.clone(), (*bytes).into()));
            lending.metas.push(meta);
        }
        Some(lending)
    }

    /// The objects that a called function on `holder` has written.
    pub(super) async fn bring_back(
        self: &Arc<Self>,
        peers: &impl Peers,
        outputs: &[ObjectMeta],
        holder: &NodeId,
        deadline: Instant,
    ) -> Result<Vec<(StateKey, Vec<u8>)>, Fault> {
        let total = outputs.iter().fold(0_u64, |sum, output| sum.saturating_add(output.bytes));
        if OUTPUTS_MAX < outputs.len() || (OUTPUT_BYTES_MAX as u64) < total {
            return Err(Fault::TooLarge(format!("{total} bytes came back from {holder}")));
        }
        let mut objects = Vec::with_capacity(outputs.len());
        for output in outputs {
            let bytes = if *holder == self.me {
                let (this, id) = (Arc::clone(self), output.id.clone());
                blocking(internal, move || this.whole(&id).map_err(internal)).await?
            } else {
                let input = Input { object: output.clone(), holder: holder.clone() };
                fetch_object(peers, &input, deadline).await?
            };
            objects.push((output.id.key.clone(), bytes));
        }
        Ok(objects)
    }

    fn whole(&self, id: &ObjectId) -> Result<Vec<u8>, StateError> {
        let now = self.store.snapshot()?;
        let gone = || StateError::new("read an object", "it is not there any more");
        let row = now.object(id)?.ok_or_else(gone)?;
        now.read(&row, 0, usize::MAX)
    }

    /// Forgets what came along with a call: nobody asks for it again.
    pub(super) fn forget_parcels(&self, call: &Invoke) -> Result<(), StateError> {
        if call.inputs.is_empty() {
            return Ok(());
        }
        self.store.write(Sync::Later, |writer| {
            call.inputs.iter().try_for_each(|input| writer.remove(&input.object.id).map(|_| ()))
        })
    }
}

/// Whether the objects of a call are its own, and held by who calls: another node has no say in what else a function gets.
pub fn are_parcels(call: &Invoke) -> bool {
    call.inputs.iter().all(|input| {
        let id = &input.object.id;
        let is_own = id.workflow == call.workflow && id.run == Some(call.run);
        is_own && id.task.as_str() == CALLER && input.holder == call.source
    })
}
