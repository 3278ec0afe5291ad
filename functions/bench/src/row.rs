//! A row of a bench: the shape that all benches of the project write.

use serde::Serialize;

use crate::measure::RUNS;

/// How a note begins of what another program measures.
pub(crate) const ELSEWHERE: &str = "elsewhere";

/// A number that was measured, beside its baseline and its target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Row {
    /// Short and stable.
    pub(crate) name: String,
    /// Of all numbers of the row.
    pub(crate) unit: &'static str,
    /// The median; `None` where it could not be measured, and `note` says why.
    pub(crate) measured: Option<f64>,
    /// What 95 % of the calls do not exceed, where that was asked for.
    pub(crate) p95: Option<f64>,
    /// What 99 % of the calls do not exceed; `None` for one number without samples.
    pub(crate) p99: Option<f64>,
    /// What the row is compared with; empty where there is nothing.
    pub(crate) baseline_name: String,
    /// Its median, in the same run.
    pub(crate) baseline: Option<f64>,
    /// Measured over baseline.
    pub(crate) ratio: Option<f64>,
    /// The most that is good, or the least where `at_least`; `None` in rows that only inform.
    pub(crate) target: Option<f64>,
    /// Whether more is better.
    pub(crate) at_least: bool,
    /// Whether the target holds; true in rows that only inform.
    pub(crate) ok: bool,
    /// Interleaved runs.
    pub(crate) runs: usize,
    /// What people should know of it.
    pub(crate) note: String,
}

impl Row {
    /// A number that only informs so far.
    pub(crate) fn new(name: impl Into<String>, unit: &'static str, measured: f64) -> Self {
        Self {
            name: name.into(),
            unit,
            measured: Some(measured),
            p95: None,
            p99: None,
            baseline_name: String::new(),
            baseline: None,
            ratio: None,
            target: None,
            at_least: false,
            ok: true,
            runs: RUNS,
            note: String::new(),
        }
    }

    /// A number that this machine does not give, and why.
    pub(crate) fn unknown(name: impl Into<String>, unit: &'static str, why: &str) -> Self {
        Self { measured: None, note: why.to_owned(), ..Self::new(name, unit, 0.0) }
    }

    pub(crate) fn p95(self, value: f64) -> Self {
        Self { p95: Some(value), ..self }
    }

    pub(crate) fn p99(self, value: f64) -> Self {
        Self { p99: Some(value), ..self }
    }

    pub(crate) fn baseline(self, name: &str, value: f64) -> Self {
        let ratio = self.measured.map(|measured| measured / value);
        Self { baseline_name: name.to_owned(), baseline: Some(value), ratio, ..self }
    }

    /// No more than this is good.
    pub(crate) fn at_most(self, target: f64) -> Self {
        let ok = self.measured.is_some_and(|measured| measured <= target);
        Self { target: Some(target), ok, ..self }
    }

    /// No less than this is good.
    pub(crate) fn at_least(self, target: f64) -> Self {
        let ok = self.measured.is_some_and(|measured| target <= measured);
        Self { target: Some(target), at_least: true, ok, ..self }
    }

    pub(crate) fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_good_up_to_its_target_and_without_one() {
        let row = |measured| Row::new("call", "µs", measured);
        assert!(row(7.0).at_most(7.0).ok && row(1e9).ok);
        assert!(!row(7.1).at_most(7.0).ok && !row(f64::NAN).at_most(7.0).ok);
        assert!(row(8.0).at_least(7.0).ok && !row(6.0).at_least(7.0).ok);
        // What was not measured is not good.
        assert!(!Row::unknown("call", "µs", "no runc").at_most(7.0).ok);
    }

    #[test]
    fn the_shape_is_that_of_all_benches() {
        let row = Row::new("call", "µs", 2.0).p99(3.0).baseline("wasmtime", 8.0).at_most(7.0);
        let json = serde_json::to_value(&row).unwrap();
        let expected = serde_json::json!({
            "name": "call", "unit": "µs", "measured": 2.0, "p95": null, "p99": 3.0, "baseline_name": "wasmtime",
            "baseline": 8.0, "ratio": 0.25, "target": 7.0, "at_least": false, "ok": true, "runs": 5, "note": "",
        });
        assert_eq!(json, expected);
    }
}
