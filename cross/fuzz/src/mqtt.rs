//! What comes from an MQTT broker: anybody who may write there can send it.

use std::collections::BTreeSet;
use std::time::Duration;

use mqtt_bridge::{
    Discovery, Heard, Moment, Offline, PAYLOAD_BYTES_MAX, Profile, Settings, Verb, machines,
};
use types::{Epoch, FleetId, Instant, NodeId};

use crate::{check_memory, peak_of};

/// Memory for a byte of a message: a metric of two bytes is 200 bytes, and its list grows by doubling.
const MEMORY_PER_BYTE: usize = 512;
/// Memory besides: what a node says of itself at its birth, twice.
const MEMORY_FIXED: usize = 64 * 1024;
/// Messages that one can lead to: a birth, or the two states of a command.
const ANSWERS_MAX: usize = 2;

/// The topics on which a node of the name `n` in the fleet `f` hears something; the second byte of a command's id is the input's.
const TOPICS: [&str; 5] = [
    "starbelt/f/n/cmd/a",
    "spBv1.0/g/NCMD/n",
    "homeassistant/status",
    "$aws/things/t/shadow/name/telemetry/update/rejected",
    "starbelt/f/n/cmd/",
];

/// A message: its first byte says on which topic and whether the broker kept it, the rest is the payload, or the end of the topic
/// where that is open.
///
/// # Panics
/// When something does not hold for it.
pub fn mqtt(bytes: &[u8]) {
    let Some((first, payload)) = bytes.split_first() else { return };
    let which = usize::from(first & 0x7f) % TOPICS.len();
    let end =
        if which == 4 { String::from_utf8_lossy(payload).into_owned() } else { String::new() };
    let topic = format!("{}{end}", TOPICS[which]);
    let heard = Heard { topic: &topic, payload, retain: first & 0x80 != 0 };
    let now = Moment { at: Instant(1_000_000_000), sky: Epoch::from_unix_ns(1_000_000_000) };
    for mut machine in machines(&settings()) {
        machine.open(&now);
        machine.opened(&now);
        while machine.next(&now).is_some() {
            machine.written(None);
        }
        let later = Moment { at: Instant(9_000_000_000), ..now };
        let (notice, peak) = peak_of(|| machine.hear(&later, heard));
        check_memory(peak, topic.len() + bytes.len(), MEMORY_PER_BYTE, MEMORY_FIXED);
        drop(notice);
        let mut answers = 0;
        while let Some(publish) = machine.next(&later) {
            machine.written(None);
            answers += 1;
            assert!(answers <= ANSWERS_MAX, "one message leads to {answers}");
            assert!(publish.payload.len() <= PAYLOAD_BYTES_MAX, "{} bytes", publish.payload.len());
            let is_plain = publish.topic.bytes().all(|byte| byte.is_ascii_graphic());
            assert!(is_plain && !publish.topic.contains(['+', '#']), "{:?}", publish.topic);
        }
        assert!(machine.is_idle(), "something waits that is never sent");
    }
}

fn settings() -> Settings {
    let profiles = [Profile::Native, Profile::HomeAssistant, Profile::Sparkplug, Profile::Aws];
    Settings {
        fleet: FleetId::new("f").expect("a valid name"),
        node: NodeId::new("n").expect("a valid name"),
        profiles: BTreeSet::from(profiles),
        interval: Duration::from_secs(1),
        refresh: Duration::from_secs(60),
        silence: Duration::from_secs(30),
        offline: Offline::Queue,
        queue_bytes: 1 << 20,
        read_only: false,
        commands: BTreeSet::from(Verb::ALL),
        discovery_prefix: "homeassistant".to_owned(),
        discovery: Discovery::Device,
        sparkplug_group: "g".to_owned(),
        aws_thing: "t".to_owned(),
        version: "0".to_owned(),
    }
}
