//! Calls within one store (hand-over mode M0): the called function is instantiated beside its caller and kept there for the next
//! call, so that a call costs one copy of what it brings and nothing else: no store, no place among calls, no memory of its own.
//!
//! What is given up is in decision 0015: both share the caller's grant of memory, the stack of one guest and what holds a store
//! together; an instance remembers the calls before it within the same call of its caller. Each still sees its own linear memory
//! only, has its own grants, log and deadline, and what it writes is taken back when it fails.

use std::mem::swap;
use std::time::Instant;

use wasmtime::{AsContextMut as _, Engine, StoreContextMut};

use crate::bindings;
use crate::cache::ModuleHash;
use crate::carried::{Back, Carried};
use crate::chain::Chain;
use crate::context::{Context, Place};
use crate::function::Function;
use crate::limits::FUSED_MAX;
use crate::log::LogBudget;
use crate::run::{Grant, Job, ns, outcome, take_handed, to_wire};
use crate::wasi::{Seed, Wasi};
use crate::{CallFault, CallReport, DEADLINE_MAX, HandOver, Usage};

/// The called functions in the store of one call.
#[derive(Default)]
pub(crate) struct Fused {
    /// Those that are not being called.
    idle: Vec<(ModuleHash, bindings::Function, Wasi)>,
    made: usize,
    /// Nothing more is called here. The engine lets nothing be entered in a store in which something has trapped.
    is_over: bool,
}

impl Fused {
    /// Whether a function can be called in this store.
    pub(crate) fn takes(&self, engine: &Engine, function: &Function) -> bool {
        let is_here = self.idle.iter().any(|(module, ..)| *module == function.inner.module);
        let is_alike = Engine::same(engine, function.inner.pre.engine());
        is_alike && !self.is_over && (is_here || self.made < FUSED_MAX)
    }

    /// Has no function called in this store from now on.
    pub(crate) fn close(&mut self) {
        self.is_over = true;
    }

    fn take(&mut self, module: &ModuleHash) -> Option<(bindings::Function, Wasi)> {
        let at = self.idle.iter().position(|(known, ..)| known == module)?;
        let (_, instance, wasi) = self.idle.swap_remove(at);
        Some((instance, wasi))
    }
}

/// Calls a function in the store of its caller, whose host has found it already. What `job` and `carried` borrow from the memory
/// of the caller stays as it is: that one waits.
pub(crate) fn call(
    store: &mut StoreContextMut<'_, Context>,
    job: Job<'_>,
    carried: Carried,
) -> (CallReport, Option<Back>) {
    let started = Instant::now();
    let (module, header) = (job.function.inner.module, job.header);
    let cold = job.function.inner.is_first_call();
    let limits = job.profile.limits;
    let grant = Grant {
        bytes: 0,
        time: limits.deadline.min(header.deadline).min(DEADLINE_MAX),
        budget: limits.budget.min(header.budget),
    };
    let place = Place { id: header.id, root: header.root, hops: header.hops };
    let deadline = started + grant.time;
    let (instance, wasi) = store.data_mut().fused.take(&module).unzip();
    let wasi = match wasi {
        Some(wasi) => wasi.until(deadline),
        None => Wasi::new(deadline, Seed { module, id: header.id, attempt: header.attempt }),
    };
    let chain = Chain::new(grant.budget, job.depth);
    let mut own = Own::new(chain, place, (wasi, carried), deadline);
    let refused_before = store.data_mut().limiter.forget_refusal();
    store.data_mut().exchange(&mut own);
    let instance = match instance {
        Some(instance) => Ok(instance),
        None => {
            store.data_mut().fused.made += 1;
            job.function.inner.pre.instantiate(store.as_context_mut())
        }
    };
    let instantiated = Instant::now();
    let called = instance.and_then(|instance| {
        let request = to_wire(&job, &grant);
        let answer =
            instance.starbelt_function_handler().call_handle(store.as_context_mut(), request);
        answer.map(|answer| (instance, answer))
    });
    let ended = Instant::now();
    store.data_mut().print_rest();
    let (instance, answer) = match called {
        Ok((instance, answer)) => (Some(instance), Ok(answer)),
        Err(error) => (None, Err(error)),
    };
    let outcome = outcome(answer, store.data())
        .and_then(|body| take_handed(store.as_context_mut()).map(|()| body));
    let context = store.data_mut();
    context.exchange(&mut own);
    let usage = Usage {
        instantiate_ns: ns(instantiated - started),
        run_ns: ns(ended - instantiated),
        peak_memory_bytes: context.limiter.peak_bytes(),
        backend: context.runner.backend(),
        cold,
        ..own.usage()
    };
    context.limiter.remember_refusal(refused_before);
    match instance {
        Some(instance) => context.fused.idle.push((module, instance, own.wasi)),
        None => context.fused.is_over = true,
    }
    (CallReport { outcome, usage }, own.carried.back)
}

/// What each of the functions in one store has for itself.
struct Own {
    log: LogBudget,
    emitted: u32,
    state_ops: u32,
    hand_over: Option<HandOver>,
    stopped: Option<CallFault>,
    deadline: Instant,
    place: Place,
    chain: Chain,
    wasi: Wasi,
    carried: Carried,
}

impl Own {
    fn new(
        chain: Chain,
        place: Place,
        (wasi, carried): (Wasi, Carried),
        deadline: Instant,
    ) -> Self {
        Self {
            log: LogBudget::new(),
            emitted: 0,
            state_ops: 0,
            hand_over: None,
            stopped: None,
            deadline,
            place,
            chain,
            wasi,
            carried,
        }
    }

    /// What it used by itself, after it has ended.
    fn usage(&self) -> Usage {
        Usage {
            state_ops: self.state_ops,
            calls: self.chain.calls_made(),
            hand_over: self.hand_over,
            log_cut: self.log.was_cut(),
            cpu_ns: ns(self.chain.cpu_here()),
            cpu_elsewhere_ns: ns(self.chain.cpu_elsewhere()),
            ..Usage::default()
        }
    }
}

impl Context {
    /// The called function's own in place of the caller's, and back again.
    fn exchange(&mut self, other: &mut Own) {
        swap(&mut self.log, &mut other.log);
        swap(&mut self.emitted, &mut other.emitted);
        swap(&mut self.state_ops, &mut other.state_ops);
        swap(&mut self.hand_over, &mut other.hand_over);
        swap(&mut self.stopped, &mut other.stopped);
        swap(&mut self.deadline, &mut other.deadline);
        swap(&mut self.place, &mut other.place);
        swap(&mut self.chain, &mut other.chain);
        swap(&mut self.wasi, &mut other.wasi);
        swap(&mut self.carried, &mut other.carried);
    }
}
