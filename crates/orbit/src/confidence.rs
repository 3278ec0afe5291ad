//! How sure a predicted path is, from the age of the elements that it rests on.

use std::collections::BTreeMap;

use topology::PairSeries;
use topology::plan::CONFIDENCE_PPM_MAX;
use types::{Epoch, NodeId};

use crate::elements::Elements;
use crate::predict::PlanGrid;
use crate::sky::{EndpointKind, Sky};

/// How far a satellite strays along its track for each day since its elements, km: the upper end of the 1 to 3 km that
/// are commonly given for SGP4 in low orbits.
const DRIFT_KM_PER_DAY: f64 = 3.0;
/// Speed in a low orbit, km/s (7.6 at 550 km).
const SPEED_KM_S: f64 = 7.5;
const SECONDS_PER_DAY: f64 = 86_400.0;

/// The ages, in days, that the pairs of a plan have at its last grid point.
pub(crate) struct Confidence {
    step_s: f64,
    /// The median of all satellites: that of the relays.
    median_days: f64,
    /// The attached satellites.
    days: BTreeMap<NodeId, f64>,
}

impl Confidence {
    pub(crate) fn at(sky: &Sky, grid: &PlanGrid) -> Self {
        let points = grid.points();
        let end = points.last().copied().unwrap_or(grid.start);
        let mut all: Vec<f64> = sky.elements().iter().map(|e| age_days(e, end)).collect();
        all.sort_by(f64::total_cmp);
        let attached = sky.endpoints().iter().filter_map(|endpoint| match endpoint.kind {
            EndpointKind::Satellite(index) => {
                let elements = sky.elements().get(index)?;
                Some((endpoint.node.clone(), age_days(elements, end)))
            }
            EndpointKind::Site(_) => None,
        });
        Self {
            step_s: f64::from(grid.step_ms) / 1000.0,
            median_days: all.get(all.len() / 2).copied().unwrap_or(0.0),
            days: attached.collect(),
        }
    }

    /// The confidence of a pair, in parts per million.
    pub(crate) fn of(&self, pair: &PairSeries) -> u32 {
        let mut paths = pair.states.iter().flatten().peekable();
        if paths.peek().is_some() && paths.all(|path| path.hops == 0) {
            // One place: nothing to predict.
            return CONFIDENCE_PPM_MAX;
        }
        let ends = [&pair.a, &pair.b].into_iter().filter_map(|node| self.days.get(node));
        confidence_ppm(ends.copied().fold(self.median_days, f64::max), self.step_s)
    }
}

/// A synthetic satellite is where its elements say, at any time.
pub(crate) fn age_days(elements: &Elements, at: Epoch) -> f64 {
    match elements.line {
        0 => 0.0,
        _ => at.seconds_since(elements.epoch).abs() / SECONDS_PER_DAY,
    }
}

/// The share of a grid step that the error of so old elements leaves sure, in parts per million.
pub(crate) fn confidence_ppm(days: f64, step_s: f64) -> u32 {
    // c = max(0, 1 - (3 km/d * d / 7.5 km/s) / s): an edge of a window shifts by so many of its grid steps.
    let share = (1.0 - DRIFT_KM_PER_DAY * days / SPEED_KM_S / step_s).clamp(0.0, 1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it lies in 0 to 1000000"
    )]
    {
        (share * f64::from(CONFIDENCE_PPM_MAX)).round() as u32
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use types::PlanVersion;

    use super::*;

    #[track_caller]
    fn check(days: f64, step_s: f64, expected_ppm: u32) {
        assert_eq!(confidence_ppm(days, step_s), expected_ppm, "{days} days, {step_s} s");
    }

    #[test]
    fn confidence_falls_with_age_and_with_the_fineness_of_the_grid() {
        check(0.0, 10.0, 1_000_000);
        check(1.0, 10.0, 960_000);
        check(2.5, 10.0, 900_000);
        check(2.5, 1.0, 0);
        check(25.0, 10.0, 0);
        check(400.0, 10.0, 0);
    }

    const SITES: &str = r#"
        [[site]]
        node = "ground"
        lat_deg = 40.0
        lon_deg = 10.0
        [[same_place]]
        node = "controller"
        at = "ground"
        [[site]]
        node = "drone"
        lat_deg = 45.0
        lon_deg = 12.0
    "#;

    /// A made-up satellite.
    const TLE: &str = "1 90004U 26001D   26200.99999999  .00000081  00000+0  30000-4 0  9999\n\
                       2 90004  86.4000 330.1000 0002000  88.2000 271.9000 14.34215585407840\n";

    fn confidences(constellation: &str, elements: Option<&str>, start: Epoch) -> Vec<u32> {
        let spec = format!("[constellation]\n{constellation}\n{SITES}");
        let sky = Sky::new(&toml::from_str(&spec).unwrap(), elements).unwrap();
        let plan = sky.contact_plan(PlanVersion(1), start, Duration::from_secs(20), 10_000);
        plan.unwrap().pairs().iter().map(|pair| pair.confidence_ppm).collect()
    }

    #[test]
    fn a_synthetic_sky_is_certain_and_real_elements_age() {
        let walker = r#"walker = { name = "w", planes = 4, slots = 4, altitude_km = 1000.0, inclination_deg = 60.0, phasing = 1, epoch = "2026-01-01T00:00:00Z" }"#;
        let later = Epoch::parse("2026-03-01T00:00:00Z").unwrap();
        assert_eq!(confidences(walker, None, later), [1_000_000; 3]);
        let epoch = crate::tle::parse(TLE).unwrap()[0].epoch;
        let day = confidences(r#"file = "x.tle""#, Some(TLE), epoch.plus_s(86_400.0));
        // Controller and drone, controller and ground (one place), drone and ground.
        assert_eq!(day[1], 1_000_000);
        assert_eq!(day[0], day[2]);
        assert!((959_000..=960_000).contains(&day[0]), "{day:?}");
    }
}
