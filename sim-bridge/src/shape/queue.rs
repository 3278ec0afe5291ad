//! When bytes leave a link: transmitter and queue of one direction. Pure: time comes in.
//!
//! A byte leaves after it was serialised at the rate of the link, one after the other, and arrives the
//! delay of the link later: `release = max(now, transmitter free) + bytes · 8 / rate + delay`, never
//! before the bytes ahead of it, even when the delay shrinks. What is on the way is bounded for each
//! direction of a pair and over all pairs, and refused by [`Allowance::Full`]: the reader stops, TCP pushes
//! back, nothing is lost. Each connection keeps a small share of its own, so that neither a bulk transfer
//! beside it nor pairs that are held can stop it.

use std::collections::VecDeque;
use std::time::Duration;

use types::Instant;

/// How far ahead the transmitter is booked at most: bytes beyond it wait with their sender, whose
/// priorities still order them. Longer than a timer is late, so that the transmitter never idles.
pub const HORIZON: Duration = Duration::from_millis(1);
/// Largest single read, bytes; what a loopback segment holds.
pub const READ_BYTES_MAX: usize = 64 * 1024;
/// Smallest read, bytes; one Ethernet frame.
pub const READ_BYTES_MIN: usize = 1_500;
/// Bytes on the way in one direction of a pair, over all its connections: 500 Mbit/s over 130 ms. Faster
/// links are held to this window.
pub const QUEUE_BYTES_MAX: usize = 8 << 20;
/// Bytes on the way over all pairs: 32 directions at their bound, an eighth of a machine with 2 GiB.
pub const TOTAL_BYTES_MAX: usize = 256 << 20;
/// Bytes on the way of one connection that are always granted, beyond both other bounds: ten frames. All
/// connections of all pairs together add 176 MiB at most.
pub const SHARE_BYTES: usize = 16 * 1024;
/// What a load takes beyond its bytes: its place in the queue and in the allocator. Counted, since a sender
/// may write byte by byte.
pub const LOAD_OVERHEAD_BYTES: usize = 64;

/// What a pair has of the sky at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkParams {
    /// One-way delay.
    pub delay: Duration,
    /// Bottleneck rate, kbit/s; 0 counts as 1.
    pub rate_kbps: u32,
}

impl LinkParams {
    /// How long `bytes` keep the transmitter busy.
    pub fn serialisation(&self, bytes: usize) -> Duration {
        // bits / (kbit/s) is milliseconds.
        let ns = bytes as u128 * 8 * 1_000_000 / u128::from(self.rate_kbps.max(1));
        Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    }

    /// What the transmitter sends within [`HORIZON`], within the bounds of a read.
    fn burst_bytes(&self) -> usize {
        let per_ms = u64::from(self.rate_kbps) / 8;
        usize::try_from(per_ms).unwrap_or(usize::MAX).clamp(READ_BYTES_MIN, READ_BYTES_MAX)
    }
}

/// The sender's end of one direction of a pair; all connections of the pair share it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transmitter {
    idle_at: Instant,
    held: usize,
}

impl Transmitter {
    /// Books `bytes` at `now` and says when their last bit has left.
    pub fn send(&mut self, now: Instant, bytes: usize, link: &LinkParams) -> Instant {
        self.idle_at = self.idle_at.max(now).plus(link.serialisation(bytes));
        self.idle_at
    }

    /// What is on the way in this direction, with [`LOAD_OVERHEAD_BYTES`] for each load.
    pub const fn held(&self) -> usize {
        self.held
    }
}

/// What is on the way over all pairs, counted as in [`Transmitter::held`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total(usize);

impl Total {
    /// The number.
    pub const fn held(&self) -> usize {
        self.0
    }
}

/// What may be read from the sender now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// So many bytes.
    Read(usize),
    /// None before this time: the transmitter is booked.
    At(Instant),
    /// None before something was delivered: the queue is full.
    Full,
}

/// Bytes on the way in one direction of one connection, in order.
#[derive(Clone, Debug)]
pub struct Queue<T> {
    items: VecDeque<Item<T>>,
    bytes: usize,
    held: usize,
    not_before: Instant,
    last_release: Instant,
}

#[derive(Clone, Debug)]
struct Item<T> {
    release: Instant,
    bytes: usize,
    load: T,
}

impl<T> Item<T> {
    /// What it counts for; the end of a stream, which comes once, is free.
    const fn held(&self) -> usize {
        if self.bytes == 0 { 0 } else { self.bytes + LOAD_OVERHEAD_BYTES }
    }
}

impl<T> Queue<T> {
    /// An empty queue from which nothing leaves its sender before `not_before`, the end of the
    /// connection's handshake.
    pub const fn new(not_before: Instant) -> Self {
        Self { items: VecDeque::new(), bytes: 0, held: 0, not_before, last_release: Instant(0) }
    }

    /// What may be read and pushed at `now`.
    pub fn allowance(
        &self,
        now: Instant,
        link: &LinkParams,
        sender: &Transmitter,
        total: &Total,
    ) -> Allowance {
        let of_pair = QUEUE_BYTES_MAX.saturating_sub(sender.held);
        let of_all = TOTAL_BYTES_MAX.saturating_sub(total.0);
        let free = of_pair.min(of_all).max(SHARE_BYTES.saturating_sub(self.held));
        let booked = sender.idle_at.saturating_since(now);
        // Not the last few bytes: each read costs a system call.
        if free < READ_BYTES_MIN + LOAD_OVERHEAD_BYTES {
            Allowance::Full
        } else if HORIZON < booked {
            Allowance::At(now.plus(booked.saturating_sub(HORIZON)))
        } else {
            Allowance::Read(link.burst_bytes().min(free - LOAD_OVERHEAD_BYTES))
        }
    }

    /// Takes `load` of `bytes` that was read at `now` and says when it arrives.
    pub fn push(
        &mut self,
        now: Instant,
        (bytes, load): (usize, T),
        link: &LinkParams,
        sender: &mut Transmitter,
        total: &mut Total,
    ) -> Instant {
        let sent = sender.send(now, bytes, link).max(self.not_before);
        let release = sent.plus(link.delay).max(self.last_release);
        let item = Item { release, bytes, load };
        self.last_release = release;
        self.bytes += bytes;
        self.held += item.held();
        sender.held += item.held();
        total.0 += item.held();
        self.items.push_back(item);
        release
    }

    /// When the first load arrives, if there is one.
    pub fn next_release(&self) -> Option<Instant> {
        self.items.front().map(|item| item.release)
    }

    /// The first load, if it has arrived by `now`.
    pub fn due(&self, now: Instant) -> Option<&T> {
        self.items.front().filter(|item| item.release <= now).map(|item| &item.load)
    }

    /// Takes the first load out, once it is delivered.
    pub fn pop(&mut self, sender: &mut Transmitter, total: &mut Total) -> Option<T> {
        let item = self.items.pop_front()?;
        self.bytes -= item.bytes;
        self.held -= item.held();
        sender.held -= item.held();
        total.0 -= item.held();
        Some(item.load)
    }

    /// Drops everything and says how many bytes that were.
    pub fn clear(&mut self, sender: &mut Transmitter, total: &mut Total) -> usize {
        let bytes = self.bytes;
        while self.pop(sender, total).is_some() {}
        bytes
    }

    /// Bytes on the way.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests;
