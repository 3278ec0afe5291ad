//! Protocol `nearest`: each satellite asks for its nearest satellites in sight.
//!
//! Ours: the links asked for are given, shortest first, while both ends have a terminal left. Stardust's: all links
//! asked for by either end.

use super::field::{Field, Search};
use super::protocol::{Isl, IslSet, LinkProtocol, Scene};
use super::rules::Terms;
use super::sight::Sight;
use crate::parallel::map_parts;

/// Satellites of one part: a hundred microseconds of work.
const PART: usize = 256;
/// Where to look first, in mean distances between neighbours, per root of the number wanted.
const START_SPACINGS: f64 = 0.9;

/// Protocol `nearest`.
#[derive(Debug)]
pub(super) struct Nearest {
    sight: Sight,
    neighbours: usize,
    terminals: u32,
    field: Field,
    free: Vec<u32>,
}

impl Nearest {
    pub(super) fn new(terms: &Terms) -> Self {
        Self {
            sight: terms.nearest_sight,
            neighbours: usize::from(terms.neighbours),
            terminals: terms.nearest_terminals,
            field: Field::default(),
            free: Vec::new(),
        }
    }
}

impl LinkProtocol for Nearest {
    fn name(&self) -> &'static str {
        "nearest"
    }

    fn choose(&mut self, scene: &Scene<'_>, set: &mut IslSet) {
        self.field.prepare(scene.positions_km);
        let search = Search {
            positions: scene.positions_km,
            sight: &self.sight,
            k: self.neighbours,
            start_spacings: START_SPACINGS * f64::from(root(self.neighbours)),
        };
        let mut asked = asked(&self.field, &search);
        asked.sort_unstable_by(|x, y| (x.0.total_cmp(&y.0)).then((x.1, x.2).cmp(&(y.1, y.2))));
        asked.dedup_by_key(|(_, a, b)| (*a, *b));
        self.free.clear();
        self.free.resize(scene.positions_km.len(), self.terminals);
        set.links.clear();
        for (d2, a, b) in asked {
            if 0 < self.free[a as usize] && 0 < self.free[b as usize] {
                self.free[a as usize] -= 1;
                self.free[b as usize] -= 1;
                set.links.push(Isl { a, b, length_km: d2.sqrt() });
            }
        }
        super::tree::sort(&mut set.links);
        set.forest = None;
    }
}

/// The smallest whole number whose square is at least `k`.
fn root(k: usize) -> u8 {
    (1..u8::MAX).find(|root| k <= usize::from(*root).pow(2)).unwrap_or(u8::MAX)
}

/// Squared length, lower and higher number of all links that are asked for, some twice.
fn asked(field: &Field, search: &Search<'_>) -> Vec<(f64, u32, u32)> {
    let parts = map_parts(field.cells.points(), PART, |points| {
        let (mut found, mut asked) = (Vec::new(), Vec::with_capacity(points.len() * search.k));
        for own in points {
            field.nearest(search, own, &mut found, |_| true);
            asked.extend(found.iter().map(|(d2, id)| (*d2, own.id.min(*id), own.id.max(*id))));
        }
        asked
    });
    parts.concat()
}
