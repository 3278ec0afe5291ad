//! A comparison as people read it in a terminal: for each load what policies achieved, what it took, and in words where ours is best and where not.

use crate::cli::answer::table;
use crate::offline::place::fixed::compare::{
    BothGood, Comparison, MEASURES, Measure, OURS, Row, TimingRow,
};
use crate::offline::place::fixed::statistics::Estimate;

/// The measures of the first table; the others are in the second.
const ACHIEVED: [&str; 6] =
    ["goodput_per_h", "violation_s", "unplaced", "latency_ms", "makespan_s", "hand_overs"];

const KEY: &str = "\
GOOD/H       workflows per hour that met all objectives from the first to the last moment, and their deadline
VIOLATED S   seconds of runs in which an objective was violated; who places little violates little: see UNPLACED
WH/GOOD      what tasks drew from batteries beyond idling, Wh, for each good workflow
WH IF BOTH   the same of those workflows alone that the policy and lookahead made good: the policy's, lookahead's, and what that saves
TOO HOT      tasks on boards as hot as they must not be;  BELOW RESERVE: satellites below their reserve until an orbit after the end
±            half of the 95 % confidence interval of a mean;  !  surely better than lookahead;  ~  not surely different from it
";

/// All of it.
pub(super) fn text(found: &Comparison) -> String {
    let nodes: Vec<_> = found.nodes.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let (seeds, starts) = (found.seeds.len(), found.starts.len());
    let head = format!(
        "{}: {}; workflows submitted in {} min; {seeds} seeds x {starts} starts\n{KEY}",
        found.scenario,
        nodes.join(", "),
        found.minutes,
    );
    let mut loads: Vec<_> = found.rows.iter().map(|row| row.load).collect();
    loads.dedup();
    std::iter::once(head).chain(loads.into_iter().map(|load| of_load(found, load))).collect()
}

fn of_load(found: &Comparison, load: usize) -> String {
    let all = found.rows.iter().zip(&found.timing).filter(|(row, _)| row.load == load);
    let all: Vec<_> = all.collect();
    let verdicts = found.verdicts.iter().filter(|verdict| verdict.load == load);
    let (best, other): (Vec<_>, Vec<_>) = verdicts.partition(|verdict| verdict.is_best());
    let best = best.into_iter().map(|of| format!("  {}: {}\n", of.name(), of.worse()));
    let other = other.into_iter().map(|of| format!("  {}: {}\n", of.name(), of.better()));
    let said = |head: &str, lines: String| match lines.as_str() {
        "" => String::new(),
        lines => format!("{head}\n{lines}"),
    };
    let best = said(&format!("no mean is better than that of {OURS} in"), best.collect());
    let other = said(&format!("{OURS} is NOT best in"), other.collect());
    format!("\n{load} workflows\n{}\n{}\n{best}{other}", achieved(&all), taken(&all))
}

fn achieved(all: &[(&Row, &TimingRow)]) -> String {
    let shown = MEASURES.iter().filter(|measure| ACHIEVED.contains(&measure.key));
    columns(all, shown.map(|measure| column(all, measure)).collect())
}

fn taken(all: &[(&Row, &TimingRow)]) -> String {
    let (battery, others): (Vec<_>, Vec<_>) = MEASURES
        .iter()
        .filter(|measure| !ACHIEVED.contains(&measure.key))
        .partition(|measure| measure.key == "battery_wh_per_good");
    let mut shown: Vec<_> = battery.into_iter().map(|measure| column(all, measure)).collect();
    let both = |of: fn(&BothGood) -> String| {
        let cell = |(row, _): &(&Row, &TimingRow)| {
            let both = row.both_good.as_ref().filter(|both| 0 < both.workflows);
            both.map_or_else(|| "-".to_owned(), of)
        };
        all.iter().map(cell).collect::<Vec<_>>()
    };
    shown.push(("WH IF BOTH", both(|both| format!("{:.3}", both.its_wh))));
    shown.push((OURS, both(|both| format!("{:.3}", both.ours_wh))));
    shown.push(("SAVES", both(|both| both.saved.as_ref().map_or_else(|| "-".to_owned(), percent))));
    shown.extend(others.into_iter().map(|measure| column(all, measure)));
    let ms = |us: u64| format!("{}.{:03}", us / 1000, us % 1000);
    let time = |of: fn(&TimingRow) -> u64| all.iter().map(|(_, row)| ms(of(row))).collect();
    shown.push(("P50 MS", time(|row| row.timing.p50_us)));
    shown.push(("P99 MS", time(|row| row.timing.p99_us)));
    columns(all, shown)
}

fn percent(saved: &Estimate) -> String {
    let half = saved.ci95.map(|half| format!(" ± {:.0}", 100.0 * half));
    format!("{:.0}{} %", 100.0 * saved.mean, half.unwrap_or_default())
}

/// A measure of all policies, its parts aligned.
fn column(all: &[(&Row, &TimingRow)], measure: &Measure) -> (&'static str, Vec<String>) {
    let digits = measure.digits;
    let number = |number: f64| format!("{number:.digits$}");
    let parts = |(row, _): &(&Row, &TimingRow)| match row.means.get(measure.key) {
        None => ("-".to_owned(), String::new()),
        Some(mean) => (number(mean.mean), mean.ci95.map(number).unwrap_or_default()),
    };
    let parts: Vec<_> = all.iter().map(parts).collect();
    let width = parts.iter().map(|(_, half)| half.len()).max().unwrap_or(0);
    let cell = |((mean, half), (row, _)): ((String, String), &(&Row, &TimingRow))| {
        let half = if half.is_empty() { half } else { format!(" ± {half:>width$}") };
        let mark = mark(row.minus_ours.get(measure.key), measure);
        // What has no interval ends where the others do.
        let half_width = if width == 0 { 0 } else { width + 3 };
        format!("{mean}{half:half_width$}{mark}")
    };
    (measure.label, parts.into_iter().zip(all).map(cell).collect())
}

fn mark(minus_ours: Option<&Estimate>, measure: &Measure) -> char {
    let less = minus_ours.filter(|less| less.ci95.is_some());
    let (Some(less), Some(more_is_better)) = (less, measure.more_is_better) else { return ' ' };
    let is_more = 0.0 < less.mean;
    match less.is_sure() {
        false => '~',
        true if is_more == more_is_better => '!',
        true => ' ',
    }
}

/// Policies to the left, numbers to the right.
fn columns(all: &[(&Row, &TimingRow)], columns: Vec<(&'static str, Vec<String>)>) -> String {
    let aligned = |(label, cells): (&str, Vec<String>)| {
        let all = cells.iter().map(String::as_str).chain([label]);
        let width = all.map(|cell| cell.chars().count()).max().unwrap_or(0);
        let cells = cells.iter().map(|cell| format!("{cell:>width$}")).collect();
        (format!("{label:>width$}"), cells)
    };
    let (heads, cells): (Vec<String>, Vec<Vec<String>>) = columns.into_iter().map(aligned).unzip();
    let head: Vec<_> = std::iter::once("POLICY").chain(heads.iter().map(String::as_str)).collect();
    let row = |(at, (row, _)): (usize, &(&Row, &TimingRow))| {
        let numbers = cells.iter().filter_map(|column| column.get(at).cloned());
        std::iter::once(row.policy.to_owned()).chain(numbers).collect()
    };
    table(&head, &all.iter().enumerate().map(row).collect::<Vec<Vec<String>>>())
}
