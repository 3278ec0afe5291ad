//! The contact plan: a summary of all pairs, or the windows of one.

use serde::{Deserialize, Serialize};
use types::{Epoch, NodeId, PlanVersion};

/// `GET /api/v1/plan`, and with `?a=&b=[&latency_ms=]` the windows of one pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanInfo {
    /// Counts plans.
    pub version: PlanVersion,
    /// The sky at its first grid point.
    pub start: Epoch,
    /// The sky at its last grid point.
    pub end: Epoch,
    /// Between two grid points, sky milliseconds.
    pub step_ms: u32,
    /// Grid points.
    pub steps: u32,
    /// All pairs of endpoints as they stand now, by name; empty when one pair was asked for.
    pub pairs: Vec<PairSummary>,
    /// The windows of the pair that was asked for.
    pub asked: Option<PairWindows>,
}

/// A pair of endpoints now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairSummary {
    /// The one that comes first in order.
    pub a: NodeId,
    /// The other.
    pub b: NodeId,
    /// One-way latency now, ms; `null` is no path.
    pub latency_ms: Option<f64>,
    /// Links on the path now.
    pub hops: Option<u16>,
    /// Rate of the slowest link on the path now, kbit/s.
    pub rate_kbps: Option<u32>,
    /// Windows of any path in this plan.
    pub windows: u32,
}

/// The windows of a pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairWindows {
    /// The one that comes first in order.
    pub a: NodeId,
    /// The other.
    pub b: NodeId,
    /// The need that makes a window, one way in ms; `null` is any.
    pub latency_max_ms: Option<f64>,
    /// Most links on the path of a window: 1 is direct visibility, `null` any path. Without a latency it is 1 for a
    /// satellite and what is none.
    #[serde(default)]
    pub hops_max: Option<u16>,
    /// In order of time, from now on.
    pub windows: Vec<WindowInfo>,
}

/// A contact window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowInfo {
    /// The same window keeps its id in later plans; 16 hexadecimal digits.
    pub id: String,
    /// One end.
    pub a: NodeId,
    /// The other.
    pub b: NodeId,
    /// When it opens (sky).
    pub open: Epoch,
    /// When it closes (sky).
    pub close: Epoch,
    /// `false`: it was open before the plan starts.
    pub open_known: bool,
    /// `false`: it stays open beyond the plan.
    pub close_known: bool,
    /// The largest one-way latency within it, ms.
    pub latency_max_ms: f64,
}
