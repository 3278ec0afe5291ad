//! Seeded lives of a queue: pushes, syncs, sends, kills, cuts of power, disks that fail. What was durable arrives;
//! nothing arrives that was not put in.

use std::collections::{BTreeMap, BTreeSet};

use queue::{Column, Columns, Content, Limits, New, Queue, StreamConfig};
use types::{Epoch, Instant};

use crate::sim::{Dice, SimDisk};

const STREAMS: [StreamConfig; 2] = [
    StreamConfig { ttl_ms: u64::MAX, is_thinned: false },
    StreamConfig { ttl_ms: u64::MAX, is_thinned: true },
];
const SEEDS: u64 = 400;

/// No numbers.
struct Nothing;

impl Columns for Nothing {
    fn columns(&self, _: u8, _: &[u8]) -> Option<Vec<Column>> {
        None
    }
}

type Id = (u64, u8, u64);

/// A queue, and what an observer knows of it.
struct Life {
    queue: Queue<SimDisk>,
    dice: Dice,
    boot: u64,
    now: Instant,
    pushed: BTreeMap<Id, Vec<u8>>,
    durable: BTreeSet<Id>,
    received: BTreeSet<Id>,
    /// Acknowledged, and perhaps not remembered by the queue after a crash.
    fresh: BTreeSet<Id>,
}

impl Life {
    fn begin(seed: u64) -> Self {
        let queue = Self::opened(SimDisk::default(), 1);
        Self {
            queue,
            dice: Dice(seed),
            boot: 1,
            now: Instant(0),
            pushed: BTreeMap::new(),
            durable: BTreeSet::new(),
            received: BTreeSet::new(),
            fresh: BTreeSet::new(),
        }
    }

    fn opened(disk: SimDisk, boot: u64) -> Queue<SimDisk> {
        // Small segments, so that there are many.
        let limits = Limits { segment_bytes: 600, ..Limits::new(1 << 20) };
        Queue::open(disk, limits, &STREAMS, boot, Instant(0))
    }

    fn push(&mut self) {
        let stream = u8::try_from(self.dice.below(2)).expect("it fits");
        let length = self.dice.below(60);
        let byte = u8::try_from(self.dice.below(256)).expect("it fits");
        let payload = vec![byte; length];
        let new = New { stream, series: 0, at: Epoch::from_unix_ns(1), payload: payload.clone() };
        let id = self.queue.push(self.now, new).expect("it is there");
        self.pushed.insert((self.boot, stream, id), payload);
    }

    fn note_durable(&mut self) {
        for stream in 0..2 {
            let through = self.queue.durable(stream);
            self.durable.extend((1..=through).map(|id| (self.boot, stream, id)));
        }
    }

    fn send(&mut self, is_acknowledged: bool) -> bool {
        let Some(batch) = self.queue.batch(self.now, 300) else { return false };
        let mut last = 0;
        for record in &batch.records {
            assert!(last < record.id, "in order");
            last = record.id;
            let id = (batch.boot, batch.stream, record.id);
            let Content::Whole(payload) = &record.content else { panic!("never thinned") };
            assert_eq!(self.pushed.get(&id), Some(payload), "{id:?} was never put in like this");
            let is_new = self.received.insert(id);
            assert!(is_new || self.fresh.contains(&id) || !is_acknowledged, "{id:?} came twice");
            self.fresh.insert(id);
        }
        if is_acknowledged {
            self.queue.acknowledge(batch.boot, batch.stream, batch.through());
        }
        true
    }

    fn again(&mut self, disk: SimDisk) {
        self.boot += 1;
        self.queue = Self::opened(disk, self.boot);
        self.now = Instant(0);
    }

    fn disk(&mut self) -> SimDisk {
        let other = Self::opened(SimDisk::default(), 0);
        std::mem::replace(&mut self.queue, other).into_storage()
    }

    fn step(&mut self, breaks: bool) {
        let ms = u64::try_from(self.dice.below(700)).expect("it fits");
        self.now = Instant(self.now.0 + ms * 1_000_000);
        match self.dice.below(100) {
            0..55 => self.push(),
            55..80 => self.queue.tick(self.now, &Nothing),
            80..92 => {
                self.send(true);
            }
            92..94 => {
                self.send(false);
            }
            94..96 => {
                let disk = self.disk().killed();
                self.again(disk);
            }
            96..98 => {
                let disk = self.disk();
                let disk = disk.crashed(&mut self.dice);
                self.again(disk);
            }
            _ if breaks => {
                // The queue holds the disk, so a broken one comes with a start.
                let mut disk = self.disk().killed();
                disk.is_read_only = self.dice.is(25);
                disk.syncs_fail = self.dice.is(25);
                disk.is_gone = self.dice.is(25);
                self.again(disk);
            }
            _ => {}
        }
        self.note_durable();
    }

    fn end(mut self, seed: u64) {
        let mut disk = self.disk().killed();
        (disk.is_read_only, disk.syncs_fail, disk.is_gone) = (false, false, false);
        self.again(disk);
        while self.send(true) {}
        let lost: Vec<_> = self.durable.difference(&self.received).collect();
        assert_eq!(lost, Vec::<&Id>::new(), "seed {seed}: durable, and never arrived");
        assert_eq!(self.queue.status().records, 0, "seed {seed}");
    }
}

#[test]
fn what_was_durable_arrives_through_kills_and_cuts_of_power() {
    for seed in 0..SEEDS {
        let mut life = Life::begin(seed);
        for _ in 0..300 {
            life.step(false);
        }
        life.end(seed);
    }
}

#[test]
fn what_was_durable_arrives_through_disks_that_fail() {
    for seed in 0..SEEDS {
        let mut life = Life::begin(seed.wrapping_mul(77) + 5);
        for _ in 0..300 {
            life.step(true);
        }
        life.end(seed);
    }
}

#[test]
fn without_a_crash_nothing_comes_twice() {
    for seed in 0..50 {
        let mut life = Life::begin(seed);
        for _ in 0..200 {
            life.push();
            life.now = Instant(life.now.0 + 300_000_000);
            life.queue.tick(life.now, &Nothing);
            if life.dice.is(30) {
                life.fresh.clear();
                life.send(true);
            }
        }
        life.fresh.clear();
        while life.send(true) {
            life.fresh.clear();
        }
        assert_eq!(life.received.len(), life.pushed.len(), "seed {seed}");
    }
}

#[test]
fn a_kill_repeats_the_last_batch_at_most() {
    let mut life = Life::begin(3);
    for _ in 0..60 {
        life.push();
    }
    let mut seconds = 0;
    let mut tick = |life: &mut Life, times: u64| {
        for _ in 0..times {
            seconds += 1;
            life.now = Instant(seconds * 1_000_000_000);
            life.queue.tick(life.now, &Nothing);
        }
    };
    tick(&mut life, 40);
    let mut before = BTreeMap::new();
    let mut batches = 0;
    while life.send(true) {
        batches += 1;
        // Killed now, before anything else is synced.
        let disk = life.disk();
        let mut again = Life::opened(disk.killed(), 2);
        if let Some(batch) = again.batch(Instant(0), 300) {
            let first = batch.records.first().map_or(0, |record| record.id);
            let passed = before.get(&batch.stream).copied().unwrap_or(0);
            assert!(passed < first, "{first} of stream {} was sent before", batch.stream);
        }
        // The same one lives on: marks become durable before the next batch.
        life.queue = Life::opened(disk, 100 + batches);
        for id in life.received.iter().copied().collect::<Vec<_>>() {
            before.insert(id.1, id.2);
            life.queue.acknowledge(id.0, id.1, id.2);
        }
        tick(&mut life, 3);
    }
    assert!(8 < batches, "{batches} batches");
}
