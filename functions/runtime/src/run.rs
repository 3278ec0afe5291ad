//! Runs one call: a fresh store and instance, a deadline, a meter; all of it is gone when the call returns. What is kept longer is in
//! [`kept`].

mod kept;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use types::Backend;
use wasmtime::{
    AsContext as _, AsContextMut as _, Engine, PoolConcurrencyLimitError, Store, StoreContextMut,
    UpdateDeadline,
};

use crate::admission::{IN_FLIGHT_MAX, Share};
use crate::bindings::{self, WireRequest};
use crate::carried::{Back, Carried};
use crate::chain::Chain;
use crate::context::{Context, Place};
use crate::epoch::Ticker;
use crate::function::Function;
use crate::host::wire::{cut, from_guest};
use crate::huge;
use crate::lend::{Lent, lend};
use crate::warm::shelf::Shelf;
use crate::wasi::{Seed, Wasi};
use crate::{
    BODY_BYTES_MAX, Budget, CallFault, CallHeader, CallProfile, CallReport, DEADLINE_MAX, Host,
    HostFault, PoolMode, Request, Usage,
};

const MIB: usize = 1024 * 1024;

/// Runs calls.
pub(crate) struct Runner {
    engine: Engine,
    pub(crate) mode: PoolMode,
    ticker: Ticker,
    memory_mib: u32,
    granted_mib: AtomicU32,
    /// Whether the hosts of its calls are in another process.
    pub(crate) is_apart: bool,
}

/// A call to run.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) function: &'a Function,
    pub(crate) header: &'a CallHeader,
    pub(crate) schema_id: &'a str,
    pub(crate) content_type: &'a str,
    pub(crate) body: &'a [u8],
    pub(crate) profile: &'a CallProfile,
    /// Calls around it on this thread.
    pub(crate) depth: u8,
}

/// What is left of a call.
pub(crate) struct Ended {
    pub(crate) report: CallReport,
    /// The host, for whoever lent it.
    pub(crate) host: Lent,
    /// What a called function hands back, if it ran.
    pub(crate) back: Option<Back>,
}

impl Runner {
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn new(
        engine: Engine,
        mode: PoolMode,
        memory_mib: u32,
        is_apart: bool,
    ) -> std::io::Result<Self> {
        let ticker = Ticker::start(engine.clone())?;
        // What cannot be had costs time and nothing else.
        let _slots = huge::ask(&engine, mode).unwrap_or(0);
        Ok(Self { engine, mode, ticker, memory_mib, granted_mib: AtomicU32::new(0), is_apart })
    }

    /// Runs a call of a trigger, or says why not.
    pub(crate) fn call(
        self: &Arc<Self>,
        (function, shelf): (&Function, &Shelf),
        request: &Request,
        profile: &CallProfile,
        host: &mut dyn Host,
    ) -> CallReport {
        let job = Job {
            function,
            header: &request.header,
            schema_id: &request.schema_id,
            content_type: &request.content_type,
            body: &request.body,
            profile,
            depth: 0,
        };
        if let (Some(warm), Some(hooks)) = (&profile.warm, &function.inner.hooks) {
            return self.call_kept((shelf, warm, hooks), job, host);
        }
        lend(host, |host| self.admit(job, Carried::default(), host).report)
    }

    /// Admits a call and runs it, or says why not.
    pub(crate) fn admit(self: &Arc<Self>, job: Job<'_>, carried: Carried, host: Lent) -> Ended {
        match self.let_in(&job) {
            Ok(Admitted { grant, usage, shares: _shares }) => {
                self.run(job, grant, carried, host, usage)
            }
            Err(fault) => Ended { report: self.turned_away(fault), host, back: None },
        }
    }

    /// Takes what a call needs to run; it is given back with the answer.
    fn let_in<'a>(&'a self, job: &Job<'a>) -> Result<Admitted<'a>, CallFault> {
        let Job { function, profile, .. } = job;
        self.check(job)?;
        let grant_mib = profile.limits.linear_memory_mib.min(self.mode.linear_memory_mib_max());
        let place = Share::take(&function.inner.in_flight, 1, IN_FLIGHT_MAX);
        let memory = Share::take(&self.granted_mib, grant_mib, self.memory_mib);
        let shares = place.zip(memory).ok_or(CallFault::Busy)?;
        let cold = function.inner.is_first_call();
        let time = profile.limits.deadline.min(job.header.deadline).min(DEADLINE_MAX);
        let grant = Grant {
            bytes: grant_mib as usize * MIB,
            time,
            budget: profile.limits.budget.min(job.header.budget),
        };
        let usage = Usage { cold, backend: self.backend(), ..Usage::default() };
        Ok(Admitted { grant, usage, shares })
    }

    fn turned_away(&self, fault: CallFault) -> CallReport {
        let usage = Usage { backend: self.backend(), ..Usage::default() };
        CallReport { outcome: Err(fault), usage }
    }

    pub(crate) fn backend(&self) -> Backend {
        match self.mode {
            PoolMode::Pulley => Backend::WasmPulley,
            PoolMode::Pooling { .. } | PoolMode::OnDemand => Backend::WasmCranelift,
        }
    }

    fn check(&self, job: &Job<'_>) -> Result<(), CallFault> {
        if !Engine::same(&self.engine, job.function.inner.pre.engine()) {
            return Err(CallFault::Trap("loaded by another runtime".to_owned()));
        }
        if let Some(other) = job.profile.backend.filter(|wanted| *wanted != self.backend()) {
            return Err(CallFault::NoBackend(other));
        }
        if BODY_BYTES_MAX < job.body.len() {
            return Err(CallFault::TooLarge("the body of the call"));
        }
        Ok(())
    }

    fn run(
        self: &Arc<Self>,
        job: Job<'_>,
        grant: Grant,
        carried: Carried,
        host: Lent,
        usage: Usage,
    ) -> Ended {
        let started = Instant::now();
        let _ticks = self.ticker.run();
        let context = self.context(&job, &grant, carried, host, started);
        let mut store = self.store(context, grant.bytes);
        let instance = job.function.inner.pre.instantiate(&mut store);
        let instantiated = Instant::now();
        let request = to_wire(&job, &grant);
        let answer = instance.and_then(|instance| {
            instance.starbelt_function_handler().call_handle(&mut store, request)
        });
        let ended = Instant::now();
        store.data_mut().print_rest();
        let outcome = outcome(answer, store.data())
            .and_then(|body| take_handed(store.as_context_mut()).map(|()| body));
        let context = store.into_data();
        let usage = usage_of(&context, [started, instantiated, ended], usage);
        let (host, back) = context.into_parts();
        Ended { report: CallReport { outcome, usage }, host, back }
    }

    fn context(
        self: &Arc<Self>,
        job: &Job<'_>,
        grant: &Grant,
        carried: Carried,
        host: Lent,
        started: Instant,
    ) -> Context {
        let place = Place { id: job.header.id, root: job.header.root, hops: job.header.hops };
        let chain = Chain::new(grant.budget, job.depth);
        let (module, id, attempt) = (job.function.inner.module, job.header.id, job.header.attempt);
        let deadline = started + grant.time;
        let wasi = Wasi::new(deadline, Seed { module, id, attempt });
        let bounds = (grant.bytes, deadline);
        Context::new(host, Arc::clone(self), chain, place, (wasi, carried), bounds)
    }

    fn store(&self, context: Context, granted_bytes: usize) -> Store<Context> {
        let mut store = Store::new(&self.engine, context);
        store.limiter(|context| &mut context.limiter);
        arm(&mut store, granted_bytes);
        store.epoch_deadline_callback(|mut store| {
            let context = store.data_mut();
            if context.deadline <= Instant::now() {
                context.stopped = Some(CallFault::Deadline);
            } else if context.chain.is_spent() {
                context.stopped = Some(CallFault::Budget);
            } else {
                return Ok(UpdateDeadline::Continue(1));
            }
            Ok(UpdateDeadline::Interrupt)
        });
        store
    }
}

/// Makes a store ready for a guest to run.
fn arm(store: &mut Store<Context>, granted_bytes: usize) {
    // No honest guest hands over more in one call of the host than its memory holds.
    store.set_hostcall_fuel(granted_bytes);
    // Looking at the clocks at every tick costs a microsecond in a thousand, and late ticks do not add up.
    store.set_epoch_deadline(1);
}

/// What a call cost that began, had its instance, and ended then.
fn usage_of(
    context: &Context,
    [started, instantiated, ended]: [Instant; 3],
    usage: Usage,
) -> Usage {
    Usage {
        instantiate_ns: ns(instantiated - started),
        run_ns: ns(ended - instantiated),
        peak_memory_bytes: context.limiter.peak_bytes(),
        state_ops: context.state_ops,
        calls: context.chain.calls_made(),
        hand_over: context.hand_over,
        log_cut: context.log.was_cut(),
        cpu_ns: ns(context.chain.cpu_here()),
        cpu_elsewhere_ns: ns(context.chain.cpu_elsewhere()),
        ..usage
    }
}

/// A call that may run.
struct Admitted<'a> {
    grant: Grant,
    usage: Usage,
    /// Of the calls of its function, and of the memory of all.
    shares: (Share<'a>, Share<'a>),
}

/// What a call gets.
pub(crate) struct Grant {
    pub(crate) bytes: usize,
    pub(crate) time: Duration,
    pub(crate) budget: Budget,
}

pub(crate) fn to_wire<'a>(job: &Job<'a>, grant: &Grant) -> WireRequest<'a> {
    let header = job.header;
    let cpu_us = u64::try_from(grant.budget.cpu.as_micros()).unwrap_or(u64::MAX);
    WireRequest {
        id: header.id,
        root: header.root,
        hops: header.hops,
        attempt: header.attempt,
        source: &header.source,
        deadline_ms: u32::try_from(grant.time.as_millis()).unwrap_or(u32::MAX),
        budget: bindings::types::Budget { calls: grant.budget.calls, cpu_us },
        schema_id: job.schema_id,
        content_type: job.content_type,
        body: job.body,
    }
}

/// Gives the objects that lie in the guest's memory to whoever takes them.
pub(crate) fn take_handed(mut store: StoreContextMut<'_, Context>) -> Result<(), CallFault> {
    if store.data().carried.handed.is_empty() {
        return Ok(());
    }
    let handed = std::mem::take(&mut store.data_mut().carried.handed);
    if let Some(mut back) = store.data_mut().carried.back.take() {
        for (key, list) in handed {
            back.put(key, list.as_le_slice(store.as_context()).to_vec());
        }
        store.data_mut().carried.back = Some(back);
        return Ok(());
    }
    let mut host = store.data_mut().take_host();
    let taken = handed.iter().try_for_each(|(key, list)| {
        host.get().output_take(key, list.as_le_slice(store.as_context()))
    });
    store.data_mut().give_host(host);
    taken.map_err(|fault| match fault {
        HostFault::TooLarge => CallFault::TooLarge("an object of the call"),
        other => CallFault::Trap(format!("an object was not taken: {other}")),
    })
}

pub(crate) fn outcome(
    answer: wasmtime::Result<Result<Vec<u8>, bindings::types::Fault>>,
    context: &Context,
) -> Result<Vec<u8>, CallFault> {
    match answer {
        Ok(Ok(body)) if BODY_BYTES_MAX < body.len() => {
            Err(CallFault::TooLarge("the answer of the function"))
        }
        Ok(Ok(body)) => Ok(body),
        Ok(Err(fault)) => Err(CallFault::Guest(from_guest(fault))),
        Err(error) => Err(fault_of(&error, context)),
    }
}

/// Why a guest has not come to its end.
fn fault_of(error: &wasmtime::Error, context: &Context) -> CallFault {
    match &context.stopped {
        Some(stopped) => stopped.clone(),
        None if error.is::<PoolConcurrencyLimitError>() => CallFault::Busy,
        // A guest that is refused memory gives up in its own way, most by `unreachable`.
        None if context.limiter.refused() => CallFault::MemoryLimit,
        // The root says what happened; what is around it says where, in lines of its own.
        None => CallFault::Trap(cut(error.root_cause().to_string())),
    }
}

pub(crate) fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
