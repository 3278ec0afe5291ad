//! Who takes part: fixed sites on the ground, and the satellites that follow each other over the drone.
//!
//! Nothing here names a satellite or a time: both come from the constellation, the start and the seed.

use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use orbit::elements::ELEMENTS_BYTES_MAX;
use orbit::predict::{LatencyWindow, Search};
use orbit::{Sky, SkyError};

use orbit::sky_spec::{
    ConstellationSpec, FibreSpec, LinkSpec, SamePlaceSpec, SatelliteSpec, SiteSpec, SkySpec,
};
use orbit::walker::WalkerShell;
use sim_bridge::sky_file;
use sim_bridge::toml_file::{FileError, read_text};
use types::{Capacity, Epoch, LatencyUs, MiB, MilliCpu, NodeId, NodeKind};

use crate::options::Options;

/// How many nodes have an agent.
pub const NODES: usize = ATTACHED_SATELLITES + SITES.len();
/// How many satellites carry an agent.
pub const ATTACHED_SATELLITES: usize = 4;
/// The tightest requirement of the workflow decides who can follow whom: ingest to extract-frames, ms.
pub const CHAIN_LATENCY_MAX_MS: f64 = 20.0;
/// A successor is in reach so long before its predecessor leaves; wall seconds, since code and state move in wall time.
const CHAIN_OVERLAP_WALL_S: f64 = 5.0;
/// With less than this the first hand-over has no time before the window closes, wall seconds.
const OVERLAP_MIN_WALL_S: f64 = 2.0;
/// How far ahead the chain is chosen, sky seconds: two orbits at 550 km.
const CHAIN_HORIZON_S: f64 = 11_400.0;
/// Grid on which the chain is chosen, sky seconds: that of the contact plan.
const CHAIN_STEP_S: f64 = 10.0;
/// The same in nanoseconds.
const GRID_NS: i64 = 10_000_000_000;
/// The first window of the chain closes so long after the start of the replay, wall seconds: the fleet is up and its
/// workflow placed by then, and whoever watches sees a hand-over soon.
const FIRST_CLOSE_WALL_S: RangeInclusive<f64> = 15.0..=30.0;
/// A sky with few satellites may offer no better.
const FIRST_CLOSE_TOLERABLE_WALL_S: RangeInclusive<f64> = 10.0..=60.0;
/// Where the sky leaves a choice.
const FIRST_CLOSE_BEST_WALL_S: f64 = 22.0;
/// The start waits up to so many minutes of the sky for satellites that hand on to each other.
const START_WAIT_MAX_MIN: u32 = 150;
/// The seed moves the start by up to so many minutes: well within the life of an element set.
const START_SPREAD_MIN: u64 = 360;

/// The name of the controller's endpoint.
pub const CONTROLLER: &str = "controller";
/// The node at whose place the controller sits.
pub const CONTROLLER_SITE: &str = "ground-station";
/// The node that holds the camera.
pub const DRONE: &str = "drone";

/// A node of the fleet.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name.
    pub node: NodeId,
    /// Its role.
    pub kind: NodeKind,
    /// What it offers to functions.
    pub capacity: Capacity,
    /// Its energy and heat.
    pub body: Body,
    /// Whether it holds the Earth-observation reference.
    pub holds_reference: bool,
}

/// Energy and heat of an emulated board. Starting values of an Orin-class board on a 6U CubeSat bus, a drone that its
/// tether feeds from a field station, and wall-powered machines.
#[derive(Clone, Copy, Debug)]
pub struct Body {
    /// Battery in Wh; `None` on the grid.
    pub battery_wh: Option<f64>,
    /// Panels in full sun, W.
    pub solar_w: f64,
    /// Draw without functions, W.
    pub idle_w: f64,
    /// Extra draw of one busy core, W.
    pub watts_per_core: f64,
    /// Where throttling starts, °C.
    pub limit_c: f64,
}

/// A site on the ground.
struct Site {
    node: &'static str,
    kind: NodeKind,
    lat_deg: f64,
    lon_deg: f64,
    alt_km: f64,
    milli_cpu: u32,
    memory_mib: u32,
    battery_wh: Option<f64>,
    solar_w: f64,
}

/// After the eruption of January 2022 the only cable of Tonga was cut for five weeks: nothing within 20 ms but the sky.
/// The edge server stands in Honolulu (5,030 km), the station at White Sands, the cloud in Redu.
const SITES: [Site; 4] = [
    Site {
        node: "cloud",
        kind: NodeKind::Cloud,
        lat_deg: 50.002_352,
        lon_deg: 5.148_141,
        alt_km: 0.4,
        milli_cpu: 32_000,
        memory_mib: 32_768,
        battery_wh: None,
        solar_w: 0.0,
    },
    Site {
        node: DRONE,
        kind: NodeKind::Edge,
        lat_deg: -21.139,
        lon_deg: -175.204,
        alt_km: 0.3,
        milli_cpu: 2_000,
        memory_mib: 2_048,
        // A field station of the 500 Wh class with 120 W of folding panels: a tethered drone stays up for days.
        battery_wh: Some(500.0),
        solar_w: 120.0,
    },
    Site {
        node: "edge-server",
        kind: NodeKind::Edge,
        lat_deg: 21.307,
        lon_deg: -157.858,
        alt_km: 0.0,
        milli_cpu: 4_000,
        memory_mib: 4_096,
        battery_wh: None,
        solar_w: 0.0,
    },
    Site {
        node: CONTROLLER_SITE,
        kind: NodeKind::GroundStation,
        lat_deg: 32.500_649,
        lon_deg: -106.608_803,
        alt_km: 1.2,
        milli_cpu: 32_000,
        memory_mib: 32_768,
        battery_wh: None,
        solar_w: 0.0,
    },
];

/// The fleet and the sky above it.
#[derive(Debug)]
pub struct Fleet {
    /// Name of the constellation for people.
    pub constellation: String,
    /// All satellites of the sky, attached or not.
    pub satellites: usize,
    /// When the replay starts.
    pub start: Epoch,
    /// The nodes with an agent, by name.
    pub members: Vec<Member>,
    /// What the user should know of the constellation.
    pub warning: Option<String>,
    /// The sky file for controller and bridge.
    pub sky_toml: String,
    /// The same sky, to predict with.
    pub sky: Sky,
}

/// Why there is no fleet.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The constellation's file cannot be read as text.
    #[error(transparent)]
    File(#[from] FileError),
    /// A path has no absolute form, or is no text.
    #[error("{}: {source}", path.display())]
    Path {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The constellation is malformed.
    #[error("{place}: {reason}")]
    Malformed {
        /// File or option.
        place: String,
        /// Line, field, value and rule.
        reason: String,
    },
}

impl Fleet {
    /// Chooses the fleet for these options.
    ///
    /// # Errors
    /// [`FleetError`] when the constellation cannot be read or offers no satellite over the drone.
    ///
    /// # Panics
    /// Never: constants and names of this file are valid.
    pub fn choose(options: &Options) -> Result<Self, FleetError> {
        let read = |path| read_text(path, ELEMENTS_BYTES_MAX);
        let elements = options.constellation.as_deref().map(read).transpose()?;
        let place = options
            .constellation
            .as_deref()
            .map_or_else(|| "the built-in shell".to_owned(), |path| path.display().to_string());
        let malformed = |reason: String| FleetError::Malformed { place: place.clone(), reason };
        let bare = sky_toml(options, &[])?;
        let sky = parse_sky(&bare, elements.as_deref()).map_err(malformed)?;
        let earliest = earliest_start(&sky, options.seed);
        let chain = chain(&sky, earliest, options.speed);
        let chain = chain.map_err(|error| malformed(error.to_string()))?;
        let start = start_of(&chain, earliest, options.speed);
        let satellites: Vec<usize> = chain.iter().map(|window| window.satellite).collect();
        let attached = attach(&sky, &satellites);
        let sky_toml = sky_toml(options, &attached)?;
        let satellites = sky.satellites();
        let sky = parse_sky(&sky_toml, elements.as_deref()).map_err(malformed)?;
        Ok(Self {
            constellation: constellation_name(options),
            satellites,
            start,
            members: members(&attached),
            warning: sky_file::warning(&sky),
            sky_toml,
            sky,
        })
    }

    /// Names of all nodes with an agent.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.members.iter().map(|member| &member.node)
    }

    /// The node that holds the Earth-observation reference.
    ///
    /// # Panics
    /// Never: [`Fleet::choose`] gives it to one satellite.
    pub fn reference_holder(&self) -> &NodeId {
        let holder = self.members.iter().find(|member| member.holds_reference);
        &holder.expect("one satellite holds the reference").node
    }
}

fn parse_sky(sky_toml: &str, elements: Option<&str>) -> Result<Sky, String> {
    let spec = toml::from_str(sky_toml).map_err(|error| error.to_string())?;
    Sky::new(&spec, elements).map_err(|error| error.to_string())
}

fn drone() -> NodeId {
    NodeId::new(DRONE).expect("a valid name")
}

/// Four satellites that hand on to each other over the drone, from the first minute on at which the sky offers that
/// soon after the start.
fn chain(sky: &Sky, earliest: Epoch, speed: f64) -> Result<Vec<LatencyWindow>, SkyError> {
    let search = Search {
        start: earliest,
        latency_max: LatencyUs::from_ms(CHAIN_LATENCY_MAX_MS).expect("a positive constant"),
        horizon_s: CHAIN_HORIZON_S,
        step_s: CHAIN_STEP_S,
    };
    let chain_of = (ATTACHED_SATELLITES, CHAIN_OVERLAP_WALL_S * speed);
    let starts = (0..START_WAIT_MAX_MIN).map(|minute| earliest.plus_s(60.0 * f64::from(minute)));
    sky.choose_chain(&drone(), &search, chain_of, starts, |from, chain| {
        let (first, second) = (&chain[0], &chain[1]);
        let overlap_s = first.close.seconds_since(second.open);
        let begin = start_of(chain, earliest, speed);
        let after_s = first.close.seconds_since(begin);
        // Who is open at the start and lasts longer would be the first itself.
        let is_first = chain.iter().skip(1).all(|later| begin < later.open);
        let lasts_s = second.close.seconds_since(first.close);
        let hands_on = OVERLAP_MIN_WALL_S * speed <= overlap_s.min(lasts_s);
        match after_s / speed {
            _ if from < first.open || !is_first || !hands_on => 2,
            soon if FIRST_CLOSE_WALL_S.contains(&soon) => 0,
            soon if FIRST_CLOSE_TOLERABLE_WALL_S.contains(&soon) => 1,
            _ => 2,
        }
    })
}

/// When the replay starts: a while before the first window of the chain closes, and before another one that lasts
/// longer is open.
fn start_of(chain: &[LatencyWindow], earliest: Epoch, speed: f64) -> Epoch {
    let Some(first) = chain.first() else { return earliest };
    let later = chain.iter().skip(1).map(|window| window.open).min();
    let alone = later.map_or(first.close, |open| open.plus_s(-CHAIN_STEP_S));
    let soon = first.close.plus_s(-FIRST_CLOSE_BEST_WALL_S * speed);
    soon.min(alone).max(first.open).max(earliest)
}

fn earliest_start(sky: &Sky, seed: u64) -> Epoch {
    let minutes = u32::try_from(splitmix(seed) % START_SPREAD_MIN).expect("below 360");
    let at = sky.newest_epoch().plus_s(60.0 * f64::from(minutes));
    // On a point of the contact plan's grid: what the chain is promised, the plan sees as well.
    let ns = at.unix_ns();
    Epoch::from_unix_ns(ns - ns.rem_euclid(GRID_NS))
}

/// `SplitMix64`, S. Vigna 2015: spreads small seeds over all bits.
pub fn splitmix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn constellation_name(options: &Options) -> String {
    match &options.constellation {
        None => "walker-72x22-550km-53deg".to_owned(),
        Some(path) => path
            .file_stem()
            .map_or_else(|| path.display().to_string(), |stem| stem.to_string_lossy().into_owned()),
    }
}

/// The satellites that get an agent: by catalogue number, since names may come twice; a shell has names alone.
fn attach(sky: &Sky, chain: &[usize]) -> Vec<SatelliteSpec> {
    let mut attached: Vec<SatelliteSpec> = Vec::new();
    for elements in chain.iter().filter_map(|&index| sky.elements().get(index)) {
        let node = node_name(&elements.name, attached.len());
        let taken = attached.iter().any(|other| other.node == node);
        let node = if taken { numbered(attached.len()) } else { node };
        let (name, catalog) = match elements.catalog.as_str() {
            "" => (Some(elements.name.clone()), None),
            catalog => (None, Some(catalog.to_owned())),
        };
        attached.push(SatelliteSpec { node, name, catalog });
    }
    attached
}

fn node_name(name: &str, position: usize) -> NodeId {
    let lower: String = name
        .trim()
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(40)
        .collect();
    let known = SITES.iter().any(|site| site.node == lower) || lower == CONTROLLER;
    match NodeId::new(lower.trim_matches('-')) {
        Ok(node) if !known => node,
        Ok(_) | Err(_) => numbered(position),
    }
}

fn numbered(position: usize) -> NodeId {
    NodeId::new(&format!("satellite-{}", position + 1)).expect("a valid name")
}

fn members(attached: &[SatelliteSpec]) -> Vec<Member> {
    let last = attached.len() - 1;
    let satellites = attached.iter().enumerate().map(|(i, satellite)| Member {
        node: satellite.node.clone(),
        kind: NodeKind::Satellite,
        capacity: Capacity { milli_cpu: MilliCpu(4_000), memory_mib: MiB(4_096) },
        body: Body {
            battery_wh: Some(74.0),
            solar_w: 30.0,
            idle_w: 6.0,
            watts_per_core: 5.0,
            limit_c: 75.0,
        },
        holds_reference: i == last,
    });
    let sites = SITES.iter().map(|site| Member {
        node: NodeId::new(site.node).expect("a valid name"),
        kind: site.kind,
        capacity: Capacity {
            milli_cpu: MilliCpu(site.milli_cpu),
            memory_mib: MiB(site.memory_mib),
        },
        body: Body {
            battery_wh: site.battery_wh,
            solar_w: site.solar_w,
            idle_w: 5.0,
            watts_per_core: 5.0,
            limit_c: 85.0,
        },
        holds_reference: false,
    });
    let mut members: Vec<Member> = satellites.chain(sites).collect();
    members.sort_by(|a, b| a.node.cmp(&b.node));
    members
}

fn sky_toml(options: &Options, attached: &[SatelliteSpec]) -> Result<String, FleetError> {
    let node = |name: &str| NodeId::new(name).expect("a valid name");
    let site = |site: &Site| SiteSpec {
        node: node(site.node),
        lat_deg: site.lat_deg,
        lon_deg: site.lon_deg,
        alt_km: site.alt_km,
    };
    let spec = SkySpec {
        constellation: constellation(options)?,
        links: LinkSpec { min_elevation_deg: options.min_elevation, ..LinkSpec::default() },
        site: SITES.iter().map(site).collect(),
        satellite: attached.to_vec(),
        same_place: vec![SamePlaceSpec { node: node(CONTROLLER), at: node(CONTROLLER_SITE) }],
        fibre: vec![FibreSpec { a: node(CONTROLLER_SITE), b: node("cloud") }],
    };
    let text = toml::to_string(&spec).expect("names and numbers have a form in TOML");
    Ok(format!("# Written by the demo; read by controller and sim-bridge.\n{text}"))
}

/// The shell of the demo: 1,584 satellites, as the first of Starlink.
fn built_in_shell() -> WalkerShell {
    WalkerShell {
        name: "leo".to_owned(),
        planes: 72,
        slots: 22,
        altitude_km: 550.0,
        inclination_deg: 53.0,
        phasing: 17,
        raan_span_deg: 360.0,
        epoch: Epoch::from_utc((2026, 1, 1), (0, 0, 0), 0).expect("a date of the calendar"),
    }
}

fn constellation(options: &Options) -> Result<ConstellationSpec, FleetError> {
    let Some(path) = &options.constellation else {
        return Ok(ConstellationSpec { walker: Some(built_in_shell()), file: None });
    };
    let refuse = |source| FleetError::Path { path: path.clone(), source };
    let full = std::path::absolute(path).map_err(refuse)?;
    let file = full.into_os_string().into_string().map_err(|_name| {
        refuse(io::Error::new(io::ErrorKind::InvalidInput, "the path must be UTF-8 text"))
    })?;
    Ok(ConstellationSpec { walker: None, file: Some(file) })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn node_names_follow_the_rule_whatever_the_element_set_says() {
        for (name, node) in [
            ("STARLINK-1008", "starlink-1008"),
            ("IRIDIUM 106 [+]", "iridium-106"),
            ("leo-12-07", "leo-12-07"),
            ("  ", "satellite-3"),
            ("DRONE", "satellite-3"),
        ] {
            assert_eq!(node_name(name, 2).as_str(), node);
        }
    }

    fn options(constellation: Option<&str>) -> Options {
        let path = constellation.map(|path| ["--constellation", path]);
        Options::parse_from(["demo"].into_iter().chain(path.into_iter().flatten()))
    }

    #[test]
    fn satellites_of_one_name_are_told_apart_and_odd_names_are_written_as_toml() {
        let set = |number: u32| {
            let (name, anomaly) = ("SAT\u{200b} \\u\"", 15 * number);
            format!(
                r#"{{"OBJECT_NAME":{},"EPOCH":"2026-01-01T00:00:00","MEAN_MOTION":15.1,"ECCENTRICITY":0,
                "INCLINATION":53,"RA_OF_ASC_NODE":10,"ARG_OF_PERICENTER":0,"MEAN_ANOMALY":{anomaly},"BSTAR":0,
                "NORAD_CAT_ID":{number}}}"#,
                serde_json::to_string(name).unwrap()
            )
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a\u{200b}\"b.json");
        let sets: Vec<String> = (0..24).map(set).collect();
        std::fs::write(&path, format!("[{}]", sets.join(","))).unwrap();
        let fleet = Fleet::choose(&options(path.to_str())).unwrap();
        let satellites = fleet.members.iter().filter(|m| m.kind == NodeKind::Satellite);
        assert_eq!(satellites.count(), ATTACHED_SATELLITES);
        let spec: SkySpec = toml::from_str(&fleet.sky_toml).unwrap();
        assert_eq!(spec.constellation.file.as_deref(), path.to_str());
        assert!(spec.satellite.iter().all(|s| s.catalog.is_some() && s.name.is_none()));
    }

    #[test]
    fn the_shell_is_attached_by_name() {
        let fleet = Fleet::choose(&options(None)).unwrap();
        assert_eq!((fleet.satellites, fleet.warning), (1584, None));
        let spec: SkySpec = toml::from_str(&fleet.sky_toml).unwrap();
        assert!(
            spec.satellite.iter().all(|s| s.name.as_deref().is_some_and(|n| n.starts_with("leo-")))
        );
    }

    #[test]
    fn what_is_no_text_is_refused_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("set.tle.gz");
        std::fs::write(&path, b"\x1f\x8b\x08\x00").unwrap();
        let error = Fleet::choose(&options(path.to_str())).unwrap_err();
        let message = error.to_string();
        assert!(
            message.ends_with(", line 1: byte 0x8b must be UTF-8 text; this is gzip, unpack it"),
            "{message}"
        );
        assert!(matches!(error, FleetError::File(_)));
    }
}
