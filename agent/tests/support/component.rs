//! The guests of the runtime's own tests, as components.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The guest that does what the first byte of a body says.
pub(crate) const PUPPET: &str =
    include_str!("../../../functions/runtime/tests/suite/wat/puppet.wat");

/// [`PUPPET`], as a component.
pub(crate) fn puppet() -> Vec<u8> {
    component_of("function", PUPPET)
}

/// The guest that counts its calls in its own memory.
pub(crate) fn rememberer() -> Vec<u8> {
    let text = include_str!("../../../functions/runtime/tests/suite/wat/rememberer.wat");
    component_of("stateful-function", text)
}

/// A component for a world of the contract, from the text of its core module.
pub(crate) fn component_of(world: &str, core_wat: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let contract = include_str!("../../../functions/wit/world.wit");
    let package = resolve.push_source("world.wit", contract).expect("the contract");
    let world = resolve.select_world(&[package], Some(world)).expect("its world");
    let mut module = wat::parse_str(core_wat).expect("a module");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)
        .expect("it fits the contract");
    let mut encoder = ComponentEncoder::default();
    let encoder = encoder.validate(true).module(&module).expect("a module");
    encoder.encode().expect("a component")
}
