//! The contact plan that a node holds: its own pairs of the newest one that the controller published.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use protocol::plan::{PlanMessage, WireNode, WirePair};
use runtime::Contact;
use topology::{ContactPlan, LinkNeed, PairSeries, PairState, PathState, PlanError};
use types::{Epoch, LatencyUs, NodeId, NodeKind, PlanVersion};

/// The newest plan; clones are handles to the same.
#[derive(Clone, Debug)]
pub struct PlanBook {
    me: NodeId,
    held: Arc<RwLock<Option<Arc<Held>>>>,
}

/// A plan, and what the nodes are that it knows of.
#[derive(Debug)]
struct Held {
    plan: ContactPlan,
    kinds: BTreeMap<NodeId, NodeKind>,
}

impl PlanBook {
    /// No plan yet.
    pub fn new(me: NodeId) -> Self {
        Self { me, held: Arc::new(RwLock::new(None)) }
    }

    /// Takes a plan if it is newer than the one held, by number or, after a controller lost count, by its start;
    /// says whether it was taken.
    ///
    /// # Errors
    /// [`PlanError`] for series that make no plan.
    pub fn take(&self, message: PlanMessage) -> Result<bool, PlanError> {
        let is_old =
            |held: &Held| message.version <= held.plan.version && message.start <= held.plan.start;
        if self.held().is_some_and(|held| is_old(&held)) {
            return Ok(false);
        }
        let mut message = message;
        let nodes = std::mem::take(&mut message.nodes);
        let kinds = nodes.into_iter().map(|WireNode { node, kind }| (node, kind)).collect();
        let held = Arc::new(Held { plan: plan_of(&self.me, message)?, kinds });
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(held);
        Ok(true)
    }

    /// Which plan is held.
    pub fn version(&self) -> Option<PlanVersion> {
        self.held().map(|held| held.plan.version)
    }

    /// The present or next contact with `peer`.
    pub fn next_contact(&self, peer: &NodeId, now: Epoch) -> Option<Contact> {
        self.contact(&self.held()?.plan, peer, now)
    }

    /// The present or next contact with any node of a kind: the one that opens first, of several open ones the one that lasts longest.
    /// `None` without one, and while the controller has not told what the nodes are.
    pub fn next_contact_with(&self, kind: NodeKind, now: Epoch) -> Option<Contact> {
        let held = self.held()?;
        let of_kind = held.kinds.iter().filter(|(node, is)| **is == kind && **node != self.me);
        let contacts = of_kind.filter_map(|(node, _)| self.contact(&held.plan, node, now));
        contacts.min_by(|a, b| {
            let opens = a.opens_in_s.total_cmp(&b.opens_in_s);
            opens.then(b.closes_in_s.total_cmp(&a.closes_in_s))
        })
    }

    fn contact(&self, plan: &ContactPlan, peer: &NodeId, now: Epoch) -> Option<Contact> {
        let window = plan.next_window(&self.me, peer, now, &LinkNeed::default())?;
        Some(Contact {
            node: peer.clone(),
            opens_in_s: window.open.seconds_since(now).max(0.0),
            closes_in_s: window.close.seconds_since(now).max(0.0),
            latency_max_ms: window.latency_max.as_ms(),
        })
    }

    /// One-way latency to `peer` now, in milliseconds; `None` without a path or a plan.
    pub fn latency_ms(&self, peer: &NodeId, now: Epoch) -> Option<f64> {
        match self.held()?.plan.state(&self.me, peer, now) {
            PairState::Same => Some(0.0),
            PairState::Path(path) => Some(path.latency.as_ms()),
            PairState::Down | PairState::Outside => None,
        }
    }

    /// Whether the plan says that `peer` cannot be reached now: its silence is an appointment, not a failure.
    pub fn predicts_silence(&self, peer: &NodeId, now: Epoch) -> bool {
        self.held().is_some_and(|held| held.plan.state(&self.me, peer, now) == PairState::Down)
    }

    fn held(&self) -> Option<Arc<Held>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The pairs of `me`; the others are left out, since a node asks about its own links only.
fn plan_of(me: &NodeId, message: PlanMessage) -> Result<ContactPlan, PlanError> {
    let PlanMessage { version, start, step_ms, steps, pairs, nodes: _ } = message;
    let own = pairs.into_iter().filter(|pair| pair.a == *me || pair.b == *me);
    ContactPlan::new(version, start, step_ms, steps, own.map(series_of).collect(), Vec::new())
}

fn series_of(pair: WirePair) -> PairSeries {
    let state = |latency_us_plus_one: &u32| {
        let latency = LatencyUs(latency_us_plus_one.checked_sub(1)?);
        // The wire carries rate and loss at their worst, and no hops.
        let (rate_kbps, loss_ppm) = (pair.rate_kbps_min, pair.loss_ppm_max);
        Some(PathState { latency, rate_kbps, loss_ppm, hops: 0 })
    };
    let states = pair.latency_us_plus_one.iter().map(state).collect();
    PairSeries { a: pair.a, b: pair.b, states, confidence_ppm: pair.confidence_ppm }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeId {
        NodeId::new(name).unwrap()
    }

    fn pair(a: &str, b: &str, latency_us_plus_one: &[u32]) -> WirePair {
        let latency_us_plus_one = latency_us_plus_one.to_vec();
        WirePair {
            a: node(a),
            b: node(b),
            latency_us_plus_one,
            rate_kbps_min: 1000,
            loss_ppm_max: 0,
            confidence_ppm: 1_000_000,
        }
    }

    fn message(version: u64, pairs: Vec<WirePair>) -> PlanMessage {
        let start = Epoch::parse("2026-01-01T00:00:00Z").unwrap();
        let (version, nodes) = (PlanVersion(version), Vec::new());
        PlanMessage { version, start, step_ms: 10_000, steps: 5, pairs, nodes }
    }

    #[test]
    fn a_node_keeps_its_own_pairs_and_knows_its_next_contact() {
        let book = PlanBook::new(node("sat-1"));
        let pairs = vec![
            pair("drone", "sat-1", &[0, 0, 5001, 7001, 0]),
            pair("cloud", "drone", &[1, 1, 1, 1, 1]),
        ];
        let start = message(1, Vec::new()).start;
        assert_eq!(book.take(message(2, pairs)), Ok(true));
        let contact = book.next_contact(&node("drone"), start.plus_s(5.0)).unwrap();
        let expected = Contact {
            node: node("drone"),
            opens_in_s: 15.0,
            closes_in_s: 25.0,
            latency_max_ms: 7.0,
        };
        assert_eq!(contact, expected);
        assert!(book.predicts_silence(&node("drone"), start));
        assert!(!book.predicts_silence(&node("drone"), start.plus_s(25.0)));
        assert_eq!(book.next_contact(&node("cloud"), start), None);
        assert!(!book.predicts_silence(&node("cloud"), start), "unknown is no promise of silence");
    }

    #[test]
    fn a_node_knows_its_next_contact_with_a_kind_of_nodes() {
        let book = PlanBook::new(node("sat-1"));
        let pairs = vec![
            pair("ground-1", "sat-1", &[0, 0, 0, 9001, 9001]),
            pair("ground-2", "sat-1", &[0, 0, 5001, 5001, 0]),
            pair("drone", "sat-1", &[1001, 1001, 0, 0, 0]),
            pair("sat-1", "sat-2", &[2001, 2001, 2001, 2001, 2001]),
        ];
        let told = |kind: NodeKind, names: &[&str]| {
            let one = |name: &&str| WireNode { node: node(name), kind };
            names.iter().map(one).collect::<Vec<_>>()
        };
        let mut nodes = told(NodeKind::GroundStation, &["ground-1", "ground-2"]);
        nodes.extend(told(NodeKind::Satellite, &["sat-1", "sat-2"]));
        nodes.extend(told(NodeKind::Cloud, &["cloud"]));
        let message = PlanMessage { nodes, ..message(2, pairs) };
        let start = message.start;
        assert_eq!(book.next_contact_with(NodeKind::Satellite, start), None, "no plan yet");
        assert_eq!(book.take(message), Ok(true));
        let with = |kind, at_s| {
            let contact = book.next_contact_with(kind, start.plus_s(at_s))?;
            Some((contact.node.as_str().to_owned(), contact.opens_in_s))
        };
        assert_eq!(with(NodeKind::GroundStation, 5.0), Some(("ground-2".to_owned(), 15.0)));
        // Both are open: the one that lasts longer.
        assert_eq!(with(NodeKind::GroundStation, 32.0), Some(("ground-1".to_owned(), 0.0)));
        assert_eq!(with(NodeKind::Satellite, 0.0), Some(("sat-2".to_owned(), 0.0)));
        // Nobody told what the drone is, and no contact with the cloud is known.
        assert_eq!((with(NodeKind::Edge, 0.0), with(NodeKind::Cloud, 0.0)), (None, None));
    }

    #[test]
    fn an_older_plan_changes_nothing_and_an_impossible_one_is_refused() {
        let book = PlanBook::new(node("sat-1"));
        assert_eq!(book.take(message(3, Vec::new())), Ok(true));
        assert_eq!(book.take(message(3, Vec::new())), Ok(false));
        assert_eq!(book.take(message(2, Vec::new())), Ok(false));
        let off_grid = PlanMessage { start: Epoch::from_unix_ns(5), ..message(4, Vec::new()) };
        assert!(book.take(off_grid).is_err());
        assert_eq!(book.version(), Some(PlanVersion(3)));
    }

    #[test]
    fn a_controller_that_lost_count_is_followed_once_its_plan_starts_later() {
        let book = PlanBook::new(node("sat-1"));
        let first = message(9, Vec::new());
        let later = first.start.plus_s(600.0);
        assert_eq!(book.take(first), Ok(true));
        assert_eq!(book.take(PlanMessage { start: later, ..message(1, Vec::new()) }), Ok(true));
        assert_eq!(book.version(), Some(PlanVersion(1)));
    }
}
