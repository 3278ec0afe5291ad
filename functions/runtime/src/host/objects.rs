//! Objects that come with a call and that go on: checks names and keys, leaves the rest to the host.

use super::wire::{key, task, to_guest};
use crate::bindings::objects::{Host, Input};
use crate::bindings::types::Fault;
use crate::context::Context;

impl Host for Context {
    fn inputs(&mut self) -> Vec<Input> {
        let wire = |input: crate::InputInfo| Input {
            task: input.task.into(),
            key: input.key.into(),
            bytes: input.bytes,
        };
        self.host.get().inputs().into_iter().map(wire).collect()
    }

    fn read(
        &mut self,
        task_name: String,
        key_text: String,
        offset: u64,
        len: u32,
    ) -> Result<Vec<u8>, Fault> {
        let (task, key) = (task(&task_name)?, key(&key_text)?);
        self.host.get().input_read(&task, &key, offset, len).map_err(to_guest)
    }

    fn write(&mut self, key_text: String, bytes: Vec<u8>) -> Result<(), Fault> {
        self.host.get().output_write(&key(&key_text)?, bytes).map_err(to_guest)
    }
}
