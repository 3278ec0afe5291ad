//! Both numbers as text, with what keeps them from being compared.

use super::args::Args;
use super::stardust::{Row, threads};

/// What a reader must know before comparing.
const CAVEATS: &str = "\
What is not comparable
- Machine: the paper has 32 cores (Skylake, virtual) and 48 GiB, .NET 8; ours is this machine.
- Rules: both take the protocols by name. Ours are exact, deterministic and check lines of sight; the paper's C# has a wrong
  line-of-sight test, loops that depend on the order of threads, and no elevation mask. Links therefore differ.
- Model: the paper puts every satellite at 6,790 km with its mean anomaly in the wrong unit; --model stardust-compat is that
  model, the default sgp4 does more work.
- A step is positions, links, ground links, graph and, in rows with workflows, scheduling.
- Scheduling: ours looks from near to far, so that a node with room ends the search; the paper draws nodes until one is near
  enough, and routes to each. Ours also watches the workflows of all steps before and moves what has become too far; the
  paper's may miss work that it does not wait for.
- From beginning to end is the whole process, with reading and the summary. Memory is that of the same process. The paper's
  166 to 185 MB cannot be right for its method and is left out; its successor in Go holds 47 GB at 20,646 satellites.
- The paper's row for 10 workflows under pst_smart_loop repeats its row for 100 and is left out.
";

/// Tables and caveats.
pub(super) fn report(args: &Args, rows: &[Row]) -> String {
    let source = if args.is_walker() {
        "Walker shells; fewer satellites are the first of them, more are copies".to_owned()
    } else {
        format!("{}; fewer are the first of them, more are copies", args.source.join(" "))
    };
    let threads = threads().map_or_else(|| "?".to_owned(), |threads| threads.to_string());
    let program = args.sim.as_ref().map_or_else(
        || "release build".to_owned(),
        |file| format!("{}, of whichever profile", file.display()),
    );
    let head = format!(
        "Stardust, repeated: model {}, {} steps of 60 s, 85 stations, {threads} threads\nSatellites: {source}\n\
         Program: {program}\n",
        args.model, args.steps
    );
    format!("{head}\n{}\n{}\n{CAVEATS}", steps(rows), whole(args, rows))
}

/// Means of a step.
fn steps(rows: &[Row]) -> String {
    let head = [
        "satellites",
        "links",
        "workflows",
        "step ms",
        "paper",
        "times",
        "scheduling ms",
        "paper",
        "times",
        "placed",
    ];
    let cells = rows.iter().filter(|row| !row.case.is_end_to_end()).map(|Row { case, ours }| {
        let (step, scheduling) = case.paper_step_ms();
        let placed = match ours.workflows {
            (0, 0) => "-".to_owned(),
            (placed, refused) => format!("{placed} of {}", placed + refused),
        };
        vec![
            ours.satellites.to_string(),
            case.protocol.to_owned(),
            case.workflows.to_string(),
            shown(Some(ours.step_ms)),
            shown(step),
            times(step, Some(ours.step_ms)),
            shown(ours.scheduling_ms),
            shown(scheduling),
            times(scheduling, ours.scheduling_ms),
            placed,
        ]
    });
    aligned(&head, &cells.collect::<Vec<_>>())
}

/// Whole runs; the paper's numbers are for 100 steps.
fn whole(args: &Args, rows: &[Row]) -> String {
    let ours = format!("{} steps s", args.steps);
    let head = ["satellites", "links", ours.as_str(), "paper, 100", "times", "peak MB"];
    let cells = rows.iter().filter(|row| row.case.is_end_to_end()).map(|Row { case, ours }| {
        // Other numbers of steps cannot be set against those of the paper.
        let paper = case.paper_end_to_end_s();
        let comparable = paper.filter(|_| args.steps == 100);
        let megabytes = ours.peak_bytes.map(|bytes| (bytes / 1_000_000).to_string());
        vec![
            ours.satellites.to_string(),
            case.protocol.to_owned(),
            format!("{:.2}", ours.wall_s),
            shown(paper),
            times(comparable, Some(ours.wall_s)),
            megabytes.unwrap_or_else(|| "?".to_owned()),
        ]
    });
    aligned(&head, &cells.collect::<Vec<_>>())
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

/// How many times more the paper's is.
fn times(paper: Option<f64>, ours: Option<f64>) -> String {
    match (paper, ours.filter(|ours| 0.0 < *ours)) {
        (Some(paper), Some(ours)) if paper < 10.0 * ours => format!("{:.1}x", paper / ours),
        (Some(paper), Some(ours)) => format!("{:.0}x", paper / ours),
        _ => "-".to_owned(),
    }
}

/// Columns as wide as their longest cell, numbers to the right.
pub(super) fn aligned(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(String::len);
        cells.chain(head.get(column).map(|title| title.len())).max().unwrap_or(0)
    };
    let head: Vec<String> = head.iter().map(|title| (*title).to_owned()).collect();
    let mut text = String::new();
    for row in std::iter::once(&head).chain(rows) {
        let cells = row.iter().enumerate().map(|(column, cell)| match head[column].as_str() {
            "links" | "policy" => format!("{cell:<0$}", width(column)),
            _ => format!("{cell:>0$}", width(column)),
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_unknown_is_a_dash() {
        let rows = [vec!["250".to_owned(), "a".to_owned(), shown(None)]];
        let text = aligned(&["satellites", "links", "ms"], &rows);
        assert_eq!(text, "satellites  links  ms\n       250  a       -\n");
        assert_eq!([times(Some(30.0), Some(2.0)), times(Some(3.0), Some(2.0))], ["15x", "1.5x"]);
        assert_eq!([times(None, Some(2.0)), times(Some(3.0), Some(0.0))], ["-", "-"]);
    }
}
