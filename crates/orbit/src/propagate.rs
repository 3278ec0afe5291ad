//! SGP4 (Vallado et al. 2006): where an object is, in the frame of its elements.
//!
//! Gravity model WGS-72, improved mode, IAU-82 sidereal time: what element sets are made for.

use types::Epoch;

use crate::elements::{Elements, MeanElements};
use crate::frame::julian_years_since_j2000;

/// Equatorial radius of the Earth in WGS-72, in km: the surface of SGP4.
pub const SGP4_EARTH_RADIUS_KM: f64 = 6378.135;

/// A moment at which SGP4 has no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PropagateError {
    /// The elements have left the range in which the theory holds.
    #[error("the orbit has no solution {minutes} min after its epoch: {reason}")]
    Diverged {
        /// Minutes since the epoch of the elements.
        minutes: f64,
        /// What left its range.
        reason: String,
    },
    /// The position lies below the surface: the object has decayed.
    #[error(
        "the orbit is {radius_km:.1} km from the Earth's centre {minutes} min after its epoch, below the surface"
    )]
    BelowSurface {
        /// Minutes since the epoch of the elements.
        minutes: f64,
        /// Distance from the centre of the Earth in km.
        radius_km: f64,
    },
}

/// Elements from which no propagator can be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UnusableElements(pub(crate) String);

/// The constants that SGP4 derives from elements once.
#[derive(Clone, Debug)]
pub(crate) struct Propagator(sgp4::Constants);

impl Propagator {
    /// From mean elements as element sets hold them.
    pub(crate) fn from_mean(epoch: Epoch, mean: &MeanElements) -> Result<Self, UnusableElements> {
        let orbit = sgp4::Orbit::from_kozai_elements(
            &sgp4::WGS72,
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
        orbit: sgp4::Orbit,
    ) -> Result<Self, UnusableElements> {
        sgp4::Constants::new(
            sgp4::WGS72,
            sgp4::iau_epoch_to_sidereal_time,
            julian_years_since_j2000(epoch),
            bstar,
            orbit,
        )
        .map(Self)
        .map_err(|e| UnusableElements(e.to_string()))
    }
}

impl Elements {
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
    pub fn state_teme(
        &self,
        minutes_since_epoch: f64,
    ) -> Result<([f64; 3], [f64; 3]), PropagateError> {
        let minutes = minutes_since_epoch;
        let prediction = self
            .propagator
            .0
            .propagate(sgp4::MinutesSinceEpoch(minutes))
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
