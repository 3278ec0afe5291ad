//! Models on the processor, by tract: pure Rust, with kernels for the vector units of x86-64 and ARM.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Instant;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::plan;
use types::Backend as Processor;

use super::{Backend, Failure, Prepared, Source, Workload};
use crate::onnx::{Facts, Port};
use crate::tensor::{Kind, Tensor as Ours};

/// The back end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tract;

impl Backend for Tract {
    fn name(&self) -> &str {
        "cpu-tract"
    }

    fn processor(&self) -> Processor {
        Processor::InferCpu
    }

    fn runs(&self, workload: Workload) -> bool {
        workload == Workload::Models
    }

    fn open(&self) -> Result<String, Failure> {
        Ok("the processor".to_owned())
    }

    fn prepare(&self, source: Source<'_>) -> Result<Box<dyn Prepared>, Failure> {
        match source {
            Source::Kernel(_) => Err(Failure::Refused("it runs models only".to_owned())),
            Source::Model { facts, bytes } => {
                let plan = load(bytes).map_err(refused)?;
                Ok(Box::new(Ready { plan, facts: facts.clone() }))
            }
        }
    }
}

fn refused(error: TractError) -> Failure {
    Failure::Refused(format!("{error:#}"))
}

fn load(bytes: &[u8]) -> TractResult<Arc<TypedRunnableModel>> {
    // What the file says of values in between is not checked, so it is not read.
    let onnx = onnx().with_ignore_value_info(true).with_ignore_output_shapes(true);
    onnx.model_for_read(&mut Cursor::new(bytes))?.into_optimized()?.into_runnable()
}

#[derive(Debug)]
struct Ready {
    plan: Arc<TypedRunnableModel>,
    facts: Facts,
}

impl Prepared for Ready {
    /// Looks at the clock before each operator, so that a call runs over its deadline by at most one of them.
    fn run(&self, inputs: &[&Ours], deadline: Instant) -> Result<Vec<Ours>, Failure> {
        let values: TractResult<TVec<TValue>> =
            inputs.iter().map(|input| Ok(to_tract(input)?.into_tvalue())).collect();
        let mut state = self.plan.spawn().map_err(refused)?;
        let mut is_late = false;
        let outputs =
            state.run_plan_with_eval(values.map_err(refused)?, |context, op, node, inputs| {
                is_late |= deadline <= Instant::now();
                match is_late {
                    true => Err(TractError::msg("late")),
                    false => plan::eval(context, op, node, inputs),
                }
            });
        if is_late {
            return Err(Failure::Deadline);
        }
        let outputs = outputs.map_err(refused)?;
        let pairs = self.facts.outputs.iter().zip(&outputs);
        pairs.map(|(port, output)| from_tract(port, output)).collect()
    }

    fn bytes(&self) -> u64 {
        // Weights are laid out anew for the vector units, and some operators keep the first form.
        2 * self.facts.weight_bytes
    }
}

fn to_tract(tensor: &Ours) -> TractResult<Tensor> {
    let dims: Vec<usize> = tensor.dims().iter().map(|dim| *dim as usize).collect();
    let data = tensor.data();
    match tensor.kind() {
        Kind::U8 => Tensor::from_shape(&dims, data),
        Kind::I32 => Tensor::from_shape(&dims, &numbers(data, i32::from_le_bytes)),
        Kind::I64 => Tensor::from_shape(&dims, &numbers(data, i64::from_le_bytes)),
        Kind::F32 => Tensor::from_shape(&dims, &numbers(data, f32::from_le_bytes)),
        Kind::F16 => {
            let half = |bytes| f16::from_bits(u16::from_le_bytes(bytes));
            Tensor::from_shape(&dims, &numbers(data, half))
        }
    }
}

fn numbers<const N: usize, T>(data: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    data.as_chunks::<N>().0.iter().map(|bytes| read(*bytes)).collect()
}

fn from_tract(port: &Port, output: &Tensor) -> Result<Ours, Failure> {
    let plain = output.try_as_plain_ram().map_err(refused)?;
    let data = match port.kind {
        Kind::U8 => plain.as_slice::<u8>().map(<[u8]>::to_vec),
        Kind::I32 => plain.as_slice::<i32>().map(|v| bytes(v, |v| v.to_le_bytes())),
        Kind::I64 => plain.as_slice::<i64>().map(|v| bytes(v, |v| v.to_le_bytes())),
        Kind::F16 => plain.as_slice::<f16>().map(|v| bytes(v, |v| v.to_bits().to_le_bytes())),
        Kind::F32 => plain.as_slice::<f32>().map(|v| bytes(v, |v| v.to_le_bytes())),
    };
    let data = data.map_err(refused)?;
    let dims: Result<Vec<u32>, _> = output.shape().iter().map(|dim| u32::try_from(*dim)).collect();
    let tensor = dims.ok().filter(|dims| *dims == port.dims).map(|dims| {
        Ours::new(port.name.clone(), dims, port.kind, data)
            .map_err(|error| Failure::Refused(error.to_string()))
    });
    let (name, expected, shape) = (&port.name, &port.dims, output.shape());
    tensor.unwrap_or_else(|| {
        Err(Failure::Refused(format!("output {name:?} is {shape:?}, not {expected:?}")))
    })
}

fn bytes<T: Copy, const N: usize>(values: &[T], write: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|value| write(*value)).collect()
}
