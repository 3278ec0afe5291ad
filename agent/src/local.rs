//! `starbelt-agent fn run`: one call of one function on this machine, as a node would make it, without a node, a bus or a fleet.
//!
//! stdin is the body, stdout the answer; the log of the function and what the call cost go to stderr.

pub(crate) mod host;
mod kept;
mod program;
pub(crate) mod told;

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use runtime::{
    BODY_BYTES_MAX, Budget, CallFault, CallHeader, CallLimits, CallReport, Function,
    LINEAR_MEMORY_MIB_MAX, LoadError, Request, Runtime, ScanLimits,
};
use types::{FunctionId, StateKey};

use self::host::{Granted, LocalHost};
use crate::config::InferenceConfig;
use crate::exec::inference::Models;
use crate::exec::processes;

/// The function answered a fault.
pub const FAULT: u8 = 10;
/// It trapped, or used more memory or processor time than granted.
pub const TRAP: u8 = 11;
/// It was stopped at its deadline.
pub const DEADLINE: u8 = 12;
/// A node would refuse the component.
pub const REFUSED: u8 = 13;
/// Anything else: a file, this machine.
const FAILURE: u8 = 1;
/// The command line makes no sense, or stdin holds more than a body.
const USAGE: u8 = 2;

/// Objects that come with a call, together: what a call may hand on.
const OBJECTS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Most of them.
const OBJECTS_MAX: usize = 64;

/// What means nothing for a model or kernel, which has no guest.
const OF_GUESTS: [&str; 7] = ["state_prefix", "topic", "model", "models", "state", "object", "out"];

/// What is run, and what it may use.
#[derive(Debug, Args)]
pub struct LocalRun {
    /// The component.
    #[arg(long, value_name = "FILE", group = "code", required_unless_present_any = ["onnx", "runs"])]
    component: Option<PathBuf>,
    /// A model that is the function; body and answer are safetensors.
    #[arg(long, value_name = "FILE", group = "code", conflicts_with_all = OF_GUESTS)]
    onnx: Option<PathBuf>,
    /// A kernel that is the function, like kernel/matmul; body and answer are safetensors.
    #[arg(long, value_name = "NAME", group = "code", conflicts_with_all = OF_GUESTS)]
    runs: Option<String>,
    /// Runs a model or kernel on a graphics processor or not at all.
    #[arg(long, conflicts_with = "component")]
    gpu: bool,
    /// The name of the function.
    #[arg(long, default_value = "function")]
    name: FunctionId,
    /// Largest linear memory.
    #[arg(long, value_name = "MIB", default_value_t = 32,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(LINEAR_MEMORY_MIB_MAX)))]
    linear_memory_mib: u32,
    /// Longest time of the call.
    #[arg(long, value_name = "MS", default_value_t = 30_000,
          value_parser = clap::value_parser!(u32).range(1..=30_000))]
    deadline_ms: u32,
    /// Keys of state that it may use, by whole segments; several times for several.
    #[arg(long, value_name = "PREFIX", value_parser = state_key)]
    state_prefix: Vec<StateKey>,
    /// A topic that it may emit on; several times for several.
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<String>,
    /// A model that it may run; several times for several.
    #[arg(long, value_name = "NAME")]
    model: Vec<String>,
    /// Calls of functions that it and all that this causes may make.
    #[arg(long, value_name = "N", default_value_t = Budget::USUAL.calls)]
    calls: u32,
    /// Processor time of the call.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(1..))]
    cpu_ms: Option<u32>,
    /// The folder of models, NAME.onnx each; without it there are none.
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// The folder that keeps lasting state; without it state ends with the run.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// An object that comes with the call; several times for several.
    #[arg(long, value_name = "KEY=FILE", value_parser = object)]
    object: Vec<(StateKey, PathBuf)>,
    /// The folder for the objects that it hands on.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Media type of the body.
    #[arg(long, value_name = "TYPE", default_value = "application/octet-stream")]
    content_type: String,
    /// Compiles and runs it in this process, which nothing holds.
    #[arg(long)]
    no_isolation: bool,
}

fn state_key(text: &str) -> Result<StateKey, String> {
    StateKey::new(text).map_err(|error| error.to_string())
}

fn object(text: &str) -> Result<(StateKey, PathBuf), String> {
    let (key, file) = text.split_once('=').ok_or("not KEY=FILE")?;
    Ok((state_key(key)?, PathBuf::from(file)))
}

/// Why a run has no answer, with the code to end with.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct RunError {
    code: u8,
    message: String,
}

impl RunError {
    fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Makes the call and says how it went.
pub fn run(asked: &LocalRun) -> ExitCode {
    match call(asked) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            told::line(&format!("starbelt-agent: {error}"));
            ExitCode::from(error.code)
        }
    }
}

fn call(asked: &LocalRun) -> Result<(), RunError> {
    match &asked.component {
        Some(component) => of_component(asked, component),
        None => written(&program::call(asked, body(io::stdin().lock())?)?),
    }
}

fn of_component(asked: &LocalRun, component: &Path) -> Result<(), RunError> {
    let component = read(component, (ScanLimits::default().bytes, REFUSED))?;
    let body = body(io::stdin().lock())?;
    let mut host = LocalHost::new(&asked.name, granted(asked), models(asked)?);
    host.inputs = objects(&asked.object)?;
    if let Some(dir) = &asked.state {
        host.state = kept::load(dir)?;
    }
    let runtime = runtime(asked)?;
    let function = load(&runtime, &component)?;
    let report = runtime.call(&function, request(asked, body), limits(asked), &mut host);
    told::usage(asked, &report, &host);
    let answer = answer(&report)?;
    // As on a node: what a call wrote lasts if it succeeds, and is there before its answer.
    if let Some(dir) = &asked.state {
        kept::save(dir, &host.state)?;
    }
    if let Some(dir) = &asked.out {
        write_objects(dir, &host)?;
    }
    written(answer)
}

fn written(answer: &[u8]) -> Result<(), RunError> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(answer).and_then(|()| stdout.flush());
    written.map_err(|error| RunError::new(FAILURE, format!("cannot write the answer: {error}")))
}

fn body(stdin: impl Read + io::IsTerminal) -> Result<Vec<u8>, RunError> {
    if stdin.is_terminal() {
        told::line("the body is what you type; Ctrl-D on an empty line ends it");
    }
    let mut body = Vec::new();
    let most = BODY_BYTES_MAX as u64;
    stdin
        .take(most + 1)
        .read_to_end(&mut body)
        .map_err(|error| RunError::new(FAILURE, format!("stdin cannot be read: {error}")))?;
    if BODY_BYTES_MAX < body.len() {
        let next = "larger values travel as objects: --object KEY=FILE";
        let message = format!("stdin has more than {most} bytes, the most of a body; {next}");
        return Err(RunError::new(USAGE, message));
    }
    Ok(body)
}

/// All of a file with at most so many bytes, else an error with this code.
fn read(file: &Path, (most, code): (u64, u8)) -> Result<Vec<u8>, RunError> {
    let unreadable = |error: io::Error| {
        RunError::new(FAILURE, format!("{} cannot be read: {error}", file.display()))
    };
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(unreadable)?;
    opened.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if most < bytes.len() as u64 {
        let message =
            format!("{} has more than {most} bytes, the most it may have", file.display());
        return Err(RunError::new(code, message));
    }
    Ok(bytes)
}

fn objects(asked: &[(StateKey, PathBuf)]) -> Result<Vec<(StateKey, Vec<u8>)>, RunError> {
    if OBJECTS_MAX < asked.len() {
        let message = format!("{} objects are more than {OBJECTS_MAX}", asked.len());
        return Err(RunError::new(USAGE, message));
    }
    let mut left = OBJECTS_BYTES_MAX;
    let mut objects: Vec<(StateKey, Vec<u8>)> = Vec::new();
    for (key, file) in asked {
        if objects.iter().any(|(known, _)| known == key) {
            return Err(RunError::new(USAGE, format!("--object {}: twice", key.as_str())));
        }
        let bytes = read(file, (left, USAGE))?;
        left -= bytes.len() as u64;
        objects.push((key.clone(), bytes));
    }
    Ok(objects)
}

fn runtime(asked: &LocalRun) -> Result<Runtime, RunError> {
    let config = processes::local_config(!asked.no_isolation);
    Runtime::new(config).map_err(|error| RunError::new(FAILURE, told::chain(&error)))
}

fn load(runtime: &Runtime, component: &[u8]) -> Result<Function, RunError> {
    runtime.load(component).map_err(|error| {
        // A child that cannot work says nothing of the component.
        let code = if matches!(error, LoadError::Child { .. }) { FAILURE } else { REFUSED };
        RunError::new(code, format!("a node would refuse the component: {}", told::chain(&error)))
    })
}

fn limits(asked: &LocalRun) -> CallLimits {
    CallLimits {
        linear_memory_mib: asked.linear_memory_mib,
        deadline: Duration::from_millis(u64::from(asked.deadline_ms)),
        budget: budget(asked),
    }
}

fn budget(asked: &LocalRun) -> Budget {
    let cpu = asked.cpu_ms.map(|ms| Duration::from_millis(u64::from(ms)));
    Budget { calls: asked.calls, cpu: cpu.unwrap_or(Budget::USUAL.cpu) }
}

fn granted(asked: &LocalRun) -> Granted {
    let LocalRun { state_prefix, topic, model, .. } = asked;
    Granted { prefixes: state_prefix.clone(), topics: topic.clone(), models: model.clone() }
}

fn models(asked: &LocalRun) -> Result<Option<Models>, RunError> {
    if asked.models.is_none() {
        return Ok(None);
    }
    let config = InferenceConfig { models: asked.models.clone(), ..InferenceConfig::default() };
    // What a back end lacks shows when a model is run.
    let started = Models::start(&config, |_news| ());
    started.map(Some).map_err(|error| RunError::new(FAILURE, told::chain(&error)))
}

fn request(asked: &LocalRun, body: Vec<u8>) -> Request {
    let header = CallHeader {
        id: 1,
        root: 1,
        hops: 0,
        attempt: 1,
        source: host::NODE.to_owned(),
        deadline: limits(asked).deadline,
        budget: budget(asked),
    };
    let content_type = asked.content_type.clone();
    Request { header, schema_id: String::new(), content_type, body }
}

fn answer(report: &CallReport) -> Result<&[u8], RunError> {
    report.outcome.as_deref().map_err(|fault| {
        let code = match fault {
            CallFault::Guest(_) => FAULT,
            CallFault::Deadline => DEADLINE,
            CallFault::Budget
            | CallFault::MemoryLimit
            | CallFault::Trap(_)
            | CallFault::TooLarge(_) => TRAP,
            CallFault::Runner(_) | CallFault::Busy | CallFault::NoBackend(_) => FAILURE,
        };
        RunError::new(code, fault.to_string())
    })
}

fn write_objects(dir: &Path, host: &LocalHost) -> Result<(), RunError> {
    for (key, bytes) in &host.outputs {
        // The rule of keys keeps it below the folder: no `..`, no leading slash.
        let file = dir.join(key.as_str());
        let made = file.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.and_then(|()| std::fs::write(&file, bytes)).map_err(|error| {
            RunError::new(FAILURE, format!("{} cannot be written: {error}", file.display()))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_of_a_call_has_its_code() {
        let code = |fault: CallFault| {
            let report = CallReport { outcome: Err(fault), usage: runtime::Usage::default() };
            answer(&report).map_err(|error| error.code).unwrap_err()
        };
        assert_eq!(code(CallFault::Guest(runtime::HostFault::Deadline)), FAULT);
        assert_eq!(code(CallFault::Deadline), DEADLINE);
        for fault in [
            CallFault::Trap("unreachable".to_owned()),
            CallFault::MemoryLimit,
            CallFault::Budget,
            CallFault::TooLarge("the answer"),
        ] {
            assert_eq!(code(fault), TRAP);
        }
        assert_eq!(code(CallFault::Runner("gone".to_owned())), FAILURE);
        assert_eq!(code(CallFault::Busy), FAILURE);
    }

    #[test]
    fn objects_are_named_by_keys_within_the_rules() {
        assert_eq!(object("a/b=c=d").map(|(_, file)| file), Ok(PathBuf::from("c=d")));
        for bad in ["a", "../a=f", "/a=f", "=f"] {
            assert!(object(bad).is_err(), "{bad}");
        }
    }
}
