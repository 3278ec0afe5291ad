//! The frame: version byte, schema byte, postcard. Refuses before it allocates.

use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version of everything in this crate; the first byte of each payload.
pub const WIRE_VERSION: u8 = 1;
/// Bytes before the postcard body.
pub const HEADER_BYTES: usize = 2;

/// What a payload is; the second byte. Append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Schema {
    /// [`crate::report::Report`].
    Report = 1,
    /// [`crate::event::Event`].
    Event = 2,
    /// [`crate::event::EventQuery`].
    EventQuery = 3,
    /// [`crate::event::EventPage`].
    EventPage = 4,
    /// [`crate::desired::Desired`].
    Desired = 5,
    /// [`crate::desired::DesiredReply`].
    DesiredReply = 6,
    /// [`crate::invoke::Invoke`].
    Invoke = 7,
    /// [`crate::invoke::Invoked`].
    Invoked = 8,
    /// [`crate::belt::Offer`].
    Offer = 9,
    /// [`crate::belt::OfferReply`].
    OfferReply = 10,
    /// [`crate::belt::Chunk`].
    Chunk = 11,
    /// [`crate::belt::ChunkReply`].
    ChunkReply = 12,
    /// [`crate::belt::Fetch`].
    Fetch = 13,
    /// [`crate::belt::Fetched`].
    Fetched = 14,
    /// [`crate::belt::InventoryQuery`].
    InventoryQuery = 15,
    /// [`crate::belt::Inventory`].
    Inventory = 16,
    /// [`crate::plan::PlanQuery`].
    PlanQuery = 17,
    /// [`crate::plan::PlanMessage`].
    Plan = 18,
    /// [`crate::module::ModuleQuery`].
    ModuleQuery = 19,
    /// [`crate::module::ModuleChunk`].
    ModuleChunk = 20,
    /// [`crate::command::Command`].
    Command = 21,
    /// [`crate::command::CommandReply`].
    CommandReply = 22,
    /// [`crate::sim::SimClock`].
    SimClock = 23,
    /// [`crate::sim::SimEnv`].
    SimEnv = 24,
    /// [`crate::sim::SimFault`].
    SimFault = 25,
    /// [`crate::sim::SimFaultReply`].
    SimFaultReply = 26,
    /// [`crate::report::Ping`].
    Ping = 27,
    /// [`crate::manifest::Manifest`].
    Manifest = 28,
    /// [`crate::signed::SignedManifest`].
    SignedManifest = 29,
    /// [`crate::signed::Signers`].
    Signers = 30,
    /// [`crate::log::LogBatch`].
    LogBatch = 31,
    /// [`crate::topic::TopicMessage`].
    TopicMessage = 32,
    /// [`crate::call::Call`].
    Call = 33,
    /// [`crate::call::Called`].
    Called = 34,
    /// [`crate::board::BoardReport`].
    BoardReport = 35,
    /// [`crate::backlog::Backlog`].
    Backlog = 36,
    /// [`crate::backlog::Receipt`].
    Receipt = 37,
    /// [`crate::join::Members`].
    Members = 40,
    /// [`crate::release::Release`].
    Release = 41,
    /// [`crate::release::SignedRelease`].
    SignedRelease = 42,
    /// [`crate::release::ProgramChunk`].
    ProgramChunk = 43,
}

/// A type that travels.
pub trait Message: Serialize + DeserializeOwned {
    /// Its schema byte.
    const SCHEMA: Schema;
    /// The largest frame that holds one, header included.
    const BYTES_MAX: usize;

    /// Checks what the types alone cannot.
    ///
    /// # Errors
    /// The broken rule in words.
    fn validate(&self) -> Result<(), &'static str> {
        Ok(())
    }
}

/// Why a message could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// It would be longer than its bound.
    #[error("{schema:?} would take {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// What it is.
        schema: Schema,
        /// Its size.
        bytes: usize,
        /// The largest size.
        limit: usize,
    },
    /// It breaks a rule of its type.
    #[error("{schema:?} is not valid: {rule}")]
    Invalid {
        /// What it is.
        schema: Schema,
        /// The broken rule.
        rule: &'static str,
    },
    /// The serializer refused it.
    #[error("{schema:?} cannot be serialized: {reason}")]
    Serialize {
        /// What it is.
        schema: Schema,
        /// The serializer's words.
        reason: String,
    },
}

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than any valid frame of its kind.
    #[error("frame of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The largest size.
        limit: usize,
    },
    /// No room for the header.
    #[error("frame of {0} bytes has no header")]
    Truncated(usize),
    /// Another version of the protocol.
    #[error("protocol version {got} is not supported, this is version {ours}")]
    Unsupported {
        /// The version of the frame.
        got: u8,
        /// Our version.
        ours: u8,
    },
    /// A frame of another kind.
    #[error("schema {got} found where {expected:?} was expected")]
    WrongSchema {
        /// The schema byte of the frame.
        got: u8,
        /// What was expected.
        expected: Schema,
    },
    /// The body does not parse.
    #[error("{schema:?} does not decode: {reason}")]
    Malformed {
        /// What it claims to be.
        schema: Schema,
        /// The decoder's words.
        reason: String,
    },
    /// Bytes follow the body.
    #[error("{bytes} bytes follow the {schema:?}")]
    Trailing {
        /// What it claims to be.
        schema: Schema,
        /// How many bytes.
        bytes: usize,
    },
    /// It parses but breaks a rule.
    #[error("{schema:?} is not valid: {rule}")]
    Invalid {
        /// What it claims to be.
        schema: Schema,
        /// The broken rule.
        rule: &'static str,
    },
}

/// Writes a message as one frame.
///
/// # Errors
/// [`EncodeError`] when it breaks a rule of its type or its size.
pub fn encode<M: Message>(message: &M) -> Result<Vec<u8>, EncodeError> {
    message.validate().map_err(|rule| EncodeError::Invalid { schema: M::SCHEMA, rule })?;
    let mut frame = Vec::with_capacity(64);
    frame.extend_from_slice(&[WIRE_VERSION, M::SCHEMA as u8]);
    let frame = postcard::to_extend(message, frame).map_err(|error| EncodeError::Serialize {
        schema: M::SCHEMA,
        reason: alloc::format!("{error}"),
    })?;
    if M::BYTES_MAX < frame.len() {
        let (bytes, limit) = (frame.len(), M::BYTES_MAX);
        return Err(EncodeError::TooLarge { schema: M::SCHEMA, bytes, limit });
    }
    Ok(frame)
}

/// Reads one message from one frame, which it must fill exactly.
///
/// # Errors
/// [`DecodeError`]; nothing is guessed. Memory is in proportion to the frame: at most 64 bytes for each of its bytes (items of
/// lists are larger than what stands for them), and 2 MiB that lists reserve ahead; the fuzz target `frames` holds it.
pub fn decode<M: Message>(frame: &[u8]) -> Result<M, DecodeError> {
    if M::BYTES_MAX < frame.len() {
        return Err(DecodeError::TooLarge { bytes: frame.len(), limit: M::BYTES_MAX });
    }
    let [version, schema, body @ ..] = frame else {
        return Err(DecodeError::Truncated(frame.len()));
    };
    if *version != WIRE_VERSION {
        return Err(DecodeError::Unsupported { got: *version, ours: WIRE_VERSION });
    }
    if *schema != M::SCHEMA as u8 {
        return Err(DecodeError::WrongSchema { got: *schema, expected: M::SCHEMA });
    }
    let (message, rest) = postcard::take_from_bytes::<M>(body).map_err(|error| {
        DecodeError::Malformed { schema: M::SCHEMA, reason: alloc::format!("{error}") }
    })?;
    if !rest.is_empty() {
        return Err(DecodeError::Trailing { schema: M::SCHEMA, bytes: rest.len() });
    }
    message.validate().map_err(|rule| DecodeError::Invalid { schema: M::SCHEMA, rule })?;
    Ok(message)
}
