//! The ticks that let a running guest be stopped: a thread that ticks every millisecond while guests run and sleeps otherwise.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::Engine;

/// Time between ticks. A guest is stopped at most two of them after its deadline.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Owns the thread; ends it when dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Guests that run.
    running: u32,
    /// Guests that have run, so that the thread does not fall asleep between two short calls.
    started: u64,
    asleep: bool,
    ended: bool,
}

impl Ticker {
    /// Starts the thread, which sleeps until the first guest runs.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(engine: Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = std::thread::Builder::new().name("epoch-ticks".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.tick(&engine)
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Ticks at least until the answer is dropped.
    pub(crate) fn run(&self) -> Running<'_> {
        let mut state = self.shared.lock();
        state.running += 1;
        state.started = state.started.wrapping_add(1);
        if state.asleep {
            state.asleep = false;
            self.shared.wake.notify_one();
        }
        Running(&self.shared)
    }

    #[cfg(test)]
    fn is_asleep(&self) -> bool {
        self.shared.lock().asleep
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.wake.notify_one();
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

/// A guest that runs.
#[derive(Debug)]
pub(crate) struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
    }
}

impl Shared {
    /// The state stays whole when a holder panics, since each changes it in one step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self, engine: &Engine) {
        let mut state = self.lock();
        let mut seen = state.started;
        while !state.ended {
            let idle = state.running == 0 && state.started == seen;
            seen = state.started;
            state = if idle {
                state.asleep = true;
                self.wake.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                drop(state);
                std::thread::sleep(TICK);
                engine.increment_epoch();
                self.lock()
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Polls until `done`, for a time that only a broken ticker needs.
    fn wait_until(done: impl Fn() -> bool) {
        for _ in 0..10_000 {
            if done() {
                return;
            }
            std::thread::sleep(TICK);
        }
        panic!("waited 10 s in vain");
    }

    #[test]
    fn the_thread_sleeps_unless_a_guest_runs() {
        let ticker = Ticker::start(Engine::default()).unwrap();
        wait_until(|| ticker.is_asleep());
        let running = ticker.run();
        assert!(!ticker.is_asleep());
        drop(running);
        wait_until(|| ticker.is_asleep());
    }
}
