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
        "ka_ground" => RateRule::Radio(RadioBudget {
            off_axis_deg: entry.ground_off_axis_deg,
            ..RadioBudget::KA_GROUND
        }),
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

/// Whether ground links have a budget that rain and antennas weigh on.
pub(super) fn has_radio_budget(scenario: &Scenario) -> bool {
    !scenario.is_published_model() && scenario.link_model.ground == "ka_ground"
}

/// The jitter of the links of a scenario, microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct JitterUs {
    pub(super) between_satellites: f64,
    pub(super) to_ground: f64,
}

/// The jitter that a scenario gives; `None` unless it gives that of all its links, cables included.
pub(super) fn jitter_us(scenario: &Scenario) -> Option<JitterUs> {
    let cables_known = scenario.terrestrial.iter().all(|cable| cable.jitter_us.is_some());
    let model = &scenario.link_model;
    Some(JitterUs {
        between_satellites: model.isl_jitter_us?,
        to_ground: model.ground_jitter_us.filter(|_| cables_known)?,
    })
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
