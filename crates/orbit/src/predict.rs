//! The future of a sky: contact plans, windows of latency, and satellites that follow each other.

use std::cmp::Reverse;
use std::time::Duration;

use topology::plan::STEPS_MAX;
use topology::{ContactPlan, PairSeries, PlanError, SunSeries};
use types::{Epoch, LatencyUs, NodeId, PlanVersion};

use crate::confidence::Confidence;
use crate::frame::PolarTurn;
use crate::sky::{EndpointKind, LayoutMemo, PairNow, Sky, SkyError};
use crate::sunlight;

/// Most instants that one search for windows looks at: a day at ten seconds.
pub const SEARCH_STEPS_MAX: u32 = 8640;

/// The time grid of a plan: from a multiple of the step since 1970, at least to the end of the horizon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanGrid {
    pub(crate) start: Epoch,
    pub(crate) step_ms: u32,
    steps: u32,
}

impl PlanGrid {
    /// The grid that covers `horizon` from `start`; its first point is the one at or before `start`.
    ///
    /// # Errors
    /// [`PlanError::Grid`] for no step or more than 12,000 points.
    pub fn new(start: Epoch, horizon: Duration, step_ms: u32) -> Result<Self, PlanError> {
        if step_ms == 0 {
            return Err(PlanError::Grid { steps: 0, step_ms });
        }
        let step_ns = i128::from(step_ms) * 1_000_000;
        let from = i128::from(start.unix_ns()).div_euclid(step_ns);
        let horizon_ns = i128::try_from(horizon.as_nanos()).unwrap_or(i128::MAX / 2);
        // The last point lies at or after the end of the horizon.
        let to = (i128::from(start.unix_ns()) + horizon_ns + step_ns - 1).div_euclid(step_ns);
        let steps = u32::try_from(to - from + 1).unwrap_or(u32::MAX);
        let first = i64::try_from(from * step_ns);
        match first {
            Ok(first) if steps <= STEPS_MAX => {
                Ok(Self { start: Epoch::from_unix_ns(first), step_ms, steps })
            }
            _ => Err(PlanError::Grid { steps, step_ms }),
        }
    }

    /// The grid points.
    pub fn points(&self) -> Vec<Epoch> {
        let step = |i: u32| Duration::from_millis(u64::from(i) * u64::from(self.step_ms));
        (0..self.steps).map(|i| self.start.plus(step(i))).collect()
    }
}

/// A time in which a satellite meets a need of latency: from its first to its last instant on the search grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencyWindow {
    /// The satellite.
    pub satellite: usize,
    /// The first instant.
    pub open: Epoch,
    /// The last instant; that of the search where the window goes on.
    pub close: Epoch,
}

impl LatencyWindow {
    /// Its length in seconds.
    pub fn length_s(&self) -> f64 {
        self.close.seconds_since(self.open)
    }
}

/// A search for windows of latency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Search {
    /// Where it begins.
    pub start: Epoch,
    /// Longest one-way latency between the anchor and a satellite.
    pub latency_max: LatencyUs,
    /// How far it looks, seconds.
    pub horizon_s: f64,
    /// Between two instants, seconds.
    pub step_s: f64,
}

impl Sky {
    /// The best paths at each of some instants, as [`Sky::pairs_at`]; parts can be computed on many threads.
    pub fn plan_slice(&self, points: &[Epoch]) -> Vec<Vec<PairNow>> {
        let mut memo = LayoutMemo::default();
        points.iter().map(|at| self.pairs_at_with(&mut memo, *at)).collect()
    }

    /// The contact plan of all endpoints: for at least `horizon` from `start`, every `step_ms`.
    ///
    /// # Errors
    /// [`SkyError::Plan`] for a grid that is empty or too long.
    pub fn contact_plan(
        &self,
        version: PlanVersion,
        start: Epoch,
        horizon: Duration,
        step_ms: u32,
    ) -> Result<ContactPlan, SkyError> {
        let grid = PlanGrid::new(start, horizon, step_ms)?;
        self.assemble_plan(version, &grid, self.plan_slice(&grid.points()))
    }

    /// The contact plan of a grid from the slices of its points, one after the other.
    ///
    /// # Errors
    /// [`SkyError::Plan`] when there is not one row of pairs for each point.
    pub fn assemble_plan(
        &self,
        version: PlanVersion,
        grid: &PlanGrid,
        rows: Vec<Vec<PairNow>>,
    ) -> Result<ContactPlan, SkyError> {
        let mut pairs: Vec<PairSeries> = Vec::new();
        for (at, row) in rows.into_iter().enumerate() {
            if at == 0 {
                pairs.extend(row.into_iter().map(|pair| PairSeries {
                    a: pair.a,
                    b: pair.b,
                    states: vec![pair.state],
                    confidence_ppm: 0,
                }));
            } else {
                pairs.iter_mut().zip(row).for_each(|(series, pair)| series.states.push(pair.state));
            }
        }
        let confidence = Confidence::at(self, grid);
        for pair in &mut pairs {
            pair.confidence_ppm = confidence.of(pair);
        }
        let sun = self.sun_series(&grid.points());
        Ok(ContactPlan::new(version, grid.start, grid.step_ms, grid.steps, pairs, sun)?)
    }

    fn sun_series(&self, points: &[Epoch]) -> Vec<SunSeries> {
        let lights: Vec<_> =
            points.iter().map(|at| (*at, sunlight::sun_teme_km(*at), PolarTurn::at(*at))).collect();
        let series = |kind: EndpointKind| {
            // A satellite whose propagation fails makes no power either.
            lights
                .iter()
                .map(move |(at, sun, turn)| self.sunlit_at(kind, *at, *sun, *turn).unwrap_or(0.0))
        };
        self.endpoints()
            .iter()
            .map(|e| SunSeries { node: e.node.clone(), sunlit: series(e.kind).collect() })
            .collect()
    }

    /// The windows in which satellites are within a latency of a site, on the real graph, by satellite and time.
    ///
    /// # Errors
    /// [`SkyError::Endpoint`] when the anchor is no site, [`SkyError::Argument`] for a search without end.
    pub fn latency_windows(
        &self,
        anchor: &NodeId,
        search: &Search,
    ) -> Result<Vec<LatencyWindow>, SkyError> {
        let is_site = |kind: &EndpointKind| matches!(kind, EndpointKind::Site(_));
        let endpoint = self.world.endpoint(anchor).filter(|endpoint| is_site(&endpoint.kind));
        let (Some(_), Some(node)) = (endpoint, self.world.node_ix(anchor)) else {
            return Err(SkyError::Endpoint { node: anchor.to_string(), needed: "a site" });
        };
        let points = search.points()?;
        let mut open: Vec<Option<Epoch>> = vec![None; self.satellites()];
        let mut windows = Vec::new();
        let mut memo = LayoutMemo::default();
        let mut before = search.start;
        for at in points {
            let paths = self.at_with(&mut memo, at).graph().shortest_paths(node);
            for (satellite, (number, open)) in (0_u32..).zip(&mut open).enumerate() {
                let delay_us = paths.delay_us(topology::NodeIx(number));
                // As rounded to microseconds in a plan.
                let meets = delay_us.is_some_and(|us| us < f64::from(search.latency_max.0) + 0.5);
                match *open {
                    None if meets => *open = Some(at),
                    Some(since) if !meets => {
                        windows.push(LatencyWindow { satellite, open: since, close: before });
                        *open = None;
                    }
                    _ => {}
                }
            }
            before = at;
        }
        let still_open = open.iter().enumerate().filter_map(|(satellite, open)| {
            open.map(|since| LatencyWindow { satellite, open: since, close: before })
        });
        windows.extend(still_open);
        windows.sort_unstable_by_key(|window| (window.satellite, window.open));
        Ok(windows)
    }

    /// Windows of satellites that follow each other over a site, so that it always has one near.
    ///
    /// First the satellite whose window, open at a start, closes last; then always the one that is open `overlap_s`
    /// before the last close and closes last. Where none overlaps, the next to open follows. Of the `starts` within the
    /// search that is taken whose chain has the lowest rank, the first of equal ones; 0 ends the search.
    ///
    /// # Errors
    /// [`SkyError::Endpoint`] when the anchor is no site, [`SkyError::Argument`] for a search without end,
    /// [`SkyError::TooFew`] when fewer than `count` satellites come near.
    pub fn choose_chain(
        &self,
        anchor: &NodeId,
        search: &Search,
        (count, overlap_s): (usize, f64),
        starts: impl Iterator<Item = Epoch>,
        rank: impl Fn(Epoch, &[LatencyWindow]) -> u32,
    ) -> Result<Vec<LatencyWindow>, SkyError> {
        let windows = self.latency_windows(anchor, search)?;
        let mut best: (u32, Vec<LatencyWindow>) = (u32::MAX, Vec::new());
        for start in starts {
            let chain = chain(&windows, start, count, overlap_s);
            let rank = if chain.len() < count { u32::MAX } else { rank(start, &chain) };
            if rank < best.0 || best.1.is_empty() {
                best = (rank, chain);
            }
            if best.0 == 0 {
                break;
            }
        }
        let (_, best) = best;
        if best.len() < count {
            return Err(SkyError::TooFew {
                anchor: anchor.clone(),
                found: best.len(),
                wanted: count,
                latency_max: search.latency_max,
                start: search.start,
                horizon_s: search.horizon_s,
            });
        }
        Ok(best)
    }
}

impl Search {
    fn points(&self) -> Result<Vec<Epoch>, SkyError> {
        let positive = |value: f64| 0.0 < value && value.is_finite();
        if !positive(self.step_s) {
            let (what, value, range) = ("step_s", self.step_s, "finite numbers above 0");
            return Err(SkyError::Argument { what, value, range });
        }
        let steps = (self.horizon_s / self.step_s).floor() + 1.0;
        if !(1.0..=f64::from(SEARCH_STEPS_MAX)).contains(&steps) {
            let (what, value, range) = ("horizon_s", self.horizon_s, "0 to 8639 times step_s");
            return Err(SkyError::Argument { what, value, range });
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "just checked")]
        let steps = steps as u32;
        Ok((0..steps).map(|i| self.start.plus_s(f64::from(i) * self.step_s)).collect())
    }
}

/// Windows of different satellites that follow each other, see [`Sky::choose_chain`].
pub fn chain(
    windows: &[LatencyWindow],
    start: Epoch,
    count: usize,
    overlap_s: f64,
) -> Vec<LatencyWindow> {
    let mut chosen: Vec<LatencyWindow> = Vec::new();
    while chosen.len() < count {
        let Some(next) = next_in_chain(windows, start, &chosen, overlap_s) else { break };
        chosen.push(next);
    }
    chosen
}

fn next_in_chain(
    windows: &[LatencyWindow],
    start: Epoch,
    chosen: &[LatencyWindow],
    overlap_s: f64,
) -> Option<LatencyWindow> {
    let is_free =
        |w: &&LatencyWindow| !chosen.iter().any(|earlier| earlier.satellite == w.satellite);
    let free = || windows.iter().filter(is_free);
    let from = match chosen.last() {
        Some(last) => start.max(last.close.plus_s(-overlap_s)),
        None => start,
    };
    let lasts = |w: &&LatencyWindow| match chosen.last() {
        Some(last) => last.close < w.close,
        None => from <= w.close,
    };
    // The longest of those open in time; of equal ones the lower satellite.
    let overlapping = free()
        .filter(|w| w.open <= from && lasts(w))
        .max_by_key(|w| (w.close, Reverse(w.satellite)));
    let next_to_open =
        || free().filter(lasts).min_by_key(|w| (w.open, Reverse(w.close), w.satellite));
    // Nobody outlasts the last one, as at the end of the search: then who stays with it longest.
    let stays = || free().max_by_key(|w| (w.close, Reverse(w.open), Reverse(w.satellite)));
    overlapping.or_else(next_to_open).or_else(stays).copied()
}

#[cfg(test)]
mod tests;
