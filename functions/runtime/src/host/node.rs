//! The node, the sky above it, and the log.

use types::NodeId;

use crate::bindings::output::Level as WireLevel;
use crate::bindings::{node, output, sky};
use crate::context::Context;
use crate::host::Level;

impl node::Host for Context {
    fn describe(&mut self) -> node::Info {
        let info = self.host.get().describe();
        node::Info {
            node: info.node.into(),
            kind: info.kind.to_string(),
            battery_pct: info.battery_pct,
            temperature_c: info.temperature_c,
            sunlit: info.sunlit,
        }
    }
}

impl sky::Host for Context {
    fn now(&mut self) -> i64 {
        self.host.get().sky_now().unix_ns()
    }

    fn next_contact(&mut self, node: String) -> Option<sky::Contact> {
        // A name that no node can have is one that the plan does not hold.
        let node = NodeId::new(&node).ok()?;
        let contact = self.host.get().next_contact(&node)?;
        Some(sky::Contact {
            opens_in_s: contact.opens_in_s,
            closes_in_s: contact.closes_in_s,
            latency_max_ms: contact.latency_max_ms,
        })
    }
}

impl output::Host for Context {
    fn log(&mut self, level: WireLevel, message: String) {
        if let Some(line) = self.log.admit(&message) {
            self.host.get().log(from_wire(level), &line);
        }
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
