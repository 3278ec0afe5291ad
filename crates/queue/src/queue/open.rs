//! Opening: what an earlier start has left is read once, and only what is whole counts.

use types::Instant;

use super::Queue;
use super::drain::{Scanned, scan};
use super::stream::{Segment, Stream};
use crate::config::{Counters, Limits, StreamConfig};
use crate::marks::{self, Marks};
use crate::segment::{HEADER_BYTES, Header, Name, SEGMENT_BYTES_MAX};
use crate::storage::{Storage, StorageError};

impl<S: Storage> Queue<S> {
    /// Opens a directory. `boot` tells this start of the agent from all others. Never fails: a directory that cannot
    /// be used is tried again later, and records are kept in memory until then.
    pub fn open(
        storage: S,
        limits: Limits,
        streams: &[StreamConfig],
        boot: u64,
        now: Instant,
    ) -> Self {
        let mut queue = Self {
            storage,
            limits,
            boot,
            start: 1,
            is_read: false,
            next_segment: 1,
            opened: now,
            age_ms: 0,
            streams: streams.iter().copied().map(Stream::new).collect(),
            marks: Marks::default(),
            are_marks_dirty: false,
            disk_bytes: 0,
            memory_bytes: 0,
            failed: None,
            synced_at: None,
            last_job: None,
            reading: None,
            counters: Counters::default(),
        };
        queue.read_once(now);
        queue
    }

    /// Reads what earlier starts have left, unless that was done.
    pub(super) fn read_once(&mut self, now: Instant) {
        if self.is_read {
            return;
        }
        match self.read_all() {
            Ok(()) => self.is_read = true,
            Err(error) => {
                self.disk_bytes = 0;
                self.streams.iter_mut().for_each(|stream| stream.sealed.clear());
                self.fail(now, &error);
            }
        }
    }

    fn read_all(&mut self) -> Result<(), StorageError> {
        let mut files = self.storage.list()?;
        files.sort();
        if files.iter().any(|(name, _)| name == marks::NAME) {
            // Without marks, what was acknowledged is sent again, and known to its receiver.
            let bytes = self.storage.read(marks::NAME)?;
            let marks = Marks::read(&bytes).unwrap_or_default();
            // What was acknowledged while the directory could not be read stays so.
            self.marks.0.extend(marks.0);
        }
        let mut names: Vec<(Name, u64)> = Vec::new();
        for (file, bytes) in files {
            names.extend(Name::parse(&file).map(|name| (name, bytes)));
        }
        names.sort();
        let starts = names.iter().map(|(name, _)| name.start);
        self.start = starts.max().unwrap_or(0).saturating_add(1);
        for (name, bytes) in names {
            self.disk_bytes += bytes;
            match self.read_segment(name, bytes) {
                Left::Unreadable => {}
                Left::Waiting(segment) => {
                    self.age_ms = self.age_ms.max(segment.stamp_ms);
                    let stream = self.streams.get_mut(usize::from(name.stream));
                    stream.into_iter().for_each(|s| s.sealed.push_back((*segment).clone()));
                }
                Left::Nothing => self.remove_file(name, bytes),
            }
        }
        let held: Vec<_> = self
            .streams
            .iter()
            .flat_map(Stream::segments)
            .map(|segment| (segment.boot, segment.name.stream))
            .collect();
        let boot = self.boot;
        self.marks.0.retain(|of, _| of.0 == boot || held.contains(of));
        Ok(())
    }

    fn read_segment(&mut self, name: Name, file_bytes: u64) -> Left {
        if self.streams.len() <= usize::from(name.stream) || SEGMENT_BYTES_MAX < file_bytes {
            self.counters.damaged_segments += 1;
            return Left::Nothing;
        }
        let bytes = match self.storage.read(&name.to_string()) {
            Ok(bytes) => bytes,
            Err(_) => {
                self.counters.damaged_segments += 1;
                self.counters.disk_failures += 1;
                return Left::Unreadable;
            }
        };
        let header = Header::read(&bytes).ok().filter(|header| header.name == name);
        let Some(header) = header else {
            self.counters.damaged_segments += 1;
            self.counters.damaged_bytes += bytes.len() as u64;
            return Left::Nothing;
        };
        let Scanned { records, last, stamp_ms, at, damage } = scan(&bytes, HEADER_BYTES);
        if damage.is_some() {
            self.counters.damaged_segments += 1;
            self.counters.damaged_bytes += (bytes.len() - at) as u64;
        }
        let through = self.marks.through(header.boot, name.stream);
        let Some(last) = last.filter(|last| through < *last) else { return Left::Nothing };
        Left::Waiting(Box::new(Segment {
            name,
            boot: header.boot,
            level: header.level,
            bytes: at as u64,
            file_bytes,
            records,
            last,
            stamp_ms,
            synced_bytes: at as u64,
            unsynced: Vec::new(),
            failures: 0,
        }))
    }
}

/// What is left of a segment.
enum Left {
    /// It may be readable another time, and stays.
    Unreadable,
    /// Nothing that has to be sent.
    Nothing,
    /// This.
    Waiting(Box<Segment>),
}
