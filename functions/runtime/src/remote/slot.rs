//! The place of one runner: starts it, and after its end another, with pauses that grow while none of them works.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::client::Live;
use crate::CallFault;
use crate::config::RunnerProgram;
use crate::pool::{Memory, PoolMode};
use crate::warm::shelf::Owner;

/// Pause before a runner is started after one that ended: short at first, since most ends are those of one bad call.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// The place.
#[derive(Debug)]
pub(super) struct Slot {
    name: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    live: Option<Arc<Live>>,
    /// When somebody last asked for it.
    used: Instant,
    /// Runners that ended since the last call that worked.
    failures: u32,
    not_before: Option<Instant>,
    /// Whose instances wait in it for their next call.
    instances: BTreeSet<Owner>,
}

impl Slot {
    /// An empty place; the name is for those who look at processes.
    pub(super) fn new(name: &str) -> Self {
        let state = State {
            live: None,
            used: Instant::now(),
            failures: 0,
            not_before: None,
            instances: BTreeSet::new(),
        };
        Self { name: name.to_owned(), state: Mutex::new(state) }
    }

    /// When somebody last asked for the runner.
    pub(super) fn used(&self) -> Instant {
        self.lock().used
    }

    /// The runner, which is started if there is none.
    ///
    /// # Errors
    /// [`CallFault::Busy`] in a pause after an end, [`CallFault::Runner`] if it does not start.
    pub(super) fn live(
        &self,
        program: &RunnerProgram,
        shape: (PoolMode, Memory),
    ) -> Result<Arc<Live>, CallFault> {
        let mut state = self.lock();
        state.used = Instant::now();
        if let Some(live) = &state.live {
            if live.reason(Duration::ZERO).is_none() {
                return Ok(Arc::clone(live));
            }
            state.live = None;
            state.instances.clear();
            state.fail();
        }
        if state.not_before.is_some_and(|then| Instant::now() < then) {
            return Err(CallFault::Busy);
        }
        match Live::start(program, shape, &self.name) {
            Ok(live) => {
                let live = Arc::new(live);
                state.live = Some(Arc::clone(&live));
                Ok(live)
            }
            Err(reason) => {
                state.fail();
                Err(CallFault::Runner(reason))
            }
        }
    }

    /// A call was answered: what ended before is forgiven.
    pub(super) fn worked(&self) {
        let mut state = self.lock();
        state.failures = 0;
        state.not_before = None;
    }

    /// The runner, if there is one.
    pub(super) fn running(&self) -> Option<Arc<Live>> {
        self.lock().live.clone().filter(|live| live.reason(Duration::ZERO).is_none())
    }

    /// Notes whether the instance of a task waits in the runner.
    pub(super) fn note(&self, owner: Owner, rests: bool) {
        let mut state = self.lock();
        if rests {
            state.instances.insert(owner);
        } else {
            state.instances.remove(&owner);
        }
    }

    /// Whether any instance waits in the runner.
    pub(super) fn has_instances(&self) -> bool {
        !self.lock().instances.is_empty()
    }

    /// The process, if it runs.
    pub(super) fn process(&self) -> Option<u32> {
        self.lock().live.as_ref()?.process()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn fail(&mut self) {
        self.not_before = Some(Instant::now() + pause(self.failures));
        self.failures = self.failures.saturating_add(1);
    }
}

/// The pause after so many ends before this one.
fn pause(failures: u32) -> Duration {
    PAUSE_FIRST.saturating_mul(2_u32.saturating_pow(failures)).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound() {
        assert_eq!(pause(0), Duration::from_millis(50));
        assert_eq!(pause(3), Duration::from_millis(400));
        assert_eq!(pause(8), PAUSE_MAX);
        assert_eq!(pause(u32::MAX), PAUSE_MAX);
    }
}
