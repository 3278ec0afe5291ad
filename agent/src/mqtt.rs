//! The bridge to an MQTT broker: dashboards, plants and clouds read it, nothing inside the fleet depends on it.
//!
//! ```text
//! reports, events, contacts ─▶ Bridge ─▶ drive (one per connection) ─▶ link (rumqttc) ─▶ broker
//!                                         │    ▲                        │
//!                                         └────┴── mqtt_bridge::Machine ┘ what is said, and what the answers mean
//! ```
//! What is said is decided in the crate `mqtt-bridge`; here are sockets, timers, certificates and bounded queues.

mod backoff;
mod drive;
mod link;
mod tls;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mqtt_bridge::{Discovery, Offline, Profile, Settings, Verb, machines};
use protocol::event::Event;
use protocol::report::Report;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinHandle;
use types::{Epoch, FleetId, NodeId};

use self::link::Broker;
use crate::clock::Clock;
use crate::config::{MqttConfig, MqttProfile};

/// What waits for a connection's machine; more is left out, and said once. A fleet of 100 nodes says 700 reports a second.
const TOLD_MAX: usize = 1024;
/// How long a farewell may take.
const FAREWELL_PATIENCE: Duration = Duration::from_millis(1500);

/// Why there is no bridge.
#[derive(Debug, thiserror::Error)]
pub enum MqttError {
    /// A file cannot be read.
    #[error("mqtt: {}: {source}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A certificate or key cannot be used.
    #[error("mqtt: {}: {reason}", .path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// What the bridge is told.
#[derive(Clone, Debug)]
pub enum Told {
    /// A report.
    Report(Arc<Report>),
    /// An event.
    Event(Arc<Event>),
    /// The next contact of this node with a ground station, or that the plan has none.
    Contact(Option<Epoch>),
    /// The agent ends: say farewell.
    End,
}

/// The way to all connections; clones are the same.
#[derive(Clone, Debug)]
pub struct Bridge {
    ways: Arc<[mpsc::Sender<Told>]>,
    is_full: Arc<AtomicBool>,
}

impl Bridge {
    /// Starts the connections that the profiles need. Reads certificates; blocks for it.
    ///
    /// # Errors
    /// [`MqttError`] when a certificate, key or password cannot be used: a broker that is not there is waited for.
    pub fn start(
        config: &MqttConfig,
        (node, fleet): (&NodeId, &FleetId),
        clock: &Clock,
    ) -> Result<(Self, Vec<JoinHandle<()>>), MqttError> {
        let broker = Arc::new(Broker::new(config)?);
        let settings = settings_of(config, node, fleet);
        let mut ways = Vec::new();
        let mut tasks = Vec::new();
        for machine in machines(&settings) {
            let (way, told) = mpsc::channel(TOLD_MAX);
            ways.push(way);
            let driven = drive::drive(machine, Arc::clone(&broker), clock.clone(), told);
            tasks.push(tokio::spawn(driven));
        }
        tracing::info!(broker = %config.broker, profiles = ?config.profiles, "MQTT bridge");
        Ok((Self { ways: ways.into(), is_full: Arc::default() }, tasks))
    }

    /// Tells all connections. Never waits.
    pub fn tell(&self, told: &Told) {
        let mut is_full = false;
        for way in self.ways.iter() {
            is_full |= matches!(way.try_send(told.clone()), Err(TrySendError::Full(_)));
        }
        // Once, not for each report: a bridge that is behind says so by what it lacks.
        if !self.is_full.swap(is_full, Ordering::Relaxed) && is_full {
            tracing::warn!("the MQTT bridge is behind; reports are left out");
        }
    }

    /// Tells all connections to say farewell, and waits a little for it.
    pub async fn end(&self) {
        let ended = async {
            for way in self.ways.iter() {
                // One that has ended needs no farewell.
                way.send(Told::End).await.ok();
            }
            for way in self.ways.iter() {
                way.closed().await;
            }
        };
        if tokio::time::timeout(FAREWELL_PATIENCE, ended).await.is_err() {
            tracing::warn!("the MQTT broker was told nothing of the end; it will find out");
        }
    }
}

fn settings_of(config: &MqttConfig, node: &NodeId, fleet: &FleetId) -> Settings {
    let profile = |profile: &MqttProfile| match profile {
        MqttProfile::Native => Profile::Native,
        MqttProfile::HomeAssistant => Profile::HomeAssistant,
        MqttProfile::Sparkplug => Profile::Sparkplug,
        MqttProfile::Aws => Profile::Aws,
    };
    let discovery =
        if config.discovery_by_entity { Discovery::Entities } else { Discovery::Device };
    Settings {
        fleet: fleet.clone(),
        node: node.clone(),
        profiles: config.profiles.iter().map(profile).collect(),
        interval: config.interval,
        refresh: config.refresh,
        silence: config.silence,
        offline: if config.queues { Offline::Queue } else { Offline::Drop },
        queue_bytes: usize::try_from(u64::from(config.queue_mib) << 20).unwrap_or(usize::MAX),
        read_only: config.read_only,
        commands: config.commands.iter().filter_map(|name| Verb::of(name)).collect::<BTreeSet<_>>(),
        discovery_prefix: config.discovery_prefix.clone(),
        discovery,
        sparkplug_group: config.sparkplug_group.clone(),
        aws_thing: config.aws_thing.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
