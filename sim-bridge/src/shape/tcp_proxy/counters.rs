//! What each pair has carried, written by the engine and read by anybody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::shape::PairCounts;

/// A wake is late when the machine adds this much to the delay: half of what a round trip may err.
const LATE: Duration = Duration::from_millis(1);

/// The counters of one pair.
#[derive(Debug, Default)]
pub(super) struct PairCounters {
    bytes: [AtomicU64; 2],
    pub(super) dropped_bytes: Count,
    pub(super) connections: Count,
    pub(super) refused: Count,
    pub(super) ups: Count,
    pub(super) downs: Count,
    wakes: Count,
    late: Count,
    late_us_max: AtomicU64,
}

/// One number that only grows.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, amount: usize) {
        self.0.fetch_add(u64::try_from(amount).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl PairCounters {
    /// Counts delivered bytes; direction 0 is a to b.
    pub(super) fn delivered(&self, direction: usize, bytes: usize) {
        self.bytes[direction]
            .fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Counts a wake that came `lateness` after its time.
    pub(super) fn woken(&self, lateness: Duration) {
        self.wakes.add(1);
        if LATE < lateness {
            self.late.add(1);
        }
        let us = u64::try_from(lateness.as_micros()).unwrap_or(u64::MAX);
        self.late_us_max.fetch_max(us, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> PairCounts {
        PairCounts {
            bytes: [0, 1].map(|direction| self.bytes[direction].load(Ordering::Relaxed)),
            dropped_bytes: self.dropped_bytes.read(),
            connections: self.connections.read(),
            refused: self.refused.read(),
            ups: self.ups.read(),
            downs: self.downs.read(),
            wakes: self.wakes.read(),
            late: self.late.read(),
            late_us_max: self.late_us_max.load(Ordering::Relaxed),
        }
    }
}
