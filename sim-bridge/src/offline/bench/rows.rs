//! Each row: what it measures and what it is compared with.

use std::fs;
use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use orbit::elements::{ElementError, Elements, parse_elements};
use orbit::link::ProtocolKind;
use rayon::prelude::*;
use topology::{Graph, NodeIx, PathSearch, RouteNeed, Router};

use super::brute::{self, BruteGround, BruteLinks};
use super::engine::{STEP_S, Start};
use super::measure::{RUNS, Samples, interleaved, percentile};
use super::memory;
use super::parts::{self, Contest};
use super::plan::{BenchPlan, SIZE, SIZE_SMALL, target};
use super::row::{Label, Row};
use super::sky::BenchSky;
use super::world::{Rules, World};
use crate::offline::simulation::SimulationError;
use crate::offline::watch::NoWatch;
use crate::out_file::WriteError;

/// The horizon of the contact plan, seconds.
const HORIZON_S: f64 = 3.0 * 3_600.0;
/// Between two looks of the brute-force plan, seconds: coarse, in its favour.
const LOOK_S: f64 = 30.0;

/// Why a bench cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// Element sets that cannot be read again.
    #[error("the element sets that were made for the bench: {0}")]
    Elements(#[from] ElementError),
    /// Element sets that cannot be copied or written.
    #[error("the element sets cannot be duplicated: {0}")]
    Sets(String),
    /// The engine.
    #[error("the engine: {0}")]
    Engine(#[from] SimulationError),
    /// The contact plan.
    #[error("the contact plan: {0}")]
    Plan(String),
    /// A file that cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A file, or the process of the engine.
    #[error("{what}: {source}")]
    Io {
        /// What failed.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Measures the rows of a plan; `tell` hears the name of each before it is measured.
///
/// # Errors
/// [`BenchError`] ends the bench.
pub fn measure_rows(plan: &BenchPlan, tell: &mut dyn FnMut(&str)) -> Result<Vec<Row>, BenchError> {
    let mut bench = Bench { plan, tell, rows: Vec::new() };
    for size in plan.sizes() {
        bench.step(size)?;
    }
    let size = plan.size(SIZE);
    bench.load_and_memory(size)?;
    bench.run(size)?;
    bench.schedule(size, 1)?;
    bench.schedule(plan.size(SIZE_SMALL), 100)?;
    bench.paths(size)?;
    bench.link_plan(plan.size(SIZE_SMALL))?;
    bench.replay(size)?;
    Ok(bench.rows)
}

struct Bench<'a> {
    plan: &'a BenchPlan,
    tell: &'a mut dyn FnMut(&str),
    rows: Vec<Row>,
}

impl Bench<'_> {
    /// Whether a row is wanted; says so.
    fn begins(&mut self, name: &str) -> bool {
        let wanted = self.plan.wants(name);
        if wanted {
            (self.tell)(name);
        }
        wanted
    }

    fn sky(&self, size: usize) -> Result<BenchSky, BenchError> {
        let plan = self.plan;
        BenchSky::new(&plan.given, &plan.stations, &plan.given_source, size)
    }

    fn world(&self, sky: &BenchSky) -> World {
        let propagator = parts::propagator(Arc::clone(&sky.elements));
        let rules =
            Rules { propagator, links: parts::links(self.plan.links), ground: parts::ground() };
        World::new(Arc::clone(&sky.elements), &sky.stations, rules)
    }

    fn push_ms(
        &mut self,
        name: String,
        baseline_name: &'static str,
        sky: &BenchSky,
        samples: &Samples,
    ) {
        self.rows.push(Row::of_ms(label(name, baseline_name, sky), samples));
    }

    /// Positions, links between satellites and links to stations of one step, one minute after the other.
    fn step(&mut self, size: usize) -> Result<(), BenchError> {
        let name = format!("step_{size}_sats");
        if !self.begins(&name) {
            return Ok(());
        }
        let sky = self.sky(size)?;
        let mut engine = Walk::new(self.world(&sky), &sky);
        let (samples, against) = if size <= brute::SATELLITES_MAX {
            let mut baseline = Walk::new(brute_world(&sky), &sky);
            let samples = interleaved(RUNS, &mut || engine.step(), Some(&mut || baseline.step()));
            (samples, "all pairs in range, full Kruskal, one thread")
        } else {
            let mut floor = || drop(done(positions_one_by_one(&sky)));
            let samples = interleaved(RUNS, &mut || engine.step(), Some(&mut floor));
            (samples, "a floor: the positions alone, one thread; brute force would take too long")
        };
        self.push_ms(name, against, &sky, &samples);
        Ok(())
    }

    /// Reading the element sets from a file, and the most memory of a process that reads and steps.
    fn load_and_memory(&mut self, size: usize) -> Result<(), BenchError> {
        let (load, memory) = (format!("load_{size}"), format!("peak_memory_{size}"));
        if !self.plan.wants(&load) && !self.plan.wants(&memory) {
            return Ok(());
        }
        let sky = self.sky(size)?;
        let file = SetsFile::write(&sky)?;
        if self.begins(&load) {
            let mut floor = || drop(done(file.touch()));
            let samples = interleaved(RUNS, &mut || drop(done(file.read())), Some(&mut floor));
            let against = "a floor: the file read and cut into lines, nothing understood";
            self.push_ms(load, against, &sky, &samples);
        }
        if self.begins(&memory) {
            let bytes = (0..RUNS).map(|_| memory::run_apart(&file.0, self.plan.links.name()));
            let bytes = bytes.collect::<Result<Vec<u64>, _>>();
            let bytes = bytes.map_err(|e| failure("the memory of the engine", e))?;
            let megabytes: Vec<f64> = bytes.into_iter().map(megabytes).collect();
            let numbers = (percentile(&megabytes, 50), Some(percentile(&megabytes, 99)));
            self.rows.push(Row::new(label(memory, "", &sky), "MB", numbers, None, RUNS));
        }
        Ok(())
    }

    /// A whole run of the engine: reading, then steps with network, hash and a route each.
    fn run(&mut self, size: usize) -> Result<(), BenchError> {
        let steps = self.plan.steps;
        let name = format!("run_{steps}_steps_{size}");
        if !self.begins(&name) {
            return Ok(());
        }
        let sky = self.sky(size)?;
        let file = SetsFile::write(&sky)?;
        let links = self.plan.links;
        let run = || -> Result<(), BenchError> {
            let elements: Arc<[Elements]> = file.read()?.into();
            let start = Start { elements: &elements, ..start(&sky, links) };
            let mut simulation = start.simulation()?;
            for _ in 0..steps {
                black_box(simulation.step(&mut NoWatch)?);
            }
            Ok(())
        };
        let mut failed = None;
        let mut brute = Walk::new(brute_world(&sky), &sky);
        let mut brute_step = || brute.step();
        let brute_step: Option<&mut dyn FnMut()> =
            if size <= brute::SATELLITES_MAX { Some(&mut brute_step) } else { None };
        let mut samples = interleaved(RUNS, &mut || failed = run().err(), brute_step);
        if let Some(error) = failed {
            return Err(error);
        }
        samples.baseline.iter_mut().for_each(|ms| *ms *= f64::from(steps));
        self.push_ms(name, "a brute-force step, times the number of steps", &sky, &samples);
        Ok(())
    }

    fn schedule(&mut self, size: usize, workflows: u32) -> Result<(), BenchError> {
        let plural = if workflows == 1 { "" } else { "s" };
        let name = format!("schedule_{workflows}_workflow{plural}_{size}");
        let against = "for each task all shortest paths, the list sorted after each node";
        self.contest(name, against, size, |start| parts::schedule(start, workflows))
    }

    fn replay(&mut self, size: usize) -> Result<(), BenchError> {
        let name = format!("replay_step_{size}");
        self.contest(name, "the engine computing the step", size, parts::replay)
    }

    /// A row of two jobs.
    fn contest(
        &mut self,
        name: String,
        against: &'static str,
        size: usize,
        contest: impl Fn(&Start<'_>) -> Result<Contest, BenchError>,
    ) -> Result<(), BenchError> {
        if !self.begins(&name) {
            return Ok(());
        }
        let sky = self.sky(size)?;
        let contest = contest(&start(&sky, self.plan.links))?;
        let samples = compared(contest)?;
        self.push_ms(name, against, &sky, &samples);
        Ok(())
    }

    /// Shortest paths from one station to another, and from all stations to everywhere.
    fn paths(&mut self, size: usize) -> Result<(), BenchError> {
        let stations = self.plan.stations.len();
        let one = format!("shortest_path_{size}");
        let all = format!("shortest_paths_{stations}_sources_{size}");
        if stations == 0 || !self.plan.wants(&one) && !self.plan.wants(&all) {
            return Ok(());
        }
        let sky = self.sky(size)?;
        let mut world = self.world(&sky);
        world.step(sky.start);
        let graph = world.graph();
        if self.begins(&one) {
            let mut router = parts::router();
            let (mut pair, mut brute_pair) = (0, 0);
            let mut engine = || {
                black_box(shortest(router.as_mut(), &graph, &sky, pair));
                pair += 1;
            };
            let mut baseline = || {
                black_box(brute::shortest_delays_us(&graph, ends(&sky, brute_pair).0));
                brute_pair += 1;
            };
            let samples = interleaved(RUNS, &mut engine, Some(&mut baseline));
            self.push_ms(one, "Dijkstra with a list sorted after each node", &sky, &samples);
        }
        if self.begins(&all) {
            let sources: Vec<NodeIx> = (0..stations).map(|pair| ends(&sky, pair).0).collect();
            // To everywhere, as the baseline does.
            let reached = |search: &mut PathSearch, source: &NodeIx| {
                search.start(&graph, *source, None);
                search.finish(&graph);
                sources.iter().filter_map(|to| search.delay_us(*to)).sum::<f64>()
            };
            let search = PathSearch::default;
            let all_us = || sources.par_iter().map_init(search, reached).collect::<Vec<_>>();
            let mut engine = || drop(done(all_us()));
            let brute = |source: &NodeIx| brute::shortest_delays_us(&graph, *source);
            let mut baseline = || sources.iter().for_each(|source| drop(done(brute(source))));
            let samples = interleaved(RUNS, &mut engine, Some(&mut baseline));
            self.push_ms(
                all,
                "Dijkstra with a list sorted after each node, one thread",
                &sky,
                &samples,
            );
        }
        Ok(())
    }

    /// The contact plan of all satellites and stations over three hours.
    fn link_plan(&mut self, size: usize) -> Result<(), BenchError> {
        let name = format!("link_plan_{size}x{}_3h", self.plan.stations.len());
        if !self.begins(&name) {
            return Ok(());
        }
        let sky = self.sky(size)?;
        let mut world = brute_world(&sky);
        let start = sky.start;
        let looks = move || Ok(brute::count_windows(&mut world, start, HORIZON_S, LOOK_S));
        let engine = parts::link_plan(&sky, HORIZON_S);
        let samples = compared(Contest { engine, baseline: Box::new(looks) })?;
        let against =
            "a look at each pair of station and satellite every 30 s, windows within 30 s";
        self.push_ms(name, against, &sky, &samples);
        Ok(())
    }
}

/// Lets two jobs take turns.
fn compared(contest: Contest) -> Result<Samples, BenchError> {
    let Contest { mut engine, mut baseline } = contest;
    let (mut failed, mut baseline_failed) = (None, None);
    let mut call = || failed = done(engine()).err().or_else(|| failed.take());
    let mut call_baseline =
        || baseline_failed = done(baseline()).err().or_else(|| baseline_failed.take());
    let samples = interleaved(RUNS, &mut call, Some(&mut call_baseline));
    failed.or(baseline_failed).map_or(Ok(samples), Err)
}

/// Where all satellites are, by the model alone.
fn positions_one_by_one(sky: &BenchSky) -> Vec<[f64; 3]> {
    let position = |set: &Elements| set.position_teme_km(sky.start).unwrap_or([f64::NAN; 3]);
    sky.elements.iter().map(position).collect()
}

/// What the engine starts from.
fn start(sky: &BenchSky, links: ProtocolKind) -> Start<'_> {
    Start { elements: &sky.elements, stations: &sky.stations, at: sky.start, links }
}

/// Takes a result, so that the work for it is not left out.
fn done<T>(result: T) -> T {
    black_box(result)
}

fn label(name: String, baseline_name: &'static str, sky: &BenchSky) -> Label {
    Label { target: target(&name), name, baseline_name, source: sky.source.clone() }
}

fn failure(what: impl Into<String>, source: io::Error) -> BenchError {
    BenchError::Io { what: what.into(), source }
}

#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^53 bytes")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn brute_world(sky: &BenchSky) -> World {
    let propagator = parts::propagator(Arc::clone(&sky.elements));
    let rules = Rules { propagator, links: Box::new(BruteLinks), ground: Box::new(BruteGround) };
    World::new(Arc::clone(&sky.elements), &sky.stations, rules)
}

/// A pair of stations, another one for each number, as nodes.
fn ends(sky: &BenchSky, pair: usize) -> (NodeIx, NodeIx) {
    let stations = sky.stations.len().max(1);
    let node = |station: usize| {
        NodeIx(u32::try_from(sky.elements.len() + station % stations).unwrap_or(u32::MAX))
    };
    (node(pair), node(pair + stations / 2))
}

/// The latency of the route between a pair of stations, by a router that knows nothing of the graph yet, microseconds.
fn shortest(router: &mut dyn Router, graph: &Graph, sky: &BenchSky, pair: usize) -> Option<f64> {
    let (from, to) = ends(sky, pair);
    router.begin(graph);
    router.route(graph, from, to, &RouteNeed::default()).map(|route| route.latency_us)
}

/// A world that goes on by a minute with each step.
struct Walk {
    world: World,
    start: types::Epoch,
    steps: u32,
}

impl Walk {
    fn new(world: World, sky: &BenchSky) -> Self {
        Self { world, start: sky.start, steps: 0 }
    }

    fn step(&mut self) {
        self.world.step(self.start.plus_s(STEP_S * f64::from(self.steps)));
        self.steps += 1;
    }
}

/// The element sets of the bench as a file, removed at the end.
struct SetsFile(PathBuf);

impl SetsFile {
    fn write(sky: &BenchSky) -> Result<Self, BenchError> {
        let name = format!("starbelt-bench-{}-{}.tle", std::process::id(), sky.elements.len());
        let file = Self(std::env::temp_dir().join(name));
        fs::write(&file.0, &sky.text).map_err(|e| failure(shown(&file.0), e))?;
        Ok(file)
    }

    /// The least that reading takes: the bytes of all lines.
    fn touch(&self) -> io::Result<usize> {
        Ok(fs::read_to_string(&self.0)?.lines().map(str::len).sum())
    }

    fn read(&self) -> Result<Vec<Elements>, BenchError> {
        let text = fs::read_to_string(&self.0).map_err(|e| failure(shown(&self.0), e))?;
        Ok(parse_elements(&text)?)
    }
}

impl Drop for SetsFile {
    fn drop(&mut self) {
        // It lies in the folder for temporary files, where nobody misses or minds it.
        drop(fs::remove_file(&self.0));
    }
}

fn shown(file: &Path) -> String {
    file.display().to_string()
}
