//! Making room: what is too old goes, series are thinned early, and what is given up is counted.

use std::collections::BTreeMap;

use types::Instant;

use super::Queue;
use super::stream::Segment;
use crate::column::{Column, Columns};
use crate::record::{Content, Record};
use crate::segment::{HEADER_BYTES, Header, Name, Scan};
use crate::storage::{Storage, StorageError};

/// So many records of a series become one.
const MERGED: usize = 8;
/// A segment is thinned so often at most: then a record stands for 4096, more than an hour at one a second.
const LEVELS_MAX: u8 = 4;
/// Thinning starts when so much of the quota is used, in quarters, so that it is done before room is short.
const THIN_QUARTERS: u64 = 3;

impl<S: Storage> Queue<S> {
    /// Makes room for bytes of a stream, at the cost of older records of it and of less important streams.
    pub(super) fn make_room(&mut self, at: usize, bytes: u64) -> bool {
        loop {
            let fits = self.disk_bytes + bytes <= self.limits.quota_bytes;
            // A file system that does not say how full it is will say so when it is.
            let leaves_reserve = self.storage.room().map_or(true, |room| {
                let share = room.total / 100 * self.limits.reserve_percent;
                share.min(self.limits.reserve_bytes_max) + bytes <= room.free
            });
            if fits && leaves_reserve {
                return true;
            }
            let Some(victim) = self.victim(at) else { return false };
            let before = self.disk_bytes;
            self.evict(victim);
            if before <= self.disk_bytes {
                // It could not be removed.
                return false;
            }
        }
    }

    /// The oldest segment of the least important stream that has any.
    fn victim(&self, at: usize) -> Option<Name> {
        let streams = self.streams.get(at..)?.iter().rev();
        streams.flat_map(super::Stream::segments).map(|segment| segment.name).next()
    }

    fn evict(&mut self, name: Name) {
        let Some(segment) = self.take(name) else { return };
        let through = self.marks.through(segment.boot, name.stream);
        self.counters.lost_full += segment.waiting(through);
        self.remove_file(name, segment.file_bytes);
    }

    fn take(&mut self, name: Name) -> Option<Segment> {
        if self.reading.as_ref().is_some_and(|reading| reading.name == name) {
            self.reading = None;
        }
        self.streams.get_mut(usize::from(name.stream))?.take(name)
    }

    /// Forgets a segment of which nothing is needed.
    pub(super) fn forget(&mut self, name: Name) {
        if let Some(segment) = self.take(name) {
            self.remove_file(name, segment.file_bytes);
        }
    }

    /// Removes the segments of a stream that acknowledgements have passed; marks are needed for those in which one ended.
    pub(super) fn remove_passed(&mut self, stream: u8) {
        let Some(of) = self.streams.get(usize::from(stream)) else { return };
        let waiting = |segment: &Segment| segment.waiting(self.marks.through(segment.boot, stream));
        let passed = of.segments().filter(|segment| waiting(segment) == 0);
        let passed: Vec<Name> = passed.map(|segment| segment.name).collect();
        let is_within = |segment: &Segment| (1..segment.records).contains(&waiting(segment));
        self.are_marks_dirty |= of.segments().any(is_within);
        for name in passed {
            self.forget(name);
        }
    }

    /// Removes the sealed segments whose youngest record is too old.
    pub(super) fn expire(&mut self, now: Instant) {
        let age_ms = self.age_ms(now);
        let mut old = Vec::new();
        for (at, stream) in self.streams.iter().enumerate() {
            let at = u8::try_from(at).unwrap_or(u8::MAX);
            for segment in &stream.sealed {
                let through = self.marks.through(segment.boot, at);
                if segment.stamp_ms.saturating_add(stream.config.ttl_ms) < age_ms {
                    old.push((segment.name, segment.waiting(through)));
                }
            }
        }
        for (name, waiting) in old {
            self.counters.lost_expired += waiting;
            self.forget(name);
        }
    }

    /// The segment to thin next: of the least important stream, the one that was thinned least, the oldest of these.
    pub(super) fn thinnable(&self) -> Option<Name> {
        if self.disk_bytes < self.limits.quota_bytes / 4 * THIN_QUARTERS {
            return None;
        }
        let thinned = self.streams.iter().rev().filter(|stream| stream.config.is_thinned);
        thinned.into_iter().find_map(|stream| {
            let open = stream.sealed.iter();
            let can_be =
                open.filter(|segment| segment.level < LEVELS_MAX && segment.unsynced.is_empty());
            can_be.min_by_key(|segment| (segment.level, segment.name)).map(|segment| segment.name)
        })
    }

    /// Merges the records of a segment and puts what is left in its place.
    pub(super) fn thin(&mut self, now: Instant, columns: &dyn Columns) -> Result<(), StorageError> {
        let Some(name) = self.thinnable() else { return Ok(()) };
        let bytes = self.storage.read(&name.to_string())?;
        let Some(mut segment) = self.take(name) else { return Ok(()) };
        let stream = &self.streams[usize::from(name.stream)];
        let age_ms = self.age_ms(now);
        let ttl_ms = stream.config.ttl_ms;
        let through = self.marks.through(segment.boot, name.stream);
        let believed = usize::try_from(segment.bytes).unwrap_or(usize::MAX).min(bytes.len());
        let waiting = Scan::new(&bytes[..believed], HEADER_BYTES)
            .filter(|record| through < record.id)
            .filter(|record| age_ms <= record.stamp_ms.saturating_add(ttl_ms));
        let waiting: Vec<Record> = waiting.collect();
        let before = waiting.len();
        let merged = merge(waiting, columns);
        let (Some(last), Some(stamp_ms)) = (merged.last(), merged.iter().map(|r| r.stamp_ms).max())
        else {
            self.counters.lost_expired += segment.waiting(through);
            self.remove_file(name, segment.file_bytes);
            return Ok(());
        };
        let level = segment.level + 1;
        let mut thinned = Header { name, boot: segment.boot, level }.to_bytes().to_vec();
        merged.iter().for_each(|record| record.write(&mut thinned));
        let (last, records) = (last.id, merged.len() as u64);
        let replaced = if thinned.len() as u64 <= segment.bytes {
            self.storage.replace(&name.to_string(), &thinned)
        } else {
            // Sums of very small records can be larger than these; then they stay as they are.
            segment.level = LEVELS_MAX;
            self.put_back(segment);
            return Ok(());
        };
        if let Err(error) = replaced {
            self.put_back(segment);
            return Err(error);
        }
        self.counters.thinned += (before - merged.len()) as u64;
        let file_bytes = thinned.len() as u64;
        self.disk_bytes = (self.disk_bytes + file_bytes).saturating_sub(segment.file_bytes);
        let (bytes, synced_bytes) = (file_bytes, file_bytes);
        let boot = segment.boot;
        let (unsynced, failures) = (Vec::new(), 0);
        self.put_back(Segment {
            name,
            boot,
            level,
            bytes,
            file_bytes,
            records,
            last,
            stamp_ms,
            synced_bytes,
            unsynced,
            failures,
        });
        Ok(())
    }

    fn put_back(&mut self, segment: Segment) {
        let Some(stream) = self.streams.get_mut(usize::from(segment.name.stream)) else { return };
        let at = stream.sealed.partition_point(|other| other.name < segment.name);
        stream.sealed.insert(at, segment);
    }
}

/// Merges up to [`MERGED`] records of each series into one each.
fn merge(records: Vec<Record>, columns: &dyn Columns) -> Vec<Record> {
    let mut open: BTreeMap<u8, (usize, Record)> = BTreeMap::new();
    let mut done = Vec::new();
    for record in records {
        let series = record.series;
        let together = match open.remove(&series) {
            None => (1, record),
            Some((count, older)) => match joined(&older, &record, columns) {
                Some(both) => (count + 1, both),
                None => {
                    done.push(older);
                    (1, record)
                }
            },
        };
        if together.0 == MERGED {
            done.push(together.1);
        } else {
            open.insert(series, together);
        }
    }
    done.extend(open.into_values().map(|(_, record)| record));
    done.sort_by_key(|record| record.id);
    done
}

/// Two records of a series as one, under the id of the newer; `None` if their numbers are not the same ones.
fn joined(older: &Record, newer: &Record, columns: &dyn Columns) -> Option<Record> {
    let numbers = |record: &Record| match &record.content {
        Content::Whole(payload) => columns.columns(record.series, payload),
        Content::Summary(columns) => Some(columns.clone()),
    };
    let content = match (numbers(older), numbers(newer)) {
        (Some(left), Some(right)) if left.len() == right.len() => {
            let both = left.iter().zip(&right).map(|(a, b)| a.with(b));
            Content::Summary(both.collect::<Vec<Column>>())
        }
        (None, None) => newer.content.clone(),
        _ => return None,
    };
    Some(Record {
        from: older.from.min(newer.from),
        to: older.to.max(newer.to),
        stands_for: older.stands_for.saturating_add(newer.stands_for),
        content,
        ..*newer
    })
}
