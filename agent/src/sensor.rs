//! Sensors: what the node reads about itself, or why it cannot. Hardware that is not there is modelled or unknown.

pub mod battery;
pub mod host;
pub mod place;
pub mod thermal;

use protocol::report::{PowerReport, ThermalReport};
use protocol::sim::SimEnv;
use serde::{Deserialize, Serialize};
use types::{Epoch, Geodetic};

use self::battery::{Battery, NoBattery, VirtualCell};
use self::host::{Host, Usage};
use self::place::NoPlace;
use self::thermal::{NoThermal, Thermal, VirtualBody};
use crate::config::{Config, ThermalConfig};

/// Longest span of sky that a model bridges at once, in seconds: an agent that was down longer comes back as it was.
const STEP_S_MAX: f64 = 3600.0;

/// What the models are fed with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// The sky.
    pub sky: Epoch,
    /// What the node draws, in W, since the moment before; `None` if nobody knows.
    pub load_w: Option<f64>,
    /// What surrounds the node, if the emulation told.
    pub env: Option<SimEnv>,
}

/// What must outlive the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The sky when it was so, in nanoseconds since 1970.
    pub sky_ns: i64,
    /// State of charge of the virtual battery.
    pub soc: Option<f64>,
    /// Temperature of the virtual body, in °C.
    pub celsius: Option<f64>,
}

/// All sensors of a node.
pub struct Sensors {
    battery: Box<dyn Battery>,
    thermal: Box<dyn Thermal>,
    load: Option<crate::config::LoadModel>,
    /// State of charge that is not to be used up, and whether it is being used now.
    reserve: Option<f64>,
    is_low: bool,
    host: Host,
    /// Where the node stands, if it does.
    fixed: Option<Geodetic>,
    /// Whether the emulation may tell more.
    is_emulated: bool,
    env: Option<SimEnv>,
    last_power: Option<PowerReport>,
    last_thermal: Option<ThermalReport>,
    functions_cpu_ns: u64,
    functions_wall_ns: u64,
    busy_cores: f64,
}

impl std::fmt::Debug for Sensors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sensors").field("env", &self.env).finish_non_exhaustive()
    }
}

impl Sensors {
    /// The sensors that the configuration asks for, where an earlier start has left them.
    pub fn new(config: &Config, memory: Memory) -> Self {
        let since = Epoch::from_unix_ns(memory.sky_ns);
        let battery: Box<dyn Battery> = match config.battery.cell {
            Some(cell) => {
                let soc = memory.soc.unwrap_or(cell.initial_soc);
                let since = memory.soc.map(|_| since);
                Box::new(VirtualCell::new(cell, config.battery.source.clone(), soc, since))
            }
            None => Box::new(NoBattery { source: config.battery.source.clone() }),
        };
        let thermal: Box<dyn Thermal> = match config.thermal {
            ThermalConfig::Virtual(body) => {
                let celsius = memory.celsius.unwrap_or(body.initial_c);
                Box::new(VirtualBody::new(body, celsius, memory.celsius.map(|_| since)))
            }
            ThermalConfig::None => Box::new(NoThermal),
        };
        Self {
            battery,
            thermal,
            load: config.battery.load,
            reserve: config.battery.cell.map(|cell| cell.reserve),
            is_low: false,
            host: Host::of_this_process(),
            fixed: config.place,
            is_emulated: config.sim.is_some(),
            env: None,
            last_power: None,
            last_thermal: None,
            functions_cpu_ns: 0,
            functions_wall_ns: 0,
            busy_cores: 0.0,
        }
    }

    /// What surrounds the node from now on.
    pub const fn surround(&mut self, env: SimEnv) {
        self.env = Some(env);
    }

    /// What surrounds the node, if the emulation told.
    pub const fn env(&self) -> Option<&SimEnv> {
        self.env.as_ref()
    }

    /// Where the node is.
    ///
    /// # Errors
    /// Why nobody knows.
    pub fn place(&self, sky: Epoch) -> Result<Geodetic, NoPlace> {
        match (self.fixed, &self.env) {
            (Some(place), _) => Ok(place),
            (None, Some(env)) => place::on_track(env, sky),
            (None, None) if self.is_emulated => Err(NoPlace::NotYet),
            (None, None) => Err(NoPlace::NotTold),
        }
    }

    /// Takes the processor time of all functions so far, at a moment of the wall clock, both in nanoseconds.
    pub fn worked(&mut self, cpu_ns: u64, wall_ns: u64) {
        let wall = wall_ns.saturating_sub(self.functions_wall_ns);
        if wall == 0 {
            return;
        }
        let cpu = cpu_ns.saturating_sub(self.functions_cpu_ns);
        #[expect(clippy::cast_precision_loss, reason = "spans of hours keep microseconds")]
        {
            self.busy_cores = cpu as f64 / wall as f64;
        }
        (self.functions_cpu_ns, self.functions_wall_ns) = (cpu_ns, wall_ns);
    }

    /// Energy, now.
    pub fn power(&mut self, sky: Epoch) -> PowerReport {
        let report = self.battery.sample(&self.moment(sky));
        self.watch_reserve();
        self.last_power = Some(report.clone());
        report
    }

    /// Tells once when the reserve is touched and once when it is whole again; whom to relieve is the planner's choice.
    fn watch_reserve(&mut self) {
        let (Some(soc), Some(reserve)) = (self.battery.soc(), self.reserve) else { return };
        if (soc < reserve) == self.is_low {
            return;
        }
        self.is_low = soc < reserve;
        if self.is_low {
            tracing::warn!(soc, reserve, "the battery is below its reserve");
        } else {
            tracing::info!(soc, reserve, "the battery is above its reserve");
        }
    }

    /// Temperature, now.
    pub fn thermal(&mut self, sky: Epoch) -> ThermalReport {
        let report = self.thermal.sample(&self.moment(sky));
        self.last_thermal = Some(report.clone());
        report
    }

    /// What the process uses, now.
    pub fn usage(&mut self) -> Usage {
        self.host.sample()
    }

    /// The newest state of charge and temperature, for functions that ask.
    pub fn latest(&self) -> (Option<f32>, Option<f32>) {
        let soc = self.last_power.as_ref().and_then(|power| power.state_of_charge.value());
        let celsius = self.last_thermal.as_ref().and_then(|thermal| thermal.hottest_c.value());
        (soc, celsius)
    }

    /// What must outlive the process.
    pub fn memory(&self, sky: Epoch) -> Memory {
        Memory { sky_ns: sky.unix_ns(), soc: self.battery.soc(), celsius: self.thermal.celsius() }
    }

    fn moment(&self, sky: Epoch) -> Moment {
        let load_w = self.load.map(|load| load.idle_w + load.watts_per_core * self.busy_cores);
        Moment { sky, load_w, env: self.env }
    }
}

/// Seconds of sky from `since` to `now`, as far as a model bridges them.
fn step_s(since: Option<Epoch>, now: Epoch) -> f64 {
    since.map_or(0.0, |since| now.seconds_since(since).clamp(0.0, STEP_S_MAX))
}

/// A finite value as reports carry it.
#[expect(clippy::cast_possible_truncation, reason = "seven digits are more than a sensor has")]
fn reading(value: f64, source: protocol::report::Source) -> protocol::report::Reading {
    protocol::report::Reading::known(value as f32, source)
}

#[cfg(test)]
mod tests;
