//! Measuring: runs of the engine and of the baseline in turns, so that both meet the same machine.

use std::time::{Duration, Instant};

/// Runs, unless more are asked for: the fewest of which a median means something.
pub const RUNS: usize = 5;
/// How long a run of the engine goes on at least, so that short steps are seen often.
const RUN_MIN: Duration = Duration::from_millis(150);
/// Calls of a run at most.
const CALLS_MAX: u32 = 200;

/// What was measured, milliseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// Each call of the engine.
    pub measured: Vec<f64>,
    /// Each run of the baseline; empty without one.
    pub baseline: Vec<f64>,
    /// Interleaved runs.
    pub runs: usize,
}

impl Samples {
    /// The median of the engine's calls.
    pub fn median(&self) -> f64 {
        percentile(&self.measured, 50)
    }

    /// What 99 % of the engine's calls do not exceed.
    pub fn p99(&self) -> f64 {
        percentile(&self.measured, 99)
    }

    /// The median of the baseline's runs; `None` without one.
    pub fn baseline_median(&self) -> Option<f64> {
        (!self.baseline.is_empty()).then(|| percentile(&self.baseline, 50))
    }
}

/// The value that `percent` of the values do not exceed (nearest rank); not a number without values.
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// Calls the engine and the baseline in turns.
///
/// The first call of the engine in each run does not count: it fills the caches that the baseline emptied, and at first the
/// buffers, as the first step of a simulation does.
pub fn interleaved(
    runs: usize,
    engine: &mut dyn FnMut(),
    mut baseline: Option<&mut dyn FnMut()>,
) -> Samples {
    let mut samples = Samples { runs, ..Samples::default() };
    for _ in 0..runs {
        let warm_ms = timed(engine);
        let calls = (1000.0 * RUN_MIN.as_secs_f64() / warm_ms.max(1.0e-6)).ceil();
        let mut call = 0.0;
        while call < calls.min(f64::from(CALLS_MAX)) {
            samples.measured.push(timed(engine));
            call += 1.0;
        }
        if let Some(baseline) = &mut baseline {
            samples.baseline.push(timed(*baseline));
        }
    }
    samples
}

/// The wall time of a call, milliseconds.
fn timed(work: &mut dyn FnMut()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let at = |percent| format!("{}", percentile(&values, percent));
        assert_eq!([50, 99, 100].map(at), ["50", "99", "100"]);
        assert_eq!(format!("{}", percentile(&[7.0], 99)), "7");
        assert!(percentile(&[], 50).is_nan());
    }

    #[test]
    fn engine_and_baseline_take_turns() {
        let told = std::cell::RefCell::new(String::new());
        let mut engine = || {
            std::thread::sleep(RUN_MIN);
            told.borrow_mut().push('e');
        };
        let mut baseline = || told.borrow_mut().push('b');
        let samples = interleaved(3, &mut engine, Some(&mut baseline));
        assert_eq!(*told.borrow(), "eebeebeeb");
        assert_eq!((samples.measured.len(), samples.baseline.len(), samples.runs), (3, 3, 3));
        assert!(150.0 <= samples.median());
    }
}
