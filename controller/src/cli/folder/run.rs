//! `starbelt fn run`: hands a component and the limits of its manifest to `starbelt-agent fn run`, which runs it as a node would.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use types::{ExecutionMode, FunctionId};

use super::{Folder, MANIFEST};
use crate::cli::CliError;
use crate::exit_code;
use crate::function_file::Kind;

/// The program that has an engine; this one has none.
const AGENT: &str = "starbelt-agent";

/// How a run ends, for scripts.
pub(in crate::cli) const EXIT_CODES: &str = "Exit codes: 0 it answered; 10 it answered a fault; 11 it trapped, or used more memory or processor time\nthan granted; 12 it was stopped at its deadline; 13 a node would refuse it.";

/// What is to be run.
#[derive(Debug, Args)]
pub(in crate::cli) struct Run {
    /// The folder of a function, the name of one (a folder here), or a component.
    #[arg(default_value = ".", value_name = "DIR|NAME|FILE.wasm")]
    what: PathBuf,
    /// Its function.toml, if that is not beside the component.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Keeps lasting state in this folder, for the next run; without it state is gone when the run has ended.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// An object that comes with the call; several times for several.
    #[arg(long, value_name = "KEY=FILE")]
    object: Vec<OsString>,
    /// The folder of models, NAME.onnx each; without it there are none.
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Writes the objects that the function hands on into this folder; without it they are only told.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Media type of the body.
    #[arg(long, value_name = "TYPE", default_value = "application/octet-stream")]
    content_type: String,
    /// Compiles and runs it in one process that nothing holds, for a debugger.
    #[arg(long)]
    no_isolation: bool,
}

/// Becomes the agent, so that stdin, stdout, signals and the exit code are its.
pub(in crate::cli) fn run(asked: &Run) -> Result<Infallible, CliError> {
    let (module, folder) = found(asked)?;
    let mut agent = Command::new(agent()?);
    agent.args(["fn", "run"]);
    let kind = folder.as_ref().map_or(Kind::Component, |folder| folder.manifest.function.kind);
    if let Some(module) = &module {
        let option = if kind == Kind::Onnx { "--onnx" } else { "--component" };
        agent.arg(option).arg(module);
    }
    if let Some(folder) = &folder {
        agent.args(limits(folder));
    }
    for (option, value) in
        [("--state", &asked.state), ("--models", &asked.models), ("--out", &asked.out)]
    {
        if let Some(value) = value {
            agent.arg(option).arg(value);
        }
    }
    for object in &asked.object {
        agent.arg("--object").arg(object);
    }
    agent.args(["--content-type", &asked.content_type]);
    if asked.no_isolation {
        agent.arg("--no-isolation");
    }
    let program = PathBuf::from(agent.get_program());
    let error = agent.exec();
    let message = format!("{} cannot be started: {error}", program.display());
    Err(CliError::new(exit_code::FAILURE, message))
}

/// The component or model, if it has one, and the folder whose manifest says what it may use.
fn found(asked: &Run) -> Result<(Option<PathBuf>, Option<Folder>), CliError> {
    let what = &asked.what;
    if what.is_dir() {
        let folder = Folder::open(what)?;
        let component = folder.built(what)?;
        return Ok((component, Some(folder)));
    }
    if !what.is_file() {
        let is_name = what.to_str().is_some_and(|text| FunctionId::new(text).is_ok());
        let kind = if is_name { "folder or component" } else { "folder and no component" };
        let message = format!("{}: there is no such {kind} here", what.display());
        return Err(CliError::new(exit_code::NOT_FOUND, message));
    }
    let beside = what.parent().unwrap_or_else(|| Path::new("")).join(MANIFEST);
    let manifest = asked.manifest.clone().or_else(|| beside.is_file().then_some(beside));
    let folder = manifest.map(|manifest| Folder::read(&manifest)).transpose()?;
    Ok((Some(what.clone()), folder))
}

/// What the manifest allows, as the agent takes it.
fn limits(folder: &Folder) -> Vec<String> {
    let said = &folder.manifest.function;
    let mut words = vec![
        "--name".to_owned(),
        said.name.to_string(),
        "--deadline-ms".to_owned(),
        said.limits.deadline_ms.to_string(),
    ];
    if let Some(memory_mib) = said.limits.linear_memory_mib {
        words.extend(["--linear-memory-mib".to_owned(), memory_mib.to_string()]);
    }
    if let Some(name) = &said.runs {
        words.extend(["--runs".to_owned(), name.clone()]);
    }
    if let Some(ExecutionMode::Gpu) = said.exec.chosen().filter(|_| said.kind != Kind::Component) {
        words.push("--gpu".to_owned());
    }
    for prefix in &said.grants.state_prefixes {
        words.extend(["--state-prefix".to_owned(), prefix.as_str().to_owned()]);
    }
    for topic in &said.grants.topics {
        words.extend(["--topic".to_owned(), topic.clone()]);
    }
    for model in &said.grants.models {
        words.extend(["--model".to_owned(), model.clone()]);
    }
    for (option, most) in [("--calls", said.budget.calls), ("--cpu-ms", said.budget.cpu_ms)] {
        words.extend(most.into_iter().flat_map(|most| [option.to_owned(), most.to_string()]));
    }
    words
}

/// Beside this program, as they are installed together, or in the search path.
fn agent() -> Result<PathBuf, CliError> {
    let here = std::env::current_exe().ok().and_then(|me| me.parent().map(Path::to_owned));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = here.into_iter().chain(std::env::split_paths(&path)).collect();
    let program = folders.iter().map(|folder| folder.join(AGENT)).find(|file| file.is_file());
    program.ok_or_else(|| {
        let looked: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        let looked = looked.join(", ");
        let message = format!(
            "there is no {AGENT}, which runs functions; looked in: {looked}. Install it beside `starbelt` (cargo build -p agent)"
        );
        CliError::new(exit_code::NOT_FOUND, message)
    })
}
