//! What the machine itself takes to start and end a process, plain and with the namespaces of a container. Measured in a process of its
//! own, which has one thread and little memory: forking copies both.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::measure::nanos;

/// Processes that one run starts.
const TIMES: usize = 20;
/// The namespaces of a container: mounts, processes, network, System V, host name.
const NAMESPACES: libc::c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS;

/// How a process is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// As a copy.
    Fork,
    /// As a copy in five new namespaces.
    Namespaces,
}

/// Starts the process that measures; its nanoseconds, one for each try.
///
/// # Errors
/// With what it said.
pub(crate) fn measure(kind: Kind) -> Result<Vec<f64>> {
    let name = match kind {
        Kind::Fork => "fork",
        Kind::Namespaces => "namespaces",
    };
    let output = Command::new(std::env::current_exe()?).args(["floor", name]).output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim().trim_start_matches("error: "));
    }
    let text = String::from_utf8(output.stdout)?;
    text.lines().map(|line| Ok(line.parse()?)).collect()
}

/// Measures in this process.
///
/// # Errors
/// When the system refuses.
pub(crate) fn run_here(kind: Kind) -> Result<()> {
    let flags = match kind {
        Kind::Fork => 0,
        Kind::Namespaces => NAMESPACES,
    };
    let mut text = String::new();
    for _ in 0..=TIMES {
        let started = Instant::now();
        start_and_end(flags)?;
        writeln!(text, "{}", nanos(started.elapsed()))?;
    }
    // The first try pays for what all later ones share.
    let (_, counted) = text.split_once('\n').unwrap_or_default();
    Ok(std::io::stdout().write_all(counted.as_bytes())?)
}

/// A copy of this process that ends at once.
fn start_and_end(flags: libc::c_int) -> Result<()> {
    let flags = libc::c_long::from(flags | libc::SIGCHLD);
    #[expect(unsafe_code, reason = "copying a process has no safe form")]
    // SAFETY: no stack is given, so that this is a fork; this process has one thread, and the copy does nothing but end.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) };
    if pid == 0 {
        #[expect(unsafe_code, reason = "as above")]
        // SAFETY: it ends the copy without running anything of the original's.
        unsafe {
            libc::_exit(0);
        }
    }
    if pid < 0 {
        bail!("the system starts no such process: {}", std::io::Error::last_os_error());
    }
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::waitpid(pid, rustix::process::WaitOptions::empty())?;
    Ok(())
}
