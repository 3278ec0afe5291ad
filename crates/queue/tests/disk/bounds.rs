//! Quota, reserve, age, thinning, memory, and at most one sync a second.

use queue::{Cause, Column, Columns, Content, Limits, New, Queue, StreamConfig};
use types::{Epoch, Instant};

use crate::sim::{Dice, SimDisk};

const EVENTS: u8 = 0;
const SERIES: u8 = 1;
const STREAMS: [StreamConfig; 2] = [
    StreamConfig { ttl_ms: 3_600_000, is_thinned: false },
    StreamConfig { ttl_ms: 3_600_000, is_thinned: true },
];

/// A payload is one number.
struct One;

impl Columns for One {
    fn columns(&self, series: u8, payload: &[u8]) -> Option<Vec<Column>> {
        let value = f32::from_le_bytes(payload.try_into().ok()?);
        (series == 0).then(|| vec![Column::of(Some(value))])
    }
}

fn at(ms: u64) -> Instant {
    Instant(ms * 1_000_000)
}

fn number(stream: u8, series: u8, second: u32) -> New {
    let payload = f32::from(u16::try_from(second % 1000).expect("it fits")).to_le_bytes().to_vec();
    New { stream, series, at: Epoch::from_unix_ns(i64::from(second)), payload }
}

fn opened(disk: SimDisk, quota_bytes: u64) -> Queue<SimDisk> {
    Queue::open(disk, Limits::new(quota_bytes), &STREAMS, 1, at(0))
}

/// Everything that is left, acknowledged.
fn drained(queue: &mut Queue<SimDisk>, now: Instant) -> Vec<queue::Record> {
    let mut all = Vec::new();
    while let Some(batch) = queue.batch(now, 10_000) {
        queue.acknowledge(batch.boot, batch.stream, batch.through());
        all.extend(batch.records);
    }
    all
}

#[test]
fn a_full_quota_thins_series_and_keeps_their_smallest_mean_and_largest() {
    let mut queue = opened(SimDisk::default(), 256 * 1024);
    let seconds = 40_000_u32;
    for second in 0..seconds {
        // An hour is never over: all of this is within the time to live.
        let now = at(u64::from(second) * 50);
        queue.push(now, number(SERIES, 0, second)).expect("it is there");
        queue.tick(now, &One);
        assert!(queue.status().disk_bytes <= 256 * 1024);
    }
    let now = at(u64::from(seconds) * 50);
    let counters = queue.status().counters;
    let records = drained(&mut queue, now);
    let (mut count, mut sum, mut stands_for) = (0_u64, 0.0, 0_u64);
    let (mut low, mut high) = (f32::MAX, f32::MIN);
    let mut last = 0;
    for record in &records {
        assert!(last < record.id && record.from <= record.to);
        last = record.id;
        stands_for += u64::from(record.stands_for);
        let column = match &record.content {
            Content::Whole(payload) => One.columns(0, payload).expect("it is there")[0],
            Content::Summary(columns) => columns[0],
        };
        count += u64::from(column.count);
        sum += column.mean * f64::from(column.count);
        (low, high) = (low.min(column.min), high.max(column.max));
    }
    // 54 bytes each: more than eight quotas' worth were put in, and every number is in some sum.
    assert_eq!(counters.lost_full, 0, "{counters:?}");
    assert_eq!((count, stands_for), (u64::from(seconds), u64::from(seconds)));
    let expected: f64 = (0..seconds).map(|second| f64::from(second % 1000)).sum();
    assert!((sum - expected).abs() < 1e-6 * expected, "{sum} {expected}");
    assert_eq!((low.to_bits(), high.to_bits()), (0.0_f32.to_bits(), 999.0_f32.to_bits()));
    assert!(0 < counters.thinned && records.len() < 6000, "{} left", records.len());
}

#[test]
fn series_whose_newest_record_says_all_keep_the_newest() {
    let mut queue = opened(SimDisk::default(), 64 * 1024);
    for second in 0..5_000 {
        let now = at(u64::from(second) * 300);
        queue.push(now, number(SERIES, 9, second)).expect("it is there");
        queue.tick(now, &One);
    }
    let records = drained(&mut queue, at(5_000 * 300));
    assert!(records.iter().all(|record| matches!(record.content, Content::Whole(_))));
    assert_eq!(records.last().map(|record| record.to.unix_ns()), Some(4_999));
    let thinned = records.iter().filter(|record| 1 < record.stands_for).count();
    assert!(0 < thinned, "{} records", records.len());
}

#[test]
fn what_matters_more_displaces_what_matters_less_and_never_the_other_way() {
    let mut queue = opened(SimDisk::default(), 64 * 1024);
    for second in 0..400 {
        queue.push(at(0), number(SERIES, 9, second)).expect("it is there");
    }
    for second in 0..2_000 {
        queue.push(at(0), number(EVENTS, 0, second)).expect("it is there");
    }
    let lost = queue.status().counters.lost_full;
    assert!(400 <= lost, "{lost}");
    // Events fill everything; a report finds no room, and no event goes for it.
    let before = queue.status().counters;
    queue.push(at(0), number(SERIES, 9, 1)).expect("it is there");
    let after = queue.status().counters;
    assert_eq!(before.lost_full, after.lost_full);
    let records = drained(&mut queue, at(0));
    assert_eq!(records.first().map(|record| record.series), Some(0), "events first");
    assert_eq!(records.last().map(|record| record.series), Some(9), "from memory, at last");
}

#[test]
fn what_is_too_old_is_counted_and_the_wall_clock_has_no_say() {
    let mut queue = opened(SimDisk::default(), 1 << 20);
    let mut new = number(EVENTS, 0, 1);
    // A clock that was never set, and one that is far ahead.
    new.at = Epoch::from_unix_ns(0);
    queue.push(at(0), new.clone()).expect("it is there");
    new.at = Epoch::from_unix_ns(i64::MAX);
    queue.push(at(1_800_000), new).expect("it is there");
    assert_eq!(queue.batch(at(3_599_000), 1000).expect("it is there").records.len(), 2);
    assert_eq!(queue.batch(at(3_601_000), 1000).expect("it is there").records.len(), 1);
    assert_eq!(queue.status().counters.lost_expired, 1);
    queue.tick(at(3_601_000), &One);
    // The age goes on in the next start from the youngest record.
    let mut queue = Queue::open(queue.into_storage(), Limits::new(1 << 20), &STREAMS, 2, at(0));
    assert_eq!(queue.batch(at(3_500_000), 1000).expect("it is there").records.len(), 1);
    assert_eq!(queue.batch(at(3_700_000), 1000), None);
}

#[test]
fn at_most_one_sync_a_second_whatever_happens() {
    let mut queue = opened(SimDisk::default(), 64 * 1024);
    let mut dice = Dice(9);
    for step in 0..20_000_u32 {
        let now = at(u64::from(step) * 20);
        queue
            .push(now, number(u8::try_from(dice.below(2)).expect("it fits"), 0, step))
            .expect("it is there");
        queue.tick(now, &One);
        if dice.is(5)
            && let Some(batch) = queue.batch(now, 500)
        {
            queue.acknowledge(batch.boot, batch.stream, batch.through());
        }
    }
    let syncs = queue.status().counters.syncs;
    assert_eq!(queue.into_storage().syncs, syncs);
    assert!((300..=400).contains(&syncs), "{syncs} syncs in 400 s");
}

#[test]
fn a_record_is_durable_after_two_seconds_with_both_streams_busy() {
    let mut queue = opened(SimDisk::default(), 1 << 20);
    for ms in (0..10_000).step_by(100) {
        queue.push(at(ms), number(EVENTS, 0, 1)).expect("it is there");
        queue.push(at(ms), number(SERIES, 0, 1)).expect("it is there");
        queue.tick(at(ms), &One);
        if 3_000 <= ms {
            let taken = ms / 100 + 1;
            assert!(taken - 21 <= queue.durable(EVENTS), "{ms} ms");
            assert!(taken - 21 <= queue.durable(SERIES), "{ms} ms");
        }
    }
    assert!(queue.deadline().is_some());
}

#[test]
fn a_twentieth_of_the_file_system_is_left_to_others() {
    let disk = SimDisk { capacity: 1_000_000, foreign: 940_000, ..SimDisk::default() };
    let mut queue = opened(disk, 1 << 20);
    for second in 0..1_000 {
        queue.push(at(0), number(EVENTS, 0, second)).expect("it is there");
    }
    let status = queue.status();
    assert!(status.disk_bytes <= 10_000, "{status:?}");
    assert!(0 < status.counters.lost_full + status.counters.lost_memory, "{status:?}");
    let disk = queue.into_storage();
    let used: usize =
        disk.names().iter().map(|name| disk.file(name).expect("it is there").len()).sum();
    assert!(used <= 10_000);
}

#[test]
fn a_disk_that_takes_nothing_is_tried_again_and_what_waited_is_written_then() {
    let disk = SimDisk { is_read_only: true, ..SimDisk::default() };
    let mut queue = opened(disk, 1 << 20);
    for second in 0..10 {
        queue.push(at(0), number(EVENTS, 0, second)).expect("it is there");
    }
    let status = queue.status();
    assert_eq!(status.failed, Some((Cause::ReadOnly, at(10_000))));
    assert_eq!((status.records, status.disk_bytes, queue.durable(EVENTS)), (10, 0, 0));
    assert_eq!(queue.deadline(), Some(at(10_000)));
    // What is in memory can be sent all the same.
    let batch = queue.batch(at(0), 10_000).expect("it is there");
    assert_eq!(batch.records.len(), 10);
    queue.acknowledge(batch.boot, EVENTS, 4);
    assert_eq!(queue.status().records, 6);
}

#[test]
fn memory_is_bounded_while_there_is_no_disk() {
    let disk = SimDisk { is_gone: true, ..SimDisk::default() };
    let mut queue = opened(disk, 1 << 20);
    for second in 0..20_000 {
        queue.push(at(0), number(EVENTS, 0, second)).expect("it is there");
    }
    let status = queue.status();
    assert!(status.memory_bytes <= 256 * 1024, "{status:?}");
    assert_eq!(status.records + status.counters.lost_memory, 20_000);
}

#[test]
fn what_is_no_record_is_not_taken() {
    let mut queue = opened(SimDisk::default(), 1 << 20);
    assert_eq!(queue.push(at(0), number(2, 0, 0)), None, "no such stream");
    let new = New { payload: vec![0; 64 * 1024 + 1], ..number(EVENTS, 0, 0) };
    assert_eq!(queue.push(at(0), new), None, "too long");
    assert_eq!(queue.status().counters.taken, 0);
}
