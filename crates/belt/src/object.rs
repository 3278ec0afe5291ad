//! What the belt moves: objects, the groups that have one owner, and the order of a group's commits.

use core::fmt;

use serde::{Deserialize, Serialize};
use types::{OwnerEpoch, RunId, TaskId, WorkflowId};

/// BLAKE3 of the bytes of an object or bundle.
pub type Hash = [u8; 32];

/// The hash by which bytes are known.
pub fn hash_of(bytes: &[u8]) -> Hash {
    *blake3::hash(bytes).as_bytes()
}

/// A group of lasting state: everything that one task keeps between runs. It has one owner at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupId {
    /// Its workflow.
    pub workflow: WorkflowId,
    /// The task.
    pub task: TaskId,
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.workflow, self.task)
    }
}

/// A stage: one task in one run. It commits at most once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageId {
    /// Its workflow.
    pub workflow: WorkflowId,
    /// The run.
    pub run: RunId,
    /// The task.
    pub task: TaskId,
}

impl fmt::Display for StageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.workflow, self.run, self.task)
    }
}

/// The place of a commit in the history of a group: by owner, then by count.
///
/// One epoch has one owner, and an owner commits one after the other; so of two stamps of one group the higher one
/// stands for a state that contains the other, unless the lower one was never confirmed by a second copy.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Stamp {
    /// The owner that committed last, or took over last.
    pub epoch: OwnerEpoch,
    /// Counts the commits of the group; goes on from owner to owner.
    pub seq: u64,
}

impl Stamp {
    /// The stamp of the next commit of the same owner.
    #[must_use]
    pub fn next(self) -> Self {
        // 2^64 commits take longer than the fleet lives.
        Self { epoch: self.epoch, seq: self.seq.saturating_add(1) }
    }

    /// The same state under a new owner.
    #[must_use]
    pub const fn under(self, epoch: OwnerEpoch) -> Self {
        Self { epoch, seq: self.seq }
    }
}
