//! A grid of cells over points in space: who is near whom without looking at everyone.
//!
//! The cells of an endless grid are folded onto a cube of buckets, so memory follows the number of points and not the
//! size of the sky: a geostationary ring around a low shell costs nothing. Points of cells that lie a multiple of
//! the cube's side apart share a bucket; their distance tells them apart.

use core::ops::Range;

/// Buckets per point, at least: with more, clearing them costs more than the shorter rows save (measured).
const BUCKETS_PER_POINT: usize = 4;
/// Largest side of the cube as a power of two: 2^21 buckets, 8 MB, do for 500,000 points.
const SIDE_BITS_MAX: u32 = 7;
/// Shortest edge of a cell, km: a satellite's own size.
const SIZE_KM_MIN: f64 = 1.0e-3;
/// Moves cell numbers to where cutting off decimals rounds down; a call of `floor` costs more than all else here.
/// Beyond, 4 million cells from the centre, the cells at the seam are two wide, which only makes searches longer.
const OFFSET: f64 = 4_194_304.0;
/// A search looks so many cells farther than asked: covers rounding, 2^-30 of a cell at [`OFFSET`].
const MARGIN_CELLS: f64 = 1.0e-7;
/// Beyond this nothing is near anything, km; its square is finite.
const FAR_KM: f64 = 1.0e150;
/// The bucket of a point that is nowhere.
const NOWHERE: u32 = u32::MAX;

/// A point and the number by which its owner knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) id: u32,
    pub(crate) at: [f64; 3],
}

impl Point {
    /// Squared distance; the same bits from either end.
    pub(crate) fn distance2(&self, at: [f64; 3]) -> f64 {
        let [x, y, z] = [self.at[0] - at[0], self.at[1] - at[1], self.at[2] - at[2]];
        x * x + y * y + z * z
    }
}

/// Points sorted by bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cells {
    per_km: f64,
    side_bits: u32,
    /// Where the points of each bucket begin; one entry more than there are buckets.
    starts: Vec<u32>,
    points: Vec<Point>,
    /// Scratch: the bucket of each position.
    buckets: Vec<u32>,
}

impl Cells {
    /// Puts these points in the place of those before; left out are positions farther than `radius_km_max` from the
    /// origin and such as are not finite.
    ///
    /// Positions are km in any axes; the number of a point is its place in `positions`.
    pub(crate) fn rebuild(&mut self, positions: &[[f64; 3]], size_km: f64, radius_km_max: f64) {
        self.per_km = 1.0 / size_km.max(SIZE_KM_MIN);
        let across = 2.0 * radius_km_max * self.per_km + 2.0;
        self.side_bits = side_bits(positions.len(), across);
        self.starts.clear();
        self.starts.resize((1 << (3 * self.side_bits)) + 1, 0);
        self.assign(positions, radius_km_max.min(FAR_KM));
        // Each bucket's count becomes its end, and its end, counted down while it fills, its beginning.
        let mut end = 0;
        for start in &mut self.starts {
            end += *start;
            *start = end;
        }
        self.points.clear();
        self.points.resize(end as usize, Point { id: 0, at: [0.0; 3] });
        let count = u32::try_from(positions.len()).expect("satellites are counted in u32");
        for id in (0..count).rev() {
            let bucket = self.buckets[id as usize];
            if bucket != NOWHERE {
                let place = &mut self.starts[bucket as usize];
                *place -= 1;
                self.points[*place as usize] = Point { id, at: positions[id as usize] };
            }
        }
    }

    /// Finds the bucket of each position and counts how many each has.
    fn assign(&mut self, positions: &[[f64; 3]], radius_km_max: f64) {
        let radius2_max = radius_km_max * radius_km_max;
        self.buckets.clear();
        self.buckets.reserve(positions.len());
        for [x, y, z] in positions.iter().copied() {
            // NaN fails the comparison.
            if x * x + y * y + z * z <= radius2_max {
                let [x, y, z] = [self.cell(x), self.cell(y), self.cell(z)];
                let bucket = self.row(y, z) + (x & self.mask());
                self.buckets.push(bucket);
                self.starts[bucket as usize] += 1;
            } else {
                self.buckets.push(NOWHERE);
            }
        }
    }

    /// The points, sorted by bucket, then by number.
    pub(crate) fn points(&self) -> &[Point] {
        &self.points
    }

    /// Calls `visit` with ranges of [`Self::points`], each point at most once, that hold all within `radius_km` of `at`
    /// and some others.
    pub(crate) fn visit(&self, at: [f64; 3], radius_km: f64, visit: impl FnMut(Range<usize>)) {
        self.visit_box(at, at, radius_km, visit);
    }

    /// The same for all points between two corners of a box.
    pub(crate) fn visit_box(
        &self,
        low: [f64; 3],
        high: [f64; 3],
        radius_km: f64,
        mut visit: impl FnMut(Range<usize>),
    ) {
        let [xs, ys, zs] = [0, 1, 2].map(|axis| self.span(low[axis], high[axis], radius_km));
        let first = xs.first & self.mask();
        // A row that leaves the cube on one side comes back on the other.
        let beyond = (first + xs.count).saturating_sub(self.mask() + 1);
        for z in zs.cells() {
            for y in ys.cells() {
                let row = self.row(y, z);
                let mut visit_some = |range: Range<usize>| {
                    if !range.is_empty() {
                        visit(range);
                    }
                };
                visit_some(self.range(row + first, row + first + xs.count - beyond));
                if 0 < beyond {
                    visit_some(self.range(row, row + beyond));
                }
            }
        }
    }

    /// The cell of a point, for telling who shares one.
    pub(crate) fn cell_of(&self, at: [f64; 3]) -> [u32; 3] {
        at.map(|coordinate| self.cell(coordinate))
    }

    fn range(&self, from: u32, to: u32) -> Range<usize> {
        self.starts[from as usize] as usize..self.starts[to as usize] as usize
    }

    /// The cells of one axis from `radius_km` below `low` to as much above `high`, never more than a side.
    fn span(&self, low: f64, high: f64, radius_km: f64) -> Span {
        let margin_km = radius_km + MARGIN_CELLS / self.per_km;
        let (first, last) = (self.cell(low - margin_km), self.cell(high + margin_km));
        Span { first, count: last.saturating_sub(first).min(self.mask()) + 1 }
    }

    fn cell(&self, coordinate: f64) -> u32 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates far outside, which keeps the order of cells"
        )]
        {
            (coordinate * self.per_km + OFFSET) as u32
        }
    }

    /// The first bucket of a row of cells.
    fn row(&self, y: u32, z: u32) -> u32 {
        (((z & self.mask()) << self.side_bits) | (y & self.mask())) << self.side_bits
    }

    fn mask(&self) -> u32 {
        (1 << self.side_bits) - 1
    }
}

/// Neighbouring cells of one axis.
#[derive(Clone, Copy, Debug)]
struct Span {
    first: u32,
    count: u32,
}

impl Span {
    fn cells(self) -> impl Iterator<Item = u32> {
        (0..self.count).map(move |step| self.first.wrapping_add(step))
    }
}

/// Enough for the number of points, but no more than hold all cells `across` the sky.
fn side_bits(points: usize, across: f64) -> u32 {
    let fits = |bits: &u32| {
        points * BUCKETS_PER_POINT <= 1 << (3 * bits) || across <= f64::from(1_u32 << bits)
    };
    (1..SIDE_BITS_MAX).find(fits).unwrap_or(SIDE_BITS_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(cells: &Cells, at: [f64; 3], radius_km: f64) -> Vec<u32> {
        let mut ids = Vec::new();
        cells.visit(at, radius_km, |range| {
            let near = |p: &&Point| p.distance2(at) <= radius_km * radius_km;
            ids.extend(cells.points()[range].iter().filter(near).map(|p| p.id));
        });
        ids.sort_unstable();
        ids
    }

    #[test]
    fn points_that_are_nowhere_are_left_out() {
        let mut cells = Cells::default();
        cells.rebuild(
            &[[f64::NAN; 3], [1.0, 2.0, 3.0], [f64::INFINITY, 0.0, 0.0]],
            250.0,
            f64::MAX,
        );
        assert_eq!(found(&cells, [0.0; 3], 10.0), [1]);
        cells.rebuild(&[], 250.0, f64::MAX);
        assert_eq!(found(&cells, [0.0; 3], 1.0e9), Vec::<u32>::new());
    }

    proptest! {
        #[test]
        fn all_within_reach_are_found_once(
            points in prop::collection::vec(prop::array::uniform3(-9000.0_f64..9000.0), 0..200),
            far in prop::array::uniform3(-1.5e6_f64..1.5e6),
            size_km in 0.0_f64..3000.0,
            radius_km in 0.0_f64..9000.0,
        ) {
            let points: Vec<_> = points.into_iter().chain([far, far]).collect();
            let mut cells = Cells::default();
            cells.rebuild(&points, size_km, f64::MAX);
            for at in [points[0], far, [0.0; 3]] {
                let near = |p: &[f64; 3]| {
                    Point { id: 0, at: *p }.distance2(at) <= radius_km * radius_km
                };
                let expected: Vec<u32> =
                    (0..).zip(&points).filter(|(_, p)| near(p)).map(|(id, _)| id).collect();
                prop_assert_eq!(found(&cells, at, radius_km), expected);
            }
        }
    }
}
