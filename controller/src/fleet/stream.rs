//! The stream of events of one node: taken in order, once each; gaps are asked for again.

use std::time::Duration;

use protocol::event::{Event, EventPage};
use types::Instant;

/// An event that a report promised may come so much later before it counts as missing: both leave together.
const PROMISE_GRACE: Duration = Duration::from_millis(500);
/// Between two questions for the same gap.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// Questions that may bring nothing before what they ask for counts as gone.
const EMPTY_PAGES_MAX: u32 = 5;

/// What to do with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is the next one.
    Take,
    /// It came before.
    Known,
    /// Some before it are missing: ask from this number on.
    Missing(u64),
    /// Some before it are missing and already asked for.
    Wait,
}

/// The stream of one start of an agent.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    /// Events taken since the controller started.
    pub(super) taken: u64,
    /// Events that are gone.
    pub(super) lost: u64,
    /// The last number that was taken.
    last: u64,
    /// The highest number that is known to exist.
    newest: u64,
    /// Since when some are missing.
    gap_since: Option<Instant>,
    asked: Option<Instant>,
    empty_pages: u32,
    /// The first and the last number that were given up.
    given_up: Option<(u64, u64)>,
}

impl Stream {
    /// A new start of the agent counts anew.
    pub(super) fn restart(&mut self) {
        *self = Self { taken: self.taken, lost: self.lost, ..Self::default() };
    }

    /// An event has come.
    pub(super) fn next(&mut self, now: Instant, seq: u64) -> Next {
        self.newest = self.newest.max(seq);
        if seq <= self.last {
            return Next::Known;
        }
        if seq == self.last + 1 {
            self.take(seq);
            return Next::Take;
        }
        self.gap_since.get_or_insert(now);
        match self.asked {
            Some(asked) if now < asked.plus(ASK_AGAIN) => Next::Wait,
            Some(_) | None => Next::Missing(self.ask(now)),
        }
    }

    /// A report says that events up to `newest` exist.
    pub(super) fn promised(&mut self, now: Instant, newest: u64) -> Option<u64> {
        self.newest = self.newest.max(newest);
        if self.last < self.newest {
            self.gap_since.get_or_insert(now);
        }
        self.overdue(now)
    }

    /// Whether a gap has stayed open for too long; from which number on to ask.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<u64> {
        if self.newest <= self.last {
            self.gap_since = None;
            return None;
        }
        let since = self.gap_since?;
        let due = match self.asked {
            Some(asked) => asked.plus(ASK_AGAIN),
            None => since.plus(PROMISE_GRACE),
        };
        (due <= now).then(|| self.ask(now))
    }

    /// The question was not answered.
    pub(super) fn unanswered(&mut self, now: Instant) {
        // Half the time has passed while waiting for the answer.
        self.asked = Some(now);
    }

    /// Takes a page; also says from which number on to ask at once, if it was not the last one.
    pub(super) fn page(
        &mut self,
        now: Instant,
        page: EventPage,
        own: impl Fn(&Event) -> bool,
    ) -> (Vec<Event>, Option<u64>) {
        self.asked = None;
        let mut taken = Vec::new();
        for event in page.events.into_iter().filter(own) {
            let seq = event.header.seq;
            if seq <= self.last {
                continue;
            }
            self.lost += seq - self.last - 1;
            self.note_given_up(seq - 1);
            self.newest = self.newest.max(seq);
            self.take(seq);
            taken.push(event);
        }
        if taken.is_empty() {
            self.give_up(page.lost);
        } else {
            self.empty_pages = 0;
        }
        if self.newest <= self.last {
            self.gap_since = None;
            return (taken, None);
        }
        self.gap_since = Some(now);
        let more = (!taken.is_empty()).then(|| self.ask(now));
        (taken, more)
    }

    /// A page without events: what it says is lost is gone; without a word, only after some tries.
    fn give_up(&mut self, lost: u64) {
        self.empty_pages += 1;
        let gone = if EMPTY_PAGES_MAX <= self.empty_pages { self.newest - self.last } else { lost };
        let gone = gone.min(self.newest.saturating_sub(self.last));
        if gone != 0 {
            self.empty_pages = 0;
        }
        self.lost += gone;
        self.note_given_up(self.last + gone);
        self.last += gone;
    }

    /// Up to which number everything came, where `late` came late.
    pub(super) fn through(&self, late: u64) -> u64 {
        match self.given_up {
            Some((first, last)) if late < last => (first - 1).max(late),
            Some(_) | None => self.last.max(late),
        }
    }

    /// Whether an event is the next one: then it is taken as if it had come in time.
    pub(super) fn takes_late(&mut self, seq: u64) -> bool {
        let is_next = seq == self.last + 1;
        if is_next {
            self.newest = self.newest.max(seq);
            self.take(seq);
        }
        is_next
    }

    fn note_given_up(&mut self, last: u64) {
        if self.last < last {
            let first = self.given_up.map_or(self.last + 1, |(first, _)| first);
            self.given_up = Some((first, last));
        }
    }

    fn take(&mut self, seq: u64) {
        self.last = seq;
        self.taken += 1;
    }

    fn ask(&mut self, now: Instant) -> u64 {
        self.asked = Some(now);
        self.last + 1
    }
}
