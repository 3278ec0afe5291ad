//! A comparison as one page: a plot of each measure over the load, and all numbers. It needs no other file and no script.

use std::fmt::Write as _;

use super::compare::{Comparison, MEASURES, Measure, OURS};
use super::statistics::Estimate;
use crate::offline::report::real;

/// Width and height of a plot, pixels, and the room at its edges.
const SIZE: (f64, f64) = (520.0, 260.0);
const LEFT: f64 = 64.0;
const BELOW: f64 = 30.0;
const TOP: f64 = 12.0;
const RIGHT: f64 = 12.0;
/// Axes are at least so long, in their units, so that nothing is divided by 0.
const LEAST: f64 = 1e-9;
/// Lines are told apart by these colours, ours first (Okabe and Ito, 2008).
const COLORS: [&str; 8] =
    ["#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999", "#000000"];

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1100px;padding:0 1rem;color:#222;background:#fff}\
h2{margin-top:2rem}figure{display:inline-block;margin:0 8px 16px 0}figcaption{font-weight:600}\
table{border-collapse:collapse;margin:1rem 0}th,td{padding:2px 10px;text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}\
th:first-child,td:first-child{text-align:left}.key span{margin-right:14px}.key i{display:inline-block;width:12px;height:12px;margin-right:5px;vertical-align:-1px}\
svg{background:#fafafa}svg text{font-size:11px;fill:#555}.wide{overflow-x:auto}";

/// The whole page.
pub fn page(found: &Comparison) -> String {
    let mut out = String::new();
    head(&mut out, found);
    for measure in &MEASURES {
        plot(&mut out, found, measure);
    }
    out.push_str("<h2>All numbers</h2><p>Means with half of the 95 % confidence interval; below each the difference to ours, run by run, bold where the interval does not hold 0.</p>");
    for load in loads(found) {
        numbers(&mut out, found, load);
    }
    out.push_str("</body></html>\n");
    out
}

/// Writing into a text cannot fail.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a text takes everything");
}

fn head(out: &mut String, found: &Comparison) {
    put(
        out,
        format_args!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title><style>{STYLE}</style></head><body><h1>Policies of placement on {0}</h1>",
            found.scenario
        ),
    );
    let nodes: Vec<_> = found.nodes.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let (seeds, starts) = (found.seeds.len(), found.starts.len());
    put(
        out,
        format_args!(
            "<p>{}; {} minutes of submissions; {seeds} seeds, {starts} starts. Bars are 95 % confidence intervals.</p><p class=\"key\">",
            nodes.join(", "),
            found.minutes
        ),
    );
    for (at, policy) in policies(found).into_iter().enumerate() {
        put(out, format_args!("<span><i style=\"background:{}\"></i>{policy}</span>", color(at)));
    }
    out.push_str("</p>");
}

fn color(policy: usize) -> &'static str {
    COLORS[policy % COLORS.len()]
}

fn policies(found: &Comparison) -> Vec<&'static str> {
    let mut all: Vec<&'static str> = Vec::new();
    for row in &found.rows {
        if !all.contains(&row.policy) {
            all.push(row.policy);
        }
    }
    all
}

fn loads(found: &Comparison) -> Vec<usize> {
    let mut all: Vec<usize> = found.rows.iter().map(|row| row.load).collect();
    all.dedup();
    all
}

/// The axes of a plot: loads along, logarithmic, and a measure upright from 0.
#[derive(Debug)]
struct Axes {
    /// The logarithms of the least load and of the greatest over the least.
    loads: (f64, f64),
    most: f64,
}

impl Axes {
    fn new(found: &Comparison, measure: &Measure) -> Self {
        let end = |estimate: &Estimate| estimate.mean + estimate.ci95.unwrap_or(0.0);
        let estimates = found.rows.iter().filter_map(|row| row.means.get(measure.key));
        let most = estimates.map(end).fold(0.0_f64, f64::max).max(LEAST);
        let all: Vec<f64> = loads(found).into_iter().map(|load| real(load.max(1)).ln()).collect();
        let low = all.iter().copied().fold(f64::INFINITY, f64::min);
        let span = all.iter().copied().fold(low, f64::max) - low;
        Self { loads: (low, span.max(LEAST)), most }
    }

    fn x(&self, load: usize) -> f64 {
        let (low, span) = self.loads;
        LEFT + (real(load.max(1)).ln() - low) / span * (SIZE.0 - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        SIZE.1 - BELOW - value.max(0.0) / self.most * (SIZE.1 - BELOW - TOP)
    }

    fn draw(&self, out: &mut String, found: &Comparison, digits: usize) {
        for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let value = part * self.most;
            let (y, left, right) = (self.y(value), LEFT - 6.0, SIZE.0 - RIGHT);
            put(
                out,
                format_args!(
                    "<path d=\"M{LEFT} {y:.1}H{right:.1}\" stroke=\"#ddd\"/><text x=\"{left}\" y=\"{:.1}\" text-anchor=\"end\">{value:.digits$}</text>",
                    y + 4.0
                ),
            );
        }
        for load in loads(found) {
            let (x, y) = (self.x(load), SIZE.1 - 10.0);
            put(
                out,
                format_args!("<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{load}</text>"),
            );
        }
    }

    /// A line through the means, and upright ones as long as their intervals.
    fn line(&self, out: &mut String, of: &[(usize, &Estimate)]) {
        let means = of
            .iter()
            .map(|(load, estimate)| format!("{:.1} {:.1}", self.x(*load), self.y(estimate.mean)));
        let means: Vec<_> = means.collect();
        put(out, format_args!("<path d=\"M{}\"/>", means.join("L")));
        for (load, estimate) in of {
            let half = estimate.ci95.unwrap_or(0.0);
            let ends = [estimate.mean - half, estimate.mean + half].map(|end| self.y(end));
            let x = self.x(*load);
            put(out, format_args!("<path d=\"M{x:.1} {:.1}V{:.1}\"/>", ends[0], ends[1]));
        }
    }
}

/// A measure over the load.
fn plot(out: &mut String, found: &Comparison, measure: &Measure) {
    let (width, height) = SIZE;
    let axes = Axes::new(found, measure);
    let title = measure.key.replace('_', " ");
    put(
        out,
        format_args!(
            "<figure><figcaption>{title}</figcaption><svg width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{title}\">"
        ),
    );
    axes.draw(out, found, measure.digits.max(1));
    for (at, policy) in policies(found).into_iter().enumerate() {
        let of = found.rows.iter().filter(|row| row.policy == policy);
        let of: Vec<_> =
            of.filter_map(|row| Some((row.load, row.means.get(measure.key)?))).collect();
        let (color, thick) = (color(at), if policy == OURS { 3.0 } else { 1.5 });
        put(out, format_args!("<g stroke=\"{color}\" fill=\"none\" stroke-width=\"{thick}\">"));
        if !of.is_empty() {
            axes.line(out, &of);
        }
        out.push_str("</g>");
    }
    out.push_str("</svg></figure>");
}

fn numbers(out: &mut String, found: &Comparison, load: usize) {
    put(out, format_args!("<h3>{load} workflows</h3><div class=\"wide\"><table><tr><th>policy"));
    for measure in &MEASURES {
        put(out, format_args!("<th>{}", measure.key.replace('_', " ")));
    }
    out.push_str("</tr>");
    for row in found.rows.iter().filter(|row| row.load == load) {
        put(out, format_args!("<tr><td>{}", row.policy));
        for measure in &MEASURES {
            put(out, format_args!("<td>{}", told(row.means.get(measure.key), measure, false)));
            if let Some(less) = row.minus_ours.get(measure.key) {
                let text = told(Some(less), measure, true);
                let (open, close) = if less.is_sure() { ("<b>", "</b>") } else { ("", "") };
                put(out, format_args!("<br>{open}{text}{close}"));
            }
        }
        out.push_str("</tr>");
    }
    out.push_str("</table></div>");
}

/// A number with its interval, as people read it.
pub fn told(estimate: Option<&Estimate>, measure: &Measure, is_difference: bool) -> String {
    let Some(estimate) = estimate else { return "-".to_owned() };
    let digits = measure.digits;
    let mean = estimate.mean;
    let mean = if is_difference { format!("{mean:+.digits$}") } else { format!("{mean:.digits$}") };
    match estimate.ci95 {
        Some(half) => format!("{mean} ± {half:.digits$}"),
        None => mean,
    }
}
