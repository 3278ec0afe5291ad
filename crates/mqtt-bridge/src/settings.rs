//! What an operator decides about the bridge.

use std::collections::BTreeSet;
use std::time::Duration;

use types::{FleetId, NodeId};

/// How the bridge talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// Topics of our own, in JSON.
    Native,
    /// Status and telemetry of the native profile, and documents from which Home Assistant makes devices.
    HomeAssistant,
    /// Sparkplug B: this node is the edge node, others are its devices.
    Sparkplug,
    /// The shadow of a thing of AWS IoT Core.
    Aws,
}

/// What becomes of telemetry and events while there is no broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offline {
    /// They are left out.
    Drop,
    /// They wait, within bounds, and are sent behind what is new then.
    Queue,
}

/// Which documents Home Assistant gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// One for each device; from Home Assistant 2024.11 on.
    Device,
    /// One for each entity, for versions before that.
    Entities,
}

/// What may be commanded over MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Answer, nothing else.
    Nop,
    /// Say everything that is known again, changed or not.
    ReportNow,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Nop, Self::ReportNow];

    /// Its name in messages and configurations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nop => "nop",
            Self::ReportNow => "report-now",
        }
    }

    /// The verb of a name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == name)
    }
}

/// Everything that an operator decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The fleet.
    pub fleet: FleetId,
    /// This node.
    pub node: NodeId,
    /// Which profiles are spoken.
    pub profiles: BTreeSet<Profile>,
    /// A group of values is said at most so often.
    pub interval: Duration,
    /// Values that do not change are said again after this.
    pub refresh: Duration,
    /// Another node that says nothing for so long is offline.
    pub silence: Duration,
    /// What happens without a broker.
    pub offline: Offline,
    /// Most bytes that wait, over all connections.
    pub queue_bytes: usize,
    /// Whether commands are refused without a look.
    pub read_only: bool,
    /// Commands that are obeyed unless `read_only`.
    pub commands: BTreeSet<Verb>,
    /// Where Home Assistant looks for documents; `homeassistant` unless changed there.
    pub discovery_prefix: String,
    /// Which documents it gets.
    pub discovery: Discovery,
    /// The Sparkplug group; the name of the fleet unless an operator says otherwise.
    pub sparkplug_group: String,
    /// The thing of AWS IoT; the name of the node unless an operator says otherwise.
    pub aws_thing: String,
    /// The version of the agent.
    pub version: String,
}

impl Settings {
    /// Whether a profile is spoken.
    pub fn speaks(&self, profile: Profile) -> bool {
        self.profiles.contains(&profile)
    }

    /// Whether status and telemetry are said on our own topics.
    pub fn says_telemetry(&self) -> bool {
        self.speaks(Profile::Native) || self.speaks(Profile::HomeAssistant)
    }

    /// Whether commands are listened to at all.
    pub fn takes_commands(&self) -> bool {
        !self.read_only && self.speaks(Profile::Native)
    }
}
