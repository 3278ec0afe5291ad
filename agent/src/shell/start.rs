//! Opens everything in order: store, sources, what an earlier start left, clock, bus; then the machine starts.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::decode;
use protocol::desired::Desired;
use protocol::plan::PlanMessage;
use runtime::{CacheConfig, RuntimeConfig};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use types::{BootId, Capacity, NodeId, SkyClock};

use super::backlog::{Keep, Keeping, keep};
use super::bridge;
use super::chores::{chores, tell_of_boards};
use super::fetching::{Fetching, Standing};
use super::membership::{Membership, MembershipError};
use super::wellness::Wellness;
use super::work::{CLOCK, CONTROLLER, PLAN, Parts, SENSORS, Work};
use super::zenoh::sim::{self, Told};
use super::zenoh::{BusError, Fleet, Security};
use super::{INPUTS_MAX, NEWS_MAX, QUESTIONS_MAX, Shell, gnss};
use crate::agent::{Agent, Remembered, Setup};
use crate::clock::Clock;
use crate::config::{Config, Endpoint, InferenceConfig, SourceConfig};
use crate::event::{Input, Record};
use crate::exec::code::{CodeBook, Stores};
use crate::exec::inference::{Models, ModelsError, News};
use crate::exec::log::LogTap;
use crate::exec::module::{ModuleError, ModuleStore};
use crate::exec::processes;
use crate::exec::secret::{SecretError, device_secret};
use crate::exec::topics::{Topics, topics};
use crate::exec::trust::TrustBook;
use crate::exec::{Executor, Surroundings};
use crate::health::Health;
use crate::life::release::OWN_ARCH;
use crate::life::{Life, LifeBook};
use crate::plan::PlanBook;
use crate::sensor::hardware::Hardware;
use crate::sensor::{Memory, Sensors};
use crate::serial::Lines;
use crate::serial::battery::BoardBattery;
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
/// Who asks at once which tasks run.
const STANDING_MAX: usize = 4;
/// Below the directory of the store: the one that is used in safe mode where that cannot be opened.
const SAFE_STORE: &str = "safe-store";
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
    /// The bridge to an MQTT broker cannot be started.
    #[cfg(feature = "mqtt")]
    #[error(transparent)]
    Mqtt(#[from] crate::mqtt::MqttError),
    /// The bus cannot be opened.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// This node is no member of its fleet.
    #[error(transparent)]
    Membership(#[from] MembershipError),
}

/// Opens everything.
pub(super) async fn start(config: Config, life: Life) -> Result<Shell, StartError> {
    let may_join_at = tokio::time::Instant::now() + REJOIN_PAUSE;
    let frames_dropped = Arc::new(AtomicU64::new(0));
    let (news_sender, mut news) = mpsc::channel(NEWS_MAX);
    let (membership, security, for_sim) = join_fleet(&config).await?;
    let mut background = Vec::from_iter(emulate(&config, for_sim, news_sender, &frames_dropped));
    let (config, life) = open_life(config, life).await?;
    let Opened { state, stores, trust, remembered, memory, clock: known, plan, controller } =
        open(&config, life.safe_mode().is_some()).await?;
    let clock = Clock::start(known.unwrap_or(SkyClock::REAL));
    let (sensors, lines) = sense(&config, memory, &clock, &mut background);
    let (keeping, said) = Keeping::new();
    tokio::time::sleep_until(may_join_at).await;
    let fleet = Fleet::open(&config, security, Arc::clone(&frames_dropped)).await?;
    let (logs, (topics, committed)) = (LogTap::default(), topics());
    let (input_sender, inputs) = mpsc::channel(INPUTS_MAX);
    let models = start_models(&config, input_sender.clone()).await?;
    let around = surroundings(&config, (&clock, &plan, &sensors), (&logs, &models), topics);
    let code = CodeBook::new(stores, trust, clock.clone(), models, runtime_config(&config)?);
    let exec = Executor::new(around, state.clone(), fleet.clone(), code);
    let work = Work::new(Parts {
        me: config.node.clone(),
        input_dir: config.input.clone(),
        tap: bridge::start(&config, &clock, &mut background)?,
        clock,
        state,
        exec,
        fleet,
        sensors,
        hardware: Mutex::new(hardware(&config)?),
        plan: plan.clone(),
        inputs: input_sender,
        frames_dropped,
        keeping,
        health: Health::new(),
        life: life.clone(),
        lines: lines.clone(),
        controller: Mutex::new(controller.clone()),
    });
    await_clock(&config, &work, &mut news, known.is_some()).await;
    let (boot, now) = (boot_id(&config.node, &work), work.clock().now());
    let (agent, outputs) = Agent::start(setup_of(&config, boot, &life), remembered, &now);
    let (question_sender, questions) = mpsc::channel(QUESTIONS_MAX);
    work.fleet().serve(boot, question_sender).await?;
    let kept = queue_of(&config, boot, &plan, controller);
    let standing = attend_life(&work, &life, &plan, &mut background);
    background.extend(chores(&work, membership.as_ref(), (plan, boot), (logs, committed)));
    let boards = tell_of_boards(Arc::clone(&work), lines, boot, config.report.interval);
    background.extend([tokio::spawn(keep(Arc::clone(&work), kept, said)), tokio::spawn(boards)]);
    bridge::attend(&config, &work, &mut background);
    let mut shell = Shell {
        agent,
        pulse: work.health().pulse("loop"),
        work,
        questions,
        inputs,
        news,
        waiting: std::collections::BTreeMap::new(),
        next_ticket: 0,
        membership,
        life,
        standing,
        background,
    };
    tracing::info!(node = %config.node, boot = boot.0, sky = %now.sky, "up");
    shell.perform(&now, outputs);
    Ok(shell)
}

/// What counts starts and knows of programs, and the configuration as it counts for this start.
async fn open_life(config: Config, life: Life) -> Result<(Config, LifeBook), StartError> {
    let (start, update) = (config.start, config.update.clone());
    let opened = tokio::task::spawn_blocking(move || LifeBook::open(life, start, update)).await;
    let life = opened.map_err(std::io::Error::other)?;
    let is_safe = life.safe_mode().is_some();
    Ok((if is_safe { without_functions(config) } else { config }, life))
}

/// In safe mode: nothing to offer, nothing to run, no data for it.
fn without_functions(config: Config) -> Config {
    let gpu = false;
    let inference = InferenceConfig { gpu, ..InferenceConfig::default() };
    let (sources, input) = (Vec::new(), None);
    Config { capacity: Capacity::default(), inference, sources, input, ..config }
}

/// Fetches programs, and watches whether this start is well; who asks the loop which tasks run is answered there.
fn attend_life(
    work: &Arc<Work>,
    life: &LifeBook,
    plan: &PlanBook,
    background: &mut Vec<JoinHandle<()>>,
) -> mpsc::Receiver<oneshot::Sender<Standing>> {
    let (standing, asked) = mpsc::channel(STANDING_MAX);
    let fetching = Fetching {
        work: Arc::clone(work),
        life: life.clone(),
        plan: plan.clone(),
        standing: standing.clone(),
    };
    let (work, life, plan) = (Arc::clone(work), life.clone(), plan.clone());
    let wellness = Wellness { work, life, plan, standing };
    background.extend([tokio::spawn(fetching.run()), tokio::spawn(wellness.run())]);
    asked
}

/// What lies on disk.
async fn open(config: &Config, is_safe: bool) -> Result<Opened, StartError> {
    let config = config.clone();
    let opened = tokio::task::spawn_blocking(move || open_store(&config, is_safe)).await;
    opened.map_err(std::io::Error::other)?
}

/// This node as a member, and what its two sessions need for it; nothing of that in an insecure fleet.
async fn join_fleet(
    config: &Config,
) -> Result<(Option<Membership>, Option<Security>, Option<Security>), MembershipError> {
    let Some(membership) = Membership::open(config)? else { return Ok((None, None, None)) };
    membership.sane_clock().await;
    let (fleet, sim) = (membership.security(config, true), membership.security(config, false));
    Ok((Some(membership), Some(fleet), Some(sim)))
}

/// Follows the emulation, if this node is part of one.
fn emulate(
    config: &Config,
    security: Option<Security>,
    news: mpsc::Sender<Told>,
    frames_dropped: &Arc<AtomicU64>,
) -> Option<JoinHandle<()>> {
    let (bridge, me, dropped) =
        (config.sim.clone()?, config.node.clone(), Arc::clone(frames_dropped));
    Some(tokio::spawn(emulation((bridge, security), me, news, dropped)))
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
    plan: PlanBook,
    controller: Option<NodeId>,
}

fn open_store(config: &Config, is_safe: bool) -> Result<Opened, StartError> {
    let unusable = |source| StartError::Store { dir: config.store.dir.clone(), source };
    let store = StoreConfig {
        dir: config.store.dir.clone(),
        quota_bytes: config.store.quota_bytes,
        audit_log: config.store.audit_log.clone(),
    };
    let state = match StateService::open(&store, config.node.clone()) {
        Ok(state) => state,
        // The store is what fails, maybe: reports, commands and updates need another one only. It is left as it is.
        Err(error) if is_safe => {
            let dir = config.store.dir.join(SAFE_STORE);
            tracing::error!(%error, dir = %dir.display(), "safe mode: another store is used");
            let store = StoreConfig { dir, audit_log: None, ..store };
            StateService::open(&store, config.node.clone()).map_err(unusable)?
        }
        Err(error) => return Err(unusable(error)),
    };
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
    let timed = state.load_record(&Record::Timed.to_string()).map_err(unusable)?;
    let plan = known_plan(&state, config).map_err(unusable)?;
    let controller = state.load_record(CONTROLLER).map_err(unusable)?;
    let controller = controller.and_then(|name| NodeId::new(str::from_utf8(&name).ok()?).ok());
    Ok(Opened {
        plan,
        controller,
        stores: Stores {
            modules: ModuleStore::open(config.store.dir.join("functions"))?,
            manifests: ModuleStore::of_manifests(config.store.dir.join("manifests"))?,
        },
        trust: TrustBook::open(state.clone()).map_err(unusable)?,
        remembered: Remembered { desired, fence, timed },
        memory: json_record(&state, SENSORS).map_err(unusable)?.unwrap_or_default(),
        clock,
        state,
    })
}

/// The contact plan that an earlier start has left; one that cannot be read counts as absent.
fn known_plan(state: &StateService, config: &Config) -> Result<PlanBook, StateError> {
    let plan = PlanBook::new(config.node.clone());
    if let Some(frame) = state.load_record(PLAN)? {
        let taken = decode::<PlanMessage>(&frame).map_err(|error| error.to_string());
        match taken.and_then(|message| plan.take(message).map_err(|error| error.to_string())) {
            Ok(_) => tracing::info!(version = ?plan.version(), "contact plan of an earlier start"),
            Err(error) => tracing::warn!(%error, "contact plan of an earlier start cannot be read"),
        }
    }
    Ok(plan)
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

fn surroundings(
    config: &Config,
    (clock, plan, sensors): (&Clock, &PlanBook, &Arc<Mutex<Sensors>>),
    (logs, models): (&LogTap, &Models),
    topics: Topics,
) -> Surroundings {
    Surroundings {
        node: config.node.clone(),
        kind: config.kind,
        clock: clock.clone(),
        plan: plan.clone(),
        sensors: Arc::clone(sensors),
        logs: logs.clone(),
        models: models.clone(),
        topics,
        watts_per_core: config.battery.load.map(|load| load.watts_per_core),
    }
}

fn queue_of(config: &Config, boot: BootId, plan: &PlanBook, controller: Option<NodeId>) -> Keep {
    let dir = config.store.dir.join("queue");
    Keep { dir, config: config.queue, boot, plan: plan.clone(), controller }
}

fn setup_of(config: &Config, boot: BootId, life: &LifeBook) -> Setup {
    Setup {
        node: config.node.clone(),
        boot,
        kind: config.kind,
        arch: OWN_ARCH,
        capacity: config.capacity,
        energy: config.battery.source.clone(),
        report_interval: config.report.interval,
        peers: config.bus.peers.clone(),
        ping_interval: config.report.ping_interval,
        safe_mode: life.safe_mode(),
    }
}

/// Tells this start from all others: node, process and the wall clock, hashed; exact in JSON.
fn boot_id(node: &NodeId, work: &Work) -> BootId {
    let seed = format!("{node} {} {}", std::process::id(), work.clock().now().wall.0);
    let hash = blake3::hash(seed.as_bytes());
    let mut word = [0; 8];
    word.copy_from_slice(&hash.as_bytes()[..8]);
    BootId(u64::from_le_bytes(word) >> 11)
}

/// Waits a while for the clock of the emulation.
async fn await_clock(
    config: &Config,
    work: &Work,
    news: &mut mpsc::Receiver<Told>,
    is_known: bool,
) {
    if config.sim.is_none() {
        return;
    }
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
    (bridge, security): (Endpoint, Option<Security>),
    me: NodeId,
    told: mpsc::Sender<Told>,
    dropped: Arc<AtomicU64>,
) {
    while !told.is_closed() {
        match sim::follow((&bridge, security.as_ref()), &me, told.clone(), Arc::clone(&dropped))
            .await
        {
            Ok(_session) => std::future::pending::<()>().await,
            Err(error) => tracing::warn!(%error, "emulation"),
        }
        tokio::time::sleep(SIM_RETRY).await;
    }
}
