//! The motion that Stardust's published programs compute, with its errors: for comparing with their results, only for that.
//!
//! Errors that are kept: the mean anomaly in degrees is used as if it were radians; all orbits have the same semi-major axis;
//! the ground lies along the inertial axes when the simulation starts, whatever the sidereal time.

use core::f64::consts::TAU;

use types::Epoch;

use super::{PropagateError, Propagator, State};
use crate::elements::Elements;
use crate::frame::PolarTurn;

/// The semi-major axis of all orbits, km.
pub const STARDUST_SEMI_MAJOR_AXIS_KM: f64 = 6790.0;
/// How fast the ground turns, rad/s.
const GROUND_RATE_RAD_S: f64 = 7.292_115_0e-5;
/// Newton's steps for Kepler's equation end with one of at most this length, rad.
const KEPLER_STEP_RAD: f64 = 1.0e-6;
/// Most of Newton's steps: from E = M it takes 3 for e < 0.1 and at most 20 where it converges at all.
const KEPLER_STEPS_MAX: usize = 100;
/// Orbits whose turns are taken off together.
const LANES: usize = 8;
/// Nanoseconds of a second.
const NS_PER_S: i64 = 1_000_000_000;

/// Stardust's published model for a whole constellation.
#[derive(Clone, Debug)]
pub struct StardustCompat {
    orbits: Vec<Orbit>,
    start: Epoch,
}

/// One orbit, as far as it does not change.
#[derive(Clone, Debug)]
struct Orbit {
    epoch: Epoch,
    /// The number of degrees, used as radians.
    mean_anomaly: f64,
    mean_motion_rad_s: f64,
    eccentricity: f64,
    /// From the centre towards perigee, as long as the semi-major axis, km.
    towards_perigee: [f64; 3],
    /// A right angle ahead of it, as long as the semi-minor axis, km.
    ahead: [f64; 3],
}

impl StardustCompat {
    /// For these satellites, by index, in a simulation that begins at `start`.
    pub fn new(elements: &[Elements], start: Epoch) -> Self {
        Self { orbits: elements.iter().map(Orbit::new).collect(), start }
    }
}

impl Propagator for StardustCompat {
    fn name(&self) -> &'static str {
        "stardust-compat"
    }

    fn satellites(&self) -> usize {
        self.orbits.len()
    }

    /// Never fails: the model knows no drag and no ground. The velocity is the derivative of the position; the published
    /// programs have none.
    fn state(&self, satellite: usize, at: Epoch) -> Result<State, PropagateError> {
        Ok(self.orbits[satellite].state(at))
    }

    fn positions(&self, first: usize, at: Epoch, out: &mut [[f64; 3]]) {
        let orbits = &self.orbits[first..first + out.len()];
        let (parts, rest) = orbits.as_chunks::<LANES>();
        let (out_parts, out_rest) = out.as_chunks_mut::<LANES>();
        for (orbits, positions) in parts.iter().zip(out_parts) {
            let anomalies =
                wrapped(core::array::from_fn::<_, LANES, _>(|k| orbits[k].mean_anomaly(at)));
            for ((orbit, m), position) in orbits.iter().zip(anomalies).zip(positions) {
                *position = orbit.position(orbit.anomaly(m));
            }
        }
        for (orbit, position) in rest.iter().zip(out_rest) {
            *position = orbit.state(at).0;
        }
    }

    fn ground_turn(&self, at: Epoch) -> PolarTurn {
        PolarTurn::by(GROUND_RATE_RAD_S * at.seconds_since(self.start), GROUND_RATE_RAD_S)
    }
}

impl Orbit {
    fn new(elements: &Elements) -> Self {
        let mean = &elements.mean;
        let e = mean.eccentricity;
        let (sin_node, cos_node) = mean.raan_deg.to_radians().sin_cos();
        let (sin_i, cos_i) = mean.inclination_deg.to_radians().sin_cos();
        let (sin_w, cos_w) = mean.arg_perigee_deg.to_radians().sin_cos();
        // The first two columns of Rz(W) Rx(i) Rz(w).
        let p = [
            cos_node * cos_w - sin_node * sin_w * cos_i,
            sin_node * cos_w + cos_node * sin_w * cos_i,
            sin_i * sin_w,
        ];
        let q = [
            -cos_node * sin_w - sin_node * cos_w * cos_i,
            -sin_node * sin_w + cos_node * cos_w * cos_i,
            sin_i * cos_w,
        ];
        let a_km = STARDUST_SEMI_MAJOR_AXIS_KM;
        let b_km = a_km * (1.0 - e * e).sqrt();
        Self {
            epoch: elements.epoch,
            mean_anomaly: mean.mean_anomaly_deg,
            // In the order of the original's operations.
            mean_motion_rad_s: mean.mean_motion_rev_day * 2.0 * core::f64::consts::PI / 86_400.0,
            eccentricity: e,
            towards_perigee: p.map(|axis| axis * a_km),
            ahead: q.map(|axis| axis * b_km),
        }
    }

    /// The mean anomaly before turns are taken off.
    fn mean_anomaly(&self, at: Epoch) -> f64 {
        self.mean_anomaly + self.mean_motion_rad_s * seconds(self.epoch, at)
    }

    /// Sine and cosine of the eccentric anomaly: Newton's rule from E = M, until a step is short enough.
    fn anomaly(&self, m: f64) -> (f64, f64) {
        let mut anomaly = m;
        for _ in 0..KEPLER_STEPS_MAX {
            let (sin, cos) = anomaly.sin_cos();
            // d = (E - e sin E - M) / (1 - e cos E)
            let step = (anomaly - self.eccentricity * sin - m) / (1.0 - self.eccentricity * cos);
            if step.abs() <= KEPLER_STEP_RAD {
                // sin(E - d) and cos(E - d) up to d^3, below the last bit.
                let half = step * step / 2.0;
                return (sin - step * cos - half * sin, cos + step * sin - half * cos);
            }
            anomaly -= step;
        }
        anomaly.sin_cos()
    }

    /// r cos v = a (cos E - e), r sin v = b sin E: what the original's atan2 and cosines give, to 1e-9 m.
    fn position(&self, (sin, cos): (f64, f64)) -> [f64; 3] {
        let (x, y) = (cos - self.eccentricity, sin);
        [0, 1, 2].map(|axis| self.towards_perigee[axis] * x + self.ahead[axis] * y)
    }

    fn state(&self, at: Epoch) -> State {
        let [m] = wrapped([self.mean_anomaly(at)]);
        let (sin, cos) = self.anomaly(m);
        // dE/dt = n / (1 - e cos E)
        let rate = self.mean_motion_rad_s / (1.0 - self.eccentricity * cos);
        let velocity = [0, 1, 2]
            .map(|axis| rate * (self.ahead[axis] * cos - self.towards_perigee[axis] * sin));
        (self.position((sin, cos)), velocity)
    }
}

/// Seconds from `epoch` to `at`, rounded as the original's clock does it: whole seconds and the rest apart.
fn seconds(epoch: Epoch, at: Epoch) -> f64 {
    let ns = at.unix_ns().saturating_sub(epoch.unix_ns());
    #[expect(clippy::cast_precision_loss, reason = "at most 2^34 s, and 1e9 ns")]
    let (whole, rest) = ((ns / NS_PER_S) as f64, (ns % NS_PER_S) as f64);
    whole + rest / 1.0e9
}

/// Brings angles to 0 ..= 2 pi as the original does, by subtracting (or adding) 2 pi again and again, bit by bit the
/// same, in a few steps instead of thousands.
fn wrapped<const N: usize>(angles: [f64; N]) -> [f64; N] {
    let short = shortened(angles.map(f64::abs));
    core::array::from_fn(|lane| {
        if angles[lane].is_sign_negative() {
            return lifted(short[lane]);
        }
        // Below 64 both terms are multiples of one unit, so that every subtraction is exact and eight are one.
        let turns = [8.0 * TAU, 4.0 * TAU, 2.0 * TAU, TAU].into_iter();
        turns.fold(short[lane], |angle, turns| if turns < angle { angle - turns } else { angle })
    })
}

/// Adds turns to the negative of `depth`; rounding to even is symmetric, so that -x + 2 pi is -(x - 2 pi) to the last bit.
fn lifted(depth: f64) -> f64 {
    let mut angle = -depth;
    while angle < 0.0 {
        angle += TAU;
    }
    angle
}

/// Below this subtractions of 2 pi are exact.
const EXACT: f64 = 64.0;
/// 2^33, where the units of numbers are still far below 2 pi: 20 revolutions per day reach it after 180 years.
const ANGLE_MAX: f64 = 8_589_934_592.0;
/// The bits of a number's exponent: what is left of it is the power of two below.
const EXPONENT_BITS: u64 = 0x7ff0_0000_0000_0000;
/// 2^52: adding and taking it off rounds a number below 2^51 to a whole one.
const ROUNDER: f64 = 4_503_599_627_370_496.0;

/// Numbers below [`EXACT`] that repeated subtraction of 2 pi from `angles` (not negative) comes by; not a number from
/// [`ANGLE_MAX`] on. All lanes go through the same steps, so that a processor does several at a time.
///
/// Between two powers of two, numbers are multiples of one unit u. Unless 2 pi lies half-way between two such multiples,
/// x - 2 pi is rounded to x less the multiple T of u that is nearest to 2 pi, for each x of the octave. So m subtractions
/// that stay in the octave are x - m T, whose terms are multiples of u below 2^53 u and hence exact. The half-way case is
/// u = 2^-46, the octave from 64 to 128: there the odd multiple below 2 pi or the even one above is taken off, whichever
/// leaves an even multiple, so that from the second subtraction on it is the one above.
fn shortened<const N: usize>(angles: [f64; N]) -> [f64; N] {
    let mut angles = angles.map(|angle| if angle < ANGLE_MAX { angle } else { f64::NAN });
    let largest = angles.into_iter().fold(0.0, f64::max);
    let mut octave = f64::from_bits(largest.to_bits() & EXPONENT_BITS);
    while EXACT <= octave {
        // T, as it is taken off an even multiple of u.
        let turn = 1.5 * octave - (1.5 * octave - TAU);
        let per_turn = 1.0 / turn;
        for angle in &mut angles {
            *angle = below_octave(*angle, octave, (turn, per_turn));
        }
        octave *= 0.5;
    }
    angles
}

/// The subtractions that lead from an angle in an octave to one below it; other angles as they are.
fn below_octave(angle: f64, octave: f64, (turn, per_turn): (f64, f64)) -> f64 {
    // The first on its own: it leaves an even multiple where that matters.
    let first = angle - TAU;
    // How many more stay in the octave, rounded: up to one too many.
    let turns = ((first - octave).max(0.0) * per_turn + ROUNDER) - ROUNDER;
    let bulk = first - turns * turn;
    let back = if bulk < octave && octave <= first { bulk + turn } else { bulk };
    // The one that leaves the octave; a quotient that was rounded down leaves two.
    let once = if octave <= back { back - TAU } else { back };
    let twice = if octave <= once { once - TAU } else { once };
    if octave <= angle { twice } else { angle }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::elements::parse_elements;
    use crate::vector::{minus, norm};

    /// The published rule, word by word.
    fn wrapped_as_published(mut angle: f64) -> f64 {
        while angle < 0.0 {
            angle += TAU;
        }
        while TAU < angle {
            angle -= TAU;
        }
        angle
    }

    #[test]
    fn two_pi_lies_half_way_between_units_in_one_octave_only() {
        // The lowest bit of 2 pi is bit 3 of its mantissa, worth 2^-47; so half a unit only where u = 2^-46.
        assert_eq!(TAU.to_bits().trailing_zeros(), 3);
        let unit = |angle: f64| f64::from_bits(angle.to_bits() + 1) - angle;
        assert_eq!(unit(64.0).to_bits(), 2.0_f64.powi(-46).to_bits());
        assert_eq!(unit(TAU).to_bits(), 2.0_f64.powi(-50).to_bits());
    }

    #[test]
    fn turns_at_the_edges_of_octaves_are_taken_off_as_published() {
        for power in 0..22 {
            let octave = 2.0_f64.powi(power);
            for offset in 0..200 {
                let angle = octave - 20.0 + f64::from(offset) * 0.2;
                for angle in [angle, -angle, f64::from_bits(octave.to_bits() - 1), octave] {
                    let (got, wanted) = (wrapped([angle])[0], wrapped_as_published(angle));
                    assert_eq!(got.to_bits(), wanted.to_bits(), "{angle}: {got} is not {wanted}");
                }
            }
        }
        assert!(wrapped([f64::NAN, f64::INFINITY]).iter().all(|angle| angle.is_nan()));
    }

    const SET: &str = "MADE-UP 1\n\
        1 90001U 26001A   25274.00000000  .00000000  00000-0  00000-0 0  9999\n\
        2 90001  53.0000 120.0000 0100000  40.0000 350.0000 15.06000000    19\n";

    #[test]
    fn the_motion_is_the_published_one_step_by_step() {
        let elements = parse_elements(SET).unwrap();
        let start = Epoch::parse("2026-07-01T00:00:00Z").unwrap();
        let model = StardustCompat::new(&elements, start);
        let at = start.plus_s(600.0);
        let (position, velocity) = model.state(0, at).unwrap();
        // The published text, with its atan2, in metres.
        let m = wrapped_as_published(
            350.0 + 15.06 * 2.0 * core::f64::consts::PI / 86_400.0 * seconds(elements[0].epoch, at),
        );
        let e = 0.01_f64;
        let mut anomaly = m;
        for _ in 0..10 {
            anomaly -= (anomaly - e * anomaly.sin() - m) / (1.0 - e * anomaly.cos());
        }
        let v = ((1.0 - e * e).sqrt() * anomaly.sin()).atan2(anomaly.cos() - e);
        let r = 6_790_000.0 * (1.0 - e * anomaly.cos());
        let u = v + 40.0_f64.to_radians();
        let (i, node) = (53.0_f64.to_radians(), 120.0_f64.to_radians());
        let wanted = [
            r * (u.cos() * node.cos() - u.sin() * i.cos() * node.sin()),
            r * (u.cos() * node.sin() + u.sin() * i.cos() * node.cos()),
            r * u.sin() * i.sin(),
        ];
        let off = minus(position.map(|km| km * 1000.0), wanted);
        assert!(norm(off) < 1.0e-5, "{off:?} m");
        // The velocity is the derivative.
        let moved = minus(
            model.state(0, at.plus_s(0.5)).unwrap().0,
            model.state(0, at.plus_s(-0.5)).unwrap().0,
        );
        assert!(norm(minus(moved, velocity)) < 1.0e-6, "{moved:?} is not {velocity:?}");
    }

    #[test]
    fn a_batch_holds_what_one_by_one_gives() {
        let one = parse_elements(SET).unwrap().remove(0);
        let mut all = vec![one; 21];
        for (index, elements) in (0..).zip(&mut all) {
            elements.mean.mean_anomaly_deg = 17.0 * f64::from(index);
            elements.mean.mean_motion_rev_day = 0.3 * f64::from(index) + 9.0;
        }
        let start = Epoch::parse("2026-07-01T00:00:00Z").unwrap();
        let model = StardustCompat::new(&all, start);
        let mut batch = [[0.0; 3]; 18];
        model.positions(2, start, &mut batch);
        for (index, position) in (2..).zip(batch) {
            let alone = model.state(index, start).unwrap().0;
            assert_eq!(position.map(f64::to_bits), alone.map(f64::to_bits), "{index}");
        }
    }

    #[test]
    fn the_ground_lies_along_the_axes_at_the_start() {
        let start = Epoch::parse("2025-10-01T00:00:00Z").unwrap();
        let model = StardustCompat::new(&[], start);
        let x = [6378.137, 0.0, 0.0];
        assert!(norm(minus(model.ground_turn(start).to_teme(x), x)) < 1.0e-12);
        let [a, b, _] = model.ground_turn(start.plus_s(600.0)).to_teme(x);
        assert!((b.atan2(a) - 600.0 * 7.292_115_0e-5).abs() < 1.0e-12);
    }

    proptest! {
        #[test]
        fn turns_are_taken_off_bit_by_bit_as_published(angle in -3.0e6_f64..3.0e6) {
            let got = wrapped([angle, -angle, angle / 300.0]);
            for (got, angle) in got.into_iter().zip([angle, -angle, angle / 300.0]) {
                prop_assert_eq!(got.to_bits(), wrapped_as_published(angle).to_bits());
            }
        }
    }
}
