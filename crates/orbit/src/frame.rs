//! Frames: TEME (of the elements) and ECEF (of the ground), one turn about the pole apart.
//!
//! The angle is Greenwich mean sidereal time of UT1, whose offset from UTC comes from a table ([`crate::ut1`]) unless it is
//! given; polar motion is left out (at most 15 m).

use types::Epoch;

use crate::propagate::State;
use crate::ut1::ut1_minus_utc_s;
use crate::vector::minus;

/// 2000-01-01T12:00:00 UTC.
pub const J2000: Epoch = Epoch::from_unix_ns(946_728_000_000_000_000);
const S_PER_DAY: f64 = 86_400.0;
/// Days of a Julian year.
const DAYS_PER_JULIAN_YEAR: f64 = 365.25;

/// How fast the ground turns against TEME, rad/s: the time derivative of [`gmst_rad`] at J2000, which grows by
/// 6e-12 of itself in a century.
pub const GMST_RATE_RAD_S: f64 = (876_600.0 * 3600.0 + 8_640_184.812_866)
    / (100.0 * DAYS_PER_JULIAN_YEAR * S_PER_DAY)
    * (core::f64::consts::TAU / S_PER_DAY);

/// Days since J2000 (2000-01-01T12:00:00 UTC).
pub fn days_since_j2000(at: Epoch) -> f64 {
    at.seconds_since(J2000) / S_PER_DAY
}

/// Julian years of 365.25 days since J2000.
pub(crate) fn julian_years_since_j2000(at: Epoch) -> f64 {
    days_since_j2000(at) / DAYS_PER_JULIAN_YEAR
}

/// Greenwich mean sidereal time of UT1 in radians, 0 to 2 pi (IAU 1982; Vallado, 4th ed., eq. 3-47).
pub fn gmst_rad(at: Epoch) -> f64 {
    // T = (JD_UT1 - 2451545) / 36525
    let t = days_since_j2000(at) / (100.0 * DAYS_PER_JULIAN_YEAR);
    // GMST in seconds of time = 67310.54841 + (876600 h + 8640184.812866) T + 0.093104 T^2 - 6.2e-6 T^3
    let seconds = 67_310.548_41 + (876_600.0 * 3600.0 + 8_640_184.812_866) * t + 0.093_104 * t * t
        - 6.2e-6 * t * t * t;
    // 240 s of time are one degree.
    (seconds / 240.0).rem_euclid(360.0).to_radians()
}

/// A turn about the pole by an angle, and how fast it goes on; sine and cosine are computed once per instant.
#[derive(Clone, Copy, Debug)]
pub struct PolarTurn {
    sin: f64,
    cos: f64,
    rate_rad_s: f64,
}

impl PolarTurn {
    /// The turn between TEME and ECEF at `at`, UTC.
    pub fn at(at: Epoch) -> Self {
        Self::at_ut1(at, ut1_minus_utc_s(at))
    }

    /// The turn between TEME and ECEF at `at`, UTC, when UT1 is `ut1_minus_utc_s` ahead of UTC (IERS Bulletin A).
    pub fn at_ut1(at: Epoch, ut1_minus_utc_s: f64) -> Self {
        Self::by(gmst_rad(at.plus_s(ut1_minus_utc_s)), GMST_RATE_RAD_S)
    }

    /// The turn by `angle_rad` that goes on at `rate_rad_s`.
    pub fn by(angle_rad: f64, rate_rad_s: f64) -> Self {
        let (sin, cos) = angle_rad.sin_cos();
        Self { sin, cos, rate_rad_s }
    }

    /// The turn of these [`Self::parts`]; recordings hold them.
    pub const fn from_parts([sin, cos, rate_rad_s]: [f64; 3]) -> Self {
        Self { sin, cos, rate_rad_s }
    }

    /// The sine and the cosine of the angle, and how fast it goes on, rad/s.
    pub const fn parts(self) -> [f64; 3] {
        [self.sin, self.cos, self.rate_rad_s]
    }

    /// A TEME vector in ECEF.
    pub fn to_ecef(self, [x, y, z]: [f64; 3]) -> [f64; 3] {
        [self.cos * x + self.sin * y, self.cos * y - self.sin * x, z]
    }

    /// An ECEF vector in TEME.
    pub fn to_teme(self, [x, y, z]: [f64; 3]) -> [f64; 3] {
        [self.cos * x - self.sin * y, self.cos * y + self.sin * x, z]
    }

    /// Position and velocity in ECEF: what somebody on the turning ground sees of a state in TEME.
    pub fn state_to_ecef(self, (position, velocity): State) -> State {
        let position = self.to_ecef(position);
        // v_ecef = R v_teme - omega x r
        (position, minus(self.to_ecef(velocity), self.carried(position)))
    }

    /// Position and velocity in TEME of a state in ECEF.
    pub fn state_to_teme(self, (position, velocity): State) -> State {
        let carried = self.carried(position);
        let inertial = [0, 1, 2].map(|axis| velocity[axis] + carried[axis]);
        (self.to_teme(position), self.to_teme(inertial))
    }

    /// How fast the ground carries an ECEF position along: omega x r.
    fn carried(self, [x, y, _]: [f64; 3]) -> [f64; 3] {
        [-self.rate_rad_s * y, self.rate_rad_s * x, 0.0]
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

    #[test]
    fn the_ground_turns_as_fast_as_sidereal_time_grows() {
        let start = Epoch::parse("2026-03-01T05:00:00Z").unwrap();
        let turned = gmst_rad(start.plus_s(1000.0)) - gmst_rad(start);
        assert!((turned / 1000.0 - GMST_RATE_RAD_S).abs() < 1.0e-13, "{turned}");
        assert!((GMST_RATE_RAD_S - 7.292_115_855e-5).abs() < 1.0e-14);
    }

    #[test]
    fn ut1_ahead_of_utc_turns_the_ground_by_so_much_more() {
        let at = Epoch::parse("2026-03-01T05:00:00Z").unwrap();
        let x_axis = |turn: PolarTurn| turn.to_teme([1.0, 0.0, 0.0]);
        let (ahead, plain) =
            (x_axis(PolarTurn::at_ut1(at, 0.5)), x_axis(PolarTurn::at_ut1(at, 0.0)));
        let later = x_axis(PolarTurn::at_ut1(at.plus_s(0.5), 0.0));
        assert!(minus(ahead, later).iter().all(|off| off.abs() < 1.0e-15));
        // Half a second is 0.23 km at the equator.
        let moved_km = 6378.137 * minus(ahead, plain).iter().map(|d| d * d).sum::<f64>().sqrt();
        assert!((moved_km - 0.2326).abs() < 1.0e-3, "{moved_km}");
    }

    proptest! {
        #[test]
        fn velocity_over_the_ground_is_how_the_position_there_changes(
            s in 0.0_f64..2.0e9,
            r in prop::array::uniform3(-50_000.0_f64..50_000.0),
            v in prop::array::uniform3(-10.0_f64..10.0),
        ) {
            let at = Epoch::from_unix_ns(0).plus_s(s);
            let moved = |dt: f64| [0, 1, 2].map(|axis| r[axis] + v[axis] * dt);
            let ecef = |dt: f64| PolarTurn::at(at.plus_s(dt)).to_ecef(moved(dt));
            let (position, velocity) = PolarTurn::at(at).state_to_ecef((r, v));
            let (before, after) = (ecef(-0.5), ecef(0.5));
            // The turn comes from days that are counted to 2e-12: 1e-11 rad either way, of up to 86,000 km.
            for axis in 0..3 {
                prop_assert!((after[axis] - before[axis] - velocity[axis]).abs() < 3.0e-6);
            }
            let back = PolarTurn::at(at).state_to_teme((position, velocity));
            for axis in 0..3 {
                prop_assert!((back.0[axis] - r[axis]).abs() < 1.0e-9);
                prop_assert!((back.1[axis] - v[axis]).abs() < 1.0e-12);
            }
        }

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
