//! The nearest satellites in sight, and the search for near ones that all layouts share.

use topology::Sets;

use super::terminals::{Terminals, by_cost};
use super::{LinkLayout, TERMINALS};
use crate::propagate::State;
use crate::vector::{dot, minus, norm};
use crate::visibility::SightRule;

/// The layout in which each satellite takes its nearest ones in sight, the shortest links first.
pub(crate) fn nearest(states: &[Option<State>], sight: &SightRule) -> LinkLayout {
    let points: Vec<Point> = points(states, |_| true);
    let mut terminals = Terminals::new(states.len());
    let links = near_pairs(&points, usize::from(TERMINALS))
        .into_iter()
        .filter(|(_, a, b)| in_sight(states, *a, *b, sight));
    LinkLayout::new(links.filter(|(_, a, b)| terminals.join(*a, *b)).map(|(_, a, b)| (a, b)))
}

/// Gives spare terminals to near satellites that stay in range for `hold_s` seconds.
///
/// First to links that join sets which hang together only within themselves, then to any.
pub(super) fn use_spare_terminals(
    states: &[Option<State>],
    sight: &SightRule,
    hold_s: f64,
    terminals: &mut Terminals,
    links: &mut Vec<(u32, u32)>,
) {
    /// Candidates per satellite: enough to find a partner where some are taken, few enough to be quick.
    const CANDIDATES: usize = 6;
    let holds = |a: u32, b: u32| stays_in_range(states, a, b, sight, hold_s);
    let mut sets = Sets::default();
    sets.reset(states.len());
    for (a, b) in links.iter() {
        sets.unite(*a, *b);
    }

    let spare = points(states, |satellite| 0 < terminals.free(satellite));
    let mut candidates = near_pairs(&spare, CANDIDATES);
    candidates.retain(|(_, a, b)| holds(*a, *b));
    candidates.retain(|(_, a, b)| !join_sets(*a, *b, &mut sets, terminals, links));
    let islands = bridges_of_islands(&spare, &mut sets, terminals, holds);
    for (_, a, b) in islands {
        join_sets(a, b, &mut sets, terminals, links);
    }
    links.sort_unstable();
    let held = links.clone();
    for (_, a, b) in candidates {
        if held.binary_search(&(a, b)).is_err() && terminals.join(a, b) {
            links.push((a, b));
        }
    }
}

/// Links two satellites of different sets, if both have a terminal left.
fn join_sets(
    a: u32,
    b: u32,
    sets: &mut Sets,
    terminals: &mut Terminals,
    links: &mut Vec<(u32, u32)>,
) -> bool {
    let joins = sets.of(a) != sets.of(b) && terminals.join(a, b);
    if joins {
        sets.unite(a, b);
        links.push((a, b));
    }
    joins
}

/// For each satellite outside the largest set the nearest partner in another set, by distance.
///
/// A train of satellites after a launch is its own neighbourhood: the nearest of all do not lead out of it.
fn bridges_of_islands(
    spare: &[Point],
    sets: &mut Sets,
    terminals: &Terminals,
    holds: impl Fn(u32, u32) -> bool,
) -> Vec<(f64, u32, u32)> {
    let free: Vec<(u32, &Point)> = spare
        .iter()
        .filter(|(i, _)| 0 < terminals.free(*i))
        .map(|point| (sets.of(point.0), point))
        .collect();
    let largest = sets.largest();
    let mut bridges = Vec::new();
    for (set, (a, from)) in free.iter().filter(|(set, _)| *set != largest) {
        let outside = free.iter().filter(|(other, _)| other != set);
        let distance = |to: &[f64; 3]| norm(minus(*to, *from));
        let nearest = outside
            .map(|(_, (b, to))| (distance(to), *b))
            .filter(|(_, b)| holds(*a, *b))
            .min_by_key(|(km, b)| by_cost(*km, *b, 0));
        bridges.extend(nearest.map(|(km, b)| (km, *a.min(&b), *a.max(&b))));
    }
    bridges.sort_unstable_by_key(|(km, a, b)| by_cost(*km, *a, *b));
    bridges
}

fn stays_in_range(
    states: &[Option<State>],
    a: u32,
    b: u32,
    sight: &SightRule,
    hold_s: f64,
) -> bool {
    let (Some((ra, va)), Some((rb, vb))) = (state(states, a), state(states, b)) else {
        return false;
    };
    let drift_km = norm(minus(*vb, *va)) * hold_s;
    sight.distance_km(*ra, *rb).is_some_and(|km| km + drift_km <= sight.range_max_km)
}

fn state(states: &[Option<State>], satellite: u32) -> Option<&State> {
    states.get(satellite as usize)?.as_ref()
}

fn in_sight(states: &[Option<State>], a: u32, b: u32, sight: &SightRule) -> bool {
    match (state(states, a), state(states, b)) {
        (Some((ra, _)), Some((rb, _))) => sight.distance_km(*ra, *rb).is_some(),
        _ => false,
    }
}

/// A satellite and its position, km.
type Point = (u32, [f64; 3]);

fn points(states: &[Option<State>], wanted: impl Fn(u32) -> bool) -> Vec<Point> {
    let known = (0_u32..).zip(states).filter_map(|(i, state)| Some((i, state.as_ref()?.0)));
    known.filter(|(i, _)| wanted(*i)).collect()
}

/// The pairs in which one end is among the `k` nearest of the other: distance, lower and higher number, by distance.
fn near_pairs(points: &[Point], k: usize) -> Vec<(f64, u32, u32)> {
    let mut by_x = points.to_vec();
    by_x.sort_unstable_by(|(i, p), (j, q)| p[0].total_cmp(&q[0]).then(i.cmp(j)));
    let mut pairs = Vec::with_capacity(points.len() * k);
    let mut near = Near { best: Vec::with_capacity(k), k };
    for (at, (own, _)) in by_x.iter().enumerate() {
        near.find(&by_x, at);
        pairs.extend(near.best.iter().map(|(d2, i)| (d2.sqrt(), *own.min(i), *own.max(i))));
    }
    pairs.sort_unstable_by_key(|(d, a, b)| by_cost(*d, *a, *b));
    pairs.dedup_by(|x, y| (x.1, x.2) == (y.1, y.2));
    pairs
}

/// The `k` nearest so far: squared distance and number, the nearest first; the lower number wins ties.
#[derive(Debug)]
struct Near {
    best: Vec<(f64, u32)>,
    k: usize,
}

impl Near {
    /// Finds the nearest of the point at `at` among points sorted by x: outwards from it until x alone is too far.
    fn find(&mut self, by_x: &[Point], at: usize) {
        self.best.clear();
        let from = by_x[at].1;
        // Points on a sphere are spread evenly over x, so a slice around x holds few of them.
        let mut right = by_x[at + 1..].iter();
        let mut left = by_x[..at].iter().rev();
        let (mut more_right, mut more_left) = (true, true);
        while more_right || more_left {
            more_right = more_right && self.visit(from, right.next());
            more_left = more_left && self.visit(from, left.next());
        }
    }

    /// Offers the next point of a sweep; answers whether the sweep should go on.
    fn visit(&mut self, from: [f64; 3], next: Option<&Point>) -> bool {
        match next {
            Some((number, position)) if !self.is_beyond(position[0] - from[0]) => {
                self.offer(from, *number, *position);
                true
            }
            _ => false,
        }
    }

    /// Whether nothing so far away along one axis can be among the nearest any more.
    fn is_beyond(&self, apart_km: f64) -> bool {
        self.best.len() == self.k
            && self.best.last().is_none_or(|(worst2, _)| *worst2 < apart_km * apart_km)
    }

    fn offer(&mut self, from: [f64; 3], number: u32, position: [f64; 3]) {
        let off = minus(position, from);
        let candidate = (dot(off, off), number);
        if self.best.len() == self.k {
            if self.best.last().is_none_or(|worst| *worst <= candidate) {
                return;
            }
            self.best.pop();
        }
        let place = self.best.partition_point(|kept| *kept < candidate);
        self.best.insert(place, candidate);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIGHT: SightRule = SightRule { range_max_km: 5500.0, grazing_altitude_km: 80.0 };

    fn on_sphere(seed: &[(f64, f64)]) -> Vec<Point> {
        let place = |(lat, lon): &(f64, f64)| {
            [7000.0 * lat.cos() * lon.cos(), 7000.0 * lat.cos() * lon.sin(), 7000.0 * lat.sin()]
        };
        (0_u32..).zip(seed.iter().map(place)).collect()
    }

    fn brute_force(points: &[Point], k: usize) -> Vec<(f64, u32, u32)> {
        let mut pairs = Vec::new();
        for (own, from) in points {
            let off = |to: &[f64; 3]| minus(*to, *from);
            let others = points.iter().filter(|(i, _)| i != own);
            let mut near: Vec<_> = others.map(|(i, to)| (dot(off(to), off(to)), *i)).collect();
            near.sort_by(|x, y| x.partial_cmp(y).unwrap());
            pairs.extend(near.iter().take(k).map(|(d2, i)| (d2.sqrt(), *own.min(i), *own.max(i))));
        }
        pairs.sort_by(|x, y| x.partial_cmp(y).unwrap());
        pairs.dedup();
        pairs
    }

    #[test]
    fn no_one_and_two_satellites_are_fine() {
        let state = |x: f64| Some(([x, 6900.0, 0.0], [7.5, 0.0, 0.0]));
        assert_eq!(nearest(&[], &SIGHT).pairs(), []);
        assert_eq!(nearest(&[state(0.0)], &SIGHT).pairs(), []);
        assert_eq!(nearest(&[state(0.0), state(100.0)], &SIGHT).pairs(), [(0, 1)]);
        assert_eq!(nearest(&[state(0.0), None, state(100.0)], &SIGHT).pairs(), [(0, 2)]);
        // Out of range.
        assert_eq!(nearest(&[state(0.0), state(5600.0)], &SIGHT).pairs(), []);
    }

    #[test]
    fn nobody_gets_more_links_than_terminals() {
        // Nine satellites in a bunch: the one in the middle is everyone's neighbour.
        let place =
            |i: f64| Some(([100.0 * (i % 3.0), 6900.0, 100.0 * (i / 3.0).floor()], [0.0; 3]));
        let states: Vec<_> = (0..9).map(|i| place(f64::from(i))).collect();
        let layout = nearest(&states, &SIGHT);
        for satellite in 0..9 {
            let degree = layout.pairs().iter().filter(|(a, b)| *a == satellite || *b == satellite);
            assert!((1..=4).contains(&degree.count()));
        }
    }

    proptest! {
        #[test]
        fn the_sweep_finds_what_brute_force_finds(
            seed in prop::collection::vec((-1.5_f64..1.5, -3.1_f64..3.1), 0..300),
        ) {
            let points = on_sphere(&seed);
            prop_assert_eq!(near_pairs(&points, 4), brute_force(&points, 4));
        }
    }
}
