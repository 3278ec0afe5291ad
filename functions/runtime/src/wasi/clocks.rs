//! Time: the monotonic clock counts from its first use, the wall clock is the sky's, and waiting ends at the deadline.

use std::time::{Duration, Instant};

use wasmtime::component::Resource;

use super::Wasi;
use super::bindings::wasi::clocks::wall_clock::Datetime;
use super::bindings::wasi::clocks::{monotonic_clock, wall_clock};
use super::bindings::wasi::io::poll;
use crate::CallFault;
use crate::context::Context;

const NS_PER_S: i64 = 1_000_000_000;

/// What can be waited for: a time, or what is always ready.
#[derive(Clone, Copy, Debug)]
#[expect(unreachable_pub, reason = "the generated interfaces publish it among themselves")]
pub enum Timer {
    /// A stream: it never makes anybody wait.
    Ready,
    /// From then on.
    At(Instant),
    /// Beyond what the clock can count.
    Never,
}

impl Timer {
    fn is_ready(self, now: Instant) -> bool {
        match self {
            Self::Ready => true,
            Self::At(at) => at <= now,
            Self::Never => false,
        }
    }

    fn after(start: Instant, ns: u64) -> Self {
        start.checked_add(Duration::from_nanos(ns)).map_or(Self::Never, Self::At)
    }
}

impl Wasi {
    fn timer(&mut self, handle: &Resource<Timer>) -> wasmtime::Result<Timer> {
        Ok(*self.handles().get(handle)?)
    }

    /// Sleeps until the first of these is ready, or the call is over: then `false`.
    fn wait(&self, timers: &[Timer]) -> bool {
        let now = Instant::now();
        if timers.iter().any(|timer| timer.is_ready(now)) {
            return true;
        }
        let until = |timer: &Timer| match timer {
            Timer::At(at) => Some(*at),
            Timer::Ready | Timer::Never => None,
        };
        let first = timers.iter().filter_map(until).min();
        let end = first.map_or(self.deadline, |first| first.min(self.deadline));
        std::thread::sleep(end.saturating_duration_since(now));
        first.is_some_and(|first| first <= self.deadline)
    }
}

impl Context {
    fn wait(&mut self, timers: &[Timer]) -> wasmtime::Result<()> {
        if self.wasi.wait(timers) {
            return Ok(());
        }
        self.stopped = Some(CallFault::Deadline);
        Err(wasmtime::Error::msg("it slept past its deadline"))
    }
}

impl poll::Host for Context {
    fn poll(&mut self, handles: Vec<Resource<Timer>>) -> wasmtime::Result<Vec<u32>> {
        if handles.is_empty() {
            return Err(wasmtime::Error::msg("it waits for nothing: an empty list of timers"));
        }
        let timers = handles.iter().map(|handle| self.wasi.timer(handle));
        let timers = timers.collect::<wasmtime::Result<Vec<_>>>()?;
        self.wait(&timers)?;
        let now = Instant::now();
        let ready = (0..).zip(&timers).filter(|(_, timer)| timer.is_ready(now));
        Ok(ready.map(|(index, _)| index).collect())
    }
}

impl poll::HostPollable for Context {
    fn ready(&mut self, handle: Resource<Timer>) -> wasmtime::Result<bool> {
        Ok(self.wasi.timer(&handle)?.is_ready(Instant::now()))
    }

    fn block(&mut self, handle: Resource<Timer>) -> wasmtime::Result<()> {
        let timer = self.wasi.timer(&handle)?;
        self.wait(&[timer])
    }

    fn drop(&mut self, handle: Resource<Timer>) -> wasmtime::Result<()> {
        self.wasi.take_back(handle)
    }
}

impl monotonic_clock::Host for Context {
    fn now(&mut self) -> wasmtime::Result<u64> {
        let since = self.wasi.used().started.elapsed();
        Ok(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<Timer>> {
        let started = self.wasi.used().started;
        self.wasi.give(Timer::after(started, when))
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<Timer>> {
        self.wasi.give(Timer::after(Instant::now(), duration))
    }
}

impl wall_clock::Host for Context {
    fn now(&mut self) -> Datetime {
        // WASI cannot say a time before 1970.
        let ns = self.host().sky_now().unix_ns().max(0);
        let seconds = u64::try_from(ns / NS_PER_S).unwrap_or_default();
        let nanoseconds = u32::try_from(ns % NS_PER_S).unwrap_or_default();
        Datetime { seconds, nanoseconds }
    }

    fn resolution(&mut self) -> Datetime {
        Datetime { seconds: 0, nanoseconds: 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasi::random::Seed;

    fn wasi(time: Duration) -> Wasi {
        Wasi::new(Instant::now() + time, Seed { module: [0; 32], id: 1, attempt: 1 })
    }

    #[test]
    fn the_first_timer_ends_the_wait() {
        let (wasi, started) = (wasi(Duration::from_mins(1)), Instant::now());
        let timers =
            [Timer::Never, Timer::after(started, 2_000_000), Timer::after(started, 1 << 60)];
        assert!(wasi.wait(&timers));
        assert!(Duration::from_millis(2) <= started.elapsed());
        assert!(wasi.wait(&[Timer::Never, Timer::Ready]));
    }

    #[test]
    fn no_wait_goes_past_the_deadline() {
        let started = Instant::now();
        for timer in [Timer::Never, Timer::after(started, u64::MAX), Timer::after(started, 1 << 60)]
        {
            assert!(!wasi(Duration::from_millis(5)).wait(&[timer]), "{timer:?}");
        }
        // Three times 5 ms, on a machine that may be busy.
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}
