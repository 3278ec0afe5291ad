//! Opens everything in order: store, sources, what an earlier start left, clock, bus; then the machine starts.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::desired::Desired;
use protocol::plan::{PlanMessage, PlanQuery};
use protocol::report::Header;
use protocol::signed::Signers;
use protocol::{decode, encode};
use runtime::{CacheConfig, RuntimeConfig};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use types::{Arch, BootId, NodeId, SkyClock, Uptime};

use super::work::{CLOCK, Parts, SENSORS, Work};
use super::zenoh::sim::{self, Told};
use super::zenoh::{BusError, Fleet};
use super::{INPUTS_MAX, NEWS_MAX, QUESTIONS_MAX, Shell, gnss};
use crate::agent::{Agent, Remembered, Setup};
use crate::clock::Clock;
use crate::config::{Config, Endpoint, SourceConfig};
use crate::event::{Input, Record};
use crate::exec::code::{CodeBook, Stores};
use crate::exec::inference::{Models, ModelsError, News};
use crate::exec::log::LogTap;
use crate::exec::module::{ModuleError, ModuleStore, Modules as _};
use crate::exec::processes;
use crate::exec::secret::{SecretError, device_secret};
use crate::exec::topics::{Emission, topics};
use crate::exec::trust::TrustBook;
use crate::exec::{Executor, Surroundings};
use crate::plan::PlanBook;
use crate::sensor::hardware::Hardware;
use crate::sensor::{Memory, Sensors};
use crate::serial::battery::BoardBattery;
use crate::serial::{self, Lines};
use crate::state::{StateError, StateService, StoreConfig};

/// How long a node of an emulation waits for its clock: for ever would keep it from serving without a link.
const CLOCK_PATIENCE: Duration = Duration::from_secs(10);
/// The same, if an earlier start has left a clock.
const CLOCK_PATIENCE_AGAIN: Duration = Duration::from_millis(500);
/// Between the start of the process and its first link. Zenoh 1.10 makes its routing trees anew at most every 100 ms,
/// and tells what it knows only to nodes that are new in a tree: one that goes and comes back in less is told nothing.
const REJOIN_PAUSE: Duration = Duration::from_millis(200);
/// Pause before the emulation's bus is set up anew after it could not be.
const SIM_RETRY: Duration = Duration::from_secs(1);
/// Between two looks for a newer plan: every one is also put, so this only fills gaps.
const PLAN_INTERVAL: Duration = Duration::from_secs(30);
/// The same, as long as there is none.
const PLAN_RETRY: Duration = Duration::from_secs(1);
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
/// Largest object of a data source.
const SOURCE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why the agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Signals cannot be taken.
    #[error("signals cannot be taken: {0}")]
    Signals(#[from] std::io::Error),
    /// The store cannot be opened, or what is in it cannot be read.
    #[error("the store in {dir} cannot be used: {source}")]
    Store {
        /// Where it is.
        dir: PathBuf,
        /// Why.
        source: StateError,
    },
    /// Modules cannot be kept.
    #[error(transparent)]
    Modules(#[from] ModuleError),
    /// The secret that seals compiled code cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A data source cannot be read or kept.
    #[error("data source {name}: {reason}")]
    Source {
        /// Which.
        name: String,
        /// Why.
        reason: String,
    },
    /// Models cannot be run.
    #[error(transparent)]
    Models(#[from] ModelsError),
    /// The bus cannot be opened.
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// Opens everything.
pub(super) async fn start(config: Config) -> Result<Shell, StartError> {
    let may_join_at = tokio::time::Instant::now() + REJOIN_PAUSE;
    let frames_dropped = Arc::new(AtomicU64::new(0));
    let (news_sender, mut news) = mpsc::channel(NEWS_MAX);
    let mut background = Vec::from_iter(emulate(&config, news_sender, &frames_dropped));
    let Opened { state, stores, trust, remembered, memory, clock: known } = open(&config).await?;
    let clock = Clock::start(known.unwrap_or(SkyClock::REAL));
    let (sensors, lines) = sense(&config, memory, &clock, &mut background);
    let plan = PlanBook::new(config.node.clone());
    tokio::time::sleep_until(may_join_at).await;
    let fleet = Fleet::open(&config, Arc::clone(&frames_dropped)).await?;
    let (logs, (topics, committed)) = (LogTap::default(), topics());
    let (input_sender, inputs) = mpsc::channel(INPUTS_MAX);
    let models = start_models(&config, input_sender.clone()).await?;
    let around = Surroundings {
        node: config.node.clone(),
        kind: config.kind,
        clock: clock.clone(),
        plan: plan.clone(),
        sensors: Arc::clone(&sensors),
        logs: logs.clone(),
        models: models.clone(),
        topics,
        watts_per_core: config.battery.load.map(|load| load.watts_per_core),
    };
    let code = CodeBook::new(stores, trust, clock.clone(), models, runtime_config(&config)?);
    let exec = Executor::new(around, state.clone(), fleet.clone(), code);
    let work = Work::new(Parts {
        me: config.node.clone(),
        input_dir: config.input.clone(),
        clock,
        state,
        exec,
        fleet,
        sensors,
        hardware: Mutex::new(hardware(&config)?),
        plan: plan.clone(),
        inputs: input_sender,
        frames_dropped,
    });
    if config.sim.is_some() {
        await_clock(&work, &mut news, known.is_some()).await;
    }
    let boot = boot_id(&config.node, &work);
    let (question_sender, questions) = mpsc::channel(QUESTIONS_MAX);
    let now = work.clock().now();
    let (agent, outputs) = Agent::start(setup_of(&config, boot), remembered, &now);
    work.fleet().serve(boot, question_sender).await?;
    background.extend(chores(&work, plan, boot, (logs, committed)));
    let boards = tell_of_boards(Arc::clone(&work), lines, boot, config.report.interval);
    background.push(tokio::spawn(boards));
    let mut shell = Shell {
        agent,
        work,
        questions,
        inputs,
        news,
        waiting: std::collections::BTreeMap::new(),
        next_ticket: 0,
        background,
    };
    tracing::info!(node = %config.node, boot = boot.0, sky = %now.sky, "up");
    shell.perform(&now, outputs);
    Ok(shell)
}

/// What lies on disk.
async fn open(config: &Config) -> Result<Opened, StartError> {
    let config = config.clone();
    let opened = tokio::task::spawn_blocking(move || open_store(&config)).await;
    opened.map_err(std::io::Error::other)?
}

/// What is done all the time.
fn chores(
    work: &Arc<Work>,
    plan: PlanBook,
    boot: BootId,
    (logs, committed): (LogTap, mpsc::UnboundedReceiver<Emission>),
) -> [JoinHandle<()>; 5] {
    [
        tokio::spawn(follow_plan(Arc::clone(work), plan)),
        tokio::spawn(follow_signers(Arc::clone(work))),
        tokio::spawn(send_logs(Arc::clone(work), logs, boot)),
        tokio::spawn(send_topics(Arc::clone(work), committed, boot)),
        tokio::spawn(keep_house(Arc::clone(work))),
    ]
}

/// Follows the emulation, if this node is part of one.
fn emulate(
    config: &Config,
    news: mpsc::Sender<Told>,
    frames_dropped: &Arc<AtomicU64>,
) -> Option<JoinHandle<()>> {
    let (bridge, me, dropped) =
        (config.sim.clone()?, config.node.clone(), Arc::clone(frames_dropped));
    Some(tokio::spawn(emulation(bridge, me, news, dropped)))
}

/// Starts what runs models; what happens to its back ends becomes events of the node.
async fn start_models(config: &Config, inputs: mpsc::Sender<Input>) -> Result<Models, StartError> {
    let news = move |News { name, change, reason }| {
        // Said from within calls, which must not wait. An event that has no room is one of many alike.
        drop(inputs.try_send(Input::BackEnd { name, change, reason }));
    };
    let config = config.inference.clone();
    let started = tokio::task::spawn_blocking(move || Models::start(&config, news)).await;
    Ok(started.map_err(std::io::Error::other)??)
}

/// How functions are executed here; what is compiled is kept beside the store.
fn runtime_config(config: &Config) -> Result<RuntimeConfig, StartError> {
    let dir = &config.store.dir;
    let secret = device_secret(&dir.join("code.secret"))?;
    let cache = CacheConfig { dir: dir.join("code"), secret };
    Ok(processes::runtime_config(config, Some(cache)))
}

struct Opened {
    state: StateService,
    stores: Stores,
    trust: TrustBook,
    remembered: Remembered,
    memory: Memory,
    clock: Option<SkyClock>,
}

fn open_store(config: &Config) -> Result<Opened, StartError> {
    let unusable = |source| StartError::Store { dir: config.store.dir.clone(), source };
    let store = StoreConfig {
        dir: config.store.dir.clone(),
        quota_bytes: config.store.quota_bytes,
        audit_log: config.store.audit_log.clone(),
    };
    let state = StateService::open(&store, config.node.clone()).map_err(unusable)?;
    // After a fail-over the new owner asks them for a fresher copy before it serves.
    state.set_neighbours(&config.bus.peers);
    let clock = json_record(&state, CLOCK).map_err(unusable)?;
    if let Some(clock) = clock {
        state.set_clock(clock);
    }
    for source in &config.sources {
        put_source(&state, source)?;
    }
    let desired = state.load_record(&Record::Desired.to_string()).map_err(unusable)?;
    let desired = desired.and_then(|frame| match decode::<Desired>(&frame) {
        Ok(desired) => Some(desired),
        Err(error) => {
            tracing::error!(%error, "remembered desired state cannot be read; a controller has to say it again");
            None
        }
    });
    let fence = state.load_record(&Record::Fence.to_string()).map_err(unusable)?;
    Ok(Opened {
        stores: Stores {
            modules: ModuleStore::open(config.store.dir.join("functions"))?,
            manifests: ModuleStore::of_manifests(config.store.dir.join("manifests"))?,
        },
        trust: TrustBook::open(state.clone()).map_err(unusable)?,
        remembered: Remembered { desired, fence },
        memory: json_record(&state, SENSORS).map_err(unusable)?.unwrap_or_default(),
        clock,
        state,
    })
}

/// A record of the shell; one that cannot be read counts as absent.
fn json_record<T: serde::de::DeserializeOwned>(
    state: &StateService,
    name: &str,
) -> Result<Option<T>, StateError> {
    let bytes = state.load_record(name)?;
    Ok(bytes.and_then(|bytes| match serde_json::from_slice(&bytes) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::warn!(name, %error, "record cannot be read");
            None
        }
    }))
}

fn put_source(state: &StateService, source: &SourceConfig) -> Result<(), StartError> {
    let failed = |reason: String| StartError::Source { name: source.name.to_string(), reason };
    let path = source.file.display();
    let facts = std::fs::metadata(&source.file);
    let bytes = facts.map_err(|error| failed(format!("{path}: {error}")))?.len();
    if SOURCE_BYTES_MAX < bytes {
        return Err(failed(format!("{path}: {bytes} bytes, the limit is {SOURCE_BYTES_MAX}")));
    }
    let read = std::fs::read(&source.file);
    let bytes = read.map_err(|error| failed(format!("{path}: {error}")))?;
    let put = state.put_source(&source.name, &source.key, &bytes);
    put.map(|_| ()).map_err(|error| failed(error.to_string()))
}

/// The sensors, and who tells them where the node is, if a receiver does.
fn sense(
    config: &Config,
    memory: Memory,
    clock: &Clock,
    background: &mut Vec<JoinHandle<()>>,
) -> (Arc<Mutex<Sensors>>, Lines) {
    let (lines, tasks) = Lines::start(&config.boards, clock);
    background.extend(tasks);
    let mut sensors = Sensors::new(config, memory);
    if let Some(line) = lines.battery() {
        let source = config.battery.source.clone();
        sensors.set_battery(Box::new(BoardBattery::new(line.clone(), source)));
    }
    let sensors = Arc::new(Mutex::new(sensors));
    if let Some(receiver) = config.receiver.clone() {
        let told = gnss::follow(receiver, Arc::clone(&sensors), clock.clone());
        background.push(tokio::spawn(told));
    }
    (sensors, lines)
}

/// What the sensors ask.
fn hardware(config: &Config) -> std::io::Result<Hardware> {
    Hardware::start(config).map_err(|error| {
        let root = config.sysfs_root.display();
        std::io::Error::new(error.kind(), format!("sensors.sysfs_root {root}: {error}"))
    })
}

fn setup_of(config: &Config, boot: BootId) -> Setup {
    Setup {
        node: config.node.clone(),
        boot,
        kind: config.kind,
        arch: ARCH,
        capacity: config.capacity,
        energy: config.battery.source.clone(),
        report_interval: config.report.interval,
        peers: config.bus.peers.clone(),
        ping_interval: config.report.ping_interval,
    }
}

/// The processor that this was built for.
const ARCH: Arch = if cfg!(target_arch = "aarch64") {
    Arch::Arm64
} else if cfg!(target_arch = "arm") {
    Arch::Armv7
} else if cfg!(target_arch = "riscv64") {
    Arch::Riscv64
} else {
    Arch::X86_64
};

/// Tells this start from all others: node, process and the wall clock, hashed; exact in JSON.
fn boot_id(node: &NodeId, work: &Work) -> BootId {
    let seed = format!("{node} {} {}", std::process::id(), work.clock().now().wall.0);
    let hash = blake3::hash(seed.as_bytes());
    let mut word = [0; 8];
    word.copy_from_slice(&hash.as_bytes()[..8]);
    BootId(u64::from_le_bytes(word) >> 11)
}

/// Waits a while for the clock of the emulation.
async fn await_clock(work: &Work, news: &mut mpsc::Receiver<Told>, is_known: bool) {
    let patience = if is_known { CLOCK_PATIENCE_AGAIN } else { CLOCK_PATIENCE };
    let heard = async {
        loop {
            match news.recv().await {
                Some(Told::Clock(clock)) => {
                    work.follow(clock);
                    return;
                }
                Some(Told::Env(env)) => work.surround(env),
                None => return,
            }
        }
    };
    if tokio::time::timeout(patience, heard).await.is_err() && !is_known {
        tracing::warn!("no clock from the emulation yet; the sky runs in real time until it comes");
    }
}

/// Keeps the session of the emulation for as long as the agent lives.
async fn emulation(
    bridge: Endpoint,
    me: NodeId,
    told: mpsc::Sender<Told>,
    dropped: Arc<AtomicU64>,
) {
    while !told.is_closed() {
        match sim::follow(&bridge, &me, told.clone(), Arc::clone(&dropped)).await {
            Ok(_session) => std::future::pending::<()>().await,
            Err(error) => tracing::warn!(%error, "emulation"),
        }
        tokio::time::sleep(SIM_RETRY).await;
    }
}

/// Follows the contact plan: what is put, and what was missed.
async fn follow_plan(work: Arc<Work>, plan: PlanBook) {
    let (frames, mut put) = mpsc::channel(PLANS_MAX);
    if let Err(error) = work.fleet().follow_plan(frames).await {
        tracing::error!(%error, "the contact plan is only asked for");
    }
    while work.is_wanted() {
        let query = encode(&PlanQuery { have: plan.version() });
        if let Ok(query) = query
            && let Ok(frame) = work.fleet().plan(query).await
        {
            take_plan(&work, &plan, frame).await;
        }
        let pause = if plan.version().is_some() { PLAN_INTERVAL } else { PLAN_RETRY };
        let next = tokio::time::Instant::now() + pause;
        while let Ok(Some(frame)) = tokio::time::timeout_at(next, put.recv()).await {
            take_plan(&work, &plan, frame).await;
        }
        // Without a subscription there is nothing to receive, and nothing may spin.
        tokio::time::sleep_until(next).await;
    }
}

/// Follows whose signatures count: what is put, and what was missed.
async fn follow_signers(work: Arc<Work>) {
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
        while let Ok(Some(frame)) = tokio::time::timeout_at(next, put.recv()).await {
            match decode::<Signers>(&frame) {
                Ok(list) => work.trust(list).await,
                Err(error) => tracing::warn!(%error, "list of signers dropped"),
            }
        }
        tokio::time::sleep_until(next).await;
    }
}

/// Sends what functions log, a message for each task at most so often.
async fn send_logs(work: Arc<Work>, logs: LogTap, boot: BootId) {
    let mut seq = 0;
    while work.is_wanted() {
        logs.news().await;
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
) {
    let mut seq = 0;
    while let Some(emission) = committed.recv().await {
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
        if let Err(error) = tokio::task::spawn_blocking(sent).await {
            tracing::error!(%error, "message was lost");
        }
    }
}

/// Tells of the boards at the serial lines.
async fn tell_of_boards(work: Arc<Work>, lines: Lines, boot: BootId, interval: Duration) {
    let mut seq = 0;
    while work.is_wanted() && lines.iter().len() != 0 {
        tokio::time::sleep(interval).await;
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

async fn take_plan(work: &Arc<Work>, plan: &PlanBook, frame: Vec<u8>) {
    let (work, plan) = (Arc::clone(work), plan.clone());
    let taken = tokio::task::spawn_blocking(move || {
        let message = match decode::<PlanMessage>(&frame) {
            Ok(message) => message,
            Err(error) => {
                work.frames_dropped().fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                return tracing::warn!(%error, "contact plan dropped");
            }
        };
        let version = message.version;
        match plan.take(message) {
            Ok(true) => tracing::info!(%version, "contact plan"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%version, %error, "contact plan dropped"),
        }
    });
    if let Err(error) = taken.await {
        tracing::error!(%error, "contact plan was lost");
    }
}

/// Keeps battery and temperature over restarts, and frees what old runs left.
async fn keep_house(work: Arc<Work>) {
    while work.is_wanted() {
        tokio::time::sleep(HOUSEKEEPING).await;
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
