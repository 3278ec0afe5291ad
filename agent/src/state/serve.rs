//! What other nodes ask of this one: offers and chunks of bundles, objects, inventories.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use belt::group::{Incoming, Input, Kind, Output};
use belt::transfer::{ChunkVerdict, Layout, OfferVerdict, Receiver};
use belt::{GroupId, Hash, Stamp};
use protocol::belt::{
    BUNDLE_OBJECTS_MAX, Chunk, ChunkReply, FETCH_BYTES_MAX, Fetch, Fetched, Inventory,
    InventoryQuery, ObjectMeta, Offer, OfferReply, Purpose, Refusal,
};
use types::OwnerEpoch;

use super::GroupEvent;
use super::bundle::shape;
use super::groups::{Held, is_commit, is_head, locked};
use super::inner::{Inner, cut};
use super::install::{Install, install_group, install_objects};
use crate::store::{OBJECT_OVERHEAD, StateError, Sync};

/// One staged chunk in so many is made durable, 4 MiB apart: what a crash costs of a transfer.
const STAGE_SYNC_EVERY: u32 = 16;

/// The bundles that are on their way here.
#[derive(Debug, Default)]
pub(super) struct Receiving {
    machine: Mutex<Receiver>,
    open: Mutex<BTreeMap<Hash, Arc<Open>>>,
}

/// A bundle on its way.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) offer: Offer,
    pub(super) bundle: Hash,
    pub(super) layout: Layout,
    target: Target,
    /// Held while one of its chunks is staged, so that the last one finds all others.
    turn: Mutex<()>,
}

impl Open {
    /// The group that it is for, if it is for one.
    pub(super) fn group(&self) -> Option<GroupId> {
        group_of(&self.offer.purpose).map(|(group, ..)| group)
    }
}

#[derive(Clone, Debug)]
enum Target {
    Objects,
    Group { held: Arc<Held>, incoming: Incoming },
}

impl Target {
    fn incoming(incoming: &Incoming, room: bool) -> Incoming {
        Incoming { room, ..incoming.clone() }
    }
}

impl Receiving {
    fn close(&self, bundle: &Hash) {
        locked(&self.machine).close(bundle);
        locked(&self.open).remove(bundle);
    }

    pub(super) fn is_open(&self, bundle: &[u8]) -> bool {
        <&Hash>::try_from(bundle).is_ok_and(|bundle| locked(&self.open).contains_key(bundle))
    }
}

/// How a bundle ends, or that it goes on.
enum Verdict {
    Want(Vec<u32>),
    Taken,
    Durable,
    Refused(Refusal),
}

type Judged = (Verdict, Option<GroupEvent>);

const fn refused(refusal: Refusal) -> Judged {
    (Verdict::Refused(refusal), None)
}

/// The store failed. No refusal: the sender offers again, and a grant stands.
fn failed(error: &StateError, what: &str) -> Judged {
    tracing::error!(%error, what, "bundle not taken");
    refused(Refusal::NoOffer)
}

impl Inner {
    pub(super) fn on_offer(&self, offer: Offer) -> (OfferReply, Option<GroupEvent>) {
        let (verdict, event) = match self.open_offer(offer) {
            Ok(open) => {
                let judged = self.judge_offer(&open);
                if !matches!(judged.0, Verdict::Want(_)) {
                    self.receiving.close(&open.bundle);
                }
                judged
            }
            Err(refusal) => refused(refusal),
        };
        let reply = match verdict {
            Verdict::Want(chunks) => OfferReply::Wanted(chunks),
            Verdict::Durable => OfferReply::Durable,
            Verdict::Refused(refusal) => OfferReply::Refused(refusal),
            Verdict::Taken => OfferReply::Refused(Refusal::NoOffer),
        };
        (reply, event)
    }

    pub(super) fn on_chunk(&self, chunk: &Chunk) -> (ChunkReply, Option<GroupEvent>) {
        let open = locked(&self.receiving.open).get(&chunk.bundle).cloned();
        let (verdict, event) = match open {
            Some(open) => self.judge_chunk(&open, chunk),
            None => refused(Refusal::NoOffer),
        };
        let reply = match verdict {
            Verdict::Taken => ChunkReply::Taken,
            Verdict::Durable => ChunkReply::Durable,
            Verdict::Refused(refusal) => ChunkReply::Refused(refusal),
            Verdict::Want(_) => ChunkReply::Refused(Refusal::NoOffer),
        };
        (reply, event)
    }

    fn open_offer(&self, offer: Offer) -> Result<Arc<Open>, Refusal> {
        let denied = |reason: String| Refusal::Denied(cut(&reason));
        let (bundle, layout) = shape(&offer).map_err(|error| denied(error.to_string()))?;
        let target = match group_of(&offer.purpose) {
            None => {
                check_objects(&offer).map_err(|rule| denied(rule.to_owned()))?;
                Target::Objects
            }
            Some((group, kind, epoch)) => {
                let head = check_group(&offer, &group).map_err(|rule| denied(rule.to_owned()))?;
                let stamp = Stamp { epoch: head.owner_epoch, seq: head.version.0 };
                // No refusal of a grant: this node may know fewer groups later.
                let held = self.groups.get_or_new(&group).map_err(|_full| Refusal::NoOffer)?;
                let from = offer.from.clone();
                let incoming = Incoming { kind, epoch, from, stamp, room: true };
                Target::Group { held, incoming }
            }
        };
        let open = Arc::new(Open { offer, bundle, layout, target, turn: Mutex::default() });
        // The one that is open already has the turn of its chunks.
        Ok(Arc::clone(locked(&self.receiving.open).entry(bundle).or_insert(open)))
    }

    fn judge_offer(&self, open: &Arc<Open>) -> Judged {
        let _turn = locked(&open.turn);
        let held = match self.held_objects(&open.offer) {
            Ok(held) => held,
            Err(error) => return failed(&error, "offer"),
        };
        let room = match self.has_room(open, &held) {
            Ok(room) => room,
            Err(error) => return failed(&error, "offer"),
        };
        if let Target::Group { held, incoming } = &open.target {
            let input = Input::Offered(Target::incoming(incoming, room));
            match held.plain_step(&self.store, input) {
                Ok(outputs) if outputs.contains(&Output::Take) => {}
                Ok(outputs) => return judged(held, &outputs),
                Err(error) => return failed(&error, "offer"),
            }
        } else if !room {
            return refused(Refusal::NoSpace);
        }
        self.receive(open, &held)
    }

    /// Asks for what is missing, or installs the bundle if nothing is.
    fn receive(&self, open: &Arc<Open>, held: &[bool]) -> Judged {
        let staged = match self.store.snapshot().and_then(|now| now.staged(&open.bundle)) {
            Ok(staged) => staged,
            Err(error) => return failed(&error, "offer"),
        };
        let (verdict, dropped) =
            locked(&self.receiving.machine).offer(open.bundle, open.layout.clone(), held, &staged);
        if let Some(dropped) = dropped {
            self.give_up(&dropped);
        }
        match verdict {
            OfferVerdict::Want(chunks) => {
                // Again, if it was closed while this offer waited for its turn.
                locked(&self.receiving.open).insert(open.bundle, Arc::clone(open));
                (Verdict::Want(chunks), None)
            }
            OfferVerdict::Complete => self.complete(open, None),
        }
    }

    fn judge_chunk(&self, open: &Open, chunk: &Chunk) -> Judged {
        let _turn = locked(&open.turn);
        let len = chunk.bytes.len();
        let verdict = locked(&self.receiving.machine).chunk(&chunk.bundle, chunk.index, len);
        match verdict {
            ChunkVerdict::Duplicate => (Verdict::Taken, None),
            ChunkVerdict::NoOffer => refused(Refusal::NoOffer),
            ChunkVerdict::Misfit => refused(Refusal::Corrupt),
            ChunkVerdict::Complete => self.complete(open, Some(chunk)),
            ChunkVerdict::Stage => match self.stage(chunk) {
                Ok(()) => (Verdict::Taken, None),
                Err(error) => {
                    // The machine believes that the chunk is here: start over with what is staged.
                    self.receiving.close(&chunk.bundle);
                    match error {
                        StateError::Full { .. } => self.no_room_left(open),
                        StateError::Store { .. } => failed(&error, "chunk"),
                    }
                }
            },
        }
    }

    fn stage(&self, chunk: &Chunk) -> Result<(), StateError> {
        let is_mark = chunk.index % STAGE_SYNC_EVERY == STAGE_SYNC_EVERY - 1;
        let sync = if is_mark { Sync::Now } else { Sync::Later };
        self.store.write(sync, |writer| writer.stage(&chunk.bundle, chunk.index, &chunk.bytes))
    }

    /// All bytes are here: check them, ask the fence again, make them durable.
    fn complete(&self, open: &Open, last: Option<&Chunk>) -> Judged {
        self.receiving.close(&open.bundle);
        let at = self.stored_at();
        let installed = match &open.target {
            Target::Objects => self
                .store
                .write(Sync::Now, |writer| install_objects(writer, open, last, at))
                .map(|()| (Verdict::Durable, None)),
            Target::Group { held, incoming } => {
                let input = Input::Arrived(Target::incoming(incoming, true));
                let step = held.step(&self.store, input, |writer, with, row| {
                    install_group(writer, open, last, (with, at), row)
                });
                step.map(|outputs| judged(held, &outputs))
            }
        };
        match installed {
            Ok(judged) => {
                self.give_up(&open.bundle);
                judged
            }
            Err(Install::Corrupt) => {
                self.give_up(&open.bundle);
                refused(Refusal::Corrupt)
            }
            Err(Install::Store(StateError::Full { .. })) => self.no_room_left(open),
            Err(Install::Store(error)) => failed(&error, "bundle"),
        }
    }

    /// The room that there was at the offer is gone. A grant must then be declined for good, so ask the machine.
    fn no_room_left(&self, open: &Open) -> Judged {
        let Target::Group { held, incoming } = &open.target else {
            return refused(Refusal::NoSpace);
        };
        let input = Input::Offered(Target::incoming(incoming, false));
        match held.plain_step(&self.store, input) {
            Ok(outputs) => judged(held, &outputs),
            Err(error) => failed(&error, "bundle"),
        }
    }

    /// Frees the staged chunks of a bundle; if that fails, a garbage collection does it later.
    fn give_up(&self, bundle: &Hash) {
        locked(&self.receiving.open).remove(bundle);
        let freed = self.store.snapshot().and_then(|now| match now.staged(bundle)?.is_empty() {
            true => Ok(()),
            false => self.store.write(Sync::Later, |writer| writer.take_staged(bundle).map(|_| ())),
        });
        if let Err(error) = freed {
            tracing::warn!(%error, "staged chunks stay for now");
        }
    }

    /// Which objects of an offer are here with the same bytes.
    fn held_objects(&self, offer: &Offer) -> Result<Vec<bool>, StateError> {
        let now = self.store.snapshot()?;
        let is_held = |object: &ObjectMeta| {
            Ok(now.object(&object.id)?.is_some_and(|row| row.meta.hash == object.hash))
        };
        offer.objects.iter().map(is_held).collect()
    }

    fn has_room(&self, open: &Open, held: &[bool]) -> Result<bool, StateError> {
        let usage = self.store.usage()?;
        let new = open.offer.objects.iter().zip(held).filter(|(_, held)| !**held);
        let wanted: u64 = new.map(|(object, _)| object.bytes + OBJECT_OVERHEAD).sum();
        Ok(usage.bytes.saturating_add(wanted) <= usage.quota_bytes)
    }

    pub(super) fn on_fetch(&self, fetch: &Fetch) -> Fetched {
        if let Some(part) = self.parcels.part(fetch) {
            return part;
        }
        let part = self.store.snapshot().and_then(|now| {
            let Some(row) = now.object(&fetch.id)? else { return Ok(None) };
            Ok(Some((now.read(&row, fetch.offset, FETCH_BYTES_MAX)?, row.meta)))
        });
        match part {
            Ok(Some((bytes, meta))) => Fetched::Part { meta, bytes },
            Ok(None) => Fetched::NotFound,
            Err(error) => {
                tracing::error!(%error, object = %fetch.id, "object cannot be read");
                Fetched::NotFound
            }
        }
    }

    pub(super) fn on_inventory(&self, query: &InventoryQuery) -> Inventory {
        let page = self.store.snapshot().and_then(|now| {
            now.inventory(&query.workflow, query.after.as_ref(), BUNDLE_OBJECTS_MAX)
        });
        match page {
            Ok((rows, more)) => {
                Inventory { objects: rows.into_iter().map(|row| row.meta).collect(), more }
            }
            Err(error) => {
                tracing::error!(%error, "inventory cannot be read");
                Inventory { objects: Vec::new(), more: false }
            }
        }
    }
}

fn group_of(purpose: &Purpose) -> Option<(GroupId, Kind, OwnerEpoch)> {
    let (workflow, task, kind, epoch) = match purpose {
        Purpose::Input => return None,
        Purpose::Replica { workflow, task, owner_epoch } => {
            (workflow, task, Kind::Copy, *owner_epoch)
        }
        Purpose::Grant { workflow, task, owner_epoch } => {
            (workflow, task, Kind::Grant, *owner_epoch)
        }
    };
    Some((GroupId { workflow: workflow.clone(), task: task.clone() }, kind, epoch))
}

/// Lasting state has an owner: it cannot come as the input of a stage.
fn check_objects(offer: &Offer) -> Result<(), &'static str> {
    let all_of_runs = offer.objects.iter().all(|object| object.id.run.is_some());
    if !all_of_runs || !offer.deleted.is_empty() {
        return Err("a bundle of inputs holds objects of runs only");
    }
    check_distinct(offer)
}

/// A bundle of a group holds its head, its values and its commit records, and nothing else.
fn check_group<'a>(offer: &'a Offer, group: &GroupId) -> Result<&'a ObjectMeta, &'static str> {
    let is_own = |id: &types::ObjectId| id.workflow == group.workflow && id.task == group.task;
    let fits = |object: &ObjectMeta| {
        is_own(&object.id) && (object.id.run.is_none() || is_commit(&object.id))
    };
    if !offer.objects.iter().all(fits) {
        return Err("a bundle of a group holds its own state and commit records only");
    }
    let is_deleted_value = |id: &types::ObjectId| is_own(id) && id.run.is_none() && !is_head(id);
    if !offer.deleted.iter().all(|(id, _)| is_deleted_value(id)) {
        return Err("a bundle of a group deletes its own values only");
    }
    check_distinct(offer)?;
    offer
        .objects
        .iter()
        .find(|object| is_head(&object.id))
        .ok_or("a bundle of a group has its head")
}

fn check_distinct(offer: &Offer) -> Result<(), &'static str> {
    let mut ids: Vec<_> = offer.objects.iter().map(|object| &object.id).collect();
    ids.extend(offer.deleted.iter().map(|(id, _)| id));
    let count = ids.len();
    ids.sort();
    ids.dedup();
    (ids.len() == count).then_some(()).ok_or("a bundle names an object twice")
}

/// What the machine of a group has decided about a bundle.
fn judged(held: &Held, outputs: &[Output]) -> Judged {
    let group = &held.id;
    let mut verdict = Verdict::Refused(Refusal::NoOffer);
    let mut event = None;
    for output in outputs {
        match output {
            Output::ReplyDurable => {
                verdict = Verdict::Durable;
                event = Some(GroupEvent::ReplicaCurrent { group: group.clone() });
            }
            Output::ReplyFenced { epoch } => {
                verdict = Verdict::Refused(Refusal::Fenced { owner_epoch: *epoch });
            }
            Output::ReplyDeclined => {
                let reason = "this node does not take this grant; the sender keeps the group";
                verdict = Verdict::Refused(Refusal::Denied(reason.to_owned()));
            }
            Output::ReplyNoRoom => verdict = Verdict::Refused(Refusal::NoSpace),
            Output::TookOver { epoch, from: Some(from) } => {
                tracing::info!(%group, %epoch, %from, "took over");
                event = Some(GroupEvent::TookOver {
                    group: group.clone(),
                    owner_epoch: *epoch,
                    from: from.clone(),
                });
            }
            Output::SteppedDown => tracing::warn!(%group, "a newer owner is known: stepped down"),
            _ => {}
        }
    }
    (verdict, event)
}
