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
struct Resting(Kept);

#[expect(unsafe_code, reason = "an instance goes on on whichever thread the next call is")]
// SAFETY: a store is `Send` if its data are. Of a `Context` the host of a call and the objects that it carries are not; `Resting::new`
// takes both away, and nothing gives the store others before `Resting::wake` has made it part of a call again.
unsafe impl Send for Resting {}

impl Resting {
    fn new(mut kept: Kept) -> Self {
        kept.store.data_mut().rest();
        Self(kept)
    }

    fn wake(self) -> Kept {
        self.0
    }
}

/// The instances of a runner that wait.
#[derive(Default)]
pub(crate) struct Shelf {
    /// `None`: a call has it.
    places: Mutex<BTreeMap<Owner, Option<Box<Resting>>>>,
}

/// A call of a task that has the place of its instance; no other has it until this is dropped.
pub(crate) struct Turn<'a> {
    shelf: &'a Shelf,
    owner: Owner,
    rested: Option<Box<Resting>>,
}

impl Shelf {
    /// Takes the place of a task; `None` if another call has it.
    pub(crate) fn turn(&self, owner: Owner) -> Option<Turn<'_>> {
        let mut places = self.lock();
        let rested = match places.insert(owner.clone(), None) {
            Some(None) => return None,
            Some(rested) => rested,
            None => None,
        };
        drop(places);
        Some(Turn { shelf: self, owner, rested })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Owner, Option<Box<Resting>>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// The instance that waited, if one did.
    pub(crate) fn take(&mut self) -> Option<Kept> {
        self.rested.take().map(|resting| resting.wake())
    }

    /// Lets an instance wait for the next call; says whether there was a place for it, of so many.
    pub(crate) fn put(mut self, kept: Kept, places_max: usize) -> bool {
        let resting = Box::new(Resting::new(kept));
        let mut places = self.shelf.lock();
        let has_room = places.values().flatten().count() < places_max;
        if has_room {
            places.insert(self.owner.clone(), Some(resting));
        }
        drop(places);
        self.rested = None;
        has_room
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut places = self.shelf.lock();
        if places.get(&self.owner).is_some_and(Option::is_none) {
            places.remove(&self.owner);
        }
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resting = self.lock().values().flatten().count();
        f.debug_struct("Shelf").field("resting", &resting).finish_non_exhaustive()
    }
}
