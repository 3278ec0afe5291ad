//! A row of a bench: the shape that all benches of the project write.

use serde::{Deserialize, Serialize};

use super::measure::Samples;

/// A number that was measured, beside its baseline and its target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Short and stable.
    pub name: String,
    /// Of all numbers of the row.
    pub unit: String,
    /// The median.
    pub measured: f64,
    /// What 99 % of the samples do not exceed; `None` for one number without samples.
    pub p99: Option<f64>,
    /// The method that the row is compared with; empty where there is none.
    pub baseline_name: String,
    /// Its median, in the same run.
    pub baseline: Option<f64>,
    /// Measured over baseline: below 1 is better than the baseline.
    pub ratio: Option<f64>,
    /// The most that is good; `None` in rows that only inform.
    pub target: Option<f64>,
    /// Whether the target holds; true in rows that only inform.
    pub ok: bool,
    /// Interleaved runs.
    pub runs: usize,
    /// Where the satellites come from: the files, or Walker shells.
    pub source: String,
}

/// What a row says besides its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// Its name.
    pub name: String,
    /// What its baseline is.
    pub baseline_name: &'static str,
    /// The most that is good.
    pub target: Option<f64>,
    /// Where the satellites come from.
    pub source: String,
}

impl Row {
    /// From samples in milliseconds.
    pub fn of_ms(label: Label, samples: &Samples) -> Self {
        let numbers = (samples.median(), Some(samples.p99()));
        Self::new(label, "ms", numbers, samples.baseline_median(), samples.runs)
    }

    /// From one number; `runs` of what it is the median.
    pub fn new(
        label: Label,
        unit: &str,
        (measured, p99): (f64, Option<f64>),
        baseline: Option<f64>,
        runs: usize,
    ) -> Self {
        let baseline_name = if baseline.is_some() { label.baseline_name } else { "" };
        Self {
            name: label.name,
            unit: unit.to_owned(),
            measured,
            p99,
            baseline_name: baseline_name.to_owned(),
            baseline,
            ratio: baseline.map(|baseline| measured / baseline),
            target: label.target,
            ok: label.target.is_none_or(|target| measured <= target),
            runs,
            source: label.source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(target: Option<f64>) -> Label {
        let (name, source) = ("step".to_owned(), "Walker shells".to_owned());
        Label { name, baseline_name: "brute force", target, source }
    }

    #[test]
    fn a_row_is_good_up_to_its_target_and_without_one() {
        let row = |target, measured| Row::new(label(target), "ms", (measured, None), None, 5);
        assert!(row(Some(18.0), 18.0).ok && row(None, 1.0e9).ok);
        // A number that is none is not good.
        assert!(!row(Some(18.0), 18.1).ok && !row(Some(18.0), f64::NAN).ok);
    }

    #[test]
    fn the_shape_is_that_of_all_benches() {
        let row = Row::new(label(None), "ms", (2.0, Some(3.0)), Some(8.0), 5);
        let json = serde_json::to_value(&row).unwrap();
        let expected = serde_json::json!({
            "name": "step", "unit": "ms", "measured": 2.0, "p99": 3.0, "baseline_name": "brute force", "baseline": 8.0,
            "ratio": 0.25, "target": null, "ok": true, "runs": 5, "source": "Walker shells",
        });
        assert_eq!(json, expected);
    }
}
