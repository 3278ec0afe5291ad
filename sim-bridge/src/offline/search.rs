//! Nodes by distance, nearest first, one at a time: a search that costs what it finds, not what the network holds.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use topology::{Graph, NodeIx};

/// Dijkstra's algorithm that settles one node per call.
///
/// Its tables are as long as the graph but cleared by a stamp, so that a search which ends after ten nodes costs ten nodes.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Nodes with the stamp of this search have a tentative delay.
    seen: Vec<u32>,
    /// Nodes with the stamp of this search are settled.
    settled: Vec<u32>,
    delay_us: Vec<f64>,
    stamp: u32,
    open: BinaryHeap<Reverse<(u64, u32)>>,
    count: usize,
}

impl Search {
    /// Begins at all of `sources` at once, with no delay.
    pub fn start(&mut self, graph: &Graph, sources: impl IntoIterator<Item = NodeIx>) {
        let nodes = graph.node_count();
        if self.seen.len() != nodes || self.stamp == u32::MAX {
            self.seen = vec![0; nodes];
            self.settled = vec![0; nodes];
            self.delay_us = vec![0.0; nodes];
            self.stamp = 0;
        }
        self.stamp += 1;
        self.open.clear();
        self.count = 0;
        for source in sources {
            self.offer(source, 0.0);
        }
    }

    /// The next node and its delay from the nearest source, microseconds; ties go to the lower node.
    pub fn next(&mut self, graph: &Graph) -> Option<(NodeIx, f64)> {
        while let Some(Reverse((bits, node))) = self.open.pop() {
            let settled = self.settled.get_mut(node as usize)?;
            if *settled == self.stamp {
                continue;
            }
            *settled = self.stamp;
            self.count += 1;
            let delay_us = f64::from_bits(bits);
            for (to, link) in graph.links_of(NodeIx(node)) {
                self.offer(to, delay_us + link.delay_us);
            }
            return Some((NodeIx(node), delay_us));
        }
        None
    }

    /// How many nodes this search has settled.
    pub fn settled(&self) -> usize {
        self.count
    }

    /// The delay to a node, microseconds, if it is at most `limit_us`.
    pub fn delay_to(
        &mut self,
        graph: &Graph,
        sources: impl IntoIterator<Item = NodeIx>,
        to: NodeIx,
        limit_us: f64,
    ) -> Option<f64> {
        self.start(graph, sources);
        while let Some((node, delay_us)) = self.next(graph) {
            if limit_us < delay_us {
                return None;
            }
            if node == to {
                return Some(delay_us);
            }
        }
        None
    }

    fn offer(&mut self, node: NodeIx, delay_us: f64) {
        let at = node.index();
        let Some(seen) = self.seen.get_mut(at) else { return };
        if *seen != self.stamp || delay_us < self.delay_us[at] {
            *seen = self.stamp;
            self.delay_us[at] = delay_us;
            // Delays are finite and not negative: their bits are ordered as they are.
            self.open.push(Reverse((delay_us.to_bits(), node.0)));
        }
    }
}

#[cfg(test)]
mod tests {
    use topology::Link;

    use super::*;

    fn graph(nodes: u32, links: &[(u32, u32, f64)]) -> Graph {
        let links: Vec<Link> = links
            .iter()
            .map(|(a, b, delay_us)| Link {
                a: NodeIx(*a),
                b: NodeIx(*b),
                delay_us: *delay_us,
                rate_kbps: 1,
                loss_ppm: 0,
            })
            .collect();
        Graph::new(nodes as usize, &links).unwrap()
    }

    #[test]
    fn nodes_come_in_the_order_of_their_delay_as_whole_trees_have_it() {
        // A ring of 60 with chords whose delays follow no order.
        let links: Vec<(u32, u32, f64)> = (0..60_u32)
            .flat_map(|n| {
                let odd = f64::from(n * 37 % 61);
                [(n, (n + 1) % 60, 10.0 + odd), (n, (n * 7 + 3) % 60, 25.0 + odd * 3.0)]
            })
            .filter(|(a, b, _)| a != b)
            .collect();
        let graph = graph(61, &links);
        let mut search = Search::default();
        for from in [0, 17, 59] {
            let tree = graph.shortest_paths(NodeIx(from));
            search.start(&graph, [NodeIx(from)]);
            let mut last = 0.0;
            for _ in 0..60 {
                let (node, delay_us) = search.next(&graph).unwrap();
                assert!(last <= delay_us);
                assert_eq!(tree.delay_us(node).unwrap().to_bits(), delay_us.to_bits());
                last = delay_us;
            }
            assert_eq!((search.next(&graph), search.settled()), (None, 60));
            assert_eq!(search.delay_to(&graph, [NodeIx(from)], NodeIx(60), f64::INFINITY), None);
        }
    }

    #[test]
    fn several_sources_share_the_ground_and_the_limit_is_included() {
        let graph = graph(5, &[(0, 1, 5.0), (1, 2, 5.0), (2, 3, 5.0), (3, 4, 5.0)]);
        let mut search = Search::default();
        let both = [NodeIx(0), NodeIx(4)];
        assert_eq!(search.delay_to(&graph, both, NodeIx(3), 5.0), Some(5.0));
        assert_eq!(search.delay_to(&graph, both, NodeIx(2), 9.9), None);
        assert_eq!(search.delay_to(&graph, [], NodeIx(2), 9.9), None);
        assert_eq!(search.delay_to(&graph, [NodeIx(9)], NodeIx(2), 9.9), None);
    }
}
