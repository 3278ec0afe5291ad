//! What is known of nodes: their newest values, whether they are heard, what they are. And when it is worth saying.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::event::{Event, EventKind};
use protocol::report::{Header, NoReading, Report, ReportBody};
use types::{BootId, Epoch, Instant, NodeId, NodeKind, Uptime};

use crate::machine::Moment;
use crate::metric::{METRICS, Part, index_of};
use crate::read;
use crate::value::{Sampled, Value};

/// Most nodes that are kept: the reports of more are left out and counted.
pub(crate) const NODES_MAX: usize = 256;
/// Between two reports of power that are further apart nobody knows what was drawn.
const DRAWN_GAP_S_MAX: f64 = 300.0;

/// A node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// What it is, once it has told.
    pub(crate) kind: Option<NodeKind>,
    /// The version of its agent, once it has told.
    pub(crate) version: Option<String>,
    /// Whether it is heard.
    pub(crate) is_online: bool,
    heard: Instant,
    latest: Vec<Sampled>,
    told: BTreeMap<Part, Stamp>,
    drawn: Drawn,
}

/// When a group of values was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The sky.
    pub(crate) at: Epoch,
    /// Which start of the node; none for what the node did not report itself.
    pub(crate) boot: Option<BootId>,
    /// The number of the report.
    pub(crate) seq: Option<u64>,
    /// How long the agent has run.
    pub(crate) uptime: Option<Uptime>,
}

impl Stamp {
    fn of(header: &Header) -> Self {
        let (boot, seq, uptime) = (Some(header.boot), Some(header.seq), Some(header.uptime));
        Self { at: header.at, boot, seq, uptime }
    }
}

/// Energy drawn, as the sum of power over time.
#[derive(Clone, Copy, Debug, Default)]
struct Drawn {
    wh: f64,
    last: Option<(Epoch, f64)>,
}

impl Drawn {
    fn take(&mut self, at: Epoch, load: Value) -> Value {
        let Value::Real(load_w) = load else {
            self.last = None;
            return load;
        };
        let load_w = f64::from(load_w);
        if let Some((before, before_w)) = self.last {
            let gap_s = at.seconds_since(before);
            if 0.0 < gap_s && gap_s <= DRAWN_GAP_S_MAX {
                // The trapezoidal rule. Power may be negative where a meter sees both ways; energy drawn only grows.
                self.wh += ((before_w + load_w) / 2.0 * gap_s / 3600.0).max(0.0);
            }
        }
        self.last = Some((at, load_w));
        Value::Wide(self.wh)
    }
}

impl Node {
    fn new(heard: Instant) -> Self {
        Self {
            kind: None,
            version: None,
            is_online: false,
            heard,
            latest: vec![Sampled::unknown(NoReading::NotYet); METRICS.len()],
            told: BTreeMap::new(),
            drawn: Drawn::default(),
        }
    }

    /// The newest values, in the order of [`METRICS`].
    pub(crate) fn latest(&self) -> &[Sampled] {
        &self.latest
    }

    /// When a group was said last; `None` if never.
    pub(crate) fn stamp(&self, part: Part) -> Option<Stamp> {
        self.told.get(&part).copied()
    }

    /// The groups that were said.
    pub(crate) fn parts(&self) -> Vec<Part> {
        self.told.keys().copied().collect()
    }

    fn set(&mut self, part: Part, key: &str, sampled: Sampled) {
        if let Some(slot) = index_of(part, key).and_then(|index| self.latest.get_mut(index)) {
            *slot = sampled;
        }
    }
}

/// What a report changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Which group.
    pub(crate) part: Part,
    /// Whether the node was not heard before.
    pub(crate) came: bool,
}

/// All nodes that are known.
#[derive(Clone, Debug)]
pub(crate) struct Nodes {
    me: NodeId,
    silence: Duration,
    nodes: BTreeMap<NodeId, Node>,
    left_out: u64,
}

impl Nodes {
    /// Nobody yet; nodes other than `me` are offline once they are silent for `silence`.
    pub(crate) const fn new(me: NodeId, silence: Duration) -> Self {
        Self { me, silence, nodes: BTreeMap::new(), left_out: 0 }
    }

    /// A node.
    pub(crate) fn get(&self, node: &NodeId) -> Option<&Node> {
        self.nodes.get(node)
    }

    /// All of them, in order of name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&NodeId, &Node)> {
        self.nodes.iter()
    }

    /// Reports that found no room.
    pub(crate) const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Takes a report; `None` if there is no room for its node.
    pub(crate) fn take(&mut self, now: &Moment, report: &Report) -> Option<Change> {
        let node = self.entry(now, &report.header.node)?;
        let came = !std::mem::replace(&mut node.is_online, true);
        let part = Part::from(report.body.group());
        for (key, sampled) in read::values(&report.body) {
            node.set(part, key, sampled);
        }
        if let ReportBody::Power(power) = &report.body {
            let load = Sampled::of(power.load_w, 1.0);
            let value = node.drawn.take(report.header.at, load.value);
            node.set(part, "drawn_wh", Sampled { value, sigma: None, source: load.source });
        }
        node.told.insert(part, Stamp::of(&report.header));
        Some(Change { part, came })
    }

    /// Takes what a node says of itself when it starts; says whether that is news.
    pub(crate) fn take_event(&mut self, now: &Moment, event: &Event) -> bool {
        let EventKind::Started(facts) = &event.kind else { return false };
        let Some(node) = self.entry(now, &event.header.node) else { return false };
        let (kind, version) = (Some(facts.kind), Some(facts.version.clone()));
        let is_news = node.kind != kind || node.version != version;
        (node.kind, node.version) = (kind, version);
        is_news
    }

    /// Takes when this node has its next contact with a station; `None` if the plan has none.
    pub(crate) fn take_contact(&mut self, now: &Moment, next: Option<Epoch>) {
        let me = self.me.clone();
        let Some(node) = self.entry(now, &me) else { return };
        let value = next.map_or(Value::Unknown(NoReading::NotYet), Value::Time);
        node.set(Part::Contact, "next_ground_contact", Sampled::plain(value));
        let stamp = Stamp { at: now.sky, boot: None, seq: None, uptime: None };
        node.told.insert(Part::Contact, stamp);
    }

    /// Nodes that fell silent since the last look.
    pub(crate) fn fell_silent(&mut self, now: &Moment) -> Vec<NodeId> {
        let mut silent = Vec::new();
        for (name, node) in &mut self.nodes {
            let quiet = now.at.saturating_since(node.heard);
            if node.is_online && *name != self.me && self.silence <= quiet {
                node.is_online = false;
                silent.push(name.clone());
            }
        }
        silent
    }

    /// When the next node may fall silent.
    pub(crate) fn next_silence(&self) -> Option<Instant> {
        let others = self.nodes.iter().filter(|(name, node)| node.is_online && **name != self.me);
        others.map(|(_, node)| node.heard.plus(self.silence)).min()
    }

    fn entry(&mut self, now: &Moment, name: &NodeId) -> Option<&mut Node> {
        if !self.nodes.contains_key(name) {
            // This node always has its place.
            let others = self.nodes.len() - usize::from(self.nodes.contains_key(&self.me));
            if *name != self.me && NODES_MAX - 1 <= others {
                self.left_out += 1;
                return None;
            }
            self.nodes.insert(name.clone(), Node::new(now.at));
        }
        let node = self.nodes.get_mut(name)?;
        node.heard = now.at;
        Some(node)
    }
}

/// Decides what is worth saying: a group not more often than the interval, and only what changed, but for a repetition now and then.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    interval: Duration,
    refresh: Duration,
    said: BTreeMap<(NodeId, Part), Said>,
}

#[derive(Clone, Debug)]
struct Said {
    at: Instant,
    values: Vec<Value>,
}

impl Gate {
    /// Nothing was said yet.
    pub(crate) const fn new(interval: Duration, refresh: Duration) -> Self {
        Self { interval, refresh, said: BTreeMap::new() }
    }

    /// Which metrics of a group are to be said now, as indices of [`METRICS`]; empty if none. They count as said then.
    pub(crate) fn pass(
        &mut self,
        now: Instant,
        name: &NodeId,
        part: Part,
        node: &Node,
    ) -> Vec<usize> {
        let indices: Vec<usize> = part.metrics().map(|(index, _)| index).collect();
        let values: Vec<Value> = indices.iter().map(|index| node.latest[*index].value).collect();
        let key = (name.clone(), part);
        let Some(said) = self.said.get_mut(&key) else {
            self.said.insert(key, Said { at: now, values });
            return indices;
        };
        let quiet = now.saturating_since(said.at);
        if quiet < self.interval {
            return Vec::new();
        }
        let is_due = self.refresh <= quiet;
        let mut passed = Vec::new();
        for ((index, value), last) in indices.iter().zip(&values).zip(&mut said.values) {
            if is_due || value.differs(*last, METRICS[*index].step) {
                passed.push(*index);
                *last = *value;
            }
        }
        if !passed.is_empty() {
            said.at = now;
        }
        passed
    }

    /// Everything is worth saying again.
    pub(crate) fn forget(&mut self) {
        self.said.clear();
    }
}
