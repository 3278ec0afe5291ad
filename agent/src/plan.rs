//! The contact plan that a node holds: its own pairs of the newest one that the controller published.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use protocol::plan::{PlanMessage, WireNode, WirePair};
use runtime::Contact;
use topology::{ContactPlan, LinkNeed, PairSeries, PairState, PathState, PlanError};
use types::{Epoch, Instant, LatencyUs, NodeId, NodeKind, PlanVersion};

use crate::event::Now;

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

    /// What of a plan concerns this node.
    pub fn own(&self, message: &PlanMessage) -> PlanMessage {
        let PlanMessage { version, start, step_ms, steps, pairs, nodes } = message;
        let own = pairs.iter().filter(|pair| pair.a == self.me || pair.b == self.me);
        let (pairs, nodes) = (own.cloned().collect(), nodes.clone());
        PlanMessage {
            version: *version,
            start: *start,
            step_ms: *step_ms,
            steps: *steps,
            pairs,
            nodes,
        }
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

    /// What the plan says of the way to `peer` now and next.
    pub fn outlook(&self, peer: &NodeId, now: &Now) -> Outlook {
        let Some(held) = self.held() else { return Outlook::Unknown };
        let plan = &held.plan;
        match plan.state(&self.me, peer, now.sky) {
            PairState::Same | PairState::Outside => Outlook::Unknown,
            PairState::Down => {
                let next = plan.next_window(&self.me, peer, now.sky, &LinkNeed::default());
                let opens = next.map_or_else(|| plan.end(), |window| window.open);
                Outlook::Closed { opens: now.when(opens).saturating_since(now.at) }
            }
            PairState::Path(path) => {
                let next = plan.next_window(&self.me, peer, now.sky, &LinkNeed::default());
                let closes = next.map_or_else(|| plan.end(), |window| window.close);
                let left = now.when(closes).saturating_since(now.at);
                Outlook::Open { left, rate_kbps: path.rate_kbps }
            }
        }
    }

    /// When to begin to send so many bytes to `peer`: now, if what is left of the window has room or no later window
    /// that is known has; else when the first one opens that has.
    pub fn departure(&self, peer: &NodeId, bytes: u64, now: &Now) -> Departure {
        let Some(held) = self.held() else { return Departure::Now };
        let plan = &held.plan;
        let state = plan.state(&self.me, peer, now.sky);
        if matches!(state, PairState::Same | PairState::Outside) {
            return Departure::Now;
        }
        let pair = plan.pair(&self.me, peer);
        let rates = pair.iter().flat_map(|pair| &pair.states).flatten().map(|path| path.rate_kbps);
        let rate_kbps = rates.min().unwrap_or(0);
        let within = (now.sky, plan.end());
        for window in plan.windows(&self.me, peer, within, &LinkNeed::default()) {
            let begins = window.open.max(now.sky);
            let wall = now.when(window.close).saturating_since(now.when(begins));
            // Rates stay wall time, also where the sky is faster.
            // One that runs beyond the plan has room until a newer plan says otherwise.
            if !window.close_known || bytes <= room_bytes(wall, rate_kbps) {
                let is_open = begins <= now.sky;
                return if is_open { Departure::Now } else { Departure::At(now.when(begins)) };
            }
        }
        match self.outlook(peer, now) {
            // None has room for all of it: a transfer goes on where it was broken off.
            Outlook::Closed { opens } => Departure::At(now.at.plus(opens)),
            Outlook::Unknown | Outlook::Open { .. } => Departure::Now,
        }
    }

    fn held(&self) -> Option<Arc<Held>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the plan says of the way to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// Nothing.
    Unknown,
    /// There is one.
    Open {
        /// For how long (wall).
        left: Duration,
        /// How fast it is.
        rate_kbps: u32,
    },
    /// There is none.
    Closed {
        /// Until there is one, or until the plan ends (wall).
        opens: Duration,
    },
}

/// When to begin to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// At once.
    Now,
    /// Then.
    At(Instant),
}

/// Bytes that may be planned to pass in a time: four fifths of what the rate carries, since a window closes on time
/// and others send too.
pub fn room_bytes(wall: Duration, rate_kbps: u32) -> u64 {
    // A kilobit per second is an eighth of a byte per millisecond.
    let ms = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
    ms.saturating_mul(u64::from(rate_kbps)) / 8 / 5 * 4
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

    fn now(start: Epoch, at_s: f64, rate: f64) -> Now {
        let wall = types::WallTime(0);
        Now { at: Instant(1_000_000_000), wall, sky: start.plus_s(at_s), rate }
    }

    #[test]
    fn silence_is_predicted_in_wall_time() {
        let book = PlanBook::new(node("sat-1"));
        let start = message(1, Vec::new()).start;
        let peer = node("controller");
        assert_eq!(book.outlook(&peer, &now(start, 0.0, 1.0)), Outlook::Unknown);
        // Down until 20 s, open until 30 s, down at 40 s: the plan ends there.
        book.take(message(2, vec![pair("controller", "sat-1", &[0, 0, 5001, 7001, 0])])).unwrap();
        let secs = Duration::from_secs_f64;
        let outlook = |at_s, rate| book.outlook(&peer, &now(start, at_s, rate));
        assert_eq!(outlook(5.0, 1.0), Outlook::Closed { opens: secs(15.0) });
        assert_eq!(outlook(5.0, 30.0), Outlook::Closed { opens: secs(0.5) });
        assert_eq!(outlook(24.0, 2.0), Outlook::Open { left: secs(3.0), rate_kbps: 1000 });
        assert_eq!(outlook(39.0, 1.0), Outlook::Closed { opens: secs(1.0) });
        assert_eq!(outlook(41.0, 1.0), Outlook::Unknown, "behind the plan");
    }

    #[test]
    fn what_is_large_waits_for_a_window_with_room() {
        let book = PlanBook::new(node("sat-1"));
        let start = message(1, Vec::new()).start;
        let peer = node("ground-1");
        let at = |at_s, bytes| book.departure(&peer, bytes, &now(start, at_s, 1.0));
        assert_eq!(
            at(0.0, u64::MAX),
            Departure::Now,
            "without a plan nothing is known to be better"
        );
        // 1000 kbit/s: 100 kB/s planned. Open from 0 to 10 s, and from 30 to 80 s; nothing at 90 s.
        let latencies = [5001, 5001, 0, 5001, 5001, 5001, 5001, 5001, 5001, 0];
        let message =
            PlanMessage { steps: 10, ..message(2, vec![pair("ground-1", "sat-1", &latencies)]) };
        book.take(message).unwrap();
        let then = |s: u64| Departure::At(Instant((1 + s) * 1_000_000_000));
        assert_eq!(at(5.0, 400_000), Departure::Now);
        assert_eq!(at(5.0, 600_000), then(25), "the next window has room");
        assert_eq!(at(20.0, 1), then(10));
        assert_eq!(at(5.0, 100_000_000), Departure::Now, "none has room: begin, and go on later");
        assert_eq!(at(20.0, 100_000_000), then(10));
        assert_eq!(at(85.0, 1), then(5), "no window left: when the plan ends");
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
