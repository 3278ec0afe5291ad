//! What an instance sees that is asked what it remembers: the node, the sky, its log. No call is under way, so there are no state,
//! no objects and nothing to call.

use runtime::{Contact, Host, HostFault, InputInfo, Level, NodeInfo, Position};
use types::{Epoch, FunctionId, NodeId, NodeKind, RunId, StateKey, TaskId};

use crate::exec::Surroundings;
use crate::exec::guest::{describe, log_line, position};
use crate::state::GroupId;

/// Serves one suspension.
#[derive(Debug)]
pub(super) struct SuspendHost {
    around: Surroundings,
    group: GroupId,
    function: FunctionId,
}

impl SuspendHost {
    pub(super) const fn new(around: Surroundings, group: GroupId, function: FunctionId) -> Self {
        Self { around, group, function }
    }
}

impl Host for SuspendHost {
    fn state_get(&mut self, _key: &StateKey) -> Result<Option<(Vec<u8>, u64)>, HostFault> {
        Err(HostFault::Denied)
    }

    fn state_put(
        &mut self,
        _key: &StateKey,
        _value: Vec<u8>,
        _expect: Option<u64>,
    ) -> Result<u64, HostFault> {
        Err(HostFault::Denied)
    }

    fn state_delete(&mut self, _key: &StateKey) -> Result<(), HostFault> {
        Err(HostFault::Denied)
    }

    fn state_keys(&mut self, _prefix: Option<&StateKey>) -> Result<Vec<StateKey>, HostFault> {
        Err(HostFault::Denied)
    }

    fn inputs(&mut self) -> Vec<InputInfo> {
        Vec::new()
    }

    fn input_read(
        &mut self,
        _task: &TaskId,
        _key: &StateKey,
        _offset: u64,
        _len: u32,
    ) -> Result<Vec<u8>, HostFault> {
        Err(HostFault::Denied)
    }

    fn output_write(&mut self, _key: &StateKey, _bytes: Vec<u8>) -> Result<(), HostFault> {
        Err(HostFault::Denied)
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

    fn latency_ms(&mut self, node: &NodeId) -> Option<f64> {
        self.around.plan.latency_ms(node, self.around.clock.sky())
    }

    fn next_contact_with(&mut self, kind: NodeKind) -> Option<Contact> {
        self.around.plan.next_contact_with(kind, self.around.clock.sky())
    }

    fn position(&mut self) -> Option<Position> {
        position(&self.around)
    }

    fn log(&mut self, level: Level, message: &str) {
        // It belongs to no run.
        log_line(&self.around, (&self.group, &self.function), RunId(0), (level, message));
    }
}
