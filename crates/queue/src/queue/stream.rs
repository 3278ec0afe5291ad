//! What is known of a stream without reading it.

use std::collections::VecDeque;

use crate::config::StreamConfig;
use crate::record::Record;
use crate::segment::Name;

/// A segment on disk.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) name: Name,
    pub(super) boot: u64,
    pub(super) level: u8,
    /// Bytes that are believed.
    pub(super) bytes: u64,
    /// Bytes of the file.
    pub(super) file_bytes: u64,
    pub(super) records: u64,
    /// The id of its last record; one less than its first while it has none.
    pub(super) last: u64,
    /// The youngest record's.
    pub(super) stamp_ms: u64,
    /// Bytes that are durable.
    pub(super) synced_bytes: u64,
    /// The records behind those: a sync that fails may have lost them.
    pub(super) unsynced: Vec<Record>,
    /// How often it could not be read.
    pub(super) failures: u8,
}

impl Segment {
    /// Records that nobody has acknowledged.
    pub(super) fn waiting(&self, through: u64) -> u64 {
        self.last.saturating_sub(through).min(self.records)
    }
}

/// A stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) config: StreamConfig,
    /// Segments that are not appended to any more, oldest first.
    pub(super) sealed: VecDeque<Segment>,
    /// The one that is.
    pub(super) open: Option<Segment>,
    /// Records that are in no segment, for want of a disk; newer than all that are.
    pub(super) memory: VecDeque<Record>,
    pub(super) next_id: u64,
}

impl Stream {
    pub(super) const fn new(config: StreamConfig) -> Self {
        Self { config, sealed: VecDeque::new(), open: None, memory: VecDeque::new(), next_id: 1 }
    }

    /// All segments, oldest first.
    pub(super) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.sealed.iter().chain(&self.open)
    }

    pub(super) fn segments_mut(&mut self) -> impl Iterator<Item = &mut Segment> {
        self.sealed.iter_mut().chain(&mut self.open)
    }

    /// Takes a segment out.
    pub(super) fn take(&mut self, name: Name) -> Option<Segment> {
        if self.open.as_ref().is_some_and(|open| open.name == name) {
            return self.open.take();
        }
        let at = self.sealed.iter().position(|segment| segment.name == name)?;
        self.sealed.remove(at)
    }

    /// The last id of this start before everything that is not durable.
    pub(super) fn durable(&self) -> u64 {
        let unsynced = self.segments().filter_map(|segment| segment.unsynced.first());
        let first = unsynced.chain(self.memory.front()).map(|record| record.id).min();
        first.unwrap_or(self.next_id).saturating_sub(1)
    }
}
