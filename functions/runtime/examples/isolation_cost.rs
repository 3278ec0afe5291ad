//! Prints what processes of their own cost, beside the same in one process: `cargo run -p runtime --example isolation_cost`.
//!
//! It is its own compile child and its own runner.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use runtime::{
    Budget, CallLimits, CallProfile, ChildProgram, CompileIn, CompileLimits, Function, Isolation,
    RunnerProgram, Runtime, RuntimeConfig,
};
use types::{StateKey, TaskId, TenantId};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

#[path = "../tests/support/host.rs"]
mod host;
#[path = "../tests/support/memory.rs"]
mod memory;

use host::{TestHost, request};

/// This program, for its children.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// Calls of each place and size; their median is printed.
const CALLS: usize = 200;
/// Runners that are started.
const STARTS: usize = 16;
/// An object that is larger than a body.
const OBJECT_BYTES: usize = 10_000_000;
/// The largest body.
const BODY_BYTES: usize = runtime::BODY_BYTES_MAX;
/// Functions of the module whose compilation is watched: about 1 MB.
const FUNCTIONS: usize = 3_300;

const LIMITS: CallLimits =
    CallLimits { linear_memory_mib: 64, deadline: Duration::from_secs(10), budget: Budget::USUAL };

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

fn main() -> Result<ExitCode> {
    match std::env::args().nth(1).as_deref() {
        Some("compile") => Ok(runtime::compile_child()),
        Some("run") => Ok(runtime::runner()),
        _ => measure().map(|()| ExitCode::SUCCESS),
    }
}

fn measure() -> Result {
    let mut out = std::io::stdout().lock();
    let wasm = component(include_str!("../tests/suite/wat/puppet.wat"))?;
    let here = stage(Isolation::None, &wasm)?;
    let there = stage(Isolation::Process(program()), &wasm)?;
    writeln!(
        out,
        "{:<32}{:>14}{:>14}{:>8}",
        "median of calls, µs", "in process", "runner", "ratio"
    )?;
    for (name, body) in [("echo_0_bytes", 0), ("echo_8_mib_body", BODY_BYTES)] {
        let call = |stage: &_| call(stage, vec![b'E'; body], &mut TestHost::default());
        row(&mut out, name, median(|| call(&here))?, median(|| call(&there))?)?;
    }
    let input = (TaskId::new("t")?, StateKey::new("k")?, vec![7; OBJECT_BYTES]);
    let mut host = TestHost { inputs: vec![input], ..TestHost::default() };
    // The object is larger than any answer, so the call ends with that fault: all of it was read before.
    let mut read = |stage: &_| call(stage, b"i".to_vec(), &mut host);
    let in_process = median(|| read(&here))?;
    row(&mut out, "read_object_10_mb", in_process, median(|| read(&there))?)?;
    let started = starts(&wasm)?;
    writeln!(out, "{:<32}{:>14.0}", "start_of_a_runner_µs", micros(started))?;
    let rise = compile_rise()?;
    writeln!(out, "{:<32}{:>14.0}", "agent_rss_rise_compile_1_mb_kib", rise)?;
    if let Some(jail) = there.0.jail(&TenantId::new("default")?) {
        writeln!(out, "{}", jail?)?;
    }
    Ok(())
}

fn row(out: &mut impl Write, name: &str, here: Duration, there: Duration) -> Result {
    let ratio = there.as_secs_f64() / here.as_secs_f64();
    Ok(writeln!(out, "{name:<32}{:>14.1}{:>14.1}{ratio:>8.2}", micros(here), micros(there))?)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Time of the call alone, without making its body.
fn call(stage: &(Runtime, Function), body: Vec<u8>, host: &mut TestHost) -> Duration {
    let request = request(body);
    let started = Instant::now();
    let report = stage.0.call(&stage.1, request, LIMITS, host);
    let took = started.elapsed();
    drop(report);
    took
}

fn median(mut one: impl FnMut() -> Duration) -> Result<Duration> {
    // The first ones load code and touch memory.
    let mut times: Vec<_> = (0..CALLS + 10).map(|_| one()).skip(10).collect();
    times.sort_unstable();
    times.get(CALLS / 2).copied().ok_or_else(|| "no calls".into())
}

/// Median time until a runner is in its jail.
fn starts(wasm: &[u8]) -> Result<Duration> {
    let (runtime, _) = stage(Isolation::Tenant(program()), wasm)?;
    let mut times = Vec::new();
    for number in 0..STARTS {
        let tenant = TenantId::new(&format!("t{number}"))?;
        let started = Instant::now();
        runtime.jail(&tenant).ok_or("it has runners")??;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    times.get(STARTS / 2).copied().ok_or_else(|| "no starts".into())
}

/// KiB by which the memory of this process rises while a child compiles 1 MB.
fn compile_rise() -> Result<u64> {
    let compile = CompileIn::Child(ChildProgram {
        program: OWN_PROGRAM.into(),
        arguments: vec!["compile".into()],
        limits: CompileLimits::default(),
    });
    let runtime = Runtime::new(RuntimeConfig { compile, ..RuntimeConfig::default() })?;
    let sum =
        "(local.set 0 (i32.add (i32.mul (local.get 0) (i32.const 1103515245)) (i32.const 12345)))";
    let function = format!("(func (param i32) {})", sum.repeat(18));
    let text = format!(
        r#"(module (memory (export "memory") 1) {}
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
            (func (export "starbelt:function/handler@0.2.0#handle")
                (param i64 i64 i32 i32 i32 i32 i32 i32 i64 i32 i32 i32 i32 i32 i32) (result i32)
                (i32.const 64)))"#,
        function.repeat(FUNCTIONS)
    );
    let wasm = component(&text)?;
    let (rise, loaded) = memory::peak_rise(|| runtime.load(&wasm))?;
    loaded?;
    Ok(rise / 1024)
}

fn stage(isolation: Isolation, wasm: &[u8]) -> Result<(Runtime, Function)> {
    let runtime = Runtime::new(RuntimeConfig { isolation, ..RuntimeConfig::default() })?;
    let function = runtime.load(wasm)?;
    // What cannot be called is not worth measuring.
    let profile = CallProfile::from(LIMITS);
    runtime.call(&function, request("Echo"), profile, &mut TestHost::default()).outcome?;
    Ok((runtime, function))
}

fn program() -> RunnerProgram {
    RunnerProgram {
        program: OWN_PROGRAM.into(),
        arguments: vec!["run".into()],
        memory_mib: 1024,
        milli_cpu: 2000,
        runners_max: STARTS,
    }
}

fn component(core_wat: &str) -> Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("world.wit", include_str!("../../wit/world.wit"))?;
    let world = resolve.select_world(&[package], Some("function"))?;
    let mut module = wat::parse_str(core_wat)?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
    Ok(ComponentEncoder::default().validate(true).module(&module)?.encode()?)
}
