//! What a guest function needs to run on a Starbelt node. Performs no I/O of its own: all that a
//! function can do goes through the node that runs it.
//!
//! A function is a type with one associated function, and one line that exports it. Built for
//! `wasm32-unknown-unknown` and turned into a component by `cargo xtask functions`, it runs on any
//! node; built for the host, the same code runs against [`fake::Node`], so that `cargo test` can
//! call it.
//!
//! ```
//! use sdk::{Fault, Guest, Request, state};
//!
//! /// Counts its calls, wherever it moves.
//! struct Counter;
//!
//! impl Guest for Counter {
//!     fn handle(_request: Request) -> Result<Vec<u8>, Fault> {
//!         let calls = state::get("calls")?;
//!         let version = calls.as_ref().map_or(0, |old| old.version);
//!         let count = calls.and_then(|old| old.value.first().copied()).unwrap_or(0) + 1;
//!         state::put("calls", &[count], Some(version))?;
//!         Ok(vec![count])
//!     }
//! }
//!
//! sdk::export!(Counter);
//!
//! let mut node = sdk::fake::Node::default();
//! assert_eq!(node.call::<Counter>(Vec::new()), Ok(vec![1]));
//! assert_eq!(node.call::<Counter>(Vec::new()), Ok(vec![2]));
//! ```
//!
//! The limits of a call are in `functions/wit/ABI.md`.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

#[doc(hidden)]
pub mod bindings;
pub mod bytes;
pub mod calls;
#[cfg(not(target_family = "wasm"))]
pub mod fake;
pub mod infer;
pub mod node;
pub mod objects;
pub mod output;
pub mod sky;
pub mod state;

pub use bindings::exports::starbelt::function::handler::Guest;
pub use bindings::starbelt::function::types::{Budget, Fault, Request};

#[doc(hidden)]
pub use wit_bindgen;

/// Exports a type that implements [`Guest`] as the function of this crate.
///
/// For Wasm this is the component's `handler`. For other targets, whose linkers refuse the names of
/// a component's exports, it checks that the type implements the trait, and no more.
#[cfg(target_family = "wasm")]
#[macro_export]
macro_rules! export {
    ($handler:ident) => {
        $crate::bindings::__export_function!($handler with_types_in $crate::bindings);
    };
}

/// Exports a type that implements [`Guest`] as the function of this crate.
///
/// For Wasm this is the component's `handler`. For other targets, whose linkers refuse the names of
/// a component's exports, it checks that the type implements the trait, and no more.
#[cfg(not(target_family = "wasm"))]
#[macro_export]
macro_rules! export {
    ($handler:ident) => {
        const _: fn($crate::Request) -> Result<Vec<u8>, $crate::Fault> =
            <$handler as $crate::Guest>::handle;
    };
}
