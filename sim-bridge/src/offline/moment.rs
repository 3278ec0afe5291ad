//! The sky and its network at one step, never changed once built.

use orbit::frame::PolarTurn;
use orbit::ground::{GroundLink, StationNow};
use orbit::link::IslSet;
use topology::Graph;
use types::Epoch;

/// Everything that holds at one step. Nodes of the graph: first the satellites by index, then the stations.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Counts steps from 0; step 0 is the start itself.
    pub step: u64,
    /// The instant.
    pub at: Epoch,
    /// How the ground is turned against the inertial axes.
    pub turn: PolarTurn,
    /// Inertial axes, km, by satellite; not a number where one is down.
    pub positions_km: Vec<[f64; 3]>,
    /// The links between satellites.
    pub isl: IslSet,
    /// The stations, by index.
    pub stations: Vec<StationNow>,
    /// The links between stations and satellites.
    pub ground: Vec<GroundLink>,
    /// The network of all links that are up.
    pub graph: Graph,
}
