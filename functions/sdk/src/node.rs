//! The node that the function runs on.

#[cfg(target_family = "wasm")]
use crate::bindings::starbelt::function::node as host;
pub use crate::bindings::starbelt::function::node::Info;
#[cfg(not(target_family = "wasm"))]
use crate::fake::node as host;

/// Describes the node now; `None` in a field means unknown.
pub fn describe() -> Info {
    host::describe()
}
