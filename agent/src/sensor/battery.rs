//! Batteries: a virtual cell that integrates sun and load over the sky's time, and none.

use protocol::report::{NoReading, PowerReport, Reading, Source};
use types::{EnergySource, Epoch};

use super::{Moment, reading, step_s};
use crate::config::VirtualBattery;

/// Irradiance of the Sun at one astronomical unit, W/m² (solar constant, ISO 21348).
const FULL_SUN_W_M2: f64 = 1361.0;
const SECONDS_PER_HOUR: f64 = 3600.0;

/// Something that stores energy, or does not.
pub trait Battery: Send {
    /// Reads it.
    fn sample(&mut self, moment: &Moment) -> PowerReport;

    /// State of charge that must outlive the process, 0 to 1, if it is modelled.
    fn soc(&self) -> Option<f64>;
}

/// A node without a battery that could be read.
#[derive(Clone, Debug)]
pub struct NoBattery {
    /// Where its energy comes from.
    pub source: EnergySource,
}

impl Battery for NoBattery {
    fn sample(&mut self, moment: &Moment) -> PowerReport {
        let none = Reading::Unknown(NoReading::NoSensor);
        PowerReport {
            state_of_charge: none,
            capacity_wh: none,
            load_w: moment.load_w.map_or(none, |load_w| reading(load_w, Source::Estimated)),
            solar_w: none,
            source: self.source.clone(),
        }
    }

    fn soc(&self) -> Option<f64> {
        None
    }
}

/// A cell without losses: `dE/dt = P_solar - P_load`, held between empty and full.
#[derive(Clone, Debug)]
pub struct VirtualCell {
    config: VirtualBattery,
    source: EnergySource,
    soc: f64,
    since: Option<Epoch>,
}

impl VirtualCell {
    /// A cell with charge `soc` at `since`; its time begins with the first sample if there is no `since`.
    pub const fn new(
        config: VirtualBattery,
        source: EnergySource,
        soc: f64,
        since: Option<Epoch>,
    ) -> Self {
        Self { config, source, soc, since }
    }
}

impl Battery for VirtualCell {
    fn sample(&mut self, moment: &Moment) -> PowerReport {
        let irradiance = moment.env.map(|env| f64::from(env.solar_w_m2));
        let solar_w = irradiance.map(|irradiance| self.config.solar_w * irradiance / FULL_SUN_W_M2);
        let load_w = moment.load_w.unwrap_or(0.0);
        // Before the emulation has told of the Sun, time waits.
        if let Some(solar_w) = solar_w {
            let hours = step_s(self.since, moment.sky) / SECONDS_PER_HOUR;
            let gained_wh = (solar_w - load_w) * hours;
            self.soc = (self.soc + gained_wh / self.config.capacity_wh).clamp(0.0, 1.0);
            self.since = Some(moment.sky);
        }
        PowerReport {
            state_of_charge: reading(self.soc, Source::Virtual),
            capacity_wh: reading(self.config.capacity_wh, Source::Configured),
            load_w: reading(load_w, Source::Virtual),
            solar_w: solar_w.map_or(Reading::Unknown(NoReading::NotYet), |solar_w| {
                reading(solar_w, Source::Virtual)
            }),
            source: self.source.clone(),
        }
    }

    fn soc(&self) -> Option<f64> {
        Some(self.soc)
    }
}
