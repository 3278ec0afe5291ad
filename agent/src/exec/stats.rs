//! What the calls of each task cost, by what executed them, for reports: sums since the start, and what the last calls
//! were like.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use protocol::invoke::{Invoked, Outcome};
use protocol::report::{FUNCTIONS_MAX, Summary, TaskStats};
use types::Backend;

use crate::state::GroupId;

/// Calls that a summary stands for at most: enough for a 95th percentile, and 3 KiB for each row.
const SAMPLES_MAX: usize = 128;
/// Older calls say nothing about how it is now (accel: Gaia's window).
const SAMPLE_AGE_MAX: Duration = Duration::from_secs(600);
/// Calls are counted in slots of this length.
const SLOT: Duration = Duration::from_secs(10);
/// Slots of a minute, and of 30 minutes.
const MINUTE_SLOTS: u64 = 6;
const SLOTS_MAX: u64 = 180;

type RowKey = (GroupId, Option<Backend>);

/// The sums of all tasks that ran here.
#[derive(Debug)]
pub(super) struct Stats {
    started: Instant,
    rows: BTreeMap<RowKey, Row>,
    /// Since when nothing was forgotten: a row that is new then has seen all its calls.
    complete_since: Instant,
}

/// One task on one back end.
#[derive(Debug)]
struct Row {
    sums: TaskStats,
    since: Instant,
    last: VecDeque<Sample>,
    /// Number of a slot, counted from the start of the agent, and the calls in it; only slots with calls.
    slots: VecDeque<(u64, u32)>,
}

/// A call that answered.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    /// `None` for a cold start.
    warm_ms: Option<f32>,
    joules: Option<f32>,
    bytes: f32,
}

impl Stats {
    pub(super) fn new(now: Instant) -> Self {
        Self { started: now, rows: BTreeMap::new(), complete_since: now }
    }

    /// Counts a call that came in at `received` and ended `now`.
    pub(super) fn count(
        &mut self,
        group: &GroupId,
        invoked: &Invoked,
        received: Instant,
        now: Instant,
    ) {
        let key = (group.clone(), invoked.record.backend);
        if FUNCTIONS_MAX <= self.rows.len() && !self.rows.contains_key(&key) {
            // The row with the fewest calls makes room.
            let least = self.rows.iter().min_by_key(|(_, row)| row.sums.calls + row.sums.failures);
            if let Some(key) = least.map(|(key, _)| key.clone()) {
                self.rows.remove(&key);
                self.complete_since = now;
            }
        }
        let (slot, since) = (self.slot(now), self.complete_since);
        let row = self.rows.entry(key).or_insert_with_key(|key| Row::new(key, since));
        row.count(invoked, now.saturating_duration_since(received), now, slot);
    }

    /// The rows.
    pub(super) fn tasks(&self, now: Instant) -> Vec<TaskStats> {
        let slot = self.slot(now);
        self.rows.values().map(|row| row.stats(now, slot)).collect()
    }

    fn slot(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.started).as_secs() / SLOT.as_secs()
    }
}

impl Row {
    fn new((group, backend): &RowKey, since: Instant) -> Self {
        let sums = TaskStats {
            workflow: group.workflow.clone(),
            task: group.task.clone(),
            backend: *backend,
            calls: 0,
            failures: 0,
            local_starts: 0,
            cold_starts: 0,
            wall_us: 0,
            cpu_us: 0,
            time_ms: None,
            energy_j: None,
            bytes: None,
            rate_1min: None,
            rate_30min: None,
        };
        Self { sums, since, last: VecDeque::new(), slots: VecDeque::new() }
    }

    fn count(&mut self, invoked: &Invoked, wall: Duration, now: Instant, slot: u64) {
        let record = &invoked.record;
        self.sums.cold_starts += u64::from(record.cold);
        self.sums.wall_us += u64::try_from(wall.as_micros()).unwrap_or(0);
        self.sums.cpu_us += record.cpu_ns / 1000;
        match self.slots.back_mut() {
            Some((last, calls)) if *last == slot => *calls = calls.saturating_add(1),
            _ => self.slots.push_back((slot, 1)),
        }
        while self.slots.front().is_some_and(|(first, _)| first + SLOTS_MAX < slot) {
            self.slots.pop_front();
        }
        match &invoked.outcome {
            Outcome::Committed(done) => {
                self.sums.calls += 1;
                self.sums.local_starts += u64::from(done.local_at_start && !done.again);
            }
            Outcome::Failed(_) => {
                self.sums.failures += 1;
                return;
            }
        }
        if self.last.len() == SAMPLES_MAX {
            self.last.pop_front();
        }
        self.last.push_back(Sample {
            at: now,
            warm_ms: (!record.cold).then_some(wall.as_secs_f32() * 1000.0),
            joules: record.joules,
            bytes: approximate(record.input_bytes.saturating_add(record.output_bytes)),
        });
    }

    fn stats(&self, now: Instant, slot: u64) -> TaskStats {
        let is_recent =
            |sample: &&Sample| now.saturating_duration_since(sample.at) <= SAMPLE_AGE_MAX;
        let recent: Vec<&Sample> = self.last.iter().filter(is_recent).collect();
        TaskStats {
            time_ms: summary(recent.iter().filter_map(|sample| sample.warm_ms)),
            energy_j: summary(recent.iter().filter_map(|sample| sample.joules)),
            bytes: summary(recent.iter().map(|sample| sample.bytes)),
            rate_1min: self.rate(now, slot, MINUTE_SLOTS),
            rate_30min: self.rate(now, slot, SLOTS_MAX),
            ..self.sums.clone()
        }
    }

    /// Calls per second over the last `slots` whole slots; `None` while they were not all watched.
    fn rate(&self, now: Instant, slot: u64, slots: u64) -> Option<f32> {
        let window = SLOT * u32::try_from(slots).ok()?;
        // The slot that is under way does not count, so that the window began up to a slot earlier.
        if now.saturating_duration_since(self.since) < window + SLOT {
            return None;
        }
        let within = |(number, _): &&(u64, u32)| *number < slot && slot <= number + slots;
        let calls: u64 = self.slots.iter().filter(within).map(|(_, calls)| u64::from(*calls)).sum();
        Some(approximate(calls) / window.as_secs_f32())
    }
}

/// The summary of some values; `None` of none.
fn summary(values: impl Iterator<Item = f32>) -> Option<Summary> {
    let mut values: Vec<f32> = values.collect();
    values.sort_by(f32::total_cmp);
    // The smallest value that at least so many percent do not exceed.
    let percentile = |percent: usize| values.get((values.len() * percent).div_ceil(100) - 1);
    let (min, max) = (values.first()?, values.last()?);
    Some(Summary {
        count: u32::try_from(values.len()).unwrap_or(u32::MAX),
        sum: values.iter().copied().map(f64::from).sum(),
        min: *min,
        p50: *percentile(50)?,
        p95: *percentile(95)?,
        max: *max,
    })
}

#[expect(clippy::cast_precision_loss, reason = "24 bits of a count are enough for a summary")]
const fn approximate(count: u64) -> f32 {
    count as f32
}

#[cfg(test)]
mod tests {
    use protocol::invoke::{Committed, Fault, InvocationRecord};
    use types::{NodeId, TaskId, WorkflowId};

    use super::*;

    fn group(task: &str) -> GroupId {
        GroupId { workflow: WorkflowId::new("flood").unwrap(), task: TaskId::new(task).unwrap() }
    }

    fn done(local_at_start: bool, again: bool) -> Outcome {
        Outcome::Committed(Committed {
            outputs: Vec::new(),
            copies: vec![NodeId::new("sat-1").unwrap()],
            single_copy: None,
            state_writes: 0,
            local_at_start,
            again,
            body: Vec::new(),
        })
    }

    fn ran(backend: Backend) -> InvocationRecord {
        InvocationRecord { backend: Some(backend), ..InvocationRecord::default() }
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn calls_are_summed_by_what_came_of_them() {
        let now = Instant::now();
        let mut stats = Stats::new(now);
        let record = InvocationRecord { cpu_ns: 2_000_000, ..ran(Backend::WasmCranelift) };
        for outcome in
            [done(true, false), done(false, false), done(true, true), Outcome::Failed(Fault::Busy)]
        {
            let invoked = Invoked { outcome, record: record.clone() };
            stats.count(&group("detect"), &invoked, now, now + 5 * MS);
        }
        let sums = &stats.tasks(now)[0];
        assert_eq!((sums.calls, sums.failures, sums.local_starts), (3, 1, 1));
        assert_eq!((sums.wall_us, sums.cpu_us), (20_000, 8000));
    }

    #[test]
    fn rows_are_told_apart_by_what_really_ran() {
        let now = Instant::now();
        let mut stats = Stats::new(now);
        let refused =
            Invoked { outcome: Outcome::Failed(Fault::Busy), record: InvocationRecord::default() };
        stats.count(&group("detect"), &refused, now, now);
        for backend in [Backend::WasmPulley, Backend::WasmCranelift, Backend::WasmPulley] {
            let invoked = Invoked { outcome: done(true, false), record: ran(backend) };
            stats.count(&group("detect"), &invoked, now, now);
        }
        let rows: Vec<_> =
            stats.tasks(now).iter().map(|row| (row.backend, row.calls, row.failures)).collect();
        let expected =
            [(None, 0, 1), (Some(Backend::WasmCranelift), 1, 0), (Some(Backend::WasmPulley), 2, 0)];
        assert_eq!(rows, expected);
    }

    #[test]
    fn a_summary_holds_what_is_known_of_the_last_calls() {
        let now = Instant::now();
        let mut stats = Stats::new(now);
        for ms in 1..=20_u32 {
            let is_cold = ms == 20;
            let record = InvocationRecord {
                cold: is_cold,
                input_bytes: 1000,
                output_bytes: u64::from(ms),
                ..ran(Backend::WasmCranelift)
            };
            let invoked = Invoked { outcome: done(true, false), record };
            stats.count(&group("detect"), &invoked, now, now + ms * MS);
        }
        let row = &stats.tasks(now + Duration::from_secs(1))[0];
        let time = row.time_ms.unwrap();
        assert_eq!((time.count, row.cold_starts), (19, 1), "a cold start is no sample of time");
        let near = |value: f32, expected: f32| (value - expected).abs() < 0.01;
        assert!(near(time.min, 1.0) && near(time.p50, 10.0), "{time:?}");
        assert!(near(time.p95, 19.0) && near(time.max, 19.0), "{time:?}");
        let bytes = row.bytes.unwrap();
        assert_eq!((bytes.count, bytes.sum.round()), (20, 20_210.0_f64.round()));
        assert_eq!(row.energy_j, None, "no model of energy is not 0 J");
        let row = &stats.tasks(now + Duration::from_secs(601))[0];
        assert_eq!((row.time_ms, row.bytes, row.calls), (None, None, 20));
    }

    #[test]
    fn the_largest_summary_is_of_128_calls() {
        let now = Instant::now();
        let mut stats = Stats::new(now);
        for number in 0..200_u32 {
            let joules = Some(f32::from(u16::try_from(number).unwrap()));
            let record = InvocationRecord { joules, ..ran(Backend::WasmCranelift) };
            let invoked = Invoked { outcome: done(true, false), record };
            stats.count(&group("detect"), &invoked, now, now);
        }
        let energy = stats.tasks(now)[0].energy_j.unwrap();
        assert_eq!(energy.count, 128);
        assert!((71.9..72.1).contains(&energy.min) && (198.9..199.1).contains(&energy.max));
    }

    #[test]
    fn a_rate_is_known_once_its_window_was_watched() {
        let start = Instant::now();
        let mut stats = Stats::new(start);
        let once = Invoked { outcome: done(true, false), record: ran(Backend::WasmCranelift) };
        // A call every two seconds.
        for second in (0..1900).step_by(2) {
            let now = start + Duration::from_secs(second);
            stats.count(&group("detect"), &once, now, now);
            let row = &stats.tasks(now)[0];
            assert_eq!(row.rate_1min, (70 <= second).then_some(0.5), "after {second} s");
            assert_eq!(row.rate_30min, (1810 <= second).then_some(0.5), "after {second} s");
        }
        let later = start + Duration::from_secs(2000);
        assert_eq!(stats.tasks(later)[0].rate_1min, Some(0.0));
        let much_later = start + Duration::from_secs(9000);
        assert_eq!(stats.tasks(much_later)[0].rate_30min, Some(0.0));
    }

    #[test]
    fn the_task_that_ran_least_makes_room() {
        let now = Instant::now();
        let mut stats = Stats::new(now);
        let once = Invoked { outcome: done(true, false), record: ran(Backend::WasmCranelift) };
        for number in 0..40 {
            for _ in 0..=number {
                stats.count(&group(&format!("t{number}")), &once, now, now);
            }
        }
        let tasks = stats.tasks(now);
        assert_eq!(tasks.len(), FUNCTIONS_MAX);
        assert!(tasks.iter().all(|task| task.task.as_str() != "t0"));
        assert!(tasks.iter().any(|task| task.task.as_str() == "t39"));
    }
}
