//! From facts to the execution mode. The static policy: a Wasm function leaves the processor only through an interface
//! that has a back end elsewhere, and this version of the contract has none.

use serde::{Deserialize, Serialize};
use types::ExecutionMode;

use crate::facts::ModuleFacts;

/// A mode and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identified {
    /// The mode.
    pub mode: ExecutionMode,
    /// The reason, with the counts that it rests on.
    pub reason: String,
}

/// Decides the mode of a function: always [`ExecutionMode::Cpu`], until the contract offers inference.
pub fn identify(facts: &ModuleFacts) -> Identified {
    let mix = &facts.mix;
    Identified {
        mode: ExecutionMode::Cpu,
        reason: format!(
            "cpu: imports no interface with a graphics back end ({} instructions, {} float, {} vector, loops {} deep)",
            mix.instructions, mix.float_ops, mix.vector_ops, mix.loop_depth_max
        ),
    }
}
