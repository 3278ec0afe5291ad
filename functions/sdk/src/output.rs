//! What a function says: to the node's log, and to whoever listens.

use crate::Fault;
#[cfg(target_family = "wasm")]
use crate::bindings::starbelt::function::output as host;
pub use crate::bindings::starbelt::function::output::Level;
#[cfg(not(target_family = "wasm"))]
use crate::fake::output as host;

/// A line of at most 8 KiB for the log; 64 KiB in one call, then the rest is cut.
pub fn log(level: Level, message: &str) {
    host::log(level, message);
}

/// Publishes a message on a topic that the manifest grants, when the call succeeds: at most 64, of 256 KiB each.
///
/// # Errors
/// [`Fault::Denied`] for a topic that is not granted, [`Fault::TooLarge`].
pub fn emit(topic: &str, body: &[u8]) -> Result<(), Fault> {
    host::emit(topic, body)
}
