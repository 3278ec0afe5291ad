//! Peak memory: of a process of its own, in which nothing runs but the engine.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use orbit::elements::Elements;
use orbit::link::ProtocolKind;
use orbit::station::Station;

use super::engine::Start;
use super::rows::BenchError;
use crate::offline::watch::NoWatch;

/// Steps of the process: buffers have their size after the second one.
const STEPS: u32 = 10;

/// Runs the engine in this process and answers the most memory that the process ever held, bytes.
///
/// # Errors
/// When the engine fails, or the system does not tell it.
pub fn run_here(
    elements: &Arc<[Elements]>,
    stations: &[Station],
    links: ProtocolKind,
) -> Result<u64, BenchError> {
    if let Some(at) = orbit::catalog::newest_epoch(elements) {
        let mut simulation = Start { elements, stations, at, links }.simulation()?;
        for _ in 0..STEPS {
            std::hint::black_box(simulation.step(&mut NoWatch)?);
        }
    }
    let what = "the memory of the engine".to_owned();
    peak_bytes().map_err(|source| BenchError::Io { what, source })
}

/// Starts that process on a file of element sets and answers what it answers.
///
/// # Errors
/// When it cannot be started or fails, with what it said.
pub fn run_apart(tle: &Path, links: &str) -> io::Result<u64> {
    let program = std::env::current_exe()?;
    let mut command = Command::new(program);
    command.args(["bench", "--one", "memory", "--links", links, "--tle"]).arg(tle);
    let output = command.output()?;
    let answer = String::from_utf8_lossy(&output.stdout);
    match answer.trim().parse() {
        Ok(bytes) if output.status.success() => Ok(bytes),
        _ => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(io::Error::other(format!("the process of the engine failed: {}", said.trim())))
        }
    }
}

/// The most memory that this process ever held, bytes.
fn peak_bytes() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    high_water_bytes(&status)
        .ok_or_else(|| io::Error::other("/proc/self/status has no line VmHWM with a number of kB"))
}

fn high_water_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_read_from_the_systems_words() {
        let status = "Name:\tx\nVmPeak:\t  999 kB\nVmHWM:\t  76284 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(high_water_bytes(status), Some(76_284 * 1024));
        assert_eq!(high_water_bytes("VmRSS:\t 1 kB\n"), None);
        assert!(1 << 20 < peak_bytes().unwrap());
    }
}
