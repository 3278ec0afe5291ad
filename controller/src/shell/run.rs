//! The running controller: one task owns the decisions, everything else brings it inputs or does what it says.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use placement::Workflow;
use protocol::backlog::Backlog;
use protocol::desired::Desired;
use protocol::encode;
use protocol::event::EventQuery;
use protocol::key::Keys;
use protocol::signed::KeyId;
use secure::revoked::OtherProvider;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};
use topology::ContactPlan;
use types::{FunctionId, Generation, Instant, KeyName, NodeId, PlanVersion, WallTime, WorkflowId};

use super::bus_side;
use super::clock;
use super::commands::Commander;
use super::feed::Predictor;
use super::keeper::KeepError;
use super::late_file::LateFile;
use super::logs::LogBook;
use super::objects::Reader;
use super::programs::Programs;
use super::secured::Secured;
use super::store::{Modules, Store, StoreError};
use super::zenoh::{Answer, Bus, BusError, BusRole, Class};
use crate::config::{Config, ConfigError};
use crate::controller::{
    Controller, RemoveError, SavedFunction, SignerError, SubmitError, ViewError,
};
use crate::deploy::PushError;
use crate::event::{Input, Now, Output};
use crate::executor::ANSWER_TIMEOUT;
use crate::http;
use crate::http::join::ListenError;
use crate::late::{LateBook, last_id};

/// Inputs that may wait; a thousand nodes report once a second. What finds it full is counted and dropped: the next
/// report says the same, an event is asked for again.
const INBOX_MAX: usize = 4_096;
/// Between two looks at leases (wall): a loss is seen within a tenth of the lease.
const TICK: Duration = Duration::from_millis(250);
/// How long answers under way may take when the controller stops (wall).
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// Plans of one epoch; the next epoch counts on from there.
const PLANS_PER_EPOCH: u64 = 1_000_000;

/// Why the controller does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration or a file that it names.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The state directory.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The bus.
    #[error("{0}")]
    Bus(#[from] BusError),
    /// The HTTP address.
    #[error(
        "cannot listen on {address} (http.listen): {source}; is another controller running there?"
    )]
    Http {
        /// The address.
        address: std::net::SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Who is let in.
    #[error("{0}")]
    Keep(#[from] KeepError),
    /// Where members join.
    #[error("{0}")]
    Join(#[from] ListenError),
    /// Other cryptography.
    #[error("{0}")]
    Provider(#[from] OtherProvider),
    /// The operating system.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
}

/// What wakes the owner of the decisions.
#[derive(Debug)]
pub enum Wake {
    /// An input of the controller.
    Input(Input),
    /// A node asks for its receipt, and may bring what is late.
    Backlog(Box<Backlog>, Answer),
    /// Someone submits a workflow.
    Submit(Box<Workflow>, oneshot::Sender<Result<(), SubmitError>>),
    /// Someone pushed a function.
    Push(SavedFunction, oneshot::Sender<Result<(), PushError>>),
    /// Someone removes a function.
    Remove(FunctionId, oneshot::Sender<Result<(), RemoveError>>),
    /// Someone removes a workflow.
    RemoveWorkflow(WorkflowId, oneshot::Sender<Result<(), ViewError>>),
    /// Someone trusts a key.
    Trust(KeyName, [u8; 32], oneshot::Sender<Result<KeyId, SignerError>>),
    /// Someone revokes a key.
    Revoke(KeyId, oneshot::Sender<Result<(), SignerError>>),
}

/// The answer to whoever brought a wake, held back until what it says is durable.
#[must_use]
pub struct Answered(Option<Box<dyn FnOnce() + Send>>);

impl Answered {
    /// Nobody waits.
    const NOBODY: Self = Self(None);

    fn with<T: Send + 'static>(waiting: oneshot::Sender<T>, answer: T) -> Self {
        Self(Some(Box::new(move || {
            // Who asked may have gone; it is done all the same.
            waiting.send(answer).ok();
        })))
    }

    /// Tells who waits.
    pub fn say(self) {
        if let Some(say) = self.0 {
            say();
        }
    }
}

impl std::fmt::Debug for Answered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Answered").field(&self.0.is_some()).finish()
    }
}

/// What follows, and what the one who asked for it is told.
fn answered<T: Send + 'static, E: Send + 'static>(
    waiting: oneshot::Sender<Result<T, E>>,
    result: Result<(T, Vec<Output>), E>,
) -> (Vec<Output>, Answered) {
    let (outputs, answer) = match result {
        Ok((value, outputs)) => (outputs, Ok(value)),
        Err(error) => (Vec::new(), Err(error)),
    };
    (outputs, Answered::with(waiting, answer))
}

/// The controller as its shell shares it: one task writes, answers of the API read.
#[derive(Clone, Debug)]
pub struct Shared {
    controller: Arc<RwLock<Controller>>,
    started: std::time::Instant,
    inbox: mpsc::Sender<Wake>,
    dropped: Arc<AtomicU64>,
}

impl Shared {
    /// Shares a controller; the receiver is for whoever writes.
    pub fn new(controller: Controller) -> (Self, mpsc::Receiver<Wake>) {
        let (inbox, wakes) = mpsc::channel(INBOX_MAX);
        let controller = Arc::new(RwLock::new(controller));
        let started = std::time::Instant::now();
        (Self { controller, started, inbox, dropped: Arc::default() }, wakes)
    }

    /// Both clocks of this machine.
    pub fn now(&self) -> Now {
        let monotonic = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = WallTime(i64::try_from(wall.as_nanos()).unwrap_or(i64::MAX));
        Now { instant: Instant(monotonic), wall }
    }

    /// Looks at the controller.
    pub fn read<T>(&self, look: impl FnOnce(&Controller, Now) -> T) -> T {
        let now = self.now();
        look(&self.controller.read().unwrap_or_else(PoisonError::into_inner), now)
    }

    /// Changes the controller; only for its one owner.
    fn write<T>(&self, change: impl FnOnce(&mut Controller, Now) -> T) -> T {
        let now = self.now();
        change(&mut self.controller.write().unwrap_or_else(PoisonError::into_inner), now)
    }

    /// Brings an input, or counts it as dropped.
    pub fn offer(&self, input: Input) {
        if self.inbox.try_send(Wake::Input(input)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Brings a question; who asked asks again if it is dropped.
    pub fn ask(&self, wake: Wake) {
        if self.inbox.try_send(wake).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Brings something that must not be dropped; `false` when the owner has ended.
    pub async fn bring(&self, wake: Wake) -> bool {
        self.inbox.send(wake).await.is_ok()
    }

    /// Inputs that found the inbox full.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Does what a wake asks for; says what follows, and what to answer once that is done.
    pub fn take(&self, wake: Wake) -> (Vec<Output>, Answered) {
        let unit = |outputs| ((), outputs);
        match wake {
            Wake::Input(input) => {
                (self.write(|controller, now| controller.handle(now, input)), Answered::NOBODY)
            }
            // The owner answers these itself, see [`Owner::receipt`].
            Wake::Backlog(..) => (Vec::new(), Answered::NOBODY),
            Wake::Submit(workflow, done) => {
                let result = self.write(|controller, now| controller.submit(now, *workflow));
                answered(done, result.map(unit))
            }
            Wake::Push(function, done) => {
                let result = self.write(|controller, now| controller.push(now, function));
                answered(done, result.map(unit))
            }
            Wake::Remove(name, done) => {
                let result = self.write(|controller, now| controller.remove(now, &name));
                answered(done, result.map(unit))
            }
            Wake::RemoveWorkflow(id, done) => {
                let result = self.write(|controller, now| controller.remove_workflow(now, &id));
                answered(done, result.map(unit))
            }
            Wake::Trust(name, key, done) => {
                let result = self.write(|controller, now| controller.trust(now, name, key));
                answered(done, result)
            }
            Wake::Revoke(id, done) => {
                let result = self.write(|controller, now| controller.revoke(now, id));
                answered(done, result.map(unit))
            }
        }
    }
}

/// Why a controller has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Told,
    /// Its certificate is to be renewed: it starts anew with another.
    Renewing,
}

/// Runs until SIGINT or SIGTERM, or until it has to start anew.
///
/// # Errors
/// [`RunError`] when something that it needs cannot be had at the start.
pub async fn run(config: Config, config_file: &Path) -> Result<Ended, RunError> {
    let sky = super::sky::load(&Config::resolve(config_file, &config.sky.file))?;
    let state_dir = Config::resolve(config_file, &config.controller.state_dir);
    let store = Store::open(&state_dir)?;
    let saved = store.load()?;
    let address = config.http.listen;
    let listener =
        TcpListener::bind(address).await.map_err(|source| RunError::Http { address, source })?;
    let epoch = store.next_epoch()?;
    let modules = open_modules(&store, &saved.functions);
    let programs = Programs::new(store.dir().join("programs"));
    let (late, book) = open_late(&store)?;
    let mut controller = Controller::new(config.clone(), epoch, saved, start_of_time());
    controller.remember_late(book);
    let (shared, wakes) = Shared::new(controller);
    let plans = PlanVersion(epoch.0.saturating_mul(PLANS_PER_EPOCH));
    let predictor = start_predictor(sky, &config, plans, &shared)?;
    let role =
        BusRole::Router { listen: config.bus.listen.clone(), connect: config.bus.connect.clone() };
    let secured = Secured::open(&config, (config_file, &state_dir), epoch)?;
    let bus = Bus::open(&role, secured.as_ref().map(|secured| &secured.fleet)).await?;
    let keys = Keys::new(&config.controller.fleet);
    let logs = LogBook::new(config.controller.fleet.clone());
    let (fleet, me) = (&config.controller.fleet, &config.controller.name);
    bus_side::attend(&bus, fleet, me, &shared, (&modules, &programs, &logs)).await?;
    let clock = clock::follow(&config, &shared, secured.as_ref()).await;
    let keeping = Secured::serve(secured.as_ref(), &bus, &keys).await?;
    let reach = http::Reach {
        reader: Reader::new(bus.clone(), keys.clone()),
        commander: Commander::new(bus.clone(), keys.clone()),
        state_dir: store.dir().to_owned(),
    };
    let (stop_http, http_stops) = oneshot::channel::<()>();
    let server = http::serve(
        listener,
        http::Api::new(shared.clone(), (modules, logs), Some(reach))
            .with_programs(programs)
            .with_keeper(secured.as_ref().map(|secured| secured.keeper.clone())),
        async {
            // Either told to stop, or the owner has ended.
            http_stops.await.ok();
        },
    );
    let server = tokio::spawn(server);
    tracing::info!(%epoch, %address, nodes = config.node.len(), "controller runs");
    let mut owner = Owner {
        shared,
        store,
        late,
        predictor,
        bus,
        keys,
        jobs: JoinSet::new(),
        plan_at: None,
        refresh_s: f64::from(config.plan.refresh_s),
    };
    let ended = owner.attend(wakes, secured.as_ref()).await;
    drop(keeping);
    stop_http.send(()).ok();
    let abort = server.abort_handle();
    if tokio::time::timeout(STOP_TIMEOUT, server).await.is_err() {
        // A client that does not read its answer is not waited for.
        abort.abort();
    }
    owner.jobs.shutdown().await;
    owner.bus.leave();
    if let Some(clock) = clock {
        clock::stop(clock).await;
    }
    tracing::info!("controller stops");
    ended
}

fn open_late(store: &Store) -> Result<(LateFile, LateBook), RunError> {
    let opened = LateFile::open(store.dir());
    opened.map_err(|source| RunError::Io { what: "reading late.ndjson", source })
}

fn open_modules(store: &Store, functions: &[SavedFunction]) -> Modules {
    let (modules, problems) = Modules::open(store.modules_dir(), functions);
    for problem in problems {
        tracing::error!(problem, "module is not served");
    }
    modules
}

fn start_of_time() -> Now {
    Now { instant: Instant(0), wall: WallTime(0) }
}

fn start_predictor(
    sky: orbit::Sky,
    config: &Config,
    before: PlanVersion,
    shared: &Shared,
) -> Result<Predictor, RunError> {
    let sink = shared.clone();
    Predictor::start(sky, &config.plan, before, move |made| {
        let input = match made {
            Ok(plan) => Input::Plan(Arc::new(plan)),
            Err(reason) => Input::PlanFailed(reason),
        };
        // A thread of its own: it may wait for room.
        sink.inbox.blocking_send(Wake::Input(input)).ok();
    })
    .map_err(|source| RunError::Io { what: "starting the thread that predicts", source })
}

/// The owner of the decisions.
struct Owner {
    shared: Shared,
    store: Store,
    late: LateFile,
    predictor: Predictor,
    bus: Bus,
    keys: Keys,
    /// Questions under way; at most three for each node.
    jobs: JoinSet<Option<Input>>,
    /// From where the newest ordered plan reaches.
    plan_at: Option<types::Epoch>,
    refresh_s: f64,
}

impl Owner {
    async fn attend(
        &mut self,
        mut wakes: mpsc::Receiver<Wake>,
        secured: Option<&Secured>,
    ) -> Result<Ended, RunError> {
        let mut stop = super::signal::Stop::listen()
            .map_err(|source| RunError::Io { what: "listening to signals", source })?;
        let mut tick: Interval = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let wake = tokio::select! {
                () = stop.told() => return Ok(Ended::Told),
                _ = tick.tick() => {
                    if secured.is_some_and(Secured::is_due) {
                        return Ok(Ended::Renewing);
                    }
                    self.order_plan();
                    Wake::Input(Input::Tick)
                }
                Some(done) = self.jobs.join_next(), if !self.jobs.is_empty() => match done {
                    Ok(Some(input)) => Wake::Input(input),
                    Ok(None) | Err(_) => continue,
                },
                wake = wakes.recv() => match wake {
                    Some(wake) => wake,
                    None => return Ok(Ended::Told),
                },
            };
            let wake = match wake {
                Wake::Backlog(backlog, answer) => {
                    self.receipt(&backlog, answer)?;
                    continue;
                }
                other => other,
            };
            if let Wake::Input(Input::Plan(plan)) = &wake {
                tracing::info!(version = %plan.version, until = %plan.end(), "contact plan");
                self.publish(Arc::clone(plan));
            }
            let (outputs, answered) = self.shared.take(wake);
            self.carry_out(outputs)?;
            answered.say();
        }
    }

    /// Answers a node what came of it; what it brings late is durable before.
    fn receipt(&mut self, backlog: &Backlog, answer: Answer) -> Result<(), RunError> {
        let found = self.shared.read(|controller, _| controller.receipt(backlog));
        let Some((mut receipt, lines)) = found else {
            tracing::warn!(node = %backlog.node, "backlog of a node that the fleet does not have");
            return Ok(());
        };
        let kept = lines.is_empty()
            || {
                let late = &mut self.late;
                match tokio::task::block_in_place(|| late.keep(&lines)) {
                    Ok(()) => true,
                    Err(error) => {
                        tracing::error!(node = %backlog.node, %error, "what came late cannot be kept; the node keeps it");
                        false
                    }
                }
            };
        if kept {
            receipt.late_through = last_id(backlog);
            let outputs = self.shared.write(|controller, now| controller.kept(now, backlog, lines));
            self.carry_out(outputs)?;
        }
        match encode(&receipt) {
            Ok(frame) => {
                self.jobs.spawn(async move {
                    answer.send(frame).await;
                    None
                });
            }
            Err(error) => tracing::error!(%error, "receipt cannot be sent"),
        }
        Ok(())
    }

    /// A new plan every `refresh_s` of sky time, and when the clock jumps.
    fn order_plan(&mut self) {
        let Some(moment) = self.shared.read(|controller, now| controller.moment(now)) else {
            return;
        };
        let is_due = self.plan_at.is_none_or(|at| {
            let age_s = moment.sky.seconds_since(at);
            age_s < 0.0 || self.refresh_s <= age_s
        });
        if is_due {
            self.plan_at = Some(moment.sky);
            self.predictor.order(moment.sky);
        }
    }

    /// Puts the whole plan; nodes keep their own pairs of it.
    fn publish(&mut self, plan: Arc<ContactPlan>) {
        let (bus, key) = (self.bus.clone(), self.keys.plan());
        let kinds = self.shared.read(|controller, _| controller.kinds());
        self.jobs.spawn(async move {
            match encode(&crate::topology_feed::to_wire(&plan, None, kinds)) {
                Ok(frame) => {
                    if let Err(error) = bus.put(&key, frame, Class::Bulk).await {
                        tracing::warn!(%error, "plan not put");
                    }
                }
                // A plan of hundreds of nodes does not fit one message: each asks for its own pairs.
                Err(error) => tracing::debug!(%error, "plan only on request"),
            }
            None
        });
    }

    /// Puts whose signatures count; nodes that do not hear it ask.
    fn publish_signers(&mut self) {
        let signers = self.shared.read(|controller, _| controller.signers());
        let (bus, key) = (self.bus.clone(), self.keys.signers());
        self.jobs.spawn(async move {
            match encode(&signers) {
                Ok(frame) => {
                    if let Err(error) = bus.put(&key, frame, Class::Command).await {
                        tracing::warn!(%error, "signers not put");
                    }
                }
                Err(error) => tracing::error!(%error, "signers cannot be sent"),
            }
            None
        });
    }

    fn carry_out(&mut self, outputs: Vec<Output>) -> Result<(), RunError> {
        let mut is_saved = false;
        for output in outputs {
            match output {
                Output::Save if is_saved => {}
                Output::Save => {
                    // The state of now covers every request to save in this round.
                    let state = self.shared.read(|controller, _| controller.save());
                    tokio::task::block_in_place(|| self.store.save(state))?;
                    is_saved = true;
                }
                Output::Signers => self.publish_signers(),
                Output::Replay { node, from_seq } => self.replay(node, from_seq),
                Output::Ask(node) => self.tell(node, None),
                Output::Tell(desired) => self.tell(desired.node.clone(), Some(desired)),
            }
        }
        Ok(())
    }

    fn replay(&mut self, node: NodeId, from_seq: u64) {
        let (bus, key) = (self.bus.clone(), self.keys.events(&node));
        self.jobs.spawn(async move {
            let frame = match encode(&EventQuery { from_seq }) {
                Ok(query) => bus
                    .query(&key, query, Class::Data, ANSWER_TIMEOUT)
                    .await
                    .map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            Some(Input::Replayed { node, frame })
        });
    }

    /// Tells a node what to do, or (without `desired`) asks how it stands.
    fn tell(&mut self, node: NodeId, desired: Option<Box<Desired>>) {
        let (bus, key) = (self.bus.clone(), self.keys.desired(&node));
        let told: Option<Generation> = desired.as_ref().map(|desired| desired.generation);
        self.jobs.spawn(async move {
            let frame = match desired.map(|desired| encode(&*desired)).transpose() {
                Ok(frame) => bus
                    .query(&key, frame.unwrap_or_default(), Class::Command, ANSWER_TIMEOUT)
                    .await
                    .map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            Some(Input::Answered { node, told, frame })
        });
    }
}
