//! What is done all the time beside the shell's loop: plans and signers are followed, logs, topics and boards told, the house kept.

use std::sync::Arc;
use std::time::Duration;

use protocol::plan::{PlanMessage, PlanQuery};
use protocol::report::Header;
use protocol::signed::Signers;
use protocol::{decode, encode};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use types::{BootId, Uptime};

use super::membership::Membership;
use super::watchdog;
use super::work::{PLAN, Work};
use crate::exec::log::LogTap;
use crate::exec::module::Modules as _;
use crate::exec::topics::Emission;
use crate::health::Pulse;
use crate::plan::PlanBook;
use crate::serial::{self, Lines};

/// Between two looks for a newer plan: every one is also put, so this only fills gaps.
const PLAN_INTERVAL: Duration = Duration::from_secs(30);
/// The same, as long as there is none.
const PLAN_RETRY: Duration = Duration::from_secs(1);
/// Between two times that the plan is kept on disk: one that is a minute old serves as well.
const PLAN_KEPT: Duration = Duration::from_secs(60);
/// Plans that wait to be read.
const PLANS_MAX: usize = 2;
/// Between two looks for a newer list of signers: every one is also put, so this only fills gaps.
const SIGNERS_INTERVAL: Duration = Duration::from_secs(30);
/// Between two messages with lines of the same task.
const LOG_INTERVAL: Duration = Duration::from_millis(200);
/// Lists of signers that wait to be read.
const SIGNERS_MAX: usize = 2;
/// Between two times that battery and temperature are kept, garbage is collected, and functions are looked through whose
/// time is over; calls of these are refused at once.
const HOUSEKEEPING: Duration = Duration::from_secs(10);
/// How long the objects of finished runs are kept, on the wall clock.
const RUNS_KEPT: Duration = Duration::from_secs(24 * 3600);
/// The same, when the store is more than four fifths full.
const RUNS_KEPT_FULL: Duration = Duration::from_secs(600);

/// What is done all the time.
pub(super) fn chores(
    work: &Arc<Work>,
    membership: Option<&Membership>,
    (plan, boot): (PlanBook, BootId),
    (logs, committed): (LogTap, mpsc::UnboundedReceiver<Emission>),
) -> Vec<JoinHandle<()>> {
    let pulse = |task| work.health().pulse(task);
    let all = [
        tokio::spawn(follow_plan(Arc::clone(work), plan, pulse("plan"))),
        tokio::spawn(follow_signers(Arc::clone(work), pulse("signers"))),
        tokio::spawn(send_logs(Arc::clone(work), logs, boot, pulse("logs"))),
        tokio::spawn(send_topics(Arc::clone(work), committed, boot, pulse("topics"))),
        tokio::spawn(keep_house(Arc::clone(work), pulse("house"))),
        tokio::spawn(watchdog::watch_over(Arc::clone(work))),
    ];
    all.into_iter().chain(membership.iter().flat_map(|member| member.attend(work))).collect()
}

/// Follows the contact plan: what is put, and what was missed.
async fn follow_plan(work: Arc<Work>, plan: PlanBook, mut pulse: Pulse) {
    let (frames, mut put) = mpsc::channel(PLANS_MAX);
    if let Err(error) = work.fleet().follow_plan(frames).await {
        tracing::error!(%error, "the contact plan is only asked for");
    }
    let mut kept_at = None;
    while work.is_wanted() {
        let query = encode(&PlanQuery { have: plan.version() });
        if let Ok(query) = query
            && let Ok(frame) = work.fleet().plan(query).await
        {
            take_plan(&work, &plan, frame, &mut kept_at).await;
        }
        let pause = if plan.version().is_some() { PLAN_INTERVAL } else { PLAN_RETRY };
        let next = tokio::time::Instant::now() + pause;
        while let Ok(Some(frame)) = pulse.during(tokio::time::timeout_at(next, put.recv())).await {
            take_plan(&work, &plan, frame, &mut kept_at).await;
        }
        // Without a subscription there is nothing to receive, and nothing may spin.
        pulse.during(tokio::time::sleep_until(next)).await;
    }
}

/// Follows whose signatures count: what is put, and what was missed.
async fn follow_signers(work: Arc<Work>, mut pulse: Pulse) {
    let (frames, mut put) = mpsc::channel(SIGNERS_MAX);
    if let Err(error) = work.fleet().follow_signers(frames).await {
        tracing::error!(%error, "the list of signers is only asked for");
    }
    while work.is_wanted() {
        match work.fleet().signers().await {
            Ok(list) => work.trust(list).await,
            Err(error) => tracing::debug!(%error, "signers"),
        }
        let next = tokio::time::Instant::now() + SIGNERS_INTERVAL;
        while let Ok(Some(frame)) = pulse.during(tokio::time::timeout_at(next, put.recv())).await {
            match decode::<Signers>(&frame) {
                Ok(list) => work.trust(list).await,
                Err(error) => tracing::warn!(%error, "list of signers dropped"),
            }
        }
        pulse.during(tokio::time::sleep_until(next)).await;
    }
}

/// Sends what functions log, a message for each task at most so often.
async fn send_logs(work: Arc<Work>, logs: LogTap, boot: BootId, mut pulse: Pulse) {
    let mut seq = 0;
    while work.is_wanted() {
        pulse.during(logs.news()).await;
        // What comes meanwhile goes along.
        tokio::time::sleep(LOG_INTERVAL).await;
        loop {
            let taken = logs.take();
            if taken.is_empty() {
                break;
            }
            for lines in taken {
                seq += 1;
                let now = work.clock().now();
                let at = (now.sky, Duration::from_nanos(now.at.0));
                match encode(&lines.batch(work.me(), boot, seq, at)) {
                    Ok(frame) => work.fleet().publish_log(frame),
                    Err(error) => tracing::error!(%error, "log cannot be sent"),
                }
            }
        }
    }
}

/// Sends what committed calls said on topics, in order.
async fn send_topics(
    work: Arc<Work>,
    mut committed: mpsc::UnboundedReceiver<Emission>,
    boot: BootId,
    mut pulse: Pulse,
) {
    let mut seq = 0;
    while let Some(emission) = pulse.during(committed.recv()).await {
        seq += 1;
        let now = work.clock().now();
        let uptime = Uptime(now.at.0 / 1_000_000);
        let header = Header { node: work.me().clone(), boot, seq, at: now.sky, uptime };
        // The room is taken until the message is gone.
        let (message, _room) = emission.message(header);
        let frame = match encode(&message) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::error!(%error, topic = message.topic, "message cannot be sent");
                continue;
            }
        };
        let fleet = work.fleet().clone();
        let sent = move || fleet.publish_topic_blocking(&message.topic, frame);
        // It waits for a congested link, which is no fault of the agent.
        if let Err(error) = pulse.during(tokio::task::spawn_blocking(sent)).await {
            tracing::error!(%error, "message was lost");
        }
    }
}

/// Tells of the boards at the serial lines.
pub(super) async fn tell_of_boards(
    work: Arc<Work>,
    lines: Lines,
    boot: BootId,
    interval: Duration,
) {
    if lines.iter().len() == 0 {
        return;
    }
    let (mut seq, mut pulse) = (0, work.health().pulse("boards"));
    while work.is_wanted() {
        pulse.during(tokio::time::sleep(interval)).await;
        for line in lines.iter() {
            let now = work.clock().now();
            let uptime = Uptime(now.at.0 / 1_000_000);
            let header =
                Header { node: work.me().clone(), boot, seq: seq + 1, at: now.sky, uptime };
            // One that was never heard has no key.
            let Some(report) = serial::report::of(line, header) else { continue };
            seq += 1;
            match encode(&report) {
                Ok(frame) => work.fleet().publish_board(report.uid, frame),
                Err(error) => tracing::error!(%error, board = report.name, "report cannot be sent"),
            }
        }
    }
}

async fn take_plan(
    work: &Arc<Work>,
    plan: &PlanBook,
    frame: Vec<u8>,
    kept_at: &mut Option<tokio::time::Instant>,
) {
    let is_due = kept_at.is_none_or(|at: tokio::time::Instant| PLAN_KEPT <= at.elapsed());
    let (work, plan) = (Arc::clone(work), plan.clone());
    let taken = tokio::task::spawn_blocking(move || {
        let message = match decode::<PlanMessage>(&frame) {
            Ok(message) => message,
            Err(error) => {
                work.frames_dropped().fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                tracing::warn!(%error, "contact plan dropped");
                return false;
            }
        };
        let version = message.version;
        let own = is_due.then(|| plan.own(&message));
        match plan.take(message) {
            Ok(true) => tracing::info!(%version, "contact plan"),
            Ok(false) => return false,
            Err(error) => {
                tracing::warn!(%version, %error, "contact plan dropped");
                return false;
            }
        }
        match own.map(|own| encode(&own)) {
            Some(Ok(frame)) => work.keep_record(PLAN, frame),
            Some(Err(error)) => tracing::error!(%error, "contact plan cannot be kept"),
            None => return false,
        }
        true
    });
    match taken.await {
        Ok(true) => *kept_at = Some(tokio::time::Instant::now()),
        Ok(false) => {}
        Err(error) => tracing::error!(%error, "contact plan was lost"),
    }
}

/// Keeps battery and temperature over restarts, and frees what old runs left.
async fn keep_house(work: Arc<Work>, mut pulse: Pulse) {
    while work.is_wanted() {
        pulse.during(tokio::time::sleep(HOUSEKEEPING)).await;
        work.keep_sensors();
        work.stop_what_is_over();
        let this = Arc::clone(&work);
        let collected = tokio::task::spawn_blocking(move || {
            let usage = this.state().usage();
            let is_full = usage.quota_bytes / 5 * 4 < usage.bytes;
            let kept = if is_full { RUNS_KEPT_FULL } else { RUNS_KEPT };
            this.state().collect_garbage(this.clock().sky_before(kept))
        });
        match collected.await {
            Ok(Ok(collected)) if collected.objects != 0 => {
                let (objects, bytes) = (collected.objects, collected.bytes);
                tracing::info!(objects, bytes, "old runs freed");
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "old runs stay"),
            Err(error) => tracing::error!(%error, "old runs stay"),
        }
    }
}
