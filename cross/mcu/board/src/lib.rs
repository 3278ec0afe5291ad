//! What a board at a serial line does, without its hardware: bytes, samples and the time come in, frames and relay states come out.
//!
//! The firmware of a chip (`cross/mcu/rp2040`) moves bytes, reads registers and sets pins; everything that can be wrong about it is here, and
//! is tested on any machine. Performs no I/O, reads no clock, allocates nothing.
//!
//! Reading order: [`Board`] (the machine), [`energy`] (mWh from samples), [`relay`] (switches and power cycles), [`chip`] (registers of
//! sensors), [`vitals`] (when the watchdog may be fed).
#![no_std]
#![forbid(unsafe_code)]

pub mod chip;
pub mod energy;
mod machine;
mod orders;
pub mod relay;
pub mod vitals;

pub use machine::{Board, Config, PowerSample};
pub use orders::{PERIOD_MS, code};
