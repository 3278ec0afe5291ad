//! The record of each move: decided, prepared, taken over, serving.

use serde::{Deserialize, Serialize};
use types::{Epoch, NodeId, OwnerEpoch};

use super::TaskKey;
use crate::api::{Handover, HandoverKind, HandoverState};

/// Records that are kept; at one move a minute more than a day. The oldest goes first.
const RECORDS_KEPT: usize = 2_000;

/// The records of all moves, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    records: Vec<Handover>,
    last_id: u64,
    /// Counts changes of this process.
    #[serde(skip)]
    revision: u64,
}

impl Ledger {
    /// All records, oldest first.
    pub fn records(&self) -> &[Handover] {
        &self.records
    }

    /// Another number after each change.
    pub(super) const fn revision(&self) -> u64 {
        self.revision
    }

    /// Adds a record and answers its number.
    pub(super) fn add(&mut self, mut record: Handover) -> u64 {
        self.revision += 1;
        self.last_id += 1;
        record.id = self.last_id;
        if self.records.len() == RECORDS_KEPT {
            self.records.remove(0);
        }
        self.records.push(record);
        self.last_id
    }

    /// The record of a number; whoever asks changes it.
    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Handover> {
        self.revision += 1;
        self.records.iter_mut().rev().find(|record| record.id == id)
    }

    /// When a move was decided.
    pub(super) fn decided_at(&self, id: u64) -> Option<Epoch> {
        self.records.iter().rev().find(|record| record.id == id).map(|record| record.decided_at)
    }

    /// Code and state are at a node.
    pub(super) fn prepared(&mut self, id: u64, at: Epoch) {
        let Some(record) = self.get_mut(id) else { return };
        record.prefetch_done_at.get_or_insert(at);
        if record.state == HandoverState::Decided {
            record.state = HandoverState::Prepared;
        }
    }

    /// The newest move of a task to a node, if it was not given up.
    pub(super) fn open(
        &mut self,
        key: &TaskKey,
        to: &NodeId,
        owner_epoch: OwnerEpoch,
    ) -> Option<&mut Handover> {
        self.revision += 1;
        self.records.iter_mut().rev().find(|record| {
            record.workflow == key.workflow
                && record.function == key.task
                && record.to == *to
                && record.owner_epoch == owner_epoch
                && record.state != HandoverState::Abandoned
        })
    }

    /// A node owns a task.
    pub(super) fn took_over(&mut self, key: &TaskKey, to: &NodeId, epoch: OwnerEpoch, at: Epoch) {
        let Some(record) = self.open(key, to, epoch) else { return };
        record.took_over_at.get_or_insert(at);
        if record.state != HandoverState::Serving {
            record.state = HandoverState::TookOver;
        }
    }

    /// A node answered its first call of a task.
    pub(super) fn first_call(&mut self, key: &TaskKey, to: &NodeId, epoch: OwnerEpoch, at: Epoch) {
        let Some(record) = self.open(key, to, epoch) else { return };
        record.first_call_at.get_or_insert(at);
        record.took_over_at.get_or_insert(at);
        record.state = HandoverState::Serving;
    }

    /// A move was given up.
    pub(super) fn abandon(&mut self, id: u64, why: &str) {
        let Some(record) = self.get_mut(id) else { return };
        record.state = HandoverState::Abandoned;
        record.reason = format!("{}; given up: {why}", record.reason);
    }
}

/// A record of a decision that was just made.
pub(super) fn decided(key: &TaskKey, from: &NodeId, to: &NodeId, at: Epoch) -> Handover {
    Handover {
        id: 0,
        kind: HandoverKind::Planned,
        planned: true,
        state: HandoverState::Decided,
        workflow: key.workflow.clone(),
        function: key.task.clone(),
        from: from.clone(),
        to: to.clone(),
        window_id: None,
        predicted_close: None,
        at: None,
        decided_at: at,
        prefetch_done_at: None,
        took_over_at: None,
        first_call_at: None,
        owner_epoch: OwnerEpoch(0),
        reason: String::new(),
        detection_ms: None,
    }
}
