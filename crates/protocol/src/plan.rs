//! The contact plan on the wire: `_topo/plan`, put when a new one is made and answered to queries.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use types::{Epoch, NodeId, NodeKind, PlanVersion};

use crate::codec::{Message, Schema};

/// Most pairs in one plan: all of a fleet of 128 nodes; a node's own are at most 255.
pub const PAIRS_MAX: usize = 8_192;
/// Most values in one plan, all pairs together.
pub const VALUES_MAX: usize = 3_000_000;
/// Most nodes whose kind is told: as many as a fleet has, and its controllers.
pub const NODES_MAX: usize = 256;
/// Most grid points: two orbits of 100 minutes at one second.
pub const STEPS_MAX: u32 = 12_000;
/// A loss of everything, in parts per million.
pub const LOSS_PPM_MAX: u32 = 1_000_000;
/// Certainty, in parts per million.
pub const CONFIDENCE_PPM_MAX: u32 = 1_000_000;

/// Asks for the newest plan; `have` saves the transfer of the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanQuery {
    /// The version that the asker holds, if any.
    pub have: Option<PlanVersion>,
}

/// The answer, and what is put when a new plan is made. A node receives its own pairs only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanMessage {
    /// Counts plans.
    pub version: PlanVersion,
    /// The sky at the first grid point.
    pub start: Epoch,
    /// Between two grid points, in milliseconds.
    pub step_ms: u32,
    /// Grid points.
    pub steps: u32,
    /// The pairs of nodes.
    pub pairs: Vec<WirePair>,
    /// What the nodes of the fleet are, as far as the controller knows; each once.
    pub nodes: Vec<WireNode>,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireNode {
    /// Its name.
    pub node: NodeId,
    /// Its role.
    pub kind: NodeKind,
}

/// A pair of nodes and its runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WirePair {
    /// The one that comes first in order.
    pub a: NodeId,
    /// The other.
    pub b: NodeId,
    /// One value for each grid point: one-way latency in microseconds plus one, or 0 for "no path".
    pub latency_us_plus_one: Vec<u32>,
    /// The smallest rate of a path over the whole plan, in kbit/s; 0 if there never is a path.
    pub rate_kbps_min: u32,
    /// The largest loss of a path over the whole plan, in parts per million; 0 if there never is a path.
    pub loss_ppm_max: u32,
    /// How sure the plan is of this pair at its last grid point, in parts per million; it only falls until then.
    /// `WIRE.md` states the formula.
    pub confidence_ppm: u32,
}

impl Message for PlanQuery {
    const SCHEMA: Schema = Schema::PlanQuery;
    const BYTES_MAX: usize = 16;
}

impl Message for PlanMessage {
    const SCHEMA: Schema = Schema::Plan;
    const BYTES_MAX: usize = 16 * 1024 * 1024;

    fn validate(&self) -> Result<(), &'static str> {
        if self.step_ms == 0 || self.steps == 0 || STEPS_MAX < self.steps {
            return Err("a plan has 1 to 12000 grid points and a step of at least 1 ms");
        }
        if PAIRS_MAX < self.pairs.len() {
            return Err("a plan holds at most 8192 pairs");
        }
        if NODES_MAX < self.nodes.len() {
            return Err("a plan tells the kinds of at most 256 nodes");
        }
        let values = self.pairs.iter().map(|pair| pair.latency_us_plus_one.len());
        if VALUES_MAX < values.sum() {
            return Err("a plan holds at most 3000000 values");
        }
        self.pairs.iter().try_for_each(|pair| pair.validate(self.steps))
    }
}

impl WirePair {
    fn validate(&self, steps: u32) -> Result<(), &'static str> {
        if u32::try_from(self.latency_us_plus_one.len()) != Ok(steps) {
            return Err("each pair has a value for each grid point");
        }
        if LOSS_PPM_MAX < self.loss_ppm_max {
            return Err("a loss lies outside 0 to 1000000 ppm");
        }
        let possible = self.confidence_ppm <= CONFIDENCE_PPM_MAX;
        possible.then_some(()).ok_or("a confidence lies outside 0 to 1000000 ppm")
    }
}
