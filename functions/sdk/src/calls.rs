//! Other functions. A call counts against the hops, the budget and the deadline of the one that makes it.

use alloc::vec::Vec;

use crate::Fault;
#[cfg(target_family = "wasm")]
use crate::bindings::starbelt::function::calls as host;
pub use crate::bindings::starbelt::function::calls::Outgoing;
#[cfg(not(target_family = "wasm"))]
use crate::fake::calls as host;

/// Calls a function that the manifest grants, and waits for its answer. The objects that it hands back come to the inputs of this
/// call, with its name as their task.
///
/// # Errors
/// [`Fault::Denied`] for a function that is not granted, [`Fault::TooLarge`] when hops or budget are used up, and
/// those of the function.
pub fn call(what: &Outgoing) -> Result<Vec<u8>, Fault> {
    host::call(what)
}
