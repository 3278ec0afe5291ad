//! SGP4 (Vallado et al. 2006): where an object is, in the frame of its elements.
//!
//! Gravity model WGS-72, improved mode, IAU-82 sidereal time: what element sets are made for.

use std::sync::Arc;

use types::Epoch;

use super::{PropagateError, Propagator, State};
use crate::elements::{Elements, MeanElements};
use crate::frame::{PolarTurn, julian_years_since_j2000};
use crate::vector::norm;

/// Equatorial radius of the Earth in WGS-72, in km: the surface of SGP4.
pub const SGP4_EARTH_RADIUS_KM: f64 = 6378.135;

/// Distance from the centre of the Earth beyond which nothing is its satellite: the radius of its Hill sphere, km.
/// Drag terms that no object has, and orbits of years, lead farther; light needs 5 s from there, so that no delay
/// of a link comes near what a graph can hold.
const ORBIT_RADIUS_KM_MAX: f64 = 1.5e6;

/// SGP4 for a whole constellation.
#[derive(Clone, Debug)]
pub struct Sgp4 {
    elements: Arc<[Elements]>,
    ut1_minus_utc_s: Option<f64>,
}

impl Sgp4 {
    /// For these satellites, by index; UT1 is that of the table.
    pub fn new(elements: Arc<[Elements]>) -> Self {
        Self { elements, ut1_minus_utc_s: None }
    }

    /// The same with UT1 `seconds` ahead of UTC instead of the table's.
    #[must_use]
    pub fn with_ut1_minus_utc_s(self, seconds: f64) -> Self {
        Self { ut1_minus_utc_s: Some(seconds), ..self }
    }
}

impl Propagator for Sgp4 {
    fn name(&self) -> &'static str {
        "sgp4"
    }

    fn satellites(&self) -> usize {
        self.elements.len()
    }

    /// Fails also below the surface and beyond the reach of the Earth.
    fn state(&self, satellite: usize, at: Epoch) -> Result<State, PropagateError> {
        self.elements[satellite].satellite_state(at)
    }

    fn ground_turn(&self, at: Epoch) -> PolarTurn {
        match self.ut1_minus_utc_s {
            None => PolarTurn::at(at),
            Some(seconds) => PolarTurn::at_ut1(at, seconds),
        }
    }
}

/// Elements from which no propagator can be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UnusableElements(pub(crate) String);

/// The constants that SGP4 derives from elements once.
#[derive(Clone, Debug)]
pub(crate) struct Sgp4Constants {
    constants: ::sgp4::Constants,
    /// Brouwer's mean motion n0", from which the drift of Kozai's is taken out, rad/min.
    brouwer_mean_motion_rad_min: f64,
}

impl Sgp4Constants {
    /// From mean elements as element sets hold them.
    pub(crate) fn from_mean(epoch: Epoch, mean: &MeanElements) -> Result<Self, UnusableElements> {
        let orbit = ::sgp4::Orbit::from_kozai_elements(
            &::sgp4::WGS72,
            mean.inclination_deg.to_radians(),
            mean.raan_deg.to_radians(),
            mean.eccentricity,
            mean.arg_perigee_deg.to_radians(),
            mean.mean_anomaly_deg.to_radians(),
            // rev/day to rad/min: 2 pi / 1440.
            mean.mean_motion_rev_day * (core::f64::consts::PI / 720.0),
        )
        .map_err(|e| UnusableElements(e.to_string()))?;
        Self::from_orbit(epoch, mean.bstar, orbit)
    }

    /// From a Brouwer orbit.
    pub(crate) fn from_orbit(
        epoch: Epoch,
        bstar: f64,
        orbit: ::sgp4::Orbit,
    ) -> Result<Self, UnusableElements> {
        let brouwer_mean_motion_rad_min = orbit.mean_motion;
        let constants = ::sgp4::Constants::new(
            ::sgp4::WGS72,
            ::sgp4::iau_epoch_to_sidereal_time,
            julian_years_since_j2000(epoch),
            bstar,
            orbit,
        )
        .map_err(|e| UnusableElements(e.to_string()))?;
        Ok(Self { constants, brouwer_mean_motion_rad_min })
    }

    /// Brouwer's mean motion n0", rad/s.
    pub(crate) fn brouwer_mean_motion_rad_s(&self) -> f64 {
        self.brouwer_mean_motion_rad_min / 60.0
    }
}

/// Passes on the state of what is still a satellite of the Earth, `minutes` after the epoch of its elements.
///
/// # Errors
/// [`PropagateError::OutOfReach`] below the surface and beyond the reach of the Earth.
pub(crate) fn within_reach(state: State, minutes: f64) -> Result<State, PropagateError> {
    let radius_km = norm(state.0);
    if (SGP4_EARTH_RADIUS_KM..=ORBIT_RADIUS_KM_MAX).contains(&radius_km) {
        Ok(state)
    } else {
        let range = "the surface to 1.5 million km";
        Err(PropagateError::OutOfReach { minutes, radius_km, range })
    }
}

impl Elements {
    /// The state in TEME of what is still a satellite of the Earth.
    ///
    /// # Errors
    /// [`PropagateError`] when the orbit has no solution at `at`, below the surface, and beyond the reach of the Earth.
    pub(crate) fn satellite_state(&self, at: Epoch) -> Result<State, PropagateError> {
        let minutes = at.seconds_since(self.epoch) / 60.0;
        within_reach(self.state_teme(minutes)?, minutes)
    }

    /// Position in TEME, km.
    ///
    /// # Errors
    /// [`PropagateError`] when the orbit has no solution at `at` or lies below the surface.
    pub fn position_teme_km(&self, at: Epoch) -> Result<[f64; 3], PropagateError> {
        Ok(self.state_teme(at.seconds_since(self.epoch) / 60.0)?.0)
    }

    /// Position in km and velocity in km/s in TEME, `minutes_since_epoch` after the epoch of the elements.
    ///
    /// # Errors
    /// [`PropagateError`] when the orbit has no solution then or lies below the surface.
    pub fn state_teme(&self, minutes_since_epoch: f64) -> Result<State, PropagateError> {
        let minutes = minutes_since_epoch;
        let prediction = self
            .sgp4
            .constants
            .propagate(::sgp4::MinutesSinceEpoch(minutes))
            .map_err(|e| PropagateError::Diverged { minutes, reason: e.to_string() })?;
        let [x, y, z] = prediction.position;
        let radius_km = (x * x + y * y + z * z).sqrt();
        if !radius_km.is_finite() {
            let reason = "the position is not a number".to_owned();
            return Err(PropagateError::Diverged { minutes, reason });
        }
        // The crate leaves error 6 of the reference code (radius below one) to its caller.
        if radius_km < SGP4_EARTH_RADIUS_KM {
            return Err(PropagateError::BelowSurface { minutes, radius_km });
        }
        Ok((prediction.position, prediction.velocity))
    }
}
