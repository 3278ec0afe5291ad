//! What a guest sees of its node: the state and objects of its call, the node, the sky, a log. It sees what the manifest of
//! the function whose turn it is grants.

use std::sync::Arc;
use std::time::Instant;

use protocol::invoke::Fault;
use protocol::topic::TOPIC_BODY_BYTES_MAX;
use runtime::{
    CallProfile, CallReport, Callee, Contact, Elsewhere, Function, Host, HostFault, InferTiming,
    InputInfo, Level, NodeInfo, Outgoing, Position, Sealed, StateWrite, Tensor,
};
use types::{Epoch, FunctionId, Geodetic, NodeId, NodeKind, RunId, StateKey, TaskId};

use super::code::{Code, CodeBook, Loaded, NotAtHand};
use super::elsewhere::{CallOut, Came};
use super::frames::{Frame, Frames};
use super::grants::{Denied, Grants};
use super::topics::{EMITS_MAX, Emission};
use super::{Surroundings, locked};
use crate::state::{CallState, GroupId, StateFault};

/// Lines about what was denied that one call logs: the first ones say it, the rest repeat it.
const DENIALS_LOGGED_MAX: u32 = 8;

/// Serves one call, and the calls that it makes.
#[derive(Debug)]
pub(super) struct GuestHost {
    pub(super) state: CallState,
    around: Surroundings,
    group: GroupId,
    run: RunId,
    code: CodeBook,
    frames: Frames,
    /// The way to functions elsewhere.
    out: Box<dyn CallOut>,
    /// What was emitted and is published when the call commits.
    pub(super) emitted: Vec<Emission>,
    denials: u32,
    /// Why something was denied last.
    pub(super) denied: Option<String>,
}

impl GuestHost {
    /// Serves a call of the function that these rights belong to.
    pub(super) fn new(
        state: CallState,
        around: Surroundings,
        (group, run): (GroupId, RunId),
        (code, grants): (CodeBook, Arc<Grants>),
        out: Box<dyn CallOut>,
    ) -> Self {
        let frames = Frames::of(grants);
        let (emitted, denied) = (Vec::new(), None);
        Self { state, around, group, run, code, frames, out, emitted, denials: 0, denied }
    }

    /// Tells the function, its log and the caller what is not granted.
    fn granted(&mut self, checked: Result<(), Denied>) -> Result<(), HostFault> {
        checked.map_err(|denied| self.deny(denied.to_string()))
    }

    fn deny(&mut self, why: String) -> HostFault {
        if self.denials < DENIALS_LOGGED_MAX {
            self.denials += 1;
            self.log(Level::Warn, &why);
        }
        self.denied = Some(why);
        HostFault::Denied
    }

    /// Where a value lies that the function may use.
    fn key(&mut self, key: &StateKey) -> Result<StateKey, HostFault> {
        let checked = self.frames.grants().state(key);
        self.granted(checked)?;
        self.frames.key(key)
    }

    /// A component that the present one may call; `None`: elsewhere, which is also where a model or kernel runs that is a function.
    fn callee(
        &mut self,
        function: &FunctionId,
    ) -> Result<Option<(Function, Arc<Grants>)>, HostFault> {
        let caller = Arc::clone(self.frames.grants());
        self.granted(caller.call(function))?;
        if !self.frames.has_room() {
            return Err(HostFault::TooLarge);
        }
        let is_placed = self.out.place(function).is_some();
        match self.code.callee(function) {
            Ok(Loaded { code: Code::Component(code), grants })
                if grants.tenant == caller.tenant =>
            {
                Ok(Some((code, grants)))
            }
            // Of another tenant it runs in a process of its own, and says itself who may call it. No process has a model or kernel:
            // the task that runs it takes the call.
            Ok(_) | Err(NotAtHand::Failed(_)) if is_placed => Ok(None),
            Ok(found) => {
                self.granted(found.grants.called_by(&caller.tenant))?;
                Err(self.missing(function, "no task that runs it is known here"))
            }
            Err(NotAtHand::Refused(why)) => Err(self.deny(format!("{function}: {why}"))),
            Err(NotAtHand::Failed(why)) => Err(self.missing(function, &why)),
        }
    }

    fn missing(&mut self, function: &FunctionId, why: &str) -> HostFault {
        self.log(Level::Warn, &format!("{function} is not called: {why}"));
        HostFault::NotFound
    }
}

impl Host for GuestHost {
    fn state_get(&mut self, key: &StateKey) -> Result<Option<(Vec<u8>, u64)>, HostFault> {
        let key = self.key(key)?;
        self.state.state_get(&key).map_err(host_fault)
    }

    fn state_put(
        &mut self,
        key: &StateKey,
        value: Vec<u8>,
        expect: Option<u64>,
    ) -> Result<u64, HostFault> {
        let key = self.key(key)?;
        self.state.state_put(&key, value, expect).map_err(host_fault)
    }

    fn state_delete(&mut self, key: &StateKey) -> Result<(), HostFault> {
        let key = self.key(key)?;
        self.state.state_delete(&key).map_err(host_fault)
    }

    fn state_keys(&mut self, prefix: Option<&StateKey>) -> Result<Vec<StateKey>, HostFault> {
        let prefix = self.frames.prefix(prefix)?;
        let keys = self.state.state_keys(prefix.as_ref()).map_err(host_fault)?;
        let keys = keys.into_iter().filter_map(|key| self.frames.shown(key));
        Ok(self.frames.grants().visible(keys.collect()))
    }

    fn inputs(&mut self) -> Vec<InputInfo> {
        // A called function gets what its caller gives it, from the runtime.
        if self.frames.is_called() {
            return Vec::new();
        }
        let info = |input: &protocol::belt::ObjectMeta| InputInfo {
            task: input.id.task.clone(),
            key: input.id.key.clone(),
            bytes: input.bytes,
        };
        self.state.inputs().iter().map(info).collect()
    }

    fn input_read(
        &mut self,
        task: &TaskId,
        key: &StateKey,
        offset: u64,
        len: u32,
    ) -> Result<Vec<u8>, HostFault> {
        self.own_object()?;
        self.state.input_read(task, key, offset, len).map_err(host_fault)
    }

    fn input_sealed(&mut self, task: &TaskId, key: &StateKey) -> Result<Option<Sealed>, HostFault> {
        self.own_object()?;
        let bytes = self.state.bytes_of_input(task, key).map_err(host_fault)?;
        let mut found = Ok(());
        let sealed = Sealed::written(bytes, |memory| {
            found = self.state.input_copy(task, key, memory);
            Ok(())
        });
        found.map_err(host_fault)?;
        // Without memory to share the function gets its parts one by one.
        Ok(sealed.ok())
    }

    fn output_write(&mut self, key: &StateKey, bytes: Vec<u8>) -> Result<(), HostFault> {
        self.own_object()?;
        self.state.output_write(key, bytes).map_err(host_fault)
    }

    fn state_get_range(
        &mut self,
        key: &StateKey,
        offset: u64,
        len: u32,
    ) -> Result<Option<Vec<u8>>, HostFault> {
        let key = self.key(key)?;
        self.state.state_get_range(&key, offset, len).map_err(host_fault)
    }

    fn state_batch(&mut self, writes: Vec<StateWrite>) -> Result<Vec<u64>, HostFault> {
        let writes = writes
            .into_iter()
            .map(|write| Ok((self.key(&write.key)?, write.value, write.expect)))
            .collect::<Result<_, HostFault>>()?;
        self.state.state_batch(writes).map_err(host_fault)
    }

    fn output_write_at(
        &mut self,
        key: &StateKey,
        offset: u64,
        bytes: Vec<u8>,
    ) -> Result<(), HostFault> {
        self.own_object()?;
        self.state.output_write_at(key, offset, &bytes).map_err(host_fault)
    }

    fn output_admit(&mut self, key: &StateKey, bytes: u64) -> Result<(), HostFault> {
        self.own_object()?;
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.state.output_admit(key, bytes).map_err(host_fault)
    }

    fn output_take(&mut self, key: &StateKey, bytes: &[u8]) -> Result<(), HostFault> {
        self.own_object()?;
        self.state.output_take(key, bytes).map_err(host_fault)
    }

    fn output_read(&mut self, key: &StateKey) -> Option<Vec<u8>> {
        self.own_object().ok()?;
        self.state.output_read(key).cloned()
    }

    fn output_forward(
        &mut self,
        task: &TaskId,
        key: &StateKey,
        to: &StateKey,
    ) -> Result<(), HostFault> {
        self.own_object()?;
        self.state.output_forward(task, key, to).map_err(host_fault)
    }

    fn remembered(&mut self) -> Result<Option<Vec<u8>>, HostFault> {
        self.own_object()?;
        self.state.take_memory(self.frames.function()).map_err(host_fault)
    }

    fn describe(&mut self) -> NodeInfo {
        describe(&self.around)
    }

    fn sky_now(&mut self) -> Epoch {
        self.around.clock.sky()
    }

    fn next_contact(&mut self, node: &NodeId) -> Option<Contact> {
        self.around.plan.next_contact(node, self.around.clock.sky())
    }

    fn next_contact_with(&mut self, kind: NodeKind) -> Option<Contact> {
        self.around.plan.next_contact_with(kind, self.around.clock.sky())
    }

    fn position(&mut self) -> Option<Position> {
        position(&self.around)
    }

    fn latency_ms(&mut self, node: &NodeId) -> Option<f64> {
        self.around.plan.latency_ms(node, self.around.clock.sky())
    }

    fn name(&mut self) -> String {
        let node = &self.around.node;
        if self.frames.is_called() {
            return format!("{}@{node}", self.frames.function());
        }
        format!("{}.{}@{node}", self.group.workflow, self.group.task)
    }

    fn enter(&mut self, function: &FunctionId) -> Result<Callee, HostFault> {
        let found = self.callee(function)?;
        let Some((code, grants)) = found else { return Ok(Callee::Elsewhere) };
        let limits = grants.limits();
        let profile = CallProfile { tenant: grants.tenant.clone(), ..CallProfile::from(limits) };
        let fused = self.frames.grants().fuses_with(&grants) && self.out.is_of_workflow(&grants);
        let (mark, emitted) = (self.state.mark(), self.emitted.len());
        self.frames.enter(Frame { grants, mark, emitted });
        Ok(Callee::Here { function: code, profile: Box::new(profile), fused })
    }

    fn call_elsewhere(&mut self, call: &Outgoing<'_>) -> Elsewhere {
        // A runner that was broken into may not have asked before.
        let caller = Arc::clone(self.frames.grants());
        if let Err(fault) = self.granted(caller.call(call.function)) {
            return Elsewhere::refused(fault);
        }
        let Some(place) = self.out.place(call.function) else {
            return Elsewhere::refused(self.missing(call.function, "it is not placed any more"));
        };
        let (function, node) = (call.function, place.node.clone());
        let came: Came = self.out.call(&caller, place, call);
        came.with(|fault| self.told(function, &node, fault))
    }

    fn leave(&mut self, report: &CallReport) {
        let Some(frame) = self.frames.leave() else {
            return tracing::warn!(group = %self.group, "a runner left a function that was not called");
        };
        if report.outcome.is_err() {
            self.state.roll_back(&frame.mark);
            self.emitted.truncate(frame.emitted);
        }
        self.state.unmark();
    }

    fn infer(
        &mut self,
        model: &str,
        inputs: Vec<Tensor>,
        deadline: Instant,
    ) -> Result<(Vec<Tensor>, InferTiming), HostFault> {
        let grants = Arc::clone(self.frames.grants());
        self.granted(grants.model(model))?;
        let answer = self.around.models.run(model, inputs, grants.mode, deadline);
        if answer == Err(HostFault::NotFound) {
            self.log(Level::Warn, &format!("model {model:?} is not on this node"));
        }
        answer
    }

    fn emit(&mut self, topic: &str, body: Vec<u8>) -> Result<(), HostFault> {
        let checked = self.frames.grants().topic(topic);
        self.granted(checked)?;
        if EMITS_MAX <= self.emitted.len() || TOPIC_BODY_BYTES_MAX < body.len() {
            return Err(HostFault::TooLarge);
        }
        let (call, function) = ((&self.group, self.run), self.frames.function());
        let emission = self.around.topics.take(call, function, (topic, body));
        self.emitted.push(emission.ok_or(HostFault::Busy)?);
        Ok(())
    }

    fn log(&mut self, level: Level, message: &str) {
        let whose = (&self.group, self.frames.function());
        log_line(&self.around, whose, self.run, (level, message));
    }
}

/// The node as its functions see it.
pub(super) fn describe(around: &Surroundings) -> NodeInfo {
    let sensors = locked(&around.sensors);
    let (soc, temperature_c) = sensors.latest();
    NodeInfo {
        node: around.node.clone(),
        kind: around.kind,
        battery_pct: soc.map(|soc| soc * 100.0),
        temperature_c,
        sunlit: sensors.env().map(|env| env.sunlit),
        accelerators: around.models.accelerators(),
    }
}

/// Where the node is, as its functions see it.
pub(super) fn position(around: &Surroundings) -> Option<Position> {
    let place = locked(&around.sensors).place(around.clock.sky()).ok()?;
    let Geodetic { lat_deg, lon_deg, alt_km } = place;
    Some(Position { latitude_deg: lat_deg, longitude_deg: lon_deg, altitude_km: alt_km })
}

/// A line that a function logs, to whoever follows it and to the log of the node.
pub(super) fn log_line(
    around: &Surroundings,
    (group, function): (&GroupId, &FunctionId),
    run: RunId,
    (level, message): (Level, &str),
) {
    around.logs.line((group, function), (around.clock.sky(), run), level, message);
    match level {
        Level::Trace => tracing::trace!(target: "function", %group, "{message}"),
        Level::Debug => tracing::debug!(target: "function", %group, "{message}"),
        Level::Info => tracing::info!(target: "function", %group, "{message}"),
        Level::Warn => tracing::warn!(target: "function", %group, "{message}"),
        Level::Error => tracing::error!(target: "function", %group, "{message}"),
    }
}

impl GuestHost {
    /// The objects of the call are those of the task's function. What a called one reads and writes goes from memory to
    /// memory and is never asked for here, unless by a runner that was broken into.
    fn own_object(&self) -> Result<(), HostFault> {
        if self.frames.is_called() { Err(HostFault::Denied) } else { Ok(()) }
    }
}

impl GuestHost {
    /// A fault of a function elsewhere, as its caller gets it; what that one does not get to read goes to the log.
    fn told(&mut self, function: &FunctionId, node: &NodeId, fault: Fault) -> HostFault {
        let (fault, why) = match fault {
            Fault::Denied(why) => return self.deny(format!("{function} on {node}: {why}")),
            Fault::BadInput(text) => return HostFault::BadInput(text),
            Fault::Internal(text) => return HostFault::Internal(text),
            Fault::Busy => return HostFault::Busy,
            Fault::Deadline => return HostFault::Deadline,
            Fault::Conflict(version) => return HostFault::Conflict(version),
            Fault::NotFound(why) => (HostFault::NotFound, why),
            Fault::TooLarge(why) => (HostFault::TooLarge, why),
            Fault::InputMissing(what) => {
                return HostFault::Internal(format!("an object did not get through: {what}"));
            }
            Fault::Moved { to, .. } => (HostFault::Busy, format!("it moves, now to {to}")),
            Fault::Unsupported => {
                return HostFault::Internal(format!("{node} executes no such function"));
            }
        };
        self.log(Level::Warn, &format!("{function} on {node}: {why}"));
        fault
    }
}

/// A fault of state, as a function gets to see it.
pub(super) fn host_fault(fault: StateFault) -> HostFault {
    match fault {
        StateFault::BadInput(rule) => HostFault::BadInput(rule),
        StateFault::NotFound => HostFault::NotFound,
        StateFault::TooLarge(_) => HostFault::TooLarge,
        StateFault::Conflict(version) => HostFault::Conflict(version),
        StateFault::Internal(reason) => HostFault::Internal(reason),
    }
}
