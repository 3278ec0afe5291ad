//! The contact plan: the best path of each pair of nodes at each point of a time grid.
//!
//! Grid points lie at multiples of the step since 1970, so that plans made at different times share
//! them. Between two points the worse of the two counts. That is what both points show, not a promise for
//! each instant between them: a path bends by microseconds, and where a link goes before another comes,
//! a gap shorter than a step shows at no point (`orbit`'s tests compare plans with a scan of each second).

use serde::{Deserialize, Serialize};
use types::{Epoch, NodeId, PlanVersion};

use crate::graph::PathState;
use crate::window::{ContactWindow, LinkNeed, window_id};

/// Most grid points: two orbits of 100 minutes at one second, as on the wire.
pub const STEPS_MAX: u32 = 12_000;
/// Most nodes that have an agent, as on the wire.
pub const NODES_MAX: usize = 256;

/// Certainty, in parts per million.
pub const CONFIDENCE_PPM_MAX: u32 = 1_000_000;

const NS_PER_MS: i64 = 1_000_000;

/// The best paths of one pair of nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairSeries {
    /// The node that comes first in order.
    pub a: NodeId,
    /// The other node.
    pub b: NodeId,
    /// One value for each grid point; `None` where there is no path.
    pub states: Vec<Option<PathState>>,
    /// How sure the last grid point is, in parts per million; earlier ones are at least as sure.
    pub confidence_ppm: u32,
}

/// The sunlight on one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SunSeries {
    /// The node.
    pub node: NodeId,
    /// The sunlit fraction at each grid point, 0 (night) to 1.
    pub sunlit: Vec<f32>,
}

/// How two nodes are connected at a moment, as far as the plan knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairState {
    /// They are one node.
    Same,
    /// By this path; between two grid points the worse of the two.
    Path(PathState),
    /// Not at all.
    Down,
    /// Not known: beyond the plan, or not one of its pairs.
    Outside,
}

impl PairState {
    /// The path, if there is one; for one and the same node a path of nothing.
    pub fn path(self) -> Option<PathState> {
        match self {
            Self::Same => Some(PathState::NONE_NEEDED),
            Self::Path(state) => Some(state),
            Self::Down | Self::Outside => None,
        }
    }
}

/// Series that make no plan.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// No grid, or one that is too long.
    #[error(
        "a plan of {steps} points every {step_ms} ms is impossible: 1 to {STEPS_MAX} points, at least 1 ms apart"
    )]
    Grid {
        /// The wanted number of points.
        steps: u32,
        /// The wanted distance.
        step_ms: u32,
    },
    /// A start that other plans cannot share.
    #[error(
        "plan start {start} is not a multiple of {step_ms} ms since 1970; round it down to the grid"
    )]
    Start {
        /// The refused start.
        start: Epoch,
        /// The distance of grid points.
        step_ms: u32,
    },
    /// A grid that leaves the calendar.
    #[error("a plan from {start} with {steps} points every {step_ms} ms ends after the year 2261")]
    End {
        /// Its start.
        start: Epoch,
        /// Its number of points.
        steps: u32,
        /// Their distance.
        step_ms: u32,
    },
    /// A pair in the wrong order.
    #[error(
        "pair {a}, {b} is not in order; the lower name comes first, and a node has no pair with itself"
    )]
    Order {
        /// What came first.
        a: NodeId,
        /// What came second.
        b: NodeId,
    },
    /// A pair or node that is there twice.
    #[error("{what} occurs twice in a plan")]
    Twice {
        /// The pair or node.
        what: String,
    },
    /// A series with too few or too many values.
    #[error("the series of {what} has {values} values for {steps} grid points")]
    Length {
        /// The pair or node.
        what: String,
        /// Its number of values.
        values: usize,
        /// The number of grid points.
        steps: u32,
    },
    /// A sunlit fraction that cannot be.
    #[error("sunlight of {node} at point {step} is {value}, outside 0 to 1")]
    Sunlight {
        /// The node.
        node: NodeId,
        /// The grid point.
        step: usize,
        /// The refused value.
        value: f32,
    },
    /// A confidence that cannot be.
    #[error("confidence of {what} is {value} ppm, above {CONFIDENCE_PPM_MAX}")]
    Confidence {
        /// The pair.
        what: String,
        /// The refused value.
        value: u32,
    },
    /// More than a fleet can have.
    #[error("a plan of {pairs} pairs is larger than that of {NODES_MAX} nodes")]
    TooLarge {
        /// The number of pairs.
        pairs: usize,
    },
}

/// The future of a fleet's links and light.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct ContactPlan {
    /// Counts plans.
    pub version: PlanVersion,
    /// The first grid point, a multiple of the step since 1970.
    pub start: Epoch,
    /// Between two grid points, in milliseconds.
    pub step_ms: u32,
    /// Grid points, at least one.
    pub steps: u32,
    pairs: Vec<PairSeries>,
    sun: Vec<SunSeries>,
}

/// A plan as it is written, not yet checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    version: PlanVersion,
    start: Epoch,
    step_ms: u32,
    steps: u32,
    pairs: Vec<PairSeries>,
    sun: Vec<SunSeries>,
}

impl TryFrom<Parts> for ContactPlan {
    type Error = PlanError;

    fn try_from(parts: Parts) -> Result<Self, PlanError> {
        let Parts { version, start, step_ms, steps, pairs, sun } = parts;
        Self::new(version, start, step_ms, steps, pairs, sun)
    }
}

impl From<ContactPlan> for Parts {
    fn from(plan: ContactPlan) -> Self {
        let ContactPlan { version, start, step_ms, steps, pairs, sun } = plan;
        Self { version, start, step_ms, steps, pairs, sun }
    }
}

impl ContactPlan {
    /// Makes a plan from series in any order.
    ///
    /// # Errors
    /// [`PlanError`] for a grid that is empty, too long or not shared, a pair out of order or there
    /// twice, a series whose length is not `steps`, or sunlight outside 0 to 1.
    pub fn new(
        version: PlanVersion,
        start: Epoch,
        step_ms: u32,
        steps: u32,
        mut pairs: Vec<PairSeries>,
        mut sun: Vec<SunSeries>,
    ) -> Result<Self, PlanError> {
        check_grid(start, step_ms, steps)?;
        pairs.sort_by(|x, y| (&x.a, &x.b).cmp(&(&y.a, &y.b)));
        sun.sort_by(|x, y| x.node.cmp(&y.node));
        check_pairs(&pairs, steps)?;
        check_sun(&sun, steps)?;
        Ok(Self { version, start, step_ms, steps, pairs, sun })
    }

    /// The last grid point.
    pub fn end(&self) -> Epoch {
        self.time_of(self.steps - 1)
    }

    /// The pairs, sorted by their names.
    pub fn pairs(&self) -> &[PairSeries] {
        &self.pairs
    }

    /// The light, sorted by node.
    pub fn sun(&self) -> &[SunSeries] {
        &self.sun
    }

    /// The moment of a grid point; beyond the plan the grid goes on.
    pub fn time_of(&self, step: u32) -> Epoch {
        let ms = i64::from(step) * i64::from(self.step_ms);
        Epoch::from_unix_ns(self.start.unix_ns().saturating_add(ms * NS_PER_MS))
    }

    /// The grid point at or before a moment; `None` outside the plan.
    pub fn step_at(&self, at: Epoch) -> Option<u32> {
        if at < self.start || self.end() < at {
            return None;
        }
        let since_ns = at.unix_ns() - self.start.unix_ns();
        u32::try_from(since_ns / (i64::from(self.step_ms) * NS_PER_MS)).ok()
    }

    /// The series of a pair in either order; `None` for a pair that the plan does not have.
    pub fn pair(&self, a: &NodeId, b: &NodeId) -> Option<&PairSeries> {
        let (a, b) = if a <= b { (a, b) } else { (b, a) };
        let found = self.pairs.binary_search_by(|pair| (&pair.a, &pair.b).cmp(&(a, b)));
        found.ok().map(|at| &self.pairs[at])
    }

    /// How two nodes are connected at a moment; between two grid points the worse of the two.
    pub fn state(&self, a: &NodeId, b: &NodeId, at: Epoch) -> PairState {
        if a == b {
            return PairState::Same;
        }
        let (Some(pair), Some((low, high))) = (self.pair(a, b), self.steps_around(at)) else {
            return PairState::Outside;
        };
        match (pair.states[low], pair.states[high]) {
            (Some(before), Some(after)) => PairState::Path(before.worse(after)),
            _ => PairState::Down,
        }
    }

    /// The light on a node at each grid point; `None` where the plan does not know it.
    pub fn sun_on(&self, node: &NodeId) -> Option<&SunSeries> {
        let found = self.sun.binary_search_by(|series| series.node.cmp(node));
        found.ok().map(|at| &self.sun[at])
    }

    /// The sunlit fraction of a node at a moment, linear between grid points; `None` where the plan
    /// does not know it.
    pub fn sunlit(&self, node: &NodeId, at: Epoch) -> Option<f32> {
        let (low, high) = self.steps_around(at)?;
        let series = &self.sun_on(node)?.sunlit;
        let (before, after) = (f64::from(series[low]), f64::from(series[high]));
        let low = u32::try_from(low).ok()?;
        let part = at.seconds_since(self.time_of(low)) * 1000.0 / f64::from(self.step_ms);
        #[expect(clippy::cast_possible_truncation, reason = "between two numbers from 0 to 1")]
        Some((before + (after - before) * part) as f32)
    }

    /// The grid points at both sides of a moment; twice the same when it lies on one.
    fn steps_around(&self, at: Epoch) -> Option<(usize, usize)> {
        let low = self.step_at(at)?;
        let high = low + u32::from(self.time_of(low) < at);
        Some((low as usize, high as usize))
    }

    /// The windows that touch `within`, in order of time.
    ///
    /// A window is a longest run of grid points that meet the need; it is given whole, also where it
    /// reaches beyond `within`. For one and the same node it is the whole plan; for a pair that the plan
    /// does not have there is none.
    pub fn windows(
        &self,
        a: &NodeId,
        b: &NodeId,
        within: (Epoch, Epoch),
        need: &LinkNeed,
    ) -> Vec<ContactWindow> {
        let (from, to) = within;
        let touches = |window: &ContactWindow| window.open <= to && from <= window.close;
        self.all_windows(a, b, need).filter(touches).collect()
    }

    /// The first window that closes at or after a moment: the one open then, or else the next to open.
    pub fn next_window(
        &self,
        a: &NodeId,
        b: &NodeId,
        after: Epoch,
        need: &LinkNeed,
    ) -> Option<ContactWindow> {
        self.all_windows(a, b, need).find(|window| after <= window.close)
    }

    fn all_windows<'a>(
        &'a self,
        a: &'a NodeId,
        b: &'a NodeId,
        need: &'a LinkNeed,
    ) -> impl Iterator<Item = ContactWindow> + 'a {
        let (a, b) = if a <= b { (a, b) } else { (b, a) };
        let series = self.pair(a, b);
        let path = move |step: u32| match series {
            _ if a == b => Some(PathState::NONE_NEEDED),
            Some(pair) => pair.states[step as usize].filter(|state| need.is_met_by(state)),
            None => None,
        };
        let mut next = 0;
        std::iter::from_fn(move || {
            let first = (next..self.steps).find(|step| path(*step).is_some())?;
            let past = (first..self.steps).find(|step| path(*step).is_none());
            let past = past.unwrap_or(self.steps);
            next = past;
            let close = self.time_of(past - 1);
            let latency_max = (first..past).filter_map(path).map(|state| state.latency).max();
            Some(ContactWindow {
                id: window_id(a, b, need, close),
                a: a.clone(),
                b: b.clone(),
                open: self.time_of(first),
                close,
                open_known: 0 < first,
                close_known: past < self.steps,
                latency_max: latency_max.unwrap_or_default(),
            })
        })
    }
}

fn check_grid(start: Epoch, step_ms: u32, steps: u32) -> Result<(), PlanError> {
    if step_ms == 0 || steps == 0 || STEPS_MAX < steps {
        return Err(PlanError::Grid { steps, step_ms });
    }
    let step_ns = i64::from(step_ms) * NS_PER_MS;
    if start.unix_ns().rem_euclid(step_ns) != 0 {
        return Err(PlanError::Start { start, step_ms });
    }
    match start.unix_ns().checked_add(step_ns * i64::from(steps)) {
        Some(_) => Ok(()),
        None => Err(PlanError::End { start, steps, step_ms }),
    }
}

fn check_pairs(pairs: &[PairSeries], steps: u32) -> Result<(), PlanError> {
    if NODES_MAX * (NODES_MAX - 1) / 2 < pairs.len() {
        return Err(PlanError::TooLarge { pairs: pairs.len() });
    }
    for pair in pairs {
        if pair.b <= pair.a {
            return Err(PlanError::Order { a: pair.a.clone(), b: pair.b.clone() });
        }
        check_length(pair.states.len(), steps, || pair_name(pair))?;
        if CONFIDENCE_PPM_MAX < pair.confidence_ppm {
            let value = pair.confidence_ppm;
            return Err(PlanError::Confidence { what: pair_name(pair), value });
        }
    }
    match pairs.windows(2).find(|two| two[0].a == two[1].a && two[0].b == two[1].b) {
        Some(two) => Err(PlanError::Twice { what: pair_name(&two[0]) }),
        None => Ok(()),
    }
}

fn check_sun(sun: &[SunSeries], steps: u32) -> Result<(), PlanError> {
    for series in sun {
        check_length(series.sunlit.len(), steps, || series.node.to_string())?;
        let wrong = series.sunlit.iter().position(|sunlit| !(0.0..=1.0).contains(sunlit));
        if let Some(step) = wrong {
            let value = series.sunlit[step];
            return Err(PlanError::Sunlight { node: series.node.clone(), step, value });
        }
    }
    match sun.windows(2).find(|two| two[0].node == two[1].node) {
        Some(two) => Err(PlanError::Twice { what: two[0].node.to_string() }),
        None => Ok(()),
    }
}

fn check_length(values: usize, steps: u32, what: impl FnOnce() -> String) -> Result<(), PlanError> {
    if u32::try_from(values) == Ok(steps) {
        Ok(())
    } else {
        Err(PlanError::Length { what: what(), values, steps })
    }
}

fn pair_name(pair: &PairSeries) -> String {
    format!("{}, {}", pair.a, pair.b)
}
