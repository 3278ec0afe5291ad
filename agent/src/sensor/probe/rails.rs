//! Power rails of a Jetson: INA3221 meters with three channels each, by hwmon (JetPack 5 and later) or iio (JetPack 4).

use crate::sensor::finding::{Finding, Quantity, Sample};
use crate::sensor::tree::{Missing, Tree};

/// The name of this probe.
pub const PROBE: &str = "ina3221";
/// Where I²C devices are.
pub const CLASS: &str = "/sys/bus/i2c/devices";

const MILLI: f64 = 1.0e-3;
/// Rails that carry everything a board draws: Orin and Xavier NX, Orin Nano; Nano; Thor.
const TOTALS: [&str; 3] = ["VDD_IN", "POM_5V_IN", "VIN"];

/// One rail.
#[derive(Clone, Debug, PartialEq)]
pub struct Rail {
    /// Its label.
    pub name: String,
    /// Voltage, V.
    pub voltage_v: Quantity,
    /// Current, A.
    pub current_a: Quantity,
    /// Power, W.
    pub power_w: Quantity,
    /// Where power was looked for.
    tried: Vec<String>,
}

/// The rails that are connected.
///
/// # Errors
/// Why there are none.
pub fn read(tree: &Tree) -> Result<Vec<Rail>, Missing> {
    let mut rails = Vec::new();
    let mut reason = Missing::Absent;
    for device in tree.list(CLASS, "")? {
        let dir = format!("{CLASS}/{device}");
        if !tree.text(&format!("{dir}/name")).is_ok_and(|name| name.contains("ina3221")) {
            continue;
        }
        match chip(tree, &dir) {
            Ok(of_chip) => rails.extend(of_chip),
            Err(missing) => reason = missing,
        }
    }
    if rails.is_empty() { Err(reason) } else { Ok(rails) }
}

fn chip(tree: &Tree, dir: &str) -> Result<Vec<Rail>, Missing> {
    let hwmon = tree.list(&format!("{dir}/hwmon"), "hwmon");
    if let Some(entry) = hwmon.unwrap_or_default().first() {
        let dir = format!("{dir}/hwmon/{entry}");
        return Ok((1..=3).filter_map(|channel| by_hwmon(tree, &dir, channel)).collect());
    }
    let iio = tree.list(dir, "iio:device")?;
    let dir = format!("{dir}/{}", iio.first().ok_or(Missing::Absent)?);
    Ok((0..=2).filter_map(|channel| by_iio(tree, &dir, channel)).collect())
}

/// Whether a channel measures anything: boards label those that do not `NC`, not connected.
fn connected(label: Result<String, Missing>) -> Option<String> {
    label.ok().filter(|label| !label.contains("NC") && !label.is_empty())
}

fn by_hwmon(tree: &Tree, dir: &str, channel: u8) -> Option<Rail> {
    let name = connected(tree.text(&format!("{dir}/in{channel}_label")))?;
    let path = |file: String| format!("{dir}/{file}");
    let (voltage, current) =
        (path(format!("in{channel}_input")), path(format!("curr{channel}_input")));
    let is_off = tree.text(&path(format!("in{channel}_enable"))).is_ok_and(|text| text == "0");
    let read = |path: &String| {
        if is_off {
            return Err(Missing::Meaningless("the channel is switched off (in_enable = 0)"));
        }
        tree.number(path).map(|milli| Sample::measured(milli * MILLI, path.clone()))
    };
    let (voltage_v, current_a) = (read(&voltage), read(&current));
    let power_w = match (&voltage_v, &current_a) {
        (Ok(volts), Ok(amps)) => {
            let paths = vec![voltage.clone(), current.clone()];
            Ok(Sample::computed(volts.value * amps.value, paths))
        }
        (Err(missing), _) | (_, Err(missing)) => Err(missing.clone()),
    };
    Some(Rail { name, voltage_v, current_a, power_w, tried: vec![voltage, current] })
}

fn by_iio(tree: &Tree, dir: &str, channel: u8) -> Option<Rail> {
    let name = connected(tree.text(&format!("{dir}/rail_name_{channel}")))?;
    let path = |what: &str| format!("{dir}/in_{what}{channel}_input");
    let read = |what: &str| {
        let path = path(what);
        tree.number(&path).map(|milli| Sample::measured(milli * MILLI, path))
    };
    let (voltage_v, current_a, power_w) = (read("voltage"), read("current"), read("power"));
    Some(Rail { name, voltage_v, current_a, power_w, tried: vec![path("power")] })
}

/// What the board draws, W: the rail that carries all, else the sum of the rails, which lacks the carrier board.
///
/// # Errors
/// Why nobody knows: half a sum is no total.
pub fn total(rails: &[Rail]) -> Quantity {
    let whole = rails.iter().find(|rail| TOTALS.contains(&rail.name.as_str()));
    if let Some(rail) = whole {
        return rail.power_w.clone();
    }
    let (mut watts, mut paths) = (0.0, Vec::new());
    for rail in rails {
        let power = rail.power_w.clone()?;
        watts += power.value;
        paths.extend(power.paths);
    }
    if paths.is_empty() {
        return Err(Missing::Absent);
    }
    Ok(Sample::computed(watts, paths).noted("sum of rails: the carrier board is not in it"))
}

/// All that this probe can say.
pub fn survey(tree: &Tree) -> Vec<Finding> {
    let rails = match read(tree) {
        Ok(rails) => rails,
        Err(missing) => {
            return vec![Finding::nothing(PROBE, missing, vec![format!("{CLASS}/*/name")])];
        }
    };
    let total = total(&rails);
    let tried = rails.iter().flat_map(|rail| rail.tried.clone()).collect();
    let mut rows = Vec::new();
    for rail in rails {
        let mut row = |key: &str, unit, quantity| {
            let name = format!("{}.{key}", rail.name);
            rows.push(Finding::number(PROBE, name, unit, quantity, rail.tried.clone()));
        };
        row("voltage", "V", rail.voltage_v);
        row("current", "A", rail.current_a);
        row("power", "W", rail.power_w);
    }
    rows.push(Finding::number(PROBE, "total.power".to_owned(), "W", total, tried));
    rows
}
