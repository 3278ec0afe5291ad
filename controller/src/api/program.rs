//! Programs of the agent.

use protocol::signed::KeyId;
use serde::{Deserialize, Serialize};
use types::Arch;

use crate::hex::{read_hex, write_hex};

/// `POST /api/v1/programs`: a program that the controller has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramInfo {
    /// SHA-256 of its file.
    #[serde(serialize_with = "write_hex", deserialize_with = "read_hex")]
    pub sha256: [u8; 32],
    /// When it was built, seconds since 1970: counts versions.
    pub number: u64,
    /// Its version.
    pub version: String,
    /// For which processor.
    pub arch: Arch,
    /// Its size.
    pub bytes: u32,
    /// Who signed it. Whether that counts is said by each node.
    pub key: KeyId,
    /// Whether it may replace a newer one.
    pub may_be_older: bool,
}

/// `POST /api/v1/nodes/{id}/update`: another program for a node. The answer is a `CommandInfo`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateAsk {
    /// The signed release, as hexadecimal digits.
    pub release: String,
    /// How long one start of it may take to be well, in seconds (10 to 86400).
    pub within_s: u32,
    /// Only ask whether the node would take it.
    #[serde(default)]
    pub is_rehearsal: bool,
}
