//! Counting, resting, forgetting; and what holds for any current and voltage.

use proptest::prelude::*;

use super::*;

/// A UPS board for a Pi: two 18650 cells in parallel, shunt 0.1 Ω.
pub(in crate::sensor) fn spec() -> PackSpec {
    PackSpec {
        capacity_ah: 5.0,
        cells_series: 1,
        curve: Curve::li_ion(),
        offset_a: 0.001,
        gain_error: 0.01,
        volts_error: 0.01,
    }
}

fn known(soc: f64, sigma: f64) -> Charge {
    Charge { soc, sigma, rest_s: 0.0, since_correction_s: 0.0, method: Method::Coulomb }
}

fn metered(current_a: f64, voltage_v: f64) -> Metered {
    Metered { current_a: Some(current_a), voltage_v: Some(voltage_v) }
}

#[track_caller]
fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

#[test]
fn an_hour_of_half_the_capacity_is_half_the_charge() {
    let spec = spec();
    let out = known(0.8, 0.02).step(&spec, metered(-2.5, 3.7), 3600.0);
    near(out.soc, 0.3);
    // 1 mA of offset over an hour of 5 Ah, and 1 % of the half that flowed.
    near(out.sigma, 0.02 + 0.0002 + 0.005);
    let back = known(0.3, 0.02).step(&spec, metered(2.5, 3.7), 3600.0);
    near(back.soc, 0.3 + 0.99 * 0.5);
    assert_eq!(back.method, Method::Coulomb);
}

#[test]
fn nothing_is_fuller_than_full_or_emptier_than_empty() {
    let spec = spec();
    near(known(0.9, 0.02).step(&spec, metered(5.0, 3.9), 3600.0).soc, 1.0);
    near(known(0.1, 0.02).step(&spec, metered(-5.0, 3.4), 3600.0).soc, 0.0);
}

#[test]
fn the_voltage_corrects_after_ten_minutes_of_rest_and_by_a_tenth_a_minute() {
    let spec = spec();
    let mut charge = known(0.9, 0.2);
    // 3.82 V at rest is half full.
    for _ in 0..9 {
        charge = charge.step(&spec, metered(-0.05, 3.82), 60.0);
        assert_eq!(charge.method, Method::Coulomb);
    }
    let before = charge;
    charge = charge.step(&spec, metered(-0.05, 3.82), 60.0);
    assert_eq!(charge.method, Method::Ocv);
    let counted = before.soc - 0.05 * 60.0 / 3600.0 / 5.0;
    near(charge.soc, counted + 0.1 * (0.5 - counted));
    assert!(charge.sigma < before.sigma);
    // A load ends the rest.
    assert!(charge.step(&spec, metered(-1.0, 3.7), 60.0).rest_s <= 0.0);
}

#[test]
fn a_flat_curve_tells_little() {
    let flat = PackSpec { curve: Curve::li_fe_po4(), ..spec() };
    let rested = Charge { rest_s: 600.0, since_correction_s: 60.0, ..known(0.3, 0.02) };
    let corrected = rested.step(&flat, metered(0.0, 3.26), 0.0);
    // A volt is ten charges there, 10 mV a tenth: σ²/(σ² + 0.1²) is 1/26.
    near(corrected.soc, 0.3 + 0.2 / 26.0);
}

#[test]
fn the_end_of_charging_is_full() {
    let charge = known(0.85, 0.1).step(&spec(), metered(0.1, 4.19), 1.0);
    near(charge.soc, 1.0);
    near(charge.sigma, 0.01);
}

#[test]
fn what_nobody_counts_gets_uncertain_until_nothing_is_known() {
    let blind = Metered { current_a: None, voltage_v: Some(3.8) };
    let charge = known(0.5, 0.02).step(&spec(), blind, 1800.0);
    near(charge.soc, 0.5);
    near(charge.sigma, 0.12);
    near(charge.after_gap(1e6).sigma, SIGMA_MAX);
    let first = Charge::first(&spec(), Metered { current_a: None, voltage_v: None });
    near(first.sigma, SIGMA_MAX);
    near(Charge::first(&spec(), metered(0.0, 3.98)).soc, 0.8);
}

#[test]
fn curves_rise_from_empty_to_full() {
    for wrong in [
        vec![],
        vec![(0.0, 3.0)],
        vec![(0.0, 3.0), (0.9, 4.0)],
        vec![(0.1, 3.0), (1.0, 4.0)],
        vec![(0.0, 3.0), (0.5, 3.0), (1.0, 4.0)],
        vec![(0.0, 3.0), (0.5, 3.5), (0.5, 3.6), (1.0, 4.0)],
        vec![(0.0, f64::NAN), (1.0, 4.0)],
    ] {
        assert_eq!(Curve::new(wrong), Err(InvalidCurve));
    }
    assert_eq!(Curve::new(LI_ION.to_vec()), Ok(Curve::li_ion()));
    near(Curve::li_ion().charge(9.0).0, 1.0);
    near(Curve::li_ion().charge(0.0).0, 0.0);
}

proptest! {
    /// Whatever a meter says, the charge is one and its deviation too.
    #[test]
    fn any_story_gives_a_charge(
        start in 0.0..=1.0_f64,
        sigma in 0.0..=SIGMA_MAX,
        steps in prop::collection::vec((prop::option::of(-1e3..1e3_f64), prop::option::of(-10.0..1e3_f64), -10.0..1e5_f64), 0..60),
    ) {
        let mut charge = known(start, sigma);
        for (current_a, voltage_v, seconds) in steps {
            charge = charge.step(&spec(), Metered { current_a, voltage_v }, seconds);
            prop_assert!((0.0..=1.0).contains(&charge.soc), "{charge:?}");
            prop_assert!((0.0..=SIGMA_MAX).contains(&charge.sigma), "{charge:?}");
        }
    }

    /// Without a correction, the size of steps does not matter.
    #[test]
    fn counting_in_parts_is_counting(current_a in -2.0..2.0_f64, parts in 1..50_u32) {
        let (spec, whole_s) = (spec(), 1000.0);
        let counting = Metered { current_a: Some(current_a), voltage_v: None };
        let once = known(0.5, 0.02).step(&spec, counting, whole_s);
        let mut often = known(0.5, 0.02);
        for _ in 0..parts {
            often = often.step(&spec, counting, whole_s / f64::from(parts));
        }
        prop_assert!((once.soc - often.soc).abs() < 1e-9 && (once.sigma - often.sigma).abs() < 1e-9);
    }

    /// A correction moves towards what the voltage says, and never makes the charge less certain.
    #[test]
    fn a_correction_helps(soc in 0.0..=1.0_f64, sigma in 0.001..SIGMA_MAX, volts in 2.5..4.3_f64) {
        let rested = Charge { rest_s: 600.0, since_correction_s: 60.0, ..known(soc, sigma) };
        let corrected = rested.step(&spec(), metered(-0.01, volts), 0.0);
        let told = spec().curve.charge(volts).0;
        prop_assert!((told - corrected.soc).abs() <= (told - soc).abs() + 1e-12);
        prop_assert!(corrected.sigma <= sigma + 1e-12);
    }

    /// The charge at the voltage of a charge is that charge.
    #[test]
    fn a_curve_reads_both_ways(soc in 0.0..=1.0_f64) {
        for curve in [Curve::li_ion(), Curve::li_fe_po4()] {
            prop_assert!((curve.charge(curve.volts(soc)).0 - soc).abs() < 1e-9);
        }
    }
}
