//! One call from queue to answer: its turn, its code, its inputs, the guest, the commit; each part is timed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use protocol::call::Waiting;
use protocol::desired::TaskSpec;
use protocol::invoke::{
    self, Committed, Fault, HandOver, InvocationRecord, Invoke, Invoked, LinkBytes, Outcome,
    RECORD_LINKS_MAX,
};
use runtime::{
    Budget, CallFault, CallHeader, CallLimits, CallProfile, CallReport, Function, HostFault,
    Request,
};
use tokio::sync::OwnedSemaphorePermit;

use super::code::{Code, Loaded, NotAtHand};
use super::elsewhere::{Bus, Outbound};
use super::entry::Caller;
use super::grants::Grants;
use super::guest::GuestHost;
use super::module::Modules;
use super::topics::Emission;
use super::warm::{self, Waits};
use super::{Counted, Inner, QUEUE_MAX, Task, failed, locked};
use crate::agent::cut;
use crate::state::{Begin, CallState, GroupId, Ownership, Peers};

mod program;

/// How often inputs are fetched for one call: once, and once more if the first ones named others.
const FETCHES_MAX: u32 = 2;
/// Between two looks at a group that is being handed over; that takes a few round trips.
const FREEZE_POLL: Duration = Duration::from_millis(10);
/// Longest wait for a group that is being handed over, before the caller is told to come again.
const FREEZE_PATIENCE: Duration = Duration::from_secs(2);

/// A call under way.
struct Running<'a, P> {
    inner: &'a Arc<Inner<P>>,
    group: &'a GroupId,
    call: Arc<Invoke>,
    deadline: Instant,
    record: InvocationRecord,
    /// The function of another node or tenant that calls, if one does.
    caller: Option<Caller>,
    /// What it and all calls that followed from it used.
    used: invoke::Budget,
}

/// What a guest leaves behind.
struct Served {
    state: CallState,
    emitted: Vec<Emission>,
    denied: Option<String>,
    report: CallReport,
}

/// Why a call does not commit.
struct End {
    fault: Fault,
    /// Whether the function came to its end and answered that.
    is_answer: bool,
}

/// Executes a call and answers it in any case; says what it and all calls that followed from it used.
pub(super) async fn run<P: Peers + Modules + Bus + Clone + 'static>(
    inner: &Arc<Inner<P>>,
    group: &GroupId,
    (call, caller): (Invoke, Option<Caller>),
    received: Instant,
) -> (Invoked, invoke::Budget) {
    let mut running = Running {
        inner,
        group,
        deadline: received + Duration::from_millis(u64::from(call.deadline_ms)),
        call: Arc::new(call),
        record: InvocationRecord::default(),
        caller,
        used: invoke::Budget { calls: 0, cpu_us: 0 },
    };
    let outcome = running.all(received).await;
    let mut record = running.record;
    keep_busiest(&mut record.links);
    let invoked = match outcome {
        Ok(done) => Invoked { outcome: Outcome::Committed(done), record },
        Err(fault) => failed(short(fault), record),
    };
    (invoked, running.used)
}

/// Adds what a call moved to its sum for that link.
fn add(links: &mut Vec<LinkBytes>, moved: LinkBytes) {
    match links.iter_mut().find(|link| link.node == moved.node) {
        Some(link) => {
            link.sent += moved.sent;
            link.received += moved.received;
        }
        None => links.push(moved),
    }
}

/// A record names so many links only; the totals count all.
fn keep_busiest(links: &mut Vec<LinkBytes>) {
    links.sort_by_key(|link| std::cmp::Reverse(link.sent + link.received));
    links.truncate(RECORD_LINKS_MAX);
}

impl<P: Peers + Modules + Bus + Clone + 'static> Running<'_, P> {
    async fn all(&mut self, received: Instant) -> Result<Committed, Fault> {
        let is_kept_out = [&self.inner.is_stopping, &self.inner.is_strained];
        if is_kept_out.iter().any(|reason| reason.load(Ordering::Acquire)) {
            return Err(Fault::Busy);
        }
        let task = locked(&self.inner.tasks).get(self.group).cloned();
        let Some(task) = task else { return Err(self.elsewhere().await?) };
        self.record.route_ns = ns(received.elapsed());
        let wanted = locked(&task.spec).clone();
        self.admit(&wanted).await?;
        let queued_at = Instant::now();
        let _turn = self.turn(&task).await?;
        self.record.queue_ns = ns(queued_at.elapsed());
        // Only now, since it may have changed while the call waited.
        let spec = locked(&task.spec).clone();
        self.admit(&spec).await?;
        warm::end_if_over(self.inner, self.group, &spec.function.manifest).await;
        let state = match self.begin().await? {
            Begin::Again(done) => return Ok(done),
            Begin::Ready(state) => state,
            Begin::Missing(inputs) => {
                let object = inputs.first().map(|input| input.object.id.to_string());
                return Err(Fault::InputMissing(object.unwrap_or_default()));
            }
        };
        self.record.input_bytes = bytes(self.call.body.len()) + state.input_bytes();
        self.record.inputs = self.inputs_mode(&state);
        let Loaded { code, grants } = self.function(&spec).await?;
        let function = match code {
            Code::Component(function) => function,
            Code::Program(program) => {
                let (state, body) = self.program((program, grants), &spec, state).await?;
                return self.commit(state, body).await;
            }
        };
        let waits = self.place(&grants, &spec, &state).await?;
        let served = self.guest((function, grants), &spec, state, waits.is_some()).await;
        let instance = served.as_ref().ok().and_then(|served| served.report.usage.instance);
        let done = self.end(served).await;
        if let Some(waits) = waits {
            // What was not committed never was, and no instance remembers it. A fault of the function is an answer.
            let is_answered = done.as_ref().map_or_else(|end| end.is_answer, |_| true);
            let instance = instance.map(|instance| (instance, is_answered));
            warm::ended(self.inner, self.group, waits, instance);
        }
        let (done, emitted) = done.map_err(|end| end.fault)?;
        // Those of an earlier attempt are on their way already.
        if !done.again {
            self.inner.around.topics.commit(emitted);
        }
        Ok(done)
    }

    /// The place of an instance that may wait for the next call, for a function that asks for it.
    async fn place(
        &self,
        grants: &Grants,
        spec: &TaskSpec,
        state: &CallState,
    ) -> Result<Option<Waits>, Fault> {
        let Some(kept) = grants.warm else { return Ok(None) };
        let waits = Waits::of(grants, spec.function.manifest, kept, state.owner_epoch());
        warm::take_place(self.inner, self.group, &waits, self.deadline).await?;
        Ok(Some(waits))
    }

    /// Commits what a guest leaves behind.
    async fn end(
        &mut self,
        served: Result<Served, Fault>,
    ) -> Result<(Committed, Vec<Emission>), End> {
        let not_committed = |fault| End { fault, is_answer: false };
        let Served { state, emitted, denied, report } = served.map_err(not_committed)?;
        let body = report.outcome.map_err(|fault| End {
            is_answer: matches!(fault, CallFault::Guest(_)),
            fault: fault_of_call(fault, denied),
        })?;
        let done = self.commit(state, body).await.map_err(not_committed)?;
        Ok((done, emitted))
    }

    /// Where a task went that this node handed over, if it did: who drives an old run may not have heard of that.
    async fn elsewhere(&self) -> Result<Fault, Fault> {
        let (state, group) = (self.inner.state.clone(), self.group.clone());
        let status = blocking(move || state.group_status(&group)).await?;
        Ok(match status.ownership {
            Ownership::Released { to } => {
                Fault::Moved { to, owner_epoch: status.owner_epoch.next() }
            }
            _ => Fault::NotFound(format!("{} has no task here", self.group)),
        })
    }

    /// Whether the function that calls may call what the task runs; whoever invokes the task as a stage may.
    async fn admit(&mut self, spec: &TaskSpec) -> Result<(), Fault> {
        if self.caller.is_none() {
            return Ok(());
        }
        let callee = self.function(spec).await?;
        self.caller.as_ref().map_or(Ok(()), |caller| caller.may_call(&callee.grants, self.group))
    }

    /// How the input objects came here: the farthest.
    fn inputs_mode(&self, state: &CallState) -> Option<HandOver> {
        let is_apart = self.inner.code.is_apart();
        state.are_inputs_of_here(&self.call.inputs).map(|is_of_here| match (is_of_here, is_apart) {
            (false, _) => HandOver::Network,
            (true, true) => HandOver::Node,
            (true, false) => HandOver::Process,
        })
    }

    /// Waits for the turn of this call, in a queue of its task. A call for which another one of the task waits has its turn: what
    /// both have seen of state is compared when they commit.
    async fn turn<'t>(
        &self,
        task: &'t Task,
    ) -> Result<Option<tokio::sync::SemaphorePermit<'t>>, Fault> {
        if self.caller.as_ref().is_some_and(|caller| caller.waits_in(self.group)) {
            return Ok(None);
        }
        if QUEUE_MAX <= task.queued.load(Ordering::Acquire) {
            return Err(Fault::Busy);
        }
        let _queued = Counted::one(&task.queued);
        let _waiting = Counted::one(&self.inner.waiting);
        let turn = tokio::time::timeout_at(self.deadline.into(), task.turn.acquire()).await;
        let turn = turn.map_err(|_late| Fault::Deadline)?;
        turn.map(Some).map_err(|_closed| Fault::Busy)
    }

    /// Opens the call's view of state, after fetching the inputs that are not here.
    async fn begin(&mut self) -> Result<Begin, Fault> {
        let patience = self.deadline.min(Instant::now() + FREEZE_PATIENCE);
        let mut fetches = 0;
        loop {
            let started = Instant::now();
            let (state, call) = (self.inner.state.clone(), Arc::clone(&self.call));
            let begun = blocking(move || state.begin(&call)).await?;
            self.record.route_ns += ns(started.elapsed());
            match begun {
                // It is being handed over: soon it is here again, or elsewhere.
                Err(Fault::Busy) if Instant::now() < patience => {
                    tokio::time::sleep(FREEZE_POLL).await;
                }
                Err(fault) => return Err(fault),
                Ok(Begin::Missing(inputs)) if fetches < FETCHES_MAX => {
                    fetches += 1;
                    let started = Instant::now();
                    let (state, peers) = (&self.inner.state, &self.inner.peers);
                    let fetched = state.fetch(peers, &inputs, self.deadline.into()).await;
                    self.record.fetch_ns += ns(started.elapsed());
                    for link in fetched? {
                        self.record.fetched_bytes += link.received;
                        add(&mut self.record.links, link);
                    }
                }
                Ok(begun) => return Ok(begun),
            }
        }
    }

    async fn function(&mut self, spec: &TaskSpec) -> Result<Loaded, Fault> {
        let started = Instant::now();
        let at_hand = self.inner.code.at_hand(&spec.function.manifest);
        let function = tokio::time::timeout_at(self.deadline.into(), at_hand).await;
        let waited = started.elapsed();
        if Duration::from_millis(1) <= waited {
            self.record.cold = true;
            self.record.instantiate_ns += ns(waited);
        }
        let function = function.map_err(|_late| Fault::Deadline)?;
        function.map_err(|error| not_at_hand(spec, error))
    }

    /// Runs the guest, off the reactor and as soon as a core is free.
    async fn guest(
        &mut self,
        (function, grants): (Function, Arc<Grants>),
        spec: &TaskSpec,
        state: CallState,
        waits: bool,
    ) -> Result<Served, Fault> {
        let core = self.core(&grants, spec).await?;
        let left = self.deadline.saturating_duration_since(Instant::now());
        let bound = grants.bound(spec);
        let limits = CallLimits {
            linear_memory_mib: bound.linear_memory_mib.0,
            deadline: left.min(Duration::from_millis(u64::from(bound.deadline_ms))),
            budget: grants.budget(),
        };
        // The default until sizing chooses one.
        let warm = waits.then(|| runtime::Warm { task: self.group.to_string() });
        let tenant = grants.tenant.clone();
        let profile = CallProfile { tenant, warm, ..CallProfile::from(limits) };
        self.record.profile.clone_from(&profile.id);
        let (code, call) = (self.inner.code.clone(), Arc::clone(&self.call));
        let (around, group) = (self.inner.around.clone(), self.group.clone());
        let source = self.source();
        let outbound = Outbound {
            inner: Arc::clone(self.inner),
            call: Arc::clone(&call),
            through: self.through(),
            deadline: self.deadline,
            left: grants.budget().min(budget_of(&call)),
            core: Some(core),
            handle: tokio::runtime::Handle::current(),
        };
        let ran = blocking(move || {
            let called = (group, call.run);
            let rights = (code.clone(), grants);
            let mut host = GuestHost::new(state, around, called, rights, Box::new(outbound));
            let request = request_of(&call, source, left);
            let runtime = code.runtime().map_err(Fault::Internal)?;
            let report = runtime.call(&function, request, profile, &mut host);
            Ok(Served { state: host.state, emitted: host.emitted, denied: host.denied, report })
        });
        let served = ran.await??;
        self.measure(&served.report, &served.state);
        Ok(served)
    }

    /// Waits until a core is free; the function may not have been revoked, nor have run out of its time, meanwhile.
    async fn core(
        &mut self,
        grants: &Grants,
        spec: &TaskSpec,
    ) -> Result<OwnedSemaphorePermit, Fault> {
        let queued_at = Instant::now();
        let core = Arc::clone(&self.inner.running).acquire_owned();
        let core = tokio::time::timeout_at(self.deadline.into(), core).await;
        let core = core.map_err(|_late| Fault::Deadline)?.map_err(|_closed| Fault::Busy)?;
        self.record.queue_ns += ns(queued_at.elapsed());
        self.inner.code.may_start(grants).map_err(|error| not_at_hand(spec, error))?;
        Ok(core)
    }

    /// Who calls: a node, or `function@node`.
    fn source(&self) -> String {
        let node = self.call.source.as_str();
        match &self.caller {
            Some(caller) => format!("{}@{node}", caller.grants.name),
            None => node.to_owned(),
        }
    }

    /// The tasks whose calls wait while this one runs, itself the last.
    fn through(&self) -> Vec<Waiting> {
        let GroupId { workflow, task } = self.group.clone();
        let mut through = self.caller.as_ref().map_or(Vec::new(), |caller| caller.through.clone());
        through.push(Waiting { workflow, task });
        through
    }

    fn measure(&mut self, report: &CallReport, state: &CallState) {
        let usage = &report.usage;
        let ran = usage.run_ns != 0 || usage.instantiate_ns != 0;
        self.record.backend = ran.then_some(usage.backend);
        self.record.cold |= usage.cold;
        self.record.warm = usage.instance.is_some_and(|instance| 1 < instance.calls);
        self.record.instantiate_ns += usage.instantiate_ns;
        self.record.run_ns = usage.run_ns;
        self.record.cpu_ns = usage.cpu_ns;
        self.record.peak_memory_bytes = usage.peak_memory_bytes;
        self.record.state_ops = state.state_ops();
        self.record.calls = usage.calls;
        let cpu_ns = usage.cpu_ns.saturating_add(usage.cpu_elsewhere_ns);
        self.used = invoke::Budget { calls: usage.calls, cpu_us: cpu_ns / 1_000 };
        self.record.hand_over = usage.hand_over.map(to_wire);
        self.record.joules = self.joules(usage.cpu_ns).filter(|_| ran);
    }

    /// About the energy of so much processor time, if the node knows what a core draws.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "an estimate")]
    fn joules(&self, cpu_ns: u64) -> Option<f32> {
        let watts = self.inner.around.watts_per_core?;
        Some((cpu_ns as f64 * 1e-9 * watts) as f32)
    }

    async fn commit(&mut self, state: CallState, body: Vec<u8>) -> Result<Committed, Fault> {
        let deadline = self.deadline.into();
        let (service, peers) = (&self.inner.state, &self.inner.peers);
        let committed = service.commit(peers, &self.call, state, body, deadline).await;
        let (done, cost) = committed?;
        self.record.commit_ns = cost.commit_ns;
        for link in cost.pushed {
            self.record.pushed_bytes += link.sent;
            add(&mut self.record.links, link);
        }
        let outputs: u64 = done.outputs.iter().map(|output| output.bytes).sum();
        self.record.output_bytes = outputs + bytes(done.body.len());
        Ok(done)
    }
}

fn not_at_hand(spec: &TaskSpec, error: NotAtHand) -> Fault {
    let name = &spec.function.name;
    match error {
        NotAtHand::Refused(why) => Fault::Denied(format!("{name}: {why}")),
        NotAtHand::Failed(why) => Fault::Internal(format!("{name}: {why}")),
    }
}

fn budget_of(call: &Invoke) -> Budget {
    Budget { calls: call.budget.calls, cpu: Duration::from_micros(call.budget.cpu_us) }
}

fn request_of(call: &Invoke, source: String, deadline: Duration) -> Request {
    let header = CallHeader {
        id: call.run.0,
        root: call.root.0,
        hops: call.hops,
        attempt: call.attempt,
        source,
        deadline,
        budget: budget_of(call),
    };
    Request {
        header,
        schema_id: String::new(),
        content_type: call.content_type.clone(),
        body: call.body.clone(),
    }
}

fn to_wire(mode: runtime::HandOver) -> HandOver {
    match mode {
        runtime::HandOver::Fused => HandOver::Fused,
        runtime::HandOver::Process => HandOver::Process,
        runtime::HandOver::Node => HandOver::Node,
        runtime::HandOver::Network => HandOver::Network,
    }
}

fn fault_of_call(fault: CallFault, denied: Option<String>) -> Fault {
    match fault {
        CallFault::Guest(fault) => fault_of_guest(fault, denied),
        CallFault::Deadline => Fault::Deadline,
        CallFault::Budget => {
            Fault::TooLarge("the function used up the processor time of its budget".to_owned())
        }
        CallFault::MemoryLimit => {
            Fault::TooLarge("the function wanted more linear memory than granted".to_owned())
        }
        CallFault::Trap(reason) | CallFault::Runner(reason) => Fault::Internal(reason),
        CallFault::Busy => Fault::Busy,
        CallFault::TooLarge(what) => Fault::TooLarge(what.to_owned()),
        CallFault::NoBackend(_) => Fault::Unsupported,
    }
}

fn fault_of_guest(fault: HostFault, denied: Option<String>) -> Fault {
    match fault {
        HostFault::BadInput(text) => Fault::BadInput(text),
        HostFault::NotFound => Fault::NotFound("the function missed something".to_owned()),
        HostFault::Denied => {
            Fault::Denied(denied.unwrap_or_else(|| "the function denied it".to_owned()))
        }
        HostFault::Busy => Fault::Busy,
        HostFault::TooLarge => Fault::TooLarge("the function went over a limit".to_owned()),
        HostFault::Deadline => Fault::Deadline,
        HostFault::Conflict(version) => Fault::Conflict(version),
        HostFault::Internal(text) => Fault::Internal(text),
    }
}

/// Texts of guests and libraries may be longer than a message takes.
fn short(fault: Fault) -> Fault {
    match fault {
        Fault::BadInput(text) => Fault::BadInput(cut(text)),
        Fault::NotFound(text) => Fault::NotFound(cut(text)),
        Fault::Denied(text) => Fault::Denied(cut(text)),
        Fault::TooLarge(text) => Fault::TooLarge(cut(text)),
        Fault::InputMissing(text) => Fault::InputMissing(cut(text)),
        Fault::Internal(text) => Fault::Internal(cut(text)),
        other => other,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    let lost = |error| Fault::Internal(format!("work was lost: {error}"));
    tokio::task::spawn_blocking(work).await.map_err(lost)
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn bytes(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use types::NodeId;

    use super::*;

    #[test]
    fn bytes_are_summed_by_link_and_the_busiest_links_are_kept() {
        let moved = |node: u64, sent, received| {
            let node = NodeId::new(&format!("n{node}")).expect("a valid name");
            LinkBytes { node, sent, received }
        };
        let mut links = Vec::new();
        for node in 0..10 {
            add(&mut links, moved(node, node, 0));
            add(&mut links, moved(node, 0, node));
        }
        keep_busiest(&mut links);
        assert_eq!(links.len(), RECORD_LINKS_MAX);
        assert_eq!((&links[0], &links[7]), (&moved(9, 9, 9), &moved(2, 2, 2)));
    }
}
