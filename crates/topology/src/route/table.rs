//! Routing tables: the first hop to each destination, as forwarding nodes hold them.

use crate::graph::{Graph, NOWHERE, NodeIx};
use crate::search::PathSearch;

/// Most nodes for which the tables of all sources are made: 4096^2 entries of 4 bytes are 64 MB. Among more nodes, ask for
/// the tables of the sources that matter, one by one.
pub const TABLE_NODES_MAX: usize = 4096;

/// A graph with more nodes than tables are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "tables of all {nodes} nodes would have {nodes}^2 entries; they are made for at most {TABLE_NODES_MAX} nodes: \
     ask for single sources"
)]
pub struct TableTooLarge {
    /// The nodes of the graph.
    pub nodes: usize,
}

/// Where a node sends what is meant for each other one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstHops(Vec<u32>);

impl FirstHops {
    /// Along the shortest paths from a node, with a search to work in.
    pub fn of(graph: &Graph, from: NodeIx, search: &mut PathSearch) -> Self {
        search.start(graph, from, None);
        search.finish(graph);
        let mut hops = Vec::new();
        search.first_hops(&mut hops);
        Self(hops)
    }

    /// The first node on the way; `None` for the node itself and for what it does not reach.
    pub fn to(&self, destination: NodeIx) -> Option<NodeIx> {
        let hop = *self.0.get(destination.index())?;
        (hop != NOWHERE).then_some(NodeIx(hop))
    }
}

/// The tables of all nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutingTables(Vec<FirstHops>);

impl RoutingTables {
    /// Of a graph of at most [`TABLE_NODES_MAX`] nodes.
    ///
    /// # Errors
    /// [`TableTooLarge`] for a larger one.
    pub fn of(graph: &Graph) -> Result<Self, TableTooLarge> {
        let nodes = graph.node_count();
        if TABLE_NODES_MAX < nodes {
            return Err(TableTooLarge { nodes });
        }
        let mut search = PathSearch::default();
        let sources = (0_u32..).take(nodes).map(NodeIx);
        Ok(Self(sources.map(|from| FirstHops::of(graph, from, &mut search)).collect()))
    }

    /// The table of a node; `None` for one that does not exist.
    pub fn at(&self, node: NodeIx) -> Option<&FirstHops> {
        self.0.get(node.index())
    }
}
