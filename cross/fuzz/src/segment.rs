//! What lies on a node's disk: a segment of the queue, and the marks beside it, after anything has written over them.

use std::collections::BTreeMap;

use crc::{CRC_32_ISCSI, Crc};
use queue::segment::{HEADER_BYTES, Header, Name, Scan};
use queue::{
    Cause, Column, Columns, Limits, New, Queue, Record, Room, Storage, StorageError, StreamConfig,
};
use types::{Epoch, Instant};

use crate::{check_memory, peak_of};

/// Memory for a byte of a segment: a record stands in a list that doubles while it grows, beside the bytes it was read from.
const MEMORY_PER_BYTE: usize = 16;
const MEMORY_FIXED: usize = 64 * 1024;
/// Reports may be thinned, events may not; so both streams, and one that nobody has configured.
const STREAMS: [StreamConfig; 2] = [
    StreamConfig { ttl_ms: 1_000_000, is_thinned: false },
    StreamConfig { ttl_ms: 1_000_000, is_thinned: true },
];
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
/// How long a queue may take to be sent: each batch has a record at least, which takes 46 bytes.
const BATCHES_MAX: usize = 4_096;

/// Bytes of a file of the queue: as they are, and again with checksums that are right, which arbitrary bytes hardly have.
///
/// # Panics
/// When something does not hold for them.
pub fn segment(bytes: &[u8]) {
    check_scan(bytes);
    let sealed = sealed(bytes);
    check_scan(&sealed);
    let marks = bytes.get(..bytes.len() / 2).unwrap_or_default();
    for (segment, marks) in [(bytes, marks), (&sealed, bytes)] {
        check_queue(segment, marks);
    }
}

/// What is read is what would be written, ids rise, and nothing behind damage is believed.
fn check_scan(bytes: &[u8]) {
    if let Ok(header) = Header::read(bytes) {
        assert_eq!(&header.to_bytes()[..26], &bytes[..26], "a header reads back otherwise");
    }
    let from = HEADER_BYTES.min(bytes.len());
    let (records, peak) = peak_of(|| {
        let mut scan = Scan::new(bytes, from);
        let records: Vec<Record> = scan.by_ref().collect();
        assert!(scan.damage().is_some() || scan.at() == bytes.len(), "it ends without a reason");
        records
    });
    check_memory(peak, bytes.len(), MEMORY_PER_BYTE, MEMORY_FIXED);
    let mut written = Vec::new();
    records.iter().for_each(|record| record.write(&mut written));
    assert_eq!(written, bytes[from..from + written.len()], "records read back otherwise");
    assert!(records.windows(2).all(|pair| pair[0].id < pair[1].id), "ids do not rise");
}

/// The bytes as bodies of records behind a header: each a length of one byte, then so many bytes.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let name = Name { start: 1, stream: bytes.first().map_or(0, |byte| byte % 2), number: 1 };
    let mut out = Header { name, boot: 7, level: 0 }.to_bytes().to_vec();
    let mut rest = bytes.get(1..).unwrap_or_default();
    while let Some((length, after)) = rest.split_first() {
        let (body, after) = after.split_at(usize::from(*length).min(after.len()));
        let length = u32::try_from(body.len()).unwrap_or_default().to_le_bytes();
        let mut digest = CRC.digest();
        digest.update(&length);
        digest.update(body);
        out.extend_from_slice(&length);
        out.extend_from_slice(&digest.finalize().to_le_bytes());
        out.extend_from_slice(body);
        rest = after;
    }
    out
}

/// A queue that finds these files lives: it sends what is whole, ends, and keeps what is new.
fn check_queue(segment: &[u8], marks: &[u8]) {
    let mut disk = Disk::default();
    let header = Header::read(segment);
    let name = header.map_or(Name { start: 1, stream: 1, number: 1 }, |header| header.name);
    disk.0.insert(name.to_string(), segment.to_vec());
    disk.0.insert("marks".to_owned(), marks.to_vec());
    let at = |s: u64| Instant(s * 1_000_000_000);
    let limits = Limits::new(256 * 1024);
    let mut queue = Queue::open(disk, limits, &STREAMS, 9, at(0));
    let new = New { stream: 0, series: 0, at: Epoch::from_unix_ns(0), payload: vec![1, 2, 3] };
    assert_eq!(queue.push(at(1), new), Some(1), "an id is not the next one");
    queue.tick(at(2), &Nothing);
    queue.settle(at(3));
    assert_eq!(queue.durable(0), 1, "what is new is not durable");
    let mut queue = Queue::open(queue.into_storage(), limits, &STREAMS, 10, at(0));
    let mut is_found = false;
    for _ in 0..BATCHES_MAX {
        let Some(batch) = queue.batch(at(1), 1_000) else { break };
        assert!(!batch.records.is_empty(), "an empty batch");
        is_found |= (batch.boot, batch.stream, batch.through()) == (9, 0, 1);
        queue.acknowledge(batch.boot, batch.stream, batch.through());
    }
    assert!(queue.batch(at(1), 1_000).is_none(), "it never ends");
    assert!(is_found, "what was durable is gone");
}

/// Files in memory.
#[derive(Debug, Default)]
struct Disk(BTreeMap<String, Vec<u8>>);

impl Storage for Disk {
    fn list(&mut self) -> Result<Vec<(String, u64)>, StorageError> {
        Ok(self.0.iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64)).collect())
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, StorageError> {
        self.0.get(name).cloned().ok_or_else(|| StorageError {
            what: "reading",
            name: name.to_owned(),
            cause: Cause::Other,
            reason: "it is not there".to_owned(),
        })
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        self.0.entry(name.to_owned()).or_default().extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self, _name: &str) -> Result<(), StorageError> {
        Ok(())
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        self.0.insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<(), StorageError> {
        self.0.remove(name);
        Ok(())
    }

    fn room(&mut self) -> Result<Room, StorageError> {
        Ok(Room { free: 1 << 30, total: 1 << 30 })
    }
}

/// No payload is a number.
#[derive(Debug)]
struct Nothing;

impl Columns for Nothing {
    fn columns(&self, _series: u8, _payload: &[u8]) -> Option<Vec<Column>> {
        None
    }
}
