//! Writing and syncing. At most one sync in [`crate::Limits::sync_ms`], whatever it is for: records, marks or a thinned segment.

use std::time::Duration;

use types::Instant;

use super::Queue;
use super::stream::Segment;
use crate::column::Columns;
use crate::marks;
use crate::record::Record;
use crate::segment::{HEADER_BYTES, Header, Name};
use crate::storage::{Cause, Storage, StorageError};

/// What a sync can be for, in the order in which they take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Job {
    /// Records of a stream.
    Stream(u8),
    /// What was acknowledged.
    Marks,
    /// A segment is thinned.
    Thin,
}

/// How an attempt to write a record ended.
enum Stored {
    Done,
    NoRoom,
}

impl<S: Storage> Queue<S> {
    /// Does what is due: tries a disk that failed, syncs, thins, forgets what is too old.
    pub fn tick(&mut self, now: Instant, columns: &dyn Columns) {
        if self.failed.is_some_and(|(_, at)| at <= now) {
            self.failed = None;
            self.read_once(now);
        }
        self.flush(now);
        self.expire(now);
        let is_free = self.synced_at.is_none_or(|at| at.plus(self.pause()) <= now);
        if self.failed.is_some() || !is_free {
            return;
        }
        let Some(job) = self.next_job() else { return };
        self.last_job = Some(job);
        self.synced_at = Some(now);
        self.counters.syncs += 1;
        let done = match job {
            Job::Stream(stream) => self.sync(stream),
            Job::Marks => self.storage.replace(marks::NAME, &self.marks.to_bytes()),
            Job::Thin => self.thin(now, columns),
        };
        match done {
            Ok(()) if job == Job::Marks => self.are_marks_dirty = false,
            Ok(()) => {}
            Err(error) => self.fail(now, &error),
        }
    }

    /// When to call [`Queue::tick`] at the latest; `None` while nothing has to be done.
    pub fn deadline(&self) -> Option<Instant> {
        if let Some((_, at)) = self.failed {
            return Some(at);
        }
        self.next_job()?;
        Some(self.synced_at.map_or(self.opened, |at| at.plus(self.pause())))
    }

    /// Makes everything durable at once, without regard to the pause between syncs: the process ends.
    pub fn settle(&mut self, now: Instant) {
        self.flush(now);
        let streams = u8::try_from(self.streams.len()).unwrap_or(u8::MAX);
        for stream in 0..streams {
            while self.failed.is_none() && self.is_dirty(stream) {
                self.counters.syncs += 1;
                if let Err(error) = self.sync(stream) {
                    self.fail(now, &error);
                }
            }
        }
        if self.failed.is_none() && self.are_marks_dirty {
            self.counters.syncs += 1;
            match self.storage.replace(marks::NAME, &self.marks.to_bytes()) {
                Ok(()) => self.are_marks_dirty = false,
                Err(error) => self.fail(now, &error),
            }
        }
    }

    fn is_dirty(&self, stream: u8) -> bool {
        let of = self.streams.get(usize::from(stream));
        of.is_some_and(|stream| stream.segments().any(|segment| !segment.unsynced.is_empty()))
    }

    const fn pause(&self) -> Duration {
        Duration::from_millis(self.limits.sync_ms)
    }

    /// The next job behind the last one, in turn.
    fn next_job(&self) -> Option<Job> {
        let streams = 0..u8::try_from(self.streams.len()).unwrap_or(u8::MAX);
        let dirty = streams.filter(|stream| self.is_dirty(*stream));
        let mut jobs: Vec<Job> = dirty.map(Job::Stream).collect();
        if self.are_marks_dirty {
            jobs.push(Job::Marks);
        }
        if self.thinnable().is_some() {
            jobs.push(Job::Thin);
        }
        let later = jobs.iter().find(|job| self.last_job < Some(**job));
        later.or_else(|| jobs.first()).copied()
    }

    /// The disk takes nothing for a while.
    pub(super) fn fail(&mut self, now: Instant, error: &StorageError) {
        self.counters.disk_failures += 1;
        let pause = Duration::from_millis(self.limits.retry_ms);
        self.failed = Some((error.cause, now.plus(pause)));
    }

    /// Writes what is in memory, most important first, as long as that works.
    pub(super) fn flush(&mut self, now: Instant) {
        for at in 0..self.streams.len() {
            while self.is_read
                && self.failed.is_none()
                && let Some(record) = self.streams[at].memory.pop_front()
            {
                self.memory_bytes -= record.bytes();
                match self.store(at, &record) {
                    Ok(Stored::Done) => {}
                    Ok(Stored::NoRoom) => {
                        self.memory_bytes += record.bytes();
                        self.streams[at].memory.push_front(record);
                        break;
                    }
                    Err(error) => {
                        self.memory_bytes += record.bytes();
                        self.streams[at].memory.push_front(record);
                        self.give_up_open(at);
                        self.fail(now, &error);
                    }
                }
            }
        }
    }

    /// Appends a record to the open segment of a stream, or begins one.
    fn store(&mut self, at: usize, record: &Record) -> Result<Stored, StorageError> {
        let size = record.bytes() as u64;
        let segment_bytes = self.limits.segment_bytes;
        let stream = &mut self.streams[at];
        if stream.open.as_ref().is_some_and(|open| segment_bytes < open.bytes + size) {
            stream.sealed.extend(stream.open.take());
        }
        if !self.make_room(at, size + HEADER_BYTES as u64) {
            return Ok(Stored::NoRoom);
        }
        let (start, boot, number) = (self.start, self.boot, self.next_segment);
        let stream = &mut self.streams[at];
        if stream.open.is_none() {
            self.next_segment += 1;
        }
        let mut bytes = Vec::with_capacity(record.bytes() + HEADER_BYTES);
        let open = stream.open.get_or_insert_with(|| {
            let stream = u8::try_from(at).unwrap_or(u8::MAX);
            let name = Name { start, stream, number };
            bytes.extend_from_slice(&Header { name, boot, level: 0 }.to_bytes());
            Segment {
                name,
                boot,
                level: 0,
                bytes: 0,
                file_bytes: 0,
                records: 0,
                last: record.id.saturating_sub(1),
                stamp_ms: 0,
                synced_bytes: 0,
                unsynced: Vec::new(),
                failures: 0,
            }
        });
        record.write(&mut bytes);
        self.storage.append(&open.name.to_string(), &bytes)?;
        open.bytes += bytes.len() as u64;
        open.file_bytes = open.bytes;
        open.records += 1;
        open.last = record.id;
        open.stamp_ms = record.stamp_ms;
        open.unsynced.push(record.clone());
        self.disk_bytes += bytes.len() as u64;
        Ok(Stored::Done)
    }

    /// Syncs the oldest segment of a stream that needs it.
    fn sync(&mut self, stream: u8) -> Result<(), StorageError> {
        let Some(of) = self.streams.get_mut(usize::from(stream)) else { return Ok(()) };
        let dirty = of.segments_mut().find(|segment| !segment.unsynced.is_empty());
        let Some(segment) = dirty else { return Ok(()) };
        let name = segment.name;
        match self.storage.sync(&name.to_string()) {
            Ok(()) => {
                segment.synced_bytes = segment.bytes;
                segment.unsynced.clear();
                Ok(())
            }
            Err(error) => {
                self.distrust(name);
                Err(error)
            }
        }
    }

    /// Ends the open segment of a stream: what follows its durable part is not believed, and kept in memory.
    fn give_up_open(&mut self, at: usize) {
        if let Some(name) = self.streams[at].open.as_ref().map(|open| open.name) {
            self.distrust(name);
        }
    }

    /// Takes back what is not durable of a segment and of all after it in the stream, so that the order stays.
    fn distrust(&mut self, first: Name) {
        let Some(stream) = self.streams.get_mut(usize::from(first.stream)) else { return };
        stream.sealed.extend(stream.open.take());
        let mut back = Vec::new();
        for segment in stream.sealed.iter_mut().filter(|segment| first <= segment.name) {
            let lost = std::mem::take(&mut segment.unsynced);
            segment.bytes = segment.synced_bytes;
            segment.records -= (lost.len() as u64).min(segment.records);
            if let Some(record) = lost.first() {
                segment.last = record.id.saturating_sub(1);
            }
            back.extend(lost);
        }
        let mut empty = Vec::new();
        stream.sealed.retain(|segment| {
            if segment.records == 0 {
                empty.push((segment.name, segment.file_bytes));
            }
            segment.records != 0
        });
        for record in back.into_iter().rev() {
            self.memory_bytes += record.bytes();
            stream.memory.push_front(record);
        }
        self.reading = None;
        for (name, bytes) in empty {
            self.remove_file(name, bytes);
        }
        self.bound_memory();
    }

    /// Removes a file that nothing is needed of; one that stays counts as taken.
    pub(super) fn remove_file(&mut self, name: Name, bytes: u64) {
        match self.storage.remove(&name.to_string()) {
            Ok(()) => self.disk_bytes = self.disk_bytes.saturating_sub(bytes),
            Err(error) if error.cause == Cause::ReadOnly => {}
            Err(_) => self.counters.disk_failures += 1,
        }
    }
}
