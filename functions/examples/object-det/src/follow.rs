//! Follows spots from frame to frame of one burst: a target is what is seen again.

use thermal::{CHIP_SIDE, Detection, Frame, Reference, Scene};

use crate::detect::{self, Spot};
use crate::filter;

/// How far the same target may seem to move between frames, pixels in each direction.
pub(crate) const DISTANCE_MAX: u16 = 3;
/// Frames that must show a target.
const FRAMES_MIN: u16 = 2;
/// Most targets that are followed: more is no fire but a broken camera.
const TARGETS_MAX: usize = 64;

/// A target while its burst is looked at.
struct Followed {
    frames: u16,
    detection: Detection,
}

/// The targets of a burst, without tracks yet.
pub(crate) fn targets(scene: &Scene, frames: &[Frame], map: &Reference) -> Vec<Detection> {
    let width = usize::from(scene.width);
    let mut followed: Vec<Followed> = Vec::new();
    for frame in frames {
        for spot in detect::spots(width, &filter::median(width, &frame.pixels)) {
            if map.is_hot(spot.x, spot.y) {
                continue;
            }
            let is_full = followed.len() == TARGETS_MAX;
            let known = followed.iter_mut().find(|known| is_near(&known.detection, spot.x, spot.y));
            match known {
                Some(known) => known.see(frame.number, spot),
                None if is_full => {}
                None => followed.push(Followed::new(scene, frame, spot)),
            }
        }
    }
    followed.retain(|target| FRAMES_MIN <= target.frames);
    followed.into_iter().map(|target| target.detection).collect()
}

/// Whether a place is that of a target.
fn is_near(target: &Detection, x: u16, y: u16) -> bool {
    target.x.abs_diff(x) <= DISTANCE_MAX && target.y.abs_diff(y) <= DISTANCE_MAX
}

impl Followed {
    fn new(scene: &Scene, frame: &Frame, spot: Spot) -> Self {
        let Spot { x, y, peak, .. } = spot;
        let (first_frame, last_frame) = (frame.number, frame.number);
        let chip = chip(scene, &frame.pixels, x, y);
        let (track, sightings) = (0, 0);
        let detection = Detection { track, sightings, x, y, first_frame, last_frame, peak, chip };
        Self { frames: 1, detection }
    }

    fn see(&mut self, frame: u16, spot: Spot) {
        // Two spots of one frame may be near the same target; they are one sighting.
        self.frames += u16::from(self.detection.last_frame != frame);
        self.detection.last_frame = frame;
        self.detection.peak = self.detection.peak.max(spot.peak);
    }
}

/// The square image around a place, moved inwards at the border.
fn chip(scene: &Scene, pixels: &[u8], x: u16, y: u16) -> Vec<u8> {
    let start = |middle: u16, end: u16| {
        usize::from(middle.saturating_sub(CHIP_SIDE / 2).min(end.saturating_sub(CHIP_SIDE)))
    };
    let (left, top) = (start(x, scene.width), start(y, scene.height));
    let (width, side) = (usize::from(scene.width), usize::from(CHIP_SIDE));
    let rows = pixels.chunks_exact(width).skip(top).take(side);
    rows.flat_map(|row| row.get(left..left + side).unwrap_or_default()).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use thermal::CHIP_BYTES;

    const SCENE: Scene = Scene { seed: 7, index: 2, width: 32, height: 24, frames: 8 };

    fn frame(number: u16, hot: &[(usize, usize)]) -> Frame {
        let mut pixels = vec![80; 32 * 24];
        for (x, y) in hot {
            for row in y - 2..=y + 2 {
                pixels[row * 32 + x - 2..=row * 32 + x + 2].fill(200);
            }
        }
        Frame { number, pixels }
    }

    #[track_caller]
    fn check(frames: &[Frame], expected: &[(u16, u16, u16, u16)]) {
        let map = Reference { width: 32, height: 24, mask: vec![0; 32 * 24] };
        let found = targets(&SCENE, frames, &map);
        let found: Vec<_> = found.iter().map(|t| (t.x, t.y, t.first_frame, t.last_frame)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_seen_again_is_a_target() {
        check(
            &[frame(2, &[(8, 8)]), frame(3, &[(9, 8), (24, 15)]), frame(5, &[(24, 15)])],
            &[(8, 8, 2, 3), (24, 15, 3, 5)],
        );
    }

    #[test]
    fn what_is_seen_once_is_none() {
        check(&[frame(2, &[(8, 8)]), frame(3, &[(24, 15)])], &[]);
    }

    #[test]
    fn chips_keep_their_size_at_the_border() {
        let pixels: Vec<u8> = (0..32 * 24).map(|at| u8::try_from(at % 32).unwrap()).collect();
        for (x, y, first) in [(0, 0, 0), (31, 23, 16), (16, 12, 8)] {
            let chip = chip(&SCENE, &pixels, x, y);
            assert_eq!((chip.len(), chip[0]), (CHIP_BYTES, first), "{x}, {y}");
        }
    }
}
