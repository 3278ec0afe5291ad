//! `lint`: all checks that need no run: format, lints, layering, tidiness, documentation.

use anyhow::{Result, bail};

use crate::command::{self, say};
use crate::workspace::Workspace;
use crate::{layering, tidy};

/// One check.
type Check = fn(&Workspace) -> Result<()>;

/// The checks, cheap ones first.
const CHECKS: [(&str, Check); 7] = [
    ("fmt", fmt),
    ("tidy", |workspace| tidy::run(workspace, &[])),
    ("layering", |workspace| layering::run(workspace, &[])),
    ("deny", deny),
    ("clippy", clippy),
    ("an agent without the compiler of functions", without_compiler),
    ("doc", doc),
];

/// Runs all checks, even after one failed, so that all problems are reported together.
///
/// # Errors
/// When a check fails.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    if !args.is_empty() {
        bail!("lint takes no arguments");
    }
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        say(&format!("lint: {name}"));
        if let Err(error) = check(workspace) {
            say(&format!("error: {error:#}"));
            failed.push(name);
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("lint found problems: {}", failed.join(", "))
}

fn fmt(workspace: &Workspace) -> Result<()> {
    command::run(workspace.cargo().args(["fmt", "--all", "--check"]))
}

fn clippy(workspace: &Workspace) -> Result<()> {
    let mut cargo = workspace.cargo();
    // Set anywhere, it would silently replace the purity lint of crates/.
    cargo.env_remove("CLIPPY_CONF_DIR");
    command::run(cargo.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

/// That it builds; how large it is only `cargo xtask build --no-compiler` says, which takes many minutes.
fn without_compiler(workspace: &Workspace) -> Result<()> {
    let mut cargo = workspace.cargo();
    command::run(cargo.args(["check", "--quiet", "--package", "agent", "--no-default-features"]))
}

fn doc(workspace: &Workspace) -> Result<()> {
    let mut cargo = workspace.cargo();
    cargo.env("RUSTDOCFLAGS", "-D warnings");
    cargo.args(["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"]);
    // With the features of tests, so that what clippy checked serves here, too.
    command::run(cargo.args(["--lib", "--bins", "--example", "shared_features"]))
}

/// Licences, sources and doubled versions of outside crates.
fn deny(workspace: &Workspace) -> Result<()> {
    if !command::is_installed("cargo-deny") {
        say("cargo-deny is not installed: licences and sources of outside crates go unchecked");
        return Ok(());
    }
    let mut cargo = workspace.cargo();
    cargo.args(["deny", "check", "--config", ".deny.toml", "licenses", "bans", "sources"]);
    command::run(&mut cargo)
}
