//! Instances that wait for the next call of their task: one for each task at most, how long, and what becomes of what they remember.
//!
//! An instance is suspended when it has waited too long, has served its calls, makes room for another one, or its task goes to
//! another node or gets another version, and when the agent ends. What it answers becomes part of the state of its task, and the
//! first call of the next instance gets it. Whoever ends an instance has the turn of its task, so that no call is under way.

mod host;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::invoke::Fault;
use protocol::manifest::slots::Warm;
use runtime::{CallReport, Instance};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use types::{FunctionId, OwnerEpoch, TenantId};

use self::host::SuspendHost;
use super::grants::Grants;
use super::module::Modules;
use super::{Inner, Task, locked};
use crate::state::{GroupId, Peers};

/// Between two looks for a place, while all instances are in a call.
const PLACE_POLL: Duration = Duration::from_millis(10);
/// Longest wait for a call of a task that is to be handed over: as long as the hand-over itself waits for calls.
const REST_PATIENCE: Duration = Duration::from_secs(2);
/// Time for the instances of an agent that ends, however long its calls took.
const END_PATIENCE: Duration = Duration::from_secs(1);
/// Instances that wait hold at most one in so many parts of the memory of all calls.
const MEMORY_PART: u64 = 4;

/// What an instance is, and how long it may wait.
#[derive(Clone, Debug)]
pub(super) struct Waits {
    tenant: TenantId,
    function: FunctionId,
    manifest: [u8; 32],
    kept: Warm,
    /// The epoch under which the task was owned when it served its last call: what is older knows of another past.
    epoch: OwnerEpoch,
}

impl Waits {
    /// Of a function that runs under this epoch of its task.
    pub(super) fn of(grants: &Grants, manifest: [u8; 32], kept: Warm, epoch: OwnerEpoch) -> Self {
        let (tenant, function) = (grants.tenant.clone(), grants.name.clone());
        Self { tenant, function, manifest, kept, epoch }
    }
}

/// An instance that waits.
#[derive(Clone, Debug)]
struct Waiting {
    waits: Waits,
    instance: Instance,
    since: Instant,
}

impl Waiting {
    /// Until when it may wait for a call.
    fn until(&self) -> Instant {
        if self.is_spent() {
            return self.since;
        }
        self.since + Duration::from_millis(u64::from(self.waits.kept.idle_ms))
    }

    fn is_spent(&self) -> bool {
        self.waits.kept.calls_max <= self.instance.calls
    }
}

#[derive(Debug)]
enum Place {
    /// A call has it, with what waited before.
    InCall(Option<Waiting>),
    Waits(Waiting),
}

/// The instances of all tasks.
#[derive(Debug, Default)]
pub(super) struct WarmBook {
    places: BTreeMap<GroupId, Place>,
    /// Tasks whose instance is looked after, and when it is looked at next.
    watched: BTreeMap<GroupId, Instant>,
    /// Told when one must be looked at before.
    sooner: Arc<Notify>,
}

/// What a call finds.
enum Entered {
    /// A place, with its instance or without.
    Has,
    /// A place, and an instance of this tenant that is not for it.
    HasOfAnother(TenantId),
    /// None; the task that could make room, if there is one.
    Full(Option<GroupId>),
}

impl WarmBook {
    /// Gives a call the place of its task, of so many.
    fn enter(&mut self, group: &GroupId, waits: &Waits, places_max: usize) -> Entered {
        let before = match self.places.remove(group) {
            Some(Place::Waits(waiting)) => Some(waiting),
            Some(Place::InCall(before)) => before,
            None if self.places.len() < places_max => None,
            None => return Entered::Full(self.oldest()),
        };
        let is_it = |waiting: &Waiting| {
            waiting.waits.manifest == waits.manifest && waiting.waits.epoch == waits.epoch
        };
        let entered = match before.as_ref().filter(|waiting| !is_it(waiting)) {
            Some(other) => Entered::HasOfAnother(other.waits.tenant.clone()),
            None => Entered::Has,
        };
        self.places.insert(group.clone(), Place::InCall(before.filter(is_it)));
        entered
    }

    /// The task whose instance has waited for longest.
    fn oldest(&self) -> Option<GroupId> {
        let waiting = self.places.iter().filter_map(|(group, place)| match place {
            Place::Waits(waiting) => Some((waiting.since, group)),
            Place::InCall(_) => None,
        });
        waiting.min().map(|(_, group)| group.clone())
    }

    fn held_bytes(&self) -> u64 {
        let held = self.places.values().filter_map(|place| match place {
            Place::Waits(waiting) => Some(waiting.instance.held_bytes),
            Place::InCall(_) => None,
        });
        held.sum()
    }

    fn waiting(&self, group: &GroupId) -> Option<&Waiting> {
        match self.places.get(group)? {
            Place::Waits(waiting) => Some(waiting),
            Place::InCall(_) => None,
        }
    }

    fn take_waiting(&mut self, group: &GroupId) -> Option<Waiting> {
        match self.places.remove(group)? {
            Place::Waits(waiting) => Some(waiting),
            in_call @ Place::InCall(_) => {
                self.places.insert(group.clone(), in_call);
                None
            }
        }
    }
}

/// Ends an instance that the next call of its task must not have: of another version, or at its end. The caller has the turn.
pub(super) async fn end_if_over<P: Peers + Modules + Clone + 'static>(
    inner: &Arc<Inner<P>>,
    group: &GroupId,
    manifest: &[u8; 32],
) {
    let is_over = locked(&inner.warm).waiting(group).is_some_and(|waiting| {
        waiting.waits.manifest != *manifest || waiting.until() <= Instant::now()
    });
    if is_over {
        // The call that follows takes it up again, and its commit is copied.
        end(inner, group, false).await;
    }
}

/// Takes the place of a call's instance; where there are as many as there may be, the one that has waited for longest ends.
pub(super) async fn take_place<P: Peers + Modules + Clone + 'static>(
    inner: &Arc<Inner<P>>,
    group: &GroupId,
    waits: &Waits,
    deadline: Instant,
) -> Result<(), Fault> {
    let places_max = inner.code.runtime().map_err(Fault::Internal)?.resting_max() as usize;
    loop {
        let entered = locked(&inner.warm).enter(group, waits, places_max);
        match entered {
            Entered::Has => return Ok(()),
            Entered::HasOfAnother(tenant) => {
                tracing::info!(%group, "an instance of before is dropped: another node owned the task since");
                drop_instance(inner, group, tenant).await;
                return Ok(());
            }
            Entered::Full(oldest) => make_room(inner, oldest, deadline).await?,
        }
    }
}

async fn make_room<P: Peers + Modules + Clone + 'static>(
    inner: &Arc<Inner<P>>,
    oldest: Option<GroupId>,
    deadline: Instant,
) -> Result<(), Fault> {
    let ended = match oldest {
        Some(oldest) => end_another(inner, &oldest, true).await,
        None => false,
    };
    if !ended {
        if deadline <= Instant::now() + PLACE_POLL {
            return Err(Fault::Busy);
        }
        tokio::time::sleep(PLACE_POLL).await;
    }
    Ok(())
}

/// A call has ended. `None`: it did not run, and what waited before waits on.
pub(super) fn ended<P: Peers + Modules + Clone + 'static>(
    inner: &Arc<Inner<P>>,
    group: &GroupId,
    waits: Waits,
    instance: Option<(Instance, bool)>,
) {
    let mut book = locked(&inner.warm);
    let before = match book.places.remove(group) {
        Some(Place::InCall(before)) => before,
        Some(Place::Waits(waiting)) => Some(waiting),
        None => None,
    };
    let waiting = match instance {
        None => before,
        Some((instance, true)) if instance.rests => {
            Some(Waiting { waits, instance, since: Instant::now() })
        }
        Some((instance, _)) => {
            drop(book);
            if instance.rests {
                let (inner, group) = (Arc::clone(inner), group.clone());
                tokio::spawn(async move { drop_instance(&inner, &group, waits.tenant).await });
            }
            return;
        }
    };
    let Some(waiting) = waiting else { return };
    let until = waiting.until();
    book.places.insert(group.clone(), Place::Waits(waiting));
    let looked_at = book.watched.get(group).copied();
    let is_new = looked_at.is_none();
    if is_new {
        book.watched.insert(group.clone(), until);
    }
    if looked_at.is_some_and(|at| until < at) {
        book.sooner.notify_waiters();
    }
    let is_over =
        u64::from(inner.code.memory_mib()) * 1024 * 1024 / MEMORY_PART < book.held_bytes();
    drop(book);
    if is_new {
        tokio::spawn(watch(Arc::clone(inner), group.clone()));
    }
    if is_over {
        tokio::spawn(make_memory(Arc::clone(inner)));
    }
}

/// Ends the instance of a task when it has waited too long, as long as there is one.
async fn watch<P: Peers + Modules + Clone + 'static>(inner: Arc<Inner<P>>, group: GroupId) {
    let sooner = Arc::clone(&locked(&inner.warm).sooner);
    loop {
        let now = Instant::now();
        // Before the look, so that nothing is missed between the two.
        let mut news = std::pin::pin!(sooner.notified());
        news.as_mut().enable();
        let until = {
            let mut book = locked(&inner.warm);
            let until = match book.places.get(&group) {
                Some(Place::Waits(waiting)) => waiting.until(),
                Some(Place::InCall(_)) => now + REST_PATIENCE,
                None => {
                    book.watched.remove(&group);
                    return;
                }
            };
            book.watched.insert(group.clone(), until);
            until
        };
        if now < until {
            tokio::select! {
                () = tokio::time::sleep_until(until.into()) => {}
                () = news => {}
            }
            continue;
        }
        let Some(task) = task_of(&inner, &group) else {
            forget(&inner, &group);
            continue;
        };
        let Ok(_turn) = Arc::clone(&task.turn).acquire_owned().await else { return };
        // A call may have been before.
        let is_over =
            locked(&inner.warm).waiting(&group).is_some_and(|w| w.until() <= Instant::now());
        if is_over {
            end(&inner, &group, true).await;
        }
    }
}

/// Ends instances until those that wait hold no more than their part of the memory.
async fn make_memory<P: Peers + Modules + Clone + 'static>(inner: Arc<Inner<P>>) {
    let bytes_max = u64::from(inner.code.memory_mib()) * 1024 * 1024 / MEMORY_PART;
    loop {
        let oldest = {
            let book = locked(&inner.warm);
            if book.held_bytes() <= bytes_max { None } else { book.oldest() }
        };
        let Some(oldest) = oldest else { return };
        if !end_another(&inner, &oldest, true).await {
            tokio::time::sleep(PLACE_POLL).await;
        }
    }
}

/// Ends the instance of another task, unless a call of it is about to begin.
async fn end_another<P: Peers + Modules + Clone + 'static>(
    inner: &Arc<Inner<P>>,
    group: &GroupId,
    copy: bool,
) -> bool {
    let Some(task) = task_of(inner, group) else {
        forget(inner, group);
        return true;
    };
    let Ok(_turn) = Arc::clone(&task.turn).try_acquire_owned() else { return false };
    end(inner, group, copy).await;
    true
}

/// Ends the instance of a task that is to be handed over, and keeps its calls out until the answer is dropped.
pub(super) async fn rest<P: Peers + Modules + Clone + 'static>(
    inner: &Arc<Inner<P>>,
    group: &GroupId,
) -> Option<OwnedSemaphorePermit> {
    let task = task_of(inner, group)?;
    let manifest = locked(&task.spec).function.manifest;
    if !inner.code.is_warm(&manifest) && !locked(&inner.warm).places.contains_key(group) {
        return None;
    }
    let turn = Arc::clone(&task.turn).acquire_owned();
    let turn = tokio::time::timeout(REST_PATIENCE, turn).await.ok()?.ok()?;
    // It goes along with the grant.
    end(inner, group, false).await;
    Some(turn)
}

/// Ends all instances that wait.
pub(super) async fn end_all<P: Peers + Modules + Clone + 'static>(
    inner: &Arc<Inner<P>>,
    until: tokio::time::Instant,
) {
    let until = until.max(tokio::time::Instant::now() + END_PATIENCE);
    let all = async {
        let groups: Vec<GroupId> = locked(&inner.warm).places.keys().cloned().collect();
        for group in groups {
            end_another(inner, &group, false).await;
        }
    };
    if tokio::time::timeout_at(until, all).await.is_err() {
        tracing::warn!("not all instances that waited were asked what they remember");
    }
}

/// Drops the instance of a task that is not here any more.
pub(super) fn forget<P: Peers + Modules + Clone + 'static>(inner: &Arc<Inner<P>>, group: &GroupId) {
    let Some(waiting) = locked(&inner.warm).take_waiting(group) else { return };
    let (inner, group) = (Arc::clone(inner), group.clone());
    tokio::spawn(async move { drop_instance(&inner, &group, waiting.waits.tenant).await });
}

async fn drop_instance<P: Send + Sync + 'static>(
    inner: &Arc<Inner<P>>,
    group: &GroupId,
    tenant: TenantId,
) {
    let (code, task) = (inner.code.clone(), group.to_string());
    let dropped = tokio::task::spawn_blocking(move || {
        if let Ok(runtime) = code.runtime() {
            runtime.forget(&tenant, &task);
        }
    });
    if let Err(error) = dropped.await {
        tracing::error!(%error, %group, "an instance was not dropped");
    }
}

/// Suspends the instance of a task, if one waits, and keeps what it remembers. The caller has the turn of the task.
async fn end<P: Peers + Modules + Clone + 'static>(
    inner: &Arc<Inner<P>>,
    group: &GroupId,
    copy: bool,
) {
    let Some(Waiting { waits, .. }) = locked(&inner.warm).take_waiting(group) else { return };
    let Waits { tenant, function, epoch, .. } = waits;
    let (code, task) = (inner.code.clone(), group.to_string());
    let mut host = SuspendHost::new(inner.around.clone(), group.clone(), function.clone());
    let suspended = tokio::task::spawn_blocking(move || {
        code.runtime().ok().and_then(|runtime| runtime.suspend(&tenant, &task, &mut host))
    });
    let report = match suspended.await {
        Ok(Some(report)) => report,
        Ok(None) => return tracing::info!(%group, "the instance had ended with its runner"),
        Err(error) => return tracing::error!(%error, %group, "an instance was not suspended"),
    };
    let CallReport { outcome, usage } = report;
    inner.functions_cpu_ns.fetch_add(usage.cpu_ns, std::sync::atomic::Ordering::Relaxed);
    let memory = match outcome {
        Ok(memory) if memory.is_empty() => return,
        Ok(memory) => memory,
        Err(fault) => {
            return tracing::warn!(%group, %function, %fault, "what an instance remembers is lost");
        }
    };
    let bytes = memory.len();
    let kept = inner.state.remember(&inner.peers, (group, epoch), &function, memory, copy).await;
    match kept {
        Ok(()) => tracing::info!(%group, %function, bytes, "an instance was suspended"),
        Err(error) => {
            tracing::warn!(%group, %function, %error, "what an instance remembers is lost");
        }
    }
}

fn task_of<P>(inner: &Arc<Inner<P>>, group: &GroupId) -> Option<Arc<Task>> {
    locked(&inner.tasks).get(group).cloned()
}
