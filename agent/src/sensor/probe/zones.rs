//! Thermal zones, found by their type and never by their number, and where throttling starts.

use crate::sensor::finding::{Finding, Quantity, Sample};
use crate::sensor::tree::{Missing, Tree};

/// The name of this probe.
pub const PROBE: &str = "thermal-zone";
/// Where thermal zones are.
pub const CLASS: &str = "/sys/class/thermal";

const MILLI: f64 = 1.0e-3;
/// No chip works below this: what says so is without power (Tegra: -256 °C).
const CELSIUS_MIN: f64 = -60.0;
/// No chip survives this.
const CELSIUS_MAX: f64 = 200.0;
/// Trip points of one zone at most (`THERMAL_MAX_TRIPS`).
const TRIPS_MAX: usize = 12;

/// Types of zones that throttling follows, the most telling first, in small letters: the junction of an Orin, then
/// processors by the names of Pi, Jetson, Intel and Armbian.
const DECIDING: [&str; 6] =
    ["tj-thermal", "cpu-thermal", "cpu-therm", "cpu_thermal", "x86_pkg_temp", "soc-thermal"];
/// Kinds of trip points where throttling starts, the first to be reached first.
const LIMITS: [&str; 3] = ["passive", "hot", "critical"];

/// One zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    /// Its type, which is its name.
    pub name: String,
    /// Its directory.
    pub dir: String,
    /// Its temperature, °C.
    pub celsius: Quantity,
}

/// The zones that are there. Zones of the same type get a number.
///
/// # Errors
/// Why there are none.
pub fn read(tree: &Tree) -> Result<Vec<Zone>, Missing> {
    let mut zones: Vec<Zone> = Vec::new();
    for name in tree.list(CLASS, "thermal_zone")? {
        let dir = format!("{CLASS}/{name}");
        let kind = tree.text(&format!("{dir}/type")).unwrap_or_else(|_| name.clone());
        let same = zones.iter().filter(|zone| zone.name.split('#').next() == Some(&kind)).count();
        let celsius = temperature(tree, &kind, &format!("{dir}/temp"));
        let name = if same == 0 { kind } else { format!("{kind}#{same}") };
        zones.push(Zone { name, dir, celsius });
    }
    Ok(zones)
}

fn temperature(tree: &Tree, kind: &str, path: &str) -> Quantity {
    if kind.contains("PMIC") {
        // On TX and Nano; the driver has no sensor behind it.
        return Err(Missing::Meaningless("zones of power chips (PMIC) report a constant"));
    }
    let celsius = tree.number(path)? * MILLI;
    believable(celsius)?;
    Ok(Sample::measured(celsius, path.to_owned()))
}

/// Whether a chip can be so warm.
pub(super) fn believable(celsius: f64) -> Result<(), Missing> {
    if celsius < CELSIUS_MIN {
        return Err(Missing::Meaningless("no value now: the part is without power (below -60 °C)"));
    }
    let text = celsius.to_string();
    let rule = "a chip is at most 200 °C warm";
    if celsius <= CELSIUS_MAX { Ok(()) } else { Err(Missing::implausible(&text, rule)) }
}

/// The zone that throttling follows: the junction or the processor, else the hottest.
pub fn deciding(zones: &[Zone]) -> Option<&Zone> {
    let alive = || zones.iter().filter(|zone| zone.celsius.is_ok());
    let named = DECIDING
        .iter()
        .find_map(|kind| alive().find(|zone| zone.name.to_ascii_lowercase() == *kind));
    let value = |zone: &Zone| zone.celsius.as_ref().map_or(f64::MIN, |sample| sample.value);
    named.or_else(|| alive().max_by(|a, b| value(a).total_cmp(&value(b))))
}

/// Where throttling starts in a zone, °C: the lowest passive trip point, else hot, else critical.
///
/// # Errors
/// Why nobody knows.
pub fn limit(tree: &Tree, zone: &Zone) -> Quantity {
    let mut trips = Vec::new();
    for trip in 0..TRIPS_MAX {
        let path = |what: &str| format!("{}/trip_point_{trip}_{what}", zone.dir);
        let kind = match tree.text(&path("type")) {
            Ok(kind) => kind,
            // Numbers may have gaps, but no zone begins with one of them all.
            Err(_) => continue,
        };
        let Ok(celsius) = tree.number(&path("temp")) else { continue };
        // A trip point that is switched off is at or below 0.
        if 0.0 < celsius {
            trips.push((kind, celsius * MILLI, path("temp")));
        }
    }
    for kind in LIMITS {
        let of_kind = trips.iter().filter(|(trip, ..)| trip == kind);
        let lowest = of_kind.min_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((_, celsius, path)) = lowest {
            return Ok(Sample::measured(*celsius, path.clone()));
        }
    }
    Err(Missing::Absent)
}

/// All that this probe can say.
pub fn survey(tree: &Tree) -> Vec<Finding> {
    let zones = match read(tree) {
        Ok(zones) => zones,
        Err(missing) => {
            let tried = vec![format!("{CLASS}/thermal_zone*")];
            return vec![Finding::nothing(PROBE, missing, tried)];
        }
    };
    let mut rows: Vec<_> = zones
        .iter()
        .map(|zone| {
            let tried = vec![format!("{}/temp", zone.dir)];
            Finding::number(PROBE, zone.name.clone(), "°C", zone.celsius.clone(), tried)
        })
        .collect();
    if let Some(zone) = deciding(&zones) {
        let celsius = zone.celsius.clone();
        rows.push(Finding::number(PROBE, "throttling".to_owned(), "°C", celsius, Vec::new()));
        let tried = vec![format!("{}/trip_point_*_temp", zone.dir)];
        let limit = limit(tree, zone);
        rows.push(Finding::number(PROBE, "throttling.limit".to_owned(), "°C", limit, tried));
    }
    rows
}
