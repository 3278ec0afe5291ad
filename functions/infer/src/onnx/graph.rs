//! The parts of an ONNX file that matter, borrowed from its bytes; field numbers are those of `onnx.proto`.

use std::collections::btree_map::Entry;

use super::wire::{self, Budget, Fields, Value};
use super::{ByName, MODEL_BYTES_MAX, NODES_MAX, PORTS_MAX, Reject};
use crate::tensor::{Kind, RANK_MAX};

/// Most bytes of messages that do not matter (shapes of values, metadata): a library may make 24 of each.
const IGNORED_BYTES_MAX: usize = 1024 * 1024;
/// Most inputs of an operator; concatenations have the most.
const NODE_INPUTS_MAX: usize = 64;
/// Most attributes of an operator.
const ATTRIBUTES_MAX: usize = 32;
/// Most numbers of an attribute or of a tensor that says a shape.
const INTS_MAX: usize = 64;
/// Versions of the operator set that are understood.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=21;

/// A model.
#[derive(Debug, Default)]
pub(super) struct Graph<'a> {
    /// In the order of the file.
    pub(super) nodes: Vec<Node<'a>>,
    /// Tensors that the file holds.
    pub(super) weights: ByName<'a, Weight<'a>>,
    /// What it takes, tensors that the file holds left out once it is read.
    pub(super) inputs: Vec<(&'a str, Vec<u64>, Kind)>,
    pub(super) outputs: Vec<&'a str>,
}

/// An operator.
#[derive(Debug, Default)]
pub(super) struct Node<'a> {
    pub(super) op: &'a str,
    pub(super) name: &'a str,
    /// Those that are left out have no name.
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    pub(super) attributes: ByName<'a, Attribute<'a>>,
}

/// An attribute of an operator.
#[derive(Debug)]
pub(super) enum Attribute<'a> {
    Int(i64),
    Ints(Vec<i64>),
    Text(&'a [u8]),
    Tensor(Weight<'a>),
    /// A floating-point number, or several; no shape depends on one.
    Floats,
}

/// A tensor that the file holds.
#[derive(Clone, Debug)]
pub(super) struct Weight<'a> {
    name: &'a str,
    pub(super) dims: Vec<u64>,
    pub(super) kind: Kind,
    pub(super) bytes: u64,
    /// Its numbers, where it has a few of 64 bits: they may say a shape.
    pub(super) ints: Option<Vec<i64>>,
}

/// How reading goes on.
#[derive(Debug, Default)]
struct Reader {
    budget: Budget,
    ignored: usize,
}

impl<'a> Graph<'a> {
    pub(super) fn read(model: &'a [u8]) -> Result<Self, Reject> {
        let mut reader = Reader::default();
        let mut graph = None;
        let mut opset = None;
        let mut fields = Fields::of(model);
        while let Some((field, value)) = fields.next(&mut reader.budget)? {
            match field {
                7 => once(&mut graph, value.bytes()?, "graph")?,
                8 => reader.opset(value.bytes()?, &mut opset)?,
                20 | 25 => return refuse("it holds training data or functions of its own".into()),
                _ => reader.ignore(value)?,
            }
        }
        let Some(graph) = graph else {
            return refuse("it has no graph: is it an ONNX file?".into());
        };
        if !opset.is_some_and(|version| OPSETS.contains(&version)) {
            let (low, high) = OPSETS.into_inner();
            let has = opset.map_or_else(|| "none".to_owned(), |version| version.to_string());
            return refuse(format!("its operator set is {has}, understood are {low} to {high}"));
        }
        let mut graph = reader.graph(graph)?;
        // Before 2019 files listed their tensors as inputs, too.
        graph.inputs.retain(|(name, ..)| !graph.weights.contains_key(name));
        graph.check_counts()?;
        Ok(graph)
    }

    pub(super) fn weight_bytes(&self) -> u64 {
        self.weights.values().map(|weight| weight.bytes).sum()
    }

    pub(super) fn input_names(&self) -> Vec<&'a str> {
        self.inputs.iter().map(|(name, ..)| *name).collect()
    }

    fn check_counts(&self) -> Result<(), Reject> {
        for (what, count) in [("inputs", self.inputs.len()), ("outputs", self.outputs.len())] {
            if !(1..=PORTS_MAX).contains(&count) {
                return refuse(format!("it has {count} {what}, not 1 to {PORTS_MAX}"));
            }
        }
        let bytes = self.weight_bytes();
        if MODEL_BYTES_MAX < bytes {
            let rule = format!("at most {MODEL_BYTES_MAX} are taken");
            return refuse(format!("its tensors declare {bytes} bytes, {rule}"));
        }
        Ok(())
    }
}

impl Reader {
    fn ignore(&mut self, value: Value<'_>) -> Result<(), Reject> {
        let Value::Bytes(bytes) = value else { return Ok(()) };
        self.ignored += bytes.len();
        if IGNORED_BYTES_MAX < self.ignored {
            let what = "of shapes, metadata and texts";
            return refuse(format!("it has more than {IGNORED_BYTES_MAX} bytes {what}"));
        }
        Ok(())
    }

    fn opset(&mut self, message: &[u8], opset: &mut Option<i64>) -> Result<(), Reject> {
        let (mut domain, mut version) = ("", None);
        let mut fields = Fields::of(message);
        while let Some((field, value)) = fields.next(&mut self.budget)? {
            match field {
                1 => domain = value.text()?,
                2 => version = Some(value.int()?),
                _ => self.ignore(value)?,
            }
        }
        match (is_default(domain), version) {
            (true, Some(version)) => once(opset, version, "operator set"),
            // Listed by exporters; a node that uses it is refused.
            _ => Ok(()),
        }
    }

    fn graph<'a>(&mut self, message: &'a [u8]) -> Result<Graph<'a>, Reject> {
        let mut graph = Graph::default();
        let mut fields = Fields::of(message);
        while let Some((field, value)) = fields.next(&mut self.budget)? {
            match field {
                1 if graph.nodes.len() == NODES_MAX => {
                    return refuse(format!("it has more than {NODES_MAX} operators"));
                }
                1 => graph.nodes.push(self.node(value.bytes()?)?),
                5 => {
                    let weight = self.weight(value.bytes()?)?;
                    match graph.weights.entry(weight.name) {
                        Entry::Occupied(_) => {
                            return refuse(format!("two tensors are named {:?}", weight.name));
                        }
                        Entry::Vacant(free) => drop(free.insert(weight)),
                    }
                }
                11 => graph.inputs.push(self.port(value.bytes()?)?),
                12 => graph.outputs.push(self.name_of(value.bytes()?)?),
                15 => return refuse("it holds sparse tensors".into()),
                _ => self.ignore(value)?,
            }
        }
        Ok(graph)
    }

    fn node<'a>(&mut self, message: &'a [u8]) -> Result<Node<'a>, Reject> {
        let mut node = Node::default();
        let mut fields = Fields::of(message);
        while let Some((field, value)) = fields.next(&mut self.budget)? {
            match field {
                1 | 2 => {
                    let names = if field == 1 { &mut node.inputs } else { &mut node.outputs };
                    names.push(value.text()?);
                    if NODE_INPUTS_MAX < names.len() {
                        return refuse(format!(
                            "an operator has more than {NODE_INPUTS_MAX} inputs"
                        ));
                    }
                }
                3 => node.name = value.text()?,
                4 => node.op = value.text()?,
                5 => {
                    let (name, attribute) = self.attribute(value.bytes()?)?;
                    let is_new = node.attributes.insert(name, attribute).is_none();
                    if !is_new || ATTRIBUTES_MAX < node.attributes.len() {
                        let rule = format!("twice, or more than {ATTRIBUTES_MAX} in all");
                        return refuse(format!("an operator has the attribute {name:?} {rule}"));
                    }
                }
                7 if !is_default(value.text()?) => {
                    let domain = value.text()?;
                    return refuse(format!("it uses operators of {domain:?}, not of ONNX"));
                }
                7 => {}
                _ => self.ignore(value)?,
            }
        }
        Ok(node)
    }

    fn attribute<'a>(&mut self, message: &'a [u8]) -> Result<(&'a str, Attribute<'a>), Reject> {
        let mut name = "";
        let mut found = None;
        let mut ints = Vec::new();
        let mut fields = Fields::of(message);
        while let Some((field, value)) = fields.next(&mut self.budget)? {
            match field {
                1 => name = value.text()?,
                // A float, or floats.
                2 | 7 => found = Some(Attribute::Floats),
                3 => once(&mut found, Attribute::Int(value.int()?), "attribute value")?,
                4 => once(&mut found, Attribute::Text(value.bytes()?), "attribute value")?,
                5 => {
                    let tensor = Attribute::Tensor(self.weight(value.bytes()?)?);
                    once(&mut found, tensor, "attribute value")?;
                }
                8 => wire::ints(value, INTS_MAX, &mut ints)?,
                // Kind and documentation.
                20 | 13 => self.ignore(value)?,
                _ => {
                    let what = "holds a graph, a type or texts, which are not understood";
                    return refuse(format!("the attribute {name:?} {what}"));
                }
            }
        }
        if !ints.is_empty() {
            once(&mut found, Attribute::Ints(ints), "attribute value")?;
        }
        // Lists may be empty, and zero is not written by all exporters.
        Ok((name, found.unwrap_or(Attribute::Ints(Vec::new()))))
    }

    fn weight<'a>(&mut self, message: &'a [u8]) -> Result<Weight<'a>, Reject> {
        let (mut name, mut dims, mut code) = ("", Vec::new(), 0);
        // Elements in the list for their kind, and bytes of the raw form.
        let (mut listed, mut raw, mut ints) = (0_u64, None, Vec::new());
        let mut fields = Fields::of(message);
        while let Some((field, value)) = fields.next(&mut self.budget)? {
            match (field, value) {
                (1, value) => wire::ints(value, RANK_MAX, &mut dims)?,
                (2, value) => code = value.int()?,
                (8, value) => name = value.text()?,
                (9, value) => once(&mut raw, value.bytes()?, "tensor's data")?,
                (4, Value::Fixed32(_)) | (5 | 7, Value::Varint(_)) => listed += 1,
                (4, Value::Bytes(floats)) => listed += floats.len() as u64 / 4,
                (5, Value::Bytes(numbers)) => listed += wire::count_varints(numbers),
                (7, Value::Bytes(numbers)) => {
                    listed += wire::count_varints(numbers);
                    if listed <= INTS_MAX as u64 {
                        wire::ints(value, INTS_MAX, &mut ints)?;
                    }
                }
                (13 | 14, Value::Bytes(_) | Value::Varint(1..)) => {
                    return refuse(format!("tensor {name:?} lies in another file"));
                }
                (14, _) => {}
                (12, value) => self.ignore(value)?,
                _ => return refuse(format!("tensor {name:?} has data that is not understood")),
            }
        }
        let kind = kind(code)?;
        let dims = dims_of(name, &dims)?;
        let bytes = bytes_of(name, &dims, kind)?;
        let given = raw.map_or_else(|| listed.saturating_mul(kind.bytes()), |raw| raw.len() as u64);
        if given != bytes || raw.is_some() && listed != 0 {
            let rule = format!("its data {given} bytes");
            return refuse(format!(
                "tensor {name:?} of {kind} {dims:?} needs {bytes} bytes, {rule}"
            ));
        }
        let ints = (kind == Kind::I64 && bytes <= 8 * INTS_MAX as u64)
            .then(|| raw.map_or(ints, little_endian));
        Ok(Weight { name, dims, kind, bytes, ints })
    }

    /// Name, dimensions and kind of a value.
    fn port<'a>(&mut self, message: &'a [u8]) -> Result<(&'a str, Vec<u64>, Kind), Reject> {
        let name = self.name_of(message)?;
        let (mut code, mut dims) = (0, Vec::new());
        // The types nest: value, type, tensor, shape, dimension.
        let tensor = self.only(message, 2, "type")?;
        let tensor = self.only(tensor, 1, "tensor type")?;
        let mut fields = Fields::of(tensor);
        let mut shape = None;
        while let Some((field, value)) = fields.next(&mut self.budget)? {
            match field {
                1 => code = value.int()?,
                2 => once(&mut shape, value.bytes()?, "shape")?,
                _ => self.ignore(value)?,
            }
        }
        let mut fields = Fields::of(shape.unwrap_or_default());
        while let Some((field, value)) = fields.next(&mut self.budget)? {
            if field == 1 && dims.len() <= RANK_MAX {
                dims.push(self.dimension(name, value.bytes()?)?);
            }
        }
        let dims = dims_of(name, &dims)?;
        let kind = kind(code)?;
        bytes_of(name, &dims, kind)?;
        Ok((name, dims, kind))
    }

    fn dimension(&mut self, of: &str, message: &[u8]) -> Result<i64, Reject> {
        let mut fields = Fields::of(message);
        while let Some((field, value)) = fields.next(&mut self.budget)? {
            match field {
                1 => return value.int(),
                2 => {
                    let dimension = value.text()?;
                    let rule = "export the model with fixed dimensions";
                    return refuse(format!(
                        "input {of:?} has the open dimension {dimension:?}: {rule}"
                    ));
                }
                _ => self.ignore(value)?,
            }
        }
        refuse(format!(
            "input {of:?} has an open dimension: export the model with fixed dimensions"
        ))
    }

    fn name_of<'a>(&mut self, message: &'a [u8]) -> Result<&'a str, Reject> {
        let mut fields = Fields::of(message);
        while let Some((field, value)) = fields.next(&mut self.budget)? {
            if field == 1 {
                return value.text();
            }
        }
        refuse("an input or output has no name".into())
    }

    /// The one message that this field holds.
    fn only<'a>(&mut self, message: &'a [u8], number: u64, what: &str) -> Result<&'a [u8], Reject> {
        let mut found = None;
        let mut fields = Fields::of(message);
        while let Some((field, value)) = fields.next(&mut self.budget)? {
            if field == number {
                once(&mut found, value.bytes()?, what)?;
            }
        }
        found.ok_or_else(|| Reject::new(format!("an input has no {what}")))
    }
}

fn refuse<T>(reason: String) -> Result<T, Reject> {
    Err(Reject::new(reason))
}

/// Fills what may be there once: libraries merge or replace what is there twice, and this would have seen another model.
fn once<T>(slot: &mut Option<T>, value: T, what: &str) -> Result<(), Reject> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => refuse(format!("there are two of one {what}")),
    }
}

/// Whether operators of this domain are those of ONNX.
fn is_default(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

/// What ONNX's number for a type of elements means.
pub(super) fn kind(code: i64) -> Result<Kind, Reject> {
    match code {
        1 => Ok(Kind::F32),
        2 => Ok(Kind::U8),
        6 => Ok(Kind::I32),
        7 => Ok(Kind::I64),
        10 => Ok(Kind::F16),
        other => refuse(format!(
            "elements of ONNX type {other} are not handled: u8, i32, i64, f16, f32 are"
        )),
    }
}

fn dims_of(name: &str, dims: &[i64]) -> Result<Vec<u64>, Reject> {
    let is_dim = |dim: &i64| u64::try_from(*dim).ok().filter(|dim| (1..=1 << 31).contains(dim));
    let checked: Option<Vec<u64>> = dims.iter().map(is_dim).collect();
    match checked {
        Some(dims) if dims.len() <= RANK_MAX => Ok(dims),
        _ => {
            refuse(format!("{name:?} has the dimensions {dims:?}: at most {RANK_MAX}, each from 1"))
        }
    }
}

/// Bytes of a tensor, at most [`MODEL_BYTES_MAX`].
fn bytes_of(name: &str, dims: &[u64], kind: Kind) -> Result<u64, Reject> {
    let bytes = dims.iter().try_fold(kind.bytes(), |product, dim| product.checked_mul(*dim));
    bytes.filter(|bytes| *bytes <= MODEL_BYTES_MAX).ok_or_else(|| {
        Reject::new(format!("{name:?} of {kind} {dims:?} has more than {MODEL_BYTES_MAX} bytes"))
    })
}

fn little_endian(raw: &[u8]) -> Vec<i64> {
    raw.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect()
}
