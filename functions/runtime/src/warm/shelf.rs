//! Where instances wait for the next call of their task: at most one for each, and none while a call has it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use types::TenantId;
use wasmtime::Store;

use super::hooks::Hooks;
use crate::bindings;
use crate::cache::ModuleHash;
use crate::context::Context;

/// Whose an instance is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owner {
    pub(crate) tenant: TenantId,
    pub(crate) task: String,
}

/// An instance with its hooks.
pub(crate) struct Ready {
    pub(crate) function: bindings::Function,
    pub(crate) hooks: Hooks,
}

/// An instance that can serve a call, or has just done so.
pub(crate) struct Kept {
    pub(crate) store: Store<Context>,
    pub(crate) ready: Ready,
    pub(crate) module: ModuleHash,
    /// Calls that it has served.
    pub(crate) calls: u32,
    /// What of the memory of all calls it holds.
    pub(crate) mib: u32,
}

/// An instance that waits.
struct Resting(Box<Kept>);

#[expect(unsafe_code, reason = "an instance goes on on whichever thread the next call is")]
// SAFETY: a store is `Send` if its data are. Of a `Context` the host of a call and the objects that it carries are not; `Resting::new`
// takes both away, and nothing gives the store others before `Resting::wake` has made it part of a call again.
unsafe impl Send for Resting {}

impl Resting {
    fn new(mut kept: Box<Kept>) -> Self {
        kept.store.data_mut().rest();
        Self(kept)
    }

    fn wake(self) -> Box<Kept> {
        self.0
    }
}

/// The instances of a runner that wait.
#[derive(Default)]
pub(crate) struct Shelf {
    places: Mutex<Places>,
}

/// A place of a task: `None` while a call has it.
type Place = Option<Resting>;

/// The places of all tasks, by tenant and name. A call of a task that has one needs no memory to find it.
#[derive(Default)]
struct Places {
    of: BTreeMap<TenantId, BTreeMap<String, Place>>,
    resting: usize,
}

/// A call of a task that has the place of its instance; no other has it until this is dropped.
pub(crate) struct Turn<'a> {
    shelf: &'a Shelf,
    tenant: &'a TenantId,
    task: &'a str,
    rested: Option<Resting>,
    /// Whether the place is full again.
    is_over: bool,
}

impl Shelf {
    /// Takes the place of a task; `None` if another call has it.
    pub(crate) fn turn<'a>(&'a self, tenant: &'a TenantId, task: &'a str) -> Option<Turn<'a>> {
        let rested = self.lock().take(tenant, task)?;
        Some(Turn { shelf: self, tenant, task, rested, is_over: false })
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn find(&mut self, tenant: &TenantId, task: &str) -> Option<&mut Place> {
        self.of.get_mut(tenant)?.get_mut(task)
    }

    /// Takes a place, with what rests in it if there was one; `None` if a call has it.
    fn take(&mut self, tenant: &TenantId, task: &str) -> Option<Place> {
        if let Some(place) = self.find(tenant, task) {
            let rested = place.take()?;
            self.resting -= 1;
            return Some(Some(rested));
        }
        self.of.entry(tenant.clone()).or_default().insert(task.to_owned(), None);
        Some(None)
    }

    /// Puts an instance into a place that was taken, or gives it back where so many rest already.
    fn put(
        &mut self,
        (tenant, task): (&TenantId, &str),
        resting: Resting,
        max: usize,
    ) -> Result<(), Resting> {
        if max <= self.resting {
            return Err(resting);
        }
        let Some(place) = self.find(tenant, task) else { return Err(resting) };
        *place = Some(resting);
        self.resting += 1;
        Ok(())
    }

    /// Gives up a place in which nothing rests.
    fn clear(&mut self, tenant: &TenantId, task: &str) {
        if !matches!(self.find(tenant, task), Some(None)) {
            return;
        }
        let Some(tasks) = self.of.get_mut(tenant) else { return };
        tasks.remove(task);
        if tasks.is_empty() {
            self.of.remove(tenant);
        }
    }
}

impl Turn<'_> {
    /// The instance that waited, if one did.
    pub(crate) fn take(&mut self) -> Option<Box<Kept>> {
        self.rested.take().map(Resting::wake)
    }

    /// Lets an instance wait for the next call; says whether there was a place for it, of so many.
    pub(crate) fn put(mut self, kept: Box<Kept>, places_max: usize) -> bool {
        let resting = Resting::new(kept);
        self.rested = None;
        // What is given back ends after the lock.
        let put = self.shelf.lock().put((self.tenant, self.task), resting, places_max);
        self.is_over = put.is_ok();
        self.is_over
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.shelf.lock().clear(self.tenant, self.task);
        }
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resting = self.lock().resting;
        f.debug_struct("Shelf").field("resting", &resting).finish_non_exhaustive()
    }
}
