//! Inference: tensors across the boundary, the rest is the host's.

use super::wire::to_guest;
use super::{Element, Tensor};
use crate::bindings::infer::{Element as WireElement, Host, Tensor as WireTensor, Timing};
use crate::bindings::types::Fault;
use crate::context::Context;

impl Host for Context {
    fn run(
        &mut self,
        model: String,
        inputs: Vec<WireTensor>,
    ) -> Result<(Vec<WireTensor>, Timing), Fault> {
        let inputs = inputs.into_iter().map(from_wire).collect();
        let deadline = self.deadline;
        let (outputs, timing) = self.host().infer(&model, inputs, deadline).map_err(to_guest)?;
        let timing =
            Timing { backend: timing.backend, queue_us: timing.queue_us, run_us: timing.run_us };
        Ok((outputs.into_iter().map(to_wire).collect(), timing))
    }
}

fn from_wire(tensor: WireTensor) -> Tensor {
    let WireTensor { name, dims, element, data } = tensor;
    let element = match element {
        WireElement::Uint8 => Element::U8,
        WireElement::Int32 => Element::I32,
        WireElement::Int64 => Element::I64,
        WireElement::Fp16 => Element::F16,
        WireElement::Fp32 => Element::F32,
    };
    Tensor { name, dims, element, data }
}

fn to_wire(tensor: Tensor) -> WireTensor {
    let Tensor { name, dims, element, data } = tensor;
    let element = match element {
        Element::U8 => WireElement::Uint8,
        Element::I32 => WireElement::Int32,
        Element::I64 => WireElement::Int64,
        Element::F16 => WireElement::Fp16,
        Element::F32 => WireElement::Fp32,
    };
    WireTensor { name, dims, element, data }
}
