//! The future as an input: what the network, and everything that moves, is predicted to be at each step.

mod searches;
mod trail;

use std::fmt::{self, Debug};
use std::sync::Arc;

use topology::{Graph, NodeIx};
use types::Geodetic;

use searches::{Search, Searches};
use trail::Trails;

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
    searches: Searches,
    /// How often was asked.
    asked: u64,
    /// The number of the decision at hand.
    decision: u64,
    /// What it took so far.
    work: u64,
    /// Paths that the decision at hand has found.
    trails: Trails,
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

/// What it takes to begin a search, in settled nodes.
const SEARCH_WORK: u64 = 16;
/// To follow a path over so many nodes counts as settling one, since nothing is queued and no neighbour is relaxed; estimated, not measured.
const TRAIL_PER_WORK: u64 = 4;

impl<'a> Latencies<'a> {
    /// Nothing searched yet.
    pub fn new(forecast: &'a dyn Forecast) -> Self {
        let (searches, trails) = Default::default();
        Self { forecast, searches, asked: 0, decision: 0, work: 0, trails }
    }

    /// Begins a decision, whose work is counted from nothing.
    pub fn begin(&mut self) {
        self.decision += 1;
        self.work = 0;
        self.trails.clear();
    }

    /// The work of the decision at hand: how many nodes are settled in all searches that it needs, [`SEARCH_WORK`] for each of these on top, and a
    /// [`TRAIL_PER_WORK`]th of the nodes on the paths that it follows from step to step.
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
            let search = self.searches.get((step, node));
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

    /// Whether a node meets the limits of some others at a step: what [`Self::longest_within`] says, often without a search of its own. A path
    /// that was found at another step tells it where it still leads there; and where both are near a landmark they are near each other, where only
    /// one is they are not.
    pub fn all_within(
        &mut self,
        node: NodeIx,
        step: Step,
        origins: impl IntoIterator<Item = (NodeIx, Option<f64>)>,
        landmarks: &[NodeIx],
    ) -> bool {
        origins.into_iter().all(|(origin, limit_ms)| {
            let limit_ms = limit_ms.unwrap_or(f64::INFINITY);
            origin == node || self.is_within((origin, node), step, limit_ms, landmarks)
        })
    }

    /// Whether the latency of two nodes is within a limit: asked first of what is known already, then of what is quick to find.
    fn is_within(
        &mut self,
        ends: (NodeIx, NodeIx),
        step: Step,
        limit_ms: f64,
        landmarks: &[NodeIx],
    ) -> bool {
        if let Some(latency_ms) = self.told(ends, step) {
            self.keep_trail(ends, step);
            return latency_ms <= limit_ms;
        }
        let mut by_landmark = landmarks.iter();
        by_landmark
            .find_map(|landmark| self.told_by(*landmark, ends, step, limit_ms))
            .or_else(|| self.leads_along(ends, step, limit_ms))
            .or_else(|| {
                let mut landmarks = landmarks.iter();
                landmarks.find_map(|landmark| self.seen_from(*landmark, ends, step, limit_ms))
            })
            .unwrap_or_else(|| {
                let is_within = self.within(ends.0, ends.1, step, Some(limit_ms)).is_some();
                if is_within {
                    self.trails.keep(ends, self.trail(ends, step));
                }
                is_within
            })
    }

    /// The latency of two nodes at a step, as far as the decision at hand has searched for it already, ms.
    fn told(&self, (from, to): (NodeIx, NodeIx), step: Step) -> Option<f64> {
        self.asked_from(from, step)
            .and_then(|search| search.told(to))
            .or_else(|| self.asked_from(to, step)?.told(from))
    }

    /// The search from a node at a step, if the decision at hand has asked for it.
    fn asked_from(&self, from: NodeIx, step: Step) -> Option<&Search> {
        let search = self.searches.get((self.known(step), from));
        search.filter(|search| search.decision == self.decision)
    }

    /// What [`Self::seen_from`] says, as far as that is known without searching.
    fn told_by(
        &self,
        landmark: NodeIx,
        (from, to): (NodeIx, NodeIx),
        step: Step,
        limit_ms: f64,
    ) -> Option<bool> {
        let search = self.asked_from(landmark, step)?;
        by_detour(search.told(from)?, search.told(to)?, limit_ms)
    }

    /// Whether a path between two nodes that was found at another step leads there within a limit; `None` where it does not.
    fn leads_along(&mut self, ends: (NodeIx, NodeIx), step: Step, limit_ms: f64) -> Option<bool> {
        let nodes = self.trails.between(ends);
        if nodes.is_empty() {
            return None;
        }
        self.work += nodes.len() as u64 / TRAIL_PER_WORK;
        let delay_us = trail::delay_us(&self.forecast.graph(self.known(step)), nodes)?;
        (ms(delay_us) <= limit_ms - ROUNDING_MS).then_some(true)
    }

    /// Keeps the path between two nodes that was found at a step, if none is known.
    fn keep_trail(&mut self, ends: (NodeIx, NodeIx), step: Step) {
        if self.trails.between(ends).is_empty() {
            self.trails.keep(ends, self.trail(ends, step));
        }
    }

    /// The nodes of the path between two nodes that the decision at hand has found at a step; empty where it has found none.
    fn trail(&self, (a, b): (NodeIx, NodeIx), step: Step) -> Vec<NodeIx> {
        let way = |from, to| {
            let search = self.asked_from(from, step)?;
            search.told(to)?;
            Some(search.way_from(to).collect())
        };
        way(a, b).or_else(|| way(b, a)).unwrap_or_default()
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
        match self.within(landmark, to, step, Some(most_ms)) {
            Some(other_ms) => by_detour(one_ms, other_ms, limit_ms),
            None => Some(false),
        }
    }

    /// The nodes on a shortest path at a step, from its end to its start, each with its latency to the start in ms; empty where none leads.
    pub fn path(&mut self, start: NodeIx, end: NodeIx, step: Step) -> Vec<(NodeIx, f64)> {
        let (search, work) = self.search(start, step);
        if search.reach(end, f64::INFINITY, work).is_none() {
            return Vec::new();
        }
        search.way_from(end).filter_map(|node| Some((node, search.latency_ms(node)?))).collect()
    }

    /// The `nth` nearest node to one at a step, counted from 0 (the node itself), with its latency in ms; of equally near ones the
    /// lowest first. `None` beyond the last that can be reached.
    pub fn nth_nearest(&mut self, from: NodeIx, step: Step, nth: usize) -> Option<(NodeIx, f64)> {
        let (search, work) = self.search(from, step);
        search.nth(nth, work)
    }

    /// The search from a node at a step, and where its work is counted.
    fn search(&mut self, from: NodeIx, step: Step) -> (&mut Search, &mut u64) {
        let key = (self.known(step), from);
        self.asked += 1;
        let Self { forecast, searches, asked, decision, work, .. } = self;
        let search = searches.get_or_start(key, *decision, || forecast.graph(key.0));
        search.used = *asked;
        if search.decision != *decision {
            (search.decision, search.counted) = (*decision, 0);
            *work += SEARCH_WORK;
        }
        (search, work)
    }
}

/// Whether the latency of two nodes is within a limit, as far as the latencies to a third one say so.
fn by_detour(one_ms: f64, other_ms: f64, limit_ms: f64) -> Option<bool> {
    if one_ms + other_ms <= limit_ms - ROUNDING_MS {
        return Some(true);
    }
    (limit_ms + ROUNDING_MS < (one_ms - other_ms).abs()).then_some(false)
}

fn ms(us: f64) -> f64 {
    us / 1000.0
}
