//! From the bytes of a component to a function that can be called at once.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use accel::{InspectError, ModuleFacts, ScanLimits};
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, Linker};

use crate::bindings;
use crate::cache::{self, Cached, CodeCache, ModuleHash};
use crate::compile::compiler::{Compiled, Compiler, words};
use crate::compile::end::CompileEnd;
use crate::context::Context;
use crate::host;
use crate::limits::{MEMORIES_MAX, TABLE_ELEMENTS_MAX, TABLES_MAX};
use crate::warm::hooks::HookPlaces;
use crate::wasi;

/// A loaded function. Cloning shares it.
#[derive(Clone)]
pub struct Function {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    /// Which module it was made of.
    pub(crate) module: ModuleHash,
    facts: ModuleFacts,
    compiled_in: Duration,
    /// The component with its imports resolved and its handler found.
    pub(crate) pre: bindings::FunctionPre<Context>,
    /// The hooks of one that may be kept.
    pub(crate) hooks: Option<HookPlaces>,
    /// Calls that run now.
    pub(crate) in_flight: AtomicU32,
    /// Whether it was ever called.
    called: AtomicBool,
}

impl Inner {
    /// Whether nobody has asked this before.
    pub(crate) fn is_first_call(&self) -> bool {
        // Looking first leaves the line of memory to all processors that call it.
        !self.called.load(Ordering::Relaxed) && !self.called.swap(true, Ordering::Relaxed)
    }
}

impl Function {
    /// What the pre-scan found in it.
    pub fn facts(&self) -> &ModuleFacts {
        &self.inner.facts
    }

    /// How long compiling took, of wall time.
    pub fn compiled_in(&self) -> Duration {
        self.inner.compiled_in
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("bytes", &self.inner.facts.bytes)
            .field("compiled_in", &self.inner.compiled_in)
            .finish_non_exhaustive()
    }
}

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a function cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The pre-scan refuses it.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The engine refuses it.
    #[error("the engine cannot compile the component")]
    Compile {
        /// What the engine says.
        source: Source,
    },
    /// It takes more memories or tables than a call may have.
    #[error("an instance takes {value} {what}, over the limit of {limit}")]
    Resources {
        /// Of what.
        what: &'static str,
        /// How many.
        value: u64,
        /// How many it may take.
        limit: u64,
    },
    /// No compile child could do its work, which is no fault of the component.
    #[error("the compile child does not work")]
    Child {
        /// What the system says.
        source: std::io::Error,
    },
    /// The compile child came to an end before its time. The component is not tried again for an hour.
    #[error("compiling was stopped: {0}")]
    Ended(CompileEnd),
    /// It failed in a compile child less than an hour ago.
    #[error("it is not compiled again for {} s: {reason}", left.as_secs())]
    Quarantined {
        /// Until it is.
        left: Duration,
        /// How it failed.
        reason: String,
    },
    /// An import or the handler has another type than the contract's.
    #[error("the component was built against another contract than starbelt:function@0.2.0")]
    Contract {
        /// Which, and how they differ.
        source: Source,
    },
}

/// What turns components into functions: the contract for one engine.
pub(crate) struct Linked(Linker<Context>);

impl Linked {
    pub(crate) fn new(engine: &Engine) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(engine);
        add_to_linker(&mut linker)?;
        wasi::add_to_linker(&mut linker)?;
        Ok(Self(linker))
    }

    fn engine(&self) -> &Engine {
        self.0.engine()
    }

    /// Resolves imports and finds the handler.
    pub(crate) fn function(
        &self,
        component: &Component,
        module: ModuleHash,
        facts: ModuleFacts,
        compiled_in: Duration,
    ) -> Result<Function, LoadError> {
        let pre = self.0.instantiate_pre(component).and_then(bindings::FunctionPre::new);
        let pre = pre.map_err(|error| LoadError::Contract { source: error.into() })?;
        let hooks = HookPlaces::of(component);
        let hooks = hooks.map_err(|error| LoadError::Contract { source: error.into() })?;
        let (in_flight, called) = (AtomicU32::new(0), AtomicBool::new(false));
        let inner = Inner { module, facts, compiled_in, pre, hooks, in_flight, called };
        Ok(Function { inner: Arc::new(inner) })
    }

    /// Whether imports and handler have the types of the contract.
    pub(crate) fn check(&self, component: &Component) -> wasmtime::Result<()> {
        self.0.instantiate_pre(component).and_then(bindings::FunctionPre::new)?;
        HookPlaces::of(component).map(|_| ())
    }

    /// The function of compiled code for which somebody else vouches: the agent of a runner.
    pub(crate) fn function_of(
        &self,
        code: &[u8],
        module: ModuleHash,
        facts: ModuleFacts,
    ) -> Result<Function, String> {
        let started = Instant::now();
        let component = cache::load_bytes(self.engine(), code);
        let component = component.ok_or("the code is not of this engine")?;
        check_resources(&component).map_err(|error| words(&error))?;
        let function = self.function(&component, module, facts, started.elapsed());
        function.map_err(|error| words(&error))
    }
}

/// Loads functions, one at a time, so that compiling never takes more memory than one component needs.
pub(crate) struct Loader {
    linked: Linked,
    limits: ScanLimits,
    cache: Option<CodeCache>,
    compiler: Compiler,
    one_at_a_time: Mutex<()>,
}

impl Loader {
    pub(crate) fn new(
        engine: &Engine,
        limits: ScanLimits,
        cache: Option<CodeCache>,
        compiler: Compiler,
    ) -> wasmtime::Result<Self> {
        let linked = Linked::new(engine)?;
        Ok(Self { linked, limits, cache, compiler, one_at_a_time: Mutex::new(()) })
    }

    /// From the cache, then resolve.
    pub(crate) fn load_cached(&self, module: &ModuleHash) -> Option<Function> {
        let started = Instant::now();
        let Cached { component, facts } = self.cache.as_ref()?.get(self.linked.engine(), module)?;
        self.linked.function(&component, *module, facts, started.elapsed()).ok()
    }

    /// Pre-scan, then compile, then resolve.
    pub(crate) fn load(&self, wasm: &[u8]) -> Result<Function, LoadError> {
        let facts = accel::inspect(wasm, &self.limits)?;
        let module: ModuleHash = Sha256::digest(wasm).into();
        let turn = self.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(function) = self.load_cached(&module) {
            return Ok(function);
        }
        let started = Instant::now();
        let engine = self.linked.engine();
        let Compiled { component, code } =
            self.compiler.compile(engine, &self.limits, &module, wasm)?;
        let compiled_in = started.elapsed();
        drop(turn);
        check_resources(&component)?;
        let function = self.linked.function(&component, module, facts, compiled_in)?;
        self.keep(&module, &function, &component, code);
        Ok(function)
    }

    /// Keeps what was compiled. Without room on the disk the next start compiles again, which is no reason to refuse this one.
    fn keep(
        &self,
        module: &ModuleHash,
        function: &Function,
        component: &Component,
        code: Option<Vec<u8>>,
    ) {
        if let Some(cache) = &self.cache
            && let Some(code) = code.or_else(|| component.serialize().ok())
        {
            drop(cache.put(module, function.facts(), &code));
        }
    }
}

/// All that a guest may import.
fn add_to_linker(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    bindings::types::add_to_linker::<_, HasSelf<Context>>(linker, |context| context)?;
    bindings::state::add_to_linker::<_, HasSelf<Context>>(linker, |context| context)?;
    bindings::node::add_to_linker::<_, HasSelf<Context>>(linker, |context| context)?;
    bindings::sky::add_to_linker::<_, HasSelf<Context>>(linker, |context| context)?;
    bindings::infer::add_to_linker::<_, HasSelf<Context>>(linker, |context| context)?;
    bindings::output::add_to_linker::<_, HasSelf<Context>>(linker, |context| context)?;
    host::objects::add_to_linker(linker)?;
    host::calls::add_to_linker(linker)
}

/// Modules can be instantiated more than once, which the pre-scan does not see.
pub(crate) fn check_resources(component: &Component) -> Result<(), LoadError> {
    // Nothing is known of components that import modules, and those the pre-scan has refused.
    let Some(needs) = component.resources_required() else { return Ok(()) };
    let table_elements = needs.max_initial_table_size.unwrap_or_default();
    let checks = [
        ("linear memories", u64::from(needs.num_memories), u64::from(MEMORIES_MAX)),
        ("tables", u64::from(needs.num_tables), u64::from(TABLES_MAX)),
        ("elements of a table", table_elements, TABLE_ELEMENTS_MAX as u64),
    ];
    match checks.into_iter().find(|(_, value, limit)| limit < value) {
        Some((what, value, limit)) => Err(LoadError::Resources { what, value, limit }),
        None => Ok(()),
    }
}
