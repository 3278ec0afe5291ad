//! Feeds arbitrary bytes to what reads bytes of others, and says what must hold for any of them: it ends, refuses or takes
//! them whole, and takes memory in proportion to their length.
//!
//! Each target is a function here, so that ordinary tests run it over the seeds; `src/bin` gives it to libFuzzer.

mod frames;
mod memory;
mod module;
mod mqtt;
mod segment;
mod serial;
mod table;

pub use frames::{frames, manifest};
pub use memory::{Counting, peak_of};
pub use module::module;
pub use mqtt::mqtt;
pub use segment::segment;
pub use serial::serial;
pub use table::table;

/// Checks that memory stayed in proportion: at most `per_byte` bytes for each of `bytes`, and `fixed` besides.
#[track_caller]
fn check_memory(peak: usize, bytes: usize, per_byte: usize, fixed: usize) {
    let limit = bytes.saturating_mul(per_byte).saturating_add(fixed);
    assert!(peak <= limit, "{bytes} bytes took {peak} bytes of memory, at most {limit} are right");
}
