//! Our runtime, as an agent uses it: engines with caches, one call, a host that serves nothing.

use std::path::Path;
use std::time::Duration;

use accel::ScanLimits;
use anyhow::{Result, anyhow};
use runtime::{
    Budget, CacheConfig, CallHeader, CallLimits, CallReport, Contact, DeviceSecret, Execution,
    Function, Host, HostFault, InputInfo, Level, ModuleHash, NodeInfo, Request, Runtime,
    RuntimeConfig,
};
use sha2::{Digest as _, Sha256};
use types::{Epoch, NodeId, NodeKind, StateKey, TaskId};

/// Limits of all calls: the most that a manifest can ask for, so that the largest inputs fit.
const LIMITS: CallLimits =
    CallLimits { linear_memory_mib: 256, deadline: Duration::from_secs(30), budget: Budget::USUAL };

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
    Ok(report(runtime, function, body, LIMITS, &mut BenchHost::default()).outcome?)
}

pub(crate) fn report(
    runtime: &Runtime,
    function: &Function,
    body: Vec<u8>,
    limits: CallLimits,
    host: &mut dyn Host,
) -> CallReport {
    runtime.call(function, request(body), limits, host)
}

/// The record of one call with the largest limits.
pub(crate) fn usage(runtime: &Runtime, function: &Function, body: Vec<u8>) -> runtime::Usage {
    report(runtime, function, body, LIMITS, &mut BenchHost::default()).usage
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

/// Serves nothing; does what the bench wants when a guest logs.
#[derive(Default)]
pub(crate) struct BenchHost<'a> {
    pub(crate) on_log: Option<&'a mut (dyn FnMut() + Send)>,
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
        _: u64,
        _: u32,
    ) -> Result<Vec<u8>, HostFault> {
        Err(HostFault::NotFound)
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
