//! `bench`: builds what is measured in the release profile, and measures it.

mod agent;

use anyhow::{Result, bail};

use crate::command::{self, print, say};
use crate::functions;
use crate::workspace::Workspace;

/// What `bench` can be told.
const USAGE: &str = "\
usage: cargo xtask bench runtime [OPTIONS]
       cargo xtask bench agent [--quick] [--check] [--program FILE] [--controller FILE]
       cargo xtask bench placement [--json FILE]
runtime: functions, beside others
  --json FILE  also writes the rows to a file
  --quick      small inputs only: two minutes instead of a quarter of an hour
  --markdown   prints the tables as pages of the documentation have them
  --only TITLE only the groups of rows whose title contains this
agent: what an idle one costs that a controller hears, a quarter of an hour
  --quick      40 seconds
  --check      fails if it is more than an idle agent may cost
  --program    an agent that is built already, such as that of a package
  --controller a controller that is built already
placement: decisions of lookahead at 4,472 and 20,646 nodes, beside the search of the published policy, some minutes
  --json FILE  also writes the rows to a file
";

/// The bench of the runtime: its package and program.
const RUNTIME: &str = "runtime-bench";
/// The program that runs a function of the suite natively, as a process and in a container.
const NATIVE: &str = "suite-native";

/// What can be measured.
const PARTS: [&str; 3] = ["runtime", "agent", "placement"];

/// Measures a part.
///
/// # Errors
/// When the arguments make no sense, or a program does not build or run.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let is_help = |arg: &String| ["--help", "-h"].contains(&arg.as_str());
    match args.split_first() {
        Some((part, rest)) if part == "runtime" && !rest.iter().any(is_help) => {
            runtime(workspace, rest)
        }
        Some((part, rest)) if part == "agent" && !rest.iter().any(is_help) => {
            agent::run(workspace, rest)
        }
        Some((part, rest)) if part == "placement" && !rest.iter().any(is_help) => {
            placement(workspace, rest)
        }
        Some((first, _)) if is_help(first) || PARTS.contains(&first.as_str()) => print(USAGE),
        Some((part, _)) => {
            bail!("there is no bench of {part:?}, only of {}\n{USAGE}", PARTS.join(", "))
        }
        None => bail!("name the part that is to be measured\n{USAGE}"),
    }
}

fn placement(workspace: &Workspace, args: &[String]) -> Result<()> {
    say("building the bench in the release profile; the first time this takes many minutes");
    let mut bench = workspace.cargo();
    bench.args(["bench", "--quiet", "--package", "sim-bridge", "--bench", "placement", "--"]);
    command::run(bench.args(args))
}

fn runtime(workspace: &Workspace, args: &[String]) -> Result<()> {
    functions::run(workspace, &[])?;
    say("building the bench in the release profile; the first time this takes many minutes");
    let mut program = workspace.cargo();
    program.args(["build", "--release", "--quiet", "--package", RUNTIME, "--bin", RUNTIME]);
    command::run(&mut program)?;
    // All in one file: a container has no libraries.
    let mut native = workspace.cargo();
    native.args(["rustc", "--release", "--quiet", "--package", "suite", "--bin", NATIVE]);
    command::run(native.args(["--", "-C", "target-feature=+crt-static"]))?;
    // A relative file counts from where the user is.
    let bench = workspace.target.join("release").join(RUNTIME);
    let mut bench =
        std::process::Command::new(bench.with_extension(std::env::consts::EXE_EXTENSION));
    command::run(bench.args(args))
}
