//! Eclipses against a dense search, and against what is known of them.

use super::*;
use crate::frame::PolarTurn;
use crate::propagate::{PropagateError, Propagator};
use crate::sunlight::sunlit_fraction;
use crate::vector::{minus, norm};

/// A circular orbit whose plane keeps its angle to the Sun.
#[derive(Debug)]
struct Circle {
    radius_km: f64,
    beta_deg: f64,
}

const MU_KM3_S2: f64 = 398_600.441_8;

impl Circle {
    fn at_550_km(beta_deg: f64) -> Self {
        Self { radius_km: 6378.137 + 550.0, beta_deg }
    }

    fn period_s(&self) -> f64 {
        core::f64::consts::TAU * (self.radius_km.powi(3) / MU_KM3_S2).sqrt()
    }
}

fn start() -> Epoch {
    Epoch::parse("2026-03-01T00:00:00Z").unwrap()
}

impl Propagator for Circle {
    fn name(&self) -> &'static str {
        "circle"
    }

    fn satellites(&self) -> usize {
        1
    }

    fn state(&self, _: usize, at: Epoch) -> Result<State, PropagateError> {
        let sun = unit(sun_teme_km(start()));
        let across = unit(cross([0.0, 0.0, 1.0], sun));
        let normal = cross(sun, across);
        let (sin_b, cos_b) = self.beta_deg.to_radians().sin_cos();
        // In the plane: `across`, and what is left of the Sun's direction.
        let p = [0, 1, 2].map(|k| cos_b * sun[k] - sin_b * normal[k]);
        let rate = core::f64::consts::TAU / self.period_s();
        let (sin, cos) = (rate * at.seconds_since(start())).sin_cos();
        let r = [0, 1, 2].map(|k| self.radius_km * (cos * p[k] + sin * across[k]));
        let v = [0, 1, 2].map(|k| self.radius_km * rate * (cos * across[k] - sin * p[k]));
        Ok((r, v))
    }

    fn ground_turn(&self, at: Epoch) -> PolarTurn {
        PolarTurn::at(at)
    }
}

fn eclipses(circle: &Circle, hours: f64) -> Vec<Eclipse> {
    let to = start().plus_s(hours * 3600.0);
    Search { propagator: circle, from: start(), to }.eclipses(&[0]).unwrap()
}

fn longest_s(circle: &Circle, shadow: Shadow) -> f64 {
    let of_kind = eclipses(circle, 24.0).into_iter().filter(|e| e.shadow == shadow);
    of_kind.map(|e| e.exit.seconds_since(e.enter)).fold(0.0, f64::max)
}

#[test]
fn the_longest_eclipse_at_550_km_takes_35_6_minutes_of_95_6() {
    let circle = Circle::at_550_km(0.0);
    assert!((circle.period_s() / 60.0 - 95.6).abs() < 0.1);
    // The cylinder of the published value lies half-way between the cones.
    let (penumbra, umbra) =
        (longest_s(&circle, Shadow::Penumbra), longest_s(&circle, Shadow::Umbra));
    let minutes = f64::midpoint(penumbra, umbra) / 60.0;
    assert!((minutes - 35.6).abs() < 0.1, "{minutes}");
    // The Sun's disk of 0.53 degrees passes the limb at 0.0628 degrees/s on each side.
    assert!((penumbra - umbra - 17.0).abs() < 1.0, "{penumbra} {umbra}");
}

#[test]
fn above_the_critical_angle_there_is_no_eclipse() {
    // beta* = asin(R / r) = 67.0 degrees, and half the Sun's disk beyond.
    assert!(eclipses(&Circle::at_550_km(67.5), 24.0).is_empty());
    // Within the cone's edge it is penumbra alone.
    let edge = eclipses(&Circle::at_550_km(67.05), 3.0);
    assert!(!edge.is_empty() && edge.iter().all(|e| e.shadow == Shadow::Penumbra), "{edge:?}");
    let below = eclipses(&Circle::at_550_km(66.0), 3.0);
    assert!(below.iter().any(|e| e.shadow == Shadow::Umbra));
}

#[test]
fn a_touch_of_penumbra_is_found_and_umbra_lies_within_penumbra() {
    // Towards the last contact, two thousandths of a degree at a time: shorter and shorter touches, then none.
    let mut shortest_s: f64 = f64::INFINITY;
    for step in 0..60 {
        let circle = Circle::at_550_km(67.2 + f64::from(step) * 0.002);
        let lit = |at: Epoch| sunlit_fraction(circle.state(0, at).unwrap().0, sun_teme_km(at));
        let seconds = (0..7_200 * 4).map(|quarter| f64::from(quarter) / 4.0);
        let dimmed = seconds.filter(|s| lit(start().plus_s(*s)) < 1.0).count();
        let touches = eclipses(&circle, 2.0);
        // A touch of less than the scan's quarter of a second may fall between its looks.
        let length_s: f64 = touches.iter().map(|e| e.exit.seconds_since(e.enter)).sum();
        let scanned_s = f64::from(u32::try_from(dimmed).unwrap()) / 4.0;
        assert!((length_s - scanned_s).abs() < 0.26, "{circle:?}: {length_s} is not {scanned_s}");
        if 0.0 < length_s {
            shortest_s = shortest_s.min(length_s);
        }
    }
    // Much shorter than the time between samples.
    assert!(shortest_s < 30.0, "{shortest_s}");
    assert!(eclipses(&Circle::at_550_km(67.32), 2.0).is_empty());
    let whole = eclipses(&Circle::at_550_km(20.0), 24.0);
    let (dark, dim): (Vec<Eclipse>, Vec<Eclipse>) =
        whole.into_iter().partition(|e| e.shadow == Shadow::Umbra);
    assert_eq!((dark.len(), dim.len()), (15, 15));
    for (dark, dim) in dark.iter().zip(&dim) {
        assert!(dim.enter <= dark.enter && dark.exit <= dim.exit);
    }
}

#[test]
fn transitions_are_where_the_light_changes() {
    let circle = Circle::at_550_km(35.0);
    let lit = |at: Epoch| sunlit_fraction(circle.state(0, at).unwrap().0, sun_teme_km(at));
    for eclipse in eclipses(&circle, 6.0) {
        let (before, inside) = (eclipse.enter.plus_s(-0.05), eclipse.enter.plus_s(0.05));
        match eclipse.shadow {
            Shadow::Penumbra => assert!(1.0 <= lit(before) && lit(inside) < 1.0, "{eclipse:?}"),
            Shadow::Umbra => assert!(0.0 < lit(before) && lit(inside) == 0.0, "{eclipse:?}"),
        }
        let (inside, after) = (eclipse.exit.plus_s(-0.05), eclipse.exit.plus_s(0.05));
        match eclipse.shadow {
            Shadow::Penumbra => assert!(lit(inside) < 1.0 && 1.0 <= lit(after), "{eclipse:?}"),
            Shadow::Umbra => assert!(lit(inside) == 0.0 && 0.0 < lit(after), "{eclipse:?}"),
        }
    }
}

#[test]
fn a_search_that_begins_in_the_dark_says_so() {
    let circle = Circle::at_550_km(0.0);
    let midnight = start().plus_s(circle.period_s() / 2.0);
    let search = Search { propagator: &circle, from: midnight, to: midnight.plus_s(60.0) };
    let found = search.eclipses(&[0]).unwrap();
    assert_eq!(found.len(), 2);
    for eclipse in found {
        assert!(!eclipse.enter_known && !eclipse.exit_known);
        assert!((eclipse.enter, eclipse.exit) == (search.from, search.to));
    }
}

#[test]
fn the_slope_is_how_the_depth_changes() {
    for (circle, shadow) in [
        (Circle::at_550_km(30.0), Shadow::Penumbra),
        (Circle { radius_km: 42_164.0, beta_deg: 3.0 }, Shadow::Umbra),
    ] {
        for part in 1..40 {
            let at_s = circle.period_s() * f64::from(part) / 40.0;
            let sample = |dt: f64| {
                let at = start().plus_s(at_s + dt);
                depth(at_s, circle.state(0, at).unwrap(), sun_teme_km(start()), shadow)
            };
            let change = (sample(0.5).value - sample(-0.5).value) / 1.0;
            assert!((change - sample(0.0).slope).abs() < 1.0e-6, "{part}: {change}");
        }
    }
}

#[test]
fn beta_is_the_angle_between_the_plane_and_the_sun() {
    for beta_deg in [-80.0, -10.0, 0.0, 45.0, 89.0] {
        let circle = Circle::at_550_km(beta_deg);
        let state = circle.state(0, start().plus_s(1234.0)).unwrap();
        let got = beta_angle_deg(state, sun_teme_km(start()));
        assert!((got - beta_deg).abs() < 1.0e-6, "{got} is not {beta_deg}");
    }
    assert!(norm(minus([1.0, 0.0, 0.0], unit([2.0, 0.0, 0.0]))) < 1.0e-15);
}
