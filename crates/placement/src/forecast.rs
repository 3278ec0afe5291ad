//! The future as an input: what the network, and everything that moves, is predicted to be at each step.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;

use topology::{Graph, NodeIx, PathSearch};
use types::Geodetic;

/// A moment on the fixed grid of a forecast, counted from 0.
pub type Step = u32;

/// What is predicted of the network and of the places of nodes, on a fixed grid of steps.
///
/// The nodes are numbered as in the list of nodes that a decision rests on.
pub trait Forecast: Debug {
    /// How many steps are predicted; what is asked of a later one is answered for the last.
    fn steps(&self) -> Step;

    /// Sky seconds from one step to the next.
    fn step_s(&self) -> f64;

    /// The network at a step.
    fn graph(&self, step: Step) -> Arc<Graph>;

    /// Where a node is at a step, above or on the ellipsoid; `None` where that is not known.
    fn place(&self, node: NodeIx, step: Step) -> Option<Geodetic>;

    /// The part of the Sun's disk that a node sees at a step, 0 to 1. Dark where nothing is known: panels are not counted on.
    fn sunlit(&self, _node: NodeIx, _step: Step) -> f64 {
        0.0
    }

    /// The mean light on a node between a step and the next, 0 to 1.
    fn light(&self, node: NodeIx, step: Step) -> f64 {
        f64::midpoint(self.sunlit(node, step), self.sunlit(node, step.saturating_add(1)))
    }
}

/// Latencies over a forecast, searched from each node and step once, and only as far as they are asked for.
///
/// What is searched for one decision serves the next one, which is answered sooner, but not otherwise: neither an answer nor the work that is
/// counted for it depends on what was asked before [`Self::begin`].
#[derive(Debug)]
pub struct Latencies<'a> {
    forecast: &'a dyn Forecast,
    searches: BTreeMap<(Step, NodeIx), Search>,
    /// How often was asked.
    asked: u64,
    /// The number of the decision at hand.
    decision: u64,
    /// What it took so far.
    work: u64,
    /// Memory of searches before, to be used again.
    spare: Vec<PathSearch>,
}

#[derive(Debug)]
struct Search {
    graph: Arc<Graph>,
    paths: PathSearch,
    /// What is settled, nearest first.
    settled: Vec<(NodeIx, f64)>,
    is_done: bool,
    /// The number of the question that it was last used for, and of the decision.
    used: u64,
    decision: u64,
    /// How many of the settled nodes that decision has asked for.
    counted: usize,
}

/// A latency that is beyond its limit, or no path at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Excess {
    /// Which of those that were asked for, counted from 0.
    pub input: usize,
    /// How long it is, ms; `None` where no path leads.
    pub latency_ms: Option<f64>,
    /// The most that it may be, ms; `None` where any path does.
    pub limit_ms: Option<f64>,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.latency_ms, self.limit_ms) {
            (Some(latency_ms), Some(limit_ms)) => {
                write!(
                    f,
                    "input {} is {latency_ms:.3} ms away, {limit_ms:.3} ms are the most",
                    self.input
                )
            }
            _ => write!(f, "no path leads to input {}", self.input),
        }
    }
}

/// Sums of latencies that are equal may differ by less than this, ms: what is nearer to a limit is not judged by sums.
pub(crate) const ROUNDING_MS: f64 = 1e-6;

/// Most searches that are kept at once: each takes memory in proportion to the nodes.
const SEARCHES_MAX: usize = 1024;
/// What it takes to begin a search, in settled nodes.
const SEARCH_WORK: u64 = 16;

impl<'a> Latencies<'a> {
    /// Nothing searched yet.
    pub const fn new(forecast: &'a dyn Forecast) -> Self {
        let searches = BTreeMap::new();
        Self { forecast, searches, asked: 0, decision: 0, work: 0, spare: Vec::new() }
    }

    /// Begins a decision, whose work is counted from nothing.
    pub const fn begin(&mut self) {
        self.decision += 1;
        self.work = 0;
    }

    /// The work of the decision at hand: how many nodes are settled in all searches that it needs, [`SEARCH_WORK`] for each of these on top.
    pub const fn work(&self) -> u64 {
        self.work
    }

    /// The forecast.
    pub const fn forecast(&self) -> &'a dyn Forecast {
        self.forecast
    }

    /// One-way latency from a node to another at a step, ms; 0 to itself; `None` where no path leads.
    pub fn between(&mut self, from: NodeIx, to: NodeIx, step: Step) -> Option<f64> {
        if from == to {
            return Some(0.0);
        }
        let (origin, goal) = self.ends(from, to, step);
        let (search, work) = self.search(origin, step);
        search.reach(goal, f64::INFINITY, work)
    }

    /// Two nodes, the one first whose search is taken: links go both ways, and the one that the decision at hand has already does.
    fn ends(&self, from: NodeIx, to: NodeIx, step: Step) -> (NodeIx, NodeIx) {
        let step = self.known(step);
        let is_there = |node| {
            let search = self.searches.get(&(step, node));
            search.is_some_and(|search| search.decision == self.decision)
        };
        if is_there(to) && !is_there(from) { (to, from) } else { (from, to) }
    }

    /// A step that is predicted.
    fn known(&self, step: Step) -> Step {
        step.min(self.forecast.steps().saturating_sub(1))
    }

    /// The longest latency of a node to some others at a step, ms, each of which has a limit or none; 0 without any.
    ///
    /// # Errors
    /// The first one that is beyond its limit, or to which no path leads.
    pub fn longest_within(
        &mut self,
        node: NodeIx,
        step: Step,
        origins: impl IntoIterator<Item = (NodeIx, Option<f64>)>,
    ) -> Result<f64, Excess> {
        let mut longest_ms = 0.0_f64;
        for (input, (origin, limit_ms)) in origins.into_iter().enumerate() {
            let latency_ms = self.between(origin, node, step);
            match latency_ms {
                Some(latency_ms) if limit_ms.is_none_or(|limit_ms| latency_ms <= limit_ms) => {
                    longest_ms = longest_ms.max(latency_ms);
                }
                _ => return Err(Excess { input, latency_ms, limit_ms }),
            }
        }
        Ok(longest_ms)
    }

    /// The same, for who does not ask why not.
    pub fn longest_if_within(
        &mut self,
        node: NodeIx,
        step: Step,
        origins: impl IntoIterator<Item = (NodeIx, Option<f64>)>,
    ) -> Option<f64> {
        let mut longest_ms = 0.0_f64;
        for (origin, limit_ms) in origins {
            longest_ms = longest_ms.max(self.within(origin, node, step, limit_ms)?);
        }
        Some(longest_ms)
    }

    /// The latency from a node to another at a step if it is at most a limit, ms: no more is searched than tells that.
    fn within(
        &mut self,
        from: NodeIx,
        to: NodeIx,
        step: Step,
        limit_ms: Option<f64>,
    ) -> Option<f64> {
        let Some(limit_ms) = limit_ms.filter(|_| from != to) else {
            return self.between(from, to, step);
        };
        let (origin, goal) = self.ends(from, to, step);
        let (search, work) = self.search(origin, step);
        search.reach(goal, limit_ms, work)
    }

    /// Whether a node meets the limits of some others at a step: what [`Self::longest_within`] says, often without a search of its own. Where both
    /// are near a landmark they are near each other, and where only one is they are not.
    pub fn all_within(
        &mut self,
        node: NodeIx,
        step: Step,
        origins: impl IntoIterator<Item = (NodeIx, Option<f64>)>,
        landmarks: &[NodeIx],
    ) -> bool {
        origins.into_iter().all(|(origin, limit_ms)| {
            let ends = (origin, node);
            let limit_ms = limit_ms.unwrap_or(f64::INFINITY);
            let mut verdicts = landmarks.iter();
            let known =
                verdicts.find_map(|landmark| self.seen_from(*landmark, ends, step, limit_ms));
            known.unwrap_or_else(|| self.within(origin, node, step, Some(limit_ms)).is_some())
        })
    }

    /// Whether the latency of two nodes is within a limit, as far as their latencies to a third one say so (triangle inequality).
    fn seen_from(
        &mut self,
        landmark: NodeIx,
        (from, to): (NodeIx, NodeIx),
        step: Step,
        limit_ms: f64,
    ) -> Option<bool> {
        if landmark == from || landmark == to {
            return None;
        }
        let Some(one_ms) = self.between(landmark, from, step) else {
            // What no path leads to is no nearer to what one leads to.
            return self.between(landmark, to, step).map(|_| false);
        };
        let most_ms = one_ms + limit_ms + ROUNDING_MS;
        let Some(other_ms) = self.within(landmark, to, step, Some(most_ms)) else {
            return Some(false);
        };
        if one_ms + other_ms <= limit_ms - ROUNDING_MS {
            return Some(true);
        }
        (limit_ms + ROUNDING_MS < one_ms - other_ms).then_some(false)
    }

    /// The nodes on a shortest path at a step, from its end to its start, each with its latency to the start in ms; empty where none leads.
    pub fn path(&mut self, start: NodeIx, end: NodeIx, step: Step) -> Vec<(NodeIx, f64)> {
        let (search, work) = self.search(start, step);
        if search.reach(end, f64::INFINITY, work).is_none() {
            return Vec::new();
        }
        let paths = &search.paths;
        let way = std::iter::successors(Some(end), |node| paths.before(*node));
        way.filter_map(|node| Some((node, ms(paths.delay_us(node)?)))).collect()
    }

    /// The `nth` nearest node to one at a step, counted from 0 (the node itself), with its latency in ms; of equally near ones the
    /// lowest first. `None` beyond the last that can be reached.
    pub fn nth_nearest(&mut self, from: NodeIx, step: Step, nth: usize) -> Option<(NodeIx, f64)> {
        let (search, work) = self.search(from, step);
        while search.settled.len() <= nth {
            if search.next().is_none() {
                break;
            }
        }
        search.count(search.settled.len().min(nth + 1), work);
        search.settled.get(nth).map(|(node, delay_us)| (*node, ms(*delay_us)))
    }

    /// The search from a node at a step, and where its work is counted.
    fn search(&mut self, from: NodeIx, step: Step) -> (&mut Search, &mut u64) {
        let key = (self.known(step), from);
        if self.searches.len() == SEARCHES_MAX && !self.searches.contains_key(&key) {
            self.forget();
        }
        self.asked += 1;
        let Self { forecast, searches, asked, decision, work, spare } = self;
        let search = searches.entry(key).or_insert_with(|| {
            let graph = forecast.graph(key.0);
            let mut paths = spare.pop().unwrap_or_default();
            paths.start(&graph, from, None);
            Search {
                graph,
                paths,
                settled: vec![],
                is_done: false,
                used: 0,
                decision: 0,
                counted: 0,
            }
        });
        search.used = *asked;
        if search.decision != *decision {
            (search.decision, search.counted) = (*decision, 0);
            *work += SEARCH_WORK;
        }
        (search, work)
    }

    /// Forgets the searches that were not used for the longest time, half of those of earlier decisions, or of all where these are all of this one:
    /// what many questions need stays.
    fn forget(&mut self) {
        let decision = self.decision;
        let has_earlier = self.searches.values().any(|search| search.decision != decision);
        let may_go = |search: &Search| !has_earlier || search.decision != decision;
        let of = self.searches.values().filter(|search| may_go(search));
        let mut used: Vec<u64> = of.map(|search| search.used).collect();
        used.sort_unstable();
        let median = used.get(used.len() / 2).copied().unwrap_or_default();
        let goes = |search: &Search| may_go(search) && search.used <= median;
        let old = self.searches.extract_if(.., |_, search| goes(search));
        self.spare.extend(old.map(|(_, search)| search.paths));
    }
}

impl Search {
    /// Goes on until a node is settled, or all that are as near as a limit: its latency if that is within it, ms.
    fn reach(&mut self, goal: NodeIx, limit_ms: f64, work: &mut u64) -> Option<f64> {
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

fn ms(us: f64) -> f64 {
    us / 1000.0
}
