//! The bytes of a function's module, chunk by chunk from the controller, resumable at any offset.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::codec::{Message, Schema};

/// Largest component on an agent.
pub const MODULE_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// Most bytes in one answer.
pub const MODULE_CHUNK_BYTES: usize = 256 * 1024;

/// Asks for a part of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleQuery {
    /// SHA-256 of the whole.
    pub sha256: [u8; 32],
    /// From where on.
    pub offset: u32,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModuleChunk {
    /// A part.
    Part {
        /// Size of the whole.
        total: u32,
        /// Bytes from the offset on, at most 256 KiB.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// No such module.
    NotFound,
}

impl Message for ModuleQuery {
    const SCHEMA: Schema = Schema::ModuleQuery;
    const BYTES_MAX: usize = 64;
}

impl Message for ModuleChunk {
    const SCHEMA: Schema = Schema::ModuleChunk;
    const BYTES_MAX: usize = MODULE_CHUNK_BYTES + 64;

    fn validate(&self) -> Result<(), &'static str> {
        match self {
            Self::Part { total, .. } if MODULE_BYTES_MAX < *total => {
                Err("a module has at most 4 MiB")
            }
            Self::Part { bytes, .. } if MODULE_CHUNK_BYTES < bytes.len() => {
                Err("a part of a module has at most 256 KiB")
            }
            Self::Part { .. } | Self::NotFound => Ok(()),
        }
    }
}
