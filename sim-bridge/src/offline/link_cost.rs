//! What links delay, carry and lose: from the words of a scenario to a link model.

use orbit::link_model::{LaserBudget, LinkModel, LinkRule, RadioBudget, RateRule};
use orbit::sky::SPEED_OF_LIGHT_KM_S;
use topology::graph::DELAY_US_MAX;

use super::scenario::Scenario;

/// The models of links between satellites by name, the default first.
pub const ISL_MODELS: [&str; 2] = ["constant", "laser_100g"];
/// The models of ground links by name, the default first.
pub const GROUND_MODELS: [&str; 2] = ["constant", "ka_ground"];

/// The link model that a checked scenario names; under the published model always the published one.
pub fn link_model(scenario: &Scenario) -> LinkModel {
    if scenario.is_published_model() {
        return LinkModel::stardust();
    }
    let entry = &scenario.link_model;
    let isl = match entry.isl.as_str() {
        "laser_100g" => RateRule::Laser(LaserBudget::LASER_100G),
        _ => RateRule::Constant(kbps(entry.isl_rate_mbps)),
    };
    let ground = match entry.ground.as_str() {
        "ka_ground" => RateRule::Radio(RadioBudget::KA_GROUND),
        _ => RateRule::Constant(kbps(entry.ground_rate_mbps)),
    };
    let rule = |rate, loss_ppm| LinkRule {
        speed_km_s: SPEED_OF_LIGHT_KM_S,
        processing_us: entry.processing_us,
        rate,
        loss_ppm,
    };
    LinkModel {
        between_satellites: rule(isl, entry.isl_loss_ppm),
        to_ground: rule(ground, entry.ground_loss_ppm),
    }
}

/// A cable: light at a part of its speed in vacuum.
pub(super) fn cable_us(length_km: f64, speed_factor: f64) -> f64 {
    (length_km / (SPEED_OF_LIGHT_KM_S * speed_factor) * 1.0e6).min(DELAY_US_MAX)
}

/// Mbit/s as a graph holds them; at least 1 kbit/s.
pub(super) fn kbps(rate_mbps: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "float to integer saturates; the scenario's check bounds it"
    )]
    let kbps = (rate_mbps * 1000.0).round() as u32;
    kbps.max(1)
}
