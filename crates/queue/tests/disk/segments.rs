//! A segment that was cut off or changed anywhere: all records before are whole, nothing after is invented.

use queue::record::Record;
use queue::segment::{HEADER_BYTES, Name, Scan};
use queue::{Column, Content, Limits, New, Queue, StreamConfig};
use types::{Epoch, Instant};

use crate::sim::SimDisk;

const STREAMS: [StreamConfig; 1] = [StreamConfig { ttl_ms: u64::MAX, is_thinned: false }];
const NOW: Instant = Instant(0);

fn new(id: u64) -> New {
    let length = usize::try_from(id % 7).expect("it fits");
    let payload = vec![u8::try_from(id % 251).expect("it fits"); length];
    New {
        stream: 0,
        series: 3,
        at: Epoch::from_unix_ns(i64::try_from(id).expect("it fits")),
        payload,
    }
}

/// A segment of some records, as the queue writes it.
fn segment() -> (String, Vec<u8>, Vec<Record>) {
    let mut queue = Queue::open(SimDisk::default(), Limits::new(1 << 20), &STREAMS, 7, NOW);
    for id in 1..=12 {
        assert_eq!(queue.push(NOW, new(id)), Some(id));
    }
    let records = queue.batch(NOW, usize::MAX).expect("it is there").records;
    let disk = queue.into_storage();
    let name = disk.names().into_iter().next().expect("it is there");
    let bytes = disk.file(&name).expect("it is there").to_vec();
    (name, bytes, records)
}

/// What a new start finds in a directory with this one file.
fn found(name: &str, bytes: Vec<u8>) -> Vec<Record> {
    let mut disk = SimDisk::default();
    disk.set(name, bytes);
    let mut queue = Queue::open(disk, Limits::new(1 << 20), &STREAMS, 8, NOW);
    let mut all = Vec::new();
    while let Some(batch) = queue.batch(NOW, 100) {
        assert_eq!((batch.boot, batch.stream), (7, 0));
        queue.acknowledge(7, 0, batch.through());
        all.extend(batch.records);
    }
    all
}

/// Where each record ends.
fn ends(records: &[Record]) -> Vec<usize> {
    let mut at = HEADER_BYTES;
    records
        .iter()
        .map(|record| {
            at += record.bytes();
            at
        })
        .collect()
}

#[test]
fn a_segment_that_was_cut_off_anywhere_holds_what_was_whole() {
    let (name, bytes, records) = segment();
    let ends = ends(&records);
    assert_eq!(ends.last(), Some(&bytes.len()));
    for cut in 0..=bytes.len() {
        let whole = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(found(&name, bytes[..cut].to_vec()), records[..whole], "cut at {cut}");
    }
}

#[test]
fn a_segment_with_any_bit_flipped_holds_what_is_before_it_and_nothing_else() {
    let (name, bytes, records) = segment();
    let ends = ends(&records);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let whole = ends.iter().filter(|end| **end <= bit / 8).count();
        // A header that is not what it was leaves nothing.
        let whole = if bit / 8 < HEADER_BYTES { 0 } else { whole };
        assert_eq!(found(&name, flipped), records[..whole], "bit {bit}");
    }
}

#[test]
fn a_segment_with_any_bytes_behind_it_or_repeated_holds_its_records_once() {
    let (name, bytes, records) = segment();
    for tail in [&[0_u8; 64][..], &[0xff; 3], &bytes[HEADER_BYTES..], &bytes[..]] {
        let mut longer = bytes.clone();
        longer.extend_from_slice(tail);
        assert_eq!(found(&name, longer), records, "{} bytes more", tail.len());
    }
}

#[test]
fn bytes_that_claim_to_be_huge_are_not_allocated_for() {
    let (_, mut bytes, _) = segment();
    bytes[HEADER_BYTES..HEADER_BYTES + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut scan = Scan::new(&bytes, HEADER_BYTES);
    assert_eq!(scan.next(), None);
    assert_eq!(scan.at(), HEADER_BYTES);
    assert!(scan.damage().is_some());
}

#[test]
fn a_summary_comes_back_as_it_was_written() {
    let columns = vec![Column::over([1.0, -2.5, 8.0]), Column::UNKNOWN];
    let record = Record {
        id: u64::MAX,
        stamp_ms: 5,
        from: Epoch::from_unix_ns(i64::MIN),
        to: Epoch::from_unix_ns(i64::MAX),
        stands_for: 9,
        series: 255,
        content: Content::Summary(columns),
    };
    let mut bytes = Vec::new();
    record.write(&mut bytes);
    assert_eq!(bytes.len(), record.bytes());
    assert_eq!(Record::read(&bytes), Ok((record, bytes.len())));
}

#[test]
fn names_are_read_as_they_are_written_and_no_other_way() {
    let name = Name { start: 0xabc, stream: 7, number: 18 };
    assert_eq!(name.to_string(), "07-00000abc-0000000000000012.seg");
    assert_eq!(Name::parse(&name.to_string()), Some(name));
    for other in
        ["marks", "7-00000abc-0000000000000012.seg", "07-00000ABC-0000000000000012.seg", ".seg"]
    {
        assert_eq!(Name::parse(other), None, "{other}");
    }
}
