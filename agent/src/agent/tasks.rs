//! The tasks on this node: their code, their part, and the timing of planned hand-overs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::desired::{FunctionRef, Phase, Role, Successor, TaskSpec, TaskStatus};
use protocol::event::EventKind;
use types::{Capacity, Generation, Instant, MiB, MilliCpu, NodeId, OwnerEpoch, RunId};

use crate::event::{Now, Output};
use crate::state::{GroupEvent, GroupId, GroupStatus, Ownership, RoleChange, TransferError};

/// Between two tries of a transfer that was not answered: a link heals in half a second.
const UNANSWERED_RETRY: Duration = Duration::from_millis(500);
/// Between two tries of a transfer that was refused, or of a role that could not be stored.
const REFUSED_RETRY: Duration = Duration::from_secs(2);

/// Where the code of a function is.
#[derive(Clone, Debug, PartialEq)]
enum Code {
    Coming,
    Loaded,
    Failed,
}

/// What moves a group at the moment.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Transfer {
    /// Nothing, and nothing before this moment.
    Rests(Instant),
    Replicates,
    HandsOver,
}

/// A task on this node.
#[derive(Debug)]
struct Held {
    spec: TaskSpec,
    status: GroupStatus,
    /// When the role is to be stored again, after that failed.
    role_again: Option<Instant>,
    /// The desired state that first asked for this part.
    asked_by: Generation,
    is_prepared: bool,
    /// The epoch whose first call is still to come.
    first_call: Option<OwnerEpoch>,
    /// Who holds all that was there when it was copied. What is committed after that goes to the keeper of the second
    /// copy by itself.
    copied_to: Option<NodeId>,
    transfer: Transfer,
}

/// All tasks on this node.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    held: BTreeMap<GroupId, Held>,
    /// By the SHA-256 of their signed manifests.
    code: BTreeMap<[u8; 32], Code>,
}

/// What follows from a step: work for the shell, events for the fleet.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub(super) outputs: Vec<Output>,
    pub(super) events: Vec<EventKind>,
}

impl Effects {
    pub(super) fn refused(&mut self, reason: String) {
        self.events.push(EventKind::Refused { reason: super::cut(reason) });
    }
}

/// The group of a task.
pub(super) fn group_of(spec: &TaskSpec) -> GroupId {
    GroupId { workflow: spec.workflow.clone(), task: spec.task.clone() }
}

/// What tasks promise to functions in sum.
pub(super) fn promised(tasks: &[TaskSpec]) -> Capacity {
    let milli_cpu = tasks.iter().map(|task| task.milli_cpu.0).fold(0, u32::saturating_add);
    let memory_mib = tasks.iter().map(|task| task.memory_mib.0).fold(0, u32::saturating_add);
    Capacity { milli_cpu: MilliCpu(milli_cpu), memory_mib: MiB(memory_mib) }
}

impl Tasks {
    /// Replaces what is held by `specs`. What is the same as before is left alone.
    pub(super) fn apply(
        &mut self,
        now: &Now,
        specs: &[TaskSpec],
        generation: Generation,
        effects: &mut Effects,
    ) {
        let wanted: BTreeSet<_> = specs.iter().map(group_of).collect();
        for group in self.held.keys().filter(|group| !wanted.contains(group)) {
            effects.outputs.push(Output::LetGo(group.clone()));
        }
        self.held.retain(|group, _| wanted.contains(group));
        for spec in specs {
            self.load(&spec.function, effects);
            self.hold(now, spec, generation, effects);
        }
        let used: BTreeSet<_> = specs.iter().map(|spec| spec.function.manifest).collect();
        self.code.retain(|manifest, _| {
            let is_used = used.contains(manifest);
            if !is_used {
                effects.outputs.push(Output::Unload(*manifest));
            }
            is_used
        });
    }

    fn load(&mut self, function: &FunctionRef, effects: &mut Effects) {
        if self.code.get(&function.manifest).is_none_or(|code| *code == Code::Failed) {
            self.code.insert(function.manifest, Code::Coming);
            effects.outputs.push(Output::Load(function.clone()));
        }
    }

    fn hold(&mut self, now: &Now, spec: &TaskSpec, by: Generation, effects: &mut Effects) {
        let group = group_of(spec);
        match self.held.get_mut(&group) {
            Some(held) if held.spec == *spec => return,
            Some(held) => {
                if is_new_part(&held.spec, spec) {
                    held.is_prepared = false;
                    held.asked_by = by;
                }
                if keeper(spec) != held.copied_to.as_ref() {
                    held.copied_to = None;
                }
                held.spec = spec.clone();
            }
            None => {
                let status = GroupStatus {
                    ownership: Ownership::Unknown,
                    owner_epoch: OwnerEpoch(0),
                    state_bytes: 0,
                    objects: 0,
                    replica_current: false,
                };
                let held = Held {
                    spec: spec.clone(),
                    status,
                    role_again: None,
                    asked_by: by,
                    is_prepared: false,
                    first_call: None,
                    copied_to: None,
                    transfer: Transfer::Rests(now.at),
                };
                self.held.insert(group.clone(), held);
            }
        }
        effects.outputs.push(Output::Hold(Box::new(spec.clone())));
    }

    pub(super) fn role_taken(
        &mut self,
        now: &Now,
        group: &GroupId,
        result: Result<RoleChange, String>,
        status: GroupStatus,
        effects: &mut Effects,
    ) {
        let Some(held) = self.held.get_mut(group) else { return };
        held.status = status;
        held.role_again = None;
        match result {
            Ok(change) => {
                if let Some(owner_epoch) = change.took_over {
                    held.took_over(group, owner_epoch, None, effects);
                }
                if let Some(newer) = change.outranked {
                    effects.refused(format!(
                        "role of {group} not taken: a newer owner, epoch {newer}, is known here"
                    ));
                }
            }
            Err(reason) => {
                held.role_again = Some(now.at.plus(REFUSED_RETRY));
                effects.refused(format!("role of {group} not taken: {reason}"));
            }
        }
        self.prepare(effects);
    }

    pub(super) fn group_changed(
        &mut self,
        event: GroupEvent,
        status: GroupStatus,
        effects: &mut Effects,
    ) {
        match event {
            GroupEvent::TookOver { group, owner_epoch, from } => {
                let Some(held) = self.held.get_mut(&group) else { return };
                held.status = status;
                held.took_over(&group, owner_epoch, Some(from), effects);
            }
            GroupEvent::ReplicaCurrent { group } => {
                let Some(held) = self.held.get_mut(&group) else { return };
                held.status = status;
            }
        }
        self.prepare(effects);
    }

    pub(super) fn loaded(
        &mut self,
        manifest: [u8; 32],
        result: Result<(), String>,
        effects: &mut Effects,
    ) {
        let Some(code) = self.code.get_mut(&manifest) else { return };
        match result {
            Ok(()) => *code = Code::Loaded,
            // It was looked at again, and that it cannot run was told.
            Err(_) if *code == Code::Failed => return,
            Err(reason) => {
                *code = Code::Failed;
                for held in self.held.values().filter(|h| h.spec.function.manifest == manifest) {
                    let TaskSpec { workflow, task, function, .. } = &held.spec;
                    let name = &function.name;
                    effects.refused(format!("{workflow}.{task} cannot run {name}: {reason}"));
                }
            }
        }
        self.prepare(effects);
    }

    pub(super) fn called(
        &mut self,
        group: &GroupId,
        run: RunId,
        status: GroupStatus,
        effects: &mut Effects,
    ) {
        let Some(held) = self.held.get_mut(group) else { return };
        held.status = status;
        if let Some(owner_epoch) = held.first_call.take() {
            let (workflow, task) = (group.workflow.clone(), group.task.clone());
            effects.events.push(EventKind::FirstCall { workflow, task, run, owner_epoch });
        }
    }

    pub(super) fn replicated(
        &mut self,
        now: &Now,
        (group, to): (&GroupId, NodeId),
        result: Result<(), TransferError>,
        status: GroupStatus,
    ) {
        let Some(held) = self.held.get_mut(group) else { return };
        held.status = status;
        held.transfer = Transfer::Rests(now.at);
        match result {
            Ok(()) => held.copied_to = Some(to),
            Err(error) => held.transfer = Transfer::Rests(now.at.plus(retry_after(&error))),
        }
    }

    pub(super) fn handed_over(
        &mut self,
        now: &Now,
        group: &GroupId,
        result: Result<OwnerEpoch, TransferError>,
        status: GroupStatus,
        effects: &mut Effects,
    ) {
        let Some(held) = self.held.get_mut(group) else { return };
        held.status = status;
        held.transfer = Transfer::Rests(now.at);
        let Err(error) = result else { return };
        held.transfer = Transfer::Rests(now.at.plus(retry_after(&error)));
        if !matches!(error, TransferError::Unanswered { .. }) {
            effects.refused(format!("{group} was not handed over: {error}"));
        }
    }

    /// Starts what is due.
    pub(super) fn tick(&mut self, now: &Now, effects: &mut Effects) {
        for (group, held) in &mut self.held {
            if held.role_again.is_some_and(|at| at <= now.at) {
                held.role_again = None;
                effects.outputs.push(Output::Hold(Box::new(held.spec.clone())));
            }
            match held.due(now) {
                Some((at, transfer, to)) if at <= now.at => {
                    held.transfer = transfer;
                    let group = group.clone();
                    effects.outputs.push(match transfer {
                        Transfer::HandsOver => Output::HandOver { group, to },
                        _ => Output::Replicate { group, to },
                    });
                }
                _ => {}
            }
        }
    }

    /// When [`Tasks::tick`] has something to start next.
    pub(super) fn deadline(&self, now: &Now) -> Option<Instant> {
        let due = self.held.values().filter_map(|held| held.due(now).map(|(at, ..)| at));
        due.chain(self.held.values().filter_map(|held| held.role_again)).min()
    }

    /// Under which epoch this node serves a task, if it does.
    pub(super) fn serves(&self, group: &GroupId) -> Option<OwnerEpoch> {
        let held = self.held.get(group)?;
        (self.phase(held) == Phase::Active).then_some(held.status.owner_epoch)
    }

    /// How each task stands.
    pub(super) fn statuses(&self) -> Vec<TaskStatus> {
        let status = |held: &Held| TaskStatus {
            workflow: held.spec.workflow.clone(),
            task: held.spec.task.clone(),
            phase: self.phase(held),
            owner_epoch: held.status.owner_epoch,
            state_bytes: held.status.state_bytes,
        };
        self.held.values().map(status).collect()
    }

    /// What is promised to the tasks held.
    pub(super) fn promised(&self) -> Capacity {
        let specs: Vec<_> = self.held.values().map(|held| held.spec.clone()).collect();
        promised(&specs)
    }

    /// Groups whose copy is still to be made.
    pub(super) fn waiting(&self) -> usize {
        let waits = |held: &&Held| {
            held.status.ownership == Ownership::Owner
                && keeper(&held.spec).is_some_and(|keeper| held.copied_to.as_ref() != Some(keeper))
        };
        self.held.values().filter(waits).count()
    }

    fn phase(&self, held: &Held) -> Phase {
        let code = self.code.get(&held.spec.function.manifest).unwrap_or(&Code::Coming);
        match (code, &held.status.ownership) {
            (Code::Failed, _) => Phase::Failed,
            (_, Ownership::Freezing { .. } | Ownership::Granting { .. }) => Phase::Freezing,
            (_, Ownership::Released { .. }) => Phase::Released,
            (Code::Loaded, Ownership::Owner) => Phase::Active,
            (Code::Loaded, Ownership::Standby) if held.status.replica_current => Phase::Ready,
            _ => Phase::Preparing,
        }
    }

    /// Says `Prepared` once for each part that could start at once by now.
    fn prepare(&mut self, effects: &mut Effects) {
        let ready: Vec<_> = self
            .held
            .iter()
            .filter(|(_, held)| !held.is_prepared)
            .filter(|(_, held)| matches!(self.phase(held), Phase::Active | Phase::Ready))
            .map(|(group, _)| group.clone())
            .collect();
        for group in ready {
            let Some(held) = self.held.get_mut(&group) else { continue };
            held.is_prepared = true;
            effects.events.push(EventKind::Prepared {
                workflow: group.workflow,
                task: group.task,
                generation: held.asked_by,
            });
        }
    }
}

impl Held {
    fn took_over(
        &mut self,
        group: &GroupId,
        owner_epoch: OwnerEpoch,
        from: Option<NodeId>,
        effects: &mut Effects,
    ) {
        self.first_call = Some(owner_epoch);
        let (workflow, task) = (group.workflow.clone(), group.task.clone());
        effects.events.push(EventKind::TookOver { workflow, task, owner_epoch, from });
    }

    /// What has to move next, when, and to whom.
    fn due(&self, now: &Now) -> Option<(Instant, Transfer, NodeId)> {
        let Transfer::Rests(until) = self.transfer else { return None };
        // A grant that stands must arrive, whatever is desired by now.
        if let Ownership::Granting { to } | Ownership::Freezing { to } = &self.status.ownership {
            return Some((until, Transfer::HandsOver, to.clone()));
        }
        if self.status.ownership != Ownership::Owner {
            return None;
        }
        let to = keeper(&self.spec)?.clone();
        let is_copied = self.copied_to.as_ref() == Some(&to);
        let hand_over_at = successor(&self.spec).map(|next| now.when(next.at).max(until));
        match hand_over_at {
            Some(at) if is_copied || at <= now.at => Some((at, Transfer::HandsOver, to)),
            _ if is_copied => None,
            _ => Some((until, Transfer::Replicates, to)),
        }
    }
}

fn successor(spec: &TaskSpec) -> Option<&Successor> {
    match &spec.role {
        Role::Owner { successor, .. } => successor.as_ref(),
        Role::Standby { .. } => None,
    }
}

/// Who is to hold a copy of everything: the successor, or else who keeps the second copy.
fn keeper(spec: &TaskSpec) -> Option<&NodeId> {
    match &spec.role {
        Role::Owner { successor: Some(successor), .. } => Some(&successor.node),
        Role::Owner { successor: None, .. } => spec.replica.as_ref(),
        Role::Standby { .. } => None,
    }
}

/// Whether a task has to be prepared anew: other code, or another part, or another owner to wait for.
fn is_new_part(old: &TaskSpec, new: &TaskSpec) -> bool {
    let same_part = match (&old.role, &new.role) {
        (Role::Standby { owner: old, .. }, Role::Standby { owner: new, .. }) => old == new,
        // Who waited and took over is prepared; so is who owned all along.
        (_, Role::Owner { .. }) => true,
        (Role::Owner { .. }, Role::Standby { .. }) => false,
    };
    !same_part || old.function.manifest != new.function.manifest
}

fn retry_after(error: &TransferError) -> Duration {
    match error {
        TransferError::Unanswered { .. } => UNANSWERED_RETRY,
        TransferError::NotOwner { .. }
        | TransferError::Refused { .. }
        | TransferError::Fenced { .. }
        | TransferError::Store(_) => REFUSED_RETRY,
    }
}
