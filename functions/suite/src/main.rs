//! `suite-native NAME`: a function of the suite as a process: its body from stdin, its answer to stdout. What a container or a
//! plain process runs in the bench. With `--peak`, the most memory that it held, in bytes, to stderr.

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let name = args.next().ok_or("usage: suite-native NAME [--peak] < BODY")?;
    let entry = suite::find(&name).ok_or_else(|| format!("no function {name:?}"))?;
    let mut body = Vec::new();
    io::stdin().lock().read_to_end(&mut body)?;
    let answer = (entry.run)(&body)?;
    io::stdout().lock().write_all(&answer)?;
    if args.next().is_some_and(|option| option == "--peak") {
        writeln!(io::stderr(), "{}", peak_bytes()?)?;
    }
    Ok(())
}

/// The most memory that this process ever held.
fn peak_bytes() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("no VmHWM in /proc/self/status"))
}
