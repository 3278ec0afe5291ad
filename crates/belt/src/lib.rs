//! Keeps state on, or ahead of, the node that needs it next (Databelt). Performs no I/O and reads no clock.
//!
//! Machines without bytes or sockets: inputs come in, outputs go out and are carried out in order. The agent runs them
//! over its store and the bus; `tests/schedules` runs the same ones over disks that forget and links that lose.
//!
//! Reading order: [`object`], [`group`] (one owner), [`commit`] (exactly once, two copies), [`transfer`] (chunks),
//! [`copies`] (where the second copy goes).

pub mod commit;
pub mod copies;
pub mod group;
pub mod object;
pub mod transfer;

pub use object::{GroupId, Hash, StageId, Stamp, hash_of};
