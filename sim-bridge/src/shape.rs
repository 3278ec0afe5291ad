//! Links between real processes: each pair of nodes gets the delay, the rate and the presence that
//! the sky gives it.
//!
//! Reading order: [`queue`] (pure: when bytes leave), [`mod@gate`] (pure: sky and faults make a link open,
//! shut or held), [`tcp_proxy`] (the forwarder in user space), [`none`] (no shaping).

use std::fmt;

use protocol::sim::FaultAction;
use types::NodeId;

pub mod gate;
pub mod none;
pub mod queue;
pub mod tcp_proxy;

pub use gate::{Cause, Fault, Faults, Gate, gate};
pub use queue::LinkParams;

/// A pair of nodes, `a` before `b`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PairId {
    /// The one that dials.
    pub a: NodeId,
    /// The one that is dialed.
    pub b: NodeId,
}

impl PairId {
    /// The pair of two nodes, in order.
    pub fn of(one: &NodeId, two: &NodeId) -> Self {
        let (a, b) = if one <= two { (one, two) } else { (two, one) };
        Self { a: a.clone(), b: b.clone() }
    }

    /// Why a fault of `node`, towards `peer` if one is named, meets this pair; `None` where it does not.
    pub fn cause(&self, node: &NodeId, peer: Option<&NodeId>) -> Option<Cause> {
        let (cause, other) = match () {
            () if self.a == *node => (Cause::NodeA, &self.b),
            () if self.b == *node => (Cause::NodeB, &self.a),
            () => return None,
        };
        match peer {
            None => Some(cause),
            Some(peer) => (peer == other).then_some(Cause::Pair),
        }
    }
}

impl fmt::Display for PairId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}~{}", self.a, self.b)
    }
}

/// What a pair has carried, a to b and b to a.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairCounts {
    /// Bytes delivered.
    pub bytes: [u64; 2],
    /// Bytes that were on the way when the link closed.
    pub dropped_bytes: u64,
    /// Connections relayed.
    pub connections: u64,
    /// Connections refused: no path, nobody listening, or too many.
    pub refused: u64,
    /// How often the link came up.
    pub ups: u64,
    /// How often it went down.
    pub downs: u64,
    /// Times for which the shaper woke to deliver or to read on.
    pub wakes: u64,
    /// Wakes more than a millisecond after their time: the machine is busy, delays are too long.
    pub late: u64,
    /// The latest of them, µs.
    pub late_us_max: u64,
}

/// A change of a link that people may want to read about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkEvent {
    /// Index of the pair.
    pub pair: usize,
    /// What it is now.
    pub gate: Gate,
}

/// A fault that meets no link; the text names what is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No pair has the node.
    #[error("a shaped pair of node {0}")]
    Node(NodeId),
    /// The two are no pair.
    #[error("the shaped pair {0}")]
    Pair(PairId),
    /// The shaper has stopped.
    #[error("the link shaper has stopped")]
    Stopped,
}

impl FaultError {
    fn nobody(node: &NodeId, peer: Option<&NodeId>) -> Self {
        match peer {
            Some(peer) => Self::Pair(PairId::of(node, peer)),
            None => Self::Node(node.clone()),
        }
    }
}

/// Applies the sky and faults to the links of all pairs.
pub trait LinkShaper: Send + Sync + fmt::Debug {
    /// The pairs, in the order in which [`LinkShaper::apply`] takes their links.
    fn pairs(&self) -> &[PairId];

    /// Gives every pair what the sky has for it; `None` is no path.
    fn apply(&self, links: Vec<Option<LinkParams>>);

    /// Injects or heals a fault and says how many pairs it meets; in force on return.
    ///
    /// A fault of a node and one of a single pair stand side by side: each ends when it is healed for the
    /// same `node` and `peer` (the two ends of a pair in either order), and the stronger one counts.
    ///
    /// # Errors
    /// [`FaultError`] when it meets none.
    fn fault(
        &self,
        node: &NodeId,
        peer: Option<&NodeId>,
        action: FaultAction,
    ) -> Result<u32, FaultError>;

    /// What the pairs have carried, in the order of [`LinkShaper::pairs`].
    fn counts(&self) -> Vec<PairCounts>;
}
