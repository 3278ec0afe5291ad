//! Who takes part: fixed sites on the ground, and the satellites that follow each other over the drone.
//!
//! Nothing here names a satellite or a time: both come from the constellation, the start and the seed.

use std::path::{Path, PathBuf};

use orbit::Sky;
use types::{Capacity, Epoch, LatencyUs, MiB, MilliCpu, NodeId, NodeKind};

use crate::options::Options;

/// How many nodes have an agent.
pub const NODES: usize = ATTACHED_SATELLITES + SITES.len();
/// How many satellites carry an agent.
pub const ATTACHED_SATELLITES: usize = 4;
/// The tightest requirement of the workflow decides who can follow whom: ingest to extract-frames, ms.
pub const CHAIN_LATENCY_MAX_MS: f64 = 20.0;
/// A successor is in reach so long before its predecessor leaves; wall seconds, since code and state move in wall time.
const CHAIN_OVERLAP_WALL_S: f64 = 8.0;
/// How far ahead the chain is chosen, sky seconds: two orbits at 550 km.
const CHAIN_HORIZON_S: f64 = 11_400.0;
/// Grid on which the chain is chosen, sky seconds.
const CHAIN_STEP_S: f64 = 30.0;
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
    /// The sky file for controller and bridge.
    pub sky_toml: String,
    /// The same sky, to predict with.
    pub sky: Sky,
}

/// Why there is no fleet.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
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
        let elements = options.constellation.as_deref().map(read).transpose()?;
        let place = options
            .constellation
            .as_deref()
            .map_or_else(|| "the built-in shell".to_owned(), |path| path.display().to_string());
        let malformed = |reason: String| FleetError::Malformed { place: place.clone(), reason };
        let bare = sky_toml(options, &[])?;
        let sky = parse_sky(&bare, elements.as_deref()).map_err(malformed)?;
        let start = start_of(&sky, options.seed);
        let chain = sky
            .choose_chain(
                &drone(),
                start,
                ATTACHED_SATELLITES,
                LatencyUs::from_ms(CHAIN_LATENCY_MAX_MS).expect("a positive constant"),
                CHAIN_OVERLAP_WALL_S * options.speed,
                CHAIN_HORIZON_S,
                CHAIN_STEP_S,
            )
            .map_err(|error| malformed(error.to_string()))?;
        let attached = name_satellites(&sky, &chain);
        let sky_toml = sky_toml(options, &attached)?;
        let satellites = sky.satellites();
        let sky = parse_sky(&sky_toml, elements.as_deref()).map_err(malformed)?;
        Ok(Self {
            constellation: constellation_name(options),
            satellites,
            start,
            members: members(&attached),
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

fn read(path: &Path) -> Result<String, FleetError> {
    std::fs::read_to_string(path)
        .map_err(|source| FleetError::Read { path: path.to_owned(), source })
}

fn parse_sky(sky_toml: &str, elements: Option<&str>) -> Result<Sky, String> {
    let spec = toml::from_str(sky_toml).map_err(|error| error.to_string())?;
    Sky::new(&spec, elements).map_err(|error| error.to_string())
}

fn drone() -> NodeId {
    NodeId::new(DRONE).expect("a valid name")
}

fn start_of(sky: &Sky, seed: u64) -> Epoch {
    let minutes = u32::try_from(splitmix(seed) % START_SPREAD_MIN).expect("below 360");
    sky.newest_epoch().plus_s(60.0 * f64::from(minutes))
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

/// Satellites as `(node, name in the element set)`.
fn name_satellites(sky: &Sky, chain: &[usize]) -> Vec<(NodeId, String)> {
    let mut named: Vec<(NodeId, String)> = Vec::new();
    for &index in chain {
        let name = sky.satellite_name(index);
        let node = node_name(name, named.len());
        let taken = named.iter().any(|(other, _)| *other == node);
        let node = if taken { numbered(named.len()) } else { node };
        named.push((node, name.to_owned()));
    }
    named
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

fn members(attached: &[(NodeId, String)]) -> Vec<Member> {
    let last = attached.len() - 1;
    let satellites = attached.iter().enumerate().map(|(i, (node, _))| Member {
        node: node.clone(),
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

fn sky_toml(options: &Options, attached: &[(NodeId, String)]) -> Result<String, FleetError> {
    let mut text = vec![String::from(
        "# Written by the demo; read by controller and sim-bridge.\n[constellation]\n",
    )];
    match &options.constellation {
        None => text.push(String::from(
            "walker = { name = \"leo\", planes = 72, slots = 22, altitude_km = 550.0, \
             inclination_deg = 53.0, phasing = 17, epoch = \"2026-01-01T00:00:00Z\" }\n",
        )),
        Some(path) => {
            let full = std::path::absolute(path)
                .map_err(|source| FleetError::Read { path: path.clone(), source })?;
            text.push(format!("file = {:?}\n", full.display().to_string()));
        }
    }
    text.push(format!("\n[links]\nmin_elevation_deg = {:?}\n", options.min_elevation));
    for site in &SITES {
        text.push(format!(
            "\n[[site]]\nnode = {:?}\nlat_deg = {:?}\nlon_deg = {:?}\nalt_km = {:?}\n",
            site.node, site.lat_deg, site.lon_deg, site.alt_km
        ));
    }
    for (node, name) in attached {
        text.push(format!("\n[[satellite]]\nnode = \"{node}\"\nname = {name:?}\n"));
    }
    text.push(format!(
        "\n[[same_place]]\nnode = {CONTROLLER:?}\nat = {CONTROLLER_SITE:?}\n\
         \n[[fibre]]\na = {CONTROLLER_SITE:?}\nb = \"cloud\"\n"
    ));
    Ok(text.concat())
}

#[cfg(test)]
mod tests {
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
}
