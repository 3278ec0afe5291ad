//! What all handles of the state service share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use belt::commit::{Stages, Start};
use belt::group::{CallRefusal, Output};
use belt::{GroupId, StageId};
use protocol::event::TEXT_BYTES_MAX;
use protocol::invoke::Fault;
use tokio::time::{Duration, Instant};
use types::{Epoch, NodeId, OwnerEpoch, SkyClock, WallTime};

use super::TransferError;
use super::audit::Audit;
use super::groups::{Groups, Held, locked};
use super::parcels::Parcels;
use super::serve::Receiving;
use crate::store::{StateError, Store};

/// Most calls of which is remembered that something was missing when they came; the oldest are forgotten.
const MISSED_MAX: usize = 1024;

/// Longest wait for a second copy: an answer takes at most a third of a second to come and go, the rest is for slow
/// disks and busy nodes; who is silent for so long will not answer within the call.
const COPY_PATIENCE: Duration = Duration::from_secs(5);
/// The same for a node that was silent a moment ago: enough for one answer, so that a dead second node does not slow
/// each call down until the controller names another.
const SILENT_PATIENCE: Duration = Duration::from_secs(1);
/// How long a node counts as silent.
const SILENT_FOR: Duration = Duration::from_secs(10);
/// Most nodes that are asked for a fresher copy: as many as a plan has.
const NEIGHBOURS_MAX: usize = 256;
/// Most nodes that are remembered as silent: as many as a plan has.
const SILENT_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) me: NodeId,
    pub(super) store: Store,
    pub(super) groups: Groups,
    pub(super) receiving: Receiving,
    pub(super) parcels: Parcels,
    pub(super) audit: Option<Audit>,
    stages: Mutex<Stages>,
    missed: Mutex<BTreeSet<(StageId, u32)>>,
    /// Whom to ask for a fresher copy after a failover.
    neighbours: Mutex<Vec<NodeId>>,
    /// Nodes that did not answer when they were asked last.
    silent: Mutex<BTreeMap<NodeId, Instant>>,
    clock: Mutex<SkyClock>,
}

impl Inner {
    pub(super) fn open(store: Store, audit: Option<Audit>, me: NodeId) -> Result<Self, StateError> {
        Ok(Self {
            me,
            groups: Groups::open(&store)?,
            store,
            receiving: Receiving::default(),
            parcels: Parcels::default(),
            audit,
            stages: Mutex::default(),
            missed: Mutex::default(),
            neighbours: Mutex::default(),
            silent: Mutex::default(),
            clock: Mutex::new(SkyClock::REAL),
        })
    }

    pub(super) fn set_clock(&self, clock: SkyClock) {
        *locked(&self.clock) = clock;
    }

    pub(super) fn set_neighbours(&self, nodes: &[NodeId]) {
        let others = nodes.iter().filter(|node| **node != self.me).take(NEIGHBOURS_MAX);
        *locked(&self.neighbours) = others.cloned().collect();
    }

    pub(super) fn neighbours(&self) -> Vec<NodeId> {
        locked(&self.neighbours).clone()
    }

    /// The sky now.
    pub(super) fn sky(&self) -> Epoch {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = WallTime(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
        locked(&self.clock).sky(wall)
    }

    /// What the rows call "now".
    pub(super) fn stored_at(&self) -> i64 {
        self.sky().unix_ns()
    }

    pub(super) fn group(&self, id: &GroupId) -> Result<Arc<Held>, TransferError> {
        self.groups.get(id).ok_or_else(|| TransferError::NotOwner { group: id.clone() })
    }

    pub(super) fn stage_started(&self, stage: &StageId, attempt: u32) -> bool {
        locked(&self.stages).start(stage, attempt, false) == Start::Run
    }

    pub(super) fn stage_ended(&self, stage: &StageId, attempt: u32) {
        locked(&self.stages).end(stage, attempt);
    }

    /// Until when to wait for a second copy on `to`.
    pub(super) fn patience(&self, to: &NodeId, deadline: Instant) -> Instant {
        let now = Instant::now();
        let since = locked(&self.silent).get(to).copied();
        let is_silent = since.is_some_and(|since| now < since + SILENT_FOR);
        let patience = if is_silent { SILENT_PATIENCE } else { COPY_PATIENCE };
        deadline.min(now + patience)
    }

    /// Remembers whether a node answered.
    pub(super) fn heard(&self, node: &NodeId, answered: bool) {
        let mut silent = locked(&self.silent);
        if answered {
            silent.remove(node);
        } else if silent.len() < SILENT_MAX || silent.contains_key(node) {
            silent.insert(node.clone(), Instant::now());
        }
    }

    /// Remembers that a call could not start at once.
    pub(super) fn call_missed(&self, stage: &StageId, attempt: u32) {
        let mut missed = locked(&self.missed);
        missed.insert((stage.clone(), attempt));
        if MISSED_MAX < missed.len() {
            missed.pop_first();
        }
    }

    /// Whether a call could start at once.
    pub(super) fn was_local(&self, stage: &StageId, attempt: u32) -> bool {
        !locked(&self.missed).remove(&(stage.clone(), attempt))
    }
}

/// The fault of a call that the owner's machine does not let in.
pub(super) fn refusal(group: &GroupId, outputs: &[Output]) -> Fault {
    match outputs.first() {
        Some(Output::RefuseCall(CallRefusal::Moved { to, epoch })) => {
            Fault::Moved { to: to.clone(), owner_epoch: *epoch }
        }
        Some(Output::RefuseCall(CallRefusal::Wait)) => Fault::Busy,
        _ => Fault::NotFound(format!("{group} is not owned here")),
    }
}

pub(super) fn internal(error: impl std::fmt::Display) -> Fault {
    Fault::Internal(cut(&error.to_string()))
}

/// Texts of faults have a largest length on the wire.
pub(super) fn cut(text: &str) -> String {
    let end = (0..=TEXT_BYTES_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text[..end.unwrap_or(0)].to_owned()
}

/// Moves work that commits to disk off the reactor.
pub(super) async fn blocking<T: Send + 'static, E: Send + 'static>(
    lost: impl FnOnce(String) -> E,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(lost(format!("work was lost: {error}"))),
    }
}

/// The epoch that an owner's word must name for a hand-over.
pub(super) fn named(held: &Held) -> OwnerEpoch {
    held.word().named.unwrap_or_default()
}
