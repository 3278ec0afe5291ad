//! When satellites stand above the masks of stations.

use types::Epoch;

use super::parallel::each;
use super::{PlanRequest, PlanRequestError};
use crate::geodesy;
use crate::propagate::{Propagator, positions};
use crate::station::Station;
use crate::visibility::Viewer;

/// How exactly rise and set are found, ns: a millisecond, in which a satellite moves 8 m.
const EDGE_NS: i64 = 1_000_000;

/// A time in which a station sees a satellite above its mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroundWindow {
    /// The station, by index.
    pub station: u32,
    /// The satellite, by index.
    pub satellite: u32,
    /// It rises above the mask.
    pub open: Epoch,
    /// It sets below the mask.
    pub close: Epoch,
    /// False when it had risen before the plan began.
    pub open_known: bool,
    /// False when it sets after the end of the plan.
    pub close_known: bool,
}

/// The windows of all stations, by station, then by time of the set, then by satellite.
///
/// Looks at each step and finds the edges between two by bisection: a pass that begins and ends between two steps is not seen.
///
/// # Errors
/// [`PlanRequestError`] for a request that breaks a rule.
pub fn ground_windows(request: &PlanRequest<'_>) -> Result<Vec<GroundWindow>, PlanRequestError> {
    request.check()?;
    let satellites = request.propagator.satellites();
    let mut watches: Vec<Watch<'_>> = (0..)
        .zip(request.stations)
        .map(|(number, station)| Watch {
            number,
            station,
            sin_mask: sin_mask(station, request.min_elevation_deg),
            open: vec![None; satellites],
            windows: Vec::new(),
        })
        .collect();
    let mut positions_km = vec![[f64::NAN; 3]; satellites];
    for at in request.instants() {
        positions(request.propagator, at, &mut positions_km);
        each(&mut watches, |watch| watch.look(request, at, &positions_km));
    }
    Ok(watches.into_iter().flat_map(|watch| watch.finish(request.end)).collect())
}

fn sin_mask(station: &Station, default_deg: f64) -> f64 {
    station.min_elevation_deg.unwrap_or(default_deg).to_radians().sin()
}

/// One station and what it sees.
struct Watch<'a> {
    number: u32,
    station: &'a Station,
    sin_mask: f64,
    /// Since when each satellite is seen, and whether it rose then.
    open: Vec<Option<(Epoch, bool)>>,
    windows: Vec<GroundWindow>,
}

impl Watch<'_> {
    fn look(&mut self, request: &PlanRequest<'_>, at: Epoch, positions_km: &[[f64; 3]]) {
        let viewer = viewer_at(self.station, request.propagator, at);
        for (satellite, position_km) in positions_km.iter().enumerate() {
            let seen = viewer.range_above_km(*position_km, self.sin_mask).is_some();
            match (self.open[satellite], seen) {
                (None, true) => {
                    let rose = request.start < at;
                    let since = if rose { self.edge(request, satellite, at, true) } else { at };
                    self.open[satellite] = Some((since, rose));
                }
                (Some(open), false) => {
                    let close = self.edge(request, satellite, at, false);
                    self.end(satellite, open, close, true);
                }
                _ => {}
            }
        }
    }

    /// The first millisecond after which it is seen, or not any more, in the step before `at`.
    fn edge(&self, request: &PlanRequest<'_>, satellite: usize, at: Epoch, rises: bool) -> Epoch {
        let mut after = at.unix_ns();
        let mut before = after - i64::from(request.step_s) * 1_000_000_000;
        while EDGE_NS < after - before {
            let middle = before + (after - before) / 2;
            if self.sees(request.propagator, satellite, Epoch::from_unix_ns(middle)) == rises {
                after = middle;
            } else {
                before = middle;
            }
        }
        // On the inner side, so that the satellite is above the mask in the whole window.
        Epoch::from_unix_ns(if rises { after } else { before })
    }

    fn sees(&self, propagator: &dyn Propagator, satellite: usize, at: Epoch) -> bool {
        let Ok((position_km, _)) = propagator.state(satellite, at) else { return false };
        let viewer = viewer_at(self.station, propagator, at);
        viewer.range_above_km(position_km, self.sin_mask).is_some()
    }

    fn end(
        &mut self,
        satellite: usize,
        (open, open_known): (Epoch, bool),
        close: Epoch,
        close_known: bool,
    ) {
        self.open[satellite] = None;
        let station = self.number;
        let satellite = u32::try_from(satellite).expect("satellites are counted in u32");
        // A window without length was a touch of the mask.
        if open < close {
            let window = GroundWindow { station, satellite, open, close, open_known, close_known };
            self.windows.push(window);
        }
    }

    fn finish(mut self, end: Epoch) -> Vec<GroundWindow> {
        for satellite in 0..self.open.len() {
            if let Some(open) = self.open[satellite] {
                self.end(satellite, open, end, false);
            }
        }
        self.windows
    }
}

/// A station at an instant, in inertial axes.
pub(super) fn viewer_at(station: &Station, propagator: &dyn Propagator, at: Epoch) -> Viewer {
    let place = station.place_at(at);
    let turn = propagator.ground_turn(at);
    Viewer {
        position_km: turn.to_teme(geodesy::to_ecef_km(&place)),
        up: turn.to_teme(geodesy::up(&place)),
    }
}
