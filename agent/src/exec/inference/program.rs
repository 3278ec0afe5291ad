//! Functions that are a model or a kernel: what such a function consists of on this node, and one call of it.
//!
//! Tensors come and go as safetensors. No guest takes part and no name of the catalog leads here: a model belongs to its function, and is
//! gone with it.

use std::fs::File;
use std::time::{Duration, Instant};

use infer::{Answer, Fault, Job, OwnModel, Sha256Hash, Tensor, safetensors};
use protocol::manifest::NATIVE;
use runtime::{BODY_BYTES_MAX, HostFault};
use types::{Backend, ExecutionMode, FunctionId};

use super::{Models, host_fault};

/// The code of a function that runs without a guest; clones are handles to the same.
#[derive(Clone, Debug)]
pub enum Program {
    /// A model.
    Model(OwnModel),
    /// A kernel or native program of this node, by name.
    Named(String),
}

/// What came of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The answer, as safetensors.
    pub body: Vec<u8>,
    /// What executed it.
    pub backend: Backend,
    /// What that is called.
    pub device: String,
    /// Waiting for the back end.
    pub queue: Duration,
    /// Getting the model ready; `None`: it was.
    pub load: Option<Duration>,
    /// Running it, as the back end took it.
    pub run: Duration,
}

impl Models {
    /// Takes the model of a function, from an open file that must have this hash.
    ///
    /// # Errors
    /// Why it cannot run here, in words.
    pub fn model(
        &self,
        function: &FunctionId,
        file: File,
        hash: Sha256Hash,
    ) -> Result<Program, String> {
        if !self.inference.has_models() {
            let next = "use a build with the feature tract, or gpu-ort with inference.onnx_runtime";
            return Err(format!(
                "it is a model, and this agent was built without what runs models: {next}"
            ));
        }
        let opened = self.inference.open_own(&format!("fn/{function}"), file, hash);
        opened.map(Program::Model).map_err(|fault| fault.to_string())
    }

    /// Finds what this node has by a name.
    ///
    /// # Errors
    /// Why it cannot run here, in words.
    pub fn named(&self, name: &str) -> Result<Program, String> {
        match self.inference.find(name) {
            Ok(()) => Ok(Program::Named(name.to_owned())),
            Err(_unknown) if name.starts_with(NATIVE) => {
                Err(format!("this node has no native program {name:?}"))
            }
            Err(_unknown) => {
                let known: Vec<_> =
                    infer::kernel::Kernel::ALL.map(infer::kernel::Kernel::name).into();
                Err(format!("this node has no kernel {name:?}; it has {}", known.join(", ")))
            }
        }
    }

    /// Runs one call: all tensors of these messages together are its inputs. Blocks until it is answered or its time is up.
    ///
    /// # Errors
    /// What a guest would get to see of the same fault.
    pub fn execute(
        &self,
        program: &Program,
        messages: &[Vec<u8>],
        mode: ExecutionMode,
        deadline: Instant,
    ) -> Result<Ran, HostFault> {
        let mut inputs = Vec::new();
        for message in messages {
            let tensors = safetensors::decode(message);
            let tensors = tensors.map_err(|error| HostFault::BadInput(error.to_string()))?;
            inputs.extend(tensors);
        }
        let answer = self.answer(program, inputs, mode, deadline);
        let Answer { outputs, timing } = answer.map_err(|fault| host_fault(&fault))?;
        let body = safetensors::encode(&outputs);
        if BODY_BYTES_MAX < body.len() {
            return Err(HostFault::TooLarge);
        }
        Ok(Ran {
            body,
            backend: timing.processor,
            device: timing.backend,
            queue: timing.queue,
            load: timing.load,
            run: timing.run,
        })
    }

    fn answer(
        &self,
        program: &Program,
        inputs: Vec<Tensor>,
        mode: ExecutionMode,
        deadline: Instant,
    ) -> Result<Answer, Fault> {
        match program {
            Program::Model(model) => self.inference.run_own(model, &inputs, mode, deadline),
            Program::Named(name) => {
                self.inference.run(&Job { model: name.clone(), inputs, mode, deadline })
            }
        }
    }
}
