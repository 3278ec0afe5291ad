//! Chips of `/sys/class/hwmon`: temperatures, fans, and the meters INA219 and INA226.

use crate::sensor::finding::{Finding, Quantity, Sample};
use crate::sensor::probe::zones;
use crate::sensor::tree::{Missing, Tree};

/// The name of this probe.
pub const PROBE: &str = "hwmon";
/// Where chips are.
pub const CLASS: &str = "/sys/class/hwmon";

const MILLI: f64 = 1.0e-3;
const MICRO: f64 = 1.0e-6;

/// One chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chip {
    /// Its name.
    pub name: String,
    /// Its directory.
    pub dir: String,
    /// The files in it.
    pub files: Vec<String>,
}

/// A power meter of one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Meter {
    /// Voltage of the bus, V.
    pub voltage_v: Quantity,
    /// Current, A, as the shunt is wired.
    pub current_a: Quantity,
    /// Power, W, never negative.
    pub power_w: Quantity,
}

/// The chips that are there.
///
/// # Errors
/// Why there are none.
pub fn chips(tree: &Tree) -> Result<Vec<Chip>, Missing> {
    let names = tree.list(CLASS, "hwmon")?;
    let chip = |entry: &String| {
        let dir = format!("{CLASS}/{entry}");
        let name = tree.text(&format!("{dir}/name")).unwrap_or_else(|_| entry.clone());
        Chip { name, files: tree.list(&dir, "").unwrap_or_default(), dir }
    };
    Ok(names.iter().map(chip).collect())
}

/// The first INA219 or INA226.
pub fn meter_chip(chips: &[Chip]) -> Option<&Chip> {
    chips.iter().find(|chip| matches!(chip.name.as_str(), "ina219" | "ina226"))
}

impl Chip {
    /// What it measures as a meter: `in1` mV, `curr1` mA, `power1` **µW**.
    pub fn meter(&self, tree: &Tree) -> Meter {
        let read = |file: &str, scale: f64| {
            let path = format!("{}/{file}", self.dir);
            tree.number(&path).map(|number| Sample::measured(number * scale, path))
        };
        Meter {
            voltage_v: read("in1_input", MILLI),
            current_a: read("curr1_input", MILLI),
            power_w: read("power1_input", MICRO),
        }
    }

    /// The names of its channels of a kind, for example `temp1`.
    fn channels(&self, kind: &str) -> Vec<&str> {
        let input = |file: &'_ String| -> Option<usize> {
            let stem = file.strip_suffix("_input")?;
            let number = stem.strip_prefix(kind)?;
            (!number.is_empty() && number.chars().all(|c| c.is_ascii_digit())).then_some(stem.len())
        };
        let mut stems: Vec<_> =
            self.files.iter().filter_map(|file| Some(&file[..input(file)?])).collect();
        stems.sort_by_key(|stem| (stem.len(), *stem));
        stems
    }

    /// Its temperatures, each with a name, °C.
    pub fn temperatures(&self, tree: &Tree) -> Vec<(String, String, Quantity)> {
        let read = |channel: &&str| {
            let path = format!("{}/{channel}_input", self.dir);
            let label = tree.text(&format!("{}/{channel}_label", self.dir));
            let label = label.unwrap_or_else(|_| (*channel).to_owned());
            let celsius = tree.number(&path).and_then(|number| {
                let celsius = number * MILLI;
                zones::believable(celsius)?;
                Ok(Sample::measured(celsius, path.clone()))
            });
            (format!("{}.{label}", self.name), path, celsius)
        };
        self.channels("temp").iter().map(read).collect()
    }

    fn findings(&self, tree: &Tree) -> Vec<Finding> {
        // Other probes know what these mean.
        if self.name == "rpi_volt" || self.name.contains("ina3221") {
            return Vec::new();
        }
        let mut rows = Vec::new();
        for (name, path, celsius) in self.temperatures(tree) {
            rows.push(Finding::number(PROBE, name, "°C", celsius, vec![path]));
        }
        for fan in self.channels("fan") {
            let path = format!("{}/{fan}_input", self.dir);
            let speed = tree.number(&path).map(|rpm| Sample::measured(rpm, path.clone()));
            let name = format!("{}.{fan}", self.name);
            rows.push(Finding::number(PROBE, name, "rpm", speed, vec![path]));
        }
        if matches!(self.name.as_str(), "ina219" | "ina226") {
            let meter = self.meter(tree);
            let mut row = |key: &str, unit, quantity, file: &str| {
                let (name, tried) =
                    (format!("{}.{key}", self.name), format!("{}/{file}", self.dir));
                rows.push(Finding::number(PROBE, name, unit, quantity, vec![tried]));
            };
            row("voltage", "V", meter.voltage_v, "in1_input");
            row("current", "A", meter.current_a, "curr1_input");
            row("power", "W", meter.power_w, "power1_input");
        }
        rows
    }
}

/// All that this probe can say.
pub fn survey(tree: &Tree) -> Vec<Finding> {
    match chips(tree) {
        Ok(chips) => chips.iter().flat_map(|chip| chip.findings(tree)).collect(),
        Err(missing) => vec![Finding::nothing(PROBE, missing, vec![format!("{CLASS}/hwmon*")])],
    }
}
