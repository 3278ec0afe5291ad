//! A measure over the load as a picture: a line for each policy, with confidence intervals.

use super::compare::{Comparison, Measure, OURS, Row};
use super::page::put;
use super::statistics::Estimate;
use crate::offline::report::real;

/// Width and height of a plot, pixels, and the room at its edges.
const SIZE: (f64, f64) = (520.0, 270.0);
const LEFT: f64 = 58.0;
const BELOW: f64 = 40.0;
const TOP: f64 = 14.0;
const RIGHT: f64 = 22.0;
/// Axes are at least so long, in their units, so that nothing is divided by 0.
const LEAST: f64 = 1e-9;
/// About so many lines across.
const LINES: f64 = 4.0;
/// Policies stand so far beside each other, pixels, so that their intervals can be told apart.
const APART: f64 = 2.5;
/// Half of the width of the ends of an interval, pixels.
const END: f64 = 3.0;
/// Lines are told apart by these colours, ours first (Okabe and Ito, 2008; two more of ours), and by their strokes.
const COLORS: [&str; 10] = [
    "#d55e00", "#0072b2", "#56b4e9", "#999999", "#cc79a7", "#8c6d31", "#009e73", "#e69f00",
    "#7b3fa0", "#555555",
];
const STROKES: [&str; 3] = ["", "6 3", "2 3"];

/// The colour of a policy, by its place in the comparison.
pub(super) fn color(policy: usize) -> &'static str {
    COLORS[policy % COLORS.len()]
}

/// A line as long as a letter in colour and stroke of a policy.
pub(super) fn sample(out: &mut String, policy: usize) {
    let thick = if policy == 0 { 3.5 } else { 2.0 };
    put(
        out,
        format_args!(
            "<svg class=\"sample\" width=\"26\" height=\"10\"><path d=\"M0 5H26\" stroke=\"{}\" stroke-width=\"{thick}\" stroke-dasharray=\"{}\"/></svg>",
            color(policy),
            stroke(policy)
        ),
    );
}

fn stroke(policy: usize) -> &'static str {
    if policy == 0 { "" } else { STROKES[policy % STROKES.len()] }
}

/// A measure over the load.
pub(super) fn plot(
    out: &mut String,
    found: &Comparison,
    (loads, policies): (&[usize], &[&str]),
    measure: &Measure,
) {
    let (width, height) = SIZE;
    let axes = Axes::new(found, loads, measure);
    let title = share(measure.key).map_or(measure.title, |(title, _)| title);
    put(
        out,
        format_args!(
            "<figure><figcaption>{title}</figcaption><svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\">"
        ),
    );
    axes.draw(out, loads);
    // Ours last: above all others.
    for (at, policy) in policies.iter().enumerate().rev() {
        let of = found.rows.iter().filter(|row| row.policy == *policy);
        let of: Vec<_> =
            of.filter_map(|row| Some((row.load, drawn(found, row, measure)?))).collect();
        let thick = if *policy == OURS { 3.0 } else { 1.4 };
        put(
            out,
            format_args!(
                "<g stroke=\"{0}\" fill=\"{0}\" stroke-width=\"{thick}\"><title>{policy}</title>",
                color(at)
            ),
        );
        let apart = APART * (real(at) - real(policies.len().saturating_sub(1)) / 2.0);
        axes.line(out, &of, (apart, stroke(at)));
        out.push_str("</g>");
    }
    out.push_str("</svg></figure>");
}

/// A title, and by what a measure is multiplied, given the minutes of submissions.
type Share = (&'static str, fn(f64) -> f64);

/// What grows with the load is drawn for each workflow.
fn share(key: &str) -> Option<Share> {
    Some(match key {
        "goodput_per_h" => ("good workflows, % of all", |minutes| 100.0 * minutes / 60.0),
        "violation_s" => ("violated, s for each workflow", |_| 1.0),
        "unplaced" => ("unplaced workflows, % of all", |_| 100.0),
        "over_temperature" => ("tasks on boards too hot, for 100 workflows", |_| 100.0),
        "hand_overs" => ("hand-overs, for 100 workflows", |_| 100.0),
        _ => return None,
    })
}

/// What is drawn of a measure.
fn drawn(found: &Comparison, row: &Row, measure: &Measure) -> Option<Estimate> {
    let estimate = *row.means.get(measure.key)?;
    let Some((_, times)) = share(measure.key) else { return Some(estimate) };
    let times = times(f64::from(found.minutes)) / real(row.load.max(1));
    let ci95 = estimate.ci95.map(|half| half * times);
    Some(Estimate { mean: estimate.mean * times, ci95, ..estimate })
}

/// The axes of a plot: loads along, logarithmic, and a measure upright from 0.
#[derive(Debug)]
struct Axes {
    /// The logarithms of the least load and of the greatest over the least.
    loads: (f64, f64),
    most: f64,
    /// From one line across to the next, and how many digits after the point tell them apart.
    step: f64,
    digits: usize,
}

impl Axes {
    fn new(found: &Comparison, loads: &[usize], measure: &Measure) -> Self {
        let end = |estimate: Estimate| estimate.mean + estimate.ci95.unwrap_or(0.0);
        let estimates = found.rows.iter().filter_map(|row| drawn(found, row, measure));
        let most = estimates.map(end).fold(0.0_f64, f64::max).max(LEAST);
        let (step, digits) = round_step(most / LINES);
        let all = || loads.iter().map(|load| real(*load.max(&1)).ln());
        let low = all().fold(f64::INFINITY, f64::min);
        let span = all().fold(low, f64::max) - low;
        Self { loads: (low, span.max(LEAST)), most: (most / step).ceil() * step, step, digits }
    }

    fn x(&self, load: usize) -> f64 {
        let (low, span) = self.loads;
        // Intervals of policies beside each other stay within.
        let (left, right) = (LEFT + 16.0, SIZE.0 - RIGHT);
        left + (real(load.max(1)).ln() - low) / span * (right - left)
    }

    fn y(&self, value: f64) -> f64 {
        SIZE.1 - BELOW - value.max(0.0) / self.most * (SIZE.1 - BELOW - TOP)
    }

    fn draw(&self, out: &mut String, loads: &[usize]) {
        let (left, right, digits) = (LEFT - 6.0, SIZE.0 - 4.0, self.digits);
        let mut value = 0.0;
        while value <= self.most + self.step / 2.0 {
            let y = self.y(value);
            put(
                out,
                format_args!(
                    "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right:.1}\"/><text x=\"{left}\" y=\"{:.1}\" text-anchor=\"end\">{value:.digits$}</text>",
                    y + 4.0
                ),
            );
            value += self.step;
        }
        for load in loads {
            let (x, y) = (self.x(*load), SIZE.1 - BELOW + 16.0);
            put(
                out,
                format_args!("<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{load}</text>"),
            );
        }
        let (middle, foot) = (f64::midpoint(LEFT, SIZE.0 - RIGHT), SIZE.1 - 6.0);
        put(
            out,
            format_args!(
                "<text x=\"{middle}\" y=\"{foot}\" text-anchor=\"middle\">workflows submitted</text>"
            ),
        );
    }

    /// A line through the means, and their intervals.
    fn line(&self, out: &mut String, of: &[(usize, Estimate)], (apart, stroke): (f64, &str)) {
        if of.is_empty() {
            return;
        }
        let at =
            |(load, estimate): &(usize, Estimate)| (self.x(*load) + apart, self.y(estimate.mean));
        let points: Vec<_> = of.iter().map(at).collect();
        let path: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        put(
            out,
            format_args!(
                "<path d=\"M{}\" fill=\"none\" stroke-dasharray=\"{stroke}\"/>",
                path.join("L")
            ),
        );
        for ((x, y), (_, estimate)) in points.into_iter().zip(of) {
            let half = estimate.ci95.unwrap_or(0.0);
            let [low, high] = [estimate.mean - half, estimate.mean + half].map(|end| self.y(end));
            let (before, after) = (x - END, x + END);
            put(
                out,
                format_args!(
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\"/><path class=\"bar\" d=\"M{x:.1} {low:.1}V{high:.1}M{before:.1} {low:.1}H{after:.1}M{before:.1} {high:.1}H{after:.1}\"/>"
                ),
            );
        }
    }
}

/// 1, 2 or 5 times a power of ten, at least so much, and the digits after the point that it has.
fn round_step(least: f64) -> (f64, usize) {
    let mut power = 1.0_f64;
    let mut digits = 0;
    while least < power && digits < 9 {
        power /= 10.0;
        digits += 1;
    }
    while power * 10.0 < least {
        power *= 10.0;
    }
    let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
    let step = step.into_iter().find(|step| least <= *step).unwrap_or(least);
    (step, if step < 1.0 { digits } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_across_stand_at_round_numbers() {
        let cases =
            [(0.7, 1.0, 0), (3.0, 5.0, 0), (120.0, 200.0, 0), (0.03, 0.05, 2), (1.0, 1.0, 0)];
        for (least, expected, digits) in cases {
            let (step, found) = round_step(least);
            assert!((step - expected).abs() < 1e-12 && found == digits, "{least}: {step}, {found}");
        }
    }
}
