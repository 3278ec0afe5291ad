//! What cannot be sent now, kept until it can: records in segments, bounded, in order, through cuts of power.
//!
//! Decides what is written where, when it is synced, what is thinned or given up when room is short, and what is sent
//! next. Performs no I/O and reads no clock: files are behind [`Storage`], time comes in.
//!
//! Reading order: [`record`] and [`segment`] (what is on disk), [`storage`], [`config`], [`queue`] (what is decided).

mod check;
mod column;
pub mod config;
mod marks;
pub mod queue;
pub mod record;
pub mod segment;
pub mod storage;

pub use column::{Column, Columns};
pub use config::{Counters, Limits, Status, StreamConfig};
pub use queue::{Batch, New, Queue};
pub use record::{Content, Record};
pub use storage::{Cause, Room, Storage, StorageError};
