//! A node in memory, on which host tests call functions. It keeps the contract of
//! `functions/wit/ABI.md` where a function can notice: state changes only when a call succeeds,
//! versions count writes, a second write of an object appends.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::bindings::starbelt::function::output as output_types;
use crate::bindings::starbelt::function::{node as node_types, objects as object_types};
use crate::calls::Outgoing;
use crate::infer::Tensor;
use crate::sky::{Contact, Place};
use crate::{Budget, Fault, Guest, Request, state::Versioned, state::Write};

/// What stands for another function.
pub type Function = fn(&Outgoing) -> Result<Vec<u8>, Fault>;
/// What stands for a model.
pub type Model = fn(&[Tensor]) -> Result<Vec<Tensor>, Fault>;

/// A node that runs one function. Between calls its fields may be read and changed at will.
#[derive(Clone, Debug)]
pub struct Node {
    /// Lasting state: values and their versions.
    pub state: BTreeMap<String, (Vec<u8>, u64)>,
    /// What comes with the next call: task, key, bytes.
    pub inputs: Vec<(String, String, Vec<u8>)>,
    /// What the last call wrote for the stages after, in the order of the first writes.
    pub outputs: Vec<(String, Vec<u8>)>,
    /// What the last call logged.
    pub log: Vec<String>,
    /// What the last call emitted: topic, body.
    pub emitted: Vec<(String, Vec<u8>)>,
    /// Functions that it may call, by name.
    pub functions: BTreeMap<String, Function>,
    /// Models that it may run, by name.
    pub models: BTreeMap<String, Model>,
    /// What the contact plan holds.
    pub contacts: Vec<Contact>,
    /// Where the node is.
    pub place: Option<Place>,
    /// The run that the next call belongs to.
    pub run: u64,
    /// The name of the node.
    pub name: String,
    /// UTC of the sky, in nanoseconds since 1970.
    pub sky_ns: i64,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            state: BTreeMap::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            log: Vec::new(),
            emitted: Vec::new(),
            functions: BTreeMap::new(),
            models: BTreeMap::new(),
            contacts: Vec::new(),
            place: None,
            run: 1,
            name: String::from("fake"),
            sky_ns: 0,
        }
    }
}

thread_local! {
    /// The node whose function this thread is in.
    static PRESENT: RefCell<Option<Node>> = const { RefCell::new(None) };
}

impl Node {
    /// Calls a function with a body. If it fails, state is as before and nothing was written.
    ///
    /// # Errors
    /// Those of the function.
    ///
    /// # Panics
    /// When the function panics, or calls a function on a node of its own.
    pub fn call<G: Guest>(&mut self, body: Vec<u8>) -> Result<Vec<u8>, Fault> {
        self.outputs.clear();
        self.log.clear();
        self.emitted.clear();
        let request = Request {
            id: self.run,
            root: self.run,
            hops: 0,
            attempt: 1,
            source: self.name.clone(),
            deadline_ms: 1_000,
            budget: Budget { calls: 64, cpu_us: 1_000_000 },
            schema_id: String::new(),
            content_type: String::from("application/octet-stream"),
            body,
        };
        PRESENT.with_borrow_mut(|present| {
            assert!(present.is_none(), "a function called a function on a node of its own");
            *present = Some(self.clone());
        });
        let answer = G::handle(request);
        let after = PRESENT.with_borrow_mut(Option::take).expect("nobody else takes it");
        self.log = after.log;
        if answer.is_ok() {
            self.state = after.state;
            self.outputs = after.outputs;
            self.emitted = after.emitted;
            self.run += 1;
        }
        answer
    }

    /// Makes what the last call of `before` wrote the inputs of the next call here.
    pub fn take_from(&mut self, task: &str, before: &Self) {
        self.inputs.retain(|(of, _, _)| of != task);
        self.inputs.extend(
            before.outputs.iter().map(|(key, bytes)| (task.to_owned(), key.clone(), bytes.clone())),
        );
    }
}

fn present<R>(act: impl FnOnce(&mut Node) -> R) -> R {
    PRESENT.with_borrow_mut(|present| {
        act(present.as_mut().expect("host builds call the sdk only from within fake::Node::call"))
    })
}

/// The other side of [`crate::state`].
pub(crate) mod state {
    use super::{Fault, Versioned, Write, part, present};

    pub(crate) fn get(key: &str) -> Result<Option<Versioned>, Fault> {
        Ok(present(|node| {
            node.state
                .get(key)
                .map(|(value, version)| Versioned { value: value.clone(), version: *version })
        }))
    }

    pub(crate) fn put(key: &str, value: &[u8], expect: Option<u64>) -> Result<u64, Fault> {
        present(|node| {
            let version = node.state.get(key).map_or(0, |(_, version)| *version);
            if expect.is_some_and(|expected| expected != version) {
                return Err(Fault::Conflict(version));
            }
            node.state.insert(key.to_owned(), (value.to_vec(), version + 1));
            Ok(version + 1)
        })
    }

    pub(crate) fn get_range(key: &str, offset: u64, len: u32) -> Result<Option<Vec<u8>>, Fault> {
        let found = get(key)?;
        Ok(found.map(|found| part(&found.value, offset, len).to_vec()))
    }

    pub(crate) fn get_many(keys: &[String]) -> Result<Vec<Option<Versioned>>, Fault> {
        keys.iter().map(|key| get(key)).collect()
    }

    pub(crate) fn batch(writes: &[Write]) -> Result<Vec<u64>, Fault> {
        let before = present(|node| node.state.clone());
        let write = |write: &Write| match &write.value {
            Some(value) => put(&write.key, value, write.expect),
            None => match get(&write.key)?.map(|present| present.version) {
                None => Err(Fault::NotFound),
                Some(version) if write.expect.is_some_and(|expected| expected != version) => {
                    Err(Fault::Conflict(version))
                }
                Some(_) => delete(&write.key).map(|()| 0),
            },
        };
        let versions = writes.iter().map(write).collect::<Result<_, _>>();
        if versions.is_err() {
            present(|node| node.state = before);
        }
        versions
    }

    pub(crate) fn delete(key: &str) -> Result<(), Fault> {
        present(|node| node.state.remove(key).map(|_| ()).ok_or(Fault::NotFound))
    }

    pub(crate) fn keys(prefix: &str) -> Result<Vec<String>, Fault> {
        let below = format!("{prefix}/");
        let all = prefix.is_empty();
        Ok(present(|node| {
            node.state
                .keys()
                .filter(|key| all || *key == prefix || key.starts_with(&below))
                .cloned()
                .collect()
        }))
    }
}

/// The other side of [`crate::objects`].
pub(crate) mod objects {
    use super::{Fault, object_types::Input, part, present};

    pub(crate) fn inputs() -> Vec<Input> {
        present(|node| {
            let meta = |(task, key, bytes): &(String, String, Vec<u8>)| Input {
                task: task.clone(),
                key: key.clone(),
                bytes: bytes.len() as u64,
            };
            node.inputs.iter().map(meta).collect()
        })
    }

    pub(crate) fn read(task: &str, key: &str, offset: u64, len: u32) -> Result<Vec<u8>, Fault> {
        present(|node| {
            let found = node.inputs.iter().find(|(of, name, _)| of == task && name == key);
            let (_, _, bytes) = found.ok_or(Fault::NotFound)?;
            Ok(part(bytes, offset, len).to_vec())
        })
    }

    pub(crate) fn hand(key: &str, bytes: &[u8]) -> Result<(), Fault> {
        if present(|node| node.outputs.iter().any(|(name, _)| name == key)) {
            return Err(Fault::BadInput(format!("object {key} was written in this call already")));
        }
        write(key, bytes)
    }

    pub(crate) fn forward(task: &str, key: &str, to: &str) -> Result<(), Fault> {
        let bytes = read(task, key, 0, u32::MAX)?;
        write(to, &bytes)
    }

    pub(crate) fn write_at(key: &str, offset: u64, bytes: &[u8]) -> Result<(), Fault> {
        present(|node| {
            let found = node.outputs.iter_mut().find(|(name, _)| name == key);
            let mut object = found.as_ref().map(|(_, old)| old.clone()).unwrap_or_default();
            let start = usize::try_from(offset).ok().filter(|start| *start <= object.len());
            let hole =
                || Fault::BadInput("the offset lies beyond the end of the object".to_owned());
            let start = start.ok_or_else(hole)?;
            object.resize(object.len().max(start.saturating_add(bytes.len())), 0);
            object[start..start + bytes.len()].copy_from_slice(bytes);
            match found {
                Some((_, old)) => *old = object,
                None => node.outputs.push((key.to_owned(), object)),
            }
            Ok(())
        })
    }

    pub(crate) fn write(key: &str, bytes: &[u8]) -> Result<(), Fault> {
        present(|node| {
            match node.outputs.iter_mut().find(|(name, _)| name == key) {
                Some((_, old)) => old.extend_from_slice(bytes),
                None => node.outputs.push((key.to_owned(), bytes.to_vec())),
            }
            Ok(())
        })
    }
}

/// At most `len` bytes from `offset` on.
fn part(bytes: &[u8], offset: u64, len: u32) -> &[u8] {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    let end = start.saturating_add(len).min(bytes.len());
    bytes.get(start..end).unwrap_or_default()
}

/// The other side of [`crate::calls`].
pub(crate) mod calls {
    use super::{Fault, Outgoing, present};

    pub(crate) fn call(what: &Outgoing) -> Result<Vec<u8>, Fault> {
        let function = present(|node| node.functions.get(&what.function).copied());
        function.ok_or(Fault::Denied)?(what)
    }
}

/// The other side of [`crate::infer`].
pub(crate) mod infer {
    use super::{Fault, Tensor, present};
    use crate::infer::Timing;

    pub(crate) fn run(model: &str, inputs: &[Tensor]) -> Result<(Vec<Tensor>, Timing), Fault> {
        let model = present(|node| node.models.get(model).copied());
        let outputs = model.ok_or(Fault::Denied)?(inputs)?;
        Ok((outputs, Timing { backend: String::from("fake"), queue_us: 0, run_us: 0 }))
    }
}

/// The other side of [`crate::node`].
pub(crate) mod node {
    use super::{node_types::Info, present};

    pub(crate) fn describe() -> Info {
        present(|node| Info {
            node: node.name.clone(),
            kind: String::from("edge"),
            battery_pct: None,
            temperature_c: None,
            sunlit: None,
            accelerators: Vec::new(),
        })
    }
}

/// The other side of [`crate::sky`].
pub(crate) mod sky {
    use super::{Contact, Place, present};

    pub(crate) fn now() -> i64 {
        present(|node| node.sky_ns)
    }

    pub(crate) fn next_contact(peer: &str) -> Option<Contact> {
        present(|node| node.contacts.iter().find(|contact| contact.node == peer).cloned())
    }

    /// A contact with a node whose name begins with the kind.
    pub(crate) fn next_contact_with(kind: &str) -> Option<Contact> {
        let is_it = |contact: &&Contact| contact.node.starts_with(kind);
        present(|node| node.contacts.iter().find(is_it).cloned())
    }

    pub(crate) fn position() -> Option<Place> {
        present(|node| node.place)
    }

    pub(crate) fn latency(peer: &str) -> Option<f64> {
        let open = next_contact(peer).filter(|contact| contact.opens_in_s <= 0.0);
        open.map(|contact| contact.latency_max_ms)
    }
}

/// The other side of [`crate::output`].
pub(crate) mod output {
    use super::{Fault, output_types::Level, present};

    pub(crate) fn log(level: Level, message: &str) {
        present(|node| node.log.push(format!("{level:?}: {message}")));
    }

    pub(crate) fn emit(topic: &str, body: &[u8]) -> Result<(), Fault> {
        present(|node| node.emitted.push((topic.to_owned(), body.to_vec())));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{objects, state as guest_state};

    struct Fussy;

    impl Guest for Fussy {
        fn handle(request: Request) -> Result<Vec<u8>, Fault> {
            guest_state::put("a/b", &request.body, None)?;
            objects::write("out", b"1")?;
            objects::write("out", b"2")?;
            let whole: Vec<_> = objects::inputs()
                .iter()
                .map(|input| objects::read_all(input, 8))
                .collect::<Result<_, _>>()?;
            guest_state::put("a/b", b"", Some(9)).or(match request.body.as_slice() {
                b"bad" => Err(Fault::Denied),
                _ => Ok(0),
            })?;
            Ok(whole.concat())
        }
    }

    #[test]
    fn a_failed_call_changes_nothing() {
        let mut node = Node::default();
        assert_eq!(node.call::<Fussy>(b"bad".to_vec()), Err(Fault::Denied));
        assert_eq!((node.state.len(), node.outputs.len(), node.run), (0, 0, 1));
    }

    #[test]
    fn a_call_sees_its_inputs_and_leaves_its_writes() {
        let mut node = Node::default();
        node.inputs.push(("before".to_owned(), "k".to_owned(), b"xyz".to_vec()));
        assert_eq!(node.call::<Fussy>(b"good".to_vec()), Ok(b"xyz".to_vec()));
        assert_eq!(node.state.get("a/b"), Some(&(b"good".to_vec(), 1)));
        assert_eq!(node.outputs, [("out".to_owned(), b"12".to_vec())]);
    }

    #[test]
    fn an_object_over_the_callers_bound_is_refused() {
        let mut node = Node::default();
        node.inputs.push(("before".to_owned(), "k".to_owned(), vec![0; 9]));
        assert_eq!(node.call::<Fussy>(Vec::new()), Err(Fault::TooLarge));
    }
}
