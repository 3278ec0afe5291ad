//! Emulation: what the sim-bridge tells, on sessions that carry nothing else.

use alloc::string::String;

use serde::{Deserialize, Serialize};
use types::{Epoch, Geodetic, NodeId, SkyClock};

use crate::codec::{Message, Schema};
use crate::rule;

/// The clock of the replay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimClock {
    /// Ties the replayed sky to the wall clock that all nodes of the bed share.
    pub clock: SkyClock,
}

/// What surrounds a node.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimEnv {
    /// The sky when it holds.
    pub at: Epoch,
    /// Share of the Sun's disc that is seen, 0 (umbra, night) to 1.
    pub sunlit: f32,
    /// Irradiance on a panel that faces the Sun, W/m².
    pub solar_w_m2: f32,
    /// Temperature of the surroundings, °C: air for ground nodes, the effective sink for satellites.
    pub ambient_c: f32,
    /// Where the node is; `None` if nobody knows, or it moves too far until it is told again.
    pub track: Option<Track>,
}

/// Where a node is at [`SimEnv::at`], and where it will be a while later; between them it moves along the great circle.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// The place at first.
    pub from: Geodetic,
    /// The place later.
    pub to: Geodetic,
    /// How much later, seconds of sky time, above 0 to 120.
    pub after_s: f32,
}

/// Longest time between the places of a track, in seconds: a satellite in low orbit is at most 2 km beside the great circle then.
pub const TRACK_S_MAX: f32 = 120.0;

/// Injects or heals a fault of the emulated links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimFault {
    /// The node whose pairs are meant.
    pub node: NodeId,
    /// One pair of it; `None` for all.
    pub peer: Option<NodeId>,
    /// What happens.
    pub action: FaultAction,
}

/// What happens to a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultAction {
    /// The link is closed: both ends see it at once.
    Close,
    /// The link swallows everything: only a lease tells.
    BlackHole,
    /// As the sky has it again.
    Heal,
}

/// The answer to a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SimFaultReply {
    /// So many pairs were changed.
    Done {
        /// How many.
        pairs: u32,
    },
    /// No such node or pair.
    NotFound {
        /// What was not found.
        what: String,
    },
}

impl Message for SimClock {
    const SCHEMA: Schema = Schema::SimClock;
    const BYTES_MAX: usize = 64;

    fn validate(&self) -> Result<(), &'static str> {
        let SkyClock { sky_at, wall_at, rate } = self.clock;
        let valid = SkyClock::new(sky_at, wall_at, rate).is_ok();
        valid.then_some(()).ok_or("the clock rate lies outside 0.001 to 1000000")
    }
}

impl Message for SimEnv {
    const SCHEMA: Schema = Schema::SimEnv;
    const BYTES_MAX: usize = 128;

    fn validate(&self) -> Result<(), &'static str> {
        let possible = (0.0..=1.0).contains(&self.sunlit)
            && (0.0..=2000.0).contains(&self.solar_w_m2)
            && (-273.15..=500.0).contains(&self.ambient_c);
        possible.then_some(()).ok_or("an environment value lies outside its range")?;
        self.track.iter().try_for_each(Track::validate)
    }
}

impl Track {
    fn validate(&self) -> Result<(), &'static str> {
        let on_earth = self.from.checked().is_ok() && self.to.checked().is_ok();
        on_earth.then_some(()).ok_or("the place of a node is not on Earth")?;
        let possible = 0.0 < self.after_s && self.after_s <= TRACK_S_MAX;
        possible.then_some(()).ok_or("a track lasts more than 0 and at most 120 s")
    }
}

impl Message for SimFault {
    const SCHEMA: Schema = Schema::SimFault;
    const BYTES_MAX: usize = 256;
}

impl Message for SimFaultReply {
    const SCHEMA: Schema = Schema::SimFaultReply;
    const BYTES_MAX: usize = 1024;

    fn validate(&self) -> Result<(), &'static str> {
        match self {
            Self::NotFound { what } => rule::reason(what),
            Self::Done { .. } => Ok(()),
        }
    }
}
