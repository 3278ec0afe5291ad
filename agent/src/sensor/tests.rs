//! Batteries and bodies over a few hours of sky, and the kernel's counters.

use protocol::report::{NoReading, Reading};
use types::EnergySource;

use super::*;
use crate::config::{RadiatorConfig, VirtualBattery, VirtualThermal};
use crate::sensor::charge::Metered;
use crate::sensor::charge::tests::spec;

/// Without losses and wear.
const CELL: VirtualBattery = VirtualBattery {
    capacity_wh: 40.0,
    initial_soc: 0.5,
    solar_w: 20.0,
    reserve: 0.2,
    charge_efficiency: 1.0,
    discharge_efficiency: 1.0,
    charge_w_max: None,
    fade_per_cycle: 0.0,
    fade_per_year: 0.0,
};
const BODY: VirtualThermal = VirtualThermal {
    initial_c: 20.0,
    limit_c: 80.0,
    heat_capacity_j_k: 600.0,
    conductance_w_k: 0.5,
    chip: None,
    radiator: RadiatorConfig { radiating_m2: 0.0, absorbing_m2: 0.0 },
};

fn moment(at_s: f64, solar_w_m2: f32, load_w: f64) -> Moment {
    let sky = Epoch::parse("2026-01-01T00:00:00Z").unwrap().plus_s(at_s);
    let env = SimEnv { at: sky, sunlit: 1.0, solar_w_m2, ambient_c: -10.0, track: None };
    Moment { sky, load_w: Some(load_w), told: Told::nothing(Instant::now()), env: Some(env) }
}

fn cell(soc: f64) -> VirtualCell {
    let store = Store { soc, ..Store::default() };
    VirtualCell::new(CELL, EnergySource::Photovoltaic, store, None)
}

fn body(celsius: f64) -> VirtualBody {
    VirtualBody::new(BODY, lumps::Warmth { chip_c: celsius, structure_c: celsius }, None)
}

fn celsius(body: &VirtualBody) -> f64 {
    let mut memory = Memory::default();
    body.keep(&mut memory);
    memory.celsius.unwrap()
}

#[track_caller]
fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
}

#[test]
fn a_cell_charges_in_the_sun_and_drains_in_the_shade() {
    // (seconds, irradiance, load) → state of charge; 20 W of sun, 10 W of load, 40 Wh.
    let story = [
        ((0.0, 1361.0, 10.0), 0.5),
        ((1800.0, 1361.0, 10.0), 0.625),
        ((3600.0, 0.0, 10.0), 0.5),
        ((5400.0, 680.5, 10.0), 0.5),
    ];
    let mut cell = cell(0.5);
    for ((at_s, irradiance, load_w), soc) in story {
        cell.sample(&moment(at_s, irradiance, load_w));
        near(cell.soc().unwrap(), soc);
    }
}

#[test]
fn a_cell_is_never_fuller_than_full_or_emptier_than_empty() {
    let mut full = cell(0.99);
    full.sample(&moment(0.0, 1361.0, 0.0));
    full.sample(&moment(3600.0, 1361.0, 0.0));
    near(full.soc().unwrap(), 1.0);
    let mut empty = cell(0.01);
    empty.sample(&moment(0.0, 0.0, 100.0));
    empty.sample(&moment(3600.0, 0.0, 100.0));
    near(empty.soc().unwrap(), 0.0);
}

#[test]
fn time_waits_until_the_surroundings_are_known_and_bridges_an_hour_at_most() {
    let mut battery = cell(0.5);
    let blind = Moment { env: None, ..moment(0.0, 0.0, 10.0) };
    let report = battery.sample(&blind);
    assert_eq!(report.solar_w, Reading::Unknown(NoReading::NotYet));
    battery.sample(&moment(7200.0, 0.0, 10.0));
    near(battery.soc().unwrap(), 0.5);
    // Down for a day: one hour counts.
    battery.sample(&moment(7200.0 + 86_400.0, 0.0, 10.0));
    near(battery.soc().unwrap(), 0.25);
}

#[test]
fn a_body_settles_where_load_and_loss_balance() {
    let mut body = body(20.0);
    body.sample(&moment(0.0, 0.0, 30.0), None);
    near(celsius(&body), 20.0);
    // After one time constant (C/G = 1200 s) 1/e of the distance to -10 + 30/0.5 = 50 °C is left.
    body.sample(&moment(1200.0, 0.0, 30.0), None);
    near(celsius(&body), 50.0 - 30.0 / std::f64::consts::E);
    for hour in 1..20 {
        body.sample(&moment(f64::from(hour) * 3600.0, 0.0, 30.0), None);
    }
    near(celsius(&body), 50.0);
}

#[test]
fn the_size_of_steps_does_not_matter() {
    let (mut once, mut often) = (body(20.0), body(20.0));
    once.sample(&moment(0.0, 0.0, 7.0), None);
    once.sample(&moment(900.0, 0.0, 7.0), None);
    for step in 0..=30 {
        often.sample(&moment(f64::from(step) * 30.0, 0.0, 7.0), None);
    }
    near(celsius(&once), celsius(&often));
}

#[test]
fn what_is_not_there_is_unknown_with_a_reason() {
    let mut none = NoBattery { source: EnergySource::Unknown };
    let power = none.sample(&Moment { load_w: None, ..moment(0.0, 1361.0, 0.0) });
    let missing = Reading::Unknown(NoReading::NoSensor);
    assert_eq!((power.state_of_charge, power.load_w), (missing, missing));
    assert_eq!(none.sample(&moment(0.0, 0.0, 7.0)).load_w.value(), Some(7.0));
    assert_eq!(RealThermal.sample(&moment(0.0, 0.0, 0.0), None).hottest_c, missing);
}

/// What hardware says: a current and a voltage, `seconds` after the first sample.
fn metered(start: Instant, seconds: u64, current_a: f64, voltage_v: f64) -> Moment {
    let at = start + std::time::Duration::from_secs(seconds);
    let metered = Metered { current_a: Some(current_a), voltage_v: Some(voltage_v) };
    let told = Told { metered: Some(metered), ..Told::nothing(at) };
    Moment { told, ..moment(0.0, 0.0, 7.0) }
}

#[test]
fn a_battery_without_a_gauge_is_counted_and_says_how_well() {
    let start = Instant::now();
    let mut battery = RealBattery::new(EnergySource::Battery, Some(spec()), None);
    // 3.98 V says 80 %, and 15 % of uncertainty under load.
    let first = battery.sample(&metered(start, 0, -1.0, 3.98)).state_of_charge;
    let expected = Reading::Known { value: 0.8, sigma: Some(0.15), source: Source::Estimated };
    assert_eq!(first, expected);
    // An hour of 1 A of 5 Ah.
    battery.sample(&metered(start, 3600, -1.0, 3.9));
    near(battery.soc().unwrap(), 0.6);
    // What was counted outlives the process; an hour in which nobody counts costs a fifth of certainty.
    let mut memory = Memory::default();
    battery.keep(&mut memory);
    let (charge, then) = (memory.charge.unwrap(), moment(-3600.0, 0.0, 0.0).sky);
    let mut again = RealBattery::new(EnergySource::Battery, Some(spec()), Some((charge, then)));
    again.keep(&mut memory);
    assert_eq!(memory.charge, Some(charge));
    let Reading::Known { value, sigma, .. } =
        again.sample(&metered(start, 9999, 0.5, 3.9)).state_of_charge
    else {
        panic!("{again:?}");
    };
    near(f64::from(value), 0.6);
    near(f64::from(sigma.unwrap()), charge::SIGMA_MAX);
}

#[test]
fn a_gauge_is_believed_and_a_battery_that_says_nothing_is_unknown() {
    let mut battery = RealBattery::new(EnergySource::Battery, None, None);
    let told =
        Told { charge: Reading::known(0.77, Source::Measured), ..Told::nothing(Instant::now()) };
    let report = battery.sample(&Moment { told, ..moment(0.0, 0.0, 7.0) });
    assert_eq!(report.state_of_charge, Reading::known(0.77, Source::Measured));
    assert_eq!(report.load_w, Reading::known(7.0, Source::Estimated));
    let silent = battery.sample(&moment(0.0, 0.0, 7.0));
    assert_eq!(silent.state_of_charge, Reading::Unknown(NoReading::NoSensor));
    assert_eq!(battery.soc(), None);
}

#[test]
fn a_board_on_wall_power_drains_the_virtual_battery_by_what_it_really_draws() {
    let mut cell = cell(0.5);
    let told =
        Told { load_w: Reading::known(20.0, Source::Measured), ..Told::nothing(Instant::now()) };
    cell.sample(&Moment { told, ..moment(0.0, 0.0, 1.0) });
    let report = cell.sample(&Moment { told, ..moment(1800.0, 0.0, 1.0) });
    near(cell.soc().unwrap(), 0.25);
    assert_eq!(report.load_w, Reading::known(20.0, Source::Measured));
    // It warms the virtual body too.
    let mut body = body(20.0);
    for hour in 0..20 {
        body.sample(&Moment { told, ..moment(f64::from(hour) * 3600.0, 0.0, 1.0) }, None);
    }
    near(celsius(&body), -10.0 + 20.0 / 0.5);
}

#[test]
fn wear_outlives_the_process() {
    let worn = VirtualBattery { fade_per_cycle: 0.01, ..CELL };
    let store = Store { soc: 1.0, ..Store::default() };
    let mut cell = VirtualCell::new(worn, EnergySource::Battery, store, None);
    cell.sample(&moment(0.0, 0.0, 20.0));
    let report = cell.sample(&moment(3600.0, 0.0, 20.0));
    // Half a cycle, half a percent.
    near(f64::from(report.capacity_wh.value().unwrap()), 39.8);
    let mut memory = Memory::default();
    cell.keep(&mut memory);
    near(memory.taken_wh, 20.0);
    near(memory.age_s, 3600.0);
}

#[test]
fn the_kernel_is_asked_about_this_process() {
    let mut host = Host::of_this_process();
    let first = host.sample();
    assert_eq!(first.load_milli_cpu, Reading::Unknown(NoReading::NotYet));
    assert!(first.threads.value().is_some_and(|threads| 1.0 <= threads), "{first:?}");
    assert!(host.sample().load_milli_cpu.value().is_some());
    let gone = Host::at("no/such/directory".into()).sample();
    assert_eq!(gone.pss_mib, Reading::Unknown(NoReading::ReadFailed));
}
