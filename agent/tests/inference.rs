//! Models and kernels on a node, as its functions get them.

#[path = "../../functions/infer/tests/support/onnx.rs"]
#[expect(dead_code, reason = "tests of inference itself use the rest")]
mod onnx;

use std::error::Error;
use std::fs;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use agent::config::InferenceConfig;
use agent::exec::inference::{Models, ModelsError};
use protocol::event::BackEndChange;
use runtime::{Element, HostFault, Tensor};
use types::ExecutionMode;

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

const CPU: ExecutionMode = ExecutionMode::Cpu;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn floats(name: &str, dims: &[u32], values: &[f32]) -> Tensor {
    let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor { name: name.to_owned(), dims: dims.to_vec(), element: Element::F32, data }
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.data.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

#[test]
fn models_of_the_folder_and_kernels_run() -> Result {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("linear.onnx"), onnx::linear())?;
    fs::write(folder.path().join("notes.txt"), "not a model")?;
    let config = InferenceConfig { models: Some(folder.path().into()), ..Default::default() };
    let (news, told) = mpsc::channel();
    let models = Models::start(&config, move |what| drop(news.send(what)))?;
    assert_eq!(models.names(), ["linear"]);
    assert!(models.accelerators().contains(&"cpu-tract".to_owned()));
    let first = told.recv_timeout(Duration::from_secs(60))?;
    assert_eq!(first.change, BackEndChange::Advertised);

    let input = floats("x", &[1, 3], &[1.0, -1.0, 2.0]);
    let (outputs, timing) = models.run("linear", vec![input.clone()], CPU, soon())?;
    assert_eq!(values(&outputs[0]), [8.5, 9.5]);
    assert_eq!(timing.backend, "cpu-tract");

    let sums = [floats("a", &[2], &[1.0, -3.0]), floats("b", &[2], &[0.5, 1.0])];
    let (outputs, _) = models.run("kernel/add-relu", sums.to_vec(), CPU, soon())?;
    assert_eq!(values(&outputs[0]), [1.5, 0.0]);

    let unknown = models.run("other", vec![input.clone()], CPU, soon());
    assert_eq!(unknown.map(|_| ()), Err(HostFault::NotFound));
    let wrong = models.run("linear", vec![floats("x", &[1, 2], &[1.0; 2])], CPU, soon());
    assert!(matches!(wrong, Err(HostFault::BadInput(text)) if text.contains("[1, 3]")));
    let late = models.run("linear", vec![input], CPU, Instant::now());
    assert_eq!(late.map(|_| ()), Err(HostFault::Deadline));
    Ok(())
}

#[test]
fn what_cannot_be_used_is_said_with_its_place() -> Result {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join(".hidden.onnx"), onnx::linear())?;
    let start = |config: &InferenceConfig| Models::start(config, |_| ()).map(|_| ());
    let config = InferenceConfig { models: Some(folder.path().into()), ..Default::default() };
    let said = start(&config).unwrap_err().to_string();
    assert!(said.contains(".hidden.onnx") && said.contains("names no model"), "{said}");

    let nowhere = InferenceConfig { models: Some("/no/such/folder".into()), ..Default::default() };
    assert!(matches!(start(&nowhere), Err(ModelsError::Folder { .. })));

    let library = InferenceConfig { onnx_runtime: Some("/x.so".into()), ..Default::default() };
    let said = start(&library).unwrap_err().to_string();
    assert!(said.starts_with("inference.onnx_runtime is given, but this agent was built without"));
    Ok(())
}
