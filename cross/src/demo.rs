//! `demo`: builds all that the demo starts, and becomes the demo.

mod check;

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command::{self, say};
use crate::functions;
use crate::workspace::Workspace;
pub(crate) use check::NotReady;

/// The programs of a bed of processes.
const BED: [&str; 5] =
    ["starbelt-agent", "starbelt-controller", "starbelt-sim", "starbelt", "demo"];
/// What only the demo can answer, and needs no functions or other programs for.
const QUESTIONS: [&str; 4] = ["--help", "-h", "--version", "-V"];

/// Builds functions and programs, then hands this process over to the demo with its arguments.
///
/// # Errors
/// [`NotReady`] when it would fail after the build; when something does not build, or the demo
/// cannot be started.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let demo = workspace.program("demo");
    if args.iter().any(|arg| QUESTIONS.contains(&arg.as_str())) {
        if !demo.is_file() {
            say("the demo tells its options itself and is built first; README.md has them, too");
            command::run(&mut workspace.build_programs(&["demo"]))?;
        }
        return become_program(Command::new(&demo).args(args), &demo);
    }
    check::run(workspace, args)?;
    functions::run(workspace, &[])?;
    build_bed(workspace)?;
    become_program(Command::new(&demo).args(args), &demo)
}

/// Builds the programs of a bed in the dev profile.
///
/// # Errors
/// When one does not build.
pub(crate) fn build_bed(workspace: &Workspace) -> Result<()> {
    say("building agent, controller, bridge and demo");
    command::run(&mut workspace.build_programs(&BED))
}

/// Signals of the terminal and of whoever started this reach the demo itself.
#[cfg(unix)]
fn become_program(command: &mut Command, program: &Path) -> Result<()> {
    use std::os::unix::process::CommandExt as _;
    Err(command.exec()).with_context(|| format!("cannot start {}", program.display()))
}

#[cfg(not(unix))]
fn become_program(command: &mut Command, program: &Path) -> Result<()> {
    command::run(command).with_context(|| format!("cannot start {}", program.display()))
}
