//! After a failover: the new owner looks for a fresher copy of its state than the one it holds, before it serves.
//!
//! The controller picks the node that should hold the newest copy, yet it cannot always know: a second copy may just
//! have moved to another node when the owner was lost. So all nodes are first shown the new epoch, which keeps them from
//! helping the lost owner to acknowledge anything more, and then asked for the head of the group; the freshest copy is
//! taken over whole. Who does not answer is not waited for.

use std::collections::BTreeMap;
use std::sync::Arc;

use belt::group::{Answer, Input as GroupInput};
use belt::{Stamp, hash_of};
use protocol::belt::{
    Fetch, Fetched, Inventory, InventoryQuery, ObjectMeta, Offer, OfferReply, Purpose, Refusal,
};
use protocol::call::is_call;
use protocol::invoke::{Fault, Input, LinkBytes};
use protocol::key::BeltService;
use protocol::{Message, decode, encode};
use tokio::time::{Duration, Instant};
use types::{NodeId, ObjectId, OwnerEpoch, RunId, StateKey, TaskId, Version};

use super::bundle::COMMITS_MAX;
use super::fetch::fetch_object;
use super::groups::{Held, head_id, is_commit};
use super::inner::{Inner, blocking, internal};
use super::install::{Install, New, replace_group};
use super::{GroupId, Peers, TransferError};
use crate::store::StateError;

/// Longest wait for the answers of all nodes.
const ASK_PATIENCE: Duration = Duration::from_millis(1500);
/// Longest time that taking over a fresher copy takes.
const PULL_TIME_MAX: Duration = Duration::from_secs(30);
/// Most pages of an inventory that are looked through for commit records: those of the last few hundred runs.
const PAGES_MAX: usize = 32;
/// Runs that may still commit after later ones have.
const RUNS_BACK: u64 = 64;

/// A copy that another node holds.
struct Copy {
    head: ObjectMeta,
    stamp: Stamp,
    holder: NodeId,
}

impl Inner {
    /// Whether the group waits for [`Inner::catch_up`], and there is somebody to ask.
    pub(super) fn must_catch_up(&self, held: &Held) -> bool {
        is_unchecked(held) && !self.neighbours().is_empty()
    }

    /// What a call lacks whose group has not looked for a fresher copy yet: the heads of all others.
    pub(super) fn heads_to_ask(&self, group: &GroupId) -> Vec<Input> {
        let object = |id| ObjectMeta {
            id,
            version: Version(0),
            owner_epoch: OwnerEpoch(0),
            hash: [0; 32],
            bytes: 0,
        };
        let ask = |holder| Input { object: object(head_id(group)), holder };
        self.neighbours().into_iter().map(ask).collect()
    }

    /// Looks for a fresher copy and takes it over; answers what came from where. Done before, or not needed: a no-op.
    pub(super) async fn catch_up(
        self: &Arc<Self>,
        peers: &impl Peers,
        held: &Arc<Held>,
    ) -> Result<Option<LinkBytes>, TransferError> {
        let _one_at_a_time = held.catching_up.lock().await;
        if !is_unchecked(held) {
            return Ok(None);
        }
        let mine = held.look(|machine| machine.owner_epoch()).unwrap_or_default();
        let at_failover = held.look(|machine| machine.record().unchecked).unwrap_or_default();
        let fence = self.fence(held, mine);
        let nodes = self.neighbours();
        let asked = ask_all(peers, &fence, &held.id, &nodes).await;
        let newest = asked.iter().filter_map(|answer| answer.fence).max();
        if let Some((owner_epoch, to)) = newest.filter(|(epoch, _)| mine < *epoch) {
            self.note_fenced(held, owner_epoch).await?;
            return Err(TransferError::Fenced { to: nodes[to].clone(), owner_epoch });
        }
        let copies = asked.into_iter().filter_map(|answer| answer.copy);
        let fresher = |copy: &Copy| at_failover < copy.stamp && copy.stamp.epoch < mine;
        let freshest = copies.filter(fresher).max_by_key(|copy| copy.stamp);
        let Some(copy) = freshest else {
            self.note_caught_up(held, None).await?;
            return Ok(None);
        };
        tracing::warn!(group = %held.id, holder = %copy.holder, "a fresher copy is taken over");
        let deadline = Instant::now() + PULL_TIME_MAX;
        let (new, received) = self.pull(peers, held, &copy, deadline).await?;
        self.note_caught_up(held, Some((copy.stamp, new))).await?;
        Ok(Some(LinkBytes { node: copy.holder, sent: 0, received }))
    }

    /// An offer that shows the epoch of this owner: one of its objects is nowhere, so it never becomes a copy.
    fn fence(&self, held: &Held, owner_epoch: OwnerEpoch) -> Offer {
        let GroupId { workflow, task } = held.id.clone();
        let head = head_id(&held.id);
        let nowhere = ObjectId { key: StateKey::new(".fence").expect("letters"), ..head.clone() };
        let seq = held.look(|machine| machine.record().stamp.seq);
        let meta = |id, version, hash, bytes| ObjectMeta { id, version, owner_epoch, hash, bytes };
        Offer {
            from: self.me.clone(),
            purpose: Purpose::Replica { workflow, task, owner_epoch },
            objects: vec![
                meta(head, Version(seq), hash_of(&[0; 8]), 8),
                meta(nowhere, Version(1), [0xff; 32], 1),
            ],
            deleted: Vec::new(),
        }
    }

    async fn note_fenced(
        self: &Arc<Self>,
        held: &Arc<Held>,
        epoch: OwnerEpoch,
    ) -> Result<(), TransferError> {
        let (this, held) = (Arc::clone(self), Arc::clone(held));
        let noted = blocking(TransferError::Store, move || {
            let stamp = held.look(|machine| machine.record().stamp);
            let input = GroupInput::CopyAnswered { stamp, answer: Answer::Fenced { epoch } };
            held.plain_step(&this.store, input)
                .map_err(|error| TransferError::Store(error.to_string()))
        });
        noted.await.map(|_| ())
    }

    /// Fetches a whole group.
    async fn pull(
        self: &Arc<Self>,
        peers: &impl Peers,
        held: &Arc<Held>,
        copy: &Copy,
        deadline: Instant,
    ) -> Result<(New, u64), TransferError> {
        let to = &copy.holder;
        let unanswered = |reason: String| TransferError::Unanswered { to: to.clone(), reason };
        let objects = self.list(peers, held, copy).await.map_err(unanswered)?;
        let mut fresh = BTreeMap::new();
        let mut fetched = 0;
        for (at, object) in objects.iter().enumerate() {
            if self.holds(object).map_err(|error| TransferError::Store(error.to_string()))? {
                continue;
            }
            let input = Input { object: object.clone(), holder: to.clone() };
            let bytes = fetch_object(peers, &input, deadline).await;
            let bytes = bytes.map_err(|fault| unanswered(format!("{fault:?}")))?;
            fetched += bytes.len() as u64;
            fresh.insert(at, bytes);
        }
        let again = ask_head(peers, &held.id, to).await;
        if again.is_none_or(|again| again.head != copy.head) {
            return Err(unanswered("its copy has changed meanwhile".to_owned()));
        }
        // Deletions are not listed: no key may fall below the number of commits, which no version exceeds.
        let floor = Version(copy.stamp.seq);
        Ok((New { objects, deleted: Vec::new(), fresh, floor }, fetched))
    }

    fn holds(&self, object: &ObjectMeta) -> Result<bool, StateError> {
        let row = self.store.snapshot()?.object(&object.id)?;
        Ok(row.is_some_and(|row| row.meta.hash == object.hash))
    }

    /// The values of a group and the commit records of its last runs, as another node lists them.
    async fn list(
        &self,
        peers: &impl Peers,
        held: &Held,
        copy: &Copy,
    ) -> Result<Vec<ObjectMeta>, String> {
        let group = &held.id;
        let mut objects = Vec::new();
        let mut after = copy.head.id.clone();
        'values: loop {
            let page = inventory(peers, &copy.holder, &after).await?;
            for object in &page.objects {
                if object.id.run.is_some() || object.id.task != group.task {
                    break 'values;
                }
                objects.push(object.clone());
            }
            match page.objects.last() {
                Some(last) if page.more => after = last.id.clone(),
                _ => break,
            }
        }
        let row = self.store.snapshot().and_then(|now| now.group(group));
        let recent = row.map_err(|error| error.to_string())?.unwrap_or_default().recent;
        let runs = recent.iter().filter(|run| !is_call(**run));
        let newest = runs.max().map_or(0, |run| run.0);
        let mut commits = Vec::new();
        after = before_run(group, RunId(newest.saturating_sub(RUNS_BACK)));
        for _ in 0..PAGES_MAX {
            let page = inventory(peers, &copy.holder, &after).await?;
            let is_ours =
                |object: &&ObjectMeta| is_commit(&object.id) && object.id.task == group.task;
            commits.extend(page.objects.iter().filter(is_ours).cloned());
            match page.objects.last() {
                Some(last) if page.more => after = last.id.clone(),
                _ => break,
            }
        }
        // Calls have no order, so that some of them have to do.
        let is_of_call = |object: &ObjectMeta| object.id.run.is_some_and(is_call);
        let (mut calls, mut runs): (Vec<_>, Vec<_>) = commits.into_iter().partition(is_of_call);
        objects.extend(runs.split_off(runs.len().saturating_sub(COMMITS_MAX)));
        calls.truncate(COMMITS_MAX);
        objects.extend(calls);
        Ok(objects)
    }

    async fn note_caught_up(
        self: &Arc<Self>,
        held: &Arc<Held>,
        found: Option<(Stamp, New)>,
    ) -> Result<(), TransferError> {
        let (this, held) = (Arc::clone(self), Arc::clone(held));
        let noted = blocking(TransferError::Store, move || {
            let at = this.stored_at();
            let (stamp, new) = found.unzip();
            let input = GroupInput::CaughtUp { found: stamp };
            let step = held.step(&this.store, input, |writer, with, row| match &new {
                Some(new) => replace_group(writer, &held.id, new, (with, at), row),
                None => Ok(()),
            });
            step.map_err(|error| match error {
                Install::Store(error) => TransferError::Store(error.to_string()),
                Install::Corrupt => TransferError::Store("the copy is damaged".to_owned()),
            })
        });
        noted.await.map(|_| ())
    }

    /// The catch-up of a call: what it could not do is a missing input.
    pub(super) async fn catch_up_for_call(
        self: &Arc<Self>,
        peers: &impl Peers,
        head: &ObjectId,
    ) -> Result<Option<LinkBytes>, Fault> {
        let group = GroupId { workflow: head.workflow.clone(), task: head.task.clone() };
        let Some(held) = self.groups.get(&group) else { return Ok(None) };
        self.catch_up(peers, &held).await.map_err(|error| match error {
            TransferError::Unanswered { .. } => {
                Fault::InputMissing(super::inner::cut(&format!("newest state of {group}: {error}")))
            }
            TransferError::Fenced { to, owner_epoch } => Fault::Moved { to, owner_epoch },
            other => internal(other),
        })
    }
}

fn is_unchecked(held: &Held) -> bool {
    held.look(|machine| machine.owner_epoch().is_some() && !machine.is_checked())
}

/// A place in the order of objects before all of a run.
fn before_run(group: &GroupId, run: RunId) -> ObjectId {
    let task = TaskId::new("0").expect("a digit");
    let key = StateKey::new("-").expect("a hyphen");
    ObjectId { workflow: group.workflow.clone(), run: Some(run), task, key }
}

async fn ask<Q: Message, A: Message>(
    peers: &impl Peers,
    to: &NodeId,
    service: BeltService,
    query: &Q,
) -> Result<A, String> {
    let frame = encode(query).map_err(|error| error.to_string())?;
    let answer = peers.belt(to, service, frame, ASK_PATIENCE).await;
    decode(&answer.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
}

async fn inventory(
    peers: &impl Peers,
    holder: &NodeId,
    after: &ObjectId,
) -> Result<Inventory, String> {
    let query = InventoryQuery { workflow: after.workflow.clone(), after: Some(after.clone()) };
    ask(peers, holder, BeltService::Inventory, &query).await
}

/// What a node says to the new owner.
#[derive(Default)]
struct Answered {
    /// The epoch of a newer owner that it knows, and its place in the list.
    fence: Option<(OwnerEpoch, usize)>,
    copy: Option<Copy>,
}

/// Shows the new epoch to all nodes and asks them for their copy, eight at a time.
async fn ask_all(
    peers: &impl Peers,
    fence: &Offer,
    group: &GroupId,
    nodes: &[NodeId],
) -> Vec<Answered> {
    let mut all = Vec::new();
    for first in (0..nodes.len()).step_by(8) {
        let one = |nth: usize| ask_one(peers, fence, group, nodes, first + nth);
        let (a, b, c, d, e, f, g, h) =
            tokio::join!(one(0), one(1), one(2), one(3), one(4), one(5), one(6), one(7));
        all.extend([a, b, c, d, e, f, g, h]);
    }
    all
}

async fn ask_one(
    peers: &impl Peers,
    fence: &Offer,
    group: &GroupId,
    nodes: &[NodeId],
    at: usize,
) -> Answered {
    let Some(node) = nodes.get(at) else { return Answered::default() };
    match ask(peers, node, BeltService::Offer, fence).await {
        Err(_silence) => Answered::default(),
        Ok(OfferReply::Refused(Refusal::Fenced { owner_epoch })) => {
            Answered { fence: Some((owner_epoch, at)), copy: None }
        }
        Ok(_) => Answered { fence: None, copy: ask_head(peers, group, node).await },
    }
}

async fn ask_head(peers: &impl Peers, group: &GroupId, node: &NodeId) -> Option<Copy> {
    let holder = node.clone();
    let query = Fetch { id: head_id(group), offset: 0 };
    match ask(peers, &holder, BeltService::Fetch, &query).await {
        Ok(Fetched::Part { meta: head, .. }) => {
            let stamp = Stamp { epoch: head.owner_epoch, seq: head.version.0 };
            Some(Copy { head, stamp, holder })
        }
        Ok(Fetched::NotFound | Fetched::Denied) | Err(_) => None,
    }
}
