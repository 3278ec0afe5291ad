//! A runner as the agent sees it: its control socket, its idle lanes, and one conversation for each call.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::RemoteFunction;
use super::cgroup::{GroupLimits, join_group};
use super::frame::{Beside, Came, Lane};
use super::host::{Callees, answer};
use super::life::Life;
use super::message::{Call, End, FromRunner, Ready, Setup, TakeLane, ToRunner};
use crate::config::RunnerProgram;
use crate::jail::JailReport;
use crate::log::LogBudget;
use crate::pool::{Memory, PoolMode};
use crate::warm::shelf::Owner;
use crate::warm::{HOOK_TIME_MAX, MEMORY_BYTES_MAX};
use crate::{CallFault, CallProfile, CallReport, Host, Request, Usage};

/// How long a runner may take to be ready.
const START_PATIENCE: Duration = Duration::from_secs(10);
/// How long after its deadline a call must have been reported: the runner stops a guest within two ticks of a millisecond, and
/// this is for a machine that is busy.
const GRACE: Duration = Duration::from_secs(2);
/// How long loading code may take.
const LOAD_PATIENCE: Duration = Duration::from_secs(10);
/// How long the end of a process is waited for once its sockets are closed.
const END_PATIENCE: Duration = Duration::from_millis(500);
/// Calls of one runner at once; more than the executor has.
const LANES_MAX: usize = 64;

/// A runner that was started.
#[derive(Debug)]
pub(super) struct Live {
    life: Life,
    jail: JailReport,
    control: Mutex<Lane>,
    lanes: Mutex<Lanes>,
}

#[derive(Debug, Default)]
struct Lanes {
    idle: Vec<Lane>,
    made: usize,
}

/// Why a conversation broke off.
enum Broken {
    /// The other side is gone, or says what it should not.
    Lane(io::Error),
    /// The code cannot be loaded there.
    Code(String),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Lane(error)
    }
}

impl Live {
    /// Starts a runner and waits until it is in its jail.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(super) fn start(
        program: &RunnerProgram,
        (mode, memory): (PoolMode, Memory),
        name: &str,
    ) -> Result<Self, String> {
        let failed = |what: &str, error: io::Error| format!("the runner {what}: {error}");
        let (ours, theirs) = Lane::pair().map_err(|error| failed("has no socket", error))?;
        let life = Life::start(program, theirs).map_err(|error| failed("does not start", error))?;
        let mut control = Lane::new(ours);
        let limits = GroupLimits::of_runner(program);
        let cgroup = join_group(life.process(), &format!("runner-{name}"), limits);
        let setup = Setup { parent: std::process::id(), mode, memory };
        let until = Instant::now() + START_PATIENCE;
        let ready =
            control.send(&setup, Beside::Nothing).and_then(|()| control.receive(Some(until)));
        match ready {
            Ok((Ready::Yes(mut jail), _)) => {
                jail.measures.push(cgroup);
                let (control, lanes) = (Mutex::new(control), Mutex::default());
                Ok(Self { life, jail, control, lanes })
            }
            Ok((Ready::No(reason), _)) => Err(format!("the runner cannot work: {reason}")),
            Err(error) => match life.reason(END_PATIENCE) {
                Some(reason) => Err(format!("the runner ended at its start: {reason}")),
                None => Err(failed("does not get ready", error)),
            },
        }
    }

    pub(super) fn jail(&self) -> &JailReport {
        &self.jail
    }

    pub(super) fn process(&self) -> Option<u32> {
        self.life.process()
    }

    /// Why it is no more; waits at most so long for it to be.
    pub(super) fn reason(&self, patience: Duration) -> Option<String> {
        self.life.reason(patience)
    }

    /// Runs a call that may take so long.
    ///
    /// # Errors
    /// [`CallFault::Busy`] for one too many, [`CallFault::Runner`] when the runner ends or fails; it has ended then.
    pub(super) fn call(
        &self,
        function: &RemoteFunction,
        request: Request,
        profile: &CallProfile,
        time: Duration,
        host: &mut dyn Host,
    ) -> Result<CallReport, CallFault> {
        let mut request = request;
        let body = std::mem::take(&mut request.body);
        let call = Call { module: function.module, request, profile: profile.clone() };
        let first = First { message: ToRunner::Call(Box::new(call)), body, code: Some(function) };
        // A new instance that may be kept takes up what the last one remembered.
        let time = if profile.warm.is_some() { time + HOOK_TIME_MAX } else { time };
        let report = self.on_a_lane(&first, time, Some(host))?;
        report.ok_or_else(|| self.broken(Broken::Lane(io::ErrorKind::InvalidData.into()), time))
    }

    /// Has the code of a function at hand there, so that its first call need not wait for it.
    ///
    /// # Errors
    /// As for a call.
    pub(super) fn prepare(&self, function: &RemoteFunction) -> Result<(), CallFault> {
        let message = ToRunner::Prepare(function.module);
        let first = First { message, body: Vec::new(), code: Some(function) };
        self.on_a_lane(&first, LOAD_PATIENCE, None).map(|_nothing| ())
    }

    /// Ends the instance of a task; with a host it is asked what it wants to be remembered. `None`: there was none, or it was not asked.
    ///
    /// # Errors
    /// As for a call.
    pub(super) fn end(
        &self,
        Owner { tenant, task }: Owner,
        host: Option<&mut dyn Host>,
    ) -> Result<Option<CallReport>, CallFault> {
        let end = End { tenant, task, suspend: host.is_some() };
        let first = First { message: ToRunner::End(Box::new(end)), body: Vec::new(), code: None };
        self.on_a_lane(&first, HOOK_TIME_MAX, host)
    }

    fn on_a_lane(
        &self,
        first: &First<'_>,
        time: Duration,
        host: Option<&mut dyn Host>,
    ) -> Result<Option<CallReport>, CallFault> {
        let mut lane = match self.lane() {
            Ok(Some(lane)) => lane,
            Ok(None) => return Err(CallFault::Busy),
            Err(error) => return Err(self.broken(Broken::Lane(error), time)),
        };
        match converse(&mut lane, first, time, host) {
            Ok(report) => {
                self.lanes().idle.push(lane);
                Ok(report)
            }
            Err(broken) => {
                self.lanes().made -= 1;
                Err(self.broken(broken, time))
            }
        }
    }

    /// A lane that is idle, or one more; `None` if there are as many as there may be.
    fn lane(&self) -> io::Result<Option<Lane>> {
        let mut lanes = self.lanes();
        if let Some(lane) = lanes.idle.pop() {
            return Ok(Some(lane));
        }
        if LANES_MAX <= lanes.made {
            return Ok(None);
        }
        let (ours, theirs) = Lane::pair()?;
        let control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        control.send(&TakeLane, Beside::Lane(&theirs))?;
        lanes.made += 1;
        Ok(Some(Lane::new(ours)))
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a broken conversation means. A runner that broke one off is not trusted with others.
    fn broken(&self, broken: Broken, time: Duration) -> CallFault {
        let error = match broken {
            Broken::Code(reason) => return CallFault::Runner(reason),
            Broken::Lane(error) => error,
        };
        let is_late = error.kind() == io::ErrorKind::TimedOut;
        let ended = if is_late { None } else { self.life.reason(END_PATIENCE) };
        self.life.kill();
        // So that the next call does not find it.
        drop(self.life.reason(END_PATIENCE));
        CallFault::Runner(match ended {
            Some(reason) => format!("the runner ended: {reason}"),
            None if is_late => {
                let late_ms = (time + GRACE).as_millis();
                format!("the runner was ended: no answer within {late_ms} ms")
            }
            None => format!("the runner was ended: {error}"),
        })
    }
}

/// How a conversation begins.
struct First<'a> {
    message: ToRunner,
    body: Vec<u8>,
    /// What the other side may need for it.
    code: Option<&'a RemoteFunction>,
}

/// The conversation of one call, in which the other side has the word. `None`: nothing was to be done.
fn converse(
    lane: &mut Lane,
    First { message: call, body, code }: &First<'_>,
    time: Duration,
    mut host: Option<&mut dyn Host>,
) -> Result<Option<CallReport>, Broken> {
    // It is bounded there, too, but a guest that has taken over its runner decides that.
    let mut log = LogBudget::new();
    let mut callees = Callees::default();
    let mut until = Instant::now() + time + GRACE;
    let mut code_came = false;
    lane.send(call, Beside::Bytes(body))?;
    loop {
        let (message, Came { bytes, memory: _, lane: _ }) = lane.receive(Some(until))?;
        match message {
            FromRunner::NeedsCode => {
                let Some(function) = code else {
                    return Err(Broken::Lane(io::ErrorKind::InvalidData.into()));
                };
                let code = ToRunner::Code(function.module, Box::new(function.facts.clone()));
                lane.send(&code, Beside::Sealed(&function.code))?;
                until = Instant::now() + LOAD_PATIENCE + time + GRACE;
                code_came = true;
                lane.send(call, Beside::Bytes(body))?;
            }
            FromRunner::BadCode(reason) => return Err(Broken::Code(reason)),
            FromRunner::Ask(question) => {
                let Some(host) = host.as_deref_mut() else {
                    return Err(Broken::Lane(io::ErrorKind::InvalidData.into()));
                };
                let (answer, along) = answer(host, &mut callees, question, bytes);
                lane.send(&ToRunner::Answer(answer), along.beside())?;
            }
            FromRunner::Log(level, line) => {
                if let (Some(line), Some(host)) = (log.admit(&line), host.as_deref_mut()) {
                    host.log(level, &line);
                }
            }
            FromRunner::Report(outcome, usage) => {
                let usage = Usage { code_came, ..usage };
                return Ok(Some(CallReport { outcome: outcome.with(bytes), usage }));
            }
            FromRunner::Prepared => return Ok(None),
            FromRunner::Ended(ended) => {
                return Ok(ended.map(|(outcome, usage)| {
                    let outcome = outcome.with(bytes).and_then(bounded);
                    CallReport { outcome, usage }
                }));
            }
        }
        if until < Instant::now() {
            return Err(Broken::Lane(io::ErrorKind::TimedOut.into()));
        }
    }
}

/// It is bounded there, too.
fn bounded(memory: Vec<u8>) -> Result<Vec<u8>, CallFault> {
    let fits = memory.len() <= MEMORY_BYTES_MAX;
    fits.then_some(memory)
        .ok_or_else(|| CallFault::Trap("it would remember more than is kept".to_owned()))
}
