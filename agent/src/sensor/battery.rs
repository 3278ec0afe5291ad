//! Batteries: what hardware tells, counted where it has no gauge; a virtual one that integrates sun and load; and none.

use std::time::Instant;

use body::{Cells, FULL_SUN_W_M2, Store};
use protocol::report::{NoReading, PowerReport, Reading, Source};
use types::{EnergySource, Epoch};

use super::charge::{Charge, PackSpec};
use super::hardware::Told;
use super::{Memory, Moment, reading, step_s};
use crate::config::VirtualBattery;

/// Cells are charged in two hours at the fastest, unless somebody says otherwise.
const CHARGE_PER_HOUR: f64 = 0.5;

/// Something that stores energy, or does not.
pub trait Battery: Send {
    /// Reads it.
    fn sample(&mut self, moment: &Moment) -> PowerReport;

    /// State of charge, 0 to 1, if it is known.
    fn soc(&self) -> Option<f64>;

    /// Writes down what must outlive the process.
    fn keep(&self, memory: &mut Memory);
}

/// What the node draws: measured if anything measures it, else by the model of its configuration.
pub(crate) fn load(moment: &Moment) -> Reading {
    if moment.told.load_w.value().is_some() {
        return moment.told.load_w;
    }
    moment.load_w.map_or(moment.told.load_w, |load_w| reading(load_w, Source::Estimated))
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
            load_w: load(moment),
            solar_w: none,
            source: self.source.clone(),
        }
    }

    fn soc(&self) -> Option<f64> {
        None
    }

    fn keep(&self, _memory: &mut Memory) {}
}

/// A battery as its hardware tells.
#[derive(Clone, Debug)]
pub struct RealBattery {
    source: EnergySource,
    /// The cells behind a meter without a gauge.
    pack: Option<PackSpec>,
    /// What an earlier start has counted, and until when.
    resumed: Option<(Charge, Epoch)>,
    charge: Option<Charge>,
    counted_at: Option<Instant>,
    soc: Option<f64>,
}

impl RealBattery {
    /// A battery of which an earlier start has counted the charge, until then.
    pub const fn new(
        source: EnergySource,
        pack: Option<PackSpec>,
        resumed: Option<(Charge, Epoch)>,
    ) -> Self {
        Self { source, pack, resumed, charge: None, counted_at: None, soc: None }
    }

    /// The charge by a gauge, else as it is counted.
    fn charge(&mut self, told: &Told, sky: Epoch) -> Reading {
        let (Reading::Unknown(_), Some(pack), Some(metered)) =
            (told.charge, &self.pack, told.metered)
        else {
            return told.charge;
        };
        let seconds = self
            .counted_at
            .map_or(0.0, |then| told.at.saturating_duration_since(then).as_secs_f64());
        self.counted_at = Some(told.at);
        if let Some((charge, then)) = self.resumed.take() {
            // While nobody counted, it may have gone either way.
            self.charge = Some(charge.after_gap(sky.seconds_since(then)));
        }
        let charge = match self.charge {
            Some(charge) => charge.step(pack, metered, seconds),
            None if metered.voltage_v.is_none() => return told.charge,
            None => Charge::first(pack, metered),
        };
        self.charge = Some(charge);
        #[expect(clippy::cast_possible_truncation, reason = "seven digits are more than is known")]
        let (value, sigma) = (charge.soc as f32, charge.sigma as f32);
        Reading::Known { value, sigma: Some(sigma), source: Source::Estimated }
    }
}

impl Battery for RealBattery {
    fn sample(&mut self, moment: &Moment) -> PowerReport {
        let state_of_charge = self.charge(&moment.told, moment.sky);
        self.soc = state_of_charge.value().map(f64::from);
        PowerReport {
            state_of_charge,
            capacity_wh: moment.told.capacity_wh,
            load_w: load(moment),
            solar_w: Reading::Unknown(NoReading::NoSensor),
            source: self.source.clone(),
        }
    }

    fn soc(&self) -> Option<f64> {
        self.soc
    }

    fn keep(&self, memory: &mut Memory) {
        memory.charge = self.charge.or_else(|| self.resumed.map(|(charge, _)| charge));
    }
}

/// A battery that is not there: the Sun and the load of this node, through losses and wear.
#[derive(Clone, Debug)]
pub struct VirtualCell {
    cells: Cells,
    /// What the panels give at full sun, W.
    solar_w: f64,
    source: EnergySource,
    store: Store,
    since: Option<Epoch>,
}

impl VirtualCell {
    /// A battery in this state at `since`; its time begins with the first sample if there is no `since`.
    pub fn new(
        config: VirtualBattery,
        source: EnergySource,
        store: Store,
        since: Option<Epoch>,
    ) -> Self {
        let cells = Cells {
            capacity_wh: config.capacity_wh,
            charge_efficiency: config.charge_efficiency,
            discharge_efficiency: config.discharge_efficiency,
            charge_w_max: config.charge_w_max.unwrap_or(config.capacity_wh * CHARGE_PER_HOUR),
            fade_per_cycle: config.fade_per_cycle,
            fade_per_year: config.fade_per_year,
        };
        Self { cells, solar_w: config.solar_w, source, store, since }
    }
}

impl Battery for VirtualCell {
    fn sample(&mut self, moment: &Moment) -> PowerReport {
        let irradiance = moment.env.map(|env| f64::from(env.solar_w_m2));
        let solar_w = irradiance.map(|irradiance| self.solar_w * irradiance / FULL_SUN_W_M2);
        // On wall power, a board that measures itself is a satellite that draws as much.
        let measured_w = moment.told.load_w.value().map(f64::from);
        let load_w = measured_w.or(moment.load_w).unwrap_or(0.0).max(0.0);
        // Before the emulation has told of the Sun, time waits.
        if let Some(solar_w) = solar_w {
            let seconds = step_s(self.since, moment.sky);
            self.store = self.cells.step(&self.store, solar_w, load_w, seconds).0;
            self.since = Some(moment.sky);
        }
        let load_source = if measured_w.is_some() { Source::Measured } else { Source::Virtual };
        PowerReport {
            state_of_charge: reading(self.store.soc, Source::Virtual),
            capacity_wh: reading(self.cells.capacity_left_wh(&self.store), Source::Virtual),
            load_w: reading(load_w, load_source),
            solar_w: solar_w.map_or(Reading::Unknown(NoReading::NotYet), |solar_w| {
                reading(solar_w, Source::Virtual)
            }),
            source: self.source.clone(),
        }
    }

    fn soc(&self) -> Option<f64> {
        Some(self.store.soc)
    }

    fn keep(&self, memory: &mut Memory) {
        memory.soc = Some(self.store.soc);
        memory.taken_wh = self.store.taken_wh;
        memory.age_s = self.store.age_s;
    }
}
