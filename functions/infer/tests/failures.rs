//! Graphics processors that fail in every way, played by a back end of the test: before they are advertised (negative test 39), and
//! in the middle of a call (38).

#[path = "support/node.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod node;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use infer::backend::{Backend, Failure, Prepared, Source, Workload};
use infer::health::Standing;
use infer::kernel::Kernel;
use infer::{Event, Fault, GateLimits, Job, Tensor};
use node::{Node, Result, f32s, values};
use types::{Backend as Processor, ExecutionMode};

const GPU_FIRST: ExecutionMode = ExecutionMode::GpuPreferred;
const NAME: &str = "gpu-of-the-test";

/// What the graphics processor of the test does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Right,
    /// It opens, but no kernel runs: an image for another architecture.
    NoKernelImage,
    /// All values are doubled.
    WrongNumbers,
    /// Values that are no numbers.
    NotNumbers,
    Lost,
    OutOfMemory,
    Panics,
    /// It answers only when the deadline has come.
    Slow,
}

#[derive(Debug, Default)]
struct State {
    name: Option<&'static str>,
    /// How many run now, on all back ends that share it, and the most that ever did.
    together: Arc<(AtomicUsize, AtomicUsize)>,
    mood: Mutex<Option<Mood>>,
    runs: AtomicUsize,
    opened: AtomicUsize,
}

impl State {
    fn mood(&self) -> Mood {
        self.mood.lock().expect("nobody panics with it").unwrap_or(Mood::Right)
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().expect("nobody panics with it") = Some(mood);
    }
}

#[derive(Clone, Debug, Default)]
struct Fake(Arc<State>);

impl Fake {
    fn in_mood(mood: Mood) -> Self {
        let fake = Self::default();
        fake.0.set(mood);
        fake
    }

    fn node(&self) -> Result<Node> {
        Node::with(vec![Arc::new(self.clone())])
    }
}

impl Backend for Fake {
    fn name(&self) -> &str {
        self.0.name.unwrap_or(NAME)
    }

    fn processor(&self) -> Processor {
        Processor::InferGpu
    }

    fn runs(&self, workload: Workload) -> bool {
        workload == Workload::Kernels
    }

    fn open(&self) -> Result<String, Failure> {
        self.0.opened.fetch_add(1, Ordering::Relaxed);
        Ok("a graphics processor of the test".to_owned())
    }

    fn prepare(&self, source: Source<'_>) -> Result<Box<dyn Prepared>, Failure> {
        match source {
            Source::Kernel(kernel) => Ok(Box::new(FakeReady(Arc::clone(&self.0), kernel))),
            Source::Model { .. } => Err(Failure::Refused("kernels only".to_owned())),
        }
    }
}

#[derive(Debug)]
struct FakeReady(Arc<State>, Kernel);

impl Prepared for FakeReady {
    fn run(&self, inputs: &[&Tensor], deadline: Instant) -> Result<Vec<Tensor>, Failure> {
        self.0.runs.fetch_add(1, Ordering::Relaxed);
        let (now, most) = self.0.together.as_ref();
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        // As long as it takes others to come in, if they can.
        std::thread::sleep(Duration::from_millis(2));
        let answer = self.answer(inputs, deadline);
        now.fetch_sub(1, Ordering::SeqCst);
        answer
    }

    fn bytes(&self) -> u64 {
        1
    }
}

impl FakeReady {
    fn answer(&self, inputs: &[&Tensor], deadline: Instant) -> Result<Vec<Tensor>, Failure> {
        let factor = match self.0.mood() {
            Mood::Right => 1.0,
            Mood::WrongNumbers => 2.0,
            Mood::NotNumbers => f32::NAN,
            Mood::NoKernelImage => {
                return Err(Failure::Lost("no kernel image is available".into()));
            }
            Mood::Lost => return Err(Failure::Lost("device lost".into())),
            Mood::OutOfMemory => return Err(Failure::OutOfMemory("of 1 GiB".into())),
            Mood::Panics => panic!("the driver's wrapper has a bug"),
            Mood::Slow => {
                std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
                return Err(Failure::Deadline);
            }
        };
        let call = self.1.check(inputs).expect("checked inputs");
        let inputs: Vec<_> = inputs.iter().filter_map(|input| input.to_f32()).collect();
        let values = call.reference(&inputs, deadline).ok_or(Failure::Deadline)?;
        let data = values.iter().flat_map(|value| (value * factor).to_le_bytes()).collect();
        Ok(vec![call.output(data).expect("as long as the reference")])
    }
}

fn inputs() -> Vec<Tensor> {
    vec![f32s("a", &[2], &[1.0, -3.0]), f32s("b", &[2], &[1.0, 2.0])]
}

#[test]
fn what_passes_its_probe_is_used() -> Result {
    let node = Fake::default().node()?;
    let answer = node.run("kernel/add-relu", inputs(), GPU_FIRST)?;
    assert_eq!(values(&answer), [2.0, 0.0]);
    assert_eq!(
        (answer.timing.backend.as_str(), answer.timing.processor),
        (NAME, Processor::InferGpu)
    );
    let cpu = node.run("kernel/add-relu", inputs(), ExecutionMode::CpuPreferred)?;
    assert_eq!((values(&cpu), cpu.timing.processor), (vec![2.0, 0.0], Processor::InferCpu));
    Ok(())
}

#[test]
fn a_provider_that_is_listed_but_whose_kernels_fail_is_not_advertised() -> Result {
    let fake = Fake::in_mood(Mood::NoKernelImage);
    let node = fake.node()?;
    let Standing::Out { reason, until } = node.standing(NAME) else { panic!("it is advertised") };
    assert!(reason.contains("kernel/matmul: no kernel image") && until.is_some(), "{reason}");
    let answer = node.run("kernel/add-relu", inputs(), GPU_FIRST)?;
    assert_eq!((values(&answer), answer.timing.processor), (vec![2.0, 0.0], Processor::InferCpu));
    // Nothing of a guest ever came near it.
    assert_eq!(fake.0.runs.load(Ordering::Relaxed), 1);
    let fault = node.run("kernel/add-relu", inputs(), ExecutionMode::Gpu).unwrap_err();
    assert!(fault.to_string().contains("gpu-of-the-test is out: kernel/matmul"), "{fault}");
    Ok(())
}

#[test]
fn one_that_answers_wrong_numbers_stays_out() -> Result {
    for mood in [Mood::WrongNumbers, Mood::NotNumbers] {
        let fake = Fake::in_mood(mood);
        let node = fake.node()?;
        let Standing::Out { reason, until } = node.standing(NAME) else { panic!("advertised") };
        assert!(reason.contains("a value is off by") && until.is_none(), "{reason}");
        fake.0.set(Mood::Right);
        assert_eq!(
            node.run("kernel/add-relu", inputs(), GPU_FIRST)?.timing.processor,
            Processor::InferCpu
        );
        assert_eq!(fake.0.opened.load(Ordering::Relaxed), 1);
    }
    Ok(())
}

#[test]
fn a_panic_in_a_probe_is_a_reason() -> Result {
    let node = Fake::in_mood(Mood::Panics).node()?;
    let Standing::Out { reason, .. } = node.standing(NAME) else { panic!("it is advertised") };
    assert_eq!(reason, "it panicked: the driver's wrapper has a bug");
    Ok(())
}

#[test]
fn a_call_goes_on_on_the_processor_and_the_device_comes_back() -> Result {
    for mood in [Mood::Lost, Mood::OutOfMemory, Mood::Panics] {
        let fake = Fake::default();
        let node = fake.node()?;
        node.run("kernel/add-relu", inputs(), GPU_FIRST)?;
        node.events();
        fake.0.set(mood);
        let answer = node.run("kernel/add-relu", inputs(), GPU_FIRST)?;
        assert_eq!(
            (values(&answer), answer.timing.processor),
            (vec![2.0, 0.0], Processor::InferCpu)
        );
        let events = node.events();
        let [Event::Demoted { backend, back_off, .. }, Event::FellBack { from, to, .. }] =
            events.as_slice()
        else {
            panic!("other events: {events:?}")
        };
        assert_eq!((backend.as_str(), back_off), (NAME, &Duration::from_secs(1)));
        assert_eq!((from.as_str(), to.as_str()), (NAME, "cpu-reference"));
        assert!(!node.is_advertised(NAME));
        // Within its time out nobody touches it.
        let runs = fake.0.runs.load(Ordering::Relaxed);
        node.run("kernel/add-relu", inputs(), GPU_FIRST)?;
        assert_eq!(fake.0.runs.load(Ordering::Relaxed), runs);
        fake.0.set(Mood::Right);
        node.wait_until(|node| {
            let answer = node.run("kernel/add-relu", inputs(), GPU_FIRST);
            answer.is_ok_and(|answer| answer.timing.processor == Processor::InferGpu)
        });
        assert!(matches!(node.events().as_slice(), [Event::Advertised { .. }]));
        let stats = node.infer.stats();
        let gpu = stats.iter().find(|pair| pair.backend == NAME).expect("it was used");
        assert_eq!((gpu.calls, gpu.failures), (2, 1));
    }
    Ok(())
}

#[test]
fn a_call_for_nothing_but_a_graphics_processor_fails_with_it() -> Result {
    let fake = Fake::default();
    let node = fake.node()?;
    fake.0.set(Mood::Lost);
    let fault = node.run("kernel/add-relu", inputs(), ExecutionMode::Gpu).unwrap_err();
    assert_eq!(fault, Fault::BackendLost { backend: NAME.into(), reason: "device lost".into() });
    Ok(())
}

#[test]
fn a_slow_device_ends_the_call_at_its_deadline_and_is_not_blamed() -> Result {
    let fake = Fake::default();
    let node = fake.node()?;
    fake.0.set(Mood::Slow);
    let deadline = Instant::now() + Duration::from_millis(20);
    let job = Job { model: "kernel/add-relu".into(), inputs: inputs(), mode: GPU_FIRST, deadline };
    assert_eq!(node.infer.run(&job).unwrap_err(), Fault::Deadline);
    assert!(node.is_advertised(NAME));
    Ok(())
}

#[test]
fn nothing_runs_while_nothing_is_asked() -> Result {
    let node = Fake::default().node()?;
    node.run("kernel/add-relu", inputs(), GPU_FIRST)?;
    node.run("kernel/add-relu", inputs(), ExecutionMode::Cpu)?;
    let ours = ["model-load", "probe", "probes"];
    node.wait_until(|_| {
        let threads = std::fs::read_dir("/proc/self/task").expect("Linux lists threads").flatten();
        let names =
            threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
        names.map(|name| name.trim().to_owned()).all(|name| !ours.contains(&name.as_str()))
    });
    Ok(())
}

#[test]
fn a_full_queue_is_busy_and_a_preferring_call_goes_elsewhere() -> Result {
    let fake = Fake::default();
    let node = Node::limited(vec![Arc::new(fake.clone())], |config| {
        config.gpu = GateLimits { running: 1, waiting: 0, bytes: 64 };
    })?;
    fake.0.set(Mood::Slow);
    std::thread::scope(|scope| {
        let (node, first) = (&node, Instant::now() + Duration::from_secs(2));
        scope.spawn(move || {
            let model = "kernel/add-relu".to_owned();
            let job = Job { model, inputs: inputs(), mode: GPU_FIRST, deadline: first };
            assert_eq!(node.infer.run(&job).unwrap_err(), Fault::Deadline);
        });
        node.wait_until(|node| node.infer.backends().iter().any(|status| status.running == 1));
        let fault = node.run("kernel/add-relu", inputs(), ExecutionMode::Gpu).unwrap_err();
        assert_eq!(fault, Fault::Busy { backend: NAME.into() });
        let answer =
            node.run("kernel/add-relu", inputs(), GPU_FIRST).expect("the processor is free");
        assert_eq!(answer.timing.processor, Processor::InferCpu);
    });
    // More than the device has in all: 2 inputs of 64 bytes.
    let large = |name| f32s(name, &[16], &[1.0; 16]);
    let fault = node.run("kernel/add-relu", vec![large("a"), large("b")], ExecutionMode::Gpu);
    assert!(matches!(fault.unwrap_err(), Fault::TooLarge { bytes: 256, max: 64, .. }));
    Ok(())
}

#[test]
fn graphics_processors_never_run_two_at_once() -> Result {
    let together = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let fake = |name| {
        Fake(Arc::new(State {
            name: Some(name),
            together: Arc::clone(&together),
            ..State::default()
        }))
    };
    let (first, second) = (fake("gpu-one"), fake("gpu-two"));
    // Their probes run at the same time, and so do these calls.
    let node = Node::with(vec![Arc::new(first.clone()), Arc::new(second.clone())])?;
    // The first fails all the time, so that calls run on either.
    std::thread::scope(|scope| {
        for call in 0..8 {
            let (node, first) = (&node, &first);
            scope.spawn(move || {
                first.0.set(if call % 2 == 0 { Mood::Right } else { Mood::Lost });
                node.run("kernel/add-relu", inputs(), ExecutionMode::Gpu)
            });
        }
    });
    assert!(6 < first.0.runs.load(Ordering::Relaxed) + second.0.runs.load(Ordering::Relaxed));
    assert_eq!(together.1.load(Ordering::SeqCst), 1);
    Ok(())
}

#[test]
fn all_graphics_processors_have_one_budget_of_memory() -> Result {
    let [first, second] = ["gpu-one", "gpu-two"]
        .map(|name| Fake(Arc::new(State { name: Some(name), ..State::default() })));
    let node = Node::limited(vec![Arc::new(first.clone()), Arc::new(second)], |config| {
        config.gpu = GateLimits { running: 2, waiting: 2, bytes: 64 };
    })?;
    first.0.set(Mood::Slow);
    std::thread::scope(|scope| {
        let node = &node;
        scope.spawn(move || {
            let (model, deadline) =
                ("kernel/add-relu".to_owned(), Instant::now() + Duration::from_secs(1));
            let job = Job { model, inputs: inputs(), mode: GPU_FIRST, deadline };
            assert_eq!(node.infer.run(&job).unwrap_err(), Fault::Deadline);
        });
        node.wait_until(|node| node.infer.backends().iter().any(|status| status.running == 1));
        // Each call needs 32 bytes at least, a larger one 48: together more than there are, on whichever of the two.
        let large = |name| f32s(name, &[3], &[1.0; 3]);
        let fault = node.run("kernel/add-relu", vec![large("a"), large("b")], ExecutionMode::Gpu);
        assert_eq!(fault.unwrap_err(), Fault::Busy { backend: "gpu-two".into() });
    });
    Ok(())
}
