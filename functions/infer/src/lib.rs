//! Runs models and GPU kernels for guests: checked before anything is allocated, bounded, and on back ends that have proven themselves.
//!
//! Reading order: [`Tensor`] (what goes in and out), [`safetensors`] (the same as bytes), [`Fault`], [`onnx`] (a model is checked before a library sees it), [`kernel`] (compute
//! kernels by name), [`backend`] (what executes), [`native`] (what executes in a process of its own), [`probe`] (what makes a back end trusted), [`health`] (how long one that failed is left
//! alone), [`Inference`] (all of it together: [`Inference::run`] is what the guest contract's `infer.run` calls), [`Event`], [`stats`].
//!
//! What holds:
//! - A back end is advertised after its probe matched what the processor computes, never because a library lists it. It is probed again
//!   after each failure. One that answers wrong numbers stays out until a restart.
//! - When a graphics processor is lost or out of memory in the middle of a call, the call goes on on the processor within its deadline (not
//!   in the mode `Gpu`, which means nothing else), the back end is left alone for a time that doubles, and an [`Event`] says so.
//! - Numbers that are not finite are refused as inputs: what a model makes of them differs between back ends. Outputs are passed on as
//!   the model made them.
//! - Calls wait on their own threads, in one queue for each back end of the processor and one for all graphics processors, bounded in number and
//!   bytes. A thread of this crate lives only while a model is loaded, a back end is probed, or a native program runs. The deadline counts everywhere: in the queue, while a model loads, between
//!   the operators of a model, row by row in a reference, and while a device works.
//! - A library that panics while it loads or runs a model ends that call with an error. What cannot be caught that way, memory that is not
//!   there, is bounded beforehand by [`onnx::check`].
//!
//! Features: `tract` (models on the processor), `gpu-wgpu` (kernels over Vulkan), `gpu-ort` (models by an ONNX Runtime that is loaded at run
//! time). Without them only the references of the kernels run. Results of Mesa's lavapipe are software Vulkan, for correctness only.
//!
//! A program that an operator names and that uses a graphics processor itself runs as a child process, see [`native`]: one more back end,
//! which takes its turn in the same queue as the others, is probed, demoted and counted as they are. No real graphics processor has run one yet.

pub mod backend;
mod catalog;
mod event;
mod fault;
mod gate;
pub mod health;
mod inference;
pub mod kernel;
pub mod native;
pub mod onnx;
pub mod probe;
mod program;
mod ready;
pub mod safetensors;
pub mod stats;
mod tensor;

pub use catalog::{CatalogError, MODEL_NAME_MAX, MODELS_MAX, Sha256Hash};
pub use event::Event;
pub use fault::Fault;
pub use gate::GateLimits;
pub use inference::{
    Answer, BackendStatus, Config, GPU_BYTES, Inference, Job, Sink, StartError, Timing,
};
pub use program::OwnModel;
pub use ready::ReadyLimits;
pub use tensor::{
    Dims, InvalidTensor, Kind, NAME_BYTES_MAX, RANK_MAX, TENSOR_BYTES_MAX, Tensor, elements,
};
