//! What a node says to an MQTT broker, and what it makes of the answers. MQTT is the edge of a fleet: dashboards, plants and
//! clouds read it; nothing inside the fleet depends on it.
//!
//! Reading order: [`Settings`], [`Metric`] (what may be said), `Nodes` (what is known), [`Machine`] (the two connections:
//! [`Plain`] for the native, Home Assistant and AWS profiles, [`EdgeNode`] for Sparkplug B), [`Outbox`] (what waits while there
//! is no broker). Sockets, timers and certificates are the agent's.

mod aws;
mod command;
mod homeassistant;
mod machine;
mod message;
mod metric;
mod native;
mod nodes;
mod outbox;
mod plain;
mod read;
mod settings;
mod sparkplug;
mod value;

pub use machine::{Heard, Machine, Moment, Notice, Opening, Told, machines};
pub use message::{PAYLOAD_BYTES_MAX, Publish, Qos};
pub use metric::{Kind, METRICS, Metric, Part, StateClass};
pub use outbox::{Counts, Outbox};
pub use plain::Plain;
pub use settings::{Discovery, Offline, Profile, Settings, Verb};
pub use sparkplug::EdgeNode;
pub use sparkplug::payload;
