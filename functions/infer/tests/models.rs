//! Real models on the processor: what they answer, and every way in which a guest or a file can be wrong (negative test 37).

#[path = "support/node.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod node;
#[path = "support/onnx.rs"]
mod onnx;

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use infer::backend::Tract;
use infer::{Fault, Job, Kind, ReadyLimits, Tensor};
use node::{LONG, Node, Result, f32s, values};
use sha2::{Digest as _, Sha256};
use types::{Backend, ExecutionMode};

const CPU: ExecutionMode = ExecutionMode::Cpu;

fn node() -> Result<Node> {
    Node::with(vec![Arc::new(Tract)])
}

#[test]
fn a_linear_layer_answers_what_its_formula_gives() -> Result {
    let node = node()?;
    node.hold("linear", &onnx::linear())?;
    let answer = node.run("linear", vec![f32s("x", &[1, 3], &[1.0, -1.0, 2.0])], CPU)?;
    // 1 - 3 + 10 + 0.5 and 2 - 4 + 12 - 0.5, by hand.
    assert_eq!(values(&answer), [8.5, 9.5]);
    assert_eq!(answer.outputs[0].dims(), [1, 2]);
    let timing = &answer.timing;
    assert_eq!((timing.backend.as_str(), timing.processor), ("cpu-tract", Backend::InferCpu));
    assert!(timing.load.is_some_and(|load| !load.is_zero()));
    let again = node.run("linear", vec![f32s("x", &[1, 3], &[0.0; 3])], CPU)?;
    assert_eq!((values(&again), again.timing.load), (vec![0.5, -0.5], None));
    let [stats] = node.infer.stats().try_into().expect("one model on one back end");
    assert_eq!((stats.calls, stats.failures), (2, 0));
    assert_eq!(
        (stats.run.map(|run| run.count), stats.load.map(|load| load.count)),
        (Some(2), Some(1))
    );
    Ok(())
}

#[test]
fn a_network_with_hidden_layers_answers_what_was_computed_by_hand() -> Result {
    let node = node()?;
    let mlp = onnx::model(
        &[
            onnx::node("MatMul", &["x", "w"], "h", &[]),
            onnx::node("Add", &["h", "b"], "i", &[]),
            onnx::node("Relu", &["i"], "j", &[]),
            onnx::node("MatMul", &["j", "v"], "k", &[]),
            onnx::node("Softmax", &["k"], "y", &[onnx::int("axis", -1)]),
        ],
        &[
            onnx::weight("w", &[2, 3], &[1.0, -1.0, 2.0, 0.5, 1.0, -1.0]),
            onnx::weight("b", &[3], &[0.0, 0.5, 1.0]),
            onnx::weight("v", &[3, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, -1.0]),
        ],
        &[onnx::port("x", &[1, 2])],
        &[onnx::port("y", &[1, 2])],
    );
    node.hold("mlp", &mlp)?;
    let answer = node.run("mlp", vec![f32s("x", &[1, 2], &[1.0, 2.0])], CPU)?;
    // x·w = [2, 1, 0]; with b [2, 1.5, 1]; times v [3, 0.5]; softmax 1 / (1 + e^-2.5) = 0.924142.
    let [first, second] = values(&answer).try_into().expect("two values");
    assert!(
        (first - 0.924_142).abs() < 1e-5 && (second - 0.075_858).abs() < 1e-5,
        "{first} {second}"
    );
    Ok(())
}

#[test]
fn the_committed_model_is_what_the_generator_writes() -> Result {
    let committed = include_bytes!("../src/probe/model.onnx");
    assert_eq!(committed.as_slice(), onnx::probe());
    // The processor has to pass with it, or nothing here would run.
    assert!(node()?.is_advertised("cpu-tract"));
    Ok(())
}

#[test]
fn wrong_inputs_are_told_with_what_was_expected() -> Result {
    let node = node()?;
    node.hold("linear", &onnx::linear())?;
    let fault = |inputs: Vec<Tensor>| node.run("linear", inputs, CPU).unwrap_err();
    let x = |dims: &[u32]| f32s("x", dims, &vec![1.0; dims.iter().product::<u32>() as usize]);
    assert_eq!(fault(vec![x(&[3, 1])]).to_string(), "input \"x\" of linear is [1, 3], not [3, 1]");
    let ints = Tensor::new("x", vec![1, 3], Kind::I32, vec![0; 12])?;
    assert_eq!(fault(vec![ints]).to_string(), "input \"x\" of linear is of f32, not of i32");
    assert!(matches!(fault(vec![]), Fault::MissingInput { name, .. } if name == "x"));
    assert!(matches!(fault(vec![x(&[1, 3]), x(&[1, 3])]), Fault::UnexpectedInput { .. }));
    let other = f32s("z", &[1, 3], &[1.0; 3]);
    assert_eq!(
        fault(vec![other]).to_string(),
        "linear has no input \"z\", or it is given twice: it takes x"
    );
    let unknown = node.run("nothing", vec![], CPU).unwrap_err();
    assert_eq!(unknown, Fault::UnknownModel("nothing".into()));
    for value in [f32::NAN, f32::INFINITY] {
        let fault = fault(vec![f32s("x", &[1, 3], &[1.0, value, 2.0])]);
        assert_eq!(fault, Fault::NotFinite { name: "x".into(), index: 1 });
    }
    // 4 GiB are refused when the tensor is made, before anything is allocated.
    assert!(Tensor::new("x", vec![1 << 15, 1 << 15], Kind::F32, vec![]).is_err());
    // After all that, the next call works.
    assert_eq!(values(&node.run("linear", vec![x(&[1, 3])], CPU)?), [9.5, 11.5]);
    Ok(())
}

#[test]
fn corrupted_models_are_errors_and_stay_ones() -> Result {
    let node = node()?;
    let sound = onnx::linear();
    let nothing: [onnx::Message; 0] = [];
    let cyclic = onnx::model(
        &[onnx::node("Relu", &["b"], "a", &[]), onnx::node("Relu", &["a"], "b", &[])],
        &nothing,
        &[onnx::port("x", &[1])],
        &[onnx::port("b", &[1])],
    );
    let huge = onnx::model(
        &[onnx::node("Relu", &["x"], "y", &[])],
        &nothing,
        &[onnx::port("x", &[1 << 31, 1 << 31])],
        &[onnx::port("y", &[1])],
    );
    let garbage: Vec<u8> =
        (0..4096_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let cases = [
        ("truncated", &sound[..sound.len() / 2], "middle of a field"),
        ("cyclic", &cyclic, "has a cycle"),
        ("huge", &huge, "has more than 67108864 bytes"),
        ("garbage", &garbage, ""),
        ("empty", &[], "no graph"),
    ];
    for (name, bytes, part) in cases {
        node.hold(name, bytes)?;
        for _ in 0..2 {
            let fault = node.run(name, vec![f32s("x", &[1], &[1.0])], CPU).unwrap_err();
            let Fault::Corrupted { reason, .. } = &fault else { panic!("{name}: {fault}") };
            assert!(reason.contains(part), "{name}: {reason}");
        }
    }
    // Sound, but changed on disk after it was deployed.
    node.hold("changed", &sound)?;
    fs::write(node.folder.path().join("changed.onnx"), onnx::probe())?;
    let fault = node.run("changed", vec![f32s("x", &[1, 3], &[1.0; 3])], CPU).unwrap_err();
    assert!(fault.to_string().contains("SHA-256"), "{fault}");
    node.hold("changed", &sound)?;
    assert!(node.run("changed", vec![f32s("x", &[1, 3], &[1.0; 3])], CPU).is_ok());
    Ok(())
}

#[test]
fn no_changed_byte_of_a_model_harms_the_node() -> Result {
    let node = Node::limited(vec![Arc::new(Tract)], |config| config.ready.count = 2)?;
    let sound = onnx::linear();
    for at in (0..sound.len()).step_by(3) {
        let mut changed = sound.clone();
        changed[at] ^= 0x11;
        node.hold("changed", &changed)?;
        // Whatever the answer is: it comes, and only weights may have changed if it is one.
        match node.run("changed", vec![f32s("x", &[1, 3], &[1.0; 3])], CPU) {
            Ok(answer) => assert_eq!(answer.outputs[0].dims(), [1, 2]),
            Err(fault) => assert!(!fault.to_string().is_empty()),
        }
    }
    node.hold("sound", &sound)?;
    assert!(node.run("sound", vec![f32s("x", &[1, 3], &[1.0; 3])], CPU).is_ok());
    Ok(())
}

#[test]
fn a_panic_of_the_library_while_a_model_runs_is_an_error() -> Result {
    let node = node()?;
    node.hold("linear", &onnx::linear())?;
    // tract multiplies integers with a check for overflow, and panics.
    let pow = onnx::model(
        &[onnx::node("Pow", &["x", "e"], "y", &[])],
        &[onnx::shape("e", &[9])],
        &[onnx::port_of(onnx::I64, "x", &[1])],
        &[onnx::port_of(onnx::I64, "y", &[1])],
    );
    node.hold("pow", &pow)?;
    let x = |value: i64| Tensor::new("x", vec![1], Kind::I64, value.to_le_bytes().to_vec());
    let answer = node.run("pow", vec![x(3)?], CPU)?;
    assert_eq!(answer.outputs[0].data(), 19_683_i64.to_le_bytes());
    let fault = node.run("pow", vec![x(i64::MAX)?], CPU).unwrap_err();
    assert!(fault.to_string().contains("cpu-tract says: it panicked"), "{fault}");
    // For nobody else anything has changed.
    assert!(node.is_advertised("cpu-tract"));
    assert!(node.run("linear", vec![f32s("x", &[1, 3], &[1.0; 3])], CPU).is_ok());
    Ok(())
}

#[test]
fn models_that_are_ready_are_bounded() -> Result {
    let limits = ReadyLimits { count: 3, bytes: 1 << 20 };
    let node = Node::limited(vec![Arc::new(Tract)], |config| config.ready = limits)?;
    for index in 0..6_u8 {
        // Different weights, so that each is a model of its own.
        let add = [onnx::node("Add", &["x", "w"], "y", &[])];
        let weights = [onnx::weight("w", &[1], &[f32::from(index)])];
        let ports = [onnx::port("x", &[1])];
        let model = onnx::model(&add, &weights, &ports, &[onnx::port("y", &[1])]);
        let name = format!("add{index}");
        node.hold(&name, &model)?;
        let answer = node.run(&name, vec![f32s("x", &[1], &[0.5])], CPU)?;
        assert_eq!(values(&answer), [f32::from(index) + 0.5]);
        assert!(node.infer.ready().0 <= 3);
    }
    Ok(())
}

#[test]
fn a_deadline_ends_a_model_between_two_operators() -> Result {
    let node = node()?;
    // About 100 products of 512 × 512 matrices: seconds, and each far below one.
    let names: Vec<String> = (0..100).map(|i| format!("v{i}")).collect();
    let mut nodes = Vec::new();
    let mut last = "x";
    for name in &names {
        nodes.push(onnx::node("MatMul", &[last, "x"], name, &[]));
        last = name;
    }
    let nothing: [onnx::Message; 0] = [];
    let side = [512, 512];
    let model =
        onnx::model(&nodes, &nothing, &[onnx::port("x", &side)], &[onnx::port(last, &side)]);
    node.hold("long", &model)?;
    let x = f32s("x", &[512, 512], &vec![0.0; 512 * 512]);
    assert!(node.run("long", vec![x.clone()], CPU).is_ok());
    let whole = node.infer.stats()[0].run.expect("one run").max_ms;
    let start = Instant::now();
    let deadline = start + Duration::from_millis(1);
    let job = Job { model: "long".into(), inputs: vec![x], mode: CPU, deadline };
    assert_eq!(node.infer.run(&job).unwrap_err(), Fault::Deadline);
    let took = start.elapsed().as_secs_f64() * 1e3;
    assert!(took < whole, "{took} ms, the whole model {whole} ms");
    assert!(start.elapsed() < LONG);
    Ok(())
}

#[test]
fn a_mode_that_nothing_serves_is_told_why() -> Result {
    let node = node()?;
    node.hold("linear", &onnx::linear())?;
    let x = || vec![f32s("x", &[1, 3], &[1.0; 3])];
    let fault = node.run("linear", x(), ExecutionMode::Gpu).unwrap_err();
    assert!(fault.to_string().contains("cpu-tract may not be used in this mode"), "{fault}");
    assert!(node.run("linear", x(), ExecutionMode::GpuPreferred).is_ok());
    let bare = Node::with(vec![])?;
    bare.hold("linear", &onnx::linear())?;
    let fault = bare.run("linear", x(), CPU).unwrap_err();
    assert!(fault.to_string().contains("no back end for models is compiled in"), "{fault}");
    Ok(())
}

/// A model that somebody holds beside the catalog, such as a function that is one.
#[test]
fn a_model_of_its_own_is_reached_by_no_name_and_stays_what_it_was() -> Result {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("some.file");
    let bytes = onnx::linear();
    fs::write(&path, &bytes)?;
    let sha256 = |bytes: &[u8]| Sha256::digest(bytes).into();
    let hash = sha256(&bytes);
    // Nothing stays ready, so that each run reads the file.
    let none = ReadyLimits { count: 0, bytes: 1 << 20 };
    let node = Node::limited(vec![Arc::new(Tract)], |config| config.ready = none)?;
    let own = node.infer.open_own("fn/linear", fs::File::open(&path)?, hash)?;
    fs::write(dir.path().join("other"), b"other")?;
    fs::rename(dir.path().join("other"), &path)?;
    let input = || vec![f32s("x", &[1, 3], &[1.0, -1.0, 2.0])];
    for _ in 0..2 {
        let answer = node.infer.run_own(&own, &input(), CPU, Instant::now() + LONG)?;
        assert_eq!(values(&answer), [8.5, 9.5]);
        assert!(answer.timing.load.is_some());
    }
    assert_eq!(node.infer.models(), Vec::<String>::new());
    for name in ["fn/linear", "linear", "some.file"] {
        assert!(matches!(node.run(name, input(), CPU), Err(Fault::UnknownModel(_))), "{name}");
        assert!(node.infer.find(name).is_err());
    }
    assert!(node.infer.find("kernel/matmul").is_ok() && node.infer.has_models());
    let other = node.infer.open_own("fn/linear", fs::File::open(&path)?, hash);
    assert!(matches!(other, Err(Fault::Corrupted { reason, .. }) if reason.contains("SHA-256")));
    let none = node.infer.open_own("fn/none", fs::File::open(&path)?, sha256(b"other"));
    assert!(matches!(none, Err(Fault::Corrupted { .. })));
    Ok(())
}
