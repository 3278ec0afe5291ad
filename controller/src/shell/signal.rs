//! SIGINT and SIGTERM, and the end of the parent.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for a request to stop.
#[derive(Debug)]
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the operating system refuses a handler.
    pub fn listen() -> io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    /// Returns when either signal comes. Cancel safe.
    pub async fn told(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Ends this process with SIGTERM when its parent, whose id is given, ends, also when the parent is killed.
///
/// The id has to be told: an orphan's parent is process 1, but so is the demo's child's in a container.
///
/// # Errors
/// When the operating system refuses.
pub fn exit_with_parent(parent: i32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    let lives = rustix::process::getppid().is_some_and(|pid| pid.as_raw_nonzero().get() == parent);
    // The parent may have ended before the request: then nobody would ever tell.
    if !lives {
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM)?;
    }
    Ok(())
}
