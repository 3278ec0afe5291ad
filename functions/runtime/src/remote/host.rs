//! Puts a question from a runner to the host of its call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::RemoteFunction;
use super::frame::{BULK_BYTES_MAX, Beside};
use super::message::{CalleeHere, HostAnswer, HostCall, Inward, Outward, Pieces, TensorHead};
use crate::cache::ModuleHash;
use crate::host::Callee;
use crate::memfd::Sealed;
use crate::place::Handle;
use crate::{CallReport, DEADLINE_MAX, Host, HostFault, Outgoing, StateWrite};

/// The functions that guests of one call may call, so that their code can be asked for.
#[derive(Debug, Default)]
pub(super) struct Callees(BTreeMap<ModuleHash, Arc<RemoteFunction>>);

/// What goes along with an answer.
#[derive(Debug)]
pub(super) enum Along {
    Nothing,
    Bytes(Vec<u8>),
    Memory(Sealed),
    Code(Arc<RemoteFunction>),
}

impl Along {
    /// As a lane sends it.
    pub(super) fn beside(&self) -> Beside<'_> {
        match self {
            Self::Nothing => Beside::Nothing,
            Self::Bytes(bytes) => Beside::Bytes(bytes),
            Self::Memory(memory) => Beside::Memory(memory),
            Self::Code(function) => Beside::Sealed(&function.code),
        }
    }
}

/// The answer, and what goes along.
pub(super) fn answer(
    host: &mut dyn Host,
    callees: &mut Callees,
    call: HostCall,
    bytes: Option<Vec<u8>>,
) -> (HostAnswer, Along) {
    match answered(host, callees, call, bytes.unwrap_or_default()) {
        Ok((_, Along::Bytes(bytes))) if BULK_BYTES_MAX < bytes.len() => {
            (HostAnswer::Fault(HostFault::TooLarge), Along::Nothing)
        }
        Ok(answer) => answer,
        Err(fault) => (HostAnswer::Fault(fault), Along::Nothing),
    }
}

fn answered(
    host: &mut dyn Host,
    callees: &mut Callees,
    call: HostCall,
    bytes: Vec<u8>,
) -> Result<(HostAnswer, Along), HostFault> {
    let answer = match call {
        HostCall::StateGet(_)
        | HostCall::StateGetRange { .. }
        | HostCall::InputRead { .. }
        | HostCall::InputSealed { .. }
        | HostCall::OutputRead(_)
        | HostCall::Remembered => return read(host, call),
        HostCall::StatePut { .. }
        | HostCall::StateBatch(_)
        | HostCall::StateDelete(_)
        | HostCall::StateKeys(_) => state(host, call, bytes)?,
        HostCall::OutputWrite(_)
        | HostCall::OutputWriteAt { .. }
        | HostCall::OutputAdmit { .. }
        | HostCall::OutputTake(_)
        | HostCall::OutputForward { .. } => output(host, call, bytes)?,
        HostCall::Enter(function) => enter(callees, host.enter(&function)?),
        HostCall::Code(module) => {
            let function = callees.0.get(&module).ok_or(HostFault::NotFound)?;
            let facts = Box::new(function.facts.clone());
            return Ok((HostAnswer::Code(facts), Along::Code(Arc::clone(function))));
        }
        HostCall::Leave(outcome, usage) => {
            host.leave(&CallReport { outcome: outcome.with(None), usage });
            HostAnswer::Done
        }
        HostCall::CallElsewhere(call) => return elsewhere(host, &call, &bytes),
        HostCall::Infer { model, inputs, time } => {
            let inputs = TensorHead::with(inputs, &bytes)?;
            let deadline = Instant::now() + time.min(DEADLINE_MAX);
            let (outputs, timing) = host.infer(&model, inputs, deadline)?;
            let (heads, bytes) = TensorHead::of(outputs);
            return Ok((HostAnswer::Inferred(heads, timing), Along::Bytes(bytes)));
        }
        HostCall::Emit(topic) => {
            host.emit(&topic, bytes)?;
            HostAnswer::Done
        }
        HostCall::Inputs => HostAnswer::Inputs(host.inputs()),
        HostCall::Describe => HostAnswer::Node(host.describe()),
        HostCall::SkyNow => HostAnswer::Sky(host.sky_now()),
        HostCall::NextContact(node) => HostAnswer::Contact(host.next_contact(&node)),
        HostCall::NextContactWith(kind) => HostAnswer::Contact(host.next_contact_with(kind)),
        HostCall::Position => HostAnswer::Position(host.position()),
        HostCall::Latency(node) => HostAnswer::Latency(host.latency_ms(&node)),
        HostCall::Name => HostAnswer::Name(host.name()),
        HostCall::Entropy => HostAnswer::Entropy(host.entropy()),
    };
    Ok((answer, Along::Nothing))
}

/// What is answered with bytes.
fn read(host: &mut dyn Host, call: HostCall) -> Result<(HostAnswer, Along), HostFault> {
    let maybe = |bytes: Option<Vec<u8>>| bytes.map_or(Along::Nothing, Along::Bytes);
    Ok(match call {
        HostCall::StateGet(key) => {
            let (value, version) = host.state_get(&key)?.unzip();
            (HostAnswer::Value(version), maybe(value))
        }
        HostCall::StateGetRange { key, offset, len } => {
            let found = host.state_get_range(&key, offset, len)?;
            (HostAnswer::Object(found.is_some()), maybe(found))
        }
        HostCall::InputRead { task, key, offset, len } => {
            (HostAnswer::Bytes, Along::Bytes(host.input_read(&task, &key, offset, len)?))
        }
        HostCall::InputSealed { task, key } => {
            let memory = host.input_sealed(&task, &key)?;
            (HostAnswer::Object(memory.is_some()), memory.map_or(Along::Nothing, Along::Memory))
        }
        HostCall::Remembered => {
            let found = host.remembered()?;
            (HostAnswer::Object(found.is_some()), maybe(found))
        }
        HostCall::OutputRead(key) => {
            let found = host.output_read(&key);
            (HostAnswer::Object(found.is_some()), maybe(found))
        }
        _ => return Err(HostFault::NotFound),
    })
}

fn state(host: &mut dyn Host, call: HostCall, bytes: Vec<u8>) -> Result<HostAnswer, HostFault> {
    Ok(match call {
        HostCall::StatePut { key, expect } => {
            HostAnswer::Version(host.state_put(&key, bytes, expect)?)
        }
        HostCall::StateBatch(writes) => {
            let mut values = Pieces::of(&bytes);
            let writes = writes.into_iter().map(|write| {
                let value = write.length.map(|length| values.next(length)).transpose()?;
                let (key, expect) = (write.key, write.expect);
                Ok(StateWrite { key, value: value.map(<[u8]>::to_vec), expect })
            });
            let writes = writes.collect::<Result<_, HostFault>>()?;
            HostAnswer::Versions(host.state_batch(writes)?)
        }
        HostCall::StateDelete(key) => {
            host.state_delete(&key)?;
            HostAnswer::Done
        }
        HostCall::StateKeys(prefix) => HostAnswer::Keys(host.state_keys(prefix.as_ref())?),
        _ => return Err(HostFault::NotFound),
    })
}

fn output(host: &mut dyn Host, call: HostCall, bytes: Vec<u8>) -> Result<HostAnswer, HostFault> {
    match call {
        HostCall::OutputWrite(key) => host.output_write(&key, bytes)?,
        HostCall::OutputWriteAt { key, offset } => host.output_write_at(&key, offset, bytes)?,
        HostCall::OutputAdmit { key, bytes } => host.output_admit(&key, bytes)?,
        HostCall::OutputTake(key) => host.output_take(&key, &bytes)?,
        HostCall::OutputForward { task, key, to } => host.output_forward(&task, &key, &to)?,
        _ => return Err(HostFault::NotFound),
    }
    Ok(HostAnswer::Done)
}

/// A function of runners is called where its caller runs; one of this process would have to be elsewhere.
fn enter(callees: &mut Callees, callee: Callee) -> HostAnswer {
    let Callee::Here { function, profile, fused } = callee else { return HostAnswer::Callee(None) };
    let Handle::Elsewhere(function) = function.0 else { return HostAnswer::Callee(None) };
    let module = function.module;
    callees.0.insert(module, function);
    HostAnswer::Callee(Some(Box::new(CalleeHere { module, profile: *profile, fused })))
}

fn elsewhere(
    host: &mut dyn Host,
    call: &Outward,
    bytes: &[u8],
) -> Result<(HostAnswer, Along), HostFault> {
    let mut pieces = Pieces::of(bytes);
    let body = pieces.next(call.body)?;
    let object = |(key, length): &(_, u64)| Ok((Clone::clone(key), pieces.next(*length)?));
    let objects = call.objects.iter().map(object).collect::<Result<Vec<_>, HostFault>>()?;
    let outgoing = Outgoing {
        header: &call.header,
        function: &call.function,
        content_type: &call.content_type,
        body,
        objects: &objects,
    };
    let (inward, bytes) = Inward::of(host.call_elsewhere(&outgoing), BULK_BYTES_MAX);
    Ok((HostAnswer::Elsewhere(Box::new(inward)), Along::Bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::super::message::Outcome;
    use super::*;

    #[test]
    fn pieces_end_with_the_bytes() {
        let mut pieces = Pieces::of(b"abcde");
        assert_eq!(pieces.next(2), Ok(&b"ab"[..]));
        assert_eq!(pieces.next(0), Ok(&b""[..]));
        assert!(pieces.next(4).is_err());
        assert!(pieces.next(u64::MAX).is_err());
        assert_eq!(pieces.next(3), Ok(&b"cde"[..]));
    }

    #[test]
    fn a_fault_of_a_callee_reaches_its_host() {
        let outcome = Outcome::of(crate::CallFault::Budget);
        assert_eq!(outcome.with(None), Err(crate::CallFault::Budget));
    }
}
