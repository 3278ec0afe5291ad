//! The whole engine under the rules of the bench, as scenarios start it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use orbit::elements::Elements;
use orbit::link::ProtocolKind;
use orbit::station::Station;
use types::Epoch;

use super::BenchError;
use super::brute::{GRAZING_KM, RANGE_KM, TERMINALS};
use super::world::{MASK_DEG, SATELLITE_TERMINALS, STATION_TERMINALS};
use crate::offline::frames::{Frames, Known};
use crate::offline::moment::Moment;
use crate::offline::nodes::Nodes;
use crate::offline::overrides::Overrides;
use crate::offline::parts::{Parts, router};
use crate::offline::record::Recorder;
use crate::offline::replay::{Replay, ReplayError};
use crate::offline::scenario::{GroundLinks, Links, RouteEntry, Scenario};
use crate::offline::simulation::{Simulation, SimulationError};
use crate::offline::watch::{NoWatch, Watch};

/// Between two steps, seconds: the paper's.
pub const STEP_S: f64 = 60.0;
/// Steps of the recording that is replayed again and again; few, since each of the largest constellation takes megabytes.
const RECORDED_STEPS: u32 = 10;

/// What the engine starts from.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// The satellites.
    pub elements: &'a Arc<[Elements]>,
    /// The stations.
    pub stations: &'a [Station],
    /// The instant of the first step.
    pub at: Epoch,
    /// The protocol of links between satellites.
    pub links: ProtocolKind,
}

impl Start<'_> {
    /// The rules that the baseline keeps, too; a route from the first station to the one in the middle of the list.
    pub fn scenario(&self) -> Scenario {
        let links = Links {
            protocol: self.links.name().to_owned(),
            range_max_km: RANGE_KM,
            grazing_altitude_km: GRAZING_KM,
            terminals: TERMINALS,
            ..Links::default()
        };
        let ground_links = GroundLinks {
            min_elevation_deg: MASK_DEG,
            station_terminals: STATION_TERMINALS,
            satellite_terminals: SATELLITE_TERMINALS,
            ..GroundLinks::default()
        };
        let name = |at: usize| self.stations.get(at).map(|station| station.name.clone());
        let route = name(0).zip(name(self.stations.len() / 2));
        let routes = route.map(|(from, to)| RouteEntry::between(from, to)).into_iter().collect();
        Scenario { step_s: STEP_S, links, ground_links, routes, ..Scenario::default() }
    }

    /// The nodes.
    ///
    /// # Errors
    /// When names do not tell them apart, or there are none.
    pub fn nodes(&self) -> Result<Arc<Nodes>, SimulationError> {
        Ok(Arc::new(Nodes::new(self.elements, self.stations.to_vec())?))
    }

    /// The engine before its first step.
    ///
    /// # Errors
    /// [`SimulationError`].
    pub fn simulation(&self) -> Result<Simulation, SimulationError> {
        let scenario = self.scenario();
        let elements = Arc::clone(self.elements);
        let parts = Parts::new(&scenario, &elements, Vec::new(), self.at);
        Simulation::new(&scenario, elements, self.nodes()?, self.at, parts)
    }

    /// The engine before the first step of a recording of a few steps, which begins again after its last one.
    ///
    /// # Errors
    /// When it cannot be recorded or replayed.
    pub fn replayed(&self) -> Result<Simulation, BenchError> {
        let nodes = self.nodes()?;
        let frames = Box::new(Looped(self.recorded(&nodes)?));
        let scenario = self.scenario();
        Ok(Simulation::with_frames(&scenario, nodes, self.at, frames, router(&scenario))?)
    }

    /// A recording; its file is gone as soon as it is open, which the system allows while somebody reads it.
    fn recorded(&self, nodes: &Nodes) -> Result<Replay, BenchError> {
        let name = format!("starbelt-bench-{}-{}.record", std::process::id(), self.elements.len());
        let file = Gone(std::env::temp_dir().join(name));
        self.record(&file.0, nodes)?;
        Ok(Replay::open(&file.0).map_err(SimulationError::from)?)
    }

    fn record(&self, file: &Path, nodes: &Nodes) -> Result<(), BenchError> {
        let mut simulation = self.simulation()?;
        let model = simulation.model().to_owned();
        let mut recorder = Recorder::create(file, &self.scenario(), &model, self.at, nodes)?;
        for _ in 0..RECORDED_STEPS {
            let (moment, summary) = simulation.step(&mut NoWatch)?;
            recorder.step(&moment, &summary, simulation.overrides())?;
        }
        Ok(recorder.finish()?)
    }
}

/// A file that is removed at the end.
struct Gone(PathBuf);

impl Drop for Gone {
    fn drop(&mut self) {
        // It lies in the folder for temporary files, where nobody misses or minds it.
        drop(std::fs::remove_file(&self.0));
    }
}

/// A recording that begins again after its last step.
#[derive(Debug)]
struct Looped(Replay);

impl Frames for Looped {
    fn model(&self) -> &str {
        self.0.model()
    }

    fn fill(
        &mut self,
        nodes: &Nodes,
        overrides: &mut Overrides,
        moment: &mut Moment,
        watch: &mut dyn Watch,
    ) -> Result<Known, ReplayError> {
        if self.0.is_at_end() {
            self.0.rewind();
        }
        self.0.fill(nodes, overrides, moment, watch)
    }
}
