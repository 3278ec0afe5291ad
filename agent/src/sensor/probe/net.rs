//! Counters of network interfaces. Their addresses are not read.

use crate::sensor::finding::{Finding, Sample};
use crate::sensor::tree::Tree;

/// The name of this probe.
pub const PROBE: &str = "net";
/// Where interfaces are.
pub const CLASS: &str = "/sys/class/net";

/// Interfaces at most: containers bring many.
const INTERFACES_MAX: usize = 16;
const COUNTERS: [(&str, &str); 6] = [
    ("rx_bytes", "B"),
    ("tx_bytes", "B"),
    ("rx_errors", ""),
    ("tx_errors", ""),
    ("rx_dropped", ""),
    ("tx_dropped", ""),
];

/// All that this probe can say, of the first interfaces; `lo` says nothing about a link.
pub fn survey(tree: &Tree) -> Vec<Finding> {
    let names = match tree.list(CLASS, "") {
        Ok(names) => names,
        Err(missing) => return vec![Finding::nothing(PROBE, missing, vec![CLASS.to_owned()])],
    };
    let mut rows = Vec::new();
    for name in names.iter().filter(|name| *name != "lo").take(INTERFACES_MAX) {
        let path = format!("{CLASS}/{name}/operstate");
        rows.push(Finding::word(PROBE, format!("{name}.state"), tree.text(&path), path));
        for (counter, unit) in COUNTERS {
            let path = format!("{CLASS}/{name}/statistics/{counter}");
            let count = tree.number(&path).map(|count| Sample::counted(count, path.clone()));
            rows.push(Finding::number(PROBE, format!("{name}.{counter}"), unit, count, vec![path]));
        }
    }
    rows
}
