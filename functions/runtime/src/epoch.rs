//! The ticks that let a running guest be stopped: a thread that ticks every millisecond while guests run and sleeps otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use wasmtime::Engine;

/// Time between ticks. A guest is stopped at most two of them after its deadline.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Owns the thread; ends it when dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    ticks: Thread,
    thread: Option<JoinHandle<()>>,
}

/// What a call costs here is two atomic additions, without a lock.
#[derive(Debug, Default)]
struct Shared {
    /// Guests that run, in the lower half; guests that have ever run, in the upper half: so the thread does not fall asleep between
    /// two short calls.
    guests: AtomicU64,
    asleep: AtomicBool,
    ended: AtomicBool,
}

/// One that runs.
const RUNNING: u64 = 1;
/// One that has ever run.
const STARTED: u64 = 1 << 32;

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
        Ok(Self { shared, ticks: thread.thread().clone(), thread: Some(thread) })
    }

    /// Ticks at least until the answer is dropped.
    pub(crate) fn run(&self) -> Running<'_> {
        // Either the thread sees this when it looks once more before it sleeps, or this sees that it sleeps: both are in one order.
        self.shared.guests.fetch_add(STARTED | RUNNING, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.ticks.unpark();
        }
        Running(&self.shared)
    }

    #[cfg(test)]
    fn is_asleep(&self) -> bool {
        self.shared.asleep.load(Ordering::SeqCst)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.ticks.unpark();
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
        self.0.guests.fetch_sub(RUNNING, Ordering::SeqCst);
    }
}

impl Shared {
    fn tick(&self, engine: &Engine) {
        let mut seen = 0;
        while !self.ended.load(Ordering::SeqCst) {
            let guests = self.guests.load(Ordering::SeqCst);
            // None runs, and none has begun to since the last tick.
            if guests == seen && guests.is_multiple_of(STARTED) {
                self.sleep(guests);
                continue;
            }
            seen = guests;
            std::thread::sleep(TICK);
            engine.increment_epoch();
        }
    }

    /// Sleeps until there are other guests than these.
    fn sleep(&self, guests: u64) {
        self.asleep.store(true, Ordering::SeqCst);
        while self.guests.load(Ordering::SeqCst) == guests && !self.ended.load(Ordering::SeqCst) {
            std::thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::{Config, Instance, Module, Store, Trap};

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

    /// Runs a guest that never ends until so many ticks have come.
    fn run_for_ticks(engine: &Engine, ticks: u64) {
        let text = r#"(module (func (export "run") (loop $again (br $again))))"#;
        let module = Module::new(engine, wat::parse_str(text).unwrap()).unwrap();
        let mut store = Store::new(engine, ());
        store.set_epoch_deadline(ticks);
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
        assert_eq!(run.call(&mut store, ()).unwrap_err().downcast_ref(), Some(&Trap::Interrupt));
    }

    #[test]
    fn the_thread_sleeps_unless_a_guest_runs() {
        let engine = Engine::new(Config::new().epoch_interruption(true)).unwrap();
        let ticker = Ticker::start(engine.clone()).unwrap();
        wait_until(|| ticker.is_asleep());
        let running = ticker.run();
        wait_until(|| !ticker.is_asleep());
        let longer = ticker.run();
        drop(running);
        run_for_ticks(&engine, 20);
        assert!(!ticker.is_asleep());
        drop(longer);
        wait_until(|| ticker.is_asleep());
    }

    #[test]
    fn no_guest_is_missed() {
        let ticker = Ticker::start(Engine::default()).unwrap();
        for _ in 0..200 {
            wait_until(|| ticker.is_asleep());
            let running = ticker.run();
            wait_until(|| !ticker.is_asleep());
            drop(running);
        }
    }
}
