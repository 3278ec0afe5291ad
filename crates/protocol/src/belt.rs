//! State transfer: a bundle of objects is offered, its missing chunks follow, the last answer says durable.
//!
//! All three are queries, so each step is answered; a transfer that breaks off resumes from the answer to the
//! next offer of the same bundle.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use types::{NodeId, ObjectId, OwnerEpoch, TaskId, Version, WorkflowId};

use crate::codec::{Message, Schema};
use crate::rule;

/// Bytes of one chunk; small enough to share a slow link, large enough to keep a fast one busy.
pub const CHUNK_BYTES: usize = 256 * 1024;
/// Most objects in one bundle.
pub const BUNDLE_OBJECTS_MAX: usize = 256;
/// Largest bundle.
pub const BUNDLE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Most bytes in one answer to [`Fetch`].
pub const FETCH_BYTES_MAX: usize = 1024 * 1024;

/// An object without its bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectMeta {
    /// Its name.
    pub id: ObjectId,
    /// Counts its committed writes, from 1; outputs of a run are written once.
    pub version: Version,
    /// The owner epoch under which it was written; 0 for outputs and data sources.
    pub owner_epoch: OwnerEpoch,
    /// BLAKE3 of its bytes.
    pub hash: [u8; 32],
    /// Its size.
    pub bytes: u64,
}

/// Announces a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// Who offers.
    pub from: NodeId,
    /// Why it is sent.
    pub purpose: Purpose,
    /// What is in it; the bundle is their bytes in this order.
    pub objects: Vec<ObjectMeta>,
    /// Keys that were deleted (lasting state only), with the version of the deletion.
    pub deleted: Vec<(ObjectId, Version)>,
}

/// Why a bundle is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// Outputs, to where they are needed next.
    Input,
    /// The second copy of a task's lasting state, under the owner's epoch; lower epochs are fenced.
    Replica {
        /// Its workflow.
        workflow: WorkflowId,
        /// The task.
        task: TaskId,
        /// The epoch of the sender.
        owner_epoch: OwnerEpoch,
    },
    /// The last changes of a task's state, and with them its ownership.
    Grant {
        /// Its workflow.
        workflow: WorkflowId,
        /// The task.
        task: TaskId,
        /// The epoch of the new owner: the sender's plus one.
        owner_epoch: OwnerEpoch,
    },
}

/// The answer to an offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OfferReply {
    /// These chunks are missing (numbers of [`CHUNK_BYTES`] pieces of the bundle).
    Wanted(Vec<u32>),
    /// All is here and durable (also the answer to an empty bundle).
    Durable,
    /// Not taken.
    Refused(Refusal),
}

/// Why a bundle is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// A newer owner is known here.
    Fenced {
        /// Its epoch.
        owner_epoch: OwnerEpoch,
    },
    /// No room.
    NoSpace,
    /// Not expected, or not allowed.
    Denied(String),
    /// The bytes do not hash to what was announced.
    Corrupt,
    /// No such offer is open; offer again.
    NoOffer,
}

/// A piece of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// BLAKE3 of the encoded offer.
    pub bundle: [u8; 32],
    /// Its number.
    pub index: u32,
    /// Its bytes, [`CHUNK_BYTES`] but for the last.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// The answer to a chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChunkReply {
    /// Taken; more are missing.
    Taken,
    /// That was the last; all is checked and durable.
    Durable,
    /// Not taken.
    Refused(Refusal),
}

/// Reads a part of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// Which.
    pub id: ObjectId,
    /// From where on.
    pub offset: u64,
}

/// The answer to a fetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fetched {
    /// What is there.
    Part {
        /// The object.
        meta: ObjectMeta,
        /// Its bytes from the offset on, at most 1 MiB.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// Not here.
    NotFound,
    /// Not allowed.
    Denied,
}

/// Asks what a node holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryQuery {
    /// Of which workflow.
    pub workflow: WorkflowId,
    /// Objects after this one in order; `None` from the first.
    pub after: Option<ObjectId>,
}

/// What a node holds, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// The objects, at most [`BUNDLE_OBJECTS_MAX`].
    pub objects: Vec<ObjectMeta>,
    /// Whether more follow.
    pub more: bool,
}

impl Message for Offer {
    const SCHEMA: Schema = Schema::Offer;
    const BYTES_MAX: usize = 256 * 1024;

    fn validate(&self) -> Result<(), &'static str> {
        if BUNDLE_OBJECTS_MAX < self.objects.len() + self.deleted.len() {
            return Err("a bundle holds at most 256 objects");
        }
        let total = self.objects.iter().try_fold(0_u64, |sum, o| sum.checked_add(o.bytes));
        match total {
            Some(bytes) if bytes <= BUNDLE_BYTES_MAX => Ok(()),
            _ => Err("a bundle has at most 256 MiB"),
        }
    }
}

impl Message for OfferReply {
    const SCHEMA: Schema = Schema::OfferReply;
    const BYTES_MAX: usize = 16 * 1024;

    fn validate(&self) -> Result<(), &'static str> {
        match self {
            Self::Wanted(chunks) if 1024 < chunks.len() => Err("a bundle has at most 1024 chunks"),
            Self::Refused(refusal) => refusal.validate(),
            Self::Wanted(_) | Self::Durable => Ok(()),
        }
    }
}

impl Refusal {
    fn validate(&self) -> Result<(), &'static str> {
        match self {
            Self::Denied(text) => rule::reason(text),
            Self::Fenced { .. } | Self::NoSpace | Self::Corrupt | Self::NoOffer => Ok(()),
        }
    }
}

impl Message for Chunk {
    const SCHEMA: Schema = Schema::Chunk;
    const BYTES_MAX: usize = CHUNK_BYTES + 128;

    fn validate(&self) -> Result<(), &'static str> {
        let fits = !self.bytes.is_empty() && self.bytes.len() <= CHUNK_BYTES;
        fits.then_some(()).ok_or("a chunk has 1 to 262144 bytes")
    }
}

impl Message for ChunkReply {
    const SCHEMA: Schema = Schema::ChunkReply;
    const BYTES_MAX: usize = 1024;

    fn validate(&self) -> Result<(), &'static str> {
        match self {
            Self::Refused(refusal) => refusal.validate(),
            Self::Taken | Self::Durable => Ok(()),
        }
    }
}

impl Message for Fetch {
    const SCHEMA: Schema = Schema::Fetch;
    const BYTES_MAX: usize = 1024;
}

impl Message for Fetched {
    const SCHEMA: Schema = Schema::Fetched;
    const BYTES_MAX: usize = FETCH_BYTES_MAX + 1024;

    fn validate(&self) -> Result<(), &'static str> {
        match self {
            Self::Part { bytes, .. } if FETCH_BYTES_MAX < bytes.len() => {
                Err("a fetched part has at most 1 MiB")
            }
            Self::Part { .. } | Self::NotFound | Self::Denied => Ok(()),
        }
    }
}

impl Message for InventoryQuery {
    const SCHEMA: Schema = Schema::InventoryQuery;
    const BYTES_MAX: usize = 1024;
}

impl Message for Inventory {
    const SCHEMA: Schema = Schema::Inventory;
    const BYTES_MAX: usize = 256 * 1024;

    fn validate(&self) -> Result<(), &'static str> {
        (self.objects.len() <= BUNDLE_OBJECTS_MAX)
            .then_some(())
            .ok_or("an inventory page holds at most 256 objects")
    }
}
