//! Frames: TEME (of the elements) and ECEF (of the ground), one turn about the pole apart.
//!
//! The angle is Greenwich mean sidereal time; UT1 is taken as UTC (at most 0.9 s, 0.4 km at the equator)
//! and polar motion is left out (at most 15 m).

use types::Epoch;

/// 2000-01-01T12:00:00 UTC.
pub const J2000: Epoch = Epoch::from_unix_ns(946_728_000_000_000_000);
const S_PER_DAY: f64 = 86_400.0;
/// Days of a Julian year.
const DAYS_PER_JULIAN_YEAR: f64 = 365.25;

/// Days since J2000 (2000-01-01T12:00:00 UTC).
pub fn days_since_j2000(at: Epoch) -> f64 {
    at.seconds_since(J2000) / S_PER_DAY
}

/// Julian years of 365.25 days since J2000.
pub(crate) fn julian_years_since_j2000(at: Epoch) -> f64 {
    days_since_j2000(at) / DAYS_PER_JULIAN_YEAR
}

/// Greenwich mean sidereal time in radians, 0 to 2 pi (IAU 1982; Vallado, 4th ed., eq. 3-47).
pub fn gmst_rad(at: Epoch) -> f64 {
    // T = (JD_UT1 - 2451545) / 36525
    let t = days_since_j2000(at) / (100.0 * DAYS_PER_JULIAN_YEAR);
    // GMST in seconds of time = 67310.54841 + (876600 h + 8640184.812866) T + 0.093104 T^2 - 6.2e-6 T^3
    let seconds = 67_310.548_41 + (876_600.0 * 3600.0 + 8_640_184.812_866) * t + 0.093_104 * t * t
        - 6.2e-6 * t * t * t;
    // 240 s of time are one degree.
    (seconds / 240.0).rem_euclid(360.0).to_radians()
}

/// A turn about the pole by an angle; its sine and cosine are computed once per instant.
#[derive(Clone, Copy, Debug)]
pub struct PolarTurn {
    sin: f64,
    cos: f64,
}

impl PolarTurn {
    /// The turn between TEME and ECEF at `at`.
    pub fn at(at: Epoch) -> Self {
        let (sin, cos) = gmst_rad(at).sin_cos();
        Self { sin, cos }
    }

    /// A TEME vector in ECEF.
    pub fn to_ecef(self, [x, y, z]: [f64; 3]) -> [f64; 3] {
        [self.cos * x + self.sin * y, self.cos * y - self.sin * x, z]
    }

    /// An ECEF vector in TEME.
    pub fn to_teme(self, [x, y, z]: [f64; 3]) -> [f64; 3] {
        [self.cos * x - self.sin * y, self.cos * y + self.sin * x, z]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn gmst_agrees_with_published_values() {
        // (UT1, GMST in degrees): Vallado, example 3-5; Meeus, Astronomical Algorithms, 12.a and 12.b; J2000.
        for (at, degrees, tolerance) in [
            ("1992-08-20T12:14:00Z", 152.578_787_81, 1.0e-7),
            ("1987-04-10T00:00:00Z", 197.693_195, 1.0e-6),
            ("1987-04-10T19:21:00Z", 128.737_873_4, 2.0e-7),
            ("2000-01-01T12:00:00Z", 280.460_618_37, 1.0e-8),
        ] {
            let got = gmst_rad(Epoch::parse(at).unwrap()).to_degrees();
            assert!((got - degrees).abs() < tolerance, "{at}: {got} is not {degrees}");
        }
    }

    proptest! {
        #[test]
        fn turning_there_and_back_changes_nothing(
            s in -1.0e9_f64..2.0e9,
            v in prop::array::uniform3(-50_000.0_f64..50_000.0),
        ) {
            let turn = PolarTurn::at(Epoch::from_unix_ns(0).plus_s(s));
            let back = turn.to_teme(turn.to_ecef(v));
            for axis in 0..3 {
                prop_assert!((back[axis] - v[axis]).abs() < 1.0e-9);
            }
        }
    }
}
