//! The probe that a back end has to pass before it is used, and each time before it is used again.
//!
//! What a library lists as available says how it was compiled, not what the device can do, so every back end computes something small
//! whose answer is known: the kernels with odd sizes, compared with their references, and a model of a convolution and a matrix product,
//! whose answer was computed outside of this program. An answer counts if no value is off by more than [`ERROR_MAX`].

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::backend::{Backend, Failure, Source, Workload};
use crate::gate::Gate;
use crate::kernel::Kernel;
use crate::onnx;
use crate::tensor::Tensor;

/// Largest difference between a value and what it has to be.
pub const ERROR_MAX: f32 = 1e-3;
/// Longest that a probe may take: opening a device takes up to a second, a first CUDA context some seconds more.
pub const PROBE_TIME_MAX: Duration = Duration::from_secs(30);

/// Takes x of \[1, 1, 4, 4\]: convolution with 2 · 3 · 3 weights, cut at 0, flattened, times \[8, 3\].
const MODEL: &[u8] = include_bytes!("probe/model.onnx");
/// What it makes of [`pattern`], computed with exact fractions outside of this program: 1/256 of these.
const ANSWER_256: [i16; 3] = [-166, 103, -395];

/// Why a back end is not advertised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It does not answer; it may later.
    Fails(String),
    /// It answers something else.
    Wrong(String),
}

/// Probes a back end on a thread of its own; answers its device. A back end that hangs keeps that thread.
///
/// It is opened at once, and what it computes takes its turn in the queue, so that nothing else runs on a graphics processor meanwhile. A
/// back end that hangs holds the queue until [`PROBE_TIME_MAX`] is over.
pub(crate) fn probe(backend: &Arc<dyn Backend>, gate: &Gate) -> Result<String, Verdict> {
    let until = deadline();
    let (tell, told) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let probed = Arc::clone(backend);
    let work = move || {
        let opened = probed.open().map_err(|failure| Verdict::Fails(failure.to_string()));
        let is_open = opened.is_ok();
        // Nobody listens any more where it took too long.
        tell.send(opened).ok();
        if is_open && may_go.recv().is_ok() {
            tell.send(prove(probed.as_ref()).map(|()| String::new())).ok();
        }
    };
    let thread = thread::Builder::new().name("probe".to_owned()).spawn(work);
    let fails = |reason: String| Verdict::Fails(reason);
    let thread = thread.map_err(|error| fails(format!("no thread to probe it: {error}")))?;
    let wait = || told.recv_timeout(until.saturating_duration_since(Instant::now()));
    let proved = wait().and_then(|opened| {
        let Ok(device) = opened else { return Ok(opened) };
        let turn = gate.enter_to_probe(until).map_err(|_late| mpsc::RecvTimeoutError::Timeout)?;
        go.send(()).ok();
        let proved = wait();
        drop(turn);
        proved.map(|verdict| verdict.map(|_| device))
    });
    match proved {
        Ok(verdict) => verdict,
        Err(mpsc::RecvTimeoutError::Timeout) => {
            Err(fails(format!("its probe did not end within {} s", PROBE_TIME_MAX.as_secs())))
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            let text = thread.join().err().map(|panic| crate::backend::panic_text(panic.as_ref()));
            Err(fails(text.unwrap_or_else(|| "its probe ended without a word".to_owned())))
        }
    }
}

/// Whether it computes what it has to.
fn prove(backend: &dyn Backend) -> Result<(), Verdict> {
    if backend.runs(Workload::Kernels) {
        Kernel::ALL.into_iter().try_for_each(|kernel| one_kernel(backend, kernel))?;
    }
    if backend.runs(Workload::Models) {
        model(backend)?;
    }
    match backend.native() {
        Some(native) => native.prove(deadline()),
        None => Ok(()),
    }
}

fn model(backend: &dyn Backend) -> Result<(), Verdict> {
    let facts = onnx::check(MODEL).expect("the model of the probe is sound, a test says so");
    let input = tensor("x", &[1, 1, 4, 4]);
    let expected = ANSWER_256.map(|value| f32::from(value) / 256.0);
    let source = Source::Model { facts: &facts, bytes: MODEL };
    compare("the model", &[1, 3], &expected, run(backend, source, &[&input]))
}

fn one_kernel(backend: &dyn Backend, kernel: Kernel) -> Result<(), Verdict> {
    // Odd sizes: edges of tiles and rows are where kernels go wrong.
    let inputs = match kernel {
        Kernel::MatMul => vec![tensor("a", &[17, 19]), tensor("b", &[19, 33])],
        Kernel::ConvRelu => {
            vec![tensor("x", &[3, 9, 21]), tensor("w", &[5, 3, 3, 4]), tensor("bias", &[5])]
        }
        Kernel::AddRelu => vec![tensor("a", &[7, 111]), tensor("b", &[7, 111])],
    };
    let refs: Vec<&Tensor> = inputs.iter().collect();
    let call = kernel.check(&refs).expect("these sizes fit");
    let values: Vec<Vec<f32>> = inputs.iter().filter_map(Tensor::to_f32).collect();
    let expected = call.reference(&values, deadline());
    let expected = expected.ok_or_else(|| Verdict::Fails("the processor is too slow".into()))?;
    compare(&kernel.name(), &call.dims, &expected, run(backend, Source::Kernel(kernel), &refs))
}

fn run(
    backend: &dyn Backend,
    source: Source<'_>,
    inputs: &[&Tensor],
) -> Result<Vec<Tensor>, Failure> {
    backend.prepare(source)?.run(inputs, deadline())
}

fn deadline() -> Instant {
    Instant::now() + PROBE_TIME_MAX
}

/// Whether an answer is near enough.
fn compare(
    what: &str,
    dims: &[u32],
    expected: &[f32],
    answer: Result<Vec<Tensor>, Failure>,
) -> Result<(), Verdict> {
    let answer = answer.map_err(|failure| Verdict::Fails(format!("{what}: {failure}")))?;
    let wrong = |text: String| Err(Verdict::Wrong(format!("{what}: {text}")));
    let [answer] = answer.as_slice() else {
        return wrong(format!("it answers {} tensors, not 1", answer.len()));
    };
    let Some(values) = answer.to_f32().filter(|_| answer.dims() == dims) else {
        return wrong(format!("it answers {answer:?} instead of f32 {dims:?}"));
    };
    match error_of(&values, expected) {
        error if ERROR_MAX < error => {
            wrong(format!("a value is off by {error}, more than {ERROR_MAX}"))
        }
        _ => Ok(()),
    }
}

/// What is wrong with a tensor that should be another: integers have to be the same, others near enough.
pub(crate) fn difference(given: &Tensor, expected: &Tensor) -> Option<String> {
    if (given.kind(), given.dims()) != (expected.kind(), expected.dims()) {
        return Some(format!("it answers {given:?} instead of {expected:?}"));
    }
    let floats = |tensor: &Tensor| tensor.to_floats();
    let Some((is, should)) = floats(given).zip(floats(expected)) else {
        let is_same = given.data() == expected.data();
        return (!is_same).then(|| format!("{:?} has other values", given.name()));
    };
    let error = error_of(&is, &should);
    let name = given.name();
    (ERROR_MAX < error)
        .then(|| format!("a value of {name:?} is off by {error}, more than {ERROR_MAX}"))
}

/// How far off the worst value is.
fn error_of(values: &[f32], expected: &[f32]) -> f32 {
    let errors = values.iter().zip(expected).map(|(is, should)| (is - should).abs());
    // What is no number is infinitely wrong.
    errors.map(|e| if e.is_nan() { f32::INFINITY } else { e }).fold(0.0, f32::max)
}

/// A tensor of values between -1.5 and 1.5 that do not repeat with any dimension of the probe.
fn tensor(name: &str, dims: &[u32]) -> Tensor {
    let count = dims.iter().product::<u32>();
    let values: Vec<f32> = (0..count).map(pattern).collect();
    Tensor::from_f32(name, dims.to_vec(), &values).expect("a small tensor")
}

/// Quarters: ((5 i + 1) mod 13 - 6) / 4.
fn pattern(index: u32) -> f32 {
    let quarters = u16::try_from((5 * index + 1) % 13).unwrap_or_default();
    (f32::from(quarters) - 6.0) / 4.0
}
