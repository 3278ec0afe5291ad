//! Routes: who finds them, and what they must offer.

mod a_star;
mod constrained;
mod dijkstra;
mod table;
mod tree;

use std::fmt::Debug;

pub use a_star::AStar;
pub use constrained::{COMPARISONS_MAX, LABELS_MAX};
pub use dijkstra::Dijkstra;
pub use table::{FirstHops, RoutingTables, TABLE_NODES_MAX, TableTooLarge};
pub use tree::{TreePath, TreePaths, TreeRouter};

use crate::graph::{Graph, LOSS_PPM_MAX, NodeIx};

/// A way through a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The nodes passed, both ends included; one node where start and end are the same.
    pub path: Vec<NodeIx>,
    /// One-way latency in microseconds: the delays of the links, summed from the start.
    pub latency_us: f64,
    /// The rate of the narrowest link, kbit/s; `u32::MAX` without links.
    pub rate_kbps: u32,
    /// The loss of all links together, in parts per million.
    pub loss_ppm: f64,
    /// The jitter of all links together in microseconds, at worst: their sum. `None` where the graph does not know it.
    pub jitter_us: Option<f64>,
}

impl Route {
    /// Links passed.
    pub fn hops(&self) -> usize {
        self.path.len().saturating_sub(1)
    }

    /// The route from a node over links, each of which begins where the one before ends.
    pub(crate) fn along(graph: &Graph, from: NodeIx, links: &[u32]) -> Self {
        let mut route = Self {
            path: Vec::with_capacity(links.len() + 1),
            latency_us: 0.0,
            rate_kbps: u32::MAX,
            loss_ppm: 0.0,
            jitter_us: Some(0.0),
        };
        route.path.push(from);
        let (mut here, mut kept) = (from, 1.0);
        for number in links {
            let link = &graph.links()[*number as usize];
            here = if link.a == here { link.b } else { link.a };
            route.path.push(here);
            route.latency_us += link.delay_us;
            route.rate_kbps = route.rate_kbps.min(link.rate_kbps);
            kept *= kept_by(link.loss_ppm);
            let jitter_us = graph.jitter_us(*number as usize);
            route.jitter_us = route.jitter_us.zip(jitter_us).map(|(sum, link)| sum + link);
        }
        route.loss_ppm = lost(kept);
        route
    }
}

/// The part of the packets that a link lets through.
fn kept_by(loss_ppm: u32) -> f64 {
    1.0 - f64::from(loss_ppm) / f64::from(LOSS_PPM_MAX)
}

/// The loss, in parts per million, where this part comes through.
fn lost(kept: f64) -> f64 {
    (1.0 - kept) * f64::from(LOSS_PPM_MAX)
}

/// What a route must offer; the default asks for any route.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RouteNeed {
    /// Smallest rate of each link, kbit/s.
    pub rate_kbps_min: Option<u32>,
    /// Largest loss of the whole route, parts per million.
    pub loss_ppm_max: Option<f64>,
    /// Longest one-way latency, microseconds.
    pub latency_us_max: Option<f64>,
    /// Largest jitter of the whole route, microseconds.
    pub jitter_us_max: Option<f64>,
}

impl RouteNeed {
    /// Whether a route meets the need; one of unknown jitter meets no need of jitter.
    pub fn is_met_by(&self, route: &Route) -> bool {
        self.rate_kbps_min.is_none_or(|min| min <= route.rate_kbps)
            && self.latency_us_max.is_none_or(|max| route.latency_us <= max)
            && self.loss_ppm_max.is_none_or(|max| route.loss_ppm <= max)
            && self.jitter_us_max.is_none_or(|max| route.jitter_us.is_some_and(|us| us <= max))
    }

    /// Whether a longer way may meet the need where the shortest does not.
    fn allows_detours(&self) -> bool {
        self.loss_ppm_max.is_some() || self.jitter_us_max.is_some()
    }
}

/// Why there is no route.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum NoRoute {
    /// A node that the graph does not have.
    #[error("node {node} does not exist: the graph has {nodes} nodes")]
    UnknownNode {
        /// The node.
        node: u32,
        /// How many there are.
        nodes: usize,
    },
    /// No path leads there, over links of the needed rate.
    #[error("no path leads there over links of the needed rate")]
    Unreachable,
    /// Paths lead there, but none meets the need.
    #[error("paths lead there, but none of so little latency, loss and jitter")]
    NeedUnmet,
    /// The need asks for jitter, which the graph does not know.
    #[error("the jitter of the links is not known, so that no route can be chosen by it")]
    JitterUnknown,
    /// The search was given up: there may be a route that it did not come to.
    #[error(
        "no route was found among {labels} partial ones, the most that are looked at; there may be one"
    )]
    Undecided {
        /// How many partial routes were looked at.
        labels: usize,
    },
}

/// A way to find routes. Ties are broken by node, so that all routers agree on latency and each is deterministic.
///
/// A router may keep what it derived from a graph until [`Router::begin`] is called with the next one.
pub trait Router: Debug + Send {
    /// Its name on the command line and in scenarios.
    fn name(&self) -> &'static str;

    /// Forgets what was derived from the graph before: `graph` is another one.
    fn begin(&mut self, graph: &Graph);

    /// Whether it makes use of [`Self::place`].
    fn aims(&self) -> bool {
        false
    }

    /// Says where the nodes of the graph are, km, in any axes; after [`Self::begin`]. A help for routers that aim; a node whose
    /// position is not a number, or that has none, is not aimed at.
    fn place(&mut self, graph: &Graph, positions_km: &[[f64; 3]]) {
        let _ = (graph, positions_km);
    }

    /// The route of least latency to the nearest of `goals`.
    ///
    /// # Errors
    /// [`NoRoute`] where there is none that meets the need.
    fn find(
        &mut self,
        graph: &Graph,
        from: NodeIx,
        goals: &[NodeIx],
        need: &RouteNeed,
    ) -> Result<Route, NoRoute>;

    /// The route of least latency; `None` where no route meets the need.
    fn route(
        &mut self,
        graph: &Graph,
        from: NodeIx,
        to: NodeIx,
        need: &RouteNeed,
    ) -> Option<Route> {
        self.find(graph, from, &[to], need).ok()
    }

    /// The route of least latency to any of the hosts of a service; `None` where none is reached.
    fn route_to_nearest(
        &mut self,
        graph: &Graph,
        from: NodeIx,
        hosts: &[NodeIx],
        need: &RouteNeed,
    ) -> Option<Route> {
        self.find(graph, from, hosts, need).ok()
    }
}

/// The routers by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouterKind {
    /// Shortest paths from a node, kept for the next question from there.
    #[default]
    Dijkstra,
    /// A search that aims at its goal.
    AStar,
    /// The one path of a forest, in logarithmic time; Dijkstra where there are loops.
    Tree,
}

impl RouterKind {
    /// All of them, in the order of their descriptions.
    pub const ALL: [Self; 3] = [Self::Dijkstra, Self::AStar, Self::Tree];

    /// The name on the command line and in scenarios.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dijkstra => "dijkstra",
            Self::AStar => "a-star",
            Self::Tree => "tree",
        }
    }

    /// The router of this name; `None` for a name that no router has.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// A router of this kind, to be [begun](Router::begin).
    pub fn router(self) -> Box<dyn Router> {
        match self {
            Self::Dijkstra => Box::new(Dijkstra::default()),
            Self::AStar => Box::new(AStar::default()),
            Self::Tree => Box::new(TreeRouter::default()),
        }
    }
}

/// Refuses what no search can begin with.
fn check_ends(graph: &Graph, from: NodeIx, goals: &[NodeIx]) -> Result<(), NoRoute> {
    let nodes = graph.node_count();
    match [from].iter().chain(goals).find(|node| nodes <= node.index()) {
        Some(node) => Err(NoRoute::UnknownNode { node: node.0, nodes }),
        None => Ok(()),
    }
}

/// What to make of the shortest route over links of the needed rate.
fn judge(
    graph: &Graph,
    shortest: Route,
    goals: &[NodeIx],
    need: &RouteNeed,
) -> Result<Route, NoRoute> {
    if need.jitter_us_max.is_some() && shortest.jitter_us.is_none() {
        return Err(NoRoute::JitterUnknown);
    }
    if need.is_met_by(&shortest) {
        return Ok(shortest);
    }
    let too_long = need.latency_us_max.is_some_and(|max| max < shortest.latency_us);
    if too_long || !need.allows_detours() {
        return Err(NoRoute::NeedUnmet);
    }
    constrained::find(graph, shortest.path[0], goals, need)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_leads_back_to_its_router() {
        for kind in RouterKind::ALL {
            assert_eq!(RouterKind::of_name(kind.name()), Some(kind));
            assert_eq!(kind.router().name(), kind.name());
        }
        assert_eq!(RouterKind::of_name("astar"), None);
    }
}
