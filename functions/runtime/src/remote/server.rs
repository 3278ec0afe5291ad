//! A runner: sets its engine up, goes to jail, and runs calls, a thread for each lane.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use accel::ModuleFacts;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use wasmtime::Engine;

use super::asker::{Asker, abandon};
use super::frame::{Beside, Lane};
use super::message::{Call, End, FromRunner, Outcome, Ready, Setup, TakeLane, ToRunner};
use crate::cache::ModuleHash;
use crate::function::{Function, Linked};
use crate::pool::PoolMode;
use crate::run::Runner;
use crate::warm::shelf::{Owner, Shelf};
use crate::{STACK_BYTES, engine, jail};

/// Functions that are kept; the one that came first gives way, and comes again when it is called.
const FUNCTIONS_MAX: usize = 128;

/// What a runner does from its first line on; for the program that [`crate::RunnerProgram`] names. Its standard input is the socket
/// to the agent; it ends with that.
pub fn runner() -> ExitCode {
    let control = match io::stdin().as_fd().try_clone_to_owned() {
        Ok(control) => control,
        Err(_) => return ExitCode::FAILURE,
    };
    let mut control = Lane::new(control);
    let Ok((setup, _)) = control.receive::<Setup>(None) else { return ExitCode::FAILURE };
    let (serving, ready) = match start(&setup) {
        Ok((serving, jail)) => (Some(serving), Ready::Yes(jail)),
        Err(reason) => (None, Ready::No(reason)),
    };
    if control.send(&ready, Beside::Nothing).is_err() {
        return ExitCode::FAILURE;
    }
    let Some(serving) = serving.map(Arc::new) else { return ExitCode::FAILURE };
    // The end of the agent is the end of the control socket, and with it of this process, whatever its other threads do.
    loop {
        let lane = match control.receive(None) {
            Ok((TakeLane, came)) => came.lane,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return ExitCode::SUCCESS,
            Err(error) => abandon(&error),
        };
        let Some(lane) = lane else { abandon(&io::ErrorKind::InvalidData.into()) };
        let serving = Arc::clone(&serving);
        let thread = std::thread::Builder::new().name("lane".to_owned()).stack_size(STACK_BYTES);
        if thread.spawn(move || serving.serve(lane)).is_err() {
            return ExitCode::FAILURE;
        }
    }
}

/// The engine first, since it looks at the system; then the jail, before there is a second thread; then what needs threads.
fn start(setup: &Setup) -> Result<(Serving, jail::JailReport), String> {
    let words = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(io::Error::from)
        .map_err(words("it cannot die with its agent"))?;
    let parent = getppid().map(|pid| pid.as_raw_nonzero().get().cast_unsigned());
    if parent != Some(setup.parent) {
        return Err("its agent is gone".to_owned());
    }
    let engine = Engine::new(&engine::config(setup.mode, setup.memory));
    let engine = engine.map_err(|error| format!("no engine: {error:#}"))?;
    let mode = if engine.is_pulley() { PoolMode::Pulley } else { setup.mode };
    let report = jail::confine();
    let linked = Linked::new(&engine).map_err(|error| format!("no engine: {error:#}"))?;
    let runner = Runner::new(engine, mode, setup.memory.mib, true)
        .map_err(words("no thread for the epoch ticks"))?;
    let (functions, shelf) = (Mutex::default(), Shelf::default());
    Ok((Serving { linked, runner: Arc::new(runner), functions, shelf }, report))
}

/// What lanes share.
pub(super) struct Serving {
    linked: Linked,
    runner: Arc<Runner>,
    functions: Mutex<VecDeque<(ModuleHash, Function)>>,
    /// Instances between two calls.
    shelf: Shelf,
}

impl Serving {
    /// Runs the calls of one lane until it is closed.
    fn serve(&self, socket: OwnedFd) {
        let mut lane = Lane::new(socket);
        loop {
            let served = match lane.receive(None) {
                Ok((ToRunner::Call(call), came)) => {
                    self.call(&mut lane, *call, came.bytes.unwrap_or_default())
                }
                Ok((ToRunner::Code(module, facts), came)) => {
                    self.load(&lane, module, *facts, &came.bytes.unwrap_or_default())
                }
                Ok((ToRunner::Prepare(module), _)) => self.prepare(&lane, &module),
                Ok((ToRunner::End(end), _)) => self.end(&mut lane, *end),
                Ok((ToRunner::Answer(_), _)) => return,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return,
                Err(error) => Err(error),
            };
            if let Err(error) = served {
                abandon(&error);
            }
        }
    }

    fn call(&self, lane: &mut Lane, call: Call, body: Vec<u8>) -> io::Result<()> {
        let Call { module, mut request, profile } = call;
        let Some(function) = self.function(&module) else {
            return lane.send(&FromRunner::NeedsCode, Beside::Nothing);
        };
        request.body = body;
        let code = (&function, &self.shelf);
        let report = self.runner.call(code, &request, &profile, &mut Asker { lane, serving: self });
        let (outcome, body) = Outcome::apart(report.outcome);
        lane.send(&FromRunner::Report(outcome, report.usage), Beside::Bytes(&body))
    }

    /// Says whether a function could be called at once.
    fn prepare(&self, lane: &Lane, module: &ModuleHash) -> io::Result<()> {
        let is_here = self.function(module).is_some();
        let answer = if is_here { FromRunner::Prepared } else { FromRunner::NeedsCode };
        lane.send(&answer, Beside::Nothing)
    }

    /// Ends the instance of a task.
    fn end(&self, lane: &mut Lane, end: End) -> io::Result<()> {
        let End { tenant, task, suspend } = end;
        let owner = Owner { tenant, task };
        if !suspend {
            self.runner.forget(&self.shelf, &owner);
            return lane.send(&FromRunner::Ended(None), Beside::Nothing);
        }
        let report = self.runner.suspend(&self.shelf, &owner, &mut Asker { lane, serving: self });
        let Some(report) = report else {
            return lane.send(&FromRunner::Ended(None), Beside::Nothing);
        };
        let (outcome, memory) = Outcome::apart(report.outcome);
        lane.send(&FromRunner::Ended(Some((outcome, report.usage))), Beside::Bytes(&memory))
    }

    pub(super) fn function(&self, module: &ModuleHash) -> Option<Function> {
        let functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        functions.iter().find(|(known, _)| known == module).map(|(_, function)| function.clone())
    }

    /// Takes code from the agent, which vouches for it; what cannot be used is answered, the rest is silent.
    fn load(
        &self,
        lane: &Lane,
        module: ModuleHash,
        facts: ModuleFacts,
        code: &[u8],
    ) -> io::Result<()> {
        match self.keep(module, facts, code) {
            Ok(_) => Ok(()),
            Err(reason) => lane.send(&FromRunner::BadCode(reason), Beside::Nothing),
        }
    }

    /// Makes a function of code and keeps it.
    pub(super) fn keep(
        &self,
        module: ModuleHash,
        facts: ModuleFacts,
        code: &[u8],
    ) -> Result<Function, String> {
        let function = self.linked.function_of(code, module, facts)?;
        let mut functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        functions.retain(|(known, _)| *known != module);
        if functions.len() == FUNCTIONS_MAX {
            functions.pop_front();
        }
        functions.push_back((module, function.clone()));
        Ok(function)
    }
}
