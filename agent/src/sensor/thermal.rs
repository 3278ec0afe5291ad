//! Temperatures: a virtual body that its load warms and its surroundings cool, and none.

use protocol::report::{NoReading, Reading, Source, ThermalReport};
use types::Epoch;

use super::{Moment, reading, step_s};
use crate::config::VirtualThermal;

/// Something with a temperature, or nothing that could be read.
pub trait Thermal: Send {
    /// Reads it.
    fn sample(&mut self, moment: &Moment) -> ThermalReport;

    /// Temperature that must outlive the process, in °C, if it is modelled.
    fn celsius(&self) -> Option<f64>;
}

/// A node without a sensor.
#[derive(Clone, Copy, Debug)]
pub struct NoThermal;

impl Thermal for NoThermal {
    fn sample(&mut self, _moment: &Moment) -> ThermalReport {
        let none = Reading::Unknown(NoReading::NoSensor);
        ThermalReport { hottest_c: none, limit_c: none }
    }

    fn celsius(&self) -> Option<f64> {
        None
    }
}

/// A body of one temperature: `C dT/dt = P - G (T - T_ambient)`, solved exactly over each step.
#[derive(Clone, Debug)]
pub struct VirtualBody {
    config: VirtualThermal,
    celsius: f64,
    since: Option<Epoch>,
}

impl VirtualBody {
    /// A body of `celsius` at `since`; its time begins with the first sample if there is no `since`.
    pub const fn new(config: VirtualThermal, celsius: f64, since: Option<Epoch>) -> Self {
        Self { config, celsius, since }
    }
}

impl Thermal for VirtualBody {
    fn sample(&mut self, moment: &Moment) -> ThermalReport {
        // Before the emulation has told of the surroundings, time waits.
        if let Some(env) = moment.env {
            let seconds = step_s(self.since, moment.sky);
            let VirtualThermal { heat_capacity_j_k, conductance_w_k, .. } = self.config;
            // T(t) = T_end + (T_0 - T_end) e^(-t G / C) with T_end = T_ambient + P / G
            let end = f64::from(env.ambient_c) + moment.load_w.unwrap_or(0.0) / conductance_w_k;
            let kept = (-seconds * conductance_w_k / heat_capacity_j_k).exp();
            self.celsius = end + (self.celsius - end) * kept;
            self.since = Some(moment.sky);
        }
        ThermalReport {
            hottest_c: reading(self.celsius, Source::Virtual),
            limit_c: reading(self.config.limit_c, Source::Configured),
        }
    }

    fn celsius(&self) -> Option<f64> {
        Some(self.celsius)
    }
}
