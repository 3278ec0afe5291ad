//! Serial lines: bytes as they come from a board, and payloads whose checksum is right.

use protocol::serial::frame::wrap;
use protocol::serial::{Frame, Message, Receiver, Sender};

use crate::peak_of;

/// Bytes that may have come over a line.
///
/// # Panics
/// When something does not hold for them.
pub fn serial(bytes: &[u8]) {
    let (receiver, peak) = peak_of(|| {
        let mut receiver = Receiver::new();
        for byte in bytes {
            if let Ok(Some(received)) = receiver.push(*byte) {
                check(&received.message);
            }
        }
        receiver
    });
    assert_eq!(peak, 0, "firmware has no allocator");
    let counters = receiver.counters();
    assert_eq!(usize::try_from(counters.bytes), Ok(bytes.len()));
    // Whatever lies between two zero bytes is one message, or one fault.
    let pieces = bytes.split(|byte| *byte == 0).filter(|piece| !piece.is_empty()).count();
    let judged = usize::try_from(counters.messages.saturating_add(counters.dropped()));
    assert!(judged.is_ok_and(|judged| judged <= pieces), "{counters:?} of {pieces} pieces");
    // What random bytes never have is a checksum that is right: the first one is the kind, the others the payload.
    let Some((kind, payload)) = bytes.split_first() else { return };
    let Some(wire) = wrap(&Frame { kind: *kind, seq: 0, payload }) else { return };
    let mut receiver = Receiver::new();
    let (last, first) = wire.split_last().expect("a frame is never empty");
    assert!(first.iter().all(|byte| matches!(receiver.push(*byte), Ok(None))));
    if let Ok(Some(received)) = receiver.push(*last) {
        check(&received.message);
    }
    let counters = receiver.counters();
    assert_eq!(counters.messages + counters.malformed + counters.unknown_kinds, 1, "{counters:?}");
}

/// What was taken could have been sent, and reads back as itself.
fn check(message: &Message) {
    let sent = Sender::new(0).frame(0, message).expect("what was taken can be sent");
    let mut receiver = Receiver::new();
    let read = sent.iter().find_map(|byte| receiver.push(*byte).ok().flatten());
    assert_eq!(read.map(|received| received.message).as_ref(), Some(message));
}
