//! Who is there and how they are: inventory from reports, leases, gaps in the stream of events.
//!
//! Performs no I/O and reads no clock. A node is lost when none of its reports came within the lease; silence that
//! the contact plan predicts does not count. Events are taken in the order of their numbers; what is missing is
//! asked for again until it comes or its node says that it is gone.

mod node;
mod stream;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::event::{Event, EventPage};
use protocol::key::node_of;
use protocol::report::{LinkSample, Report, ReportBody};
use protocol::{DecodeError, decode};
use types::{FleetId, Instant, NodeId};

pub use node::{Lease, Node, Readings};

use crate::config::NodeSection;
use crate::late::{Line, Said};

/// Something that a frame or the time has changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A node was heard that was not up: for the first time, or again.
    Up(NodeId),
    /// A node's agent was started anew.
    Restarted(NodeId),
    /// A node is silent as predicted.
    Silent(NodeId),
    /// A node's lease has run out.
    Down {
        /// Which.
        node: NodeId,
        /// Since its last report.
        silence: Duration,
    },
    /// Something happened on a node.
    Event(Box<Event>),
    /// Something had happened on a node, and is told late: it says nothing of now.
    Past(Box<Event>),
    /// Events are missing from this number on: ask the node.
    Missing {
        /// Which node.
        node: NodeId,
        /// The first missing number.
        from_seq: u64,
    },
    /// Links were measured.
    Measured {
        /// By whom.
        node: NodeId,
        /// What.
        samples: Vec<LinkSample>,
    },
}

/// Why a frame is not taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FrameError {
    /// It does not decode, or holds values that cannot be.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// Its key is no node's key, or of a node that the configuration does not name.
    #[error("the key {0} belongs to no node of this fleet")]
    Stranger(String),
    /// It speaks for another node.
    #[error("it claims to come from {claimed}, its key says {key}")]
    Impostor {
        /// The node in the payload.
        claimed: NodeId,
        /// The node of the key.
        key: NodeId,
    },
}

/// All nodes.
#[derive(Clone, Debug)]
pub struct Fleet {
    fleet: FleetId,
    lease: Duration,
    nodes: BTreeMap<NodeId, Node>,
    strange_frames: u64,
}

impl Fleet {
    /// The nodes of a configuration, none of them heard yet.
    pub fn new(fleet: FleetId, lease: Duration, nodes: &[NodeSection]) -> Self {
        let nodes = nodes.iter().map(|n| (n.name.clone(), Node::new(n.clone()))).collect();
        Self { fleet, lease, nodes, strange_frames: 0 }
    }

    /// All nodes, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// A node.
    pub fn node(&self, id: &NodeId) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// Whether a node's lease runs (also while it is silent as predicted).
    pub fn is_alive(&self, id: &NodeId) -> bool {
        self.nodes.get(id).is_some_and(|node| matches!(node.lease, Lease::Up | Lease::Silent))
    }

    /// Frames that no node of the configuration can have sent.
    pub const fn strange_frames(&self) -> u64 {
        self.strange_frames
    }

    /// Keeps what a node said that it is.
    pub fn set_facts(&mut self, id: &NodeId, facts: protocol::event::NodeFacts) {
        if let Some(node) = self.nodes.get_mut(id) {
            node.facts = Some(facts);
        }
    }

    /// Counts an answer of a node that does not decode.
    pub fn refuse_answer(&mut self, id: &NodeId, error: &DecodeError) {
        if let Some(node) = self.nodes.get_mut(id) {
            node.refuse(format!("answer refused: {error}"));
        }
    }

    /// Keeps what a node would not do.
    pub fn note(&mut self, id: &NodeId, note: String) {
        if let Some(node) = self.nodes.get_mut(id) {
            node.flag(note);
        }
    }

    /// Takes a report and says what it changed.
    ///
    /// # Errors
    /// [`FrameError`]; the frame is counted and dropped, it renews no lease.
    pub fn report(
        &mut self,
        now: Instant,
        key: &str,
        frame: &[u8],
    ) -> Result<Vec<Change>, FrameError> {
        let lease = self.lease;
        let (id, node) = self.owner_of(key)?;
        let report: Report =
            node.accept(&id, key, "report", decode(frame), |r: &Report| &r.header)?;
        let Some(mut changes) = node.hear(now, lease, &report.header) else {
            return Ok(Vec::new());
        };
        changes.extend(
            node.stream
                .promised(now, report.last_event_seq)
                .map(|from_seq| Change::Missing { node: id.clone(), from_seq }),
        );
        if let ReportBody::Link(link) = &report.body {
            changes.push(Change::Measured { node: id, samples: link.samples.clone() });
        }
        node.readings.take(now, report);
        Ok(changes)
    }

    /// Takes an event and says what it changed; one that comes out of order is asked for again.
    ///
    /// # Errors
    /// [`FrameError`]; the frame is counted and dropped.
    pub fn event(
        &mut self,
        now: Instant,
        key: &str,
        frame: &[u8],
    ) -> Result<Vec<Change>, FrameError> {
        let (id, node) = self.owner_of(key)?;
        let event: Event = node.accept(&id, key, "event", decode(frame), |e: &Event| &e.header)?;
        let Some(mut changes) = node.meet(event.header.boot) else { return Ok(Vec::new()) };
        match node.stream.next(now, event.header.seq) {
            stream::Next::Take => changes.push(Change::Event(Box::new(event))),
            stream::Next::Known => {}
            stream::Next::Missing(from_seq) => {
                changes.push(Change::Missing { node: id, from_seq });
            }
            stream::Next::Wait => {}
        }
        Ok(changes)
    }

    /// Takes what a node said late, once it is kept.
    pub fn late(&mut self, lines: Vec<Line>) -> Vec<Change> {
        let mut changes = Vec::new();
        for Line { node: id, boot, said, .. } in lines {
            let Some(node) = self.nodes.get_mut(&id) else { continue };
            match said {
                Said::Report(report) => node.heard_late(boot, report.header.seq),
                Said::Summary(summary) => node.reports_late += u64::from(summary.reports),
                Said::Event(event) => {
                    let is_next = node.happened_late(boot, event.header.seq);
                    changes.push(if is_next { Change::Event(event) } else { Change::Past(event) });
                }
                Said::Unreadable(why) => node.refuse(format!("late record refused: {why}")),
            }
        }
        changes
    }

    /// Takes what a node answered to the question for missing events.
    ///
    /// # Errors
    /// [`FrameError`]; the page is counted and dropped, the question will be asked again.
    pub fn replayed(
        &mut self,
        now: Instant,
        id: &NodeId,
        frame: Result<&[u8], &str>,
    ) -> Result<Vec<Change>, FrameError> {
        let Some(node) = self.nodes.get_mut(id) else {
            return Err(FrameError::Stranger(id.to_string()));
        };
        let Ok(frame) = frame else {
            node.stream.unanswered(now);
            return Ok(Vec::new());
        };
        let page: EventPage = decode(frame).inspect_err(|error| {
            node.refuse(format!("page of events refused: {error}"));
            node.stream.unanswered(now);
        })?;
        let own = |event: &Event| event.header.node == *id;
        let (taken, again) = node.stream.page(now, page, own);
        let mut changes: Vec<Change> =
            taken.into_iter().map(|event| Change::Event(Box::new(event))).collect();
        changes.extend(again.map(|from_seq| Change::Missing { node: id.clone(), from_seq }));
        Ok(changes)
    }

    /// Looks at all leases and open questions.
    ///
    /// `silence_left` tells how long (wall) the contact plan predicts no path to a node from now on; `None` where
    /// there is one, or where the plan does not know.
    pub fn tick(
        &mut self,
        now: Instant,
        silence_left: impl Fn(&NodeId) -> Option<Duration>,
    ) -> Vec<Change> {
        let lease = self.lease;
        let mut changes = Vec::new();
        for (id, node) in &mut self.nodes {
            changes.extend(node.check_lease(now, lease, || silence_left(id)));
            if node.lease == Lease::Up {
                changes.extend(
                    node.stream
                        .overdue(now)
                        .map(|from_seq| Change::Missing { node: id.clone(), from_seq }),
                );
            }
        }
        changes
    }

    fn owner_of(&mut self, key: &str) -> Result<(NodeId, &mut Node), FrameError> {
        let id = node_of(&self.fleet, key);
        match id.and_then(|id| self.nodes.get_mut(&id).map(|node| (id, node))) {
            Some(found) => Ok(found),
            None => {
                self.strange_frames += 1;
                Err(FrameError::Stranger(key.chars().take(128).collect()))
            }
        }
    }
}
