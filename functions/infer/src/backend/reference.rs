//! Kernels on the processor, value by value: what all others are compared with, and what answers where nothing else can.

use std::time::Instant;

use types::Backend as Processor;

use super::{Backend, Failure, Prepared, Source, Workload};
use crate::kernel::Kernel;
use crate::tensor::{Kind, Tensor};

/// Its name.
const NAME: &str = "cpu-reference";

/// The back end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reference;

impl Backend for Reference {
    fn name(&self) -> &str {
        NAME
    }

    fn processor(&self) -> Processor {
        Processor::InferCpu
    }

    fn runs(&self, workload: Workload) -> bool {
        workload == Workload::Kernels
    }

    fn open(&self) -> Result<String, Failure> {
        Ok("the processor".to_owned())
    }

    fn prepare(&self, source: Source<'_>) -> Result<Box<dyn Prepared>, Failure> {
        match source {
            Source::Kernel(kernel) => Ok(Box::new(ReadyKernel(kernel))),
            Source::Model { .. } => Err(Failure::Refused("it runs kernels only".to_owned())),
        }
    }
}

#[derive(Debug)]
struct ReadyKernel(Kernel);

impl Prepared for ReadyKernel {
    fn run(&self, inputs: &[&Tensor], deadline: Instant) -> Result<Vec<Tensor>, Failure> {
        let call = self.0.check(inputs).map_err(|fault| Failure::Refused(fault.to_string()))?;
        let values: Option<Vec<Vec<f32>>> = inputs.iter().map(|input| input.to_f32()).collect();
        let values = values.ok_or_else(|| Failure::Refused(format!("it takes {}", Kind::F32)))?;
        let output = call.reference(&values, deadline).ok_or(Failure::Deadline)?;
        let data = output.iter().flat_map(|value| value.to_le_bytes()).collect();
        let tensor = call.output(data).map_err(|error| Failure::Refused(error.to_string()))?;
        Ok(vec![tensor])
    }

    fn bytes(&self) -> u64 {
        0
    }
}
