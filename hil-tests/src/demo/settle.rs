//! Between the last look and the checks: the fleet is whole again, and what has moved was called.

use std::time::{Duration, Instant};

use controller::api::{self, Handover, HandoverList, NodeInfo, NodeState};

use super::{Demo, DemoError, say};

/// How long nodes may take to be heard again after the last fault was healed.
const UP_TIMEOUT: Duration = Duration::from_secs(30);
/// A wait is told when it takes longer than a report needs anyway.
const TOLD_AFTER: Duration = Duration::from_secs(2);
/// How long the first call of a hand-over right at the end is waited for: two run periods, but …
const FIRST_CALL_PERIODS: u32 = 2;
/// … never longer than this.
const FIRST_CALL_MAX: Duration = Duration::from_secs(6);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl Demo<'_> {
    /// Waits until every node was heard after the last fault was healed, for a bounded time; what only a node holds that
    /// is not back by then is out of the checker's reach.
    pub(super) fn wait_until_whole(&mut self) -> Result<(), DemoError> {
        let healed = Instant::now();
        let mut told = false;
        loop {
            self.bed.check_alive()?;
            let list: api::NodeList = self.api.get("/nodes")?;
            let missing = missing(&list.nodes, healed.elapsed());
            if missing.is_empty() {
                return if told { say("all nodes are up") } else { Ok(()) };
            }
            let missing = missing.join(", ");
            if UP_TIMEOUT < healed.elapsed() {
                let limit = UP_TIMEOUT.as_secs();
                return say(&format!("after {limit} s not up, and out of reach: {missing}"));
            }
            if !told && TOLD_AFTER < healed.elapsed() {
                say(&format!("waiting until every node is up again; now missing: {missing}"))?;
                told = true;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits a run or two for the first calls of hand-overs that took over right at the end.
    pub(super) fn wait_for_first_calls(&mut self) -> Result<(), DemoError> {
        let period = Duration::from_millis(self.collector.workflow().every_ms.into());
        let limit = period.saturating_mul(FIRST_CALL_PERIODS).min(FIRST_CALL_MAX);
        let started = Instant::now();
        loop {
            let sky = self.collector.sky_now();
            self.collector.take_moves(&self.api, sky)?;
            if uncalled(&self.collector.handovers).next().is_none() || limit < started.elapsed() {
                return Ok(());
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// The nodes that are not up, or that were heard only before the last fault was healed, so long ago.
fn missing(nodes: &[NodeInfo], since_healed: Duration) -> Vec<String> {
    let is_whole = |node: &&NodeInfo| {
        let heard_since = node.age_ms.is_some_and(|age| Duration::from_millis(age) <= since_healed);
        !(node.state == NodeState::Up && heard_since)
    };
    nodes.iter().filter(is_whole).map(|node| node.id.to_string()).collect()
}

/// The newest move of each task, if it took over and was not called yet: an earlier one gets no call any more.
fn uncalled(list: &HandoverList) -> impl Iterator<Item = &Handover> {
    let all = || list.handovers.iter().chain(&list.failovers);
    let is_newest = move |one: &&Handover| {
        !all().any(|other| {
            (&other.workflow, &other.function) == (&one.workflow, &one.function)
                && one.id < other.id
        })
    };
    all().filter(is_newest).filter(|one| one.took_over_at.is_some() && one.first_call_at.is_none())
}

#[cfg(test)]
mod tests {
    use controller::api::{HandoverKind, HandoverState};
    use types::{Epoch, NodeId, OwnerEpoch, TaskId, WorkflowId};

    use super::*;

    fn moved(id: u64, task: &str, took_over: bool, called: bool) -> Handover {
        let at = |is: bool| is.then(|| Epoch::from_unix_ns(0));
        Handover {
            id,
            kind: HandoverKind::Planned,
            planned: true,
            state: HandoverState::Decided,
            workflow: WorkflowId::new("w").unwrap(),
            function: TaskId::new(task).unwrap(),
            from: NodeId::new("a").unwrap(),
            to: NodeId::new("b").unwrap(),
            window_id: None,
            predicted_close: None,
            at: None,
            decided_at: Epoch::from_unix_ns(0),
            prefetch_done_at: None,
            took_over_at: at(took_over),
            first_call_at: at(called),
            owner_epoch: OwnerEpoch(1),
            reason: String::new(),
            detection_ms: None,
        }
    }

    #[track_caller]
    fn check(handovers: Vec<Handover>, failovers: Vec<Handover>, expected: &[u64]) {
        let list = HandoverList { handovers, failovers };
        assert_eq!(uncalled(&list).map(|one| one.id).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn only_the_newest_move_of_a_task_waits_for_its_first_call() {
        check(vec![moved(1, "x", true, true), moved(2, "y", true, false)], vec![], &[2]);
        // Decided, and still with the old owner.
        check(vec![moved(1, "x", false, false)], vec![], &[]);
        // Its node was lost before it was called: nobody will call it.
        check(vec![moved(1, "x", true, false)], vec![moved(2, "x", true, true)], &[]);
        check(vec![moved(1, "x", true, false)], vec![moved(2, "x", true, false)], &[2]);
    }
}
