//! Stage commits: exactly once per stage, and acknowledged when durable on two nodes, or on one where the plan knows no
//! second.

use std::collections::{BTreeMap, BTreeSet};

use types::{NodeId, OwnerEpoch};

use crate::object::StageId;

/// Most attempts of one stage that run at once on a node: one that was given up and is not aware of it yet, one that
/// replaced it, and room for as many again.
pub const ATTEMPTS_RUNNING_MAX: usize = 4;

/// What a new attempt may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// An earlier attempt has committed: answer its result.
    Again,
    /// Run.
    Run,
    /// Too many attempts of this stage are running, or this very one is.
    Busy,
}

/// What a finished attempt may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// Write its results and the commit record in one durable transaction.
    Commit,
    /// Another attempt was first: drop its results, answer those of the other.
    Again,
}

/// The attempts that run now on a node. What has committed is in the store and comes in as an argument, read in the
/// transaction that would write it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stages {
    running: BTreeMap<StageId, BTreeSet<u32>>,
}

impl Stages {
    /// An attempt wants to start.
    pub fn start(&mut self, stage: &StageId, attempt: u32, committed: bool) -> Start {
        if committed {
            return Start::Again;
        }
        let running = self.running.entry(stage.clone()).or_default();
        if running.len() < ATTEMPTS_RUNNING_MAX && running.insert(attempt) {
            Start::Run
        } else {
            Start::Busy
        }
    }

    /// An attempt is done and wants to commit: compare and swap on the stage.
    pub const fn finish(committed: bool) -> Finish {
        if committed { Finish::Again } else { Finish::Commit }
    }

    /// An attempt has ended, with or without a commit.
    pub fn end(&mut self, stage: &StageId, attempt: u32) {
        if let Some(running) = self.running.get_mut(stage) {
            running.remove(&attempt);
            if running.is_empty() {
                self.running.remove(stage);
            }
        }
    }

    /// Attempts that run now.
    pub fn running(&self) -> usize {
        self.running.values().map(BTreeSet::len).sum()
    }
}

/// What became of the second copy of one part of a commit (its outputs, or its lasting state and commit record).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecondCopy {
    /// This part is empty.
    NotNeeded,
    /// The plan knows no second node for it.
    NonePlanned,
    /// Durable there.
    On(NodeId),
    /// The planned node is there and does not take it: it has no room.
    Refused,
    /// The planned node did not answer in time.
    Unanswered,
    /// The planned node knows a newer owner, and nobody knows whether that one has this commit.
    Fenced {
        /// The epoch of the newer owner.
        epoch: OwnerEpoch,
        /// Who says so.
        by: NodeId,
    },
}

/// Why a commit is durable on one node only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Single {
    /// The plan knows no second node.
    NonePlanned,
    /// The planned node has no room.
    Refused,
}

/// Whether and how a commit is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is.
    Acknowledge {
        /// Who holds it; the first is the node that answers and holds all, others hold outputs or state.
        copies: Vec<NodeId>,
        /// Set when a part has no second copy.
        single: Option<Single>,
    },
    /// It is not yet: a planned second node did not answer. The next try copies to whoever is planned by then.
    ///
    /// An owner that is cut off must not acknowledge alone: others may have taken over, and what it acknowledged would
    /// be lost when it comes back.
    Unanswered,
    /// It is not: another node owns the state now, and may have gone on without this commit.
    Fenced {
        /// The epoch of the newer owner.
        epoch: OwnerEpoch,
        /// Who says so.
        by: NodeId,
    },
}

/// Decides about the answer to a commit that is durable on `me`, from what became of its parts elsewhere.
pub fn settle(me: &NodeId, outputs: &SecondCopy, state: &SecondCopy) -> Settled {
    let mut copies = vec![me.clone()];
    let mut single = None;
    let mut is_answered = true;
    for part in [outputs, state] {
        match part {
            SecondCopy::NotNeeded => {}
            SecondCopy::On(node) if copies.contains(node) => {}
            SecondCopy::On(node) => copies.push(node.clone()),
            SecondCopy::Unanswered => is_answered = false,
            SecondCopy::Refused => single = Some(Single::Refused),
            SecondCopy::NonePlanned => single = single.or(Some(Single::NonePlanned)),
            SecondCopy::Fenced { epoch, by } => {
                return Settled::Fenced { epoch: *epoch, by: by.clone() };
            }
        }
    }
    if is_answered { Settled::Acknowledge { copies, single } } else { Settled::Unanswered }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{RunId, TaskId, WorkflowId};

    fn node(name: &str) -> NodeId {
        NodeId::new(name).unwrap()
    }

    fn stage() -> StageId {
        StageId {
            workflow: WorkflowId::new("flood").unwrap(),
            run: RunId(5),
            task: TaskId::new("detect").unwrap(),
        }
    }

    #[test]
    fn a_stage_commits_once_however_often_it_is_tried() {
        let mut stages = Stages::default();
        assert_eq!(stages.start(&stage(), 1, false), Start::Run);
        assert_eq!(stages.start(&stage(), 1, false), Start::Busy, "the same attempt, sent twice");
        assert_eq!(stages.start(&stage(), 2, false), Start::Run);
        assert_eq!(Stages::finish(false), Finish::Commit);
        assert_eq!(Stages::finish(true), Finish::Again);
        stages.end(&stage(), 1);
        stages.end(&stage(), 2);
        assert_eq!(stages.running(), 0);
        assert_eq!(stages.start(&stage(), 3, true), Start::Again);
    }

    #[test]
    fn attempts_that_never_end_are_bounded() {
        let mut stages = Stages::default();
        for attempt in 1..=4 {
            assert_eq!(stages.start(&stage(), attempt, false), Start::Run);
        }
        assert_eq!(stages.start(&stage(), 5, false), Start::Busy);
    }

    #[test]
    fn a_commit_is_acknowledged_with_its_copies_or_not_at_all() {
        let (me, b, c) = (node("a"), node("b"), node("c"));
        let on = |n: &NodeId| SecondCopy::On(n.clone());
        let ack = |copies: &[&NodeId], single| Settled::Acknowledge {
            copies: copies.iter().map(|n| (*n).clone()).collect(),
            single,
        };
        let fenced = SecondCopy::Fenced { epoch: OwnerEpoch(4), by: c.clone() };
        for (outputs, state, expected) in [
            (on(&b), on(&b), ack(&[&me, &b], None)),
            (on(&b), on(&c), ack(&[&me, &b, &c], None)),
            (SecondCopy::NotNeeded, on(&c), ack(&[&me, &c], None)),
            (SecondCopy::NotNeeded, SecondCopy::NotNeeded, ack(&[&me], None)),
            (on(&b), SecondCopy::NonePlanned, ack(&[&me, &b], Some(Single::NonePlanned))),
            (SecondCopy::Refused, on(&c), ack(&[&me, &c], Some(Single::Refused))),
            (SecondCopy::Refused, SecondCopy::NonePlanned, ack(&[&me], Some(Single::Refused))),
            (SecondCopy::Refused, SecondCopy::Unanswered, Settled::Unanswered),
            (SecondCopy::NonePlanned, SecondCopy::Unanswered, Settled::Unanswered),
            (SecondCopy::Unanswered, SecondCopy::NonePlanned, Settled::Unanswered),
            (on(&b), SecondCopy::Unanswered, Settled::Unanswered),
            (
                SecondCopy::Unanswered,
                fenced.clone(),
                Settled::Fenced { epoch: OwnerEpoch(4), by: c.clone() },
            ),
            (on(&b), fenced, Settled::Fenced { epoch: OwnerEpoch(4), by: c.clone() }),
        ] {
            assert_eq!(settle(&me, &outputs, &state), expected, "{outputs:?} and {state:?}");
        }
    }
}
