//! The controller itself: its clock, its health, its errors.

use serde::{Deserialize, Serialize};
use types::{Epoch, LeaderEpoch, PlanVersion, SkyClock};

/// `GET /api/v1/clock`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClockInfo {
    /// The sky now.
    pub sky: Epoch,
    /// Sky seconds per wall second.
    pub rate: f64,
    /// `replay` (told by the sim-bridge) or `real`.
    pub source: String,
    /// The clock itself.
    pub clock: SkyClock,
}

/// Whether the controller can do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthState {
    /// Something that it needs is still missing.
    Starting,
    /// It plans and places.
    Ready,
    /// A controller with a higher epoch commands the nodes; this one keeps quiet.
    Deposed,
}

/// `GET /api/v1/health`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Whether it can work.
    pub state: HealthState,
    /// What it waits for, one line each.
    pub waiting_for: Vec<String>,
    /// Version of the controller.
    pub version: String,
    /// Its incarnation.
    pub epoch: LeaderEpoch,
    /// Since its start, wall ms.
    pub uptime_ms: u64,
    /// The newest contact plan.
    pub plan: Option<PlanVersion>,
    /// Nodes of the configuration.
    pub nodes: u32,
    /// Nodes that were heard at least once.
    pub nodes_heard: u32,
    /// Nodes within their lease.
    pub nodes_up: u32,
    /// Frames that were refused, from all nodes and from nobody known.
    pub frames_refused: u64,
    /// Inputs that found the inbox full; reports are replaced by the next, events are asked for again.
    pub inputs_dropped: u64,
    /// What is wrong, one line each.
    pub problems: Vec<String>,
}

/// The body of every answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ApiError,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// `bad_request`, `bad_config`, `not_found`, `conflict`, `denied`, `too_large`, `infeasible`,
    /// `unavailable`, `timeout` or `internal`.
    pub code: String,
    /// In words: what, where, value, rule.
    pub message: String,
}
