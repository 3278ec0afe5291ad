//! The fleet's bus: one router-mode session of Zenoh. Only this file and those below it know Zenoh.
//!
//! Peers do not relay for each other since Zenoh 1.9, so a node that may forward is a router with explicit endpoints.
//! A send that may have to wait for a congested link is made on a blocking thread, never on the reactor.

pub(crate) mod loopback;
mod programs;
mod settings;
pub mod sim;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use protocol::access::Policy;
use protocol::join::Members;
use protocol::key::{BeltService, Keys, invoked_task};
use protocol::module::{ModuleChunk, ModuleQuery};
use protocol::report::{Group, Ping};
use protocol::signed::Signers;
use protocol::{decode, encode};
use secure::gate::Gate;
use secure::identity::Paths;
use tokio::sync::{mpsc, oneshot};
use types::{BootId, FunctionId, NodeId, TaskId, WorkflowId};
use zenoh::Wait as _;
use zenoh::key_expr::KeyExpr;
use zenoh::liveliness::LivelinessToken;
use zenoh::qos::{CongestionControl, Priority};
use zenoh::query::{ConsolidationMode, Query, QueryTarget, Queryable, Reply};
use zenoh::sample::Sample;

use crate::config::Config;
use crate::exec::elsewhere::Bus;
use crate::exec::module::Modules;
use crate::state::{PeerError, Peers};

/// How long a part of a module or of the plan may take: the slowest link of the sky has 500 kbit/s for a while.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// A round trip that takes longer is none.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// What the bus itself may add to a timeout before the answer counts as lost.
const TIMEOUT_SLACK: Duration = Duration::from_millis(500);
/// The answer to a question that finds no room.
const BUSY: &str = "busy";

/// Why there is no bus.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct BusError {
    what: String,
    reason: String,
}

impl BusError {
    fn of(what: &str) -> impl Fn(zenoh::Error) -> Self + use<'_> {
        move |error| Self { what: what.to_owned(), reason: error.to_string() }
    }
}

/// What makes a session one between members of the fleet.
#[derive(Clone, Debug)]
pub struct Security {
    /// The identity of this node.
    pub paths: Paths,
    /// The fleet's rules; absent on the emulation's network, where the bridge has its own.
    pub policies: Option<(types::FleetId, Vec<Policy>)>,
    /// Closes the links of who was revoked.
    pub gate: Gate,
}

/// Opens a session, with a gate where there is security.
async fn open(
    settings: zenoh::Config,
    security: Option<&Security>,
) -> zenoh::Result<zenoh::Session> {
    match security {
        Some(security) => secure::gate::open(settings, &security.gate).await,
        None => zenoh::open(settings).await,
    }
}

/// What others ask this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// A command.
    Command,
    /// What is to be done here; an empty frame only asks.
    Desired,
    /// Missed events.
    Events,
    /// A call of a task.
    Invoke,
    /// A call of a function by one of another node.
    Call,
    /// State.
    Belt(BeltService),
}

/// A question of another node, with its frame, undecoded.
#[derive(Debug)]
pub struct Question {
    /// What is asked.
    pub service: Service,
    /// The task that the key names, for calls.
    pub task: Option<(WorkflowId, TaskId)>,
    /// The frame; empty if there was none.
    pub frame: Vec<u8>,
    /// When it came in.
    pub received: Instant,
    /// The way back.
    pub answer: Way,
}

/// The way back to who asked.
#[derive(Debug)]
pub struct Way {
    query: Query,
    key: KeyExpr<'static>,
}

impl Way {
    /// Sends the answer. Waits where the link is congested: call it on a blocking thread, or in a task.
    pub fn send_blocking(self, frame: Vec<u8>) {
        if let Err(error) = self.query.reply(self.key, frame).wait() {
            tracing::debug!(%error, "answer was not sent");
        }
    }

    /// Sends the answer.
    pub async fn send(self, frame: Vec<u8>) {
        let sent = tokio::task::spawn_blocking(move || self.send_blocking(frame)).await;
        if let Err(error) = sent {
            tracing::warn!(%error, "answer was lost");
        }
    }

    /// Says that there is no room.
    pub fn refuse(&self) {
        if let Err(error) = self.query.reply_err(BUSY).wait() {
            tracing::debug!(%error, "refusal was not sent");
        }
    }
}

/// How a question travels.
#[derive(Clone, Copy, Debug)]
enum Class {
    /// Calls: before bulk, behind commands.
    Interactive,
    /// State, code and plans: whenever there is room.
    Bulk,
}

impl Class {
    const fn priority(self) -> Priority {
        match self {
            Self::Interactive => Priority::InteractiveLow,
            Self::Bulk => Priority::Background,
        }
    }
}

/// The session of this node; clones are handles to the same.
#[derive(Clone)]
pub struct Fleet {
    inner: Arc<Inner>,
}

struct Inner {
    session: zenoh::Session,
    keys: Keys,
    me: NodeId,
    fleet: types::FleetId,
    /// Kept as long as the session, since dropping them takes them back.
    services: Mutex<Vec<Queryable<()>>>,
    token: Mutex<Option<LivelinessToken>>,
    frames_dropped: Arc<AtomicU64>,
    nonce: AtomicU64,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").field("me", &self.inner.me).finish_non_exhaustive()
    }
}

impl Fleet {
    /// Opens the session: listens at once, and dials in the background for as long as it lives.
    ///
    /// # Errors
    /// [`BusError`] when a listen address cannot be taken.
    pub async fn open(
        config: &Config,
        security: Option<Security>,
        frames_dropped: Arc<AtomicU64>,
    ) -> Result<Self, BusError> {
        let settings = settings::fleet(config, security.as_ref())?;
        let listen: Vec<_> = config.bus.listen.iter().map(|endpoint| endpoint.as_str()).collect();
        let what = format!("the bus cannot be opened on {}", listen.join(", "));
        let session = open(settings, security.as_ref()).await.map_err(BusError::of(&what))?;
        let inner = Inner {
            session,
            keys: Keys::new(&config.fleet),
            me: config.node.clone(),
            fleet: config.fleet.clone(),
            services: Mutex::new(Vec::new()),
            token: Mutex::new(None),
            frames_dropped,
            nonce: AtomicU64::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Takes questions from now on, and says that this start is alive.
    ///
    /// # Errors
    /// [`BusError`] when a key cannot be declared.
    pub async fn serve(
        &self,
        boot: BootId,
        questions: mpsc::Sender<Question>,
    ) -> Result<(), BusError> {
        let Inner { keys, me, .. } = &*self.inner;
        let belt = |service| (keys.belt(me, service), Service::Belt(service));
        let services = [
            (keys.commands(me), Service::Command),
            (keys.desired(me), Service::Desired),
            (keys.events(me), Service::Events),
            (keys.invocations(me), Service::Invoke),
            (keys.calls(me), Service::Call),
            belt(BeltService::Offer),
            belt(BeltService::Chunk),
            belt(BeltService::Fetch),
            belt(BeltService::Inventory),
        ];
        for (key, service) in services {
            let questions = questions.clone();
            let declared = self.inner.session.declare_queryable(key.clone());
            let declared = declared.callback(move |query| take(query, service, &questions)).await;
            self.keep(declared.map_err(BusError::of(&key))?);
        }
        let key = keys.ping(me);
        let dropped = Arc::clone(&self.inner.frames_dropped);
        let declared = self.inner.session.declare_queryable(key.clone());
        let declared = declared.callback(move |query| pong(&query, &dropped)).await;
        self.keep(declared.map_err(BusError::of(&key))?);
        let key = keys.alive(me, boot);
        let token = self.inner.session.liveliness().declare_token(key.clone()).await;
        let token = token.map_err(BusError::of(&key))?;
        *self.inner.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
        Ok(())
    }

    fn keep(&self, service: Queryable<()>) {
        self.inner.services.lock().unwrap_or_else(PoisonError::into_inner).push(service);
    }

    /// Follows the contact plan: every frame that is put goes to `frames`; while that is full, it is left out, since
    /// the next query brings it.
    ///
    /// # Errors
    /// [`BusError`] when the key cannot be declared.
    pub async fn follow_plan(&self, frames: mpsc::Sender<Vec<u8>>) -> Result<(), BusError> {
        self.follow(self.inner.keys.plan(), frames).await
    }

    /// Follows whose signatures count, in the same way.
    ///
    /// # Errors
    /// [`BusError`] when the key cannot be declared.
    pub async fn follow_signers(&self, frames: mpsc::Sender<Vec<u8>>) -> Result<(), BusError> {
        self.follow(self.inner.keys.signers(), frames).await
    }

    /// Follows who belongs to the fleet, in the same way.
    ///
    /// # Errors
    /// [`BusError`] when the key cannot be declared.
    pub async fn follow_members(&self, frames: mpsc::Sender<Vec<u8>>) -> Result<(), BusError> {
        self.follow(self.inner.keys.members(), frames).await
    }

    /// Asks who belongs to the fleet.
    ///
    /// # Errors
    /// [`PeerError`] when nobody answers.
    pub async fn members(&self) -> Result<Members, PeerError> {
        let (node, key) = (controller(), self.inner.keys.members());
        let answer = self.ask(&node, key, Vec::new(), Class::Interactive, FETCH_TIMEOUT).await?;
        decode(&answer).map_err(|error| {
            self.inner.frames_dropped.fetch_add(1, Ordering::Relaxed);
            PeerError::Unreachable { node, reason: error.to_string() }
        })
    }

    async fn follow(&self, key: String, frames: mpsc::Sender<Vec<u8>>) -> Result<(), BusError> {
        let dropped = Arc::clone(&self.inner.frames_dropped);
        let take = move |sample: Sample| {
            if frames.try_send(bytes_of(sample.payload())).is_err() {
                dropped.fetch_add(1, Ordering::Relaxed);
            }
        };
        let declared = self.inner.session.declare_subscriber(key.clone()).callback(take);
        declared.background().await.map_err(BusError::of(&key))
    }

    /// Follows reports and events of all nodes, each with its key; while `told` is full they are left out and counted.
    ///
    /// # Errors
    /// [`BusError`] when a key cannot be declared.
    #[cfg(feature = "mqtt")]
    pub async fn follow_nodes(
        &self,
        told: mpsc::Sender<(String, Vec<u8>)>,
    ) -> Result<(), BusError> {
        for key in [self.inner.keys.reports(), self.inner.keys.all_events()] {
            let (told, dropped) = (told.clone(), Arc::clone(&self.inner.frames_dropped));
            let take = move |sample: Sample| {
                let key = sample.key_expr().as_str().to_owned();
                if told.try_send((key, bytes_of(sample.payload()))).is_err() {
                    dropped.fetch_add(1, Ordering::Relaxed);
                }
            };
            let declared = self.inner.session.declare_subscriber(key.clone()).callback(take);
            declared.background().await.map_err(BusError::of(&key))?;
        }
        Ok(())
    }

    /// Whether the key of a report or event is that of its node.
    #[cfg(feature = "mqtt")]
    pub fn is_key_of(&self, key: &str, node: &NodeId, group: Option<Group>) -> bool {
        let keys = &self.inner.keys;
        key == group.map_or_else(|| keys.events(node), |group| keys.report(node, group))
    }

    /// Asks for the plan.
    ///
    /// # Errors
    /// [`PeerError`] when nobody answers.
    pub async fn plan(&self, query: Vec<u8>) -> Result<Vec<u8>, PeerError> {
        let key = self.inner.keys.plan();
        self.ask(&controller(), key, query, Class::Bulk, FETCH_TIMEOUT).await
    }

    /// Asks the controller what came, and brings it what is late.
    ///
    /// # Errors
    /// [`PeerError`] when nobody answers.
    pub async fn backlog(
        &self,
        frame: Vec<u8>,
        is_late: bool,
        timeout: Duration,
    ) -> Result<Vec<u8>, PeerError> {
        let class = if is_late { Class::Bulk } else { Class::Interactive };
        self.ask(&controller(), self.inner.keys.backlog(&self.inner.me), frame, class, timeout)
            .await
    }

    /// Publishes a report: latest wins, a congested link drops it.
    pub fn publish_report(&self, group: Group, frame: Vec<u8>) {
        let key = self.inner.keys.report(&self.inner.me, group);
        let put = self.inner.session.put(key, frame).priority(Priority::DataLow);
        if let Err(error) = put.congestion_control(CongestionControl::Drop).wait() {
            tracing::debug!(%error, "report was not sent");
        }
    }

    /// Tells of a board: latest wins, a congested link drops it.
    pub fn publish_board(&self, uid: [u8; 8], frame: Vec<u8>) {
        let key = self.inner.keys.board(&self.inner.me, uid);
        let put = self.inner.session.put(key, frame).priority(Priority::DataLow);
        if let Err(error) = put.congestion_control(CongestionControl::Drop).wait() {
            tracing::debug!(%error, "report of a board was not sent");
        }
    }

    /// Publishes lines that functions logged: behind events, and dropped where a link is congested.
    pub fn publish_log(&self, frame: Vec<u8>) {
        let key = self.inner.keys.logs(&self.inner.me);
        let put = self.inner.session.put(key, frame).priority(Priority::DataLow);
        if let Err(error) = put.congestion_control(CongestionControl::Drop).wait() {
            tracing::debug!(%error, "log was not sent");
        }
    }

    /// Publishes what a function said on a topic. Waits where a link is congested: call it on a blocking thread.
    pub fn publish_topic_blocking(&self, topic: &str, frame: Vec<u8>) {
        let key = self.inner.keys.topic(&self.inner.me, topic);
        let put = self.inner.session.put(key, frame).priority(Priority::Data);
        if let Err(error) = put.congestion_control(CongestionControl::Block).wait() {
            tracing::debug!(%error, topic, "message was not sent");
        }
    }

    /// Publishes an event. Waits where a link is congested: call it on a blocking thread.
    pub fn publish_event_blocking(&self, frame: Vec<u8>) {
        let key = self.inner.keys.events(&self.inner.me);
        let put = self.inner.session.put(key, frame).priority(Priority::DataHigh);
        if let Err(error) = put.congestion_control(CongestionControl::Block).wait() {
            tracing::debug!(%error, "event was not sent");
        }
    }

    /// Invokes a task on another node.
    ///
    /// # Errors
    /// [`PeerError`] when no answer comes within `timeout`.
    pub async fn invoke(
        &self,
        node: &NodeId,
        (workflow, task): (&WorkflowId, &TaskId),
        frame: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, PeerError> {
        let key = self.inner.keys.invoke(node, workflow, task);
        self.ask(node, key, frame, Class::Interactive, timeout).await
    }

    /// Measures a round trip to another node; `None` if no answer comes in time. Before everything else on the link.
    pub async fn ping(&self, node: &NodeId) -> Option<Duration> {
        let nonce = self.inner.nonce.fetch_add(1, Ordering::Relaxed);
        let frame = encode(&Ping { nonce }).ok()?;
        let (sender, answer) = oneshot::channel();
        let sender = Mutex::new(Some(sender));
        let sent = Instant::now();
        let callback = move |reply: Reply| {
            // Before anything else, since this is what is measured.
            let took = sent.elapsed();
            let Ok(sample) = reply.result() else { return };
            let is_ours = decode::<Ping>(&bytes_of(sample.payload())).ok() == Some(Ping { nonce });
            let waiting = sender.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(waiting) = waiting.filter(|_| is_ours) {
                // Who waited may have given up.
                waiting.send(took).ok();
            }
        };
        let get = self.inner.session.get(self.inner.keys.ping(node)).payload(frame);
        let get = get.priority(Priority::RealTime).congestion_control(CongestionControl::Drop);
        let get = get.express(true).target(QueryTarget::BestMatching).timeout(PING_TIMEOUT);
        get.consolidation(ConsolidationMode::None).callback(callback).wait().ok()?;
        tokio::time::timeout(PING_TIMEOUT + TIMEOUT_SLACK, answer).await.ok()?.ok()
    }

    /// Says goodbye: takes token and services back. The session itself ends with the process, since Zenoh 1.10 panics
    /// at times when a router's session is closed while its links close too.
    pub fn leave(&self) {
        drop(self.inner.token.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.inner.services.lock().unwrap_or_else(PoisonError::into_inner).clear();
        std::mem::forget(self.inner.session.clone());
    }

    /// The fleet.
    pub fn fleet(&self) -> &types::FleetId {
        &self.inner.fleet
    }

    /// Asks one question and waits for its answer.
    async fn ask(
        &self,
        node: &NodeId,
        key: String,
        frame: Vec<u8>,
        class: Class,
        timeout: Duration,
    ) -> Result<Vec<u8>, PeerError> {
        let (sender, answer) = oneshot::channel();
        let sender = Mutex::new(Some(sender));
        let callback = move |reply: Reply| {
            let result = match reply.result() {
                Ok(sample) => Ok(bytes_of(sample.payload())),
                Err(error) => Err(String::from_utf8_lossy(&bytes_of(error.payload())).into_owned()),
            };
            if let Some(waiting) = sender.lock().unwrap_or_else(PoisonError::into_inner).take() {
                // Who waited may have given up.
                waiting.send(result).ok();
            }
        };
        let this = self.clone();
        let send = move || {
            let get = this.inner.session.get(key).payload(frame).timeout(timeout);
            let get = get.priority(class.priority()).target(QueryTarget::BestMatching);
            let get = get.congestion_control(CongestionControl::Block);
            get.consolidation(ConsolidationMode::None).callback(callback).wait()
        };
        let unreachable = |reason: String| PeerError::Unreachable { node: node.clone(), reason };
        let sent = tokio::task::spawn_blocking(send).await;
        sent.map_err(|error| unreachable(error.to_string()))?
            .map_err(|error| unreachable(error.to_string()))?;
        let late = || PeerError::Timeout { node: node.clone(), waited: timeout };
        match tokio::time::timeout(timeout + TIMEOUT_SLACK, answer).await {
            Err(_elapsed) => Err(late()),
            // The question has ended without an answer: nobody is there to hear it.
            Ok(Err(_closed)) => Err(unreachable("nobody answers at its key".to_owned())),
            Ok(Ok(Ok(frame))) => Ok(frame),
            Ok(Ok(Err(reason))) if reason == "Timeout" => Err(late()),
            Ok(Ok(Err(reason))) => Err(unreachable(reason)),
        }
    }
}

impl Peers for Fleet {
    async fn belt(
        &self,
        node: &NodeId,
        service: BeltService,
        payload: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, PeerError> {
        let key = self.inner.keys.belt(node, service);
        self.ask(node, key, payload, Class::Bulk, timeout).await
    }
}

impl Bus for Fleet {
    async fn call(
        &self,
        node: &NodeId,
        (workflow, task): (&WorkflowId, &TaskId),
        frame: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, PeerError> {
        let key = self.inner.keys.call(node, workflow, task);
        self.ask(node, key, frame, Class::Interactive, timeout).await
    }
}

impl Modules for Fleet {
    async fn part(
        &self,
        function: &FunctionId,
        query: ModuleQuery,
    ) -> Result<ModuleChunk, PeerError> {
        let node = controller();
        let unreachable = |reason: String| PeerError::Unreachable { node: node.clone(), reason };
        let frame = encode(&query).map_err(|error| unreachable(error.to_string()))?;
        let key = self.inner.keys.module(function);
        let answer = self.ask(&node, key, frame, Class::Bulk, FETCH_TIMEOUT).await?;
        decode(&answer).map_err(|error| {
            self.inner.frames_dropped.fetch_add(1, Ordering::Relaxed);
            unreachable(error.to_string())
        })
    }

    async fn signers(&self) -> Result<Signers, PeerError> {
        let (node, key) = (controller(), self.inner.keys.signers());
        let answer = self.ask(&node, key, Vec::new(), Class::Interactive, FETCH_TIMEOUT).await?;
        decode(&answer).map_err(|error| {
            self.inner.frames_dropped.fetch_add(1, Ordering::Relaxed);
            PeerError::Unreachable { node, reason: error.to_string() }
        })
    }
}

/// Who keeps plans and modules, for the words of errors.
fn controller() -> NodeId {
    NodeId::new("controller").expect("a valid name")
}

fn bytes_of(payload: &zenoh::bytes::ZBytes) -> Vec<u8> {
    payload.to_bytes().into_owned()
}

/// Takes a question on a thread of the bus: never waits.
fn take(query: Query, service: Service, questions: &mpsc::Sender<Question>) {
    let key = query.key_expr().clone();
    let question = Question {
        service,
        task: invoked_task(key.as_str()),
        frame: query.payload().map(bytes_of).unwrap_or_default(),
        received: Instant::now(),
        answer: Way { query, key },
    };
    if let Err(
        mpsc::error::TrySendError::Full(question) | mpsc::error::TrySendError::Closed(question),
    ) = questions.try_send(question)
    {
        question.answer.refuse();
    }
}

/// Sends a probe back, on the thread of the bus that received it, so that nothing else is measured.
fn pong(query: &Query, dropped: &AtomicU64) {
    let frame = query.payload().map(bytes_of).unwrap_or_default();
    if decode::<Ping>(&frame).is_err() {
        dropped.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let reply = query.reply(query.key_expr().clone(), frame).express(true);
    if let Err(error) = reply.wait() {
        tracing::debug!(%error, "probe was not sent back");
    }
}
