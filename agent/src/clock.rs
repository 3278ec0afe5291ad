//! The clocks of the process, and the sky clock that it follows. The only place that reads a clock.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use types::{Epoch, Instant, SkyClock, WallTime};

use crate::event::Now;

/// All clocks; clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Clock {
    origin: std::time::Instant,
    sky: Arc<RwLock<SkyClock>>,
}

impl Clock {
    /// Starts at zero, under the sky of `sky`.
    pub fn start(sky: SkyClock) -> Self {
        Self { origin: std::time::Instant::now(), sky: Arc::new(RwLock::new(sky)) }
    }

    /// This moment.
    pub fn now(&self) -> Now {
        let (sky, wall) = (self.sky_clock(), wall_now());
        Now {
            at: self.instant(std::time::Instant::now()),
            wall,
            sky: sky.sky(wall),
            rate: sky.rate,
        }
    }

    /// The sky at this moment.
    pub fn sky(&self) -> Epoch {
        self.sky_clock().sky(wall_now())
    }

    /// The sky `ago` ago.
    pub fn sky_before(&self, ago: Duration) -> Epoch {
        let ago_ns = i64::try_from(ago.as_nanos()).unwrap_or(i64::MAX);
        self.sky_clock().sky(WallTime(wall_now().0.saturating_sub(ago_ns)))
    }

    /// The sky clock that is followed.
    pub fn sky_clock(&self) -> SkyClock {
        *self.sky.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows another sky clock; says whether it is another one.
    pub fn follow(&self, clock: SkyClock) -> bool {
        let mut sky = self.sky.write().unwrap_or_else(PoisonError::into_inner);
        let is_other = *sky != clock;
        *sky = clock;
        is_other
    }

    /// A moment of the process's monotonic clock for the operating system's.
    pub fn system(&self, at: Instant) -> std::time::Instant {
        self.origin.checked_add(Duration::from_nanos(at.0)).unwrap_or(self.origin)
    }

    fn instant(&self, at: std::time::Instant) -> Instant {
        let since = at.saturating_duration_since(self.origin);
        Instant(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

fn wall_now() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    WallTime(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sky_follows_the_clock_that_was_set() {
        let clock = Clock::start(SkyClock::REAL);
        let start = Epoch::parse("2024-12-15T00:00:00Z").unwrap();
        let wall = clock.now().wall;
        let fast = SkyClock::new(start, wall, 30.0).unwrap();
        assert!(clock.follow(fast));
        assert!(!clock.follow(fast));
        let now = clock.now();
        let ahead_s = now.sky.seconds_since(start);
        let wall_s = f64::from(u32::try_from(now.wall.0 - wall.0).unwrap()) / 1e9;
        assert!((ahead_s - 30.0 * wall_s).abs() < 1e-3, "{ahead_s} s of sky in {wall_s} s");
        assert!(clock.sky_before(Duration::from_secs(1)) < start.plus_s(ahead_s));
        // A minute of sky ahead is two seconds of wall.
        let wait = now.when(now.sky.plus_s(60.0)).saturating_since(now.at);
        assert!((wait.as_secs_f64() - 2.0).abs() < 1e-6, "{wait:?}");
    }
}
