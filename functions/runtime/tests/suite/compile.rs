//! Compiling in a child: good components come out as they would here, hostile ones cost this process nothing.

use std::time::{Duration, Instant};

use runtime::{
    CacheConfig, ChildProgram, CompileEnd, CompileIn, CompileLimits, DeviceSecret, LoadError,
    Runtime, RuntimeConfig, ScanLimits,
};
use sha2::{Digest as _, Sha256};

use crate::memory::peak_rise;
use crate::puppet::{Result, call, component, idle_guest, puppet};

const MIB: u64 = 1024 * 1024;

/// The program that plays the children of the runtime.
const CHILD: &str = env!("CARGO_BIN_EXE_runtime-child");

/// More than any test needs that is not about limits.
const LIMITS: CompileLimits =
    CompileLimits { memory_mib: 512, cpu: Duration::from_secs(20), wall: Duration::from_secs(60) };

/// Lets the bombs through to the child.
const ANYTHING: ScanLimits = ScanLimits {
    functions: 1_000_000,
    body_bytes: 64 * MIB,
    block_depth: 1_000_000,
    ..ScanLimits::AGENT
};

fn child(verb: &str, limits: CompileLimits) -> CompileIn {
    let arguments = vec![verb.into()];
    CompileIn::Child(ChildProgram { program: CHILD.into(), arguments, limits })
}

/// A child that is a shell script.
fn script(text: &str, limits: CompileLimits) -> CompileIn {
    let arguments = vec!["-c".into(), text.into()];
    CompileIn::Child(ChildProgram { program: "/bin/sh".into(), arguments, limits })
}

fn runtime(compile: CompileIn) -> Result<Runtime> {
    let (memory_mib, limits) = (256, ANYTHING);
    Ok(Runtime::new(RuntimeConfig { memory_mib, limits, compile, ..RuntimeConfig::default() })?)
}

/// Functions that each do a little of everything, about `bytes` of them.
fn large_module(bytes: usize) -> Result<Vec<u8>> {
    let body = "(local.set 0 (i32.add (i32.mul (local.get 0) (i32.const 1103515245)) (i32.const 12345)))
        (i32.store (i32.and (local.get 0) (i32.const 65532)) (i32.xor (local.get 0) (i32.const 305419896)))";
    let function = format!("(func (param i32) {})", body.repeat(10));
    let memory = r#"(memory (export "memory") 1)"#;
    let one = component(&idle_guest(&format!("{memory} {function}")))?.len();
    let none = component(&idle_guest(memory))?.len();
    let functions = function.repeat(bytes / (one - none));
    component(&idle_guest(&format!("{memory} {functions}")))
}

/// A child that does this is told in these words, is not started again within the hour, and harms nothing.
#[track_caller]
fn check_failure(place: CompileIn, wasm: &[u8], expected: &CompileEnd) -> Result {
    let runtime = runtime(place)?;
    match runtime.load(wasm) {
        Err(LoadError::Ended(end)) => assert_eq!(end, *expected),
        other => panic!("{other:?}"),
    }
    match runtime.load(wasm) {
        Err(LoadError::Quarantined { left, reason }) => {
            assert!(Duration::from_secs(3500) < left && left <= Duration::from_secs(3600));
            assert_eq!(reason, format!("compiling was stopped: {expected}"));
        }
        other => panic!("{other:?}"),
    }
    Ok(())
}

#[test]
fn a_child_compiles_as_well_as_this_process() -> Result {
    let runtime = runtime(child("compile", LIMITS))?;
    let function = runtime.load(&puppet()?)?;
    let stage = (runtime, function);
    assert_eq!(call(&stage, "Echo").outcome?, b"Echo");
    assert_eq!(call(&stage, "d").outcome?, b"sat-1");
    Ok(())
}

#[test]
fn what_a_child_compiled_is_kept() -> Result {
    let dir = tempfile::tempdir()?;
    let new = |compile| {
        let secret = DeviceSecret::new([1; 32]);
        let cache = Some(CacheConfig { dir: dir.path().to_owned(), secret });
        Runtime::new(RuntimeConfig { cache, compile, ..RuntimeConfig::default() })
    };
    let wasm = puppet()?;
    new(child("compile", LIMITS))?.load(&wasm)?;
    // The next start has no compiler that works, and needs none.
    let again = new(child("abort", LIMITS))?;
    let function = again.load_cached(&Sha256::digest(&wasm).into()).ok_or("it is kept")?;
    assert_eq!(call(&(again, function), "Echo").outcome?, b"Echo");
    let again = new(child("abort", LIMITS))?;
    let function = again.load(&wasm)?;
    assert_eq!(call(&(again, function), "Echo").outcome?, b"Echo");
    Ok(())
}

#[test]
fn memory_of_this_process_stays_while_a_megabyte_compiles() -> Result {
    let runtime = runtime(child("compile", LIMITS))?;
    runtime.load(&puppet()?)?;
    let wasm = large_module(1 << 20)?;
    assert!(MIB * 9 / 10 < wasm.len() as u64 && wasm.len() as u64 <= MIB + 4096);
    let (rise, loaded) = peak_rise(|| runtime.load(&wasm))?;
    loaded?;
    assert!(rise <= 16 * MIB, "{} KiB", rise / 1024);
    Ok(())
}

#[test]
fn a_hundred_thousand_functions_run_out_of_the_childs_memory() -> Result {
    let memory = r#"(memory (export "memory") 1)"#;
    let bomb = component(&idle_guest(&format!("{memory} {}", "(func)".repeat(100_000))))?;
    let limits = CompileLimits { memory_mib: 256, ..LIMITS };
    let runtime = runtime(child("compile", limits))?;
    let (rise, loaded) = peak_rise(|| runtime.load(&bomb))?;
    assert!(matches!(loaded, Err(LoadError::Ended(CompileEnd::Memory { mib: 256 }))), "{loaded:?}");
    assert!(rise <= 16 * MIB, "{} KiB", rise / 1024);
    let function = runtime.load(&puppet()?)?;
    assert_eq!(call(&(runtime, function), "Echo").outcome?, b"Echo");
    Ok(())
}

#[test]
fn a_function_of_megabytes_runs_out_of_the_childs_time() -> Result {
    let sums = "(i32.add (i32.mul (local.get 0) (i32.const 3)))".repeat(500_000);
    let memory = r#"(memory (export "memory") 1)"#;
    let text =
        idle_guest(&format!("{memory} (func (param i32) (result i32) (i32.const 0) {sums})"));
    let bomb = component(&text)?;
    let limits = CompileLimits { memory_mib: 4096, cpu: Duration::from_secs(1), ..LIMITS };
    let runtime = runtime(child("compile", limits))?;
    let (rise, loaded) = peak_rise(|| runtime.load(&bomb))?;
    let second = Duration::from_secs(1);
    assert!(
        matches!(loaded, Err(LoadError::Ended(CompileEnd::CpuTime { limit })) if limit == second),
        "{loaded:?}"
    );
    assert!(rise <= 16 * MIB, "{} KiB", rise / 1024);
    let function = runtime.load(&puppet()?)?;
    assert_eq!(call(&(runtime, function), "Echo").outcome?, b"Echo");
    Ok(())
}

/// Deep nesting is no reason to refuse as such; what counts is that it costs this process nothing, whatever comes of it.
#[test]
fn thousands_of_nested_blocks_cost_this_process_nothing() -> Result {
    let nested = "(block (br_if 0 (i32.const 0)) ".repeat(5_000) + &")".repeat(5_000);
    let bomb = component(&idle_guest(&format!(r#"(memory (export "memory") 1) (func {nested})"#)))?;
    let runtime = runtime(child("compile", LIMITS))?;
    let (rise, loaded) = peak_rise(|| runtime.load(&bomb))?;
    assert!(
        matches!(loaded, Ok(_) | Err(LoadError::Compile { .. } | LoadError::Ended(_))),
        "{loaded:?}"
    );
    assert!(rise <= 16 * MIB, "{} KiB", rise / 1024);
    let function = runtime.load(&puppet()?)?;
    assert_eq!(call(&(runtime, function), "Echo").outcome?, b"Echo");
    Ok(())
}

#[test]
fn a_child_that_crashes_or_leaves_no_code() -> Result {
    let wasm = puppet()?;
    check_failure(child("abort", LIMITS), &wasm, &CompileEnd::Signal(6))?;
    check_failure(script("kill -SEGV $$", LIMITS), &wasm, &CompileEnd::Signal(11))?;
    let failed = CompileEnd::Failed { code: 3, note: "a reason".to_owned() };
    check_failure(script("echo a reason >&2; exit 3", LIMITS), &wasm, &failed)?;
    for (text, rule) in
        [("true", "it wrote too little"), ("head -c 100000 /dev/zero", "what it wrote has no end")]
    {
        check_failure(script(text, LIMITS), &wasm, &CompileEnd::Output(rule))?;
    }
    let no_end = CompileEnd::Output("what it wrote has no end");
    check_failure(child("half", LIMITS), &wasm, &no_end)?;
    let damaged = CompileEnd::Output("what it wrote is damaged");
    check_failure(child("damaged", LIMITS), &wasm, &damaged)
}

#[test]
fn a_child_that_hangs_is_ended() -> Result {
    let wasm = puppet()?;
    let wall = Duration::from_millis(1500);
    let limits = CompileLimits { wall, ..LIMITS };
    // The second one also closes what it could say something on, and writes first.
    for text in ["exec sleep 1000", "echo x >&2; exec 2>&-; exec sleep 1000"] {
        let started = Instant::now();
        check_failure(script(text, limits), &wasm, &CompileEnd::WallTime { limit: wall })?;
        let took = started.elapsed();
        assert!(wall <= took && took < Duration::from_secs(30), "{took:?}");
    }
    Ok(())
}

#[test]
fn a_child_that_talks_without_end_is_ended() -> Result {
    let wall = Duration::from_millis(1500);
    let limits = CompileLimits { wall, ..LIMITS };
    let place = script("while true; do echo more; done >&2", limits);
    check_failure(place, &puppet()?, &CompileEnd::WallTime { limit: wall })
}

#[test]
fn without_a_child_nothing_is_held_against_the_component() -> Result {
    let place = CompileIn::Child(ChildProgram {
        program: "/nowhere/to/be/found".into(),
        arguments: Vec::new(),
        limits: LIMITS,
    });
    let runtime = runtime(place)?;
    for _ in 0..2 {
        assert!(matches!(runtime.load(&puppet()?), Err(LoadError::Child { .. })));
    }
    Ok(())
}

#[test]
fn what_a_compiler_refuses_is_refused_with_its_reason() -> Result {
    // Past the pre-scan, which does not look at types of instructions.
    let broken = r#"(component (core module (func (result i32) (i64.const 0)))
        (instance $handler)
        (export "starbelt:function/handler@0.2.0" (instance $handler)))"#;
    let wasm = wat::parse_str(broken)?;
    let here = runtime(CompileIn::Process)?.load(&wasm);
    let there = runtime(child("compile", LIMITS))?.load(&wasm);
    let reason = |loaded: Result<runtime::Function, LoadError>| match loaded {
        Err(LoadError::Compile { source }) => source.to_string(),
        other => format!("{other:?}"),
    };
    let (here, there) = (reason(here), reason(there));
    assert!(here.contains("type mismatch") || there.contains("type mismatch"), "{here}; {there}");
    assert!(there.contains(&here), "{here}; {there}");
    Ok(())
}

/// A line of the status of a child of this process, once it is as expected.
fn child_has(line: &str, expected: &str, until: Instant) -> bool {
    let me = std::process::id().to_string();
    let value = |status: &str, line: &str| {
        let found = status.lines().find_map(|text| text.strip_prefix(line));
        found.map(|text| text.trim().to_owned())
    };
    while Instant::now() < until {
        let processes = std::fs::read_dir("/proc").expect("a system with /proc");
        let statuses = processes
            .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("status")).ok());
        for status in statuses {
            let is_ours = value(&status, "PPid:").is_some_and(|parent| parent == me);
            if is_ours && value(&status, line).is_some_and(|value| value == expected) {
                return true;
            }
        }
    }
    false
}

#[test]
fn a_child_compiles_in_the_jail_of_a_runner() -> Result {
    let sums = "(i32.add (i32.mul (local.get 0) (i32.const 3)))".repeat(250_000);
    let memory = r#"(memory (export "memory") 1)"#;
    let text =
        idle_guest(&format!("{memory} (func (param i32) (result i32) (i32.const 0) {sums})"));
    let slow = component(&text)?;
    let limits = CompileLimits { memory_mib: 4096, cpu: Duration::from_secs(2), ..LIMITS };
    let runtime = runtime(child("compile", limits))?;
    std::thread::scope(|scope| {
        let loading = scope.spawn(|| runtime.load(&slow).map(|_| ()));
        let until = Instant::now() + Duration::from_secs(20);
        assert!(child_has("Seccomp:", "2", until), "no child of this test is in a jail");
        assert!(child_has("CapEff:", "0000000000000000", until));
        // Whether its time is enough is no matter here.
        drop(loading.join().expect("no panic"));
    });
    Ok(())
}
