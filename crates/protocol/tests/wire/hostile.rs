//! The same hostile treatment for every message: cut, lengthened, of another version or kind, with any bit turned, made
//! of random bytes. Nothing may panic, and what decodes must be a message that could have been sent.

use std::fmt::Debug;

use proptest::prelude::*;
use protocol::codec::{DecodeError, HEADER_BYTES, Message, WIRE_VERSION, decode, encode};

use crate::sample;

/// What decodes must encode again, within its limit, and read back as itself.
fn is_sound<M: Message>(frame: &[u8]) {
    if let Ok(message) = decode::<M>(frame) {
        let again = encode(&message).expect("what was taken can be sent");
        assert!(again.len() <= M::BYTES_MAX);
        let read = decode::<M>(&again).expect("what was sent can be taken");
        // Compared as bytes, since some numbers equal nothing, not even themselves.
        assert_eq!(encode(&read), Ok(again), "{:?} reads back otherwise", M::SCHEMA);
    }
}

fn every_way<M: Message + PartialEq + Debug>(message: &M) {
    let schema = M::SCHEMA;
    let frame = encode(message).expect("a valid message");
    assert_eq!(frame[..HEADER_BYTES], [WIRE_VERSION, schema as u8]);
    for len in 0..frame.len() {
        assert!(decode::<M>(&frame[..len]).is_err(), "{schema:?} cut to {len} bytes");
    }
    let longer = [&frame[..], &[0]].concat();
    let trailing = decode::<M>(&longer);
    let is_refused =
        matches!(trailing, Err(DecodeError::Trailing { .. } | DecodeError::TooLarge { .. }));
    assert!(is_refused, "{schema:?} with a byte more: {trailing:?}");
    for version in (0..=u8::MAX).filter(|version| *version != WIRE_VERSION) {
        let mut other = frame.clone();
        other[0] = version;
        let unsupported = DecodeError::Unsupported { got: version, ours: WIRE_VERSION };
        assert_eq!(decode::<M>(&other), Err(unsupported), "{schema:?}");
    }
    for kind in (0..=u8::MAX).filter(|kind| *kind != schema as u8) {
        let mut other = frame.clone();
        other[1] = kind;
        let wrong = DecodeError::WrongSchema { got: kind, expected: schema };
        assert_eq!(decode::<M>(&other), Err(wrong), "{schema:?}");
    }
    let oversize = vec![WIRE_VERSION; M::BYTES_MAX + 1];
    let (bytes, limit) = (oversize.len(), M::BYTES_MAX);
    assert_eq!(decode::<M>(&oversize), Err(DecodeError::TooLarge { bytes, limit }), "{schema:?}");
    for at in 0..frame.len() * 8 {
        let mut turned = frame.clone();
        turned[at / 8] ^= 1 << (at % 8);
        is_sound::<M>(&turned);
    }
}

macro_rules! every_message {
    ($($name:ident: $type:ty),* $(,)?) => {
        #[test]
        fn no_damage_to_a_frame_is_overlooked_or_fatal() {
            $(every_way::<$type>(&sample::$name());)*
        }

        proptest! {
            #[test]
            fn random_bodies_are_refused_or_sound(
                body in proptest::collection::vec(any::<u8>(), 0..200),
            ) {
                $({
                    let header = [WIRE_VERSION, <$type as Message>::SCHEMA as u8];
                    is_sound::<$type>(&[&header[..], &body].concat());
                    is_sound::<$type>(&body);
                })*
            }

            /// Small numbers make valid lengths and variants more likely than random bytes do.
            #[test]
            fn plausible_bodies_are_refused_or_sound(
                body in proptest::collection::vec(0_u8..8, 0..60),
            ) {
                $({
                    let header = [WIRE_VERSION, <$type as Message>::SCHEMA as u8];
                    is_sound::<$type>(&[&header[..], &body].concat());
                })*
            }
        }

        /// The limit of each message, by its schema.
        pub(crate) fn limits() -> Vec<(u8, usize)> {
            let mut limits = vec![
                $((<$type as Message>::SCHEMA as u8, <$type as Message>::BYTES_MAX)),*
            ];
            limits.sort_unstable();
            limits.dedup();
            limits
        }
    };
}

every_message! {
    report_power: protocol::report::Report,
    report_thermal: protocol::report::Report,
    report_compute: protocol::report::Report,
    report_gpu: protocol::report::Report,
    report_link: protocol::report::Report,
    report_position: protocol::report::Report,
    report_function: protocol::report::Report,
    report_queue: protocol::report::Report,
    event_started: protocol::event::Event,
    event_took_over: protocol::event::Event,
    event_run_finished: protocol::event::Event,
    event_query: protocol::event::EventQuery,
    event_page: protocol::event::EventPage,
    desired: protocol::desired::Desired,
    desired_reply: protocol::desired::DesiredReply,
    invoke: protocol::invoke::Invoke,
    invoked_committed: protocol::invoke::Invoked,
    invoked_failed: protocol::invoke::Invoked,
    offer: protocol::belt::Offer,
    offer_reply: protocol::belt::OfferReply,
    chunk: protocol::belt::Chunk,
    chunk_reply: protocol::belt::ChunkReply,
    fetch: protocol::belt::Fetch,
    fetched: protocol::belt::Fetched,
    inventory_query: protocol::belt::InventoryQuery,
    inventory: protocol::belt::Inventory,
    plan_query: protocol::plan::PlanQuery,
    plan: protocol::plan::PlanMessage,
    module_query: protocol::module::ModuleQuery,
    module_chunk: protocol::module::ModuleChunk,
    command: protocol::command::Command,
    command_reply: protocol::command::CommandReply,
    sim_clock: protocol::sim::SimClock,
    sim_env: protocol::sim::SimEnv,
    sim_fault: protocol::sim::SimFault,
    sim_fault_reply: protocol::sim::SimFaultReply,
    ping: protocol::report::Ping,
    manifest: protocol::manifest::Manifest,
    signed_manifest: protocol::signed::SignedManifest,
    signers: protocol::signed::Signers,
    log_batch: protocol::log::LogBatch,
    topic_message: protocol::topic::TopicMessage,
    call: protocol::call::Call,
    called: protocol::call::Called,
    board_report: protocol::board::BoardReport,
    backlog: protocol::backlog::Backlog,
    receipt: protocol::backlog::Receipt,
    members: protocol::join::Members,
    release: protocol::release::Release,
    signed_release: protocol::release::SignedRelease,
    program_chunk: protocol::release::ProgramChunk,
}
