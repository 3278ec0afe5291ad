//! The models of motion by name.

use std::sync::Arc;

use types::Epoch;

use super::{KeplerJ2, Propagator, Sgp4, StardustCompat};
use crate::elements::Elements;

/// The models by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ModelKind {
    /// SGP4, what element sets are made for.
    #[default]
    Sgp4,
    /// Kepler's motion with the secular drift by J2.
    KeplerJ2,
    /// Stardust's published model with its errors.
    StardustCompat,
}

impl ModelKind {
    /// All of them, the default first.
    pub const ALL: [Self; 3] = [Self::Sgp4, Self::KeplerJ2, Self::StardustCompat];

    /// The name on the command line and in scenarios.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sgp4 => "sgp4",
            Self::KeplerJ2 => "kepler-j2",
            Self::StardustCompat => "stardust-compat",
        }
    }

    /// The model of this name; `None` for a name that no model has.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The model for these satellites, by index.
    ///
    /// `start` is the start of the simulation: at that instant the ground of [`StardustCompat`] lies along the inertial axes;
    /// the other models do not need it.
    pub fn propagator(self, elements: Arc<[Elements]>, start: Epoch) -> Box<dyn Propagator> {
        match self {
            Self::Sgp4 => Box::new(Sgp4::new(elements)),
            Self::KeplerJ2 => Box::new(KeplerJ2::new(&elements)),
            Self::StardustCompat => Box::new(StardustCompat::new(&elements, start)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_is_found_by_its_name_and_says_it() {
        let start = Epoch::from_unix_ns(0);
        for kind in ModelKind::ALL {
            assert_eq!(ModelKind::of_name(kind.name()), Some(kind));
            let model = kind.propagator(Arc::new([]), start);
            assert_eq!((model.name(), model.satellites()), (kind.name(), 0));
        }
        assert_eq!(ModelKind::of_name("SGP4"), None);
    }
}
