//! Starbelt on the wire: messages, keys and their versioned encoding. Performs no I/O.
//!
//! Every payload is `version byte, schema byte, postcard` (see [`codec`] and `WIRE.md`); every message has a
//! largest size, checked before anything is decoded, and is validated after. Field and variant order is the
//! wire format: append only, golden bytes in `tests/golden` hold it.
//!
//! Reading order: [`codec`], [`key`], [`report`], [`board`], [`event`], [`log`], [`topic`], [`desired`], [`invoke`], [`call`], [`belt`],
//! [`plan`], [`module`], [`command`], [`sim`], [`manifest`], [`signed`], [`release`], [`join`], [`access`]; apart from them [`serial`], which microcontrollers speak.
//!
//! Without the feature `fleet` only [`serial`] is left, which needs neither an allocator nor the crate `types`: that is what firmware builds.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "fleet")]
extern crate alloc;

#[cfg(feature = "fleet")]
pub mod access;
#[cfg(feature = "fleet")]
pub mod backlog;
#[cfg(feature = "fleet")]
pub mod belt;
#[cfg(feature = "fleet")]
pub mod board;
#[cfg(feature = "fleet")]
pub mod call;
#[cfg(feature = "fleet")]
pub mod codec;
#[cfg(feature = "fleet")]
pub mod command;
#[cfg(feature = "fleet")]
pub mod desired;
#[cfg(feature = "fleet")]
pub mod event;
#[cfg(feature = "fleet")]
pub mod invoke;
#[cfg(feature = "fleet")]
pub mod join;
#[cfg(feature = "fleet")]
pub mod key;
#[cfg(feature = "fleet")]
pub mod log;
#[cfg(feature = "fleet")]
pub mod manifest;
#[cfg(feature = "fleet")]
pub mod module;
#[cfg(feature = "fleet")]
pub mod plan;
#[cfg(feature = "fleet")]
pub mod release;
#[cfg(feature = "fleet")]
pub mod report;
#[cfg(feature = "fleet")]
mod rule;
pub mod serial;
#[cfg(feature = "fleet")]
pub mod signed;
#[cfg(feature = "fleet")]
pub mod sim;
#[cfg(feature = "fleet")]
pub mod topic;

#[cfg(feature = "fleet")]
pub use codec::{DecodeError, EncodeError, Message, Schema, WIRE_VERSION, decode, encode};
