//! A search that aims at its goal (P. E. Hart, N. J. Nilsson, B. Raphael, 1968).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{NoRoute, Route, RouteNeed, Router, check_ends, judge};
use crate::graph::{Graph, Link, NodeIx};
use crate::search::{Back, PathSearch};

/// More goals than these are not aimed at: the nearest of so many lies near in all directions.
const AIMED_GOALS_MAX: usize = 16;
/// What is taken off the aim, so that rounding never makes it more than what is left to go: a part of it, and microseconds.
const AIM_LESS: f64 = 1.0e-9;
const AIM_LESS_US: f64 = 1.0e-6;

/// A*: never a longer route than Dijkstra's, in less time where the nodes are [placed](Router::place).
///
/// What is left to go takes at least as long as the straight line at the speed of the fastest link of the graph: that is
/// true whatever the links are made of, and whatever was changed about them.
#[derive(Clone, Debug, Default)]
pub struct AStar {
    positions_km: Vec<[f64; 3]>,
    /// Microseconds that no link needs less of for a kilometre of straight line; 0 where nothing is known.
    us_per_km: f64,
    search: PathSearch,
    open: BinaryHeap<Reverse<(u64, u32)>>,
}

impl AStar {
    fn aim_us(&self, node: u32, goals: &[NodeIx]) -> f64 {
        if self.us_per_km <= 0.0 || AIMED_GOALS_MAX < goals.len() {
            return 0.0;
        }
        let here = self.position_km(NodeIx(node));
        let nearest_km = goals
            .iter()
            .map(|goal| distance_km(here, self.position_km(*goal)))
            // Any goal without a position may be the nearest.
            .map(|km| if km.is_nan() { 0.0 } else { km })
            .fold(f64::INFINITY, f64::min);
        (nearest_km * self.us_per_km * (1.0 - AIM_LESS) - AIM_LESS_US).max(0.0)
    }

    fn position_km(&self, node: NodeIx) -> [f64; 3] {
        self.positions_km.get(node.index()).copied().unwrap_or([f64::NAN; 3])
    }

    fn shortest(&mut self, graph: &Graph, from: NodeIx, goals: &[NodeIx]) -> Option<Route> {
        let mut best_us = if goals.contains(&from) { 0.0 } else { f64::INFINITY };
        while let Some(Reverse((bits, node))) = self.open.pop() {
            if best_us < f64::from_bits(bits) {
                break;
            }
            if !std::mem::replace(&mut self.search.settled[node as usize], true) {
                best_us = best_us.min(self.relax(graph, node, goals));
            }
        }
        let delay = |goal: &NodeIx| self.search.known[goal.index()].delay_us;
        let reached = goals.iter().filter(|goal| delay(goal).is_finite());
        let goal = reached.min_by_key(|goal| (delay(goal).to_bits(), **goal))?;
        Some(self.search.route_back(graph, *goal))
    }

    /// Goes on from a node; says how near a goal came by it.
    fn relax(&mut self, graph: &Graph, node: u32, goals: &[NodeIx]) -> f64 {
        let mut best_us = f64::INFINITY;
        let delay_us = self.search.known[node as usize].delay_us;
        for end in graph.row(node) {
            let there = end.to as usize;
            let through = delay_us + end.delay_us;
            let known = self.search.known[there].delay_us;
            if known < through || !self.search.carries(graph, end.link) {
                continue;
            }
            let back = Back { from: node, link: end.link };
            if through < known {
                self.search.set(end.to, through, back);
                // It may have been settled: the aim is a bound, but no even one.
                self.search.settled[there] = false;
                let key = through + self.aim_us(end.to, goals);
                self.open.push(Reverse((key.to_bits(), end.to)));
                if goals.contains(&NodeIx(end.to)) {
                    best_us = best_us.min(through);
                }
            } else if delay_us < through && node < self.search.known[there].last.from {
                // Only from a node that is truly nearer, so that links without delay make no circles.
                self.search.known[there].last = back;
            }
        }
        best_us
    }
}

impl Router for AStar {
    fn name(&self) -> &'static str {
        "a-star"
    }

    fn begin(&mut self, _graph: &Graph) {
        self.positions_km.clear();
        self.us_per_km = 0.0;
    }

    fn aims(&self) -> bool {
        true
    }

    fn place(&mut self, graph: &Graph, positions_km: &[[f64; 3]]) {
        self.positions_km.clear();
        self.positions_km.extend_from_slice(positions_km);
        let us_per_km = |link: &Link| {
            let km = distance_km(self.position_km(link.a), self.position_km(link.b));
            match km {
                // Without a position an end may be anywhere, and so the link as fast as can be.
                km if km.is_nan() => 0.0,
                // Two nodes at one place say nothing about speed.
                km if km <= 0.0 => f64::INFINITY,
                km => link.delay_us / km,
            }
        };
        let least = graph.links().iter().map(us_per_km).fold(f64::INFINITY, f64::min);
        self.us_per_km = if least.is_finite() { least } else { 0.0 };
    }

    fn find(
        &mut self,
        graph: &Graph,
        from: NodeIx,
        goals: &[NodeIx],
        need: &RouteNeed,
    ) -> Result<Route, NoRoute> {
        check_ends(graph, from, goals)?;
        self.search.clear(graph, from, need.rate_kbps_min);
        self.open.clear();
        self.open.push(Reverse((0.0_f64.to_bits(), from.0)));
        let shortest = self.shortest(graph, from, goals).ok_or(NoRoute::Unreachable)?;
        judge(graph, shortest, goals, need)
    }
}

fn distance_km(a: [f64; 3], b: [f64; 3]) -> f64 {
    let [x, y, z] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    (x * x + y * y + z * z).sqrt()
}
