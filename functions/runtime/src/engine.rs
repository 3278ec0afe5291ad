//! The engine: which WebAssembly is on, and the pool that works here.

use wasmtime::{Config, Engine};

use crate::RuntimeError;
use crate::pool::{PoolMode, candidates};
use crate::probe::address_space;

/// Stack of a guest; what runs over it traps.
pub(crate) const STACK_BYTES: usize = 512 * 1024;

/// Makes the engine with the best way of allocating that this machine allows, and says which.
///
/// # Errors
/// [`RuntimeError::Engine`] when not even the plainest engine can be made.
pub(crate) fn engine(memory_mib: u32) -> Result<(Engine, PoolMode), RuntimeError> {
    let mut failure = None;
    for mode in candidates(address_space(), memory_mib) {
        match Engine::new(&config(mode)) {
            Ok(engine) if engine.is_pulley() => return Ok((engine, PoolMode::Pulley)),
            Ok(engine) => return Ok((engine, mode)),
            Err(error) => failure = Some(error),
        }
    }
    let source = failure.unwrap_or_else(|| wasmtime::Error::msg("no way of allocating to try"));
    Err(RuntimeError::Engine { source: source.into() })
}

/// All features that `accel` refuses in the pre-scan are off here too.
fn config(mode: PoolMode) -> Config {
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
        .generate_address_map(false);
    mode.apply(&mut config);
    config
}
