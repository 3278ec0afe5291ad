//! Runs functions in runners: unprivileged child processes that hold no file, no socket but the one to this process, and no secret.
//!
//! ```text
//! agent ──control──▶ runner          one for all tenants, or one for each
//!   │  lane 1 ◀─────▶ thread 1       a call: request, questions to the host, report
//!   │  lane 2 ◀─────▶ thread 2
//! ```
//!
//! A lane is a socket pair with packets; what does not fit into a packet goes along as sealed memory ([`frame`]). Everything that
//! can be said is in [`message`]: another host call is a variant in each of its two enums, a line in [`asker`] and one in [`host`].

pub(crate) mod asker;
pub(crate) mod cgroup;
pub(crate) mod client;
pub(crate) mod frame;
pub(crate) mod host;
pub(crate) mod life;
pub(crate) mod message;
pub(crate) mod server;
pub(crate) mod slot;

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use accel::{ModuleFacts, ScanLimits};
use sha2::{Digest as _, Sha256};
use types::{Backend, TenantId};

use self::slot::Slot;
use crate::cache::{CodeCache, ModuleHash};
use crate::compile::compiler::Compiler;
use crate::config::RunnerProgram;
use crate::function::LoadError;
use crate::jail::JailReport;
use crate::pool::{Memory, PoolMode};
use crate::warm::shelf::Owner;
use crate::{
    BODY_BYTES_MAX, CallFault, CallProfile, CallReport, DEADLINE_MAX, Host, Request, Usage, memfd,
};

/// A function that runners can load. They get its code from here, so that they need no file.
#[derive(Debug)]
pub(crate) struct RemoteFunction {
    pub(crate) module: ModuleHash,
    pub(crate) facts: ModuleFacts,
    pub(crate) compiled_in: Duration,
    /// Its code, as the cache vouched for it or a compile child made it; sealed, so that it is still that when it is mapped.
    pub(crate) code: File,
}

/// Which runner a call goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// The only one.
    One,
    /// That of its tenant.
    Tenant,
}

/// The runners, and where their code comes from.
pub(crate) struct Runners {
    program: RunnerProgram,
    sharing: Sharing,
    mode: PoolMode,
    /// What each makes its engine for, which is what code is compiled for, and with which memory.
    shape: (PoolMode, Memory),
    scan: ScanLimits,
    compiler: Compiler,
    cache: Option<CodeCache>,
    slots: Mutex<BTreeMap<Option<TenantId>, Arc<Slot>>>,
    one_at_a_time: Mutex<()>,
}

impl Runners {
    pub(crate) fn new(
        program: RunnerProgram,
        (sharing, memory): (Sharing, Memory),
        (mode, shape): (PoolMode, PoolMode),
        (scan, compiler, cache): (ScanLimits, Compiler, Option<CodeCache>),
    ) -> Self {
        let (slots, one_at_a_time, shape) = (Mutex::default(), Mutex::default(), (shape, memory));
        Self { program, sharing, mode, shape, scan, compiler, cache, slots, one_at_a_time }
    }

    pub(crate) fn mode(&self) -> PoolMode {
        self.mode
    }

    /// A function from the cache.
    pub(crate) fn load_cached(&self, module: &ModuleHash) -> Option<RemoteFunction> {
        let started = Instant::now();
        let (bytes, facts) = self.cache.as_ref()?.verified(module)?;
        let code = memfd::sealed("starbelt-code", &[&bytes]).ok()?;
        Some(RemoteFunction { module: *module, facts, compiled_in: started.elapsed(), code })
    }

    /// Pre-scan, then compile and check in a child.
    pub(crate) fn load(&self, wasm: &[u8]) -> Result<RemoteFunction, LoadError> {
        let facts = accel::inspect(wasm, &self.scan)?;
        let module: ModuleHash = Sha256::digest(wasm).into();
        let _turn = self.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(function) = self.load_cached(&module) {
            return Ok(function);
        }
        let started = Instant::now();
        let code = self.compiler.code(&self.scan, &module, wasm)?;
        let compiled_in = started.elapsed();
        if let Some(cache) = &self.cache {
            // Without room on the disk the next start compiles again, which is no reason to refuse this one.
            drop(cache.put(&module, &facts, &code.bytes));
        }
        Ok(RemoteFunction { module, facts, compiled_in, code: code.file })
    }

    /// Runs a call in the runner that it belongs to, which is started if it is not there.
    pub(crate) fn call(
        &self,
        function: &RemoteFunction,
        request: Request,
        profile: &CallProfile,
        host: &mut dyn Host,
    ) -> CallReport {
        let failed = |fault| CallReport { outcome: Err(fault), usage: self.usage() };
        if BODY_BYTES_MAX < request.body.len() {
            return failed(CallFault::TooLarge("the body of the call"));
        }
        let time = profile.limits.deadline.min(request.header.deadline).min(DEADLINE_MAX);
        let Some(slot) = self.slot(&profile.tenant) else { return failed(CallFault::Busy) };
        let live = match slot.live(&self.program, self.shape) {
            Ok(live) => live,
            Err(fault) => return failed(fault),
        };
        match live.call(function, request, profile, time, host) {
            Ok(report) => {
                slot.worked();
                if let (Some(warm), Some(instance)) = (&profile.warm, report.usage.instance) {
                    let owner = Owner { tenant: profile.tenant.clone(), task: warm.task.clone() };
                    slot.note(owner, instance.rests);
                }
                report
            }
            Err(fault) => failed(fault),
        }
    }

    /// Has a function at hand in the runner of a tenant, which is started if it is not there. Where there is no room for one more it
    /// leaves the others alone: that is worth a call, not the hope of one.
    pub(crate) fn prepare(
        &self,
        function: &RemoteFunction,
        tenant: &TenantId,
    ) -> Result<(), CallFault> {
        if !self.has_room(tenant) {
            return Ok(());
        }
        let slot = self.slot(tenant).ok_or(CallFault::Busy)?;
        slot.live(&self.program, self.shape)?.prepare(function)
    }

    fn has_room(&self, tenant: &TenantId) -> bool {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.contains_key(&self.key(tenant)) || slots.len() < self.program.runners_max
    }

    /// Ends the instance of a task in its runner, if that runs; with a host it is asked what it wants to be remembered.
    pub(crate) fn end(&self, owner: Owner, host: Option<&mut dyn Host>) -> Option<CallReport> {
        let key = self.key(&owner.tenant);
        let slot = self.slots.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()?;
        let live = slot.running()?;
        slot.note(owner.clone(), false);
        live.end(owner, host)
            .unwrap_or_else(|fault| Some(CallReport { outcome: Err(fault), usage: self.usage() }))
    }

    /// What jail the runner of a tenant is in, which is started if it is not there.
    pub(crate) fn jail(&self, tenant: &TenantId) -> Result<JailReport, CallFault> {
        let slot = self.slot(tenant).ok_or(CallFault::Busy)?;
        Ok(slot.live(&self.program, self.shape)?.jail().clone())
    }

    /// The process of a tenant's runner, if it runs.
    pub(crate) fn process(&self, tenant: &TenantId) -> Option<u32> {
        let key = self.key(tenant);
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.get(&key)?.process()
    }

    /// The place of a tenant's runner. Where there are as many as there may be, the one that has been idle for longest makes
    /// room; `None` if none is idle.
    fn slot(&self, tenant: &TenantId) -> Option<Arc<Slot>> {
        let key = self.key(tenant);
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&key) {
            return Some(Arc::clone(slot));
        }
        let mut gone = None;
        if self.program.runners_max <= slots.len() {
            // Whoever has a call there, or is about to, holds it too.
            let idle = slots.iter().filter(|(_, slot)| Arc::strong_count(slot) == 1);
            // Instances that wait in it end with a runner.
            let oldest = idle.min_by_key(|(_, slot)| (slot.has_instances(), slot.used()));
            let oldest = oldest.map(|(key, _)| key.clone());
            gone = slots.remove(&oldest?);
        }
        let slot = Arc::new(Slot::new(key.as_ref().map_or("all", |tenant| tenant.as_str())));
        slots.insert(key, Arc::clone(&slot));
        drop(slots);
        // Its process is waited for, which others need not do.
        drop(gone);
        Some(slot)
    }

    fn key(&self, tenant: &TenantId) -> Option<TenantId> {
        match self.sharing {
            Sharing::One => None,
            Sharing::Tenant => Some(tenant.clone()),
        }
    }

    fn usage(&self) -> Usage {
        let backend = match self.mode {
            PoolMode::Pulley => Backend::WasmPulley,
            PoolMode::Pooling { .. } | PoolMode::OnDemand => Backend::WasmCranelift,
        };
        Usage { backend, ..Usage::default() }
    }
}
