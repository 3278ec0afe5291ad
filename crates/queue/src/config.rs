//! What bounds the queue, and what it counts.

use types::Instant;

use crate::segment::SEGMENT_BYTES_MAX;
use crate::storage::Cause;

/// Bounds of the whole queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of segments on disk.
    pub quota_bytes: u64,
    /// Largest segment; [`Limits::new`] derives it.
    pub segment_bytes: u64,
    /// Share of the file system that is left free, in percent.
    pub reserve_percent: u64,
    /// The most that is left free by that, in bytes: a large disk has room enough before.
    pub reserve_bytes_max: u64,
    /// Most bytes of records in memory while the disk takes none.
    pub memory_bytes: usize,
    /// Least time between two syncs, in milliseconds.
    pub sync_ms: u64,
    /// Pause before a disk that failed is tried again, in milliseconds.
    pub retry_ms: u64,
}

impl Limits {
    /// Segments are a mebibyte, so that a reader holds little, or an eighth of a small quota, so that room can be made in parts.
    pub fn new(quota_bytes: u64) -> Self {
        Self {
            quota_bytes,
            segment_bytes: (quota_bytes / 8).clamp(8 * 1024, SEGMENT_BYTES_MAX / 4),
            reserve_percent: 5,
            reserve_bytes_max: 1 << 30,
            memory_bytes: 256 * 1024,
            sync_ms: 1000,
            retry_ms: 10_000,
        }
    }
}

/// A stream. Its place in the list is its priority: the first is sent first and given up last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamConfig {
    /// How long a record is worth sending, in milliseconds of [`crate::Record::stamp_ms`].
    pub ttl_ms: u64,
    /// Whether records may be merged when room is short; else the oldest are given up.
    pub is_thinned: bool,
}

/// Sums since the queue was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records that were taken.
    pub taken: u64,
    /// Ids that acknowledgements have passed.
    pub passed: u64,
    /// Records that were merged into others: gone, but in their sums.
    pub thinned: u64,
    /// Records given up for want of room on disk.
    pub lost_full: u64,
    /// Records that were older than their stream allows.
    pub lost_expired: u64,
    /// Records given up for want of memory while the disk took none.
    pub lost_memory: u64,
    /// Segments in which damage was found.
    pub damaged_segments: u64,
    /// Bytes behind the damage.
    pub damaged_bytes: u64,
    /// Failures of the disk.
    pub disk_failures: u64,
    /// Syncs.
    pub syncs: u64,
}

/// How the queue stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Records that wait, as far as their segments are known.
    pub records: u64,
    /// Bytes of segments on disk.
    pub disk_bytes: u64,
    /// Bytes of records in memory, for want of a disk.
    pub memory_bytes: u64,
    /// Why the disk takes nothing now, and when it is tried again.
    pub failed: Option<(Cause, Instant)>,
    /// The sums.
    pub counters: Counters,
}
