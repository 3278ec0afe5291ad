//! How long a decision takes on the sky of the corrected scenario, at 4,472 nodes and at more than 20,646, on one thread.
//!
//! `cargo xtask bench placement [--json FILE]` prints a row for each. A run of the scenario asks `lookahead`, as `starbelt-sim
//! place` does; each of its decisions looks at all of the time that the task, and those after it, will run. The baseline is what the published
//! policy does for the same question, in the same run: a search from point to point for each candidate and source, once to filter and
//! once more to score.

use std::io::Write;
use std::time::Instant;

use placement::policy::lookahead::Lookahead;
use placement::policy::survey::survey;
use placement::policy::vicinity::near;
use placement::{Choice, Job, Latencies, NoChoice, Origin, Policy, World};
use sim_bridge::offline::bench::Row;
use sim_bridge::offline::bench::measure::percentile;
use sim_bridge::offline::bench::row::Label;
use sim_bridge::offline::place::fixed::demand::{Request, requests};
use sim_bridge::offline::place::fixed::run::run;
use sim_bridge::offline::place::fixed::{START, Setting, Size};
use topology::{Graph, NodeIx, PathSearch};

type Failure = Box<dyn std::error::Error>;

/// For how long workflows are submitted, minutes.
const MINUTES: u32 = 30;
/// How many workflows the rows of single decisions come from.
const WORKFLOWS: usize = 300;
/// How many are submitted at once for the row of many decisions.
const BATCH: usize = 200;
/// Each so many-th question is asked of the baseline and explained for all nodes, too.
const EVERY: usize = 8;
/// 72 planes of 259 satellites, with the stations that belong to them.
const LARGE: Size = Size { planes: 72, slots: 259 };
const BASELINE: &str = "a search per candidate and source, twice, as published";

/// What was measured, ms.
#[derive(Debug, Default)]
struct Measured {
    decided: Vec<f64>,
    explained: Vec<f64>,
    published: Vec<f64>,
}

/// Ours, with a watch.
#[derive(Debug)]
struct Timed {
    inner: Lookahead,
    compares: bool,
    measured: Measured,
}

impl Policy for Timed {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn choose(
        &mut self,
        world: &mut World<'_, '_>,
        job: &Job,
        task: usize,
    ) -> Result<Choice, NoChoice> {
        let (choice, ms) = timed(|| self.inner.choose(world, job, task));
        self.measured.decided.push(ms);
        if self.compares && self.measured.decided.len().is_multiple_of(EVERY) {
            self.compare(world, job, task);
        }
        choice
    }
}

impl Timed {
    fn compare(&mut self, world: &World<'_, '_>, job: &Job, task: usize) {
        // Searches of its own: those of the decision would help.
        let mut latencies = Latencies::new(world.latencies.forecast());
        let mut own = World { latencies: &mut latencies, ..*world };
        let (verdicts, ms) = timed(|| survey(&mut own, job, task));
        assert!(verdicts.is_ok_and(|verdicts| verdicts.len() == own.nodes.len()));
        self.measured.explained.push(ms);
        let (found, ms) = timed(|| as_published(&own, job, task));
        std::hint::black_box(found);
        self.measured.published.push(ms);
    }
}

/// The longest latency of each candidate that the published policy looks at, searched as it searches; its second pass repeats the first.
fn as_published(world: &World<'_, '_>, job: &Job, task: usize) -> Vec<f64> {
    let host = |origin| match origin {
        Origin::Node(node) => Some(node),
        Origin::Task(before) => job.tasks[before].host_at(world.now),
    };
    let inputs = job.tasks[task].inputs.iter();
    let sources: Vec<_> = inputs.filter_map(|input| host(input.origin)).collect();
    let forecast = world.latencies.forecast();
    let centre = sources.first().and_then(|first| forecast.place(*first, world.now));
    let candidates = centre.map(|centre| near(world, centre)).unwrap_or_default();
    let graph = forecast.graph(world.now);
    let pass = || {
        let longest = |node: &NodeIx| {
            sources.iter().map(|source| from_to_us(&graph, *source, *node)).fold(0.0, f64::max)
        };
        candidates.iter().map(longest).collect::<Vec<_>>()
    };
    std::hint::black_box(pass());
    pass()
}

fn from_to_us(graph: &Graph, from: NodeIx, to: NodeIx) -> f64 {
    let mut search = PathSearch::default();
    search.start(graph, from, None);
    if search.reach(graph, to) { search.delay_us(to).unwrap_or(f64::NAN) } else { f64::INFINITY }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let begin = Instant::now();
    let done = work();
    (done, begin.elapsed().as_secs_f64() * 1e3)
}

fn main() -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        let warning = "warning: this is a debug build, whose numbers say nothing";
        writeln!(std::io::stderr().lock(), "{warning}")?;
    }
    let published = Size::of_total(4472).ok_or("a published size")?;
    let mut rows = rows_of("4472", published, (5.0, Some(20.0)))?;
    rows.extend(rows_of("20646", LARGE, (30.0, None))?);
    let mut args = std::env::args().skip_while(|arg| arg != "--json");
    if let (Some(_), Some(file)) = (args.next(), args.next()) {
        std::fs::write(file, serde_json::to_string_pretty(&rows)?)?;
    }
    Ok(())
}

/// The rows of a size, with the targets of a decision (median and 99 %) in ms.
fn rows_of(
    name: &str,
    size: Size,
    (median_max, p99_max): (f64, Option<f64>),
) -> Result<Vec<Row>, Failure> {
    let setting = Setting::new(size, 1, START, MINUTES)?;
    let nodes = setting.fleet.nodes.len();
    let asked = |count, seed| requests(&setting.fleet, &setting.sky, START, (MINUTES, count), seed);
    let single = measure(&setting, &asked(WORKFLOWS, 1), true);
    let mut at_once = asked(BATCH, 2);
    at_once.iter_mut().for_each(|request| request.at_us = 0);
    let batch = measure(&setting, &at_once, false);

    let baseline = Some(percentile(&single.published, 50));
    let row = |what: &str, unit: &str, numbers, target, runs| {
        let source = format!("Walker shell and stations, {nodes} nodes");
        let label =
            Label { name: format!("{what}_{name}"), baseline_name: BASELINE, target, source };
        Row::new(label, unit, numbers, baseline, runs)
    };
    let of = |samples: &[f64]| (percentile(samples, 50), Some(percentile(samples, 99)));
    #[expect(clippy::cast_precision_loss, reason = "few decisions")]
    let mean = batch.decided.iter().sum::<f64>() / batch.decided.len() as f64;
    let mut decide =
        row("decide", "ms", of(&single.decided), Some(median_max), single.decided.len());
    decide.ok &= p99_max.is_none_or(|most| decide.p99.is_some_and(|p99| p99 <= most));
    let rows = vec![
        decide,
        row(
            "decide_at_once",
            "ms",
            (mean, Some(percentile(&batch.decided, 99))),
            Some(1.0),
            batch.decided.len(),
        ),
        row("explain_all_nodes", "ms", of(&single.explained), Some(20.0), single.explained.len()),
    ];
    rows.iter().try_for_each(print)?;
    Ok(rows)
}

fn measure(setting: &Setting, requests: &[Request], compares: bool) -> Measured {
    let mut policy = Timed { inner: Lookahead, compares, measured: Measured::default() };
    run(setting, requests, &mut policy, &|| 0).expect("ours always decides");
    policy.measured
}

fn print(row: &Row) -> std::io::Result<()> {
    let times = row.baseline.map_or(f64::NAN, |baseline| baseline / row.measured);
    writeln!(
        std::io::stdout().lock(),
        "{}: {:.3} ms, p99 {:.3} ms, target {} ms ({}), {} decisions; {}: {:.3} ms, {times:.0} times as long; {}",
        row.name,
        row.measured,
        row.p99.unwrap_or(f64::NAN),
        row.target.unwrap_or(f64::NAN),
        if row.ok { "holds" } else { "MISSED" },
        row.runs,
        row.baseline_name,
        row.baseline.unwrap_or(f64::NAN),
        row.source,
    )
}
