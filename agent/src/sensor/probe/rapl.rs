//! Energy counters of x86 processors (RAPL). Since CVE-2020-8694 only root reads them.

use crate::sensor::finding::{Finding, Quantity, Sample};
use crate::sensor::tree::{Missing, Tree};

/// The name of this probe.
pub const PROBE: &str = "rapl";
/// Where they are.
pub const CLASS: &str = "/sys/class/powercap";

/// The counter of all that a machine draws; those of packages count processors only.
pub const PLATFORM: &str = "psys";

const MICRO: f64 = 1.0e-6;

/// One counter.
#[derive(Clone, Debug, PartialEq)]
pub struct Counter {
    /// Its name: `package-0`, `psys`, `dram`.
    pub name: String,
    /// Its directory.
    pub dir: String,
    /// Joules so far.
    pub energy_j: Quantity,
    /// Joules where it starts again from 0.
    pub range_j: Quantity,
}

/// The counters that are there.
///
/// # Errors
/// Why there are none.
pub fn read(tree: &Tree) -> Result<Vec<Counter>, Missing> {
    let names = tree.list(CLASS, "intel-rapl:")?;
    let counter = |entry: &String| {
        let dir = format!("{CLASS}/{entry}");
        let joules = |file: &str| {
            let path = format!("{dir}/{file}");
            tree.number(&path).map(|number| Sample::counted(number * MICRO, path))
        };
        Counter {
            name: tree.text(&format!("{dir}/name")).unwrap_or_else(|_| entry.clone()),
            energy_j: joules("energy_uj"),
            range_j: joules("max_energy_range_uj"),
            dir,
        }
    };
    Ok(names.iter().map(counter).collect())
}

/// Joules from one reading to the next; a counter that became smaller has started again, once.
pub fn joules_between(before_j: f64, after_j: f64, range_j: f64) -> f64 {
    if before_j <= after_j { after_j - before_j } else { range_j - before_j + after_j }
}

/// All that this probe can say.
pub fn survey(tree: &Tree) -> Vec<Finding> {
    let counters = match read(tree) {
        Ok(counters) => counters,
        Err(missing) => {
            return vec![Finding::nothing(PROBE, missing, vec![format!("{CLASS}/intel-rapl:*")])];
        }
    };
    let row = |counter: Counter| {
        let tried = vec![format!("{}/energy_uj", counter.dir)];
        Finding::number(PROBE, format!("{}.energy", counter.name), "J", counter.energy_j, tried)
    };
    counters.into_iter().map(row).collect()
}
