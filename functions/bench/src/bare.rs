//! The baseline: wasmtime alone, with the settings of our engine, and nothing of what makes a call safe and accountable.

use std::path::Path;

use anyhow::{Result, anyhow};
use runtime::{PoolMode, RuntimeConfig};
use wasmtime::component::{Component, Linker};
use wasmtime::{
    Config, Enabled, Engine, Instance, InstanceAllocationStrategy, Module, PoolingAllocationConfig,
    Store,
};

mod contract {
    //! The same contract, without the runtime.
    wasmtime::component::bindgen!({ path: "../wit", world: "function" });
}

use contract::exports::starbelt::function::handler::Request;

/// An error of wasmtime as one of ours.
trait OrAny<T> {
    fn or_any(self) -> Result<T>;
}

impl<T> OrAny<T> for wasmtime::Result<T> {
    fn or_any(self) -> Result<T> {
        self.map_err(|error| anyhow::Error::from_boxed(error.into()))
    }
}

/// A component that is ready to be called.
pub(crate) type Ready = contract::FunctionPre<()>;

/// Ticks that never come.
const NEVER: u64 = 1 << 60;

/// The engine of the runtime, of the settings of `functions/runtime/src/{engine,pool}.rs`, with or without epochs.
///
/// # Errors
/// When it does not start.
pub(crate) fn engine(mode: PoolMode, epochs: bool) -> Result<Engine> {
    let mut config = Config::new();
    config
        .epoch_interruption(epochs)
        .concurrency_support(false)
        .gc_support(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        .wasm_wide_arithmetic(false)
        .generate_address_map(false)
        .native_unwind_info(false);
    match mode {
        PoolMode::Pooling { slots, reservation } => {
            let mut pool = PoolingAllocationConfig::new();
            pool.total_component_instances(slots)
                .total_core_instances(slots * 4)
                .total_memories(slots)
                .total_tables(slots * 2)
                .max_memory_size(256 << 20)
                .linear_memory_keep_resident(kept_bytes(slots))
                .pagemap_scan(Enabled::Auto);
            config
                .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
                .memory_reservation(reservation);
        }
        PoolMode::Pulley => {
            let wide = cfg!(target_pointer_width = "64");
            config.target(if wide { "pulley64" } else { "pulley32" }).or_any()?;
        }
        PoolMode::OnDemand => {}
    }
    Engine::new(&config).or_any()
}

/// What the runtime has each of so many slots keep.
fn kept_bytes(slots: u32) -> usize {
    if !PoolingAllocationConfig::is_pagemap_scan_available() {
        return 128 << 10;
    }
    let RuntimeConfig { memory_mib, keep_mib, .. } = RuntimeConfig::default();
    let share = (u64::from(memory_mib) << 20) / 2 / u64::from(slots.max(1));
    usize::try_from((u64::from(keep_mib) << 20).min(share)).unwrap_or(usize::MAX)
}

/// Compiles and links a component.
///
/// # Errors
/// When it is none.
pub(crate) fn ready(engine: &Engine, wasm: &[u8]) -> Result<Ready> {
    link(engine, &Component::from_binary(engine, wasm).or_any()?)
}

/// Compiles a component into a file.
///
/// # Errors
/// When it is none, or the file cannot be written.
pub(crate) fn compile_to(engine: &Engine, wasm: &[u8], file: &Path) -> Result<()> {
    let code = Component::from_binary(engine, wasm).and_then(|component| component.serialize());
    Ok(std::fs::write(file, code.or_any()?)?)
}

/// Takes the code of a component from the file that [`compile_to`] wrote, and links it.
///
/// # Errors
/// When it is none.
pub(crate) fn ready_from(engine: &Engine, file: &Path) -> Result<Ready> {
    #[expect(unsafe_code, reason = "the baseline trusts its file")]
    // SAFETY: this program has just written it.
    let component = unsafe { Component::deserialize_file(engine, file) };
    link(engine, &component.or_any()?)
}

/// It must not need more than the contract without a host.
fn link(engine: &Engine, component: &Component) -> Result<Ready> {
    let linked = Linker::new(engine).instantiate_pre(component);
    linked.and_then(contract::FunctionPre::new).or_any()
}

/// A fresh store and instance, one call.
///
/// # Errors
/// When it does not answer.
pub(crate) fn call(engine: &Engine, pre: &Ready, body: Vec<u8>) -> Result<()> {
    let mut store = Store::new(engine, ());
    store.set_epoch_deadline(NEVER);
    let instance = pre.instantiate(&mut store).or_any()?;
    match instance.starbelt_function_handler().call_handle(&mut store, &request(body)).or_any()? {
        Ok(_) => Ok(()),
        Err(fault) => Err(anyhow!("{fault:?}")),
    }
}

/// An instance that is called again and again, with its store.
pub(crate) struct Kept {
    store: Store<()>,
    instance: contract::Function,
}

impl Kept {
    /// Makes it.
    ///
    /// # Errors
    /// When the pool is empty.
    pub(crate) fn new(engine: &Engine, pre: &Ready) -> Result<Self> {
        let mut store = Store::new(engine, ());
        store.set_epoch_deadline(NEVER);
        let instance = pre.instantiate(&mut store).or_any()?;
        Ok(Self { store, instance })
    }

    /// One typed call.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn call(&mut self, body: Vec<u8>) -> Result<()> {
        let handler = self.instance.starbelt_function_handler();
        match handler.call_handle(&mut self.store, &request(body)).or_any()? {
            Ok(_) => Ok(()),
            Err(fault) => Err(anyhow!("{fault:?}")),
        }
    }
}

/// A fresh store and instance without a call.
///
/// # Errors
/// When the pool is empty.
pub(crate) fn instance(engine: &Engine, pre: &Ready) -> Result<()> {
    let mut store = Store::new(engine, ());
    store.set_epoch_deadline(NEVER);
    pre.instantiate(&mut store).or_any().map(drop)
}

fn request(body: Vec<u8>) -> Request {
    Request {
        id: 1,
        root: 1,
        hops: 0,
        attempt: 1,
        source: String::new(),
        deadline_ms: 1_000,
        budget: contract::starbelt::function::types::Budget { calls: 0, cpu_us: 0 },
        schema_id: String::new(),
        content_type: String::new(),
        body,
    }
}

/// A core module that exports `run`, with its store.
pub(crate) struct Core {
    store: Store<()>,
    run: wasmtime::TypedFunc<i32, i32>,
}

impl Core {
    /// Compiles and instantiates.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn new(engine: &Engine, text: &str) -> Result<Self> {
        let module = Module::new(engine, wat::parse_str(text)?).or_any()?;
        let mut store = Store::new(engine, ());
        store.set_epoch_deadline(NEVER);
        let nothing = wasmtime::Func::wrap(&mut store, || {});
        let imports: &[wasmtime::Extern] =
            if module.imports().len() == 0 { &[] } else { &[nothing.into()] };
        let instance = Instance::new(&mut store, &module, imports).or_any()?;
        let run = instance.get_typed_func(&mut store, "run").or_any()?;
        Ok(Self { store, run })
    }

    /// Runs it.
    ///
    /// # Errors
    /// When it traps.
    pub(crate) fn run(&mut self, argument: i32) -> Result<i32> {
        self.run.call(&mut self.store, argument).or_any()
    }
}
