//! Models by ONNX Runtime, which is C++ and is loaded at run time from a file that the operator names. Nothing is downloaded.
//!
//! A process loads one library: another file is refused until a restart. A run is not interrupted; what bounds it is the work of a
//! model, see [`crate::onnx::MACS_MAX`]. It works on the caller's thread.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ort::environment::Environment;
use ort::ep;
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Tensor as Value};
use types::Backend as Processor;

use super::{Backend, Failure, Prepared, Source, Workload};
use crate::onnx::{Facts, Port};
use crate::tensor::{Kind, Tensor};

/// What the library keeps for the process, once it is loaded: it allows one.
static ENVIRONMENT: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// On what ONNX Runtime executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// The processor.
    Cpu,
    /// A graphics processor by CUDA. Operators that CUDA does not execute are refused, not passed to the processor unseen.
    Cuda,
}

/// The back end.
#[derive(Clone, Debug)]
pub struct OnnxRuntime {
    library: PathBuf,
    provider: Provider,
}

impl OnnxRuntime {
    /// Loads `libonnxruntime.so` from this path, when it is opened.
    pub fn new(library: PathBuf, provider: Provider) -> Self {
        Self { library, provider }
    }

    fn session(&self, bytes: &[u8]) -> Result<Session, String> {
        fn told<T>(error: ort::Error<T>) -> String {
            error.to_string()
        }
        let (_, environment) = lock(&ENVIRONMENT).clone().ok_or("ONNX Runtime is not loaded")?;
        let builder = Session::builder(&environment).map_err(told)?;
        // One thread: calls are what runs side by side, and idle nodes have no threads.
        let builder = builder.with_intra_threads(1).map_err(told)?;
        let mut builder = match self.provider {
            Provider::Cpu => builder,
            Provider::Cuda => {
                let cuda = ep::CUDA::default().build().error_on_failure();
                let builder = builder.with_execution_providers([cuda]).map_err(told)?;
                builder.with_config_entry("session.disable_cpu_ep_fallback", "1").map_err(told)?
            }
        };
        builder.commit_from_memory(bytes).map_err(told)
    }
}

impl Backend for OnnxRuntime {
    fn name(&self) -> &str {
        match self.provider {
            Provider::Cpu => "cpu-onnxruntime",
            Provider::Cuda => "gpu-onnxruntime-cuda",
        }
    }

    fn processor(&self) -> Processor {
        match self.provider {
            Provider::Cpu => Processor::InferCpu,
            Provider::Cuda => Processor::InferGpu,
        }
    }

    fn runs(&self, workload: Workload) -> bool {
        workload == Workload::Models
    }

    fn open(&self) -> Result<String, Failure> {
        let path = self.library.display();
        let lost = |error: &dyn std::fmt::Display| {
            Failure::Lost(format!("ONNX Runtime does not load from {path}: {error}"))
        };
        let mut loaded = lock(&ENVIRONMENT);
        if let Some((other, _)) = loaded.as_ref().filter(|(other, _)| *other != self.library) {
            let rule = "is loaded already, and a process has one: restart it";
            return Err(lost(&format!("{} {rule}", other.display())));
        }
        if loaded.is_none() {
            let builder = ort::init_from(&self.library).map_err(|error| lost(&error))?;
            let built = builder.with_telemetry(false).build();
            *loaded = Some((self.library.clone(), built.map_err(|error| lost(&error))?));
        }
        Ok(format!("ONNX Runtime from {path}, {:?}", self.provider))
    }

    fn prepare(&self, source: Source<'_>) -> Result<Box<dyn Prepared>, Failure> {
        let Source::Model { facts, bytes } = source else {
            return Err(Failure::Refused("it runs models only".to_owned()));
        };
        let session = self.session(bytes).map_err(Failure::Refused)?;
        Ok(Box::new(Ready { session: Mutex::new(session), facts: facts.clone() }))
    }
}

#[derive(Debug)]
struct Ready {
    session: Mutex<Session>,
    facts: Facts,
}

impl Prepared for Ready {
    fn run(&self, inputs: &[&Tensor], deadline: Instant) -> Result<Vec<Tensor>, Failure> {
        let mut session = lock(&self.session);
        if deadline <= Instant::now() {
            return Err(Failure::Deadline);
        }
        let lost = |error: ort::Error| Failure::Lost(error.to_string());
        let values: Result<Vec<(&str, SessionInputValue<'_>)>, Failure> =
            inputs.iter().map(|input| Ok((input.name(), to_value(input)?.into()))).collect();
        let outputs = session.run(values?).map_err(lost)?;
        if deadline <= Instant::now() {
            return Err(Failure::Deadline);
        }
        let find = |port: &Port| {
            let output = outputs.get(port.name.as_str());
            let missing = || Failure::Refused(format!("it gave no output {:?}", port.name));
            from_value(port, output.ok_or_else(missing)?)
        };
        self.facts.outputs.iter().map(find).collect()
    }

    fn bytes(&self) -> u64 {
        2 * self.facts.weight_bytes
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn to_value(tensor: &Tensor) -> Result<DynValue, Failure> {
    let shape: Vec<i64> = tensor.dims().iter().map(|dim| i64::from(*dim)).collect();
    let data = tensor.data();
    let value = match tensor.kind() {
        Kind::U8 => Value::from_array((shape, data.to_vec())).map(Value::into_dyn),
        Kind::I32 => {
            Value::from_array((shape, numbers(data, i32::from_le_bytes))).map(Value::into_dyn)
        }
        Kind::I64 => {
            Value::from_array((shape, numbers(data, i64::from_le_bytes))).map(Value::into_dyn)
        }
        Kind::F32 => {
            Value::from_array((shape, numbers(data, f32::from_le_bytes))).map(Value::into_dyn)
        }
        Kind::F16 => return Err(half()),
    };
    value.map_err(|error| Failure::Lost(error.to_string()))
}

fn half() -> Failure {
    Failure::Refused("it does not take f16 here; the processor does".to_owned())
}

fn numbers<const N: usize, T>(data: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    data.as_chunks::<N>().0.iter().map(|bytes| read(*bytes)).collect()
}

fn from_value(port: &Port, value: &DynValue) -> Result<Tensor, Failure> {
    let refused = |error: ort::Error| Failure::Refused(error.to_string());
    let data = match port.kind {
        Kind::U8 => value.try_extract_tensor::<u8>().map_err(refused)?.1.to_vec(),
        Kind::I32 => bytes(value.try_extract_tensor::<i32>().map_err(refused)?.1, i32::to_le_bytes),
        Kind::I64 => bytes(value.try_extract_tensor::<i64>().map_err(refused)?.1, i64::to_le_bytes),
        Kind::F32 => bytes(value.try_extract_tensor::<f32>().map_err(refused)?.1, f32::to_le_bytes),
        Kind::F16 => return Err(half()),
    };
    let tensor = Tensor::new(port.name.clone(), port.dims.clone(), port.kind, data);
    tensor.map_err(|error| Failure::Refused(error.to_string()))
}

fn bytes<T: Copy, const N: usize>(values: &[T], write: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|value| write(*value)).collect()
}
