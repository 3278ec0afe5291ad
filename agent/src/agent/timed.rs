//! Commands that have their time: kept on disk, executed once at a time of the sky or not at all, link or no link.
//!
//! Each change is made to a copy; the copy counts once it is durable. A command is marked as begun before anything of
//! it is done, so that a start in between finds it begun and does not begin it again.

use protocol::command::{Act, CommandVerdict};
use protocol::event::{EventKind, TimedOutcome};
use serde::{Deserialize, Serialize};
use types::{Epoch, Instant, LeaderEpoch};

use crate::event::Now;

/// Commands that wait at most: an orbit's worth, one a minute and a half.
const WAITING_MAX: usize = 64;
/// Commands that are remembered after their end, so that a repeated one is not a new one.
const ENDED_MAX: usize = 128;

/// One command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    epoch: LeaderEpoch,
    id: u64,
    #[serde(with = "exact")]
    at: Epoch,
    #[serde(with = "exact")]
    until: Epoch,
    act: Act,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Waiting,
    Begun,
    Ended(TimedOutcome),
}

/// All commands that have their time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Timetable {
    entries: Vec<Entry>,
    /// Until when the commands were to be begun that are not remembered any more.
    #[serde(with = "exact_or_none")]
    forgotten: Option<Epoch>,
}

/// Times in nanoseconds: as text they have milliseconds, and a command would not be known again by its time.
mod exact {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use types::Epoch;

    pub(super) fn serialize<S: Serializer>(at: &Epoch, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(at.unix_ns())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Epoch, D::Error> {
        i64::deserialize(from).map(Epoch::from_unix_ns)
    }
}

/// The same, where there may be none.
mod exact_or_none {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use types::Epoch;

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(at: &Option<Epoch>, to: S) -> Result<S::Ok, S::Error> {
        at.map(Epoch::unix_ns).serialize(to)
    }

    pub(super) fn deserialize<'de, D>(from: D) -> Result<Option<Epoch>, D::Error>
    where
        D: Deserializer<'de>,
    {
        Ok(Option::<i64>::deserialize(from)?.map(Epoch::from_unix_ns))
    }
}

/// A command to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) epoch: LeaderEpoch,
    pub(super) id: u64,
    pub(super) at: Epoch,
    pub(super) until: Epoch,
    pub(super) act: Act,
}

/// What to do with what is asked.
#[derive(Debug, PartialEq)]
pub(super) enum Judged {
    /// Answer this; nothing changes.
    Answer(CommandVerdict),
    /// Make this durable first.
    Change(Timetable),
}

/// What is due.
#[derive(Debug, PartialEq)]
pub(super) struct Due {
    /// The timetable in which these are begun.
    pub(super) next: Timetable,
    /// What to do once that is durable.
    pub(super) acts: Vec<Act>,
    /// What is over without being done.
    pub(super) told: Vec<EventKind>,
}

impl Timetable {
    /// As an earlier start has left it; also tells of what that start had begun.
    pub(super) fn remembered(bytes: Option<&[u8]>) -> (Self, Vec<EventKind>) {
        // What cannot be read was written by another version: what waited there is asked for again, or never done.
        let read = bytes.and_then(|bytes| serde_json::from_slice::<Self>(bytes).ok());
        let mut table = read.unwrap_or_default();
        let told = table.finish(Phase::Begun, TimedOutcome::Interrupted);
        (table, told)
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, String> {
        serde_json::to_vec(self).map_err(|error| error.to_string())
    }

    /// Takes a command, or says what became of it before.
    pub(super) fn add(&self, sky: Epoch, asked: &Asked) -> Judged {
        let Asked { epoch, id, at, until, act } = *asked;
        if let Some(known) = self.entries.iter().find(|e| (e.epoch, e.id) == (epoch, id)) {
            return Judged::Answer(if known.until == until {
                known.verdict()
            } else {
                denied("it is known with another time")
            });
        }
        if until < sky || self.forgotten.is_some_and(|forgotten| until <= forgotten) {
            return Judged::Answer(CommandVerdict::Expired);
        }
        if WAITING_MAX <= self.entries.iter().filter(|e| e.phase == Phase::Waiting).count() {
            return Judged::Answer(denied("64 commands wait for their time already"));
        }
        let mut next = self.clone();
        next.entries.push(Entry { epoch, id, at, until, act, phase: Phase::Waiting });
        Judged::Change(next)
    }

    /// Takes back a command that has not begun.
    pub(super) fn cancel(&self, epoch: LeaderEpoch, id: u64) -> Judged {
        let at = self.entries.iter().position(|e| (e.epoch, e.id) == (epoch, id));
        let Some(at) = at else { return Judged::Answer(denied("no such command waits here")) };
        match self.entries[at].phase {
            Phase::Waiting => {
                let mut next = self.clone();
                next.entries[at].phase = Phase::Ended(TimedOutcome::Cancelled);
                next.bound();
                Judged::Change(next)
            }
            Phase::Ended(TimedOutcome::Cancelled) => Judged::Answer(CommandVerdict::Done),
            Phase::Begun | Phase::Ended(_) => Judged::Answer(denied("it has begun or ended")),
        }
    }

    /// What has come to its time, in order of it; `None` if nothing has.
    pub(super) fn due(&self, sky: Epoch, fence: LeaderEpoch) -> Option<Due> {
        let is_due = |entry: &Entry| entry.phase == Phase::Waiting && entry.at <= sky;
        if !self.entries.iter().any(is_due) {
            return None;
        }
        let mut next = self.clone();
        let (mut acts, mut told) = (Vec::new(), Vec::new());
        next.entries.sort_by_key(|entry| (entry.at, entry.epoch, entry.id));
        let waiting = next.entries.iter_mut().filter(|entry| entry.phase == Phase::Waiting);
        for entry in waiting.filter(|entry| entry.at <= sky) {
            let outcome = if entry.epoch < fence {
                Some(TimedOutcome::Stale)
            } else if entry.until < sky {
                Some(TimedOutcome::Missed)
            } else {
                None
            };
            match outcome {
                Some(outcome) => {
                    entry.phase = Phase::Ended(outcome);
                    told.push(entry.event(outcome));
                }
                None => {
                    entry.phase = Phase::Begun;
                    acts.push(entry.act);
                }
            }
        }
        next.bound();
        Some(Due { next, acts, told })
    }

    /// All that was begun is done.
    pub(super) fn done(&self) -> (Self, Vec<EventKind>) {
        let mut next = self.clone();
        let told = next.finish(Phase::Begun, TimedOutcome::Done);
        (next, told)
    }

    /// When something is due next.
    pub(super) fn deadline(&self, now: &Now) -> Option<Instant> {
        let waiting = self.entries.iter().filter(|entry| entry.phase == Phase::Waiting);
        waiting.map(|entry| now.when(entry.at)).min()
    }

    fn finish(&mut self, phase: Phase, outcome: TimedOutcome) -> Vec<EventKind> {
        let mut told = Vec::new();
        for entry in self.entries.iter_mut().filter(|entry| entry.phase == phase) {
            entry.phase = Phase::Ended(outcome);
            told.push(entry.event(outcome));
        }
        self.bound();
        told
    }

    /// Forgets those that have ended and whose time is over first; none of them can be taken again.
    fn bound(&mut self) {
        let has_ended = |entry: &&Entry| matches!(entry.phase, Phase::Ended(_));
        while ENDED_MAX < self.entries.iter().filter(has_ended).count() {
            let ended = self.entries.iter().enumerate().filter(|(_, entry)| has_ended(entry));
            let first = ended.min_by_key(|(_, entry)| entry.until).map(|(at, _)| at);
            let Some(first) = first else { return };
            let entry = self.entries.remove(first);
            self.forgotten = self.forgotten.max(Some(entry.until));
        }
    }
}

impl Entry {
    fn event(&self, outcome: TimedOutcome) -> EventKind {
        EventKind::Timed { epoch: self.epoch, id: self.id, outcome }
    }

    /// The answer to the same command again.
    fn verdict(&self) -> CommandVerdict {
        match self.phase {
            Phase::Waiting | Phase::Begun => CommandVerdict::Scheduled,
            Phase::Ended(TimedOutcome::Done) => CommandVerdict::Done,
            Phase::Ended(TimedOutcome::Missed) => CommandVerdict::Expired,
            Phase::Ended(TimedOutcome::Cancelled) => denied("it was taken back"),
            Phase::Ended(TimedOutcome::Stale) => denied("its controller does not command any more"),
            Phase::Ended(TimedOutcome::Interrupted) => denied("the node went down while it ran"),
        }
    }
}

fn denied(reason: &str) -> CommandVerdict {
    CommandVerdict::Denied { reason: reason.to_owned() }
}
