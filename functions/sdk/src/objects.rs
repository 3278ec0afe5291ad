//! Objects that come with a call, and objects that go on: to the next stage, or along with a call of another function.

use alloc::format;
use alloc::vec::Vec;

use crate::Fault;
#[cfg(target_family = "wasm")]
use crate::bindings::starbelt::function::objects as host;
pub use crate::bindings::starbelt::function::objects::Input;
#[cfg(not(target_family = "wasm"))]
use crate::fake::objects as host;

/// Most bytes that [`read_all`] asks for at once.
const READ_BYTES: u32 = 256 * 1024 * 1024;

/// What came with the call: outputs of the stages before, and objects of data sources.
pub fn inputs() -> Vec<Input> {
    host::inputs()
}

/// Reads a part of an object that came with the call; a short answer means its end.
///
/// # Errors
/// [`Fault::NotFound`] when no such object came, [`Fault::TooLarge`] over the limits of a call.
pub fn read(input: &Input, offset: u64, len: u32) -> Result<Vec<u8>, Fault> {
    host::read(&input.task, &input.key, offset, len)
}

/// Reads a whole object that came with the call.
///
/// # Errors
/// [`Fault::TooLarge`] when it has more than `bytes_max`; else those of [`read`].
pub fn read_all(input: &Input, bytes_max: u64) -> Result<Vec<u8>, Fault> {
    if bytes_max < input.bytes {
        return Err(Fault::TooLarge);
    }
    // One piece nearly always: it becomes the answer as it is.
    let mut bytes = read(input, 0, len_of(input.bytes))?;
    loop {
        // Lossless: no address space that a function has counts beyond 64 bits.
        let offset = bytes.len() as u64;
        let left = input.bytes.saturating_sub(offset);
        if left == 0 {
            return Ok(bytes);
        }
        let part = read(input, offset, len_of(left))?;
        if part.is_empty() {
            return Err(Fault::BadInput(format!(
                "object {} of {} ends after {offset} of {} bytes",
                input.key, input.task, input.bytes
            )));
        }
        bytes.extend_from_slice(&part);
    }
}

fn len_of(left: u64) -> u32 {
    u32::try_from(left).unwrap_or(READ_BYTES).min(READ_BYTES)
}

/// Writes an object for those after; a second write of a key within the call appends to it.
///
/// # Errors
/// [`Fault::TooLarge`] over the limits of a call, [`Fault::BadInput`] for a key against the rules.
pub fn write(key: &str, bytes: &[u8]) -> Result<(), Fault> {
    host::write(key, bytes)
}

/// Writes over a part of an object of this call; what goes beyond its end extends it.
///
/// # Errors
/// [`Fault::BadInput`] for an offset beyond its end, and those of [`write()`].
pub fn write_at(key: &str, offset: u64, bytes: &[u8]) -> Result<(), Fault> {
    host::write_at(key, offset, bytes)
}

/// Hands bytes over as a whole object without copying them: they stay where they are until the call has ended, and whoever reads them
/// copies them from there.
///
/// # Errors
/// [`Fault::BadInput`] for a key that was written already, and those of [`write()`].
pub fn hand(key: &str, bytes: Vec<u8>) -> Result<(), Fault> {
    // The instance ends with the call, and all of its memory with it; until then nobody may change these bytes.
    host::hand(key, bytes.leak())
}

/// Hands an object that came with the call on, under a key of this call, without reading it.
///
/// # Errors
/// [`Fault::NotFound`] when no such object came, and those of [`write()`].
pub fn forward(input: &Input, to: &str) -> Result<(), Fault> {
    host::forward(&input.task, &input.key, to)
}
