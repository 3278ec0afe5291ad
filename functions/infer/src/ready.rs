//! Models and kernels that are ready to run, bounded in number and bytes; the one that was used longest ago gives way.
//!
//! Getting one ready happens on a thread of its own, one at a time, so that a call can give up at its deadline while the work goes on
//! for the next one, and so that a panic of a library ends only that thread. With nothing to load there is no thread.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::backend::{Failure, Prepared, panic_text};
use crate::catalog::Sha256Hash;
use crate::fault::Fault;
use crate::kernel::Kernel;

/// Stack of the thread that loads: libraries walk graphs by recursion, as deep as there are operators.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Bounds of what is kept ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadyLimits {
    /// Models and kernels, counted for each back end.
    pub count: usize,
    /// Bytes of all of them, as the back ends estimate them. What a call still uses when it gives way is freed when that call ends.
    pub bytes: u64,
}

/// What is ready where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) what: What,
    /// Number of the back end.
    pub(crate) backend: usize,
    /// How often that was opened: what belongs to a lost device is never used again.
    pub(crate) opened: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    Model(Sha256Hash),
    Kernel(Kernel),
    /// The program that the back end is.
    Native,
}

/// Why something does not get ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotReady {
    /// The file is not there or not sound.
    Fault(Fault),
    /// The back end fails.
    Failure(Failure),
}

type Loaded = Result<Arc<dyn Prepared>, NotReady>;
/// What a thread that loads leaves for the call that started it.
type Outcome = Mutex<Option<Loaded>>;

/// What is ready.
#[derive(Debug)]
pub(crate) struct Ready {
    limits: ReadyLimits,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    slots: BTreeMap<Key, Slot>,
    /// Whether a thread loads.
    loading: bool,
    clock: u64,
}

#[derive(Debug)]
enum Slot {
    Loading,
    Ready {
        prepared: Arc<dyn Prepared>,
        used: u64,
    },
    /// So that what is refused is not tried again for each call.
    Refused {
        why: String,
        used: u64,
    },
}

impl Slot {
    fn used(&self) -> Option<u64> {
        match self {
            Self::Loading => None,
            Self::Ready { used, .. } | Self::Refused { used, .. } => Some(*used),
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Ready { prepared, .. } => prepared.bytes(),
            Self::Loading | Self::Refused { .. } => 0,
        }
    }
}

impl Ready {
    pub(crate) fn new(limits: ReadyLimits) -> Arc<Self> {
        Arc::new(Self { limits, state: Mutex::default(), changed: Condvar::new() })
    }

    /// What is ready under `key`, or what `load` makes of it; says how long that took if it had to be done.
    pub(crate) fn get<L>(
        self: &Arc<Self>,
        key: Key,
        deadline: Instant,
        load: L,
    ) -> Result<(Arc<dyn Prepared>, Option<Duration>), NotReady>
    where
        L: FnOnce() -> Result<Box<dyn Prepared>, NotReady> + Send + 'static,
    {
        let start = Instant::now();
        let mut load = Some(load);
        let mut outcome: Option<Arc<Outcome>> = None;
        let mut state = self.lock();
        loop {
            // What this call loaded is its to use, even if it gave way to others at once.
            if let Some(done) = outcome.as_ref().and_then(|outcome| lock(outcome).take()) {
                return done.map(|prepared| (prepared, Some(start.elapsed())));
            }
            state.clock += 1;
            let now = state.clock;
            match state.slots.get_mut(&key) {
                Some(Slot::Ready { prepared, used }) => {
                    *used = now;
                    return Ok((Arc::clone(prepared), None));
                }
                Some(Slot::Refused { why, used }) => {
                    *used = now;
                    return Err(NotReady::Failure(Failure::Refused(why.clone())));
                }
                Some(Slot::Loading) => {}
                None => {
                    if let Some(load) = (!state.loading).then(|| load.take()).flatten() {
                        state.slots.insert(key, Slot::Loading);
                        state.loading = true;
                        outcome = Some(self.spawn(&mut state, key, load)?);
                    }
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NotReady::Failure(Failure::Deadline));
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Forgets what a back end had ready.
    pub(crate) fn forget(&self, backend: usize) {
        self.lock()
            .slots
            .retain(|key, slot| key.backend != backend || matches!(slot, Slot::Loading));
    }

    /// How many are ready, and their bytes.
    pub(crate) fn load(&self) -> (usize, u64) {
        let state = self.lock();
        (state.slots.len(), state.slots.values().map(Slot::bytes).sum())
    }

    fn spawn<L>(
        self: &Arc<Self>,
        state: &mut State,
        key: Key,
        load: L,
    ) -> Result<Arc<Outcome>, NotReady>
    where
        L: FnOnce() -> Result<Box<dyn Prepared>, NotReady> + Send + 'static,
    {
        let outcome = Arc::new(Outcome::default());
        let (this, told) = (Arc::clone(self), Arc::clone(&outcome));
        let work = move || {
            let loaded = catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(|panic| {
                Err(NotReady::Failure(Failure::Refused(panic_text(panic.as_ref()))))
            });
            this.finish(key, loaded.map(Arc::from), &told);
        };
        let thread = thread::Builder::new().name("model-load".to_owned()).stack_size(STACK_BYTES);
        thread.spawn(work).map_err(|error| {
            state.slots.remove(&key);
            state.loading = false;
            NotReady::Failure(Failure::OutOfMemory(format!("no thread to load it: {error}")))
        })?;
        Ok(outcome)
    }

    fn finish(&self, key: Key, loaded: Loaded, told: &Outcome) {
        let loaded = loaded.and_then(|prepared| {
            let (bytes, max) = (prepared.bytes(), self.limits.bytes);
            let why = || format!("it holds {bytes} bytes, at most {max} may be ready");
            let fits = bytes <= max;
            fits.then_some(prepared).ok_or_else(|| NotReady::Failure(Failure::Refused(why())))
        });
        let mut state = self.lock();
        state.loading = false;
        state.slots.remove(&key);
        state.clock += 1;
        let used = state.clock;
        let slot = match &loaded {
            Ok(prepared) => Some(Slot::Ready { prepared: Arc::clone(prepared), used }),
            Err(NotReady::Failure(Failure::Refused(why))) => {
                Some(Slot::Refused { why: why.clone(), used })
            }
            Err(_) => None,
        };
        if let Some(slot) = slot {
            state.slots.insert(key, slot);
        }
        self.make_room(&mut state);
        *lock(told) = Some(loaded);
        drop(state);
        self.changed.notify_all();
    }

    fn make_room(&self, state: &mut State) {
        let is_over = |state: &State| {
            let bytes: u64 = state.slots.values().map(Slot::bytes).sum();
            self.limits.count < state.slots.len() || self.limits.bytes < bytes
        };
        while is_over(state) {
            let oldest =
                state.slots.iter().filter_map(|(key, slot)| Some((slot.used()?, *key))).min();
            let Some((_, key)) = oldest else { return };
            state.slots.remove(&key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
