//! The engine: one step after the other, each an immutable [`Moment`] and its [`StepSummary`].
//!
//! Performs no I/O and reads no clock; the same input gives the same bits on any number of threads.

mod network;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use orbit::elements::Elements;
use orbit::frame::PolarTurn;
use orbit::link::IslSet;
use topology::{Graph, GraphError, NodeIx, RouteNeed, Router};
use types::Epoch;

use network::Network;
pub use view::SimulationView;

use super::compute::Compute;
use super::frames::{Frames, Known, LiveFrames};
use super::hash::positions_hash;
use super::moment::Moment;
use super::nodes::{Nodes, NodesError, UnknownName};
use super::orchestrator::Registry;
use super::overrides::{Overrides, Timetable, TooManyOverrides};
use super::parts::Parts;
use super::plugin::{Plugin, PluginError};
use super::replay::ReplayError;
use super::scenario::Scenario;
use super::summary::{RouteSummary, StepMs, StepSummary};
use super::terrestrial::{Cables, TerrestrialError};
use super::watch::{Part, Watch};
use super::weather::{Rains, WeatherError};
use super::workload::{Workload, WorkloadError};

/// Why there is no simulation, or no next step.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// Nothing to simulate, or names that do not tell nodes apart.
    #[error(transparent)]
    Nodes(#[from] NodesError),
    /// A name that no node has.
    #[error("{place}: {source}")]
    Unknown {
        /// Where it stands.
        place: String,
        /// The name.
        source: UnknownName,
    },
    /// Cables.
    #[error(transparent)]
    Terrestrial(#[from] TerrestrialError),
    /// Rain.
    #[error(transparent)]
    Weather(#[from] WeatherError),
    /// Workflows.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// More overrides than a simulation holds.
    #[error(transparent)]
    Overrides(#[from] TooManyOverrides),
    /// A recording.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A plugin.
    #[error("plugin {name}: {source}")]
    Plugin {
        /// Its name.
        name: String,
        /// What it said.
        source: PluginError,
    },
    /// Links that make no graph: a fault of a protocol or of a recording.
    #[error("step {step}: the links make no network: {source}")]
    Graph {
        /// The step.
        step: u64,
        /// What is wrong.
        source: GraphError,
    },
}

impl SimulationError {
    fn unknown(place: impl Into<String>) -> impl FnOnce(UnknownName) -> Self {
        let place = place.into();
        move |source| Self::Unknown { place, source }
    }
}

/// A constellation with its network, standing at a step.
#[derive(Debug)]
pub struct Simulation {
    start: Epoch,
    step_s: f64,
    next_step: u64,
    nodes: Arc<Nodes>,
    frames: Box<dyn Frames>,
    router: Box<dyn Router>,
    network: Network,
    /// Where the nodes of the graph are, for routers that aim.
    places_km: Vec<[f64; 3]>,
    routes: Vec<(NodeIx, NodeIx, RouteNeed)>,
    timetable: Timetable,
    /// What plugins changed; stays until they change it back.
    own_overrides: Overrides,
    /// What holds at the step: the scenario's and those of plugins.
    overrides: Overrides,
    plugins: Vec<Box<dyn Plugin>>,
    workload: Workload,
    now: Option<Arc<Moment>>,
    /// A moment that somebody still read when the next one was begun; its memory is used again once nobody does.
    spare: Option<Arc<Moment>>,
}

impl Simulation {
    /// Computes the steps of a scenario with these parts.
    ///
    /// # Errors
    /// [`SimulationError`].
    pub fn new(
        scenario: &Scenario,
        elements: Arc<[Elements]>,
        nodes: Arc<Nodes>,
        start: Epoch,
        parts: Parts,
    ) -> Result<Self, SimulationError> {
        let Parts { propagator, protocol, policy, router } = parts;
        let frames = Box::new(LiveFrames::new(scenario, elements, propagator, protocol, policy));
        Self::with_frames(scenario, nodes, start, frames, router)
    }

    /// Takes the steps of a scenario from where `frames` has them.
    ///
    /// # Errors
    /// [`SimulationError`].
    pub fn with_frames(
        scenario: &Scenario,
        nodes: Arc<Nodes>,
        start: Epoch,
        frames: Box<dyn Frames>,
        router: Box<dyn Router>,
    ) -> Result<Self, SimulationError> {
        let routes = find_routes(scenario, &nodes)?;
        let timetable = Timetable::new(&scenario.changes, &nodes, start)
            .map_err(SimulationError::unknown("change"))?;
        let cables = Cables::new(&scenario.terrestrial, &nodes)?;
        let rains = Rains::new(&scenario.weather, &nodes, start)?;
        let network = Network::new(scenario, cables, rains);
        let compute = Compute::new(&scenario.compute, &nodes);
        let workload = Workload::new(scenario, &nodes, compute)?;
        Ok(Self {
            start,
            step_s: scenario.step_s,
            next_step: 0,
            nodes,
            frames,
            router,
            network,
            places_km: Vec::new(),
            routes,
            timetable,
            own_overrides: Overrides::default(),
            overrides: Overrides::default(),
            plugins: super::plugin::of_scenario(&scenario.plugin),
            workload,
            now: None,
            spare: None,
        })
    }

    /// Adds a plugin; they are called in the order in which they were added.
    pub fn add_plugin(&mut self, plugin: Box<dyn Plugin>) {
        self.plugins.push(plugin);
    }

    /// The orchestrators. One of a caller's own is registered, or the registry with which the scenario was loaded put in
    /// their place, before the first step, which fails if a workflow names one that is not here.
    pub fn orchestrators_mut(&mut self) -> &mut Registry {
        self.workload.registry_mut()
    }

    /// The nodes.
    pub fn nodes(&self) -> &Arc<Nodes> {
        &self.nodes
    }

    /// The name of the model of motion.
    pub fn model(&self) -> &str {
        self.frames.model()
    }

    /// The changes that held at the last step.
    pub fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    /// The plugins.
    pub fn plugins(&self) -> &[Box<dyn Plugin>] {
        &self.plugins
    }

    /// What the plugins found so far, by plugin and name.
    pub fn figures(&self) -> BTreeMap<String, BTreeMap<String, Option<f64>>> {
        let figures_of = |plugin: &dyn Plugin| {
            plugin.figures().into_iter().map(|f| (f.name.to_owned(), f.value)).collect()
        };
        self.plugins.iter().map(|p| (p.name().to_owned(), figures_of(&**p))).collect()
    }

    /// Tasks and resources.
    pub fn workload(&self) -> &Workload {
        &self.workload
    }

    /// The last step; `None` before the first.
    pub fn now(&self) -> Option<&Arc<Moment>> {
        self.now.as_ref()
    }

    /// The instant of a step.
    pub fn at(&self, step: u64) -> Epoch {
        #[expect(clippy::cast_precision_loss, reason = "steps are counted to 1e6")]
        self.start.plus_s(self.step_s * step as f64)
    }

    /// The next step; the first is the state at the start itself.
    ///
    /// # Errors
    /// [`SimulationError`]; the simulation must not be used any more then.
    pub fn step(
        &mut self,
        watch: &mut dyn Watch,
    ) -> Result<(Arc<Moment>, StepSummary), SimulationError> {
        let (step, at) = (self.next_step, self.at(self.next_step));
        if step == 0 {
            self.workload.check_orchestrators()?;
        }
        self.next_step += 1;
        self.call_plugins(step, at, |plugin, view| plugin.before_step(view))?;
        self.overrides.clone_from(&self.own_overrides);
        self.timetable.at(at, &mut self.overrides)?;
        let mut moment = self.blank(step, at);
        watch.done(Part::Other);
        let known = self.frames.fill(&self.nodes, &mut self.overrides, &mut moment, watch)?;
        let hash = known.positions_hash.clone();
        let hash = hash.unwrap_or_else(|| positions_hash(&moment.positions_km));
        watch.done(Part::Positions);
        self.network
            .build(&self.nodes, &self.overrides, &mut moment)
            .map_err(|source| SimulationError::Graph { step, source })?;
        self.begin_routing(&moment);
        let mut summary = self.summary(&moment, hash, &known);
        watch.done(Part::Routing);
        let moment = Arc::new(moment);
        self.now = Some(Arc::clone(&moment));
        summary.workload = self.workload.step(&self.nodes, &moment, &self.overrides);
        watch.done(Part::Workload);
        self.call_plugins(step, at, |plugin, view| plugin.after_step(view))?;
        watch.done(Part::Other);
        Ok((moment, summary))
    }

    fn begin_routing(&mut self, moment: &Moment) {
        self.router.begin(&moment.graph);
        if self.router.aims() {
            let places_km = &mut self.places_km;
            places_km.clear();
            places_km.extend_from_slice(&moment.positions_km);
            places_km.extend(moment.stations.iter().map(|station| station.viewer.position_km));
            self.router.place(&moment.graph, places_km);
        }
    }

    /// A moment to be filled, in the memory of the last one, or of an earlier one that nobody reads any more: so that a step
    /// finds in the caches what the step before left there.
    fn blank(&mut self, step: u64, at: Epoch) -> Moment {
        let turn = PolarTurn::at(at);
        let old = match self.now.take().map(Arc::try_unwrap) {
            Some(Ok(last)) => Some(last),
            Some(Err(read)) => self.spare.replace(read).and_then(Arc::into_inner),
            None => None,
        };
        match old {
            Some(old) => Moment { step, at, turn, ..old },
            None => Moment {
                step,
                at,
                turn,
                positions_km: Vec::new(),
                isl: IslSet::default(),
                stations: Vec::new(),
                ground: Vec::new(),
                graph: Graph::default(),
            },
        }
    }

    fn summary(&mut self, moment: &Moment, positions_hash: String, known: &Known) -> StepSummary {
        let components =
            known.components.unwrap_or_else(|| self.network.components(moment, &self.overrides));
        StepSummary {
            time: moment.at,
            positions_hash,
            down: moment.positions_km.iter().filter(|p| p[0].is_nan()).count(),
            links: moment.isl.links.len(),
            ground_links: moment.ground.len(),
            tree_weight_km: moment.isl.forest.map(|forest| forest.weight_km),
            tree_edges: moment.isl.forest.map(|forest| forest.edges),
            components,
            routes: self.find_routes_now(moment),
            ms: StepMs::default(),
            workload: None,
        }
    }

    fn find_routes_now(&mut self, moment: &Moment) -> Vec<RouteSummary> {
        let nodes = &self.nodes;
        let router = &mut self.router;
        let name = |node: NodeIx| nodes.name(node).to_owned();
        let found = self.routes.iter().map(|(from, to, need)| {
            let route = router.route(&moment.graph, *from, *to, need);
            RouteSummary {
                from: name(*from),
                to: name(*to),
                latency_ms: route.as_ref().map(|route| route.latency_us / 1000.0),
                hops: route.as_ref().map(topology::Route::hops),
                path: route
                    .map(|route| route.path.into_iter().map(name).collect())
                    .unwrap_or_default(),
            }
        });
        found.collect()
    }

    fn call_plugins(
        &mut self,
        step: u64,
        at: Epoch,
        call: impl Fn(&mut dyn Plugin, &mut SimulationView<'_>) -> Result<(), PluginError>,
    ) -> Result<(), SimulationError> {
        for plugin in &mut self.plugins {
            let mut view = SimulationView {
                step,
                at,
                step_s: self.step_s,
                nodes: &self.nodes,
                moment: self.now.as_deref(),
                router: &mut *self.router,
                overrides: &mut self.own_overrides,
                workload: &mut self.workload,
            };
            call(&mut **plugin, &mut view).map_err(|source| {
                let name = plugin.name().to_owned();
                SimulationError::Plugin { name, source }
            })?;
        }
        Ok(())
    }
}

fn find_routes(
    scenario: &Scenario,
    nodes: &Nodes,
) -> Result<Vec<(NodeIx, NodeIx, RouteNeed)>, SimulationError> {
    let find = |index: usize, end: &str, name: &str| {
        nodes.find(name).map_err(SimulationError::unknown(format!("route[{index}].{end}")))
    };
    let routes = scenario.routes.iter().enumerate();
    routes
        .map(|(index, route)| {
            let (from, to) = (find(index, "from", &route.from)?, find(index, "to", &route.to)?);
            Ok((from, to, route.need()))
        })
        .collect()
}
