//! Which satellites hold links with each other: [protocols](LinkProtocol), and the layouts of the ones that stay for a while.

mod acquisition;
mod brute;
pub(crate) mod cells;
mod field;
mod grid;
mod loops;
mod mst;
mod nearest;
mod neighbors;
mod none;
mod plus_grid;
mod plus_grid_protocol;
mod protocol;
mod pst;
mod rules;
mod sight;
mod terminals;
mod tree;

use types::Epoch;

pub use acquisition::Acquisition;
pub use brute::brute_force_mst;
pub(crate) use grid::grid;
pub use loops::SMART_CANDIDATES;
pub(crate) use neighbors::nearest;
pub(crate) use plus_grid::plus_grid;
pub use plus_grid_protocol::ShellAt;
pub use protocol::{Forest, Isl, IslSet, LinkProtocol, ProtocolKind, Scene};
pub use rules::{IslRules, Rulebook, protocol};
pub use sight::{STARDUST_CLEAR_KM, STARDUST_RANGE_KM};

use crate::sky_spec::IslKind;

/// Laser terminals of a satellite (Starlink: three or four; +Grid needs four).
pub(crate) const TERMINALS: u8 = 4;

/// The pairs of satellites that point their terminals at each other, whether in sight or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkLayout {
    pairs: Vec<(u32, u32)>,
}

impl LinkLayout {
    /// From pairs in any order; drops twins and pairs of a satellite with itself.
    pub(crate) fn new(pairs: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut pairs: Vec<(u32, u32)> =
            pairs.into_iter().filter(|(a, b)| a != b).map(|(a, b)| (a.min(b), a.max(b))).collect();
        pairs.sort_unstable();
        pairs.dedup();
        Self { pairs }
    }

    /// The pairs by index of satellite, the lower first, in ascending order.
    pub fn pairs(&self) -> &[(u32, u32)] {
        &self.pairs
    }
}

/// For how long a layout holds before it is derived anew, seconds; `None`: for ever.
///
/// In ten minutes two satellites of one shell hardly move against each other (0.4 degrees of the orbit at
/// 50 km of height apart); the nearest ones of crossing planes do.
fn slot_s(kind: IslKind) -> Option<i64> {
    match kind {
        IslKind::PlusGrid => None,
        IslKind::Grid => Some(600),
        IslKind::Nearest => Some(60),
    }
}

/// The beginning of the slot in which `at` lies: the moment for which its layout is derived.
pub(crate) fn slot_begin(kind: IslKind, at: Epoch) -> Option<Epoch> {
    let slot_ns = slot_s(kind)? * 1_000_000_000;
    let ns = at.unix_ns();
    Some(Epoch::from_unix_ns(ns.saturating_sub(ns.rem_euclid(slot_ns))))
}

#[cfg(test)]
mod tests;
