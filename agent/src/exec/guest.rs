//! What a guest sees of its node: the state and objects of its call, the node, the sky, a log.

use std::sync::Arc;
use std::time::Instant;

use runtime::{
    Contact, Host, HostFault, InferTiming, InputInfo, Level, NodeInfo, Sealed, StateWrite, Tensor,
};
use types::{Epoch, FunctionId, NodeId, RunId, StateKey, TaskId};

use super::grants::Grants;
use super::{Surroundings, locked};
use crate::state::{CallState, GroupId, StateFault};

/// Serves one call.
#[derive(Debug)]
pub(super) struct GuestHost {
    pub(super) state: CallState,
    pub(super) around: Surroundings,
    pub(super) group: GroupId,
    pub(super) grants: Arc<Grants>,
    /// The function and the run, for what it logs.
    pub(super) said_by: (FunctionId, RunId),
}

impl Host for GuestHost {
    fn state_get(&mut self, key: &StateKey) -> Result<Option<(Vec<u8>, u64)>, HostFault> {
        self.grants.state(key)?;
        self.state.state_get(key).map_err(host_fault)
    }

    fn state_put(
        &mut self,
        key: &StateKey,
        value: Vec<u8>,
        expect: Option<u64>,
    ) -> Result<u64, HostFault> {
        self.grants.state(key)?;
        self.state.state_put(key, value, expect).map_err(host_fault)
    }

    fn state_delete(&mut self, key: &StateKey) -> Result<(), HostFault> {
        self.grants.state(key)?;
        self.state.state_delete(key).map_err(host_fault)
    }

    fn state_keys(&mut self, prefix: Option<&StateKey>) -> Result<Vec<StateKey>, HostFault> {
        let keys = self.state.state_keys(prefix).map_err(host_fault)?;
        Ok(self.grants.visible(keys))
    }

    fn inputs(&mut self) -> Vec<InputInfo> {
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
        self.state.input_read(task, key, offset, len).map_err(host_fault)
    }

    fn input_sealed(&mut self, task: &TaskId, key: &StateKey) -> Result<Option<Sealed>, HostFault> {
        let mut found = Ok(());
        let sealed = Sealed::written(|memory| {
            found = self.state.input_copy(task, key, memory);
            Ok(())
        });
        found.map_err(host_fault)?;
        // Without memory to share the function gets its parts one by one.
        Ok(sealed.ok())
    }

    fn output_write(&mut self, key: &StateKey, bytes: Vec<u8>) -> Result<(), HostFault> {
        self.state.output_write(key, bytes).map_err(host_fault)
    }

    fn state_get_range(
        &mut self,
        key: &StateKey,
        offset: u64,
        len: u32,
    ) -> Result<Option<Vec<u8>>, HostFault> {
        self.grants.state(key)?;
        self.state.state_get_range(key, offset, len).map_err(host_fault)
    }

    fn state_batch(&mut self, writes: Vec<StateWrite>) -> Result<Vec<u64>, HostFault> {
        writes.iter().try_for_each(|write| self.grants.state(&write.key))?;
        let writes = writes.into_iter().map(|write| (write.key, write.value, write.expect));
        self.state.state_batch(writes.collect()).map_err(host_fault)
    }

    fn output_write_at(
        &mut self,
        key: &StateKey,
        offset: u64,
        bytes: Vec<u8>,
    ) -> Result<(), HostFault> {
        self.state.output_write_at(key, offset, &bytes).map_err(host_fault)
    }

    fn output_admit(&mut self, key: &StateKey, bytes: u64) -> Result<(), HostFault> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.state.output_admit(key, bytes).map_err(host_fault)
    }

    fn output_take(&mut self, key: &StateKey, bytes: &[u8]) -> Result<(), HostFault> {
        self.state.output_take(key, bytes).map_err(host_fault)
    }

    fn output_read(&mut self, key: &StateKey) -> Option<Vec<u8>> {
        self.state.output_read(key).cloned()
    }

    fn output_forward(
        &mut self,
        task: &TaskId,
        key: &StateKey,
        to: &StateKey,
    ) -> Result<(), HostFault> {
        self.state.output_forward(task, key, to).map_err(host_fault)
    }

    fn describe(&mut self) -> NodeInfo {
        let sensors = locked(&self.around.sensors);
        let (soc, temperature_c) = sensors.latest();
        NodeInfo {
            node: self.around.node.clone(),
            kind: self.around.kind,
            battery_pct: soc.map(|soc| soc * 100.0),
            temperature_c,
            sunlit: sensors.env().map(|env| env.sunlit),
            accelerators: self.around.models.accelerators(),
        }
    }

    fn sky_now(&mut self) -> Epoch {
        self.around.clock.sky()
    }

    fn next_contact(&mut self, node: &NodeId) -> Option<Contact> {
        self.around.plan.next_contact(node, self.around.clock.sky())
    }

    fn latency_ms(&mut self, node: &NodeId) -> Option<f64> {
        self.around.plan.latency_ms(node, self.around.clock.sky())
    }

    fn infer(
        &mut self,
        model: &str,
        inputs: Vec<Tensor>,
        deadline: Instant,
    ) -> Result<(Vec<Tensor>, InferTiming), HostFault> {
        self.grants.model(model)?;
        self.around.models.run(model, inputs, self.grants.mode, deadline)
    }

    fn name(&mut self) -> String {
        format!("{}.{}@{}", self.group.workflow, self.group.task, self.around.node)
    }

    fn log(&mut self, level: Level, message: &str) {
        let (group, (function, run)) = (&self.group, &self.said_by);
        self.around.logs.line((group, function), (self.around.clock.sky(), *run), level, message);
        match level {
            Level::Trace => tracing::trace!(target: "function", %group, "{message}"),
            Level::Debug => tracing::debug!(target: "function", %group, "{message}"),
            Level::Info => tracing::info!(target: "function", %group, "{message}"),
            Level::Warn => tracing::warn!(target: "function", %group, "{message}"),
            Level::Error => tracing::error!(target: "function", %group, "{message}"),
        }
    }
}

fn host_fault(fault: StateFault) -> HostFault {
    match fault {
        StateFault::BadInput(rule) => HostFault::BadInput(rule),
        StateFault::NotFound => HostFault::NotFound,
        StateFault::TooLarge(_) => HostFault::TooLarge,
        StateFault::Conflict(version) => HostFault::Conflict(version),
        StateFault::Internal(reason) => HostFault::Internal(reason),
    }
}
