//! The numbers that the documents claim, and the page that describes the frames.

use protocol::serial::frame::INNER_MAX;
use protocol::serial::schema::TABLE;
use protocol::serial::{Kind, Message, PAYLOAD_MAX, SCHEMA, Sender, WIRE_MAX};

use crate::sample;

const WIRE: &str = include_str!("../../WIRE.md");

#[test]
fn frames_are_as_long_as_is_said() {
    assert_eq!((PAYLOAD_MAX, INNER_MAX, WIRE_MAX), (240, 248, 250));
    // 24 bytes of power, 32 with what is around them, 34 on the wire: 340 bits with start and stop bits, 2.95 ms at 115,200 baud.
    assert_eq!(Message::payload_max(Kind::Power), 24);
    assert_eq!(Message::payload_max(Kind::Log), PAYLOAD_MAX);
    let mut longest = Sender::new(0).frame(0, &sample::log()).unwrap();
    assert_eq!(longest.len(), WIRE_MAX + 1, "with the zero byte before it");
    assert_eq!(longest.pop(), Some(0));
    assert!(longest.iter().skip(1).all(|byte| *byte != 0));
}

#[test]
fn the_table_of_kinds_is_the_same_in_code_and_document() {
    assert!(WIRE.contains(&format!("\n```text\n{TABLE}```\n")), "{TABLE}");
    assert!(WIRE.contains(&format!("`{SCHEMA:#018x}`")), "{SCHEMA:#018x}");
    for (line, kind) in TABLE.lines().zip(Kind::ALL) {
        assert!(line.starts_with(&format!("{} {kind:?}", kind as u8)), "{line}");
    }
    assert_eq!(TABLE.lines().count(), Kind::ALL.len());
}

#[test]
fn a_sender_clears_the_line_after_it_was_idle() {
    let mut sender = Sender::new(65_535);
    let begins = |sent: protocol::serial::Sent| sent[0];
    assert_eq!(begins(sender.frame(1000, &sample::ping()).unwrap()), 0, "the first");
    assert_ne!(begins(sender.frame(1100, &sample::ping()).unwrap()), 0, "100 ms later");
    assert_eq!(begins(sender.frame(1201, &sample::ping()).unwrap()), 0, "101 ms later");
    assert_ne!(begins(sender.frame(1201, &sample::ping()).unwrap()), 0, "at once");
    sender.reopened();
    assert_eq!(begins(sender.frame(1201, &sample::ping()).unwrap()), 0, "on a line opened anew");
}
