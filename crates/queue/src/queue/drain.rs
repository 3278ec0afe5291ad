//! What is sent next: the most important stream first, of each the oldest records first, from where the last
//! acknowledgement ended.

use std::time::Duration;

use types::Instant;

use super::Queue;
use super::stream::Segment;
use crate::record::{Damage, Record};
use crate::segment::{HEADER_BYTES, Name, Scan};
use crate::storage::{Storage, StorageError};

/// A segment that cannot be read is tried again so often, with the pause of a disk that failed.
const READS_MAX: u8 = 3;

/// Records that can be sent together.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Their stream.
    pub stream: u8,
    /// The start of the agent that took them: with it and the stream, ids are unique for ever.
    pub boot: u64,
    /// The records, in order.
    pub records: Vec<Record>,
}

impl Batch {
    /// The id that acknowledges all of them.
    pub fn through(&self) -> u64 {
        self.records.last().map_or(0, |record| record.id)
    }
}

/// The segment that is being sent.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) name: Name,
    bytes: Vec<u8>,
    /// Where to read on, and the last id before.
    at: usize,
    last: u64,
}

/// Which records are asked for.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    bytes_max: usize,
    /// Taken before this age of the queue.
    before_ms: u64,
}

/// What a segment has to send.
enum Found {
    Batch(Batch),
    /// What there is has to wait.
    Waits,
    Nothing,
}

/// What a segment holds.
pub(super) struct Scanned {
    pub(super) records: u64,
    pub(super) last: Option<u64>,
    pub(super) stamp_ms: u64,
    pub(super) at: usize,
    pub(super) damage: Option<Damage>,
}

/// Counts the whole records of a segment.
pub(super) fn scan(bytes: &[u8], from: usize) -> Scanned {
    let mut scan = Scan::new(bytes, from);
    let (mut records, mut last, mut stamp_ms) = (0, None, 0);
    for record in scan.by_ref() {
        records += 1;
        last = Some(record.id);
        stamp_ms = stamp_ms.max(record.stamp_ms);
    }
    Scanned { records, last, stamp_ms, at: scan.at(), damage: scan.damage() }
}

impl<S: Storage> Queue<S> {
    /// The next records to send, of at most so many bytes (one record at least). The same ones again until they are
    /// acknowledged.
    pub fn batch(&mut self, now: Instant, bytes_max: usize) -> Option<Batch> {
        self.batch_older(now, bytes_max, Duration::ZERO)
    }

    /// The same, of records that have waited for so long: others may still be acknowledged without being sent again.
    pub fn batch_older(&mut self, now: Instant, bytes_max: usize, age: Duration) -> Option<Batch> {
        let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        // In the first moments of a queue, nothing is old enough.
        let before_ms = self.age_ms(now).checked_sub(age_ms)?;
        let wanted = Wanted { bytes_max, before_ms };
        'streams: for stream in 0..u8::try_from(self.streams.len()).unwrap_or(u8::MAX) {
            while let Some(segment) = self.oldest_waiting(stream) {
                match self.of_segment(now, &segment, wanted) {
                    Found::Batch(batch) => return Some(batch),
                    Found::Waits => continue 'streams,
                    Found::Nothing => {}
                }
            }
            if let Some(batch) = self.of_memory(now, stream, wanted) {
                return Some(batch);
            }
        }
        None
    }

    fn oldest_waiting(&self, stream: u8) -> Option<Segment> {
        let waits = |segment: &&Segment| {
            self.marks.through(segment.boot, stream) < segment.last && segment.records != 0
        };
        let of = self.streams.get(usize::from(stream))?;
        // Without the records that a sync may lose: they are many, and not needed here.
        of.segments().find(waits).map(|segment| Segment { unsynced: Vec::new(), ..*segment })
    }

    /// Records of a segment. If there are none after all, it is not looked at again.
    fn of_segment(&mut self, now: Instant, segment: &Segment, wanted: Wanted) -> Found {
        let (name, age_ms) = (segment.name, self.age_ms(now));
        let through = self.marks.through(segment.boot, name.stream);
        let Some(stream) = self.streams.get(usize::from(name.stream)) else {
            return Found::Nothing;
        };
        let ttl_ms = stream.config.ttl_ms;
        if self.failed.is_some() && segment.failures != 0 {
            return Found::Waits;
        }
        let believed = usize::try_from(segment.bytes).unwrap_or(usize::MAX);
        let reading = match self.reading.take() {
            Some(reading)
                if reading.name == name
                    && reading.last <= through
                    && believed <= reading.bytes.len() =>
            {
                reading
            }
            _ => match self.storage.read(&name.to_string()) {
                Ok(bytes) => Reading { name, bytes, at: HEADER_BYTES, last: 0 },
                Err(error) => return self.unreadable(now, segment, &error),
            },
        };
        let believed = believed.min(reading.bytes.len());
        let mut scan = Scan::new(&reading.bytes[..believed], reading.at);
        let (mut records, mut size, mut expired) = (Vec::new(), 0, None);
        let (mut at, mut last, mut is_too_young) = (reading.at, reading.last, false);
        for record in scan.by_ref() {
            if record.id <= through {
                (at, last) = (at + record.bytes(), record.id);
                continue;
            }
            if records.is_empty() && record.stamp_ms.saturating_add(ttl_ms) < age_ms {
                (at, last) = (at + record.bytes(), record.id);
                expired = Some(record.id);
                self.counters.lost_expired += u64::from(record.stands_for);
                continue;
            }
            size += record.bytes();
            if wanted.bytes_max < size && !records.is_empty() {
                break;
            }
            if wanted.before_ms < record.stamp_ms {
                is_too_young = true;
                break;
            }
            records.push(record);
        }
        let damage = scan.damage();
        self.reading = Some(Reading { name, bytes: reading.bytes, at, last });
        if let Some(expired) = expired {
            self.marks.0.insert((segment.boot, name.stream), expired);
            self.are_marks_dirty = true;
        }
        if records.is_empty() && is_too_young {
            return Found::Waits;
        }
        if records.is_empty() {
            self.finish(name, damage, believed - at.min(believed));
            return Found::Nothing;
        }
        Found::Batch(Batch { stream: name.stream, boot: segment.boot, records })
    }

    /// Nothing of a segment is left to send.
    fn finish(&mut self, name: Name, damage: Option<Damage>, behind: usize) {
        if damage.is_some() {
            self.counters.damaged_segments += 1;
            self.counters.damaged_bytes += behind as u64;
        }
        let Some(stream) = self.streams.get_mut(usize::from(name.stream)) else { return };
        if stream.open.as_ref().is_some_and(|open| open.name == name) {
            // Never appended to again, so that nothing follows what is damaged.
            stream.sealed.extend(stream.open.take());
        }
        self.forget(name);
    }

    /// A segment cannot be read: what is newer in its stream waits until it can, or until it is given up.
    fn unreadable(&mut self, now: Instant, segment: &Segment, error: &StorageError) -> Found {
        self.fail(now, error);
        let name = segment.name;
        if segment.failures < READS_MAX {
            let of = self.streams.get_mut(usize::from(name.stream));
            let held = of.into_iter().flat_map(|stream| stream.segments_mut());
            held.filter(|held| held.name == name).for_each(|held| held.failures += 1);
            return Found::Waits;
        }
        self.counters.damaged_segments += 1;
        self.counters.lost_full += segment.waiting(self.marks.through(segment.boot, name.stream));
        self.forget(name);
        Found::Nothing
    }

    fn of_memory(&mut self, now: Instant, stream: u8, wanted: Wanted) -> Option<Batch> {
        let age_ms = self.age_ms(now);
        let of = self.streams.get_mut(usize::from(stream))?;
        let ttl_ms = of.config.ttl_ms;
        let is_old = |record: &Record| record.stamp_ms.saturating_add(ttl_ms) < age_ms;
        while of.memory.front().is_some_and(is_old) {
            if let Some(old) = of.memory.pop_front() {
                self.memory_bytes -= old.bytes();
                self.counters.lost_expired += u64::from(old.stands_for);
            }
        }
        let (mut records, mut size) = (Vec::new(), 0);
        for record in &of.memory {
            size += record.bytes();
            let is_full = wanted.bytes_max < size && !records.is_empty();
            if is_full || wanted.before_ms < record.stamp_ms {
                break;
            }
            records.push(record.clone());
        }
        let boot = self.boot;
        (!records.is_empty()).then_some(Batch { stream, boot, records })
    }
}
