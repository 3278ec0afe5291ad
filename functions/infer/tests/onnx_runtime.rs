//! ONNX Runtime: why it is not there, and, where somebody names its library in `ORT_DYLIB_PATH`, models on it.

#[path = "support/node.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod node;
#[path = "support/onnx.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod onnx;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use infer::backend::{OnnxRuntime, Provider, Tract};
use infer::health::Standing;
use node::{Node, Result, f32s, values};
use types::ExecutionMode;

#[test]
fn a_library_that_is_not_there_is_told_with_its_path() -> Result {
    let missing = PathBuf::from("nowhere/libonnxruntime.so");
    let node = Node::with(vec![Arc::new(OnnxRuntime::new(missing, Provider::Cuda))])?;
    let Standing::Out { reason, .. } = node.standing("gpu-onnxruntime-cuda") else {
        panic!("it is advertised")
    };
    let part = "ONNX Runtime does not load from nowhere/libonnxruntime.so";
    assert!(reason.contains(part), "{reason}");
    Ok(())
}

#[test]
fn models_on_onnx_runtime_answer_as_on_the_processor() -> Result {
    let Some(library) = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from) else {
        let why = "ORT_DYLIB_PATH names no libonnxruntime.so (in the wheel `onnxruntime`)";
        let test = "models_on_onnx_runtime_answer_as_on_the_processor";
        writeln!(std::io::stdout(), "skipped: {test}: {why}")?;
        return Ok(());
    };
    let cpu = OnnxRuntime::new(library.clone(), Provider::Cpu);
    let cuda = OnnxRuntime::new(library, Provider::Cuda);
    let node = Node::with(vec![Arc::new(cpu), Arc::new(cuda), Arc::new(Tract)])?;
    assert!(node.is_advertised("cpu-onnxruntime"), "{:?}", node.infer.backends());
    node.hold("linear", &onnx::linear())?;
    let x = || vec![f32s("x", &[1, 3], &[1.0, -1.0, 2.0])];
    let answer = node.run("linear", x(), ExecutionMode::Cpu)?;
    assert_eq!(answer.timing.backend, "cpu-onnxruntime");
    assert_eq!(values(&answer), [8.5, 9.5]);
    // A library without CUDA says so and is not used for it.
    if let Standing::Out { reason, .. } = node.standing("gpu-onnxruntime-cuda") {
        writeln!(std::io::stdout(), "CUDA is not advertised: {reason}")?;
        let fault = node.run("linear", x(), ExecutionMode::Gpu).unwrap_err();
        assert!(fault.to_string().contains("gpu-onnxruntime-cuda is out"), "{fault}");
    }
    Ok(())
}
