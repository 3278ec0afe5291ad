//! Does what the machine says: records and roles one after the other, everything else side by side, nothing on the
//! reactor that blocks. Each piece of work that the machine waits for ends with an input.

mod crew;
mod in_order;
mod order;
mod publish;
mod report;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::call::{Call, Called};
use protocol::desired::{FunctionRef, SourceRef, TaskSpec};
use protocol::event::Event;
use protocol::invoke::{Invoke, Invoked, Outcome};
use protocol::report::{Group, LinkSample, Report, ReportBody};
use protocol::signed::Signers;
use protocol::sim::SimEnv;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use types::{NodeId, RunId, SkyClock};

use self::crew::Crew;
use super::backlog::{Keeping, Said};
use super::bridge::Tap;
use super::calls;
use super::sources::{self, SourceBook};
use super::zenoh::Fleet;
use crate::clock::Clock;
use crate::event::{CallId, Input, Now, Output, Record, StageCall};
use crate::exec::Executor;
use crate::health::Health;
use crate::life::LifeBook;
use crate::plan::{Departure, PlanBook};
use crate::sensor::hardware::Hardware;
use crate::sensor::{Memory, Sensors};
use crate::serial::Lines;
use crate::state::{GroupEvent, GroupId, StateService};
use crate::uplink::Sent;

/// Memory for frames that are being worked on, in KiB: eight of the largest.
const FRAMES_KIB_MAX: usize = 72 * 1024;
/// Events that wait to be published; a later one fills the gap by replay.
const EVENTS_MAX: usize = 256;
/// The record of the sensors.
pub(super) const SENSORS: &str = "sensors";
/// The record of the sky clock.
pub(super) const CLOCK: &str = "clock";
/// The record of the contact plan: without a link, an appointment is still one.
pub(super) const PLAN: &str = "plan";
/// The record of the controller's name.
pub(super) const CONTROLLER: &str = "controller";
/// What is larger is sent when a window has room for it.
const LARGE_BYTES: u64 = 1 << 20;
/// Before a wait for a window is thought over, since there may be a newer plan.
const DEPARTURE_AGAIN: Duration = Duration::from_secs(5);

/// What the shell works with.
pub(super) struct Parts {
    pub(super) me: NodeId,
    pub(super) input_dir: Option<PathBuf>,
    pub(super) clock: Clock,
    pub(super) state: StateService,
    pub(super) exec: Executor<Fleet>,
    pub(super) fleet: Fleet,
    pub(super) sensors: Arc<Mutex<Sensors>>,
    /// What the sensors ask; locked only where it may block.
    pub(super) hardware: Mutex<Hardware>,
    pub(super) plan: PlanBook,
    pub(super) tap: Tap,
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) frames_dropped: Arc<AtomicU64>,
    pub(super) keeping: Keeping,
    pub(super) health: Health,
    pub(super) life: LifeBook,
    /// The boards at serial lines.
    pub(super) lines: Lines,
    /// Who the controller is, once it was heard.
    pub(super) controller: Mutex<Option<NodeId>>,
}

/// Everything that the machine's outputs are done with.
pub(super) struct Work {
    parts: Parts,
    source_book: SourceBook,
    frames_kib: Arc<Semaphore>,
    ordered: mpsc::UnboundedSender<Ordered>,
    events: mpsc::Sender<Box<Event>>,
    /// The functions that are wanted, by their signed manifests, and the work that gets them.
    loads: Mutex<BTreeMap<[u8; 32], Load>>,
    silent: Mutex<BTreeMap<NodeId, bool>>,
    reports_dropped: AtomicU64,
    sampling: tokio::sync::Mutex<()>,
    crew: Crew,
    store_work: Mutex<Option<JoinHandle<()>>>,
}

/// A function that is wanted, and the work that gets it.
type Load = (FunctionRef, JoinHandle<()>);

/// Work on the store that must be done in order. Bounded by the machine: one write per record and one role per task
/// are under way.
enum Ordered {
    Save {
        record: Record,
        bytes: Vec<u8>,
    },
    Read(Record),
    Role(Box<TaskSpec>),
    NoRole(GroupId),
    /// A record of the shell itself.
    Keep(&'static str, Vec<u8>),
    /// Nothing follows.
    End,
}

/// What a mutex holds. What the shell locks stays whole when a holder panics.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Work {
    pub(super) fn new(parts: Parts) -> Arc<Self> {
        let (ordered, orders) = mpsc::unbounded_channel();
        let (events, published) = mpsc::channel(EVENTS_MAX);
        let work = Arc::new(Self {
            source_book: SourceBook::default(),
            frames_kib: Arc::new(Semaphore::new(FRAMES_KIB_MAX)),
            ordered,
            events,
            loads: Mutex::new(BTreeMap::new()),
            silent: Mutex::new(BTreeMap::new()),
            reports_dropped: AtomicU64::new(0),
            sampling: tokio::sync::Mutex::new(()),
            crew: Crew::default(),
            store_work: Mutex::new(None),
            parts,
        });
        let pulse = work.health().pulse("store");
        let store_work =
            in_order::in_order(work.state().clone(), work.parts.inputs.clone(), orders, pulse);
        *locked(&work.store_work) = Some(tokio::spawn(store_work));
        let pulse = work.health().pulse("events");
        work.crew().spawn(publish::publish(work.fleet().clone(), published, pulse));
        work
    }

    pub(super) fn me(&self) -> &NodeId {
        &self.parts.me
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.parts.clock
    }

    pub(super) fn state(&self) -> &StateService {
        &self.parts.state
    }

    pub(super) fn exec(&self) -> &Executor<Fleet> {
        &self.parts.exec
    }

    pub(super) fn fleet(&self) -> &Fleet {
        &self.parts.fleet
    }

    /// Who else hears reports and events.
    pub(super) fn tap(&self) -> &Tap {
        &self.parts.tap
    }

    /// The contact plan.
    #[cfg(feature = "mqtt")]
    pub(super) fn plan(&self) -> &PlanBook {
        &self.parts.plan
    }

    /// Whether there is still a loop to work for.
    pub(super) fn is_wanted(&self) -> bool {
        !self.parts.inputs.is_closed()
    }

    /// The way to what keeps reports and events.
    pub(super) const fn keeping(&self) -> &Keeping {
        &self.parts.keeping
    }

    /// The controller, if it was ever heard.
    pub(super) fn controller(&self) -> Option<NodeId> {
        locked(&self.parts.controller).clone()
    }

    /// Another controller is heard.
    pub(super) fn know_controller(&self, controller: &NodeId) {
        *locked(&self.parts.controller) = Some(controller.clone());
        self.keep_record(CONTROLLER, controller.as_str().as_bytes().to_vec());
    }

    /// Keeps a record of the shell.
    pub(super) fn keep_record(&self, name: &'static str, bytes: Vec<u8>) {
        self.order(Ordered::Keep(name, bytes));
    }

    /// Asks all tasks whether they come round.
    pub(super) fn health(&self) -> &Health {
        &self.parts.health
    }

    /// Runs work beside the loop.
    pub(super) fn crew(&self) -> &Crew {
        &self.crew
    }

    pub(super) fn source_book(&self) -> &SourceBook {
        &self.source_book
    }

    pub(super) fn input_dir(&self) -> Option<&Path> {
        self.parts.input_dir.as_deref()
    }

    pub(super) fn frames_kib(&self) -> &Arc<Semaphore> {
        &self.frames_kib
    }

    pub(super) fn frames_dropped(&self) -> &AtomicU64 {
        &self.parts.frames_dropped
    }

    /// Follows another sky clock, also after a restart; says whether it is another one.
    pub(super) fn follow(&self, clock: SkyClock) -> bool {
        if !self.clock().follow(clock) {
            return false;
        }
        self.state().set_clock(clock);
        match serde_json::to_vec(&clock) {
            Ok(bytes) => self.order(Ordered::Keep(CLOCK, bytes)),
            Err(error) => tracing::error!(%error, "sky clock cannot be kept"),
        }
        true
    }

    /// Takes what surrounds the node.
    pub(super) fn surround(&self, env: SimEnv) {
        locked(&self.parts.sensors).surround(env);
    }

    /// Does what an output says.
    pub(super) fn perform(self: &Arc<Self>, now: &Now, output: Output) {
        match output {
            Output::Save { record, bytes } => self.order(Ordered::Save { record, bytes }),
            Output::Read(record) => self.order(Ordered::Read(record)),
            Output::Hold(spec) => {
                self.fetch_ahead(spec.sources.clone());
                self.exec().hold((*spec).clone());
                self.order(Ordered::Role(spec));
            }
            Output::LetGo(group) => {
                self.exec().let_go(&group);
                self.order(Ordered::NoRole(group));
            }
            Output::Callees(callees) => self.exec().know(callees),
            Output::Load(function) => self.load(function),
            Output::Unload(manifest) => {
                if let Some((_, load)) = locked(&self.loads).remove(&manifest) {
                    load.abort();
                }
                self.exec().code().unload(&manifest);
            }
            Output::Replicate { group, to } => self.replicate(group, to),
            Output::HandOver { group, to } => self.hand_over(group, to),
            Output::Call(call) => self.call(*call),
            Output::Update { ticket, asked } => self.take_order(ticket, asked),
            Output::Resume { ticket, id } => self.resume(ticket, id),
            Output::Board { ticket, id, board, order } => {
                self.order_board((ticket, id), board, order);
            }
            Output::Ping(peer) => self.ping(peer),
            Output::Report(report) => self.report(&report),
            Output::Event(event) => self.event(now, event),
            Output::Sample(_)
            | Output::AnswerDesired { .. }
            | Output::AnswerCommand { .. }
            | Output::AnswerEvents { .. } => {}
        }
    }

    /// Executes a call, and tells the machine when it is committed.
    pub(super) async fn invoke(&self, call: Invoke, received: std::time::Instant) -> Invoked {
        let group = GroupId { workflow: call.workflow.clone(), task: call.task.clone() };
        let run = call.run;
        let invoked = self.exec().invoke(call, received).await;
        self.tell_committed(&invoked, group, run).await;
        invoked
    }

    /// Executes a call of a function by one of another node, and tells the machine when it is committed.
    pub(super) async fn called(&self, call: Call, received: std::time::Instant) -> Called {
        let (workflow, task) = (call.invoke.workflow.clone(), call.invoke.task.clone());
        let (group, run) = (GroupId { workflow, task }, call.invoke.run);
        let called = self.exec().call(call, received).await;
        self.tell_committed(&called.invoked, group, run).await;
        called
    }

    async fn tell_committed(&self, invoked: &Invoked, group: GroupId, run: RunId) {
        if let Outcome::Committed(done) = &invoked.outcome
            && !done.again
        {
            let status = self.state().group_status(&group);
            self.tell(Input::Called { group, run, status }).await;
        }
    }

    /// Tells the machine what a peer changed.
    pub(super) async fn group_changed(&self, event: GroupEvent) {
        let group = match &event {
            GroupEvent::TookOver { group, .. } | GroupEvent::ReplicaCurrent { group } => group,
        };
        let status = self.state().group_status(group);
        self.tell(Input::GroupChanged { event, status }).await;
    }

    /// Waits until every question that was taken is answered. Questions that come meanwhile find no room.
    pub(super) async fn all_answered(&self) {
        let all = u32::try_from(FRAMES_KIB_MAX).unwrap_or(u32::MAX);
        // It is never closed.
        self.frames_kib.acquire_many(all).await.ok();
    }

    /// Waits until what was ordered is done, and leaves the bus.
    pub(super) async fn finish(&self) {
        self.keep_sensors();
        self.keeping().end().await;
        self.order(Ordered::End);
        for (_, load) in std::mem::take(&mut *locked(&self.loads)).into_values() {
            load.abort();
        }
        let store_work = locked(&self.store_work).take();
        if let Some(store_work) = store_work
            && let Err(error) = store_work.await
        {
            tracing::error!(%error, "store work was lost");
        }
        self.crew().dismiss().await;
        self.fleet().leave();
    }

    /// Keeps what the models of battery and body must not forget.
    pub(super) fn keep_sensors(&self) {
        let memory: Memory = locked(&self.parts.sensors).memory(self.clock().sky());
        if memory.is_empty() {
            return;
        }
        match serde_json::to_vec(&memory) {
            Ok(bytes) => self.order(Ordered::Keep(SENSORS, bytes)),
            Err(error) => tracing::error!(%error, "sensors cannot be kept"),
        }
    }

    fn order(&self, order: Ordered) {
        if self.ordered.send(order).is_err() {
            tracing::error!("store work after the end");
        }
    }

    pub(super) async fn tell(&self, input: Input) {
        if self.parts.inputs.send(input).await.is_err() {
            tracing::debug!("input after the end");
        }
    }

    fn load(self: &Arc<Self>, function: FunctionRef) {
        let (this, wanted) = (Arc::clone(self), function.clone());
        let manifest = function.manifest;
        let load = tokio::spawn(async move {
            let result = this.exec().code().load(this.fleet(), &wanted).await;
            this.tell(Input::Loaded { manifest, result }).await;
        });
        if let Some((_, old)) = locked(&self.loads).insert(manifest, (function, load)) {
            old.abort();
        }
    }

    /// Takes a list of signers; what is wanted is checked again if it is another one.
    pub(super) async fn trust(self: &Arc<Self>, list: Signers) {
        let (epoch, serial) = (list.epoch, list.serial);
        let trust = self.exec().code().trust().clone();
        match tokio::task::spawn_blocking(move || trust.take(list)).await {
            Ok(Ok(true)) => {
                tracing::info!(%epoch, serial, "list of signers");
                let wanted: Vec<FunctionRef> =
                    locked(&self.loads).values().map(|(function, _)| function.clone()).collect();
                for function in wanted {
                    self.load(function);
                }
            }
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::warn!(%epoch, serial, %error, "list of signers not taken"),
            Err(error) => tracing::error!(%error, "list of signers was lost"),
        }
    }

    /// Checks functions whose time is over again, so that what their tasks are worth is told.
    pub(super) fn stop_what_is_over(self: &Arc<Self>) {
        let code = self.exec().code();
        let wanted: Vec<FunctionRef> = locked(&self.loads)
            .values()
            .filter(|(function, load)| load.is_finished() && code.is_over(&function.manifest))
            .map(|(function, _)| function.clone())
            .collect();
        for function in wanted {
            self.load(function);
        }
    }

    fn replicate(self: &Arc<Self>, group: GroupId, to: NodeId) {
        let this = Arc::clone(self);
        self.crew().spawn(async move {
            this.depart(&group, &to).await;
            let result = this.state().replicate(this.fleet(), &group, &to).await;
            tracing::info!(%group, %to, ?result, "group copied");
            let status = this.state().group_status(&group);
            this.tell(Input::Replicated { group, to, result, status }).await;
        });
    }

    /// Waits for a contact with room for a group.
    async fn depart(&self, group: &GroupId, to: &NodeId) {
        let mut has_waited = false;
        loop {
            let bytes = self.state().group_status(group).state_bytes;
            // What is small goes as soon as there is a way.
            let bytes = if bytes < LARGE_BYTES { 0 } else { bytes };
            let now = self.clock().now();
            let Departure::At(at) = self.parts.plan.departure(to, bytes, &now) else { return };
            if !has_waited {
                let wait_s = at.saturating_since(now.at).as_secs();
                tracing::info!(%group, %to, bytes, wait_s, "waits for a contact with room");
                has_waited = true;
            }
            let at = at.min(now.at.plus(DEPARTURE_AGAIN));
            tokio::time::sleep_until(self.clock().system(at).into()).await;
        }
    }

    fn hand_over(self: &Arc<Self>, group: GroupId, to: NodeId) {
        let this = Arc::clone(self);
        self.crew().spawn(async move {
            let result = {
                let last = Box::pin(this.exec().rest(group.clone()));
                this.state().hand_over_after(this.fleet(), &group, &to, last).await
            };
            tracing::info!(%group, %to, ?result, "group handed over");
            let status = this.state().group_status(&group);
            this.tell(Input::HandedOver { group, result, status }).await;
        });
    }

    fn call(self: &Arc<Self>, call: StageCall) {
        let this = Arc::clone(self);
        self.crew().spawn(async move {
            let (workflow, task) = (call.workflow.clone(), call.task.clone());
            let id = CallId { workflow, run: call.run, task, attempt: call.attempt };
            let answer = calls::call(&this, call).await;
            this.tell(Input::StageAnswered { call: id, answer }).await;
        });
    }

    fn fetch_ahead(self: &Arc<Self>, sources: Vec<SourceRef>) {
        if sources.is_empty() {
            return;
        }
        let this = Arc::clone(self);
        self.crew().spawn(async move { sources::fetch_ahead(&this, &sources).await });
    }

    /// Reads groups of sensors: what may block after the rest, all of it on one thread, one group after another.
    pub(super) fn sample(self: &Arc<Self>, groups: Vec<Group>) {
        let (slow, quick): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| report::may_block(*group));
        if quick.is_empty() && slow.is_empty() {
            return;
        }
        let this = Arc::clone(self);
        self.crew().spawn(async move {
            for group in quick {
                this.sampled(group, report::sample(&this, group)).await;
            }
            if slow.is_empty() {
                return;
            }
            let sampler = Arc::clone(&this);
            let reactor = tokio::runtime::Handle::current();
            // One at a time keeps the process at few threads.
            let _turn = this.sampling.lock().await;
            let sampled = tokio::task::spawn_blocking(move || {
                for group in slow {
                    // Told at once: the next one may take long.
                    reactor.block_on(sampler.sampled(group, report::sample(&sampler, group)));
                }
            });
            if let Err(error) = sampled.await {
                tracing::error!(%error, "samples were lost");
            }
        });
    }

    async fn sampled(self: &Arc<Self>, group: Group, sampled: Option<ReportBody>) {
        if matches!(group, Group::Power | Group::Thermal) {
            self.mind_strain();
        }
        if let Some(body) = sampled {
            self.tell(Input::Sampled(body)).await;
        }
    }

    /// Keeps calls out while the node has too little charge or is too warm; what instances remember is kept before power may go.
    fn mind_strain(self: &Arc<Self>) {
        let is_strained = locked(&self.parts.sensors).strain().is_some();
        if self.exec().set_strained(is_strained) && is_strained {
            let this = Arc::clone(self);
            self.crew().spawn(async move { this.exec().settle().await });
        }
    }

    fn ping(self: &Arc<Self>, peer: NodeId) {
        let this = Arc::clone(self);
        self.crew().spawn(async move {
            let sent = std::time::Instant::now();
            let rtt = this.fleet().ping(&peer).await;
            let at = this.clock().sky_before(rtt.unwrap_or_else(|| sent.elapsed()) / 2);
            this.note_silence(&peer, rtt.is_none());
            let rtt_us = rtt.map(|rtt| u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX));
            this.tell(Input::Pinged(LinkSample { peer, at, rtt_us })).await;
        });
    }

    /// How many peers answered when they were asked last, and how many were asked.
    pub(super) fn links(&self) -> (usize, usize) {
        let silent = locked(&self.silent);
        (silent.values().filter(|is_silent| !**is_silent).count(), silent.len())
    }

    /// Tells once when a peer falls silent and once when it is heard again, and whether that was to be expected.
    fn note_silence(&self, peer: &NodeId, is_silent: bool) {
        let before = locked(&self.silent).insert(peer.clone(), is_silent).unwrap_or(true);
        if before == is_silent {
            return;
        }
        let predicted = self.parts.plan.predicts_silence(peer, self.clock().sky());
        match (is_silent, predicted) {
            (false, _) => tracing::info!(%peer, "peer is heard"),
            (true, true) => tracing::info!(%peer, "peer is silent, as the contact plan says"),
            (true, false) => tracing::warn!(%peer, "peer is silent, though the plan has a contact"),
        }
    }

    fn report(&self, report: &Report) {
        self.tap().report(report);
        match protocol::encode(report) {
            Ok(frame) => {
                let group = report.body.group();
                self.fleet().publish_report(group, frame.clone());
                // What waits is not worth waiting itself.
                if group != Group::Backlog {
                    let (seq, at) = (report.header.seq, report.header.at);
                    self.keeping().say(Said::Report(Sent { seq, group, at, frame }));
                }
            }
            Err(error) => {
                self.reports_dropped.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, "report cannot be sent");
            }
        }
    }

    fn event(&self, now: &Now, event: Box<Event>) {
        self.tap().event(&event);
        tracing::info!(seq = event.header.seq, sky = %now.sky, event = %report::words(&event), "event");
        match protocol::encode(&*event) {
            Ok(frame) => {
                self.keeping().say(Said::Event { at: event.header.at, frame });
            }
            Err(error) => tracing::error!(%error, "event cannot be kept"),
        }
        if self.events.try_send(event).is_err() {
            tracing::warn!("event left out; the replay has it");
        }
    }
}
