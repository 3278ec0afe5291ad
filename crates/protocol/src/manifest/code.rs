//! What a function consists of, and what can be said of it because of that.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::{DEADLINE_MS_MAX, Grants, LINEAR_MEMORY_MIB_MAX, Limits, Manifest, label};

/// With what the name of a kernel begins that nodes have built in.
pub const KERNEL: &str = "kernel/";
/// With what the name of a native program begins that the operator of a node installed there.
pub const NATIVE: &str = "native/";
/// SHA-256 of the empty input: what a manifest names that has no bytes. Not zero, so that it is the hash of what travels here, too.
pub const NO_BYTES_SHA256: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];
/// The contract of what has none: models and kernels import nothing, so that a new contract leaves them valid.
pub const NO_WORLD: [u8; 32] = [0; 32];

/// What a function consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Code {
    /// A Wasm component.
    #[default]
    Component,
    /// A model, an ONNX file. Request and answer are its inputs and outputs.
    Onnx,
    /// A kernel or native program that the node has itself, by that name; nothing of it travels. Begins with [`KERNEL`] or [`NATIVE`].
    Named(String),
}

impl Code {
    /// Whether the platform runs it as it stands, without a guest: it takes tensors and gives tensors, and asks its node for nothing.
    pub const fn is_program(&self) -> bool {
        !matches!(self, Self::Component)
    }

    /// Checks its name, if it has one.
    ///
    /// # Errors
    /// The broken rule in words.
    pub fn validate(&self) -> Result<(), &'static str> {
        let Self::Named(name) = self else { return Ok(()) };
        label(name)?;
        let rest = name.strip_prefix(KERNEL).or_else(|| name.strip_prefix(NATIVE));
        let is_one = rest.is_some_and(|rest| !rest.is_empty() && !rest.contains('/'));
        is_one.then_some(()).ok_or("what a node has itself is named kernel/NAME or native/NAME")
    }
}

impl Manifest {
    /// Whether it fits a node with that contract.
    pub fn fits_world(&self, world: &[u8; 32]) -> bool {
        self.code.is_program() || self.world == *world
    }

    /// Checks what it consists of, and what can be said of that.
    pub(super) fn validate_code(&self) -> Result<(), &'static str> {
        self.code.validate()?;
        self.limits.validate(&self.code)?;
        if !self.code.is_program() {
            return Ok(());
        }
        if self.world != NO_WORLD {
            return Err("only a component is built against a contract");
        }
        if matches!(self.code, Code::Named(_)) && self.sha256 != NO_BYTES_SHA256 {
            return Err("what a node has itself has no bytes");
        }
        if self.grants != Grants::default() {
            return Err("only a component uses what is granted");
        }
        if self.warm.is_some() || self.sharing.fuse {
            return Err("only a component has instances to keep or to fuse");
        }
        Ok(())
    }
}

impl Limits {
    /// Checks that a node can grant them to such code.
    ///
    /// # Errors
    /// The broken rule in words.
    pub fn validate(&self, code: &Code) -> Result<(), &'static str> {
        if !(1..=DEADLINE_MS_MAX).contains(&self.deadline_ms) {
            return Err("a call has 1 to 30000 ms");
        }
        let memory_mib = self.linear_memory_mib.0;
        match code.is_program() {
            true if memory_mib != 0 => Err("only a component has linear memory"),
            false if !(1..=LINEAR_MEMORY_MIB_MAX).contains(&memory_mib) => {
                Err("a call of a component has 1 to 256 MiB")
            }
            _ => Ok(()),
        }
    }
}
