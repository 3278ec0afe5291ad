//! Where satellites are: propagation models behind one trait, [`Propagator`].
//!
//! [`Sgp4`] (default) follows element sets as they are meant, [`KeplerJ2`] their mean motion only, several times as fast,
//! [`StardustCompat`] repeats what Stardust's published programs compute. [`ModelKind`] names them. Positions are in inertial axes, TEME; which way the ground is
//! turned against them is the model's to say, since Stardust's published model turns it by its own rule.

mod batch;
mod kepler_j2;
mod model;
mod sgp4;
mod stardust_compat;

use std::fmt::Debug;

use types::Epoch;

pub use batch::positions;
pub use kepler_j2::KeplerJ2;
pub use model::ModelKind;
pub use sgp4::{SGP4_EARTH_RADIUS_KM, Sgp4};
pub(crate) use sgp4::{Sgp4Constants, UnusableElements, within_reach};
pub use stardust_compat::{STARDUST_SEMI_MAJOR_AXIS_KM, StardustCompat};

use crate::frame::PolarTurn;

/// Position in km and velocity in km/s, in inertial axes (TEME).
pub type State = ([f64; 3], [f64; 3]);

/// A model of motion for all satellites of a constellation.
///
/// Its answers depend on nothing but the index and the instant.
pub trait Propagator: Debug + Send + Sync {
    /// Its name on the command line and in scenarios.
    fn name(&self) -> &'static str;

    /// How many satellites there are.
    fn satellites(&self) -> usize;

    /// The state of one satellite, in inertial axes.
    ///
    /// # Errors
    /// [`PropagateError`] when the orbit has no solution at `at` or does not belong to a satellite any more.
    fn state(&self, satellite: usize, at: Epoch) -> Result<State, PropagateError>;

    /// Writes the positions, km, of the satellites from `first` on; not a number where [`Self::state`] fails.
    fn positions(&self, first: usize, at: Epoch, out: &mut [[f64; 3]]) {
        for (offset, position) in out.iter_mut().enumerate() {
            *position = self.state(first + offset, at).map_or([f64::NAN; 3], |(r, _)| r);
        }
    }

    /// How the ground is turned against the inertial axes at an instant.
    fn ground_turn(&self, at: Epoch) -> PolarTurn {
        PolarTurn::at(at)
    }
}

/// A moment at which a model has no answer.
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
    /// The position lies outside of where satellites of the Earth can be.
    #[error(
        "the orbit is {radius_km:.1} km from the Earth's centre {minutes} min after its epoch, outside of {range}"
    )]
    OutOfReach {
        /// Minutes since the epoch of the elements.
        minutes: f64,
        /// Distance from the centre of the Earth in km.
        radius_km: f64,
        /// The allowed range in words.
        range: &'static str,
    },
}
