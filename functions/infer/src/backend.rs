//! What executes: one trait, and the back ends that are compiled in.

#[cfg(feature = "gpu-ort")]
mod onnx_runtime;
pub(crate) mod reference;
#[cfg(feature = "tract")]
mod tract;
#[cfg(feature = "gpu-wgpu")]
mod vulkan;

use std::fmt;
use std::time::Instant;

use types::Backend as Processor;

use crate::kernel::Kernel;
use crate::native::Native;
use crate::onnx::Facts;
use crate::tensor::Tensor;

#[cfg(feature = "gpu-ort")]
pub use onnx_runtime::{OnnxRuntime, Provider};
#[cfg(feature = "tract")]
pub use tract::Tract;
#[cfg(feature = "gpu-wgpu")]
pub use vulkan::Vulkan;

/// What is to be executed.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A model that passed the check.
    Model {
        /// What the check found.
        facts: &'a Facts,
        /// The file.
        bytes: &'a [u8],
    },
    /// A kernel that ships with this crate.
    Kernel(Kernel),
}

/// A kind of what can be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// ONNX models.
    Models,
    /// Kernels by name.
    Kernels,
}

/// Something that executes models, kernels or both. It is used only after a probe, see [`crate::probe`].
pub trait Backend: fmt::Debug + Send + Sync {
    /// Its name in timings, events and metrics.
    fn name(&self) -> &str;

    /// What the record of a call says that it ran on.
    fn processor(&self) -> Processor;

    /// Whether it executes such things at all.
    fn runs(&self, workload: Workload) -> bool;

    /// The program that it is, where it is one that goes by a name of its own instead of running models or kernels.
    fn native(&self) -> Option<&Native> {
        None
    }

    /// Starts it, or starts it anew after it failed; says on which device. Nothing else is called before.
    ///
    /// # Errors
    /// [`Failure::Lost`] with why it does not start.
    fn open(&self) -> Result<String, Failure>;

    /// Gets a model or kernel ready. May take long and may panic: callers do it on a thread of its own.
    ///
    /// # Errors
    /// [`Failure`], of which [`Failure::Refused`] is final for this source.
    fn prepare(&self, source: Source<'_>) -> Result<Box<dyn Prepared>, Failure>;
}

/// A model or kernel that is ready.
pub trait Prepared: fmt::Debug + Send + Sync {
    /// Runs it once. The inputs are checked, finite, and in the order of the model.
    ///
    /// # Errors
    /// [`Failure`].
    fn run(&self, inputs: &[&Tensor], deadline: Instant) -> Result<Vec<Tensor>, Failure>;

    /// About how much memory it holds.
    fn bytes(&self) -> u64;
}

/// How a back end fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The device is gone, or does what it must not.
    #[error("{0}")]
    Lost(String),
    /// The device has no memory left.
    #[error("out of memory: {0}")]
    OutOfMemory(String),
    /// It does not execute this model or kernel, or not at this size; it is sound otherwise.
    #[error("{0}")]
    Refused(String),
    /// Time was up.
    #[error("it was not done by the deadline")]
    Deadline,
}

impl Failure {
    /// Whether the back end as a whole is to be left alone for a while.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::OutOfMemory(_))
    }
}

/// The text of a panic.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("it panicked: {}", text.unwrap_or("without a text"))
}
