//! The example functions as `cargo xtask functions` builds them, run one after the other as a workflow runs them.

#[path = "support/host.rs"]
mod host;

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use artifacts::burst;
use host::{TestHost, request};
use runtime::{Budget, CallFault, CallLimits, Function, HostFault, Level, Runtime, RuntimeConfig};
use types::{ExecutionMode, StateKey, TaskId};

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

const LIMITS: CallLimits =
    CallLimits { linear_memory_mib: 32, deadline: Duration::from_secs(10), budget: Budget::USUAL };

/// Whether the guests are there. If not, says so past the harness, which would keep it to itself.
fn built() -> Result<bool> {
    are_built(&artifacts::NAMES)
}

fn are_built(names: &[&'static str]) -> Result<bool> {
    match artifacts::are_available(names) {
        Ok(()) => Ok(true),
        Err(missing) => {
            writeln!(std::io::stdout(), "skipped: {missing}")?;
            Ok(false)
        }
    }
}

fn load(runtime: &Runtime, name: &str) -> Result<Function> {
    Ok(runtime.load(&std::fs::read(artifacts::component_path(name))?)?)
}

#[test]
fn the_examples_keep_contract_and_limits() -> Result {
    if !built()? {
        return Ok(());
    }
    let runtime = Runtime::new(RuntimeConfig::default())?;
    for name in artifacts::NAMES {
        let function = load(&runtime, name)?;
        let facts = function.facts();
        println!("{name}: {} bytes, compiled in {:?}", facts.bytes, function.compiled_in());
        assert!(facts.has_handler && facts.unknown_imports.is_empty(), "{name}");
        assert_eq!(accel::identify(facts).mode, ExecutionMode::Cpu, "{name}");
    }
    Ok(())
}

#[test]
fn a_workflow_of_the_examples_finds_the_known_targets() -> Result {
    if !built()? {
        return Ok(());
    }
    const SEED: u64 = 11;
    let runtime = Runtime::new(RuntimeConfig::default())?;
    let reference =
        (TaskId::new("eo-reference")?, StateKey::new("reference/v1")?, burst::reference(SEED));
    let mut stages = Vec::new();
    for name in artifacts::NAMES {
        stages.push((TaskId::new(name)?, load(&runtime, name)?, TestHost::default()));
    }
    for index in 0..4 {
        let burst = burst::generate(SEED, index);
        let mut body = burst.bytes.clone();
        let mut objects = Vec::new();
        for (task, function, host) in &mut stages {
            host.inputs = std::mem::take(&mut objects);
            host.inputs.push(reference.clone());
            let report = runtime.call(function, request(body), LIMITS, host);
            body = report.outcome.map_err(|fault| format!("{task} {index}: {fault}"))?;
            let outputs = std::mem::take(&mut host.outputs);
            objects.extend(outputs.into_iter().map(|(key, bytes)| (task.clone(), key, bytes)));
        }
        burst::check(&burst, &body)?;
    }
    Ok(())
}

/// What a guest printed.
type Log = Vec<(Level, String)>;

/// A call of a guest in another language: its answer, and what it printed.
fn call(name: &'static str, body: Vec<u8>) -> Result<(Vec<u8>, Log)> {
    let runtime = Runtime::new(RuntimeConfig::default())?;
    let function = load(&runtime, name)?;
    let facts = function.facts();
    assert!(facts.imports.iter().any(|import| import.starts_with("wasi:")), "{name}");
    let mut host = TestHost::default();
    let report = runtime.call(&function, request(body), LIMITS, &mut host);
    Ok((report.outcome?, host.log))
}

#[test]
fn a_guest_with_the_standard_library_of_rust_sums_up() -> Result {
    if !are_built(&["digest-std"])? {
        return Ok(());
    }
    let names = ["bat", "cpu", "temp"];
    let body: String = (0..3_000).map(|n| format!("{} {}\n", names[n % 3], n % 7)).collect();
    let (answer, log) = call("digest-std", body.into_bytes())?;
    let text = String::from_utf8(answer)?;
    assert_eq!(text.lines().count(), 3, "{text}");
    for (line, name) in text.lines().zip(names) {
        let mean: f64 = (0..3_000_u32)
            .filter(|n| names[*n as usize % 3] == name)
            .map(|n| f64::from(n % 7))
            .sum();
        assert_eq!(line, format!("{name} count=1000 mean={:.3} min=0 max=6", mean / 1000.0));
    }
    assert_eq!(log, [(Level::Info, "3000 values of 3 names".to_owned())]);
    Ok(())
}

#[test]
fn a_guest_with_the_standard_library_refuses_in_words() -> Result {
    if !are_built(&["digest-std"])? {
        return Ok(());
    }
    let runtime = Runtime::new(RuntimeConfig::default())?;
    let function = load(&runtime, "digest-std")?;
    let mut host = TestHost::default();
    let report = runtime.call(&function, request("temp warm"), LIMITS, &mut host);
    match report.outcome {
        Err(CallFault::Guest(HostFault::BadInput(text))) => {
            assert!(text.contains("line 1"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(host.log, []);
    Ok(())
}

/// The median of the 3 by 3 pixels around each, as despeckle-c makes it.
fn median_filter(width: usize, height: usize, pixels: &[u8]) -> Vec<u8> {
    let near =
        |value: usize, step: usize, end: usize| (value + step).saturating_sub(1).min(end - 1);
    let median = |x: usize, y: usize| {
        let places = (0..3).flat_map(|dy| (0..3).map(move |dx| (dx, dy)));
        let mut window: Vec<u8> = places
            .map(|(dx, dy)| pixels[near(y, dy, height) * width + near(x, dx, width)])
            .collect();
        window.sort_unstable();
        window[4]
    };
    (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| median(x, y)).collect()
}

#[test]
fn a_guest_in_c_filters_an_image_as_native_code_does() -> Result {
    if !are_built(&["despeckle-c"])? {
        return Ok(());
    }
    let (width, height) = (320_usize, 240_usize);
    // A gradient with speckles, from a generator of Knuth's.
    let mut state = 7_u64;
    let mut pixels = Vec::new();
    for at in 0..width * height {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let is_speckle = (state >> 60) == 0;
        pixels.push(if is_speckle { 255 } else { u8::try_from(at % width / 2)? });
    }
    let head = [u16::try_from(width)?.to_le_bytes(), u16::try_from(height)?.to_le_bytes()].concat();
    let (answer, log) = call("despeckle-c", [&head[..], &pixels].concat())?;
    let expected = median_filter(width, height, &pixels);
    assert_eq!(answer[..4], head);
    assert!(answer[4..] == expected, "the pixels differ");
    let changed = expected.iter().zip(&pixels).filter(|(new, old)| new != old).count();
    assert!(1_000 < changed, "{changed}");
    assert_eq!(log, [(Level::Info, format!("320x240: {changed} pixels changed"))]);
    Ok(())
}

#[test]
fn a_guest_in_c_refuses_what_is_no_image() -> Result {
    if !are_built(&["despeckle-c"])? {
        return Ok(());
    }
    for (body, said) in [
        (vec![1], "no room for width and height"),
        (vec![0, 0, 1, 0], "0x1 pixels, a side has 1 to 2048"),
        (vec![2, 0, 2, 0, 9], "1 bytes of pixels, 4 expected"),
    ] {
        let error = call("despeckle-c", body).expect_err("it is no image").to_string();
        assert!(error.contains(said), "{error}");
    }
    Ok(())
}
