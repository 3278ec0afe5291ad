//! What the example functions hand to each other: thermal frames and what was found in them.
//! Performs no I/O but through the sdk; refuses what does not decode, and never panics on it.
//!
//! All values are little-endian. A pixel of value `v` has −20 °C + v/2. The keys, who writes them:
//!
//! | object | by | holds |
//! |---|---|---|
//! | `burst` | ingest | [`Scene`] |
//! | `frames/NN` | ingest all, extract-frames the kept | [`Frame`] |
//! | `kept` | extract-frames | [`Kept`] |
//! | `reference/…` | data source `eo-reference` | [`Reference`] |
//! | `detections` | object-det | [`Detections`] |

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod detections;
mod frame;

pub use detections::{CHIP_BYTES, CHIP_SIDE, Detection, Detections};
pub use frame::{Frame, Kept, Reference, Scene};

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use sdk::{Fault, objects};

/// Key of the [`Scene`].
pub const BURST: &str = "burst";
/// Folder of the [`Frame`]s.
pub const FRAMES: &str = "frames";
/// Key of [`Kept`].
pub const KEPT: &str = "kept";
/// Folder of the [`Reference`].
pub const REFERENCE: &str = "reference";
/// Key of the [`Detections`].
pub const DETECTIONS: &str = "detections";

/// Shortest side of an image, pixels: less leaves no surroundings to compare with.
pub const SIDE_MIN: u16 = 16;
/// Longest side of an image, pixels: a frame then has 256 KiB.
pub const SIDE_MAX: u16 = 512;
/// Most frames of a burst, half of the objects that a call may write.
pub const FRAMES_MAX: u16 = 32;
/// Most bytes of any of these objects: a frame and its head, with room.
const OBJECT_BYTES_MAX: u64 = 512 * 1024;

/// Temperature of a pixel of value 0, °C.
pub const CELSIUS_AT_ZERO: i32 = -20;
/// Steps of a pixel's value in one kelvin.
pub const STEPS_PER_KELVIN: i32 = 2;

/// The key of a frame.
pub fn frame_key(number: u16) -> String {
    format!("{FRAMES}/{number:02}")
}

/// Reads the one object of the call that has this key.
///
/// # Errors
/// [`Fault::BadInput`] when none came.
pub fn read_one(key: &str) -> Result<Vec<u8>, Fault> {
    let inputs = objects::inputs();
    let input = inputs.iter().find(|input| input.key == key);
    let input = input.ok_or_else(|| Fault::BadInput(format!("no object {key:?} came")))?;
    objects::read_all(input, OBJECT_BYTES_MAX)
}

/// Reads all objects of the call below a folder, in the order of their keys.
///
/// # Errors
/// [`Fault::TooLarge`] when there are more than a burst can have.
pub fn read_folder(folder: &str) -> Result<Vec<Vec<u8>>, Fault> {
    let is_below = |key: &str| key.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    let mut inputs = objects::inputs();
    inputs.retain(|input| is_below(&input.key));
    inputs.sort_by(|a, b| a.key.cmp(&b.key));
    if usize::from(FRAMES_MAX) < inputs.len() {
        return Err(Fault::TooLarge);
    }
    inputs.iter().map(|input| objects::read_all(input, OBJECT_BYTES_MAX)).collect()
}
