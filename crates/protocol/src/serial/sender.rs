//! The end that sends: numbers its frames, and clears the line when it was idle.

use heapless::Vec;

use super::frame::{Frame, PAYLOAD_MAX, WIRE_MAX, wrap};
use super::message::{InvalidMessage, Message};

/// A line that was idle for longer begins with a zero byte, in milliseconds: what disturbed it meanwhile then ends before the frame.
pub const IDLE_MS: u32 = 100;

/// A frame as it goes onto the wire, with the zero byte before it if it has one.
pub type Sent = Vec<u8, { WIRE_MAX + 1 }>;

/// Why a message is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It breaks a rule of its kind.
    #[error(transparent)]
    Invalid(#[from] InvalidMessage),
    /// It does not fit into a frame.
    #[error("a payload has at most {PAYLOAD_MAX} bytes")]
    TooLong,
}

/// Turns messages into frames.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    next: u16,
    last_ms: Option<u32>,
}

impl Sender {
    /// A sender whose first frame has the number `first`: an arbitrary one (a random number, a clock), so that a start is not taken for a
    /// repetition of an earlier one.
    pub const fn new(first: u16) -> Self {
        Self { next: first, last_ms: None }
    }

    /// The frame of a message. `now_ms` counts milliseconds from anywhere and may turn over.
    ///
    /// # Errors
    /// [`SendError`]; then no number is used up.
    pub fn frame(&mut self, now_ms: u32, message: &Message) -> Result<Sent, SendError> {
        let mut buffer = [0; PAYLOAD_MAX];
        let payload = message.to_payload(&mut buffer)?;
        let frame = Frame { kind: message.kind() as u8, seq: self.next, payload };
        let wire = wrap(&frame).ok_or(SendError::TooLong)?;
        let was_idle = self.last_ms.is_none_or(|last| IDLE_MS < now_ms.wrapping_sub(last));
        let mut sent = Sent::new();
        if was_idle {
            sent.push(0).map_err(|_full| SendError::TooLong)?;
        }
        sent.extend_from_slice(&wire).map_err(|()| SendError::TooLong)?;
        self.next = self.next.wrapping_add(1);
        self.last_ms = Some(now_ms);
        Ok(sent)
    }

    /// The line was opened anew: the next frame begins with a zero byte.
    pub const fn reopened(&mut self) {
        self.last_ms = None;
    }
}
