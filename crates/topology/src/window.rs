//! Contact windows: when a pair of nodes meets a need.

use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use types::{Epoch, LatencyUs, NodeId, WindowId};

use crate::graph::PathState;

/// What a path must offer; the default asks for any path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkNeed {
    /// Longest one-way latency.
    #[serde(default)]
    pub latency_max: Option<LatencyUs>,
    /// Smallest rate in kbit/s.
    #[serde(default)]
    pub rate_kbps_min: Option<u32>,
    /// Largest loss in parts per million.
    #[serde(default)]
    pub loss_ppm_max: Option<u32>,
    /// Most links on the path.
    #[serde(default)]
    pub hops_max: Option<u16>,
    /// What is to arrive, and within what time.
    #[serde(default)]
    pub arrival: Option<Arrival>,
}

/// An amount that is to arrive whole within some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arrival {
    /// How much, in KiB.
    pub kib: u32,
    /// Longest time until all of it is there: the latency, and its bits at the rate of the path.
    pub within: LatencyUs,
}

impl LinkNeed {
    /// A need of latency only.
    pub const fn latency(latency_max: LatencyUs) -> Self {
        Self {
            latency_max: Some(latency_max),
            rate_kbps_min: None,
            loss_ppm_max: None,
            hops_max: None,
            arrival: None,
        }
    }

    /// Direct visibility: a link between the two and no path over others. Since a straight line is shorter than
    /// any way around, the best path is that link wherever there is one.
    pub const fn direct() -> Self {
        Self {
            latency_max: None,
            rate_kbps_min: None,
            loss_ppm_max: None,
            hops_max: Some(1),
            arrival: None,
        }
    }

    /// Whether a path meets the need.
    pub fn is_met_by(&self, state: &PathState) -> bool {
        self.latency_max.is_none_or(|max| state.latency <= max)
            && self.rate_kbps_min.is_none_or(|min| min <= state.rate_kbps)
            && self.loss_ppm_max.is_none_or(|max| state.loss_ppm <= max)
            && self.hops_max.is_none_or(|max| state.hops <= max)
            && self.arrival.is_none_or(|arrival| {
                state.arrival(arrival.kib).is_some_and(|takes| takes <= arrival.within)
            })
    }
}

/// A time in which a pair of nodes meets a need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContactWindow {
    /// Names the window, see [`window_id`].
    pub id: WindowId,
    /// The node of the pair that comes first in order.
    pub a: NodeId,
    /// The other node.
    pub b: NodeId,
    /// The first moment at which the need is known to be met.
    pub open: Epoch,
    /// The last moment at which the need is known to be met.
    pub close: Epoch,
    /// False when the window was open before the plan began.
    pub open_known: bool,
    /// False when the window runs beyond the plan: `close` is then the end of the plan, and so
    /// the id will change with it.
    pub close_known: bool,
    /// The longest latency in the window.
    pub latency_max: LatencyUs,
}

impl ContactWindow {
    /// Whether the need is met at `at`.
    pub fn contains(&self, at: Epoch) -> bool {
        self.open <= at && at <= self.close
    }
}

/// Names a window: FNV-1a (64 bits) over the pair, the need and the close in milliseconds.
///
/// The same window keeps its id in later plans on the same grid, since its close stays where it is.
/// The order of `a` and `b` does not matter.
pub fn window_id(a: &NodeId, b: &NodeId, need: &LinkNeed, close: Epoch) -> WindowId {
    let (a, b) = if a <= b { (a, b) } else { (b, a) };
    let mut hash = Fnv(FNV_OFFSET);
    for name in [a, b] {
        hash.write(name.as_str().as_bytes());
        hash.write(&[0]);
    }
    let limits = [need.latency_max.map(|latency| latency.0), need.rate_kbps_min, need.loss_ppm_max];
    for limit in limits {
        hash.write(&[u8::from(limit.is_some())]);
        hash.write(&limit.unwrap_or_default().to_le_bytes());
    }
    // Came later: a need without them keeps the ids that it had.
    if let Some(hops_max) = need.hops_max {
        hash.write(&hops_max.to_le_bytes());
    }
    if let Some(Arrival { kib, within }) = need.arrival {
        hash.write(&kib.to_le_bytes());
        hash.write(&within.0.to_le_bytes());
    }
    hash.write(&close.unix_ns().div_euclid(1_000_000).to_le_bytes());
    WindowId(hash.finish())
}

/// Offset basis of FNV-1a, 64 bits (G. Fowler, L. C. Noll, K.-P. Vo).
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
/// Prime of FNV-1a, 64 bits.
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
