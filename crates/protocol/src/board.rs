//! What a node tells of a board at one of its serial lines: a child of the node, with a key of its own.
//!
//! What boards themselves say is [`crate::serial`]; this is what the node made of it.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::codec::{Message, Schema};
use crate::report::{Header, Reading};
use crate::rule;
use crate::serial::message::{FIRMWARE_MAX, TEMPS_MAX};

/// Longest name of a board, in bytes: that of a task.
pub const NAME_BYTES_MAX: usize = 63;

/// A board. Said as often as the node reports, also when the board is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoardReport {
    /// Who tells it, when, and its number among the reports of boards of this start.
    pub header: Header,
    /// The number of the board, which is also in the key.
    pub uid: [u8; 8],
    /// What it is called in the configuration of the node.
    pub name: String,
    /// What it is for.
    pub role: BoardRole,
    /// Name and version of its firmware; empty while it is gone.
    pub firmware: String,
    /// How the line stands.
    pub link: BoardLink,
    /// Voltage of the battery, in V.
    pub volts: Reading,
    /// Current into the battery, in A.
    pub amperes: Reading,
    /// Temperature of the battery, in °C.
    pub celsius: Reading,
    /// State of charge, 0 to 1.
    pub charge: Reading,
    /// Energy into the battery since the board counts, less what was taken out, in Wh.
    pub energy_wh: Reading,
    /// Other temperatures by sensor, in °C.
    pub temperatures: Vec<(u8, f32)>,
    /// Its relays in order, and whether each conducts.
    pub relays: Vec<(u8, bool)>,
    /// What came over the line.
    pub counts: BoardCounts,
}

/// What a board is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BoardRole {
    /// It measures the battery of its node.
    Battery,
    /// It switches power.
    PowerSwitch,
    /// It senses.
    Sensor,
}

/// How a line stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BoardLink {
    /// The board is heard.
    Up,
    /// The line is open, but the board says nothing.
    Silent,
    /// The line is not open; why.
    Down(String),
    /// The board speaks another protocol.
    OtherProtocol(u16),
}

/// What came over a line since the start of the agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoardCounts {
    /// Messages that were taken.
    pub messages: u32,
    /// Frames and pieces of noise that were dropped, duplicates included.
    pub dropped: u32,
    /// Frames that are missing.
    pub missing: u32,
    /// Times that the line was opened.
    pub opens: u32,
}

impl Message for BoardReport {
    const SCHEMA: Schema = Schema::BoardReport;
    const BYTES_MAX: usize = 2048;

    fn validate(&self) -> Result<(), &'static str> {
        if NAME_BYTES_MAX < self.name.len() || FIRMWARE_MAX < self.firmware.len() {
            return Err("a board has a name of at most 63 bytes and a firmware of at most 16");
        }
        if let BoardLink::Down(reason) = &self.link {
            rule::reason(reason)?;
        }
        let readings = [
            (self.volts, 0.0, 100.0),
            (self.amperes, -100.0, 100.0),
            (self.celsius, -4000.0, 4000.0),
            (self.charge, 0.0, 1.0),
            (self.energy_wh, -3.0e6, 3.0e6),
        ];
        if !readings.iter().all(|(reading, low, high)| reading.is_within(*low, *high)) {
            return Err("a reading of a board lies outside what one can measure");
        }
        if TEMPS_MAX < self.temperatures.len() || 256 < self.relays.len() {
            return Err("a board has at most 8 thermometers and 256 relays");
        }
        let possible = |(_, celsius): &(u8, f32)| (-4000.0..=4000.0).contains(celsius);
        let all = self.temperatures.iter().all(possible);
        all.then_some(()).ok_or("a temperature of a board lies outside -4000 to 4000 °C")
    }
}
