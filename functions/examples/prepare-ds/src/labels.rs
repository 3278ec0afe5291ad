//! The result and the labels of a data set as JSON. Numbers and names only, so nothing to escape.

use thermal::{CELSIUS_AT_ZERO, CHIP_SIDE, Detection, Detections, STEPS_PER_KELVIN};

/// What the workflow answers for a burst.
pub(crate) fn result(found: &Detections) -> String {
    let target = |target: &Detection| {
        format!(
            r#"{{"x":{},"y":{},"first_frame":{},"peak_c":{},"track":{},"sightings":{}}}"#,
            target.x,
            target.y,
            target.first_frame,
            celsius(target.peak),
            target.track,
            target.sightings
        )
    };
    format!(
        concat!(
            r#"{{"burst":"{}","frames_in":{},"frames_kept":{},"targets":[{}],"#,
            r#""tracks_seen":{},"runs_seen":{},"background_runs":{}}}"#
        ),
        found.kept.scene.name(),
        found.kept.scene.frames,
        found.kept.frames,
        list(&found.targets, target),
        found.tracks_seen,
        found.runs_seen,
        found.kept.background_runs
    )
}

/// The labels: for each chip of the picture, from top to bottom, what it shows and where it was.
pub(crate) fn data_set(found: &Detections) -> String {
    let label = |target: &Detection| {
        format!(
            r#"{{"label":"fire","track":{},"x":{},"y":{},"frames":[{},{}],"peak_c":{}}}"#,
            target.track,
            target.x,
            target.y,
            target.first_frame,
            target.last_frame,
            celsius(target.peak)
        )
    };
    format!(
        r#"{{"burst":"{}","chip_side_px":{CHIP_SIDE},"chips":[{}]}}"#,
        found.kept.scene.name(),
        list(&found.targets, label)
    )
}

fn list(targets: &[Detection], entry: impl Fn(&Detection) -> String) -> String {
    targets.iter().map(entry).collect::<Vec<_>>().join(",")
}

/// The temperature of a pixel in °C, with its half degrees.
fn celsius(value: u8) -> String {
    let tenths = i32::from(value) * 10 / STEPS_PER_KELVIN + CELSIUS_AT_ZERO * 10;
    let sign = if tenths < 0 { "-" } else { "" };
    format!("{sign}{}.{}", tenths.abs() / 10, tenths.abs() % 10)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use thermal::{CHIP_BYTES, Kept, Scene};

    /// One detection.
    pub(crate) fn some() -> Detections {
        let scene = Scene { seed: 7, index: 3, width: 96, height: 80, frames: 16 };
        let target = Detection {
            track: 4,
            sightings: 2,
            x: 10,
            y: 11,
            first_frame: 5,
            last_frame: 15,
            peak: 201,
            chip: vec![9; CHIP_BYTES],
        };
        let kept = Kept { scene, frames: 11, background_runs: 8 };
        Detections { kept, runs_seen: 9, tracks_seen: 6, targets: vec![target] }
    }

    #[test]
    fn the_result_tells_what_was_found_and_what_was_known() {
        let expected = concat!(
            r#"{"burst":"0000000000000007-3","frames_in":16,"frames_kept":11,"targets":["#,
            r#"{"x":10,"y":11,"first_frame":5,"peak_c":80.5,"track":4,"sightings":2}],"#,
            r#""tracks_seen":6,"runs_seen":9,"background_runs":8}"#
        );
        assert_eq!(result(&some()), expected);
    }

    #[test]
    fn labels_stand_in_the_order_of_the_chips() {
        let expected = concat!(
            r#"{"burst":"0000000000000007-3","chip_side_px":16,"chips":["#,
            r#"{"label":"fire","track":4,"x":10,"y":11,"frames":[5,15],"peak_c":80.5}]}"#
        );
        assert_eq!(data_set(&some()), expected);
    }

    #[test]
    fn temperatures_have_half_degrees_and_a_sign() {
        let cases = [(0, "-20.0"), (39, "-0.5"), (40, "0.0"), (41, "0.5"), (255, "107.5")];
        for (value, expected) in cases {
            assert_eq!(celsius(value), expected, "{value}");
        }
    }
}
