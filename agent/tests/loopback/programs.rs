//! Functions that are a model or a kernel of the node: signed and deployed like any other, called with tensors.

use infer::{Tensor, safetensors};
use protocol::desired::Phase;
use protocol::invoke::{Fault, Invoked, Outcome};
use protocol::manifest::slots::Budgets;
use protocol::manifest::{Code, Grants, Manifest, NO_WORLD};
use types::{Backend, ExecutionMode, FunctionId, MiB, TenantId};

use crate::calls::{callee_spec, puppet_that_calls, spec};
use crate::signing;
use crate::support::{Agent, Session, desired, eventually, invoke, is_taken, node};

/// The model of the probe: a convolution and a linear layer.
const MODEL: &[u8] = include_bytes!("../../../functions/infer/src/probe/model.onnx");
/// What it makes of [`request`], computed with exact fractions outside of any program of ours: 1/256 of these.
const ANSWER_256: [f32; 3] = [-166.0, 103.0, -395.0];

/// A function: what is signed, and the bytes that travel.
type Function = (Manifest, Vec<u8>);

fn program(name: &str, code: Code, bytes: &[u8]) -> Function {
    let mut manifest = signing::manifest(name, bytes);
    manifest.world = NO_WORLD;
    manifest.limits.linear_memory_mib = MiB(0);
    manifest.code = code;
    (manifest, bytes.to_vec())
}

fn model(name: &str) -> Function {
    program(name, Code::Onnx, MODEL)
}

fn kernel(name: &str, kernel: &str) -> Function {
    program(name, Code::Named(kernel.to_owned()), b"")
}

/// A guest that may call and run these.
fn guest(name: &str, calls: &str, models: &[&str]) -> Function {
    let component = puppet_that_calls(calls);
    let mut manifest = signing::manifest(name, &component);
    manifest.grants = Grants {
        calls: vec![FunctionId::new(calls).expect("a valid name")],
        models: models.iter().map(|&name| name.to_owned()).collect(),
        ..Grants::default()
    };
    (manifest, component)
}

/// A node with functions, each with a task of its name.
struct Bench {
    agent: Agent,
    controller: Session,
    run: u64,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn with(functions: &[Function]) -> Self {
        let dir = tempfile::tempdir().expect("a writable directory");
        let agent = Agent::start(dir.path(), "sat-1", &[], "");
        let controller = Session::controller(&[agent.port], &[]);
        let specs: Vec<_> = functions
            .iter()
            .map(|(manifest, bytes)| {
                controller.hold(bytes);
                spec(&controller, manifest, bytes)
            })
            .collect();
        let mut wanted = desired(&agent.name, 1, &specs, &[]);
        let callee = |(manifest, _): &Function| callee_spec(manifest, node("sat-1"));
        wanted.callees = functions.iter().map(callee).collect();
        assert!(is_taken(&controller.tell(&wanted)));
        let bench = Self { agent, controller, run: 0, _dir: dir };
        eventually("tasks at hand or refused", || {
            let told = [Phase::Active, Phase::Failed].iter();
            let told: usize = told.map(|phase| bench.tasks_that_are(*phase).len()).sum();
            (told == functions.len()).then_some(())
        });
        bench
    }

    fn tasks_that_are(&self, phase: Phase) -> Vec<String> {
        let tasks = self.controller.status(&self.agent.name).tasks;
        let tasks = tasks.into_iter().filter(|task| task.phase == phase);
        tasks.map(|task| task.task.to_string()).collect()
    }

    fn call(&mut self, name: &str, body: impl Into<Vec<u8>>) -> Invoked {
        self.run += 1;
        self.controller.invoke(&self.agent.name, &invoke(name, self.run, body))
    }

    #[track_caller]
    fn good(&mut self, name: &str, body: impl Into<Vec<u8>>) -> Vec<u8> {
        match self.call(name, body).outcome {
            Outcome::Committed(done) => done.body,
            Outcome::Failed(fault) => panic!("{name}: {fault:?}"),
        }
    }

    #[track_caller]
    fn fault(&mut self, name: &str, body: impl Into<Vec<u8>>) -> Fault {
        match self.call(name, body).outcome {
            Outcome::Failed(fault) => fault,
            done @ Outcome::Committed(_) => panic!("{name}: {done:?}"),
        }
    }
}

fn f32s(name: &str, dims: &[u32], values: &[f32]) -> Tensor {
    Tensor::from_f32(name, dims.to_vec(), values).expect("a sound tensor")
}

/// Quarters that do not repeat with any dimension, as the probe has them: ((5 i + 1) mod 13 - 6) / 4.
fn request() -> Vec<u8> {
    let values: Vec<f32> = (0..16_u8).map(|i| (f32::from((5 * i + 1) % 13) - 6.0) / 4.0).collect();
    safetensors::encode(&[f32s("x", &[1, 1, 4, 4], &values)])
}

#[track_caller]
fn is_answer(body: &[u8]) {
    let [answer] = safetensors::decode(body).expect("tensors").try_into().expect("one");
    assert_eq!((answer.name(), answer.dims()), ("y", &[1, 3][..]));
    for (is, should) in answer.to_f32().expect("floats").iter().zip(ANSWER_256) {
        assert!((is - should / 256.0).abs() < 1e-3, "{is} is not {should} / 256");
    }
}

#[test]
fn a_model_is_called_like_any_function_and_its_cost_is_written_down() {
    let mut bench = Bench::with(&[model("detect")]);
    let first = bench.call("detect", request());
    let Outcome::Committed(done) = first.outcome else { panic!("{first:?}") };
    is_answer(&done.body);
    let record = first.record;
    assert_eq!((record.backend, record.cold), (Some(Backend::InferCpu), true));
    assert!(0 < record.instantiate_ns && 0 < record.run_ns && 0 < record.cpu_ns, "{record:?}");
    assert_eq!((record.gpu_ns, record.state_ops, record.calls), (0, 0, 0));
    assert_eq!(record.input_bytes, request().len() as u64);
    // The body, and the same as the object that a next stage would get.
    assert_eq!(record.output_bytes, 2 * done.body.len() as u64);
    let second = bench.call("detect", request());
    assert!(!second.record.cold, "it is ready by now");
    // The report of the node counts them like others.
    let rows = eventually("its row", || {
        let reports = bench.controller.reports().into_iter();
        let rows = reports.filter_map(|report| match report.body {
            protocol::report::ReportBody::Function(function) => Some(function.tasks),
            _ => None,
        });
        rows.flatten().find(|row| row.calls == 2)
    });
    assert_eq!((rows.task.as_str(), rows.backend), ("detect", Some(Backend::InferCpu)));
}

#[test]
fn what_is_no_input_of_the_model_is_told_and_the_next_call_works() {
    let mut bench = Bench::with(&[model("detect")]);
    let nan = safetensors::encode(&[f32s("x", &[1, 1, 4, 4], &[f32::NAN; 16])]);
    let dims = safetensors::encode(&[f32s("x", &[1, 16], &[0.0; 16])]);
    let other = safetensors::encode(&[f32s("z", &[1], &[0.0])]);
    for body in
        [Vec::new(), b"no tensors".to_vec(), nan, dims, other, safetensors::encode::<Tensor>(&[])]
    {
        let fault = bench.fault("detect", body);
        assert!(matches!(fault, Fault::BadInput(_)), "{fault:?}");
        is_answer(&bench.good("detect", request()));
    }
}

#[test]
fn models_that_are_not_sound_and_kernels_that_are_not_there_do_not_run() {
    let half = program("half", Code::Onnx, &MODEL[..MODEL.len() / 2]);
    let component = program("component", Code::Onnx, &puppet_that_calls("x"));
    let functions = [
        half,
        component,
        kernel("fft", "kernel/fft"),
        kernel("native", "native/fft"),
        model("good"),
    ];
    let mut bench = Bench::with(&functions);
    for (name, why) in [
        ("half", "corrupted"),
        ("component", "corrupted"),
        ("fft", "no kernel \"kernel/fft\"; it has kernel/matmul"),
        ("native", "no native program \"native/fft\""),
    ] {
        let failed = bench.tasks_that_are(Phase::Failed);
        assert!(failed.iter().any(|task| task == name), "{name}: {failed:?}");
        let fault = bench.fault(name, request());
        assert!(matches!(&fault, Fault::Denied(said) if said.contains(why)), "{fault:?}");
    }
    is_answer(&bench.good("good", request()));
}

#[test]
fn a_kernel_gives_the_product_and_a_mode_that_nothing_serves_is_told() {
    let mut gpu = kernel("gpu", "kernel/matmul");
    gpu.0.exec.chosen = Some(ExecutionMode::Gpu);
    let mut bench = Bench::with(&[kernel("product", "kernel/matmul"), gpu]);
    let a = f32s("a", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let b = f32s("b", &[3, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    let body = safetensors::encode(&[a, b]);
    let [c] = safetensors::decode(&bench.good("product", body.clone()))
        .expect("tensors")
        .try_into()
        .expect("one");
    // By hand: row 1 is 1 + 3, 2 + 3; row 2 is 4 + 6, 5 + 6.
    assert_eq!((c.name(), c.to_f32().expect("floats")), ("c", vec![4.0, 5.0, 10.0, 11.0]));
    let fault = bench.fault("gpu", body);
    assert!(matches!(&fault, Fault::Internal(said) if said.contains("mode Gpu")), "{fault:?}");
}

#[test]
fn guests_reach_a_model_function_by_calling_it_and_not_by_its_name_as_a_model() {
    let mut foreign = guest("foreign", "copy", &["copy"]);
    foreign.0.tenant = TenantId::new("other").expect("a valid name");
    // What the guest runs with `&` is named "copy", as the function is.
    let functions = [model("copy"), guest("caller", "copy", &["copy", "fn/copy"]), foreign];
    let mut bench = Bench::with(&functions);
    let call = [b"3", request().as_slice()].concat();
    let called = bench.call("caller", call.clone());
    let Outcome::Committed(done) = called.outcome else { panic!("{called:?}") };
    is_answer(&done.body);
    assert_eq!(called.record.calls, 1);
    for name in ["caller", "foreign"] {
        let fault = bench.fault(name, "&");
        assert!(matches!(fault, Fault::NotFound(_)), "{name}: {fault:?}");
    }
    let fault = bench.fault("foreign", call);
    let rule = "does not grant calls to functions of tenant \"other\"";
    assert!(matches!(&fault, Fault::Denied(said) if said.contains(rule)), "{fault:?}");
}

#[test]
fn the_signed_budget_and_deadline_hold_for_a_model() {
    let mut bench = {
        let mut hasty = kernel("hasty", "kernel/matmul");
        hasty.0.limits.deadline_ms = 1;
        let mut poor = kernel("poor", "kernel/matmul");
        poor.0.budgets = Budgets { cpu_ms: Some(1), ..Budgets::default() };
        Bench::with(&[hasty, poor])
    };
    // 134 million multiply-accumulates: no processor does them within a millisecond.
    let [a, b] = ["a", "b"].map(|name| f32s(name, &[512, 512], &vec![0.5; 512 * 512]));
    let long = safetensors::encode(&[a, b]);
    assert_eq!(bench.fault("hasty", long.clone()), Fault::Deadline);
    let fault = bench.fault("poor", long);
    assert!(matches!(&fault, Fault::TooLarge(said) if said.contains("budget")), "{fault:?}");
    let [a, b] = ["a", "b"].map(|name| f32s(name, &[1, 1], &[0.5]));
    let short = safetensors::encode(&[a, b]);
    bench.good("poor", short.clone());
    bench.run += 1;
    let mut spent = invoke("poor", bench.run, short);
    spent.budget.cpu_us = 0;
    let outcome = bench.controller.invoke(&bench.agent.name, &spent).outcome;
    assert!(matches!(outcome, Outcome::Failed(Fault::TooLarge(_))), "{outcome:?}");
}
