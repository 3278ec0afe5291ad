//! Faults: an agent is killed and restarted, a node is cut off with its links closed, then one with its links as black
//! holes.
//!
//! Victims are chosen from what the fleet does at that moment, by rule and seed; nothing names a node.

use std::net::SocketAddr;
use std::time::Duration;

use controller::api::{NodeState, PlacementInfo};
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

/// The node that hurts: it hosts a task that another node could host, and it is not the source of the data
/// (whose loss would only pause the runs). `None` when there is no such node now.
pub fn victim(
    placements: &[PlacementInfo],
    nodes: &[(NodeId, NodeState)],
    source: &NodeId,
    seed: u64,
) -> Option<NodeId> {
    let mut hosts: Vec<(bool, u64, &NodeId)> = placements
        .iter()
        .filter_map(|placement| {
            let host = placement.node.as_ref().filter(|node| *node != source)?;
            let alternatives = nodes
                .iter()
                .filter(|(node, state)| {
                    node != host
                        && *state == NodeState::Up
                        && !placement.refused.iter().any(|refusal| refusal.node == *node)
                })
                .count();
            let lot = host.as_str().bytes().fold(seed, |lot, byte| splitmix(lot ^ u64::from(byte)));
            Some((alternatives == 0, lot, host))
        })
        .collect();
    hosts.sort();
    hosts.first().map(|(_, _, node)| (*node).clone())
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
    use super::*;

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
