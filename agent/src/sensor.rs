//! Sensors: what the node reads about itself, or why it cannot. Hardware that is not there is modelled or unknown.

pub mod battery;
pub mod charge;
pub mod endurance;
pub mod finding;
pub mod gnss;
pub mod hardware;
pub mod host;
pub mod meter;
pub mod place;
pub mod probe;
pub mod record;
pub mod thermal;
pub mod tree;

use std::time::Instant;

use body::{Store, lumps};
use protocol::report::{PositionReport, PowerReport, Source, ThermalReport};
use protocol::sim::SimEnv;
use serde::{Deserialize, Serialize};
use types::{Epoch, Geodetic};

use self::battery::{Battery, NoBattery, RealBattery, VirtualCell};
use self::charge::Charge;
use self::endurance::{Endurance, Strain};
use self::hardware::{Told, Warmth};
use self::host::{Host, Usage};
use self::place::NoPlace;
use self::thermal::{RealThermal, Thermal, VirtualBody};
use crate::config::{BatteryConfig, BatteryHardware, Config, ThermalConfig};

/// Longest span of sky that a model bridges at once, in seconds: an agent that was down longer comes back as it was.
const STEP_S_MAX: f64 = 3600.0;

/// What the models are fed with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// The sky.
    pub sky: Epoch,
    /// What the node draws by the model of its configuration, in W, since the moment before; `None` without one.
    pub load_w: Option<f64>,
    /// What hardware told last about energy.
    pub told: Told,
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
    /// What has been taken out of the virtual battery, in Wh.
    pub taken_wh: f64,
    /// Age of the virtual battery, in s.
    pub age_s: f64,
    /// Temperature of the virtual body, or of its chip, in °C.
    pub celsius: Option<f64>,
    /// Temperature of its structure, in °C.
    pub structure_c: Option<f64>,
    /// Charge of a battery that is counted.
    pub charge: Option<Charge>,
}

impl Memory {
    /// Whether there is nothing to keep.
    pub const fn is_empty(&self) -> bool {
        self.soc.is_none() && self.celsius.is_none() && self.charge.is_none()
    }
}

/// All sensors of a node.
pub struct Sensors {
    battery: Box<dyn Battery>,
    thermal: Box<dyn Thermal>,
    load: Option<crate::config::LoadModel>,
    /// State of charge that is not to be used up, and whether it is being used now.
    reserve: f64,
    is_low: bool,
    /// What the node may not go past, and what it is past now.
    endurance: Endurance,
    strain: Option<Strain>,
    told: Told,
    host: Host,
    /// Where the node stands, if it does.
    fixed: Option<Geodetic>,
    /// Whether a receiver tells where it is, and what it told last.
    has_receiver: bool,
    located: Option<(Geodetic, Epoch)>,
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
        let thermal: Box<dyn Thermal> = match config.thermal {
            ThermalConfig::Virtual(body) => {
                let chip_c = memory.celsius.unwrap_or(body.initial_c);
                let structure_c = memory.structure_c.unwrap_or(chip_c);
                let warmth = lumps::Warmth { chip_c, structure_c };
                Box::new(VirtualBody::new(body, warmth, memory.celsius.map(|_| since)))
            }
            ThermalConfig::Auto | ThermalConfig::None => Box::new(RealThermal),
        };
        let battery = battery_of(&config.battery, &memory);
        Self {
            battery,
            thermal,
            load: config.battery.load,
            reserve: config.battery.reserve,
            told: Told::nothing(Instant::now()),
            is_low: false,
            endurance: endurance_of(config),
            strain: None,
            host: Host::of_this_process(),
            fixed: config.place,
            has_receiver: config.receiver.is_some(),
            located: None,
            is_emulated: config.sim.is_some(),
            env: None,
            last_power: None,
            last_thermal: None,
            functions_cpu_ns: 0,
            functions_wall_ns: 0,
            busy_cores: 0.0,
        }
    }

    /// Another battery than that of the configuration.
    pub fn set_battery(&mut self, battery: Box<dyn Battery>) {
        self.battery = battery;
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
        if let Some(place) = self.fixed {
            return Ok(place);
        }
        if self.has_receiver {
            return place::of_receiver(self.located, sky);
        }
        match &self.env {
            Some(env) => place::on_track(env, sky),
            None if self.is_emulated => Err(NoPlace::NotYet),
            None => Err(NoPlace::NotTold),
        }
    }

    /// Takes where a receiver says that the node is.
    pub const fn locate(&mut self, place: Geodetic, sky: Epoch) {
        self.located = Some((place, sky));
    }

    /// Where the node is and who says so, for a report; `None` if nobody knows.
    pub fn position(&self, sky: Epoch) -> Option<PositionReport> {
        let position = self.place(sky).ok()?;
        let source = match self.fixed {
            Some(_) => Source::Configured,
            None if self.has_receiver => Source::Measured,
            None => Source::Virtual,
        };
        Some(PositionReport { position, source })
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

    /// Energy, now, with what hardware has just told.
    pub fn power(&mut self, sky: Epoch, told: Told) -> PowerReport {
        self.told = told;
        let report = self.battery.sample(&self.moment(sky));
        self.watch_reserve();
        self.last_power = Some(report.clone());
        self.watch_strain();
        report
    }

    /// Tells once when the reserve is touched and once when it is whole again; whom to relieve is the planner's choice.
    fn watch_reserve(&mut self) {
        let (Some(soc), reserve) = (self.battery.soc(), self.reserve) else { return };
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

    fn watch_strain(&mut self) {
        let before = self.strain;
        self.strain = self.endurance.judge(self.latest(), before);
        match (before, self.strain) {
            (None, Some(strain)) => tracing::warn!(%strain, "no work begins"),
            (Some(_), None) => tracing::info!("work begins again"),
            _ => {}
        }
    }

    /// Why no work is to begin now, if so.
    pub const fn strain(&self) -> Option<Strain> {
        self.strain
    }

    /// Temperature, now, with what hardware has just told.
    pub fn thermal(&mut self, sky: Epoch, told: Option<Warmth>) -> ThermalReport {
        let report = self.thermal.sample(&self.moment(sky), told);
        self.last_thermal = Some(report.clone());
        self.watch_strain();
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
        let mut memory = Memory { sky_ns: sky.unix_ns(), ..Memory::default() };
        self.battery.keep(&mut memory);
        self.thermal.keep(&mut memory);
        memory
    }

    fn moment(&self, sky: Epoch) -> Moment {
        let load_w = self.load.map(|load| load.idle_w + load.watts_per_core * self.busy_cores);
        Moment { sky, load_w, told: self.told, env: self.env }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "seven digits are more than a limit needs")]
const fn endurance_of(config: &Config) -> Endurance {
    Endurance { floor: config.battery.floor as f32, ceiling_c: config.ceiling_c as f32 }
}

/// The battery of a configuration, as an earlier start has left it.
fn battery_of(config: &BatteryConfig, memory: &Memory) -> Box<dyn Battery> {
    let source = config.source.clone();
    if let Some(cell) = config.cell {
        let since = memory.soc.map(|_| Epoch::from_unix_ns(memory.sky_ns));
        let soc = memory.soc.unwrap_or(cell.initial_soc);
        let store = Store { soc, taken_wh: memory.taken_wh, age_s: memory.age_s };
        return Box::new(VirtualCell::new(cell, source, store, since));
    }
    match &config.hardware {
        BatteryHardware::None => Box::new(NoBattery { source }),
        BatteryHardware::Auto | BatteryHardware::PowerSupply => {
            Box::new(RealBattery::new(source, None, None))
        }
        BatteryHardware::Ina219(meter) => {
            let memory = memory.charge.map(|charge| (charge, Epoch::from_unix_ns(memory.sky_ns)));
            Box::new(RealBattery::new(source, Some(meter.pack.clone()), memory))
        }
    }
}

/// Seconds of sky from `since` to `now`, as far as a model bridges them.
fn step_s(since: Option<Epoch>, now: Epoch) -> f64 {
    since.map_or(0.0, |since| now.seconds_since(since).clamp(0.0, STEP_S_MAX))
}

/// A finite value as reports carry it.
#[expect(clippy::cast_possible_truncation, reason = "seven digits are more than a sensor has")]
pub(crate) fn reading(value: f64, source: Source) -> protocol::report::Reading {
    protocol::report::Reading::known(value as f32, source)
}

#[cfg(test)]
mod tests;
