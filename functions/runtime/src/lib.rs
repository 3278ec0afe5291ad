//! Runs guest functions: isolated, limited and metered.
//!
//! Reading order: [`Host`] (what a function can ask for), [`Request`] to [`CallReport`] (one call), [`Function`] (a loaded
//! component), [`Runtime`]. Every call gets a store and an instance of its own, which are gone when it returns. Nothing is
//! compiled before the pre-scan of `accel` has bounded it, and no compiled code is ever taken from outside.

mod admission;
mod bindings;
mod cache;
mod call;
mod carried;
mod chain;
mod config;
mod context;
mod engine;
mod epoch;
mod function;
mod host;
mod lend;
mod limits;
mod log;
mod pool;
mod probe;
mod run;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use crate::cache::ModuleHash;
pub use crate::call::{
    Budget, CallFault, CallHeader, CallLimits, CallProfile, CallReport, HandOver, Request, Usage,
};
pub use crate::config::{CacheConfig, DeviceSecret, RuntimeConfig};
pub use crate::function::{Function, LoadError};
pub use crate::host::{
    Callee, Contact, Element, Elsewhere, Host, HostFault, InferTiming, InputInfo, Level, NodeInfo,
    Outgoing, Position, StateWrite, Tensor,
};
pub use crate::pool::PoolMode;

use crate::cache::CodeCache;
use crate::function::Loader;
use crate::run::Runner;

/// Largest body in and out; larger values travel as objects.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most linear memory that one call can be granted, in MiB.
pub const LINEAR_MEMORY_MIB_MAX: u32 = 256;
/// Stack that a thread needs on which functions are called: each call within another may use all of a guest's, and the host a little.
pub const STACK_BYTES: usize = chain::DEPTH_MAX as usize * 2 * engine::STACK_BYTES;
/// Longest that a call can run.
pub const DEADLINE_MAX: Duration = Duration::from_secs(30);

/// Loads and runs functions. One for a process; it is shared between threads by reference.
pub struct Runtime {
    loader: Loader,
    runner: Arc<Runner>,
}

/// Why there is no runtime.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The engine does not start.
    #[error("the WebAssembly engine does not start")]
    Engine {
        /// What the engine says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The folder of compiled code cannot be used.
    #[error("the folder of compiled code cannot be used")]
    Cache {
        /// What the system says.
        source: std::io::Error,
    },
    /// The system gives no thread for the ticks that stop guests.
    #[error("no thread for the epoch ticks")]
    Thread {
        /// What the system says.
        source: std::io::Error,
    },
}

impl Runtime {
    /// Starts an engine with the largest pool that memory and address space allow.
    ///
    /// # Errors
    /// [`RuntimeError`] when the engine or its thread does not start.
    pub fn new(config: RuntimeConfig) -> Result<Self, RuntimeError> {
        let (engine, mode) = engine::engine(config.memory_mib)?;
        let cache = config.cache.as_ref().map(|cache| CodeCache::open(cache, &engine));
        let cache = cache.transpose().map_err(|source| RuntimeError::Cache { source })?;
        let loader = Loader::new(&engine, config.limits, cache)
            .map_err(|error| RuntimeError::Engine { source: error.into() })?;
        let runner = Runner::new(engine, mode, config.memory_mib)
            .map_err(|source| RuntimeError::Thread { source })?;
        Ok(Self { loader, runner: Arc::new(runner) })
    }

    /// Takes the code of a component that was loaded before from the cache: microseconds. `None` where it is not there, and where
    /// anything about it is not as it was.
    pub fn load_cached(&self, module: &ModuleHash) -> Option<Function> {
        self.loader.load_cached(module)
    }

    /// Pre-scans, compiles and links a component. Takes about half a second for each MB; one at a time. What is in the cache is
    /// not compiled again.
    ///
    /// # Errors
    /// [`LoadError`] with the first reason to refuse it.
    pub fn load(&self, wasm: &[u8]) -> Result<Function, LoadError> {
        self.loader.load(wasm)
    }

    /// Runs one call on this thread until it ends or is stopped; functions that call functions need [`STACK_BYTES`] of its stack. Never waits for room: a call beyond the
    /// limits of the node or of the function gets [`CallFault::Busy`], and one for a back end that is not here
    /// [`CallFault::NoBackend`].
    pub fn call(
        &self,
        function: &Function,
        request: Request,
        profile: impl Into<CallProfile>,
        host: &mut dyn Host,
    ) -> CallReport {
        self.runner.call(function, &request, &profile.into(), host)
    }

    /// How instances get their memory here.
    pub fn pool_mode(&self) -> PoolMode {
        self.runner.mode
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("pool_mode", &self.runner.mode).finish_non_exhaustive()
    }
}
