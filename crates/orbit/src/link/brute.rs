//! The plain way to a spanning forest: every pair in range, sorted, and Kruskal's algorithm over all.
//!
//! What benches compare with and tests check against. It holds all pairs at once (16 bytes each: 100 MB for 20,646
//! satellites and 2126 km), as the programs do that this crate is measured against.

use topology::Sets;

use super::field::Field;
use super::mst::{Pair, ends, length_km, pair};
use super::protocol::{Isl, IslSet};
use super::rules::{IslRules, Rulebook, Terms};
use super::tree::finish;
use crate::parallel::map_parts;

/// Satellites of one part.
const PART: usize = 256;

/// The forest of protocol `mst` by brute force, and how many pairs are in range.
pub fn brute_force_mst(
    positions_km: &[[f64; 3]],
    rules: &IslRules,
    rulebook: Rulebook,
) -> (IslSet, usize) {
    let terms = Terms::new(rules, rulebook);
    let mut field = Field::default();
    field.prepare(positions_km);
    let range_km = field.range_km(&terms.tree_sight);
    let mut pairs = all_pairs(&field, range_km);
    pairs.sort_unstable();
    let candidates = pairs.len();
    let mut set = IslSet::default();
    let mut sets = Sets::default();
    sets.reset(positions_km.len());
    let mut free = vec![terms.tree_terminals; positions_km.len()];
    for pair in pairs {
        let (a, b) = ends(pair);
        let both_free = 0 < free[a as usize] && 0 < free[b as usize];
        let sees = || terms.tree_sight.sees(positions_km[a as usize], positions_km[b as usize]);
        if both_free && sets.of(a) != sets.of(b) && sees() && sets.unite(a, b) {
            free[a as usize] -= 1;
            free[b as usize] -= 1;
            set.links.push(Isl { a, b, length_km: length_km(pair) });
        }
    }
    let components = field.present() - set.links.len();
    finish(&mut set, components);
    (set, candidates)
}

fn all_pairs(field: &Field, range_km: f64) -> Vec<Pair> {
    let points = field.cells.points();
    let parts = map_parts(points, PART, |owns| {
        let mut pairs = Vec::new();
        for own in owns {
            field.cells.visit(own.at, range_km, |range| {
                for other in &points[range] {
                    let length2 = other.distance2(own.at);
                    if own.id < other.id && length2 <= range_km * range_km {
                        pairs.push(pair(length2, own.id, other.id));
                    }
                }
            });
        }
        pairs
    });
    parts.concat()
}
