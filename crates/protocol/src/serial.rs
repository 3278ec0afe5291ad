//! Frames between a node and the microcontrollers at its serial lines: boards that measure power and temperature, or switch power.
//!
//! A line is a UART or a USB serial port: bytes get lost, turned and doubled, and either end starts at any moment. So every frame stands
//! alone: a checksum says that it is whole, a number that it is new, and a zero byte where the next one begins. Nothing here allocates,
//! nothing needs the standard library, and every buffer has its size from the largest message: the same code runs in the agent and in
//! firmware (feature `fleet` off).
//!
//! Reading order: [`message`] (what is said), [`frame`] (how it is wrapped), [`receiver`] and [`sender`] (the two ends), [`window`]
//! (duplicates), [`schema`] (whether both ends were built from the same table).

pub mod frame;
pub mod message;
pub mod receiver;
pub mod schema;
pub mod sender;
pub mod window;

pub use frame::{Deframer, Frame, FrameError, PAYLOAD_MAX, WIRE_MAX};
pub use message::{
    Ack, Cmd, Event, Hello, InvalidMessage, Kind, Log, Message, Op, Ping, Power, Relay, SetRate,
    Temps, Time,
};
pub use receiver::{Counters, Dropped, Received, Receiver};
pub use schema::SCHEMA;
pub use sender::{IDLE_MS, SendError, Sender, Sent};

/// The version of the frame; its first byte. Another one is counted and dropped.
pub const FRAME_VERSION: u8 = 1;
/// How long a power cycle may be, in ms: a relay takes ten, and what is behind it has capacitors; what is to stay off is switched off.
pub const OFF_MS: core::ops::RangeInclusive<u32> = 100..=600_000;
/// The version of what is said; a board tells its own in [`Hello::proto`]. It changes when a kind changes its meaning, never when one is added.
pub const PROTO: u16 = 1;
