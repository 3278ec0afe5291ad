//! The guest contract as Rust, made from its only copy `../wit/world.wit`.

wasmtime::component::bindgen!({ path: "../wit", world: "function" });

pub(crate) use self::exports::starbelt::function::handler::Request as WireRequest;
pub(crate) use self::starbelt::function::{node, objects, output, sky, state, types};
