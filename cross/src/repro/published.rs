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
