//! A host that remembers what it was asked, and a request to go with it.

use std::collections::BTreeMap;
use std::time::Duration;

use runtime::{
    Budget, CallHeader, CallLimits, CallReport, Callee, Contact, Elsewhere, Function, Host,
    HostFault, InputInfo, Level, NodeInfo, Outgoing, Request, Sealed, StateWrite,
};
use types::{Epoch, FunctionId, NodeId, NodeKind, StateKey, TaskId};

/// The time that the test sky shows.
pub(crate) const SKY_NOW: Epoch = Epoch::from_unix_ns(1_700_000_000_000_000_000);

/// A call from the drone with ten seconds.
pub(crate) fn request(body: impl Into<Vec<u8>>) -> Request {
    let header = CallHeader {
        id: 7,
        root: 7,
        hops: 0,
        attempt: 1,
        source: "drone".to_owned(),
        deadline: Duration::from_secs(10),
        budget: Budget::USUAL,
    };
    Request {
        header,
        schema_id: String::new(),
        content_type: "application/octet-stream".to_owned(),
        body: body.into(),
    }
}

/// A call of a function that is elsewhere: its header, body and objects.
pub(crate) type Sent = (CallHeader, Vec<u8>, Vec<(StateKey, Vec<u8>)>);

/// State in memory, inputs, and a record of outputs and log lines.
#[derive(Debug, Default)]
pub(crate) struct TestHost {
    pub(crate) state: BTreeMap<StateKey, (Vec<u8>, u64)>,
    pub(crate) inputs: Vec<(TaskId, StateKey, Vec<u8>)>,
    pub(crate) outputs: BTreeMap<StateKey, Vec<u8>>,
    pub(crate) log: Vec<(Level, String)>,
    pub(crate) emitted: Vec<(String, Vec<u8>)>,
    /// Functions that may be called.
    pub(crate) functions: BTreeMap<FunctionId, (Function, CallLimits)>,
    /// Whether they may share the store of their caller.
    pub(crate) fuses: bool,
    /// Functions that are elsewhere, and what comes of a call.
    pub(crate) elsewhere: BTreeMap<FunctionId, Elsewhere>,
    /// What was sent there.
    pub(crate) sent: Vec<Sent>,
    /// What those that were called cost.
    pub(crate) called: Vec<CallReport>,
    pub(crate) entropy: Option<[u8; 32]>,
    /// Inputs in memory that a runner can read.
    pub(crate) sealed: Option<Sealed>,
    /// Parts of inputs that were asked for.
    pub(crate) parts: u32,
    /// What the last instance wanted to be remembered.
    pub(crate) memory: Option<Vec<u8>>,
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

    fn state_batch(&mut self, writes: Vec<StateWrite>) -> Result<Vec<u64>, HostFault> {
        let before = self.state.clone();
        let made = writes.into_iter().map(|write| match write.value {
            Some(value) => self.state_put(&write.key, value, write.expect),
            None => self.state_delete(&write.key).map(|()| 0),
        });
        let versions = made.collect::<Result<_, _>>();
        if versions.is_err() {
            self.state = before;
        }
        versions
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
        self.parts += 1;
        let (_, _, bytes) = self
            .inputs
            .iter()
            .find(|(t, k, _)| t == task && k == key)
            .ok_or(HostFault::NotFound)?;
        let from = usize::try_from(offset).map_or(bytes.len(), |at| at.min(bytes.len()));
        let to = from.saturating_add(len as usize).min(bytes.len());
        Ok(bytes[from..to].to_vec())
    }

    fn input_sealed(&mut self, _: &TaskId, _: &StateKey) -> Result<Option<Sealed>, HostFault> {
        Ok(self.sealed.clone())
    }

    fn remembered(&mut self) -> Result<Option<Vec<u8>>, HostFault> {
        Ok(self.memory.take())
    }

    fn output_write(&mut self, key: &StateKey, bytes: Vec<u8>) -> Result<(), HostFault> {
        self.outputs.entry(key.clone()).or_default().extend(bytes);
        Ok(())
    }

    fn output_write_at(
        &mut self,
        key: &StateKey,
        offset: u64,
        bytes: Vec<u8>,
    ) -> Result<(), HostFault> {
        let object = self.outputs.entry(key.clone()).or_default();
        let start = usize::try_from(offset).expect("tests are small");
        if object.len() < start {
            return Err(HostFault::BadInput("a hole".to_owned()));
        }
        object.resize(object.len().max(start + bytes.len()), 0);
        object[start..start + bytes.len()].copy_from_slice(&bytes);
        Ok(())
    }

    fn output_admit(&mut self, _key: &StateKey, _bytes: u64) -> Result<(), HostFault> {
        Ok(())
    }

    fn output_take(&mut self, key: &StateKey, bytes: &[u8]) -> Result<(), HostFault> {
        self.outputs.insert(key.clone(), bytes.to_vec());
        Ok(())
    }

    fn output_read(&mut self, key: &StateKey) -> Option<Vec<u8>> {
        self.outputs.get(key).cloned()
    }

    fn output_forward(
        &mut self,
        task: &TaskId,
        key: &StateKey,
        to: &StateKey,
    ) -> Result<(), HostFault> {
        let bytes = self.input_read(task, key, 0, u32::MAX)?;
        self.output_write(to, bytes)
    }

    fn enter(&mut self, function: &FunctionId) -> Result<Callee, HostFault> {
        if self.elsewhere.contains_key(function) {
            return Ok(Callee::Elsewhere);
        }
        let (function, limits) = self.functions.get(function).cloned().ok_or(HostFault::Denied)?;
        Ok(Callee::Here { function, profile: Box::new(limits.into()), fused: self.fuses })
    }

    fn call_elsewhere(&mut self, call: &Outgoing<'_>) -> Elsewhere {
        let object = |(key, bytes): &(StateKey, &[u8])| (key.clone(), bytes.to_vec());
        let objects = call.objects.iter().map(object).collect();
        self.sent.push((call.header.clone(), call.body.to_vec(), objects));
        self.elsewhere[call.function].clone()
    }

    fn leave(&mut self, report: &CallReport) {
        self.called.push(report.clone());
    }

    fn emit(&mut self, topic: &str, body: Vec<u8>) -> Result<(), HostFault> {
        self.emitted.push((topic.to_owned(), body));
        Ok(())
    }

    fn latency_ms(&mut self, node: &NodeId) -> Option<f64> {
        (node.as_str() == "sat-2").then_some(12.5)
    }

    fn describe(&mut self) -> NodeInfo {
        NodeInfo {
            node: NodeId::new("sat-1").expect("a valid name"),
            kind: NodeKind::Satellite,
            battery_pct: Some(80.0),
            temperature_c: None,
            sunlit: Some(1.0),
            accelerators: Vec::new(),
        }
    }

    fn entropy(&mut self) -> Option<[u8; 32]> {
        self.entropy
    }

    fn sky_now(&mut self) -> Epoch {
        SKY_NOW
    }

    fn next_contact(&mut self, node: &NodeId) -> Option<Contact> {
        (node.as_str() == "sat-2").then(|| Contact {
            node: node.clone(),
            opens_in_s: 0.0,
            closes_in_s: 300.0,
            latency_max_ms: 12.5,
        })
    }

    fn log(&mut self, level: Level, message: &str) {
        self.log.push((level, message.to_owned()));
    }
}
