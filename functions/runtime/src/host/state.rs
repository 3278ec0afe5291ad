//! Lasting state: checks keys, counts calls, leaves the rest to the host.

use types::StateKey;

use super::StateWrite;
use super::wire::{key, to_guest};
use crate::bindings::state::{Host, Versioned, Write};
use crate::bindings::types::Fault;
use crate::context::Context;

impl Host for Context {
    fn get(&mut self, key_text: String) -> Result<Option<Versioned>, Fault> {
        self.count_state_op();
        let found = self.host().state_get(&key(&key_text)?).map_err(to_guest)?;
        Ok(found.map(|(value, version)| Versioned { value, version }))
    }

    fn get_range(
        &mut self,
        key_text: String,
        offset: u64,
        len: u32,
    ) -> Result<Option<Vec<u8>>, Fault> {
        self.count_state_op();
        self.host().state_get_range(&key(&key_text)?, offset, len).map_err(to_guest)
    }

    fn get_many(&mut self, keys: Vec<String>) -> Result<Vec<Option<Versioned>>, Fault> {
        keys.into_iter().map(|key| self.get(key)).collect()
    }

    fn batch(&mut self, writes: Vec<Write>) -> Result<Vec<u64>, Fault> {
        let from_wire = |Write { key: text, value, expect }| {
            self.count_state_op();
            Ok(StateWrite { key: key(&text)?, value, expect })
        };
        let writes = writes.into_iter().map(from_wire).collect::<Result<_, Fault>>()?;
        self.host().state_batch(writes).map_err(to_guest)
    }

    fn put(&mut self, key_text: String, value: Vec<u8>, expect: Option<u64>) -> Result<u64, Fault> {
        self.count_state_op();
        self.host().state_put(&key(&key_text)?, value, expect).map_err(to_guest)
    }

    fn delete(&mut self, key_text: String) -> Result<(), Fault> {
        self.count_state_op();
        self.host().state_delete(&key(&key_text)?).map_err(to_guest)
    }

    fn keys(&mut self, prefix: String) -> Result<Vec<String>, Fault> {
        self.count_state_op();
        let prefix = if prefix.is_empty() { None } else { Some(key(&prefix)?) };
        let found = self.host().state_keys(prefix.as_ref()).map_err(to_guest)?;
        Ok(found.into_iter().map(StateKey::into).collect())
    }
}

impl Context {
    fn count_state_op(&mut self) {
        self.state_ops = self.state_ops.saturating_add(1);
    }
}
