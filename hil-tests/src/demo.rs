//! The demo, in order: check, choose the fleet, start it, submit the workflow, watch, inject faults, check, report.

mod collect;
mod conclude;
mod summary;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use controller::api::{self, HealthState, NodeState};
use protocol::sim::FaultAction;
use types::NodeId;

use crate::claim::Claim;
use crate::client::{Api, ClientError};
use crate::faults::{self, LinkFaults, Schedule, Step};
use crate::fleet::{Fleet, FleetError};
use crate::layout::Layout;
use crate::options::Options;
use crate::process_bed::{self, BedError, ProcessBed};
use crate::report::{FaultRecord, Report};
use crate::screen::{Heading, Screen};
use collect::Collector;

/// How long the fleet may take until all its nodes were heard.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How often the fleet is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Without a terminal a group of lines is printed so often.
const LINES_EVERY: Duration = Duration::from_secs(5);

/// Why a demo came to no report.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The constellation is malformed or offers nothing.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// Processes could not be started or ended by themselves.
    #[error(transparent)]
    Bed(#[from] BedError),
    /// The controller refused or vanished.
    #[error("the controller's API: {0}")]
    Api(#[from] ClientError),
    /// The fleet did not come up.
    #[error("after {} s {problem}; logs are in {}", START_TIMEOUT.as_secs(), logs.display())]
    NotReady {
        /// What is missing.
        problem: String,
        /// Where to look.
        logs: PathBuf,
    },
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was to be done.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// The workflow file in the program is broken.
    #[error("the workflow: {0}")]
    Workflow(String),
    /// The losses could not be counted.
    #[error("the checker: {0}")]
    Check(String),
}

fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> DemoError {
    let what = what.into();
    move |source| DemoError::Io { what, source }
}

/// Set when the user wants to stop.
pub type Stop = Arc<AtomicBool>;

/// Runs the demo in `dir` and answers its report, which is also written to a file; `None` when it was stopped before
/// the fleet was up.
///
/// # Errors
/// [`DemoError`] when it could not run to its end.
pub fn run(options: &Options, dir: &Path, stop: &Stop) -> Result<Option<Report>, DemoError> {
    let fleet = Fleet::choose(options)?;
    let programs = process_bed::check(dir, options.port)?;
    let path = options.report.clone().unwrap_or_else(|| dir.join("report.json"));
    // Held until the end: nobody else may make the folder anew meanwhile.
    let _claim = Claim::of(dir)?;
    let layout =
        Layout::write(dir, &fleet, options).map_err(io_error("writing the bed's files"))?;
    say(&format!(
        "{} satellites predicted ({}), {} nodes with an agent, sky starts at {:.0}, ×{}",
        fleet.satellites,
        fleet.constellation,
        fleet.members.len(),
        fleet.start,
        options.speed
    ))?;
    let bed = ProcessBed::start(layout, programs, &fleet)?;
    let mut demo = Demo::new(options, fleet, bed)?;
    if let Ready::Stopped = demo.wait_until_ready(stop)? {
        demo.bed.stop();
        say("stopped before the fleet was up: nothing to report")?;
        return Ok(None);
    }
    demo.deploy()?;
    let watched = demo.watch(stop)?;
    say("checking every acknowledged write …")?;
    let report = demo.conclude(watched)?;
    demo.bed.stop();
    write_report(&path, &report)?;
    summary::print(&report, &path).map_err(io_error("printing the summary"))?;
    Ok(Some(report))
}

/// Why a finished demo is not a success, if so.
pub fn shortcomings(report: &Report, nodes: usize) -> Vec<String> {
    let mut found = Vec::new();
    if report.nodes_reporting < nodes {
        found.push(format!("only {} of {nodes} nodes reported", report.nodes_reporting));
    }
    if report.workflows_failed != 0 {
        found.push(format!("{} runs failed", report.workflows_failed));
    }
    if report.workflows_completed == 0 {
        found.push("no run completed".to_owned());
    }
    if !report.state_went_back.is_empty() {
        found.push(format!("state went back: {}", report.state_went_back.join("; ")));
    }
    if report.state_forked != 0 {
        found.push(format!("{} keys have two values under one version", report.state_forked));
    }
    if report.state_lost != 0 {
        found.push(format!("{} acknowledged writes are lost", report.state_lost));
    }
    if report.state_unreachable != 0 {
        found.push(format!(
            "{} acknowledged writes could not be read back: nodes that may hold them do not answer",
            report.state_unreachable
        ));
    }
    found
}

struct Demo<'a> {
    options: &'a Options,
    fleet: Fleet,
    bed: ProcessBed,
    api: Api,
    collector: Collector,
}

impl<'a> Demo<'a> {
    fn new(options: &'a Options, fleet: Fleet, bed: ProcessBed) -> Result<Self, DemoError> {
        let api = Api::new(bed.layout().ports.http);
        let workflow = collect::workflow_for(&fleet).map_err(DemoError::Workflow)?;
        let collector = Collector::new(workflow, options.seed);
        Ok(Self { options, fleet, bed, api, collector })
    }

    fn wait_until_ready(&mut self, stop: &Stop) -> Result<Ready, DemoError> {
        let started = Instant::now();
        let mut told = String::new();
        loop {
            if stop.load(Ordering::Relaxed) {
                return Ok(Ready::Stopped);
            }
            self.bed.check_alive()?;
            let problem = match self.api.get::<api::Health>("/health") {
                Ok(health)
                    if health.state == HealthState::Ready && health.nodes_heard == health.nodes =>
                {
                    return Ok(Ready::All);
                }
                Ok(health) if health.nodes_heard < health.nodes => {
                    format!("{} of {} nodes were heard", health.nodes_heard, health.nodes)
                }
                Ok(health) => format!("the controller waits for {}", health.waiting_for.join(", ")),
                Err(_) => "the controller does not answer yet".to_owned(),
            };
            if START_TIMEOUT < started.elapsed() {
                return Err(DemoError::NotReady {
                    problem,
                    logs: self.bed.layout().dir.join("logs"),
                });
            }
            if problem != told {
                say(&problem)?;
                told = problem;
            }
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    /// Pushes the four functions and submits the workflow, as a platform engineer would.
    fn deploy(&self) -> Result<(), DemoError> {
        for task in &self.collector.workflow().tasks {
            let path = artifacts::component_path(task.function.as_str());
            let component =
                std::fs::read(&path).map_err(io_error(format!("reading {}", path.display())))?;
            let pushed: api::FunctionInfo = self.api.post(
                &format!("/functions/{}", task.function),
                "application/wasm",
                &component,
            )?;
            say(&format!("pushed {} ({} KiB)", pushed.name, pushed.bytes.div_ceil(1024)))?;
        }
        let body = serde_json::to_vec(self.collector.workflow())
            .map_err(|error| DemoError::Workflow(error.to_string()))?;
        let submitted: api::WorkflowInfo =
            self.api.post("/workflows", "application/json", &body)?;
        say(&format!("submitted {} with {} tasks", submitted.id, submitted.tasks.len()))
    }

    fn watch(&mut self, stop: &Stop) -> Result<Watched, DemoError> {
        let mut screen = self.screen()?;
        let heading = Heading {
            constellation: self.fleet.constellation.clone(),
            satellites: self.fleet.satellites,
            speed: self.options.speed,
            http: self.bed.layout().ports.http.to_string(),
        };
        let faults = LinkFaults::connect(self.bed.layout().ports.sim)
            .map_err(|error| DemoError::Check(error.to_string()))?;
        let mut injector = Injector::new(self.options, faults);
        let started = Instant::now();
        let cpu_before = self.bed.usage().cpu_s;
        let mut shown = None::<Instant>;
        loop {
            let elapsed = started.elapsed();
            self.bed.check_alive()?;
            injector.inject(self, elapsed)?;
            let view = self.collector.look(&self.api, &self.fleet, elapsed)?;
            let due = matches!(screen, Screen::Table(_))
                || shown.is_none_or(|at| LINES_EVERY <= at.elapsed());
            if due {
                screen.show(&heading, &view).map_err(io_error("showing the table"))?;
                shown = Some(Instant::now());
            }
            let over = self.options.duration().is_some_and(|limit| limit <= elapsed);
            if over || stop.load(Ordering::Relaxed) {
                break;
            }
            let pause = LOOK_EVERY.saturating_sub(started.elapsed().saturating_sub(elapsed));
            if screen.wait(pause).map_err(io_error("reading the keyboard"))? {
                break;
            }
        }
        injector.heal_all(self)?;
        drop(screen);
        let wall_s = started.elapsed().as_secs_f64();
        let cpu_load = (self.bed.usage().cpu_s - cpu_before) / wall_s;
        Ok(Watched { wall_s, cpu_load, faults: injector.done })
    }

    fn screen(&self) -> Result<Screen, DemoError> {
        if self.options.headless || !io::stdout().is_terminal() {
            return Ok(Screen::Lines);
        }
        Screen::table().map_err(io_error("preparing the terminal"))
    }
}

/// How waiting for the fleet ended.
enum Ready {
    /// Every node was heard.
    All,
    /// The user does not want to wait any more.
    Stopped,
}

/// What only the watching loop knows.
struct Watched {
    wall_s: f64,
    cpu_load: f64,
    faults: Vec<FaultRecord>,
}

/// Carries out the schedule of faults.
struct Injector {
    schedule: Schedule,
    links: LinkFaults,
    seed: u64,
    killed: Option<NodeId>,
    cut: Option<NodeId>,
    done: Vec<FaultRecord>,
}

impl Injector {
    fn new(options: &Options, links: LinkFaults) -> Self {
        let schedule = if options.injects_faults() {
            Schedule::over(options.duration())
        } else {
            Schedule::none()
        };
        Self { schedule, links, seed: options.seed, killed: None, cut: None, done: Vec::new() }
    }

    fn inject(&mut self, demo: &mut Demo<'_>, elapsed: Duration) -> Result<(), DemoError> {
        while let Some(step) = self.schedule.due(elapsed) {
            match step {
                Step::Kill => self.kill(demo)?,
                Step::Restart => self.restart(demo)?,
                Step::Close => self.cut(demo, FaultAction::Close, "all its links are closed")?,
                Step::BlackHole => {
                    self.cut(demo, FaultAction::BlackHole, "all its links swallow everything")?;
                }
                Step::Heal => self.heal(demo)?,
            }
        }
        Ok(())
    }

    fn kill(&mut self, demo: &mut Demo<'_>) -> Result<(), DemoError> {
        if let Some(node) = self.choose(demo)? {
            demo.bed.kill(node.as_str())?;
            self.record(demo, "its agent is killed", &node);
            self.killed = Some(node);
        }
        Ok(())
    }

    fn restart(&mut self, demo: &mut Demo<'_>) -> Result<(), DemoError> {
        if let Some(node) = self.killed.take() {
            demo.bed.start_agent(&node)?;
            self.record(demo, "its agent is started again", &node);
        }
        Ok(())
    }

    fn cut(
        &mut self,
        demo: &mut Demo<'_>,
        action: FaultAction,
        what: &str,
    ) -> Result<(), DemoError> {
        if let Some(node) = self.choose(demo)? {
            self.apply(&node, action)?;
            self.record(demo, what, &node);
            self.cut = Some(node);
        }
        Ok(())
    }

    fn heal(&mut self, demo: &mut Demo<'_>) -> Result<(), DemoError> {
        if let Some(node) = self.cut.take() {
            self.apply(&node, FaultAction::Heal)?;
            self.record(demo, "its links are as the sky has them", &node);
        }
        Ok(())
    }

    /// Before losses are counted every node must be there again.
    fn heal_all(&mut self, demo: &mut Demo<'_>) -> Result<(), DemoError> {
        self.restart(demo)?;
        self.heal(demo)
    }

    fn apply(&self, node: &NodeId, action: FaultAction) -> Result<(), DemoError> {
        let changed = self.links.apply(node, None, action);
        changed.map(|_| ()).map_err(|error| DemoError::Check(error.to_string()))
    }

    fn choose(&self, demo: &Demo<'_>) -> Result<Option<NodeId>, DemoError> {
        let placements: api::PlacementList = demo.api.get("/placements")?;
        let nodes: api::NodeList = demo.api.get("/nodes")?;
        let states: Vec<(NodeId, NodeState)> =
            nodes.nodes.into_iter().map(|node| (node.id, node.state)).collect();
        let placements = placements.placements;
        let spared = faults::spared(demo.collector.workflow(), &placements);
        let seed = self.seed.wrapping_add(self.done.len() as u64);
        Ok(faults::victim(&placements, &states, &spared, seed))
    }

    fn record(&mut self, demo: &mut Demo<'_>, what: &str, node: &NodeId) {
        let at = demo.collector.sky_now();
        demo.collector.note(at, format!("fault: {node}: {what}"));
        self.done.push(FaultRecord { at, what: what.to_owned(), node: node.clone() });
    }
}

fn write_report(path: &Path, report: &Report) -> Result<(), DemoError> {
    let json = serde_json::to_string_pretty(report)
        .map_err(|error| DemoError::Check(error.to_string()))?;
    std::fs::write(path, json + "\n").map_err(io_error(format!("writing {}", path.display())))
}

fn say(line: &str) -> Result<(), DemoError> {
    writeln!(io::stdout().lock(), "demo: {line}").map_err(io_error("writing to stdout"))
}
