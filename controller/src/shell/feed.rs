//! The threads that predict: one that waits for orders, up to two that compute.
//!
//! They run at low priority, since shaped links on the same machine count every millisecond.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use orbit::Sky;
use topology::ContactPlan;
use types::{Epoch, PlanVersion};

use crate::config::PlanSection;
use crate::topology_feed::Feed;

/// Threads that compute.
const THREADS_MAX: usize = 2;
/// Grid points between two looks at whether to stop: some milliseconds each.
const POINTS_PER_LOOK: usize = 16;
/// The first plan covers this part of the horizon, so that work can begin while the rest is computed.
const FIRST_PART: u32 = 8;
/// How much the threads stand back.
const NICE: i32 = 10;

/// Makes contact plans in the background.
#[derive(Debug)]
pub struct Predictor {
    orders: Option<Sender<Epoch>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Predictor {
    /// Starts the thread; `sink` gets every plan. Versions count up from `before`.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(
        sky: Sky,
        section: &PlanSection,
        before: PlanVersion,
        sink: impl Fn(Result<ContactPlan, String>) + Send + 'static,
    ) -> io::Result<Self> {
        let (orders, received) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let horizon = Duration::from_secs(u64::from(section.horizon_s));
        let mut work = Work {
            feed: Feed::new(sky, section.step_ms),
            horizon,
            version: before,
            stop: Arc::clone(&stop),
        };
        let thread = thread::Builder::new().name("predict".to_owned()).spawn(move || {
            // Without the right to stand back it still works.
            rustix::process::nice(NICE).ok();
            work.serve(&received, &sink);
        })?;
        Ok(Self { orders: Some(orders), stop, thread: Some(thread) })
    }

    /// Asks for a plan from a moment of the sky on; of several open orders only the newest counts.
    pub fn order(&self, start: Epoch) {
        if let Some(orders) = &self.orders {
            // A thread that has ended has said why to the sink.
            orders.send(start).ok();
        }
    }
}

impl Drop for Predictor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // It panicked: there is nothing left to stop.
            thread.join().ok();
        }
    }
}

struct Work {
    feed: Feed,
    horizon: Duration,
    version: PlanVersion,
    stop: Arc<AtomicBool>,
}

impl Work {
    fn serve(&mut self, orders: &Receiver<Epoch>, sink: &impl Fn(Result<ContactPlan, String>)) {
        let mut is_first = true;
        while let Ok(order) = orders.recv() {
            let start = orders.try_iter().last().unwrap_or(order);
            if std::mem::take(&mut is_first) {
                self.make(start, self.horizon / FIRST_PART, sink);
            }
            self.make(start, self.horizon, sink);
        }
    }

    fn make(
        &mut self,
        start: Epoch,
        horizon: Duration,
        sink: &impl Fn(Result<ContactPlan, String>),
    ) {
        let made = self.predict(start, horizon).and_then(|()| {
            self.version = self.version.next();
            self.feed.plan(self.version, start, horizon).map_err(|error| error.to_string())
        });
        if !self.stop.load(Ordering::Relaxed) {
            sink(made);
        }
    }

    fn predict(&mut self, start: Epoch, horizon: Duration) -> Result<(), String> {
        let missing = self.feed.missing(start, horizon).map_err(|error| error.to_string())?;
        let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        let share = missing.len().div_ceil(threads).max(1);
        let (sky, stop) = (self.feed.sky().clone(), &self.stop);
        let rows = thread::scope(|scope| {
            let parts: Vec<_> = missing
                .chunks(share)
                .map(|points| scope.spawn(|| rows_of(&sky, points, stop)))
                .collect();
            // All are joined before any is looked at, or the scope would panic for those that are not.
            parts.into_iter().map(thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        let rows: Result<Vec<_>, _> = rows.into_iter().collect();
        let rows = rows.map_err(|_panic| "the prediction of the sky panicked".to_owned())?;
        self.feed.fill(&missing, rows.concat());
        Ok(())
    }
}

fn rows_of(sky: &Sky, points: &[Epoch], stop: &AtomicBool) -> Vec<Vec<orbit::PairNow>> {
    let looks = points.chunks(POINTS_PER_LOOK);
    looks.take_while(|_| !stop.load(Ordering::Relaxed)).flat_map(|p| sky.plan_slice(p)).collect()
}
