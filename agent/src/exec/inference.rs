//! Inference on the node: the models that it holds, the back ends that it has, and what a function gets of them.

mod back_ends;
mod program;
mod programs;

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use infer::health::Standing;
use infer::{Event, Fault, Inference, Job, Kind, Sha256Hash};
use protocol::event::{BACK_END_BYTES_MAX, BackEndChange};
use runtime::{Element, HostFault, InferTiming, Tensor};
use sha2::{Digest as _, Sha256};
use types::ExecutionMode;

pub use self::program::{Program, Ran};
use super::processes::OWN_PROGRAM;
use crate::config::InferenceConfig;

/// How the file of a model ends.
const MODEL_SUFFIX: &str = ".onnx";

/// Runs inferences; clones are handles to the same.
#[derive(Clone)]
pub struct Models {
    inference: Arc<Inference>,
}

/// Something that happened to a back end, for the events of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Which one.
    pub name: String,
    /// What.
    pub change: BackEndChange,
    /// On which device, or why.
    pub reason: String,
}

/// Why the node cannot run models.
#[derive(Debug, thiserror::Error)]
pub enum ModelsError {
    /// The folder cannot be read.
    #[error("the folder of models {folder} cannot be read: {source}")]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file in it cannot be used.
    #[error("model {file}: {reason}")]
    Model {
        /// Which.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// Something is configured that this agent was built without.
    #[error(
        "{key} is given, but this agent was built without {needed}: take another build, or leave it out"
    )]
    NotBuiltIn {
        /// The key of the configuration.
        key: &'static str,
        /// The features of the build that would serve it.
        needed: &'static str,
    },
    /// A native program cannot be used as it is configured.
    #[error("inference.program {name:?}: {reason}")]
    Program {
        /// Which.
        name: String,
        /// Why.
        reason: String,
    },
    /// The back ends do not start.
    #[error(transparent)]
    Start(#[from] infer::StartError),
}

impl Models {
    /// Takes the models in the configured folder into the catalog, as they are now: one that is changed later is refused until the
    /// next start. Back ends on the processor are probed before this returns, the others afterwards; `news` must not block.
    ///
    /// # Errors
    /// [`ModelsError`].
    pub fn start(
        config: &InferenceConfig,
        news: impl Fn(News) + Send + Sync + 'static,
    ) -> Result<Self, ModelsError> {
        Self::start_as(Path::new(OWN_PROGRAM), config, news)
    }

    /// The same for a process that is no agent; native programs are started by the agent in this file.
    ///
    /// # Errors
    /// [`ModelsError`].
    pub fn start_as(
        agent: &Path,
        config: &InferenceConfig,
        news: impl Fn(News) + Send + Sync + 'static,
    ) -> Result<Self, ModelsError> {
        back_ends::check(config)?;
        let folder = config.models.clone().unwrap_or_default();
        let sink = Arc::new(move |event| news(News::from(event)));
        let mut back_ends = back_ends::built_in(config);
        back_ends.extend(programs::back_ends(agent, &config.programs)?);
        let mut infer_config = infer::Config::new(folder);
        if let Some(memory_mib) = config.gpu_memory_mib {
            infer_config.gpu.bytes = u64::from(memory_mib) << 20;
        }
        let inference = Inference::start(infer_config, back_ends, sink)?;
        if let Some(folder) = &config.models {
            for (name, file) in model_files(folder)? {
                let refused = |reason: String| ModelsError::Model { file: file.clone(), reason };
                let hash = hash_of(&file).map_err(|error| refused(error.to_string()))?;
                inference.insert_model(&name, hash).map_err(|error| refused(error.to_string()))?;
            }
        }
        Ok(Self { inference: Arc::new(inference) })
    }

    /// The names of the models.
    pub fn names(&self) -> Vec<String> {
        self.inference.models()
    }

    /// The back ends that were proved to work.
    pub fn accelerators(&self) -> Vec<String> {
        let is_used = |standing: &Standing| matches!(standing, Standing::Advertised { .. });
        let back_ends = self.inference.backends().into_iter();
        back_ends.filter(|end| is_used(&end.standing)).map(|end| end.name).collect()
    }

    /// Whether a back end is still being probed; each that is not was in the news.
    pub fn is_probing(&self) -> bool {
        let mut back_ends = self.inference.backends().into_iter();
        back_ends.any(|end| matches!(end.standing, Standing::Probing))
    }

    /// Each back end and how it stands, in words.
    pub fn standings(&self) -> Vec<(String, String)> {
        let words = |standing| match standing {
            Standing::Advertised { device } => format!("in use ({device})"),
            Standing::Probing => "still being probed".to_owned(),
            Standing::Out { reason, .. } => format!("not in use ({reason})"),
        };
        let back_ends = self.inference.backends().into_iter();
        back_ends.map(|end| (end.name, words(end.standing))).collect()
    }

    /// Runs a model or a kernel for a function that executes in this mode.
    ///
    /// # Errors
    /// What the function gets to see.
    pub fn run(
        &self,
        model: &str,
        inputs: Vec<Tensor>,
        mode: ExecutionMode,
        deadline: Instant,
    ) -> Result<(Vec<Tensor>, InferTiming), HostFault> {
        let inputs = inputs.into_iter().map(taken).collect::<Result<_, _>>()?;
        let job = Job { model: model.to_owned(), inputs, mode, deadline };
        let answer = self.inference.run(&job).map_err(|fault| host_fault(&fault))?;
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let timing = InferTiming {
            backend: answer.timing.backend,
            queue_us: us(answer.timing.queue),
            run_us: us(answer.timing.run + answer.timing.load.unwrap_or_default()),
        };
        Ok((answer.outputs.into_iter().map(given).collect(), timing))
    }
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Models").field("names", &self.names()).finish_non_exhaustive()
    }
}

impl From<Event> for News {
    fn from(event: Event) -> Self {
        let (name, change, reason) = match event {
            Event::Advertised { backend, device } => (backend, BackEndChange::Advertised, device),
            Event::NotAdvertised { backend, reason, again_after: None } => {
                (backend, BackEndChange::NotAdvertised, reason)
            }
            Event::NotAdvertised { backend, reason, again_after: Some(after) } => {
                let reason = format!("{reason}; probed again after {} s", after.as_secs());
                (backend, BackEndChange::NotAdvertised, reason)
            }
            Event::Demoted { backend, reason, back_off } => {
                let reason = format!("{reason}; left alone for {} s", back_off.as_secs());
                (backend, BackEndChange::Demoted, reason)
            }
            Event::FellBack { model, from, to, reason } => {
                (from, BackEndChange::FellBack, format!("{model} runs on {to}: {reason}"))
            }
        };
        let name = name[..name.floor_char_boundary(BACK_END_BYTES_MAX)].to_owned();
        Self { name, change, reason }
    }
}

/// The models of a folder by name.
fn model_files(folder: &Path) -> Result<Vec<(String, PathBuf)>, ModelsError> {
    let unreadable = |source| ModelsError::Folder { folder: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let name = file.file_name().and_then(|name| name.to_str());
        if let Some(name) = name.and_then(|name| name.strip_suffix(MODEL_SUFFIX)) {
            files.push((name.to_owned(), file));
        }
    }
    files.sort();
    Ok(files)
}

fn hash_of(file: &Path) -> io::Result<Sha256Hash> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(file)?, &mut hasher)?;
    Ok(hasher.finalize().into())
}

fn taken(tensor: Tensor) -> Result<infer::Tensor, HostFault> {
    let Tensor { name, dims, element, data } = tensor;
    let kind = match element {
        Element::U8 => Kind::U8,
        Element::I32 => Kind::I32,
        Element::I64 => Kind::I64,
        Element::F16 => Kind::F16,
        Element::F32 => Kind::F32,
    };
    let tensor = infer::Tensor::new(name, dims, kind, data);
    tensor.map_err(|error| host_fault(&Fault::from(error)))
}

fn given(tensor: infer::Tensor) -> Tensor {
    let element = match tensor.kind() {
        Kind::U8 => Element::U8,
        Kind::I32 => Element::I32,
        Kind::I64 => Element::I64,
        Kind::F16 => Element::F16,
        Kind::F32 => Element::F32,
    };
    let (name, dims) = (tensor.name().to_owned(), tensor.dims().to_vec());
    Tensor { name, dims, element, data: tensor.into_data() }
}

fn host_fault(fault: &Fault) -> HostFault {
    match fault {
        Fault::UnknownModel(_) => HostFault::NotFound,
        Fault::Tensor(_)
        | Fault::Malformed(_)
        | Fault::MissingInput { .. }
        | Fault::UnexpectedInput { .. }
        | Fault::WrongDims { .. }
        | Fault::WrongKind { .. }
        | Fault::NotFinite { .. } => HostFault::BadInput(fault.to_string()),
        Fault::TooLarge { .. } => HostFault::TooLarge,
        Fault::Busy { .. } => HostFault::Busy,
        Fault::Deadline => HostFault::Deadline,
        Fault::Corrupted { .. }
        | Fault::Unreadable { .. }
        | Fault::NoBackend { .. }
        | Fault::BackendLost { .. } => HostFault::Internal(fault.to_string()),
    }
}
