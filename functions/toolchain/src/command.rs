//! Starts other programs and turns what goes wrong into one line.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How often a program with a deadline is asked whether it ended.
const POLL: Duration = Duration::from_millis(20);

/// Writes a line to stderr, where progress belongs; a closed stderr is not worth an error.
pub fn say(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}

/// Writes text to stdout, where results belong.
///
/// # Errors
/// When stdout is closed.
pub fn print(text: &str) -> Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes()).context("cannot write to stdout")
}

/// The program and its arguments as one would type them.
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or_else(|| command.get_program());
    std::iter::once(name)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs a program with this one's stdin, stdout and stderr.
///
/// # Errors
/// When it is not installed or fails.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| not_started(command))?;
    check(command, status)
}

/// Runs a program and returns what it printed to stdout.
///
/// # Errors
/// When it is not installed or fails; then with the line of stderr that tells why.
pub fn output(command: &mut Command) -> Result<String> {
    let answer = quietly(command)?;
    if answer.status.success() {
        return Ok(String::from_utf8_lossy(&answer.stdout).into_owned());
    }
    bail!("`{}` failed: {}", shown(command), reason_of(&answer))
}

/// Runs a program and returns its status and what it printed.
///
/// # Errors
/// When it is not installed.
pub fn quietly(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).output().with_context(|| not_started(command))
}

/// Runs a program silently and ends it when it takes longer than `limit`.
///
/// # Errors
/// When it is not installed, fails, or takes too long.
pub fn run_within(command: &mut Command, limit: Duration) -> Result<()> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| not_started(command))?;
    let stderr = child.stderr.take();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        if let Some(mut stderr) = stderr {
            drop(stderr.read_to_string(&mut text));
        }
        text
    });
    let status = wait_within(&mut child, limit)?;
    let said = reader.join().unwrap_or_default();
    match status {
        Some(status) if status.success() => Ok(()),
        Some(_) => bail!("`{}` failed: {}", shown(command), reason(&said)),
        None => bail!("`{}` took longer than {} s", shown(command), limit.as_secs()),
    }
}

/// Whether a program can be started from the search path.
pub fn is_installed(program: &str) -> bool {
    let Some(path) = std::env::var_os("PATH") else { return false };
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The cargo that runs this, or the one from the search path.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Waits for a program, and ends it when it takes longer than `limit`: then `None`.
///
/// # Errors
/// When the system cannot say how it is.
pub fn wait_within(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if limit <= start.elapsed() {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(POLL);
    }
}

fn check(command: &Command, status: ExitStatus) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    bail!("`{}` failed ({status})", shown(command))
}

fn not_started(command: &Command) -> String {
    format!("cannot start `{}`: is it installed?", Path::new(command.get_program()).display())
}

fn reason_of(answer: &Output) -> String {
    reason(&String::from_utf8_lossy(&answer.stderr))
}

/// How lines start that tell why: cargo's and rustup's, git's, apt's.
const REASONS: [&str; 4] = ["error", "fatal: ", "E: ", "W: "];

/// The line that tells why a program failed: the first that calls itself an error, else the last.
pub fn reason(text: &str) -> String {
    let is_error = |line: &&str| REASONS.iter().any(|mark| line.starts_with(mark));
    let last = || text.lines().rev().find(|line| !line.trim().is_empty());
    let line = text.lines().map(str::trim).find(is_error).or_else(last);
    line.unwrap_or("it said nothing").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_failure_is_its_error_or_its_last_line() {
        let rustup = "info: downloading\nerror: could not download file\nstack:\n 15: unknown\n";
        assert_eq!(reason(rustup), "error: could not download file");
        let git = "fatal: detected dubious ownership in repository at 'x'\nTo add an exception:\n";
        assert_eq!(reason(git), "fatal: detected dubious ownership in repository at 'x'");
        assert_eq!(reason("one\ntwo\n\n"), "two");
        assert_eq!(reason(""), "it said nothing");
    }

    #[test]
    fn a_command_is_shown_as_typed() {
        assert_eq!(shown(Command::new("a/b/cargo").args(["fmt", "--check"])), "cargo fmt --check");
    }

    #[test]
    fn what_takes_too_long_is_ended() {
        let error = run_within(Command::new("sleep").arg("60"), Duration::from_millis(50));
        assert_eq!(error.unwrap_err().to_string(), "`sleep 60` took longer than 0 s");
    }
}
