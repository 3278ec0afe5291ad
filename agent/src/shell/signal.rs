//! How the process is told to end.

use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use tokio::signal::unix::{self, SignalKind};

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl Signals {
    /// Takes them from now on.
    ///
    /// # Errors
    /// What the system says when they cannot be taken.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next of them.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Asks for SIGTERM when the thread that started this process ends, so that nothing is left behind when a bed is
/// killed. Says whether the parent, whose id is given, lives: it may have ended before the kernel knew.
///
/// The id has to be told: an orphan's parent is process 1, but so is the demo's child's in a container.
///
/// # Errors
/// What the system says.
pub fn end_with_parent(parent: i32) -> std::io::Result<bool> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    Ok(getppid().is_some_and(|pid| pid.as_raw_nonzero().get() == parent))
}
