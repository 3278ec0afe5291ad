//! Runs one call: a fresh store and instance, a deadline, a meter; all of it is gone when the call returns.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use types::Backend;
use wasmtime::{Engine, PoolConcurrencyLimitError, Store, UpdateDeadline};

use crate::admission::{IN_FLIGHT_MAX, Share};
use crate::bindings::{self, WireRequest};
use crate::context::Context;
use crate::epoch::Ticker;
use crate::function::Function;
use crate::host::wire::{cut, from_guest};
use crate::lend::{Lent, lend};
use crate::{
    BODY_BYTES_MAX, CallFault, CallProfile, CallReport, DEADLINE_MAX, Host, PoolMode, Request,
    Usage,
};

const MIB: usize = 1024 * 1024;

/// Runs calls.
pub(crate) struct Runner {
    engine: Engine,
    pub(crate) mode: PoolMode,
    ticker: Ticker,
    memory_mib: u32,
    granted_mib: AtomicU32,
}

impl Runner {
    pub(crate) fn new(engine: Engine, mode: PoolMode, memory_mib: u32) -> std::io::Result<Self> {
        let ticker = Ticker::start(engine.clone())?;
        Ok(Self { engine, mode, ticker, memory_mib, granted_mib: AtomicU32::new(0) })
    }

    /// Admits the call and runs it, or says why not.
    pub(crate) fn call(
        &self,
        function: &Function,
        request: Request,
        profile: &CallProfile,
        host: &mut dyn Host,
    ) -> CallReport {
        let limits = profile.limits;
        let backend = match self.mode {
            PoolMode::Pulley => Backend::WasmPulley,
            PoolMode::Pooling { .. } | PoolMode::OnDemand => Backend::WasmCranelift,
        };
        let usage = Usage { backend, ..Usage::default() };
        let turned_away = |fault| CallReport { outcome: Err(fault), usage };
        if !Engine::same(&self.engine, function.inner.pre.engine()) {
            return turned_away(CallFault::Trap("loaded by another runtime".to_owned()));
        }
        if let Some(other) = profile.backend.filter(|wanted| *wanted != backend) {
            return turned_away(CallFault::NoBackend(other));
        }
        if BODY_BYTES_MAX < request.body.len() {
            return turned_away(CallFault::TooLarge("the body of the call"));
        }
        let grant_mib = limits.linear_memory_mib.min(self.mode.linear_memory_mib_max());
        let place = Share::take(&function.inner.in_flight, 1, IN_FLIGHT_MAX);
        let memory = Share::take(&self.granted_mib, grant_mib, self.memory_mib);
        if place.is_none() || memory.is_none() {
            return turned_away(CallFault::Busy);
        }
        let cold = !function.inner.called.swap(true, Ordering::AcqRel);
        let time = limits.deadline.min(request.deadline).min(DEADLINE_MAX);
        let granted_bytes = grant_mib as usize * MIB;
        lend(host, |host| {
            self.run(
                function,
                &to_wire(request, time),
                Grant { granted_bytes, time },
                host,
                Usage { cold, ..usage },
            )
        })
    }

    fn run(
        &self,
        function: &Function,
        request: &WireRequest,
        grant: Grant,
        host: Lent,
        usage: Usage,
    ) -> CallReport {
        let cpu_before = thread_cpu_time();
        let started = Instant::now();
        let _ticks = self.ticker.run();
        let mut store = self.store(host, grant.granted_bytes, started + grant.time);
        let instance = function.inner.pre.instantiate(&mut store);
        let instantiated = Instant::now();
        let answer = instance.and_then(|instance| {
            instance.starbelt_function_handler().call_handle(&mut store, request)
        });
        let ended = Instant::now();
        let context = store.data();
        let usage = Usage {
            instantiate_ns: ns(instantiated - started),
            run_ns: ns(ended - instantiated),
            peak_memory_bytes: context.limiter.peak_bytes(),
            state_ops: context.state_ops,
            log_cut: context.log.was_cut(),
            ..usage
        };
        let outcome = outcome(answer, context);
        drop(store);
        let cpu_ns = ns(thread_cpu_time().saturating_sub(cpu_before));
        CallReport { outcome, usage: Usage { cpu_ns, ..usage } }
    }

    fn store(&self, host: Lent, granted_bytes: usize, deadline: Instant) -> Store<Context> {
        let mut store = Store::new(&self.engine, Context::new(host, granted_bytes));
        store.limiter(|context| &mut context.limiter);
        // No honest guest hands over more in one call of the host than its memory holds.
        store.set_hostcall_fuel(granted_bytes);
        // Looking at the clock at every tick costs a microsecond in a thousand, and late ticks do not add up.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |mut store| {
            if Instant::now() < deadline {
                return Ok(UpdateDeadline::Continue(1));
            }
            store.data_mut().stopped = true;
            Ok(UpdateDeadline::Interrupt)
        });
        store
    }
}

/// What a call gets.
struct Grant {
    granted_bytes: usize,
    time: Duration,
}

fn to_wire(request: Request, time: Duration) -> WireRequest {
    WireRequest {
        run: request.run,
        root: request.root,
        hops: request.hops,
        attempt: request.attempt,
        source: request.source,
        deadline_ms: u32::try_from(time.as_millis()).unwrap_or(u32::MAX),
        schema_id: request.schema_id,
        content_type: request.content_type,
        body: request.body,
    }
}

fn outcome(
    answer: wasmtime::Result<Result<Vec<u8>, bindings::types::Fault>>,
    context: &Context,
) -> Result<Vec<u8>, CallFault> {
    match answer {
        Ok(Ok(body)) if BODY_BYTES_MAX < body.len() => {
            Err(CallFault::TooLarge("the answer of the function"))
        }
        Ok(Ok(body)) => Ok(body),
        Ok(Err(fault)) => Err(CallFault::Guest(from_guest(fault))),
        Err(_) if context.stopped => Err(CallFault::Deadline),
        Err(error) if error.is::<PoolConcurrencyLimitError>() => Err(CallFault::Busy),
        // A guest that is refused memory gives up in its own way, most by `unreachable`.
        Err(_) if context.limiter.refused() => Err(CallFault::MemoryLimit),
        // The root says what happened; what is around it says where, in lines of its own.
        Err(error) => Err(CallFault::Trap(cut(error.root_cause().to_string()))),
    }
}

/// Processor time that this thread has used.
fn thread_cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
