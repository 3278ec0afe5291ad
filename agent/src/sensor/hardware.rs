//! What the hardware of this node tells, sample by sample. What is not there is looked for again now and then: it may appear.
//!
//! Reads block, for as long as a driver likes; who waits for it holds nothing that functions need.

use std::path::Path;
use std::time::{Duration, Instant};

use protocol::report::{GpuReport, NoReading, Reading, Source};

use super::charge::Metered;
use super::finding::{Quality, Quantity, Sample};
use super::meter::Ina219;
use super::probe::power_supply::{Flow, Pack};
use super::probe::{gpu, hwmon, load, nvml, power_supply, rails, rapl, zones};
use super::tree::{Missing, Tree};
use crate::config::{BatteryHardware, Config, MeterConfig, ThermalConfig};

/// Between two looks for hardware that was not there: drivers of a Jetson come seconds after the start, a USB device whenever.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// What hardware tells about energy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    /// When.
    pub at: Instant,
    /// State of charge by a gauge, 0 to 1.
    pub charge: Reading,
    /// Energy when full, Wh.
    pub capacity_wh: Reading,
    /// What the node draws, W.
    pub load_w: Reading,
    /// Current and voltage of the battery, if there is a meter.
    pub metered: Option<Metered>,
}

/// What hardware tells about temperature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warmth {
    /// The part that decides throttling, °C.
    pub hottest_c: Reading,
    /// Where throttling starts, °C.
    pub limit_c: Reading,
}

impl Told {
    /// Nothing.
    pub const fn nothing(at: Instant) -> Self {
        let none = Reading::Unknown(NoReading::NoSensor);
        Self { at, charge: none, capacity_wh: none, load_w: none, metered: None }
    }
}

/// Whether a kind of hardware is there.
#[derive(Debug)]
struct Presence {
    kind: &'static str,
    is_there: Option<bool>,
    look_again: Instant,
}

impl Presence {
    fn new(kind: &'static str, now: Instant) -> Self {
        Self { kind, is_there: None, look_again: now }
    }

    /// Reads, but not before it is time if nothing was there; says in the log what came and went.
    fn look<T>(
        &mut self,
        now: Instant,
        read: impl FnOnce() -> Result<T, Missing>,
    ) -> Result<T, Missing> {
        if self.is_there == Some(false) && now < self.look_again {
            return Err(Missing::Absent);
        }
        let answer = read();
        let is_there = !answer.as_ref().is_err_and(Missing::is_gone);
        match (self.is_there, is_there) {
            (None | Some(false), true) => tracing::info!(kind = self.kind, "hardware is there"),
            (Some(true), false) => tracing::warn!(kind = self.kind, "hardware went away"),
            _ => {}
        }
        self.is_there = Some(is_there);
        self.look_again = now + LOOK_AGAIN;
        answer
    }
}

/// What hardware is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Asks {
    /// A battery.
    pub battery: BatteryHardware,
    /// What the node draws.
    pub load: bool,
    /// How warm it is.
    pub warmth: bool,
    /// Where the management library of graphics processors is looked for.
    pub libraries: Vec<String>,
}

/// The hardware of a node, as far as its configuration lets it be asked.
#[derive(Debug)]
pub struct Hardware {
    tree: Tree,
    asks: Asks,
    /// The meter on the bus itself, where the kernel has no driver for it.
    meter: Option<Ina219>,
    pack: Presence,
    rails: Presence,
    platform: Presence,
    zones: Presence,
    chips: Presence,
    gpu: Presence,
    library: Presence,
    /// The management library, once it is there.
    nvml: Option<nvml::Library>,
    /// Joules of the whole platform at the sample before.
    joules: Option<(Instant, f64)>,
}

impl Hardware {
    /// What a configuration asks for.
    ///
    /// # Errors
    /// If the directory with the files of the kernel is not there.
    pub fn start(config: &Config) -> std::io::Result<Self> {
        let tree = Tree::below(&config.sysfs_root)?;
        let asks = Asks {
            battery: config.battery.hardware.clone(),
            load: config.battery.measures_load,
            warmth: config.thermal == ThermalConfig::Auto,
            // A library says what this machine has, not what a recorded one had.
            libraries: if config.sysfs_root == Path::new("/") {
                nvml::libraries()
            } else {
                Vec::new()
            },
        };
        Ok(Self::of(tree, asks, Instant::now()))
    }

    /// Of these files.
    pub fn of(tree: Tree, asks: Asks, now: Instant) -> Self {
        Self {
            tree,
            asks,
            meter: None,
            pack: Presence::new("battery", now),
            rails: Presence::new("power rails", now),
            platform: Presence::new("energy counters", now),
            zones: Presence::new("thermal zones", now),
            chips: Presence::new("hardware monitors", now),
            gpu: Presence::new("graphics processor", now),
            library: Presence::new("NVML", now),
            nvml: None,
            joules: None,
        }
    }

    /// Energy.
    pub fn power(&mut self, now: Instant) -> Told {
        let mut told = match self.asks.battery.clone() {
            BatteryHardware::None => Told::nothing(now),
            BatteryHardware::Auto | BatteryHardware::PowerSupply => self.pack(now),
            BatteryHardware::Ina219(config) => self.metered(now, &config),
        };
        if !self.asks.load {
            told.load_w = Reading::Unknown(NoReading::NoSensor);
            return told;
        }
        let rails = self.rails.look(now, || rails::read(&self.tree));
        match rails.and_then(|rails| rails::total(&rails)) {
            Ok(total) => told.load_w = reading(&Ok(total)),
            Err(_) if told.load_w.value().is_none() => told.load_w = self.platform(now),
            Err(_) => {}
        }
        told
    }

    /// The first battery with a driver; several make up one node only where an operator says so, and none can yet.
    fn pack(&mut self, now: Instant) -> Told {
        let packs = self.pack.look(now, || {
            let packs = power_supply::packs(&power_supply::read(&self.tree)?);
            if packs.is_empty() { Err(Missing::Absent) } else { Ok(packs) }
        });
        match packs {
            Ok(packs) => {
                packs.first().map_or_else(|| Told::nothing(now), |pack| of_pack(now, pack))
            }
            Err(missing) => {
                let none = Reading::Unknown(missing.reading());
                Told { charge: none, capacity_wh: none, ..Told::nothing(now) }
            }
        }
    }

    /// A meter: by the driver of the kernel if that is bound, else on the bus itself.
    fn metered(&mut self, now: Instant, config: &MeterConfig) -> Told {
        let by_driver = hwmon::chips(&self.tree).ok();
        let chip = by_driver.as_deref().and_then(hwmon::meter_chip).cloned();
        let meter = self.pack.look(now, || match chip {
            Some(chip) => {
                let meter = chip.meter(&self.tree);
                let value = |quantity: Quantity| quantity.map(|sample| sample.value);
                Ok((value(meter.current_a)?, value(meter.voltage_v)?))
            }
            None => {
                let mut meter = match self.meter.take() {
                    Some(meter) => meter,
                    None => Ina219::open(config)?,
                };
                let values = meter.read()?;
                self.meter = Some(meter);
                Ok(values)
            }
        });
        let capacity_wh = config.pack.capacity_ah
            * f64::from(config.pack.cells_series)
            * config.pack.curve.volts(0.5);
        let capacity_wh = super::reading(capacity_wh, Source::Configured);
        match meter {
            Ok((amps, volts)) => {
                let current_a = config.sign * amps;
                let metered = Metered { current_a: Some(current_a), voltage_v: Some(volts) };
                // While it charges, the meter does not see what the board draws.
                let load_w = if current_a <= 0.0 {
                    super::reading(-current_a * volts, Source::Measured)
                } else {
                    Reading::Unknown(NoReading::NotSupported)
                };
                Told { metered: Some(metered), capacity_wh, load_w, ..Told::nothing(now) }
            }
            Err(missing) => {
                let charge = Reading::Unknown(missing.reading());
                Told { charge, capacity_wh, ..Told::nothing(now) }
            }
        }
    }

    /// The power of the whole platform between two samples of its energy counter.
    fn platform(&mut self, now: Instant) -> Reading {
        let counters = self.platform.look(now, || rapl::read(&self.tree));
        let Ok(counters) = counters else { return Reading::Unknown(NoReading::NoSensor) };
        let Some(platform) = counters.iter().find(|counter| counter.name == rapl::PLATFORM) else {
            return Reading::Unknown(NoReading::NoSensor);
        };
        let (energy, range) = match (&platform.energy_j, &platform.range_j) {
            (Ok(energy), Ok(range)) => (energy.value, range.value),
            (Err(missing), _) | (_, Err(missing)) => return Reading::Unknown(missing.reading()),
        };
        let before = self.joules.replace((now, energy));
        let Some((then, joules)) = before else { return Reading::Unknown(NoReading::NotYet) };
        let seconds = now.saturating_duration_since(then).as_secs_f64();
        if seconds <= 0.0 {
            return Reading::Unknown(NoReading::NotYet);
        }
        super::reading(rapl::joules_between(joules, energy, range) / seconds, Source::Measured)
    }

    /// Temperature: of the zones, or of the hardware monitors where there are none.
    pub fn warmth(&mut self, now: Instant) -> Warmth {
        let none = Reading::Unknown(NoReading::NoSensor);
        if !self.asks.warmth {
            return Warmth { hottest_c: none, limit_c: none };
        }
        let zones = match self.zones.look(now, || zones::read(&self.tree)) {
            Ok(zones) => zones,
            Err(_) => return Warmth { hottest_c: self.hottest_chip(now), limit_c: none },
        };
        match zones::deciding(&zones) {
            Some(zone) => Warmth {
                hottest_c: reading(&zone.celsius),
                limit_c: reading(&zones::limit(&self.tree, zone)),
            },
            None => Warmth { hottest_c: Reading::Unknown(NoReading::ReadFailed), limit_c: none },
        }
    }

    fn hottest_chip(&mut self, now: Instant) -> Reading {
        let chips = self.chips.look(now, || hwmon::chips(&self.tree)).unwrap_or_default();
        let samples = chips.iter().flat_map(|chip| chip.temperatures(&self.tree));
        let known = samples.filter_map(|(.., celsius)| celsius.ok());
        let hottest = known.max_by(|a, b| a.value.total_cmp(&b.value));
        hottest.map_or(Reading::Unknown(NoReading::NoSensor), |sample| reading(&Ok(sample)))
    }

    /// The first graphics processor, by its driver's files and by NVML where these do not say; `None` if there is none.
    pub fn gpu(&mut self, now: Instant) -> Option<GpuReport> {
        let by_driver = self.integrated(now);
        if by_driver.as_ref().is_some_and(|report| report.load.value().is_some()) {
            return by_driver;
        }
        let Ok(gpu) = self.by_library(now) else { return by_driver };
        let (load, free_mib, temperature_c) =
            (reading(&gpu.load), reading(&gpu.free_mib), reading(&gpu.celsius));
        let Some(driver) = by_driver else {
            return Some(GpuReport { load, free_mib, temperature_c });
        };
        Some(GpuReport {
            load: known_or(load, driver.load),
            free_mib: known_or(free_mib, driver.free_mib),
            temperature_c: known_or(temperature_c, driver.temperature_c),
        })
    }

    /// The first one that NVML knows.
    fn by_library(&mut self, now: Instant) -> Result<nvml::Gpu, Missing> {
        self.library.look(now, || {
            let library = match self.nvml.take() {
                Some(library) => library,
                None => nvml::Library::load(&self.asks.libraries)?,
            };
            // One that fails is closed: after a new driver, only another initialisation helps.
            let gpu = library.read()?.into_iter().next().ok_or(Missing::Absent)?;
            self.nvml = Some(library);
            Ok(gpu)
        })
    }

    fn integrated(&mut self, now: Instant) -> Option<GpuReport> {
        let found = self.gpu.look(now, || gpu::find(&self.tree)).ok()?;
        let load = found.first()?.load(&self.tree);
        let zones = self.zones.look(now, || zones::read(&self.tree)).unwrap_or_default();
        let zone = zones.iter().find(|zone| zone.name.to_ascii_lowercase().starts_with("gpu"));
        let celsius = zone.map_or(Err(Missing::Absent), |zone| zone.celsius.clone());
        Some(GpuReport {
            load: reading(&load),
            // Its memory is that of the processor: what is available to one is so to the other.
            free_mib: reading(&load::memory_mib(&self.tree, "MemAvailable")),
            temperature_c: reading(&celsius),
        })
    }
}

/// The first if it is known.
fn known_or(first: Reading, second: Reading) -> Reading {
    if first.value().is_some() { first } else { second }
}

/// What a pack says.
fn of_pack(now: Instant, pack: &Pack) -> Told {
    let value = |quantity: &Quantity| quantity.as_ref().ok().map(|sample| sample.value);
    let load_w = match (pack.flow, &pack.power_w) {
        (Flow::Discharging, Ok(power)) => {
            reading(&Ok(Sample { value: -power.value, ..power.clone() }))
        }
        // What charges does not say what the board draws.
        _ => Reading::Unknown(NoReading::NotSupported),
    };
    Told {
        at: now,
        charge: reading(&pack.charge),
        capacity_wh: reading(&pack.capacity_wh),
        load_w,
        metered: Some(Metered {
            current_a: value(&pack.current_a),
            voltage_v: value(&pack.voltage_v),
        }),
    }
}

/// A quantity as reports carry it.
fn reading(quantity: &Quantity) -> Reading {
    match quantity {
        Ok(sample) => {
            let source = match sample.quality {
                Quality::Measured | Quality::Corrected => Source::Measured,
                Quality::Counted => Source::Kernel,
                Quality::Computed => Source::Estimated,
            };
            #[expect(
                clippy::cast_possible_truncation,
                reason = "seven digits are more than a sensor has"
            )]
            let (value, sigma) = (sample.value as f32, sample.sigma.map(|sigma| sigma as f32));
            Reading::Known { value, sigma, source }
        }
        Err(missing) => Reading::Unknown(missing.reading()),
    }
}

#[cfg(test)]
mod tests;
