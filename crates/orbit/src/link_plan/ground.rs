//! When satellites stand above the masks of stations.

use super::{PlanRequest, PlanRequestError};
use crate::pass::{Pass, Search, Site};

/// The passes of all satellites over all stations within the plan, ascending by rise, satellite and station.
///
/// # Errors
/// [`PlanRequestError`] for a request that breaks a rule.
pub fn ground_passes(request: &PlanRequest<'_>) -> Result<Vec<Pass>, PlanRequestError> {
    request.check()?;
    let mask = |own: Option<f64>| own.unwrap_or(request.min_elevation_deg);
    let stations = request.stations.iter();
    let sites: Vec<Site<'_>> =
        stations.map(|station| Site::of(station, mask(station.min_elevation_deg))).collect();
    let satellites: Vec<u32> = (0..).take(request.elements.len()).collect();
    let search = Search { propagator: request.propagator, from: request.start, to: request.end };
    Ok(search.passes(&satellites, &sites)?)
}
