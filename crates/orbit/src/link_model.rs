//! What a link offers: delay, rate and loss, from its length and from how it is seen.
//!
//! Delay is that of light, and processing at each hop. The rate is constant, or what a [radio](RadioBudget) or
//! [laser](LaserBudget) budget leaves. Rain weakens ground links ([`rain`]).
//!
//! The presets stand for a class of terminals and for no product; numbers of one's own belong into a scenario.

mod budget;
pub mod rain;

use topology::graph::{DELAY_US_MAX, LOSS_PPM_MAX};
use topology::{Link, NodeIx};

pub use budget::{LaserBudget, RadioBudget, Sight, doppler_hz};

use crate::ground::GroundLink;
use crate::link::Isl;
use crate::sky::{GROUND_RATE_KBPS, ISL_RATE_KBPS, SPEED_OF_LIGHT_KM_S};

/// Stardust's speed of its links, km/s: 0.99 of its speed of light.
pub const STARDUST_LINK_KM_S: f64 = 0.99 * 299_792.0;

/// How the rate of a link comes about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RateRule {
    /// The same for all, kbit/s.
    Constant(u32),
    /// What a radio link carries.
    Radio(RadioBudget),
    /// What a laser link carries.
    Laser(LaserBudget),
}

/// What the links of one kind offer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkRule {
    /// How fast signals travel, km/s.
    pub speed_km_s: f64,
    /// What each link adds to the delay of light: coding, switching, queues of a lightly used hop; microseconds.
    pub processing_us: f64,
    /// The rate.
    pub rate: RateRule,
    /// What is lost, parts per million.
    pub loss_ppm: u32,
}

impl LinkRule {
    /// A constant rate at the speed of light, nothing added and nothing lost.
    pub const fn constant(rate_kbps: u32) -> Self {
        Self {
            speed_km_s: SPEED_OF_LIGHT_KM_S,
            processing_us: 0.0,
            rate: RateRule::Constant(rate_kbps),
            loss_ppm: 0,
        }
    }

    /// One-way delay over `length_km`, microseconds.
    #[inline]
    pub fn delay_us(&self, length_km: f64) -> f64 {
        length_km / self.speed_km_s * 1.0e6 + self.processing_us
    }

    /// The rate of a link that is seen like this, kbit/s; 0 where the budget leaves nothing.
    #[inline]
    pub fn rate_kbps(&self, sight: &Sight) -> u32 {
        match &self.rate {
            RateRule::Constant(rate_kbps) => *rate_kbps,
            RateRule::Radio(budget) => budget.rate_kbps(sight),
            RateRule::Laser(budget) => budget.rate_kbps(sight),
        }
    }

    /// The link between two nodes; `None` where it carries less than 1 kbit/s or the delay is beyond a graph's range.
    #[inline]
    pub fn link(&self, a: NodeIx, b: NodeIx, sight: &Sight) -> Option<Link> {
        let delay_us = self.delay_us(sight.length_km);
        let rate_kbps = self.rate_kbps(sight);
        let loss_ppm = self.loss_ppm.min(LOSS_PPM_MAX);
        let usable = 1 <= rate_kbps && (0.0..=DELAY_US_MAX).contains(&delay_us);
        usable.then_some(Link { a, b, delay_us, rate_kbps, loss_ppm })
    }
}

/// What all links of a simulation offer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkModel {
    /// Between satellites.
    pub between_satellites: LinkRule,
    /// Between stations and satellites.
    pub to_ground: LinkRule,
}

impl Default for LinkModel {
    /// Light in vacuum; 200 Gbit/s between satellites and 500 Mbit/s to the ground, as in Stardust.
    fn default() -> Self {
        Self {
            between_satellites: LinkRule::constant(ISL_RATE_KBPS),
            to_ground: LinkRule::constant(GROUND_RATE_KBPS),
        }
    }
}

impl LinkModel {
    /// Stardust's published model: the rates of the default at 0.99 of a rounded speed of light.
    pub fn stardust() -> Self {
        let slower = |rule: LinkRule| LinkRule { speed_km_s: STARDUST_LINK_KM_S, ..rule };
        let Self { between_satellites, to_ground } = Self::default();
        Self { between_satellites: slower(between_satellites), to_ground: slower(to_ground) }
    }

    /// Laser links of 100 Gbit/s between satellites, Ka-band links to the ground.
    pub fn budgets() -> Self {
        Self {
            between_satellites: LinkRule {
                rate: RateRule::Laser(LaserBudget::LASER_100G),
                ..LinkRule::constant(ISL_RATE_KBPS)
            },
            to_ground: LinkRule {
                rate: RateRule::Radio(RadioBudget::KA_GROUND),
                ..LinkRule::constant(GROUND_RATE_KBPS)
            },
        }
    }

    /// The link between two satellites, whose nodes have their indices; `None` as for [`LinkRule::link`].
    #[inline]
    pub fn isl(&self, isl: &Isl) -> Option<Link> {
        let sight = Sight::in_space(isl.length_km);
        self.between_satellites.link(NodeIx(isl.a), NodeIx(isl.b), &sight)
    }

    /// The link between a satellite and a station, whose nodes come after the `satellites`; `None` as for
    /// [`LinkRule::link`]. `weather` is what the station sees of the rain.
    pub fn ground(
        &self,
        link: &GroundLink,
        satellites: u32,
        weather: &rain::Weather,
    ) -> Option<Link> {
        let sight = Sight {
            length_km: link.range_km,
            elevation_deg: Some(link.elevation_deg),
            off_axis_deg: 0.0,
            weather: *weather,
        };
        let station = satellites.checked_add(link.station)?;
        self.to_ground.link(NodeIx(link.satellite), NodeIx(station), &sight)
    }
}

#[cfg(test)]
mod tests;
