//! Batteries and bodies over a few hours of sky, and the kernel's counters.

use protocol::report::{NoReading, Reading};
use types::EnergySource;

use super::*;
use crate::config::{VirtualBattery, VirtualThermal};

const CELL: VirtualBattery =
    VirtualBattery { capacity_wh: 40.0, initial_soc: 0.5, solar_w: 20.0, reserve: 0.2 };
const BODY: VirtualThermal = VirtualThermal {
    initial_c: 20.0,
    limit_c: 80.0,
    heat_capacity_j_k: 600.0,
    conductance_w_k: 0.5,
};

fn moment(at_s: f64, solar_w_m2: f32, load_w: f64) -> Moment {
    let sky = Epoch::parse("2026-01-01T00:00:00Z").unwrap().plus_s(at_s);
    let env = SimEnv { at: sky, sunlit: 1.0, solar_w_m2, ambient_c: -10.0, track: None };
    Moment { sky, load_w: Some(load_w), env: Some(env) }
}

fn cell(soc: f64) -> VirtualCell {
    VirtualCell::new(CELL, EnergySource::Photovoltaic, soc, None)
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
    let mut body = VirtualBody::new(BODY, 20.0, None);
    body.sample(&moment(0.0, 0.0, 30.0));
    near(body.celsius().unwrap(), 20.0);
    // After one time constant (C/G = 1200 s) 1/e of the distance to -10 + 30/0.5 = 50 °C is left.
    body.sample(&moment(1200.0, 0.0, 30.0));
    near(body.celsius().unwrap(), 50.0 - 30.0 / std::f64::consts::E);
    for hour in 1..20 {
        body.sample(&moment(f64::from(hour) * 3600.0, 0.0, 30.0));
    }
    near(body.celsius().unwrap(), 50.0);
}

#[test]
fn the_size_of_steps_does_not_matter() {
    let (mut once, mut often) =
        (VirtualBody::new(BODY, 20.0, None), VirtualBody::new(BODY, 20.0, None));
    once.sample(&moment(0.0, 0.0, 7.0));
    once.sample(&moment(900.0, 0.0, 7.0));
    for step in 0..=30 {
        often.sample(&moment(f64::from(step) * 30.0, 0.0, 7.0));
    }
    near(once.celsius().unwrap(), often.celsius().unwrap());
}

#[test]
fn what_is_not_there_is_unknown_with_a_reason() {
    let mut none = NoBattery { source: EnergySource::Unknown };
    let power = none.sample(&Moment { load_w: None, ..moment(0.0, 1361.0, 0.0) });
    let missing = Reading::Unknown(NoReading::NoSensor);
    assert_eq!((power.state_of_charge, power.load_w), (missing, missing));
    assert_eq!(none.sample(&moment(0.0, 0.0, 7.0)).load_w.value(), Some(7.0));
    assert_eq!(NoThermal.sample(&moment(0.0, 0.0, 0.0)).hottest_c, missing);
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
