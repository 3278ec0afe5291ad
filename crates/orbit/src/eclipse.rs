//! When satellites are in the shadow of the Earth: penumbra, umbra, and the angle of an orbit to the Sun.

use types::Epoch;

use crate::pass::{Search, SearchError, per_satellite};
use crate::propagate::State;
use crate::spans::{Sample, Span, spans};
use crate::sunlight::{Disks, sun_teme_km};
use crate::vector::{cross, dot, unit};

/// How dark it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shadow {
    /// The Earth hides a part of the Sun, or all of it: from the first contact of the disks to the last.
    Penumbra,
    /// The Earth hides all of the Sun.
    Umbra,
}

/// A time that a satellite spends in shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eclipse {
    /// The satellite, by index.
    pub satellite: u32,
    /// How dark it is; a time in the umbra lies within one in the penumbra.
    pub shadow: Shadow,
    /// When it enters; the begin of the search if it was inside then.
    pub enter: Epoch,
    /// When it leaves; the end of the search if it is inside then.
    pub exit: Epoch,
    /// False when it was inside at the begin of the search.
    pub enter_known: bool,
    /// False when it is inside at the end of the search.
    pub exit_known: bool,
}

impl Search<'_> {
    /// The eclipses of these satellites by the Earth, ascending by entry, satellite and shadow; conical shadows of a
    /// sphere of the equatorial radius, without the atmosphere.
    ///
    /// A satellite is not in shadow where the model has no position for it.
    ///
    /// # Errors
    /// [`SearchError`] for a span or a satellite that breaks a rule.
    pub fn eclipses(&self, satellites: &[u32]) -> Result<Vec<Eclipse>, SearchError> {
        self.check(satellites)?;
        let mut found = per_satellite(satellites, |satellite| self.eclipses_of(satellite));
        found.sort_unstable_by_key(|eclipse| (eclipse.enter, eclipse.satellite, eclipse.shadow));
        Ok(found)
    }

    fn eclipses_of(&self, satellite: u32) -> Vec<Eclipse> {
        let depth = |at_s: f64, shadow: Shadow| {
            let at = self.from.plus_s(at_s);
            match self.propagator.state(satellite as usize, at) {
                Ok(state) => depth(at_s, state, sun_teme_km(at), shadow),
                Err(_) => Sample::never(at_s),
            }
        };
        let of_kind = |shadow: Shadow| {
            let samples = self.instants().map(|at_s| depth(at_s, shadow));
            // Each dip of the Sun towards the Earth is looked at: one per turn.
            spans(samples, |at_s| depth(at_s, shadow), f64::INFINITY)
                .into_iter()
                .map(move |span| self.eclipse(satellite, shadow, span))
        };
        of_kind(Shadow::Penumbra).chain(of_kind(Shadow::Umbra)).collect()
    }

    fn eclipse(&self, satellite: u32, shadow: Shadow, span: Span) -> Eclipse {
        Eclipse {
            satellite,
            shadow,
            enter: self.from.plus_s(span.open_s),
            exit: if span.close_known { self.from.plus_s(span.close_s) } else { self.to },
            enter_known: span.open_known,
            exit_known: span.close_known,
        }
    }
}

/// By how much the disks overlap beyond the first contact (penumbra) or beyond the second (umbra), rad.
fn depth(at_s: f64, (position, velocity): State, sun_km: [f64; 3], shadow: Shadow) -> Sample {
    let disks = Disks::seen_from(position, sun_km);
    let (sun, earth) = (disks.sun_radius_rad, disks.earth_radius_rad);
    let value = match shadow {
        Shadow::Penumbra => sun + earth - disks.apart_rad,
        Shadow::Umbra => earth - sun - disks.apart_rad,
    };
    // With r = |r|: db/dt = -(dr/dt) tan(b) / r; dc/dt = (dr^/dt) . s / sin c for the direction s of a Sun that stands still.
    let radius_km = dot(position, position).sqrt();
    let radial = dot(position, velocity) / radius_km;
    let sideways = [0, 1, 2].map(|k| (velocity[k] - radial * position[k] / radius_km) / radius_km);
    let towards_sun = unit([0, 1, 2].map(|k| sun_km[k] - position[k]));
    let sin_apart = disks.apart_rad.sin();
    let turn = if sin_apart == 0.0 { 0.0 } else { dot(sideways, towards_sun) / sin_apart };
    Sample { at_s, value, slope: -radial * earth.tan() / radius_km - turn }
}

/// The angle of an orbit's plane to the Sun, degrees, -90 to 90: positive when the Sun stands on the side of the angular
/// momentum.
pub fn beta_angle_deg((position, velocity): State, sun_km: [f64; 3]) -> f64 {
    // sin(beta) = h^ . s^
    dot(unit(cross(position, velocity)), unit(sun_km)).clamp(-1.0, 1.0).asin().to_degrees()
}

#[cfg(test)]
mod tests;
