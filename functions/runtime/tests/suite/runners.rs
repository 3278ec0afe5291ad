//! Functions in runners: the same answers as in this process, a jail around them, and an end of one that nobody else feels.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use runtime::{
    CacheConfig, CallFault, CallLimits, CallProfile, CallReport, ChildProgram, CompileIn,
    CompileLimits, DeviceSecret, Function, Isolation, LoadError, MeasureState, RunnerProgram,
    Runtime, RuntimeConfig, Sealed,
};
use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest as _, Sha256};
use types::{StateKey, TaskId, TenantId};

use crate::host::{TestHost, request};
use crate::puppet::{IN_RUNNERS, LIMITS, Result, call, puppet, runner_program, stage_in};

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("a name by the rules")
}

fn call_of(stage: &(Runtime, Function), name: &str, body: &str, deadline_ms: u64) -> CallReport {
    let limits = CallLimits { deadline: Duration::from_millis(deadline_ms), ..LIMITS };
    let profile = CallProfile { tenant: tenant(name), ..CallProfile::from(limits) };
    stage.0.call(&stage.1, request(body), profile, &mut TestHost::default())
}

/// Calls until there is room again: after an end the next runner waits a moment.
fn call_patiently(stage: &(Runtime, Function), name: &str) -> CallReport {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let report = call_of(stage, name, "Echo", 5_000);
        if report.outcome != Err(CallFault::Busy) || until < Instant::now() {
            return report;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn process(stage: &(Runtime, Function), name: &str) -> u32 {
    stage.0.runner_process(&tenant(name)).expect("it runs")
}

fn signal(process: u32, signal: Signal) -> Result {
    let pid = Pid::from_raw(process.cast_signed()).ok_or("a process id")?;
    Ok(kill_process(pid, signal)?)
}

/// Runs tests of this program again, with everything that they load in a runner.
#[track_caller]
fn again_in_a_runner(tests: &[&str]) {
    let program = std::env::current_exe().expect("a test knows its program");
    let mut again = Command::new(program);
    let output = again.args(tests).args(["--nocapture"]).env(IN_RUNNERS, "1").output();
    let output = output.expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(!said.contains("running 0 tests"), "{said}");
}

#[test]
fn what_was_prepared_is_at_hand_for_the_first_call() -> Result {
    let stage = stage_in(Isolation::Process(runner_program()))?;
    assert_eq!(stage.0.runner_process(&tenant("a")), None);
    stage.0.prepare(&stage.1, &tenant("a"))?;
    let runner = process(&stage, "a");
    // Once more costs nothing and changes nothing.
    stage.0.prepare(&stage.1, &tenant("a"))?;
    let first = call_of(&stage, "a", "Echo", 5_000);
    assert_eq!(first.outcome, Ok(b"Echo".to_vec()));
    assert!(!first.usage.code_came && first.usage.cold);
    assert_eq!(process(&stage, "a"), runner);
    // What was not prepared comes with the first call, and with no other.
    let other = stage_in(Isolation::Process(runner_program()))?;
    assert!(call_of(&other, "a", "Echo", 5_000).usage.code_came);
    assert!(!call_of(&other, "a", "Echo", 5_000).usage.code_came);
    Ok(())
}

#[test]
fn to_prepare_takes_no_runner_from_others() -> Result {
    let program = RunnerProgram { runners_max: 1, ..runner_program() };
    let stage = stage_in(Isolation::Tenant(program))?;
    assert!(call_of(&stage, "a", "Echo", 5_000).outcome.is_ok());
    let runner = process(&stage, "a");
    stage.0.prepare(&stage.1, &tenant("b"))?;
    assert_eq!(stage.0.runner_process(&tenant("b")), None);
    assert_eq!(process(&stage, "a"), runner);
    // A call of its own gets it, as ever.
    assert!(call_of(&stage, "b", "Echo", 5_000).outcome.is_ok());
    Ok(())
}

#[test]
fn what_functions_and_nodes_say_to_each_other_is_the_same() {
    again_in_a_runner(&["calls::"]);
}

#[test]
fn functions_call_functions_in_their_runner() {
    again_in_a_runner(&["nested::", "fused::"]);
}

#[test]
fn instances_are_kept_in_runners_too() {
    again_in_a_runner(&["warm::"]);
}

#[test]
fn limits_are_the_same() {
    again_in_a_runner(&[
        "limits::a_profile_gets_its_back_end_or_a_refusal",
        "limits::an_instance_finds_nothing_of_an_earlier_one",
        "limits::concurrent_calls_keep_apart",
        "limits::memory_ends_at_the_grant",
        "limits::the_deadline_of_the_request_counts_too",
        "limits::what_a_guest_must_not_do_is_a_trap_with_its_name",
        "limits::what_never_ends_is_stopped_at_its_deadline",
    ]);
}

#[test]
fn a_killed_runner_is_told_and_replaced_and_others_go_on() -> Result {
    let stage = stage_in(Isolation::Tenant(runner_program()))?;
    for name in ["a", "b"] {
        assert_eq!(call_of(&stage, name, "Echo", 5_000).outcome?, b"Echo");
    }
    let (a, b) = (process(&stage, "a"), process(&stage, "b"));
    assert_ne!(a, b);
    std::thread::scope(|scope| {
        let of_a = scope.spawn(|| call_of(&stage, "a", "s", 20_000));
        let of_b = scope.spawn(|| call_of(&stage, "b", "s", 1_000));
        // The guest runs as soon as its runner uses processor time.
        let before = cpu_ticks(a);
        while cpu_ticks(a) < before + 2 {
            std::thread::sleep(Duration::from_millis(5));
        }
        signal(a, Signal::KILL).expect("it is there");
        match of_a.join().expect("no panic").outcome {
            Err(CallFault::Runner(reason)) => assert!(reason.contains("SIGKILL"), "{reason}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(of_b.join().expect("no panic").outcome, Err(CallFault::Deadline));
    });
    assert_eq!(call_patiently(&stage, "a").outcome?, b"Echo");
    assert_ne!(process(&stage, "a"), a);
    assert_eq!(process(&stage, "b"), b);
    Ok(())
}

/// Waits until all threads of a process stand still: a signal is sent before it is obeyed, and a thread that still runs would
/// take the call.
fn wait_until_stopped(process: u32) -> Result {
    let until = Instant::now() + Duration::from_secs(10);
    while !is_stopped(process)? {
        if until < Instant::now() {
            return Err("it does not stop".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn is_stopped(process: u32) -> Result<bool> {
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let stat = std::fs::read_to_string(task?.path().join("stat"))?;
        if !stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Processor time of a process in ticks of the system, from `/proc/<pid>/stat`.
fn cpu_ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = after_name.split(' ').skip(11).take(2);
    ticks.filter_map(|field| field.parse::<u64>().ok()).sum()
}

#[test]
fn an_idle_runner_uses_no_processor_time() -> Result {
    let stage = stage_in(Isolation::Process(runner_program()))?;
    call(&stage, "Echo").outcome?;
    let runner = process(&stage, "default");
    // The ticks of the last call end a few milliseconds after it.
    std::thread::sleep(Duration::from_millis(100));
    let before = cpu_ticks(runner);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(cpu_ticks(runner), before);
    Ok(())
}

#[test]
fn a_runner_that_stops_is_ended() -> Result {
    let stage = stage_in(Isolation::Process(runner_program()))?;
    call(&stage, "Echo").outcome?;
    let runner = process(&stage, "default");
    signal(runner, Signal::STOP)?;
    wait_until_stopped(runner)?;
    let started = Instant::now();
    match call_of(&stage, "default", "Echo", 100).outcome {
        Err(CallFault::Runner(reason)) => {
            assert_eq!(reason, "the runner was ended: no answer within 2100 ms");
        }
        other => panic!("{other:?}"),
    }
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(call_patiently(&stage, "default").outcome?, b"Echo");
    Ok(())
}

#[test]
fn a_program_that_is_no_runner_is_told_and_not_started_again_at_once() -> Result {
    for (script, expected) in [
        ("exit 3", "the runner ended at its start: exit status: 3"),
        ("echo garbage >&0; exec sleep 1000", "the runner does not get ready"),
    ] {
        let program = RunnerProgram {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            ..runner_program()
        };
        let stage = stage_in(Isolation::Process(program))?;
        match call(&stage, "Echo").outcome {
            Err(CallFault::Runner(reason)) => assert!(reason.contains(expected), "{reason}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(call(&stage, "Echo").outcome, Err(CallFault::Busy));
    }
    Ok(())
}

#[test]
fn of_more_tenants_than_runners_an_idle_one_makes_room_and_a_busy_one_does_not() -> Result {
    let program = RunnerProgram { runners_max: 1, ..runner_program() };
    let stage = stage_in(Isolation::Tenant(program))?;
    assert_eq!(call_of(&stage, "a", "Echo", 5_000).outcome?, b"Echo");
    let a = process(&stage, "a");
    std::thread::scope(|scope| {
        let of_a = scope.spawn(|| call_of(&stage, "a", "s", 1_000));
        let before = cpu_ticks(a);
        while cpu_ticks(a) < before + 2 {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(call_of(&stage, "b", "Echo", 5_000).outcome, Err(CallFault::Busy));
        assert_eq!(of_a.join().expect("no panic").outcome, Err(CallFault::Deadline));
    });
    assert_eq!(call_of(&stage, "b", "Echo", 5_000).outcome?, b"Echo");
    assert_eq!(stage.0.runner_process(&tenant("a")), None);
    assert!(!Path::new(&format!("/proc/{a}")).exists());
    Ok(())
}

#[test]
fn a_runner_ends_with_its_runtime() -> Result {
    let stage = stage_in(Isolation::Process(runner_program()))?;
    call(&stage, "Echo").outcome?;
    let runner = process(&stage, "default");
    assert!(Path::new(&format!("/proc/{runner}")).exists());
    drop(stage);
    assert!(!Path::new(&format!("/proc/{runner}")).exists());
    Ok(())
}

#[test]
fn code_of_an_earlier_start_goes_to_the_runner() -> Result {
    let dir = tempfile::tempdir()?;
    let wasm = puppet()?;
    for is_first in [true, false] {
        let secret = DeviceSecret::new([1; 32]);
        let cache = Some(CacheConfig { dir: dir.path().to_owned(), secret });
        let isolation = Isolation::Process(runner_program());
        let config = RuntimeConfig { cache, isolation, ..RuntimeConfig::default() };
        let runtime = Runtime::new(config)?;
        let cached = runtime.load_cached(&Sha256::digest(&wasm).into());
        assert_eq!(cached.is_none(), is_first);
        let function = match cached {
            Some(function) => function,
            None => runtime.load(&wasm)?,
        };
        assert_eq!(call(&(runtime, function), "Echo").outcome?, b"Echo");
    }
    Ok(())
}

#[test]
fn another_contract_is_refused_when_it_is_loaded() -> Result {
    let text = r#"(component
        (import "starbelt:function/sky@0.2.0" (instance (export "now" (func (result string)))))
        (instance $handler)
        (export "starbelt:function/handler@0.2.0" (instance $handler)))"#;
    let compile = CompileIn::Child(ChildProgram {
        program: env!("CARGO_BIN_EXE_runtime-child").into(),
        arguments: vec!["compile".into()],
        limits: CompileLimits::default(),
    });
    let isolation = Isolation::Process(runner_program());
    let runtime = Runtime::new(RuntimeConfig { compile, isolation, ..RuntimeConfig::default() })?;
    match runtime.load(&wat::parse_str(text)?) {
        Err(LoadError::Contract { source }) => {
            assert!(source.to_string().contains("`now`"), "{source}");
        }
        other => panic!("{other:?}"),
    }
    Ok(())
}

/// A line of `/proc/<pid>/task/<tid>/status` of each thread.
fn status_of_threads(process: u32, name: &str) -> Result<Vec<String>> {
    let mut values = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let status = std::fs::read_to_string(thread?.path().join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("a line")?;
        values.push(line.trim().to_owned());
    }
    Ok(values)
}

#[test]
fn a_runner_says_what_holds_it_and_the_kernel_agrees() -> Result {
    let stage = stage_in(Isolation::Process(runner_program()))?;
    call(&stage, "Echo").outcome?;
    let jail = stage.0.jail(&tenant("default")).ok_or("it has runners")??;
    println!("{jail}");
    let runner = process(&stage, "default");
    let holds = |what: &str| {
        jail.measures.iter().any(|measure| {
            measure.what == what && matches!(measure.state, MeasureState::InForce(_))
        })
    };
    for (what, line, expected) in [
        ("no new privileges", "NoNewPrivs:", "1"),
        ("capabilities", "CapEff:", "0000000000000000"),
        ("capabilities", "CapPrm:", "0000000000000000"),
        ("seccomp", "Seccomp:", "2"),
    ] {
        let values = status_of_threads(runner, line)?;
        assert!(2 < values.len(), "ticks, control and lane");
        let as_said = values.iter().all(|value| value == expected);
        assert_eq!(as_said, holds(what), "{what}: {values:?}");
    }
    assert_eq!(jail.measures.len(), 7);
    Ok(())
}

#[test]
fn nothing_gets_out_of_the_jail() -> Result {
    let child = env!("CARGO_BIN_EXE_runtime-child");
    let output = Command::new(child).arg("escape").output()?;
    let said = String::from_utf8(output.stdout)?;
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    if said.contains("seccomp: missing") {
        println!("skipped: nothing_gets_out_of_the_jail: this kernel has no filters: {said}");
        return Ok(());
    }
    let tried: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("tried ")).collect();
    assert_eq!(tried.len(), 11, "{said}");
    for line in tried {
        // EPERM and EACCES.
        assert!(line.ends_with(" 1") || line.ends_with(" 13"), "{said}");
    }
    assert!(said.contains("threads work"), "{said}");
    Ok(())
}

#[test]
fn an_input_is_read_from_shared_memory_if_the_host_has_it_there() -> Result {
    let stage = stage_in(Isolation::Process(runner_program()))?;
    let bytes: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let input = (TaskId::new("t")?, StateKey::new("k")?, bytes.clone());
    for shares in [true, false] {
        let sealed = Sealed::written(bytes.len() as u64, |memory| memory.write_all(&bytes))?;
        let sealed = shares.then_some(sealed);
        let inputs = vec![input.clone()];
        let mut host = TestHost { inputs, sealed, ..TestHost::default() };
        let report = stage.0.call(&stage.1, request("i"), LIMITS, &mut host);
        assert_eq!(report.outcome.as_ref(), Ok(&bytes));
        assert_eq!(host.parts, u32::from(!shares));
    }
    Ok(())
}
