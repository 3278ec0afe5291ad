//! How long inferences took, for each model and back end: what a decision between back ends rests on. Reads no clock.
//!
//! [`Spread::p95_ms`] of one back end is what `accel::reevaluate::Metrics::p95_ms` takes; the rates of calls are the caller's, who sees
//! also those that never came here.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Runs that are remembered for each model and back end: enough for a 95th percentile of 12 values above it.
const WINDOW: usize = 256;
/// Pairs of model and back end that are remembered; the one that was used longest ago gives way.
const PAIRS_MAX: usize = 256;

/// A handful of numbers for many, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// How many values, at least one.
    pub count: u32,
    /// Their sum.
    pub sum_ms: f64,
    /// The smallest.
    pub min_ms: f64,
    /// The smallest value that at least half of them do not exceed.
    pub p50_ms: f64,
    /// The smallest value that at least 95 % of them do not exceed.
    pub p95_ms: f64,
    /// The largest.
    pub max_ms: f64,
}

/// How the calls of one model on one back end went.
#[derive(Clone, Debug, PartialEq)]
pub struct PairStats {
    /// Which model or kernel.
    pub model: String,
    /// On which back end.
    pub backend: String,
    /// Calls that answered, since the start.
    pub calls: u64,
    /// Calls that failed there, since the start.
    pub failures: u64,
    /// Time that the last ones waited; `None` before the first.
    pub queue: Option<Spread>,
    /// Time that the last ones ran; `None` before the first.
    pub run: Option<Spread>,
    /// Time that getting ready took when it had to be done.
    pub load: Option<Spread>,
}

/// All pairs.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pairs: BTreeMap<(String, String), Pair>,
    clock: u64,
}

#[derive(Debug, Default)]
struct Pair {
    used: u64,
    calls: u64,
    failures: u64,
    queue: Window,
    run: Window,
    load: Window,
}

/// What one call took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Took {
    pub(crate) queue: Duration,
    pub(crate) load: Option<Duration>,
    pub(crate) run: Duration,
}

impl Stats {
    pub(crate) fn answered(&mut self, model: &str, backend: &str, took: Took) {
        let pair = self.pair(model, backend);
        pair.calls += 1;
        pair.queue.add(took.queue);
        pair.run.add(took.run);
        if let Some(load) = took.load {
            pair.load.add(load);
        }
    }

    pub(crate) fn failed(&mut self, model: &str, backend: &str) {
        self.pair(model, backend).failures += 1;
    }

    pub(crate) fn all(&self) -> Vec<PairStats> {
        let row = |((model, backend), pair): (&(String, String), &Pair)| PairStats {
            model: model.clone(),
            backend: backend.clone(),
            calls: pair.calls,
            failures: pair.failures,
            queue: pair.queue.spread(),
            run: pair.run.spread(),
            load: pair.load.spread(),
        };
        self.pairs.iter().map(row).collect()
    }

    fn pair(&mut self, model: &str, backend: &str) -> &mut Pair {
        let key = (model.to_owned(), backend.to_owned());
        if PAIRS_MAX <= self.pairs.len() && !self.pairs.contains_key(&key) {
            let oldest = self.pairs.iter().min_by_key(|(_, pair)| pair.used);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.pairs.remove(&oldest);
            }
        }
        self.clock += 1;
        let pair = self.pairs.entry(key).or_default();
        pair.used = self.clock;
        pair
    }
}

/// The last values.
#[derive(Debug, Default)]
struct Window(VecDeque<f64>);

impl Window {
    fn add(&mut self, time: Duration) {
        if self.0.len() == WINDOW {
            self.0.pop_front();
        }
        self.0.push_back(time.as_secs_f64() * 1e3);
    }

    fn spread(&self) -> Option<Spread> {
        let mut sorted: Vec<f64> = self.0.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        // The value of rank ⌈q · n⌉, counted from 1.
        let rank = |percent: usize| sorted.get((percent * sorted.len()).div_ceil(100) - 1).copied();
        Some(Spread {
            count: u32::try_from(sorted.len()).ok()?,
            sum_ms: sorted.iter().sum(),
            min_ms: *sorted.first()?,
            p50_ms: rank(50)?,
            p95_ms: rank(95)?,
            max_ms: *sorted.last()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_told_by_ranks() {
        let mut stats = Stats::default();
        for ms in 1..=1000 {
            let run = Duration::from_millis(ms);
            stats.answered("m", "gpu", Took { run, ..Took::default() });
        }
        stats.failed("m", "gpu");
        let [pair] = stats.all().try_into().unwrap();
        assert_eq!((pair.calls, pair.failures, pair.load), (1000, 1, None));
        // The last 256 values are 745 to 1000: ranks 128 and 244.
        let run = pair.run.unwrap();
        let told = [run.min_ms, run.p50_ms, run.p95_ms, run.max_ms].map(|ms| format!("{ms:.3}"));
        assert_eq!((run.count, told.join(" ")), (256, "745.000 872.000 988.000 1000.000".into()));
        assert!((run.sum_ms - 256.0 * 872.5).abs() < 1e-6);
    }

    #[test]
    fn pairs_are_bounded() {
        let mut stats = Stats::default();
        for index in 0..1000 {
            stats.answered("often", "cpu", Took::default());
            stats.answered(&index.to_string(), "cpu", Took::default());
        }
        let all = stats.all();
        assert_eq!(all.len(), PAIRS_MAX);
        assert!(all.iter().any(|pair| pair.model == "often" && pair.calls == 1000));
    }
}
