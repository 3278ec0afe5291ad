//! Budgets against figures worked out by hand, rain against the tables of the ITU.

use super::rain::{Weather, coefficients, rain_db, specific_rain_db_km};
use super::*;

#[track_caller]
fn assert_close(got: f64, expected: f64, tolerance: f64) {
    assert!((got - expected).abs() <= tolerance, "{got} is not {expected}");
}

fn isl(length_km: f64) -> Isl {
    Isl { a: 3, b: 7, length_km }
}

#[test]
fn light_takes_3336_ns_per_kilometre_and_stardust_a_little_more() {
    let link = LinkModel::default().isl(&isl(1000.0)).unwrap();
    assert_close(link.delay_us, 3_335.640_952, 1.0e-6);
    assert_eq!((link.a, link.b, link.rate_kbps), (NodeIx(3), NodeIx(7), 200_000_000));
    let stardust = LinkModel::stardust();
    // 877,003.249 m at 0.99 * 299,792,000 m/s.
    let up = GroundLink { station: 2, satellite: 5, range_km: 877.003_249, elevation_deg: 33.0 };
    let link = stardust.ground(&up, 250, &Weather::default()).unwrap();
    assert_close(link.delay_us, 2_954.921_6, 1.0e-4);
    assert_eq!((link.a, link.b, link.rate_kbps), (NodeIx(5), NodeIx(252), 500_000));
    let slow = LinkRule { processing_us: 50.0, ..LinkRule::constant(1) };
    assert_close(slow.delay_us(0.0), 50.0, 0.0);
}

#[test]
fn what_carries_nothing_or_takes_too_long_is_no_link() {
    let rule = LinkRule::constant(0);
    assert_eq!(rule.link(NodeIx(0), NodeIx(1), &Sight::in_space(1.0)), None);
    let rule = LinkRule::constant(1);
    assert_eq!(rule.link(NodeIx(0), NodeIx(1), &Sight::in_space(1.0e10)), None);
    assert_eq!(rule.link(NodeIx(0), NodeIx(1), &Sight::in_space(f64::NAN)), None);
}

#[test]
fn the_ka_budget_adds_up() {
    let budget = RadioBudget::KA_GROUND;
    let sight = Sight { elevation_deg: Some(90.0), ..Sight::in_space(550.0) };
    // L_fs = 92.45 + 20 log 20 + 20 log 550 = 92.45 + 26.021 + 54.807 = 173.278 dB
    assert_close(budget::free_space_loss_db(550.0, 20.0), 173.278, 1.0e-3);
    // 36 + 12 - 173.278 - 2 + 228.599 - 83.979 = 17.342 dB
    assert_close(budget.snr_db(&sight), 17.342, 2.0e-3);
    // log2(1 + 10^1.5342) = 5.14 bit/s per Hz, of which the modem makes 4.5: 1125 Mbit/s.
    assert_eq!(budget.rate_kbps(&sight), 1_125_000);
    // Twice as far: 6.02 dB less, log2(1 + 10^0.9322) = 3.257 bit/s per Hz.
    let far = Sight { elevation_deg: Some(25.0), ..Sight::in_space(1100.0) };
    assert_close(f64::from(budget.rate_kbps(&far)), 814_000.0, 2_000.0);
    // Half the beam off the axis is 3 dB.
    let beside = Sight { off_axis_deg: 1.25, ..sight };
    assert_close(budget.snr_db(&sight) - budget.snr_db(&beside), 3.0, 1.0e-9);
    let askew = RadioBudget { off_axis_deg: 1.0, ..budget };
    let beside = Sight { off_axis_deg: 0.25, ..sight };
    assert_close(budget.snr_db(&sight) - askew.snr_db(&beside), 3.0, 1.0e-9);
    // A cloudburst ends it.
    let weather = Weather { rain_mm_h: 100.0, lat_deg: 0.0, alt_km: 0.0 };
    assert_eq!(budget.rate_kbps(&Sight { weather, ..far }), 0);
    assert_eq!(budget.rate_kbps(&Sight::in_space(f64::NAN)), 0);
}

#[test]
fn rates_fall_with_distance_and_rain() {
    let model = LinkModel::budgets();
    let rate = |range_km: f64, rain_mm_h: f64| {
        let link = GroundLink { station: 0, satellite: 0, range_km, elevation_deg: 40.0 };
        let weather = Weather { rain_mm_h, lat_deg: 47.0, alt_km: 0.35 };
        model.ground(&link, 1, &weather).map_or(0, |link| link.rate_kbps)
    };
    for km in [600.0, 900.0, 1200.0, 2400.0] {
        assert!(rate(km * 1.1, 0.0) <= rate(km, 0.0) && 0 < rate(km, 0.0), "{km}");
        assert!(rate(km, 10.0) <= rate(km, 5.0) && rate(km, 5.0) <= rate(km, 0.0), "{km}");
    }
    assert!(rate(1200.0, 10.0) < rate(1200.0, 0.0));
}

#[test]
fn the_laser_keeps_100_gbit_per_second_to_5000_km() {
    let budget = LaserBudget::LASER_100G;
    // A = pi 0.1^2 / 4 = 7.854e-3 m^2; (A / (1.55e-6 m * 5e6 m))^2 = 1.027e-6; 2 W * that / 3.981 = 5.16e-7 W
    assert_close(budget.received_w(5000.0), 5.159e-7, 1.0e-9);
    let rate = |km: f64| budget.rate_kbps(&Sight::in_space(km));
    assert_eq!(rate(5000.0), 100_000_000);
    // 5.159e-7 W / (1.2816e-19 J * 40) = 100.6 Gbit/s; at twice the way a quarter of it.
    assert_close(f64::from(rate(10_000.0)), 25_160_000.0, 30_000.0);
    assert_eq!(rate(60_000.0), 0);
    assert_eq!(rate(0.0), 100_000_000);
}

#[test]
fn an_approaching_satellite_sounds_higher() {
    // 7 km/s at 20 GHz: 467 kHz.
    assert_close(doppler_hz(20.0e9, -7.0), 466_989.7, 0.1);
    assert_close(doppler_hz(20.0e9, 7.0), -466_989.7, 0.1);
}

#[test]
fn the_coefficients_are_those_of_the_table_of_p838() {
    // Table 5 of ITU-R P.838-3: GHz, kH, alphaH, kV, alphaV.
    for (ghz, k_h, alpha_h, k_v, alpha_v) in [
        (12.0, 0.023_86, 1.182_5, 0.024_55, 1.121_6),
        (20.0, 0.091_64, 1.056_8, 0.096_11, 0.984_7),
        (30.0, 0.240_3, 0.948_5, 0.229_1, 0.912_9),
    ] {
        let [(got_k_h, got_alpha_h), (got_k_v, got_alpha_v)] = coefficients(ghz);
        assert_close(got_k_h, k_h, 1.0e-4);
        assert_close(got_alpha_h, alpha_h, 1.0e-4);
        assert_close(got_k_v, k_v, 1.0e-4);
        assert_close(got_alpha_v, alpha_v, 1.0e-4);
    }
}

#[test]
fn rain_weakens_low_paths_more_and_high_sites_less() {
    // 20 GHz and 10 mm/h: k = 0.09388, alpha = 1.0199, 0.98 dB/km.
    assert_close(specific_rain_db_km(20.0, 10.0), 0.983, 2.0e-3);
    let weather = Weather { rain_mm_h: 10.0, lat_deg: 47.0, alt_km: 0.35 };
    let db = |elevation_deg: f64| rain_db(20.0, elevation_deg, &weather);
    assert!(db(90.0) < db(40.0) && db(40.0) < db(10.0));
    // Lower than 5 degrees counts as 5.
    assert_close(db(1.0), db(5.0), 0.0);
    // Zenith: 2.85 km of rain, nothing to be patchy about.
    assert_close(db(90.0), 0.983 * 2.85, 0.01);
    assert_close(rain_db(20.0, 40.0, &Weather { rain_mm_h: 0.0, ..weather }), 0.0, 0.0);
    assert_close(rain_db(20.0, 40.0, &Weather { alt_km: 4.0, ..weather }), 0.0, 0.0);
}

#[test]
fn rain_begins_lower_in_the_south_than_in_the_north() {
    // P.618-5: 5 km from 21 S to 23 N, 5 - 0.1 (|lat| - 21) south of it, 5 - 0.075 (lat - 23) north of it, not below 0.
    for (lat_deg, height_km) in [
        (0.0, 5.0),
        (23.0, 5.0),
        (-21.0, 5.0),
        (45.0, 3.35),
        (-45.0, 2.6),
        (-70.9, 0.01),
        (-80.0, 0.0),
        (89.0, 0.05),
    ] {
        let weather = Weather { rain_mm_h: 10.0, lat_deg, alt_km: 0.0 };
        // In the zenith the path through the rain is its height.
        let gamma = specific_rain_db_km(20.0, 10.0);
        assert_close(rain_db(20.0, 90.0, &weather) / gamma, height_km, 1.0e-6);
    }
}
