//! Guests that do not behave: when they are stopped, and what their neighbours notice.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use runtime::{Budget, CallFault, CallLimits, Execution, Function, Runtime};

use crate::guests::{Contract, memory_with_data, touch};
use crate::measure::{Side, in_turns, nanos};
use crate::row::Row;
use crate::stage::{self, BenchHost};

const RUN: Duration = Duration::from_millis(500);
/// When the endless guest is stopped.
const DEADLINE: Duration = Duration::from_millis(20);
const LIMITS: CallLimits =
    CallLimits { linear_memory_mib: 32, deadline: DEADLINE, budget: Budget::USUAL };
/// Most that it may run on, ms.
const LATE_MS: f64 = 2.0;
/// How often the quiet thread of hostile guests asks whether it may go on.
const PAUSE: Duration = Duration::from_micros(200);
/// Most that the 99th percentile of a neighbour may grow: by a fifth.
const NEIGHBOUR: f64 = 1.2;

pub(crate) fn rows(contract: &Contract) -> Result<Vec<Row>> {
    let memory = memory_with_data();
    let runtime = stage::runtime(Execution::Native, None)?;
    let load =
        |body: &str| -> Result<Function> { Ok(runtime.load(&contract.guest(&memory, body)?)?) };
    let spins = load("(loop $l (br $l))")?;
    let hostile = [
        load("(loop $l (br $l))")?,
        load("(unreachable)")?,
        load(
            "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 64)) (i32.const -1)))) (unreachable)",
        )?,
    ];
    let victim = load(&touch(1))?;
    Ok(vec![late(&runtime, &spins)?, neighbour(&runtime, &hostile, &victim)?])
}

/// How long after its deadline an endless guest is gone.
fn late(runtime: &Runtime, spins: &Function) -> Result<Row> {
    let late = Side::own(RUN, || {
        let started = Instant::now();
        let mut host = BenchHost::default();
        let report = stage::report(runtime, spins, Vec::new(), LIMITS, &mut host);
        let took = started.elapsed();
        match report.outcome {
            Err(CallFault::Deadline) => Ok(nanos(took) - nanos(DEADLINE)),
            other => bail!("an endless guest ended with {other:?}"),
        }
    });
    let asleep = Side::own(RUN, || {
        let started = Instant::now();
        std::thread::sleep(DEADLINE);
        Ok(nanos(started.elapsed()) - nanos(DEADLINE))
    });
    let [late, asleep] = in_turns([late, asleep])?;
    Ok(Row::new("runaway_stop_late", "ms", late.p50() / 1e6)
        .p95(late.percentile(95) / 1e6)
        .p99(late.percentile(99) / 1e6)
        .baseline("a thread that sleeps as long", asleep.p50() / 1e6)
        .at_most(LATE_MS)
        .note(format!("after a deadline of {} ms", DEADLINE.as_millis())))
}

/// Calls of one function while another thread runs guests that spin, trap and take all memory, beside the same calls alone.
fn neighbour(runtime: &Runtime, hostile: &[Function], victim: &Function) -> Result<Row> {
    let flags = Flags::default();
    let call = || {
        // Untimed: the first one after a change, which waited for it, finds caches and clock rate as that left them.
        stage::call(runtime, victim, Vec::new())?;
        let started = Instant::now();
        stage::call(runtime, victim, Vec::new())?;
        Ok(nanos(started.elapsed()))
    };
    let series = std::thread::scope(|scope| -> Result<_> {
        let thread = scope.spawn(|| misbehave(runtime, hostile, &flags));
        let alone = Side::own(RUN, || {
            flags.quiet.store(true, Ordering::Release);
            while flags.busy.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            call()
        });
        let beside = Side::own(RUN, || {
            flags.quiet.store(false, Ordering::Release);
            call()
        });
        let series = in_turns([alone, beside]);
        flags.stop.store(true, Ordering::Release);
        thread.join().map_err(|_panic| anyhow!("a hostile guest brought its thread down"))?;
        series
    })?;
    let [alone, beside] = series.map(|series| series.percentile(99) / 1e3);
    Ok(Row::new("neighbour_p99", "µs", beside)
        .baseline("p99 alone", alone)
        .at_most(NEIGHBOUR * alone)
        .note("beside a thread of guests that spin, trap and take all memory"))
}

/// What the thread of hostile guests is told, and whether it is at it.
#[derive(Debug, Default)]
struct Flags {
    quiet: AtomicBool,
    busy: AtomicBool,
    stop: AtomicBool,
}

fn misbehave(runtime: &Runtime, hostile: &[Function], flags: &Flags) {
    while !flags.stop.load(Ordering::Acquire) {
        if flags.quiet.load(Ordering::Acquire) {
            flags.busy.store(false, Ordering::Release);
            std::thread::sleep(PAUSE);
            continue;
        }
        flags.busy.store(true, Ordering::Release);
        for function in hostile {
            let mut host = BenchHost::default();
            drop(stage::report(runtime, function, Vec::new(), LIMITS, &mut host));
        }
    }
}
