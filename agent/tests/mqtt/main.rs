//! The bridge against a real broker: mosquitto from Debian, started for each test. Where it is not installed, each test says so.
#![cfg(feature = "mqtt")]

mod broker;
mod ears;
mod outage;
mod profiles;
mod secure;

use std::path::PathBuf;
use std::time::Duration;

use agent::clock::Clock;
use agent::config::{BrokerUrl, MqttConfig, MqttNodes, MqttProfile, MqttProtocol, MqttTls};
use agent::mqtt::{Bridge, Told};
use protocol::report::{Header, NoReading, Reading, Report, ReportBody, Source, ThermalReport};
use tokio::task::JoinHandle;
use types::{BootId, FleetId, NodeId, SkyClock, Uptime};

/// How long anything may take; what takes longer never comes.
const PATIENCE: Duration = Duration::from_secs(60);
const ME: &str = "station-1";

fn config(port: u16, profiles: &[MqttProfile]) -> MqttConfig {
    MqttConfig {
        broker: BrokerUrl { is_secure: false, host: "127.0.0.1".to_owned(), port },
        client_id: ME.to_owned(),
        protocol: MqttProtocol::V5,
        login: None,
        tls: MqttTls { ca: PathBuf::from("unused"), identity: None, alpn: Vec::new() },
        profiles: profiles.to_vec(),
        nodes: MqttNodes::Own,
        interval: Duration::from_secs(1),
        refresh: Duration::from_secs(60),
        silence: Duration::from_secs(30),
        keep_alive: Duration::from_secs(5),
        queues: true,
        queue_mib: 1,
        read_only: false,
        commands: vec!["nop".to_owned(), "report-now".to_owned()],
        discovery_prefix: "homeassistant".to_owned(),
        discovery_by_entity: false,
        sparkplug_group: "demo".to_owned(),
        aws_thing: ME.to_owned(),
    }
}

/// A bridge, and what it runs on; dropped, it is gone as after a power cut.
struct Started {
    bridge: Bridge,
    clock: Clock,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Started {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Started {
    fn new(config: &MqttConfig) -> Self {
        let clock = Clock::start(SkyClock::REAL);
        let (node, fleet) = (
            NodeId::new(ME).expect("a valid sample"),
            FleetId::new("demo").expect("a valid sample"),
        );
        let (bridge, tasks) =
            Bridge::start(config, (&node, &fleet), &clock).expect("a valid sample");
        Self { bridge, clock, tasks }
    }

    fn header(&self, seq: u64) -> Header {
        let (node, at) = (NodeId::new(ME).expect("a valid sample"), self.clock.sky());
        Header { node, boot: BootId(7), seq, at, uptime: Uptime(1000) }
    }

    fn warm(&self, seq: u64, hottest_c: f32) {
        let body = ReportBody::Thermal(ThermalReport {
            hottest_c: Reading::known(hottest_c, Source::Kernel),
            limit_c: Reading::Unknown(NoReading::NotSupported),
        });
        let report = Report { header: self.header(seq), last_event_seq: 0, body };
        self.bridge.tell(&Told::Report(report.into()));
    }

    fn refused(&self, seq: u64) {
        let kind = protocol::event::EventKind::Refused { reason: format!("number {seq}") };
        let event = protocol::event::Event { header: self.header(seq), kind };
        self.bridge.tell(&Told::Event(event.into()));
    }
}
