//! Nothing is lost without being counted, whatever breaks when.

use std::collections::BTreeMap;

use mqtt_bridge::{Offline, Outbox, Publish, Qos};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    State(u8),
    Sample(u16),
    Event(u16),
    Next,
    Written,
    Acked(u8),
    Open,
    Closed,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0_u8..3).prop_map(Step::State),
        4 => (0_u16..600).prop_map(Step::Sample),
        3 => (0_u16..600).prop_map(Step::Event),
        6 => Just(Step::Next),
        5 => Just(Step::Written),
        4 => any::<u8>().prop_map(Step::Acked),
        1 => Just(Step::Open),
        1 => Just(Step::Closed),
    ]
}

/// A message whose payload says which it is.
fn publish(topic: &str, number: u64, bytes: u16, qos: Qos) -> Publish {
    let mut payload = number.to_le_bytes().to_vec();
    payload.resize(8 + usize::from(bytes), 0);
    Publish { topic: topic.to_owned(), payload, qos, retain: false }
}

fn number(publish: &Publish) -> u64 {
    u64::from_le_bytes(publish.payload[..8].try_into().expect("what the test made"))
}

/// The client and the broker, as a test sees them.
#[derive(Default)]
struct Beyond {
    in_hand: Vec<Publish>,
    in_flight: BTreeMap<u16, Publish>,
    next_id: u16,
    delivered: Vec<u64>,
}

impl Beyond {
    fn written(&mut self, outbox: &mut Outbox) {
        if self.in_hand.is_empty() {
            return;
        }
        let publish = self.in_hand.remove(0);
        if publish.qos == Qos::AtMostOnce {
            outbox.written(None);
            self.delivered.push(number(&publish));
        } else {
            self.next_id += 1;
            outbox.written(Some(self.next_id));
            self.in_flight.insert(self.next_id, publish);
        }
    }

    fn acked(&mut self, outbox: &mut Outbox, pick: usize) {
        let Some(id) = self.in_flight.keys().nth(pick % self.in_flight.len().max(1)).copied()
        else {
            return;
        };
        outbox.acked(id);
        let publish = self.in_flight.remove(&id).expect("what the test made");
        self.delivered.push(number(&publish));
    }
}

const BYTES_MAX: usize = 2048;

proptest! {
    #[test]
    fn every_event_is_delivered_waits_or_is_counted(steps in prop::collection::vec(step(), 1..300), keep: bool) {
        let offline = if keep { Offline::Queue } else { Offline::Drop };
        let mut outbox = Outbox::new(offline, BYTES_MAX);
        let mut beyond = Beyond::default();
        let mut pushed = 0;
        for (count, step) in (1_u64..).zip(steps) {
            match step {
                Step::State(which) => {
                    outbox.state(publish(&format!("state/{which}"), 0, 8, Qos::AtLeastOnce));
                }
                Step::Sample(bytes) => {
                    pushed += 1;
                    outbox.sample(publish("tlm", count, bytes, Qos::AtMostOnce), "hist".to_owned());
                }
                Step::Event(bytes) => {
                    pushed += 1;
                    outbox.event(publish("evt", count, bytes, Qos::AtLeastOnce));
                }
                Step::Next => beyond.in_hand.extend(outbox.hand_out()),
                Step::Written => beyond.written(&mut outbox),
                Step::Acked(pick) => beyond.acked(&mut outbox, usize::from(pick)),
                Step::Open => outbox.opened(),
                Step::Closed => {
                    outbox.closed();
                    beyond.in_hand.clear();
                    beyond.in_flight.clear();
                }
            }
            prop_assert!(outbox.bytes() <= BYTES_MAX, "{} bytes", outbox.bytes());
        }
        // Whatever is left is delivered in the end.
        outbox.closed();
        beyond.in_hand.clear();
        beyond.in_flight.clear();
        let before = beyond.delivered.len();
        outbox.opened();
        while let Some(publish) = outbox.hand_out() {
            beyond.in_hand.push(publish);
            beyond.written(&mut outbox);
            beyond.acked(&mut outbox, 0);
        }
        let late = &beyond.delivered[before..];
        prop_assert!(late.is_sorted(), "what waited comes in order: {late:?}");
        prop_assert!(outbox.is_idle());
        prop_assert_eq!(outbox.bytes(), 0);
        let counts = outbox.counts();
        let delivered = beyond.delivered.iter().filter(|number| **number != 0).count();
        let lost = counts.dropped_offline + counts.dropped_full + counts.refused;
        prop_assert_eq!(u64::try_from(delivered).expect("what the test made") + lost, pushed, "{:?}", counts);
        if keep {
            prop_assert_eq!(counts.dropped_offline, 0);
        }
    }
}

#[test]
fn samples_make_room_for_events_and_not_the_other_way_round() {
    let mut outbox = Outbox::new(Offline::Queue, 1000);
    for number in 1..=3 {
        outbox.event(publish("evt", number, 100, Qos::AtLeastOnce));
    }
    for number in 4..=20 {
        outbox.sample(publish("tlm", number, 100, Qos::AtMostOnce), "hist".to_owned());
    }
    outbox.opened();
    let mut kept = Vec::new();
    while let Some(publish) = outbox.hand_out() {
        kept.push(number(&publish));
    }
    // 175 bytes an event and 176 a sample: five fit.
    assert_eq!(kept, [1, 2, 3, 19, 20]);
    assert_eq!(outbox.counts().dropped_full, 15);
}

#[test]
fn topics_that_a_broker_would_refuse_are_not_sent() {
    let mut outbox = Outbox::new(Offline::Queue, 1 << 20);
    outbox.opened();
    let deep = "a/b/c/d/e/f/g/h/i";
    for topic in ["", "a/+", "a/#", "a\u{0}", "a\n", deep, &"x".repeat(257)] {
        outbox.event(publish(topic, 1, 0, Qos::AtLeastOnce));
    }
    let huge = Publish { payload: vec![0; 128 * 1024 + 1], ..publish("a", 1, 0, Qos::AtLeastOnce) };
    outbox.event(huge);
    assert!(outbox.is_idle());
    assert_eq!(outbox.counts().refused, 8);
}
