//! Shortest paths from a node, grown as far as asked for and kept for the next question from there.

use super::{NoRoute, Route, RouteNeed, Router, check_ends, judge};
use crate::graph::{Graph, NodeIx};
use crate::search::PathSearch;

/// Nodes of all kept searches together: 2^20 of some 30 bytes are 30 MB, 50 searches among 20,646 satellites.
const KEPT_NODES_MAX: usize = 1 << 20;

/// The router by E. W. Dijkstra, 1959.
#[derive(Clone, Debug, Default)]
pub struct Dijkstra {
    kept: Vec<Kept>,
    /// Searches of graphs before, whose memory is used again.
    spare: Vec<PathSearch>,
    questions: u64,
}

#[derive(Clone, Debug)]
struct Kept {
    from: NodeIx,
    rate_kbps_min: Option<u32>,
    /// The number of the last question that it answered.
    used: u64,
    search: PathSearch,
}

impl Dijkstra {
    /// The search from a node, begun before or now.
    pub fn search(
        &mut self,
        graph: &Graph,
        from: NodeIx,
        rate_kbps_min: Option<u32>,
    ) -> &mut PathSearch {
        self.questions += 1;
        let known = |kept: &Kept| kept.from == from && kept.rate_kbps_min == rate_kbps_min;
        let at = match self.kept.iter().position(known) {
            Some(at) => at,
            None => self.begin_search(graph, from, rate_kbps_min),
        };
        self.kept[at].used = self.questions;
        &mut self.kept[at].search
    }

    fn begin_search(&mut self, graph: &Graph, from: NodeIx, rate_kbps_min: Option<u32>) -> usize {
        let kept_max = (KEPT_NODES_MAX / graph.node_count().max(1)).max(1);
        if kept_max <= self.kept.len() {
            // The one that was not used for longest gives way.
            let oldest = (0..self.kept.len()).min_by_key(|at| self.kept[*at].used);
            let given_way = oldest.map(|at| self.kept.swap_remove(at).search);
            self.spare.extend(given_way);
        }
        let mut search = self.spare.pop().unwrap_or_default();
        search.start(graph, from, rate_kbps_min);
        self.kept.push(Kept { from, rate_kbps_min, used: 0, search });
        self.kept.len() - 1
    }
}

impl Router for Dijkstra {
    fn name(&self) -> &'static str {
        "dijkstra"
    }

    fn begin(&mut self, _graph: &Graph) {
        self.spare.extend(self.kept.drain(..).map(|kept| kept.search));
    }

    fn find(
        &mut self,
        graph: &Graph,
        from: NodeIx,
        goals: &[NodeIx],
        need: &RouteNeed,
    ) -> Result<Route, NoRoute> {
        check_ends(graph, from, goals)?;
        let search = self.search(graph, from, need.rate_kbps_min);
        let goal = search.reach_nearest(graph, goals).ok_or(NoRoute::Unreachable)?;
        let shortest = search.route_to(graph, goal).ok_or(NoRoute::Unreachable)?;
        judge(graph, shortest, goals, need)
    }
}
