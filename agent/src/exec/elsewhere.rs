//! Calls of functions that do not run where their caller does: on another node, or in the process of another tenant.
//!
//! The end of the caller. What its manifest grants has been looked at before; the end of the callee ([`super::entry`]) looks at it
//! again, from the signed manifest that goes along, and at its own.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use protocol::call::{Call, Called, FIRST_CALL, Waiting};
use protocol::desired::CalleeSpec;
use protocol::invoke::{self, Fault, HOPS_MAX, Input, Invoke, Outcome};
use protocol::{decode, encode};
use runtime::{Budget, Elsewhere, HandOver, HostFault, Outgoing, Returned};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use types::{FunctionId, NodeId, RunId, TaskId, WorkflowId};

use super::grants::Grants;
use super::module::Modules;
use super::{Inner, entry, locked};
use crate::state::{PeerError, Peers};

/// How often a call goes after a task that has moved: a hand-over that was under way, and the next one.
const MOVES_MAX: u32 = 3;

/// The way to functions on other nodes.
pub trait Bus: Send + Sync {
    /// Sends `frame`, a call, to a task of `node` and waits for the frame that answers it.
    ///
    /// # Errors
    /// [`PeerError`] when no answer comes within `timeout`.
    fn call(
        &self,
        node: &NodeId,
        task: (&WorkflowId, &TaskId),
        frame: Vec<u8>,
        timeout: Duration,
    ) -> impl Future<Output = Result<Vec<u8>, PeerError>> + Send;
}

/// Where functions are that those of this node may call, as the controller says.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<BTreeMap<FunctionId, Vec<CalleeSpec>>>);

impl Places {
    /// Replaces what is known.
    pub(super) fn know(&self, callees: Vec<CalleeSpec>) {
        let mut known: BTreeMap<FunctionId, Vec<CalleeSpec>> = BTreeMap::new();
        for callee in callees {
            known.entry(callee.function.clone()).or_default().push(callee);
        }
        known.values_mut().for_each(|places| places.sort());
        *locked(&self.0) = known;
    }

    /// The task to call: of the caller's workflow if there is one, else the first, so that a second try finds the same.
    pub(super) fn of(&self, function: &FunctionId, workflow: &WorkflowId) -> Option<CalleeSpec> {
        let known = locked(&self.0);
        let places = known.get(function)?;
        let near = places.iter().find(|place| place.workflow == *workflow);
        near.or_else(|| places.first()).cloned()
    }
}

/// What came of a call, in the words of the node that it went to.
#[derive(Debug)]
pub(super) struct Came {
    pub(super) outcome: Result<Returned, Fault>,
    pub(super) used: Budget,
    pub(super) mode: Option<HandOver>,
}

impl Came {
    /// Nothing was called.
    pub(super) const fn refused(fault: Fault) -> Self {
        let used = Budget { calls: 0, cpu: Duration::ZERO };
        Self { outcome: Err(fault), used, mode: None }
    }

    /// As the function that called gets it, whose fault is that of the callee.
    pub(super) fn with(self, fault: impl FnOnce(Fault) -> HostFault) -> Elsewhere {
        Elsewhere { outcome: self.outcome.map_err(fault), used: self.used, mode: self.mode }
    }
}

/// Calls functions elsewhere, from the thread of a guest, which waits.
pub(super) trait CallOut: std::fmt::Debug + Send {
    /// Where a function is, if that is known.
    fn place(&self, function: &FunctionId) -> Option<CalleeSpec>;

    /// Whether a task of the caller's workflow runs the function with these rights on this node.
    fn is_of_workflow(&self, function: &Grants) -> bool;

    /// Calls it there, as the function with these rights.
    fn call(&mut self, caller: &Grants, place: CalleeSpec, call: &Outgoing<'_>) -> Came;
}

/// The calls elsewhere that follow from one call of a task.
pub(super) struct Outbound<P> {
    pub(super) inner: Arc<Inner<P>>,
    /// The call that they follow from.
    pub(super) call: Arc<Invoke>,
    /// The tasks whose calls wait, this one's last.
    pub(super) through: Vec<Waiting>,
    pub(super) deadline: Instant,
    /// What they may use together, whatever a runner says that was broken into.
    pub(super) left: Budget,
    /// The right to run a guest, given back while it waits: else all cores could wait for each other.
    pub(super) core: Option<OwnedSemaphorePermit>,
    pub(super) handle: Handle,
}

impl<P> std::fmt::Debug for Outbound<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound").field("left", &self.left).finish_non_exhaustive()
    }
}

impl<P: Peers + Modules + Bus + Clone + 'static> CallOut for Outbound<P> {
    fn place(&self, function: &FunctionId) -> Option<CalleeSpec> {
        self.inner.places.of(function, &self.call.workflow)
    }

    fn is_of_workflow(&self, function: &Grants) -> bool {
        let manifest = function.manifest();
        let tasks = locked(&self.inner.tasks);
        let mut of_workflow =
            tasks.iter().filter(|(group, _)| group.workflow == self.call.workflow);
        of_workflow.any(|(_, task)| locked(&task.spec).function.manifest == manifest)
    }

    fn call(&mut self, caller: &Grants, place: CalleeSpec, call: &Outgoing<'_>) -> Came {
        let now = Instant::now();
        let deadline = self.deadline.min(now + call.header.deadline);
        let hops = call.header.hops.max(self.call.hops.saturating_add(1));
        if self.left.calls == 0 || HOPS_MAX < hops || usize::from(HOPS_MAX) < self.through.len() {
            return Came::refused(Fault::TooLarge("the chain of calls is too long".to_owned()));
        }
        self.left.calls -= 1;
        let budget = self.left.min(call.header.budget);
        drop(self.core.take());
        let handle = self.handle.clone();
        let mut came = handle.block_on(self.send(caller, place, call, (hops, budget, deadline)));
        let core = Arc::clone(&self.inner.running).acquire_owned();
        match handle.block_on(tokio::time::timeout_at(self.deadline.into(), core)) {
            Ok(core) => self.core = core.ok(),
            // The guest is stopped as soon as it runs again.
            Err(_late) => came.outcome = Err(Fault::Deadline),
        }
        self.left.calls = self.left.calls.saturating_sub(came.used.calls);
        self.left.cpu = self.left.cpu.saturating_sub(came.used.cpu);
        came
    }
}

impl<P: Peers + Modules + Bus + Clone + 'static> Outbound<P> {
    async fn send(
        &self,
        caller: &Grants,
        place: CalleeSpec,
        call: &Outgoing<'_>,
        bounds: (u8, Budget, Instant),
    ) -> Came {
        let (_, _, deadline) = bounds;
        let run = self.run(call);
        let (state, peers) = (&self.inner.state, &self.inner.peers);
        // They can be fetched until this ends.
        let lending = state.lend((&place.workflow, run), call.objects);
        let Some(lending) = lending else { return Came::refused(Fault::Busy) };
        let mut node = place.node.clone();
        let mut moves = 0;
        let (called, mode) = loop {
            let invoke = self.invoke(&place, (run, call), bounds, lending.metas());
            let sent = Call {
                invoke,
                function: call.function.clone(),
                caller: caller.signed.to_vec(),
                through: self.through.clone(),
            };
            let called = match self.answer(&node, sent, deadline).await {
                Ok(called) => called,
                Err(fault) => return Came::refused(fault),
            };
            match &called.invoked.outcome {
                Outcome::Failed(Fault::Moved { to, .. }) if moves < MOVES_MAX => {
                    moves += 1;
                    node = to.clone();
                }
                _ => break (called, self.mode(&node)),
            }
        };
        let cpu = Duration::from_micros(called.used.cpu_us);
        let used = Budget { calls: called.used.calls, cpu };
        let outcome = match called.invoked.outcome {
            Outcome::Failed(fault) => Err(fault),
            Outcome::Committed(done) => {
                let objects = state.bring_back(peers, &done.outputs, &node, deadline.into()).await;
                objects.map(|objects| Returned { body: done.body, objects })
            }
        };
        Came { outcome, used, mode: Some(mode) }
    }

    fn invoke(
        &self,
        place: &CalleeSpec,
        (run, call): (RunId, &Outgoing<'_>),
        (hops, budget, deadline): (u8, Budget, Instant),
        along: &[protocol::belt::ObjectMeta],
    ) -> Invoke {
        let me = &self.inner.around.node;
        let left = deadline.saturating_duration_since(Instant::now());
        let input = |object: &protocol::belt::ObjectMeta| Input {
            object: object.clone(),
            holder: me.clone(),
        };
        Invoke {
            workflow: place.workflow.clone(),
            task: place.task.clone(),
            run,
            attempt: self.call.attempt,
            root: self.call.root,
            hops,
            source: me.clone(),
            deadline_ms: u32::try_from(left.as_millis()).unwrap_or(u32::MAX),
            budget: invoke::Budget {
                calls: budget.calls,
                cpu_us: u64::try_from(budget.cpu.as_micros()).unwrap_or(u64::MAX),
            },
            inputs: along.iter().map(input).collect(),
            outputs_to: None,
            content_type: call.content_type.to_owned(),
            body: call.body.to_vec(),
        }
    }

    /// Names a call: the same for each try of the call that it follows from, and never that of another one.
    fn run(&self, call: &Outgoing<'_>) -> RunId {
        let mut hash = blake3::Hasher::new();
        for part in [self.call.workflow.as_str(), self.call.task.as_str(), call.function.as_str()] {
            hash.update(part.as_bytes()).update(&[0]);
        }
        hash.update(&self.call.run.0.to_le_bytes()).update(&call.header.id.to_le_bytes());
        let mut first = [0; 8];
        hash.finalize_xof().fill(&mut first);
        RunId(FIRST_CALL.0 | u64::from_le_bytes(first))
    }

    /// How data travel to a function there.
    fn mode(&self, node: &NodeId) -> HandOver {
        match (*node == self.inner.around.node, self.inner.code.is_apart()) {
            (false, _) => HandOver::Network,
            (true, true) => HandOver::Node,
            (true, false) => HandOver::Process,
        }
    }

    /// The answer of a node, which may be this one.
    async fn answer(&self, node: &NodeId, call: Call, deadline: Instant) -> Result<Called, Fault> {
        let timeout = deadline.saturating_duration_since(Instant::now());
        if call.invoke.deadline_ms == 0 {
            return Err(Fault::Deadline);
        }
        if *node == self.inner.around.node {
            let (inner, now) = (Arc::clone(&self.inner), Instant::now());
            return Ok(entry::call(&inner, call, now).await);
        }
        let internal = |error: String| Fault::Internal(error);
        let frame = encode(&call).map_err(|error| internal(error.to_string()))?;
        let task = (&call.invoke.workflow, &call.invoke.task);
        match self.inner.peers.call(node, task, frame, timeout).await {
            Ok(answer) => {
                let unread = |error| internal(format!("the answer of {node}: {error}"));
                decode::<Called>(&answer).map_err(unread)
            }
            Err(PeerError::Timeout { .. }) => Err(Fault::Deadline),
            Err(error @ PeerError::Unreachable { .. }) => {
                tracing::debug!(function = %call.function, %error, "call not sent");
                Err(Fault::Busy)
            }
        }
    }
}
