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

#[cfg(test)]
mod tests {
    use protocol::invoke::{Committed, Fault, InvocationRecord};
    use types::{NodeId, TaskId, WorkflowId};

    use super::*;

    fn group(task: &str) -> GroupId {
        GroupId { workflow: WorkflowId::new("flood").unwrap(), task: TaskId::new(task).unwrap() }
    }

    fn done(local_at_start: bool, again: bool) -> Outcome {
        Outcome::Committed(Committed {
            outputs: Vec::new(),
            copies: vec![NodeId::new("sat-1").unwrap()],
            single_copy: None,
            state_writes: 0,
            local_at_start,
            again,
            body: Vec::new(),
        })
    }

    #[test]
    fn calls_are_summed_by_what_came_of_them() {
        let mut stats = Stats::default();
        let record = InvocationRecord { cpu_ns: 2_000_000, ..InvocationRecord::default() };
        for outcome in
            [done(true, false), done(false, false), done(true, true), Outcome::Failed(Fault::Busy)]
        {
            let invoked = Invoked { outcome, record: record.clone() };
            stats.count(&group("detect"), &invoked, Duration::from_millis(5));
        }
        let sums = &stats.tasks()[0];
        assert_eq!((sums.calls, sums.failures, sums.local_starts), (3, 1, 1));
        assert_eq!((sums.wall_us, sums.cpu_us), (20_000, 8000));
    }

    #[test]
    fn the_task_that_ran_least_makes_room() {
        let mut stats = Stats::default();
        let once = Invoked { outcome: done(true, false), record: InvocationRecord::default() };
        for number in 0..40 {
            for _ in 0..=number {
                stats.count(&group(&format!("t{number}")), &once, Duration::ZERO);
            }
        }
        let tasks = stats.tasks();
        assert_eq!(tasks.len(), TASKS_REPORTED_MAX);
        assert!(tasks.iter().all(|task| task.task.as_str() != "t0"));
        assert!(tasks.iter().any(|task| task.task.as_str() == "t39"));
    }
}
