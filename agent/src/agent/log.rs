//! What this start has said: numbers of reports and events, and the last events for who missed some.

use std::collections::VecDeque;

use protocol::event::{Event, EventKind, EventPage, PAGE_EVENTS_MAX};
use protocol::report::{Header, Report, ReportBody};
use types::{BootId, NodeId, Uptime};

use crate::event::Now;

/// Events that are kept for replay: ten minutes of a busy node.
const EVENTS_KEPT: usize = 1024;

/// Numbers and remembers.
#[derive(Debug)]
pub(super) struct Log {
    node: NodeId,
    boot: BootId,
    reports: u64,
    events: u64,
    kept: VecDeque<Event>,
}

impl Log {
    pub(super) fn new(node: NodeId, boot: BootId) -> Self {
        Self { node, boot, reports: 0, events: 0, kept: VecDeque::new() }
    }

    pub(super) fn event(&mut self, now: &Now, kind: EventKind) -> Event {
        self.events += 1;
        let event = Event { header: self.header(now, self.events), kind };
        if self.kept.len() == EVENTS_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(event.clone());
        event
    }

    pub(super) fn report(&mut self, now: &Now, body: ReportBody) -> Report {
        self.reports += 1;
        Report { header: self.header(now, self.reports), last_event_seq: self.events, body }
    }

    /// What is still kept from number `from` on, oldest first.
    pub(super) fn page(&self, from: u64) -> EventPage {
        let from = from.max(1);
        let oldest = self.kept.front().map_or(self.events + 1, |event| event.header.seq);
        let wanted = self.kept.iter().filter(|event| from <= event.header.seq);
        EventPage {
            events: wanted.take(PAGE_EVENTS_MAX).cloned().collect(),
            lost: oldest.saturating_sub(from).min(self.events),
        }
    }

    fn header(&self, now: &Now, seq: u64) -> Header {
        Header {
            node: self.node.clone(),
            boot: self.boot,
            seq,
            at: now.sky,
            uptime: Uptime(now.at.0 / 1_000_000),
        }
    }
}
