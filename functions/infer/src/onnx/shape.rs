//! The shape of every value of a graph, in the order in which they are computed, and what they add up to.

use super::graph::{Graph, Node, Weight};
use super::{ByName, MACS_MAX, Port, Reject, VALUE_BYTES_MAX, ops};
use crate::tensor::Kind;

/// What is known of a value before anything runs.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) dims: Vec<u64>,
    pub(super) kind: Kind,
    /// Its numbers, where they are constant and may say a shape.
    pub(super) ints: Option<Vec<i64>>,
}

impl From<&Weight<'_>> for Known {
    fn from(weight: &Weight<'_>) -> Self {
        Self { dims: weight.dims.clone(), kind: weight.kind, ints: weight.ints.clone() }
    }
}

/// What an operator makes.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) value: Known,
    /// Multiply-accumulates.
    pub(super) macs: u64,
    /// Bytes that it needs while it works, besides its inputs and its output.
    pub(super) scratch_bytes: u64,
}

/// All values, and their sums.
#[derive(Debug, Default)]
pub(super) struct Shaped<'a> {
    values: ByName<'a, Known>,
    pub(super) value_bytes: u64,
    pub(super) macs: u64,
}

impl<'a> Shaped<'a> {
    pub(super) fn of(graph: &Graph<'a>) -> Result<Self, Reject> {
        let mut shaped = Self::default();
        for (name, weight) in &graph.weights {
            shaped.define(name, weight.into())?;
        }
        for (name, dims, kind) in &graph.inputs {
            shaped.define(name, Known { dims: dims.clone(), kind: *kind, ints: None })?;
        }
        for (index, node) in graph.nodes.iter().enumerate() {
            let place = |reason: Reject| {
                let name =
                    if node.name.is_empty() { format!("#{index}") } else { node.name.into() };
                Reject::new(format!("operator {name} ({}): {reason}", node.op))
            };
            shaped.add(graph, node).map_err(place)?;
        }
        Ok(shaped)
    }

    pub(super) fn port(&self, name: &str) -> Result<Port, Reject> {
        let known = self.values.get(name);
        let known =
            known.ok_or_else(|| Reject::new(format!("nothing makes its output {name:?}")))?;
        let dims: Result<Vec<u32>, _> = known.dims.iter().copied().map(u32::try_from).collect();
        let dims = dims.map_err(|error| Reject::new(format!("{name:?} is too large: {error}")))?;
        Ok(Port { name: name.to_owned(), dims, kind: known.kind })
    }

    fn define(&mut self, name: &'a str, known: Known) -> Result<(), Reject> {
        if name.is_empty() || self.values.insert(name, known).is_some() {
            return Err(Reject::new(format!("the value {name:?} has no name, or is made twice")));
        }
        Ok(())
    }

    fn add(&mut self, graph: &Graph<'a>, node: &Node<'a>) -> Result<(), Reject> {
        let &[output] = node.outputs.as_slice() else {
            let count = node.outputs.len();
            return Err(Reject::new(format!("it has {count} outputs, only one is understood")));
        };
        let inputs: Result<Vec<Option<&Known>>, Reject> =
            node.inputs.iter().map(|name| self.input(graph, name)).collect();
        let made = ops::make(node, &inputs?)?;
        let bytes = byte_size(&made.value)?;
        let sum = self.value_bytes.saturating_add(bytes).saturating_add(made.scratch_bytes);
        if VALUE_BYTES_MAX < sum {
            let what = format!("of {:?} brings what is computed to {sum} bytes", made.value.dims);
            return Err(Reject::new(format!("its output {what}, at most {VALUE_BYTES_MAX} are")));
        }
        self.value_bytes = sum;
        self.macs = self.macs.saturating_add(made.macs);
        if MACS_MAX < self.macs {
            let what = format!("work up to here is {} multiply-accumulates", self.macs);
            return Err(Reject::new(format!("{what}, at most {MACS_MAX} are taken")));
        }
        self.define(output, made.value)
    }

    /// An input of an operator; `None` where it is left out.
    fn input(&self, graph: &Graph<'a>, name: &str) -> Result<Option<&Known>, Reject> {
        if name.is_empty() {
            return Ok(None);
        }
        let found = self.values.get(name);
        found.map(Some).ok_or_else(|| {
            let is_later = graph.nodes.iter().any(|node| node.outputs.contains(&name));
            Reject::new(match is_later {
                true => format!(
                    "it uses {name:?} before that is made: the graph has a cycle, or is not sorted"
                ),
                false => format!("it uses {name:?}, which nothing makes"),
            })
        })
    }
}

fn byte_size(known: &Known) -> Result<u64, Reject> {
    product(&known.dims)?.checked_mul(known.kind.bytes()).ok_or_else(too_large)
}

/// How many elements these dimensions have.
pub(super) fn product(dims: &[u64]) -> Result<u64, Reject> {
    dims.iter().try_fold(1_u64, |product, dim| product.checked_mul(*dim)).ok_or_else(too_large)
}

pub(super) fn too_large() -> Reject {
    Reject::new("its size does not fit 64 bits".to_owned())
}
