//! The parts of a graph that hang together.

use crate::graph::{Graph, NOWHERE, NodeIx};

/// Which nodes reach each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    part: Vec<u32>,
    sizes: Vec<u32>,
}

impl Parts {
    /// Of a graph.
    pub fn of(graph: &Graph) -> Self {
        let mut parts = Self { part: vec![NOWHERE; graph.node_count()], sizes: Vec::new() };
        let mut open = Vec::new();
        for node in 0..graph.node_count() {
            if parts.part[node] != NOWHERE {
                continue;
            }
            let part = u32::try_from(parts.sizes.len()).unwrap_or(NOWHERE);
            parts.sizes.push(0);
            parts.part[node] = part;
            open.push(u32::try_from(node).unwrap_or(NOWHERE));
            while let Some(node) = open.pop() {
                parts.sizes[part as usize] += 1;
                for end in graph.row(node) {
                    if parts.part[end.to as usize] == NOWHERE {
                        parts.part[end.to as usize] = part;
                        open.push(end.to);
                    }
                }
            }
        }
        parts
    }

    /// How many there are; a node without links is one.
    pub fn count(&self) -> usize {
        self.sizes.len()
    }

    /// How many nodes the part of a node has; 0 for a node that does not exist.
    pub fn size(&self, node: NodeIx) -> u32 {
        self.part.get(node.index()).map_or(0, |part| self.sizes[*part as usize])
    }

    /// Whether a path leads from one node to the other.
    pub fn joined(&self, a: NodeIx, b: NodeIx) -> bool {
        let part = |node: NodeIx| self.part.get(node.index());
        part(a).is_some_and(|of_a| part(b) == Some(of_a))
    }
}
