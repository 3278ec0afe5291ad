//! Reads facts from a Wasm component without running it, and says how it is best executed (accel: Gaia).
//!
//! Reading order: [`contract`] (what a function may import and must export), [`ScanLimits`], [`ModuleFacts`],
//! [`inspect()`] (one streaming pass over the bytes), [`InstructionMix`], [`identify()`], [`reevaluate`] (from measurements). The same pass refuses what would
//! cost too much to compile. Performs no I/O, reads no clock and holds no engine, so that controller and tools can use it.

mod body;
pub mod contract;
mod facts;
mod inspect;
mod limits;
mod mix;
mod mode;
mod pass;
pub mod reevaluate;

pub use facts::{ModuleFacts, ModuleKind};
pub use inspect::{InspectError, inspect, scan};
pub use limits::{OverLimit, Quantity, ScanLimits};
pub use mix::InstructionMix;
pub use mode::{Identified, identify};
