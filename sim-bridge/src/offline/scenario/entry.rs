//! The entries of a scenario's lists and tables.

use orbit::station::{Station, StationKind, WayPoint};
use serde::{Deserialize, Serialize};
use topology::RouteNeed;
use types::{Epoch, Geodetic};

use crate::offline::link_cost::kbps;

/// A station.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StationEntry {
    /// Its name.
    pub name: String,
    /// Latitude, degrees north.
    pub lat_deg: f64,
    /// Longitude, degrees east.
    pub lon_deg: f64,
    /// Height above the ellipsoid, metres.
    #[serde(default)]
    pub alt_m: f64,
    /// What it is.
    #[serde(default)]
    pub kind: StationKind,
    /// Lowest elevation at which it sees a satellite, degrees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_elevation_deg: Option<f64>,
    /// How many satellites it can hold links with at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminals: Option<u16>,
    /// Its way, if it moves, ascending in time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub way: Vec<WayEntry>,
}

/// Where a moving station is at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WayEntry {
    /// The instant.
    pub at: Epoch,
    /// Latitude, degrees north.
    pub lat_deg: f64,
    /// Longitude, degrees east.
    pub lon_deg: f64,
    /// Height above the ellipsoid, metres.
    #[serde(default)]
    pub alt_m: f64,
}

impl From<&StationEntry> for Station {
    fn from(entry: &StationEntry) -> Self {
        let place =
            |lat_deg, lon_deg, alt_m: f64| Geodetic { lat_deg, lon_deg, alt_km: alt_m / 1000.0 };
        let way = entry.way.iter().map(|point| WayPoint {
            at: point.at,
            place: place(point.lat_deg, point.lon_deg, point.alt_m),
        });
        Self {
            name: entry.name.clone(),
            kind: entry.kind,
            place: place(entry.lat_deg, entry.lon_deg, entry.alt_m),
            min_elevation_deg: entry.min_elevation_deg,
            terminals: entry.terminals,
            way: way.collect(),
        }
    }
}

/// Cables: one, or one between any two stations of two kinds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TerrestrialEntry {
    /// The name of a station, or `kind:KIND` for all of a kind.
    pub a: String,
    /// The other end, the same way.
    pub b: String,
    /// How much longer than the great circle the cable is.
    #[serde(default = "detour")]
    pub length_factor: f64,
    /// The speed of light in it, as a part of that in vacuum.
    #[serde(default = "fibre_speed")]
    pub speed_factor: f64,
    /// What it carries, Mbit/s.
    #[serde(default = "fibre_rate")]
    pub rate_mbps: f64,
    /// What it loses, parts per million.
    #[serde(default)]
    pub loss_ppm: u32,
    /// How much later than usual a packet comes at worst, microseconds; without it nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter_us: Option<f64>,
}

/// Cables follow roads and coasts.
const fn detour() -> f64 {
    1.5
}

/// Glass of refractive index 1.49.
const fn fibre_speed() -> f64 {
    0.67
}

const fn fibre_rate() -> f64 {
    100_000.0
}

/// A route to be found at each step: the one of least latency that meets the need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteEntry {
    /// The station or satellite where it starts.
    pub from: String,
    /// The station or satellite where it ends.
    pub to: String,
    /// Smallest rate of each link, Mbit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_min_mbps: Option<f64>,
    /// Longest one-way latency, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_max_ms: Option<f64>,
    /// Largest loss of the whole route, parts per million.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_max_ppm: Option<f64>,
    /// Largest jitter of the whole route, ms; asks for the jitter of all links.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter_max_ms: Option<f64>,
}

impl RouteEntry {
    /// Any route from one node to the other.
    pub fn between(from: String, to: String) -> Self {
        let (rate_min_mbps, latency_max_ms) = (None, None);
        let (loss_max_ppm, jitter_max_ms) = (None, None);
        Self { from, to, rate_min_mbps, latency_max_ms, loss_max_ppm, jitter_max_ms }
    }

    /// What the route must offer.
    pub fn need(&self) -> RouteNeed {
        RouteNeed {
            rate_kbps_min: self.rate_min_mbps.map(kbps),
            loss_ppm_max: self.loss_max_ppm,
            latency_us_max: self.latency_max_ms.map(|ms| ms * 1000.0),
            jitter_us_max: self.jitter_max_ms.map(|ms| ms * 1000.0),
        }
    }
}

/// Rain over stations for a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeatherEntry {
    /// The names of the stations; none for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stations: Vec<String>,
    /// How much it rains, mm/h.
    pub rain_mm_h: f64,
    /// When it begins, seconds after the start.
    #[serde(default)]
    pub from_s: f64,
    /// When it ends, seconds after the start; without it never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_s: Option<f64>,
}

/// Where a node is, as far as computing cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeClass {
    /// Satellites.
    Space,
    /// Stations of kind `edge`.
    Edge,
    /// Stations of kind `cloud`.
    Cloud,
}

impl NodeClass {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Space, Self::Edge, Self::Cloud];
}

/// What the nodes of a class have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassEntry {
    /// Thousandths of a processor core.
    pub milli_cpu: u32,
    /// Memory, MiB.
    pub memory_mib: u32,
}

/// What computes where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ComputeEntry {
    /// Each satellite.
    pub space: ClassEntry,
    /// Each station of kind `edge`.
    pub edge: ClassEntry,
    /// Each station of kind `cloud`.
    pub cloud: ClassEntry,
}

impl Default for ComputeEntry {
    /// A small computer in orbit, a server at the edge, a rack in the cloud.
    fn default() -> Self {
        Self {
            space: ClassEntry { milli_cpu: 8_000, memory_mib: 16 << 10 },
            edge: ClassEntry { milli_cpu: 32_000, memory_mib: 128 << 10 },
            cloud: ClassEntry { milli_cpu: 1_024_000, memory_mib: 4 << 20 },
        }
    }
}

/// Tasks that belong together, deployed again and again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkflowEntry {
    /// Its name; an instance is `<name>-<step>-<number>`.
    pub name: String,
    /// Who places it; without it the scenario's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orchestrator: Option<String>,
    /// Where its data arise.
    #[serde(default)]
    pub anchor: Anchor,
    /// The first step at which it is deployed.
    #[serde(default)]
    pub first_step: u64,
    /// How many steps later it is deployed again; 0: never.
    #[serde(default = "one_step")]
    pub every_steps: u64,
    /// How many instances are deployed at such a step.
    #[serde(default = "one_instance")]
    pub instances: u32,
    /// After how many steps an instance is removed; without it it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_steps: Option<u64>,
    /// Its tasks, in the order in which they are placed.
    #[serde(rename = "task")]
    pub tasks: Vec<TaskEntry>,
}

const fn one_step() -> u64 {
    1
}

const fn one_instance() -> u32 {
    1
}

/// Where the data of a workflow arise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Anchor {
    /// Any node, drawn for each instance.
    #[default]
    Random,
    /// Any satellite, drawn for each instance.
    RandomSatellite,
    /// Any station, drawn for each instance.
    RandomStation,
    /// This station or satellite.
    Node(String),
}

/// A task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskEntry {
    /// Its name, unique in its workflow; also the service that it offers.
    pub name: String,
    /// Thousandths of a processor core.
    pub milli_cpu: u32,
    /// Memory, MiB.
    pub memory_mib: u32,
    /// Longest latency to what `to` names, ms; without it any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_max_ms: Option<f64>,
    /// What it must be near to.
    #[serde(default)]
    pub to: Reference,
    /// Where it may run.
    #[serde(default = "everywhere")]
    pub on: Vec<NodeClass>,
}

fn everywhere() -> Vec<NodeClass> {
    NodeClass::ALL.to_vec()
}

/// What a task must be near to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reference {
    /// The workflow's anchor.
    #[default]
    Anchor,
    /// A task of the same workflow that stands before it.
    Task(String),
    /// A station or satellite.
    Node(String),
    /// The nearest node that runs a task of this name.
    Service(String),
}

/// What happens to a node or a link, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeEntry {
    /// The node; or `link`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The two ends of a link; or `node`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<[String; 2]>,
    /// When it begins, seconds after the start.
    pub from_s: f64,
    /// When it ends, seconds after the start; without it never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_s: Option<f64>,
    /// Nothing passes.
    #[serde(default)]
    pub down: bool,
    /// At most this rate, Mbit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_max_mbps: Option<f64>,
    /// This much later, ms.
    #[serde(default)]
    pub extra_delay_ms: f64,
    /// At least this loss, parts per million.
    #[serde(default)]
    pub loss_min_ppm: u32,
}

/// Plugins; each runs when its table is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PluginEntry {
    /// Sunlight and batteries of all satellites.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy: Option<EnergyEntry>,
    /// How many satellites each station is linked with and sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<CoverageEntry>,
}

/// Has no settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoverageEntry {}

/// The power of a satellite.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnergyEntry {
    /// What the battery holds, Wh.
    pub battery_wh: f64,
    /// What it holds at the start, 0 to 1.
    pub charge_at_start: f64,
    /// What the panels give in full sun, W.
    pub solar_w: f64,
    /// What the satellite always takes, W.
    pub idle_w: f64,
    /// What a core in use takes, W.
    pub core_w: f64,
    /// Below this charge, 0 to 1, a satellite takes no new tasks.
    pub reserve: f64,
}

impl Default for EnergyEntry {
    /// A satellite of the size of the ones that carry a small computer today.
    fn default() -> Self {
        Self {
            battery_wh: 400.0,
            charge_at_start: 1.0,
            solar_w: 250.0,
            idle_w: 80.0,
            core_w: 5.0,
            reserve: 0.3,
        }
    }
}
