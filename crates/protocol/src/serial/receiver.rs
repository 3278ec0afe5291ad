//! The end that receives: bytes go in one by one, messages come out once each, and everything else is counted.

use super::frame::{Deframer, FrameError};
use super::message::{InvalidMessage, Message};
use super::window::{Standing, Window};

/// A message that was not there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The number of its frame.
    pub seq: u16,
    /// What was said.
    pub message: Message,
}

/// Why something between two zero bytes was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    /// It is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// It was there before.
    #[error("frame {0} was there before")]
    Duplicate(u16),
    /// It is a frame, but no message.
    #[error(transparent)]
    Message(#[from] InvalidMessage),
}

/// What came in since the start. All stop at their largest value instead of turning over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes.
    pub bytes: u32,
    /// Messages that were taken.
    pub messages: u32,
    /// Too many bytes without a zero.
    pub overflows: u32,
    /// Bytes that are not wrapped as a frame is.
    pub unwrapped: u32,
    /// Frames without room for header and checksum.
    pub short: u32,
    /// Wrong checksums.
    pub checksums: u32,
    /// Frames of another version.
    pub versions: u32,
    /// Frames that were there before.
    pub duplicates: u32,
    /// Numbers that were left out; what came late is not taken off again.
    pub missing: u32,
    /// Frames that came after a later one.
    pub late: u32,
    /// Times that the numbers began anew.
    pub restarts: u32,
    /// Kinds that this version does not know.
    pub unknown_kinds: u32,
    /// Payloads that are no message of their kind.
    pub malformed: u32,
}

impl Counters {
    /// What was dropped in all: each frame, and each piece of noise between two zero bytes, counts once.
    pub const fn dropped(&self) -> u32 {
        self.overflows
            .saturating_add(self.unwrapped)
            .saturating_add(self.short)
            .saturating_add(self.checksums)
            .saturating_add(self.versions)
            .saturating_add(self.duplicates)
            .saturating_add(self.unknown_kinds)
            .saturating_add(self.malformed)
    }

    const fn note(&mut self, dropped: &Dropped) {
        let counter = match dropped {
            Dropped::Frame(FrameError::Overflow) => &mut self.overflows,
            Dropped::Frame(FrameError::Unwrapped) => &mut self.unwrapped,
            Dropped::Frame(FrameError::Short(_)) => &mut self.short,
            Dropped::Frame(FrameError::Checksum { .. }) => &mut self.checksums,
            Dropped::Frame(FrameError::Version(_)) => &mut self.versions,
            Dropped::Duplicate(_) => &mut self.duplicates,
            Dropped::Message(InvalidMessage::UnknownKind(_)) => &mut self.unknown_kinds,
            Dropped::Message(_) => &mut self.malformed,
        };
        *counter = counter.saturating_add(1);
    }
}

/// Finds messages in a stream of bytes.
#[derive(Debug, Default)]
pub struct Receiver {
    deframer: Deframer,
    window: Window,
    counters: Counters,
}

impl Receiver {
    /// One that has heard nothing yet.
    pub const fn new() -> Self {
        Self { deframer: Deframer::new(), window: Window::new(), counters: ZERO }
    }

    /// Takes the next byte; answers the message that it completes, if it completes one.
    ///
    /// # Errors
    /// [`Dropped`] when the byte shows that what came before is not to be used. It is counted, and the next byte can be pushed as if
    /// nothing had been.
    pub fn push(&mut self, byte: u8) -> Result<Option<Received>, Dropped> {
        self.counters.bytes = self.counters.bytes.saturating_add(1);
        let taken = self.taken(byte);
        if let Err(dropped) = &taken {
            self.counters.note(dropped);
        }
        taken
    }

    /// What came in since the start.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The line was opened anew: what was begun is not continued. Counters and numbers stay.
    pub const fn reopened(&mut self) {
        self.deframer = Deframer::new();
    }

    fn taken(&mut self, byte: u8) -> Result<Option<Received>, Dropped> {
        let Some(frame) = self.deframer.push(byte)? else { return Ok(None) };
        let counters = &mut self.counters;
        // Numbers count frames, whether this version knows what is in them or not.
        match self.window.note(frame.seq) {
            Standing::New { missing } => {
                counters.missing = counters.missing.saturating_add(u32::from(missing));
            }
            Standing::Late => counters.late = counters.late.saturating_add(1),
            Standing::Restart => counters.restarts = counters.restarts.saturating_add(1),
            Standing::Duplicate => return Err(Dropped::Duplicate(frame.seq)),
        }
        let message = Message::from_payload(frame.kind, frame.payload)?;
        counters.messages = counters.messages.saturating_add(1);
        Ok(Some(Received { seq: frame.seq, message }))
    }
}

const ZERO: Counters = Counters {
    bytes: 0,
    messages: 0,
    overflows: 0,
    unwrapped: 0,
    short: 0,
    checksums: 0,
    versions: 0,
    duplicates: 0,
    missing: 0,
    late: 0,
    restarts: 0,
    unknown_kinds: 0,
    malformed: 0,
};
