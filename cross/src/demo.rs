//! `demo`: builds all that the demo starts, and becomes the demo.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command::{self, say};
use crate::functions;
use crate::workspace::Workspace;

/// The programs of a bed of processes.
const BED: [&str; 5] =
    ["starbelt-agent", "starbelt-controller", "starbelt-sim", "starbelt", "demo"];

/// Builds functions and programs, then hands this process over to the demo with its arguments.
///
/// # Errors
/// When something does not build, or the demo cannot be started.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    functions::run(workspace, &[])?;
    build_bed(workspace)?;
    let demo = workspace.program("demo");
    become_program(Command::new(&demo).args(args), &demo)
}

/// Builds the programs of a bed in the dev profile.
///
/// # Errors
/// When one does not build.
pub(crate) fn build_bed(workspace: &Workspace) -> Result<()> {
    check_tools()?;
    say("building agent, controller, bridge and demo");
    command::run(&mut workspace.build_programs(&BED))
}

/// What the build needs besides Rust.
fn check_tools() -> Result<()> {
    if command::is_installed("cc") {
        return Ok(());
    }
    bail!("there is no C compiler `cc`, which some crates need: install gcc")
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
