//! What a run tells people at its end.

use std::io::{self, Write};

use crate::cli::CommandError;
use crate::cli::answer::table;
use crate::offline::report::real;
use crate::offline::summary::{RunSummary, StepMs, StepSummary};

/// Prints it on the standard output.
pub(super) fn print(summary: &RunSummary) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    out.write_all(text(summary).as_bytes())?;
    Ok(out.flush()?)
}

/// A few lines on the whole, then a table of routes and one of times.
fn text(summary: &RunSummary) -> String {
    let (Some(first), Some(last)) = (summary.steps.first(), summary.steps.last()) else {
        return "no step was computed\n".to_owned();
    };
    let mut text = format!(
        "{}: {} satellites, {} stations, model {}, {} steps from {} to {}\n",
        summary.scenario,
        summary.satellites,
        summary.stations,
        summary.model,
        summary.steps.len(),
        first.time,
        last.time,
    );
    let rows = [
        row("links between satellites", summary, |step| Some(real(step.links)), 0),
        row("links to the ground", summary, |step| Some(real(step.ground_links)), 0),
        row("parts of the network", summary, |step| Some(real(step.components)), 0),
        row("length of the tree, km", summary, |step| step.tree_weight_km, 0),
        row("satellites down", summary, |step| Some(real(step.down)), 0),
        row("positions, ms", summary, |step| Some(step.ms.positions), 2),
        row("links, ms", summary, |step| Some(step.ms.links), 2),
        row("ground links, ms", summary, |step| Some(step.ms.ground_links), 2),
        row("graph and routes, ms", summary, |step| Some(step.ms.routing), 2),
        row("step in all, ms", summary, |step| Some(all_ms(&step.ms)), 2),
        row("workflows running", summary, |step| Some(real(step.workload?.instances)), 0),
        row("workflows refused", summary, |step| Some(real(step.workload?.refused)), 0),
        row("scheduling, ms", summary, |step| Some(step.workload?.ms), 2),
    ];
    let rows: Vec<Vec<String>> = rows.into_iter().flatten().collect();
    text += "\n";
    text += &table(&["per step", "      least", "       mean", "       most"], &rows);
    let routes: Vec<Vec<String>> =
        (0..first.routes.len()).map(|route| route_row(summary, route)).collect();
    if !routes.is_empty() {
        let head = ["route", "reached", "least ms", " mean ms", " most ms", "hops"];
        text.push('\n');
        text += &table(&head, &routes);
    }
    let figures: Vec<Vec<String>> = figure_rows(summary).collect();
    if !figures.is_empty() {
        text.push('\n');
        text += &table(&["plugin", "figure", "     value"], &figures);
    }
    text
}

fn figure_rows(summary: &RunSummary) -> impl Iterator<Item = Vec<String>> {
    summary.figures.iter().flat_map(|(plugin, figures)| {
        figures.iter().map(|(name, value)| {
            let value = value.map_or_else(|| "         -".to_owned(), |v| format!("{v:>10.3}"));
            vec![plugin.clone(), name.clone(), value]
        })
    })
}

fn all_ms(ms: &StepMs) -> f64 {
    ms.positions + ms.links + ms.ground_links + ms.routing
}

/// Least, mean and most over the steps that have a value; nothing where none has.
fn row(
    name: &str,
    summary: &RunSummary,
    value: impl Fn(&StepSummary) -> Option<f64>,
    decimals: usize,
) -> Option<Vec<String>> {
    let values: Vec<f64> = summary.steps.iter().filter_map(value).collect();
    let [least, mean, most] = spread(&values)?;
    let cell = |value: f64| format!("{value:>11.decimals$}");
    Some(vec![name.to_owned(), cell(least), cell(mean), cell(most)])
}

fn spread(values: &[f64]) -> Option<[f64; 3]> {
    if values.is_empty() {
        return None;
    }
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some([least, values.iter().sum::<f64>() / real(values.len()), most])
}

fn route_row(summary: &RunSummary, route: usize) -> Vec<String> {
    let at = summary.steps.iter().filter_map(|step| step.routes.get(route));
    let found: Vec<_> = at.filter(|route| route.latency_ms.is_some()).collect();
    let first = summary.steps.first().and_then(|step| step.routes.get(route));
    let name = first.map_or_else(String::new, |route| format!("{} : {}", route.from, route.to));
    let latencies: Vec<f64> = found.iter().filter_map(|route| route.latency_ms).collect();
    let hops = found.iter().filter_map(|route| route.hops);
    let hops = match (hops.clone().min(), hops.max()) {
        (Some(least), Some(most)) if least == most => least.to_string(),
        (Some(least), Some(most)) => format!("{least} to {most}"),
        _ => "-".to_owned(),
    };
    let cells = spread(&latencies).map(|spread| spread.map(|ms| format!("{ms:>8.2}")));
    let [least, mean, most] = cells.unwrap_or_else(|| ["       -"; 3].map(str::to_owned));
    vec![name, format!("{} of {}", found.len(), summary.steps.len()), least, mean, most, hops]
}
