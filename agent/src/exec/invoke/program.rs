//! One call of a function that is a model or kernel: no guest, and so no runner, takes part in it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::desired::TaskSpec;
use protocol::invoke::{self, Fault};
use runtime::{CallFault, HostFault, thread_cpu_time};
use types::{Backend, StateKey};

use super::{Running, blocking, budget_of, fault_of_call, fault_of_guest, ns};
use crate::exec::elsewhere::Bus;
use crate::exec::grants::Grants;
use crate::exec::guest::host_fault;
use crate::exec::inference::{Program, Ran};
use crate::exec::module::Modules;
use crate::state::{CallState, OUTPUT_BYTES_MAX, Peers};

/// The object in which a stage of a workflow hands its answer on.
const ANSWER: &str = "answer";

/// What one call left behind, and what it took.
struct Executed {
    state: CallState,
    outcome: Result<Ran, HostFault>,
    wall: Duration,
    cpu: Duration,
}

impl<P: Peers + Modules + Bus + Clone + 'static> Running<'_, P> {
    /// Runs it off the reactor, as soon as a core is free. Its inputs are the tensors of the body and of all objects that came; as a stage
    /// of a workflow it hands its answer on as an object, too, since that is what the next stage gets.
    pub(super) async fn program(
        &mut self,
        (program, grants): (Program, Arc<Grants>),
        spec: &TaskSpec,
        state: CallState,
    ) -> Result<(CallState, Vec<u8>), Fault> {
        let core = self.core(&grants, spec).await?;
        let budget = grants.budget().min(budget_of(&self.call)).cpu;
        if budget.is_zero() {
            return Err(fault_of_call(CallFault::Budget, None));
        }
        let longest = Duration::from_millis(u64::from(grants.bound(spec).deadline_ms));
        let deadline = self.deadline.min(Instant::now() + longest);
        let (models, call) = (self.inner.around.models.clone(), Arc::clone(&self.call));
        let mode = grants.mode;
        let execute = move || {
            let (started, before) = (Instant::now(), thread_cpu_time());
            let outcome = messages(&call.body, &state);
            let outcome = outcome.and_then(|all| models.execute(&program, &all, mode, deadline));
            let cpu = thread_cpu_time().saturating_sub(before);
            drop(core);
            Executed { state, outcome, wall: started.elapsed(), cpu }
        };
        let Executed { mut state, outcome, wall, cpu } = blocking(execute).await?;
        self.cost(outcome.as_ref().ok(), wall, cpu);
        let ran = outcome.map_err(|fault| fault_of_guest(fault, None))?;
        // A thread cannot be stopped in the middle of a model: the deadline bounds it meanwhile.
        if budget < cpu {
            return Err(fault_of_call(CallFault::Budget, None));
        }
        if self.caller.is_none() {
            let key = StateKey::new(ANSWER).expect("a key by the rules");
            let written = state.output_write(&key, ran.body.clone());
            written.map_err(|fault| fault_of_guest(host_fault(fault), None))?;
        }
        Ok((state, ran.body))
    }

    /// Writes down what it took. A call that did not answer has cost processor time all the same, on what is not known.
    fn cost(&mut self, ran: Option<&Ran>, wall: Duration, cpu: Duration) {
        self.record.cpu_ns = ns(cpu);
        self.used = invoke::Budget { calls: 0, cpu_us: ns(cpu) / 1_000 };
        let Some(ran) = ran else { return self.record.run_ns = ns(wall) };
        let load = ran.load.unwrap_or_default();
        self.record.backend = Some(ran.backend);
        self.record.cold |= ran.load.is_some();
        self.record.instantiate_ns += ns(load);
        self.record.queue_ns += ns(ran.queue);
        self.record.run_ns = ns(wall.saturating_sub(ran.queue + load));
        if ran.backend == Backend::InferGpu {
            self.record.gpu_ns = ns(ran.run);
        }
        self.record.joules = self.joules(ns(cpu));
    }
}

/// The messages whose tensors are the inputs. The body of a stage after the first is empty, as no message is.
fn messages(body: &[u8], state: &CallState) -> Result<Vec<Vec<u8>>, HostFault> {
    let inputs = state.inputs();
    // They are in memory together, other than those that a guest reads part by part.
    if usize::try_from(state.input_bytes()).map_or(true, |bytes| OUTPUT_BYTES_MAX < bytes) {
        return Err(HostFault::TooLarge);
    }
    let mut messages = Vec::new();
    if !body.is_empty() || inputs.is_empty() {
        messages.push(body.to_vec());
    }
    for input in inputs {
        let mut bytes = Vec::new();
        let copied = state.input_copy(&input.id.task, &input.id.key, &mut bytes);
        copied.map_err(host_fault)?;
        messages.push(bytes);
    }
    Ok(messages)
}
