//! The tables of a run and their columns: the one place that says what stands where and in which unit.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use types::Epoch;

use super::Output;
use super::facts::{LinkKind, StepFacts};
use crate::offline::sink::{RunHead, SinkError};
use crate::offline::summary::{RunSummary, WorkloadSummary};

/// What stands between the nodes of a path in a table.
pub const PATH_SEPARATOR: &str = " > ";

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Instants: RFC 3339 in CSV, microseconds UTC in Parquet.
    Time,
    /// Text.
    Text,
    /// Whole numbers, not negative.
    Whole,
    /// Numbers.
    Real,
}

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, the unit at its end.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
    /// What it means.
    pub meaning: &'static str,
}

/// A table of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// The name of its file, without extension.
    pub name: &'static str,
    /// Its columns. Any field beyond the first two may be empty: unknown is not zero.
    pub columns: &'static [Column],
}

const fn column(name: &'static str, kind: ColumnKind, meaning: &'static str) -> Column {
    Column { name, kind, meaning }
}

const STEP: Column = column("step", ColumnKind::Whole, "counts steps from 0, the start itself");
const TIME: Column = column("time", ColumnKind::Time, "the instant, UTC");

/// One row per step.
pub const STEPS: Table = Table {
    name: "steps",
    columns: &[
        STEP,
        TIME,
        column("positions_hash", ColumnKind::Text, "hash of all positions, bit by bit"),
        column("down", ColumnKind::Whole, "satellites without a position"),
        column("links", ColumnKind::Whole, "links between satellites"),
        column("ground_links", ColumnKind::Whole, "links between stations and satellites"),
        column("tree_weight_km", ColumnKind::Real, "length of the spanning forest"),
        column("tree_edges", ColumnKind::Whole, "edges of the spanning forest"),
        column("components", ColumnKind::Whole, "parts of the network that hang together"),
        column("positions_ms", ColumnKind::Real, "wall time of the positions"),
        column("links_ms", ColumnKind::Real, "wall time of the links between satellites"),
        column("ground_links_ms", ColumnKind::Real, "wall time of the links to stations"),
        column("routing_ms", ColumnKind::Real, "wall time of graph and routes"),
    ],
};

/// One row per step and route that was asked for.
pub const ROUTES: Table = Table {
    name: "routes",
    columns: &[
        STEP,
        TIME,
        column("from", ColumnKind::Text, "where the route starts"),
        column("to", ColumnKind::Text, "where it ends"),
        column("latency_ms", ColumnKind::Real, "one-way latency; empty without a route"),
        column("hops", ColumnKind::Whole, "links passed; empty without a route"),
        column("path", ColumnKind::Text, "nodes passed, joined by ' > '; empty without a route"),
    ],
};

/// One row per link that opened or closed since the step before.
pub const LINKS: Table = Table {
    name: "links",
    columns: &[
        STEP,
        TIME,
        column("event", ColumnKind::Text, "opened or closed"),
        column("kind", ColumnKind::Text, "isl or ground"),
        column("a", ColumnKind::Text, "a satellite, or the station of a ground link"),
        column("b", ColumnKind::Text, "the satellite at the other end"),
        column("length_km", ColumnKind::Real, "length; empty for a link that closed"),
    ],
};

/// One row per step and station.
pub const COVERAGE: Table = Table {
    name: "coverage",
    columns: &[
        STEP,
        TIME,
        column("station", ColumnKind::Text, "the station"),
        column("in_sight", ColumnKind::Whole, "satellites above its mask, or above the horizon"),
        column("linked", ColumnKind::Whole, "satellites with which it holds a link"),
        column(
            "best_elevation_deg",
            ColumnKind::Real,
            "highest one's; empty when none is in sight",
        ),
    ],
};

/// One row per step since the first workflow was deployed; without workflows there is no such table.
pub const WORKLOAD: Table = Table {
    name: "workload",
    columns: &[
        STEP,
        TIME,
        column("deployed", ColumnKind::Whole, "instances of workflows that were placed"),
        column("refused", ColumnKind::Whole, "instances for which there was no place"),
        column("moved", ColumnKind::Whole, "tasks that were moved"),
        column("broken", ColumnKind::Whole, "instances with a task too far away, or nowhere"),
        column("ended", ColumnKind::Whole, "instances whose time was over"),
        column("instances", ColumnKind::Whole, "instances that run"),
        column("tasks", ColumnKind::Whole, "tasks that run"),
        column("workload_ms", ColumnKind::Real, "wall time of all this"),
    ],
};

/// One row per figure of a plugin, at the end of the run; without plugins there is no such table.
pub const FIGURES: Table = Table {
    name: "figures",
    columns: &[
        column("plugin", ColumnKind::Text, "who found it"),
        column("figure", ColumnKind::Text, "what it is, with its unit"),
        column("value", ColumnKind::Real, "its value; empty where there is none"),
    ],
};

/// A field of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// An instant.
    Time(Epoch),
    /// Text.
    Text(&'a str),
    /// A whole number.
    Whole(u64),
    /// A number.
    Real(f64),
    /// Unknown, or not there.
    Missing,
}

impl Cell<'_> {
    fn count(count: usize) -> Self {
        // A usize has at most 64 bits.
        u64::try_from(count).map_or(Self::Missing, Self::Whole)
    }

    fn real(value: Option<f64>) -> Self {
        value.filter(|value| value.is_finite()).map_or(Self::Missing, Self::Real)
    }
}

/// Writes a table row by row.
pub(super) trait TableWriter: Debug + Send {
    /// Appends a row, one cell per column.
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), SinkError>;
    /// Completes the file.
    fn finish(self: Box<Self>) -> Result<(), SinkError>;
}

/// Begins a table in a folder, in some format.
pub(super) type Open = fn(&Path, &Table, &RunHead) -> Result<Box<dyn TableWriter>, SinkError>;

/// All tables of a run in one format.
#[derive(Debug)]
pub(super) struct Tables {
    folder: PathBuf,
    open: Open,
    with_links: bool,
    run: Option<Running>,
}

#[derive(Debug)]
struct Running {
    head: RunHead,
    steps: Box<dyn TableWriter>,
    routes: Box<dyn TableWriter>,
    links: Option<Box<dyn TableWriter>>,
    coverage: Box<dyn TableWriter>,
    /// From the first step with a workload on.
    workload: Option<Box<dyn TableWriter>>,
}

impl Tables {
    pub(super) fn new(folder: &Path, open: Open, with_links: bool) -> Self {
        Self { folder: folder.to_owned(), open, with_links, run: None }
    }
}

impl Output for Tables {
    fn begin(&mut self, run: &RunHead) -> Result<(), SinkError> {
        let open = |table| (self.open)(&self.folder, table, run);
        self.run = Some(Running {
            head: run.clone(),
            steps: open(&STEPS)?,
            routes: open(&ROUTES)?,
            links: if self.with_links { Some(open(&LINKS)?) } else { None },
            coverage: open(&COVERAGE)?,
            workload: None,
        });
        Ok(())
    }

    fn step(&mut self, facts: &StepFacts<'_>) -> Result<(), SinkError> {
        let Some(run) = &mut self.run else { return Ok(()) };
        let key = [Cell::Whole(facts.moment.step), Cell::Time(facts.summary.time)];
        run.put_step(key, facts)?;
        run.put_routes(key, facts)?;
        run.put_links(key, facts)?;
        run.put_coverage(key, facts)?;
        let Some(workload) = &facts.summary.workload else { return Ok(()) };
        let table = match &mut run.workload {
            Some(table) => table,
            none => none.insert((self.open)(&self.folder, &WORKLOAD, &run.head)?),
        };
        put_workload(&mut **table, key, workload)
    }

    fn end(&mut self, summary: &RunSummary) -> Result<(), SinkError> {
        let Some(run) = self.run.take() else { return Ok(()) };
        let figures = if summary.figures.is_empty() {
            None
        } else {
            let mut table = (self.open)(&self.folder, &FIGURES, &run.head)?;
            put_figures(&mut *table, summary)?;
            Some(table)
        };
        let always = [run.steps, run.routes, run.coverage];
        let tables = always.into_iter().chain(run.links).chain(run.workload).chain(figures);
        tables.into_iter().try_for_each(TableWriter::finish)
    }
}

fn put_workload(
    table: &mut dyn TableWriter,
    [step, time]: [Cell<'_>; 2],
    workload: &WorkloadSummary,
) -> Result<(), SinkError> {
    let WorkloadSummary { deployed, refused, moved, broken, ended, instances, tasks, ms } =
        *workload;
    let counts = [deployed, refused, moved, broken, ended, instances, tasks].map(Cell::count);
    table.row(&[&[step, time], &counts[..], &[Cell::real(Some(ms))]].concat())
}

fn put_figures(table: &mut dyn TableWriter, summary: &RunSummary) -> Result<(), SinkError> {
    for (plugin, figures) in &summary.figures {
        for (figure, value) in figures {
            table.row(&[Cell::Text(plugin), Cell::Text(figure), Cell::real(*value)])?;
        }
    }
    Ok(())
}

impl Running {
    fn put_step(
        &mut self,
        [step, time]: [Cell<'_>; 2],
        facts: &StepFacts<'_>,
    ) -> Result<(), SinkError> {
        let summary = facts.summary;
        let ms =
            [summary.ms.positions, summary.ms.links, summary.ms.ground_links, summary.ms.routing]
                .map(|ms| Cell::real(Some(ms)));
        self.steps.row(&[
            step,
            time,
            Cell::Text(&summary.positions_hash),
            Cell::count(summary.down),
            Cell::count(summary.links),
            Cell::count(summary.ground_links),
            Cell::real(summary.tree_weight_km),
            summary.tree_edges.map_or(Cell::Missing, Cell::count),
            Cell::count(summary.components),
            ms[0],
            ms[1],
            ms[2],
            ms[3],
        ])
    }

    fn put_routes(
        &mut self,
        [step, time]: [Cell<'_>; 2],
        facts: &StepFacts<'_>,
    ) -> Result<(), SinkError> {
        for route in &facts.summary.routes {
            let path = route.path.join(PATH_SEPARATOR);
            self.routes.row(&[
                step,
                time,
                Cell::Text(&route.from),
                Cell::Text(&route.to),
                Cell::real(route.latency_ms),
                route.hops.map_or(Cell::Missing, Cell::count),
                if path.is_empty() { Cell::Missing } else { Cell::Text(&path) },
            ])?;
        }
        Ok(())
    }

    fn put_links(
        &mut self,
        [step, time]: [Cell<'_>; 2],
        facts: &StepFacts<'_>,
    ) -> Result<(), SinkError> {
        let Some(links) = &mut self.links else { return Ok(()) };
        let satellite = |index: u32| {
            self.head.satellites.get(index as usize).map_or(Cell::Missing, |name| Cell::Text(name))
        };
        let station = |index: u32| {
            self.head.stations.get(index as usize).map_or(Cell::Missing, |s| Cell::Text(&s.name))
        };
        for change in facts.changes {
            let (kind, a) = match change.kind {
                LinkKind::Isl => ("isl", satellite(change.a)),
                LinkKind::Ground => ("ground", station(change.a)),
            };
            let event = if change.opened { "opened" } else { "closed" };
            links.row(&[
                step,
                time,
                Cell::Text(event),
                Cell::Text(kind),
                a,
                satellite(change.b),
                Cell::real(change.length_km),
            ])?;
        }
        Ok(())
    }

    fn put_coverage(
        &mut self,
        [step, time]: [Cell<'_>; 2],
        facts: &StepFacts<'_>,
    ) -> Result<(), SinkError> {
        for (station, cover) in self.head.stations.iter().zip(facts.cover) {
            self.coverage.row(&[
                step,
                time,
                Cell::Text(&station.name),
                Cell::Whole(u64::from(cover.in_sight)),
                Cell::Whole(u64::from(cover.linked)),
                Cell::real(cover.best_elevation_deg),
            ])?;
        }
        Ok(())
    }
}
