//! How busy a machine is: pressure stall information, load, available memory.

use crate::sensor::finding::{Finding, Quantity, Sample};
use crate::sensor::tree::{Missing, Tree};

/// The name of the probe of pressure.
pub const PRESSURE: &str = "pressure";
/// The name of the probe of load and memory.
pub const LOAD: &str = "load";
/// Where pressure is; absent without `CONFIG_PSI`, or where `psi=1` is not on the kernel's command line.
pub const PRESSURE_DIR: &str = "/proc/pressure";
const LOADAVG: &str = "/proc/loadavg";
const MEMINFO: &str = "/proc/meminfo";

const RESOURCES: [&str; 3] = ["cpu", "memory", "io"];
const KIB_PER_MIB: f64 = 1024.0;

/// Stalls of one kind: the share of time in which some, or all, tasks waited for a resource.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stall {
    /// Over 10 s, 0 to 1.
    pub avg10: f64,
    /// Over 60 s, 0 to 1.
    pub avg60: f64,
    /// Over 300 s, 0 to 1.
    pub avg300: f64,
    /// Since the start of the machine, s.
    pub total_s: f64,
}

/// Reads a line `some avg10=0.12 avg60=0.05 avg300=0.01 total=12345` (percent; µs).
///
/// # Errors
/// If the line of that kind is missing or is not such a line.
pub fn stall(text: &str, kind: &str) -> Result<Stall, Missing> {
    let line = text.lines().find_map(|line| line.strip_prefix(kind)).ok_or(Missing::Absent)?;
    let field = |name: &str| {
        let value = line.split_whitespace().find_map(|field| field.strip_prefix(name));
        let number = value.and_then(|value| value.parse::<f64>().ok());
        let number = number.filter(|number| number.is_finite() && 0.0 <= *number);
        number.ok_or_else(|| Missing::Malformed(line.trim().chars().take(24).collect()))
    };
    let share = |name| {
        let percent = field(name)?;
        let rule = "a share of time is 0 to 100 %";
        if percent <= 100.0 {
            Ok(percent / 100.0)
        } else {
            Err(Missing::implausible(line.trim(), rule))
        }
    };
    Ok(Stall {
        avg10: share("avg10=")?,
        avg60: share("avg60=")?,
        avg300: share("avg300=")?,
        total_s: field("total=")? / 1.0e6,
    })
}

fn pressure(tree: &Tree) -> Vec<Finding> {
    let mut rows = Vec::new();
    for resource in RESOURCES {
        let path = format!("{PRESSURE_DIR}/{resource}");
        let text = tree.text(&path);
        for kind in ["some", "full"] {
            let stall = text.clone().and_then(|text| stall(&text, kind));
            let name = format!("{resource}.{kind}.avg10");
            let share = stall.map(|stall| Sample::counted(stall.avg10, path.clone()));
            rows.push(Finding::number(PRESSURE, name, "", share, vec![path.clone()]));
        }
    }
    rows
}

/// A field of `/proc/meminfo`, MiB.
///
/// # Errors
/// Why there is none.
pub fn memory_mib(tree: &Tree, field: &str) -> Quantity {
    let text = tree.text(MEMINFO)?;
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib = value.ok_or(Missing::Absent)?.trim().trim_end_matches("kB").trim();
    let kib = crate::sensor::tree::whole(kib)?;
    Ok(Sample::counted(kib / KIB_PER_MIB, MEMINFO.to_owned()))
}

fn load1(tree: &Tree) -> Quantity {
    let text = tree.text(LOADAVG)?;
    let first = text.split_whitespace().next().unwrap_or_default();
    let load = first.parse::<f64>().ok().filter(|load| load.is_finite() && 0.0 <= *load);
    let load = load.ok_or_else(|| Missing::Malformed(first.chars().take(24).collect()))?;
    Ok(Sample::counted(load, LOADAVG.to_owned()))
}

/// All that these probes can say.
pub fn survey(tree: &Tree) -> Vec<Finding> {
    let mut rows = pressure(tree);
    let load = load1(tree);
    rows.push(Finding::number(LOAD, "average.1min".to_owned(), "", load, vec![LOADAVG.to_owned()]));
    // What is free is not what is available: caches give way.
    for (name, field) in [("memory.available", "MemAvailable"), ("memory.total", "MemTotal")] {
        let value = memory_mib(tree, field);
        rows.push(Finding::number(LOAD, name.to_owned(), "MiB", value, vec![MEMINFO.to_owned()]));
    }
    rows
}
