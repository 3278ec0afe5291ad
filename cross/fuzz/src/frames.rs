//! What travels: each kind of message, and the manifest, from bytes that anybody may have sent.

use protocol::codec::Message;
use protocol::{decode, encode};

use crate::{check_memory, peak_of};

/// Memory for a byte of a short frame: a list makes room for as many items as it says, if so many bytes follow. The largest
/// item is an event.
const MEMORY_PER_BYTE: usize = 512;
/// Memory for the words of a refusal.
const MEMORY_FIXED: usize = 4_096;
/// Memory for a byte of a long frame: the items of a list are larger than what stands for them on the wire. The smallest that
/// stands for much is an empty text: one byte for 24, and twice that while the list grows.
const MEMORY_PER_READ_BYTE: usize = 64;
/// The most room that lists make before anything of them is read: serde's bound is 1 MiB for each, and a list in a list
/// may be at its start when the outer one is.
const MEMORY_AHEAD: usize = 2 * 1024 * 1024;

/// What decodes is a message that could have been sent, and nothing takes more memory than the frame is worth.
fn check<M: Message>(frame: &[u8]) {
    let (decoded, peak) = peak_of(|| decode::<M>(frame));
    check_memory(peak, frame.len(), MEMORY_PER_BYTE, MEMORY_FIXED);
    check_memory(peak, frame.len(), MEMORY_PER_READ_BYTE, MEMORY_AHEAD);
    if let Ok(message) = decoded {
        let again = encode(&message).expect("what was taken can be sent");
        let read = decode::<M>(&again).expect("what was sent can be taken");
        // Compared as bytes, since some numbers equal nothing, not even themselves.
        assert_eq!(encode(&read), Ok(again), "{:?} reads back otherwise", M::SCHEMA);
    }
}

macro_rules! check_as {
    ($frame:ident: $($message:ty),* $(,)?) => { $(check::<$message>($frame);)* };
}

/// The manifest of a function.
///
/// # Panics
/// When something does not hold for these bytes.
pub fn manifest(frame: &[u8]) {
    check::<protocol::manifest::Manifest>(frame);
}

/// Every message: the second byte of a frame says which it is, and all others refuse it at once.
///
/// # Panics
/// When something does not hold for these bytes.
pub fn frames(frame: &[u8]) {
    check_as!(frame:
        protocol::report::Report,
        protocol::event::Event,
        protocol::event::EventQuery,
        protocol::event::EventPage,
        protocol::desired::Desired,
        protocol::desired::DesiredReply,
        protocol::invoke::Invoke,
        protocol::invoke::Invoked,
        protocol::call::Call,
        protocol::call::Called,
        protocol::join::Members,
        protocol::release::Release,
        protocol::release::SignedRelease,
        protocol::release::ProgramChunk,
        protocol::belt::Offer,
        protocol::belt::OfferReply,
        protocol::belt::Chunk,
        protocol::belt::ChunkReply,
        protocol::belt::Fetch,
        protocol::belt::Fetched,
        protocol::belt::InventoryQuery,
        protocol::belt::Inventory,
        protocol::plan::PlanQuery,
        protocol::plan::PlanMessage,
        protocol::module::ModuleQuery,
        protocol::module::ModuleChunk,
        protocol::command::Command,
        protocol::command::CommandReply,
        protocol::sim::SimClock,
        protocol::sim::SimEnv,
        protocol::sim::SimFault,
        protocol::sim::SimFaultReply,
        protocol::report::Ping,
        protocol::board::BoardReport,
        protocol::backlog::Backlog,
        protocol::backlog::Receipt,
    );
}
