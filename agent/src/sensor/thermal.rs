//! Temperatures: what hardware tells; a virtual body that its load and the Sun warm and its surroundings cool; and none.

use body::{Body, Chip, Heating, Warmth};
use protocol::report::{NoReading, Reading, Source, ThermalReport};
use types::Epoch;

use super::hardware;
use super::{Memory, Moment, reading, step_s};
use crate::config::VirtualThermal;

/// Something with a temperature, or nothing that could be read.
pub trait Thermal: Send {
    /// Reads it.
    fn sample(&mut self, moment: &Moment, told: Option<hardware::Warmth>) -> ThermalReport;

    /// Writes down what must outlive the process.
    fn keep(&self, memory: &mut Memory);
}

/// A node with the sensors that its hardware has, if any.
#[derive(Clone, Copy, Debug)]
pub struct RealThermal;

impl Thermal for RealThermal {
    fn sample(&mut self, _moment: &Moment, told: Option<hardware::Warmth>) -> ThermalReport {
        let none = Reading::Unknown(NoReading::NoSensor);
        let told = told.unwrap_or(hardware::Warmth { hottest_c: none, limit_c: none });
        ThermalReport { hottest_c: told.hottest_c, limit_c: told.limit_c }
    }

    fn keep(&self, _memory: &mut Memory) {}
}

/// A body that is not there: a chip in a structure, or both in one.
#[derive(Clone, Debug)]
pub struct VirtualBody {
    body: Body,
    limit_c: f64,
    warmth: Warmth,
    since: Option<Epoch>,
}

impl VirtualBody {
    /// A body so warm at `since`; its time begins with the first sample if there is no `since`.
    pub fn new(config: VirtualThermal, warmth: Warmth, since: Option<Epoch>) -> Self {
        let chip = config.chip.map(|chip| Chip {
            heat_capacity_j_k: chip.heat_capacity_j_k,
            conductance_w_k: chip.conductance_w_k,
        });
        let body = Body {
            heat_capacity_j_k: config.heat_capacity_j_k,
            conductance_w_k: config.conductance_w_k,
            chip,
            radiating_m2: config.radiator.radiating_m2,
            absorbing_m2: config.radiator.absorbing_m2,
        };
        Self { body, limit_c: config.limit_c, warmth, since }
    }
}

impl Thermal for VirtualBody {
    fn sample(&mut self, moment: &Moment, _told: Option<hardware::Warmth>) -> ThermalReport {
        // Before the emulation has told of the surroundings, time waits.
        if let Some(env) = moment.env {
            let load_w = moment.told.load_w.value().map(f64::from).or(moment.load_w);
            let heating = Heating {
                load_w: load_w.unwrap_or(0.0).max(0.0),
                solar_w_m2: f64::from(env.solar_w_m2),
                ambient_c: f64::from(env.ambient_c),
            };
            self.warmth = self.body.step(self.warmth, heating, step_s(self.since, moment.sky));
            self.since = Some(moment.sky);
        }
        ThermalReport {
            hottest_c: reading(self.warmth.chip_c, Source::Virtual),
            limit_c: reading(self.limit_c, Source::Configured),
        }
    }

    fn keep(&self, memory: &mut Memory) {
        memory.celsius = Some(self.warmth.chip_c);
        memory.structure_c = Some(self.warmth.structure_c);
    }
}
