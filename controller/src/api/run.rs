//! Runs, measured links and objects.

use protocol::invoke::InvocationRecord;
use serde::{Deserialize, Serialize};
use types::{Epoch, NodeId, OwnerEpoch, RunId, StateKey, TaskId, Version, WorkflowId};

/// `GET /api/v1/runs?workflow=&after=`: at most 500 records with a cursor above `after`, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunPage {
    /// The records.
    pub runs: Vec<RunInfo>,
    /// Give this as `after` to read on.
    pub next: u64,
    /// Whether more are there already.
    pub more: bool,
}

/// How a run went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Counts records since the controller started, from 1.
    pub cursor: u64,
    /// Its workflow.
    pub workflow: WorkflowId,
    /// The run.
    pub run: RunId,
    /// Who drove it.
    pub driver: NodeId,
    /// When it was triggered (sky).
    pub started_at: Epoch,
    /// From trigger to last commit, wall microseconds.
    pub wall_us: u64,
    /// `null` if it completed, else why it failed.
    pub failure: Option<String>,
    /// The stages in the order in which they committed.
    pub stages: Vec<StageInfo>,
    /// The answer of the last stage, text.
    pub result: String,
}

/// How a stage of a run went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageInfo {
    /// The task.
    pub task: TaskId,
    /// Where it ran.
    pub node: NodeId,
    /// How often it was tried, from 1.
    pub attempts: u32,
    /// Where its results are durable.
    pub copies: Vec<NodeId>,
    /// What it cost.
    pub cost: InvocationRecord,
}

/// `GET /api/v1/links?after=`: at most 5,000 samples with a cursor above `after`, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkSamples {
    /// The samples.
    pub samples: Vec<LinkSampleInfo>,
    /// Give this as `after` to read on.
    pub next: u64,
    /// Whether more are there already.
    pub more: bool,
}

/// One measured round trip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkSampleInfo {
    /// Counts samples since the controller started, from 1.
    pub cursor: u64,
    /// Who measured.
    pub node: NodeId,
    /// The other end.
    pub peer: NodeId,
    /// The sky half-way through the round trip.
    pub at: Epoch,
    /// The round trip, microseconds; `null` when no answer came in time.
    pub rtt_us: Option<u32>,
}

/// `GET /api/v1/objects?workflow=&task=&key=[&run=][&node=]`: an object that was read back over the bus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectInfo {
    /// Its workflow (`source` for data sources).
    pub workflow: WorkflowId,
    /// The run; `null` for lasting state.
    pub run: Option<RunId>,
    /// The task.
    pub task: TaskId,
    /// The key.
    pub key: StateKey,
    /// The node that answered.
    pub node: NodeId,
    /// Counts its writes.
    pub version: Version,
    /// The epoch under which it was written.
    pub owner_epoch: OwnerEpoch,
    /// Its size.
    pub bytes: u64,
    /// BLAKE3 of the bytes that were read, hexadecimal.
    pub hash: String,
    /// Whether that is the hash under which the node keeps them.
    pub intact: bool,
}
