//! A bundle on its way: how it is cut into chunks, what the receiver still wants, what the sender does next.
//!
//! OFFERED → RECEIVING (bitmap) → all here → hashes checked → durable → answered. A transfer that breaks off resumes
//! with the next offer of the same bundle; a chunk or an offer that comes twice changes nothing.

mod layout;
mod receiver;
mod sender;

pub use layout::{Layout, LayoutError, Piece};
pub use receiver::{ChunkVerdict, OPEN_MAX, OfferVerdict, Receiver};
pub use sender::{
    ChunkAnswer, Failure, OfferAnswer, SILENCES_MAX, Sender, SenderInput, SenderOutput, WINDOW,
};
