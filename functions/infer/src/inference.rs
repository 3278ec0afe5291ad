//! One call: checked, sent to a back end, and sent on to the processor where that fails.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use types::{Backend as Processor, ExecutionMode};

use crate::backend::reference::Reference;
use crate::backend::{Backend, Failure, Prepared, Source, Workload, panic_text};
use crate::catalog::{self, Catalog, CatalogError, Sha256Hash};
use crate::event::Event;
use crate::fault::Fault;
use crate::gate::{Gate, GateLimits, Refusal};
use crate::health::{Health, Standing};
use crate::probe::{self, Verdict};
use crate::program::{Checked, Kept, OwnModel, Program};
use crate::ready::{Key, NotReady, Ready, ReadyLimits};
use crate::stats::{PairStats, Stats, Took};
use crate::tensor::Tensor;

/// Back ends that a node may have.
const BACKENDS_MAX: usize = 8;
/// Bytes that all jobs on graphics processors may need at once, unless told otherwise.
pub const GPU_BYTES: u64 = 256 * 1024 * 1024;

/// Who is told of events. Called from calls and probes, and must not block them.
pub type Sink = Arc<dyn Fn(Event) + Send + Sync>;

/// Where models are and what may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The folder of models, `NAME.onnx` each.
    pub models: PathBuf,
    /// The queue of each back end on the processor.
    pub cpu: GateLimits,
    /// The one queue of all back ends on graphics processors: what runs on one of them, and what its memory is taken for, counts for all.
    pub gpu: GateLimits,
    /// What is kept ready.
    pub ready: ReadyLimits,
}

impl Config {
    /// The defaults for models in this folder: 2 at once on each back end of the processor and 1 on graphics processors, 16 waiting behind
    /// each, 512 and 256 MiB for them, 16 models of together 256 MiB ready.
    pub fn new(models: PathBuf) -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            models,
            cpu: GateLimits { running: 2, waiting: 16, bytes: 512 * MIB },
            gpu: GateLimits { running: 1, waiting: 16, bytes: GPU_BYTES },
            ready: ReadyLimits { count: 16, bytes: 256 * MIB },
        }
    }
}

/// An inference to do.
#[derive(Clone, Debug)]
pub struct Job {
    /// A model of the catalog, or a kernel or a native program by its full name.
    pub model: String,
    /// Its inputs, in any order.
    pub inputs: Vec<Tensor>,
    /// On what it may run: `Cpu` and `CpuPreferred` mean the processor, `GpuPreferred` a graphics processor first, `Gpu` nothing else.
    pub mode: ExecutionMode,
    /// When it has to be done.
    pub deadline: Instant,
}

/// What an inference gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The outputs, in the order of the model.
    pub outputs: Vec<Tensor>,
    /// What it took.
    pub timing: Timing,
}

/// What an inference took, where it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The back end that answered.
    pub backend: String,
    /// What that counts as in the record of a call.
    pub processor: Processor,
    /// Time in its queue.
    pub queue: Duration,
    /// Time to get the model ready; `None` where it was.
    pub load: Option<Duration>,
    /// Time to run it.
    pub run: Duration,
}

/// A back end and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendStatus {
    /// Its name.
    pub name: String,
    /// What it counts as.
    pub processor: Processor,
    /// Whether it is used, and why not.
    pub standing: Standing,
    /// Inferences that run there; on a graphics processor: on all of those.
    pub running: usize,
    /// Inferences that wait for it, or for any of the graphics processors.
    pub waiting: usize,
}

/// Why inference does not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// Two back ends of one name could not be told apart.
    #[error("two back ends are named {0:?}")]
    SameName(String),
    /// Too many.
    #[error("{0} back ends, at most {BACKENDS_MAX} are handled")]
    TooMany(usize),
}

/// Runs inferences. One for a process; it is shared between threads by reference.
pub struct Inference {
    shared: Arc<Shared>,
}

struct Shared {
    catalog: Catalog,
    ready: Arc<Ready>,
    seats: Vec<Seat>,
    stats: Mutex<Stats>,
    sink: Sink,
}

/// A back end and all that is kept about it.
struct Seat {
    backend: Arc<dyn Backend>,
    /// Its queue; back ends on graphics processors share one.
    gate: Arc<Gate>,
    health: Mutex<Health>,
    /// How often it was opened.
    opened: AtomicU64,
}

/// Something that may answer a call.
struct Step<'a> {
    program: &'a Program,
    checked: &'a Checked<'a>,
    index: usize,
}

/// Why one back end did not answer.
enum Miss {
    /// Nobody else may be asked.
    Final(Fault),
    /// It has no room.
    Full(Fault),
    /// It failed.
    Failed(Failure),
}

impl Inference {
    /// Starts with these back ends, in order of preference; the references of the kernels are always there, last. Those on the
    /// processor are probed before this returns (milliseconds), the others afterwards on threads of their own, one each, which end with
    /// the probe. Until it has passed, a back end is not used.
    ///
    /// # Errors
    /// [`StartError`] when the back ends cannot be told apart.
    pub fn start(
        config: Config,
        backends: Vec<Arc<dyn Backend>>,
        sink: Sink,
    ) -> Result<Self, StartError> {
        let mut backends = backends;
        backends.push(Arc::new(Reference));
        if BACKENDS_MAX < backends.len() {
            return Err(StartError::TooMany(backends.len()));
        }
        for (index, backend) in backends.iter().enumerate() {
            if backends.iter().take(index).any(|other| other.name() == backend.name()) {
                return Err(StartError::SameName(backend.name().to_owned()));
            }
        }
        let gpu = Arc::new(Gate::new(config.gpu));
        let seat = |backend: Arc<dyn Backend>| {
            let gate = match is_gpu(backend.as_ref()) {
                true => Arc::clone(&gpu),
                false => Arc::new(Gate::new(config.cpu)),
            };
            Seat { backend, gate, health: Mutex::default(), opened: AtomicU64::new(0) }
        };
        let shared = Arc::new(Shared {
            catalog: Catalog::new(config.models),
            ready: Ready::new(config.ready),
            seats: backends.into_iter().map(seat).collect(),
            stats: Mutex::default(),
            sink,
        });
        for (index, seat) in shared.seats.iter().enumerate() {
            match is_gpu(seat.backend.as_ref()) {
                true => shared.probe_aside(index),
                false => shared.probe(index),
            }
        }
        Ok(Self { shared })
    }

    /// Says that the folder holds `NAME.onnx` with this hash.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn insert_model(&self, name: &str, hash: Sha256Hash) -> Result<(), CatalogError> {
        self.shared.catalog.insert(name, hash)
    }

    /// Forgets a model; calls that run go on.
    pub fn remove_model(&self, name: &str) {
        self.shared.catalog.remove(name);
    }

    /// Takes a model beside the catalog, from an open file that must have this hash; reads and checks it. No name leads to it, only what
    /// this answers, with which [`Inference::run_own`] runs it. `name` is what messages and statistics call it.
    ///
    /// # Errors
    /// [`Fault`] for a file that is another, cannot be read, or is no sound model.
    pub fn open_own(&self, name: &str, file: File, hash: Sha256Hash) -> Result<OwnModel, Fault> {
        OwnModel::open(name, file, hash)
    }

    /// Whether something here runs that name: a model of the catalog that is sound, a kernel, or a native program.
    ///
    /// # Errors
    /// [`Fault`] with why not.
    pub fn find(&self, name: &str) -> Result<(), Fault> {
        self.shared.find(name).map(|_program| ())
    }

    /// Whether it was started with a back end for models at all.
    pub fn has_models(&self) -> bool {
        self.shared.seats.iter().any(|seat| seat.backend.runs(Workload::Models))
    }

    /// The models by name.
    pub fn models(&self) -> Vec<String> {
        self.shared.catalog.names()
    }

    /// Runs one inference on this thread, waiting for its turn at most until the deadline.
    ///
    /// # Errors
    /// [`Fault`] with what is wrong with the model or the inputs, or why nothing answered.
    pub fn run(&self, job: &Job) -> Result<Answer, Fault> {
        let program = self.shared.find(&job.model)?;
        self.shared.run(&program, &job.inputs, job.mode, job.deadline)
    }

    /// Runs a model beside the catalog, else like [`Inference::run`].
    ///
    /// # Errors
    /// [`Fault`] with what is wrong with the inputs, or why nothing answered.
    pub fn run_own(
        &self,
        model: &OwnModel,
        inputs: &[Tensor],
        mode: ExecutionMode,
        deadline: Instant,
    ) -> Result<Answer, Fault> {
        self.shared.run(&model.0, inputs, mode, deadline)
    }

    /// All back ends.
    pub fn backends(&self) -> Vec<BackendStatus> {
        self.shared.seats.iter().map(Seat::status).collect()
    }

    /// How inferences went, for each model and back end.
    pub fn stats(&self) -> Vec<PairStats> {
        lock(&self.shared.stats).all()
    }

    /// Models and kernels that are ready, and about how many bytes they hold.
    pub fn ready(&self) -> (usize, u64) {
        self.shared.ready.load()
    }
}

impl Shared {
    fn run(
        self: &Arc<Self>,
        program: &Program,
        inputs: &[Tensor],
        mode: ExecutionMode,
        deadline: Instant,
    ) -> Result<Answer, Fault> {
        let checked = program.check(inputs)?;
        let mut steps = self.steps(program, &checked, mode);
        // What is wrong with the fallback matters only where the program itself does not answer.
        let fallback = program.fallback().map(|name| self.find(name)).transpose();
        let fallback = fallback.as_ref().map(Option::as_ref).map_err(Clone::clone);
        let other = fallback
            .and_then(|found| found.map(|other| Ok((other, other.check(inputs)?))).transpose());
        let mut last = None;
        match &other {
            Ok(Some((other, checked))) => steps.extend(self.steps(other, checked, mode)),
            Ok(None) => {}
            Err(fault) => last = Some(fault.clone()),
        }
        for (at, step) in steps.iter().enumerate() {
            let seat = &self.seats[step.index];
            let (name, asked) = (seat.backend.name(), step.program.name());
            let Checked { inputs, bytes } = step.checked;
            match self.attempt(step.index, step.program, inputs, *bytes, deadline) {
                Ok(answer) => return Ok(answer),
                Err(Miss::Final(fault)) => return Err(fault),
                Err(Miss::Full(fault)) => last = Some(fault),
                Err(Miss::Failed(failure)) => {
                    lock(&self.stats).failed(asked, name);
                    self.after_failure(seat, step.index, &failure);
                    if deadline <= Instant::now() {
                        return Err(Fault::Deadline);
                    }
                    let reason = failure.to_string();
                    if let Some(next) = steps.get(at + 1) {
                        let to = self.seats[next.index].backend.name().to_owned();
                        let (model, from) = (asked.to_owned(), name.to_owned());
                        let reason = reason.clone();
                        (self.sink)(Event::FellBack { model, from, to, reason });
                    }
                    last = Some(fault_of(asked, name, &failure, reason));
                }
            }
        }
        Err(last.unwrap_or_else(|| self.nothing(program, mode)))
    }

    fn find(&self, name: &str) -> Result<Program, Fault> {
        let backends = self.seats.iter().map(|seat| Arc::clone(&seat.backend));
        Program::find(&self.catalog, backends, name)
    }

    fn steps<'a>(
        self: &Arc<Self>,
        program: &'a Program,
        checked: &'a Checked<'a>,
        mode: ExecutionMode,
    ) -> Vec<Step<'a>> {
        let indices = self.candidates(program, mode, Instant::now()).into_iter();
        indices.map(|index| Step { program, checked, index }).collect()
    }

    /// The back ends that may answer, in order. Those that were left alone long enough are probed again, for later calls.
    fn candidates(
        self: &Arc<Self>,
        program: &Program,
        mode: ExecutionMode,
        now: Instant,
    ) -> Vec<usize> {
        let (gpu_may, cpu_may) = match mode {
            ExecutionMode::Cpu | ExecutionMode::CpuPreferred => (false, true),
            ExecutionMode::GpuPreferred => (true, true),
            ExecutionMode::Gpu => (true, false),
        };
        let mut found = [Vec::new(), Vec::new()];
        for (index, seat) in self.seats.iter().enumerate() {
            let is_gpu = is_gpu(seat.backend.as_ref());
            let may = if is_gpu { gpu_may } else { cpu_may };
            if !may || !program.runs_on(seat.backend.as_ref()) {
                continue;
            }
            let (is_advertised, is_due) = {
                let mut health = lock(&seat.health);
                (health.is_advertised(), health.take_probe(now))
            };
            if is_due {
                self.probe_aside(index);
            }
            if is_advertised {
                found[usize::from(!is_gpu)].push(index);
            }
        }
        found.concat()
    }

    fn attempt(
        self: &Arc<Self>,
        index: usize,
        program: &Program,
        inputs: &[&Tensor],
        bytes: u64,
        deadline: Instant,
    ) -> Result<Answer, Miss> {
        let seat = &self.seats[index];
        let entered = Instant::now();
        let pass =
            seat.gate.enter(bytes, deadline).map_err(|refusal| seat.refusal(refusal, bytes))?;
        let queue = entered.elapsed();
        let opened = seat.opened.load(Ordering::Acquire);
        let key = Key { what: program.what(), backend: index, opened };
        let (shared, source) = (Arc::clone(self), program.clone());
        let load = move || shared.prepare(index, &source);
        let (prepared, load) =
            self.ready.get(key, deadline, load).map_err(|missed| match missed {
                NotReady::Fault(fault) => Miss::Final(fault),
                NotReady::Failure(Failure::Deadline) => Miss::Final(Fault::Deadline),
                NotReady::Failure(failure) => Miss::Failed(failure),
            })?;
        let start = Instant::now();
        let outputs = run_caught(seat, prepared.as_ref(), inputs, deadline);
        let run = start.elapsed();
        drop(pass);
        let outputs = outputs.map_err(|failure| match failure {
            Failure::Deadline => Miss::Final(Fault::Deadline),
            failure => Miss::Failed(failure),
        })?;
        let backend = seat.backend.name().to_owned();
        lock(&self.stats).answered(program.name(), &backend, Took { queue, load, run });
        let processor = seat.backend.processor();
        Ok(Answer { outputs, timing: Timing { backend, processor, queue, load, run } })
    }

    /// Reads a model anew, since its file is not kept in memory, and gets it ready.
    fn prepare(&self, index: usize, program: &Program) -> Result<Box<dyn Prepared>, NotReady> {
        let backend = &self.seats[index].backend;
        let ready = match program {
            Program::Kernel { kernel, .. } => backend.prepare(Source::Kernel(*kernel)),
            Program::Model { name, hash, facts, file } => {
                let bytes = match file {
                    Kept::Folder => self.catalog.read(name, hash),
                    Kept::File(file) => catalog::read(name, file, hash),
                };
                let bytes = bytes.map_err(NotReady::Fault)?;
                backend.prepare(Source::Model { facts, bytes: &bytes })
            }
            Program::Native { .. } => match backend.native() {
                Some(native) => native.prepare_program(),
                None => Err(Failure::Refused("it is no native program".to_owned())),
            },
        };
        ready.map_err(NotReady::Failure)
    }

    /// Leaves a graphics processor alone that failed. The processor itself stays: there is nothing else, and one bad model would take it
    /// from all others.
    fn after_failure(&self, seat: &Seat, index: usize, failure: &Failure) {
        if !failure.is_fatal() || !is_gpu(seat.backend.as_ref()) {
            return;
        }
        let reason = failure.to_string();
        let back_off = {
            let mut health = lock(&seat.health);
            // Others may have found the same at the same time: one failure counts once.
            if !health.is_advertised() {
                return;
            }
            health.failed(reason.clone(), Instant::now())
        };
        self.ready.forget(index);
        let backend = seat.backend.name().to_owned();
        (self.sink)(Event::Demoted { backend, reason, back_off });
    }

    fn nothing(&self, program: &Program, mode: ExecutionMode) -> Fault {
        let runs = |seat: &&Seat| program.runs_on(seat.backend.as_ref());
        let mut reasons: Vec<String> = self.seats.iter().filter(runs).map(Seat::shown).collect();
        match (program, program.fallback()) {
            (Program::Native { .. }, None) => {
                reasons.push("it is a program for a graphics processor, and the operator has named no fallback".to_owned());
            }
            (_, Some(name)) => {
                reasons.push(format!("nor does anything run its fallback {name} in this mode"));
            }
            _ => {}
        }
        let reason = match reasons.as_slice() {
            [] => "no back end for models is compiled in".to_owned(),
            reasons => format!("mode {mode:?}; {}", reasons.join("; ")),
        };
        Fault::NoBackend { model: program.name().to_owned(), reason }
    }

    fn probe_aside(self: &Arc<Self>, index: usize) {
        let shared = Arc::clone(self);
        let thread = thread::Builder::new().name("probes".to_owned());
        if let Err(error) = thread.spawn(move || shared.probe(index)) {
            let reason = format!("no thread to probe it: {error}");
            self.judge(index, Err(Verdict::Fails(reason)));
        }
    }

    fn probe(&self, index: usize) {
        // Whatever is prepared from now on belongs to the device that the probe opens.
        self.seats[index].opened.fetch_add(1, Ordering::AcqRel);
        let seat = &self.seats[index];
        self.judge(index, probe::probe(&seat.backend, &seat.gate));
    }

    fn judge(&self, index: usize, verdict: Result<String, Verdict>) {
        let seat = &self.seats[index];
        let backend = seat.backend.name().to_owned();
        let mut health = lock(&seat.health);
        let event = match verdict {
            Ok(device) => {
                health.proven(device.clone(), Instant::now());
                Event::Advertised { backend, device }
            }
            Err(Verdict::Fails(reason)) => {
                let again_after = Some(health.failed(reason.clone(), Instant::now()));
                Event::NotAdvertised { backend, reason, again_after }
            }
            Err(Verdict::Wrong(reason)) => {
                health.distrusted(reason.clone());
                Event::NotAdvertised { backend, reason, again_after: None }
            }
        };
        drop(health);
        (self.sink)(event);
    }
}

impl Seat {
    fn refusal(&self, refusal: Refusal, bytes: u64) -> Miss {
        let backend = self.backend.name().to_owned();
        match refusal {
            Refusal::Deadline => Miss::Final(Fault::Deadline),
            Refusal::Busy => Miss::Full(Fault::Busy { backend }),
            Refusal::TooLarge => {
                let (what, max) = (format!("the inference on {backend}"), self.gate.limits.bytes);
                Miss::Full(Fault::TooLarge { what, bytes, max })
            }
        }
    }

    fn status(&self) -> BackendStatus {
        let (running, waiting) = self.gate.load();
        BackendStatus {
            name: self.backend.name().to_owned(),
            processor: self.backend.processor(),
            standing: lock(&self.health).standing().clone(),
            running,
            waiting,
        }
    }

    fn shown(&self) -> String {
        let name = self.backend.name();
        match lock(&self.health).standing() {
            Standing::Probing => format!("{name} is still being probed"),
            Standing::Advertised { .. } => format!("{name} may not be used in this mode"),
            Standing::Out { reason, .. } => format!("{name} is out: {reason}"),
        }
    }
}

/// Runs what may panic: a bug that one model finds in a library is not the end of the process.
fn run_caught(
    seat: &Seat,
    prepared: &dyn Prepared,
    inputs: &[&Tensor],
    deadline: Instant,
) -> Result<Vec<Tensor>, Failure> {
    let run = || prepared.run(inputs, deadline);
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic_text(panic.as_ref());
        Err(match is_gpu(seat.backend.as_ref()) {
            true => Failure::Lost(text),
            false => Failure::Refused(text),
        })
    })
}

fn fault_of(model: &str, backend: &str, failure: &Failure, reason: String) -> Fault {
    let (model, backend) = (model.to_owned(), backend.to_owned());
    match failure {
        Failure::Refused(_) => {
            Fault::NoBackend { model, reason: format!("{backend} says: {reason}") }
        }
        Failure::Lost(_) | Failure::OutOfMemory(_) => Fault::BackendLost { backend, reason },
        Failure::Deadline => Fault::Deadline,
    }
}

fn is_gpu(backend: &dyn Backend) -> bool {
    backend.processor() == Processor::InferGpu
}

/// What is under a lock here is changed in one step, so that it is whole even if a holder panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Inference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inference").field("backends", &self.backends()).finish_non_exhaustive()
    }
}
