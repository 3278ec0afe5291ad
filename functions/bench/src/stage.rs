//! Our runtime, as an agent uses it: engines with caches, one call, a host that serves nothing.

use std::borrow::Cow;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use accel::ScanLimits;
use anyhow::{Result, anyhow};
use runtime::{
    Budget, CacheConfig, CallHeader, CallLimits, CallProfile, CallReport, Callee, Contact,
    DeviceSecret, Execution, Function, Host, HostFault, InputInfo, Isolation, Level, ModuleHash,
    NodeInfo, Request, RunnerProgram, Runtime, RuntimeConfig, Sealed, Warm,
};
use sha2::{Digest as _, Sha256};
use types::{Epoch, FunctionId, NodeId, NodeKind, StateKey, TaskId};

/// Limits of all calls: the most that a manifest can ask for, so that the largest inputs fit.
pub(crate) const LIMITS: CallLimits =
    CallLimits { linear_memory_mib: 256, deadline: Duration::from_secs(30), budget: Budget::USUAL };

/// The profile of most calls, as one that is called often has it.
static PROFILE: LazyLock<CallProfile> = LazyLock::new(|| LIMITS.into());

/// The profile of a call that may have the instance of the one before.
static KEPT: LazyLock<CallProfile> = LazyLock::new(|| {
    let warm = Some(Warm { task: "bench".to_owned() });
    CallProfile { warm, ..LIMITS.into() }
});

/// A runtime with its cache in `dir`; without one it compiles each time.
///
/// # Errors
/// When it does not start.
pub(crate) fn runtime(execution: Execution, dir: Option<&Path>) -> Result<Runtime> {
    let secret = DeviceSecret::new([7; 32]);
    let cache = dir.map(|dir| CacheConfig { dir: dir.to_owned(), secret });
    let limits = ScanLimits::default();
    let config = RuntimeConfig { execution, cache, limits, ..RuntimeConfig::default() };
    Ok(Runtime::new(config)?)
}

/// Most runners of one runtime.
pub(crate) const RUNNERS_MAX: usize = 16;
/// Linear memory of a runner, MiB: four calls with the largest limits.
const RUNNER_MIB: u32 = 1_024;

/// A runtime whose guests all run in one process of their own.
///
/// # Errors
/// When it does not start.
pub(crate) fn isolated() -> Result<Runtime> {
    elsewhere(Isolation::Process)
}

/// A runtime whose guests run in a process for each tenant.
///
/// # Errors
/// When it does not start.
pub(crate) fn tenants() -> Result<Runtime> {
    elsewhere(Isolation::Tenant)
}

fn elsewhere(isolation: fn(RunnerProgram) -> Isolation) -> Result<Runtime> {
    let program = RunnerProgram {
        program: std::env::current_exe()?,
        arguments: vec!["runner".into()],
        memory_mib: RUNNER_MIB,
        // Two cores: nothing that is measured is held back.
        milli_cpu: 2_000,
        runners_max: RUNNERS_MAX,
    };
    Ok(Runtime::new(RuntimeConfig { isolation: isolation(program), ..RuntimeConfig::default() })?)
}

pub(crate) fn hash(wasm: &[u8]) -> ModuleHash {
    Sha256::digest(wasm).into()
}

/// The function as a start finds it in the cache.
///
/// # Errors
/// When it is not there.
pub(crate) fn from_cache(runtime: &Runtime, module: &ModuleHash) -> Result<Function> {
    runtime.load_cached(module).ok_or_else(|| anyhow!("it is not in the cache"))
}

/// One call; its answer.
///
/// # Errors
/// When the function does not answer.
pub(crate) fn call(runtime: &Runtime, function: &Function, body: Vec<u8>) -> Result<Vec<u8>> {
    Ok(report(runtime, function, body, &*PROFILE, &mut BenchHost::default()).outcome?)
}

/// An object as a node keeps it for functions in other processes.
///
/// # Errors
/// When the system has no memory for it.
pub(crate) fn sealed(bytes: &[u8]) -> Result<Sealed> {
    Ok(Sealed::written(bytes.len() as u64, |memory| memory.write_all(bytes))?)
}

pub(crate) fn report<'p>(
    runtime: &Runtime,
    function: &Function,
    body: Vec<u8>,
    profile: impl Into<Cow<'p, CallProfile>>,
    host: &mut dyn Host,
) -> CallReport {
    runtime.call(function, request(body), profile, host)
}

/// The record of one call with the largest limits.
pub(crate) fn usage(runtime: &Runtime, function: &Function, body: Vec<u8>) -> runtime::Usage {
    report(runtime, function, body, &*PROFILE, &mut BenchHost::default()).usage
}

/// The record of one call in the instance that the call before has left.
///
/// # Errors
/// When it is a new instance after all, or the function does not answer.
pub(crate) fn call_kept(runtime: &Runtime, function: &Function) -> Result<runtime::Usage> {
    let CallReport { outcome, usage } =
        report(runtime, function, Vec::new(), &*KEPT, &mut BenchHost::default());
    outcome?;
    match usage.instance {
        Some(instance) if instance.rests => Ok(usage),
        other => Err(anyhow!("its instance was not kept: {other:?}")),
    }
}

fn request(body: Vec<u8>) -> Request {
    let header = CallHeader {
        id: 1,
        root: 1,
        hops: 0,
        attempt: 1,
        source: String::new(),
        deadline: LIMITS.deadline,
        budget: LIMITS.budget,
    };
    Request { header, schema_id: String::new(), content_type: String::new(), body }
}

/// Serves nothing but what the bench wants.
#[derive(Default)]
pub(crate) struct BenchHost<'a> {
    /// What to do when a guest logs.
    pub(crate) on_log: Option<&'a mut (dyn FnMut() + Send)>,
    /// The one object that came with the call, under any name.
    pub(crate) input: &'a [u8],
    /// The same in memory that a runner can read.
    pub(crate) sealed: Option<&'a Sealed>,
    /// Whom the guest may call, under any name.
    pub(crate) callee: Option<&'a Function>,
    /// When it was found.
    pub(crate) callee_since: Option<Instant>,
    /// How long the called one took, from when it was found.
    pub(crate) callee_took: Option<Duration>,
    /// Whether it may share the store of its caller.
    pub(crate) fuses: bool,
    /// Calls of it that have ended.
    pub(crate) calls: u32,
}

impl Host for BenchHost<'_> {
    fn state_get(&mut self, _: &StateKey) -> Result<Option<(Vec<u8>, u64)>, HostFault> {
        Ok(None)
    }

    fn state_put(&mut self, _: &StateKey, _: Vec<u8>, _: Option<u64>) -> Result<u64, HostFault> {
        Err(HostFault::Denied)
    }

    fn state_delete(&mut self, _: &StateKey) -> Result<(), HostFault> {
        Err(HostFault::Denied)
    }

    fn state_keys(&mut self, _: Option<&StateKey>) -> Result<Vec<StateKey>, HostFault> {
        Ok(Vec::new())
    }

    fn inputs(&mut self) -> Vec<InputInfo> {
        Vec::new()
    }

    fn input_read(
        &mut self,
        _: &TaskId,
        _: &StateKey,
        offset: u64,
        len: u32,
    ) -> Result<Vec<u8>, HostFault> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.input.len());
        let to = from.saturating_add(len as usize).min(self.input.len());
        Ok(self.input[from..to].to_vec())
    }

    fn input_sealed(&mut self, _: &TaskId, _: &StateKey) -> Result<Option<Sealed>, HostFault> {
        Ok(self.sealed.cloned())
    }

    fn output_admit(&mut self, _: &StateKey, _: u64) -> Result<(), HostFault> {
        Ok(())
    }

    fn output_take(&mut self, _: &StateKey, _: &[u8]) -> Result<(), HostFault> {
        Ok(())
    }

    fn enter(&mut self, _: &FunctionId) -> Result<Callee, HostFault> {
        let function = self.callee.ok_or(HostFault::Denied)?.clone();
        self.callee_since = Some(Instant::now());
        Ok(Callee::Here { function, profile: Box::new(LIMITS.into()), fused: self.fuses })
    }

    fn leave(&mut self, _: &CallReport) {
        self.callee_took = self.callee_since.map(|since| since.elapsed());
        self.calls += 1;
    }

    fn output_write(&mut self, _: &StateKey, _: Vec<u8>) -> Result<(), HostFault> {
        Err(HostFault::Denied)
    }

    fn describe(&mut self) -> NodeInfo {
        NodeInfo {
            node: NodeId::new("bench").expect("a valid name"),
            kind: NodeKind::Edge,
            battery_pct: None,
            temperature_c: None,
            sunlit: None,
            accelerators: Vec::new(),
        }
    }

    fn sky_now(&mut self) -> Epoch {
        Epoch::from_unix_ns(0)
    }

    fn next_contact(&mut self, _: &NodeId) -> Option<Contact> {
        None
    }

    fn log(&mut self, _: Level, _: &str) {
        if let Some(act) = &mut self.on_log {
            act();
        }
    }
}
