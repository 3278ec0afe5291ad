//! Who may say what this node is to do: the highest epoch and generation ever obeyed stand, anything older is stale.

use protocol::command::{Command, CommandVerdict};
use protocol::desired::{Desired, Verdict};
use protocol::encode;
use types::{Generation, LeaderEpoch, NodeId};

use super::{Setup, cut, digest, tasks};
use crate::event::Now;

/// The highest epoch and generation obeyed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Fence {
    pub(super) epoch: LeaderEpoch,
    pub(super) generation: Generation,
}

/// What to do with a desired state.
#[derive(Debug, PartialEq)]
pub(super) enum Judgement {
    /// Answer this; nothing changes.
    Answer(Verdict),
    /// Make these bytes durable, then obey.
    Obey(Vec<u8>),
}

impl Fence {
    /// As an earlier start has left it.
    pub(super) fn remembered(desired: Option<&Desired>, record: Option<&[u8]>) -> Self {
        let mut fence = Self::default();
        if let Some(desired) = desired {
            fence.raise_to(desired);
        }
        if let Some(bytes) = record.and_then(|bytes| bytes.try_into().ok()) {
            fence.raise(LeaderEpoch(u64::from_le_bytes(bytes)));
        }
        fence
    }

    /// How an epoch is recorded.
    pub(super) fn bytes(epoch: LeaderEpoch) -> Vec<u8> {
        epoch.0.to_le_bytes().to_vec()
    }

    pub(super) fn raise_to(&mut self, desired: &Desired) {
        self.raise(desired.epoch);
        self.generation = self.generation.max(desired.generation);
    }

    /// A new epoch counts its generations anew.
    pub(super) fn raise(&mut self, epoch: LeaderEpoch) {
        if self.epoch < epoch {
            *self = Self { epoch, generation: Generation(0) };
        }
    }

    /// Judges a desired state against the fence and what the node can carry.
    pub(super) fn judge(
        &self,
        desired: &Desired,
        running: Option<&Desired>,
        setup: &Setup,
    ) -> Judgement {
        if desired.node != setup.node {
            return denied(format!("this is {}, not {}", setup.node, desired.node));
        }
        let asked = (desired.epoch, desired.generation);
        if asked < (self.epoch, self.generation) {
            let (epoch, generation) = (self.epoch, self.generation);
            return Judgement::Answer(Verdict::Stale { epoch, generation });
        }
        if asked == (self.epoch, self.generation) && running.is_some() {
            return if running.map(digest) == Some(digest(desired)) {
                Judgement::Answer(Verdict::Adopted)
            } else {
                denied(format!(
                    "generation {} of epoch {} was obeyed with other content: two controllers share an epoch",
                    desired.generation, desired.epoch
                ))
            };
        }
        if let Some(reason) = too_much(desired, setup) {
            return denied(reason);
        }
        match encode(desired) {
            Ok(bytes) => Judgement::Obey(bytes),
            Err(error) => denied(error.to_string()),
        }
    }

    /// Why a command is not executed, if so.
    pub(super) fn refuses(
        &self,
        now: &Now,
        command: &Command,
        me: &NodeId,
    ) -> Option<CommandVerdict> {
        if command.node != *me {
            let reason = cut(format!("this is {me}, not {}", command.node));
            return Some(CommandVerdict::Denied { reason });
        }
        if command.epoch < self.epoch {
            return Some(CommandVerdict::Stale { epoch: self.epoch });
        }
        (command.deadline < now.sky).then_some(CommandVerdict::Expired)
    }
}

fn denied(reason: String) -> Judgement {
    Judgement::Answer(Verdict::Denied { reason: cut(reason) })
}

fn too_much(desired: &Desired, setup: &Setup) -> Option<String> {
    let (promised, capacity) = (tasks::promised(&desired.tasks), setup.capacity);
    if capacity.milli_cpu < promised.milli_cpu {
        let (asked, has) = (promised.milli_cpu.0, capacity.milli_cpu.0);
        return Some(format!("the tasks need {asked} thousandths of a core, the node has {has}"));
    }
    if capacity.memory_mib < promised.memory_mib {
        let (asked, has) = (promised.memory_mib.0, capacity.memory_mib.0);
        return Some(format!("the tasks need {asked} MiB of memory, the node has {has}"));
    }
    let mut groups: Vec<_> = desired.tasks.iter().map(tasks::group_of).collect();
    groups.sort();
    let twice = groups.windows(2).find(|pair| pair[0] == pair[1]);
    twice.map(|pair| format!("task {} is given twice", pair[0]))
}
