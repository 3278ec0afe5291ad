//! The thread that follows the sky: renews the link table, tick by tick.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use orbit::{LayoutMemo, PairNow, Sky};
use types::{Epoch, SkyClock};

use crate::replay::wall_now;
use crate::shape::{LinkParams, LinkShaper, PairId};

/// The table takes at most this share of a core: after work of 20 ms the thread rests for 180 ms.
const DUTY: u32 = 10;
/// Longest rest of a tick that the duty has stretched.
const TICK_MAX: Duration = Duration::from_secs(1);

/// What the sky has for `pairs` at `at`, in their order; `None` is no path.
pub fn link_table(
    sky: &Sky,
    memo: &mut LayoutMemo,
    pairs: &[PairId],
    at: Epoch,
) -> Vec<Option<LinkParams>> {
    let now = sky.pairs_at_with(memo, at);
    pairs.iter().map(|pair| link_of(&now, pair)).collect()
}

fn link_of(sorted: &[PairNow], pair: &PairId) -> Option<LinkParams> {
    let index = sorted.binary_search_by(|now| (&now.a, &now.b).cmp(&(&pair.a, &pair.b))).ok()?;
    let path = sorted[index].state?;
    Some(LinkParams { delay: path.latency.as_duration(), rate_kbps: path.rate_kbps })
}

/// The running thread; stops when dropped.
#[derive(Debug)]
pub struct SkyFollower {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Stop {
    asked: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    fn ask(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits for `rest`, less when asked to stop; says whether to go on.
    fn rest(&self, rest: Duration) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let (asked, _) = self
            .changed
            .wait_timeout_while(asked, rest, |asked| !*asked)
            .unwrap_or_else(PoisonError::into_inner);
        !*asked
    }
}

impl SkyFollower {
    /// Applies the table of this instant, then goes on every `tick`.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(
        sky: Sky,
        clock: SkyClock,
        tick: Duration,
        shaper: Arc<dyn LinkShaper>,
    ) -> io::Result<Self> {
        let mut memo = LayoutMemo::default();
        shaper.apply(link_table(&sky, &mut memo, shaper.pairs(), clock.sky(wall_now())));
        let stop = Arc::new(Stop::default());
        let asked = Arc::clone(&stop);
        let follow = move || {
            let mut rest = tick;
            while asked.rest(rest) {
                let began = Instant::now();
                let at = clock.sky(wall_now());
                shaper.apply(link_table(&sky, &mut memo, shaper.pairs(), at));
                rest = rest_after(began.elapsed(), tick);
            }
        };
        let thread = std::thread::Builder::new().name("sky".to_owned()).spawn(follow)?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Whether the thread still runs.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

/// How long to rest after a table that took `work`.
fn rest_after(work: Duration, tick: Duration) -> Duration {
    let stretched = work.saturating_mul(DUTY - 1).min(TICK_MAX);
    tick.saturating_sub(work).max(stretched)
}

impl Drop for SkyFollower {
    fn drop(&mut self) {
        self.stop.ask();
        if self.thread.take().map(JoinHandle::join).is_some_and(|joined| joined.is_err()) {
            tracing::error!("the thread that follows the sky panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_table_stretches_the_tick() {
        let ms = Duration::from_millis;
        for (work, expected) in [(0, 100), (2, 98), (10, 90), (20, 180), (500, 1000)] {
            assert_eq!(rest_after(ms(work), ms(100)), ms(expected), "{work}");
        }
    }
}
