//! What a process for the guests of a tenant costs, beside the same calls in this process.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use runtime::{Execution, Function, MeasureState, Runtime};
use types::TenantId;

use crate::floor::{self, Kind};
use crate::guests::{Contract, hand_over};
use crate::measure::{Side, in_turns, nanos, percentile};
use crate::row::Row;
use crate::stage::{self, BenchHost};

const RUN: Duration = Duration::from_millis(300);
/// Runners that are started for the row of a start.
const STARTS: usize = stage::RUNNERS_MAX;
/// An object that is larger than a body.
const OBJECT_BYTES: usize = 10_000_000;

pub(crate) fn rows(contract: &Contract) -> Result<Vec<Row>> {
    let here = stage::runtime(Execution::Native, None)?;
    let apart = stage::isolated()?;
    let echo = std::fs::read(artifacts::suite_path("echo"))?;
    let reader = hand_over::consumer(contract, OBJECT_BYTES)?;
    let object = vec![hand_over::FILL; OBJECT_BYTES];
    let mut rows = Vec::new();
    for (name, wasm, body, input) in [
        ("call_0_bytes", &echo, 0, &[][..]),
        ("echo_8_mib", &echo, runtime::BODY_BYTES_MAX, &[]),
        ("read_object_10_mb", &reader, 0, &object),
    ] {
        let (in_here, in_apart) = (here.load(wasm)?, apart.load(wasm)?);
        let [none, process] = in_turns([
            Side::own(RUN, || one(&here, &in_here, body, input)),
            Side::own(RUN, || one(&apart, &in_apart, body, input)),
        ])?;
        rows.push(
            Row::new(format!("isolated_{name}"), "µs", process.p50() / 1e3)
                .p95(process.percentile(95) / 1e3)
                .p99(process.percentile(99) / 1e3)
                .baseline("in one process", none.p50() / 1e3),
        );
    }
    rows.push(start()?);
    Ok(rows)
}

/// Time of a call alone, without making its body and the memory in which a runner finds its object.
fn one(runtime: &Runtime, function: &Function, body: usize, input: &[u8]) -> Result<f64> {
    let body = vec![hand_over::FILL; body];
    let shared = stage::sealed(input)?;
    let mut host = BenchHost { input, sealed: Some(&shared), ..BenchHost::default() };
    let started = Instant::now();
    let report = stage::report(runtime, function, body, stage::LIMITS, &mut host);
    let took = nanos(started.elapsed());
    report.outcome?;
    Ok(took)
}

/// From nothing to a runner in its jail, beside starting a process with the namespaces of a container, which does nothing.
fn start() -> Result<Row> {
    let runtime = stage::tenants()?;
    let mut times = Vec::new();
    let mut held = String::new();
    for number in 0..STARTS {
        let tenant = TenantId::new(&format!("t{number}"))?;
        let started = Instant::now();
        let jail = runtime.jail(&tenant).context("it has runners")??;
        times.push(nanos(started.elapsed()) / 1e3);
        let is_held = |state: &MeasureState| matches!(state, MeasureState::InForce(_));
        let (in_force, missing): (Vec<_>, Vec<_>) =
            jail.measures.iter().partition(|measure| is_held(&measure.state));
        let names = |measures: &[&runtime::Measure]| {
            measures.iter().map(|measure| measure.what.clone()).collect::<Vec<_>>().join(", ")
        };
        held = format!("in force: {}; missing here: {}", names(&in_force), names(&missing));
    }
    let row = Row::new("runner_start", "µs", percentile(&times, 50)).p95(percentile(&times, 95));
    Ok(match floor::measure(Kind::Namespaces) {
        Ok(floor) => row.baseline("clone with 5 namespaces", percentile(&floor, 50) / 1e3),
        Err(_) => row,
    }
    .note(held))
}
