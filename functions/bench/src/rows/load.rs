//! Loading: what compiling takes, and what finding the code again takes.

use std::time::Duration;

use anyhow::Result;
use runtime::Execution;

use crate::guests::{Contract, ballast, memory_with_data};
use crate::measure::{Side, float, in_turns};
use crate::row::Row;
use crate::stage;

/// Functions of a module of about 1 MB.
const FUNCTIONS: usize = 8_000;
/// Most that compiling it may take, ms.
const COMPILE_MS: f64 = 500.0;

/// A guest of about 1 MB.
pub(crate) fn megabyte(contract: &Contract) -> Result<Vec<u8>> {
    contract.guest(&format!("{} {}", memory_with_data(), ballast(FUNCTIONS)), "")
}

pub(crate) fn rows(contract: &Contract) -> Result<Vec<Row>> {
    let wasm = megabyte(contract)?;
    let dir = tempfile::tempdir()?;
    let compiler = stage::runtime(Execution::Native, None)?;
    let cached = stage::runtime(Execution::Native, Some(&dir.path().join("cache")))?;
    let interpreted = stage::runtime(Execution::Interpreted, None)?;
    cached.load(&wasm)?;
    let module = stage::hash(&wasm);
    let [compiled, found, pulley] = in_turns([
        Side::timed(Duration::ZERO, || compiler.load(&wasm).map(drop).map_err(Into::into)),
        Side::timed(Duration::from_millis(100), || stage::from_cache(&cached, &module).map(drop)),
        Side::timed(Duration::ZERO, || interpreted.load(&wasm).map(drop).map_err(Into::into)),
    ])?;
    let megabytes = float(wasm.len() as u64) / 1e6;
    let note = format!("{megabytes:.2} MB in one process; pre-scan, compiler and linking");
    Ok(vec![
        Row::new("load_1_mb_compile", "ms", compiled.p50() / 1e6)
            .baseline("from the cache", found.p50() / 1e6)
            .at_most(COMPILE_MS * megabytes)
            .note(note),
        Row::new("load_1_mb_cached", "ms", found.p50() / 1e6).p99(found.percentile(99) / 1e6),
        Row::new("load_1_mb_pulley", "ms", pulley.p50() / 1e6),
    ])
}
