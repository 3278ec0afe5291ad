//! From a scenario to a run that is ready to start.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use orbit::catalog::newest_epoch;
use orbit::station::Station;
use types::Epoch;

use super::super::CommandError;
use super::super::source::SourceArgs;
use super::Args;
use crate::offline::nodes::{Nodes, NodesError, UnknownName};
use crate::offline::parts::{self, Parts};
use crate::offline::record::Recorder;
use crate::offline::replay::{Replay, ReplayError};
use crate::offline::report::progress::Progress;
use crate::offline::scenario::{Outputs, ROUTE_RESULTS_MAX, RouteEntry, Scenario};
use crate::offline::session::{Session, SessionError};
use crate::offline::simulation::{Simulation, SimulationError};
use crate::offline::sink::{RunHead, SinkError, StepSink};
use crate::offline::weather::WeatherError;

/// A run that is ready, and where its results go.
#[derive(Debug)]
pub(super) struct Ready<'a> {
    pub(super) session: Session<'a>,
    pub(super) output: Outputs,
}

impl Args {
    /// A run that computes its steps.
    pub(super) fn computed<'a>(
        &self,
        mut scenario: Scenario,
        stop: &'a AtomicBool,
    ) -> Result<Ready<'a>, CommandError> {
        let source = SourceArgs::of(&scenario.sources).load()?;
        let newest = newest_epoch(&source.elements);
        let start = scenario.start.or(newest).ok_or(NodesError::Empty)?;
        source.warn_at((start, start.plus_s(scenario.length_s())))?;
        let mut stations = source.stations;
        stations.extend(scenario.stations.iter().map(Station::from));
        let nodes = Arc::new(Nodes::new(&source.elements, stations)?);
        self.add_routes(&mut scenario, &nodes)?;
        let parts = Parts::new(&scenario, &source.elements, source.shells, start);
        let simulation =
            Simulation::new(&scenario, source.elements, Arc::clone(&nodes), start, parts)?;
        let recording = match &scenario.output.record {
            None => None,
            Some(file) => {
                Some(Recorder::create(file, &scenario, simulation.model(), start, &nodes)?)
            }
        };
        Ok(ready(&scenario, &nodes, start, simulation, (recording, stop)))
    }

    /// A run that takes positions and links from a recording.
    pub(super) fn replayed<'a>(
        &self,
        file: &Path,
        flags: Scenario,
        stop: &'a AtomicBool,
    ) -> Result<Ready<'a>, CommandError> {
        let replay = Replay::open(file)?;
        let head = replay.head().clone();
        let mut scenario = head.scenario.clone();
        let recorded = replay.steps();
        scenario.steps = self.steps.unwrap_or(recorded);
        if recorded < scenario.steps {
            let (file, steps) = (file.display(), scenario.steps);
            let rule = format!("--steps {steps} must be at most {recorded}, the steps of {file}");
            return Err(CommandError::Input(rule));
        }
        scenario.speed = flags.speed;
        let link_changes = flags.output.link_changes || head.scenario.output.link_changes;
        scenario.output = Outputs { link_changes, ..flags.output };
        if self.router.is_some() {
            scenario.router = flags.router;
        }
        let nodes = Arc::new(Nodes::of_names(head.satellites.clone(), head.stations())?);
        self.add_routes(&mut scenario, &nodes)?;
        let router = parts::router(&scenario);
        let simulation = Simulation::with_frames(
            &scenario,
            Arc::clone(&nodes),
            head.start,
            Box::new(replay),
            router,
        )?;
        Ok(ready(&scenario, &nodes, head.start, simulation, (None, stop)))
    }

    fn add_routes(&self, scenario: &mut Scenario, nodes: &Nodes) -> Result<(), CommandError> {
        for text in &self.route {
            let (from, to) = nodes.find_pair(text)?;
            let name = |node| nodes.name(node).to_owned();
            let route = RouteEntry::between(name(from), name(to));
            if !scenario.routes.contains(&route) {
                scenario.routes.push(route);
            }
        }
        let routes = u64::try_from(scenario.routes.len()).unwrap_or(u64::MAX);
        if ROUTE_RESULTS_MAX < routes.saturating_mul(scenario.steps) {
            let rule = format!(
                "--route: {routes} routes at {} steps are more than {ROUTE_RESULTS_MAX} results",
                scenario.steps
            );
            return Err(CommandError::Input(rule));
        }
        Ok(())
    }
}

fn ready<'a>(
    scenario: &Scenario,
    nodes: &Nodes,
    start: Epoch,
    simulation: Simulation,
    (recording, stop): (Option<Recorder>, &'a AtomicBool),
) -> Ready<'a> {
    let head = RunHead {
        scenario: scenario.name.clone(),
        model: simulation.model().to_owned(),
        satellites: Arc::clone(nodes.satellite_names()),
        stations: Arc::clone(nodes.stations()),
        steps: scenario.steps,
        step_s: scenario.step_s,
        start,
    };
    let sinks: Vec<Box<dyn StepSink>> =
        vec![Box::new(parts::reports(scenario)), Box::new(Progress::new())];
    let speed = scenario.speed;
    let session = Session { head, simulation, speed, sinks, recording, stop };
    Ready { session, output: scenario.output.clone() }
}

impl From<NodesError> for CommandError {
    fn from(error: NodesError) -> Self {
        Self::Input(error.to_string())
    }
}

impl From<UnknownName> for CommandError {
    fn from(error: UnknownName) -> Self {
        Self::NotFound(error.to_string())
    }
}

impl From<ReplayError> for CommandError {
    fn from(error: ReplayError) -> Self {
        Self::Input(error.to_string())
    }
}

impl From<SinkError> for CommandError {
    fn from(error: SinkError) -> Self {
        match error {
            SinkError::Write(error) => Self::Write(error),
            SinkError::Format { .. } => Self::Output(std::io::Error::other(error.to_string())),
        }
    }
}

impl From<SimulationError> for CommandError {
    fn from(error: SimulationError) -> Self {
        match error {
            SimulationError::Unknown { .. }
            | SimulationError::Weather(WeatherError::Unknown { .. }) => {
                Self::NotFound(error.to_string())
            }
            _ => Self::Input(error.to_string()),
        }
    }
}

impl From<SessionError> for CommandError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Simulation(error) => error.into(),
            SessionError::Sink(error) => error.into(),
        }
    }
}
