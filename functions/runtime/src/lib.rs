//! Runs guest functions: isolated, limited and metered.
//!
//! Reading order: [`Host`] (what a function can ask for), [`Request`] to [`CallReport`] (one call), [`Function`] (a loaded
//! component), [`Runtime`]. Every call gets a store and an instance of its own, which are gone when it returns, unless its profile
//! asks for one that is kept between the calls of its task ([`Warm`]). Nothing is compiled before the pre-scan of `accel` has
//! bounded it, and no compiled code is ever taken from outside.

mod admission;
mod bindings;
mod cache;
mod call;
mod carried;
mod chain;
mod compile;
mod config;
mod context;
mod engine;
mod epoch;
mod function;
mod fused;
mod harden;
mod host;
mod huge;
mod jail;
mod lend;
mod limits;
mod log;
mod memfd;
mod place;
mod pool;
mod probe;
mod quarantine;
mod remote;
mod run;
mod warm;
mod wasi;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use types::TenantId;

pub use accel::ScanLimits;

pub use crate::cache::ModuleHash;
pub use crate::call::{
    Budget, CallFault, CallHeader, CallLimits, CallProfile, CallReport, HandOver, Request,
    TENANT_DEFAULT, Usage,
};
pub use crate::chain::thread_cpu_time;
pub use crate::compile::child::compile_child;
pub use crate::compile::end::CompileEnd;
pub use crate::config::{
    CacheConfig, ChildProgram, CompileIn, CompileLimits, DeviceSecret, Execution, Isolation,
    RunnerProgram, RuntimeConfig,
};
pub use crate::function::LoadError;
pub use crate::host::{
    Callee, Contact, Element, Elsewhere, Host, HostFault, InferTiming, InputInfo, Level, NodeInfo,
    Outgoing, Position, Returned, StateWrite, Tensor,
};
pub use crate::jail::{JailReport, Measure, MeasureState, confine};
pub use crate::memfd::Sealed;
pub use crate::place::Function;
pub use crate::pool::PoolMode;
pub use crate::remote::cgroup::{GroupLimits, join_group};
pub use crate::remote::server::runner;
pub use crate::warm::{HOOK_TIME_MAX, Instance, MEMORY_BYTES_MAX, Warm};

use crate::cache::CodeCache;
use crate::compile::compiler::Compiler;
use crate::engine::Made;
use crate::function::Loader;
use crate::place::{Handle, Place};
use crate::pool::Memory;
use crate::remote::{Runners, Sharing};
use crate::run::Runner;
use crate::warm::shelf::{Owner, Shelf};

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
    place: Place,
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
    /// Starts an engine with the largest pool that memory and address space allow, here or, when a function is prepared or called, in runners.
    ///
    /// # Errors
    /// [`RuntimeError`] when the engine or its thread does not start.
    pub fn new(config: RuntimeConfig) -> Result<Self, RuntimeError> {
        let RuntimeConfig { memory_mib, keep_mib, limits, cache, execution, compile, isolation } =
            config;
        let (program, sharing) = match isolation {
            Isolation::None => (None, Sharing::One),
            Isolation::Process(program) => (Some(program), Sharing::One),
            Isolation::Tenant(program) => (Some(program), Sharing::Tenant),
        };
        let mib = program.as_ref().map_or(memory_mib, |program| program.memory_mib);
        let memory = Memory { mib, keep_mib };
        let Made { engine, mode, shape } = engine::engine(execution, memory)?;
        let cache = cache.as_ref().map(|cache| CodeCache::open(cache, &engine));
        let cache = cache.transpose().map_err(|source| RuntimeError::Cache { source })?;
        let compiler = Compiler::new(compile, shape);
        let place = match program {
            // The engine was made to see whether it can be; a runner makes its own like it.
            Some(program) => Place::Elsewhere(Runners::new(
                program,
                (sharing, memory),
                (mode, shape),
                (limits, compiler, cache),
            )),
            None => {
                let loader = Loader::new(&engine, limits, cache, compiler)
                    .map_err(|error| RuntimeError::Engine { source: error.into() })?;
                let runner = Runner::new(engine, mode, mib, false)
                    .map_err(|source| RuntimeError::Thread { source })?;
                Place::Here(loader, Arc::new(runner), Shelf::default())
            }
        };
        Ok(Self { place })
    }

    /// Takes the code of a component that was loaded before from the cache: microseconds. `None` where it is not there, and where
    /// anything about it is not as it was.
    pub fn load_cached(&self, module: &ModuleHash) -> Option<Function> {
        match &self.place {
            Place::Here(loader, ..) => loader.load_cached(module).map(Function::from),
            Place::Elsewhere(runners) => runners.load_cached(module).map(Function::from),
        }
    }

    /// Pre-scans, compiles and links a component. Takes about half a second for each MB; one at a time. What is in the cache is
    /// not compiled again, and what failed in a compile child not within the hour.
    ///
    /// # Errors
    /// [`LoadError`] with the first reason to refuse it.
    pub fn load(&self, wasm: &[u8]) -> Result<Function, LoadError> {
        match &self.place {
            Place::Here(loader, ..) => loader.load(wasm).map(Function::from),
            Place::Elsewhere(runners) => runners.load(wasm).map(Function::from),
        }
    }

    /// Makes ready for calls of a function that are expected: starts the runner of its tenant, if there is room for one, and has the
    /// code there. A function that is loaded needs nothing more where functions run in this process.
    ///
    /// # Errors
    /// [`CallFault::Runner`] if the runner does not start or cannot use the code, [`CallFault::Busy`] in a pause after an end.
    pub fn prepare(&self, function: &Function, tenant: &TenantId) -> Result<(), CallFault> {
        match (&self.place, &function.0) {
            (Place::Elsewhere(runners), Handle::Elsewhere(function)) => {
                runners.prepare(function, tenant)
            }
            _ => Ok(()),
        }
    }

    /// Runs one call on this thread, or in the runner of its tenant while this thread waits, until it ends or is stopped. Never
    /// waits for room: a call beyond the limits of the node or of the function gets [`CallFault::Busy`], and one for a back end
    /// that is not here [`CallFault::NoBackend`]. Functions that call functions need [`STACK_BYTES`] of the stack of this thread.
    ///
    /// Who calls often keeps the profile and lends it.
    pub fn call<'p>(
        &self,
        function: &Function,
        request: Request,
        profile: impl Into<Cow<'p, CallProfile>>,
        host: &mut dyn Host,
    ) -> CallReport {
        let profile = profile.into();
        match (&self.place, &function.0) {
            (Place::Here(_, runner, shelf), Handle::Here(function)) => {
                runner.call((function, shelf), &request, &profile, host)
            }
            (Place::Elsewhere(runners), Handle::Elsewhere(function)) => {
                runners.call(function, request, &profile, host)
            }
            _ => {
                let fault = CallFault::Trap("loaded by another runtime".to_owned());
                CallReport { outcome: Err(fault), usage: Usage::default() }
            }
        }
    }

    /// Ends the instance that waits for the next call of a task, and answers what it wants to be remembered, at most
    /// [`MEMORY_BYTES_MAX`], with what saying so cost. It has [`HOOK_TIME_MAX`] and what `host` gives. `None` if none waits.
    pub fn suspend(
        &self,
        tenant: &TenantId,
        task: &str,
        host: &mut dyn Host,
    ) -> Option<CallReport> {
        let owner = Owner { tenant: tenant.clone(), task: task.to_owned() };
        match &self.place {
            Place::Here(_, runner, shelf) => runner.suspend(shelf, &owner, host),
            Place::Elsewhere(runners) => runners.end(owner, Some(host)),
        }
    }

    /// Ends the instance that waits for the next call of a task, and with it what it remembers: it may know of a call that never was.
    pub fn forget(&self, tenant: &TenantId, task: &str) {
        let owner = Owner { tenant: tenant.clone(), task: task.to_owned() };
        match &self.place {
            Place::Here(_, runner, shelf) => runner.forget(shelf, &owner),
            Place::Elsewhere(runners) => _ = runners.end(owner, None),
        }
    }

    /// How many instances can wait for the next call of their task, in each runner; one more is dropped.
    pub fn resting_max(&self) -> u32 {
        self.pool_mode().resting_max()
    }

    /// What the runner of a tenant is held by, which is started if it does not run; `None` where functions run in this process.
    ///
    /// # Errors
    /// [`CallFault::Runner`] if it cannot be started, [`CallFault::Busy`] in a pause after an end.
    pub fn jail(&self, tenant: &TenantId) -> Option<Result<JailReport, CallFault>> {
        match &self.place {
            Place::Here(..) => None,
            Place::Elsewhere(runners) => Some(runners.jail(tenant)),
        }
    }

    /// The process of a tenant's runner, if there is one now.
    pub fn runner_process(&self, tenant: &TenantId) -> Option<u32> {
        match &self.place {
            Place::Here(..) => None,
            Place::Elsewhere(runners) => runners.process(tenant),
        }
    }

    /// How instances get their memory.
    pub fn pool_mode(&self) -> PoolMode {
        match &self.place {
            Place::Here(_, runner, _) => runner.mode,
            Place::Elsewhere(runners) => runners.mode(),
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("pool_mode", &self.pool_mode()).finish_non_exhaustive()
    }
}
