//! One node: its lease, its starts, what it reported last, and what is wrong with it.

use std::collections::VecDeque;
use std::time::Duration;

use protocol::DecodeError;
use protocol::event::NodeFacts;
use protocol::report::{
    BacklogReport, ComputeReport, FunctionReport, Header, LifeReport, PositionReport, PowerReport,
    QueueReport, Report, ReportBody, ThermalReport,
};
use types::{BootId, Epoch, Instant, NodeId, Uptime};

use super::stream::Stream;
use super::{Change, FrameError};
use crate::config::NodeSection;

/// Starts of an agent that are remembered, so that a late frame of an older one changes nothing.
const BOOTS_KEPT: usize = 4;
/// Flags that are kept for people; the oldest goes first.
const FLAGS_KEPT: usize = 8;
/// Longest flag, characters.
const FLAG_CHARS_MAX: usize = 200;

/// How a node stands with its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// Never heard.
    Unheard,
    /// Heard within the lease.
    Up,
    /// Not heard, as predicted.
    Silent,
    /// Not heard for longer than the lease.
    Down,
}

/// A node of the fleet.
#[derive(Clone, Debug)]
pub struct Node {
    /// What the configuration says.
    pub section: NodeSection,
    /// What it says that it is.
    pub facts: Option<NodeFacts>,
    /// How it stands with its lease.
    pub lease: Lease,
    /// Its newest reports.
    pub readings: Readings,
    /// Its events.
    pub(super) stream: Stream,
    /// Reports taken.
    pub reports: u64,
    /// Reports that got lost on the way, and have not come late.
    pub reports_missed: u64,
    /// Reports that came late, thinned ones counted as what they stand for.
    pub reports_late: u64,
    /// Events that came late.
    pub events_late: u64,
    /// Frames that were refused.
    pub frames_refused: u64,
    /// Starts that were seen.
    pub boots_seen: u32,
    /// What is wrong with it, newest last.
    pub flags: VecDeque<String>,
    last_heard: Option<Instant>,
    deadline: Instant,
    boot: Option<BootId>,
    older_boots: VecDeque<BootId>,
    last_seq: u64,
    /// Which reports came of the last 64 up to that: bit i is number `last_seq - i`.
    seen: u64,
}

/// The newest report of each group.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    /// When the newest one was sent (sky).
    pub at: Option<Epoch>,
    /// How long its agent has run.
    pub uptime: Option<Uptime>,
    /// Energy.
    pub power: Option<PowerReport>,
    /// Temperature.
    pub thermal: Option<ThermalReport>,
    /// Processor and memory.
    pub compute: Option<ComputeReport>,
    /// Place.
    pub position: Option<PositionReport>,
    /// Functions.
    pub function: Option<FunctionReport>,
    /// Queues.
    pub queue: Option<QueueReport>,
    /// What waits for a link.
    pub backlog: Option<BacklogReport>,
    /// Its program.
    pub life: Option<LifeReport>,
    /// When each of these was taken, in the order above, to tell its age.
    pub taken: [Option<Instant>; 8],
}

impl Readings {
    pub(super) fn take(&mut self, now: Instant, report: Report) {
        self.at = Some(report.header.at);
        self.uptime = Some(report.header.uptime);
        let slot = match report.body {
            ReportBody::Power(power) => {
                self.power = Some(power);
                0
            }
            ReportBody::Thermal(thermal) => {
                self.thermal = Some(thermal);
                1
            }
            ReportBody::Compute(compute) => {
                self.compute = Some(compute);
                2
            }
            ReportBody::Position(position) => {
                self.position = Some(position);
                3
            }
            ReportBody::Function(function) => {
                self.function = Some(function);
                4
            }
            ReportBody::Queue(queue) => {
                self.queue = Some(queue);
                5
            }
            ReportBody::Backlog(backlog) => {
                self.backlog = Some(backlog);
                6
            }
            ReportBody::Life(life) => {
                self.life = Some(life);
                7
            }
            // Samples of links are kept in order elsewhere; nobody asks for graphics processors yet.
            ReportBody::Link(_) | ReportBody::Gpu(_) => return,
        };
        self.taken[slot] = Some(now);
    }
}

impl Node {
    pub(super) fn new(section: NodeSection) -> Self {
        Self {
            section,
            facts: None,
            lease: Lease::Unheard,
            readings: Readings::default(),
            stream: Stream::default(),
            reports: 0,
            reports_missed: 0,
            reports_late: 0,
            events_late: 0,
            frames_refused: 0,
            boots_seen: 0,
            flags: VecDeque::new(),
            last_heard: None,
            deadline: Instant(0),
            boot: None,
            older_boots: VecDeque::new(),
            last_seq: 0,
            seen: 0,
        }
    }

    /// Its name.
    pub const fn id(&self) -> &NodeId {
        &self.section.name
    }

    /// What came of a start of it, live: the highest number of a report, which of the last 64 came, and up to which
    /// number all events came, where `late` of them came late.
    pub fn receipt(&self, boot: BootId, late: u64) -> (u64, u64, u64) {
        if self.boot != Some(boot) {
            return (0, 0, late);
        }
        (self.last_seq, self.seen, self.stream.through(late))
    }

    /// A report came late.
    pub(super) fn heard_late(&mut self, boot: BootId, seq: u64) {
        self.reports_late += 1;
        if self.boot == Some(boot) && seq <= self.last_seq {
            self.reports_missed = self.reports_missed.saturating_sub(1);
        }
    }

    /// An event came late; whether it is the next one of the present start.
    pub(super) fn happened_late(&mut self, boot: BootId, seq: u64) -> bool {
        self.events_late += 1;
        self.boot == Some(boot) && self.stream.takes_late(seq)
    }

    /// Since its last report.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.last_heard.map(|heard| now.saturating_since(heard))
    }

    /// Events that were taken, and those that are gone for good.
    pub const fn events(&self) -> (u64, u64) {
        (self.stream.taken, self.stream.lost)
    }

    /// Notes what is wrong; the same again is noted once.
    pub(super) fn flag(&mut self, what: String) {
        let what: String = what.chars().take(FLAG_CHARS_MAX).collect();
        if self.flags.contains(&what) {
            return;
        }
        if self.flags.len() == FLAGS_KEPT {
            self.flags.pop_front();
        }
        self.flags.push_back(what);
    }

    pub(super) fn refuse(&mut self, why: String) {
        self.frames_refused += 1;
        self.flag(why);
    }

    /// A decoded frame, if it speaks for this node.
    pub(super) fn accept<T>(
        &mut self,
        id: &NodeId,
        key: &str,
        what: &str,
        decoded: Result<T, DecodeError>,
        header: impl Fn(&T) -> &Header,
    ) -> Result<T, FrameError> {
        let checked = decoded.map_err(FrameError::from).and_then(|message| {
            let claimed = &header(&message).node;
            if claimed == id {
                Ok(message)
            } else {
                Err(FrameError::Impostor { claimed: claimed.clone(), key: id.clone() })
            }
        });
        checked.inspect_err(|error| {
            let group = key.rsplit('/').next().unwrap_or_default();
            self.refuse(format!("{what} {group} refused: {error}"));
        })
    }

    /// Renews the lease; `None` for a copy or a straggler, whose content is older than what is known.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        lease: Duration,
        header: &Header,
    ) -> Option<Vec<Change>> {
        let mut changes = self.meet(header.boot)?;
        if header.seq <= self.last_seq {
            let behind = u32::try_from(self.last_seq - header.seq).unwrap_or(u32::MAX);
            self.seen |= 1_u64.checked_shl(behind).unwrap_or(0);
            return None;
        }
        let ahead = u32::try_from(header.seq - self.last_seq).unwrap_or(u32::MAX);
        self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
        if self.last_seq != 0 {
            self.reports_missed += header.seq - self.last_seq - 1;
        }
        self.last_seq = header.seq;
        self.reports += 1;
        self.last_heard = Some(now);
        self.deadline = now.plus(lease);
        if self.lease != Lease::Up {
            self.lease = Lease::Up;
            changes.push(Change::Up(self.id().clone()));
        }
        Some(changes)
    }

    /// Notices a new start of the agent; `None` for a frame of an older one.
    pub(super) fn meet(&mut self, boot: BootId) -> Option<Vec<Change>> {
        if self.older_boots.contains(&boot) {
            return None;
        }
        if self.boot == Some(boot) {
            return Some(Vec::new());
        }
        self.boots_seen += 1;
        let before = self.boot.replace(boot);
        self.last_seq = 0;
        self.seen = 0;
        self.stream.restart();
        let Some(before) = before else { return Some(Vec::new()) };
        if self.older_boots.len() == BOOTS_KEPT {
            self.older_boots.pop_front();
        }
        self.older_boots.push_back(before);
        Some(vec![Change::Restarted(self.id().clone())])
    }

    pub(super) fn check_lease(
        &mut self,
        now: Instant,
        lease: Duration,
        silence_left: impl Fn() -> Option<Duration>,
    ) -> Option<Change> {
        match self.lease {
            Lease::Unheard | Lease::Down => None,
            Lease::Up if now < self.deadline => None,
            Lease::Silent if now < self.deadline => {
                // A newer plan may have ended the silence sooner.
                if silence_left().is_none() {
                    self.deadline = self.deadline.min(now.plus(lease));
                }
                None
            }
            Lease::Up | Lease::Silent => match silence_left() {
                Some(left) => {
                    self.deadline = now.plus(left).plus(lease);
                    let was_up = self.lease == Lease::Up;
                    self.lease = Lease::Silent;
                    was_up.then(|| Change::Silent(self.id().clone()))
                }
                None => {
                    self.lease = Lease::Down;
                    let silence = self.age(now).unwrap_or_default();
                    Some(Change::Down { node: self.id().clone(), silence })
                }
            },
        }
    }
}
