//! `fuzz`: feeds arbitrary bytes to what reads bytes of others, until the time is over or something breaks.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::command::{self, print, say};
use crate::workspace::Workspace;

/// The targets: programs of the package `fuzz` are called `fuzz-` and this.
const TARGETS: [&str; 7] = ["frames", "manifest", "module", "mqtt", "segment", "serial", "table"];
/// How long each runs unless told otherwise, seconds.
const SECONDS: u64 = 60;
/// A day; more is a mistake.
const SECONDS_MAX: u64 = 86_400;
/// What one may take beyond its time: the input at hand, and the report.
const GRACE: Duration = Duration::from_mins(2);
/// Longest input, bytes: larger ones are slower and find the same.
const INPUT_BYTES_MAX: u32 = 16 * 1024;
/// An input that takes longer is a finding, seconds: the longest that is right takes milliseconds.
const INPUT_SECONDS_MAX: u32 = 10;
/// Memory of a target, MiB: with its tables it takes 100.
const MEMORY_MIB_MAX: u32 = 1_024;
/// How lines of libFuzzer begin that tell what happened.
const TELLING: [&str; 5] = ["thread '", "==", "SUMMARY:", "assertion", "bytes took"];
/// Most such lines of one target.
const TELLING_MAX: usize = 12;

/// The flags with which code tells libFuzzer where it has been and what it compared: those of cargo-fuzz, without the
/// sanitizer of addresses, since what is fuzzed is safe code.
const FLAGS: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "--cfg=fuzzing",
];

/// What to run.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    targets: Vec<&'static str>,
    seconds: u64,
    /// One input to repeat instead.
    input: Option<PathBuf>,
}

impl Plan {
    fn parse(args: &[String]) -> Result<Self> {
        let mut plan = Self { targets: Vec::new(), seconds: SECONDS, input: None };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--seconds" => {
                    let text = value()?;
                    let seconds = text.parse().ok().filter(|n| (1..=SECONDS_MAX).contains(n));
                    plan.seconds = seconds
                        .with_context(|| format!("--seconds {text}: not 1 to {SECONDS_MAX}"))?;
                }
                "--input" => plan.input = Some(PathBuf::from(value()?)),
                name => {
                    let target = TARGETS.into_iter().find(|target| *target == name);
                    let names = || format!("fuzz has no target {name}: {}", TARGETS.join(", "));
                    plan.targets.push(target.with_context(names)?);
                }
            }
        }
        if plan.targets.is_empty() {
            plan.targets = TARGETS.to_vec();
        }
        if plan.input.is_some() && plan.targets.len() != 1 {
            bail!("--input repeats one input of one target: fuzz TARGET --input FILE");
        }
        Ok(plan)
    }
}

/// Runs targets, all unless some are named, side by side: `[TARGET] [--seconds N] [--input FILE]`.
///
/// # Errors
/// When there is no C++ compiler, nothing builds, or something was found; then what, and how to repeat it.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let plan = Plan::parse(args)?;
    let programs = build(workspace)?;
    if let Some(input) = &plan.input {
        let input = fs::canonicalize(input).with_context(|| input.display().to_string())?;
        let program = programs.join(format!("fuzz-{}", plan.targets[0]));
        return command::run(Command::new(program).arg(input));
    }
    say(&format!("fuzz: {} for {} s each", plan.targets.join(", "), plan.seconds));
    let mut runs = Vec::new();
    for target in &plan.targets {
        runs.push(Run::start(workspace, &programs, target, plan.seconds)?);
    }
    let mut findings = Vec::new();
    for run in runs {
        let (target, found) = (run.target, run.finish(Duration::from_secs(plan.seconds) + GRACE)?);
        findings.extend(found.then_some(target));
    }
    match findings.as_slice() {
        [] => Ok(()),
        names => bail!("fuzzing found something in: {}", names.join(", ")),
    }
}

/// Builds the targets; answers the folder that they lie in.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    if std::env::var_os("CXX").is_none() && !command::is_installed("c++") {
        bail!("no C++ compiler, which libFuzzer needs (Debian, Ubuntu: apt-get install g++)");
    }
    let host = workspace.host()?;
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--quiet", "--package", "fuzz", "--features", "libfuzzer", "--bins"]);
    // Said even for this machine, so that the flags do not go to build scripts and macros.
    cargo.args(["--target", &host]).env_remove("RUSTFLAGS");
    cargo.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
    command::run(&mut cargo)?;
    Ok(workspace.target.join(host).join("debug"))
}

/// A target that runs.
struct Run {
    target: &'static str,
    folder: PathBuf,
    /// What earlier runs had found.
    known: BTreeSet<PathBuf>,
    child: Child,
}

impl Run {
    fn start(
        workspace: &Workspace,
        programs: &Path,
        target: &'static str,
        seconds: u64,
    ) -> Result<Self> {
        let folder = workspace.target.join("fuzz").join(target);
        let (corpus, seeds) = (folder.join("corpus"), folder.join("seeds"));
        for part in [&corpus, &seeds, &folder.join("found")] {
            fs::create_dir_all(part)?;
        }
        write_seeds(workspace, target, &seeds)?;
        let log = File::create(folder.join("log")).context("cannot write the log")?;
        let mut program = Command::new(programs.join(format!("fuzz-{target}")));
        program.current_dir(&folder).args([&corpus, &seeds]);
        program.arg(format!("-max_total_time={seconds}"));
        program.arg(format!("-max_len={INPUT_BYTES_MAX}"));
        program.arg(format!("-timeout={INPUT_SECONDS_MAX}"));
        program.arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"));
        program.args(["-print_final_stats=1", "-artifact_prefix=found/"]);
        program.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let known = found(&folder)?;
        let child = program.spawn().with_context(|| format!("cannot start fuzz-{target}"))?;
        Ok(Self { target, folder, known, child })
    }

    /// Waits for it; answers whether it found something, and says what it did.
    fn finish(mut self, limit: Duration) -> Result<bool> {
        let status = command::wait_within(&mut self.child, limit)?;
        let log = fs::read(self.folder.join("log")).context("cannot read the log")?;
        let log = String::from_utf8_lossy(&log);
        let target = self.target;
        if status.is_some_and(|status| status.success()) {
            let count = executions(&log).context("libFuzzer did not say how much it ran")?;
            print(&format!("fuzz {target}: {count} inputs, nothing found\n"))?;
            return Ok(false);
        }
        let telling =
            |line: &&str| TELLING.iter().any(|start| line.trim_start().starts_with(start));
        for line in log.lines().filter(telling).take(TELLING_MAX) {
            say(line);
        }
        if status.is_none() {
            say(&format!("fuzz {target}: it did not end in time"));
        }
        for input in found(&self.folder)?.difference(&self.known) {
            say(&format!("to repeat: cargo xtask fuzz {target} --input {}", input.display()));
        }
        say(&format!(
            "fuzz {target}: all that it said is in {}",
            self.folder.join("log").display()
        ));
        Ok(true)
    }
}

/// The inputs that a target has found.
fn found(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let entries = fs::read_dir(folder.join("found")).context("cannot list what was found")?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// Where a target starts: frames from the golden files of the wire, and what is committed for it.
fn write_seeds(workspace: &Workspace, target: &str, to: &Path) -> Result<()> {
    if matches!(target, "frames" | "manifest") {
        let golden = workspace.path("crates/protocol/tests/golden");
        for entry in fs::read_dir(golden)? {
            let path = entry?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path)?;
            // A file of variants has a frame in each line, others have one in all.
            let frames = match name.ends_with("_variants") {
                true => text.lines().collect(),
                false => vec![text.as_str()],
            };
            for (number, frame) in frames.into_iter().enumerate() {
                fs::write(to.join(format!("{name}-{number}")), bytes_of(frame))?;
            }
        }
    }
    let committed = workspace.path("cross/fuzz/seeds").join(target);
    if committed.is_dir() {
        for entry in fs::read_dir(committed)? {
            let path = entry?.path();
            fs::copy(&path, to.join(path.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}

/// The bytes that hexadecimal digits write.
fn bytes_of(digits: &str) -> Vec<u8> {
    let digits: Vec<u32> = digits.chars().filter_map(|digit| digit.to_digit(16)).collect();
    let byte = |pair: &[u32]| u8::try_from(pair.iter().fold(0, |sum, digit| sum * 16 + digit)).ok();
    digits.chunks_exact(2).filter_map(byte).collect()
}

/// How many inputs libFuzzer says that it ran.
fn executions(log: &str) -> Option<u64> {
    let line = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Plan> {
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        Plan::parse(&words)
    }

    #[test]
    fn targets_times_and_inputs_are_read() {
        let all = parse("").unwrap();
        assert_eq!((all.targets.as_slice(), all.seconds), (TARGETS.as_slice(), SECONDS));
        let one = parse("module --seconds 600").unwrap();
        assert_eq!((one.targets.as_slice(), one.seconds), (["module"].as_slice(), 600));
        assert_eq!(parse("module --input x").unwrap().input, Some(PathBuf::from("x")));
        for wrong in ["modules", "--seconds", "--seconds 0", "--seconds x", "--input x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_count_of_inputs_is_read() {
        let log = "#2 INITED\nstat::number_of_executed_units: 12345\nstat::peak_rss_mb: 50\n";
        assert_eq!(executions(log), Some(12_345));
        assert_eq!(executions("Done 12345 runs"), None);
    }

    #[test]
    fn digits_become_bytes() {
        assert_eq!(bytes_of("011cff"), [1, 28, 255]);
        assert_eq!(bytes_of(""), Vec::<u8>::new());
    }
}
