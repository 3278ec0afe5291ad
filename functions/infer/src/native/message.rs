//! What is said: JSON in packets, checked before it is believed.

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::safetensors::TENSORS_MAX;
use crate::tensor::{Dims, Kind, RANK_MAX, Tensor, is_name};

/// The version of the protocol.
pub const PROTOCOL: u32 = 1;
/// Longest text of a device or an error that is passed on; the rest is cut.
const TEXT_BYTES_MAX: usize = 256;

/// The first packet of a program.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hello {
    protocol: u32,
    device: String,
    inputs: Vec<PortText>,
    outputs: Vec<PortText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PortText {
    name: String,
    kind: String,
    dims: Vec<Option<u32>>,
}

/// A job; its inputs come along.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Job {
    pub(super) id: u64,
    /// Time that is left, in microseconds.
    pub(super) deadline_us: u64,
    /// Bytes of the memory that comes along.
    pub(super) bytes: usize,
}

/// An answer; its outputs come along where it is one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) ok: bool,
    pub(super) error: Option<String>,
    #[serde(default)]
    pub(super) lost: bool,
}

/// A tensor that a program takes or gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// Its dimensions; `None` where any will do.
    pub dims: Vec<Option<u32>>,
}

/// What a program takes and gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// What it takes.
    pub inputs: Vec<Port>,
    /// What it gives.
    pub outputs: Vec<Port>,
}

impl Hello {
    /// The device and the signature.
    pub(super) fn checked(self) -> Result<(String, Signature), String> {
        let Self { protocol, device, inputs, outputs } = self;
        if protocol != PROTOCOL {
            return Err(format!("it speaks protocol {protocol}, this agent speaks {PROTOCOL}"));
        }
        let signature =
            Signature { inputs: ports(inputs, "inputs")?, outputs: ports(outputs, "outputs")? };
        Ok((shortened(&device), signature))
    }
}

impl Signature {
    /// Inputs in the order of the program, each checked.
    pub(crate) fn ordered<'a>(
        &self,
        model: &str,
        inputs: &'a [Tensor],
    ) -> Result<Vec<&'a Tensor>, Fault> {
        for (index, input) in inputs.iter().enumerate() {
            let is_known = self.inputs.iter().any(|port| port.name == input.name());
            if !is_known || inputs[..index].iter().any(|other| other.name() == input.name()) {
                let expected = self.inputs.iter().map(|port| port.name.clone()).collect();
                let (model, name) = (model.to_owned(), input.name().to_owned());
                return Err(Fault::UnexpectedInput { model, name, expected });
            }
        }
        let find = |port: &Port| {
            let (model, name) = (model.to_owned(), port.name.clone());
            let Some(input) = inputs.iter().find(|input| input.name() == port.name) else {
                return Err(Fault::MissingInput { model, name });
            };
            port.fits(input, model).map(|()| input)
        };
        self.inputs.iter().map(find).collect()
    }

    /// Outputs in the order of the program, if they are those that it promised.
    pub(super) fn outputs(&self, mut given: Vec<Tensor>) -> Result<Vec<Tensor>, String> {
        let mut outputs = Vec::with_capacity(given.len());
        for port in &self.outputs {
            let at = given.iter().position(|tensor| tensor.name() == port.name);
            let at = at.ok_or_else(|| format!("its answer lacks the output {:?}", port.name))?;
            let output = given.swap_remove(at);
            port.fits(&output, String::new()).map_err(|_misfit| {
                let Port { name, kind, dims } = port;
                format!("its answer has {output:?}, but hello promised {name:?} of {kind} {dims:?}")
            })?;
            outputs.push(output);
        }
        match given.first() {
            None => Ok(outputs),
            Some(more) => {
                Err(format!("its answer has an output {:?} that hello did not name", more.name()))
            }
        }
    }
}

impl Port {
    fn fits(&self, tensor: &Tensor, model: String) -> Result<(), Fault> {
        let name = self.name.clone();
        if self.kind != tensor.kind() {
            return Err(Fault::WrongKind {
                model,
                name,
                expected: self.kind,
                given: tensor.kind(),
            });
        }
        let given = tensor.dims();
        let is_same =
            |(is, should): (&u32, &Option<u32>)| should.is_none_or(|should| *is == should);
        if given.len() == self.dims.len() && given.iter().zip(&self.dims).all(is_same) {
            return Ok(());
        }
        // Where any dimension will do, the one that was given.
        let shown =
            |(index, dim): (usize, &Option<u32>)| dim.or(given.get(index).copied()).unwrap_or(1);
        let expected = Dims(self.dims.iter().enumerate().map(shown).collect());
        Err(Fault::WrongDims { model, name, expected, given: Dims(given.to_vec()) })
    }
}

fn ports(texts: Vec<PortText>, what: &str) -> Result<Vec<Port>, String> {
    if TENSORS_MAX < texts.len() {
        return Err(format!(
            "its hello has {} {what}, at most {TENSORS_MAX} are handled",
            texts.len()
        ));
    }
    let mut ports: Vec<Port> = Vec::with_capacity(texts.len());
    for PortText { name, kind, dims } in texts {
        let wrong =
            |rule: &str| Err(format!("its hello has among {what} {:?}: {rule}", shortened(&name)));
        if !is_name(&name) || ports.iter().any(|port| port.name == name) {
            return wrong("a name is printable, 1 to 128 bytes long, and there once");
        }
        let Some(kind) = Kind::ALL.into_iter().find(|known| known.name() == kind) else {
            return wrong("a kind is u8, i32, i64, f16 or f32");
        };
        if RANK_MAX < dims.len() || dims.contains(&Some(0)) {
            return wrong("there are at most 8 dimensions, each at least 1, or null");
        }
        ports.push(Port { name, kind, dims });
    }
    Ok(ports)
}

/// A text of a program, fit for one line of a log.
pub(super) fn shortened(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
