//! The node, the sky above it, and the log.

use types::{NodeId, NodeKind};

use super::wire::to_guest;
use crate::bindings::output::Level as WireLevel;
use crate::bindings::types::Fault;
use crate::bindings::{node, output, sky};
use crate::context::Context;
use crate::host::{Contact, Level, Position};

impl node::Host for Context {
    fn describe(&mut self) -> node::Info {
        let info = self.host().describe();
        node::Info {
            node: info.node.into(),
            kind: info.kind.to_string(),
            battery_pct: info.battery_pct,
            temperature_c: info.temperature_c,
            sunlit: info.sunlit,
            accelerators: info.accelerators,
        }
    }
}

impl sky::Host for Context {
    fn now(&mut self) -> i64 {
        self.host().sky_now().unix_ns()
    }

    fn next_contact(&mut self, node: String) -> Option<sky::Contact> {
        // A name that no node can have is one that the plan does not hold.
        let node = NodeId::new(&node).ok()?;
        self.host().next_contact(&node).map(to_wire)
    }

    fn next_contact_with(&mut self, kind: String) -> Option<sky::Contact> {
        let kind = KINDS.into_iter().find(|known| known.to_string() == kind)?;
        self.host().next_contact_with(kind).map(to_wire)
    }

    fn position(&mut self) -> Option<sky::Place> {
        let Position { latitude_deg, longitude_deg, altitude_km } = self.host().position()?;
        Some(sky::Place { latitude_deg, longitude_deg, altitude_km })
    }

    fn latency(&mut self, node: String) -> Option<f64> {
        let node = NodeId::new(&node).ok()?;
        self.host().latency_ms(&node)
    }
}

fn to_wire(contact: Contact) -> sky::Contact {
    sky::Contact {
        node: contact.node.into(),
        opens_in_s: contact.opens_in_s,
        closes_in_s: contact.closes_in_s,
        latency_max_ms: contact.latency_max_ms,
    }
}

/// All kinds of nodes, which guests name as they are shown.
const KINDS: [NodeKind; 4] =
    [NodeKind::Satellite, NodeKind::GroundStation, NodeKind::Edge, NodeKind::Cloud];

/// Most messages of one call, and the bytes of each.
const EMITS_MAX: u32 = 64;
const EMIT_BYTES_MAX: usize = 256 * 1024;

impl output::Host for Context {
    fn log(&mut self, level: WireLevel, message: String) {
        if let Some(line) = self.log.admit(&message) {
            self.host().log(from_wire(level), &line);
        }
    }

    fn emit(&mut self, topic: String, body: Vec<u8>) -> Result<(), Fault> {
        if EMITS_MAX <= self.emitted || EMIT_BYTES_MAX < body.len() {
            return Err(Fault::TooLarge);
        }
        self.host().emit(&topic, body).map_err(to_guest)?;
        self.emitted += 1;
        Ok(())
    }
}

fn from_wire(level: WireLevel) -> Level {
    match level {
        WireLevel::Trace => Level::Trace,
        WireLevel::Debug => Level::Debug,
        WireLevel::Info => Level::Info,
        WireLevel::Warn => Level::Warn,
        WireLevel::Error => Level::Error,
    }
}
