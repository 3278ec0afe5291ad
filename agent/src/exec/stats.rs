//! Sums over the calls of each task, for reports.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::invoke::{Invoked, Outcome};
use protocol::report::TaskStats;

use crate::state::GroupId;

/// Tasks in a report: with the longest names they still fit into one frame.
const TASKS_REPORTED_MAX: usize = 32;

/// The sums of all tasks that ran here.
#[derive(Debug, Default)]
pub(super) struct Stats {
    tasks: BTreeMap<GroupId, TaskStats>,
}

impl Stats {
    /// Counts a call.
    pub(super) fn count(&mut self, group: &GroupId, invoked: &Invoked, wall: Duration) {
        if TASKS_REPORTED_MAX <= self.tasks.len() && !self.tasks.contains_key(group) {
            // The task that ran least makes room.
            let least = self.tasks.iter().min_by_key(|(_, stats)| stats.calls);
            if let Some(group) = least.map(|(group, _)| group.clone()) {
                self.tasks.remove(&group);
            }
        }
        let stats = self.tasks.entry(group.clone()).or_insert_with(|| TaskStats {
            workflow: group.workflow.clone(),
            task: group.task.clone(),
            calls: 0,
            failures: 0,
            local_starts: 0,
            wall_us: 0,
            cpu_us: 0,
        });
        match &invoked.outcome {
            Outcome::Committed(done) => {
                stats.calls += 1;
                stats.local_starts += u64::from(done.local_at_start && !done.again);
            }
            Outcome::Failed(_) => stats.failures += 1,
        }
        stats.wall_us += u64::try_from(wall.as_micros()).unwrap_or(0);
        stats.cpu_us += invoked.record.cpu_ns / 1000;
    }

    /// The sums.
    pub(super) fn tasks(&self) -> Vec<TaskStats> {
        self.tasks.values().cloned().collect()
    }
}
