//! From compiled code on disk to the answer of the first call, the check of its seal included, beside bare wasmtime, which checks
//! nothing, and beside compiling on the spot, interpreting, a process and a container.

use std::io::Read as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use runtime::{Execution, Function, Runtime};

use super::suite_rows::native_program;
use crate::bare;
use crate::container::{Containers, process};
use crate::floor::{self, Kind};
use crate::guests::{Contract, ballast, memory_with, touch};
use crate::measure::{Series, Side, in_turns, nanos, percentile};
use crate::row::Row;
use crate::stage;

const RUN: Duration = Duration::from_millis(400);
/// Functions and data that make about 145 kB of code, the module of the target.
const FUNCTIONS: usize = 40;
const DATA_KIB: usize = 117;
/// Most that a start may take: 90 µs, and 300 in one of a hundred.
const TARGETS_US: (f64, f64) = (90.0, 300.0);
/// Most that a start may take apart from its seal, in starts of bare wasmtime.
const RATIO: f64 = 2.0;

pub(crate) fn rows(contract: &Contract) -> Result<Vec<Row>> {
    let dir = tempfile::tempdir()?;
    let cache = dir.path().join("cache");
    let runtime = stage::runtime(Execution::Native, Some(&cache))?;
    let engine = bare::engine(runtime.pool_mode(), true)?;
    let fields = format!("{} {}", memory_with(DATA_KIB), ballast(FUNCTIONS));
    let wasm = contract.guest(&fields, &touch(1))?;
    runtime.load(&wasm)?;
    let file = dir.path().join("bare.cwasm");
    bare::compile_to(&engine, &wasm, &file)?;
    let module = stage::hash(&wasm);
    let code = code_file(&cache)?;
    let mut bytes = Vec::new();
    let start = || called(&runtime, stage::from_cache(&runtime, &module)?);
    let start_bare = || {
        let ready = bare::ready_from(&engine, &file)?;
        bare::call(&engine, &ready, Vec::new())?;
        Ok(ready)
    };
    let [ours, bare, seal, ours_whole, bare_whole] = in_turns([
        Side::own(RUN, || until_answer(start)),
        Side::own(RUN, || until_answer(start_bare)),
        Side::timed(RUN, || seal(&code, &mut bytes)),
        Side::timed(RUN, || start().map(drop)),
        Side::timed(RUN, || start_bare().map(drop)),
    ])?;
    let us = |ns: f64| ns / 1e3;
    let size = std::fs::metadata(&code)?.len() / 1000;
    let apart = us(ours.p50() - seal.p50());
    let mut rows = vec![
        Row::new("cold_start_145_kb", "µs", us(ours.p50()))
            .p95(us(ours.percentile(95)))
            .p99(us(ours.percentile(99)))
            .baseline("bare wasmtime", us(bare.p50()))
            .at_most(TARGETS_US.0)
            .note(format!("{size} kB of compiled code; seal included, which bare wasmtime lacks")),
        Row::new("cold_start_145_kb_p99", "µs", us(ours.percentile(99)))
            .baseline("bare wasmtime", us(bare.percentile(99)))
            .at_most(TARGETS_US.1),
        Row::new("cold_start_145_kb_seal", "µs", us(seal.p50()))
            .p99(us(seal.percentile(99)))
            .note("opening, reading and hashing the same code, nothing else"),
        Row::new("cold_start_145_kb_without_seal", "µs", apart)
            .baseline("bare wasmtime", us(bare.p50()))
            .at_most(RATIO * us(bare.p50())),
        Row::new("cold_start_145_kb_and_end", "µs", us(ours_whole.p50()))
            .p99(us(ours_whole.percentile(99)))
            .baseline("bare wasmtime", us(bare_whole.p50()))
            .note("and unloading it, which nobody waits for"),
    ];
    rows.extend(other_ways(&wasm, ours.p50())?);
    rows.extend(processes(ours_whole.p50())?);
    Ok(rows)
}

/// The function after its first call.
fn called(runtime: &Runtime, function: Function) -> Result<Function> {
    stage::call(runtime, &function, Vec::new())?;
    Ok(function)
}

/// How long a start takes until its answer is there. Unloading the function is no part of it: what is promised is the time to the first
/// byte, and who starts a function keeps it.
fn until_answer<T>(start: impl FnOnce() -> Result<T>) -> Result<f64> {
    let started = Instant::now();
    let loaded = start()?;
    let took = nanos(started.elapsed());
    drop(loaded);
    Ok(took)
}

/// The same module without its code at hand, and interpreted.
fn other_ways(wasm: &[u8], ours: f64) -> Result<Vec<Row>> {
    let dir = tempfile::tempdir()?;
    let compiles = stage::runtime(Execution::Native, None)?;
    let interprets = stage::runtime(Execution::Interpreted, Some(dir.path()))?;
    interprets.load(wasm)?;
    let module = stage::hash(wasm);
    let [jit, pulley] = in_turns([
        Side::own(RUN, || until_answer(|| called(&compiles, compiles.load(wasm)?))),
        Side::own(RUN, || {
            until_answer(|| called(&interprets, stage::from_cache(&interprets, &module)?))
        }),
    ])?;
    let row = |name: &str, series: &Series| {
        Row::new(name, "µs", series.p50() / 1e3)
            .p95(series.percentile(95) / 1e3)
            .p99(series.percentile(99) / 1e3)
            .baseline("from the cache", ours / 1e3)
    };
    Ok(vec![
        row("cold_start_145_kb_jit", &jit).note("pre-scan and compiler included"),
        row("cold_start_145_kb_pulley", &pulley).note("code of the interpreter from its cache"),
    ])
}

/// What others start instead: `hello-world` as a process and in a container, beside what the system takes for an empty one.
fn processes(ours: f64) -> Result<Vec<Row>> {
    let (native, container) = ("start_native_process", "start_container");
    let program = match native_program() {
        Ok(program) => program,
        Err(why) => {
            return Ok([native, container].map(|name| Row::unknown(name, "µs", &why)).into());
        }
    };
    let containers = Containers::open(&program).map_err(|error| format!("{error:#}"));
    let [alone, contained] = in_turns([
        Side::timed(RUN, || process(Command::new(&program).arg("hello-world"), b"").map(drop)),
        Side::timed(RUN, || {
            let Ok(containers) = &containers else { return Ok(()) };
            containers.run("hello-world", b"").map(drop)
        }),
    ])?;
    let row = |name: &str, series: &Series, kind: Kind, floor_name: &str| {
        let times = format!("{:.0} starts from our cache", series.p50() / ours);
        let row = Row::new(name, "µs", series.p50() / 1e3)
            .p95(series.percentile(95) / 1e3)
            .p99(series.percentile(99) / 1e3)
            .note(times);
        match floor::measure(kind) {
            Ok(floor) => row.baseline(floor_name, percentile(&floor, 50) / 1e3),
            Err(_) => row,
        }
    };
    Ok(vec![
        row(native, &alone, Kind::Fork, "fork, exit, wait"),
        match containers {
            Ok(_) => row(container, &contained, Kind::Namespaces, "clone with 5 namespaces"),
            Err(why) => Row::unknown(container, "µs", &why),
        },
    ])
}

/// The one file of code in a cache.
fn code_file(cache: &Path) -> Result<std::path::PathBuf> {
    let files = std::fs::read_dir(cache)?.filter_map(Result::ok).map(|entry| entry.path());
    let is_code = |file: &std::path::PathBuf| file.extension().is_some_and(|end| end == "code");
    files.into_iter().find(is_code).context("the cache holds no code")
}

/// What the check of a seal takes at least: the bytes and their keyed hash.
fn seal(code: &Path, bytes: &mut Vec<u8>) -> Result<()> {
    bytes.clear();
    std::fs::File::open(code)?.read_to_end(bytes)?;
    let mut hasher = blake3::Hasher::new_keyed(&[7; 32]);
    hasher.update(bytes);
    std::hint::black_box(hasher.finalize());
    Ok(())
}
