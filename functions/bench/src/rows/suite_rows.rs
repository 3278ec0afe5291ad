//! The eleven functions: natively, as guests compiled ahead, compiled on the spot and interpreted, as a process, and in a container.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use accel::ModuleFacts;
use anyhow::{Context as _, Result, ensure};
use runtime::{Execution, Function, Runtime};
use suite::{Entry, FUNCTIONS, Input};

use crate::container::{Containers, process};
use crate::measure::{Series, Side, in_turns, nanos};
use crate::row::Row;
use crate::{say, stage};

/// How long a run of each way goes on.
const WARM: Duration = Duration::from_millis(40);
const COLD: Duration = Duration::from_millis(100);
/// Why there may be no program to start.
const NO_PROGRAM: &str =
    "no suite-native beside the bench: start it by `cargo xtask bench runtime`";

/// A function with one input.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    /// Whether it is the largest input.
    pub(crate) is_large: bool,
    pub(crate) body_bytes: usize,
    pub(crate) answer_bytes: usize,
    pub(crate) wasm_bytes: usize,
    /// Compiled for the processor, and for the interpreter.
    pub(crate) code_bytes: [u64; 2],
    /// Largest linear memory of a call.
    pub(crate) linear_bytes: u64,
    /// What a process that does the same held at most.
    pub(crate) process_bytes: Option<u64>,
    pub(crate) facts: ModuleFacts,
    /// Loaded before: nanoseconds of a call.
    pub(crate) native: Series,
    pub(crate) aot: Series,
    pub(crate) jit: Series,
    pub(crate) pulley: Series,
    /// From nothing but files: nanoseconds until the answer.
    pub(crate) cold: Cold,
}

/// From nothing but files to the answer.
#[derive(Debug)]
pub(crate) struct Cold {
    pub(crate) aot: Series,
    pub(crate) jit: Series,
    pub(crate) pulley: Series,
    pub(crate) process: Result<Series, String>,
    pub(crate) container: Result<Series, String>,
}

impl Measured {
    /// A row for each way and figure.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let size = if self.is_large { "large" } else { "small" };
        let name = |what: &str| format!("{}_{size}_{what}", self.name);
        let native = self.native.p50() / 1e3;
        let warm = |what: &str, series: &Series| {
            Row::new(name(what), "µs", series.p50() / 1e3)
                .p95(series.percentile(95) / 1e3)
                .p99(series.percentile(99) / 1e3)
                .baseline("native, warm", native)
        };
        let cold = |what: &str, series: &Result<Series, String>| match series {
            Ok(series) => Row::new(name(what), "µs", series.p50() / 1e3)
                .p95(series.percentile(95) / 1e3)
                .p99(series.percentile(99) / 1e3),
            Err(why) => Row::unknown(name(what), "µs", why),
        };
        let mut rows = vec![
            warm("native_warm", &self.native),
            warm("aot_warm", &self.aot),
            warm("jit_warm", &self.jit),
            warm("pulley_warm", &self.pulley),
            cold("aot_cold", &Ok(self.cold.aot.clone())),
            cold("jit_cold", &Ok(self.cold.jit.clone())),
            cold("pulley_cold", &Ok(self.cold.pulley.clone())),
            cold("process_cold", &self.cold.process),
            cold("container_cold", &self.cold.container),
        ];
        if let Ok(container) = &self.cold.container {
            let container = container.p50() / 1e3;
            for row in &mut rows[4..8] {
                *row = row.clone().baseline("container, cold", container);
            }
        }
        let bytes =
            |what: &str, bytes: u64| Row::new(name(what), "B", crate::measure::float(bytes));
        rows.push(bytes("linear_memory_peak", self.linear_bytes));
        rows.extend(self.process_bytes.map(|value| bytes("process_memory_peak", value)));
        if !self.is_large {
            rows.push(bytes("wasm_size", self.wasm_bytes as u64));
            rows.push(bytes("code_size", self.code_bytes[0]));
            rows.push(bytes("pulley_code_size", self.code_bytes[1]));
        }
        rows
    }
}

/// Measures all functions; with `quick` their small inputs only.
///
/// # Errors
/// When a guest does not answer what the same code answers natively.
pub(crate) fn measure(quick: bool) -> Result<Vec<Measured>> {
    let ways = Ways::open()?;
    if let Err(why) = &ways.containers {
        say(&format!("no container column: {why}"));
    }
    let mut all = Vec::new();
    for entry in &FUNCTIONS {
        for (at, input) in entry.inputs.iter().enumerate().take(if quick { 1 } else { 2 }) {
            say(&format!("measuring: {} {}", entry.name, input.label));
            all.push(ways.one(entry, input, 0 < at).context(entry.name)?);
        }
    }
    Ok(all)
}

/// The program that runs a function natively.
///
/// # Errors
/// Why there is none, in words.
pub(crate) fn native_program() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map(|bench| bench.with_file_name("suite-native"));
    program.ok().filter(|program| program.is_file()).ok_or_else(|| NO_PROGRAM.to_owned())
}

/// The ways to run a function.
struct Ways {
    dir: tempfile::TempDir,
    aot: Runtime,
    jit: Runtime,
    pulley: Runtime,
    program: Result<PathBuf, String>,
    containers: Result<Containers, String>,
}

impl Ways {
    fn open() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let aot = stage::runtime(Execution::Native, Some(&dir.path().join("aot")))?;
        let pulley = stage::runtime(Execution::Interpreted, Some(&dir.path().join("pulley")))?;
        let jit = stage::runtime(Execution::Native, None)?;
        let program = native_program();
        let containers = program
            .clone()
            .and_then(|program| Containers::open(&program).map_err(|error| format!("{error:#}")));
        Ok(Self { dir, aot, jit, pulley, program, containers })
    }

    fn one(
        &self,
        entry: &'static Entry,
        input: &'static Input,
        is_large: bool,
    ) -> Result<Measured> {
        let wasm = std::fs::read(artifacts::suite_path(entry.name))?;
        let body = (input.body)();
        let expected = (entry.run)(&body)?;
        let module = stage::hash(&wasm);
        let [aot, jit, pulley] =
            [self.aot.load(&wasm)?, self.jit.load(&wasm)?, self.pulley.load(&wasm)?];
        for (runtime, function) in [(&self.aot, &aot), (&self.jit, &jit), (&self.pulley, &pulley)] {
            let answer = stage::call(runtime, function, body.clone())?;
            ensure!(
                answer == expected,
                "the guest answers something else than the native function"
            );
        }
        let usage = stage::usage(&self.aot, &aot, body.clone());
        let call = |runtime: &Runtime, function: &Function| {
            stage::call(runtime, function, body.clone()).map(drop)
        };
        let [
            native,
            warm_aot,
            warm_jit,
            warm_pulley,
            cold_aot,
            cold_jit,
            cold_pulley,
            process,
            container,
        ] = in_turns([
            Side::timed(WARM, || natively(entry, &body)),
            Side::timed(WARM, || call(&self.aot, &aot)),
            Side::timed(WARM, || call(&self.jit, &jit)),
            Side::timed(WARM, || call(&self.pulley, &pulley)),
            Side::timed(COLD, || call(&self.aot, &stage::from_cache(&self.aot, &module)?)),
            Side::timed(COLD, || call(&self.jit, &self.jit.load(&wasm)?)),
            Side::timed(COLD, || call(&self.pulley, &stage::from_cache(&self.pulley, &module)?)),
            Side::own(COLD, || self.process(entry.name, &body, &expected)),
            Side::own(COLD, || self.container(entry.name, &body, &expected)),
        ])?;
        let program = self.program.as_ref().map_err(Clone::clone);
        Ok(Measured {
            name: entry.name,
            label: input.label,
            is_large,
            body_bytes: body.len(),
            answer_bytes: expected.len(),
            wasm_bytes: wasm.len(),
            code_bytes: [self.code_bytes("aot", &module)?, self.code_bytes("pulley", &module)?],
            linear_bytes: usage.peak_memory_bytes,
            process_bytes: program
                .clone()
                .ok()
                .and_then(|program| peak(program, entry.name, &body)),
            facts: aot.facts().clone(),
            native,
            aot: warm_aot,
            jit: warm_jit,
            pulley: warm_pulley,
            cold: Cold {
                aot: cold_aot,
                jit: cold_jit,
                pulley: cold_pulley,
                process: program.map(|_| process),
                container: self.containers.as_ref().map(|_| container).map_err(Clone::clone),
            },
        })
    }

    /// A process of its own; not a number without a program.
    fn process(&self, name: &str, body: &[u8], expected: &[u8]) -> Result<f64> {
        let Ok(program) = &self.program else { return Ok(f64::NAN) };
        let started = Instant::now();
        let answer = process(Command::new(program).arg(name), body)?;
        let took = nanos(started.elapsed());
        ensure!(answer == expected, "the process answers something else");
        Ok(took)
    }

    /// A container; not a number without `runc`.
    fn container(&self, name: &str, body: &[u8], expected: &[u8]) -> Result<f64> {
        let Ok(containers) = &self.containers else { return Ok(f64::NAN) };
        let started = Instant::now();
        let answer = containers.run(name, body)?;
        let took = nanos(started.elapsed());
        ensure!(answer == expected, "the container answers something else");
        Ok(took)
    }

    /// The size of what a runtime keeps of a module.
    fn code_bytes(&self, cache: &str, module: &runtime::ModuleHash) -> Result<u64> {
        let module = blake3::Hash::from_bytes(*module).to_hex();
        for entry in std::fs::read_dir(self.dir.path().join(cache))? {
            let name = entry?.path();
            let is_code = name.extension().is_some_and(|end| end == "code");
            let file = name.file_name().map(|name| name.to_string_lossy().into_owned());
            if is_code && file.is_some_and(|file| file.starts_with(module.as_str())) {
                return Ok(std::fs::metadata(&name)?.len());
            }
        }
        anyhow::bail!("the cache holds no code of it")
    }
}

/// The function itself, with a body of its own as a call has.
fn natively(entry: &Entry, body: &[u8]) -> Result<()> {
    let body = body.to_vec();
    std::hint::black_box((entry.run)(&body)?);
    Ok(())
}

/// The most memory that a process of the function holds; `None` where the system does not tell it.
fn peak(program: &Path, name: &str, body: &[u8]) -> Option<u64> {
    let dir = tempfile::tempdir().ok()?;
    let file = dir.path().join("body");
    std::fs::write(&file, body).ok()?;
    let stdin = std::fs::File::open(&file).ok()?;
    let output = Command::new(program).args([name, "--peak"]).stdin(stdin).output().ok()?;
    String::from_utf8(output.stderr).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests;
