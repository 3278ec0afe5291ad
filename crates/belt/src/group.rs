//! Who owns a group of state: one owner at a time, fenced by its epoch. The machine of one node for one group.
//!
//! ```text
//!             own(e)                freeze(to)              grant
//!   Copy ───────────────► Owner(e) ───────────► (freezing) ───────► Granted(e → e+1, to)
//!    ▲  ▲                  ▲  ▲                                       │    │
//!    │  └── stand by ──► Standby ── grant arrived ──► Owner(e+1)      │    └─ taken ──► Granted, confirmed
//!    │                                                                └─ declined ──► Owner(e+1), same node
//!    └──────────── drop, or a higher epoch is seen: any part
//! ```
//!
//! What makes a second owner impossible:
//! 1. An epoch has at most one owner: e+1 is granted by the owner of e to one node, and persisted before it is sent;
//!    it comes back only when that node has durably *declined* it. Silence is no refusal.
//! 2. A failover starts two epochs above the newest that the controller knows, above any grant it cannot know of:
//!    an owner grants only while the controller's word names its present epoch.
//! 3. Every node persists the highest epoch that it has seen (its fence) and refuses what comes under a lower one,
//!    when it is offered and again when all of it has arrived.
//!
//! A failover may reach a node that does not hold the newest acknowledged commit, since the controller cannot always know
//! who does. So the new owner first shows its epoch to the other nodes, which fences off whoever owned before, and then
//! takes the freshest copy that they hold ([`Input::CaughtUp`]).
//!
//! Each input yields outputs to be carried out in order. A [`Output::Persist`] must be durable before any later output
//! of the same step is carried out; if it fails, nothing has happened: go on with the machine as it was before.

use serde::{Deserialize, Serialize};
use types::{NodeId, OwnerEpoch};

use crate::object::Stamp;

mod incoming;
mod outgoing;

/// The epoch of the first owner of a group.
pub const FIRST_EPOCH: OwnerEpoch = OwnerEpoch(1);

/// What a node must not forget about a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The highest epoch seen; anything under a lower one is refused.
    pub fence: OwnerEpoch,
    /// The part that the node plays.
    pub part: Part,
    /// The newest commit that is held.
    pub stamp: Stamp,
    /// The newest commit that is known to be durable elsewhere; may lag behind what was learnt.
    pub confirmed: Stamp,
    /// The highest epoch that this node owned; 0 for none.
    pub owned: OwnerEpoch,
    /// Set by a failover, to what was held then, until this node has looked for a fresher copy.
    pub unchecked: Option<Stamp>,
    /// The highest epoch that this node has granted; 0 for none.
    pub granted: OwnerEpoch,
    /// The newest grant that this node has declined; it must never take it later.
    pub declined: Option<OwnerEpoch>,
}

/// The part of a node for a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Part {
    /// Holds a copy, or nothing; read-only.
    #[default]
    Copy,
    /// Waits for the grant of `owner`.
    Standby {
        /// Who owns it.
        owner: NodeId,
    },
    /// Owns it.
    Owner {
        /// Under this epoch.
        epoch: OwnerEpoch,
        /// Who granted it; `None` if the controller did.
        from: Option<NodeId>,
    },
    /// Has granted it; read-only from the moment this is persisted.
    Granted {
        /// The epoch under which it was owned; the grant is for the next one.
        epoch: OwnerEpoch,
        /// To whom.
        to: NodeId,
        /// Whether the new owner, or a newer one, is known to serve.
        confirmed: bool,
    },
}

/// What arrives from another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Copy or grant.
    pub kind: Kind,
    /// The owner's epoch; of a grant, that of the new owner.
    pub epoch: OwnerEpoch,
    /// Who sends it.
    pub from: NodeId,
    /// The commit that it stands for.
    pub stamp: Stamp,
    /// Whether it fits into the store.
    pub room: bool,
}

/// What kind of bundle of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A copy of the whole group.
    Copy,
    /// The whole group, and with it the ownership.
    Grant,
}

/// What another node said to something sent to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// All is durable there; a grant was taken.
    Durable,
    /// Refused for good: it will not take this grant later either.
    Declined,
    /// A newer owner is known there.
    Fenced {
        /// Its epoch.
        epoch: OwnerEpoch,
    },
    /// None, or none that means anything.
    Silence,
}

/// What can happen to a group on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The controller says: own it under this epoch.
    Own {
        /// The epoch.
        epoch: OwnerEpoch,
    },
    /// The controller says: wait for the grant of `owner`.
    StandBy {
        /// Who owns it.
        owner: NodeId,
    },
    /// The controller does not want it here any more.
    Drop,
    /// A call wants to begin.
    Call,
    /// A call that was admitted has ended, with or without a commit.
    CallEnded,
    /// A call that was admitted under `epoch` wants to commit.
    Commit {
        /// From [`Output::Admit`].
        epoch: OwnerEpoch,
    },
    /// This node has asked others for a fresher copy after a failover: it has the freshest now, ready to be written,
    /// or found none.
    CaughtUp {
        /// The commit that the found copy stands for.
        found: Option<Stamp>,
    },
    /// Start to hand over to `to`.
    Freeze {
        /// To whom.
        to: NodeId,
        /// The epoch that the controller's word for this hand-over names.
        epoch: OwnerEpoch,
    },
    /// Give a hand-over up before its grant.
    Thaw,
    /// Grant now: no call is in flight, or those that are have had their time.
    Grant,
    /// The successor has answered the grant of `epoch`.
    GrantAnswered {
        /// The epoch that was granted.
        epoch: OwnerEpoch,
        /// What it said.
        answer: Answer,
    },
    /// A node has answered a copy of the group as of `stamp`.
    CopyAnswered {
        /// The commit that it stands for.
        stamp: Stamp,
        /// What it said.
        answer: Answer,
    },
    /// A bundle of the group is offered.
    Offered(Incoming),
    /// All bytes of an offered bundle are here and match their hashes.
    Arrived(Incoming),
}

/// Data that become durable in one transaction with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum With {
    /// None.
    Nothing,
    /// The writes of the call that commits.
    Call,
    /// The bundle that has arrived, in place of the group that was held.
    Bundle {
        /// Keep what differs of the group that was held: it may hold acknowledged writes that the new owner lacks.
        keep_old: bool,
    },
}

/// Why a call is not admitted, or does not commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallRefusal {
    /// The task is not here.
    NotHere,
    /// It will be decided soon; try again.
    Wait,
    /// Another node owns it.
    Moved {
        /// Who.
        to: NodeId,
        /// Under which epoch.
        epoch: OwnerEpoch,
    },
}

/// What to do. In order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Make this durable before anything after it.
    Persist {
        /// The record.
        record: Record,
        /// What belongs into the same transaction.
        with: With,
    },
    /// The call may run; its commit must name this epoch.
    Admit {
        /// The epoch.
        epoch: OwnerEpoch,
    },
    /// The call may not run, or its writes are dropped.
    RefuseCall(CallRefusal),
    /// The call's writes are durable here as this commit.
    Committed {
        /// The commit.
        stamp: Stamp,
    },
    /// No call is in flight: grant.
    Quiet,
    /// Send the grant, with the whole group, and again while it stands.
    SendGrant {
        /// To whom.
        to: NodeId,
        /// The epoch of the new owner.
        epoch: OwnerEpoch,
    },
    /// The new owner has it.
    Released {
        /// Who.
        to: NodeId,
        /// Its epoch.
        epoch: OwnerEpoch,
    },
    /// The grant came back: this node owns the group under the epoch that it had granted.
    Resumed {
        /// The epoch.
        epoch: OwnerEpoch,
    },
    /// This node owns the group from now on.
    TookOver {
        /// Under this epoch.
        epoch: OwnerEpoch,
        /// Who granted it; `None` if the controller did.
        from: Option<NodeId>,
    },
    /// This node owned the group until now.
    SteppedDown,
    /// The controller's word is older than what is known here.
    Outranked {
        /// The highest epoch seen.
        fence: OwnerEpoch,
    },
    /// The hand-over is not possible.
    NotOwner,
    /// Take the bundle: ask for its missing chunks.
    Take,
    /// Answer that all is durable here.
    ReplyDurable,
    /// Answer that a newer owner is known here.
    ReplyFenced {
        /// Its epoch.
        epoch: OwnerEpoch,
    },
    /// Answer that the grant is declined, now and for ever.
    ReplyDeclined,
    /// Answer that there is no room.
    ReplyNoRoom,
}

/// Whether a commit that a newer owner's fence kept from being copied is safe with that owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Covered {
    /// It went along with the grant, which this node has taken.
    By(NodeId),
    /// The grant is not answered yet: ask again later.
    NotYet,
    /// Nobody knows: do not acknowledge it.
    No,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    record: Record,
    /// Volatile: a crash while freezing thaws.
    freezing: Option<NodeId>,
    /// Volatile: calls in flight.
    calls: u32,
}

impl Group {
    /// A machine with what was persisted; the default record for a group never heard of.
    pub const fn new(record: Record) -> Self {
        Self { record, freezing: None, calls: 0 }
    }

    /// What is, or is about to be, persisted.
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// To whom the group is being handed over, while calls in flight end.
    pub const fn freezing(&self) -> Option<&NodeId> {
        self.freezing.as_ref()
    }

    /// Calls in flight.
    pub const fn calls(&self) -> u32 {
        self.calls
    }

    /// The epoch under which this node owns the group, if it does.
    pub const fn owner_epoch(&self) -> Option<OwnerEpoch> {
        match &self.record.part {
            Part::Owner { epoch, .. } => Some(*epoch),
            Part::Copy | Part::Standby { .. } | Part::Granted { .. } => None,
        }
    }

    /// Whether the state may be sent to others: not before a failover has looked for a fresher copy, since what is
    /// sent replaces what the receiver holds.
    pub const fn is_checked(&self) -> bool {
        self.record.unchecked.is_none()
    }

    /// What a fence of `epoch`, met while copying a commit of this node, means for that commit.
    pub fn covered(&self, epoch: OwnerEpoch) -> Covered {
        match &self.record.part {
            Part::Granted { epoch: mine, confirmed: false, .. } if epoch == mine.next() => {
                Covered::NotYet
            }
            // Confirmed by the successor itself, not by somebody's fence.
            Part::Granted { epoch: mine, to, confirmed: true }
                if epoch == mine.next() && self.record.stamp <= self.record.confirmed =>
            {
                Covered::By(to.clone())
            }
            Part::Granted { .. } | Part::Copy | Part::Standby { .. } | Part::Owner { .. } => {
                Covered::No
            }
        }
    }

    /// Applies one input; see [`Output`] for how to carry the outputs out.
    pub fn handle(&mut self, input: Input) -> Vec<Output> {
        match input {
            Input::Own { epoch } => self.own(epoch),
            Input::StandBy { owner } => self.stand_by(owner),
            Input::Drop => self.drop_role(),
            Input::Call => self.call(),
            Input::CallEnded => self.call_ended(),
            Input::Commit { epoch } => self.commit(epoch),
            Input::CaughtUp { found } => self.caught_up(found),
            Input::Freeze { to, epoch } => self.freeze(to, epoch),
            Input::Thaw => {
                self.freezing = None;
                Vec::new()
            }
            Input::Grant => self.grant(),
            Input::GrantAnswered { epoch, answer } => self.grant_answered(epoch, answer),
            Input::CopyAnswered { stamp, answer } => self.copy_answered(stamp, answer),
            Input::Offered(incoming) => self.offered(&incoming),
            Input::Arrived(incoming) => self.arrived(&incoming),
        }
    }

    fn persist(&self, with: With) -> Output {
        Output::Persist { record: self.record.clone(), with }
    }

    fn own(&mut self, epoch: OwnerEpoch) -> Vec<Output> {
        if self.owner_epoch().is_some_and(|mine| epoch <= mine) {
            return Vec::new();
        }
        // What was granted may be owned by its receiver at any time. Nobody else is told so before it is: the fence
        // would keep the receiver from taking it.
        let fence = self.record.fence.max(self.record.granted);
        let was_mine = epoch == fence
            && epoch == self.record.owned
            && matches!(self.record.part, Part::Copy | Part::Standby { .. });
        if epoch <= fence && !was_mine {
            return vec![Output::Outranked { fence }];
        }
        let held = self.record.stamp;
        self.become_owner(epoch, None);
        // The first owner has nothing to look for. Who owned it last holds what it left.
        if epoch != FIRST_EPOCH && !was_mine {
            self.record.unchecked = self.record.unchecked.or(Some(held));
        }
        vec![self.persist(With::Nothing), Output::TookOver { epoch, from: None }]
    }

    fn become_owner(&mut self, epoch: OwnerEpoch, from: Option<NodeId>) {
        self.freezing = None;
        if from.is_some() {
            self.record.unchecked = None;
        }
        self.record.part = Part::Owner { epoch, from };
        self.record.fence = epoch;
        self.record.owned = epoch;
        // From here on this state outranks whatever a fenced owner may still commit.
        let confirmed = self.record.stamp <= self.record.confirmed;
        self.record.stamp = self.record.stamp.under(epoch);
        if confirmed {
            self.record.confirmed = self.record.stamp;
        }
    }

    fn stand_by(&mut self, owner: NodeId) -> Vec<Output> {
        match &self.record.part {
            // The word that led to the grant by which this node owns it now: older than the grant.
            Part::Owner { from: Some(from), .. } if *from == owner => return Vec::new(),
            Part::Standby { owner: known } if *known == owner => return Vec::new(),
            Part::Copy | Part::Standby { .. } | Part::Owner { .. } | Part::Granted { .. } => {}
        }
        let was_owner = self.owner_epoch().is_some();
        self.freezing = None;
        self.record.part = Part::Standby { owner };
        self.persisted_step_down(was_owner)
    }

    fn drop_role(&mut self) -> Vec<Output> {
        let was_owner = self.owner_epoch().is_some();
        match self.record.part {
            // Late callers are still told who owns it.
            Part::Copy | Part::Granted { .. } => Vec::new(),
            Part::Standby { .. } | Part::Owner { .. } => {
                self.freezing = None;
                self.record.part = Part::Copy;
                self.persisted_step_down(was_owner)
            }
        }
    }

    fn persisted_step_down(&self, was_owner: bool) -> Vec<Output> {
        let mut outputs = vec![self.persist(With::Nothing)];
        if was_owner {
            outputs.push(Output::SteppedDown);
        }
        outputs
    }

    /// Remembers a higher epoch; an owner under a lower one steps down. Says whether anything changed and whether
    /// this node owned the group.
    fn raise_fence(&mut self, epoch: OwnerEpoch) -> Raised {
        if epoch <= self.record.fence {
            return Raised::Not;
        }
        self.record.fence = epoch;
        match self.record.part {
            Part::Owner { .. } => {
                self.freezing = None;
                self.record.part = Part::Copy;
                Raised::OwnerFell
            }
            Part::Copy | Part::Standby { .. } | Part::Granted { .. } => Raised::Yes,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Raised {
    Not,
    Yes,
    OwnerFell,
}

#[cfg(test)]
mod tests;
