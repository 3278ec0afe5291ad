//! WASI 0.2 as a function finds it: a clock, randomness, a log, and otherwise an empty machine.

use std::path::Path;
use std::time::{Duration, Instant};

use accel::{InspectError, contract};
use runtime::{
    CallFault, CallLimits, CallReport, Function, LoadError, Request, Runtime, RuntimeConfig,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::host::{SKY_NOW, TestHost, request};
use crate::puppet::{LIMITS, Result};
use runtime::Level;

/// The world of a guest that knows the contract and WASI.
const WORLD: &str = "package test:guest;
    world guest { include starbelt:function/function@0.2.0; include starbelt:wasi/wasi; }";

/// The guest of `wat/wasi.wat`.
fn stage() -> Result<(Runtime, Function)> {
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let mut resolve = Resolve::default();
    resolve.push_path(&wit)?;
    resolve.push_path(wit.join("wasi/world.wit"))?;
    let package = resolve.push_source("guest.wit", WORLD)?;
    let world = resolve.select_world(&[package], Some("guest"))?;
    let mut module = wat::parse_str(include_str!("wat/wasi.wat"))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
    let wasm = ComponentEncoder::default().validate(true).module(&module)?.encode()?;
    let runtime = Runtime::new(RuntimeConfig::default())?;
    let function = runtime.load(&wasm)?;
    Ok((runtime, function))
}

/// What to do, and a number.
fn order(what: u8, number: u64) -> Vec<u8> {
    [&[what][..], &number.to_le_bytes()].concat()
}

fn ms(count: u64) -> u64 {
    count * 1_000_000
}

fn call(stage: &(Runtime, Function), body: impl Into<Vec<u8>>) -> CallReport {
    stage.0.call(&stage.1, request(body), LIMITS, &mut TestHost::default())
}

fn call_within(stage: &(Runtime, Function), body: Vec<u8>, deadline_ms: u64) -> CallReport {
    let limits = CallLimits { deadline: Duration::from_millis(deadline_ms), ..LIMITS };
    stage.0.call(&stage.1, request(body), limits, &mut TestHost::default())
}

#[track_caller]
fn check_trap(report: &CallReport, part: &str) {
    match &report.outcome {
        Err(CallFault::Trap(text)) if text.contains(part) => {}
        other => panic!("{other:?} instead of a trap with {part:?}"),
    }
}

/// The answer of the engine to a component that imports this.
fn load_with_import(name: &str) -> LoadError {
    let text = format!(
        r#"(component (import "{name}" (instance)) (instance $i)
            (export "{}" (instance $i)))"#,
        contract::HANDLER
    );
    let wasm = wat::parse_str(text).expect("it is well-formed");
    let runtime = Runtime::new(RuntimeConfig::default()).expect("an engine starts");
    runtime.load(&wasm).expect_err("its handler has no function")
}

/// The interfaces that `wasi/world.wit` imports: what the runtime links.
fn linked() -> Vec<&'static str> {
    let text = include_str!("../../../wit/wasi/world.wit");
    let import = |line: &'static str| line.trim().strip_prefix("import ")?.split_once('@');
    text.lines().filter_map(import).map(|(name, _)| name).collect()
}

#[test]
fn what_is_offered_at_deploy_is_what_is_linked() {
    assert_eq!(linked(), contract::WASI);
    for name in contract::WASI {
        for version in ["0.2.0", "0.2.12", "0.2.99"] {
            let import = format!("{name}@{version}");
            // The pre-scan lets it pass and the engine finds it: what is missing is the handler.
            match load_with_import(&import) {
                LoadError::Contract { source } => {
                    let said = format!("{source:?}");
                    assert!(said.contains("handle") && !said.contains(name), "{import}: {said}");
                }
                other => panic!("{import}: {other:?}"),
            }
        }
    }
}

#[test]
fn sockets_and_http_and_other_versions_are_refused_at_deploy() {
    for import in [
        "wasi:sockets/tcp@0.2.0",
        "wasi:sockets/instance-network@0.2.12",
        "wasi:http/outgoing-handler@0.2.0",
        "wasi:clocks/timezone@0.2.12",
        "wasi:cli/stdout@0.3.0",
        "wasi:cli/stdout@0.2.0-rc-2023-12-05",
    ] {
        match load_with_import(import) {
            LoadError::Inspect(error @ InspectError::UnknownImports(_)) => {
                let said = error.to_string();
                assert!(said.contains(import) && said.contains("no sockets, no http"), "{said}");
            }
            other => panic!("{import}: {other:?}"),
        }
    }
}

#[test]
fn what_is_printed_is_logged_line_by_line() -> Result {
    let (runtime, function) = stage()?;
    let logged = |body: &[u8]| {
        let mut host = TestHost::default();
        let report = runtime.call(&function, request(body), LIMITS, &mut host);
        assert_eq!(report.outcome, Ok(Vec::new()));
        (host.log, report.usage.log_cut)
    };
    let info = |text: &str| (Level::Info, text.to_owned());
    let warn = |text: &str| (Level::Warn, text.to_owned());
    assert_eq!(
        logged(b"oone\ntwo\n\nrest"),
        (["one", "two", "", "rest"].map(info).to_vec(), false)
    );
    assert_eq!(logged(b"epanicked\n"), (vec![warn("panicked")], false));
    assert_eq!(logged(b"o\x1b[2J\xff\n"), (vec![info("\\u{1b}[2J\u{fffd}")], false));
    assert_eq!(logged(b"o"), (vec![], false));
    Ok(())
}

#[test]
fn what_is_printed_without_end_is_cut_and_stopped() -> Result {
    let (runtime, function) = stage()?;
    // Long enough for 65,536 lines on a slow machine.
    let limits = CallLimits { deadline: Duration::from_secs(1), ..LIMITS };
    for body in [[&b"O"[..], &[b'x'; 4000]].concat(), b"Oline\n".to_vec(), b"O\n".to_vec()] {
        let mut host = TestHost::default();
        let report = runtime.call(&function, request(body), limits, &mut host);
        assert_eq!(report.outcome, Err(CallFault::Deadline));
        assert!(report.usage.log_cut);
        let bytes: usize = host.log.iter().map(|(_, line)| line.len() + 1).sum();
        assert!(bytes <= 65_536 && host.log.iter().all(|(_, line)| line.len() <= 8_192), "{bytes}");
    }
    let too_much = [&b"o"[..], &[b'x'; 4097]].concat();
    check_trap(&call(&(runtime, function), too_much), "4097 bytes at once");
    Ok(())
}

#[test]
fn sleep_ends_in_time_or_at_the_deadline() -> Result {
    let stage = stage()?;
    let started = Instant::now();
    let report = call(&stage, order(b's', ms(20)));
    assert_eq!(report.outcome, Ok(Vec::new()));
    assert!(Duration::from_millis(20) <= started.elapsed());
    // Asleep is not at work.
    assert!(report.usage.cpu_ns < ms(20), "{}", report.usage.cpu_ns);

    for ns in [ms(3_600_000), u64::MAX] {
        // The machine may be busy, so the best of some tries counts.
        let took = (0..20).map(|_| {
            let started = Instant::now();
            let report = call_within(&stage, order(b's', ns), 20);
            assert_eq!(report.outcome, Err(CallFault::Deadline));
            started.elapsed()
        });
        let took = took.min().unwrap_or_default();
        assert!(Duration::from_millis(20) <= took && took <= Duration::from_millis(22), "{took:?}");
    }
    Ok(())
}

#[test]
fn the_first_of_many_timers_wakes() -> Result {
    let stage = stage()?;
    assert_eq!(call(&stage, order(b'S', ms(2))).outcome, Ok(vec![1, 0, 0, 0]));
    assert_eq!(call(&stage, order(b'S', 0)).outcome, Ok(vec![1, 0, 0, 0]));
    check_trap(&call(&stage, "0"), "waits for nothing");
    Ok(())
}

#[test]
fn handles_are_bounded() -> Result {
    let stage = stage()?;
    check_trap(&call(&stage, "h"), "more than 1024 streams and timers");
    assert_eq!(call(&stage, "v").outcome, Ok(vec![0; 4]));
    Ok(())
}

#[test]
fn the_machine_is_empty() -> Result {
    let stage = stage()?;
    assert_eq!(call(&stage, "v").outcome, Ok(vec![0; 4]));
    // An error, and it is `closed`.
    assert_eq!(call(&stage, "i").outcome, Ok(vec![1, 1]));
    check_trap(&call(&stage, "f"), "handle");
    check_trap(&call(&stage, "x"), "exited with status 1");
    Ok(())
}

#[test]
fn clocks_are_the_skys_and_the_calls() -> Result {
    let stage = stage()?;
    let seconds = u64::try_from(SKY_NOW.unix_ns() / 1_000_000_000)?;
    let expected = [&seconds.to_le_bytes()[..], &0_u32.to_le_bytes()].concat();
    assert_eq!(call(&stage, "w").outcome, Ok(expected));
    let times = call(&stage, "m").outcome?;
    let (first, second) = times.split_at(8);
    let read = |bytes: &[u8]| {
        Ok::<_, std::array::TryFromSliceError>(u64::from_le_bytes(bytes.try_into()?))
    };
    let (first, second) = (read(first)?, read(second)?);
    assert!(first <= second && second < 10 * ms(1_000), "{first} {second}");
    Ok(())
}

#[test]
fn randomness_repeats_with_the_call_unless_the_host_has_some() -> Result {
    let (runtime, function) = stage()?;
    let draw = |request: Request, entropy: Option<[u8; 32]>| {
        let mut host = TestHost { entropy, ..TestHost::default() };
        runtime.call(&function, request, LIMITS, &mut host).outcome
    };
    for body in [order(b'r', 32), order(b'R', 0)] {
        let first = draw(request(body.clone()), None)?;
        assert!(first.iter().any(|byte| *byte != 0));
        assert_eq!(draw(request(body.clone()), None)?, first);
        let (mut other_call, mut other_try) = (request(body.clone()), request(body.clone()));
        other_call.header.id = 8;
        other_try.header.attempt = 2;
        assert_ne!(draw(other_call, None)?, first);
        assert_ne!(draw(other_try, None)?, first);
        assert_ne!(draw(request(body), Some([9; 32]))?, first);
    }
    let stage = (runtime, function);
    assert_eq!(call(&stage, order(b'r', 65_536)).outcome?.len(), 65_536);
    check_trap(&call(&stage, order(b'r', 65_537)), "65537 random bytes");
    check_trap(&call(&stage, order(b'r', u64::MAX)), "random bytes");
    Ok(())
}
