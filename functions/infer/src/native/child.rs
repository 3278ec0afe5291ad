//! The process of a program: started, asked, and killed at the first broken rule.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::message::{Answer, Hello, Job, PROTOCOL, Signature, shortened};
use super::{Config, GRACE, HELLO_TIME_MAX, JOB_BYTES_MAX, socket};
use crate::backend::Failure;
use crate::safetensors;
use crate::tensor::Tensor;

/// How long the end of a process is waited for once its socket is closed: for its reason, which nothing but a message needs.
const END_TIME_MAX: Duration = Duration::from_millis(500);

/// A program that runs. Dropping kills it.
#[derive(Debug)]
pub(super) struct Child {
    name: String,
    process: u32,
    handle: OwnedFd,
    thread: Option<JoinHandle<()>>,
    ended: Arc<Ended>,
    /// One job at a time, whatever the queue lets through.
    socket: Mutex<OwnedFd>,
    jobs: AtomicU64,
    device: String,
    signature: Arc<Signature>,
}

/// Why the process is no more, once it is.
#[derive(Debug, Default)]
struct Ended(Mutex<Option<String>>, Condvar);

impl Child {
    /// Starts a program and waits for its hello.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(super) fn start(name: &str, config: &Config) -> Result<Self, String> {
        let failed = |error: io::Error| format!("{name} does not start: {error}");
        let (ours, theirs) = socket::pair().map_err(failed)?;
        let (process, handle, thread, ended) = spawn(command(config, theirs)).map_err(failed)?;
        let limits = (config.confine)(process);
        let signature = Arc::new(Signature { inputs: Vec::new(), outputs: Vec::new() });
        let (name, jobs) = (name.to_owned(), AtomicU64::new(0));
        let socket = Mutex::new(ours);
        let thread = Some(thread);
        let mut child = Self {
            name,
            process,
            handle,
            thread,
            ended,
            socket,
            jobs,
            device: String::new(),
            signature,
        };
        let (device, signature) = child.hello().map_err(|error| child.broken(&error))?;
        child.device = format!("{device}; {limits}");
        child.signature = Arc::new(signature);
        Ok(child)
    }

    fn hello(&mut self) -> io::Result<(String, Signature)> {
        let socket = self.socket.get_mut().unwrap_or_else(PoisonError::into_inner);
        let (packet, _) = socket::receive(socket, Instant::now() + HELLO_TIME_MAX)?;
        let hello: Hello = parsed(&packet, "hello")?;
        hello.checked().map_err(|rule| io::Error::new(io::ErrorKind::InvalidData, rule))
    }

    /// Its id; it may have ended.
    pub(super) fn process(&self) -> Option<u32> {
        self.end(Duration::ZERO).is_none().then_some(self.process)
    }

    pub(super) fn device(&self) -> &str {
        &self.device
    }

    pub(super) fn signature(&self) -> &Arc<Signature> {
        &self.signature
    }

    /// Runs one job, waiting for it until the deadline and a little longer.
    pub(super) fn run(
        &self,
        inputs: &[&Tensor],
        deadline: Instant,
    ) -> Result<Vec<Tensor>, Failure> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = safetensors::encode(inputs);
        if JOB_BYTES_MAX < bytes.len() {
            let (name, bytes) = (&self.name, bytes.len());
            let text = format!(
                "{name} takes at most {JOB_BYTES_MAX} bytes of inputs, not {bytes}: send parts"
            );
            return Err(Failure::Refused(text));
        }
        let memory = socket::sealed(&bytes);
        let memory =
            memory.map_err(|error| Failure::Refused(format!("no memory for inputs: {error}")))?;
        let id = self.jobs.fetch_add(1, Ordering::Relaxed);
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Failure::Deadline);
        }
        let deadline_us = u64::try_from(left.as_micros()).unwrap_or(u64::MAX);
        let job = Job { id, deadline_us, bytes: bytes.len() };
        let (answer, memory) =
            self.ask(&socket, &job, &memory, deadline).map_err(|error| self.lost(&error))?;
        let Answer { ok, error, lost, .. } = answer;
        let text = error.map(|text| format!("{} says: {}", self.name, shortened(&text)));
        let is_late = deadline <= Instant::now();
        match (ok, text, memory) {
            (false, Some(text), None) if lost => {
                self.kill();
                Err(Failure::Lost(text))
            }
            _ if is_late => Err(Failure::Deadline),
            (false, Some(text), None) => Err(Failure::Refused(text)),
            (true, None, Some(memory)) if !lost => {
                let outputs =
                    socket::read(&memory, JOB_BYTES_MAX).and_then(|bytes| self.outputs(&bytes));
                outputs.map_err(|error| self.lost(&error))
            }
            _ => Err(self.lost(&invalid("it answers neither ok with memory nor an error without"))),
        }
    }

    fn ask(
        &self,
        socket: &OwnedFd,
        job: &Job,
        memory: &std::fs::File,
        deadline: Instant,
    ) -> io::Result<(Answer, Option<std::fs::File>)> {
        socket::send(socket, &serde_json::to_vec(job)?, memory)?;
        let (packet, memory) = socket::receive(socket, deadline + GRACE)?;
        let answer: Answer = parsed(&packet, "answer")?;
        if answer.id != job.id {
            return Err(invalid(format!("it answers job {}, but {} was asked", answer.id, job.id)));
        }
        Ok((answer, memory))
    }

    fn outputs(&self, bytes: &[u8]) -> io::Result<Vec<Tensor>> {
        let tensors = safetensors::decode(bytes).map_err(invalid)?;
        self.signature.outputs(tensors).map_err(invalid)
    }

    fn lost(&self, error: &io::Error) -> Failure {
        Failure::Lost(self.broken(error))
    }

    /// Ends the process; says why.
    fn broken(&self, error: &io::Error) -> String {
        let name = &self.name;
        let end = match error.kind() {
            // It may just be about to end, of itself.
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset => self.end(END_TIME_MAX),
            _ => None,
        };
        self.kill();
        match (error.kind(), end) {
            (_, Some(end)) => format!("{name} has ended: {end}"),
            (io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe, None) => {
                format!("{name} was killed: it closed its socket")
            }
            (io::ErrorKind::TimedOut, None) => {
                format!("{name} was killed: it did not answer in time")
            }
            (_, None) => format!("{name} was killed: {error}"),
        }
    }

    /// Why it is no more; waits at most so long for it to be.
    fn end(&self, patience: Duration) -> Option<String> {
        let Ended(reason, changed) = self.ended.as_ref();
        let reason = reason.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(reason, patience, |reason| reason.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    fn kill(&self) {
        // It can only be gone already.
        pidfd_send_signal(&self.handle, Signal::KILL).unwrap_or_default();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

fn command(config: &Config, socket: OwnedFd) -> Command {
    let (launcher, arguments) = &config.launcher;
    let mut command = Command::new(launcher);
    command.args(arguments).arg(std::process::id().to_string());
    command.arg(&config.program).args(&config.arguments);
    command.env_clear().envs(config.environment.iter().map(|(key, value)| (key, value)));
    command.env("STARBELT_NATIVE_PROTOCOL", PROTOCOL.to_string()).env("STARBELT_SOCKET_FD", "0");
    // What it prints has no bound; what it has to say to people goes to standard error, as that of the agent.
    command.current_dir("/").stdin(Stdio::from(socket)).stdout(Stdio::null());
    command
}

type Spawned = (u32, OwnedFd, JoinHandle<()>, Arc<Ended>);

/// Starts a process on a thread that then waits for its end: it dies with the thread that started it, so that must live as long.
fn spawn(mut command: Command) -> io::Result<Spawned> {
    let ended = Arc::new(Ended::default());
    let tell_end = Arc::clone(&ended);
    let (tell, told) = mpsc::sync_channel(1);
    let wait = move || {
        let spawned = command.spawn();
        // Its copy of the socket would keep us from noticing that the program is gone.
        drop(command);
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => return drop(tell.send(Err(error))),
        };
        // Nobody else waits for it, so that the id is its own here.
        let handle = Pid::from_raw(child.id().cast_signed()).ok_or(rustix::io::Errno::SRCH);
        let handle = handle.and_then(|id| pidfd_open(id, PidfdFlags::empty()));
        if handle.is_err() {
            drop(child.kill());
        }
        drop(tell.send(handle.map(|handle| (child.id(), handle)).map_err(io::Error::from)));
        let reason =
            child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        *tell_end.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        tell_end.1.notify_all();
    };
    let thread = thread::Builder::new().name("native".to_owned()).spawn(wait)?;
    let (process, handle) = told.recv().map_err(io::Error::other)??;
    Ok((process, handle, thread, ended))
}

fn parsed<T: serde::de::DeserializeOwned>(packet: &[u8], what: &str) -> io::Result<T> {
    let wrong = |error: serde_json::Error| {
        invalid(format!("its {what} is not as the protocol says: {error}"))
    };
    serde_json::from_slice(packet).map_err(wrong)
}

fn invalid(rule: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, rule)
}
