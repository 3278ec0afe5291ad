//! The numbers of the Stardust paper: 100 steps of 60 s with 85 stations, 6,882 element sets of December 2024 and copies of
//! them; a virtual machine with 32 cores (Skylake) and 48 GiB, .NET 8; mean of a stopwatch around the step.

/// The sizes of its runs from beginning to end.
pub(super) const SIZES: [u64; 8] = [250, 500, 1000, 2000, 3023, 6882, 13_764, 20_646];
/// The size at which it varies the load.
pub(super) const LOAD_SIZE: u64 = 6882;

/// The two protocols that it compares, by the names that scenarios use.
pub(super) const PROTOCOLS: [&str; 2] = ["mst_smart_loop", "pst_smart_loop"];

/// A mean step: satellites, protocol, workflows a step, step in ms, scheduling in ms.
type Step = (u64, &'static str, u64, f64, Option<f64>);

/// All mean steps. For 10 workflows under `pst_smart_loop` the paper repeats its row of 100: left out.
const STEPS: [Step; 17] = [
    (250, "mst_smart_loop", 0, 13.51, None),
    (250, "pst_smart_loop", 0, 15.86, None),
    (3023, "mst_smart_loop", 0, 2_056.38, None),
    (3023, "pst_smart_loop", 0, 1_505.36, None),
    (20_646, "mst_smart_loop", 0, 88_330.54, None),
    (20_646, "pst_smart_loop", 0, 56_710.87, None),
    (250, "mst_smart_loop", 1, 25.88, Some(1.23)),
    (250, "pst_smart_loop", 1, 24.66, Some(1.53)),
    (3023, "mst_smart_loop", 1, 2_194.02, Some(13.54)),
    (3023, "pst_smart_loop", 1, 1_605.45, Some(13.09)),
    (20_646, "mst_smart_loop", 1, 87_905.50, Some(144.44)),
    (20_646, "pst_smart_loop", 1, 57_598.34, Some(137.31)),
    (LOAD_SIZE, "mst_smart_loop", 1, 10_598.0, Some(30.78)),
    (LOAD_SIZE, "pst_smart_loop", 1, 8_457.0, Some(33.17)),
    (LOAD_SIZE, "mst_smart_loop", 10, 10_716.0, Some(29.41)),
    (LOAD_SIZE, "mst_smart_loop", 100, 42_902.0, Some(757.0)),
    (LOAD_SIZE, "pst_smart_loop", 100, 38_600.0, Some(736.0)),
];

/// Seconds from beginning to end, in the order of [`SIZES`].
const END_TO_END_S: [f64; 8] = [3.0, 3.0, 15.0, 69.0, 162.0, 877.0, 2_995.0, 6_464.0];

/// Its mean step and its scheduling, ms.
pub(super) fn step_ms(
    satellites: u64,
    protocol: &str,
    workflows: u64,
) -> (Option<f64>, Option<f64>) {
    let row = STEPS.iter().find(|(n, p, w, ..)| (*n, *p, *w) == (satellites, protocol, workflows));
    row.map_or((None, None), |(.., step, scheduling)| (Some(*step), *scheduling))
}

/// Its seconds from beginning to end.
pub(super) fn end_to_end_s(satellites: u64) -> Option<f64> {
    SIZES.iter().zip(END_TO_END_S).find(|(size, _)| **size == satellites).map(|(_, s)| s)
}

/// What is published of a policy at a size of HyperDrive's scenario: results of polaris-slo-cloud/hyper-drive (4072ae0), 15 decisions each, and
/// what follows from them for the minutes of the runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct HyperDriveRow {
    /// All nodes.
    pub(super) nodes: u64,
    /// The policy.
    pub(super) policy: &'static str,
    /// Latency of a workflow from predecessors, mean of five, ms.
    pub(super) pred_ms: f64,
    /// The same with the longer of predecessor and data.
    pub(super) max_ms: f64,
    /// Tasks that met all objectives when they were placed, of 15.
    pub(super) met: u32,
    /// Minutes of runs in which an objective was violated, of 80.
    pub(super) minutes_violated: u32,
    /// Placements above the highest temperature.
    pub(super) too_hot: u32,
}

const fn hyperdrive_row(
    nodes: u64,
    policy: &'static str,
    (pred_ms, max_ms): (f64, f64),
    (met, minutes_violated, too_hot): (u32, u32, u32),
) -> HyperDriveRow {
    HyperDriveRow { nodes, policy, pred_ms, max_ms, met, minutes_violated, too_hot }
}

/// The policies that draw nothing.
pub(super) const HYPERDRIVE: [HyperDriveRow; 12] = [
    hyperdrive_row(1118, "hyperdrive", (90.1696, 99.2087), (15, 13, 0)),
    hyperdrive_row(1118, "first-fit", (323.3126, 507.4982), (5, 46, 0)),
    hyperdrive_row(1118, "round-robin", (268.3928, 408.9614), (9, 30, 1)),
    hyperdrive_row(2236, "hyperdrive", (94.5659, 109.2257), (15, 5, 0)),
    hyperdrive_row(2236, "first-fit", (229.6509, 437.8994), (5, 57, 0)),
    hyperdrive_row(2236, "round-robin", (196.5307, 324.4516), (10, 20, 1)),
    hyperdrive_row(3354, "hyperdrive", (25.6378, 70.879), (15, 24, 0)),
    hyperdrive_row(3354, "first-fit", (201.1434, 407.2983), (6, 45, 0)),
    hyperdrive_row(3354, "round-robin", (172.4823, 317.075), (8, 32, 1)),
    hyperdrive_row(4472, "hyperdrive", (23.3667, 87.0848), (15, 11, 0)),
    hyperdrive_row(4472, "first-fit", (172.1006, 348.0139), (6, 43, 0)),
    hyperdrive_row(4472, "round-robin", (175.8205, 302.2868), (9, 20, 1)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_paper_does_not_tell_is_none() {
        assert_eq!(step_ms(20_646, "pst_smart_loop", 0), (Some(56_710.87), None));
        assert_eq!(step_ms(LOAD_SIZE, "pst_smart_loop", 10), (None, None));
        assert_eq!((end_to_end_s(20_646), end_to_end_s(100_000)), (Some(6_464.0), None));
    }
}
