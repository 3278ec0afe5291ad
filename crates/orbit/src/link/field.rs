//! The satellites of one instant, sorted by place: what all protocols search.

use super::cells::{Cells, Point};
use super::sight::Sight;

/// A search that finds too little looks this much farther the next time.
const WIDER: f64 = 1.6;
/// Edge of a cell in mean distances between neighbours; measured for trees of 250 to 100,000 satellites.
const CELL_SPACINGS: f64 = 2.0;

/// The satellites of one instant, sorted by place.
#[derive(Clone, Debug, Default)]
pub(super) struct Field {
    pub(super) cells: Cells,
    /// Mean distance of neighbours if all were spread evenly over one sphere, km.
    pub(super) spacing_km: f64,
    /// No two satellites are farther apart, km.
    pub(super) breadth_km: f64,
}

impl Field {
    /// Takes the satellites of a new instant.
    pub(super) fn prepare(&mut self, positions: &[[f64; 3]]) {
        let (mut present, mut inverse_squares, mut farthest2) = (0.0, 0.0, 0.0_f64);
        for [x, y, z] in positions {
            let radius2 = x * x + y * y + z * z;
            if radius2.is_finite() {
                present += 1.0;
                // The centre of the Earth is no place for a satellite, but no reason to divide by zero.
                inverse_squares += 1.0 / radius2.max(1.0);
                farthest2 = farthest2.max(radius2);
            }
        }
        // The harmonic mean of r^2 follows the low shells, where satellites are many.
        // s = sqrt(4 pi r^2 / N) = sqrt(4 pi / sum of 1 / r^2)
        self.spacing_km = if 0.0 < present {
            (4.0 * core::f64::consts::PI / inverse_squares).sqrt()
        } else {
            1.0
        };
        // The diameter, and a little for rounding.
        self.breadth_km = 2.0 * farthest2.sqrt() * (1.0 + 1.0e-9);
        self.cells.rebuild(positions, self.spacing_km * CELL_SPACINGS, self.breadth_km);
    }

    /// How many satellites are not down.
    pub(super) fn present(&self) -> usize {
        self.cells.points().len()
    }

    /// The longest link that can occur, km.
    pub(super) fn range_km(&self, sight: &Sight) -> f64 {
        sight.range_max_km().min(self.breadth_km)
    }

    /// Fills `found` with the nearest `k` satellites that one sees and `accepts`: squared distance and number, by both.
    pub(super) fn nearest(
        &self,
        search: &Search<'_>,
        own: &Point,
        found: &mut Vec<(f64, u32)>,
        mut accepts: impl FnMut(u32) -> bool,
    ) {
        let range_km = self.range_km(search.sight);
        let mut radius_km = (self.spacing_km * search.start_spacings).min(range_km);
        loop {
            found.clear();
            self.cells.visit(own.at, radius_km, |range| {
                for point in &self.cells.points()[range] {
                    let d2 = point.distance2(own.at);
                    if d2 <= radius_km * radius_km && point.id != own.id && accepts(point.id) {
                        found.push((d2, point.id));
                    }
                }
            });
            // Sight is dear and seldom refused: only as many as are wanted are asked.
            found.sort_unstable_by(|x, y| x.0.total_cmp(&y.0).then(x.1.cmp(&y.1)));
            keep_seen(search, own, found);
            if search.k <= found.len() || range_km <= radius_km {
                return;
            }
            radius_km = (radius_km * WIDER).min(range_km);
        }
    }
}

/// What a search for near satellites is after.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search<'a> {
    pub(super) positions: &'a [[f64; 3]],
    pub(super) sight: &'a Sight,
    /// How many are wanted.
    pub(super) k: usize,
    /// Where to look first, in mean distances between neighbours.
    pub(super) start_spacings: f64,
}

/// Drops those out of sight, and those beyond the wanted number.
fn keep_seen(search: &Search<'_>, own: &Point, found: &mut Vec<(f64, u32)>) {
    let mut seen = 0;
    for at in 0..found.len() {
        if search.k <= seen {
            break;
        }
        if search.sight.sees(own.at, search.positions[found[at].1 as usize]) {
            found[seen] = found[at];
            seen += 1;
        }
    }
    found.truncate(seen);
}
