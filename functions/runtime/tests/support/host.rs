//! A host that remembers what it was asked, and a request to go with it.

use std::collections::BTreeMap;
use std::time::Duration;

use runtime::{Contact, Host, HostFault, InputInfo, Level, NodeInfo, Request};
use types::{Epoch, NodeId, NodeKind, StateKey, TaskId};

/// The time that the test sky shows.
pub(crate) const SKY_NOW: Epoch = Epoch::from_unix_ns(1_700_000_000_000_000_000);

/// A call from the drone with ten seconds.
pub(crate) fn request(body: impl Into<Vec<u8>>) -> Request {
    Request {
        run: 7,
        root: 7,
        hops: 0,
        attempt: 1,
        source: "drone".to_owned(),
        deadline: Duration::from_secs(10),
        schema_id: String::new(),
        content_type: "application/octet-stream".to_owned(),
        body: body.into(),
    }
}

/// State in memory, inputs, and a record of outputs and log lines.
#[derive(Debug, Default)]
pub(crate) struct TestHost {
    pub(crate) state: BTreeMap<StateKey, (Vec<u8>, u64)>,
    pub(crate) inputs: Vec<(TaskId, StateKey, Vec<u8>)>,
    pub(crate) outputs: BTreeMap<StateKey, Vec<u8>>,
    pub(crate) log: Vec<(Level, String)>,
}

impl Host for TestHost {
    fn state_get(&mut self, key: &StateKey) -> Result<Option<(Vec<u8>, u64)>, HostFault> {
        Ok(self.state.get(key).cloned())
    }

    fn state_put(
        &mut self,
        key: &StateKey,
        value: Vec<u8>,
        expect: Option<u64>,
    ) -> Result<u64, HostFault> {
        let present = self.state.get(key).map_or(0, |(_, version)| *version);
        if expect.is_some_and(|expect| expect != present) {
            return Err(HostFault::Conflict(present));
        }
        self.state.insert(key.clone(), (value, present + 1));
        Ok(present + 1)
    }

    fn state_delete(&mut self, key: &StateKey) -> Result<(), HostFault> {
        self.state.remove(key).map(|_| ()).ok_or(HostFault::NotFound)
    }

    fn state_keys(&mut self, prefix: Option<&StateKey>) -> Result<Vec<StateKey>, HostFault> {
        let within = |key: &&StateKey| prefix.is_none_or(|prefix| key.is_within(prefix));
        Ok(self.state.keys().filter(within).cloned().collect())
    }

    fn inputs(&mut self) -> Vec<InputInfo> {
        let info = |(task, key, bytes): &(TaskId, StateKey, Vec<u8>)| InputInfo {
            task: task.clone(),
            key: key.clone(),
            bytes: bytes.len() as u64,
        };
        self.inputs.iter().map(info).collect()
    }

    fn input_read(
        &mut self,
        task: &TaskId,
        key: &StateKey,
        offset: u64,
        len: u32,
    ) -> Result<Vec<u8>, HostFault> {
        let (_, _, bytes) = self
            .inputs
            .iter()
            .find(|(t, k, _)| t == task && k == key)
            .ok_or(HostFault::NotFound)?;
        let from = usize::try_from(offset).map_or(bytes.len(), |at| at.min(bytes.len()));
        let to = from.saturating_add(len as usize).min(bytes.len());
        Ok(bytes[from..to].to_vec())
    }

    fn output_write(&mut self, key: &StateKey, bytes: Vec<u8>) -> Result<(), HostFault> {
        self.outputs.entry(key.clone()).or_default().extend(bytes);
        Ok(())
    }

    fn describe(&mut self) -> NodeInfo {
        NodeInfo {
            node: NodeId::new("sat-1").expect("a valid name"),
            kind: NodeKind::Satellite,
            battery_pct: Some(80.0),
            temperature_c: None,
            sunlit: Some(1.0),
        }
    }

    fn sky_now(&mut self) -> Epoch {
        SKY_NOW
    }

    fn next_contact(&mut self, node: &NodeId) -> Option<Contact> {
        (node.as_str() == "sat-2").then_some(Contact {
            opens_in_s: 0.0,
            closes_in_s: 300.0,
            latency_max_ms: 12.5,
        })
    }

    fn log(&mut self, level: Level, message: &str) {
        self.log.push((level, message.to_owned()));
    }
}
