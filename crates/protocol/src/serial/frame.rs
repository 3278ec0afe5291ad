//! The frame: version, kind, number, payload, checksum, wrapped so that zero bytes stand between frames only.
//!
//! ```text
//! inner  1 version │ 1 kind │ 2 number (little-endian) │ 0…240 payload │ 4 CRC-32 over all before (little-endian)
//! wire   COBS(inner) │ 0x00
//! ```
//!
//! The inner frame has at most 248 bytes, so COBS (Cheshire and Baker 1999) adds exactly one, and a frame takes at most 250 on the wire.

use cobs::{DecodeResult, DecoderState};
use crc::{CRC_32_ISO_HDLC, Crc};
use heapless::Vec;

use super::FRAME_VERSION;

/// Bytes before the payload.
const HEADER: usize = 4;
/// Bytes after it.
const CHECKSUM: usize = 4;
/// Longest payload, in bytes.
pub const PAYLOAD_MAX: usize = 240;
/// Longest inner frame, in bytes.
pub const INNER_MAX: usize = HEADER + PAYLOAD_MAX + CHECKSUM;
/// Longest frame on the wire, its zero byte included.
pub const WIRE_MAX: usize = INNER_MAX + 2;

// From 254 bytes on COBS may add a second one.
const _: () = assert!(INNER_MAX < 254 && WIRE_MAX == 250);

/// CRC-32/ISO-HDLC, that of Ethernet: reflected 0x04C11DB7, from and to 0xFFFFFFFF, check value 0xCBF43926.
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// A frame whose checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the payload is, see [`super::Kind`]; not checked.
    pub kind: u8,
    /// Counts the frames of its sender, modulo 65536.
    pub seq: u16,
    /// What is said.
    pub payload: &'a [u8],
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// More bytes without a zero than any frame has.
    #[error("more than 249 bytes without a zero byte: no frame is so long")]
    Overflow,
    /// The bytes between two zeros are no COBS, or not as a sender writes it.
    #[error("the bytes between two zero bytes are not wrapped as a frame is")]
    Unwrapped,
    /// There is no room for header and checksum.
    #[error("a frame of {0} bytes is shorter than the 8 of an empty one")]
    Short(usize),
    /// The checksum is wrong.
    #[error("the checksum is {got:#010x}, that of the bytes is {computed:#010x}")]
    Checksum {
        /// That of the frame.
        got: u32,
        /// That of the bytes before it.
        computed: u32,
    },
    /// Another version of the frame.
    #[error("frame version {0} is not supported, this is version {FRAME_VERSION}")]
    Version(u8),
}

/// Writes one frame as it goes onto the wire, its zero byte included; `None` for a payload over [`PAYLOAD_MAX`].
pub fn wrap(frame: &Frame<'_>) -> Option<Vec<u8, WIRE_MAX>> {
    let mut inner: Vec<u8, INNER_MAX> = Vec::new();
    inner.extend_from_slice(&[FRAME_VERSION, frame.kind]).ok()?;
    inner.extend_from_slice(&frame.seq.to_le_bytes()).ok()?;
    inner.extend_from_slice(frame.payload).ok()?;
    let checksum = CRC.checksum(&inner);
    inner.extend_from_slice(&checksum.to_le_bytes()).ok()?;
    let mut wire: Vec<u8, WIRE_MAX> = Vec::new();
    // The byte that COBS adds, and the zero.
    wire.resize(inner.len() + 2, 0).ok()?;
    let written = cobs::try_encode(&inner, &mut wire).ok()?;
    wire.truncate(written + 1);
    Some(wire)
}

/// Finds frames in a stream of bytes, one byte after the other. Knows neither what is said nor what was said before.
#[derive(Debug)]
pub struct Deframer {
    state: DecoderState,
    inner: [u8; INNER_MAX],
    /// How much of it is filled.
    len: usize,
    /// Bytes since the last zero.
    encoded: usize,
    /// Until the next zero nothing can be right.
    is_skipping: bool,
}

impl Default for Deframer {
    fn default() -> Self {
        Self::new()
    }
}

impl Deframer {
    /// One that has heard nothing yet.
    pub const fn new() -> Self {
        let inner = [0; INNER_MAX];
        Self { state: DecoderState::Idle, inner, len: 0, encoded: 0, is_skipping: false }
    }

    /// Takes the next byte; answers the frame that it ends, if it ends one.
    ///
    /// # Errors
    /// [`FrameError`], once for what lies between two zero bytes. The next byte can be pushed as if nothing had been.
    pub fn push(&mut self, byte: u8) -> Result<Option<Frame<'_>>, FrameError> {
        if byte == 0 {
            return self.end();
        }
        if self.is_skipping {
            return Ok(None);
        }
        self.encoded += 1;
        // Every frame has a zero after 249 bytes at most, so what was decoded fits, too: COBS adds a byte.
        if WIRE_MAX - 1 < self.encoded {
            self.is_skipping = true;
            return Err(FrameError::Overflow);
        }
        match self.state.feed(byte) {
            Ok(DecodeResult::DataContinue(decoded)) => {
                self.inner[self.len] = decoded;
                self.len += 1;
                Ok(None)
            }
            Ok(DecodeResult::NoData) => Ok(None),
            // Neither comes without a zero byte.
            Ok(DecodeResult::DataComplete) | Err(_) => {
                self.is_skipping = true;
                Err(FrameError::Unwrapped)
            }
        }
    }

    /// Whether the last byte was a zero, or there was none: whether a frame may begin here.
    pub const fn is_between_frames(&self) -> bool {
        self.encoded == 0
    }

    /// A zero byte: whatever was before, the next byte begins a frame.
    fn end(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let (len, encoded) = (self.len, self.encoded);
        let was_skipping = self.is_skipping;
        let ended = core::mem::replace(&mut self.state, DecoderState::Idle).feed(0);
        (self.len, self.encoded, self.is_skipping) = (0, 0, false);
        if was_skipping || encoded == 0 {
            return Ok(None);
        }
        match ended {
            // A run of 254 bytes would be wrapped with two.
            Ok(DecodeResult::DataComplete) if encoded == len + 1 => {
                checked(&self.inner[..len]).map(Some)
            }
            _ => Err(FrameError::Unwrapped),
        }
    }
}

/// The frame in its inner bytes.
fn checked(inner: &[u8]) -> Result<Frame<'_>, FrameError> {
    let short = FrameError::Short(inner.len());
    let (body, checksum) = inner.split_last_chunk::<CHECKSUM>().ok_or(short)?;
    let ([version, kind, low, high], payload) = body.split_first_chunk::<HEADER>().ok_or(short)?;
    let (got, computed) = (u32::from_le_bytes(*checksum), CRC.checksum(body));
    if got != computed {
        return Err(FrameError::Checksum { got, computed });
    }
    // After the checksum: a turned bit is no other version.
    if *version != FRAME_VERSION {
        return Err(FrameError::Version(*version));
    }
    Ok(Frame { kind: *kind, seq: u16::from_le_bytes([*low, *high]), payload })
}

#[cfg(test)]
mod tests {
    use super::CRC;

    #[test]
    fn the_checksum_is_the_one_of_the_catalogue() {
        assert_eq!(CRC.checksum(b"123456789"), 0xCBF4_3926);
    }
}
