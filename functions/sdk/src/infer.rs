//! Inference with the models of the node.

use alloc::string::String;
use alloc::vec::Vec;

use crate::Fault;
#[cfg(target_family = "wasm")]
use crate::bindings::starbelt::function::infer as host;
pub use crate::bindings::starbelt::function::infer::{Element, Tensor, Timing};
#[cfg(not(target_family = "wasm"))]
use crate::fake::infer as host;

/// Runs a model, or a kernel, that the manifest grants.
///
/// # Errors
/// [`Fault::Denied`] for a model that is not granted, [`Fault::NotFound`] for one that the node does not have,
/// [`Fault::BadInput`] for tensors that do not fit it.
pub fn run(model: &str, inputs: &[Tensor]) -> Result<(Vec<Tensor>, Timing), Fault> {
    host::run(model, inputs)
}

/// A tensor of floats.
pub fn floats(name: &str, dims: &[u32], values: &[f32]) -> Tensor {
    Tensor {
        name: String::from(name),
        dims: dims.to_vec(),
        element: Element::Fp32,
        data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}

/// The elements of a tensor of floats.
///
/// # Errors
/// [`Fault::BadInput`] for a tensor of something else.
pub fn as_floats(tensor: &Tensor) -> Result<Vec<f32>, Fault> {
    if tensor.element != Element::Fp32 {
        return Err(Fault::BadInput(alloc::format!("tensor {} holds no floats", tensor.name)));
    }
    let float = |bytes: &[u8; 4]| f32::from_le_bytes(*bytes);
    Ok(tensor.data.as_chunks().0.iter().map(float).collect())
}
