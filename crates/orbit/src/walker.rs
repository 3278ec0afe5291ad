//! Walker shells: constellations by rule, without element sets.

use serde::{Deserialize, Serialize};
use types::Epoch;

use crate::elements::{Elements, Facts, MeanElements};
use crate::propagate::{SGP4_EARTH_RADIUS_KM, Sgp4Constants};

mod spec;

/// Gravitational parameter of WGS-72, km^3/s^2.
const MU_KM3_S2: f64 = 398_600.8;
/// Most satellites of a shell: several times the largest constellation that is planned.
pub const SATELLITES_MAX: u64 = 100_000;

/// A Walker shell: equal circular orbits, evenly spread.
///
/// Slot j of plane i has node `span * i / P` and mean anomaly `360 (j / S + i F / (P S))` degrees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WalkerShell {
    /// Name of the shell; its satellites are `<name>-<plane:02>-<slot:02>`.
    pub name: String,
    /// Planes P, at least 1.
    pub planes: u32,
    /// Satellites per plane S, at least 1.
    pub slots: u32,
    /// Height of the orbits above the equatorial radius, km.
    pub altitude_km: f64,
    /// Inclination, degrees, 0 to 180.
    pub inclination_deg: f64,
    /// Phasing F, 0 to P - 1: a satellite leads its neighbour in the plane before by F / (P S) of a turn.
    pub phasing: u32,
    /// Over which angle the nodes are spread: 360 (delta) or 180 (star), degrees.
    #[serde(default = "full_turn")]
    pub raan_span_deg: f64,
    /// The moment for which these angles hold, UTC.
    pub epoch: Epoch,
}

fn full_turn() -> f64 {
    360.0
}

impl WalkerShell {
    /// The rules that the shell breaks: key, value, rule.
    pub fn problems(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut found = Vec::new();
        let mut check = |holds: bool, key, value: String, rule| {
            if !holds {
                found.push((key, value, rule));
            }
        };
        let name_fits = (1..=40).contains(&self.name.chars().count());
        check(name_fits, "name", format!("{:?}", self.name), "must be 1 to 40 characters");
        let plain = !self.name.chars().any(char::is_control);
        let rule = "must not hold control characters";
        check(plain, "name", format!("{:?}", self.name), rule);
        check(1 <= self.planes, "planes", self.planes.to_string(), "must be at least 1");
        check(1 <= self.slots, "slots", self.slots.to_string(), "must be at least 1");
        let satellites = self.satellites();
        let rule = "must be at most 100000 (planes times slots)";
        check(satellites <= SATELLITES_MAX, "slots", satellites.to_string(), rule);
        let high_enough = (160.0..=100_000.0).contains(&self.altitude_km);
        check(high_enough, "altitude_km", self.altitude_km.to_string(), "must be 160 to 100000");
        let tilted = (0.0..=180.0).contains(&self.inclination_deg);
        check(tilted, "inclination_deg", self.inclination_deg.to_string(), "must be 0 to 180");
        let phased = self.phasing < self.planes.max(1);
        check(phased, "phasing", self.phasing.to_string(), "must be below the number of planes");
        let spread = 0.0 < self.raan_span_deg && self.raan_span_deg <= 360.0;
        check(
            spread,
            "raan_span_deg",
            self.raan_span_deg.to_string(),
            "must be above 0, up to 360",
        );
        found
    }

    /// How many satellites it has.
    pub fn satellites(&self) -> u64 {
        u64::from(self.planes) * u64::from(self.slots)
    }

    /// Whether the last plane is followed by the first one.
    pub(crate) fn closes(&self) -> bool {
        360.0 <= self.raan_span_deg
    }

    /// The satellites, plane by plane: slot j of plane i has the index `i * slots + j`.
    ///
    /// The shell must have no [problems](Self::problems).
    ///
    /// # Errors
    /// The satellite that SGP4 has no orbit for, and why.
    pub fn elements(&self) -> Result<Vec<Elements>, String> {
        let places =
            (0..self.planes).flat_map(|plane| (0..self.slots).map(move |slot| (plane, slot)));
        places.map(|(plane, slot)| self.satellite(plane, slot)).collect()
    }

    fn satellite(&self, plane: u32, slot: u32) -> Result<Elements, String> {
        let (planes, slots) = (f64::from(self.planes), f64::from(self.slots));
        let phase = f64::from(plane) * f64::from(self.phasing) / (planes * slots);
        let mean_anomaly_deg = (360.0 * (f64::from(slot) / slots + phase)).rem_euclid(360.0);
        let raan_deg = self.raan_span_deg * f64::from(plane) / planes;
        // n = sqrt(mu / a^3), taken as Brouwer's mean motion, so that the mean height is as asked.
        let a_km = SGP4_EARTH_RADIUS_KM + self.altitude_km;
        let mean_motion_rad_s = (MU_KM3_S2 / a_km.powi(3)).sqrt();
        let orbit = sgp4::Orbit {
            inclination: self.inclination_deg.to_radians(),
            right_ascension: raan_deg.to_radians(),
            eccentricity: 0.0,
            argument_of_perigee: 0.0,
            mean_anomaly: mean_anomaly_deg.to_radians(),
            mean_motion: mean_motion_rad_s * 60.0,
        };
        let name = format!("{}-{plane:02}-{slot:02}", self.name);
        let no_orbit = |e: String| format!("satellite {name} has no orbit: {e}");
        let mean_motion_rad_min = kozai_mean_motion(&orbit).map_err(no_orbit)?;
        let sgp4 = Sgp4Constants::from_orbit(self.epoch, 0.0, orbit)
            .map_err(|e| no_orbit(e.to_string()))?;
        Ok(Elements {
            name,
            catalog: String::new(),
            epoch: self.epoch,
            mean: MeanElements {
                inclination_deg: self.inclination_deg,
                raan_deg,
                eccentricity: 0.0,
                arg_perigee_deg: 0.0,
                mean_anomaly_deg,
                mean_motion_rev_day: mean_motion_rad_min * 1440.0 / core::f64::consts::TAU,
                bstar: 0.0,
            },
            facts: Facts::default(),
            line: 0,
            sgp4,
        })
    }
}

/// Rounds of the inversion below: each brings three more digits, since the oblate Earth moves the mean motion by a thousandth.
const KOZAI_ROUNDS: usize = 8;

/// The mean motion as element sets hold it (Kozai's), rad/min, from which SGP4 gets back Brouwer's, which `orbit` has.
fn kozai_mean_motion(orbit: &sgp4::Orbit) -> Result<f64, String> {
    let mut kozai = orbit.mean_motion;
    for _ in 0..KOZAI_ROUNDS {
        let back = sgp4::Orbit::from_kozai_elements(
            &sgp4::WGS72,
            orbit.inclination,
            orbit.right_ascension,
            orbit.eccentricity,
            orbit.argument_of_perigee,
            orbit.mean_anomaly,
            kozai,
        )
        .map_err(|e| e.to_string())?;
        kozai *= orbit.mean_motion / back.mean_motion;
    }
    Ok(kozai)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::propagate::PropagateError;
    use crate::vector::norm;

    fn shell() -> WalkerShell {
        WalkerShell {
            name: "shell-1".to_owned(),
            planes: 72,
            slots: 22,
            altitude_km: 550.0,
            inclination_deg: 53.0,
            phasing: 17,
            raan_span_deg: 360.0,
            epoch: Epoch::parse("2026-01-01T00:00:00Z").unwrap(),
        }
    }

    #[test]
    fn a_shell_is_read_from_toml_with_a_full_turn_by_default() {
        let text = "name = 'shell-1'\nplanes = 72\nslots = 22\naltitude_km = 550.0\n\
                    inclination_deg = 53.0\nphasing = 17\nepoch = '2026-01-01T00:00:00Z'";
        assert_eq!(toml::from_str::<WalkerShell>(text).unwrap(), shell());
        assert!(toml::from_str::<WalkerShell>(&format!("{text}\nplane = 1")).is_err());
    }

    #[test]
    fn satellites_fly_at_the_height_of_their_shell() {
        let elements = shell().elements().unwrap();
        assert_eq!(elements.len(), 1584);
        assert_eq!(elements[22 + 3].name, "shell-1-01-03");
        // One turn takes 95.6 minutes; the oblate Earth moves the height by a few km.
        for minutes in [0.0, 23.9, 47.8, 71.7, 1440.0] {
            for satellite in [&elements[0], &elements[700], &elements[1583]] {
                let (position, velocity) = satellite.state_teme(minutes).unwrap();
                assert!((norm(position) - 6378.135 - 550.0).abs() < 15.0, "{}", norm(position));
                assert!((norm(velocity) - 7.585).abs() < 0.02, "{}", norm(velocity));
            }
        }
        let period_min = 1440.0 / elements[0].mean.mean_motion_rev_day;
        assert!((period_min - 95.6).abs() < 0.1, "{period_min}");
    }

    #[test]
    fn a_shell_that_is_written_and_read_again_flies_where_it_flew() {
        for elements in shell().elements().unwrap().into_iter().step_by(311) {
            let again = elements.at_epoch(elements.name.clone(), elements.epoch).unwrap();
            for minutes in [0.0, 95.6, 1440.0] {
                let (a, b) =
                    (elements.state_teme(minutes).unwrap().0, again.state_teme(minutes).unwrap().0);
                let off_km = norm([a[0] - b[0], a[1] - b[1], a[2] - b[2]]);
                assert!(off_km < 1.0e-6, "{} after {minutes} min: {off_km} km", elements.name);
            }
        }
    }

    #[test]
    fn each_broken_rule_is_named() {
        let broken = WalkerShell {
            name: String::new(),
            planes: 0,
            slots: 0,
            altitude_km: f64::NAN,
            inclination_deg: 181.0,
            phasing: 1,
            raan_span_deg: 0.0,
            ..shell()
        };
        let keys: Vec<&str> = broken.problems().into_iter().map(|(key, ..)| key).collect();
        let all = [
            "name",
            "planes",
            "slots",
            "altitude_km",
            "inclination_deg",
            "phasing",
            "raan_span_deg",
        ];
        assert_eq!(keys, all);
        assert!(shell().problems().is_empty());
        let red = WalkerShell { name: "\u{1b}[31mred".to_owned(), ..shell() };
        let (key, value, rule) = red.problems().remove(0);
        assert_eq!((key, rule), ("name", "must not hold control characters"));
        assert!(!value.contains(char::is_control), "{value:?}");
        let huge = WalkerShell { planes: u32::MAX, slots: u32::MAX, ..shell() };
        assert_eq!(huge.problems()[0].0, "slots");
    }

    #[test]
    fn what_cannot_be_propagated_is_refused_and_does_not_panic() {
        let satellite = shell().satellite(0, 0).unwrap();
        let far = satellite.state_teme(f64::NAN);
        assert!(matches!(far, Err(PropagateError::Diverged { .. })), "{far:?}");
        let low = WalkerShell { altitude_km: -300.0, ..shell() }.satellite(0, 0).unwrap();
        let below = low.state_teme(0.0);
        assert!(matches!(below, Err(PropagateError::BelowSurface { .. })), "{below:?}");
    }
}
