//! What waits for the broker, what is on its way, and what comes back when the connection breaks.
//!
//! ```text
//! push ─▶ live ─┐
//!               ├─ hand_out ─▶ in hand ─ written(id) ─▶ in flight ─ acked(id) ─▶ gone
//!     backlog ─┘                  │        │                 │
//!        ▲                        │        └─ without id ─▶ gone
//!        └──── closed ────────────┴───────────────────────────┘   (what is kept)
//! ```
//! What is new goes first, what waited for a connection behind it. A client library keeps unacknowledged messages in its own
//! memory and forgets them with a clean session; so this is the only place that counts.

use std::collections::{BTreeMap, VecDeque};

use crate::message::{Class, PAYLOAD_BYTES_MAX, Publish, Qos, is_topic};
use crate::settings::Offline;

/// What became of messages since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Written, without waiting for an answer.
    pub sent: u64,
    /// Taken by the broker.
    pub acked: u64,
    /// Left out because nothing is kept without a broker.
    pub dropped_offline: u64,
    /// Left out because others needed the room.
    pub dropped_full: u64,
    /// Left out because no broker would take them.
    pub refused: u64,
    /// Reports of nodes for which there was no place.
    pub no_place: u64,
}

/// A message with what is to become of it.
#[derive(Clone, Debug)]
struct Item {
    /// Counts what was pushed: the order of time.
    number: u64,
    class: Class,
    /// Where and how it goes if it has to wait for a connection; as it is if `None`.
    late_topic: Option<String>,
    /// A newer state with the same key takes its place.
    key: String,
    publish: Publish,
}

/// Messages on their way to a broker.
#[derive(Clone, Debug)]
pub struct Outbox {
    offline: Offline,
    bytes_max: usize,
    is_open: bool,
    pushed: u64,
    live: VecDeque<Item>,
    backlog: VecDeque<Item>,
    in_hand: VecDeque<Item>,
    in_flight: BTreeMap<u16, Item>,
    /// Bytes of samples and events, wherever they are.
    bytes: usize,
    counts: Counts,
}

impl Outbox {
    /// Nothing waits; at most `bytes_max` bytes of samples and events will.
    pub fn new(offline: Offline, bytes_max: usize) -> Self {
        Self {
            offline,
            bytes_max,
            is_open: false,
            pushed: 0,
            live: VecDeque::new(),
            backlog: VecDeque::new(),
            in_hand: VecDeque::new(),
            in_flight: BTreeMap::new(),
            bytes: 0,
            counts: Counts::default(),
        }
    }

    /// Whether there is a connection.
    pub const fn is_open(&self) -> bool {
        self.is_open
    }

    /// A connection is there.
    pub const fn opened(&mut self) {
        self.is_open = true;
    }

    /// Says how something stands. Without a connection nothing is kept: it is said anew when there is one.
    pub fn state(&mut self, publish: Publish) {
        let key = publish.topic.clone();
        self.state_as(key, publish);
    }

    /// The same, where only a state with the same key is replaced.
    pub fn state_as(&mut self, key: String, publish: Publish) {
        if !self.is_open || !self.is_right(&publish) {
            return;
        }
        let same = |item: &Item| item.class == Class::State && item.key == key;
        self.live.retain(|item| !same(item));
        let item = self.item(Class::State, None, key, publish);
        self.enter(item);
    }

    /// Says values; those that wait for a connection go to `late_topic`, so that nobody takes them for new.
    pub fn sample(&mut self, publish: Publish, late_topic: String) {
        self.keep(Class::Sample, publish, Some(late_topic));
    }

    /// Says that something happened.
    pub fn event(&mut self, publish: Publish) {
        self.keep(Class::Event, publish, None);
    }

    fn keep(&mut self, class: Class, publish: Publish, late_topic: Option<String>) {
        if !self.is_right(&publish) {
            return;
        }
        if !self.is_open && self.offline == Offline::Drop {
            self.counts.dropped_offline += 1;
            return;
        }
        let item = self.item(class, late_topic, String::new(), publish);
        let bytes = charged(&item);
        if self.bytes_max < bytes || !self.make_room(class, bytes) {
            self.counts.dropped_full += 1;
            return;
        }
        self.enter(item);
    }

    fn item(
        &mut self,
        class: Class,
        late_topic: Option<String>,
        key: String,
        publish: Publish,
    ) -> Item {
        self.pushed += 1;
        let mut item = Item { number: self.pushed, class, late_topic, key, publish };
        if !self.is_open {
            make_late(&mut item);
        }
        item
    }

    fn enter(&mut self, item: Item) {
        self.bytes += charged(&item);
        let queue = if self.is_open { &mut self.live } else { &mut self.backlog };
        queue.push_back(item);
    }

    fn is_right(&mut self, publish: &Publish) -> bool {
        let is_right = publish.payload.len() <= PAYLOAD_BYTES_MAX && is_topic(&publish.topic);
        self.counts.refused += u64::from(!is_right);
        is_right
    }

    /// Makes room for a message by leaving out the oldest that wait: samples first, then, for an event, events. What is on its
    /// way is not taken back.
    fn make_room(&mut self, class: Class, bytes: usize) -> bool {
        let victims: &[Class] = match class {
            Class::Event => &[Class::Sample, Class::Event],
            Class::Sample | Class::State => &[Class::Sample],
        };
        for victim in victims {
            for queue in [&mut self.backlog, &mut self.live] {
                while self.bytes_max < self.bytes.saturating_add(bytes) {
                    let Some(at) = queue.iter().position(|item| item.class == *victim) else {
                        break;
                    };
                    if let Some(item) = queue.remove(at) {
                        self.bytes -= charged(&item);
                        self.counts.dropped_full += 1;
                    }
                }
            }
        }
        self.bytes.saturating_add(bytes) <= self.bytes_max
    }

    /// The next message for the client.
    pub fn hand_out(&mut self) -> Option<Publish> {
        if !self.is_open {
            return None;
        }
        let item = self.live.pop_front().or_else(|| self.backlog.pop_front())?;
        let publish = item.publish.clone();
        self.in_hand.push_back(item);
        Some(publish)
    }

    /// The client has written the oldest message in hand.
    pub fn written(&mut self, id: Option<u16>) {
        let Some(item) = self.in_hand.pop_front() else { return };
        match id {
            Some(id) => {
                if let Some(old) = self.in_flight.insert(id, item) {
                    // A client uses an id anew only after its answer; if one does not, the message is not lost in the count.
                    self.bytes -= charged(&old);
                }
            }
            None => {
                self.bytes -= charged(&item);
                self.counts.sent += 1;
            }
        }
    }

    /// The broker has taken a message.
    pub fn acked(&mut self, id: u16) {
        if let Some(item) = self.in_flight.remove(&id) {
            self.bytes -= charged(&item);
            self.counts.acked += 1;
        }
    }

    /// The connection is gone: what was not acknowledged waits again, in the order of time, or is left out.
    pub fn closed(&mut self) {
        self.is_open = false;
        let queues = [&mut self.backlog, &mut self.live, &mut self.in_hand];
        let mut items: Vec<Item> = queues.into_iter().flat_map(std::mem::take).collect();
        items.extend(std::mem::take(&mut self.in_flight).into_values());
        items.sort_unstable_by_key(|item| item.number);
        self.bytes = 0;
        for mut item in items {
            if item.class == Class::State {
                continue;
            }
            if self.offline == Offline::Drop {
                self.counts.dropped_offline += 1;
                continue;
            }
            make_late(&mut item);
            self.bytes += charged(&item);
            self.backlog.push_back(item);
        }
        // A late topic may be longer than the first one.
        self.make_room(Class::Event, 0);
    }

    /// Whether nothing waits and nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.live.is_empty()
            && self.backlog.is_empty()
            && self.in_hand.is_empty()
            && self.in_flight.is_empty()
    }

    /// Bytes of samples and events that are kept.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What became of messages.
    pub const fn counts(&self) -> Counts {
        self.counts
    }
}

/// What a message takes of the bound; states are bounded by their number.
fn charged(item: &Item) -> usize {
    if item.class == Class::State { 0 } else { item.publish.bytes() }
}

/// What waited for a connection is acknowledged, on its own topic.
fn make_late(item: &mut Item) {
    item.publish.qos = Qos::AtLeastOnce;
    if let Some(topic) = item.late_topic.take() {
        item.publish.topic = topic;
    }
}
