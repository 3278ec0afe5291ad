//! The exact minimum spanning forest of all pairs in sight, without making all pairs.
//!
//! Kruskal (1956) in shells: only the pairs whose length lies in (0, r], then in (r, 1.5 r] and so on are made, of those only
//! the ones that still join two sets, and of those, once there is a giant set, only the ones that leave a smaller one.
//! Within a shell the pairs are sorted by buckets of squared length.
//!
//! The order is that of (squared length, lower number, higher number), so there is one tree and no tie. With a limit of
//! terminals this is Kruskal's order with one more rule: a pair is passed over when one of its ends has no terminal left.
//! That is no longer the lightest of all such trees (finding that is NP-hard), and a set of satellites all of whose ways out
//! end at full ones stays apart; the forest counts it.

use topology::Sets;

use core::ops::Range;

use super::cells::Cells;
use super::field::Field;
use super::protocol::Isl;
use super::rules::Terms;
use super::sight::Sight;
use super::tree::Tree;
use crate::parallel::map_parts;

/// The first shell reaches so many mean distances between neighbours; measured.
const FIRST_SPACINGS: f64 = 1.5;
/// Each shell reaches so many times as far as the one before; measured.
const GROWTH: f64 = 1.5;
/// Satellites of one part of a search: tens of microseconds of work.
const PART: usize = 512;
/// Pairs that are held at a time, per satellite; a shell with more is cut. Real skies need up to 6.
const PAIRS_PER_SATELLITE: usize = 24;
/// Pairs that are always allowed, for small constellations that lie close together.
const PAIRS_MIN: usize = 16_384;
/// Pairs of one bucket while they are put in order.
const PAIRS_PER_BUCKET: usize = 4;
/// A shell thinner than this is not cut, km: pairs are then taken in the order of their numbers. More than
/// [`PAIRS_PER_SATELLITE`] pairs of equal length within a millimetre are copies in one place and no constellation.
const SHELL_KM_MIN: f64 = 1.0e-6;
/// No set is the giant one yet.
const NO_GIANT: u32 = u32::MAX;

/// Protocol `mst`.
#[derive(Debug)]
pub(super) struct Mst {
    sight: Sight,
    terminals: u32,
    field: Field,
    spanner: Spanner,
}

impl Mst {
    pub(super) fn new(terms: &Terms) -> Self {
        Self {
            sight: terms.tree_sight,
            terminals: terms.tree_terminals,
            field: Field::default(),
            spanner: Spanner::default(),
        }
    }
}

impl Tree for Mst {
    fn name(&self) -> &'static str {
        "mst"
    }

    fn grow(&mut self, positions: &[[f64; 3]], links: &mut Vec<Isl>) -> usize {
        self.field.prepare(positions);
        let growth =
            Growth { positions, field: &self.field, sight: &self.sight, terminals: self.terminals };
        self.spanner.span(&growth, links)
    }

    fn field(&self) -> &Field {
        &self.field
    }
}

/// What a forest grows on.
#[derive(Clone, Copy, Debug)]
struct Growth<'a> {
    positions: &'a [[f64; 3]],
    field: &'a Field,
    sight: &'a Sight,
    terminals: u32,
}

/// The lengths of pairs that are looked at together: above `low2`, up to `high2`, squared km.
#[derive(Clone, Copy, Debug)]
struct Shell {
    low2: f64,
    high2: f64,
}

/// A pair as a number that sorts by squared length, lower and higher satellite.
pub(super) type Pair = u128;

pub(super) fn pair(length2: f64, a: u32, b: u32) -> Pair {
    // The bits of numbers that are not negative are ordered as they are.
    u128::from(length2.to_bits()) << 64 | u128::from(a.min(b)) << 32 | u128::from(a.max(b))
}

#[expect(clippy::cast_possible_truncation, reason = "the parts that `pair` put there")]
pub(super) fn ends(pair: Pair) -> (u32, u32) {
    ((pair >> 32) as u32, pair as u32)
}

pub(super) fn length_km(pair: Pair) -> f64 {
    length2(pair).sqrt()
}

fn length2(pair: Pair) -> f64 {
    f64::from_bits((pair >> 64) as u64)
}

/// The lowest and the highest corner of a box around these points.
fn corners(points: impl Iterator<Item = [f64; 3]>) -> ([f64; 3], [f64; 3]) {
    let (mut low, mut high) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
    for at in points {
        for axis in 0..3 {
            low[axis] = low[axis].min(at[axis]);
            high[axis] = high[axis].max(at[axis]);
        }
    }
    (low, high)
}

/// Grows forests; keeps its memory from one to the next.
#[derive(Debug, Default)]
struct Spanner {
    sets: Sets,
    /// Free terminals of each satellite.
    free: Vec<u32>,
    /// How many sets there are.
    components: usize,
    /// The largest of them, once most pairs have been seen.
    giant: u32,
    /// The set of each point, in the order of the cells.
    labels: Vec<u32>,
    /// The points, by place among the cells, whose pairs are still of interest.
    seekers: Vec<u32>,
    /// Where the buckets of pairs end, and the pairs in them.
    ends: Vec<usize>,
    sorted: Vec<Pair>,
}

impl Spanner {
    /// Appends the links of the forest and answers how many trees it has.
    fn span(&mut self, growth: &Growth<'_>, links: &mut Vec<Isl>) -> usize {
        self.sets.reset(growth.positions.len());
        self.free.clear();
        self.free.resize(growth.positions.len(), growth.terminals);
        self.components = growth.field.present();
        let range_km = growth.field.range_km(growth.sight);
        let mut reach_km = (growth.field.spacing_km * FIRST_SPACINGS).min(range_km);
        // Lengths of 0 belong to the first shell.
        let mut low2 = -1.0;
        while 1 < self.components {
            let shell = Shell { low2, high2: reach_km * reach_km };
            self.find_seekers(&growth.field.cells, low2 < 0.0);
            match self.gather(growth, shell) {
                Some(pairs) => self.settle(growth, shell, &pairs, links),
                None if SHELL_KM_MIN < reach_km - low2.max(0.0).sqrt() => {
                    reach_km = f64::midpoint(reach_km, low2.max(0.0).sqrt());
                    continue;
                }
                None => self.settle_in_order(growth, shell, links),
            }
            if range_km <= reach_km {
                break;
            }
            low2 = shell.high2;
            reach_km = (reach_km * GROWTH).min(range_km);
        }
        self.components
    }

    /// All points at first; later those outside the largest set, since each pair of interest has such an end.
    fn find_seekers(&mut self, cells: &Cells, first: bool) {
        self.labels.clear();
        self.labels.extend(cells.points().iter().map(|point| self.sets.of(point.id)));
        let giant = if first { NO_GIANT } else { self.sets.largest() };
        self.giant = giant;
        self.seekers.clear();
        let labelled = (0_u32..).zip(&self.labels);
        self.seekers.extend(labelled.filter(|(_, set)| **set != giant).map(|(place, _)| place));
    }

    /// The pairs of a shell that join two sets, in no order; `None` when there are too many to hold.
    fn gather(&self, growth: &Growth<'_>, shell: Shell) -> Option<Vec<Pair>> {
        let parts = self.seekers.len().div_ceil(PART).max(1);
        let pairs_max =
            (growth.field.present() * PAIRS_PER_SATELLITE).max(PAIRS_MIN).div_ceil(parts);
        let found = map_parts(&self.seekers, PART, |seekers| {
            let mut pairs = Vec::with_capacity(seekers.len() * 4);
            let mut near = Vec::new();
            let points = growth.field.cells.points();
            let cell = |place: &u32| growth.field.cells.cell_of(points[*place as usize].at);
            for together in seekers.chunk_by(|a, b| cell(a) == cell(b)) {
                self.pairs_of(growth, shell, together, &mut near, &mut pairs);
                if pairs_max < pairs.len() {
                    return None;
                }
            }
            Some(pairs)
        });
        let parts: Vec<Vec<Pair>> = found.into_iter().collect::<Option<_>>()?;
        Some(parts.concat())
    }

    /// The pairs of the points in one cell; of two seekers the one that comes first among the cells makes the pair.
    fn pairs_of(
        &self,
        growth: &Growth<'_>,
        shell: Shell,
        places: &[u32],
        near: &mut Vec<Range<usize>>,
        pairs: &mut Vec<Pair>,
    ) {
        let points = growth.field.cells.points();
        let (low, high) = corners(places.iter().map(|place| points[*place as usize].at));
        near.clear();
        growth.field.cells.visit_box(low, high, shell.high2.sqrt(), |range| near.push(range));
        for place in places.iter().map(|place| *place as usize) {
            let (own, set) = (points[place], self.labels[place]);
            // Without a giant set all points are seekers.
            let from = if self.giant == NO_GIANT { place + 1 } else { 0 };
            for range in near.iter() {
                let begin = range.start.max(from).min(range.end);
                for (there, point) in (begin..).zip(&points[begin..range.end]) {
                    let length2 = point.distance2(own.at);
                    if length2 <= shell.high2 && shell.low2 < length2 {
                        let other = self.labels[there];
                        if other != set && (place < there || other == self.giant) {
                            pairs.push(pair(length2, own.id, point.id));
                        }
                    }
                }
            }
        }
    }

    /// Takes pairs in ascending order, as far as they join two sets.
    ///
    /// Neighbours on a sphere are spread evenly over squared length, so that buckets of it hold a few pairs each.
    fn settle(&mut self, growth: &Growth<'_>, shell: Shell, pairs: &[Pair], links: &mut Vec<Isl>) {
        let low2 = shell.low2.max(0.0);
        let buckets = pairs.len() / PAIRS_PER_BUCKET + 1;
        #[expect(clippy::cast_precision_loss, reason = "a number of buckets")]
        let per_km2 = buckets as f64 / (shell.high2 - low2).max(f64::MIN_POSITIVE);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "lengths are those of the shell; a rounding beyond its end is cut"
        )]
        let bucket_of =
            |pair: &Pair| (((length2(*pair) - low2) * per_km2) as usize).min(buckets - 1);
        self.ends.clear();
        self.ends.resize(buckets + 1, 0);
        pairs.iter().for_each(|pair| self.ends[bucket_of(pair) + 1] += 1);
        for bucket in 0..buckets {
            self.ends[bucket + 1] += self.ends[bucket];
        }
        let mut sorted = core::mem::take(&mut self.sorted);
        sorted.clear();
        sorted.resize(pairs.len(), 0);
        // The beginning of each bucket becomes its end while it fills.
        for pair in pairs {
            let place = &mut self.ends[bucket_of(pair)];
            sorted[*place] = *pair;
            *place += 1;
        }
        let mut begin = 0;
        for bucket in 0..buckets {
            let end = self.ends[bucket];
            sorted[begin..end].sort_unstable();
            sorted[begin..end].iter().for_each(|pair| self.join(growth, *pair, links));
            begin = end;
        }
        self.sorted = sorted;
    }

    /// The same for a shell too thin to be cut, without holding its pairs: by the numbers of the satellites alone.
    fn settle_in_order(&mut self, growth: &Growth<'_>, shell: Shell, links: &mut Vec<Isl>) {
        let mut places = core::mem::take(&mut self.seekers);
        let points = growth.field.cells.points();
        places.sort_unstable_by_key(|place| points[*place as usize].id);
        let mut pairs = Vec::new();
        let mut near = Vec::new();
        for place in &places {
            self.pairs_of(growth, shell, &[*place], &mut near, &mut pairs);
            pairs.sort_unstable_by_key(|pair| ends(*pair));
            for pair in pairs.drain(..) {
                self.join(growth, pair, links);
            }
            if self.components <= 1 {
                break;
            }
        }
        self.seekers = places;
    }

    fn join(&mut self, growth: &Growth<'_>, pair: Pair, links: &mut Vec<Isl>) {
        let (a, b) = ends(pair);
        let both_free = 0 < self.free[a as usize] && 0 < self.free[b as usize];
        let sees = || growth.sight.sees(growth.positions[a as usize], growth.positions[b as usize]);
        if both_free && self.sets.of(a) != self.sets.of(b) && sees() && self.sets.unite(a, b) {
            self.free[a as usize] -= 1;
            self.free[b as usize] -= 1;
            self.components -= 1;
            links.push(Isl { a, b, length_km: length_km(pair) });
        }
    }
}
