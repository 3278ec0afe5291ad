//! A node in memory, on which host tests call functions. It keeps the contract of
//! `functions/wit/ABI.md` where a function can notice: state changes only when a call succeeds,
//! versions count writes, a second write of an object appends.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::bindings::starbelt::function::{node as node_types, objects as object_types};
use crate::bindings::starbelt::function::{output as output_types, sky as sky_types};
use crate::{Fault, Guest, Request, state::Versioned};

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
        let request = Request {
            run: self.run,
            root: self.run,
            hops: 0,
            attempt: 1,
            source: self.name.clone(),
            deadline_ms: 1_000,
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
    use super::{Fault, Versioned, present};

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
    use super::{Fault, object_types::Input, present};

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
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            let end = start.saturating_add(len).min(bytes.len());
            Ok(bytes.get(start..end).unwrap_or_default().to_vec())
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
        })
    }
}

/// The other side of [`crate::sky`].
pub(crate) mod sky {
    use super::{present, sky_types::Contact};

    pub(crate) fn now() -> i64 {
        present(|node| node.sky_ns)
    }

    pub(crate) fn next_contact(_node: &str) -> Option<Contact> {
        None
    }
}

/// The other side of [`crate::output`].
pub(crate) mod output {
    use super::{output_types::Level, present};

    pub(crate) fn log(level: Level, message: &str) {
        present(|node| node.log.push(format!("{level:?}: {message}")));
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
