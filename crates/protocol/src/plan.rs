//! The contact plan on the wire: `_topo/plan`, put when a new one is made and answered to queries.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use types::{Epoch, NodeId, PlanVersion};

use crate::codec::{Message, Schema};

/// Most nodes with an agent in one plan.
pub const NODES_MAX: usize = 256;
/// Most grid points: two orbits of 100 minutes at one second.
pub const STEPS_MAX: u32 = 12_000;

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
}

impl Message for PlanQuery {
    const SCHEMA: Schema = Schema::PlanQuery;
    const BYTES_MAX: usize = 16;
}

impl Message for PlanMessage {
    const SCHEMA: Schema = Schema::Plan;
    const BYTES_MAX: usize = 8 * 1024 * 1024;

    fn validate(&self) -> Result<(), &'static str> {
        if self.step_ms == 0 || self.steps == 0 || STEPS_MAX < self.steps {
            return Err("a plan has 1 to 12000 grid points and a step of at least 1 ms");
        }
        if NODES_MAX * NODES_MAX / 2 < self.pairs.len() {
            return Err("a plan holds at most 256 nodes");
        }
        let complete = self
            .pairs
            .iter()
            .all(|pair| u32::try_from(pair.latency_us_plus_one.len()) == Ok(self.steps));
        complete.then_some(()).ok_or("each pair has a value for each grid point")
    }
}
