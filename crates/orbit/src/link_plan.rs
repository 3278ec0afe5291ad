//! The contact plan of a constellation: which links there will be, and how long they are.
//!
//! Links between satellites are those that a protocol chooses at each step. Links to the ground are windows above a mask, found by [`ground_passes`]
//! or by anybody else. All grids are those of UTC, so that a later plan continues an earlier one, see [`LinkPlan::refreshed`].

mod fit;
mod ground;
mod growing;
mod parallel;

use topology::LinkPlan;
use topology::contact::LinkPlanError;
use types::Epoch;

pub use ground::ground_passes;

use crate::elements::Elements;
use crate::link::{IslSet, LinkProtocol, Scene};
use crate::pass::{Pass, SearchError};
use crate::propagate::{Propagator, positions};
use crate::sky::{GROUND_RATE_KBPS, ISL_RATE_KBPS};
use crate::station::Station;
use growing::Growing;

/// How often links are looked at by default, seconds.
pub const STEP_S: u32 = 10;
/// Longest step, seconds: seven positions a minute show how well a quadratic fits them.
pub const STEP_S_MAX: u32 = 10;
/// How long plans are by default, seconds: 190 min, two orbits at 550 km of height.
pub const HORIZON_S: f64 = 11_400.0;
/// Most satellites and stations together, as in a scenario.
const NODES_MAX: usize = 1 << 20;

/// What links carry, kbit/s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkRates {
    /// Between satellites.
    pub isl_kbps: u32,
    /// Between stations and satellites.
    pub ground_kbps: u32,
}

impl Default for LinkRates {
    fn default() -> Self {
        Self { isl_kbps: ISL_RATE_KBPS, ground_kbps: GROUND_RATE_KBPS }
    }
}

/// What a plan is to be made of.
#[derive(Clone, Copy, Debug)]
pub struct PlanRequest<'a> {
    /// Counts plans.
    pub version: u64,
    /// The beginning; a whole minute of UTC.
    pub start: Epoch,
    /// The end; a whole minute of UTC.
    pub end: Epoch,
    /// How often links are looked at, seconds: a divisor of 60, at most [`STEP_S_MAX`].
    pub step_s: u32,
    /// The satellites.
    pub elements: &'a [Elements],
    /// Where they are.
    pub propagator: &'a dyn Propagator,
    /// The stations.
    pub stations: &'a [Station],
    /// Lowest elevation for stations that have no rule of their own, degrees, 0 to below 90.
    pub min_elevation_deg: f64,
    /// What links carry.
    pub rates: LinkRates,
}

/// A plan that cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlanRequestError {
    /// A step off the grid.
    #[error("step {0} s must be 1, 2, 3, 4, 5, 6 or 10 s, so that each minute has the same steps")]
    Step(u32),
    /// A mask that no station can have.
    #[error("elevation mask {degrees} of {station} must be 0 to below 90 degrees")]
    Mask {
        /// The station, or the plan as a whole.
        station: String,
        /// The refused number.
        degrees: f64,
    },
    /// Too many nodes, or elements that are not the propagator's.
    #[error(
        "{satellites} satellites with {elements} element sets and {stations} stations must be one to one, and at most 1048576 together"
    )]
    Nodes {
        /// Satellites of the propagator.
        satellites: usize,
        /// Element sets.
        elements: usize,
        /// Stations.
        stations: usize,
    },
    /// A search for passes that cannot be done.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The result breaks a rule of plans.
    #[error(transparent)]
    Plan(#[from] LinkPlanError),
}

impl PlanRequest<'_> {
    pub(crate) fn check(&self) -> Result<(), PlanRequestError> {
        if self.step_s == 0 || STEP_S_MAX < self.step_s || 60 % self.step_s != 0 {
            return Err(PlanRequestError::Step(self.step_s));
        }
        let own =
            self.stations.iter().filter_map(|s| Some((s.name.as_str(), s.min_elevation_deg?)));
        let mut masks = own.chain([("the plan", self.min_elevation_deg)]);
        if let Some((station, degrees)) = masks.find(|(_, deg)| !(0.0..90.0).contains(deg)) {
            return Err(PlanRequestError::Mask { station: station.to_owned(), degrees });
        }
        let (satellites, elements) = (self.propagator.satellites(), self.elements.len());
        let stations = self.stations.len();
        if satellites != elements || NODES_MAX < satellites.saturating_add(stations) {
            return Err(PlanRequestError::Nodes { satellites, elements, stations });
        }
        // Also the horizon, before anything is computed.
        LinkPlan::new(self.version, (self.start, self.end), Vec::new(), Vec::new())?;
        Ok(())
    }

    fn steps_per_minute(&self) -> usize {
        (60 / self.step_s) as usize
    }

    /// The instants looked at, the end included.
    pub(crate) fn instants(&self) -> impl Iterator<Item = Epoch> {
        let step_ns = i64::from(self.step_s) * 1_000_000_000;
        let (start, end) = (self.start.unix_ns(), self.end.unix_ns());
        (0..=(end - start) / step_ns).map(move |step| Epoch::from_unix_ns(start + step * step_ns))
    }

    fn names(&self) -> Vec<String> {
        let satellites = self.elements.iter().map(|elements| elements.name.clone());
        satellites.chain(self.stations.iter().map(|station| station.name.clone())).collect()
    }
}

/// Makes a contact plan: the links that `protocol` chooses, and the `ground` passes, whose sites are the stations. Nodes are the satellites by index, then the stations.
///
/// # Errors
/// [`PlanRequestError`] for a request or a window that breaks a rule.
pub fn link_plan(
    request: &PlanRequest<'_>,
    protocol: &mut dyn LinkProtocol,
    ground: &[Pass],
) -> Result<LinkPlan, PlanRequestError> {
    request.check()?;
    let per_minute = request.steps_per_minute();
    let mut growing = Growing::new(request, ground);
    let mut set = IslSet::default();
    for (step, at) in request.instants().enumerate() {
        let mut positions_km = vec![[f64::NAN; 3]; request.propagator.satellites()];
        positions(request.propagator, at, &mut positions_km);
        let in_minute = step % per_minute;
        if in_minute == 0 && 0 < step {
            growing.end_minute(at, &positions_km);
        }
        if at < request.end {
            let (elements, propagator) = (request.elements, request.propagator);
            protocol
                .choose(&Scene { at, positions_km: &positions_km, elements, propagator }, &mut set);
            growing.step(at, &set.links);
            growing.keep(at, positions_km);
        }
    }
    let windows = growing.finish();
    let span = (request.start, request.end);
    Ok(LinkPlan::new(request.version, span, request.names(), windows)?)
}

#[cfg(test)]
mod tests;
