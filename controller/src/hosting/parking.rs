//! Tasks that run nowhere now: their workflow was set aside or removed. What they left stays where it is, and they go on from
//! there if they run again.

use serde::{Deserialize, Serialize};
use types::{NodeId, OwnerEpoch, WorkflowId};

use super::{Hosting, TaskKey};

/// Most tasks that are parked, those of workflows that were removed included; the longest parked goes first. Whoever comes
/// again after that finds its epoch out from the nodes that know it.
const PARKED_MAX: usize = 1_024;

/// A task that runs nowhere now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedTask {
    /// Where it was.
    pub node: NodeId,
    /// Under which epoch.
    pub owner_epoch: OwnerEpoch,
    /// Whether it was ever served.
    pub has_served: bool,
}

/// Where tasks were that run nowhere now, the longest parked first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Parked(Vec<(TaskKey, ParkedTask)>);

impl Parked {
    /// A task that runs again.
    pub(super) fn take(&mut self, key: &TaskKey) -> Option<ParkedTask> {
        let at = self.0.iter().position(|(parked, _)| parked == key)?;
        Some(self.0.remove(at).1)
    }

    fn add(&mut self, key: TaskKey, task: ParkedTask) {
        if self.0.len() == PARKED_MAX {
            self.0.remove(0);
        }
        self.0.push((key, task));
    }
}

impl Hosting {
    /// Takes all tasks of a workflow off their nodes, and gives up the moves that are under way.
    pub fn park(&mut self, workflow: &WorkflowId, why: &str) {
        let is_its = |key: &TaskKey| key.workflow == *workflow;
        let keys: Vec<TaskKey> = self.hosts.keys().filter(|key| is_its(key)).cloned().collect();
        for key in keys {
            let Some(host) = self.hosts.remove(&key) else { continue };
            if let Some(step) = &host.step {
                self.ledger.abandon(step.record, why);
            }
            let (node, owner_epoch, has_served) = (host.node, host.owner_epoch, host.has_served);
            self.parked.add(key, ParkedTask { node, owner_epoch, has_served });
        }
    }

    /// Where a task was that runs nowhere now.
    pub fn parked(&self, key: &TaskKey) -> Option<&ParkedTask> {
        self.parked.0.iter().find(|(parked, _)| parked == key).map(|(_, task)| task)
    }
}
