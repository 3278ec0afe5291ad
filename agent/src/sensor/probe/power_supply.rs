//! Batteries of `/sys/class/power_supply`: what their drivers say, with all fall-backs, and what of it can be true.
//!
//! Units of the kernel (`Documentation/ABI/testing/sysfs-class-power`): µV, µA, µW, µAh, µWh, tenths of °C, percent.

use std::collections::BTreeMap;

use crate::sensor::finding::{Finding, Quality, Quantity, Sample};
use crate::sensor::tree::{Missing, Tree, whole};

/// The name of this probe.
pub const PROBE: &str = "power-supply";
/// Where power supplies are.
pub const CLASS: &str = "/sys/class/power_supply";

/// What is read of each. Serial numbers and the names of manufacturers are not.
const ATTRIBUTES: [&str; 33] = [
    "type",
    "scope",
    "present",
    "online",
    "status",
    "capacity",
    "capacity_level",
    "capacity_error_margin",
    "voltage_now",
    "voltage_avg",
    "voltage_max_design",
    "voltage_min_design",
    "voltage_present",
    "voltage_ocv",
    "current_now",
    "current_avg",
    "power_now",
    "power_avg",
    "charge_now",
    "charge_avg",
    "charge_counter",
    "charge_full",
    "charge_full_design",
    "energy_now",
    "energy_avg",
    "energy_full",
    "energy_full_design",
    "temp",
    "time_to_empty_now",
    "time_to_full_now",
    "cycle_count",
    "health",
    "technology",
];

const MICRO: f64 = 1.0e-6;
/// Gauges that count to 105 % are full; beyond that a driver lies.
const CAPACITY_PCT_MAX: f64 = 105.0;
/// More than a board or laptop draws or charges with.
const POWER_W_MAX: f64 = 100.0;
/// Less than a clock draws: the driver does not measure.
const POWER_W_MIN: f64 = 1.0e-5;
/// The highest voltage of a pack, V.
const VOLTAGE_V_MAX: f64 = 1000.0;
/// A new pack holds a little more than its label says; more than this is a wrong label.
const HEALTH_MAX: f64 = 1.5;

/// All that was read of one power supply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// Its directory.
    pub dir: String,
    /// The text of each attribute, or why there is none.
    pub attributes: BTreeMap<&'static str, Result<String, Missing>>,
}

/// What flows where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Into the battery.
    Charging,
    /// Out of it.
    Discharging,
    /// Neither: it is full, or is not charged.
    Resting,
    /// The driver does not say.
    Unknown,
}

/// What a battery says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Pack {
    /// Its name, for example `BAT0`.
    pub name: String,
    /// What flows where.
    pub flow: Flow,
    /// State of charge, 0 to 1.
    pub charge: Quantity,
    /// Voltage, V.
    pub voltage_v: Quantity,
    /// Current, A, above 0 when it charges.
    pub current_a: Quantity,
    /// Power, W, above 0 when it charges.
    pub power_w: Quantity,
    /// Energy left, Wh.
    pub energy_wh: Quantity,
    /// Energy when full, Wh.
    pub capacity_wh: Quantity,
    /// Energy when full as a share of what it was when new.
    pub health: Quantity,
    /// Temperature, °C.
    pub temperature_c: Quantity,
    /// Full cycles so far.
    pub cycles: Quantity,
}

/// The supplies that are there, each as it was read.
///
/// # Errors
/// Why there are none.
pub fn read(tree: &Tree) -> Result<Vec<Raw>, Missing> {
    let names = tree.list(CLASS, "")?;
    let read = |name: &String| {
        let dir = format!("{CLASS}/{name}");
        let attribute = |key: &'static str| (key, tree.text(&format!("{dir}/{key}")));
        Raw { attributes: ATTRIBUTES.into_iter().map(attribute).collect(), dir }
    };
    Ok(names.iter().map(read).collect())
}

/// The batteries among what was read.
pub fn packs(raws: &[Raw]) -> Vec<Pack> {
    raws.iter().filter(|raw| raw.is_battery()).map(Raw::pack).collect()
}

/// All that this probe can say.
pub fn survey(tree: &Tree) -> Vec<Finding> {
    let raws = match read(tree) {
        Ok(raws) => raws,
        Err(missing) => return vec![Finding::nothing(PROBE, missing, vec![CLASS.to_owned()])],
    };
    raws.iter().flat_map(Raw::findings).collect()
}

impl Raw {
    /// Its name.
    fn name(&self) -> &str {
        self.dir.rsplit('/').next().unwrap_or_default()
    }

    fn path(&self, key: &str) -> String {
        format!("{}/{key}", self.dir)
    }

    fn text(&self, key: &str) -> Result<&str, Missing> {
        match self.attributes.get(key) {
            Some(Ok(text)) => Ok(text),
            Some(Err(missing)) => Err(missing.clone()),
            None => Err(Missing::Absent),
        }
    }

    fn is(&self, key: &str, word: &str) -> bool {
        self.text(key) == Ok(word)
    }

    /// The batteries of mice and the like power no node.
    fn is_battery(&self) -> bool {
        (self.is("type", "Battery") || self.is("type", "UPS")) && !self.is("scope", "Device")
    }

    /// A number times `scale`.
    fn number(&self, key: &str, scale: f64) -> Quantity {
        let value = whole(self.text(key)?)? * scale;
        Ok(Sample::measured(value, self.path(key)))
    }

    /// The first of the attributes whose value can be true.
    fn first(
        &self,
        keys: &[&str],
        scale: f64,
        (can_be, rule): (fn(f64) -> bool, &'static str),
    ) -> Quantity {
        let mut reason = Missing::Absent;
        for key in keys {
            match self.number(key, scale) {
                Ok(sample) if can_be(sample.value) => return Ok(sample),
                Ok(sample) => {
                    let text = (sample.value / scale).round().to_string();
                    reason = Missing::implausible(&text, rule);
                }
                Err(Missing::Absent) => {}
                Err(missing) => reason = missing,
            }
        }
        Err(reason)
    }

    /// The first that has a value above 0: drivers print 0 where they know nothing.
    fn first_above_zero(&self, keys: &[&str], scale: f64) -> Quantity {
        self.first(keys, scale, (|value| 0.0 < value, "it is above 0"))
    }

    /// The first that is not negative.
    fn first_not_negative(&self, keys: &[&str]) -> Quantity {
        self.first(keys, MICRO, (|value| 0.0 <= value, "what is left is not below 0"))
    }

    fn flow(&self) -> Flow {
        match self.text("status") {
            Ok("Charging") => Flow::Charging,
            Ok("Discharging") => Flow::Discharging,
            Ok("Not charging" | "Full") => Flow::Resting,
            _ => Flow::Unknown,
        }
    }

    fn pack(&self) -> Pack {
        if self.is("present", "0") {
            return self.empty_bay();
        }
        Pack {
            name: self.name().to_owned(),
            flow: self.flow(),
            charge: self.charge(),
            voltage_v: self.voltage(),
            current_a: self.current(),
            power_w: self.power(),
            energy_wh: self.energy(),
            capacity_wh: self.capacity(),
            health: self.health(),
            temperature_c: self.temperature(),
            cycles: self.first_above_zero(&["cycle_count"], 1.0),
        }
    }

    fn empty_bay(&self) -> Pack {
        let none = || Err(Missing::Meaningless("there is no battery in the bay (present = 0)"));
        Pack {
            name: self.name().to_owned(),
            flow: Flow::Unknown,
            charge: none(),
            voltage_v: none(),
            current_a: none(),
            power_w: none(),
            energy_wh: none(),
            capacity_wh: none(),
            health: none(),
            temperature_c: none(),
            cycles: none(),
        }
    }

    /// The driver's percentage, else energy left over energy when full.
    fn charge(&self) -> Quantity {
        let reason = match self.percentage() {
            Ok(sample) => return Ok(sample),
            Err(reason) => reason,
        };
        // Not the energy that is itself computed from the percentage.
        let left = self.metered_energy();
        let (Ok(left), Ok(full)) = (left, self.capacity()) else { return Err(reason) };
        let share = left.value / full.value;
        let paths = [left.paths, full.paths].concat();
        match share {
            0.0..=1.0 => Ok(Sample::computed(share, paths)),
            1.0..=1.05 => {
                let full = Sample { quality: Quality::Corrected, ..Sample::computed(1.0, paths) };
                Ok(full.noted("energy_now is above energy_full: full"))
            }
            _ => Err(reason),
        }
    }

    fn percentage(&self) -> Quantity {
        let percent = self.number("capacity", 1.0)?;
        let margin = self.number("capacity_error_margin", 0.01).ok().map(|margin| margin.value);
        if margin.is_some_and(|margin| 1.0 <= margin) {
            let reason = "the driver says that its percentage can be wrong by 100 %";
            return Err(Missing::Meaningless(reason));
        }
        let sigma = margin.filter(|margin| 0.0 < *margin);
        let text = percent.value.to_string();
        match percent.value {
            0.0..=100.0 => Ok(Sample { value: percent.value / 100.0, sigma, ..percent }),
            100.0..=CAPACITY_PCT_MAX => {
                let full = Sample { value: 1.0, sigma, quality: Quality::Corrected, ..percent };
                Ok(full.noted("the driver counts beyond 100 %: full"))
            }
            _ => Err(Missing::implausible(&text, "a percentage is 0 to 100")),
        }
    }

    fn voltage(&self) -> Quantity {
        let volts = self.first_above_zero(&["voltage_now", "voltage_avg"], MICRO)?;
        if VOLTAGE_V_MAX < volts.value {
            let text = volts.value.to_string();
            return Err(Missing::implausible(&text, "a pack has at most 1000 V"));
        }
        Ok(volts)
    }

    fn design_voltage(&self) -> Quantity {
        let keys = ["voltage_max_design", "voltage_min_design", "voltage_present", "voltage_now"];
        self.first_above_zero(&keys, MICRO)
    }

    fn has_any(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.number(key, 1.0).is_ok())
    }

    /// Drivers of the years before 2008 that count energy give power in the file of the current.
    fn current_is_power(&self) -> bool {
        let charges = ["charge_now", "charge_full", "charge_full_design", "charge_counter"];
        let energies = ["energy_now", "energy_full", "energy_full_design"];
        self.has_any(&energies) && !self.has_any(&charges) && !self.has_any(&["power_now"])
    }

    fn current(&self) -> Quantity {
        if self.current_is_power() {
            let reason = "a driver that counts energy gives power in current_now";
            return Err(Missing::Meaningless(reason));
        }
        let amps = match self.number("current_now", MICRO) {
            Ok(amps) => amps,
            Err(now) => self.number("current_avg", MICRO).map_err(|_average| now)?,
        };
        Ok(self.signed(amps))
    }

    /// Above 0 when it charges: many drivers give a magnitude, some the opposite, so `status` decides if it says.
    fn signed(&self, sample: Sample) -> Sample {
        let magnitude = sample.value.abs();
        let value = match self.flow() {
            Flow::Charging => magnitude,
            Flow::Discharging if magnitude <= 0.0 => 0.0,
            Flow::Discharging => -magnitude,
            Flow::Resting | Flow::Unknown => sample.value,
        };
        if (value - sample.value).abs() <= 0.0 {
            return sample;
        }
        Sample { value, quality: Quality::Corrected, ..sample }.noted("sign taken from status")
    }

    fn power(&self) -> Quantity {
        let watts = match self.number("power_now", MICRO) {
            Ok(watts) => watts,
            Err(_) if self.current_is_power() => self.number("current_now", MICRO)?,
            Err(reason) => {
                let (Ok(amps), Ok(volts)) = (self.current(), self.voltage()) else {
                    return Err(reason);
                };
                let paths = [amps.paths, volts.paths].concat();
                Sample::computed(amps.value * volts.value, paths)
            }
        };
        let (text, magnitude) = (watts.value.to_string(), watts.value.abs());
        if POWER_W_MAX < magnitude {
            return Err(Missing::implausible(&text, "a battery gives or takes at most 100 W"));
        }
        if magnitude < POWER_W_MIN && matches!(self.flow(), Flow::Charging | Flow::Discharging) {
            let rule =
                "a battery in use gives or takes 10 µW at least: the driver does not measure";
            return Err(Missing::implausible(&text, rule));
        }
        Ok(self.signed(watts))
    }

    /// Energy left, without the help of the percentage.
    fn metered_energy(&self) -> Quantity {
        let keys = ["energy_now", "energy_avg"];
        let (reason, paths) = match self.first_not_negative(&keys) {
            Ok(energy) => return Ok(energy),
            Err(reason) => (reason, ["charge_now", "charge_avg"]),
        };
        let Ok(charge) = self.first_not_negative(&paths) else { return Err(reason) };
        let volts = self.design_voltage()?;
        Ok(Sample::computed(charge.value * volts.value, [charge.paths, volts.paths].concat()))
    }

    fn energy(&self) -> Quantity {
        let reason = match self.metered_energy() {
            Ok(energy) => return Ok(energy),
            Err(reason) => reason,
        };
        let (Ok(share), Ok(full)) = (self.percentage(), self.capacity()) else {
            return Err(reason);
        };
        Ok(Sample::computed(share.value * full.value, [share.paths, full.paths].concat()))
    }

    /// Energy when full: as it is now, else as it was when new.
    fn capacity(&self) -> Quantity {
        let tell = |energy: &str, charge: &str| {
            let reason = match self.first_above_zero(&[energy], MICRO) {
                Ok(energy) => return Ok(energy),
                Err(reason) => reason,
            };
            let Ok(charge) = self.first_above_zero(&[charge], MICRO) else { return Err(reason) };
            let volts = self.design_voltage()?;
            Ok(Sample::computed(charge.value * volts.value, [charge.paths, volts.paths].concat()))
        };
        let now = tell("energy_full", "charge_full");
        now.or_else(|reason| match tell("energy_full_design", "charge_full_design") {
            Ok(new) => Ok(new.noted("as it was when new")),
            Err(_) => Err(reason),
        })
    }

    fn health(&self) -> Quantity {
        let keys = [("energy_full", "energy_full_design"), ("charge_full", "charge_full_design")];
        let mut reason = Missing::Absent;
        for (now, new) in keys {
            let both = (self.first_above_zero(&[now], MICRO), self.first_above_zero(&[new], MICRO));
            let (Ok(now), Ok(new)) = both else { continue };
            let share = now.value / new.value;
            if share <= HEALTH_MAX {
                return Ok(Sample::computed(share, [now.paths, new.paths].concat()));
            }
            let text = share.to_string();
            reason =
                Missing::implausible(&text, "a pack holds at most 1.5 times what it is made for");
        }
        Err(reason)
    }

    fn temperature(&self) -> Quantity {
        let celsius = self.number("temp", 0.1)?;
        if (-60.0..=150.0).contains(&celsius.value) {
            return Ok(celsius);
        }
        let text = celsius.value.to_string();
        Err(Missing::implausible(&text, "a battery is -60 to 150 °C warm"))
    }

    fn findings(&self) -> Vec<Finding> {
        let name = self.name();
        let kind = self.text("type").map(str::to_owned);
        let mut rows = vec![Finding::word(PROBE, format!("{name}.type"), kind, self.path("type"))];
        if !self.is_battery() {
            let online = self.number("online", 1.0);
            let tried = vec![self.path("online")];
            rows.push(Finding::number(PROBE, format!("{name}.online"), "", online, tried));
            return rows;
        }
        for key in ["status", "health", "technology"] {
            let word = self.text(key).map(str::to_owned);
            rows.push(Finding::word(PROBE, format!("{name}.{key}"), word, self.path(key)));
        }
        let pack = self.pack();
        let mut row = |key: &str, unit, quantity, tried: &[&str]| {
            let tried = tried.iter().map(|key| self.path(key)).collect();
            rows.push(Finding::number(PROBE, format!("{name}.{key}"), unit, quantity, tried));
        };
        row(
            "charge",
            "",
            pack.charge,
            &["capacity", "energy_now", "energy_avg", "charge_now", "energy_full"],
        );
        row("voltage", "V", pack.voltage_v, &["voltage_now", "voltage_avg"]);
        row("current", "A", pack.current_a, &["current_now", "current_avg"]);
        row("power", "W", pack.power_w, &["power_now", "current_now", "voltage_now"]);
        row(
            "energy",
            "Wh",
            pack.energy_wh,
            &["energy_now", "energy_avg", "charge_now", "capacity"],
        );
        row(
            "capacity",
            "Wh",
            pack.capacity_wh,
            &["energy_full", "charge_full", "energy_full_design", "charge_full_design"],
        );
        row(
            "state_of_health",
            "",
            pack.health,
            &["energy_full", "energy_full_design", "charge_full", "charge_full_design"],
        );
        row("temperature", "°C", pack.temperature_c, &["temp"]);
        row("cycles", "", pack.cycles, &["cycle_count"]);
        rows
    }
}
