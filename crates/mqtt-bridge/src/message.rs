//! A message for the broker, and what its topic may look like.

/// How sure a delivery is. Twice-acknowledged delivery is not used: AWS has none, and consumers can tell repeats by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Qos {
    /// At most once.
    AtMostOnce,
    /// At least once.
    AtLeastOnce,
}

/// What becomes of a message when there is no broker, or it is lost on the way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// How something stands: made anew for each connection, so a lost one is not missed. A newer one takes its place.
    State,
    /// A group of values at a time.
    Sample,
    /// Something that happened.
    Event,
}

/// Largest payload: the limit of AWS IoT Core, the lowest of the brokers that we know.
pub const PAYLOAD_BYTES_MAX: usize = 128 * 1024;
/// Longest topic in bytes: the limit of AWS IoT Core for topics that are not its own.
pub(crate) const TOPIC_BYTES_MAX: usize = 256;
/// Most slashes in a topic, without those of AWS's own: the limit of AWS IoT Core.
pub(crate) const TOPIC_SLASHES_MAX: usize = 7;
/// Bytes that a waiting message takes besides topic and payload.
const OVERHEAD_BYTES: usize = 64;

/// A message for the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Where to.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
    /// How surely.
    pub qos: Qos,
    /// Whether the broker keeps it for who comes later.
    pub retain: bool,
}

impl Publish {
    /// What it takes in memory, about.
    pub fn bytes(&self) -> usize {
        self.topic.len() + self.payload.len() + OVERHEAD_BYTES
    }
}

/// Whether messages may be published on a topic anywhere: no wildcards, no control characters, within the limits of AWS.
pub(crate) fn is_topic(topic: &str) -> bool {
    let slashes = topic.bytes().filter(|byte| *byte == b'/').count();
    let plain = |c: char| !c.is_control() && c != '+' && c != '#';
    !topic.is_empty()
        && topic.len() <= TOPIC_BYTES_MAX
        && (topic.starts_with("$aws/") || slashes <= TOPIC_SLASHES_MAX)
        && topic.chars().all(plain)
}
