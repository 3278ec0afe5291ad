//! The contract between nodes and functions that this version speaks.

use sha2::{Digest as _, Sha256};

/// Its text, whose hash is in every manifest.
const TEXT: &str = include_str!("../../../functions/wit/world.wit");

/// SHA-256 of its text.
pub fn hash() -> [u8; 32] {
    Sha256::digest(TEXT).into()
}
