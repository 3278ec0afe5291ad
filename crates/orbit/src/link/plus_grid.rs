//! +Grid of a Walker shell: ahead, behind, and the same slot of both neighbouring planes.

use super::LinkLayout;
use crate::walker::WalkerShell;

/// The layout of a shell whose satellites are numbered plane by plane.
pub(crate) fn plus_grid(shell: &WalkerShell) -> LinkLayout {
    let (planes, slots) = (shell.planes, shell.slots);
    let index = |plane: u32, slot: u32| plane * slots + slot;
    let mut pairs = Vec::new();
    for plane in 0..planes {
        for slot in 0..slots {
            pairs.push((index(plane, slot), index(plane, (slot + 1) % slots)));
            if plane + 1 < planes {
                pairs.push((index(plane, slot), index(plane + 1, slot)));
            } else if shell.closes() {
                // Going once round, the phasing adds up to F slots; without this shift the seam would
                // pass through the Earth.
                pairs.push((index(plane, slot), index(0, (slot + shell.phasing) % slots)));
            }
        }
    }
    LinkLayout::new(pairs)
}

#[cfg(test)]
mod tests {
    use types::Epoch;

    use super::*;

    fn shell(planes: u32, slots: u32, phasing: u32, raan_span_deg: f64) -> WalkerShell {
        WalkerShell {
            name: "s".to_owned(),
            planes,
            slots,
            altitude_km: 550.0,
            inclination_deg: 53.0,
            phasing,
            raan_span_deg,
            epoch: Epoch::from_unix_ns(0),
        }
    }

    #[test]
    fn each_satellite_of_a_full_shell_has_four_links() {
        let layout = plus_grid(&shell(72, 22, 17, 360.0));
        assert_eq!(layout.pairs().len(), 2 * 1584);
        for satellite in 0..1584 {
            let degree = layout.pairs().iter().filter(|(a, b)| *a == satellite || *b == satellite);
            assert_eq!(degree.count(), 4, "{satellite}");
        }
        // Slot 3 of the last plane joins slot 3 + 17 of the first.
        assert!(layout.pairs().contains(&(20, 71 * 22 + 3)));
    }

    #[test]
    fn small_and_open_shells_make_no_twins_and_no_loops() {
        for (planes, slots, phasing, span, links) in [
            (1, 1, 0, 360.0, 0),
            (1, 2, 0, 360.0, 1),
            (2, 1, 0, 360.0, 1),
            (1, 3, 0, 360.0, 3),
            (2, 2, 0, 360.0, 4),
            (2, 2, 1, 360.0, 6),
            // A star does not close: the first and last plane meet head-on.
            (6, 11, 2, 180.0, 66 + 55),
        ] {
            let got = plus_grid(&shell(planes, slots, phasing, span)).pairs().len();
            assert_eq!(got, links, "{planes} x {slots} F {phasing}");
        }
    }
}
