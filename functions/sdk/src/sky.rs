//! The sky, from the contact plan that the node holds.

#[cfg(target_family = "wasm")]
use crate::bindings::starbelt::function::sky as host;
pub use crate::bindings::starbelt::function::sky::Contact;
#[cfg(not(target_family = "wasm"))]
use crate::fake::sky as host;

/// UTC of the sky, in nanoseconds since 1970.
pub fn now() -> i64 {
    host::now()
}

/// The present or next contact with a node; `None` if the plan holds none.
pub fn next_contact(node: &str) -> Option<Contact> {
    host::next_contact(node)
}
