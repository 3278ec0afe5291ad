//! How a function is executed (accel: Gaia).

use serde::{Deserialize, Serialize};

/// The execution mode of a function.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionMode {
    /// Only on a processor.
    #[default]
    Cpu,
    /// On a processor until a graphics processor pays.
    CpuPreferred,
    /// On a graphics processor where there is one.
    GpuPreferred,
    /// Only on a graphics processor.
    Gpu,
}

/// What really executed an invocation.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// Native code that Cranelift made from Wasm.
    #[default]
    WasmCranelift,
    /// The Pulley interpreter, 10 to 20 times slower.
    WasmPulley,
    /// A model on the processor.
    InferCpu,
    /// A model on a graphics processor.
    InferGpu,
}

/// A class of input sizes that behave alike: class n holds inputs below 2^n bytes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct InputClass(pub u8);

impl InputClass {
    /// The class of an input of `bytes` bytes.
    pub fn of(bytes: u64) -> Self {
        // 64 - leading zeros is at most 64.
        Self(u8::try_from(u64::BITS - bytes.leading_zeros()).unwrap_or(u8::MAX))
    }
}
