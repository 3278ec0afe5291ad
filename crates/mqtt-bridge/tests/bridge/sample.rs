//! What tests have in common: settings, reports, a clock that is moved by hand, and what a machine says.

use std::collections::BTreeSet;
use std::time::Duration;

use mqtt_bridge::{
    Discovery, Machine, Moment, Offline, Profile, Publish, Qos, Settings, Told, Verb, machines,
};
use protocol::event::{Event, EventKind, NodeFacts};
use protocol::report::{
    Header, NoReading, PowerReport, Reading, Report, ReportBody, Source, ThermalReport,
};
use types::{
    Arch, BootId, Capacity, EnergySource, Epoch, FleetId, Generation, Instant, LeaderEpoch, MiB,
    MilliCpu, NodeId, NodeKind, Uptime,
};

pub(crate) const ME: &str = "station-1";

pub(crate) fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("a valid sample")
}

pub(crate) fn settings(profiles: &[Profile]) -> Settings {
    Settings {
        fleet: FleetId::new("demo").expect("a valid sample"),
        node: node(ME),
        profiles: profiles.iter().copied().collect(),
        interval: Duration::from_secs(5),
        refresh: Duration::from_secs(60),
        silence: Duration::from_secs(30),
        offline: Offline::Queue,
        queue_bytes: 1 << 20,
        read_only: false,
        commands: BTreeSet::from(Verb::ALL),
        discovery_prefix: "homeassistant".to_owned(),
        discovery: Discovery::Device,
        sparkplug_group: "demo".to_owned(),
        aws_thing: ME.to_owned(),
        version: "0.1.0".to_owned(),
    }
}

/// The one machine that the settings need.
pub(crate) fn machine(settings: &Settings) -> Box<dyn Machine> {
    let mut all = machines(settings);
    assert_eq!(all.len(), 1, "{all:?}");
    all.pop().expect("a valid sample")
}

/// So many seconds after the start of the process, and as many after a moment of the sky.
pub(crate) fn at(seconds: u32) -> Moment {
    let start = Epoch::parse("2026-03-01T12:00:00Z").expect("a valid sample");
    Moment {
        at: Instant(u64::from(seconds) * 1_000_000_000),
        sky: start.plus_s(f64::from(seconds)),
    }
}

pub(crate) fn report(name: &str, now: &Moment, seq: u64, body: ReportBody) -> Report {
    let uptime = Uptime(now.at.0 / 1_000_000);
    let header = Header { node: node(name), boot: BootId(7), seq, at: now.sky, uptime };
    Report { header, last_event_seq: 0, body }
}

/// Charge known with a deviation, capacity from the configuration, load measured, no panels.
pub(crate) fn power(charge: f32, load_w: f32) -> ReportBody {
    ReportBody::Power(PowerReport {
        state_of_charge: Reading::Known {
            value: charge,
            sigma: Some(0.02),
            source: Source::Estimated,
        },
        capacity_wh: Reading::known(40.0, Source::Configured),
        load_w: Reading::known(load_w, Source::Measured),
        solar_w: Reading::Unknown(NoReading::NoSensor),
        source: EnergySource::Battery,
    })
}

pub(crate) fn thermal(hottest_c: f32) -> ReportBody {
    ReportBody::Thermal(ThermalReport {
        hottest_c: Reading::known(hottest_c, Source::Kernel),
        limit_c: Reading::Unknown(NoReading::NotSupported),
    })
}

pub(crate) fn event(name: &str, now: &Moment, seq: u64, kind: EventKind) -> Event {
    let Report { header, .. } = report(name, now, seq, thermal(0.0));
    Event { header, kind }
}

pub(crate) fn started() -> EventKind {
    EventKind::Started(NodeFacts {
        kind: NodeKind::GroundStation,
        arch: Arch::Arm64,
        capacity: Capacity { milli_cpu: MilliCpu(4000), memory_mib: MiB(2048) },
        energy: EnergySource::Battery,
        version: "0.1.0".to_owned(),
        epoch: LeaderEpoch(1),
        generation: Generation(2),
    })
}

/// Everything that a machine wants to send, as if the client wrote and the broker took it at once.
pub(crate) fn said(machine: &mut dyn Machine, now: &Moment) -> Vec<Publish> {
    let mut all = Vec::new();
    while let Some(publish) = machine.next(now) {
        match publish.qos {
            Qos::AtMostOnce => machine.written(None),
            Qos::AtLeastOnce => {
                machine.written(Some(1));
                machine.acked(1);
            }
        }
        all.push(publish);
    }
    all
}

pub(crate) fn topics(all: &[Publish]) -> Vec<&str> {
    all.iter().map(|publish| publish.topic.as_str()).collect()
}

pub(crate) fn text(publish: &Publish) -> &str {
    std::str::from_utf8(&publish.payload).expect("a valid sample")
}

/// A machine whose connection is open, with what it said then taken.
pub(crate) fn open(settings: &Settings) -> Box<dyn Machine> {
    let mut machine = machine(settings);
    machine.open(&at(0));
    machine.opened(&at(0));
    said(&mut *machine, &at(0));
    machine
}

pub(crate) fn tell(machine: &mut dyn Machine, now: &Moment, seq: u64, body: ReportBody) {
    machine.tell(now, Told::Report(&report(ME, now, seq, body)));
}
