//! The compiler that is part of this program, or not: without the feature `compiler` nothing that comes as Wasm runs, and the program is
//! half as large. Models, kernels and native programs run all the same.

use wasmtime::component::Component;
use wasmtime::{Engine, Module};

/// Why nothing is compiled.
#[cfg(not(feature = "compiler"))]
const NONE: &str =
    "this program was built without a compiler: it runs models, kernels and native programs only";

/// Compiles a component.
#[cfg(feature = "compiler")]
pub(crate) fn component(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Component> {
    Component::from_binary(engine, wasm)
}

/// There is nothing that compiles a component.
#[cfg(not(feature = "compiler"))]
pub(crate) fn component(_engine: &Engine, _wasm: &[u8]) -> wasmtime::Result<Component> {
    Err(wasmtime::Error::msg(NONE))
}

/// Compiles a module.
#[cfg(feature = "compiler")]
pub(crate) fn module(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Module> {
    Module::new(engine, wasm)
}

/// There is nothing that compiles a module.
#[cfg(not(feature = "compiler"))]
pub(crate) fn module(_engine: &Engine, _wasm: &[u8]) -> wasmtime::Result<Module> {
    Err(wasmtime::Error::msg(NONE))
}
