//! Sends bundles to other nodes: the machine of `belt::transfer` over queries.

use std::sync::Arc;

use belt::commit::SecondCopy;
use belt::group::{Answer, Covered, Input};
use belt::transfer::{ChunkAnswer, OfferAnswer, Sender, SenderInput, SenderOutput, WINDOW};
use protocol::belt::{ChunkReply, OfferReply, Refusal};
use protocol::key::BeltService;
use protocol::{Message, decode, encode};
use tokio::time::{Duration, Instant, sleep};
use types::{NodeId, ObjectId};

use super::bundle::{Bundle, Sent};
use super::groups::Held;
use super::inner::{Inner, blocking};
use super::{Peers, TransferError};
use crate::store::StateError;

/// Longest wait for one answer: a third of a second on the way, the rest for a slow disk.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);
/// Before an offer is repeated, so that a node that is just starting is not asked in a tight loop.
const OFFER_AGAIN: Duration = Duration::from_millis(100);
/// Before a copy is tried again that met a grant which nobody has answered yet.
const COVERED_AGAIN: Duration = Duration::from_millis(50);

/// How sending a bundle ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It is durable there.
    Durable,
    /// It was refused for good.
    Refused(Refusal),
    /// There was no answer, or none that helps; what was last.
    Silence(String),
}

/// A transfer under way.
struct Push<'a, P> {
    peers: &'a P,
    to: &'a NodeId,
    bundle: Arc<Bundle>,
    deadline: Instant,
    sent_bytes: u64,
    refusal: Option<Refusal>,
    last: String,
}

/// Sends a bundle; answers how that ended and how many bytes of it went out.
pub(super) async fn push(
    peers: &impl Peers,
    to: &NodeId,
    bundle: Bundle,
    deadline: Instant,
) -> (End, u64) {
    let mut sender = Sender::new(bundle.layout.chunks());
    let mut push = Push {
        peers,
        to,
        bundle: Arc::new(bundle),
        deadline,
        sent_bytes: 0,
        refusal: None,
        last: "the offer".to_owned(),
    };
    let mut due = sender.handle(SenderInput::Start);
    let mut offers = 0_u32;
    loop {
        if due.contains(&SenderOutput::Done) {
            return (End::Durable, push.sent_bytes);
        }
        if due.iter().any(|output| matches!(output, SenderOutput::Failed(_))) {
            let end = push.refusal.map_or(End::Silence(push.last), End::Refused);
            return (end, push.sent_bytes);
        }
        if push.left().is_zero() {
            return (End::Silence(format!("{}: out of time", push.last)), push.sent_bytes);
        }
        // An offer makes what was to be sent before it void.
        if due.is_empty() || due.contains(&SenderOutput::Offer) {
            if 0 < offers {
                sleep(OFFER_AGAIN.min(push.left())).await;
            }
            offers += 1;
            let answer = push.offer().await;
            due = sender.handle(SenderInput::Offer(answer));
        } else {
            due = push.chunks(&mut sender, &due).await;
        }
    }
}

impl<P: Peers> Push<'_, P> {
    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    async fn ask<Q: Message, A: Message>(
        &self,
        service: BeltService,
        query: &Q,
    ) -> Result<A, String> {
        let frame = encode(query).map_err(|error| error.to_string())?;
        let timeout = ANSWER_PATIENCE.min(self.left());
        let answer = self.peers.belt(self.to, service, frame, timeout).await;
        decode(&answer.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
    }

    async fn offer(&mut self) -> OfferAnswer {
        match self.ask(BeltService::Offer, &self.bundle.offer).await {
            Ok(OfferReply::Wanted(chunks)) => OfferAnswer::Wanted(chunks),
            Ok(OfferReply::Durable) => OfferAnswer::Durable,
            Ok(OfferReply::Refused(refusal)) if is_final(&refusal) => {
                self.refusal = Some(refusal);
                OfferAnswer::Refused
            }
            Ok(OfferReply::Refused(refusal)) => {
                self.last = format!("the offer: {refusal:?}");
                OfferAnswer::Silence
            }
            Err(reason) => {
                self.last = reason;
                OfferAnswer::Silence
            }
        }
    }

    /// Sends the chunks that are due, all at once, and hands their answers to the machine.
    async fn chunks(&mut self, sender: &mut Sender, due: &[SenderOutput]) -> Vec<SenderOutput> {
        let chunk = |at: usize| match due.get(at) {
            Some(SenderOutput::Chunk(index)) => Some(*index),
            _ => None,
        };
        // WINDOW of them, which is as many as the machine has in flight.
        const { assert!(WINDOW == 4) };
        let (a, b, c, d) = tokio::join!(
            self.chunk(chunk(0)),
            self.chunk(chunk(1)),
            self.chunk(chunk(2)),
            self.chunk(chunk(3)),
        );
        let mut next = Vec::new();
        for (index, len, answer) in [a, b, c, d].into_iter().flatten() {
            self.sent_bytes += len;
            let answer = self.chunk_answer(answer);
            next.extend(sender.handle(SenderInput::Chunk { index, answer }));
        }
        next
    }

    async fn chunk(&self, index: Option<u32>) -> Option<(u32, u64, Result<ChunkReply, String>)> {
        let index = index?;
        let bundle = Arc::clone(&self.bundle);
        let lost = |reason: String| StateError::new("read a chunk", reason);
        let chunk = match blocking(lost, move || bundle.chunk(index)).await {
            Ok(chunk) => chunk,
            Err(error) => return Some((index, 0, Err(error.to_string()))),
        };
        let len = chunk.bytes.len() as u64;
        Some((index, len, self.ask(BeltService::Chunk, &chunk).await))
    }

    fn chunk_answer(&mut self, answer: Result<ChunkReply, String>) -> ChunkAnswer {
        match answer {
            Ok(ChunkReply::Taken) => ChunkAnswer::Taken,
            Ok(ChunkReply::Durable) => ChunkAnswer::Durable,
            Ok(ChunkReply::Refused(refusal)) if is_final(&refusal) => {
                self.refusal = Some(refusal);
                ChunkAnswer::Refused
            }
            Ok(ChunkReply::Refused(refusal)) => {
                self.last = format!("a chunk: {refusal:?}");
                ChunkAnswer::OfferAgain
            }
            Err(reason) => {
                self.last = reason;
                ChunkAnswer::Silence
            }
        }
    }
}

const fn is_final(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Fenced { .. } | Refusal::NoSpace | Refusal::Denied(_) => true,
        Refusal::Corrupt | Refusal::NoOffer => false,
    }
}

impl Inner {
    /// Makes the second copy of objects of a run.
    pub(super) async fn copy_objects(
        self: &Arc<Self>,
        peers: &impl Peers,
        objects: &[ObjectId],
        to: Option<&NodeId>,
        deadline: Instant,
    ) -> (SecondCopy, u64) {
        if objects.is_empty() {
            return (SecondCopy::NotNeeded, 0);
        }
        let Some(to) = to else { return (SecondCopy::NonePlanned, 0) };
        let (this, ids) = (Arc::clone(self), objects.to_vec());
        let lost = |reason: String| StateError::new("make a bundle", reason);
        let bundle =
            blocking(lost, move || Bundle::of_objects(this.store.snapshot()?, &ids, &this.me));
        let bundle = match bundle.await {
            Ok(bundle) => bundle,
            Err(error) => {
                tracing::error!(%error, "outputs cannot be copied");
                return (SecondCopy::Unanswered, 0);
            }
        };
        let (end, sent) = push(peers, to, bundle, self.patience(to, deadline)).await;
        self.heard(to, !matches!(end, End::Silence(_)));
        match end {
            End::Durable => (SecondCopy::On(to.clone()), sent),
            End::Refused(_) => {
                tracing::warn!(%to, ?end, "outputs have one copy");
                (SecondCopy::Refused, sent)
            }
            End::Silence(_) => {
                tracing::warn!(%to, ?end, "outputs have one copy and are not acknowledged");
                (SecondCopy::Unanswered, sent)
            }
        }
    }

    /// Makes the second copy of a group, as it is now or later.
    pub(super) async fn copy_state(
        self: &Arc<Self>,
        peers: &impl Peers,
        held: &Arc<Held>,
        to: Option<&NodeId>,
        deadline: Instant,
    ) -> (SecondCopy, u64) {
        let Some(to) = to else { return (SecondCopy::NonePlanned, 0) };
        let mut sent_all = 0;
        let deadline = self.patience(to, deadline);
        loop {
            let (copied, sent) = self.copy_group(peers, held, to, deadline).await;
            sent_all += sent;
            let epoch = match copied {
                Ok(()) => return (SecondCopy::On(to.clone()), sent_all),
                Err(TransferError::Fenced { owner_epoch, .. }) => owner_epoch,
                Err(error @ TransferError::Refused { .. }) => {
                    tracing::warn!(group = %held.id, %error, "state has one copy");
                    return (SecondCopy::Refused, sent_all);
                }
                Err(error) => {
                    tracing::warn!(group = %held.id, %error, "state has one copy and is not acknowledged");
                    return (SecondCopy::Unanswered, sent_all);
                }
            };
            let fenced = SecondCopy::Fenced { epoch, by: to.clone() };
            match held.look(|group| group.covered(epoch)) {
                Covered::By(owner) => return (SecondCopy::On(owner), sent_all),
                Covered::NotYet if Instant::now() + COVERED_AGAIN < deadline => {
                    sleep(COVERED_AGAIN).await;
                }
                Covered::NotYet | Covered::No => return (fenced, sent_all),
            }
        }
    }

    /// Sends a group as it is now and notes the answer.
    pub(super) async fn copy_group(
        self: &Arc<Self>,
        peers: &impl Peers,
        held: &Arc<Held>,
        to: &NodeId,
        deadline: Instant,
    ) -> (Result<(), TransferError>, u64) {
        let bundle = match self.group_bundle(held, Sent::AsCopy).await {
            Ok(bundle) => bundle,
            Err(error) => return (Err(error), 0),
        };
        let stamp = bundle.stamp;
        let (end, sent) = push(peers, to, bundle, deadline).await;
        self.heard(to, !matches!(end, End::Silence(_)));
        let (answer, result) = match end {
            End::Durable => (Answer::Durable, Ok(())),
            End::Refused(Refusal::Fenced { owner_epoch }) => {
                let error = TransferError::Fenced { to: to.clone(), owner_epoch };
                (Answer::Fenced { epoch: owner_epoch }, Err(error))
            }
            End::Refused(refusal) => {
                let reason = format!("{refusal:?}");
                (Answer::Silence, Err(TransferError::Refused { to: to.clone(), reason }))
            }
            End::Silence(reason) => {
                (Answer::Silence, Err(TransferError::Unanswered { to: to.clone(), reason }))
            }
        };
        let (this, held) = (Arc::clone(self), Arc::clone(held));
        let noted = blocking(TransferError::Store, move || {
            let input = Input::CopyAnswered { stamp, answer };
            held.plain_step(&this.store, input)
                .map_err(|error| TransferError::Store(error.to_string()))
        });
        match noted.await {
            Ok(_) => (result, sent),
            Err(error) => (Err(error), sent),
        }
    }

    pub(super) async fn group_bundle(
        self: &Arc<Self>,
        held: &Arc<Held>,
        sent: Sent,
    ) -> Result<Bundle, TransferError> {
        let (this, held) = (Arc::clone(self), Arc::clone(held));
        let made = blocking(TransferError::Store, move || {
            let made = this
                .store
                .snapshot()
                .and_then(|now| Bundle::of_group(now, &held.id, &this.me, sent));
            let made = made.map_err(|error| TransferError::Store(error.to_string()))?;
            made.ok_or_else(|| TransferError::NotOwner { group: held.id.clone() })
        });
        made.await
    }
}
