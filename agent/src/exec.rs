//! Executes tasks: code at hand, a bounded queue per task, one call after the other, results durable before the answer.
//!
//! Calls of one task run one after the other: they share lasting state with a single writer, and a repeated try of a
//! stage must find what the first one committed. Different tasks run side by side, as many as there are cores.

pub mod code;
pub mod elsewhere;
mod entry;
mod frames;
pub mod grants;
mod guest;
pub mod inference;
mod invoke;
pub mod log;
pub mod module;
pub mod processes;
pub mod secret;
mod stats;
pub mod topics;
pub mod trust;
mod warm;
pub mod world;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::call::{Call, Called};
use protocol::desired::{CalleeSpec, TaskSpec};
use protocol::invoke::{Fault, InvocationRecord, Invoke, Invoked, Outcome};
use protocol::report::FunctionReport;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use types::{NodeId, NodeKind};

use self::code::CodeBook;
use self::elsewhere::{Bus, Places};
use self::inference::Models;
use self::log::LogTap;
use self::module::Modules;
use self::stats::Stats;
use self::topics::Topics;
use self::warm::WarmBook;
use crate::clock::Clock;
use crate::plan::PlanBook;
use crate::sensor::Sensors;
use crate::state::{GroupId, Peers, StateService};

/// Calls of one task that may wait: what a driver and its retries can have under way, with room.
const QUEUE_MAX: u32 = 64;
/// Most calls that run at once, however many cores there are.
const RUNNING_MAX: usize = 8;
/// How often a finished drain is looked for.
const DRAIN_POLL: Duration = Duration::from_millis(10);

/// What calls need of their node; clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The node.
    pub node: NodeId,
    /// Its role.
    pub kind: NodeKind,
    /// Its clocks.
    pub clock: Clock,
    /// Its contact plan.
    pub plan: PlanBook,
    /// Its sensors.
    pub sensors: Arc<Mutex<Sensors>>,
    /// Where the lines go that functions log.
    pub logs: LogTap,
    /// What runs models and kernels.
    pub models: Models,
    /// Where messages go that functions emit.
    pub topics: Topics,
    /// What a busy core draws, in W, if that is known.
    pub watts_per_core: Option<f64>,
}

/// Executes calls; clones are handles to the same.
#[derive(Debug)]
pub struct Executor<P> {
    inner: Arc<Inner<P>>,
}

impl<P> Clone for Executor<P> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

#[derive(Debug)]
struct Inner<P> {
    around: Surroundings,
    state: StateService,
    peers: P,
    code: CodeBook,
    tasks: Mutex<BTreeMap<GroupId, Arc<Task>>>,
    /// One permit for each call that may run a guest now.
    running: Arc<Semaphore>,
    /// Where functions are that those of this node may call.
    places: Places,
    in_flight: AtomicU32,
    waiting: AtomicU32,
    functions_cpu_ns: AtomicU64,
    is_stopping: AtomicBool,
    /// The node has too little charge, or is too warm.
    is_strained: AtomicBool,
    stats: Mutex<Stats>,
    /// The instances that wait for the next call of their task.
    warm: Mutex<WarmBook>,
}

/// A task that takes calls.
#[derive(Debug)]
struct Task {
    spec: Mutex<TaskSpec>,
    /// One permit: calls run one after the other.
    turn: Arc<Semaphore>,
    queued: AtomicU32,
}

/// A counter that is one higher while this lives.
struct Counted<'a>(&'a AtomicU32);

impl<'a> Counted<'a> {
    fn one(counter: &'a AtomicU32) -> Self {
        counter.fetch_add(1, Ordering::AcqRel);
        Self(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<P: Peers + Modules + Bus + Clone + 'static> Executor<P> {
    /// An executor without tasks.
    pub fn new(around: Surroundings, state: StateService, peers: P, code: CodeBook) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let inner = Inner {
            around,
            state,
            peers,
            code,
            tasks: Mutex::new(BTreeMap::new()),
            running: Arc::new(Semaphore::new(cores.min(RUNNING_MAX))),
            places: Places::default(),
            in_flight: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            functions_cpu_ns: AtomicU64::new(0),
            is_stopping: AtomicBool::new(false),
            is_strained: AtomicBool::new(false),
            stats: Mutex::new(Stats::new(std::time::Instant::now())),
            warm: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Takes calls for a task, or takes them under another specification.
    pub fn hold(&self, spec: TaskSpec) {
        let group = GroupId { workflow: spec.workflow.clone(), task: spec.task.clone() };
        let mut tasks = locked(&self.inner.tasks);
        if let Some(task) = tasks.get(&group) {
            *locked(&task.spec) = spec;
            return;
        }
        let turn = Arc::new(Semaphore::new(1));
        let task = Task { spec: Mutex::new(spec), turn, queued: AtomicU32::new(0) };
        tasks.insert(group, Arc::new(task));
    }

    /// Takes no further calls for a task.
    pub fn let_go(&self, group: &GroupId) {
        locked(&self.inner.tasks).remove(group);
        // Its state is another node's by now, or nobody's: what an instance remembers has nowhere to go.
        warm::forget(&self.inner, group);
    }

    /// Ends the instance of a task that is to be handed over, so that what it remembers goes along, and keeps calls out until the
    /// answer is dropped.
    pub async fn rest(&self, group: GroupId) -> Option<OwnedSemaphorePermit> {
        warm::rest(&self.inner, &group).await
    }

    /// Replaces what is known of where functions are that those of this node may call.
    pub fn know(&self, callees: Vec<CalleeSpec>) {
        self.inner.places.know(callees);
    }

    /// Executes a call of a function by one of another node that came in at `received`, and answers it in any case.
    pub async fn call(&self, call: Call, received: std::time::Instant) -> Called {
        entry::call(&self.inner, call, received).await
    }

    /// The code that it runs.
    pub fn code(&self) -> &CodeBook {
        &self.inner.code
    }

    /// Executes a call that came in at `received`, and answers it in any case.
    pub async fn invoke(&self, call: Invoke, received: std::time::Instant) -> Invoked {
        let _in_flight = Counted::one(&self.inner.in_flight);
        let group = GroupId { workflow: call.workflow.clone(), task: call.task.clone() };
        let (invoked, _) = invoke::run(&self.inner, &group, (call, None), received).await;
        let cpu_ns = invoked.record.cpu_ns;
        self.inner.functions_cpu_ns.fetch_add(cpu_ns, Ordering::Relaxed);
        locked(&self.inner.stats).count(&group, &invoked, received, std::time::Instant::now());
        invoked
    }

    /// Processor time of all functions so far, in nanoseconds.
    pub fn functions_cpu_ns(&self) -> u64 {
        self.inner.functions_cpu_ns.load(Ordering::Relaxed)
    }

    /// Calls that wait for their turn.
    pub fn waiting(&self) -> u32 {
        self.inner.waiting.load(Ordering::Acquire)
    }

    /// What the functions did and cost since the start.
    pub fn report(&self) -> FunctionReport {
        FunctionReport {
            tasks: locked(&self.inner.stats).tasks(std::time::Instant::now()),
            code: self.inner.code.mode(),
        }
    }

    /// Begins no further call while the node is strained; those under way come to their end. Says whether that is new.
    pub fn set_strained(&self, is_strained: bool) -> bool {
        self.inner.is_strained.swap(is_strained, Ordering::AcqRel) != is_strained
    }

    /// Ends the instances that wait for their next call, so that what they remember is kept.
    pub async fn settle(&self) {
        warm::end_all(&self.inner, tokio::time::Instant::now()).await;
    }

    /// Refuses new calls and waits for those in flight, at most `patience`; says how many are left. Then what the instances
    /// remember that wait for their next call is kept.
    pub async fn drain(&self, patience: Duration) -> u32 {
        self.inner.is_stopping.store(true, Ordering::Release);
        let end = tokio::time::Instant::now() + patience;
        loop {
            let left = self.inner.in_flight.load(Ordering::Acquire);
            if left == 0 || end <= tokio::time::Instant::now() {
                warm::end_all(&self.inner, end).await;
                return left;
            }
            tokio::time::sleep(DRAIN_POLL).await;
        }
    }
}

fn failed(fault: Fault, record: InvocationRecord) -> Invoked {
    Invoked { outcome: Outcome::Failed(fault), record }
}
