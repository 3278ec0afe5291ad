//! What a function finds when it is run here: state and objects in memory, the models of a folder, a node without sensors,
//! no sky, no other functions.

use std::collections::BTreeMap;
use std::time::Instant;

use protocol::topic::TOPIC_BODY_BYTES_MAX;
use runtime::{
    Callee, Contact, Host, HostFault, InferTiming, InputInfo, Level, NodeInfo, StateWrite, Tensor,
};
use types::{Epoch, ExecutionMode, FunctionId, NodeId, NodeKind, SkyClock, StateKey, TaskId};

use super::told;
use crate::clock::Clock;
use crate::exec::inference::Models;
use crate::exec::topics::EMITS_MAX;
use crate::state::{
    GROUP_VALUES_MAX, OUTPUT_BYTES_MAX, STATE_BYTES_MAX, STATE_OPS_MAX, VALUE_BYTES_MAX,
};

/// What the node is called that is none.
pub(crate) const NODE: &str = "here";
/// The task that objects come from.
const TASK: &str = "input";

/// Values and the count of their writes.
pub(crate) type Values = BTreeMap<StateKey, (Vec<u8>, u64)>;

/// Serves one call, with the limits that a node has.
#[derive(Debug)]
pub(crate) struct LocalHost {
    pub(crate) state: Values,
    pub(crate) inputs: Vec<(StateKey, Vec<u8>)>,
    pub(crate) outputs: BTreeMap<StateKey, Vec<u8>>,
    pub(crate) emitted: Vec<(String, usize)>,
    /// Calls of the state interface, and bytes that crossed there.
    pub(crate) state_ops: u32,
    state_bytes: usize,
    name: FunctionId,
    granted: Granted,
    models: Option<Models>,
    clock: Clock,
}

/// What the function may use here; the rest is denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) prefixes: Vec<StateKey>,
    pub(crate) topics: Vec<String>,
    pub(crate) models: Vec<String>,
}

impl LocalHost {
    pub(crate) fn new(name: &FunctionId, granted: Granted, models: Option<Models>) -> Self {
        Self {
            state: Values::new(),
            inputs: Vec::new(),
            outputs: BTreeMap::new(),
            emitted: Vec::new(),
            state_ops: 0,
            state_bytes: 0,
            name: name.clone(),
            granted,
            models,
            clock: Clock::start(SkyClock::REAL),
        }
    }

    /// Counts one use of a key, if it is granted.
    fn admit(&mut self, key: Option<&StateKey>, bytes: usize) -> Result<(), HostFault> {
        if let Some(key) = key
            && !self.is_granted(key)
        {
            return Err(denied("state key", key.as_str(), "function.grants.state_prefixes"));
        }
        self.state_bytes = self.state_bytes.saturating_add(bytes);
        if STATE_OPS_MAX <= self.state_ops || STATE_BYTES_MAX < self.state_bytes {
            return Err(HostFault::TooLarge);
        }
        self.state_ops += 1;
        Ok(())
    }

    fn is_granted(&self, key: &StateKey) -> bool {
        self.granted.prefixes.iter().any(|prefix| key.is_within(prefix))
    }

    /// Whether objects may have so many bytes more.
    fn room(&self, bytes: usize) -> Result<(), HostFault> {
        let used: usize = self.outputs.values().map(Vec::len).sum();
        match used.saturating_add(bytes) <= OUTPUT_BYTES_MAX {
            true => Ok(()),
            false => Err(HostFault::TooLarge),
        }
    }

    fn input(&self, task: &TaskId, key: &StateKey) -> Result<&[u8], HostFault> {
        let found = self.inputs.iter().find(|(known, _)| task.as_str() == TASK && known == key);
        found.map(|(_, bytes)| bytes.as_slice()).ok_or(HostFault::NotFound)
    }
}

impl Host for LocalHost {
    fn state_get(&mut self, key: &StateKey) -> Result<Option<(Vec<u8>, u64)>, HostFault> {
        let bytes = self.state.get(key).map_or(0, |(value, _)| value.len());
        self.admit(Some(key), bytes)?;
        Ok(self.state.get(key).cloned())
    }

    fn state_put(
        &mut self,
        key: &StateKey,
        value: Vec<u8>,
        expect: Option<u64>,
    ) -> Result<u64, HostFault> {
        self.admit(Some(key), value.len())?;
        let present = self.state.get(key).map_or(0, |(_, version)| *version);
        if expect.is_some_and(|expect| expect != present) {
            return Err(HostFault::Conflict(present));
        }
        let is_new = !self.state.contains_key(key);
        if VALUE_BYTES_MAX < value.len() || is_new && GROUP_VALUES_MAX <= self.state.len() {
            return Err(HostFault::TooLarge);
        }
        self.state.insert(key.clone(), (value, present + 1));
        Ok(present + 1)
    }

    fn state_batch(&mut self, writes: Vec<StateWrite>) -> Result<Vec<u64>, HostFault> {
        let before = self.state.clone();
        let mut write = |write: StateWrite| {
            let present = self.state.get(&write.key).map_or(0, |(_, version)| *version);
            match write.value {
                Some(value) => self.state_put(&write.key, value, write.expect),
                None if write.expect.is_some_and(|expect| expect != present) => {
                    Err(HostFault::Conflict(present))
                }
                None => self.state_delete(&write.key).map(|()| 0),
            }
        };
        let versions: Result<_, _> = writes.into_iter().map(&mut write).collect();
        if versions.is_err() {
            self.state = before;
        }
        versions
    }

    fn state_delete(&mut self, key: &StateKey) -> Result<(), HostFault> {
        self.admit(Some(key), 0)?;
        self.state.remove(key).map(|_gone| ()).ok_or(HostFault::NotFound)
    }

    fn state_keys(&mut self, prefix: Option<&StateKey>) -> Result<Vec<StateKey>, HostFault> {
        self.admit(None, 0)?;
        let is_asked = |key: &&StateKey| {
            self.is_granted(key) && prefix.is_none_or(|prefix| key.is_within(prefix))
        };
        Ok(self.state.keys().filter(is_asked).cloned().collect())
    }

    fn inputs(&mut self) -> Vec<InputInfo> {
        let task = TaskId::new(TASK).expect("a name by the rules");
        let info = |(key, bytes): &(StateKey, Vec<u8>)| InputInfo {
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
        let bytes = self.input(task, key)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let to = from.saturating_add(len as usize).min(bytes.len());
        Ok(bytes.get(from..to).unwrap_or_default().to_vec())
    }

    fn output_write(&mut self, key: &StateKey, bytes: Vec<u8>) -> Result<(), HostFault> {
        self.room(bytes.len())?;
        self.outputs.entry(key.clone()).or_default().extend(bytes);
        Ok(())
    }

    fn output_write_at(
        &mut self,
        key: &StateKey,
        offset: u64,
        bytes: Vec<u8>,
    ) -> Result<(), HostFault> {
        self.room(bytes.len())?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = self.outputs.get(key).map_or(0, Vec::len);
        if end < from {
            let rule = format!("offset {offset} is beyond the end at {end}");
            return Err(HostFault::BadInput(rule));
        }
        let object = self.outputs.entry(key.clone()).or_default();
        let kept = object.len().min(from.saturating_add(bytes.len()));
        object.splice(from..kept, bytes);
        Ok(())
    }

    fn output_admit(&mut self, key: &StateKey, bytes: u64) -> Result<(), HostFault> {
        if self.outputs.contains_key(key) {
            return Err(HostFault::BadInput(format!("{} was written", key.as_str())));
        }
        self.room(usize::try_from(bytes).unwrap_or(usize::MAX))
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
        let bytes = self.input(task, key)?.to_vec();
        self.output_write(to, bytes)
    }

    fn describe(&mut self) -> NodeInfo {
        NodeInfo {
            node: NodeId::new(NODE).expect("a name by the rules"),
            kind: NodeKind::Edge,
            battery_pct: None,
            temperature_c: None,
            sunlit: None,
            accelerators: self.models.as_ref().map(Models::accelerators).unwrap_or_default(),
        }
    }

    fn sky_now(&mut self) -> Epoch {
        self.clock.sky()
    }

    fn next_contact(&mut self, _node: &NodeId) -> Option<Contact> {
        None
    }

    fn name(&mut self) -> String {
        format!("{}@{NODE}", self.name)
    }

    fn enter(&mut self, function: &FunctionId) -> Result<Callee, HostFault> {
        let rule = "is not called: other functions are on a node only";
        told::line(&format!("denied: function {:?} {rule}", function.as_str()));
        Err(HostFault::Denied)
    }

    fn infer(
        &mut self,
        model: &str,
        inputs: Vec<Tensor>,
        deadline: Instant,
    ) -> Result<(Vec<Tensor>, InferTiming), HostFault> {
        if !self.granted.models.iter().any(|known| known == model) {
            return Err(denied("model", model, "function.grants.models"));
        }
        let Some(models) = &self.models else {
            told::line(&format!(
                "model {model:?} is not here: --models DIR names a folder of them"
            ));
            return Err(HostFault::NotFound);
        };
        models.run(model, inputs, ExecutionMode::CpuPreferred, deadline)
    }

    fn emit(&mut self, topic: &str, body: Vec<u8>) -> Result<(), HostFault> {
        if !self.granted.topics.iter().any(|known| known == topic) {
            return Err(denied("topic", topic, "function.grants.topics"));
        }
        if EMITS_MAX <= self.emitted.len() || TOPIC_BODY_BYTES_MAX < body.len() {
            return Err(HostFault::TooLarge);
        }
        self.emitted.push((topic.to_owned(), body.len()));
        Ok(())
    }

    fn log(&mut self, level: Level, message: &str) {
        let level = match level {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        told::line(&format!("{level:<5} {message}"));
    }
}

/// Tells what is not granted, and where that would be said.
fn denied(what: &str, value: &str, said_in: &str) -> HostFault {
    told::line(&format!("denied: {what} {value:?} is not in {said_in}"));
    HostFault::Denied
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> StateKey {
        StateKey::new(text).unwrap()
    }

    fn host() -> LocalHost {
        let name = FunctionId::new("f").unwrap();
        let granted = Granted {
            prefixes: vec![key("app")],
            topics: vec!["alerts".to_owned()],
            models: vec!["resnet-18".to_owned()],
        };
        LocalHost::new(&name, granted, None)
    }

    #[test]
    fn what_is_not_granted_is_denied() {
        let mut host = host();
        assert_eq!(host.state_put(&key("app/x"), vec![1], None), Ok(1));
        assert_eq!(host.state_put(&key("app2"), vec![1], None), Err(HostFault::Denied));
        assert_eq!(host.state_get(&key("other")), Err(HostFault::Denied));
        host.state.insert(key("other"), (vec![2], 1));
        assert_eq!(host.state_keys(None), Ok(vec![key("app/x")]));
        assert_eq!(host.emit("alerts", vec![1, 2]), Ok(()));
        assert_eq!(host.emit("alerts/x", Vec::new()), Err(HostFault::Denied));
        assert_eq!(host.emitted, [("alerts".to_owned(), 2)]);
        let mut infer = |model| host.infer(model, Vec::new(), Instant::now()).map(|_answer| ());
        assert_eq!(infer("resnet"), Err(HostFault::Denied));
        assert_eq!(infer("resnet-18"), Err(HostFault::NotFound));
        assert!(matches!(host.enter(&FunctionId::new("f").unwrap()), Err(HostFault::Denied)));
    }

    #[test]
    fn messages_have_the_limits_of_a_node() {
        let mut host = host();
        let large = vec![0; TOPIC_BODY_BYTES_MAX + 1];
        assert_eq!(host.emit("alerts", large), Err(HostFault::TooLarge));
        for _ in 0..EMITS_MAX {
            assert_eq!(host.emit("alerts", Vec::new()), Ok(()));
        }
        assert_eq!(host.emit("alerts", Vec::new()), Err(HostFault::TooLarge));
    }

    #[test]
    fn versions_count_writes_and_a_batch_is_whole_or_not_made() {
        let mut host = host();
        assert_eq!(host.state_put(&key("app"), vec![1], Some(0)), Ok(1));
        assert_eq!(host.state_put(&key("app"), vec![1], Some(0)), Err(HostFault::Conflict(1)));
        let write = |text: &str, value: Option<Vec<u8>>, expect| StateWrite {
            key: key(text),
            value,
            expect,
        };
        let half = vec![write("app", Some(vec![9]), None), write("app/gone", None, None)];
        assert_eq!(host.state_batch(half), Err(HostFault::NotFound));
        assert_eq!(host.state_get(&key("app")), Ok(Some((vec![1], 1))));
        let whole = vec![write("app/a", Some(vec![2]), Some(0)), write("app", None, Some(1))];
        assert_eq!(host.state_batch(whole), Ok(vec![1, 0]));
    }

    #[test]
    fn state_and_objects_have_the_limits_of_a_node() {
        let mut host = host();
        let large = vec![0; VALUE_BYTES_MAX + 1];
        assert_eq!(host.state_put(&key("app"), large, None), Err(HostFault::TooLarge));
        while host.state_ops < STATE_OPS_MAX {
            host.state_get(&key("app")).unwrap();
        }
        assert_eq!(host.state_get(&key("app")), Err(HostFault::TooLarge));
        let most = OUTPUT_BYTES_MAX as u64;
        assert_eq!(host.output_admit(&key("o"), most), Ok(()));
        assert_eq!(host.output_admit(&key("o"), most + 1), Err(HostFault::TooLarge));
        assert_eq!(host.output_write(&key("o"), vec![1, 2, 3]), Ok(()));
        assert_eq!(host.output_write_at(&key("o"), 2, vec![8, 9]), Ok(()));
        assert_eq!(host.outputs[&key("o")], [1, 2, 8, 9]);
        assert!(matches!(host.output_write_at(&key("o"), 5, vec![1]), Err(HostFault::BadInput(_))));
        assert!(matches!(host.output_admit(&key("o"), 1), Err(HostFault::BadInput(_))));
    }

    #[test]
    fn inputs_are_read_in_parts_and_forwarded() {
        let mut host = host();
        host.inputs.push((key("image"), vec![1, 2, 3, 4]));
        let task = host.inputs()[0].task.clone();
        assert_eq!(host.input_read(&task, &key("image"), 3, 9), Ok(vec![4]));
        assert_eq!(host.input_read(&task, &key("image"), 9, 9), Ok(Vec::new()));
        assert_eq!(host.input_read(&task, &key("other"), 0, 1), Err(HostFault::NotFound));
        assert_eq!(host.output_forward(&task, &key("image"), &key("copy")), Ok(()));
        assert_eq!(host.outputs[&key("copy")], [1, 2, 3, 4]);
    }
}
