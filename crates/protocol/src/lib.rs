//! Starbelt on the wire: messages, keys and their versioned encoding. Performs no I/O.
//!
//! Every payload is `version byte, schema byte, postcard` (see [`codec`] and `WIRE.md`); every message has a
//! largest size, checked before anything is decoded, and is validated after. Field and variant order is the
//! wire format: append only, golden bytes in `tests/golden` hold it.
//!
//! Reading order: [`codec`], [`key`], [`report`], [`event`], [`log`], [`topic`], [`desired`], [`invoke`], [`call`], [`belt`],
//! [`plan`], [`module`], [`command`], [`sim`], [`manifest`], [`signed`].
#![no_std]

extern crate alloc;

pub mod belt;
pub mod call;
pub mod codec;
pub mod command;
pub mod desired;
pub mod event;
pub mod invoke;
pub mod key;
pub mod log;
pub mod manifest;
pub mod module;
pub mod plan;
pub mod report;
mod rule;
pub mod signed;
pub mod sim;
pub mod topic;

pub use codec::{DecodeError, EncodeError, Message, Schema, WIRE_VERSION, decode, encode};
