//! Earliest arrival over a contact plan: store and forward, with what is booked already left out.
//!
//! A bundle goes whole over a window when it is not broken off by its end, waits at nodes between windows, and each direction of a window
//! sends one bundle at a time. That is contact graph routing (CCSDS 734.3-B-1; G. Araniti et al., 2015) with exact residual volume: not a
//! sum per window, but the times that are still free.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use types::Epoch;

use crate::contact::{LinkPlan, LinkWindow};
use crate::graph::NodeIx;

/// What is to be brought where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Where it is.
    pub from: NodeIx,
    /// Where it is to go.
    pub to: NodeIx,
    /// How large it is, bytes.
    pub bytes: u64,
    /// When it can be sent.
    pub at: Epoch,
}

/// One window on the way of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The position of the window in [`LinkPlan::windows`].
    pub window: u32,
    /// The sender.
    pub from: NodeIx,
    /// The receiver.
    pub to: NodeIx,
    /// When the first bit is sent.
    pub tx_begin: Epoch,
    /// When the last bit has been sent.
    pub tx_end: Epoch,
    /// When the last bit is received.
    pub arrival: Epoch,
}

/// The way of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What is brought.
    pub bundle: Bundle,
    /// The windows passed, in order; none where the bundle is there already.
    pub hops: Vec<Hop>,
    /// When it is there.
    pub arrival: Epoch,
}

/// Why a bundle cannot be brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDelivery {
    /// A node that the plan does not have.
    #[error("node {0} does not exist in the contact plan")]
    UnknownNode(u32),
    /// No way by the end of the plan.
    #[error(
        "no sequence of windows with enough free time leads there by the end of the contact plan"
    )]
    NotInTime,
}

/// A delivery that was found before others took its time or place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("hop {hop} of the delivery is not free any more: find another one")]
pub struct Taken {
    /// The hop, from 0.
    pub hop: usize,
}

/// Finds deliveries over a plan and books them.
#[derive(Clone, Debug)]
pub struct ContactRouter<'a> {
    plan: &'a LinkPlan,
    /// Most bytes that a node keeps for others at a time.
    buffer_bytes: Option<u64>,
    /// The times that are taken, by window and direction: from beginning to end, ns.
    sending: BTreeMap<(u32, NodeIx), BTreeMap<i64, i64>>,
    /// What each node keeps for others: from, to (ns) and bytes.
    kept: BTreeMap<NodeIx, Vec<(i64, i64, u64)>>,
}

/// How a node was reached first.
#[derive(Clone, Copy, Debug)]
struct Reached {
    arrival: Epoch,
    by: Option<Hop>,
    settled: bool,
}

impl<'a> ContactRouter<'a> {
    /// With nothing booked, and nodes that keep any number of bytes.
    pub fn new(plan: &'a LinkPlan) -> Self {
        Self { plan, buffer_bytes: None, sending: BTreeMap::new(), kept: BTreeMap::new() }
    }

    /// The same with a limit on what a node keeps for others at a time, from the first bit received to the last bit sent on.
    ///
    /// A bundle that would not fit goes another way or is not brought: all that is found keeps the limit, but where buffers are full for
    /// a while, a later arrival at such a node might lead on earlier; this is not searched for.
    #[must_use]
    pub fn with_buffers(mut self, bytes: u64) -> Self {
        self.buffer_bytes = Some(bytes);
        self
    }

    /// The way by which a bundle is there first; of equally early ones the one over lower nodes and earlier windows.
    ///
    /// Takes the delay when the last bit is sent; where ranges of two minutes do not meet by their fit error, sending a moment later may
    /// arrive earlier by that error (some microseconds), which is not searched for.
    ///
    /// # Errors
    /// [`NoDelivery`] where there is none in the plan.
    pub fn earliest(&self, bundle: &Bundle) -> Result<Delivery, NoDelivery> {
        let nodes = self.plan.nodes().len();
        if let Some(node) = [bundle.from, bundle.to].iter().find(|node| nodes <= node.index()) {
            return Err(NoDelivery::UnknownNode(node.0));
        }
        let mut reached: BTreeMap<NodeIx, Reached> = BTreeMap::new();
        let mut open = BinaryHeap::from([Reverse((bundle.at, bundle.from))]);
        let start = Reached { arrival: bundle.at, by: None, settled: false };
        reached.insert(bundle.from, start);
        while let Some(Reverse((arrival, node))) = open.pop() {
            if node == bundle.to {
                return Ok(trace(bundle, arrival, &reached));
            }
            match reached.get_mut(&node) {
                Some(here) if !here.settled => {
                    here.settled = true;
                    let here = *here;
                    self.leave(bundle, node, here, &mut reached, &mut open);
                }
                _ => {}
            }
        }
        Err(NoDelivery::NotInTime)
    }

    /// Tries all windows of a node.
    fn leave(
        &self,
        bundle: &Bundle,
        node: NodeIx,
        here: Reached,
        reached: &mut BTreeMap<NodeIx, Reached>,
        open: &mut BinaryHeap<Reverse<(Epoch, NodeIx)>>,
    ) {
        for at in self.plan.windows_of(node) {
            let window = &self.plan.windows()[*at as usize];
            if reached.get(&bundle.to).is_some_and(|there| there.arrival < window.open) {
                // Later windows begin later still.
                break;
            }
            let to = if window.a == node { window.b } else { window.a };
            let known = reached.get(&to);
            if window.close <= here.arrival || known.is_some_and(|there| there.settled) {
                continue;
            }
            let Some(hop) = self.hop(bundle.bytes, *at, (node, to), here.arrival) else { continue };
            let earlier = known.is_none_or(|there| {
                let before = there.by.map(|by| (by.from, by.window));
                (hop.arrival, Some((hop.from, hop.window))) < (there.arrival, before)
            });
            if earlier && self.has_room(bundle, here.by, &hop) {
                reached.insert(to, Reached { arrival: hop.arrival, by: Some(hop), settled: false });
                open.push(Reverse((hop.arrival, to)));
            }
        }
    }

    /// The first free time in a window from `ready` on that is long enough.
    fn hop(&self, bytes: u64, at: u32, (from, to): (NodeIx, NodeIx), ready: Epoch) -> Option<Hop> {
        let window = &self.plan.windows()[at as usize];
        let length = tx_ns(bytes, window.rate_kbps)?;
        let mut begin = ready.max(window.open).unix_ns();
        if let Some(taken) = self.sending.get(&(at, from)) {
            // The one that may still be going on, then each later one.
            let before = taken.range(..=begin).next_back().map(|(_, end)| *end);
            begin = begin.max(before.unwrap_or(begin));
            for (next, end) in taken.range(begin..) {
                if begin.checked_add(length)? <= *next {
                    break;
                }
                begin = *end;
            }
        }
        let tx_end = Epoch::from_unix_ns(begin.checked_add(length)?);
        let arrival = tx_end.plus_s(window.delay_us(tx_end)? * 1e-6);
        Some(Hop { window: at, from, to, tx_begin: Epoch::from_unix_ns(begin), tx_end, arrival })
    }

    /// Whether the sender of a hop, unless it is the source, can keep the bundle until it is sent.
    fn has_room(&self, bundle: &Bundle, by: Option<Hop>, hop: &Hop) -> bool {
        let (Some(limit), Some(by)) = (self.buffer_bytes, by) else { return true };
        let span = (by.tx_begin.unix_ns(), hop.tx_end.unix_ns());
        let kept = self.kept.get(&hop.from).map_or(0, |kept| most_kept(kept, span));
        kept.saturating_add(bundle.bytes) <= limit
    }

    /// Takes the times and places of a delivery.
    ///
    /// # Errors
    /// [`Taken`] when others took them since it was found, or the plan is another one; then nothing is booked.
    pub fn book(&mut self, delivery: &Delivery) -> Result<(), Taken> {
        let bytes = delivery.bundle.bytes;
        let mut before: Option<Hop> = None;
        for (at, hop) in delivery.hops.iter().enumerate() {
            let window = self.plan.windows().get(hop.window as usize);
            let ends =
                window.is_some_and(|w| (w.a, w.b) == (hop.from.min(hop.to), hop.from.max(hop.to)));
            let ready = before.map_or(delivery.bundle.at, |before| before.arrival);
            let again = || self.hop(bytes, hop.window, (hop.from, hop.to), hop.tx_begin);
            let free = ends && ready <= hop.tx_begin && again() == Some(*hop);
            if !free || !self.has_room(&delivery.bundle, before, hop) {
                return Err(Taken { hop: at });
            }
            before = Some(*hop);
        }
        before = None;
        for hop in &delivery.hops {
            let taken = self.sending.entry((hop.window, hop.from)).or_default();
            if hop.tx_begin < hop.tx_end {
                taken.insert(hop.tx_begin.unix_ns(), hop.tx_end.unix_ns());
            }
            if let Some(before) = before {
                let span = (before.tx_begin.unix_ns(), hop.tx_end.unix_ns(), bytes);
                self.kept.entry(hop.from).or_default().push(span);
            }
            before = Some(*hop);
        }
        Ok(())
    }

    /// The bytes that a window can still carry from a node, in all its free times together; `None` where it does not begin there.
    pub fn residual_bytes(&self, window: u32, from: NodeIx) -> Option<u64> {
        let of = self.plan.windows().get(window as usize)?;
        if of.a != from && of.b != from {
            return None;
        }
        let booked = self.sending.get(&(window, from)).into_iter().flatten();
        let booked_ns: i64 = booked.map(|(begin, end)| end - begin).sum();
        let free_ns = u64::try_from(length_ns(of) - booked_ns).ok()?;
        // bytes = kbit/s * 1000 / 8 * ns / 1e9
        let bytes = u128::from(free_ns) * u128::from(of.rate_kbps) / 8_000_000;
        u64::try_from(bytes).ok()
    }
}

fn length_ns(window: &LinkWindow) -> i64 {
    window.close.unix_ns() - window.open.unix_ns()
}

/// How long it takes to send, ns, rounded up; `None` beyond what an epoch holds.
fn tx_ns(bytes: u64, rate_kbps: u32) -> Option<i64> {
    // ns = bytes * 8 / (kbit/s * 1000) * 1e9
    let ns = (u128::from(bytes) * 8_000_000).div_ceil(u128::from(rate_kbps));
    i64::try_from(ns).ok()
}

/// The most bytes that are kept at one time of a span.
fn most_kept(kept: &[(i64, i64, u64)], (from, to): (i64, i64)) -> u64 {
    let touching = || kept.iter().filter(|(begin, end, _)| *begin < to && from < *end);
    // It grows only when something comes: look then, and at the beginning.
    let moments = touching().map(|(begin, _, _)| (*begin).max(from));
    let at = |moment: i64| {
        let there = touching().filter(|(begin, end, _)| *begin <= moment && moment < *end);
        there.fold(0_u64, |sum, (_, _, bytes)| sum.saturating_add(*bytes))
    };
    moments.map(at).max().unwrap_or(0)
}

fn trace(bundle: &Bundle, arrival: Epoch, reached: &BTreeMap<NodeIx, Reached>) -> Delivery {
    let hop_to = |node: NodeIx| reached.get(&node).and_then(|there| there.by);
    let mut hops: Vec<Hop> =
        std::iter::successors(hop_to(bundle.to), |hop| hop_to(hop.from)).collect();
    hops.reverse();
    Delivery { bundle: *bundle, hops, arrival }
}
