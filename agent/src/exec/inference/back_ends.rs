//! The back ends that an agent was built with. Which of them work is found by probing.

use std::sync::Arc;

use infer::backend::Backend;

use super::ModelsError;
use crate::config::InferenceConfig;

type BackEnd = Arc<dyn Backend>;

/// All that are built in and that the configuration wants, the fastest first.
pub(super) fn built_in(config: &InferenceConfig) -> Vec<BackEnd> {
    [onnx_runtime(config), vulkan(config), tract()].into_iter().flatten().collect()
}

/// Whether there is something for what is configured.
///
/// # Errors
/// [`ModelsError::NotBuiltIn`].
pub(super) fn check(config: &InferenceConfig) -> Result<(), ModelsError> {
    let (has_tract, has_ort) = (cfg!(feature = "tract"), cfg!(feature = "gpu-ort"));
    let missing = |key, needed| Err(ModelsError::NotBuiltIn { key, needed });
    if config.onnx_runtime.is_some() && !has_ort {
        return missing("inference.onnx_runtime", "the feature gpu-ort");
    }
    if config.models.is_some() && !has_tract && config.onnx_runtime.is_none() {
        return missing("inference.models", "the feature tract");
    }
    Ok(())
}

#[cfg(feature = "gpu-ort")]
fn onnx_runtime(config: &InferenceConfig) -> Option<BackEnd> {
    use infer::backend::{OnnxRuntime, Provider};

    let provider = if config.cuda { Provider::Cuda } else { Provider::Cpu };
    let library = config.onnx_runtime.clone()?;
    Some(Arc::new(OnnxRuntime::new(library, provider)))
}

#[cfg(not(feature = "gpu-ort"))]
fn onnx_runtime(_config: &InferenceConfig) -> Option<BackEnd> {
    None
}

#[cfg(feature = "gpu-wgpu")]
fn vulkan(config: &InferenceConfig) -> Option<BackEnd> {
    config.gpu.then(|| Arc::new(infer::backend::Vulkan::new()) as BackEnd)
}

#[cfg(not(feature = "gpu-wgpu"))]
fn vulkan(_config: &InferenceConfig) -> Option<BackEnd> {
    None
}

#[cfg(feature = "tract")]
#[expect(clippy::unnecessary_wraps, reason = "other builds have none")]
fn tract() -> Option<BackEnd> {
    Some(Arc::new(infer::backend::Tract))
}

#[cfg(not(feature = "tract"))]
fn tract() -> Option<BackEnd> {
    None
}
