//! Kepler's motion with the secular drift by J2: several times as fast as SGP4, and some 10 km beside it.
//!
//! What it leaves out: the short-period terms of J2 (up to 10 km in a low orbit), J3, J4, drag, Sun and Moon. Meant for
//! studies of constellations as planned; for element sets of real objects SGP4 is what they are made for.

use core::f64::consts::TAU;

use types::Epoch;

use super::{PropagateError, Propagator, SGP4_EARTH_RADIUS_KM, State, within_reach};
use crate::elements::Elements;

/// J2 of WGS-72, the gravity model of element sets.
const J2: f64 = 0.001_082_616;
/// Gravitational parameter of WGS-72, km^3/s^2.
const MU_KM3_S2: f64 = 398_600.8;
/// Most of Newton's steps for Kepler's equation; 8 are enough for e = 0.99 from the start that is chosen.
const KEPLER_STEPS_MAX: usize = 50;
/// Newton's step converges quadratically: after one this short the next would be below the last bit, rad.
const KEPLER_STEP_RAD: f64 = 1.0e-8;
/// From here on Newton starts at pi, from where it converges for any M: M + e sin M may overshoot.
const ECCENTRICITY_HIGH: f64 = 0.8;

/// Kepler's motion with drift for a whole constellation.
#[derive(Clone, Debug)]
pub struct KeplerJ2 {
    orbits: Vec<Orbit>,
}

/// An angle that grows evenly, rad and rad/s.
#[derive(Clone, Copy, Debug)]
struct Drift {
    start_rad: f64,
    rate_rad_s: f64,
}

impl Drift {
    fn at(self, seconds: f64) -> f64 {
        self.start_rad + self.rate_rad_s * seconds
    }
}

/// One orbit.
#[derive(Clone, Debug)]
struct Orbit {
    epoch: Epoch,
    semi_major_axis_km: f64,
    eccentricity: f64,
    /// sqrt(1 - e^2)
    axis_ratio: f64,
    sin_i: f64,
    cos_i: f64,
    node: Drift,
    arg_perigee: Drift,
    mean_anomaly: Drift,
}

impl KeplerJ2 {
    /// For these satellites, by index.
    pub fn new(elements: &[Elements]) -> Self {
        Self { orbits: elements.iter().map(Orbit::new).collect() }
    }
}

impl Propagator for KeplerJ2 {
    fn name(&self) -> &'static str {
        "kepler-j2"
    }

    fn satellites(&self) -> usize {
        self.orbits.len()
    }

    /// Fails below the surface and beyond the reach of the Earth.
    fn state(&self, satellite: usize, at: Epoch) -> Result<State, PropagateError> {
        let orbit = &self.orbits[satellite];
        let seconds = at.seconds_since(orbit.epoch);
        within_reach(orbit.state(seconds), seconds / 60.0)
    }
}

impl Orbit {
    /// The secular rates by J2 (Vallado, 4th ed., eq. 9-41), with Brouwer's mean motion, which SGP4's theory takes out of
    /// Kozai's: n0 = n (1 + d0), Vallado et al. 2006.
    fn new(elements: &Elements) -> Self {
        let mean = &elements.mean;
        let e = mean.eccentricity;
        let (sin_i, cos_i) = mean.inclination_deg.to_radians().sin_cos();
        let n = elements.sgp4.brouwer_mean_motion_rad_s();
        // a = (mu / n^2)^(1/3)
        let a_km = (MU_KM3_S2 / (n * n)).cbrt();
        let axis_ratio = (1.0 - e * e).sqrt();
        // k = 3/4 J2 (R / p)^2 n, with p = a (1 - e^2)
        let k = 0.75 * J2 * (SGP4_EARTH_RADIUS_KM / (a_km * (1.0 - e * e))).powi(2) * n;
        let drift =
            |start_deg: f64, rate_rad_s| Drift { start_rad: start_deg.to_radians(), rate_rad_s };
        Self {
            epoch: elements.epoch,
            semi_major_axis_km: a_km,
            eccentricity: e,
            axis_ratio,
            sin_i,
            cos_i,
            // dW/dt = -2 k cos i; dw/dt = k (5 cos^2 i - 1); dM/dt = n + k sqrt(1 - e^2) (3 cos^2 i - 1)
            node: drift(mean.raan_deg, -2.0 * k * cos_i),
            arg_perigee: drift(mean.arg_perigee_deg, k * (5.0 * cos_i * cos_i - 1.0)),
            mean_anomaly: drift(
                mean.mean_anomaly_deg,
                n + k * axis_ratio * (3.0 * cos_i * cos_i - 1.0),
            ),
        }
    }

    fn state(&self, seconds: f64) -> State {
        let (sin_e, cos_e) = anomaly(self.mean_anomaly.at(seconds), self.eccentricity);
        let (sin_node, cos_node) = self.node.at(seconds).sin_cos();
        let (sin_w, cos_w) = self.arg_perigee.at(seconds).sin_cos();
        // The unit vectors towards perigee and a right angle ahead of it.
        let p = [
            cos_node * cos_w - sin_node * sin_w * self.cos_i,
            sin_node * cos_w + cos_node * sin_w * self.cos_i,
            self.sin_i * sin_w,
        ];
        let q = [
            -cos_node * sin_w - sin_node * cos_w * self.cos_i,
            -sin_node * sin_w + cos_node * cos_w * self.cos_i,
            self.sin_i * cos_w,
        ];
        let a = self.semi_major_axis_km;
        let (x, y) = (a * (cos_e - self.eccentricity), a * self.axis_ratio * sin_e);
        // dE/dt = (dM/dt) / (1 - e cos E)
        let rate = a * self.mean_anomaly.rate_rad_s / (1.0 - self.eccentricity * cos_e);
        let (vx, vy) = (-rate * sin_e, rate * self.axis_ratio * cos_e);
        let position = [0, 1, 2].map(|k| x * p[k] + y * q[k]);
        // What the turns of node and perigee add: the axis of w is the orbit's normal, that of W the pole.
        let (w, node) = (self.arg_perigee.rate_rad_s, self.node.rate_rad_s);
        let turned = [-node * position[1], node * position[0], 0.0];
        let velocity = [0, 1, 2].map(|k| (vx - w * y) * p[k] + (vy + w * x) * q[k] + turned[k]);
        (position, velocity)
    }
}

/// Sine and cosine of the eccentric anomaly: E - e sin E = M, by Newton's rule.
fn anomaly(mean: f64, e: f64) -> (f64, f64) {
    let mean = mean.rem_euclid(TAU);
    let mut anomaly =
        if e < ECCENTRICITY_HIGH { mean + e * mean.sin() } else { core::f64::consts::PI };
    let (mut sin, mut cos) = anomaly.sin_cos();
    for _ in 0..KEPLER_STEPS_MAX {
        let step = (anomaly - e * sin - mean) / (1.0 - e * cos);
        if step.abs() < KEPLER_STEP_RAD {
            // sin(E - d) = sin E - d cos E up to d^2, below the last bit.
            return (sin - step * cos, cos + step * sin);
        }
        anomaly -= step;
        (sin, cos) = anomaly.sin_cos();
    }
    (sin, cos)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::WalkerShell;
    use crate::vector::{minus, norm};

    fn start() -> Epoch {
        Epoch::parse("2026-01-01T00:00:00Z").unwrap()
    }

    fn shell(altitude_km: f64, inclination_deg: f64) -> Vec<Elements> {
        let shell = WalkerShell {
            name: "shell".to_owned(),
            planes: 6,
            slots: 4,
            altitude_km,
            inclination_deg,
            phasing: 1,
            raan_span_deg: 360.0,
            epoch: start(),
        };
        shell.elements().unwrap()
    }

    #[test]
    fn it_stays_beside_sgp4_for_a_day() {
        let mut worst: f64 = 0.0;
        for (altitude_km, inclination_deg) in
            [(550.0, 53.0), (1200.0, 87.9), (560.0, 97.6), (630.0, 30.0), (400.0, 0.0)]
        {
            let elements = shell(altitude_km, inclination_deg);
            let model = KeplerJ2::new(&elements);
            for (index, satellite) in elements.iter().enumerate() {
                for minutes in [0.0, 10.0, 95.0, 700.0, 1440.0] {
                    let at = start().plus_s(minutes * 60.0);
                    let (r, v) = model.state(index, at).unwrap();
                    let (r4, v4) = satellite.satellite_state(at).unwrap();
                    worst = worst.max(norm(minus(r, r4)));
                    assert!(norm(minus(v, v4)) < 0.03, "{inclination_deg}: {v:?} {v4:?}");
                }
            }
        }
        // Short-period terms of J2 and the drift that J2 squared and J4 make in a day.
        assert!(5.0 < worst && worst < 25.0, "{worst} km");
    }

    #[test]
    fn nodes_drift_as_published() {
        // Sun-synchronous: 0.9856 degrees a day at 560 km and 97.6 degrees.
        let orbit = &KeplerJ2::new(&shell(560.0, 97.6)).orbits[0];
        let deg_day = orbit.node.rate_rad_s.to_degrees() * 86_400.0;
        assert!((deg_day - 0.9856).abs() < 0.01, "{deg_day}");
        // Perigee stands still at the critical inclination.
        let critical = &KeplerJ2::new(&shell(560.0, 63.434_95)).orbits[0];
        assert!(critical.arg_perigee.rate_rad_s.abs() < 1.0e-12);
    }

    #[test]
    fn what_has_decayed_is_down() {
        let model = KeplerJ2::new(&shell(160.0, 53.0));
        assert!(model.state(0, start()).is_ok());
        let low = Orbit { semi_major_axis_km: 6370.0, ..model.orbits[0].clone() };
        let down = KeplerJ2 { orbits: vec![low] }.state(0, start());
        assert!(matches!(down, Err(PropagateError::OutOfReach { .. })), "{down:?}");
    }

    proptest! {
        #[test]
        fn keplers_equation_is_solved_for_all_closed_orbits(
            e in 0.0_f64..0.999,
            mean in -1.0e5_f64..1.0e5,
        ) {
            let (sin, cos) = anomaly(mean, e);
            prop_assert!((sin * sin + cos * cos - 1.0).abs() < 1.0e-12);
            let back = sin.atan2(cos) - e * sin;
            let off = (back - mean + core::f64::consts::PI).rem_euclid(TAU) - core::f64::consts::PI;
            prop_assert!(off.abs() < 1.0e-10, "{off}");
        }

        #[test]
        fn velocity_is_how_the_position_changes(seconds in -1.0e6_f64..1.0e6) {
            let model = KeplerJ2::new(&shell(550.0, 53.0));
            let eccentric = Orbit {
                eccentricity: 0.7,
                axis_ratio: 0.51_f64.sqrt(),
                semi_major_axis_km: 26_600.0,
                ..model.orbits[5].clone()
            };
            for orbit in [&model.orbits[5], &eccentric] {
                let (before, after) = (orbit.state(seconds - 0.05).0, orbit.state(seconds + 0.05).0);
                let (_, velocity) = orbit.state(seconds);
                for axis in 0..3 {
                    let change = (after[axis] - before[axis]) / 0.1;
                    prop_assert!((change - velocity[axis]).abs() < 1.0e-4);
                }
            }
        }
    }
}
