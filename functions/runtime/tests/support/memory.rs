//! How far the memory of this process rises while something is done: a row of the table of measurements, and a bound in tests.

use std::fs;
use std::io;

/// Forgets the peak of this process (`/proc/<pid>/clear_refs`).
const FORGET_PEAK: &str = "5";

/// Bytes by which resident memory rose at its peak, over what there was before, and what `work` gave.
///
/// # Errors
/// Where the kernel does not keep count.
pub(crate) fn peak_rise<R>(work: impl FnOnce() -> R) -> io::Result<(u64, R)> {
    fs::write("/proc/self/clear_refs", FORGET_PEAK)?;
    let before = status_bytes("VmRSS:")?;
    let done = work();
    Ok((status_bytes("VmHWM:")?.saturating_sub(before), done))
}

/// Bytes of resident memory.
///
/// # Errors
/// Where the kernel does not keep count.
pub(crate) fn resident() -> io::Result<u64> {
    status_bytes("VmRSS:")
}

/// A line of `/proc/self/status`, such as `VmRSS:      1234 kB`.
fn status_bytes(name: &str) -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    Ok(kib.ok_or(io::ErrorKind::NotFound)? * 1024)
}
