//! Calls of a loaded function: each in a store and instance of its own.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use runtime::{Execution, Usage};
use rustix::time::{ClockId, clock_gettime};

use crate::bare;
use crate::guests::{Contract, memory_with_data, touch};
use crate::measure::{Series, Side, float, in_turns, nanos};
use crate::row::Row;
use crate::stage;

const RUN: Duration = Duration::from_millis(400);
/// Most that a call may take, µs: one that touches one page, and one that touches 16.
const ONE_PAGE_US: f64 = 7.0;
const SIXTEEN_PAGES_US: f64 = 6.0;
/// Fewest calls of one page a second on one core.
const CALLS_PER_S: f64 = 120_000.0;
/// Most that limits, deadline, admission and accounting may add, ns, apart from the two reads of the thread's clock.
const OVERHEAD_NS: f64 = 300.0;
/// Most that a body of 1 MiB may take, µs.
const MEBIBYTE_US: f64 = 75.0;
const MIB: usize = 1 << 20;

pub(crate) fn rows(contract: &Contract) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (pages, name, target) in [
        (1, "one_page", Some(ONE_PAGE_US)),
        (16, "16_pages", Some(SIXTEEN_PAGES_US)),
        (256, "256_pages", None),
    ] {
        let [ours, bare] = compare(&contract.guest(&memory_with_data(), &touch(pages))?)?;
        let row = Row::new(format!("fresh_call_{name}"), "µs", ours.p50() / 1e3)
            .p95(ours.percentile(95) / 1e3)
            .p99(ours.percentile(99) / 1e3)
            .baseline("bare wasmtime", bare.p50() / 1e3);
        rows.push(match target {
            Some(target) => row.at_most(target),
            None => row,
        });
        if pages == 1 {
            rows.push(
                Row::new("fresh_calls_per_core", "1/s", 1e9 / ours.mean())
                    .baseline("bare wasmtime", 1e9 / bare.mean())
                    .at_least(CALLS_PER_S),
            );
        }
    }
    rows.extend(empty(contract)?);
    rows.extend(warm(contract)?);
    rows.push(body_in(contract)?);
    rows.extend(bodies()?);
    Ok(rows)
}

/// Our call and that of bare wasmtime.
fn compare(wasm: &[u8]) -> Result<[Series; 2]> {
    let runtime = stage::runtime(Execution::Native, None)?;
    let function = runtime.load(wasm)?;
    let engine = bare::engine(runtime.pool_mode(), true)?;
    let pre = bare::ready(&engine, wasm)?;
    in_turns([
        Side::timed(RUN, || stage::call(&runtime, &function, Vec::new()).map(drop)),
        Side::timed(RUN, || bare::call(&engine, &pre, Vec::new())),
    ])
}

/// A call of a guest that does nothing in an instance that is kept, against the same typed call of bare wasmtime in one that is kept, too.
fn warm(contract: &Contract) -> Result<Vec<Row>> {
    let wasm = contract.kept_guest()?;
    let runtime = stage::runtime(Execution::Native, None)?;
    let function = runtime.load(&wasm)?;
    let engine = bare::engine(runtime.pool_mode(), true)?;
    let mut kept = bare::Kept::new(&engine, &bare::ready(&engine, &wasm)?)?;
    let [ours, bare, clocks, run] = in_turns([
        Side::timed(RUN, || stage::call_kept(&runtime, &function).map(drop)),
        Side::timed(RUN, || kept.call(Vec::new())),
        Side::timed(RUN, two_clocks),
        Side::own(RUN, || Ok(float(stage::call_kept(&runtime, &function)?.run_ns))),
    ])?;
    let clocks = clocks.p50();
    Ok(vec![
        tail("warm_call", &ours).baseline("a raw typed call", bare.p50()),
        Row::new("warm_call_overhead", "ns", ours.p50() - bare.p50())
            .baseline("two reads of the thread's clock", clocks)
            .at_most(OVERHEAD_NS + clocks)
            .note(
                "what a call in a kept instance adds to the typed call, limits and record included",
            ),
        tail("warm_call_run", &run).note("by the record: the typed call, the guest within"),
    ])
}

/// The same in a new instance, against a new one of bare wasmtime, and what it consists of by its own record.
fn empty(contract: &Contract) -> Result<Vec<Row>> {
    let wasm = contract.guest(r#"(memory (export "memory") 1)"#, "")?;
    let runtime = stage::runtime(Execution::Native, None)?;
    let function = runtime.load(&wasm)?;
    let engine = bare::engine(runtime.pool_mode(), true)?;
    let pre = bare::ready(&engine, &wasm)?;
    let part = |part: fn(&Usage) -> u64| {
        let (runtime, function) = (&runtime, &function);
        Side::own(RUN, move || Ok(float(part(&stage::usage(runtime, function, Vec::new())))))
    };
    let [ours, bare, bare_instance, clocks, instantiate, run, cpu] = in_turns([
        Side::timed(RUN, || stage::call(&runtime, &function, Vec::new()).map(drop)),
        Side::timed(RUN, || bare::call(&engine, &pre, Vec::new())),
        Side::timed(RUN, || bare::instance(&engine, &pre)),
        Side::timed(RUN, two_clocks),
        part(|usage| usage.instantiate_ns),
        part(|usage| usage.run_ns),
        part(|usage| usage.cpu_ns),
    ])?;
    let rest = ours.p50() - instantiate.p50() - run.p50();
    Ok(vec![
        tail("fresh_call_empty", &ours).baseline("bare wasmtime", bare.p50()),
        Row::new("fresh_call_overhead", "ns", ours.p50() - bare.p50())
            .baseline("two reads of the thread's clock", clocks.p50())
            .note("the two calls above"),
        tail("fresh_call_instantiate", &instantiate)
            .baseline("bare wasmtime", bare_instance.p50())
            .note("by the record of the call; the baseline drops store and instance, too"),
        tail("fresh_call_run", &run).note("by the record: the typed call, the guest within"),
        Row::new("fresh_call_rest", "ns", rest)
            .note("admission, record, dropping store and instance: what the record does not time"),
        tail("fresh_call_cpu", &cpu).note("by the record: what is billed"),
    ])
}

fn tail(name: &str, series: &Series) -> Row {
    Row::new(name, "ns", series.p50()).p95(series.percentile(95)).p99(series.percentile(99))
}

/// The reads that tell what a call is billed.
#[expect(clippy::unnecessary_wraps, reason = "one side of a comparison, and others fail")]
fn two_clocks() -> Result<()> {
    black_box(clock_gettime(ClockId::ThreadCPUTime));
    black_box(clock_gettime(ClockId::ThreadCPUTime));
    Ok(())
}

/// The time of a call; making its body is the caller's, so that it is not in it.
fn timed(body: &[u8], call: impl FnOnce(Vec<u8>) -> Result<()>) -> Result<f64> {
    let body = body.to_vec();
    let started = Instant::now();
    call(body)?;
    Ok(nanos(started.elapsed()))
}

/// A body of 1 MiB for a guest that only takes it.
fn body_in(contract: &Contract) -> Result<Row> {
    let wasm = contract.guest(r#"(memory (export "memory") 32)"#, "")?;
    let runtime = stage::runtime(Execution::Native, None)?;
    let function = runtime.load(&wasm)?;
    let engine = bare::engine(runtime.pool_mode(), true)?;
    let pre = bare::ready(&engine, &wasm)?;
    let body = vec![7_u8; MIB];
    let [ours, bare] = in_turns([
        Side::own(RUN, || timed(&body, |body| stage::call(&runtime, &function, body).map(drop))),
        Side::own(RUN, || timed(&body, |body| bare::call(&engine, &pre, body))),
    ])?;
    Ok(Row::new("fresh_call_1_mib_body", "µs", ours.p50() / 1e3)
        .p99(ours.percentile(99) / 1e3)
        .baseline("bare wasmtime", bare.p50() / 1e3)
        .at_most(MEBIBYTE_US))
}

/// What a byte of a body costs, in and out: a guest that answers what it gets, compiled and interpreted.
fn bodies() -> Result<Vec<Row>> {
    let wasm = std::fs::read(artifacts::suite_path("echo"))?;
    let (body, mut copy) = (vec![7_u8; MIB], vec![7_u8; MIB]);
    let mut rows = Vec::new();
    for (execution, name) in [(Execution::Native, "cranelift"), (Execution::Interpreted, "pulley")]
    {
        let runtime = stage::runtime(execution, None)?;
        let function = runtime.load(&wasm)?;
        let [full, empty, copied] = in_turns([
            Side::own(RUN, || {
                timed(&body, |body| stage::call(&runtime, &function, body).map(drop))
            }),
            Side::timed(RUN, || stage::call(&runtime, &function, Vec::new()).map(drop)),
            Side::timed(RUN, || {
                copy.copy_from_slice(black_box(&body));
                Ok(())
            }),
        ])?;
        let bytes = float(2 * MIB as u64);
        let per_byte = (full.p50() - empty.p50()) / bytes;
        rows.push(
            Row::new(format!("body_per_byte_{name}"), "ns", per_byte)
                .baseline("memcpy", copied.p50() / float(MIB as u64))
                .note("1 MiB in and out, over both"),
        );
        rows.push(
            Row::new(format!("echo_1_mib_{name}"), "µs", full.p50() / 1e3)
                .p99(full.percentile(99) / 1e3)
                .baseline("memcpy", copied.p50() / 1e3)
                .note("1 MiB in, 1 MiB out"),
        );
    }
    Ok(rows)
}
