//! Models and kernels on a node, as its functions get them.

#[path = "../../functions/infer/tests/support/onnx.rs"]
#[expect(dead_code, reason = "tests of inference itself use the rest")]
mod onnx;

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use agent::config::{InferenceConfig, ProgramConfig};
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

/// The example of the documentation, started by a real agent's binary. No graphics processor is behind it.
#[test]
fn a_native_program_runs_for_functions() -> Result {
    let python = Path::new("/usr/bin/python3");
    if !python.exists() {
        writeln!(
            std::io::stdout(),
            "skipped: a_native_program_runs_for_functions: there is no /usr/bin/python3"
        )?;
        return Ok(());
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/examples/native-python");
    let program = ProgramConfig {
        name: "add".to_owned(),
        program: python.into(),
        arguments: vec![folder.join("add_relu.py").to_string_lossy().into_owned()],
        environment: Vec::new(),
        memory_mib: 256,
        milli_cpu: 1000,
        gpu_memory_mib: 1,
        probe_input: folder.join("probe-input.safetensors"),
        probe_output: folder.join("probe-output.safetensors"),
        fallback: None,
    };
    let config = InferenceConfig { programs: vec![program.clone()], ..Default::default() };
    let agent = Path::new(env!("CARGO_BIN_EXE_starbelt-agent"));
    let (news, told) = mpsc::channel();
    let models = Models::start_as(agent, &config, move |what| drop(news.send(what)))?;
    let told = || told.recv_timeout(Duration::from_secs(60));
    let native = loop {
        let news = told()?;
        if news.name == "native/add" {
            break news;
        }
    };
    assert_eq!(native.change, BackEndChange::Advertised, "{}", native.reason);
    assert!(native.reason.starts_with("the processor, by Python; "), "{}", native.reason);
    let sums = [floats("a", &[2], &[1.0, -3.0]), floats("b", &[2], &[0.5, 1.0])];
    let (outputs, timing) = models.run("native/add", sums.to_vec(), ExecutionMode::Gpu, soon())?;
    assert_eq!((values(&outputs[0]), timing.backend.as_str()), (vec![1.5, 0.0], "native/add"));
    let cpu = models.run("native/add", sums.to_vec(), CPU, soon());
    assert!(matches!(cpu, Err(HostFault::Internal(text)) if text.contains("no fallback")));

    let refused = |program| {
        let config = InferenceConfig { programs: vec![program], ..Default::default() };
        Models::start_as(agent, &config, |_| ()).map(|_| ()).unwrap_err().to_string()
    };
    let nothing = refused(ProgramConfig { program: "/no/such".into(), ..program.clone() });
    assert_eq!(nothing, "inference.program \"add\": program /no/such is no file");
    let script = folder.join("add_relu.py");
    let no_tensors = refused(ProgramConfig { probe_input: script, ..program });
    assert!(no_tensors.contains("add_relu.py: safetensors: "), "{no_tensors}");
    Ok(())
}
