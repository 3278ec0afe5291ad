//! Why an inference has no answer.

use crate::tensor::{Dims, InvalidTensor, Kind};

/// Why an inference has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The node holds no model and no kernel of that name.
    #[error("this node has no model {0:?}")]
    UnknownModel(String),
    /// What was given is no tensor.
    #[error(transparent)]
    Tensor(#[from] InvalidTensor),
    /// Bytes that hold no tensors.
    #[error(transparent)]
    Malformed(#[from] crate::safetensors::Malformed),
    /// A model's input is not among those given.
    #[error("{model} needs the input {name:?}, which is not given")]
    MissingInput {
        /// Which model.
        model: String,
        /// Which input.
        name: String,
    },
    /// An input that the model does not have, or that is given twice.
    #[error("{model} has no input {name:?}, or it is given twice: it takes {}", expected.join(", "))]
    UnexpectedInput {
        /// Which model.
        model: String,
        /// What was given.
        name: String,
        /// What it takes.
        expected: Vec<String>,
    },
    /// Other dimensions than the model takes.
    #[error("input {name:?} of {model} is {expected}, not {given}")]
    WrongDims {
        /// Which model.
        model: String,
        /// Which input.
        name: String,
        /// What the model takes.
        expected: Dims,
        /// What was given.
        given: Dims,
    },
    /// Another kind than the model takes.
    #[error("input {name:?} of {model} is of {expected}, not of {given}")]
    WrongKind {
        /// Which model.
        model: String,
        /// Which input.
        name: String,
        /// What the model takes.
        expected: Kind,
        /// What was given.
        given: Kind,
    },
    /// An input has values that are not numbers, or infinite: what a model makes of them differs between back ends.
    #[error("input {name:?} is not finite at element {index}: clean the data first")]
    NotFinite {
        /// Which input.
        name: String,
        /// The first such element, counted row by row from 0.
        index: usize,
    },
    /// More than may ever run here.
    #[error("{what} needs {bytes} bytes, at most {max} are here")]
    TooLarge {
        /// What is too large.
        what: String,
        /// What it needs.
        bytes: u64,
        /// The bound.
        max: u64,
    },
    /// Too much is running and waiting; try later.
    #[error("{backend} has no room for the inference now: try later")]
    Busy {
        /// Which back end.
        backend: String,
    },
    /// Time was up, in the queue or while it ran.
    #[error("the inference was not done by its deadline")]
    Deadline,
    /// The file is not what the node was told to hold, or no model at all.
    #[error("model {model:?} is corrupted: {reason}")]
    Corrupted {
        /// Which model.
        model: String,
        /// What is wrong.
        reason: String,
    },
    /// The file cannot be read.
    #[error("model {model:?} cannot be read: {reason}")]
    Unreadable {
        /// Which model.
        model: String,
        /// What the system says.
        reason: String,
    },
    /// A sound model that no back end here can execute.
    #[error("nothing on this node executes {model:?}: {reason}")]
    NoBackend {
        /// Which model.
        model: String,
        /// Why.
        reason: String,
    },
    /// The back end failed, and no other may be used for the call.
    #[error("back end {backend} failed: {reason}")]
    BackendLost {
        /// Which back end.
        backend: String,
        /// What it says.
        reason: String,
    },
}
