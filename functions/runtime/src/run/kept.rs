//! Calls of instances that are kept: one of an earlier call of the task, or a new one that takes up what the last one remembered.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use wasmtime::{AsContextMut as _, Error, Store};

use super::{Admitted, Grant, Job, Runner, arm, fault_of, outcome, take_handed, to_wire, usage_of};
use crate::bindings;
use crate::carried::Carried;
use crate::chain::Chain;
use crate::context::{Context, Place};
use crate::function::Function;
use crate::lend::{Lent, lend};
use crate::warm::hooks::HookPlaces;
use crate::warm::shelf::{Kept, Owner, Ready, Shelf, Turn};
use crate::warm::{HOOK_TIME_MAX, Instance, MEMORY_BYTES_MAX, Warm};
use crate::wasi::{Seed, Wasi};
use crate::{Budget, CallFault, CallReport, Host, Level, Usage};

const MIB: usize = 1024 * 1024;

/// A store, and the instance in it if there is one.
type Made = (Store<Context>, wasmtime::Result<Ready>);

impl Runner {
    /// Runs a call in the instance of its task. Whatever stops it ends the instance, too; one that answers waits for the next call.
    pub(super) fn call_kept(
        self: &Arc<Self>,
        (shelf, warm, hooks): (&Shelf, &Warm, &HookPlaces),
        job: Job<'_>,
        host: &mut dyn Host,
    ) -> CallReport {
        // Calls of a task come one after the other; one that does not finds no instance, and must not make a second one.
        let Some(mut turn) = shelf.turn(&job.profile.tenant, &warm.task) else {
            return self.turned_away(CallFault::Busy);
        };
        let rested = turn.take();
        if let Some(kept) = &rested {
            // What it holds is part of what the call is granted.
            self.granted_mib.fetch_sub(kept.mib, Ordering::AcqRel);
        }
        let admitted = match self.let_in(&job) {
            Ok(admitted) => admitted,
            Err(fault) => {
                if let Some(kept) = rested {
                    self.granted_mib.fetch_add(kept.mib, Ordering::AcqRel);
                    self.put_back(turn, kept);
                }
                return self.turned_away(fault);
            }
        };
        // Of another version: whoever wanted to keep what it remembers has asked for it by now.
        let rested = rested.filter(|kept| kept.module == job.function.inner.module);
        let (mut report, kept) =
            lend(host, |host| self.run_kept(job, admitted, host, (rested, hooks)));
        let mut instance = Instance { calls: 0, held_bytes: 0, rests: false };
        if let Some(mut kept) = kept {
            let held = kept.store.data().limiter.held_bytes();
            kept.mib = u32::try_from(held.div_ceil(MIB)).unwrap_or(u32::MAX);
            self.granted_mib.fetch_add(kept.mib, Ordering::AcqRel);
            instance = Instance { calls: kept.calls, held_bytes: held as u64, rests: true };
            instance.rests = self.put_back(turn, kept);
        } else if let Some(before) = report.usage.instance {
            instance.calls = before.calls;
        }
        report.usage.instance = Some(instance);
        report
    }

    /// Lets an instance wait; says whether there was a place for it.
    fn put_back(&self, turn: Turn<'_>, kept: Box<Kept>) -> bool {
        let mib = kept.mib;
        let rests = turn.put(kept, self.mode.resting_max() as usize);
        if !rests {
            self.granted_mib.fetch_sub(mib, Ordering::AcqRel);
        }
        rests
    }

    fn run_kept(
        self: &Arc<Self>,
        job: Job<'_>,
        Admitted { grant, usage, shares: _shares }: Admitted<'_>,
        host: Lent,
        (rested, hooks): (Option<Box<Kept>>, &HookPlaces),
    ) -> (CallReport, Option<Box<Kept>>) {
        let started = Instant::now();
        let _ticks = self.ticker.run();
        let mut context = self.context(&job, &grant, Carried::default(), host, started);
        // Nothing in a store goes before the store does: one that is kept would fill up with what each of its calls has called.
        context.fused.close();
        let (mut kept, instantiated) = match rested {
            Some(mut kept) => {
                kept.store.data_mut().renew(context);
                arm(&mut kept.store, grant.bytes);
                // Nothing was made.
                (kept, started)
            }
            None => {
                let (store, ready) = self.make(job.function, hooks, context, &grant);
                let now = Instant::now();
                match ready {
                    Ok(ready) => {
                        let module = job.function.inner.module;
                        (Box::new(Kept { store, ready, module, calls: 0, mib: 0 }), now)
                    }
                    Err(error) => return (not_made(&store, &error, [started, now], usage), None),
                }
            }
        };
        kept.calls = kept.calls.saturating_add(1);
        let Kept { store, ready, .. } = &mut *kept;
        let handler = ready.function.starbelt_function_handler();
        let answer = handler.call_handle(&mut *store, to_wire(&job, &grant));
        let ended = Instant::now();
        store.data_mut().print_rest();
        let is_whole = answer.is_ok();
        let outcome = outcome(answer, store.data())
            .and_then(|body| take_handed(store.as_context_mut()).map(|()| body));
        let usage = usage_of(store.data(), [started, instantiated, ended], usage);
        let is_sound = is_whole && matches!(outcome, Ok(_) | Err(CallFault::Guest(_)));
        let instance = Some(Instance { calls: kept.calls, held_bytes: 0, rests: false });
        (CallReport { outcome, usage: Usage { instance, ..usage } }, is_sound.then_some(kept))
    }

    /// Makes an instance that takes up what the last one remembered. If it cannot, it is told so in the log and starts without:
    /// else no call of the task would ever come through.
    fn make(
        &self,
        function: &Function,
        hooks: &HookPlaces,
        mut context: Context,
        grant: &Grant,
    ) -> Made {
        let memory = match context.host().remembered() {
            Ok(memory) => memory,
            Err(fault) => {
                let error = Error::msg(format!("what it remembered cannot be read: {fault}"));
                return (self.store(context, grant.bytes), Err(error));
            }
        };
        let mut store = self.store(context, grant.bytes);
        let ready = new_instance(&mut store, function, hooks);
        let (Ok(resuming), Some(memory)) = (&ready, memory) else { return (store, ready) };
        let Err(error) = resume(&mut store, resuming, memory) else { return (store, ready) };
        drop(ready);
        let fault = fault_of(&error, store.data());
        let mut context = store.into_data();
        let line = format!("what it remembered cannot be taken up, it starts without: {fault}");
        context.host().log(Level::Warn, &line);
        context.stopped = None;
        context.begin_anew(grant.bytes);
        let mut store = self.store(context, grant.bytes);
        let ready = new_instance(&mut store, function, hooks);
        (store, ready)
    }

    /// Ends the instance that waits for the next call of a task: its report has what it wants to be remembered.
    pub(crate) fn suspend(
        self: &Arc<Self>,
        shelf: &Shelf,
        owner: &Owner,
        host: &mut dyn Host,
    ) -> Option<CallReport> {
        let kept = shelf.turn(&owner.tenant, &owner.task)?.take()?;
        let mib = kept.mib;
        let report = lend(host, |host| self.suspend_kept(*kept, host));
        self.granted_mib.fetch_sub(mib, Ordering::AcqRel);
        Some(report)
    }

    /// Ends it without asking.
    pub(crate) fn forget(&self, shelf: &Shelf, owner: &Owner) {
        let turn = shelf.turn(&owner.tenant, &owner.task);
        if let Some(kept) = turn.and_then(|mut turn| turn.take()) {
            self.granted_mib.fetch_sub(kept.mib, Ordering::AcqRel);
        }
    }

    fn suspend_kept(self: &Arc<Self>, kept: Kept, host: Lent) -> CallReport {
        let Kept { mut store, ready, module, mib, .. } = kept;
        let started = Instant::now();
        let _ticks = self.ticker.run();
        let deadline = started + HOOK_TIME_MAX;
        let chain = Chain::new(Budget { calls: 0, cpu: HOOK_TIME_MAX }, 0);
        let place = Place { id: 0, root: 0, hops: 0 };
        let wasi = Wasi::new(deadline, Seed { module, id: 0, attempt: 0 });
        // It can use what it holds, and room for what it says.
        let bytes = (mib as usize * MIB).saturating_add(4 * MEMORY_BYTES_MAX);
        let carried = Carried::default();
        let next =
            Context::new(host, Arc::clone(self), chain, place, (wasi, carried), (bytes, deadline));
        store.data_mut().renew(next);
        arm(&mut store, 2 * MEMORY_BYTES_MAX);
        let said = ready.hooks.suspend.call(&mut store, ());
        let ended = Instant::now();
        store.data_mut().print_rest();
        let outcome = match said {
            Ok((memory,)) if MEMORY_BYTES_MAX < memory.len() => {
                let bytes = memory.len();
                let rule =
                    format!("it would remember {bytes} bytes, at most {MEMORY_BYTES_MAX} are kept");
                Err(CallFault::Trap(rule))
            }
            Ok((memory,)) => Ok(memory),
            Err(error) => Err(fault_of(&error, store.data())),
        };
        let usage = Usage { backend: self.backend(), ..Usage::default() };
        let usage = usage_of(store.data(), [started, started, ended], usage);
        CallReport { outcome, usage }
    }
}

/// The report of a call whose instance came to nothing.
fn not_made(
    store: &Store<Context>,
    error: &Error,
    [started, ended]: [Instant; 2],
    usage: Usage,
) -> CallReport {
    let outcome = Err(fault_of(error, store.data()));
    let usage = usage_of(store.data(), [started, ended, ended], usage);
    let instance = Some(Instance { calls: 1, held_bytes: 0, rests: false });
    CallReport { outcome, usage: Usage { instance, ..usage } }
}

fn new_instance(
    store: &mut Store<Context>,
    function: &Function,
    hooks: &HookPlaces,
) -> wasmtime::Result<Ready> {
    let instance = function.inner.pre.instance_pre().instantiate(&mut *store)?;
    let function = bindings::Function::new(&mut *store, &instance)?;
    Ok(Ready { function, hooks: hooks.find(store, &instance)? })
}

/// Gives an instance what the last one remembered, within the time of its call.
fn resume(store: &mut Store<Context>, ready: &Ready, memory: Vec<u8>) -> wasmtime::Result<()> {
    let deadline = store.data().deadline;
    store.data_mut().deadline = deadline.min(Instant::now() + HOOK_TIME_MAX);
    let resumed = ready.hooks.resume.call(&mut *store, (memory,));
    store.data_mut().deadline = deadline;
    resumed
}
