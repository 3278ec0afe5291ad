//! What a run simulates: the scenario file, checked completely before anything starts.

mod check;
mod draft;
mod entry;

use std::path::PathBuf;

use orbit::ground::GroundPolicyKind;
use orbit::link::ProtocolKind;
use orbit::propagate::ModelKind;
use orbit::sky::{GROUND_RATE_KBPS, ISL_RATE_KBPS};
use serde::{Deserialize, Serialize};
use topology::RouterKind;
use types::Epoch;

pub use draft::Draft;
pub use entry::{
    Anchor, ChangeEntry, ClassEntry, ComputeEntry, CoverageEntry, EnergyEntry, NodeClass,
    PluginEntry, Reference, RouteEntry, StationEntry, TaskEntry, TerrestrialEntry, WayEntry,
    WeatherEntry, WorkflowEntry,
};

/// The version of the format that this program reads.
pub const FORMAT_VERSION: u32 = 1;
/// Most steps of a run: two years of minutes. Each leaves a summary in memory until the end.
pub const STEPS_MAX: u64 = 1_000_000;
/// Shortest step, seconds: a satellite moves 8 m.
pub const STEP_S_MIN: f64 = 0.001;
/// Longest step, seconds: a year.
pub const STEP_S_MAX: f64 = 31_557_600.0;
/// Most routes of a run, routes times steps: each leaves the names of its path in memory, a kilobyte or two.
pub const ROUTE_RESULTS_MAX: u64 = 2_000_000;
/// Most entries of each list of a scenario: more is not written by hand.
pub const ENTRIES_MAX: usize = 10_000;
/// Fastest clock, times real time.
pub const SPEED_MAX: f64 = 1.0e6;
/// Slowest clock, times real time.
pub const SPEED_MIN: f64 = 1.0e-3;

/// The scenario file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// [`FORMAT_VERSION`].
    pub version: u32,
    /// What results call it.
    pub name: String,
    /// The instant of step 0; without it the newest epoch of the elements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Epoch>,
    /// From one step to the next, seconds.
    pub step_s: f64,
    /// How many steps; the first is the state at the start itself.
    pub steps: u64,
    /// Decides all that is drawn at random.
    pub seed: u64,
    /// The model of motion, see [`super::parts::MODELS`].
    pub model: String,
    /// How fast the run may go, times real time; without it as fast as it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<f64>,
    /// Satellites and stations from files.
    pub sources: Sources,
    /// Links between satellites.
    pub links: Links,
    /// Links between stations and satellites.
    pub ground_links: GroundLinks,
    /// What links carry and cost.
    pub link_model: LinkModelEntry,
    /// Who finds routes, see [`super::parts::ROUTERS`].
    pub router: String,
    /// Who places tasks whose workflow does not say, see [`super::orchestrator::Registry`].
    pub orchestrator: String,
    /// What computes where.
    pub compute: ComputeEntry,
    /// Plugins.
    pub plugin: PluginEntry,
    /// Where results go, relative to the working directory.
    pub output: Outputs,
    /// Stations beside those of files.
    #[serde(rename = "station", skip_serializing_if = "Vec::is_empty")]
    pub stations: Vec<StationEntry>,
    /// Cables between stations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub terrestrial: Vec<TerrestrialEntry>,
    /// Routes to be found at each step.
    #[serde(rename = "route", skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteEntry>,
    /// What is to be computed.
    #[serde(rename = "workflow", skip_serializing_if = "Vec::is_empty")]
    pub workflows: Vec<WorkflowEntry>,
    /// Failures and other changes of nodes and links.
    #[serde(rename = "change", skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ChangeEntry>,
    /// Rain over stations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub weather: Vec<WeatherEntry>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            version: FORMAT_VERSION,
            name: "run".to_owned(),
            start: None,
            step_s: 60.0,
            steps: 1,
            seed: 1,
            model: "sgp4".to_owned(),
            speed: None,
            sources: Sources::default(),
            links: Links::default(),
            ground_links: GroundLinks::default(),
            link_model: LinkModelEntry::default(),
            router: "dijkstra".to_owned(),
            orchestrator: "workflow".to_owned(),
            compute: ComputeEntry::default(),
            plugin: PluginEntry::default(),
            output: Outputs::default(),
            stations: Vec::new(),
            terrestrial: Vec::new(),
            routes: Vec::new(),
            workflows: Vec::new(),
            changes: Vec::new(),
            weather: Vec::new(),
        }
    }
}

/// Satellites and stations from files; paths are relative to the scenario's file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sources {
    /// Two-line element sets.
    pub tle: Vec<PathBuf>,
    /// Element sets as OMM.
    pub omm: Vec<PathBuf>,
    /// Walker shells: TOML files, or specifications such as `72x22:550:53:17`.
    pub walker: Vec<String>,
    /// Stations.
    pub ground: Vec<PathBuf>,
    /// Only this many satellites: the first ones, and beyond those their duplicates, whose epochs are 300 s, 600 s, ... later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub satellites: Option<u32>,
    /// Takes wrong checksums and repeated catalogue numbers, and skips what cannot be read.
    pub lenient: bool,
    /// Renames a second satellite of one name.
    pub rename: bool,
}

/// Links between satellites.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Links {
    /// The protocol, see [`ProtocolKind`].
    pub protocol: String,
    /// Longest link, km.
    pub range_max_km: f64,
    /// Lowest height above the equatorial radius at which a link may pass, km.
    pub grazing_altitude_km: f64,
    /// Terminals per satellite.
    pub terminals: u8,
    /// How many neighbours the protocols that count them aim at.
    pub neighbours: u8,
    /// How long a new link takes before it carries anything, seconds.
    pub acquisition_s: f64,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            protocol: ProtocolKind::PlusGrid.name().to_owned(),
            range_max_km: 5500.0,
            grazing_altitude_km: 80.0,
            terminals: 4,
            neighbours: 4,
            acquisition_s: 0.0,
        }
    }
}

/// Links between stations and satellites.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroundLinks {
    /// The policy, see [`GroundPolicyKind`].
    pub policy: String,
    /// Lowest elevation at which a station that says nothing itself sees a satellite, degrees.
    pub min_elevation_deg: f64,
    /// How many satellites a station that says nothing itself can hold links with at a time.
    pub station_terminals: u16,
    /// How many stations a satellite can hold links with at a time.
    pub satellite_terminals: u16,
    /// How often stations may choose anew, seconds; without it at each step. Starlink's do every 15 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reallocation_s: Option<f64>,
}

impl Default for GroundLinks {
    fn default() -> Self {
        Self {
            policy: GroundPolicyKind::Nearest.name().to_owned(),
            min_elevation_deg: 25.0,
            station_terminals: 1,
            satellite_terminals: 16,
            reallocation_s: None,
        }
    }
}

/// What links carry and cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkModelEntry {
    /// How links between satellites work, see [`super::link_cost::ISL_MODELS`].
    pub isl: String,
    /// How ground links work, see [`super::link_cost::GROUND_MODELS`].
    pub ground: String,
    /// The rate of links between satellites under `constant`, Mbit/s.
    pub isl_rate_mbps: f64,
    /// The rate of ground links under `constant`, Mbit/s.
    pub ground_rate_mbps: f64,
    /// What each link adds to the time of light, microseconds.
    pub processing_us: f64,
    /// What each link between satellites loses, parts per million.
    pub isl_loss_ppm: u32,
    /// What each ground link loses, parts per million.
    pub ground_loss_ppm: u32,
    /// How much later than usual a packet comes over a link between satellites at worst, microseconds; without it nobody
    /// knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isl_jitter_us: Option<f64>,
    /// The same of a ground link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ground_jitter_us: Option<f64>,
    /// How far the antennas of ground links with a radio budget point beside each other, degrees.
    pub ground_off_axis_deg: f64,
}

impl Default for LinkModelEntry {
    /// The published rates.
    fn default() -> Self {
        Self {
            isl: "constant".to_owned(),
            ground: "constant".to_owned(),
            isl_rate_mbps: f64::from(ISL_RATE_KBPS) / 1000.0,
            ground_rate_mbps: f64::from(GROUND_RATE_KBPS) / 1000.0,
            processing_us: 0.0,
            isl_loss_ppm: 0,
            ground_loss_ppm: 0,
            isl_jitter_us: None,
            ground_jitter_us: None,
            ground_off_axis_deg: 0.0,
        }
    }
}

/// Where results go; what is not named is not written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outputs {
    /// The summary of all steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<PathBuf>,
    /// Tables in a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csv: Option<PathBuf>,
    /// The same tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parquet: Option<PathBuf>,
    /// Adds a table of each link that opens or closes, by far the longest one.
    pub link_changes: bool,
    /// A report for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub html: Option<PathBuf>,
    /// All states, to be replayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<PathBuf>,
}

impl Scenario {
    /// From the first step to the last, seconds.
    pub fn length_s(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "steps are counted to 1e6")]
        let steps = self.steps.saturating_sub(1) as f64;
        self.step_s * steps
    }

    /// The published model with its flaws: protocol and policy names mean the published rules.
    pub fn is_published_model(&self) -> bool {
        ModelKind::of_name(&self.model) == Some(ModelKind::StardustCompat)
    }

    /// The model of motion.
    ///
    /// # Panics
    /// If the scenario was not checked.
    pub fn model_kind(&self) -> ModelKind {
        ModelKind::of_name(&self.model).expect("checked by Draft::finish")
    }

    /// Who finds routes.
    ///
    /// # Panics
    /// If the scenario was not checked.
    pub fn router_kind(&self) -> RouterKind {
        RouterKind::of_name(&self.router).expect("checked by Draft::finish")
    }

    /// The protocol of links between satellites.
    ///
    /// # Panics
    /// If the scenario was not checked.
    pub fn protocol(&self) -> ProtocolKind {
        ProtocolKind::of_name(&self.links.protocol).expect("checked by Draft::finish")
    }

    /// The policy of ground links.
    ///
    /// # Panics
    /// If the scenario was not checked.
    pub fn ground_policy(&self) -> GroundPolicyKind {
        GroundPolicyKind::of_name(&self.ground_links.policy).expect("checked by Draft::finish")
    }
}
