//! The contact plan that a node holds: its own pairs of the newest one that the controller published.

use std::sync::{Arc, PoisonError, RwLock};

use protocol::plan::{PlanMessage, WirePair};
use runtime::Contact;
use topology::{ContactPlan, LinkNeed, PairSeries, PairState, PathState, PlanError};
use types::{Epoch, LatencyUs, NodeId, PlanVersion};

/// The newest plan; clones are handles to the same.
#[derive(Clone, Debug)]
pub struct PlanBook {
    me: NodeId,
    plan: Arc<RwLock<Option<Arc<ContactPlan>>>>,
}

impl PlanBook {
    /// No plan yet.
    pub fn new(me: NodeId) -> Self {
        Self { me, plan: Arc::new(RwLock::new(None)) }
    }

    /// Takes a plan if it is newer than the one held, by number or, after a controller lost count, by its start;
    /// says whether it was taken.
    ///
    /// # Errors
    /// [`PlanError`] for series that make no plan.
    pub fn take(&self, message: PlanMessage) -> Result<bool, PlanError> {
        let is_old =
            |held: &ContactPlan| message.version <= held.version && message.start <= held.start;
        if self.held().is_some_and(|held| is_old(&held)) {
            return Ok(false);
        }
        let plan = Arc::new(plan_of(&self.me, message)?);
        *self.plan.write().unwrap_or_else(PoisonError::into_inner) = Some(plan);
        Ok(true)
    }

    /// Which plan is held.
    pub fn version(&self) -> Option<PlanVersion> {
        self.held().map(|plan| plan.version)
    }

    /// The present or next contact with `peer`.
    pub fn next_contact(&self, peer: &NodeId, now: Epoch) -> Option<Contact> {
        let window = self.held()?.next_window(&self.me, peer, now, &LinkNeed::default())?;
        Some(Contact {
            node: peer.clone(),
            opens_in_s: window.open.seconds_since(now).max(0.0),
            closes_in_s: window.close.seconds_since(now).max(0.0),
            latency_max_ms: window.latency_max.as_ms(),
        })
    }

    /// One-way latency to `peer` now, in milliseconds; `None` without a path or a plan.
    pub fn latency_ms(&self, peer: &NodeId, now: Epoch) -> Option<f64> {
        match self.held()?.state(&self.me, peer, now) {
            PairState::Same => Some(0.0),
            PairState::Path(path) => Some(path.latency.as_ms()),
            PairState::Down | PairState::Outside => None,
        }
    }

    /// Whether the plan says that `peer` cannot be reached now: its silence is an appointment, not a failure.
    pub fn predicts_silence(&self, peer: &NodeId, now: Epoch) -> bool {
        self.held().is_some_and(|plan| plan.state(&self.me, peer, now) == PairState::Down)
    }

    fn held(&self) -> Option<Arc<ContactPlan>> {
        self.plan.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The pairs of `me`; the others are left out, since a node asks about its own links only.
fn plan_of(me: &NodeId, message: PlanMessage) -> Result<ContactPlan, PlanError> {
    let PlanMessage { version, start, step_ms, steps, pairs } = message;
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
        PlanMessage { version: PlanVersion(version), start, step_ms: 10_000, steps: 5, pairs }
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
