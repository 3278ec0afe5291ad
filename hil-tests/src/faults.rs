//! Faults: an agent is killed and restarted, a node is cut off with its links closed, then one with its links as black
//! holes.
//!
//! Victims are chosen from what the fleet does at that moment, by rule and seed; nothing names a node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use controller::api::{NodeState, PlacementInfo};
use placement::Workflow;
use protocol::key::SimKeys;
use protocol::sim::{FaultAction, SimFault, SimFaultReply};
use types::NodeId;
use zenoh::Wait;

use crate::fleet::splitmix;

/// A killed agent comes back after this.
pub const RESTART_AFTER: Duration = Duration::from_secs(15);
/// How long a node is cut off; longer than two leases, so that it must be noticed.
pub const CUT_FOR: Duration = Duration::from_secs(9);

/// When what happens, counted from the last node's first report.
#[derive(Clone, Debug)]
pub struct Schedule {
    steps: Vec<(Duration, Step)>,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// An agent is killed with SIGKILL.
    Kill,
    /// It is started again.
    Restart,
    /// All pairs of a node are closed.
    Close,
    /// All pairs of a node swallow everything.
    BlackHole,
    /// The node is as the sky has it.
    Heal,
}

impl Schedule {
    /// The faults of a run of this length (of two minutes when it has no end).
    pub fn over(duration: Option<Duration>) -> Self {
        let whole = duration.unwrap_or(Duration::from_secs(120));
        let kill = whole.mul_f64(0.30);
        let close = whole.mul_f64(0.55).max(kill + RESTART_AFTER + Duration::from_secs(3));
        let hole = whole.mul_f64(0.75).max(close + CUT_FOR + Duration::from_secs(8));
        Self {
            steps: vec![
                (kill, Step::Kill),
                (kill + RESTART_AFTER, Step::Restart),
                (close, Step::Close),
                (close + CUT_FOR, Step::Heal),
                (hole, Step::BlackHole),
                (hole + CUT_FOR, Step::Heal),
            ],
        }
    }

    /// No faults.
    pub const fn none() -> Self {
        Self { steps: Vec::new() }
    }

    /// The next step that is due.
    pub fn due(&mut self, elapsed: Duration) -> Option<Step> {
        let (at, step) = *self.steps.first()?;
        (at <= elapsed).then(|| {
            self.steps.remove(0);
            step
        })
    }
}

/// What forbids a node to host a task, as the API names it up to ` to `. All other constraints only say why another
/// node was preferred.
const FORBIDS: [&str; 11] = [
    "alive",
    "pinned",
    "kind",
    "cpu",
    "memory",
    "source",
    "latency",
    "outage",
    "unplanned",
    "battery",
    "temperature",
];

/// The node that hurts: it hosts tasks, and is not one of `spared`, without which the workflow can only wait (its first
/// host, which drives the runs, and the holders of its data sources; see [`spared`]).
///
/// Hosts whose tasks can all run elsewhere go first, then the lot decides. `None` when there is no such host now.
pub fn victim(
    placements: &[PlacementInfo],
    nodes: &[(NodeId, NodeState)],
    spared: &BTreeSet<NodeId>,
    seed: u64,
) -> Option<NodeId> {
    let up: BTreeSet<&NodeId> =
        nodes.iter().filter(|(_, state)| *state == NodeState::Up).map(|(node, _)| node).collect();
    let mut is_stuck: BTreeMap<&NodeId, bool> = BTreeMap::new();
    for placement in placements {
        let Some(host) = placement.node.as_ref() else { continue };
        if up.contains(host) && !spared.contains(host) {
            *is_stuck.entry(host).or_default() |=
                !up.iter().any(|node| *node != host && !is_forbidden(placement, node));
        }
    }
    let lot = |host: &NodeId| {
        host.as_str().bytes().fold(seed, |lot, byte| splitmix(lot ^ u64::from(byte)))
    };
    is_stuck
        .into_iter()
        .min_by_key(|(host, is_stuck)| (*is_stuck, lot(host)))
        .map(|(host, _)| host.clone())
}

/// The nodes without which the workflow can only wait: holders of its sources, and the host of its first task.
pub fn spared(workflow: &Workflow, placements: &[PlacementInfo]) -> BTreeSet<NodeId> {
    let first = workflow.tasks.first();
    let pinned = first.and_then(|task| task.pinned.clone());
    let driver =
        placements.iter().filter(|placement| first.is_some_and(|task| task.id == placement.task));
    let driver = driver.filter_map(|placement| placement.node.clone());
    workflow.sources.iter().map(|source| source.node.clone()).chain(pinned).chain(driver).collect()
}

fn is_forbidden(placement: &PlacementInfo, node: &NodeId) -> bool {
    placement.refused.iter().any(|refusal| {
        let name = refusal.constraint.split_once(" to ").map_or(&*refusal.constraint, |(n, _)| n);
        refusal.node == *node && FORBIDS.contains(&name)
    })
}

/// Tells the bridge which pairs fail.
#[derive(Debug)]
pub struct LinkFaults {
    session: zenoh::Session,
}

/// The bridge could not be told.
#[derive(Debug, thiserror::Error)]
#[error("the sim-bridge did not take a link fault: {0}")]
pub struct LinkFaultError(String);

impl LinkFaults {
    /// Connects to the bridge.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub fn connect(bridge: SocketAddr) -> Result<Self, LinkFaultError> {
        let mut config = zenoh::Config::default();
        let settings = [
            ("mode", "\"client\"".to_owned()),
            ("scouting/multicast/enabled", "false".to_owned()),
            ("scouting/gossip/enabled", "false".to_owned()),
            ("connect/endpoints", format!("[\"tcp/{bridge}\"]")),
        ];
        for (key, value) in settings {
            config.insert_json5(key, &value).map_err(|error| LinkFaultError(error.to_string()))?;
        }
        let session = zenoh::open(config).wait().map_err(|e| LinkFaultError(e.to_string()))?;
        Ok(Self { session })
    }

    /// Changes all pairs of a node, or one. Answers how many were changed.
    ///
    /// # Errors
    /// When the bridge does not answer or knows no such pair.
    pub fn apply(
        &self,
        node: &NodeId,
        peer: Option<&NodeId>,
        action: FaultAction,
    ) -> Result<u32, LinkFaultError> {
        let fault = SimFault { node: node.clone(), peer: peer.cloned(), action };
        let failed = |reason: String| LinkFaultError(format!("{node}: {reason}"));
        let frame = protocol::encode(&fault).map_err(|error| failed(error.to_string()))?;
        let replies = self
            .session
            .get(SimKeys::FAULT)
            .payload(frame)
            .timeout(Duration::from_secs(3))
            .wait()
            .map_err(|error| failed(error.to_string()))?;
        let reply =
            replies.recv().map_err(|error| failed(format!("no answer within 3 s ({error})")))?;
        let sample = reply.result().map_err(|error| failed(format!("{error:?}")))?;
        match protocol::decode::<SimFaultReply>(&sample.payload().to_bytes()) {
            Ok(SimFaultReply::Done { pairs }) => Ok(pairs),
            Ok(SimFaultReply::NotFound { what }) => Err(failed(format!("{what} is not known"))),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use controller::api::RefusalInfo;
    use types::{Epoch, OwnerEpoch, TaskId, WorkflowId};

    use super::*;

    fn node(name: &str) -> NodeId {
        NodeId::new(name).unwrap()
    }

    /// A task on a host, and why not on others.
    fn placed(task: &str, host: &str, refused: &[(&str, &str)]) -> PlacementInfo {
        let task = TaskId::new(task).unwrap();
        let refusal = |(name, constraint): &(&str, &str)| RefusalInfo {
            task: task.clone(),
            node: node(name),
            constraint: (*constraint).to_owned(),
            at: Epoch::from_unix_ns(0),
            value: 0.0,
            limit: 1.0,
            unit: String::new(),
            text: String::new(),
        };
        PlacementInfo {
            workflow: WorkflowId::new("w").unwrap(),
            refused: refused.iter().map(refusal).collect(),
            task,
            node: Some(node(host)),
            phase: None,
            owner_epoch: OwnerEpoch(1),
            replica: None,
            since: None,
            because: String::new(),
            latency_ms: None,
            window: None,
            next: None,
        }
    }

    #[track_caller]
    fn check_victim(
        placements: &[PlacementInfo],
        spared: &[&str],
        down: &[&str],
        expected: &[&str],
    ) {
        let state = |name: &str| if down.contains(&name) { NodeState::Down } else { NodeState::Up };
        let nodes = ["a", "b", "c"].map(|name| (node(name), state(name)));
        let spared = spared.iter().copied().map(node).collect();
        let chosen: BTreeSet<_> = (0..64)
            .filter_map(|seed| victim(placements, &nodes, &spared, seed))
            .map(|node| node.to_string())
            .collect();
        assert_eq!(chosen, expected.iter().map(|name| (*name).to_owned()).collect());
    }

    #[test]
    fn a_host_whose_task_can_run_elsewhere_goes_first() {
        // Nobody else could host x; y would do on a, although it stays where it is.
        let stuck = placed("x", "a", &[("b", "latency to ingest"), ("c", "cpu")]);
        let free = placed("y", "b", &[("a", "stays"), ("c", "battery")]);
        check_victim(&[stuck.clone(), free.clone()], &[], &[], &["b"]);
        // One task that cannot move is enough to be stuck.
        let both = placed("y", "a", &[("b", "shorter"), ("c", "farther")]);
        check_victim(&[stuck.clone(), both, free.clone()], &[], &[], &["b"]);
        // The only other node is down.
        check_victim(&[stuck, free], &[], &["a"], &["b"]);
    }

    #[test]
    fn the_lot_decides_among_equals() {
        let placements =
            [placed("x", "a", &[("b", "order"), ("c", "copy")]), placed("y", "b", &[])];
        check_victim(&placements, &[], &[], &["a", "b"]);
        // Nobody can move: then one must wait.
        let stuck = [
            placed("x", "a", &[("b", "outage to y"), ("c", "source to eo")]),
            placed("y", "b", &[("a", "kind"), ("c", "alive")]),
        ];
        check_victim(&stuck, &[], &[], &["a", "b"]);
    }

    #[test]
    fn who_is_spared_down_or_idle_is_no_victim() {
        let placements = [placed("x", "a", &[]), placed("y", "b", &[])];
        check_victim(&placements, &["a"], &[], &["b"]);
        check_victim(&placements, &[], &["b"], &["a"]);
        check_victim(&placements, &["a", "b"], &[], &[]);
        check_victim(&[], &[], &[], &[]);
    }

    #[test]
    fn the_driver_and_the_holders_of_data_are_spared() {
        let text = crate::layout::FLOOD_RESPONSE;
        let mut workflow: Workflow = toml::from_str(text).unwrap();
        let names = |workflow: &Workflow, placements: &[PlacementInfo]| -> Vec<String> {
            spared(workflow, placements).iter().map(NodeId::to_string).collect()
        };
        assert_eq!(names(&workflow, &[]), ["drone", "eo-satellite"]);
        workflow.tasks[0].pinned = None;
        let placements = [placed("ingest", "a", &[]), placed("object-det", "b", &[])];
        assert_eq!(names(&workflow, &placements), ["a", "eo-satellite"]);
    }

    #[test]
    fn faults_come_in_order_and_do_not_overlap() {
        for seconds in [60, 120, 600] {
            let mut schedule = Schedule::over(Some(Duration::from_secs(seconds)));
            let times: Vec<Duration> = schedule.steps.iter().map(|(at, _)| *at).collect();
            assert!(times.is_sorted(), "{times:?}");
            assert_eq!(schedule.due(Duration::ZERO), None);
            assert_eq!(schedule.due(Duration::from_secs(seconds)), Some(Step::Kill));
            assert_eq!(schedule.due(Duration::from_secs(seconds)), Some(Step::Restart));
        }
    }
}
