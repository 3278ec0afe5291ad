//! A function that this program carries: compiled and called here, and in a jailed child as on a node.

use std::process::Command;
use std::time::Duration;

use protocol::manifest::default_tenant;
use runtime::{
    Budget, CallFault, CallHeader, CallLimits, CallReport, Execution, Function, Request, Runtime,
};
use types::{Backend, FunctionId};

use super::{Outcome, Scratch};
use crate::exec::processes::{self, OWN_PROGRAM};
use crate::local::host::{Granted, LocalHost, NODE};
use crate::local::told;

/// The component of `hash.wat`.
pub(super) const COMPONENT: &[u8] = include_bytes!("hash.wasm");
/// What is hashed, and its FNV-1a hash as published.
const VECTOR: (&[u8], u64) = (b"foobar", 0x8594_4171_f739_67e8);
/// A body that traps.
const TRAP: &[u8] = b"!";
/// A body that never ends.
const ENDLESS: &[u8] = b"~";
/// Why no function is tried.
const NO_COMPILER: &str = "this program was built without a compiler of functions";
/// How long a call may take; an emulated processor compiles and runs a hundred times slower.
const DEADLINE: Duration = Duration::from_secs(20);
/// How long the call may take that never ends.
const DEADLINE_OF_ENDLESS: Duration = Duration::from_millis(100);
/// Linear memory of a call.
const LINEAR_MEMORY_MIB: u32 = 1;

/// Compiles and calls it in this process.
pub(super) fn in_this_process(_scratch: &Scratch) -> Outcome {
    if !cfg!(feature = "compiler") {
        return Outcome::Skipped(NO_COMPILER.to_owned());
    }
    calls(false).into()
}

/// The same in a runner. Not in an emulated process: it cannot start itself, and emulators know no jails.
pub(super) fn in_a_runner(_scratch: &Scratch) -> Outcome {
    if !cfg!(feature = "compiler") {
        return Outcome::Skipped(NO_COMPILER.to_owned());
    }
    if let Some(reason) = cannot_start_itself() {
        return Outcome::Skipped(reason);
    }
    calls(true).into()
}

/// Why this program cannot start itself, if it cannot: the system knows it, since it runs, unless something else runs it.
fn cannot_start_itself() -> Option<String> {
    let rule = "runners are this program again; an emulator seems to run it";
    match Command::new(OWN_PROGRAM).arg("--version").output() {
        Ok(output) if output.stdout.starts_with(b"starbelt-agent ") => None,
        Ok(_) => Some(format!("what starts as this program is another one: {rule}")),
        Err(error) => Some(format!("this program does not start ({error}): {rule}")),
    }
}

fn calls(is_isolated: bool) -> Result<String, String> {
    let mut config = processes::local_config(is_isolated);
    if !is_isolated {
        // Runners reserve what a node does; this process may be emulated.
        config.execution = Execution::OnDemand;
    }
    let runtime = Runtime::new(config);
    let runtime = runtime.map_err(|error| told::chain(&error))?;
    let function = runtime.load(COMPONENT).map_err(|error| told::chain(&error))?;
    let (body, hash) = VECTOR;
    let report = call(&runtime, &function, body, DEADLINE);
    let answer = report.outcome.map_err(|fault| fault.to_string())?;
    if answer != hash.to_le_bytes() {
        return Err(format!("it answered {answer:02x?} instead of {:02x?}", hash.to_le_bytes()));
    }
    match call(&runtime, &function, TRAP, DEADLINE).outcome {
        Err(CallFault::Trap(_)) => {}
        other => return Err(format!("what traps ended as {other:?}")),
    }
    match call(&runtime, &function, ENDLESS, DEADLINE_OF_ENDLESS).outcome {
        Err(CallFault::Deadline) => {}
        other => return Err(format!("what never ends, ended as {other:?}")),
    }
    let how = match report.usage.backend {
        Backend::WasmPulley => "interpreted (Pulley)",
        _ => "compiled",
    };
    let held = match runtime.jail(&default_tenant()) {
        None => String::new(),
        Some(jail) => {
            let jail = jail.map_err(|fault| fault.to_string())?.to_string();
            format!("; {}", jail.split('\n').collect::<Vec<_>>().join("; "))
        }
    };
    let took = told::time(report.usage.run_ns);
    Ok(format!("{how}, answered right in {took}, a trap and a deadline held{held}"))
}

fn call(runtime: &Runtime, function: &Function, body: &[u8], deadline: Duration) -> CallReport {
    let budget = Budget::USUAL;
    let header = CallHeader {
        id: 1,
        root: 1,
        hops: 0,
        attempt: 1,
        source: NODE.to_owned(),
        deadline,
        budget,
    };
    let request = Request {
        header,
        schema_id: String::new(),
        content_type: "application/octet-stream".to_owned(),
        body: body.to_vec(),
    };
    let name = FunctionId::new("selftest").expect("a name by the rules");
    let mut host = LocalHost::new(&name, Granted::default(), None);
    let limits = CallLimits { linear_memory_mib: LINEAR_MEMORY_MIB, deadline, budget };
    runtime.call(function, request, limits, &mut host)
}
