//! `test`: builds what tests need, runs all tests, and ends with how many ran and what was skipped.

mod summary;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::command::{self, print, say};
use crate::demo;
use crate::functions;
use crate::workspace::Workspace;
use summary::Summary;

/// Nextest's profile that leaves a report which this reads, see .config/nextest.toml.
const PROFILE: &str = "ci";
/// Tests of whole beds measure time: one at a time.
const ONE_AT_A_TIME: &str = "hil-tests";

/// Which tests to run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Selection {
    /// Packages; none means all.
    packages: Vec<String>,
    /// Parts of the names of tests; none means all.
    filters: Vec<String>,
    /// Whether they are built only.
    no_run: bool,
}

impl Selection {
    fn parse(args: &[String]) -> Result<Self> {
        let mut selection = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "-p" | "--package" => {
                    let package = args.next().with_context(|| format!("{arg} needs a package"))?;
                    selection.packages.push(package.clone());
                }
                "--no-run" => selection.no_run = true,
                option if option.starts_with('-') => bail!("test has no option {option}"),
                filter => selection.filters.push(filter.to_owned()),
            }
        }
        Ok(selection)
    }

    fn has(&self, package: &str) -> bool {
        self.packages.is_empty() || self.packages.iter().any(|selected| selected == package)
    }

    /// The packages as arguments of cargo.
    fn scope(&self) -> Vec<&str> {
        match self.packages.as_slice() {
            [] => vec!["--workspace"],
            packages => packages.iter().flat_map(|package| ["--package", package]).collect(),
        }
    }
}

/// Runs all tests, or those of packages (`-p NAME`) and those whose names have a part in common with
/// the other arguments; with `--no-run` it builds all that they need, and no more.
///
/// # Errors
/// When something does not build, or a test fails.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let selection = Selection::parse(args)?;
    if let Err(error) = functions::run(workspace, &[]) {
        let missing = error.downcast_ref::<toolchain::NoCompiler>().is_some();
        // On a desk other tests are worth their run; in CI nothing may go missing unseen.
        if !missing || std::env::var_os("CI").is_some() {
            return Err(error);
        }
        say(&format!("tests that need functions will be skipped: {error:#}"));
    }
    if selection.has(ONE_AT_A_TIME) {
        demo::build_bed(workspace)?;
    }
    let has_nextest = command::is_installed("cargo-nextest");
    if selection.no_run {
        return build(workspace, &selection, has_nextest);
    }
    let mut summary = match has_nextest {
        true => with_nextest(workspace, &selection)?,
        false => with_cargo(workspace, &selection)?,
    };
    if selection.filters.is_empty() {
        summary.add(&doctests(workspace, &selection)?);
    }
    print(&summary.to_string())?;
    match summary.failed {
        0 => Ok(()),
        count => bail!("{count} tests failed"),
    }
}

/// Builds what a run would: its command, so that the run finds all built.
fn build(workspace: &Workspace, selection: &Selection, has_nextest: bool) -> Result<()> {
    if !has_nextest {
        return test_programs(workspace, selection).map(drop);
    }
    let mut cargo = workspace.cargo();
    command::run(cargo.args(["nextest", "run", "--no-run"]).args(selection.scope()))
}

fn with_nextest(workspace: &Workspace, selection: &Selection) -> Result<Summary> {
    let folder = workspace.target.join("nextest");
    fs::create_dir_all(&folder)?;
    let report = folder.join("junit.xml");
    if report.exists() {
        fs::remove_file(&report).context("cannot remove the report of an earlier run")?;
    }
    // The path is written here, since nextest's own default ignores `CARGO_TARGET_DIR`.
    let settings = folder.join("xtask.toml");
    let path = toml_string(&report.to_string_lossy());
    let junit = format!("[profile.{PROFILE}.junit]\npath = {path}\nstore-success-output = true\n");
    fs::write(&settings, junit).context("cannot write nextest's settings")?;
    let mut cargo = workspace.cargo();
    cargo.args(["nextest", "run", "--no-fail-fast", "--no-tests", "pass", "--profile", PROFILE]);
    cargo.args(selection.scope()).args(&selection.filters);
    cargo.arg("--tool-config-file").arg(format!("xtask:{}", settings.display()));
    let ran = command::run(&mut cargo);
    let Ok(text) = fs::read_to_string(&report) else {
        ran?;
        bail!("nextest left no report at {}", report.display());
    };
    Ok(Summary::from_junit(&text))
}

fn with_cargo(workspace: &Workspace, selection: &Selection) -> Result<Summary> {
    say("cargo-nextest is not installed: running the tests one program after the other");
    let mut summary = Summary::default();
    for program in test_programs(workspace, selection)? {
        say(&format!("running {} {}", program.package, program.name));
        let mut command = Command::new(&program.path);
        command.current_dir(&program.folder).env("CARGO_MANIFEST_DIR", &program.folder);
        command.arg("--show-output").args(&selection.filters);
        if program.package == ONE_AT_A_TIME {
            command.arg("--test-threads=1");
        }
        summary.add(&watch(&mut command)?);
    }
    Ok(summary)
}

fn doctests(workspace: &Workspace, selection: &Selection) -> Result<Summary> {
    say("running the examples of the documentation");
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--doc", "--quiet", "--no-fail-fast"]).args(selection.scope());
    cargo.args(["--", "--show-output"]);
    watch(&mut cargo)
}

/// A program with tests.
#[derive(Debug, PartialEq, Eq)]
struct TestProgram {
    package: String,
    name: String,
    path: PathBuf,
    folder: PathBuf,
}

/// Builds all tests and tells where they are.
fn test_programs(workspace: &Workspace, selection: &Selection) -> Result<Vec<TestProgram>> {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--no-run", "--message-format", "json-render-diagnostics"]);
    cargo.args(selection.scope());
    let mut child = cargo.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let stdout = child.stdout.take().context("cargo has no stdout")?;
    let mut programs = Vec::new();
    for line in BufReader::new(stdout).lines() {
        programs.extend(serde_json::from_str(&line?).ok().as_ref().and_then(test_program));
    }
    if !child.wait()?.success() {
        bail!("the tests do not build");
    }
    Ok(programs)
}

/// The test program that a message of cargo tells of.
fn test_program(message: &Value) -> Option<TestProgram> {
    let text = |value: &Value, key: &str| value.get(key)?.as_str().map(str::to_owned);
    let is_test = message.get("profile")?.get("test")?.as_bool()?;
    let folder = Path::new(&text(message, "manifest_path")?).parent()?.to_owned();
    is_test.then_some(())?;
    Some(TestProgram {
        package: folder.file_name()?.to_str()?.to_owned(),
        name: text(message.get("target")?, "name")?,
        path: PathBuf::from(text(message, "executable")?),
        folder,
    })
}

/// Runs a program of libtest, passes on what is worth reading, and counts.
fn watch(command: &mut Command) -> Result<Summary> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", Path::new(command.get_program()).display()))?;
    let stdout = child.stdout.take().context("a test program has no stdout")?;
    let mut summary = Summary::default();
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        if summary.read_libtest(&line) {
            print(&format!("{line}\n"))?;
        }
    }
    if !child.wait()?.success() && summary.failed == 0 {
        // It ended before it could count: a crash, or code that does not build.
        summary.failed = 1;
        say(&format!("`{}` failed", command::shown(command)));
    }
    Ok(summary)
}

/// Text as TOML writes it; of its escapes, paths need these two.
fn toml_string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn packages_and_filters_are_told_apart() {
        let parse = |line: &str| {
            let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            Selection::parse(&words)
        };
        let selection = parse("-p belt fence --package types").unwrap();
        assert_eq!(selection.scope(), ["--package", "belt", "--package", "types"]);
        assert_eq!(selection.filters, ["fence"]);
        assert!(!selection.no_run && parse("--no-run").unwrap().no_run);
        assert_eq!(parse("").unwrap().scope(), ["--workspace"]);
        assert!(parse("-p").is_err() && parse("--release").is_err());
    }

    #[test]
    fn programs_with_tests_are_told_from_other_artifacts() {
        let message = |test: bool, executable: Value| {
            json!({
                "reason": "compiler-artifact",
                "manifest_path": "x/agent/Cargo.toml",
                "target": {"name": "recovery"},
                "profile": {"test": test},
                "executable": executable,
            })
        };
        let program = test_program(&message(true, json!("x/target/recovery-1"))).unwrap();
        assert_eq!((program.package.as_str(), program.name.as_str()), ("agent", "recovery"));
        assert_eq!(test_program(&message(false, json!("x/target/agent"))), None);
        assert_eq!(test_program(&message(true, Value::Null)), None);
        assert_eq!(test_program(&json!({"reason": "build-finished"})), None);
    }
}
