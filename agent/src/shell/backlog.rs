//! Keeps what the controller has no receipt for, and brings it later: one task, which owns the queue on disk.
//!
//! Live data goes past it. About once a second it asks the controller for a receipt; what that does not name goes to
//! disk, and once the line is heard again, goes out in the background between the questions.

mod files;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::backlog::{Backlog, LATE_BYTES_MAX, Late, LateStream, Receipt};
use protocol::report::{BacklogReport, Line};
use protocol::{decode, encode};
use queue::{Cause, Limits, New, Queue, Status};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use types::{BootId, Epoch, Instant, NodeId};

use self::files::Files;
use super::work::Work;
use crate::backlog::{EVENTS, Numbers, REPORTS, late, report, series, streams};
use crate::config::QueueConfig;
use crate::plan::{Outlook, PlanBook, room_bytes};
use crate::uplink::{Sent, Uplink};

/// Live data are given so long to be receipted before they are brought again.
const LIVE: Duration = Duration::from_secs(5);
/// How long a receipt may take: one round trip and what a message needs on a slow link.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(3);
/// A message of late records may take a link for so long, so that what is live is not held up.
const LATE_TIME: Duration = Duration::from_millis(500);
/// Least bytes of late records that are worth a message.
const LATE_BYTES_MIN: usize = 4 * 1024;
/// The same where nothing is known of the link.
const LATE_BYTES_UNKNOWN: usize = 32 * 1024;

/// What the node has said.
pub(super) enum Said {
    /// A report.
    Report(Sent),
    /// An event, which counts until it is receipted.
    Event {
        /// When (sky).
        at: Epoch,
        /// Its frame.
        frame: Vec<u8>,
    },
    /// The process ends: keep what there is, then say so.
    End(oneshot::Sender<()>),
}

/// The way to the task.
#[derive(Clone)]
pub(super) struct Keeping {
    said: mpsc::UnboundedSender<Said>,
    told: Arc<Mutex<Option<BacklogReport>>>,
}

impl Keeping {
    /// The way, and its end. What is said is bounded by the schedule of reports; the task never waits for a link.
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Said>) {
        let (said, hears) = mpsc::unbounded_channel();
        (Self { said, told: Arc::default() }, hears)
    }

    /// Something was said.
    pub(super) fn say(&self, said: Said) {
        if self.said.send(said).is_err() {
            tracing::debug!("said after the end");
        }
    }

    /// How the backlog stands; `None` before it is open.
    pub(super) fn report(&self) -> Option<BacklogReport> {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until what was said is durable.
    pub(super) async fn end(&self) {
        let (done, ended) = oneshot::channel();
        self.say(Said::End(done));
        // The task may have ended before.
        ended.await.ok();
    }
}

/// What the task is told at its start.
pub(super) struct Keep {
    pub(super) dir: PathBuf,
    pub(super) config: QueueConfig,
    pub(super) boot: BootId,
    pub(super) plan: PlanBook,
    pub(super) controller: Option<NodeId>,
}

/// A question under way: the late records that it brings, and its answer.
type Asking = (Option<(BootId, LateStream, u64)>, JoinHandle<Option<Receipt>>);

struct Keeper {
    work: Arc<Work>,
    boot: BootId,
    plan: PlanBook,
    quota_bytes: u64,
    queue: Option<Queue<Files>>,
    wakes_at: Option<Instant>,
    uplink: Uplink,
    to_write: Vec<New>,
    asking: Option<Asking>,
    /// Why the disk takes nothing, as it was told last.
    refused: Option<Cause>,
}

/// The task.
pub(super) async fn keep(work: Arc<Work>, keep: Keep, mut hears: mpsc::UnboundedReceiver<Said>) {
    let now = work.clock().now().at;
    let (quota_bytes, streams) = (keep.config.quota_bytes, streams(&keep.config));
    let (dir, boot) = (keep.dir, keep.boot.0);
    let open = move || Queue::open(Files::new(dir), Limits::new(quota_bytes), &streams, boot, now);
    let mut pulse = work.health().pulse("backlog");
    let queue = match pulse.during(tokio::task::spawn_blocking(open)).await {
        Ok(queue) => queue,
        Err(error) => return tracing::error!(%error, "the backlog cannot be kept"),
    };
    tell_opened(&queue.status());
    let mut keeper = Keeper {
        uplink: Uplink::new(now, keep.controller),
        boot: keep.boot,
        plan: keep.plan,
        quota_bytes,
        queue: Some(queue),
        wakes_at: None,
        to_write: Vec::new(),
        asking: None,
        refused: None,
        work,
    };
    loop {
        let wake = keeper.work.clock().system(keeper.wake_at());
        tokio::select! {
            biased;
            () = pulse.asked() => {}
            answer = answered(&mut keeper.asking) => keeper.answered(answer).await,
            said = hears.recv() => match said {
                Some(Said::Report(sent)) => keeper.sent(sent),
                Some(Said::Event { at, frame }) => keeper.happened(at, frame),
                Some(Said::End(done)) => {
                    keeper.end().await;
                    // Who waited may have given up.
                    done.send(()).ok();
                    return;
                }
                None => return,
            },
            () = tokio::time::sleep_until(wake.into()) => {}
        }
        keeper.turn().await;
    }
}

fn tell_opened(status: &Status) {
    let (records, bytes) = (status.records, status.disk_bytes);
    let (damaged, failed) = (status.counters.damaged_bytes, status.failed);
    if damaged != 0 || failed.is_some() {
        tracing::warn!(records, bytes, damaged, ?failed, "backlog");
    } else {
        tracing::info!(records, bytes, "backlog");
    }
}

async fn answered(
    asking: &mut Option<Asking>,
) -> (Option<(BootId, LateStream, u64)>, Option<Receipt>) {
    let Some((_, question)) = asking else { return std::future::pending().await };
    let receipt = question.await.unwrap_or_else(|error| {
        tracing::error!(%error, "receipt was lost");
        None
    });
    let brought = asking.take().and_then(|(brought, _)| brought);
    (brought, receipt)
}

impl Keeper {
    fn wake_at(&self) -> Instant {
        let ask_at = self.asking.is_none().then(|| self.uplink.ask_at());
        let due = [ask_at, self.uplink.overdue_at(), self.wakes_at];
        // While a question is under way, its answer wakes; the rest can wait as long as a receipt may take.
        let latest = self.work.clock().now().at.plus(RECEIPT_TIMEOUT);
        due.into_iter().flatten().min().unwrap_or(latest)
    }

    fn sent(&mut self, sent: Sent) {
        let now = self.work.clock().now().at;
        let surplus = self.uplink.sent(now, sent);
        self.to_write.extend(surplus.map(new));
    }

    /// Events come in order and are kept from the first, so that their ids in the queue are their numbers.
    fn happened(&mut self, at: Epoch, frame: Vec<u8>) {
        self.to_write.push(New { stream: EVENTS, series: 0, at, payload: frame });
    }

    /// What the plan says of the way to the controller.
    fn outlook(&self) -> Outlook {
        let now = self.work.clock().now();
        self.uplink.controller().map_or(Outlook::Unknown, |node| self.plan.outlook(node, &now))
    }

    async fn turn(&mut self) {
        let now = self.work.clock().now().at;
        let outlook = self.outlook();
        match self.uplink.look(now, outlook) {
            Some(Line::Expected) => {
                tracing::info!(?outlook, "controller is silent, as the contact plan says");
            }
            Some(_) => {
                tracing::warn!(?outlook, "controller is silent; what it does not hear is kept");
            }
            None => {}
        }
        let overdue = self.uplink.overdue(now);
        self.to_write.extend(overdue.into_iter().map(new));
        if !self.to_write.is_empty() || self.wakes_at.is_none_or(|at| at <= now) {
            self.write().await;
        }
        if self.asking.is_none() && self.uplink.ask_at() <= now {
            self.ask(now, outlook).await;
        }
    }

    /// Writes what is to be kept, and lets the queue do what is due.
    async fn write(&mut self) {
        let now = self.work.clock().now().at;
        let to_write = std::mem::take(&mut self.to_write);
        self.with_queue(move |queue| {
            for new in to_write {
                queue.push(now, new);
            }
            queue.tick(now, &Numbers);
        })
        .await;
    }

    /// Works with the queue off the reactor, and tells how it stands.
    async fn with_queue<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Queue<Files>) -> T + Send + 'static,
    ) -> Option<T> {
        let mut queue = self.queue.take()?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&mut queue);
            (queue, done)
        });
        let (queue, done) = match done.await {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(%error, "the backlog was lost");
                return None;
            }
        };
        let now = self.work.clock().now().at;
        // Old segments are looked for now and then, also while nothing is written.
        let rest = now.plus(Duration::from_secs(60));
        self.wakes_at = Some(queue.deadline().unwrap_or(rest).max(now));
        let status = queue.status();
        self.tell_disk(&status);
        let told = report(&status, self.quota_bytes, self.uplink.line());
        *self.work.keeping().told.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
        self.queue = Some(queue);
        Some(done)
    }

    /// Once when the disk refuses, and once when it has taken all that waited for it.
    fn tell_disk(&mut self, status: &Status) {
        let (memory_bytes, lost) = (status.memory_bytes, status.counters.lost_memory);
        match status.failed {
            Some((cause, _)) if self.refused != Some(cause) => {
                tracing::warn!(
                    ?cause,
                    memory_bytes,
                    "the disk takes no backlog; it stays in memory, and the oldest is given up when that is full"
                );
                self.refused = Some(cause);
            }
            None if self.refused.is_some() && memory_bytes == 0 => {
                tracing::info!(lost, "the disk takes the backlog again");
                self.refused = None;
            }
            _ => {}
        }
    }

    /// Asks for a receipt, and brings late records if the line is heard and the window has room for them.
    async fn ask(&mut self, now: Instant, outlook: Outlook) {
        let bytes_max = late_bytes(outlook).filter(|_| self.uplink.line() == Line::Heard);
        let late = match bytes_max {
            Some(bytes_max) => {
                let batch = self.with_queue(move |queue| queue.batch_older(now, bytes_max, LIVE));
                batch.await.flatten().and_then(late)
            }
            None => None,
        };
        let brought = late.as_ref().and_then(brought);
        let (is_late, node) = (late.is_some(), self.work.me().clone());
        let question = Backlog { node, boot: self.boot, late };
        let fleet = self.work.fleet().clone();
        let asked = tokio::spawn(async move {
            let frame = encode(&question)
                .inspect_err(|error| tracing::error!(%error, "backlog cannot be sent"))
                .ok()?;
            let answer = fleet.backlog(frame, is_late, RECEIPT_TIMEOUT).await.ok()?;
            decode::<Receipt>(&answer)
                .inspect_err(|error| tracing::warn!(%error, "receipt dropped"))
                .ok()
        });
        self.asking = Some((brought, asked));
    }

    async fn answered(
        &mut self,
        (brought, receipt): (Option<(BootId, LateStream, u64)>, Option<Receipt>),
    ) {
        let now = self.work.clock().now().at;
        let Some(receipt) = receipt else {
            let outlook = self.outlook();
            return self.uplink.unanswered(now, outlook);
        };
        let was = self.uplink.line();
        let (missed, is_other) = self.uplink.receipt(now, &receipt, brought.is_some());
        if was != Line::Heard {
            tracing::info!(controller = %receipt.controller, "controller is heard");
        }
        if is_other {
            self.work.know_controller(&receipt.controller);
        }
        self.to_write.extend(missed.into_iter().map(new));
        let boot = self.boot.0;
        let late_through = receipt.late_through;
        self.with_queue(move |queue| {
            queue.acknowledge(boot, EVENTS, receipt.events_through);
            if let (Some((boot, stream, last)), Some(through)) = (brought, late_through) {
                let stream = match stream {
                    LateStream::Events => EVENTS,
                    LateStream::Reports => REPORTS,
                };
                queue.acknowledge(boot.0, stream, through.min(last));
            }
        })
        .await;
    }

    async fn end(&mut self) {
        let rest = self.uplink.rest();
        self.to_write.extend(rest.into_iter().map(new));
        self.write().await;
        let now = self.work.clock().now().at;
        self.with_queue(move |queue| queue.settle(now)).await;
    }
}

fn new(sent: Sent) -> New {
    New { stream: REPORTS, series: series(sent.group), at: sent.at, payload: sent.frame }
}

fn brought(late: &Late) -> Option<(BootId, LateStream, u64)> {
    Some((late.boot, late.stream, late.records.last()?.id))
}

/// How many bytes of late records may be sent at once; `None` while there is no room.
fn late_bytes(outlook: Outlook) -> Option<usize> {
    match outlook {
        Outlook::Unknown => Some(LATE_BYTES_UNKNOWN),
        Outlook::Closed { .. } => None,
        Outlook::Open { left, rate_kbps } => {
            let fits = room_bytes(left.min(LATE_TIME), rate_kbps).min(LATE_BYTES_MAX as u64);
            let at_once = usize::try_from(fits).ok()?;
            let ends = room_bytes(left, rate_kbps);
            (LATE_BYTES_MIN as u64 <= ends).then_some(at_once.max(LATE_BYTES_MIN))
        }
    }
}
