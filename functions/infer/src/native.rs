//! Native programs: executables that an operator names, which compute on a graphics processor as they like (CUDA, for instance), in a child
//! process of the agent. What they have to do is in `functions/wit/NATIVE.md`.
//!
//! A program is a back end of its own and goes by `native/NAME`. It is started when it is probed, has to answer the operator's example
//! rightly before a guest comes near it, takes its turn in the queue of all graphics processors, and is killed and left alone for a while
//! once it breaks a rule. What a guest cannot do to it: change its inputs after they were checked, or send what does not fit. What it cannot
//! do to the agent: change an answer while that is read, send more than fits, or keep a call longer than [`GRACE`] after its deadline.

mod child;
mod enter;
mod message;
mod socket;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use types::Backend as Processor;

use self::child::Child;
use crate::backend::{Backend, Failure, Prepared, Source, Workload};
use crate::fault::Fault;
use crate::probe::{self, Verdict};
use crate::tensor::Tensor;

pub use enter::enter;
pub use message::{PROTOCOL, Port, Signature};

/// What the names of native programs begin with.
pub const PREFIX: &str = "native/";
/// Longest name behind that.
pub const PROGRAM_NAME_MAX: usize = 32;
/// How long a program may take to say hello: a first CUDA context takes some seconds, a large model some more.
pub const HELLO_TIME_MAX: Duration = Duration::from_secs(20);
/// How long after its deadline a program is waited for before it is killed. It knows the deadline, so this is for a machine that is busy; to
/// start a program again takes seconds, a call is held up by no more than this.
pub const GRACE: Duration = Duration::from_millis(100);
/// Most bytes of all inputs, or of all outputs, of one job: two of the largest tensors and their header.
pub const JOB_BYTES_MAX: usize = 129 * 1024 * 1024;

/// Puts the process with this id under the limits of the operator, and says in words which hold.
pub type Confine = Arc<dyn Fn(u32) -> String + Send + Sync>;

/// A native program as an operator describes it.
#[derive(Clone)]
pub struct Config {
    /// Its name, without `native/`.
    pub name: String,
    /// What calls [`enter()`] with the arguments that follow its own: the agent itself.
    pub launcher: (PathBuf, Vec<OsString>),
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// All that is in its environment, besides two variables of the protocol.
    pub environment: Vec<(OsString, OsString)>,
    /// What it takes of the memory budget of the graphics processors while it runs, besides inputs and outputs.
    pub gpu_memory_bytes: u64,
    /// Inputs of which the answer is known.
    pub probe_input: Vec<Tensor>,
    /// That answer.
    pub probe_output: Vec<Tensor>,
    /// A model or kernel with the same inputs that answers where this cannot.
    pub fallback: Option<String>,
    /// Confines the process.
    pub confine: Confine,
}

/// Why something is no name of a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a native program is named by 1 to {PROGRAM_NAME_MAX} of a-z, 0-9, - and _, not by {0:?}")]
pub struct InvalidName(String);

/// Whether a native program can have this name.
pub fn is_program_name(name: &str) -> bool {
    let is_fine = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    (1..=PROGRAM_NAME_MAX).contains(&name.len()) && name.bytes().all(is_fine)
}

/// A native program as a back end.
#[derive(Debug)]
pub struct Native {
    name: String,
    config: Config,
    child: Mutex<Option<Arc<Child>>>,
}

impl Native {
    /// A program that is not started yet.
    ///
    /// # Errors
    /// [`InvalidName`].
    pub fn new(config: Config) -> Result<Self, InvalidName> {
        if !is_program_name(&config.name) {
            return Err(InvalidName(config.name));
        }
        Ok(Self { name: format!("{PREFIX}{}", config.name), config, child: Mutex::default() })
    }

    /// The process, while there is one.
    pub fn process(&self) -> Option<u32> {
        self.lock().as_ref()?.process()
    }

    /// What it takes and gives; `None` while it is not there.
    pub(crate) fn signature(&self) -> Option<Arc<Signature>> {
        Some(Arc::clone(self.lock().as_ref()?.signature()))
    }

    pub(crate) fn fallback(&self) -> Option<&str> {
        self.config.fallback.as_deref()
    }

    /// Bytes that running it needs with inputs of so many: they are there twice, as tensors and as sealed memory.
    pub(crate) fn bytes(&self, inputs: u64) -> u64 {
        self.config.gpu_memory_bytes.saturating_add(inputs.saturating_mul(2))
    }

    /// It as it is now.
    pub(crate) fn prepare_program(&self) -> Result<Box<dyn Prepared>, Failure> {
        let child = self.lock().clone();
        let child = child.ok_or_else(|| Failure::Lost(format!("{} is not running", self.name)))?;
        Ok(Box::new(Ready(child)))
    }

    /// Whether it answers the operator's example.
    pub(crate) fn prove(&self, deadline: Instant) -> Result<(), Verdict> {
        let verdict = self.answers_example(deadline);
        if verdict.is_err() {
            *self.lock() = None;
        }
        verdict
    }

    fn answers_example(&self, deadline: Instant) -> Result<(), Verdict> {
        let fails = |failure: Failure| Verdict::Fails(failure.to_string());
        let unfit = |fault: Fault| Verdict::Fails(format!("probe_input does not fit: {fault}"));
        let Config { probe_input, probe_output, .. } = &self.config;
        let signature = self.signature();
        let signature = signature.ok_or_else(|| Verdict::Fails("it is not running".to_owned()))?;
        let inputs = signature.ordered(&self.name, probe_input).map_err(unfit)?;
        let answer =
            self.prepare_program().and_then(|ready| ready.run(&inputs, deadline)).map_err(fails)?;
        let wrong = |text: String| Err(Verdict::Wrong(format!("the operator's example: {text}")));
        if answer.len() != probe_output.len() {
            return wrong(format!(
                "it answers {} tensors, probe_output has {}",
                answer.len(),
                probe_output.len()
            ));
        }
        for expected in probe_output {
            let Some(given) = answer.iter().find(|given| given.name() == expected.name()) else {
                return wrong(format!("there is no output {:?}", expected.name()));
            };
            if let Some(text) = probe::difference(given, expected) {
                return wrong(text);
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Child>>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Native {
    fn name(&self) -> &str {
        &self.name
    }

    fn processor(&self) -> Processor {
        Processor::InferGpu
    }

    /// Nothing but itself.
    fn runs(&self, _workload: Workload) -> bool {
        false
    }

    fn native(&self) -> Option<&Native> {
        Some(self)
    }

    fn open(&self) -> Result<String, Failure> {
        // The old process goes first: it may hold what the new one needs.
        *self.lock() = None;
        let child = Child::start(&self.name, &self.config).map_err(Failure::Lost)?;
        let device = child.device().to_owned();
        *self.lock() = Some(Arc::new(child));
        Ok(device)
    }

    fn prepare(&self, _source: Source<'_>) -> Result<Box<dyn Prepared>, Failure> {
        Err(Failure::Refused(format!("{} runs nothing but itself", self.name)))
    }
}

#[derive(Debug)]
struct Ready(Arc<Child>);

impl Prepared for Ready {
    fn run(&self, inputs: &[&Tensor], deadline: Instant) -> Result<Vec<Tensor>, Failure> {
        self.0.run(inputs, deadline)
    }

    /// What it holds is not the agent's.
    fn bytes(&self) -> u64 {
        0
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, program, arguments, fallback, .. } = self;
        write!(f, "{name}: {} {arguments:?}, else {fallback:?}", program.display())
    }
}
