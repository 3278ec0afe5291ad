//! The backlog: what a node could not say when it was new, and what the controller has of what it did say.
//!
//! A node asks `starbelt/<fleet>/_ctl/backlog/<node>` about once a second while it has a link. The answer is its receipt: it
//! says which reports and events came, so that the node keeps the others; and up to where late records are durable.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use types::{BootId, Epoch, NodeId};

use crate::codec::{Message, Schema};
use crate::report::Group;

/// Most records in one message.
pub const LATE_RECORDS_MAX: usize = 1024;
/// Most bytes of their frames together.
pub const LATE_BYTES_MAX: usize = 128 * 1024;
/// Longest frame of a record: that of the largest event.
pub const LATE_FRAME_BYTES_MAX: usize = 64 * 1024;
/// Most numbers of a summary.
pub const LATE_COLUMNS_MAX: usize = 16;
/// Reports that a receipt tells one by one.
pub const RECEIPT_REPORTS: u64 = 64;

/// Asks for a receipt, and brings late records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backlog {
    /// Who asks.
    pub node: NodeId,
    /// Its present start.
    pub boot: BootId,
    /// Late records, oldest first; `None` only asks.
    pub late: Option<Late>,
}

/// Late records of one stream of one start of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Late {
    /// The start that took them, which may be an earlier one.
    pub boot: BootId,
    /// Which stream.
    pub stream: LateStream,
    /// The records; ids rise.
    pub records: Vec<LateRecord>,
}

/// What is queued apart. Events first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LateStream {
    /// Events; their ids are their numbers.
    Events,
    /// Reports of all groups.
    Reports,
}

/// One late record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LateRecord {
    /// Unique within start and stream.
    pub id: u64,
    /// What it says.
    pub content: LateContent,
}

/// What a late record says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum LateContent {
    /// The frame of the [`crate::report::Report`] or [`crate::event::Event`], as it would have been sent.
    Frame(#[serde(with = "serde_bytes")] Vec<u8>),
    /// What is left of many reports of a group, for want of room.
    Summary(LateSummary),
}

/// Many reports as one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LateSummary {
    /// Of which group.
    pub group: Group,
    /// The earliest of them (sky).
    pub from: Epoch,
    /// The latest of them (sky).
    pub to: Epoch,
    /// How many.
    pub reports: u32,
    /// The numbers of the group, in the order of `WIRE.md`.
    pub columns: Vec<LateColumn>,
}

/// A number over many reports.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LateColumn {
    /// Reports in which it was known; 0: in none, and the others say nothing.
    pub count: u32,
    /// The smallest.
    pub min: f32,
    /// The mean.
    pub mean: f64,
    /// The largest.
    pub max: f32,
}

/// The receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The controller, whose name the contact plan uses.
    pub controller: NodeId,
    /// The highest number of a report of this start that came; 0 for none.
    pub reports_through: u64,
    /// Which came of the last 64 up to that: bit i is number `reports_through - i`.
    pub reports_seen: u64,
    /// Up to here, all events of this start came.
    pub events_through: u64,
    /// Up to this id, the late records of this message are durable; `None` if it brought none, or nothing of it was taken.
    pub late_through: Option<u64>,
}

impl Message for Backlog {
    const SCHEMA: Schema = Schema::Backlog;
    const BYTES_MAX: usize = 512 * 1024;

    fn validate(&self) -> Result<(), &'static str> {
        let Some(late) = &self.late else { return Ok(()) };
        if late.records.is_empty() || LATE_RECORDS_MAX < late.records.len() {
            return Err("a backlog holds 1 to 1024 records");
        }
        if late.records.windows(2).any(|pair| pair[1].id <= pair[0].id) {
            return Err("the ids of a backlog rise");
        }
        let frame_bytes = |record: &LateRecord| match &record.content {
            LateContent::Frame(frame) => frame.len(),
            LateContent::Summary(_) => 0,
        };
        if LATE_BYTES_MAX < late.records.iter().map(frame_bytes).sum() {
            return Err("the frames of a backlog have at most 128 KiB");
        }
        late.records.iter().try_for_each(|record| match &record.content {
            LateContent::Frame(frame) => (frame.len() <= LATE_FRAME_BYTES_MAX)
                .then_some(())
                .ok_or("a late frame has at most 64 KiB"),
            LateContent::Summary(summary) => summary.validate(),
        })
    }
}

impl LateSummary {
    fn validate(&self) -> Result<(), &'static str> {
        if LATE_COLUMNS_MAX < self.columns.len() {
            return Err("a summary has at most 16 numbers");
        }
        let possible = |column: &LateColumn| {
            let finite = column.mean.is_finite() && column.max.is_finite();
            column.count == 0 || (finite && column.min <= column.max)
        };
        let ordered = self.from <= self.to && self.columns.iter().all(possible);
        ordered.then_some(()).ok_or("a summary is finite and in order")
    }
}

impl Message for Receipt {
    const SCHEMA: Schema = Schema::Receipt;
    const BYTES_MAX: usize = 128;
}
