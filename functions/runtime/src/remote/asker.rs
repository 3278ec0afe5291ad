//! The host as a guest in a runner has it: every question goes to the agent and waits for its answer.

use std::io::{self, Write as _};
use std::process;
use std::time::Instant;

use types::{Epoch, FunctionId, NodeId, NodeKind, StateKey, TaskId};

use super::frame::{BULK_BYTES_MAX, Beside, Came, Lane};
use super::message::{
    BatchWrite, CalleeHere, FromRunner, HostAnswer, HostCall, Outcome, Outward, TensorHead,
    ToRunner,
};
use super::server::Serving;
use crate::cache::ModuleHash;
use crate::function::Function;
use crate::memfd::Sealed;
use crate::{
    CallReport, Callee, Contact, Elsewhere, Host, HostFault, InferTiming, InputInfo, Level,
    NodeInfo, Outgoing, Position, StateWrite, Tensor,
};

/// Asks on the lane of one call.
pub(super) struct Asker<'a> {
    pub(super) lane: &'a mut Lane,
    /// Where functions are that may be called.
    pub(super) serving: &'a Serving,
}

impl Asker<'_> {
    fn ask(
        &mut self,
        call: HostCall,
        bytes: Option<&[u8]>,
    ) -> Result<(HostAnswer, Vec<u8>), HostFault> {
        let (answer, came) = self.ask_for(call, bytes)?;
        Ok((answer, came.bytes.unwrap_or_default()))
    }

    /// The same, with all that came along.
    fn ask_for(
        &mut self,
        call: HostCall,
        bytes: Option<&[u8]>,
    ) -> Result<(HostAnswer, Came), HostFault> {
        if bytes.is_some_and(|bytes| BULK_BYTES_MAX < bytes.len()) {
            return Err(HostFault::TooLarge);
        }
        let beside = bytes.map_or(Beside::Nothing, Beside::Bytes);
        let sent = self.lane.send(&FromRunner::Ask(call), beside);
        match sent.and_then(|()| self.lane.receive(None)) {
            Ok((ToRunner::Answer(HostAnswer::Fault(fault)), _)) => Err(fault),
            Ok((ToRunner::Answer(answer), came)) => Ok((answer, came)),
            Ok(_) => abandon(&io::ErrorKind::InvalidData.into()),
            Err(error) => abandon(&error),
        }
    }

    /// Makes sure of something that has no answer but a fault.
    fn have(&mut self, call: HostCall, bytes: Option<&[u8]>) -> Result<(), HostFault> {
        match self.ask(call, bytes)? {
            (HostAnswer::Done, _) => Ok(()),
            _ => confused(),
        }
    }

    /// A function that may be called, with code from the agent if it is not here yet.
    fn callee(&mut self, module: &ModuleHash) -> Result<Function, HostFault> {
        if let Some(function) = self.serving.function(module) {
            return Ok(function);
        }
        match self.ask(HostCall::Code(*module), None)? {
            (HostAnswer::Code(facts), code) => {
                self.serving.keep(*module, *facts, &code).map_err(HostFault::Internal)
            }
            _ => confused(),
        }
    }

    /// The answer to a question that cannot fail.
    fn ask_plainly(&mut self, call: HostCall) -> HostAnswer {
        match self.ask(call, None) {
            Ok((answer, _)) => answer,
            Err(_) => abandon(&io::ErrorKind::InvalidData.into()),
        }
    }
}

/// How a runner ends that can no longer talk to its agent: neither as one that was told to nor as one that crashed.
const ABANDONED: i32 = 70;

/// Without its agent a runner has nobody to run for, and what it runs must not go on. Says why where the agent says what it does.
#[expect(clippy::exit, reason = "the other threads of the process must end too")]
pub(super) fn abandon(why: &io::Error) -> ! {
    if why.kind() != io::ErrorKind::UnexpectedEof {
        // Whether anybody hears it or not, this is the end.
        drop(writeln!(io::stderr(), "a runner ends: {why}"));
    }
    process::exit(ABANDONED)
}

/// An agent that answers another question than the one that was asked is none.
fn confused<T>() -> T {
    abandon(&io::ErrorKind::InvalidData.into())
}

impl Host for Asker<'_> {
    fn state_get(&mut self, key: &StateKey) -> Result<Option<(Vec<u8>, u64)>, HostFault> {
        match self.ask(HostCall::StateGet(key.clone()), None)? {
            (HostAnswer::Value(version), bytes) => Ok(version.map(|version| (bytes, version))),
            _ => confused(),
        }
    }

    fn remembered(&mut self) -> Result<Option<Vec<u8>>, HostFault> {
        match self.ask(HostCall::Remembered, None)? {
            (HostAnswer::Object(is_there), bytes) => Ok(is_there.then_some(bytes)),
            _ => confused(),
        }
    }

    fn state_put(
        &mut self,
        key: &StateKey,
        value: Vec<u8>,
        expect: Option<u64>,
    ) -> Result<u64, HostFault> {
        match self.ask(HostCall::StatePut { key: key.clone(), expect }, Some(&value))? {
            (HostAnswer::Version(version), _) => Ok(version),
            _ => confused(),
        }
    }

    fn state_delete(&mut self, key: &StateKey) -> Result<(), HostFault> {
        match self.ask(HostCall::StateDelete(key.clone()), None)? {
            (HostAnswer::Done, _) => Ok(()),
            _ => confused(),
        }
    }

    fn state_keys(&mut self, prefix: Option<&StateKey>) -> Result<Vec<StateKey>, HostFault> {
        match self.ask(HostCall::StateKeys(prefix.cloned()), None)? {
            (HostAnswer::Keys(keys), _) => Ok(keys),
            _ => confused(),
        }
    }

    fn inputs(&mut self) -> Vec<InputInfo> {
        match self.ask_plainly(HostCall::Inputs) {
            HostAnswer::Inputs(inputs) => inputs,
            _ => confused(),
        }
    }

    fn input_read(
        &mut self,
        task: &TaskId,
        key: &StateKey,
        offset: u64,
        len: u32,
    ) -> Result<Vec<u8>, HostFault> {
        let (task, key) = (task.clone(), key.clone());
        match self.ask(HostCall::InputRead { task, key, offset, len }, None)? {
            (HostAnswer::Bytes, bytes) => Ok(bytes),
            _ => confused(),
        }
    }

    fn input_sealed(&mut self, task: &TaskId, key: &StateKey) -> Result<Option<Sealed>, HostFault> {
        let (task, key) = (task.clone(), key.clone());
        match self.ask_for(HostCall::InputSealed { task, key }, None)? {
            (HostAnswer::Object(_), came) => Ok(came.memory),
            _ => confused(),
        }
    }

    fn output_write(&mut self, key: &StateKey, bytes: Vec<u8>) -> Result<(), HostFault> {
        match self.ask(HostCall::OutputWrite(key.clone()), Some(&bytes))? {
            (HostAnswer::Done, _) => Ok(()),
            _ => confused(),
        }
    }

    fn state_get_range(
        &mut self,
        key: &StateKey,
        offset: u64,
        len: u32,
    ) -> Result<Option<Vec<u8>>, HostFault> {
        match self.ask(HostCall::StateGetRange { key: key.clone(), offset, len }, None)? {
            (HostAnswer::Object(is_there), bytes) => Ok(is_there.then_some(bytes)),
            _ => confused(),
        }
    }

    fn state_batch(&mut self, writes: Vec<StateWrite>) -> Result<Vec<u64>, HostFault> {
        let mut values = Vec::new();
        let write = |StateWrite { key, value, expect }| {
            let length = value.as_ref().map(|value: &Vec<u8>| value.len() as u64);
            values.extend(value.unwrap_or_default());
            BatchWrite { key, length, expect }
        };
        let writes = writes.into_iter().map(write).collect();
        match self.ask(HostCall::StateBatch(writes), Some(&values))? {
            (HostAnswer::Versions(versions), _) => Ok(versions),
            _ => confused(),
        }
    }

    fn output_write_at(
        &mut self,
        key: &StateKey,
        offset: u64,
        bytes: Vec<u8>,
    ) -> Result<(), HostFault> {
        self.have(HostCall::OutputWriteAt { key: key.clone(), offset }, Some(&bytes))
    }

    fn output_admit(&mut self, key: &StateKey, bytes: u64) -> Result<(), HostFault> {
        self.have(HostCall::OutputAdmit { key: key.clone(), bytes }, None)
    }

    fn output_take(&mut self, key: &StateKey, bytes: &[u8]) -> Result<(), HostFault> {
        self.have(HostCall::OutputTake(key.clone()), Some(bytes))
    }

    fn output_read(&mut self, key: &StateKey) -> Option<Vec<u8>> {
        match self.ask(HostCall::OutputRead(key.clone()), None) {
            Ok((HostAnswer::Object(is_there), bytes)) => is_there.then_some(bytes),
            _ => confused(),
        }
    }

    fn output_forward(
        &mut self,
        task: &TaskId,
        key: &StateKey,
        to: &StateKey,
    ) -> Result<(), HostFault> {
        let (task, key, to) = (task.clone(), key.clone(), to.clone());
        self.have(HostCall::OutputForward { task, key, to }, None)
    }

    fn next_contact_with(&mut self, kind: NodeKind) -> Option<Contact> {
        match self.ask_plainly(HostCall::NextContactWith(kind)) {
            HostAnswer::Contact(contact) => contact,
            _ => confused(),
        }
    }

    fn position(&mut self) -> Option<Position> {
        match self.ask_plainly(HostCall::Position) {
            HostAnswer::Position(position) => position,
            _ => confused(),
        }
    }

    fn latency_ms(&mut self, node: &NodeId) -> Option<f64> {
        match self.ask_plainly(HostCall::Latency(node.clone())) {
            HostAnswer::Latency(latency) => latency,
            _ => confused(),
        }
    }

    fn entropy(&mut self) -> Option<[u8; 32]> {
        match self.ask_plainly(HostCall::Entropy) {
            HostAnswer::Entropy(entropy) => entropy,
            _ => confused(),
        }
    }

    fn name(&mut self) -> String {
        match self.ask_plainly(HostCall::Name) {
            HostAnswer::Name(name) => name,
            _ => confused(),
        }
    }

    fn enter(&mut self, function: &FunctionId) -> Result<Callee, HostFault> {
        let here = match self.ask(HostCall::Enter(function.clone()), None)? {
            (HostAnswer::Callee(here), _) => here,
            _ => confused(),
        };
        let Some(CalleeHere { module, profile, fused }) = here.map(|here| *here) else {
            return Ok(Callee::Elsewhere);
        };
        let function = self.callee(&module)?.into();
        Ok(Callee::Here { function, profile: Box::new(profile), fused })
    }

    fn leave(&mut self, report: &CallReport) {
        let outcome = match &report.outcome {
            Ok(_) => Outcome::Answered,
            Err(fault) => Outcome::of(fault.clone()),
        };
        match self.ask_plainly(HostCall::Leave(outcome, report.usage)) {
            HostAnswer::Done => {}
            _ => confused(),
        }
    }

    fn call_elsewhere(&mut self, call: &Outgoing<'_>) -> Elsewhere {
        let mut bytes = call.body.to_vec();
        let object = |(key, object): &(StateKey, &[u8])| {
            bytes.extend_from_slice(object);
            (key.clone(), object.len() as u64)
        };
        let objects = call.objects.iter().map(object).collect();
        let outward = Outward {
            header: call.header.clone(),
            function: call.function.clone(),
            content_type: call.content_type.to_owned(),
            body: call.body.len() as u64,
            objects,
        };
        match self.ask(HostCall::CallElsewhere(Box::new(outward)), Some(&bytes)) {
            Ok((HostAnswer::Elsewhere(inward), bytes)) => inward.with(&bytes),
            Ok(_) => confused(),
            Err(fault) => Elsewhere::refused(fault),
        }
    }

    fn infer(
        &mut self,
        model: &str,
        inputs: Vec<Tensor>,
        deadline: Instant,
    ) -> Result<(Vec<Tensor>, InferTiming), HostFault> {
        let time = deadline.saturating_duration_since(Instant::now());
        let (inputs, bytes) = TensorHead::of(inputs);
        let call = HostCall::Infer { model: model.to_owned(), inputs, time };
        match self.ask(call, Some(&bytes))? {
            (HostAnswer::Inferred(outputs, timing), bytes) => {
                Ok((TensorHead::with(outputs, &bytes)?, timing))
            }
            _ => confused(),
        }
    }

    fn emit(&mut self, topic: &str, body: Vec<u8>) -> Result<(), HostFault> {
        self.have(HostCall::Emit(topic.to_owned()), Some(&body))
    }

    fn describe(&mut self) -> NodeInfo {
        match self.ask_plainly(HostCall::Describe) {
            HostAnswer::Node(info) => info,
            _ => confused(),
        }
    }

    fn sky_now(&mut self) -> Epoch {
        match self.ask_plainly(HostCall::SkyNow) {
            HostAnswer::Sky(now) => now,
            _ => confused(),
        }
    }

    fn next_contact(&mut self, node: &NodeId) -> Option<Contact> {
        match self.ask_plainly(HostCall::NextContact(node.clone())) {
            HostAnswer::Contact(contact) => contact,
            _ => confused(),
        }
    }

    fn log(&mut self, level: Level, message: &str) {
        let line = FromRunner::Log(level, message.to_owned());
        if let Err(error) = self.lane.send(&line, Beside::Nothing) {
            abandon(&error);
        }
    }
}
