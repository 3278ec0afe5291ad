//! Which satellites a station holds links with: policies over those in sight.
//!
//! A policy orders the satellites in sight of each station; terminals are then given out in turns: the stations, in
//! ascending order, each take the best satellite that still has a terminal, one per turn, until none gains any more. So
//! no station gets a second link before each has had its first.
//!
//! Without a mask (the published model) `nearest` takes the nearest satellites wherever they are, behind the Earth too;
//! the other policies then see down to the horizon.

mod assign;
mod in_sight;
mod pass_end;
mod policies;
mod slots;

use std::fmt::Debug;

use types::{Epoch, Geodetic};

pub use policies::policy;

use crate::frame::PolarTurn;
use crate::propagate::Propagator;
use crate::visibility::Viewer;

/// A station at one instant.
#[derive(Clone, Copy, Debug)]
pub struct StationNow {
    /// Where it is.
    pub place: Geodetic,
    /// Its position and up, inertial axes.
    pub viewer: Viewer,
    /// Lowest elevation at which it sees a satellite, degrees; `None`: no mask, also below the horizon (published model).
    pub min_elevation_deg: Option<f64>,
    /// How many satellites it can hold links with at a time.
    pub terminals: u16,
}

/// Stations and satellites at one instant, as ground policies see them.
#[derive(Clone, Copy, Debug)]
pub struct GroundScene<'a> {
    /// The instant.
    pub at: Epoch,
    /// How the ground is turned against the inertial axes.
    pub turn: PolarTurn,
    /// Inertial axes, km, by satellite; not a number where one is down.
    pub positions_km: &'a [[f64; 3]],
    /// The stations, by index.
    pub stations: &'a [StationNow],
    /// How many stations a satellite can hold links with at a time.
    pub satellite_terminals: u16,
    /// Where the satellites are at other instants.
    pub propagator: &'a dyn Propagator,
}

/// A link between a station and a satellite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroundLink {
    /// The station.
    pub station: u32,
    /// The satellite.
    pub satellite: u32,
    /// Length, km.
    pub range_km: f64,
    /// Elevation of the satellite above the station's horizon, degrees.
    pub elevation_deg: f64,
}

/// A rule by which stations choose among the satellites in sight.
///
/// As for [`crate::link::LinkProtocol`]: the same instants in the same order give the same links.
pub trait GroundPolicy: Debug + Send {
    /// Its name on the command line and in scenarios.
    fn name(&self) -> &'static str;

    /// Puts the links of an instant, ascending by station and satellite, in the place of what `links` held.
    fn choose(&mut self, scene: &GroundScene<'_>, links: &mut Vec<GroundLink>);
}

/// The policies by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroundPolicyKind {
    /// The nearest satellites.
    Nearest,
    /// Those highest above the horizon.
    HighestElevation,
    /// Those that stay in sight longest.
    LongestPass,
    /// Those held until they set, then those that stay longest.
    FewestHandovers,
    /// All in sight, whatever terminals there are.
    AllVisible,
}

impl GroundPolicyKind {
    /// All of them, in the order of their descriptions.
    pub const ALL: [Self; 5] = [
        Self::Nearest,
        Self::HighestElevation,
        Self::LongestPass,
        Self::FewestHandovers,
        Self::AllVisible,
    ];

    /// The name on the command line and in scenarios.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::HighestElevation => "highest_elevation",
            Self::LongestPass => "longest_pass",
            Self::FewestHandovers => "fewest_handovers",
            Self::AllVisible => "all_visible",
        }
    }

    /// The policy of this name; `None` for a name that no policy has.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

#[cfg(test)]
mod tests;
