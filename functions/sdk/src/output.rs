//! What a function says to the node's log.

#[cfg(target_family = "wasm")]
use crate::bindings::starbelt::function::output as host;
pub use crate::bindings::starbelt::function::output::Level;
#[cfg(not(target_family = "wasm"))]
use crate::fake::output as host;

/// A line of at most 8 KiB for the log; 64 KiB in one call, then the rest is cut.
pub fn log(level: Level, message: &str) {
    host::log(level, message);
}
