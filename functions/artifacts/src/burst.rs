//! Synthetic bursts of a thermal camera, with known targets, so that a result can be checked.
//!
//! Equal seed and index give equal bytes on every machine: all arithmetic is on integers.
//!
//! The seed is the place: terrain, eight places where fire breaks out, two refineries that flare and
//! must not be reported. The index is the moment: which fires burn, from which frame on, clouds
//! that drift, noise of the sensor, and pixels that flash.
//!
//! # Format of a burst file
//!
//! | byte | size | value (little-endian) |
//! |---|---|---|
//! | 0 | 4 | `SBB1` |
//! | 4 | 8 | seed of the place |
//! | 12 | 4 | index of the burst |
//! | 16 | 2 | width, pixels |
//! | 18 | 2 | height, pixels |
//! | 20 | 2 | frames |
//! | 22 | 2 | bits of a pixel: 8 |
//! | 24 | 8 | FNV-1a (64 bits) of the pixels |
//! | 32 | width × height × frames | pixels, frame by frame and row by row; value `v` is −20 °C + v/2 |
//!
//! The reference map is `SBR1`, seed (8), width (2), height (2), and one byte per pixel: 1 where the
//! place is always hot.

mod check;
mod draw;

pub use check::{Outcome, check};

use draw::{Place, Rng, Spot};

/// Pixels in a row.
pub const WIDTH: u16 = 96;
/// Rows.
pub const HEIGHT: u16 = 80;
/// Frames of a burst.
pub const FRAMES: u16 = 16;
/// No target is to be seen before this frame: a quarter of the burst shows the ground alone.
pub const FIRST_FRAME_MIN: u16 = 4;
/// Targets of a burst, fewest and most.
pub const TARGETS: (u64, u64) = (3, 5);
/// Places of one seed where fire breaks out.
pub const FIRES: usize = 8;
/// Refineries of one seed.
pub const REFINERIES: usize = 2;

/// Half the side of the marked square around a refinery, pixels.
const MARK_RADIUS: i32 = 3;

/// A burst and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Burst {
    /// The place.
    pub seed: u64,
    /// The moment.
    pub index: u32,
    /// The file.
    pub bytes: Vec<u8>,
    /// The fires that burn, in no order of importance.
    pub targets: Vec<Target>,
    /// Frames that show a fire or a flare, so change.
    pub frames_changed: u16,
}

/// A known target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Column of its centre.
    pub x: u16,
    /// Row of its centre.
    pub y: u16,
    /// The first frame that shows it; all later ones do, too.
    pub first_frame: u16,
}

/// Makes the burst `index` of the place `seed`.
pub fn generate(seed: u64, index: u32) -> Burst {
    let place = Place::new(seed);
    let mut rng = Rng::new(seed, u64::from(index) + 1);
    let targets = burning(&place, &mut rng);
    let flares: Vec<Target> = place
        .refineries
        .iter()
        .filter_map(|spot| {
            let (flares, later) = (rng.below(4) != 0, rng.below(4));
            flares.then(|| ignite(*spot, later))
        })
        .collect();
    let hot: Vec<Target> = targets.iter().chain(&flares).copied().collect();
    let pixels = place.film(&mut rng, &hot);
    let first = hot.iter().map(|target| target.first_frame).min().unwrap_or(FRAMES);
    Burst {
        seed,
        index,
        bytes: file(seed, index, &pixels),
        targets,
        frames_changed: FRAMES.saturating_sub(first),
    }
}

/// Makes the reference map of the place `seed`: the object of the data source `eo-reference`.
pub fn reference(seed: u64) -> Vec<u8> {
    let place = Place::new(seed);
    let mut bytes = b"SBR1".to_vec();
    bytes.extend(seed.to_le_bytes());
    bytes.extend(WIDTH.to_le_bytes());
    bytes.extend(HEIGHT.to_le_bytes());
    for y in 0..i32::from(HEIGHT) {
        for x in 0..i32::from(WIDTH) {
            let is_near = |spot: &Spot| {
                (spot.x - x).abs() <= MARK_RADIUS && (spot.y - y).abs() <= MARK_RADIUS
            };
            bytes.push(u8::from(place.refineries.iter().any(is_near)));
        }
    }
    bytes
}

/// Some of the places where fire can break out.
fn burning(place: &Place, rng: &mut Rng) -> Vec<Target> {
    let mut spots = place.fires.clone();
    let count = TARGETS.0 + rng.below(TARGETS.1 - TARGETS.0 + 1);
    (0..count)
        .map(|_| {
            let left = u64::try_from(spots.len()).expect("there are eight places");
            let chosen = usize::try_from(rng.below(left)).expect("it is below eight");
            ignite(spots.swap_remove(chosen), rng.below(8))
        })
        .collect()
}

fn ignite(spot: Spot, frames_later: u64) -> Target {
    let coordinate = |value: i32| u16::try_from(value).expect("places lie within the image");
    let later = u16::try_from(frames_later).expect("it is below eight");
    Target { x: coordinate(spot.x), y: coordinate(spot.y), first_frame: FIRST_FRAME_MIN + later }
}

fn file(seed: u64, index: u32, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = b"SBB1".to_vec();
    bytes.extend(seed.to_le_bytes());
    bytes.extend(index.to_le_bytes());
    for value in [WIDTH, HEIGHT, FRAMES, 8] {
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend(fnv1a(pixels).to_le_bytes());
    bytes.extend_from_slice(pixels);
    bytes
}

/// FNV-1a, 64 bits, as published.
fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seed_and_index_give_equal_bytes() {
        assert_eq!(generate(7, 3), generate(7, 3));
        assert_ne!(generate(7, 3).bytes, generate(7, 4).bytes);
        assert_ne!(generate(7, 3).bytes, generate(8, 3).bytes);
    }

    #[test]
    fn the_bytes_of_a_burst_do_not_change_by_accident() {
        assert_eq!(fnv1a(&generate(1, 0).bytes), 0xd143_183f_754f_c284);
        assert_eq!(fnv1a(&reference(1)), 0x3206_fd2c_d6b5_c64c);
    }

    #[test]
    fn a_burst_has_its_size_and_its_bounds() {
        for index in 0..20 {
            let burst = generate(9, index);
            assert_eq!(burst.bytes.len(), 32 + 96 * 80 * 16);
            assert!((3..=5).contains(&burst.targets.len()));
            assert!(burst.targets.iter().all(|t| (4..12).contains(&t.first_frame)));
        }
    }
}
