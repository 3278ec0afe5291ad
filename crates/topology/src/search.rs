//! Shortest paths grown only as far as they are asked for: what all routers and all orchestrators search with.

use crate::graph::{Graph, NOWHERE, NodeIx, PathTree, Step};
use crate::queue::Queue;
use crate::route::Route;

/// The last step of a path: over which link, from which node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Back {
    pub(crate) from: u32,
    pub(crate) link: u32,
}

const NO_BACK: Back = Back { from: NOWHERE, link: NOWHERE };

/// What is known of a node: one place in memory, since a search comes to nodes in no order that memory likes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Known {
    /// Of the shortest path so far; infinite without one.
    pub(crate) delay_us: f64,
    pub(crate) last: Back,
}

const UNKNOWN: Known = Known { delay_us: f64::INFINITY, last: NO_BACK };

/// Of fewer nodes than one in this many it is quicker to clear each than to clear all.
const FEW: usize = 8;

/// A search from one node, or several, (E. W. Dijkstra, 1959) that can be stopped and taken up again.
///
/// Among paths of equal delay the one whose last step comes from the lower node wins. Where it is stopped changes
/// nothing: what is settled stays as it is. Reused for another start it allocates nothing, and a search that ends after
/// ten nodes costs ten nodes, however large the graph is.
#[derive(Clone, Debug, Default)]
pub struct PathSearch {
    pub(crate) from: NodeIx,
    pub(crate) known: Vec<Known>,
    pub(crate) settled: Vec<bool>,
    /// The nodes that any path has reached: all others are as at the start.
    reached: Vec<u32>,
    open: Queue,
    rate_kbps_min: u32,
}

impl PathSearch {
    /// Begins anew from a node, over links of at least the given rate only.
    ///
    /// A `from` outside the graph reaches nothing.
    pub fn start(&mut self, graph: &Graph, from: NodeIx, rate_kbps_min: Option<u32>) {
        self.clear(graph, from, rate_kbps_min);
        if from.index() < graph.node_count() {
            self.open.push(0.0, from.0);
        }
    }

    /// Begins anew from all of `sources` at once, over all links: each node is reached from the nearest of them.
    ///
    /// Those outside the graph reach nothing.
    pub fn start_all(&mut self, graph: &Graph, sources: impl IntoIterator<Item = NodeIx>) {
        self.clear(graph, NodeIx(NOWHERE), None);
        for source in sources {
            if self.known.get(source.index()) == Some(&UNKNOWN) {
                self.set(source.0, 0.0, NO_BACK);
                self.open.push(0.0, source.0);
            }
        }
    }

    /// As [`Self::start`], for searches that keep what is open themselves.
    pub(crate) fn clear(&mut self, graph: &Graph, from: NodeIx, rate_kbps_min: Option<u32>) {
        let nodes = graph.node_count();
        self.from = from;
        self.rate_kbps_min = rate_kbps_min.unwrap_or(0);
        if self.known.len() == nodes && self.reached.len() < nodes / FEW {
            for node in &self.reached {
                let node = *node as usize;
                self.known[node] = UNKNOWN;
                self.settled[node] = false;
            }
        } else {
            self.known.clear();
            self.known.resize(nodes, UNKNOWN);
            self.settled.clear();
            self.settled.resize(nodes, false);
        }
        self.reached.clear();
        if from.index() < nodes {
            self.set(from.0, 0.0, NO_BACK);
        }
        let (mean_us, max_us) = graph.delay_span_us();
        self.open.reset(mean_us, max_us);
    }

    /// A path to a node that is shorter than those before.
    #[inline]
    pub(crate) fn set(&mut self, node: u32, delay_us: f64, last: Back) {
        let known = &mut self.known[node as usize];
        if known.delay_us.is_infinite() {
            self.reached.push(node);
        }
        *known = Known { delay_us, last };
    }

    /// Settles all nodes that can be reached.
    pub fn finish(&mut self, graph: &Graph) {
        while self.settle_next(graph).is_some() {}
    }

    /// Settles one more node, of equally near ones the lowest: it and its delay in microseconds; `None` when all that can
    /// be reached are settled.
    pub fn next(&mut self, graph: &Graph) -> Option<(NodeIx, f64)> {
        let node = self.settle_next(graph)?;
        Some((NodeIx(node), self.known[node as usize].delay_us))
    }

    /// Goes on until a node is settled, if its delay is at most `limit_us`, and answers that, microseconds.
    pub fn delay_within(&mut self, graph: &Graph, to: NodeIx, limit_us: f64) -> Option<f64> {
        while self.settled.get(to.index()) == Some(&false) {
            let (_, delay_us) = self.next(graph)?;
            if limit_us < delay_us {
                return None;
            }
        }
        self.delay_us(to).filter(|delay_us| *delay_us <= limit_us)
    }

    /// Goes on until a node is settled; false where no path leads to it.
    pub fn reach(&mut self, graph: &Graph, to: NodeIx) -> bool {
        while !self.settled.get(to.index()).copied().unwrap_or(true) {
            if self.settle_next(graph).is_none() {
                return false;
            }
        }
        to.index() < self.settled.len()
    }

    /// Goes on until the nearest of `goals` is settled, of equally near ones the lowest.
    pub fn reach_nearest(&mut self, graph: &Graph, goals: &[NodeIx]) -> Option<NodeIx> {
        let mut best = self.nearest_settled(goals);
        while best.is_none() {
            let node = NodeIx(self.settle_next(graph)?);
            best = goals.contains(&node).then_some(node);
        }
        // Goals as near as this one may follow; which ones are settled already must not matter.
        let limit_us = self.known[best?.index()].delay_us;
        while self.open.next_us().is_some_and(|us| us <= limit_us) {
            self.settle_next(graph);
        }
        self.nearest_settled(goals)
    }

    fn nearest_settled(&self, goals: &[NodeIx]) -> Option<NodeIx> {
        let settled = |goal: &NodeIx| self.settled.get(goal.index()).copied().unwrap_or(false);
        let by_delay = |goal: &NodeIx| (self.known[goal.index()].delay_us.to_bits(), *goal);
        goals.iter().copied().filter(settled).min_by_key(by_delay)
    }

    /// Settles one more node; `None` when all that can be reached are.
    fn settle_next(&mut self, graph: &Graph) -> Option<u32> {
        while let Some((delay_us, node)) = self.open.pop() {
            if !std::mem::replace(&mut self.settled[node as usize], true) {
                self.relax(graph, node, delay_us);
                return Some(node);
            }
        }
        None
    }

    fn relax(&mut self, graph: &Graph, node: u32, delay_us: f64) {
        for end in graph.row(node) {
            let there = end.to as usize;
            let through = delay_us + end.delay_us;
            let known = self.known[there];
            if known.delay_us < through || !self.carries(graph, end.link) {
                continue;
            }
            let last = Back { from: node, link: end.link };
            if through < known.delay_us {
                self.set(end.to, through, last);
                self.open.push(through, end.to);
            } else if node < known.last.from && !self.settled[there] {
                self.known[there].last = last;
            }
        }
    }

    pub(crate) fn carries(&self, graph: &Graph, link: u32) -> bool {
        self.rate_kbps_min == 0 || self.rate_kbps_min <= graph.links()[link as usize].rate_kbps
    }

    /// The delay of a settled node, microseconds; `None` for one that is not settled.
    pub fn delay_us(&self, to: NodeIx) -> Option<f64> {
        let settled = *self.settled.get(to.index())?;
        settled.then(|| self.known[to.index()].delay_us)
    }

    /// The node before a settled one on the way to it; `None` for the start, and for one that is not settled.
    pub fn before(&self, node: NodeIx) -> Option<NodeIx> {
        self.delay_us(node)?;
        let from = self.known[node.index()].last.from;
        (from != NOWHERE).then_some(NodeIx(from))
    }

    /// The route to a settled node; `None` for one that is not settled.
    pub fn route_to(&self, graph: &Graph, to: NodeIx) -> Option<Route> {
        self.delay_us(to)?;
        Some(self.route_back(graph, to))
    }

    pub(crate) fn route_back(&self, graph: &Graph, to: NodeIx) -> Route {
        let mut links = Vec::new();
        let mut node = to.0;
        while self.known[node as usize].last.from != NOWHERE {
            let back = self.known[node as usize].last;
            links.push(back.link);
            node = back.from;
        }
        links.reverse();
        Route::along(graph, NodeIx(node), &links)
    }

    /// For each node the first one on the way to it; [`NOWHERE`] for the start and for what is not reached.
    pub(crate) fn first_hops(&self, out: &mut Vec<u32>) {
        out.clear();
        out.resize(self.known.len(), NOWHERE);
        let mut way = Vec::new();
        for to in 0..self.known.len() {
            let mut node = to;
            // Up to a node whose first hop is known, or whose last step comes from the start: it is one.
            while out[node] == NOWHERE && self.known[node].last.from != NOWHERE {
                way.push(node);
                node = self.known[node].last.from as usize;
            }
            let mut hop = out[node];
            while let Some(node) = way.pop() {
                if hop == NOWHERE {
                    hop = u32::try_from(node).unwrap_or(NOWHERE);
                }
                out[node] = hop;
            }
        }
    }

    pub(crate) fn into_tree(self, graph: &Graph) -> PathTree {
        let step = |known: &Known| match graph.links().get(known.last.link as usize) {
            Some(link) => {
                Step { from: known.last.from, rate_kbps: link.rate_kbps, loss_ppm: link.loss_ppm }
            }
            None => Step { from: NOWHERE, rate_kbps: 0, loss_ppm: 0 },
        };
        let last = self.known.iter().map(step).collect();
        let delay_us = self.known.iter().map(|known| known.delay_us).collect();
        PathTree { from: self.from, delay_us, last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Link;

    fn graph(nodes: usize, links: &[(u32, u32, f64)]) -> Graph {
        let link = |(a, b, delay_us): &(u32, u32, f64)| Link {
            a: NodeIx(*a),
            b: NodeIx(*b),
            delay_us: *delay_us,
            rate_kbps: 1,
            loss_ppm: 0,
        };
        Graph::new(nodes, &links.iter().map(link).collect::<Vec<_>>()).unwrap()
    }

    /// A ring of 60 with chords whose delays follow no order, and a node apart.
    fn ring() -> Graph {
        let links: Vec<(u32, u32, f64)> = (0..60_u32)
            .flat_map(|n| {
                let odd = f64::from(n * 37 % 61);
                [(n, (n + 1) % 60, 10.0 + odd), (n, (n * 7 + 3) % 60, 25.0 + odd * 3.0)]
            })
            .filter(|(a, b, _)| a != b)
            .collect();
        graph(61, &links)
    }

    #[test]
    fn nodes_come_in_the_order_of_their_delay_as_whole_trees_have_it() {
        let graph = ring();
        let mut search = PathSearch::default();
        for from in [0, 17, 59] {
            let tree = graph.shortest_paths(NodeIx(from));
            // What an earlier search has left must not matter, whether it went far or not.
            for looked_at in [3, 60] {
                search.start_all(&graph, [NodeIx(from)]);
                let mut last = 0.0;
                for _ in 0..looked_at {
                    let (node, delay_us) = search.next(&graph).unwrap();
                    assert!(last <= delay_us);
                    assert_eq!(tree.delay_us(node).unwrap().to_bits(), delay_us.to_bits());
                    last = delay_us;
                }
            }
            assert_eq!(search.next(&graph), None);
            search.start_all(&graph, [NodeIx(from)]);
            assert_eq!(search.delay_within(&graph, NodeIx(60), f64::INFINITY), None);
        }
        let mut again = PathSearch::default();
        search.start(&graph, NodeIx(5), None);
        again.start(&graph, NodeIx(5), None);
        search.finish(&graph);
        again.finish(&graph);
        assert_eq!(search.into_tree(&graph), again.into_tree(&graph));
    }

    #[test]
    fn several_sources_share_the_ground_and_the_limit_is_included() {
        let graph = graph(5, &[(0, 1, 5.0), (1, 2, 5.0), (2, 3, 5.0), (3, 4, 5.0)]);
        let mut search = PathSearch::default();
        let mut within = |sources: &[u32], to: u32, limit_us: f64| {
            search.start_all(&graph, sources.iter().map(|source| NodeIx(*source)));
            search.delay_within(&graph, NodeIx(to), limit_us)
        };
        assert_eq!(within(&[0, 4, 4], 3, 5.0), Some(5.0));
        assert_eq!(within(&[0, 4], 2, 9.9), None);
        assert_eq!(within(&[0, 4], 4, 0.0), Some(0.0));
        assert_eq!(within(&[], 2, 9.9), None);
        assert_eq!(within(&[9], 2, 9.9), None);
        assert_eq!(within(&[0], 9, 9.9), None);
    }
}
