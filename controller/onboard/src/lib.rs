//! Puts the agent on boards: [`adopt`] over SSH on one that runs, [`flash`] on a card before its first start.
//!
//! What is to be done is decided without touching anything (`adopt::{probe, plan, config}`, `flash::{table, format, seed, guard,
//! jetson}`): facts come in, steps and refusals go out, and a dry run prints the same values that are carried out. What
//! touches a board or a card is in [`remote`] and `flash::{device, source, write, boot}`.

pub mod adopt;
pub mod flash;
pub mod interrupt;
pub mod node;
pub mod remote;
pub mod shell;

use sha2::{Digest as _, Sha256};

/// SHA-256, in 64 lower-case digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String does not fail");
        text
    })
}
