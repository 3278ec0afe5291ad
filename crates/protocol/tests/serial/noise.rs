//! Bytes that are not what was sent: nothing panics, nothing wrong is taken, nothing is taken twice, and the next frame is heard.

use proptest::prelude::*;
use protocol::serial::frame::wrap;
use protocol::serial::{
    Counters, Dropped, Frame, FrameError, InvalidMessage, Kind, Message, Received, Receiver,
    Sender, WIRE_MAX,
};

use crate::sample::{self, any_message};

/// All that a receiver takes of these bytes, in order.
fn heard(receiver: &mut Receiver, bytes: &[u8]) -> Vec<Message> {
    let taken = bytes.iter().filter_map(|byte| receiver.push(*byte).ok().flatten());
    taken.map(|Received { message, .. }| message).collect()
}

fn sent(sender: &mut Sender, messages: &[Message]) -> Vec<u8> {
    let frames = messages.iter().map(|message| sender.frame(0, message).expect("valid"));
    frames.flat_map(|frame| frame.to_vec()).collect()
}

fn noise() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..600)
}

/// Every sample, for tests that go through all of their bits.
fn samples() -> Vec<Message> {
    vec![
        sample::hello(),
        sample::power(),
        sample::power_unknown(),
        sample::power_max(),
        sample::temp(),
        sample::event(),
        sample::ping(),
        sample::cmd_power_cycle(),
        sample::cmd_restart(),
        sample::ack(),
        sample::log(),
        sample::time(),
        sample::relay(),
        sample::set_rate(),
    ]
}

#[test]
fn no_turned_bit_and_no_lost_or_doubled_byte_is_overlooked() {
    let after = sample::ping();
    for message in samples() {
        let mut sender = Sender::new(9);
        let frame = sent(&mut sender, std::slice::from_ref(&message));
        let next = [&[0][..], &sent(&mut sender, std::slice::from_ref(&after))].concat();
        let damaged = (0..frame.len() * 8).map(|at| {
            let mut turned = frame.clone();
            turned[at / 8] ^= 1 << (at % 8);
            turned
        });
        let lost = (0..frame.len()).map(|at| [&frame[..at], &frame[at + 1..]].concat());
        let doubled = (0..frame.len()).map(|at| [&frame[..=at], &frame[at..]].concat());
        for bytes in damaged.chain(lost).chain(doubled) {
            let mut receiver = Receiver::new();
            let mut taken = heard(&mut receiver, &bytes);
            taken.extend(heard(&mut receiver, &next));
            // A zero byte more or less before or behind a frame is not damage to it.
            let is_whole = taken == [message.clone(), after.clone()];
            assert!(is_whole || taken == [after.clone()], "{bytes:02x?} became {taken:?}");
            let zeros_aside = |bytes: &[u8]| {
                let zero = |byte: &u8| *byte == 0;
                let start = bytes.iter().position(|byte| !zero(byte)).unwrap_or(bytes.len());
                let end = bytes.iter().rposition(|byte| !zero(byte)).map_or(start, |end| end + 1);
                bytes[start..end].to_vec()
            };
            assert_eq!(is_whole, zeros_aside(&bytes) == zeros_aside(&frame), "{bytes:02x?}");
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_are_no_messages(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let mut receiver = Receiver::new();
        prop_assert_eq!(heard(&mut receiver, &bytes), vec![]);
        let counters = *receiver.counters();
        prop_assert_eq!(usize::try_from(counters.bytes).unwrap(), bytes.len());
        let zeros = bytes.iter().filter(|byte| **byte == 0).count();
        prop_assert!(usize::try_from(counters.dropped()).unwrap() <= zeros + 1);
    }

    /// Frames of the right shape and checksum, with anything in them.
    #[test]
    fn random_payloads_are_refused_or_could_have_been_sent(
        kind in 0..14_u8,
        payload in proptest::collection::vec(any::<u8>(), 0..=240),
    ) {
        let wire = wrap(&Frame { kind, seq: 0, payload: &payload }).unwrap();
        let mut receiver = Receiver::new();
        for message in heard(&mut receiver, &wire) {
            let again = sent(&mut Sender::new(0), std::slice::from_ref(&message));
            prop_assert_eq!(heard(&mut Receiver::new(), &again), vec![message]);
        }
        let Counters { messages, malformed, unknown_kinds, .. } = *receiver.counters();
        prop_assert_eq!(messages + malformed + unknown_kinds, 1);
        prop_assert_eq!(unknown_kinds == 1, Kind::of(kind).is_none());
    }

    #[test]
    fn any_frame_survives_noise_before_and_behind_it(
        before in noise(),
        message in any_message(),
        behind in noise(),
        first in any::<u16>(),
    ) {
        let mut receiver = Receiver::new();
        heard(&mut receiver, &before);
        // The line was idle: the sender begins with a zero byte.
        let frame = sent(&mut Sender::new(first), std::slice::from_ref(&message));
        prop_assert!(frame.len() <= WIRE_MAX + 1);
        prop_assert_eq!(heard(&mut receiver, &frame), vec![message.clone()]);
        heard(&mut receiver, &behind);
        let next = sent(&mut Sender::new(first.wrapping_add(1)), std::slice::from_ref(&message));
        prop_assert_eq!(heard(&mut receiver, &next), vec![message]);
    }

    #[test]
    fn one_turned_bit_is_never_accepted(
        message in any_message(),
        first in any::<u16>(),
        at in any::<prop::sample::Index>(),
    ) {
        let mut frame = sent(&mut Sender::new(first), std::slice::from_ref(&message));
        // Without the zero byte before it, which only ends what is not there.
        frame.remove(0);
        let bit = at.index(frame.len() * 8);
        frame[bit / 8] ^= 1 << (bit % 8);
        frame.push(0);
        let mut receiver = Receiver::new();
        prop_assert_eq!(heard(&mut receiver, &frame), vec![]);
        prop_assert_ne!(receiver.counters().dropped(), 0);
    }

    /// Each frame once or more, in pieces of up to eight frames as a buffer might be sent again.
    #[test]
    fn what_is_said_twice_is_taken_once(
        messages in proptest::collection::vec(any_message(), 1..20),
        again in proptest::collection::vec((any::<prop::sample::Index>(), 1..8_usize), 0..20),
        first in any::<u16>(),
    ) {
        let mut sender = Sender::new(first);
        let frames: Vec<Vec<u8>> =
            messages.iter().map(|message| sent(&mut sender, std::slice::from_ref(message))).collect();
        let mut receiver = Receiver::new();
        let mut taken = Vec::new();
        for (at, frame) in frames.iter().enumerate() {
            taken.extend(heard(&mut receiver, frame));
            for (_, count) in again.iter().filter(|(index, _)| index.index(frames.len()) == at) {
                for frame in &frames[at.saturating_sub(*count)..=at] {
                    taken.extend(heard(&mut receiver, frame));
                }
            }
        }
        prop_assert_eq!(taken, messages);
        prop_assert_eq!(receiver.counters().missing, 0);
    }

    /// What is left out is counted, and costs nothing but itself.
    #[test]
    fn what_is_missing_is_counted(
        messages in proptest::collection::vec((any_message(), any::<bool>()), 2..40),
        first in any::<u16>(),
    ) {
        let mut sender = Sender::new(first);
        let mut receiver = Receiver::new();
        let (mut kept, mut missing, mut begun) = (Vec::new(), 0, None);
        for (message, is_lost) in messages {
            let frame = sent(&mut sender, std::slice::from_ref(&message));
            if is_lost {
                begun = begun.map(|count: u32| count + 1);
                continue;
            }
            missing += begun.unwrap_or(0);
            begun = Some(0);
            prop_assert_eq!(heard(&mut receiver, &frame), vec![message.clone()]);
            kept.push(message);
        }
        prop_assert_eq!(receiver.counters().missing, missing);
        prop_assert_eq!(usize::try_from(receiver.counters().messages).unwrap(), kept.len());
    }
}

/// What a fault is called, its bytes, and whether something was dropped because of it.
type Fault = (&'static str, Vec<u8>, fn(&Dropped) -> bool);

#[test]
fn each_fault_has_its_counter() {
    let version = |frame: &[u8]| {
        // Version 2 with a checksum that is right.
        let mut inner = [0; 248];
        let len = cobs_decoded(frame, &mut inner);
        inner[0] = 2;
        let crc = crc_of(&inner[..len - 4]);
        inner[len - 4..len].copy_from_slice(&crc.to_le_bytes());
        cobs_encoded(&inner[..len])
    };
    let power = sent(&mut Sender::new(3), &[sample::power()])[1..].to_vec();
    let mut turned = power.clone();
    turned[5] ^= 0x10;
    let with = |kind, payload: &[u8]| wrap(&Frame { kind, seq: 1, payload }).unwrap().to_vec();
    let faults: [Fault; 10] = [
        ("overflow", [vec![1; 300], vec![0]].concat(), |d| {
            matches!(d, Dropped::Frame(FrameError::Overflow))
        }),
        ("unwrapped", vec![9, 1, 0], |d| matches!(d, Dropped::Frame(FrameError::Unwrapped))),
        ("short", vec![3, 1, 1, 0], |d| matches!(d, Dropped::Frame(FrameError::Short(2)))),
        ("checksum", turned, |d| matches!(d, Dropped::Frame(FrameError::Checksum { .. }))),
        ("version", version(&power), |d| matches!(d, Dropped::Frame(FrameError::Version(2)))),
        ("unknown kind", with(11, &[]), |d| {
            matches!(d, Dropped::Message(InvalidMessage::UnknownKind(11)))
        }),
        ("malformed", with(1, &[0xFF]), |d| {
            matches!(d, Dropped::Message(InvalidMessage::Malformed(Kind::Power)))
        }),
        ("trailing", with(4, &[5, 5]), |d| {
            matches!(d, Dropped::Message(InvalidMessage::Trailing { bytes: 1, .. }))
        }),
        ("fuller than full", with(1, &[0, 0, 0, 0, 1, 0xE9, 0x07, 0, 0]), |d| {
            matches!(d, Dropped::Message(InvalidMessage::Invalid { .. }))
        }),
        ("text that is none", with(3, &[0, 0, 1, 0xFF]), |d| {
            matches!(d, Dropped::Message(InvalidMessage::Malformed(Kind::Event)))
        }),
    ];
    for (name, bytes, is_it) in faults {
        let mut receiver = Receiver::new();
        let dropped: Vec<_> = bytes.iter().filter_map(|byte| receiver.push(*byte).err()).collect();
        let [dropped] = dropped.as_slice() else { panic!("{name}: {dropped:?}") };
        assert!(is_it(dropped), "{name}: {dropped:?}");
        assert_eq!(receiver.counters().dropped(), 1, "{name}");
        assert_eq!(heard(&mut receiver, &power), [sample::power()], "{name}: the next frame");
    }
    let mut receiver = Receiver::new();
    let twice = [&power[..], &power].concat();
    assert_eq!(heard(&mut receiver, &twice).len(), 1);
    assert_eq!(receiver.counters().duplicates, 1);
}

/// A second unwrapping, by the table of the paper, so that the test does not ask what it tests.
fn cobs_decoded(wire: &[u8], inner: &mut [u8]) -> usize {
    let (mut at, mut len) = (0, 0);
    while wire[at] != 0 {
        let run = usize::from(wire[at]);
        for byte in &wire[at + 1..at + run] {
            inner[len] = *byte;
            len += 1;
        }
        at += run;
        if wire[at] != 0 {
            inner[len] = 0;
            len += 1;
        }
    }
    len
}

fn cobs_encoded(inner: &[u8]) -> Vec<u8> {
    let runs = inner.split(|byte| *byte == 0);
    let wrapped = runs.flat_map(|run| {
        let code = u8::try_from(run.len() + 1).expect("short runs");
        std::iter::once(code).chain(run.iter().copied()).collect::<Vec<_>>()
    });
    wrapped.chain([0]).collect()
}

/// CRC-32 bit by bit.
fn crc_of(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}
