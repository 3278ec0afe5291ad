//! The owner's side: calls, commits, and the hand-over to a successor.

use types::{NodeId, OwnerEpoch};

use super::{Answer, CallRefusal, Group, Output, Part, Raised, With};
use crate::object::Stamp;

impl Group {
    pub(super) fn call(&mut self) -> Vec<Output> {
        let refusal = match &self.record.part {
            Part::Owner { epoch, .. } if self.freezing.is_none() => {
                let epoch = *epoch;
                self.calls += 1;
                return vec![Output::Admit { epoch }];
            }
            Part::Owner { .. } | Part::Standby { .. } => CallRefusal::Wait,
            Part::Granted { epoch, to, .. } => {
                CallRefusal::Moved { to: to.clone(), epoch: epoch.next() }
            }
            Part::Copy => CallRefusal::NotHere,
        };
        vec![Output::RefuseCall(refusal)]
    }

    pub(super) fn call_ended(&mut self) -> Vec<Output> {
        self.calls = self.calls.saturating_sub(1);
        if self.calls == 0 && self.freezing.is_some() { vec![Output::Quiet] } else { Vec::new() }
    }

    pub(super) fn commit(&mut self, under: OwnerEpoch) -> Vec<Output> {
        let refusal = match &self.record.part {
            Part::Owner { epoch, .. } if *epoch == under => {
                self.record.stamp = self.record.stamp.next();
                self.record.unchecked = None;
                let stamp = self.record.stamp;
                return vec![self.persist(With::Call), Output::Committed { stamp }];
            }
            // Owner again, but what the call has read may be from before.
            Part::Owner { .. } | Part::Standby { .. } => CallRefusal::Wait,
            Part::Granted { epoch, to, .. } => {
                CallRefusal::Moved { to: to.clone(), epoch: epoch.next() }
            }
            Part::Copy => CallRefusal::NotHere,
        };
        vec![Output::RefuseCall(refusal)]
    }

    pub(super) fn caught_up(&mut self, found: Option<Stamp>) -> Vec<Output> {
        let (Some(mine), Some(held)) = (self.owner_epoch(), self.record.unchecked.take()) else {
            return Vec::new();
        };
        let with = match found {
            Some(found) if held < found && found.epoch < mine => {
                let keep_old = self.record.confirmed.seq < held.seq;
                self.record.stamp.seq = self.record.stamp.seq.max(found.seq);
                With::Bundle { keep_old }
            }
            Some(_) | None => With::Nothing,
        };
        vec![self.persist(with)]
    }

    pub(super) fn freeze(&mut self, to: NodeId, named: OwnerEpoch) -> Vec<Output> {
        match &self.record.part {
            Part::Owner { epoch, .. } if *epoch == named && self.record.unchecked.is_none() => {
                if self.freezing.as_ref().is_some_and(|other| *other != to) {
                    return vec![Output::NotOwner];
                }
                self.freezing = Some(to);
                if self.calls == 0 { vec![Output::Quiet] } else { Vec::new() }
            }
            Part::Granted { epoch, to: granted, confirmed } if *granted == to => {
                let epoch = epoch.next();
                if *confirmed {
                    vec![Output::Released { to, epoch }]
                } else {
                    vec![Output::SendGrant { to, epoch }]
                }
            }
            Part::Owner { .. } | Part::Granted { .. } | Part::Copy | Part::Standby { .. } => {
                vec![Output::NotOwner]
            }
        }
    }

    pub(super) fn grant(&mut self) -> Vec<Output> {
        let (Some(epoch), Some(to)) = (self.owner_epoch(), self.freezing.take()) else {
            return vec![Output::NotOwner];
        };
        self.record.part = Part::Granted { epoch, to: to.clone(), confirmed: false };
        self.record.granted = epoch.next();
        vec![self.persist(With::Nothing), Output::SendGrant { to, epoch: epoch.next() }]
    }

    pub(super) fn grant_answered(&mut self, granted: OwnerEpoch, answer: Answer) -> Vec<Output> {
        let Part::Granted { epoch, to, confirmed: false } = &self.record.part else {
            return Vec::new();
        };
        let (mine, to) = (*epoch, to.clone());
        if mine.next() != granted {
            return Vec::new();
        }
        match answer {
            Answer::Durable => {
                self.raise_fence(granted);
                self.record.part = Part::Granted { epoch: mine, to: to.clone(), confirmed: true };
                self.record.confirmed = self.record.stamp;
                vec![self.persist(With::Nothing), Output::Released { to, epoch: granted }]
            }
            // It came back, but somebody has been seen under a higher epoch since.
            Answer::Declined if granted < self.record.fence => {
                self.record.part = Part::Granted { epoch: mine, to, confirmed: true };
                vec![self.persist(With::Nothing), Output::SteppedDown]
            }
            Answer::Declined => {
                self.become_owner(granted, None);
                vec![self.persist(With::Nothing), Output::Resumed { epoch: granted }]
            }
            // Somebody serves under an epoch at or above the granted one. Whether it has our last commits is not known.
            Answer::Fenced { epoch } if granted <= epoch => {
                self.raise_fence(epoch);
                self.record.part = Part::Granted { epoch: mine, to, confirmed: true };
                vec![self.persist(With::Nothing), Output::SteppedDown]
            }
            Answer::Fenced { .. } | Answer::Silence => Vec::new(),
        }
    }

    pub(super) fn copy_answered(&mut self, stamp: Stamp, answer: Answer) -> Vec<Output> {
        match answer {
            Answer::Durable => {
                // Told by a node that holds it; persisted with the next record, so a crash forgets it at worst.
                let newer = self.record.confirmed < stamp && stamp <= self.record.stamp;
                if newer {
                    self.record.confirmed = stamp;
                }
                Vec::new()
            }
            Answer::Fenced { epoch } => match self.raise_fence(epoch) {
                Raised::Not => Vec::new(),
                Raised::Yes => vec![self.persist(With::Nothing)],
                Raised::OwnerFell => vec![self.persist(With::Nothing), Output::SteppedDown],
            },
            Answer::Declined | Answer::Silence => Vec::new(),
        }
    }
}
