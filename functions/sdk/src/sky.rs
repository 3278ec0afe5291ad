//! The sky, from the contact plan that the node holds.

#[cfg(target_family = "wasm")]
use crate::bindings::starbelt::function::sky as host;
pub use crate::bindings::starbelt::function::sky::{Contact, Place};
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

/// The present or next contact with any node of a kind: `satellite`, `ground-station`, `edge`, `cloud`.
pub fn next_contact_with(kind: &str) -> Option<Contact> {
    host::next_contact_with(kind)
}

/// Where the node is; `None` means unknown.
pub fn position() -> Option<Place> {
    host::position()
}

/// One-way latency to a node now, in milliseconds; `None` while no path is there or known.
pub fn latency(node: &str) -> Option<f64> {
    host::latency(node)
}
