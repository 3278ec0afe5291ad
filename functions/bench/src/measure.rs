//! Measuring: all sides take turns, so that each meets the same machine.

use std::time::{Duration, Instant};

use anyhow::Result;

/// Interleaved runs: the fewest of which a median means something.
pub(crate) const RUNS: usize = 5;

/// One side of a comparison.
pub(crate) struct Side<'a> {
    /// How long a run of it goes on; at least one call counts.
    pub(crate) run: Duration,
    /// Calls of a run at most.
    pub(crate) calls_max: usize,
    /// One call; answers what it measured, mostly nanoseconds.
    pub(crate) act: Box<dyn FnMut() -> Result<f64> + 'a>,
}

impl<'a> Side<'a> {
    /// A side that is timed from outside: its calls are short, so many make a run.
    pub(crate) fn timed(run: Duration, mut act: impl FnMut() -> Result<()> + 'a) -> Self {
        let act = move || {
            let started = Instant::now();
            act()?;
            Ok(nanos(started.elapsed()))
        };
        Self { run, calls_max: 20_000, act: Box::new(act) }
    }

    /// A side that measures itself.
    pub(crate) fn own(run: Duration, act: impl FnMut() -> Result<f64> + 'a) -> Self {
        Self { run, calls_max: 20_000, act: Box::new(act) }
    }
}

/// What one side took: its runs, each with its calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series(Vec<Vec<f64>>);

impl Series {
    /// The median of the runs' percentiles.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let runs: Vec<f64> = self.0.iter().map(|run| percentile(run, percent)).collect();
        percentile(&runs, 50)
    }

    pub(crate) fn p50(&self) -> f64 {
        self.percentile(50)
    }

    /// The mean of the median run: how long many calls in a row take.
    pub(crate) fn mean(&self) -> f64 {
        let mean = |run: &Vec<f64>| run.iter().sum::<f64>() / float(run.len() as u64);
        percentile(&self.0.iter().map(mean).collect::<Vec<_>>(), 50)
    }
}

/// Runs the sides in turns. The first call of a side in each run does not count: it fills the caches that the others emptied. If it alone
/// takes longer than the run, it counts.
///
/// # Errors
/// That of the side that fails.
pub(crate) fn in_turns<const N: usize>(mut sides: [Side<'_>; N]) -> Result<[Series; N]> {
    let mut all: [Series; N] = std::array::from_fn(|_| Series::default());
    for _ in 0..RUNS {
        for (side, series) in sides.iter_mut().zip(&mut all) {
            series.0.push(one_run(side)?);
        }
    }
    Ok(all)
}

fn one_run(side: &mut Side<'_>) -> Result<Vec<f64>> {
    let mut calls = Vec::new();
    let begun = Instant::now();
    let first = (side.act)()?;
    // What goes on for longer than a run has no caches to wait for.
    if !side.run.is_zero() && side.run <= begun.elapsed() {
        return Ok(vec![first]);
    }
    let started = Instant::now();
    while calls.is_empty() || (calls.len() < side.calls_max && started.elapsed() < side.run) {
        calls.push((side.act)()?);
    }
    Ok(calls)
}

/// The value that `percent` of the values do not exceed (nearest rank); not a number without values.
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

pub(crate) fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

#[expect(clippy::cast_precision_loss, reason = "counts and sizes here are far below 2^53")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let at = |percent| format!("{}", percentile(&values, percent));
        assert_eq!([50, 95, 99, 100].map(at), ["50", "95", "99", "100"]);
        assert!(percentile(&[], 50).is_nan());
    }

    #[test]
    fn sides_take_turns_and_the_first_call_of_a_run_does_not_count() {
        let told = std::cell::RefCell::new(String::new());
        let side = |letter| {
            let told = &told;
            Side::own(Duration::ZERO, move || {
                told.borrow_mut().push(letter);
                Ok(float(told.borrow().len() as u64))
            })
        };
        let [a, b] = in_turns([side('a'), side('b')]).unwrap();
        assert_eq!(*told.borrow(), "aabb".repeat(RUNS));
        assert_eq!((a.p50().to_string(), b.p50().to_string()), ("10".into(), "12".into()));
        assert_eq!(a.mean().to_string(), "10");
    }
}
