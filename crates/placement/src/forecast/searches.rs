//! Searches that are taken up again, and where each is found.

use std::sync::Arc;

use topology::{Graph, NodeIx, PathSearch};

use super::{Step, ms};

/// When, and from where.
pub(super) type Key = (Step, NodeIx);

/// Most searches that are kept at once: each takes memory in proportion to the nodes.
const SEARCHES_MAX: usize = 1024;

/// A search from a node at a step, and how far it was asked for.
#[derive(Debug)]
pub(super) struct Search {
    key: Key,
    graph: Arc<Graph>,
    paths: PathSearch,
    /// What is settled, nearest first.
    settled: Vec<(NodeIx, f64)>,
    is_done: bool,
    /// The number of the question that it was last used for, and of the decision.
    pub(super) used: u64,
    pub(super) decision: u64,
    /// How many of the settled nodes that decision has asked for.
    pub(super) counted: usize,
}

/// Searches by step and node.
#[derive(Debug, Default)]
pub(super) struct Searches {
    all: Vec<Search>,
    /// By step, then by node: where in `all` it is, counted from 1, and 0 for none. Looked up far more often than anything else is done.
    places: Vec<Vec<u32>>,
    /// Memory of searches before, to be used again.
    spare: Vec<PathSearch>,
}

impl Searches {
    pub(super) fn get(&self, key: Key) -> Option<&Search> {
        self.all.get(self.place(key)?)
    }

    fn place(&self, (step, from): Key) -> Option<usize> {
        let place = *self.places.get(step as usize)?.get(from.index())?;
        (place as usize).checked_sub(1)
    }

    /// The search of a key, which is started if there is none. `decision` is the one at hand.
    pub(super) fn get_or_start(
        &mut self,
        key: Key,
        decision: u64,
        graph: impl FnOnce() -> Arc<Graph>,
    ) -> &mut Search {
        let place = self.place(key).unwrap_or_else(|| {
            if SEARCHES_MAX <= self.all.len() {
                self.forget(decision);
            }
            let graph = graph();
            // From outside of the graph nothing is reached, and no place is kept for where that is.
            let from =
                u32::try_from(graph.node_count()).map_or(key.1, |end| key.1.min(NodeIx(end)));
            let key = (key.0, from);
            let search = Search::start(key, graph, self.spare.pop().unwrap_or_default());
            self.all.push(search);
            self.note(key, self.all.len());
            self.all.len() - 1
        });
        &mut self.all[place]
    }

    /// Notes where a search is, counted from 1, or with 0 that there is none.
    fn note(&mut self, (step, from): Key, place: usize) {
        let (step, node) = (step as usize, from.index());
        if self.places.len() <= step {
            self.places.resize_with(step + 1, Vec::new);
        }
        let of_step = &mut self.places[step];
        if of_step.len() <= node {
            of_step.resize(node + 1, 0);
        }
        of_step[node] = u32::try_from(place).expect("at most 1024 searches");
    }

    /// Forgets the searches that were not used for the longest time, half of those of earlier decisions, or of all where these are all of this one:
    /// what many questions need stays.
    fn forget(&mut self, decision: u64) {
        let has_earlier = self.all.iter().any(|search| search.decision != decision);
        let may_go = |search: &Search| !has_earlier || search.decision != decision;
        let of = self.all.iter().filter(|search| may_go(search));
        let mut used: Vec<u64> = of.map(|search| search.used).collect();
        used.sort_unstable();
        let median = used.get(used.len() / 2).copied().unwrap_or_default();
        let goes = |search: &mut Search| may_go(search) && search.used <= median;
        let old: Vec<_> = self.all.extract_if(.., goes).collect();
        for search in old {
            self.note(search.key, 0);
            self.spare.push(search.paths);
        }
        for at in 0..self.all.len() {
            self.note(self.all[at].key, at + 1);
        }
    }
}

impl Search {
    fn start(key: Key, graph: Arc<Graph>, mut paths: PathSearch) -> Self {
        paths.start(&graph, key.1, None);
        let (settled, is_done, used, decision, counted) = Default::default();
        Self { key, graph, paths, settled, is_done, used, decision, counted }
    }

    /// The latency to a settled node, ms.
    pub(super) fn latency_ms(&self, to: NodeIx) -> Option<f64> {
        self.paths.delay_us(to).map(ms)
    }

    /// The nodes on the path to a settled one, from there to the start.
    pub(super) fn way_from(&self, to: NodeIx) -> impl Iterator<Item = NodeIx> {
        std::iter::successors(Some(to), |node| self.paths.before(*node))
    }

    /// The latency to a node, if it is among what the decision has asked for, ms.
    pub(super) fn told(&self, to: NodeIx) -> Option<f64> {
        let us = self.paths.delay_us(to)?;
        let (last, last_us) = self.settled[self.counted.checked_sub(1)?];
        (us < last_us || to == last).then(|| ms(us))
    }

    /// Goes on until a node is settled, or all that are as near as a limit: its latency if that is within it, ms.
    pub(super) fn reach(&mut self, goal: NodeIx, limit_ms: f64, work: &mut u64) -> Option<f64> {
        let is_beyond =
            |settled: Option<&(NodeIx, f64)>| settled.is_some_and(|(_, us)| limit_ms < ms(*us));
        while self.paths.delay_us(goal).is_none() && !is_beyond(self.settled.last()) {
            if self.next().is_none() {
                break;
            }
        }
        let found_us = self.paths.delay_us(goal).filter(|us| ms(*us) <= limit_ms);
        let asked_us = found_us.unwrap_or(limit_ms * 1000.0);
        let counted = self.counted.checked_sub(1).and_then(|last| self.settled.get(last));
        // How far it was searched for others does not count: only those nearer than it, and itself, or the first one beyond the limit.
        if counted.is_none_or(|(_, us)| *us < asked_us) {
            let nearer = match found_us {
                Some(found_us) => self.settled.partition_point(|(_, us)| *us < found_us),
                None => self.settled.partition_point(|(_, us)| ms(*us) <= limit_ms),
            };
            self.count(self.settled.len().min(nearer + 1), work);
        }
        found_us.map(ms)
    }

    /// The `nth` nearest node, counted from 0, with its latency in ms.
    pub(super) fn nth(&mut self, nth: usize, work: &mut u64) -> Option<(NodeIx, f64)> {
        while self.settled.len() <= nth {
            if self.next().is_none() {
                break;
            }
        }
        self.count(self.settled.len().min(nth + 1), work);
        self.settled.get(nth).map(|(node, us)| (*node, ms(*us)))
    }

    /// Counts that the decision at hand has asked for so many of the settled nodes.
    fn count(&mut self, settled: usize, work: &mut u64) {
        *work += settled.saturating_sub(self.counted) as u64;
        self.counted = self.counted.max(settled);
    }

    /// Settles one more node; `None` when all that can be reached are.
    fn next(&mut self) -> Option<()> {
        if self.is_done {
            return None;
        }
        let next = self.paths.next(&self.graph);
        self.is_done = next.is_none();
        self.settled.push(next?);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: u32 = 300;

    fn graph() -> Arc<Graph> {
        Arc::new(Graph::new(NODES as usize, &[]).unwrap())
    }

    #[test]
    fn what_is_asked_for_again_stays_and_each_is_found_where_it_is() {
        let (mut searches, mut started) = (Searches::default(), 0);
        let often: Key = (0, NodeIx(7));
        let others = (1..=5).flat_map(|step| (0..NODES).map(move |node| (step, NodeIx(node))));
        for (at, key) in (1..).zip(others) {
            for key in [often, key] {
                let search = searches.get_or_start(key, 1, || {
                    started += 1;
                    graph()
                });
                assert_eq!(search.key, key);
                (search.used, search.decision) = (at, 1);
            }
            assert!(searches.all.len() <= SEARCHES_MAX);
        }
        assert_eq!(started, 5 * NODES + 1, "none was started twice");
        let kept = searches.all.iter().map(|search| search.key);
        assert!(kept.clone().all(|key| searches.get(key).is_some_and(|found| found.key == key)));
        assert!(kept.clone().any(|key| key == often));
        let places = searches.places.iter().flatten().filter(|place| 0 < **place);
        assert_eq!(places.count(), kept.count(), "what is forgotten is found nowhere");
    }

    #[test]
    fn what_earlier_decisions_asked_for_goes_first() {
        let mut searches = Searches::default();
        let key = |at: u32| (at / NODES, NodeIx(at % NODES));
        for at in 0..1024 {
            let search = searches.get_or_start(key(at), 2, graph);
            // The one at hand asked for the first hundred, longest ago.
            (search.used, search.decision) = (u64::from(at), if at < 100 { 2 } else { 1 });
        }
        searches.get_or_start(key(1024), 2, graph);
        assert!((0..100).all(|at| searches.get(key(at)).is_some()));
        assert!(searches.get(key(100)).is_none());
        assert!(searches.get(key(1023)).is_some());
    }

    #[test]
    fn from_outside_of_the_graph_nothing_is_reached() {
        let mut searches = Searches::default();
        let mut work = 0;
        for _ in 0..2 {
            let search = searches.get_or_start((0, NodeIx(u32::MAX)), 1, graph);
            assert_eq!(search.nth(0, &mut work), None);
        }
        assert!(searches.places[0].len() <= NODES as usize + 1, "no room for all numbers");
    }
}
