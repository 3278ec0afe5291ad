//! How long the steps took to compute: over the run, part by part, and how often each time came.

use super::chart::{Chart, Line};
use super::gather::Gathered;
use super::page::Page;

/// Classes per tenfold time.
const PER_DECADE: usize = 10;
/// The shortest time that is told apart, ms.
const LEAST_MS: f64 = 1.0e-3;
/// Classes: from a microsecond to a quarter of an hour.
const CLASSES: usize = 9 * PER_DECADE;

/// How often steps took how long, in classes that grow tenfold in ten.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    counts: Vec<u32>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; CLASSES] }
    }
}

impl Histogram {
    /// Counts a step.
    pub(super) fn add(&mut self, ms: f64) {
        let class = ((ms / LEAST_MS).log10() * 10.0).floor().clamp(0.0, 89.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped; a time that is not a number falls into the first class"
        )]
        if let Some(count) = self.counts.get_mut(class as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// The classes from the first to the last that holds a step: lower and upper end in ms, and the count.
    fn classes(&self) -> Vec<(f64, f64, u32)> {
        let ends = |class: i32| {
            let end = |n: i32| LEAST_MS * 10.0_f64.powf(f64::from(n) / 10.0);
            (end(class), end(class + 1))
        };
        let all = (0_i32..).zip(&self.counts).map(|(class, count)| {
            let (low, high) = ends(class);
            (low, high, *count)
        });
        let mut all: Vec<_> = all.skip_while(|(_, _, count)| *count == 0).collect();
        while all.last().is_some_and(|(_, _, count)| *count == 0) {
            all.pop();
        }
        all
    }
}

/// Draws them.
pub(super) fn step_times(page: &mut Page, run: &Gathered) {
    let lead = "Wall time of the parts of a step on the machine that ran this; reports and recordings are not counted.";
    page.section("Computing time", lead);
    let labels = ["positions", "links between satellites", "links to stations", "graph and routes"];
    let mut lines = vec![Line { label: "whole step", color: 7, series: &run.step_ms }];
    for ((label, series), color) in labels.into_iter().zip(&run.parts_ms).zip([5, 0, 1, 2]) {
        lines.push(Line { label, color, series });
    }
    let chart = Chart {
        title: "Per step",
        unit: " ms",
        size: (1080.0, 260.0),
        from_zero: true,
        lines: &lines,
    };
    chart.draw(page, run);
    histogram(page, &run.histogram.classes());
    page.end_section();
}

fn histogram(page: &mut Page, classes: &[(f64, f64, u32)]) {
    let most = classes.iter().map(|(_, _, count)| *count).max().unwrap_or(0);
    if most == 0 {
        return;
    }
    let (width, height, left, bottom) = (1080.0, 190.0, 52.0, 140.0);
    page.put(format_args!(
        "<figure><figcaption><h3>How many steps took how long</h3></figcaption>\
         <svg class=\"tips\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"Histogram of step times\"><g style=\"--c:var(--c0)\">"
    ));
    let count = u32::try_from(classes.len()).map_or(1.0, f64::from);
    // A single class is not blown up to the whole width.
    let each = ((width - left - 14.0) / count).min(90.0);
    let every = (count / 16.0).ceil().max(1.0);
    let mut x = left;
    let mut until_label = 0.0;
    for (low, high, steps) in classes {
        let tall = f64::from(*steps) / f64::from(most) * 120.0;
        page.put(format_args!(
            "<rect class=\"bar\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\" \
             data-tip=\"{} to {} ms: {steps} steps\"/>",
            x + 1.0,
            bottom - tall,
            each - 2.0,
            digits3(*low),
            digits3(*high)
        ));
        if until_label <= 0.0 {
            until_label = every;
            page.put(format_args!(
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 16.0,
                digits3(*low)
            ));
        }
        until_label -= 1.0;
        x += each;
    }
    page.put(format_args!(
        "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
        bottom + 16.0,
        classes.last().map_or_else(String::new, |(_, high, _)| digits3(*high))
    ));
    page.put(format_args!(
        "</g><path class=\"axis\" d=\"M{left} {bottom}H{x:.1}\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{most}</text>\
         <text x=\"{:.1}\" y=\"{bottom}\" text-anchor=\"end\">0</text>\
         <text x=\"{left}\" y=\"{:.1}\">time of a step, ms, each class 1.26 times the one before; upright: steps</text>\
         </svg></figure>\n",
        left - 8.0,
        bottom - 114.0,
        left - 8.0,
        bottom + 36.0
    ));
}

/// A number with three digits that count.
fn digits3(value: f64) -> String {
    match value {
        v if v < 0.1 => format!("{v:.4}"),
        v if v < 1.0 => format!("{v:.3}"),
        v if v < 10.0 => format!("{v:.2}"),
        v if v < 100.0 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_falls_between_the_ends_of_its_class() {
        for ms in [0.001, 0.0012, 0.3, 9.99, 18.0, 57_000.0] {
            let mut histogram = Histogram::default();
            histogram.add(ms);
            let classes = histogram.classes();
            assert!(
                matches!(classes.as_slice(), [(low, high, 1)] if low * 0.999_999 <= ms && ms < high * 1.000_001),
                "{ms}: {classes:?}"
            );
        }
        let mut odd = Histogram::default();
        [0.0, -1.0, f64::NAN, 1.0e12].into_iter().for_each(|ms| odd.add(ms));
        assert_eq!(odd.counts.iter().sum::<u32>(), 4);
    }
}
