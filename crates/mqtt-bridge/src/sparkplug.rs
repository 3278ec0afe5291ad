//! Sparkplug B: this node is an edge node, the other nodes that it hears are its devices.
//!
//! ```text
//! open ─▶ will NDEATH(bdSeq) ─ opened ─▶ NBIRTH(seq 0, bdSeq) ─▶ DBIRTH of each device ─▶ NDATA, DDATA ─▶ what waited (historical)
//!                                          ▲                                              │
//!                                          └───── rebirth, by command, once a second ◀────┘
//! device silent ─▶ DDEATH        close ─▶ NDEATH        broken ─▶ the will
//! ```
//! Numbers are given when a message leaves, so that nothing which waits or is left out makes a gap.

mod encode;
mod history;
pub mod payload;
mod sequence;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use protocol::report::Report;
use types::{Epoch, Instant, NodeId};

use self::encode::{ALIASES, REBIRTH, alias, datatype_of, encoded, engineering_unit, ms};
use self::history::{History, Past};
use self::payload::{Metric, MetricValue, Payload};
use self::sequence::{BirthDeath, Sequence};
use crate::machine::{Heard, Machine, Moment, Notice, Opening, Told};
use crate::message::{PAYLOAD_BYTES_MAX, Publish, Qos};
use crate::metric::{METRICS, Part};
use crate::nodes::{Gate, Node, Nodes};
use crate::outbox::Counts;
use crate::settings::{Offline, Settings};
use crate::value::Value;

/// Births that are asked for more often are one.
const REBIRTH_PAUSE: Duration = Duration::from_secs(1);
/// Longest command that is read.
const COMMAND_BYTES_MAX: usize = 4096;

/// A message that is not data.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Control {
    NodeBirth,
    NodeDeath,
    DeviceBirth(NodeId),
    DeviceDeath(NodeId),
}

/// An edge node.
#[derive(Debug)]
pub struct EdgeNode {
    settings: Arc<Settings>,
    has_sibling: bool,
    nodes: Nodes,
    gate: Gate,
    birth_death: BirthDeath,
    sequence: Sequence,
    is_open: bool,
    is_closing: bool,
    control: VecDeque<Control>,
    /// Metrics with news, by node.
    fresh: BTreeMap<NodeId, BTreeSet<usize>>,
    history: History,
    /// The numbers of devices; they keep them, so that aliases stay.
    devices: BTreeMap<NodeId, u64>,
    /// Devices that are born in this connection.
    born: BTreeSet<NodeId>,
    last_birth: Option<Instant>,
    rebirth_due: Option<Instant>,
    /// Messages that the client has, and those that wait for an answer.
    in_hand: usize,
    in_flight: BTreeSet<u16>,
    counts: Counts,
}

impl EdgeNode {
    /// Nothing is known yet; `has_sibling` if there is another connection of this node.
    pub fn new(settings: Arc<Settings>, has_sibling: bool) -> Self {
        Self {
            has_sibling,
            nodes: Nodes::new(settings.node.clone(), settings.silence),
            gate: Gate::new(settings.interval, settings.refresh),
            birth_death: BirthDeath::default(),
            sequence: Sequence::default(),
            is_open: false,
            is_closing: false,
            control: VecDeque::new(),
            fresh: BTreeMap::new(),
            history: History::new(settings.queue_bytes),
            devices: BTreeMap::new(),
            born: BTreeSet::new(),
            last_birth: None,
            rebirth_due: None,
            in_hand: 0,
            in_flight: BTreeSet::new(),
            counts: Counts::default(),
            settings,
        }
    }

    fn topic(&self, kind: &str, device: Option<&NodeId>) -> String {
        let (group, me) = (&self.settings.sparkplug_group, &self.settings.node);
        match device {
            Some(device) => format!("spBv1.0/{group}/{kind}/{me}/{device}"),
            None => format!("spBv1.0/{group}/{kind}/{me}"),
        }
    }

    fn message(&self, kind: &str, device: Option<&NodeId>, payload: &Payload) -> Publish {
        // Only a death must arrive for sure; retained messages are for hosts.
        let qos = if kind == "NDEATH" { Qos::AtLeastOnce } else { Qos::AtMostOnce };
        let topic = self.topic(kind, device);
        Publish { topic, payload: payload.encode_to_vec(), qos, retain: false }
    }

    fn death(&self, now: &Moment) -> Publish {
        let metrics = vec![self.bd_seq(now)];
        let payload = Payload { timestamp: Some(ms(now.sky)), metrics, seq: None };
        self.message("NDEATH", None, &payload)
    }

    fn bd_seq(&self, now: &Moment) -> Metric {
        encode::bd_seq(self.birth_death.current(), now.sky)
    }

    /// Everything is told from the beginning.
    fn be_born(&mut self, now: &Moment) {
        self.control.clear();
        self.fresh.clear();
        self.born.clear();
        self.gate.forget();
        self.control.push_back(Control::NodeBirth);
        let me = &self.settings.node;
        let online = self.nodes.iter().filter(|(name, node)| node.is_online && *name != me);
        let births = online.map(|(name, _)| Control::DeviceBirth(name.clone()));
        let births: Vec<_> = births.collect();
        self.control.extend(births);
        self.last_birth = Some(now.at);
        self.rebirth_due = None;
    }

    fn report(&mut self, now: &Moment, report: &Report) {
        let Some(change) = self.nodes.take(now, report) else { return };
        let name = &report.header.node;
        if change.came && *name != self.settings.node && self.is_open {
            self.control.push_back(Control::DeviceBirth(name.clone()));
        }
        self.say_part(now, name, change.part);
    }

    fn say_part(&mut self, now: &Moment, name: &NodeId, part: Part) {
        let Some(node) = self.nodes.get(name) else { return };
        let passed = self.gate.pass(now.at, name, part, node);
        if passed.is_empty() {
            return;
        }
        if self.is_open {
            self.fresh.entry(name.clone()).or_default().extend(passed);
            return;
        }
        if self.settings.offline == Offline::Drop {
            self.counts.dropped_offline += 1;
            return;
        }
        let at = node.stamp(part).map_or(now.sky, |stamp| stamp.at);
        let values = passed.iter().map(|index| (*index, node.latest()[*index].value)).collect();
        self.counts.dropped_full += self.history.push(Past { node: name.clone(), at, values });
    }

    fn control(&mut self, now: &Moment, control: Control) -> Option<Publish> {
        let timestamp = Some(ms(now.sky));
        match control {
            Control::NodeBirth => {
                let mut metrics = vec![self.bd_seq(now), encode::rebirth(now.sky)];
                metrics.extend(self.birth_of(now, &self.settings.node.clone()));
                let seq = Some(self.sequence.birth());
                Some(self.message("NBIRTH", None, &Payload { timestamp, metrics, seq }))
            }
            Control::NodeDeath => Some(self.death(now)),
            Control::DeviceBirth(device) => {
                let metrics = self.birth_of(now, &device);
                self.born.insert(device.clone());
                let seq = Some(self.sequence.message());
                Some(self.message("DBIRTH", Some(&device), &Payload { timestamp, metrics, seq }))
            }
            Control::DeviceDeath(device) => {
                // One that was not born cannot die.
                if !self.born.remove(&device) {
                    return None;
                }
                let seq = Some(self.sequence.message());
                let payload = Payload { timestamp, metrics: Vec::new(), seq };
                Some(self.message("DDEATH", Some(&device), &payload))
            }
        }
    }

    /// All metrics of a node, named; a birth that leaves one out could not be told of it later. What is fresh is in it.
    fn birth_of(&mut self, now: &Moment, name: &NodeId) -> Vec<Metric> {
        self.fresh.remove(name);
        let base = self.alias_base(name);
        let node = self.nodes.get(name);
        let born = METRICS.iter().enumerate().map(|(index, metric)| {
            let (value, at) = match node {
                Some(node) => (node.latest()[index].value, time_of(node, metric.part, now)),
                None => (Value::Unknown(protocol::report::NoReading::NotYet), now.sky),
            };
            let unit = Some(metric.unit).filter(|unit| !unit.is_empty());
            let (is_null, value) = encoded(value);
            Metric {
                name: Some(metric.path()),
                alias: Some(alias(base, index)),
                timestamp: Some(ms(at)),
                datatype: Some(datatype_of(metric.kind)),
                is_historical: None,
                is_null,
                properties: unit.map(engineering_unit),
                value,
            }
        });
        born.collect()
    }

    fn fresh_data(&mut self, now: &Moment) -> Option<Publish> {
        while let Some((name, indices)) = self.fresh.pop_first() {
            let Some(node) = self.nodes.get(&name) else { continue };
            let values = indices.iter().map(|index| {
                let part = METRICS[*index].part;
                (*index, time_of(node, part, now), node.latest()[*index].value)
            });
            let values: Vec<_> = values.collect();
            if let Some(publish) = self.data(now, &name, &values, false) {
                return Some(publish);
            }
        }
        None
    }

    fn past_data(&mut self, now: &Moment) -> Option<Publish> {
        // Devices that are silent now cannot speak; what waits of them waits on.
        let me = &self.settings.node;
        let born = &self.born;
        let past = self.history.take(|name| name == me || born.contains(name))?;
        let values: Vec<_> =
            past.values.iter().map(|(index, value)| (*index, past.at, *value)).collect();
        self.data(now, &past.node, &values, true)
    }

    fn data(
        &mut self,
        now: &Moment,
        name: &NodeId,
        values: &[(usize, Epoch, Value)],
        is_past: bool,
    ) -> Option<Publish> {
        let is_me = *name == self.settings.node;
        if !is_me && !self.born.contains(name) {
            return None;
        }
        let base = self.alias_base(name);
        let metrics = values.iter().map(|(index, at, value)| {
            let (is_null, encoded) = encoded(*value);
            Metric {
                alias: Some(alias(base, *index)),
                timestamp: Some(ms(*at)),
                datatype: Some(datatype_of(METRICS[*index].kind)),
                is_historical: is_past.then_some(true),
                is_null,
                value: encoded,
                ..Metric::default()
            }
        });
        let metrics = metrics.collect();
        let seq = Some(self.sequence.message());
        let payload = Payload { timestamp: Some(ms(now.sky)), metrics, seq };
        let (kind, device) = if is_me { ("NDATA", None) } else { ("DDATA", Some(name)) };
        Some(self.message(kind, device, &payload))
    }

    /// Where the aliases of a node begin. This one has 0, devices count from 1 in the order in which they came.
    fn alias_base(&mut self, name: &NodeId) -> u64 {
        if *name == self.settings.node {
            return 0;
        }
        let next = u64::try_from(self.devices.len()).unwrap_or(u64::MAX / ALIASES - 1) + 1;
        self.devices.entry(name.clone()).or_insert(next).saturating_mul(ALIASES)
    }

    fn node_command(&mut self, now: &Moment, payload: &[u8]) -> Notice {
        if COMMAND_BYTES_MAX < payload.len() {
            let rule =
                format!("{} bytes, a command has at most {COMMAND_BYTES_MAX}", payload.len());
            return Notice::Useless(rule);
        }
        let command = match Payload::decode(payload) {
            Ok(command) => command,
            Err(error) => return Notice::Useless(format!("not a Sparkplug payload: {error}")),
        };
        let asks = |metric: &Metric| {
            // By name alone: it is the one metric that must not have an alias.
            metric.name.as_deref() == Some(REBIRTH)
                && metric.value == Some(MetricValue::Boolean(true))
        };
        if !command.metrics.iter().any(asks) {
            return Notice::Refused(format!("the only command of an edge node is {REBIRTH}"));
        }
        // Reading only: it is obeyed whatever else is allowed, as the specification demands. Many at once are one.
        let earliest = self.last_birth.map_or(now.at, |at| at.plus(REBIRTH_PAUSE));
        if self.is_closing {
            return Notice::Refused("it says farewell".to_owned());
        }
        if earliest <= now.at {
            self.be_born(now);
        } else {
            self.rebirth_due = Some(earliest);
        }
        Notice::Asked("a Sparkplug host wants a rebirth")
    }
}

impl Machine for EdgeNode {
    fn suffix(&self) -> &'static str {
        // Two connections with one client id would end each other for ever.
        if self.has_sibling { "sparkplug" } else { "" }
    }

    fn open(&mut self, now: &Moment) -> Opening {
        self.birth_death.connecting();
        let subscribe = vec![self.topic("NCMD", None)];
        Opening { will: Some(self.death(now)), subscribe }
    }

    fn opened(&mut self, now: &Moment) {
        (self.is_open, self.is_closing) = (true, false);
        self.be_born(now);
    }

    fn closed(&mut self, _now: &Moment) {
        self.is_open = false;
        self.in_hand = 0;
        self.in_flight.clear();
        self.control.clear();
        // What is fresh is in the next birth.
        self.fresh.clear();
        self.born.clear();
        self.rebirth_due = None;
    }

    fn close(&mut self, _now: &Moment) {
        self.is_closing = true;
        // A connection that ends in order has no will: the death is said before.
        self.control.clear();
        self.fresh.clear();
        self.control.push_back(Control::NodeDeath);
    }

    fn tell(&mut self, now: &Moment, told: Told<'_>) {
        if self.is_closing {
            return;
        }
        match told {
            Told::Report(report) => self.report(now, report),
            Told::Event(event) => {
                // Events are no metrics; only what a node is counts.
                self.nodes.take_event(now, event);
            }
            Told::Contact(next) => {
                self.nodes.take_contact(now, next);
                let me = self.settings.node.clone();
                self.say_part(now, &me, Part::Contact);
            }
        }
    }

    fn hear(&mut self, now: &Moment, heard: Heard<'_>) -> Option<Notice> {
        if heard.topic != self.topic("NCMD", None) {
            return None;
        }
        if heard.retain {
            return Some(Notice::Useless(
                "a command that the broker kept is not obeyed".to_owned(),
            ));
        }
        Some(self.node_command(now, heard.payload))
    }

    fn timer(&mut self, now: &Moment) {
        for name in self.nodes.fell_silent(now) {
            self.fresh.remove(&name);
            self.control.push_back(Control::DeviceDeath(name));
        }
        if self.rebirth_due.is_some_and(|due| due <= now.at) {
            self.rebirth_due = None;
            if !self.is_closing {
                self.be_born(now);
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.nodes.next_silence().into_iter().chain(self.rebirth_due).min()
    }

    fn next(&mut self, now: &Moment) -> Option<Publish> {
        if !self.is_open {
            return None;
        }
        let mut found = None;
        while found.is_none()
            && let Some(control) = self.control.pop_front()
        {
            found = self.control(now, control);
        }
        if found.is_none() && !self.is_closing {
            found = self.fresh_data(now).or_else(|| self.past_data(now));
        }
        let publish = found?;
        // 36 metrics with names take 3 KiB.
        debug_assert!(publish.payload.len() <= PAYLOAD_BYTES_MAX, "{}", publish.payload.len());
        self.in_hand += 1;
        Some(publish)
    }

    fn written(&mut self, id: Option<u16>) {
        self.in_hand = self.in_hand.saturating_sub(1);
        match id {
            Some(id) => {
                self.in_flight.insert(id);
            }
            None => self.counts.sent += 1,
        }
    }

    fn acked(&mut self, id: u16) {
        self.counts.acked += u64::from(self.in_flight.remove(&id));
    }

    fn is_idle(&self) -> bool {
        // What waits of a device that is silent now waits on.
        let (me, born) = (&self.settings.node, &self.born);
        let has_past = self.history.has(|name| name == me || born.contains(name));
        let waits = !self.is_closing && (has_past || !self.fresh.is_empty());
        self.control.is_empty() && self.in_hand == 0 && self.in_flight.is_empty() && !waits
    }

    fn counts(&self) -> Counts {
        Counts { no_place: self.nodes.left_out(), ..self.counts }
    }
}

fn time_of(node: &Node, part: Part, now: &Moment) -> Epoch {
    node.stamp(part).map_or(now.sky, |stamp| stamp.at)
}
