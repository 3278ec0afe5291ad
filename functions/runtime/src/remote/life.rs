//! The life of a runner's process: started by a thread of its own, which then waits for its end and keeps the reason.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::config::RunnerProgram;

/// A process, and the thread that waits for it. Dropping ends both.
#[derive(Debug)]
pub(super) struct Life {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The process, as long as its id is its own.
    process: Option<Pid>,
    /// Why it is no more.
    reason: Option<String>,
}

impl Life {
    /// Starts a runner whose standard input is `control`.
    ///
    /// It is told to die with the thread that started it, so that thread must live as long as it does: it is not the caller's.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn start(program: &RunnerProgram, control: OwnedFd) -> io::Result<Self> {
        let mut command = Command::new(&program.program);
        command.args(&program.arguments).env_clear().stdin(Stdio::from(control));
        command.stdout(Stdio::null());
        let shared = Arc::new(Shared::default());
        let (started, is_started) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("runner".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || {
                let spawned = command.spawn();
                // Its copy of the control socket would keep the runner from noticing that we are gone.
                drop(command);
                match spawned {
                    Ok(child) => {
                        shared.lock().process = pid_of(&child);
                        drop(started.send(Ok(())));
                        shared.wait_for(child);
                    }
                    Err(error) => drop(started.send(Err(error))),
                }
            }
        })?;
        let life = Self { shared, thread: Some(thread) };
        is_started.recv().map_err(io::Error::other)??;
        Ok(life)
    }

    /// Its id, while it lives.
    pub(super) fn process(&self) -> Option<u32> {
        let process = self.shared.lock().process?;
        Some(process.as_raw_nonzero().get().cast_unsigned())
    }

    /// Why it is no more; waits at most so long for it to be.
    pub(super) fn reason(&self, patience: Duration) -> Option<String> {
        let alive = |state: &mut State| state.reason.is_none();
        let state = self.shared.lock();
        let waited = self.shared.ended.wait_timeout_while(state, patience, alive);
        waited.unwrap_or_else(PoisonError::into_inner).0.reason.clone()
    }

    /// Ends it.
    pub(super) fn kill(&self) {
        let state = self.shared.lock();
        if let Some(process) = state.process {
            // It can only be gone already.
            kill_process(process, Signal::KILL).unwrap_or_default();
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.kill();
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Shared {
    /// The state stays whole when a holder panics, since each changes it in one step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for(&self, mut child: Child) {
        if let Some(process) = pid_of(&child) {
            // Without taking it away: as long as it is there its id is not given to another.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while matches!(waitid(WaitId::Pid(process), options), Err(rustix::io::Errno::INTR)) {}
        }
        let mut state = self.lock();
        state.process = None;
        state.reason = Some(match child.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        });
        drop(state);
        self.ended.notify_all();
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    Pid::from_raw(child.id().cast_signed())
}
