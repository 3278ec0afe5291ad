//! What the driver of a workflow has done, as it is kept on disk.

use std::time::Duration;

use protocol::belt::ObjectMeta;
use protocol::event::StageRecord;
use serde::{Deserialize, Serialize};
use types::{Epoch, Instant, OwnerEpoch, RunId, WallTime};

use crate::event::Now;

/// Runs that one owner epoch has numbers for: thirty years at one run a second. With it a run's number is exact in
/// JSON up to nine million epochs.
pub(super) const RUNS_PER_EPOCH: u64 = 1_000_000_000;

/// The journal of one workflow. A run's number is `owner epoch of the first task * 10^9 + count`: two drivers never
/// own the first task under one epoch, so no number is used twice, whoever drives and however often it restarts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Journal {
    /// The owner epoch of the newest numbers.
    pub(super) epoch: OwnerEpoch,
    /// Numbers used under it.
    pub(super) count: u64,
    /// The run that came to its end last.
    pub(super) last_finished: Option<RunId>,
    /// The run in flight.
    pub(super) run: Option<OpenRun>,
}

/// A run in flight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OpenRun {
    pub(super) id: RunId,
    pub(super) started_at: Epoch,
    pub(super) started_wall: WallTime,
    /// Stages in the order in which they committed.
    pub(super) stages: Vec<StageDone>,
    /// The answer of the last stage.
    pub(super) result: Vec<u8>,
    /// What went wrong last.
    pub(super) last_fault: String,
    /// When it has failed at the latest; known anew after each start.
    #[serde(skip)]
    pub(super) ends: Instant,
}

/// A stage that is committed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StageDone {
    pub(super) record: StageRecord,
    pub(super) outputs: Vec<ObjectMeta>,
}

impl Journal {
    /// Reads a journal.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| format!("cannot be read: {error}"))
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("these types have text keys and no way to fail")
    }

    /// Opens the next run.
    pub(super) fn open(&mut self, owner_epoch: OwnerEpoch, now: &Now, deadline_ms: u32) {
        if self.epoch < owner_epoch {
            self.epoch = owner_epoch;
            self.count = 0;
        }
        self.count += 1;
        self.run = Some(OpenRun {
            id: RunId(self.epoch.0.saturating_mul(RUNS_PER_EPOCH).saturating_add(self.count)),
            started_at: now.sky,
            started_wall: now.wall,
            stages: Vec::new(),
            result: Vec::new(),
            last_fault: String::new(),
            ends: now.at.plus(Duration::from_millis(u64::from(deadline_ms))),
        });
    }
}

impl OpenRun {
    /// When a run that may take `deadline_ms` on the wall clock has failed.
    pub(super) fn ends_at(&self, now: &Now, deadline_ms: u32) -> Instant {
        let since = now.wall.0.saturating_sub(self.started_wall.0);
        let since = Duration::from_nanos(u64::try_from(since).unwrap_or(0));
        let left = Duration::from_millis(u64::from(deadline_ms)).saturating_sub(since);
        now.at.plus(left)
    }
}
