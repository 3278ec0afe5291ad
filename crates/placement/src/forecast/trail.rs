//! Paths that were found at one step, tried at another: most still lead there, and take hardly longer.

use std::collections::BTreeMap;

use topology::{Graph, NodeIx};

/// By their ends, the lower one first: a path that joined two nodes at some step.
#[derive(Debug, Default)]
pub(super) struct Trails {
    by_ends: BTreeMap<(NodeIx, NodeIx), Vec<NodeIx>>,
}

impl Trails {
    pub(super) fn clear(&mut self) {
        self.by_ends.clear();
    }

    /// The nodes of the path that is known between two nodes, from one end to the other; empty where none is.
    pub(super) fn between(&self, ends: (NodeIx, NodeIx)) -> &[NodeIx] {
        self.by_ends.get(&ordered(ends)).map_or(&[], Vec::as_slice)
    }

    /// Keeps a path between two nodes, in place of the one that is known.
    pub(super) fn keep(&mut self, ends: (NodeIx, NodeIx), nodes: Vec<NodeIx>) {
        self.by_ends.insert(ordered(ends), nodes);
    }
}

fn ordered((a, b): (NodeIx, NodeIx)) -> (NodeIx, NodeIx) {
    (a.min(b), a.max(b))
}

/// How long a path takes in a network, microseconds: no less than the shortest one. `None` where a link of it is missing.
pub(super) fn delay_us(graph: &Graph, nodes: &[NodeIx]) -> Option<f64> {
    let of_hop = |hop: &[NodeIx]| {
        let links = graph.links_of(hop[0]).filter(|(to, _)| *to == hop[1]);
        links.map(|(_, link)| link.delay_us).min_by(f64::total_cmp)
    };
    nodes.windows(2).map(of_hop).sum()
}

#[cfg(test)]
mod tests {
    use topology::Link;

    use super::*;

    const A: NodeIx = NodeIx(0);
    const B: NodeIx = NodeIx(1);
    const C: NodeIx = NodeIx(2);

    #[test]
    fn a_trail_takes_as_long_as_its_quickest_links_and_ends_where_one_is_missing() {
        let link = |(a, b), delay_us| Link { a, b, delay_us, rate_kbps: 1, loss_ppm: 0 };
        let links = [link((A, B), 5.0), link((B, A), 3.0), link((B, C), 4.0)];
        let graph = Graph::new(3, &links).unwrap();
        assert_eq!(delay_us(&graph, &[A, B, C]), Some(7.0));
        assert_eq!(delay_us(&graph, &[C, B, A]), Some(7.0));
        assert_eq!(delay_us(&graph, &[A, C]), None);
        let apart = Graph::new(3, &links[..2]).unwrap();
        assert_eq!(delay_us(&apart, &[A, B, C]), None);
    }

    #[test]
    fn a_trail_leads_both_ways_and_the_newest_counts() {
        let mut trails = Trails::default();
        assert_eq!(trails.between((A, C)), []);
        trails.keep((C, A), vec![A, B, C]);
        assert_eq!(trails.between((A, C)), [A, B, C]);
        trails.keep((A, C), vec![C, A]);
        assert_eq!(trails.between((C, A)), [C, A]);
        trails.clear();
        assert_eq!(trails.between((C, A)), []);
    }
}
