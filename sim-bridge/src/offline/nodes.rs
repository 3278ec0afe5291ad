//! The nodes of a simulated network by number and name: first the satellites, then the stations.

use std::collections::BTreeMap;
use std::sync::Arc;

use orbit::elements::Elements;
use orbit::station::{Station, StationKind};
use topology::NodeIx;

use super::scenario::NodeClass;
use crate::near_names::near_names;

/// Most nodes of a simulation: ten times the largest constellation that is planned.
pub const NODES_MAX: usize = 1_000_000;

/// Input from which no network can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodesError {
    /// There is nothing to simulate.
    #[error("there are no satellites: name element sets or a Walker shell")]
    Empty,
    /// Too many.
    #[error("{nodes} satellites and stations are more than {NODES_MAX}")]
    TooMany {
        /// How many.
        nodes: usize,
    },
    /// Names tell nodes apart.
    #[error("the name {name:?} comes twice: {first} and {second}; names must be unique")]
    TwinName {
        /// The name.
        name: String,
        /// Who has it.
        first: String,
        /// Who has it, too.
        second: String,
    },
}

/// A name that no node has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no satellite and no station {name:?}; near to it: {}", near.join(", "))]
pub struct UnknownName {
    /// The name.
    pub name: String,
    /// Those that are nearest to it.
    pub near: Vec<String>,
}

/// The nodes of a network.
#[derive(Clone, Debug)]
pub struct Nodes {
    names: Arc<[String]>,
    satellite_names: Arc<[String]>,
    stations: Arc<[Station]>,
    by_name: BTreeMap<String, NodeIx>,
}

impl Nodes {
    /// Of satellites and stations, by index.
    ///
    /// # Errors
    /// [`NodesError`].
    pub fn new(elements: &[Elements], stations: Vec<Station>) -> Result<Self, NodesError> {
        Self::of_names(elements.iter().map(|e| e.name.clone()).collect(), stations)
    }

    /// Of the names of satellites and of stations, by index.
    ///
    /// # Errors
    /// [`NodesError`].
    pub fn of_names(satellites: Vec<String>, stations: Vec<Station>) -> Result<Self, NodesError> {
        if satellites.is_empty() {
            return Err(NodesError::Empty);
        }
        let nodes = satellites.len() + stations.len();
        if NODES_MAX < nodes {
            return Err(NodesError::TooMany { nodes });
        }
        let count = satellites.len();
        let names: Arc<[String]> =
            satellites.iter().cloned().chain(stations.iter().map(|s| s.name.clone())).collect();
        let mut by_name = BTreeMap::new();
        for (index, name) in (0..).zip(names.iter()) {
            if let Some(NodeIx(first)) = by_name.insert(name.clone(), NodeIx(index)) {
                let call = |index: u32| called(index as usize, count);
                let (first, second) = (call(first), call(index));
                return Err(NodesError::TwinName { name: name.clone(), first, second });
            }
        }
        Ok(Self { names, satellite_names: satellites.into(), stations: stations.into(), by_name })
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Never: a network has satellites.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// How many satellites there are.
    pub fn satellites(&self) -> usize {
        self.satellite_names.len()
    }

    /// The names of the satellites, by index.
    pub fn satellite_names(&self) -> &Arc<[String]> {
        &self.satellite_names
    }

    /// The stations, by index.
    pub fn stations(&self) -> &Arc<[Station]> {
        &self.stations
    }

    /// The name of a node; empty for one that does not exist.
    pub fn name(&self, node: NodeIx) -> &str {
        self.names.get(node.index()).map_or("", String::as_str)
    }

    /// All nodes, ascending: satellites, then stations.
    pub fn all(&self) -> impl Iterator<Item = NodeIx> {
        (0..).zip(self.names.iter()).map(|(index, _)| NodeIx(index))
    }

    /// The node of a station.
    ///
    /// # Panics
    /// For a number beyond any station's.
    pub fn of_station(&self, station: usize) -> NodeIx {
        NodeIx(u32::try_from(self.satellites() + station).expect("at most NODES_MAX nodes"))
    }

    /// The station of a node; `None` for satellites.
    pub fn station_of(&self, node: NodeIx) -> Option<&Station> {
        self.stations.get(node.index().checked_sub(self.satellites())?)
    }

    /// Where a node computes, if it does.
    pub fn class(&self, node: NodeIx) -> Option<NodeClass> {
        if node.index() < self.satellites() {
            return Some(NodeClass::Space);
        }
        match self.station_of(node)?.kind {
            StationKind::Edge => Some(NodeClass::Edge),
            StationKind::Cloud => Some(NodeClass::Cloud),
            StationKind::Ground | StationKind::User => None,
        }
    }

    /// The node of a name.
    ///
    /// # Errors
    /// [`UnknownName`].
    pub fn find(&self, name: &str) -> Result<NodeIx, UnknownName> {
        self.by_name.get(name).copied().ok_or_else(|| self.unknown(name))
    }

    /// The two nodes of `A:B`, where names may hold colons themselves: the first split into two known names counts.
    ///
    /// # Errors
    /// [`UnknownName`] of the first end that does not exist.
    pub fn find_pair(&self, text: &str) -> Result<(NodeIx, NodeIx), UnknownName> {
        let splits = || text.match_indices(':').map(|(at, _)| (&text[..at], &text[at + 1..]));
        let known = splits().find_map(|(a, b)| Some((self.find(a).ok()?, self.find(b).ok()?)));
        match (known, splits().next()) {
            (Some(pair), _) => Ok(pair),
            (None, Some((a, b))) => Ok((self.find(a)?, self.find(b)?)),
            (None, None) => Err(self.unknown(text)),
        }
    }

    fn unknown(&self, name: &str) -> UnknownName {
        let near = near_names(self.names.iter().map(String::as_str), name);
        let near = near.into_iter().map(str::to_owned).collect();
        UnknownName { name: name.chars().take(100).collect(), near }
    }
}

fn called(node: usize, satellites: usize) -> String {
    match node.checked_sub(satellites) {
        None => format!("satellite {}", node + 1),
        Some(station) => format!("station {}", station + 1),
    }
}
