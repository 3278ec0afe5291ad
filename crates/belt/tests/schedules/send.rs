//! Transfers of a schedule, both ends: the machines of `belt::transfer` and what the fence says to their bundles.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use belt::commit::SecondCopy;
use belt::group::{Answer, Incoming, Input, Kind, Output, With};
use belt::transfer::{
    ChunkAnswer, ChunkVerdict, Failure, OfferAnswer, OfferVerdict, Sender, SenderInput,
    SenderOutput,
};
use belt::{Hash, Stamp, hash_of};
use types::OwnerEpoch;

use crate::node::{CatchUp, Payload};
use crate::plan::{Bundle, Content, Message, Mutation, Refusal, Reply, Timer, name};
use crate::world::{NODES, World};

const PATIENCE: u64 = 30;
const ASK_PATIENCE: u64 = 20;
const ASK_ROUNDS: u32 = 5;

pub(crate) struct Transfer {
    to: usize,
    bundle: Rc<Bundle>,
    sender: Sender,
    /// Requests without an answer: a chunk, or the offer.
    outstanding: BTreeMap<u64, Option<u32>>,
    purpose: Purpose,
    refusal: Option<Refusal>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Outputs { run: u32 },
    State { run: u32 },
    Prepare,
    Grant { epoch: OwnerEpoch },
}

impl World {
    /// Sends the whole group as it is now to its second node.
    pub(crate) fn start_copy(&mut self, node: usize, to: usize, purpose: Purpose) {
        let seen = &self.nodes[node].disk.seen;
        let stamp = seen.record.stamp;
        let content = Content::Group { kind: Kind::Copy, epoch: stamp.epoch, stamp };
        let bundle = Bundle::new(content, node, &seen.group_items());
        self.start_transfer(node, to, bundle, purpose);
    }

    pub(crate) fn start_transfer(
        &mut self,
        node: usize,
        to: usize,
        bundle: Rc<Bundle>,
        purpose: Purpose,
    ) {
        let mut sender = Sender::new(bundle.layout.chunks());
        let outputs = sender.handle(SenderInput::Start);
        let transfer = self.rng.next();
        let outstanding = BTreeMap::new();
        let started = Transfer { to, bundle, sender, outstanding, purpose, refusal: None };
        self.nodes[node].memory.transfers.insert(transfer, started);
        self.send_on(node, transfer, outputs);
    }

    fn send_on(&mut self, node: usize, transfer: u64, outputs: Vec<SenderOutput>) {
        for output in outputs {
            let request = self.rng.next();
            let Some(open) = self.nodes[node].memory.transfers.get_mut(&transfer) else { return };
            let (to, bundle) = (open.to, Rc::clone(&open.bundle));
            let (what, message) = match output {
                SenderOutput::Offer => (None, Message::Offer { bundle, transfer, request }),
                SenderOutput::Chunk(index) => {
                    let bytes = bundle.chunk(index);
                    let bundle = bundle.hash;
                    (Some(index), Message::Chunk { bundle, index, bytes, transfer, request })
                }
                SenderOutput::Done => return self.transfer_ended(node, transfer, None),
                SenderOutput::Failed(why) => {
                    return self.transfer_ended(node, transfer, Some(why));
                }
            };
            open.outstanding.insert(request, what);
            self.timer(node, PATIENCE, Timer::NoReply { transfer, request });
            self.send(node, to, message);
        }
    }

    pub(crate) fn on_reply(
        &mut self,
        node: usize,
        transfer: u64,
        request: u64,
        reply: Option<Reply>,
    ) {
        let Some(open) = self.nodes[node].memory.transfers.get_mut(&transfer) else { return };
        let Some(what) = open.outstanding.remove(&request) else { return };
        if let Some(Reply::Refused(refusal)) = &reply {
            open.refusal = Some(*refusal);
        }
        let final_refusal = |refusal: &Refusal| {
            matches!(refusal, Refusal::Fenced(_) | Refusal::Declined | Refusal::NoRoom)
        };
        let input = match what {
            None => SenderInput::Offer(match reply {
                Some(Reply::Wanted(chunks)) => OfferAnswer::Wanted(chunks),
                Some(Reply::Durable) => OfferAnswer::Durable,
                Some(Reply::Refused(refusal)) if final_refusal(&refusal) => OfferAnswer::Refused,
                Some(Reply::Taken | Reply::Refused(_)) | None => OfferAnswer::Silence,
            }),
            Some(index) => SenderInput::Chunk {
                index,
                answer: match reply {
                    Some(Reply::Taken) => ChunkAnswer::Taken,
                    Some(Reply::Durable) => ChunkAnswer::Durable,
                    Some(Reply::Refused(refusal)) if final_refusal(&refusal) => {
                        ChunkAnswer::Refused
                    }
                    Some(Reply::Refused(_)) => ChunkAnswer::OfferAgain,
                    Some(Reply::Wanted(_)) | None => ChunkAnswer::Silence,
                },
            },
        };
        let outputs = open.sender.handle(input);
        self.send_on(node, transfer, outputs);
    }

    fn transfer_ended(&mut self, node: usize, transfer: u64, failure: Option<Failure>) {
        let open = self.nodes[node].memory.transfers.remove(&transfer).expect("it is open");
        let answer = match (failure, open.refusal) {
            (None, _) => Answer::Durable,
            (Some(Failure::Refused), Some(Refusal::Fenced(epoch))) => Answer::Fenced { epoch },
            (Some(Failure::Refused), Some(Refusal::Declined)) => Answer::Declined,
            (Some(_), _) => Answer::Silence,
        };
        let copy = match answer {
            Answer::Durable => SecondCopy::On(name(open.to)),
            Answer::Declined | Answer::Fenced { .. } | Answer::Silence => SecondCopy::Unanswered,
        };
        match open.purpose {
            Purpose::Outputs { run } => self.outputs_settled(node, run, copy),
            Purpose::Grant { epoch } => self.grant_answered(node, epoch, answer),
            Purpose::State { run } => {
                if !self.copy_answered(node, &open.bundle, answer) {
                    return;
                }
                match answer {
                    Answer::Fenced { epoch } => self.state_fenced(node, run, open.to, epoch),
                    _ => self.state_settled(node, run, copy),
                }
            }
            Purpose::Prepare => _ = self.copy_answered(node, &open.bundle, answer),
        }
    }

    fn copy_answered(&mut self, node: usize, bundle: &Bundle, answer: Answer) -> bool {
        let Content::Group { stamp, .. } = bundle.content else { return true };
        let outputs = self.group(node).handle(Input::CopyAnswered { stamp, answer });
        self.carry_out(node, outputs, &Payload::None).is_some()
    }

    fn reply(&mut self, node: usize, to: usize, query: (u64, u64), reply: Reply) {
        let (transfer, request) = query;
        self.send(node, to, Message::Replied { transfer, request, reply });
    }

    pub(crate) fn on_offer(&mut self, node: usize, bundle: &Rc<Bundle>, query: (u64, u64)) {
        let verdict = match self.judge(node, bundle, false, &Payload::None) {
            Some(verdict) => verdict,
            None => return,
        };
        if let Some(reply) = verdict {
            return self.reply(node, bundle.from, query, reply);
        }
        let seen = &self.nodes[node].disk.seen;
        let held: Vec<bool> =
            bundle.hashes.iter().map(|h| seen.holds(h, bundle.run()).is_some()).collect();
        let chunks = (bundle.hash, 0)..=(bundle.hash, u32::MAX);
        let staged: BTreeSet<u32> = seen.staged.range(chunks).map(|((_, c), _)| *c).collect();
        let memory = &mut self.nodes[node].memory;
        let (verdict, dropped) =
            memory.receiver.offer(bundle.hash, bundle.layout.clone(), &held, &staged);
        if let Some(dropped) = dropped {
            self.forget(node, &dropped);
        }
        match verdict {
            OfferVerdict::Want(chunks) => {
                self.nodes[node].memory.open.insert(bundle.hash, Rc::clone(bundle));
                self.reply(node, bundle.from, query, Reply::Wanted(chunks));
            }
            OfferVerdict::Complete => self.on_complete(node, bundle, query),
        }
    }

    pub(crate) fn on_chunk(
        &mut self,
        node: usize,
        from: usize,
        chunk: (&Hash, u32, Vec<u8>),
        query: (u64, u64),
    ) {
        let (bundle, index, bytes) = chunk;
        let verdict = self.nodes[node].memory.receiver.chunk(bundle, index, bytes.len());
        let staged = &mut self.nodes[node].disk.seen.staged;
        let reply = match verdict {
            ChunkVerdict::Stage => {
                staged.insert((*bundle, index), bytes);
                Reply::Taken
            }
            ChunkVerdict::Duplicate => Reply::Taken,
            ChunkVerdict::NoOffer => Reply::Refused(Refusal::NoOffer),
            ChunkVerdict::Misfit => Reply::Refused(Refusal::Corrupt),
            ChunkVerdict::Complete => {
                staged.insert((*bundle, index), bytes);
                let open = self.nodes[node].memory.open.remove(bundle).expect("it is open");
                return self.on_complete(node, &open, query);
            }
        };
        self.reply(node, from, query, reply);
    }

    fn on_complete(&mut self, node: usize, bundle: &Rc<Bundle>, query: (u64, u64)) {
        let items = self.assemble(node, bundle);
        self.forget(node, &bundle.hash);
        let reply = match items {
            None => Reply::Refused(Refusal::Corrupt),
            Some(items) => {
                let Some(reply) = self.judge(node, bundle, true, &Payload::Items(items)) else {
                    return;
                };
                reply.unwrap_or(Reply::Durable)
            }
        };
        self.reply(node, bundle.from, query, reply);
    }

    /// A new owner asks all others for a fresher copy, several times, before it serves.
    pub(crate) fn catch_up(&mut self, node: usize) {
        // What is kept matters where nobody asks for it.
        let nobody = matches!(self.mutation, Mutation::NoCatchUp | Mutation::NothingKept);
        if self.group(node).is_checked() || nobody {
            return;
        }
        let request = self.rng.next();
        let (rounds, answered, best) = (0, BTreeSet::new(), None);
        self.nodes[node].memory.catching_up = Some(CatchUp { request, rounds, answered, best });
        self.ask(node, request);
    }

    fn ask(&mut self, node: usize, request: u64) {
        let Some(epoch) = self.group(node).owner_epoch() else { return };
        for other in (0..NODES).filter(|other| *other != node) {
            self.send(node, other, Message::Ask { request, epoch });
        }
        self.timer(node, ASK_PATIENCE, Timer::AskAgain { request });
    }

    /// The question of a new owner is an offer of which no bytes ever come.
    pub(crate) fn show_fence(&mut self, node: usize, from: usize, epoch: OwnerEpoch) -> bool {
        if self.mutation == Mutation::NoFenceShown {
            return true;
        }
        let stamp = Stamp { epoch, seq: 0 };
        let incoming = Incoming { kind: Kind::Copy, epoch, from: name(from), stamp, room: true };
        let outputs = self.group(node).handle(Input::Offered(incoming));
        self.carry_out(node, outputs, &Payload::None).is_some()
    }

    pub(crate) fn ask_again(&mut self, node: usize, request: u64) {
        match &mut self.nodes[node].memory.catching_up {
            Some(catching) if catching.request == request => {
                catching.rounds += 1;
                if catching.rounds < ASK_ROUNDS {
                    self.ask(node, request);
                } else {
                    self.caught_up(node);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn on_told(
        &mut self,
        node: usize,
        from: usize,
        request: u64,
        copy: (Stamp, Vec<Vec<u8>>),
    ) {
        match &mut self.nodes[node].memory.catching_up {
            Some(catching) if catching.request == request => {
                catching.answered.insert(from);
                if catching.best.as_ref().is_none_or(|(best, _)| *best < copy.0) {
                    catching.best = Some(copy);
                }
                if catching.answered.len() == NODES - 1 {
                    self.caught_up(node);
                }
            }
            _ => {}
        }
    }

    fn caught_up(&mut self, node: usize) {
        let Some(catching) = self.nodes[node].memory.catching_up.take() else { return };
        let (found, items) =
            catching.best.map_or((None, Vec::new()), |(s, items)| (Some(s), items));
        let outputs = self.group(node).handle(Input::CaughtUp { found });
        self.note(|| format!("n{node} has looked for a fresher copy: {found:?}"));
        self.carry_out(node, outputs, &Payload::Items(items));
    }

    fn forget(&mut self, node: usize, bundle: &Hash) {
        self.nodes[node].memory.open.remove(bundle);
        self.nodes[node].disk.seen.staged.retain(|(hash, _), _| hash != bundle);
    }

    /// The items of a bundle from what is held and staged, if their hashes are right.
    fn assemble(&self, node: usize, bundle: &Bundle) -> Option<Vec<Vec<u8>>> {
        let seen = &self.nodes[node].disk.seen;
        let mut items: Vec<Vec<u8>> = vec![Vec::new(); bundle.hashes.len()];
        for chunk in 0..bundle.layout.chunks() {
            if let Some(bytes) = seen.staged.get(&(bundle.hash, chunk)) {
                for piece in bundle.layout.pieces(chunk) {
                    let offset = usize::try_from(piece.offset).expect("small");
                    let item = &mut items[piece.object];
                    item.resize(item.len().max(offset), 0);
                    item.truncate(offset);
                    item.extend_from_slice(&bytes[piece.within]);
                }
            }
        }
        for (item, hash) in items.iter_mut().zip(&bundle.hashes) {
            if let Some(held) = seen.holds(hash, bundle.run()) {
                *item = held;
            }
            if hash_of(item) != *hash && self.mutation != Mutation::NoHashCheck {
                return None;
            }
        }
        Some(items)
    }

    /// What the fence says to a bundle that is offered or has arrived: a reply, or `None` to take it. The outer `None`
    /// means that the node died.
    fn judge(
        &mut self,
        node: usize,
        bundle: &Bundle,
        arrived: bool,
        payload: &Payload,
    ) -> Option<Option<Reply>> {
        let Content::Group { kind, epoch, stamp } = bundle.content else {
            return Some(self.judge_output(node, bundle, payload));
        };
        let incoming = Incoming { kind, epoch, from: name(bundle.from), stamp, room: true };
        let input = if arrived { Input::Arrived(incoming) } else { Input::Offered(incoming) };
        let outputs = self.group(node).handle(input);
        let fenced = outputs.iter().any(|output| matches!(output, Output::ReplyFenced { .. }));
        let blind = match self.mutation {
            Mutation::IgnoreFence => kind == Kind::Copy,
            Mutation::FenceOnlyAtOffer => arrived,
            _ => false,
        };
        if fenced && blind {
            if let Payload::Items(items) = payload {
                let record = self.nodes[node].disk.seen.record.clone();
                let with = Output::Persist { record, with: With::Bundle { keep_old: false } };
                self.carry_out(node, vec![with], &Payload::Items(items.clone()))?;
                return Some(Some(Reply::Durable));
            }
            return Some(None);
        }
        let rest = self.carry_out(node, outputs, payload)?;
        Some(rest.iter().find_map(|output| match output {
            Output::ReplyDurable => Some(Reply::Durable),
            Output::ReplyFenced { epoch } => Some(Reply::Refused(Refusal::Fenced(*epoch))),
            Output::ReplyDeclined => Some(Reply::Refused(Refusal::Declined)),
            Output::ReplyNoRoom => Some(Reply::Refused(Refusal::NoRoom)),
            _ => None,
        }))
    }

    fn judge_output(&mut self, node: usize, bundle: &Bundle, payload: &Payload) -> Option<Reply> {
        let run = bundle.run().expect("an output");
        let disk = &mut self.nodes[node].disk;
        match payload {
            Payload::Items(items) => {
                disk.seen.outputs.insert(run, items[0].clone());
                if self.mutation != Mutation::NoSyncOfBundles {
                    disk.sync();
                }
                Some(Reply::Durable)
            }
            _ => disk.seen.holds(&bundle.hashes[0], Some(run)).map(|_| Reply::Durable),
        }
    }
}
