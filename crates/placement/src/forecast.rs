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
#[derive(Debug)]
pub struct Latencies<'a> {
    forecast: &'a dyn Forecast,
    searches: BTreeMap<(Step, NodeIx), Search>,
    /// How often was asked.
    asked: u64,
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
    /// The number of the question that it was last used for.
    used: u64,
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

impl<'a> Latencies<'a> {
    /// Nothing searched yet.
    pub const fn new(forecast: &'a dyn Forecast) -> Self {
        Self { forecast, searches: BTreeMap::new(), asked: 0, spare: Vec::new() }
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
        // Links go both ways: the search that is there already does.
        let is_there = |from| self.searches.contains_key(&(step, from));
        let (origin, goal) = if is_there(to) && !is_there(from) { (to, from) } else { (from, to) };
        let search = self.search(origin, step);
        while search.paths.delay_us(goal).is_none() {
            search.next()?;
        }
        search.paths.delay_us(goal).map(ms)
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
            let limit_ms = limit_ms.unwrap_or(f64::INFINITY);
            let mut verdicts = landmarks.iter();
            let known = verdicts
                .find_map(|landmark| self.seen_from(*landmark, (origin, node), step, limit_ms));
            known.unwrap_or_else(|| {
                self.between(origin, node, step).is_some_and(|latency_ms| latency_ms <= limit_ms)
            })
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
        match (self.between(landmark, from, step), self.between(landmark, to, step)) {
            (Some(one_ms), Some(other_ms)) if one_ms + other_ms <= limit_ms - ROUNDING_MS => {
                Some(true)
            }
            (Some(one_ms), Some(other_ms)) => {
                (limit_ms + ROUNDING_MS < (one_ms - other_ms).abs()).then_some(false)
            }
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => Some(false),
        }
    }

    /// The nodes on a shortest path at a step, from its end to its start, each with its latency to the start in ms; empty where none leads.
    pub fn path(&mut self, start: NodeIx, end: NodeIx, step: Step) -> Vec<(NodeIx, f64)> {
        let search = self.search(start, step);
        while search.paths.delay_us(end).is_none() {
            if search.next().is_none() {
                return Vec::new();
            }
        }
        let paths = &search.paths;
        let way = std::iter::successors(Some(end), |node| paths.before(*node));
        way.filter_map(|node| Some((node, ms(paths.delay_us(node)?)))).collect()
    }

    /// The `nth` nearest node to one at a step, counted from 0 (the node itself), with its latency in ms; of equally near ones the
    /// lowest first. `None` beyond the last that can be reached.
    pub fn nth_nearest(&mut self, from: NodeIx, step: Step, nth: usize) -> Option<(NodeIx, f64)> {
        let search = self.search(from, step);
        while search.settled.len() <= nth {
            search.next()?;
        }
        search.settled.get(nth).map(|(node, delay_us)| (*node, ms(*delay_us)))
    }

    fn search(&mut self, from: NodeIx, step: Step) -> &mut Search {
        let key = (step.min(self.forecast.steps().saturating_sub(1)), from);
        if self.searches.len() == SEARCHES_MAX && !self.searches.contains_key(&key) {
            self.forget();
        }
        self.asked += 1;
        let Self { forecast, searches, asked, spare } = self;
        let search = searches.entry(key).or_insert_with(|| {
            let graph = forecast.graph(key.0);
            let mut paths = spare.pop().unwrap_or_default();
            paths.start(&graph, from, None);
            Search { graph, paths, settled: Vec::new(), is_done: false, used: 0 }
        });
        search.used = *asked;
        search
    }

    /// Forgets the searches that were not used for the longest time, half of all: what many questions need stays.
    fn forget(&mut self) {
        let mut used: Vec<u64> = self.searches.values().map(|search| search.used).collect();
        used.sort_unstable();
        let median = used.get(used.len() / 2).copied().unwrap_or_default();
        let old = self.searches.extract_if(.., |_, search| search.used < median);
        self.spare.extend(old.map(|(_, search)| search.paths));
    }
}

impl Search {
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
