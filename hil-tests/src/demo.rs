//! The demo, in order: check, choose the fleet, start it, submit the workflow, watch, inject faults, check, report.

mod collect;
mod conclude;
mod settle;
mod summary;

use std::fs::File;
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
use crate::deploy::{DeployError, push_functions};
use crate::faults::{self, LinkFaults, RESTART_AFTER, Schedule, Step};
use crate::fleet::{Fleet, FleetError};
use crate::layout::Layout;
use crate::options::Options;
use crate::process_bed::{self, BedError, ProcessBed};
use crate::report::{FaultRecord, Report};
use crate::screen::{Heading, Screen};
use collect::Collector;

/// How long the fleet may take until all its nodes were heard.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// By then the first run must have ended.
const FIRST_RUN_WITHIN: Duration = Duration::from_secs(30);
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
    /// The functions could not be pushed.
    #[error(transparent)]
    Deploy(#[from] DeployError),
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
    /// The report would have no place.
    #[error("the report cannot be written to {}: {source}; give --report a file in a folder that exists and that you can write to", path.display())]
    Report {
        /// Where it should go.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
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
    if let Some(warning) = &fleet.warning {
        say(&format!("warning: {warning}"))?;
    }
    let programs = process_bed::check(dir, options.port)?;
    let path = options.report.clone().unwrap_or_else(|| dir.join("report.json"));
    let is_inside = is_inside(&path, dir);
    // A folder that is made anew must not be emptied for a run that cannot be.
    if !is_inside {
        try_report(&path)?;
    }
    // Held until the end: nobody else may make the folder anew meanwhile.
    let _claim = Claim::of(dir)?;
    if is_inside {
        try_report(&path)?;
    }
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
    let Ready::All { heard } = demo.wait_until_ready(stop)? else {
        demo.bed.stop();
        say("stopped before the fleet was up: nothing to report")?;
        return Ok(None);
    };
    demo.deploy()?;
    let watched = demo.watch(stop, heard)?;
    demo.wait_until_whole()?;
    demo.wait_for_first_calls()?;
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
    // Whoever stops before the first run can end asks for nothing.
    let is_early = report.stopped_early && report.wall_seconds < FIRST_RUN_WITHIN.as_secs_f64();
    if report.workflows_completed == 0 && !is_early {
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
        let mut heard = None::<Instant>;
        loop {
            if stop.load(Ordering::Relaxed) {
                return Ok(Ready::Stopped);
            }
            self.bed.check_alive()?;
            let problem = match self.api.get::<api::Health>("/health") {
                Ok(health) if health.nodes_heard < health.nodes => {
                    format!("{} of {} nodes were heard", health.nodes_heard, health.nodes)
                }
                Ok(health) => {
                    let heard = *heard.get_or_insert_with(Instant::now);
                    if health.state == HealthState::Ready {
                        return Ok(Ready::All { heard });
                    }
                    format!("the controller waits for {}", health.waiting_for.join(", "))
                }
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

    /// Makes a key, signs and pushes the four functions, and submits the workflow, as a platform engineer would.
    fn deploy(&self) -> Result<(), DemoError> {
        let dir = &self.bed.layout().dir;
        for pushed in push_functions(&self.api, dir, self.collector.workflow())? {
            let (name, version, kib) = (pushed.name, pushed.version, pushed.bytes.div_ceil(1024));
            say(&format!("signed and pushed {name} {version} ({kib} KiB)"))?;
        }
        let body = serde_json::to_vec(self.collector.workflow())
            .map_err(|error| DemoError::Workflow(error.to_string()))?;
        let submitted: api::WorkflowInfo =
            self.api.post("/workflows", "application/json", &body)?;
        say(&format!("submitted {} with {} tasks", submitted.id, submitted.tasks.len()))
    }

    /// Shows the fleet and injects faults until the end; time counts from when the last node was `heard` first.
    fn watch(&mut self, stop: &Stop, heard: Instant) -> Result<Watched, DemoError> {
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
        let stopped_early = loop {
            let elapsed = heard.elapsed();
            injector.notice(self, elapsed)?;
            self.bed.check_alive()?;
            injector.inject(self, elapsed)?;
            let view = self.collector.look(&self.api, &self.fleet, elapsed)?;
            let due = matches!(screen, Screen::Table(_))
                || shown.is_none_or(|at| LINES_EVERY <= at.elapsed());
            if due {
                screen.show(&heading, &view).map_err(io_error("showing the table"))?;
                shown = Some(Instant::now());
            }
            if self.options.duration().is_some_and(|limit| limit <= elapsed) {
                break false;
            }
            let pause = LOOK_EVERY.saturating_sub(heard.elapsed().saturating_sub(elapsed));
            if stop.load(Ordering::Relaxed)
                || screen.wait(pause).map_err(io_error("reading the keyboard"))?
            {
                break true;
            }
        };
        injector.heal_all(self)?;
        drop(screen);
        let cpu_load = (self.bed.usage().cpu_s - cpu_before) / started.elapsed().as_secs_f64();
        let wall_s = heard.elapsed().as_secs_f64();
        Ok(Watched { wall_s, stopped_early, cpu_load, faults: injector.done })
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
    /// Every node was heard, and the controller has all that it needs.
    All {
        /// When the last node was heard first.
        heard: Instant,
    },
    /// The user does not want to wait any more.
    Stopped,
}

/// What only the watching loop knows.
struct Watched {
    wall_s: f64,
    stopped_early: bool,
    cpu_load: f64,
    faults: Vec<FaultRecord>,
}

/// Carries out the schedule of faults.
struct Injector {
    schedule: Schedule,
    links: LinkFaults,
    seed: u64,
    killed: Option<NodeId>,
    /// What somebody else killed, each with when it is started again, counted as the demo does.
    killed_by_others: Vec<(NodeId, Duration)>,
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
        let (killed, killed_by_others, cut, done) = Default::default();
        Self { schedule, links, seed: options.seed, killed, killed_by_others, cut, done }
    }

    /// An agent that the user kills is a fault like those of the schedule: the demo goes on, and starts it again.
    fn notice(&mut self, demo: &mut Demo<'_>, elapsed: Duration) -> Result<(), DemoError> {
        for node in demo.bed.killed_by_others()? {
            let again = RESTART_AFTER.as_secs();
            self.record(
                demo,
                &format!("its agent was killed; it is started again in {again} s"),
                &node,
            );
            self.killed_by_others.push((node, elapsed + RESTART_AFTER));
        }
        self.restart_due(demo, elapsed)
    }

    fn restart_due(&mut self, demo: &mut Demo<'_>, elapsed: Duration) -> Result<(), DemoError> {
        let is_due = |(_, at): &mut (NodeId, Duration)| *at <= elapsed;
        let due: Vec<_> = self.killed_by_others.extract_if(.., is_due).collect();
        for (node, _) in due {
            demo.bed.start_agent(&node)?;
            self.record(demo, "its agent is started again", &node);
        }
        Ok(())
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
        self.restart_due(demo, Duration::MAX)?;
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

/// Whether a path lies in a folder, as far as their names tell.
fn is_inside(path: &Path, dir: &Path) -> bool {
    let full = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    full(path).starts_with(full(dir))
}

/// Fails where the report could not be written at the end; leaves nothing behind that was not there.
fn try_report(path: &Path) -> Result<(), DemoError> {
    let failed = |source| DemoError::Report { path: path.to_owned(), source };
    let is_new = path.symlink_metadata().is_err();
    File::options().append(true).create(true).open(path).map_err(failed)?;
    if is_new { std::fs::remove_file(path).map_err(failed) } else { Ok(()) }
}

fn write_report(path: &Path, report: &Report) -> Result<(), DemoError> {
    let json = serde_json::to_string_pretty(report)
        .map_err(|error| DemoError::Check(error.to_string()))?;
    std::fs::write(path, json + "\n")
        .map_err(|source| DemoError::Report { path: path.to_owned(), source })
}

fn say(line: &str) -> Result<(), DemoError> {
    writeln!(io::stdout().lock(), "demo: {line}").map_err(io_error("writing to stdout"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_without_a_place_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["no-such-folder/report.json", ""] {
            let message = try_report(&dir.path().join(name)).unwrap_err().to_string();
            assert!(message.contains("--report"), "{message}");
            assert!(message.contains(&dir.path().display().to_string()), "{message}");
        }
    }

    #[test]
    fn trying_leaves_no_file_and_no_report_of_before_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.json");
        try_report(&path).unwrap();
        assert!(!path.exists());
        std::fs::write(&path, "{}").unwrap();
        try_report(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{}");
        assert!(is_inside(&path, dir.path()));
        assert!(!is_inside(dir.path(), &path));
    }
}
