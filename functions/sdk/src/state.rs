//! Lasting state of the task: keys and values that follow it from node to node.
//!
//! Writes become durable and visible together when the call succeeds, or not at all.

use alloc::string::String;
use alloc::vec::Vec;

use crate::Fault;
#[cfg(target_family = "wasm")]
use crate::bindings::starbelt::function::state as host;
pub use crate::bindings::starbelt::function::state::{Versioned, Write};
#[cfg(not(target_family = "wasm"))]
use crate::fake::state as host;

/// Reads a value; sees the writes of this call.
///
/// # Errors
/// [`Fault::BadInput`] for a key against the rules, [`Fault::Denied`] for one that is not granted.
pub fn get(key: &str) -> Result<Option<Versioned>, Fault> {
    host::get(key)
}

/// Writes a value of at most 1 MiB and answers its coming version. With `expect` it does so only if
/// that is the present version; 0 stands for no value yet.
///
/// # Errors
/// [`Fault::Conflict`] with the present version, [`Fault::TooLarge`], and those of [`get`].
pub fn put(key: &str, value: &[u8], expect: Option<u64>) -> Result<u64, Fault> {
    host::put(key, value, expect)
}

/// Reads at most `len` bytes of a value from `offset` on; a short answer means its end.
///
/// # Errors
/// Those of [`get`].
pub fn get_range(key: &str, offset: u64, len: u32) -> Result<Option<Vec<u8>>, Fault> {
    host::get_range(key, offset, len)
}

/// Reads several values, in the order of the keys.
///
/// # Errors
/// Those of [`get`].
pub fn get_many(keys: &[String]) -> Result<Vec<Option<Versioned>>, Fault> {
    host::get_many(keys)
}

/// Makes all of these writes or, with the first fault, none. Answers the coming version of each; 0 for a removed value.
///
/// # Errors
/// Those of [`put`].
pub fn batch(writes: &[Write]) -> Result<Vec<u64>, Fault> {
    host::batch(writes)
}

/// Removes a value.
///
/// # Errors
/// [`Fault::NotFound`] when there is none, and those of [`get`].
pub fn delete(key: &str) -> Result<(), Fault> {
    host::delete(key)
}

/// The keys at or below a prefix, in order; an empty prefix means all.
///
/// # Errors
/// Those of [`get`].
pub fn keys(prefix: &str) -> Result<Vec<String>, Fault> {
    host::keys(prefix)
}
