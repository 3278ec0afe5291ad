//! Probes: each reads one kind of hardware from files of the kernel, says what it found, and why it found nothing.

pub mod board;
pub mod gpu;
pub mod hwmon;
pub mod load;
pub mod net;
pub mod nvml;
pub mod pi;
pub mod power_supply;
pub mod rails;
pub mod rapl;
pub mod storage;
pub mod zones;

use super::finding::Finding;
use super::tree::Tree;

/// All that all probes can say, in a fixed order.
pub fn survey(tree: &Tree) -> Vec<Finding> {
    let probes: [fn(&Tree) -> Vec<Finding>; 11] = [
        board::survey,
        power_supply::survey,
        rails::survey,
        hwmon::survey,
        zones::survey,
        pi::survey,
        gpu::survey,
        rapl::survey,
        load::survey,
        storage::survey,
        net::survey,
    ];
    probes.iter().flat_map(|probe| probe(tree)).collect()
}

#[cfg(test)]
pub(super) mod tests;
