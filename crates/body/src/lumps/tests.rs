//! Where a body comes to rest, how fast, and that no heat is made.

use proptest::prelude::*;

use super::*;

const CHIP: Chip = Chip { heat_capacity_j_k: 60.0, conductance_w_k: 2.0 };
const BODY: Body = Body {
    heat_capacity_j_k: 1800.0,
    conductance_w_k: 0.5,
    chip: Some(CHIP),
    radiating_m2: 0.0,
    absorbing_m2: 0.0,
};
const SHADE: Heating = Heating { load_w: 10.0, solar_w_m2: 0.0, ambient_c: -10.0 };

fn warm(celsius: f64) -> Warmth {
    Warmth { chip_c: celsius, structure_c: celsius }
}

#[track_caller]
fn near(found: f64, expected: f64, within: f64) {
    assert!((found - expected).abs() < within, "{found} is not {expected}");
}

#[test]
fn a_body_comes_to_rest_where_all_heat_leaves() {
    let rest = BODY.step(warm(20.0), SHADE, 1e6);
    // The structure at -10 + 10/0.5, the chip 10/2 above it.
    near(rest.structure_c, 10.0, 1e-9);
    near(rest.chip_c, 15.0, 1e-9);
}

#[test]
fn a_chip_is_warm_long_before_its_structure() {
    let soon = BODY.step(warm(-10.0), SHADE, 120.0);
    // Four of its time constants (60/2 = 30 s): near 5 K above a structure that has hardly moved.
    let above = soon.chip_c - soon.structure_c;
    assert!((4.5..5.0).contains(&above), "{soon:?}");
    assert!(soon.structure_c < -9.0, "{soon:?}");
}

#[test]
fn a_radiator_in_the_sun_follows_the_fourth_power() {
    // Absorbed 0.3 m² × 1361 W/m² and 10 W of load, radiated by 0.9 m² into 3 K; conduction as good as none.
    let body = Body { conductance_w_k: 1e-6, radiating_m2: 0.9, absorbing_m2: 0.3, ..BODY };
    let sun = Heating { load_w: 10.0, solar_w_m2: 1361.0, ambient_c: -270.0 };
    let rest = body.step(warm(20.0), sun, 36_000.0);
    let expected_k = ((10.0 + 0.3 * 1361.0) / (STEFAN_BOLTZMANN * 0.9)).powf(0.25);
    near(rest.structure_c, expected_k - ZERO_CELSIUS_K, 0.01);
    // A minute of shadow, integrated in steps of a millisecond, is 12.422 K.
    let shadow = body.step(rest, Heating { load_w: 0.0, solar_w_m2: 0.0, ..sun }, 60.0);
    near(rest.structure_c - shadow.structure_c, 12.422, 0.05);
}

#[test]
fn where_it_comes_to_rest_is_told_at_once() {
    for (conductance_w_k, radiating_m2) in [(0.5, 0.0), (0.0, 0.4), (0.5, 0.4)] {
        let body = Body { conductance_w_k, radiating_m2, absorbing_m2: 0.1, ..BODY };
        let sun = Heating { load_w: 10.0, solar_w_m2: 1361.0, ambient_c: -30.0 };
        near(body.rest_c(sun), body.step(warm(20.0), sun, 150_000.0).structure_c, 1e-6);
    }
}

#[test]
fn a_body_of_one_lump_is_an_exponential() {
    let body = Body { heat_capacity_j_k: 600.0, chip: None, ..BODY };
    let heating = Heating { load_w: 30.0, ..SHADE };
    let after = body.step(warm(20.0), heating, 1200.0);
    near(after.chip_c, 50.0 - 30.0 / std::f64::consts::E, 1e-9);
}

proptest! {
    /// Without radiation, the size of steps does not matter.
    #[test]
    fn many_steps_are_one(start in -50.0..90.0_f64, load_w in 0.0..50.0_f64, parts in 1..60_u32) {
        let heating = Heating { load_w, ..SHADE };
        let once = BODY.step(warm(start), heating, 1800.0);
        let mut often = warm(start);
        for _ in 0..parts {
            often = BODY.step(often, heating, 1800.0 / f64::from(parts));
        }
        prop_assert!((once.chip_c - often.chip_c).abs() < 1e-8, "{once:?} {often:?}");
        prop_assert!((once.structure_c - often.structure_c).abs() < 1e-8);
    }

    /// With radiation, minutes in steps are minutes at once, to a hundredth of a kelvin.
    #[test]
    fn radiation_is_followed(start in -50.0..90.0_f64, load_w in 0.0..50.0_f64, solar_w_m2 in 0.0..1361.0_f64) {
        let body = Body { radiating_m2: 0.1, absorbing_m2: 0.05, ..BODY };
        let heating = Heating { load_w, solar_w_m2, ambient_c: -150.0 };
        let once = body.step(warm(start), heating, 1000.0);
        let mut often = warm(start);
        for _ in 0..1000 {
            often = body.step(often, heating, 1.0);
        }
        prop_assert!((once.structure_c - often.structure_c).abs() < 0.01, "{once:?} {often:?}");
        prop_assert!((once.chip_c - often.chip_c).abs() < 0.01, "{once:?} {often:?}");
    }

    /// What comes in and does not leave warms: over a short step, to first order.
    #[test]
    fn heat_is_kept(chip_c in -50.0..90.0_f64, structure_c in -50.0..90.0_f64, load_w in 0.0..50.0_f64) {
        let from = Warmth { chip_c, structure_c };
        let after = BODY.step(from, Heating { load_w, ..SHADE }, 1e-3);
        let gained_j = CHIP.heat_capacity_j_k * (after.chip_c - chip_c)
            + BODY.heat_capacity_j_k * (after.structure_c - structure_c);
        let in_w = load_w - BODY.conductance_w_k * (structure_c - SHADE.ambient_c);
        prop_assert!((gained_j / 1e-3 - in_w).abs() < 0.02 * in_w.abs().max(1.0), "{gained_j} {in_w}");
    }

    /// Any body, however quick or slow its parts are, gives a temperature.
    #[test]
    fn any_body_has_a_temperature(
        capacity in 0.1..1e9_f64, conductance in 1e-6..1e6_f64, chip_capacity in 0.1..1e6_f64,
        chip_conductance in 1e-3..1e6_f64, seconds in 0.0..3600.0_f64,
    ) {
        let chip = Some(Chip { heat_capacity_j_k: chip_capacity, conductance_w_k: chip_conductance });
        let body = Body { heat_capacity_j_k: capacity, conductance_w_k: conductance, chip, ..BODY };
        let after = body.step(warm(20.0), SHADE, seconds);
        prop_assert!(after.chip_c.is_finite() && after.structure_c.is_finite(), "{after:?}");
    }
}
