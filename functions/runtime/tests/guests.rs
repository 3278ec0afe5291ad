//! The example functions as `cargo xtask functions` builds them, run one after the other as a workflow runs them.

#[path = "support/host.rs"]
mod host;

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use artifacts::burst;
use host::{TestHost, request};
use runtime::{Budget, CallLimits, Function, Runtime, RuntimeConfig};
use types::{ExecutionMode, StateKey, TaskId};

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

const LIMITS: CallLimits =
    CallLimits { linear_memory_mib: 32, deadline: Duration::from_secs(10), budget: Budget::USUAL };

/// Whether the guests are there. If not, says so past the harness, which would keep it to itself.
fn built() -> Result<bool> {
    match artifacts::available() {
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
