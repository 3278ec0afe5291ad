//! From compiled code on disk to the answer of the first call, the check of its seal included, beside bare wasmtime, which checks nothing.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use runtime::Execution;

use crate::bare;
use crate::guests::{Contract, ballast, memory_with, touch};
use crate::measure::{Side, in_turns};
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
    let ours = Side::timed(RUN, || {
        let function = stage::from_cache(&runtime, &module)?;
        stage::call(&runtime, &function, Vec::new()).map(drop)
    });
    let bare =
        Side::timed(RUN, || bare::call(&engine, &bare::ready_from(&engine, &file)?, Vec::new()));
    let code = code_file(&cache)?;
    let mut bytes = Vec::new();
    let seal = Side::timed(RUN, || seal(&code, &mut bytes));
    let [ours, bare, seal] = in_turns([ours, bare, seal])?;
    let us = |ns: f64| ns / 1e3;
    let size = std::fs::metadata(&code)?.len() / 1000;
    let apart = us(ours.p50() - seal.p50());
    Ok(vec![
        Row::new("cold_start_145_kb", "µs", us(ours.p50()))
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
