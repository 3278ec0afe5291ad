//! Sparkplug B: what a host demands, checked by one.

use std::collections::{BTreeMap, BTreeSet};

use mqtt_bridge::payload::{Metric, MetricValue, Payload};
use mqtt_bridge::{Heard, Notice, Profile, Publish, Qos, Told};
use proptest::prelude::*;
use prost::Message as _;

use crate::sample::{ME, at, machine, power, report, said, settings, tell, thermal, topics};

const NCMD: &str = "spBv1.0/demo/NCMD/station-1";

fn decoded(publish: &Publish) -> Payload {
    Payload::decode(publish.payload.as_slice()).expect("as the specification demands")
}

fn named<'m>(payload: &'m Payload, name: &str) -> Option<&'m Metric> {
    payload.metrics.iter().find(|metric| metric.name.as_deref() == Some(name))
}

fn bd_seq(payload: &Payload) -> u64 {
    match named(payload, "bdSeq").and_then(|metric| metric.value.clone()) {
        Some(MetricValue::Long(number)) => number,
        other => panic!("{other:?} is no bdSeq"),
    }
}

fn rebirth() -> Vec<u8> {
    let metric = Metric {
        name: Some("Node Control/Rebirth".to_owned()),
        value: Some(MetricValue::Boolean(true)),
        ..Metric::default()
    };
    Payload { metrics: vec![metric], ..Payload::default() }.encode_to_vec()
}

/// A host that knows what it was told, and refuses what breaks the rules.
#[derive(Default)]
struct Host {
    will: Option<Publish>,
    /// The last number; none before a birth.
    seq: Option<u64>,
    /// The aliases of what is alive, by its topic's end.
    alive: BTreeMap<String, BTreeSet<u64>>,
    historical: usize,
}

impl Host {
    fn connects(&mut self, will: Publish) {
        *self = Self { will: Some(will), historical: self.historical, ..Self::default() };
    }

    fn hears(&mut self, publish: &Publish) {
        let mut parts = publish.topic.splitn(4, '/').skip(2);
        let (kind, who) = (
            parts.next().expect("as the specification demands"),
            parts.next().expect("as the specification demands").to_owned(),
        );
        let payload = decoded(publish);
        assert!(!publish.retain, "{kind} is kept");
        let qos = if kind == "NDEATH" { Qos::AtLeastOnce } else { Qos::AtMostOnce };
        assert_eq!(publish.qos, qos, "{kind}");
        if kind == "NDEATH" {
            assert_eq!(payload.seq, None, "a death has no number");
            assert_eq!(
                bd_seq(&payload),
                bd_seq(&decoded(self.will.as_ref().expect("as the specification demands")))
            );
            self.alive.clear();
            self.seq = None;
            return;
        }
        let expected =
            if kind == "NBIRTH" { 0 } else { (self.seq.expect("a birth first") + 1) % 256 };
        assert_eq!(payload.seq, Some(expected), "{kind} {who}");
        self.seq = payload.seq;
        match kind {
            "NBIRTH" => {
                assert_eq!(
                    bd_seq(&payload),
                    bd_seq(&decoded(self.will.as_ref().expect("as the specification demands")))
                );
                let rebirth =
                    named(&payload, "Node Control/Rebirth").expect("as the specification demands");
                assert_eq!(rebirth.value, Some(MetricValue::Boolean(false)));
                self.alive.clear();
                self.birth(who, &payload);
            }
            "DBIRTH" => self.birth(who, &payload),
            "DDEATH" => assert!(self.alive.remove(&who).is_some(), "{who} was not alive"),
            "NDATA" | "DDATA" => {
                let aliases = self.alive.get(&who).unwrap_or_else(|| panic!("{who} was not born"));
                for metric in &payload.metrics {
                    assert!(
                        aliases.contains(&metric.alias.expect("as the specification demands")),
                        "{metric:?}"
                    );
                    assert!(metric.is_null == Some(true) || metric.value.is_some(), "{metric:?}");
                    self.historical += usize::from(metric.is_historical == Some(true));
                }
            }
            other => panic!("{other} is no message of an edge node"),
        }
    }

    fn birth(&mut self, who: String, payload: &Payload) {
        let mut aliases = BTreeSet::new();
        for metric in &payload.metrics {
            assert!(metric.name.is_some() && metric.datatype.is_some(), "{metric:?}");
            if let Some(alias) = metric.alias {
                let elsewhere = self.alive.iter().filter(|(other, _)| **other != who);
                let is_new = elsewhere.into_iter().all(|(_, known)| !known.contains(&alias));
                assert!(aliases.insert(alias) && is_new, "{alias} twice");
            }
        }
        self.alive.insert(who, aliases);
    }
}

#[test]
fn births_and_deaths_are_numbered_from_0_to_255_and_again() {
    let mut machine = machine(&settings(&[Profile::Sparkplug]));
    for count in 0..600_u64 {
        let opening = machine.open(&at(1));
        assert_eq!(opening.subscribe, [NCMD]);
        let will = opening.will.expect("as the specification demands");
        assert_eq!(bd_seq(&decoded(&will)), count % 256);
        // Not every try comes to a connection.
        if count % 3 != 0 {
            machine.opened(&at(1));
            let all = said(&mut *machine, &at(1));
            assert_eq!(bd_seq(&decoded(&all[0])), count % 256);
        }
        machine.closed(&at(1));
    }
}

#[test]
fn an_edge_node_that_ends_in_order_says_its_death_itself() {
    let mut machine = machine(&settings(&[Profile::Sparkplug]));
    let will = machine.open(&at(1)).will.expect("as the specification demands");
    machine.opened(&at(1));
    said(&mut *machine, &at(1));
    tell(&mut *machine, &at(2), 1, thermal(40.0));
    machine.close(&at(3));
    let all = said(&mut *machine, &at(3));
    assert_eq!((topics(&all), all[0].qos), (vec![will.topic.as_str()], Qos::AtLeastOnce));
    assert!(machine.is_idle());
}

#[test]
fn a_host_may_ask_for_a_birth_but_not_for_a_storm() {
    let mut machine = machine(&settings(&[Profile::Sparkplug]));
    machine.open(&at(0));
    machine.opened(&at(0));
    said(&mut *machine, &at(0));
    let asked = rebirth();
    let heard = Heard { topic: NCMD, payload: &asked, retain: false };
    for _ in 0..5 {
        assert!(matches!(machine.hear(&at(0), heard), Some(Notice::Asked(_))));
    }
    assert!(said(&mut *machine, &at(0)).is_empty());
    assert_eq!(machine.deadline(), Some(at(1).at));
    machine.timer(&at(1));
    assert_eq!(topics(&said(&mut *machine, &at(1))), ["spBv1.0/demo/NBIRTH/station-1"]);
    assert!(matches!(machine.hear(&at(9), heard), Some(Notice::Asked(_))));
    assert_eq!(said(&mut *machine, &at(9)).len(), 1);
    let none = Payload::default().encode_to_vec();
    let notice = machine.hear(&at(20), Heard { payload: &none, ..heard });
    assert!(matches!(notice, Some(Notice::Refused(_))), "{notice:?}");
    let notice = machine.hear(&at(20), Heard { payload: b"\xff\xff", ..heard });
    assert!(matches!(notice, Some(Notice::Useless(_))), "{notice:?}");
    assert!(said(&mut *machine, &at(20)).is_empty());
}

#[test]
fn satellites_are_devices_for_as_long_as_they_are_heard() {
    let mut machine = machine(&settings(&[Profile::Sparkplug]));
    let mut host = Host::default();
    host.connects(machine.open(&at(0)).will.expect("as the specification demands"));
    machine.opened(&at(0));
    machine.tell(&at(5), Told::Report(&report("sat-1", &at(5), 1, power(0.9, 5.0))));
    machine.tell(&at(5), Told::Report(&report("sat-1", &at(5), 2, thermal(10.0))));
    machine.timer(&at(40));
    machine.tell(&at(41), Told::Report(&report("sat-1", &at(41), 3, thermal(12.0))));
    let all = said(&mut *machine, &at(41));
    let expected = [
        "spBv1.0/demo/NBIRTH/station-1",
        "spBv1.0/demo/DBIRTH/station-1/sat-1",
        "spBv1.0/demo/DDEATH/station-1/sat-1",
        "spBv1.0/demo/DBIRTH/station-1/sat-1",
    ];
    assert_eq!(topics(&all), expected);
    all.iter().for_each(|publish| host.hears(publish));
    let birth = decoded(&all[3]);
    let hottest = named(&birth, "thermal/hottest_c").expect("as the specification demands");
    assert_eq!(hottest.value, Some(MetricValue::Float(12.0)));
    let solar = named(&birth, "power/solar_w").expect("as the specification demands");
    assert_eq!((solar.is_null, solar.value.clone()), (Some(true), None), "unknown is not zero");
}

#[test]
fn what_waited_is_historical_and_comes_last() {
    let mut machine = machine(&settings(&[Profile::Sparkplug]));
    tell(&mut *machine, &at(10), 1, thermal(40.0));
    tell(&mut *machine, &at(20), 2, thermal(50.0));
    machine.open(&at(30));
    machine.opened(&at(30));
    let all = said(&mut *machine, &at(30));
    let kinds = ["NBIRTH", "NDATA", "NDATA"].map(|kind| format!("spBv1.0/demo/{kind}/{ME}"));
    assert_eq!(topics(&all), kinds);
    let past = decoded(&all[1]);
    assert!(past.metrics.iter().all(|metric| metric.is_historical == Some(true)));
    let millis =
        u64::try_from(at(10).sky.unix_ns() / 1_000_000).expect("as the specification demands");
    assert!(past.metrics.iter().all(|metric| metric.timestamp == Some(millis)));
}

#[derive(Clone, Debug)]
enum Step {
    Report(u8, f32),
    Pass(u8),
    Rebirth,
    Say(u8),
    Cut,
    Connect,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_u8..4, -50.0_f32..120.0).prop_map(|(who, value)| Step::Report(who, value)),
        5 => (0_u8..40).prop_map(Step::Pass),
        1 => Just(Step::Rebirth),
        5 => (1_u8..5).prop_map(Step::Say),
        1 => Just(Step::Cut),
        2 => Just(Step::Connect),
    ]
}

proptest! {
    /// Whatever happens in whatever order, a host finds no gap, no unborn device, no alias twice.
    #[test]
    fn no_host_is_ever_confused(steps in prop::collection::vec(step(), 1..400)) {
        let mut machine = machine(&settings(&[Profile::Sparkplug]));
        let mut host = Host::default();
        let (mut second, mut is_open) = (0_u32, false);
        for (seq, step) in (1..).zip(steps) {
            let now = at(second);
            match step {
                Step::Report(who, value) => {
                    let name = [ME, "sat-1", "sat-2", "sat-3"][usize::from(who)];
                    machine.tell(&now, Told::Report(&report(name, &now, seq, thermal(value))));
                }
                Step::Pass(seconds) => second += u32::from(seconds),
                Step::Rebirth if is_open => {
                    machine.hear(&now, Heard { topic: NCMD, payload: &rebirth(), retain: false });
                }
                Step::Say(times) => {
                    for _ in 0..times {
                        if let Some(publish) = machine.next(&now) {
                            machine.written(None);
                            host.hears(&publish);
                        }
                    }
                }
                Step::Cut if is_open => {
                    machine.closed(&now);
                    is_open = false;
                }
                Step::Connect if !is_open => {
                    host.connects(machine.open(&now).will.expect("as the specification demands"));
                    machine.opened(&now);
                    is_open = true;
                }
                Step::Rebirth | Step::Cut | Step::Connect => {}
            }
            if machine.deadline().is_some_and(|due| due <= now.at) {
                machine.timer(&now);
            }
        }
        if is_open {
            said(&mut *machine, &at(second)).iter().for_each(|publish| host.hears(publish));
            prop_assert!(machine.is_idle());
        }
    }
}
