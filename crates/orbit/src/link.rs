//! Which satellites hold links with each other: layouts, from which the links in sight are taken.

mod grid;
mod neighbors;
mod plus_grid;
mod terminals;

use types::Epoch;

pub(crate) use grid::grid;
pub(crate) use neighbors::nearest;
pub(crate) use plus_grid::plus_grid;

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

/// The state of a satellite in TEME: position in km, velocity in km/s.
pub(crate) type State = ([f64; 3], [f64; 3]);
