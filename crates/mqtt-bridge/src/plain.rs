//! The connection of the native, Home Assistant and AWS profiles.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::event::Event;
use protocol::report::Report;
use types::{Epoch, Instant, NodeId};

use crate::command::Commands;
use crate::machine::{Heard, Machine, Moment, Notice, Opening, Told};
use crate::message::Publish;
use crate::metric::Part;
use crate::nodes::{Gate, Nodes};
use crate::outbox::{Counts, Outbox};
use crate::settings::{Profile, Settings, Verb};
use crate::{aws, homeassistant, native};

/// Why a node is offline.
const LWT: &str = "lwt";
const ENDED: &str = "ended";
const SILENT: &str = "silent";

/// The connection of the native, Home Assistant and AWS profiles.
#[derive(Debug)]
pub struct Plain {
    settings: Arc<Settings>,
    nodes: Nodes,
    gate: Gate,
    outbox: Outbox,
    commands: Commands,
    /// Groups of which Home Assistant has been told; a new one makes a new document.
    described: BTreeSet<(NodeId, Part)>,
    shadow: Shadow,
    is_closing: bool,
}

/// When the shadow is written next.
#[derive(Clone, Copy, Debug, Default)]
struct Shadow {
    last: Option<Instant>,
    due: Option<Instant>,
}

impl Plain {
    /// Nothing is known yet.
    pub fn new(settings: Arc<Settings>) -> Self {
        Self {
            nodes: Nodes::new(settings.node.clone(), settings.silence),
            gate: Gate::new(settings.interval, settings.refresh),
            outbox: Outbox::new(settings.offline, settings.queue_bytes),
            commands: Commands::new(
                settings.fleet.clone(),
                settings.node.clone(),
                settings.commands.clone(),
            ),
            described: BTreeSet::new(),
            shadow: Shadow::default(),
            is_closing: false,
            settings,
        }
    }

    fn report(&mut self, now: &Moment, report: &Report) {
        let Some(change) = self.nodes.take(now, report) else { return };
        let name = &report.header.node;
        // This node's own status goes with the connection.
        if change.came && *name != self.settings.node {
            self.say_status(name, None);
        }
        self.say_part(now, name, change.part);
    }

    fn event(&mut self, now: &Moment, event: &Event) {
        if self.nodes.take_event(now, event) {
            self.described.retain(|(name, _)| *name != event.header.node);
        }
        if self.settings.speaks(Profile::Native) {
            self.outbox.event(native::event(&self.settings.fleet, event));
        }
    }

    fn contact(&mut self, now: &Moment, next: Option<Epoch>) {
        self.nodes.take_contact(now, next);
        let me = self.settings.node.clone();
        self.say_part(now, &me, Part::Contact);
    }

    /// Says a group if it is worth saying.
    fn say_part(&mut self, now: &Moment, name: &NodeId, part: Part) {
        let Some(node) = self.nodes.get(name) else { return };
        let Some(stamp) = node.stamp(part) else { return };
        if self.gate.pass(now.at, name, part, node).is_empty() {
            return;
        }
        if self.settings.says_telemetry() {
            // Before the values, so that the entity is there when they come.
            if self.settings.speaks(Profile::HomeAssistant)
                && self.outbox.is_open()
                && self.described.insert((name.clone(), part))
            {
                for document in homeassistant::documents(&self.settings, name, node) {
                    self.outbox.state(document);
                }
            }
            let (publish, late) = native::telemetry(&self.settings.fleet, name, node, part, stamp);
            self.outbox.sample(publish, late);
        }
        if self.settings.speaks(Profile::Aws) && *name == self.settings.node {
            let earliest = self.shadow.last.map_or(now.at, |at| at.plus(self.settings.interval));
            self.shadow.due.get_or_insert_with(|| earliest.max(now.at));
        }
    }

    /// Says everything that is known as if it were new.
    fn say_all(&mut self, now: &Moment) {
        self.gate.forget();
        self.described.clear();
        let known: Vec<(NodeId, Vec<Part>)> =
            self.nodes.iter().map(|(name, node)| (name.clone(), node.parts())).collect();
        for (name, parts) in known {
            for part in parts {
                self.say_part(now, &name, part);
            }
        }
    }

    fn say_status(&mut self, name: &NodeId, offline_because: Option<&str>) {
        if self.settings.says_telemetry() {
            self.outbox.state(native::status(&self.settings.fleet, name, offline_because));
        }
    }

    fn write_shadow(&mut self, now: &Moment) {
        if self.shadow.due.is_none_or(|due| now.at < due) {
            return;
        }
        self.shadow = Shadow { last: Some(now.at), due: None };
        let node = self.nodes.get(&self.settings.node);
        if let Some(update) = node.and_then(|node| aws::update(&self.settings, node)) {
            self.outbox.state(update);
        }
    }

    fn command(&mut self, now: &Moment, id: &str, heard: &Heard<'_>) -> Notice {
        let outcome = self.commands.take(id, heard.payload, heard.retain);
        for (key, publish) in outcome.say {
            self.outbox.state_as(key, publish);
        }
        match outcome.obey {
            Some(Verb::ReportNow) => self.say_all(now),
            Some(Verb::Nop) | None => {}
        }
        outcome.notice
    }
}

impl Machine for Plain {
    fn suffix(&self) -> &'static str {
        ""
    }

    fn open(&mut self, _now: &Moment) -> Opening {
        let settings = &self.settings;
        let mut subscribe = Vec::new();
        if settings.speaks(Profile::HomeAssistant) {
            subscribe.push(homeassistant::birth_topic(settings));
        }
        if settings.takes_commands() {
            subscribe.push(self.commands.filter());
        }
        if settings.speaks(Profile::Aws) {
            subscribe.push(aws::rejected_topic(settings));
        }
        let status = || native::status(&settings.fleet, &settings.node, Some(LWT));
        Opening { will: settings.says_telemetry().then(status), subscribe }
    }

    fn opened(&mut self, now: &Moment) {
        self.outbox.opened();
        self.is_closing = false;
        let me = self.settings.node.clone();
        self.say_status(&me, None);
        let others: Vec<(NodeId, bool)> =
            self.nodes.iter().map(|(name, node)| (name.clone(), node.is_online)).collect();
        for (name, is_online) in others.into_iter().filter(|(name, _)| *name != me) {
            self.say_status(&name, (!is_online).then_some(SILENT));
        }
        for status in self.commands.statuses() {
            self.outbox.state(status);
        }
        self.say_all(now);
    }

    fn closed(&mut self, _now: &Moment) {
        self.outbox.closed();
    }

    fn close(&mut self, _now: &Moment) {
        self.is_closing = true;
        let me = self.settings.node.clone();
        self.say_status(&me, Some(ENDED));
    }

    fn tell(&mut self, now: &Moment, told: Told<'_>) {
        if self.is_closing {
            return;
        }
        match told {
            Told::Report(report) => self.report(now, report),
            Told::Event(event) => self.event(now, event),
            Told::Contact(next) => self.contact(now, next),
        }
    }

    fn hear(&mut self, now: &Moment, heard: Heard<'_>) -> Option<Notice> {
        let settings = Arc::clone(&self.settings);
        if settings.takes_commands()
            && let Some(id) = self.commands.id_of(heard.topic)
        {
            return Some(self.command(now, id, &heard));
        }
        if settings.speaks(Profile::HomeAssistant)
            && heard.topic == homeassistant::birth_topic(&settings)
        {
            // One that the broker kept says nothing new: everything was just said for this connection.
            if heard.payload != b"online" || heard.retain {
                return None;
            }
            self.say_all(now);
            return Some(Notice::Asked("Home Assistant has started"));
        }
        if settings.speaks(Profile::Aws) && heard.topic == aws::rejected_topic(&settings) {
            let words = String::from_utf8_lossy(heard.payload);
            let words: String = words.chars().take(200).collect();
            return Some(Notice::Useless(format!("AWS refused an update of the shadow: {words}")));
        }
        None
    }

    fn timer(&mut self, now: &Moment) {
        for name in self.nodes.fell_silent(now) {
            self.say_status(&name, Some(SILENT));
        }
        self.write_shadow(now);
    }

    fn deadline(&self) -> Option<Instant> {
        self.nodes.next_silence().into_iter().chain(self.shadow.due).min()
    }

    fn next(&mut self, _now: &Moment) -> Option<Publish> {
        self.outbox.hand_out()
    }

    fn written(&mut self, id: Option<u16>) {
        self.outbox.written(id);
    }

    fn acked(&mut self, id: u16) {
        self.outbox.acked(id);
    }

    fn is_idle(&self) -> bool {
        self.outbox.is_idle()
    }

    fn counts(&self) -> Counts {
        Counts { no_place: self.nodes.left_out(), ..self.outbox.counts() }
    }
}
