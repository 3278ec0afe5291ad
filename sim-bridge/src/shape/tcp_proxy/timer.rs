//! A timer of nanoseconds and what it is set for.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use types::Instant;

const NS_PER_S: u64 = 1_000_000_000;

/// The monotonic clock of the machine.
pub(super) fn now() -> Instant {
    let time = clock_gettime(ClockId::Monotonic);
    let (s, ns) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    Instant(s.unwrap_or(0) * NS_PER_S + ns.unwrap_or(0))
}

/// Wakes a poll at the earliest of the times it was given; says then whom each was for.
#[derive(Debug)]
pub(super) struct Timer<T> {
    fd: OwnedFd,
    wakes: BinaryHeap<Reverse<(Instant, T)>>,
    armed: Option<Instant>,
}

impl<T: Ord> Timer<T> {
    /// A timer that wakes the poll of `registry` with `token`.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        registry.register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { fd, wakes: BinaryHeap::new(), armed: None })
    }

    /// Also wakes at `at` for `whom`; in force from [`Timer::arm`].
    pub(super) fn add(&mut self, at: Instant, whom: T) {
        self.wakes.push(Reverse((at, whom)));
    }

    /// The next one whose time has come.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(Instant, T)> {
        let Reverse((at, _)) = self.wakes.peek()?;
        if now < *at {
            return None;
        }
        self.wakes.pop().map(|Reverse(wake)| wake)
    }

    /// Sets the timer to the earliest time.
    pub(super) fn arm(&mut self) -> io::Result<()> {
        let earliest = self.wakes.peek().map(|Reverse((at, _))| *at);
        if earliest == self.armed {
            return Ok(());
        }
        // All zero disarms.
        let ns = earliest.map_or(0, |at| at.0.max(1));
        let part = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let it_value = Timespec { tv_sec: part(ns / NS_PER_S), tv_nsec: part(ns % NS_PER_S) };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let spec = Itimerspec { it_interval, it_value };
        timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &spec)?;
        self.armed = earliest;
        Ok(())
    }
}
