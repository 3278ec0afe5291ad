//! What a name stands for, and whether inputs fit it.

use std::fs::File;
use std::sync::Arc;

use crate::backend::{Backend, Workload};
use crate::catalog::{self, Catalog, Sha256Hash};
use crate::fault::Fault;
use crate::kernel::Kernel;
use crate::native::{self, Native, Signature};
use crate::onnx::{Facts, Port};
use crate::ready::What;
use crate::tensor::{Dims, Tensor};

/// Something that can be run by name.
#[derive(Clone, Debug)]
pub(crate) enum Program {
    Kernel {
        kernel: Kernel,
        name: String,
    },
    Model {
        name: String,
        hash: Sha256Hash,
        facts: Arc<Facts>,
        file: Kept,
    },
    /// A back end that is a program of its own; what it takes is known while it runs.
    Native {
        backend: Arc<dyn Backend>,
        signature: Option<Arc<Signature>>,
    },
}

/// Where the bytes of a model are.
#[derive(Clone, Debug)]
pub(crate) enum Kept {
    /// In the folder of the catalog, under its name.
    Folder,
    /// In a file of its own, which stays open, so that nobody can put another in its place.
    File(Arc<File>),
}

/// A model that whoever opened it holds, beside the catalog: no name leads to it, and it is gone with its last clone.
#[derive(Clone, Debug)]
pub struct OwnModel(pub(crate) Program);

impl OwnModel {
    /// Reads and checks a file that must have this hash. What it is called shows in messages and statistics only.
    pub(crate) fn open(name: &str, file: File, hash: Sha256Hash) -> Result<Self, Fault> {
        let facts = catalog::facts_of(name, &catalog::read(name, &file, &hash)?)?;
        let (name, file) = (name.to_owned(), Kept::File(Arc::new(file)));
        Ok(Self(Program::Model { name, hash, facts, file }))
    }
}

/// Inputs that fit.
#[derive(Debug)]
pub(crate) struct Checked<'a> {
    /// In the order of the model.
    pub(crate) inputs: Vec<&'a Tensor>,
    /// Bytes that running it needs, inputs and outputs included.
    pub(crate) bytes: u64,
}

impl Program {
    pub(crate) fn find(
        catalog: &Catalog,
        mut backends: impl Iterator<Item = Arc<dyn Backend>>,
        name: &str,
    ) -> Result<Self, Fault> {
        if name.starts_with(native::PREFIX) {
            let is_it =
                |backend: &Arc<dyn Backend>| backend.native().is_some() && backend.name() == name;
            let backend =
                backends.find(is_it).ok_or_else(|| Fault::UnknownModel(name.to_owned()))?;
            let signature = backend.native().and_then(Native::signature);
            return Ok(Self::Native { backend, signature });
        }
        if let Some(kernel) = Kernel::named(name) {
            return Ok(Self::Kernel { kernel, name: name.to_owned() });
        }
        let (hash, facts) = catalog.facts(name)?;
        Ok(Self::Model { name: name.to_owned(), hash, facts, file: Kept::Folder })
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Kernel { name, .. } | Self::Model { name, .. } => name,
            Self::Native { backend, .. } => backend.name(),
        }
    }

    /// Whether a back end runs it.
    pub(crate) fn runs_on(&self, other: &dyn Backend) -> bool {
        match self {
            Self::Kernel { .. } => other.runs(Workload::Kernels),
            Self::Model { .. } => other.runs(Workload::Models),
            Self::Native { backend, .. } => {
                other.native().is_some() && other.name() == backend.name()
            }
        }
    }

    /// What answers where a native program cannot.
    pub(crate) fn fallback(&self) -> Option<&str> {
        match self {
            Self::Native { backend, .. } => backend.native().and_then(Native::fallback),
            Self::Kernel { .. } | Self::Model { .. } => None,
        }
    }

    pub(crate) fn what(&self) -> What {
        match self {
            Self::Kernel { kernel, .. } => What::Kernel(*kernel),
            Self::Model { hash, .. } => What::Model(*hash),
            Self::Native { .. } => What::Native,
        }
    }

    /// Checks inputs: each that is needed is there once, with its dimensions, its kind and finite values.
    pub(crate) fn check<'a>(&self, inputs: &'a [Tensor]) -> Result<Checked<'a>, Fault> {
        let checked = match self {
            Self::Kernel { kernel, .. } => {
                let ordered = self.ordered(kernel.inputs().iter().copied(), inputs)?;
                let call = kernel.check(&ordered)?;
                // The output is copied to where the processor can read it.
                let bytes = sum(&ordered).saturating_add(call.output_bytes().saturating_mul(2));
                Checked { inputs: ordered, bytes }
            }
            Self::Model { facts, .. } => {
                let names = facts.inputs.iter().map(|port| port.name.as_str());
                let ordered = self.ordered(names, inputs)?;
                for (port, input) in facts.inputs.iter().zip(&ordered) {
                    self.fits(port, input)?;
                }
                let bytes = sum(&ordered).saturating_add(facts.value_bytes);
                Checked { inputs: ordered, bytes }
            }
            Self::Native { backend, signature } => {
                let ordered = match signature {
                    Some(signature) => signature.ordered(backend.name(), inputs)?,
                    // It does not run, so that nothing gets there.
                    None => inputs.iter().collect(),
                };
                let bytes = backend.native().map_or(0, |native| native.bytes(sum(&ordered)));
                Checked { inputs: ordered, bytes }
            }
        };
        for input in &checked.inputs {
            if let Some(index) = input.first_not_finite() {
                return Err(Fault::NotFinite { name: input.name().to_owned(), index });
            }
        }
        Ok(checked)
    }

    fn ordered<'a, 'n>(
        &self,
        names: impl Iterator<Item = &'n str> + Clone,
        inputs: &'a [Tensor],
    ) -> Result<Vec<&'a Tensor>, Fault> {
        for (index, input) in inputs.iter().enumerate() {
            let is_known = names.clone().any(|name| name == input.name());
            let is_again = inputs.iter().take(index).any(|other| other.name() == input.name());
            if !is_known || is_again {
                let (model, name) = (self.name().to_owned(), input.name().to_owned());
                let expected = names.map(str::to_owned).collect();
                return Err(Fault::UnexpectedInput { model, name, expected });
            }
        }
        let find = |name: &str| {
            let found = inputs.iter().find(|input| input.name() == name);
            found.ok_or_else(|| Fault::MissingInput {
                model: self.name().to_owned(),
                name: name.to_owned(),
            })
        };
        names.map(find).collect()
    }

    fn fits(&self, port: &Port, input: &Tensor) -> Result<(), Fault> {
        let (model, name) = (self.name().to_owned(), port.name.clone());
        if port.kind != input.kind() {
            let (expected, given) = (port.kind, input.kind());
            return Err(Fault::WrongKind { model, name, expected, given });
        }
        if port.dims != input.dims() {
            let (expected, given) = (Dims(port.dims.clone()), Dims(input.dims().to_vec()));
            return Err(Fault::WrongDims { model, name, expected, given });
        }
        Ok(())
    }
}

fn sum(inputs: &[&Tensor]) -> u64 {
    inputs.iter().map(|input| input.data().len() as u64).sum()
}
