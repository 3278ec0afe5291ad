//! Looks at an ONNX model before any library does: what it takes and gives, what it needs, and whether it is sound.
//!
//! A library that reads a model allocates what the model declares, evaluates what is constant, and may fail in ways that end the
//! process, such as running out of memory. So nothing reaches one that this has not bounded: every value has a shape that is known
//! now, and the sizes of all of them are added up. What this does not know it refuses; see [`ops`] for the operators.

mod graph;
mod ops;
mod shape;
mod wire;

use std::collections::BTreeMap;

use crate::tensor::Kind;
use graph::Graph;
use shape::Shaped;

/// Largest file of a model. Models for boards of 1 to 8 GiB; a library holds about twice as much while it loads one.
pub const MODEL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Most operators. A ResNet-152 has about 500.
pub const NODES_MAX: usize = 4096;
/// Most inputs, and most outputs, of a model.
pub const PORTS_MAX: usize = 16;
/// Most bytes of all values that are computed, together. A ResNet-50 has about 100 MB.
pub const VALUE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Most multiply-accumulates: beyond, the slowest board that is supported (about 5 G/s) would not end within a call's 30 s.
pub const MACS_MAX: u64 = 150_000_000_000;

/// Why a model is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Reject(String);

impl Reject {
    fn new(reason: String) -> Self {
        Self(reason)
    }
}

/// What a model takes or gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its dimensions, outermost first.
    pub dims: Vec<u32>,
    /// What it consists of.
    pub kind: Kind,
}

/// What a sound model takes, gives and needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What it takes.
    pub inputs: Vec<Port>,
    /// What it gives.
    pub outputs: Vec<Port>,
    /// Bytes of its weights.
    pub weight_bytes: u64,
    /// Bytes of all values that one run computes, working memory of convolutions included.
    pub value_bytes: u64,
    /// Multiply-accumulates of one run; operators without any count an element as one.
    pub macs: u64,
}

/// Checks a model.
///
/// # Errors
/// [`Reject`] with the first reason against it.
pub fn check(model: &[u8]) -> Result<Facts, Reject> {
    if MODEL_BYTES_MAX < model.len() as u64 {
        let length = model.len();
        return Err(Reject(format!("it has {length} bytes, at most {MODEL_BYTES_MAX} are taken")));
    }
    let graph = Graph::read(model)?;
    let weight_bytes = graph.weight_bytes();
    let shaped = Shaped::of(&graph)?;
    let ports = |names: &[&str]| -> Result<Vec<Port>, Reject> {
        names.iter().map(|name| shaped.port(name)).collect()
    };
    let inputs = ports(&graph.input_names())?;
    let outputs = ports(&graph.outputs)?;
    let Shaped { value_bytes, macs, .. } = shaped;
    Ok(Facts { inputs, outputs, weight_bytes, value_bytes, macs })
}

/// Values by name, in the order of names.
type ByName<'a, T> = BTreeMap<&'a str, T>;

#[cfg(test)]
mod tests;
