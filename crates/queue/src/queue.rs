//! The queue: streams of records, each in segments; what is written, synced, thinned, given up and sent next.
//!
//! Ids rise within a stream and a start, and a start never appends to segments of an earlier one, so what is torn or
//! damaged there stays where it is. With the boot id of the agent that wrote it, an id is unique for ever: a receiver
//! that has seen it once may drop it.
//!
//! Age counts the time in which queues of this directory were open ([`Record::stamp_ms`]), so no wall clock that
//! jumps makes records expire, or live for ever.

mod disk;
mod drain;
mod open;
mod room;
mod stream;

use types::{Epoch, Instant};

pub use self::drain::Batch;
use self::drain::Reading;
use self::stream::Stream;
use crate::config::{Counters, Limits, Status};
use crate::marks::Marks;
use crate::record::{Content, PAYLOAD_BYTES_MAX, Record};
use crate::storage::{Cause, Storage};

/// A record to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct New {
    /// Its stream, by its place in the configuration.
    pub stream: u8,
    /// Records of one series can be merged.
    pub series: u8,
    /// The sky when it was made.
    pub at: Epoch,
    /// What it says.
    pub payload: Vec<u8>,
}

/// The queue of one directory.
#[derive(Debug)]
pub struct Queue<S> {
    storage: S,
    limits: Limits,
    boot: u64,
    start: u32,
    /// Whether what earlier starts left was read; nothing is written before.
    is_read: bool,
    next_segment: u64,
    opened: Instant,
    /// The age of the queue when it was opened.
    age_ms: u64,
    streams: Vec<Stream>,
    marks: Marks,
    are_marks_dirty: bool,
    /// Bytes of files on disk.
    disk_bytes: u64,
    /// Bytes of records in memory.
    memory_bytes: usize,
    failed: Option<(Cause, Instant)>,
    synced_at: Option<Instant>,
    last_job: Option<disk::Job>,
    reading: Option<Reading>,
    counters: Counters,
}

impl<S: Storage> Queue<S> {
    /// Takes a record and answers its id; `None` for a stream that is not configured or a payload over its bound.
    /// It is durable once [`Queue::durable`] has reached the id.
    pub fn push(&mut self, now: Instant, new: New) -> Option<u64> {
        let stamp_ms = self.age_ms(now);
        let stream = self.streams.get_mut(usize::from(new.stream))?;
        if PAYLOAD_BYTES_MAX < new.payload.len() {
            return None;
        }
        let id = stream.next_id;
        stream.next_id += 1;
        let record = Record {
            id,
            stamp_ms,
            from: new.at,
            to: new.at,
            stands_for: 1,
            series: new.series,
            content: Content::Whole(new.payload),
        };
        self.counters.taken += 1;
        self.memory_bytes += record.bytes();
        stream.memory.push_back(record);
        self.flush(now);
        self.bound_memory();
        Some(id)
    }

    /// Up to which id of this start a stream is durable, or acknowledged and gone.
    pub fn durable(&self, stream: u8) -> u64 {
        let marked = self.marks.through(self.boot, stream);
        let Some(stream) = self.streams.get(usize::from(stream)) else { return marked };
        stream.durable().max(marked)
    }

    /// Somebody else is answerable for the records of a stream that a start of the agent took, up to an id: they need
    /// not be kept.
    pub fn acknowledge(&mut self, boot: u64, stream: u8, through: u64) {
        let before = self.marks.through(boot, stream);
        let Some(of) = self.streams.get_mut(usize::from(stream)) else { return };
        if through <= before || (boot == self.boot && of.next_id <= through) {
            return;
        }
        // Ids on disk may be anything, so their sum may be more than there are.
        self.counters.passed = self.counters.passed.saturating_add(through - before);
        self.marks.0.insert((boot, stream), through);
        if boot == self.boot {
            while of.memory.front().is_some_and(|record| record.id <= through) {
                let freed = of.memory.pop_front().map_or(0, |record| record.bytes());
                self.memory_bytes -= freed;
            }
        }
        self.remove_passed(stream);
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        let records = |stream: (usize, &Stream)| {
            let (index, stream) = stream;
            let index = u8::try_from(index).unwrap_or(u8::MAX);
            let waiting = |segment: &stream::Segment| {
                segment.waiting(self.marks.through(segment.boot, index))
            };
            let on_disk: u64 = stream.segments().map(waiting).sum();
            on_disk + stream.memory.len() as u64
        };
        Status {
            records: self.streams.iter().enumerate().map(records).sum(),
            disk_bytes: self.disk_bytes,
            memory_bytes: self.memory_bytes as u64,
            failed: self.failed,
            counters: self.counters,
        }
    }

    /// Gives the storage back, as an end of the process does.
    pub fn into_storage(self) -> S {
        self.storage
    }

    fn age_ms(&self, now: Instant) -> u64 {
        let open_ms = now.saturating_since(self.opened).as_millis();
        self.age_ms.saturating_add(u64::try_from(open_ms).unwrap_or(u64::MAX))
    }

    /// Gives up the oldest records of the least important stream in memory while there are too many.
    fn bound_memory(&mut self) {
        while self.limits.memory_bytes < self.memory_bytes {
            let last = self.streams.iter_mut().rev().find(|stream| !stream.memory.is_empty());
            let Some(oldest) = last.and_then(|stream| stream.memory.pop_front()) else { return };
            self.memory_bytes -= oldest.bytes();
            self.counters.lost_memory += u64::from(oldest.stands_for);
        }
    }
}
