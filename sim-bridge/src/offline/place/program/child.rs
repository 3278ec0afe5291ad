//! The process of a program: lines in, lines out, and a sure end.
//!
//! Two threads move the lines, so that whoever waits for an answer waits no longer than it wants to, whatever the program does. A child leads a
//! process group of its own, which is killed as a whole: what a wrapper has started ends with it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{self, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::Program;
use super::fault::{Fault, Shown};

/// Longest line of a program: a thousand hand-overs fit.
pub const LINE_BYTES_MAX: usize = 64 << 10;
/// Lines that may wait in each direction: one that is under way, and one more.
const WAITING_MAX: usize = 2;
/// For how long a program may tidy up once its input has ended.
const GRACE: Duration = Duration::from_secs(2);

/// All children that live, to be killed when somebody ends this process.
static LIVING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// A program that runs.
#[derive(Debug)]
pub struct Child {
    process: process::Child,
    /// `None` once nothing more will be said to it.
    to: Option<SyncSender<Vec<u8>>>,
    from: Receiver<Said>,
    has_failed: bool,
}

/// What came from a program.
#[derive(Debug)]
enum Said {
    Line(Vec<u8>),
    TooLong(Vec<u8>),
}

impl Child {
    /// Starts a program; its stderr is ours.
    ///
    /// # Errors
    /// [`Fault::Start`].
    ///
    /// # Panics
    /// Never: it is started with both pipes.
    pub fn start(program: &Program) -> Result<Self, Fault> {
        let fault = |source| Fault::Start { command: program.command().to_owned(), source };
        let mut command = Command::new(program.command());
        command.args(program.arguments()).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut process = command.spawn().map_err(fault)?;
        living().insert(process.id());
        let stdin = process.stdin.take().expect("it is piped");
        let stdout = process.stdout.take().expect("it is piped");
        let (to, ours) = sync_channel(WAITING_MAX);
        let (theirs, from) = sync_channel(WAITING_MAX);
        let child = Self { process, to: Some(to), from, has_failed: false };
        let thread = |name: &str| thread::Builder::new().name(name.to_owned());
        thread("policy-in").spawn(move || write(stdin, &ours)).map_err(fault)?;
        thread("policy-out").spawn(move || read(stdout, &theirs)).map_err(fault)?;
        Ok(child)
    }

    /// Says a line, which must have its end.
    ///
    /// # Errors
    /// [`Fault::Unread`] where those before have not been read. That it has ended shows when an answer is waited for.
    pub fn say(&mut self, line: Vec<u8>) -> Result<(), Fault> {
        match self.to.as_ref().map(|to| to.try_send(line)) {
            Some(Err(TrySendError::Full(_))) => self.fail(Fault::Unread),
            _ => Ok(()),
        }
    }

    /// The next line that it says until a moment, without its end. `limit_s` is for the text of the error.
    ///
    /// # Errors
    /// That it ended, said nothing or said too much; then it is killed.
    pub fn hear(&mut self, until: Instant, limit_s: u64) -> Result<Vec<u8>, Fault> {
        let left = until.saturating_duration_since(Instant::now());
        match self.from.recv_timeout(left) {
            Ok(Said::Line(line)) => Ok(line),
            Ok(Said::TooLong(start)) => self.fail(Fault::TooLong(Shown(start))),
            Err(RecvTimeoutError::Timeout) => self.fail(Fault::Silent(limit_s)),
            Err(RecvTimeoutError::Disconnected) => {
                let ended = self.end();
                // What had ended by itself is not told otherwise by a signal that came after.
                let is_ours =
                    ended.is_some_and(|status| status.signal() == Some(Signal::KILL.as_raw()));
                self.fail(ended.filter(|_| !is_ours).map_or(Fault::Closed, Fault::Ended))
            }
        }
    }

    /// Remembers that it is broken: it is not waited for at its end.
    fn fail<T>(&mut self, fault: Fault) -> Result<T, Fault> {
        self.has_failed = true;
        Err(fault)
    }

    /// Ends it, if it has not ended, and says how it did.
    fn end(&mut self) -> Option<ExitStatus> {
        let id = self.process.id();
        // Until it has been waited for its number is nobody else's.
        if living().remove(&id) {
            kill(id);
        }
        self.process.wait().ok()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.to = None;
        let until = Instant::now() + GRACE;
        let left = || until.saturating_duration_since(Instant::now());
        while !self.has_failed && self.from.recv_timeout(left()).is_ok() {}
        self.end();
    }
}

/// Kills all children and what they have started: for whoever ends this process in the middle of a run.
pub fn kill_all() {
    living().iter().copied().for_each(kill);
}

fn living() -> MutexGuard<'static, BTreeSet<u32>> {
    LIVING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kill(id: u32) {
    let group = i32::try_from(id).ok().and_then(Pid::from_raw);
    // It may have ended already.
    group.map(|group| kill_process_group(group, Signal::KILL).ok());
}

/// Writes what is to be said until there is nothing more, or nobody to read it; then the input of the program ends.
fn write(mut stdin: ChildStdin, lines: &Receiver<Vec<u8>>) {
    while let Ok(line) = lines.recv()
        && stdin.write_all(&line).is_ok()
    {}
}

/// Reads lines until there are no more, or one is too long.
fn read(stdout: ChildStdout, to: &SyncSender<Said>) {
    let most = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut stdout = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        match stdout.by_ref().take(most + 1).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let has_end = line.last() == Some(&b'\n');
        if has_end {
            line.pop();
        }
        let is_too_long = LINE_BYTES_MAX < line.len();
        let said = if is_too_long { Said::TooLong(line) } else { Said::Line(line) };
        if to.send(said).is_err() || is_too_long {
            return;
        }
    }
}
