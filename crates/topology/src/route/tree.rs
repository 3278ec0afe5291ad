//! Paths of forests: where there is only one way, it is found without a search.

use super::{Dijkstra, NoRoute, Route, RouteNeed, Router, check_ends};
use crate::graph::{Graph, NOWHERE, NodeIx};

/// Within so many microseconds two lengths may be equal: what sums in different orders differ by.
const SUM_ERROR_US: f64 = 1.0e-6;

/// What the path between two nodes of a tree offers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TreePath {
    /// One-way latency, microseconds; up to rounding the sum of the delays.
    pub latency_us: f64,
    /// The rate of the narrowest link, kbit/s; `u32::MAX` without links.
    pub rate_kbps: u32,
    /// Links passed.
    pub hops: u32,
}

/// A forest, rooted once, that tells paths in logarithmic time.
///
/// Each node knows its parent and one node farther up (E. W. Myers, "An applicative random-access stack", 1983): linear memory, and
/// any ancestor is found in O(log N) steps.
#[derive(Clone, Debug, Default)]
pub struct TreePaths {
    nodes: Vec<Rooted>,
}

#[derive(Clone, Copy, Debug)]
struct Rooted {
    parent: u32,
    /// The link to the parent; [`NOWHERE`] for a root.
    link: u32,
    jump: u32,
    depth: u32,
    root: u32,
    rate_kbps: u32,
    /// The narrowest of the links up to `jump`.
    rate_to_jump_kbps: u32,
    /// From the root, microseconds.
    delay_us: f64,
}

impl TreePaths {
    /// Roots a graph, each tree at its lowest node; `None` when it has loops.
    pub fn of(graph: &Graph) -> Option<Self> {
        let mut paths = Self::default();
        paths.rebuild(graph, &mut Vec::new()).then_some(paths)
    }

    /// The same in place; false when the graph has loops.
    fn rebuild(&mut self, graph: &Graph, open: &mut Vec<u32>) -> bool {
        const UNSEEN: Rooted = Rooted {
            parent: NOWHERE,
            link: NOWHERE,
            jump: NOWHERE,
            depth: 0,
            root: NOWHERE,
            rate_kbps: u32::MAX,
            rate_to_jump_kbps: u32::MAX,
            delay_us: 0.0,
        };
        self.nodes.clear();
        self.nodes.resize(graph.node_count(), UNSEEN);
        open.clear();
        for root in (0_u32..).take(graph.node_count()) {
            if self.nodes[root as usize].root != NOWHERE {
                continue;
            }
            self.nodes[root as usize] = Rooted { parent: root, jump: root, root, ..UNSEEN };
            open.push(root);
            while let Some(node) = open.pop() {
                for end in graph.row(node) {
                    if end.link == self.nodes[node as usize].link {
                        continue;
                    }
                    if self.nodes[end.to as usize].root != NOWHERE {
                        return false;
                    }
                    let rate_kbps = graph.links()[end.link as usize].rate_kbps;
                    self.nodes[end.to as usize] =
                        self.child(node, end.link, end.delay_us, rate_kbps);
                    open.push(end.to);
                }
            }
        }
        true
    }

    fn child(&self, parent: u32, link: u32, delay_us: f64, rate_kbps: u32) -> Rooted {
        let above = self.at(parent);
        let jump = self.at(above.jump);
        // Two jumps of equal length make one of twice the length.
        let doubles = parent != above.root
            && above.depth - jump.depth == jump.depth - self.at(jump.jump).depth;
        Rooted {
            parent,
            link,
            jump: if doubles { jump.jump } else { parent },
            depth: above.depth + 1,
            root: above.root,
            rate_kbps,
            rate_to_jump_kbps: if doubles {
                rate_kbps.min(above.rate_to_jump_kbps).min(jump.rate_to_jump_kbps)
            } else {
                rate_kbps
            },
            delay_us: above.delay_us + delay_us,
        }
    }

    fn at(&self, node: u32) -> &Rooted {
        &self.nodes[node as usize]
    }

    /// What the path between two nodes offers, without walking it; `None` where none leads.
    pub fn path(&self, a: NodeIx, b: NodeIx) -> Option<TreePath> {
        let (from, to) = (self.nodes.get(a.index())?, self.nodes.get(b.index())?);
        if from.root != to.root {
            return None;
        }
        let mut rate_kbps = u32::MAX;
        let meet = self.meet(a.0, b.0, &mut rate_kbps);
        let top = self.at(meet);
        // d(a, b) = d(a) + d(b) - 2 d(meet)
        let latency_us = (from.delay_us - top.delay_us) + (to.delay_us - top.delay_us);
        let hops = from.depth + to.depth - 2 * top.depth;
        Some(TreePath { latency_us, rate_kbps, hops })
    }

    /// The node at which the ways up from two nodes of one tree meet; narrows the rate on the way.
    fn meet(&self, mut a: u32, mut b: u32, rate_kbps: &mut u32) -> u32 {
        if self.at(a).depth < self.at(b).depth {
            std::mem::swap(&mut a, &mut b);
        }
        let depth = self.at(b).depth;
        while depth < self.at(a).depth {
            a = self.up(a, depth <= self.at(self.at(a).jump).depth, rate_kbps);
        }
        while a != b {
            // At equal depth jumps are equally long.
            let jumps = self.at(a).jump != self.at(b).jump;
            a = self.up(a, jumps, rate_kbps);
            b = self.up(b, jumps, rate_kbps);
        }
        a
    }

    fn up(&self, node: u32, jumps: bool, rate_kbps: &mut u32) -> u32 {
        let here = self.at(node);
        let (to, over) = match jumps {
            true => (here.jump, here.rate_to_jump_kbps),
            false => (here.parent, here.rate_kbps),
        };
        *rate_kbps = over.min(*rate_kbps);
        to
    }

    /// The whole route; `None` where none leads.
    pub fn route(&self, graph: &Graph, from: NodeIx, to: NodeIx) -> Option<Route> {
        self.path(from, to)?;
        let meet = self.meet(from.0, to.0, &mut u32::MAX.clone());
        let links_up = |node: u32| {
            let above = move |node: &u32| Some(self.at(*node).parent);
            let way = std::iter::successors(Some(node), above).take_while(move |n| *n != meet);
            way.map(|node| self.at(node).link)
        };
        let mut links: Vec<u32> = links_up(from.0).collect();
        let mut down: Vec<u32> = links_up(to.0).collect();
        down.reverse();
        links.append(&mut down);
        Some(Route::along(graph, from, &links))
    }
}

/// The router of forests; on a graph with loops it searches as [`Dijkstra`] does.
#[derive(Clone, Debug, Default)]
pub struct TreeRouter {
    paths: TreePaths,
    is_forest: bool,
    open: Vec<u32>,
    search: Dijkstra,
}

impl TreeRouter {
    /// The rooted forest; `None` when the graph that it [began](Router::begin) with has loops.
    pub fn paths(&self) -> Option<&TreePaths> {
        self.is_forest.then_some(&self.paths)
    }

    /// The nearest goal by the only path to each; of equally near ones the lowest.
    fn nearest(&self, graph: &Graph, from: NodeIx, goals: &[NodeIx]) -> Option<Route> {
        let length = |goal: &NodeIx| Some(self.paths.path(from, *goal)?.latency_us);
        let least = goals.iter().filter_map(length).fold(f64::INFINITY, f64::min);
        // Sums in the order of the path decide among those that rounding may have put out of order.
        let near = |goal: &&NodeIx| length(goal).is_some_and(|us| us <= least + SUM_ERROR_US);
        let routes = goals.iter().filter(near).map(|goal| self.paths.route(graph, from, *goal));
        routes
            .flatten()
            .min_by_key(|route| (route.latency_us.to_bits(), route.path.last().copied()))
    }
}

impl Router for TreeRouter {
    fn name(&self) -> &'static str {
        "tree"
    }

    fn begin(&mut self, graph: &Graph) {
        self.is_forest = self.paths.rebuild(graph, &mut self.open);
        self.search.begin(graph);
    }

    fn find(
        &mut self,
        graph: &Graph,
        from: NodeIx,
        goals: &[NodeIx],
        need: &RouteNeed,
    ) -> Result<Route, NoRoute> {
        check_ends(graph, from, goals)?;
        // A need may rule out the nearest of several goals: then the search finds the next.
        if !self.is_forest || (1 < goals.len() && *need != RouteNeed::default()) {
            return self.search.find(graph, from, goals, need);
        }
        let only = self.nearest(graph, from, goals).ok_or(NoRoute::Unreachable)?;
        if need.rate_kbps_min.is_some_and(|min| only.rate_kbps < min) {
            return Err(NoRoute::Unreachable);
        }
        // There is no other way.
        match need.jitter_us_max {
            Some(_) if only.jitter_us.is_none() => Err(NoRoute::JitterUnknown),
            _ if need.is_met_by(&only) => Ok(only),
            _ => Err(NoRoute::NeedUnmet),
        }
    }
}
