//! The engine alone, on core modules: what the interpreter costs, and what the checks cost by which a guest is stopped.

use std::time::Duration;

use anyhow::{Context as _, Result};
use runtime::{Execution, PoolMode};
use wasmtime::Engine;

use crate::bare::{self, Core};
use crate::guests::CORE;
use crate::measure::{Side, in_turns};
use crate::row::Row;
use crate::stage;

const RUN: Duration = Duration::from_millis(100);
/// Most that the checks may add: 3 %.
const EPOCHS: f64 = 1.03;
/// Functions of the suite that are looked at, too.
const FUNCTIONS: [&str; 5] = ["audio", "resize", "primes", "planets", "mandelbrot"];
/// The modules for which that is promised.
const PROMISED: [&str; 3] = ["fib", "sieve", "matmul"];

pub(crate) fn rows() -> Result<Vec<Row>> {
    let mode = stage::runtime(Execution::Native, None)?.pool_mode();
    // Other processes disturb both sides alike, yet the difference is small: the 5th percentile of each is compared.
    let [with, without, pulley] = [
        bare::engine(mode, true)?,
        bare::engine(mode, false)?,
        bare::engine(PoolMode::Pulley, true)?,
    ];
    let mut rows = Vec::new();
    for (name, argument, text) in CORE {
        let mut core_with = Core::new(&with, text)?;
        let mut core_without = Core::new(&without, text)?;
        let mut core_interpreted = Core::new(&pulley, text)?;
        let [with, without, interpreted] = in_turns([
            Side::timed(RUN, || core_with.run(argument).map(drop)),
            Side::timed(RUN, || core_without.run(argument).map(drop)),
            Side::timed(RUN, || core_interpreted.run(argument).map(drop)),
        ])?;
        let ms = |ns: f64| ns / 1e6;
        let (fast_with, fast_without) = (ms(with.percentile(5)), ms(without.percentile(5)));
        let row = Row::new(format!("epochs_{name}"), "ms", fast_with)
            .baseline("without epochs", fast_without);
        let target = EPOCHS * fast_without;
        rows.push(if PROMISED.contains(&name) { row.at_most(target) } else { row });
        rows.push(
            Row::new(format!("pulley_{name}"), "ms", ms(interpreted.p50()))
                .baseline("Cranelift", ms(with.p50())),
        );
    }
    for name in FUNCTIONS {
        rows.push(real(name, [&with, &without])?);
    }
    Ok(rows)
}

/// The same checks in code that a compiler made: a function of the suite with its first input.
fn real(name: &str, [with, without]: [&Engine; 2]) -> Result<Row> {
    let entry = suite::find(name).context("a function of the suite")?;
    let body = entry.inputs.first().map_or_else(Vec::new, |input| (input.body)());
    let wasm = std::fs::read(artifacts::suite_path(name))?;
    let (ready, ready_without) = (bare::ready(with, &wasm)?, bare::ready(without, &wasm)?);
    let [on, off] = in_turns([
        Side::timed(RUN, || bare::call(with, &ready, body.clone())),
        Side::timed(RUN, || bare::call(without, &ready_without, body.clone())),
    ])?;
    let [on, off] = [on, off].map(|series| series.percentile(5) / 1e6);
    Ok(Row::new(format!("epochs_suite_{name}"), "ms", on).baseline("without epochs", off))
}
