//! The engine: which WebAssembly is on, and the pool that works here.

use wasmtime::{Config, Engine};

use crate::RuntimeError;
use crate::config::Execution;
use crate::pool::{Memory, PoolMode, candidates};
use crate::probe::address_space;

/// Stack of a guest; what runs over it traps.
pub(crate) const STACK_BYTES: usize = 512 * 1024;
/// What the interpreter takes on this machine: its width of addresses, its order of bytes.
const INTERPRETED: &str = match (cfg!(target_pointer_width = "64"), cfg!(target_endian = "little"))
{
    (true, true) => "pulley64",
    (true, false) => "pulley64be",
    (false, true) => "pulley32",
    (false, false) => "pulley32be",
};

/// An engine, and what it was made for.
pub(crate) struct Made {
    pub(crate) engine: Engine,
    /// How it gives memory to instances, in telemetry.
    pub(crate) mode: PoolMode,
    /// How its memories lie, for those who compile for it.
    pub(crate) shape: PoolMode,
}

/// Makes the engine with the best way of allocating that this machine allows, and says which.
///
/// # Errors
/// [`RuntimeError::Engine`] when not even the plainest engine can be made.
pub(crate) fn engine(execution: Execution, memory: Memory) -> Result<Made, RuntimeError> {
    let mut failure = None;
    let shapes = match execution {
        Execution::Native => candidates(address_space(), memory),
        Execution::Interpreted => vec![PoolMode::Pulley],
        Execution::OnDemand => vec![PoolMode::OnDemand],
    };
    for shape in shapes {
        match Engine::new(&config(shape, memory)) {
            Ok(engine) => {
                let mode = if engine.is_pulley() { PoolMode::Pulley } else { shape };
                return Ok(Made { engine, mode, shape });
            }
            Err(error) => failure = Some(error),
        }
    }
    let source = failure.unwrap_or_else(|| wasmtime::Error::msg("no way of allocating to try"));
    Err(RuntimeError::Engine { source: source.into() })
}

/// An engine that compiles for the engine of this mode, and reserves nothing: it is for a process with little address space.
///
/// # Errors
/// What the engine says.
pub(crate) fn compiler(mode: PoolMode) -> wasmtime::Result<Engine> {
    let mut config = features(mode);
    mode.shape_memory(&mut config);
    Engine::new(&config)
}

/// Features, and how instances get their memory.
pub(crate) fn config(mode: PoolMode, memory: Memory) -> Config {
    let mut config = features(mode);
    mode.shape_memory(&mut config);
    mode.allocate(&mut config, memory);
    config
}

/// All features that `accel` refuses in the pre-scan are off here too.
fn features(mode: PoolMode) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES)
        .concurrency_support(false)
        .gc_support(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        .wasm_wide_arithmetic(false)
        .generate_address_map(false)
        // For debuggers and profilers; traps and backtraces of the engine do without, and each start would have to register it.
        .native_unwind_info(false);
    if mode == PoolMode::Pulley {
        config.target(INTERPRETED).expect("a target of the interpreter, which is compiled in");
    }
    config
}
