//! The guest contract as Rust, made from its only copy `../wit/world.wit`.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "function",
    ownership: Borrowing { duplicate_if_necessary: true },
});

pub(crate) use self::exports::starbelt::function::handler::Request as WireRequest;
pub(crate) use self::starbelt::function::{infer, node, objects, output, sky, state, types};
