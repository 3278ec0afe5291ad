//! The queue before a back end, or before all those on graphics processors: who runs now, who waits, and how many bytes all of them need. Callers wait on their own threads.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Bounds of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateLimits {
    /// Runs at once.
    pub running: usize,
    /// Waiting behind them.
    pub waiting: usize,
    /// Bytes of all that run and wait, together.
    pub bytes: u64,
}

/// Why there is no way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// More bytes than there are in all.
    TooLarge,
    /// Too many, or too many bytes, at the moment.
    Busy,
    /// Time was up.
    Deadline,
}

/// A queue: first come, first served.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) limits: GateLimits,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    bytes: u64,
    waiting: VecDeque<u64>,
    next: u64,
}

/// The right to run; ends when dropped.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
    bytes: u64,
}

impl Gate {
    pub(crate) fn new(limits: GateLimits) -> Self {
        Self { limits, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits for its turn until `deadline`.
    pub(crate) fn enter(&self, bytes: u64, deadline: Instant) -> Result<Pass<'_>, Refusal> {
        if self.limits.bytes < bytes {
            return Err(Refusal::TooLarge);
        }
        let state = self.lock();
        let is_full =
            self.limits.running <= state.running && self.limits.waiting <= state.waiting.len();
        let sum = state.bytes.saturating_add(bytes);
        if is_full || self.limits.bytes < sum {
            return Err(Refusal::Busy);
        }
        self.wait(state, bytes, deadline)
    }

    /// Waits for its turn until `deadline`, however many wait: for a probe, of which each back end has one.
    pub(crate) fn enter_to_probe(&self, deadline: Instant) -> Result<Pass<'_>, Refusal> {
        self.wait(self.lock(), 0, deadline)
    }

    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'_, State>,
        bytes: u64,
        deadline: Instant,
    ) -> Result<Pass<'a>, Refusal> {
        let ticket = state.next;
        state.next += 1;
        state.bytes = state.bytes.saturating_add(bytes);
        state.waiting.push_back(ticket);
        loop {
            if state.waiting.front() == Some(&ticket) && state.running < self.limits.running {
                state.waiting.pop_front();
                state.running += 1;
                // With room for several, the next may go, too.
                self.changed.notify_all();
                return Ok(Pass { gate: self, bytes });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.waiting.retain(|other| *other != ticket);
                state.bytes -= bytes;
                self.changed.notify_all();
                return Err(Refusal::Deadline);
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// How many run and how many wait.
    pub(crate) fn load(&self) -> (usize, usize) {
        let state = self.lock();
        (state.running, state.waiting.len())
    }

    /// Nothing that holds it can panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.running -= 1;
        state.bytes -= self.bytes;
        self.gate.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const ONE: GateLimits = GateLimits { running: 1, waiting: 1, bytes: 100 };

    fn soon(ms: u64) -> Instant {
        Instant::now() + Duration::from_millis(ms)
    }

    #[test]
    fn one_runs_one_waits_and_the_third_is_sent_away() {
        let gate = Gate::new(ONE);
        let first = gate.enter(10, soon(0)).unwrap();
        std::thread::scope(|scope| {
            let (tell, told) = mpsc::channel();
            let gate = &gate;
            scope.spawn(move || {
                let pass = gate.enter(10, soon(60_000));
                tell.send(pass.is_ok()).unwrap();
            });
            while gate.load() != (1, 1) {
                std::thread::yield_now();
            }
            assert_eq!(gate.enter(10, soon(60_000)).unwrap_err(), Refusal::Busy);
            assert!(told.try_recv().is_err());
            drop(first);
            assert!(told.recv().unwrap());
        });
        assert_eq!(gate.load(), (0, 0));
    }

    #[test]
    fn bytes_are_bounded_for_one_and_for_all() {
        let gate = Gate::new(GateLimits { running: 2, ..ONE });
        assert_eq!(gate.enter(101, soon(0)).unwrap_err(), Refusal::TooLarge);
        let most = gate.enter(60, soon(0)).unwrap();
        assert_eq!(gate.enter(41, soon(0)).unwrap_err(), Refusal::Busy);
        let rest = gate.enter(40, soon(0)).unwrap();
        drop((most, rest));
        assert!(gate.enter(100, soon(0)).is_ok());
    }

    #[test]
    fn waiting_ends_at_the_deadline_and_leaves_nothing_behind() {
        let gate = Gate::new(ONE);
        let first = gate.enter(10, soon(0)).unwrap();
        assert_eq!(gate.enter(90, soon(5)).unwrap_err(), Refusal::Deadline);
        assert_eq!(gate.load(), (1, 0));
        drop(first);
        assert!(gate.enter(100, soon(0)).is_ok());
    }
}
