//! The line to the controller: what it has receipts for, whether its silence is to be expected, when to ask again.
//!
//! Pure. The controller's receipt says which reports of this start came. A report without a receipt for a few seconds
//! goes to the backlog; so does one that a receipt says did not come. Silence that the contact plan predicts is no
//! failure: the lease ends only that long after the next window opens.

use std::collections::VecDeque;
use std::time::Duration;

use protocol::backlog::{RECEIPT_REPORTS, Receipt};
use protocol::report::{Group, Line};
use types::{Epoch, Instant, NodeId};

use crate::plan::Outlook;

/// Silence that is no failure yet: as long as the controller's lease for a node.
pub const LEASE: Duration = Duration::from_secs(3);
/// Between two questions while there are answers.
const ASK: Duration = Duration::from_secs(1);
/// The same while there are none, though there should be.
const ASK_SILENT: Duration = Duration::from_secs(2);
/// The longest pause while none are expected: plans can be wrong.
const ASK_EXPECTED: Duration = Duration::from_secs(30);
/// Between two questions that bring late records: what is live goes in between.
const ASK_MORE: Duration = Duration::from_millis(50);
/// Reports that wait for a receipt at most; ten seconds of all groups.
const WAITING_MAX: usize = 64;

/// A report that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its number.
    pub seq: u64,
    /// Its group.
    pub group: Group,
    /// When it was made (sky).
    pub at: Epoch,
    /// Its frame.
    pub frame: Vec<u8>,
}

/// The line.
#[derive(Debug)]
pub struct Uplink {
    line: Line,
    controller: Option<NodeId>,
    /// Silence counts from here.
    heard_at: Instant,
    ask_at: Instant,
    waiting: VecDeque<(Instant, Sent)>,
}

impl Uplink {
    /// A start, with the controller that an earlier one knew.
    pub const fn new(now: Instant, controller: Option<NodeId>) -> Self {
        Self {
            line: Line::Unknown,
            controller,
            heard_at: now,
            ask_at: now,
            waiting: VecDeque::new(),
        }
    }

    /// The controller, if it ever answered.
    pub const fn controller(&self) -> Option<&NodeId> {
        self.controller.as_ref()
    }

    /// How the line stands.
    pub const fn line(&self) -> Line {
        self.line
    }

    /// When to ask for a receipt.
    pub const fn ask_at(&self) -> Instant {
        self.ask_at
    }

    /// A report was sent; what has no room here goes to the backlog.
    pub fn sent(&mut self, now: Instant, sent: Sent) -> Option<Sent> {
        self.waiting.push_back((now, sent));
        if WAITING_MAX < self.waiting.len() {
            self.waiting.pop_front().map(|(_, s)| s)
        } else {
            None
        }
    }

    /// What has waited for a receipt for too long goes to the backlog.
    pub fn overdue(&mut self, now: Instant) -> Vec<Sent> {
        let mut overdue = Vec::new();
        while self.waiting.front().is_some_and(|(at, _)| at.plus(LEASE) <= now) {
            overdue.extend(self.waiting.pop_front().map(|(_, sent)| sent));
        }
        overdue
    }

    /// Everything that waits: the process ends.
    pub fn rest(&mut self) -> Vec<Sent> {
        self.waiting.drain(..).map(|(_, sent)| sent).collect()
    }

    /// When something is overdue next.
    pub fn overdue_at(&self) -> Option<Instant> {
        self.waiting.front().map(|(at, _)| at.plus(LEASE))
    }

    /// A receipt came; the reports that it says did not come go to the backlog. Says whether the controller is another one.
    pub fn receipt(
        &mut self,
        now: Instant,
        receipt: &Receipt,
        has_more: bool,
    ) -> (Vec<Sent>, bool) {
        self.line = Line::Heard;
        self.heard_at = now;
        self.ask_at = now.plus(if has_more { ASK_MORE } else { ASK });
        let is_other = self.controller.as_ref() != Some(&receipt.controller);
        if is_other {
            self.controller = Some(receipt.controller.clone());
        }
        let mut missed = Vec::new();
        while let Some((_, first)) = self.waiting.front()
            && first.seq <= receipt.reports_through
        {
            let Some((_, sent)) = self.waiting.pop_front() else { break };
            let behind = receipt.reports_through - sent.seq;
            let came = behind < RECEIPT_REPORTS && receipt.reports_seen >> behind & 1 == 1;
            if !came {
                missed.push(sent);
            }
        }
        (missed, is_other)
    }

    /// No receipt came. `outlook` is what the plan says of the controller.
    pub fn unanswered(&mut self, now: Instant, outlook: Outlook) {
        self.ask_at = now.plus(match outlook {
            Outlook::Closed { opens } => opens.clamp(ASK, ASK_EXPECTED),
            Outlook::Unknown | Outlook::Open { .. } => ASK_SILENT,
        });
    }

    /// Looks at the lease; says how the line stands if that has become a silence.
    pub fn look(&mut self, now: Instant, outlook: Outlook) -> Option<Line> {
        if self.line == Line::Expected && !matches!(outlook, Outlook::Closed { .. }) {
            // The window has opened: one lease from now.
            self.line = Line::Unknown;
            self.heard_at = now;
            self.ask_at = self.ask_at.min(now);
        }
        if now < self.heard_at.plus(LEASE) {
            return None;
        }
        let line = match outlook {
            Outlook::Closed { .. } => Line::Expected,
            Outlook::Unknown | Outlook::Open { .. } => Line::Silent,
        };
        let is_other = std::mem::replace(&mut self.line, line) != line;
        is_other.then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    fn sent(seq: u64) -> Sent {
        let (group, at) = (Group::Power, Epoch::from_unix_ns(0));
        Sent { seq, group, at, frame: vec![u8::try_from(seq).unwrap()] }
    }

    fn receipt(reports_through: u64, reports_seen: u64) -> Receipt {
        let controller = NodeId::new("controller").unwrap();
        Receipt { controller, reports_through, reports_seen, events_through: 0, late_through: None }
    }

    fn seqs(sent: &[Sent]) -> Vec<u64> {
        sent.iter().map(|sent| sent.seq).collect()
    }

    #[test]
    fn what_a_receipt_does_not_name_is_kept() {
        let mut line = Uplink::new(at(0), None);
        for seq in 1..=6 {
            assert_eq!(line.sent(at(seq * 100), sent(seq)), None);
        }
        // 5 came, 4 did not, 3 and 1 did.
        let (missed, is_other) = line.receipt(at(700), &receipt(5, 0b10101), false);
        assert_eq!((seqs(&missed), is_other), (vec![2, 4], true));
        assert_eq!(line.line(), Line::Heard);
        assert_eq!(line.receipt(at(800), &receipt(5, 0b10101), false), (vec![], false));
        assert_eq!(line.overdue(at(3_599)), vec![]);
        assert_eq!(seqs(&line.overdue(at(3_600))), [6]);
    }

    #[test]
    fn a_gap_that_is_longer_than_a_receipt_tells_is_kept_whole() {
        let mut line = Uplink::new(at(0), None);
        assert_eq!(line.sent(at(0), sent(1)), None);
        let (missed, _) = line.receipt(at(10), &receipt(100, u64::MAX), false);
        assert_eq!(seqs(&missed), [1]);
        let overflow: Vec<_> = (1..=80).filter_map(|seq| line.sent(at(20), sent(seq))).collect();
        assert_eq!(seqs(&overflow), (1..=16).collect::<Vec<_>>());
        assert_eq!(line.rest().len(), 64);
    }

    #[test]
    fn silence_is_told_once_and_as_what_it_is() {
        let open = Outlook::Open { left: Duration::from_secs(60), rate_kbps: 1000 };
        let mut line = Uplink::new(at(0), None);
        line.receipt(at(0), &receipt(0, 0), false);
        assert_eq!(line.look(at(2_999), open), None);
        assert_eq!(line.look(at(3_000), open), Some(Line::Silent));
        assert_eq!(line.look(at(9_000), open), None);
        line.receipt(at(10_000), &receipt(0, 0), false);
        // The window closes, as planned.
        let closed = |s| Outlook::Closed { opens: Duration::from_secs(s) };
        assert_eq!(line.look(at(12_000), closed(600)), None);
        assert_eq!(line.look(at(13_000), closed(599)), Some(Line::Expected));
        line.unanswered(at(13_000), closed(599));
        assert_eq!(line.ask_at(), at(43_000), "seldom while nobody is expected");
        line.unanswered(at(600_000), closed(12));
        assert_eq!(line.ask_at(), at(612_000), "and as soon as the window opens");
        assert_eq!(line.look(at(612_000), open), None, "one lease from the opening");
        assert_eq!(line.look(at(614_900), open), None);
        assert_eq!(line.look(at(615_000), open), Some(Line::Silent));
    }

    #[test]
    fn without_a_plan_silence_is_a_failure() {
        let mut line = Uplink::new(at(0), None);
        assert_eq!(line.look(at(3_000), Outlook::Unknown), Some(Line::Silent));
        line.unanswered(at(3_000), Outlook::Unknown);
        assert_eq!(line.ask_at(), at(5_000));
    }
}
