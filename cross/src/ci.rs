//! `ci`: what `.ci/run` does, so that what passes here passes there; but for the packages of boards, which need compilers that not every
//! desk has: `cargo xtask build --board NAME --selftest`.

use anyhow::{Result, bail};

use crate::command::say;
use crate::workspace::Workspace;
use crate::{fuzz, lint, mcu, test};

/// Runs all checks and all tests, even if a check fails; tests last, so that their counts end the
/// output.
///
/// # Errors
/// When a check or a test fails.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    if !args.is_empty() {
        bail!("ci takes no arguments");
    }
    let checked = [lint::run(workspace, &[]), fuzz::run(workspace, &[]), mcu::run(workspace, &[])];
    for error in checked.iter().filter_map(|result| result.as_ref().err()) {
        say(&format!("error: {error:#}"));
    }
    test::run(workspace, &[])?;
    checked.into_iter().collect()
}
