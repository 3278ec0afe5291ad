//! Objects of a call that are in memory only: what the caller gave along, what called functions handed back, and what lies
//! in the memory of the guest itself.

use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::Arc;

use types::{StateKey, TaskId};
use wasmtime::component::WasmList;

use crate::memfd::Sealed;

/// The objects of one call that no host holds.
#[derive(Default)]
pub(crate) struct Carried {
    /// Inputs, in the order in which they came.
    pub(crate) inputs: Vec<CarriedInput>,
    /// Inputs that the host was asked to share: `None` where it does not.
    pub(crate) sealed: Vec<(TaskId, StateKey, Option<Sealed>)>,
    /// Objects that lie in the guest's memory and stay as they are until it has ended.
    pub(crate) handed: BTreeMap<StateKey, WasmList<u8>>,
    /// What goes back to the caller, if a function called this one; else the host takes outputs.
    pub(crate) back: Option<Back>,
    /// What the guest reads now: lowering borrows from here.
    pub(crate) reading: Vec<u8>,
}

/// An input that is in memory.
pub(crate) struct CarriedInput {
    pub(crate) task: TaskId,
    pub(crate) key: StateKey,
    pub(crate) bytes: Bytes,
}

/// Bytes in memory.
#[derive(Clone)]
pub(crate) enum Bytes {
    /// In the memory of the calling guest, which waits.
    OfCaller(Waiting),
    /// Ours.
    Ours(Arc<[u8]>),
}

/// A piece of the memory of a guest that waits for the call to end.
#[derive(Clone, Copy)]
pub(crate) struct Waiting(NonNull<[u8]>);

impl Waiting {
    /// Lends bytes to a call. What is made of it must be gone before the borrow of `bytes` ends.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(NonNull::from(bytes))
    }
}

impl Bytes {
    /// The bytes.
    pub(crate) fn get(&self) -> &[u8] {
        match self {
            Self::Ours(bytes) => bytes,
            #[expect(
                unsafe_code,
                reason = "one copy from guest to guest needs a look into the first"
            )]
            // SAFETY: made by `Waiting::new` in `host::calls` only, from memory of the calling guest. That guest waits in a
            // call of its host until the called one has ended, and with it this value has been dropped; only guests
            // change their memory, each its own, also where both are in one store, and it does not move unless they grow it.
            Self::OfCaller(Waiting(bytes)) => unsafe { bytes.as_ref() },
        }
    }
}

impl Carried {
    /// What the host said when it was asked to share an input; `None`: it was not asked yet.
    pub(crate) fn sealed(&self, task: &TaskId, key: &StateKey) -> Option<Option<&Sealed>> {
        let found = self.sealed.iter().find(|(t, k, _)| t == task && k == key);
        found.map(|(_, _, memory)| memory.as_ref())
    }

    /// An input that is in memory.
    pub(crate) fn input(&self, task: &TaskId, key: &StateKey) -> Option<&Bytes> {
        let is_it = |input: &&CarriedInput| input.task == *task && input.key == *key;
        self.inputs.iter().find(is_it).map(|input| &input.bytes)
    }
}

/// Most objects that a called function may hand back, and the bytes of all together: what a call may write for a host.
const BACK_OBJECTS_MAX: usize = 64;
const BACK_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a called function hands back.
#[derive(Debug, Default)]
pub(crate) struct Back {
    objects: BTreeMap<StateKey, Vec<u8>>,
    bytes: usize,
}

/// Why an object is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// Too many, or too large together.
    TooLarge,
    /// It would leave a hole.
    Hole,
}

impl Back {
    /// Whether one more object of so many bytes has room.
    pub(crate) fn admit(&mut self, key: &StateKey, bytes: usize) -> Result<(), NotTaken> {
        let is_new = !self.objects.contains_key(key);
        if is_new && BACK_OBJECTS_MAX <= self.objects.len() {
            return Err(NotTaken::TooLarge);
        }
        let total = self.bytes.saturating_add(bytes);
        if BACK_BYTES_MAX < total {
            return Err(NotTaken::TooLarge);
        }
        self.bytes = total;
        Ok(())
    }

    pub(crate) fn append(&mut self, key: &StateKey, bytes: &[u8]) -> Result<(), NotTaken> {
        self.admit(key, bytes.len())?;
        self.objects.entry(key.clone()).or_default().extend_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn write_at(
        &mut self,
        key: &StateKey,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), NotTaken> {
        let length = self.objects.get(key).map_or(0, Vec::len);
        let start = usize::try_from(offset).ok().filter(|start| *start <= length);
        let start = start.ok_or(NotTaken::Hole)?;
        let end = start.saturating_add(bytes.len());
        self.admit(key, end.saturating_sub(length))?;
        let object = self.objects.entry(key.clone()).or_default();
        object.resize(length.max(end), 0);
        object[start..end].copy_from_slice(bytes);
        Ok(())
    }

    /// Takes an object that was admitted.
    pub(crate) fn put(&mut self, key: StateKey, bytes: Vec<u8>) {
        self.objects.insert(key, bytes);
    }

    pub(crate) fn get(&self, key: &StateKey) -> Option<&Vec<u8>> {
        self.objects.get(key)
    }

    pub(crate) fn into_objects(self) -> impl Iterator<Item = (StateKey, Vec<u8>)> {
        self.objects.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> StateKey {
        StateKey::new(text).unwrap()
    }

    #[test]
    fn objects_grow_at_their_end_and_have_no_holes() {
        let mut back = Back::default();
        back.append(&key("a"), b"123").unwrap();
        back.write_at(&key("a"), 2, b"xyz").unwrap();
        assert_eq!(back.get(&key("a")).unwrap(), b"12xyz");
        assert_eq!(back.write_at(&key("a"), 6, b"!"), Err(NotTaken::Hole));
        assert_eq!(back.write_at(&key("b"), 1, b"!"), Err(NotTaken::Hole));
        back.write_at(&key("b"), 0, b"!").unwrap();
        assert_eq!(back.into_objects().count(), 2);
    }

    #[test]
    fn objects_are_bounded() {
        let mut back = Back::default();
        assert_eq!(back.admit(&key("a"), BACK_BYTES_MAX + 1), Err(NotTaken::TooLarge));
        for nth in 0..BACK_OBJECTS_MAX {
            back.append(&key(&format!("k{nth}")), b"").unwrap();
        }
        assert_eq!(back.append(&key("more"), b""), Err(NotTaken::TooLarge));
        back.append(&key("k0"), b"1").unwrap();
    }
}
