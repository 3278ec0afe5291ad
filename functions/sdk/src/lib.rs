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
//! A function that is kept warm between calls ([`Stateful`]) is exported by [`export_stateful!`] instead.
//!
//! The limits of a call are in `functions/wit/ABI.md`.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::vec::Vec;

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
#[doc(hidden)]
pub mod stateful;

pub use bindings::exports::starbelt::function::handler::Guest;
pub use bindings::starbelt::function::types::{Budget, Fault, Request};

#[doc(hidden)]
pub use wit_bindgen;

/// A function that can be kept warm between the calls of a task, if its manifest says `[function.warm]`: what it has in statics is
/// still there at the next call. It may be gone at any time, so no answer depends on it; what counts belongs in [`state`].
///
/// ```
/// use std::cell::Cell;
///
/// use sdk::{Fault, Guest, Request, Stateful};
///
/// /// Answers how many calls it remembers.
/// struct Rememberer;
///
/// thread_local! {
///     static CALLS: Cell<u64> = const { Cell::new(0) };
/// }
///
/// impl Guest for Rememberer {
///     fn handle(_request: Request) -> Result<Vec<u8>, Fault> {
///         CALLS.set(CALLS.get() + 1);
///         Ok(CALLS.get().to_le_bytes().to_vec())
///     }
/// }
///
/// impl Stateful for Rememberer {
///     fn suspend() -> Vec<u8> {
///         CALLS.get().to_le_bytes().to_vec()
///     }
///
///     fn resume(memory: Vec<u8>) {
///         // Of another version it may be something else: then it starts anew.
///         CALLS.set(memory.try_into().map_or(0, u64::from_le_bytes));
///     }
/// }
///
/// sdk::export_stateful!(Rememberer);
///
/// let mut node = sdk::fake::Node::default();
/// node.call::<Rememberer>(Vec::new()).expect("an answer");
/// let remembered = Rememberer::suspend();
/// CALLS.set(0);
/// Rememberer::resume(remembered);
/// assert_eq!(node.call::<Rememberer>(Vec::new()), Ok(2_u64.to_le_bytes().to_vec()));
/// ```
pub trait Stateful: Guest {
    /// The instance is about to end, or its task to move: what it would remember, at most 1 MiB; nothing if that is empty. No call is
    /// under way: it can log and look at node and sky, all else is denied. It has half a second.
    fn suspend() -> Vec<u8>;

    /// A new instance, before its first call: what the last one remembered, maybe one of another version. Not called if that was nothing.
    fn resume(memory: Vec<u8>);
}

/// Exports a type that implements [`Guest`] and [`Stateful`] as the function of this crate, of the world `stateful-function`.
#[cfg(target_family = "wasm")]
#[macro_export]
macro_rules! export_stateful {
    ($handler:ident) => {
        $crate::export!($handler);
        struct __Hooks;
        impl $crate::stateful::Hooks for __Hooks {
            fn suspend() -> $crate::stateful::Bytes {
                <$handler as $crate::Stateful>::suspend()
            }
            fn resume(memory: $crate::stateful::Bytes) {
                <$handler as $crate::Stateful>::resume(memory);
            }
        }
        $crate::stateful::__export_hooks!(__Hooks with_types_in $crate::stateful);
    };
}

/// Exports a type that implements [`Guest`] and [`Stateful`] as the function of this crate, of the world `stateful-function`.
///
/// For targets whose linkers refuse the names of a component's exports it checks that the type implements the traits, and no more.
#[cfg(not(target_family = "wasm"))]
#[macro_export]
macro_rules! export_stateful {
    ($handler:ident) => {
        $crate::export!($handler);
        const _: (fn() -> Vec<u8>, fn(Vec<u8>)) =
            (<$handler as $crate::Stateful>::suspend, <$handler as $crate::Stateful>::resume);
    };
}

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
