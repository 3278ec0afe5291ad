//! Lasting state: checks keys, counts calls, leaves the rest to the host.

use types::StateKey;

use super::wire::{key, to_guest};
use crate::bindings::state::{Host, Versioned};
use crate::bindings::types::Fault;
use crate::context::Context;

impl Host for Context {
    fn get(&mut self, key_text: String) -> Result<Option<Versioned>, Fault> {
        self.count_state_op();
        let found = self.host.get().state_get(&key(&key_text)?).map_err(to_guest)?;
        Ok(found.map(|(value, version)| Versioned { value, version }))
    }

    fn put(&mut self, key_text: String, value: Vec<u8>, expect: Option<u64>) -> Result<u64, Fault> {
        self.count_state_op();
        self.host.get().state_put(&key(&key_text)?, value, expect).map_err(to_guest)
    }

    fn delete(&mut self, key_text: String) -> Result<(), Fault> {
        self.count_state_op();
        self.host.get().state_delete(&key(&key_text)?).map_err(to_guest)
    }

    fn keys(&mut self, prefix: String) -> Result<Vec<String>, Fault> {
        self.count_state_op();
        let prefix = if prefix.is_empty() { None } else { Some(key(&prefix)?) };
        let found = self.host.get().state_keys(prefix.as_ref()).map_err(to_guest)?;
        Ok(found.into_iter().map(StateKey::into).collect())
    }
}

impl Context {
    fn count_state_op(&mut self) {
        self.state_ops = self.state_ops.saturating_add(1);
    }
}
