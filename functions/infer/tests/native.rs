//! Native programs as child processes: what they compute, and what happens when they break a rule. No graphics processor is behind them.

#[path = "support/node.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod node;

use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use infer::backend::Backend;
use infer::health::Standing;
use infer::native::{Config, Native};
use infer::{Event, Fault, Job, Tensor};
use node::{LONG, Node, Result, f32s, values};
use types::{Backend as Processor, ExecutionMode};

const NAME: &str = "native/saxpy";
const GPU: ExecutionMode = ExecutionMode::Gpu;

/// The program of the tests, which cargo builds beside them.
fn program() -> Result<PathBuf> {
    let tests = std::env::current_exe()?;
    let folder = tests.parent().and_then(Path::parent).ok_or("the test is in no folder")?;
    let program = folder.join("examples/native_program");
    match program.exists() {
        true => Ok(program),
        false => Err(format!("{} is not built: build the examples, too", program.display()).into()),
    }
}

fn config(argument: &str) -> Result<Config> {
    let program = program()?;
    Ok(Config {
        name: "saxpy".to_owned(),
        launcher: (program.clone(), vec!["launch".into()]),
        program,
        arguments: vec![argument.into()],
        environment: vec![("LIBRARIES".into(), "/of/the/vendor".into())],
        gpu_memory_bytes: 1 << 20,
        probe_input: inputs(&[1.0, 2.0, 3.0]),
        probe_output: vec![f32s("z", &[3], &[3.0, 5.0, 7.0])],
        fallback: None,
        confine: Arc::new(|_| "no limits in a test".to_owned()),
    })
}

/// x, and y of ones.
fn inputs(x: &[f32]) -> Vec<Tensor> {
    let dims = [u32::try_from(x.len()).expect("a short list")];
    vec![f32s("x", &dims, x), f32s("y", &dims, &vec![1.0; x.len()])]
}

fn node_of(config: Config) -> Result<(Node, Arc<Native>)> {
    let native = Arc::new(Native::new(config)?);
    let node = Node::with(vec![Arc::clone(&native) as Arc<dyn Backend>])?;
    Ok((node, native))
}

fn out(node: &Node) -> (String, bool) {
    match node.standing(NAME) {
        Standing::Out { reason, until } => (reason, until.is_some()),
        standing => panic!("it is {standing:?}"),
    }
}

#[test]
fn a_program_answers_in_its_own_confined_process() -> Result {
    let (node, native) = node_of(config("right")?)?;
    assert_eq!(
        node.standing(NAME),
        Standing::Advertised { device: "a device of the test; no limits in a test".into() }
    );
    let answer = node.run(NAME, inputs(&[1.5, -2.0]), GPU)?;
    assert_eq!(values(&answer), [4.0, -3.0]);
    let timing = &answer.timing;
    assert_eq!((timing.backend.as_str(), timing.processor), (NAME, Processor::InferGpu));
    assert!(Duration::ZERO < timing.run);
    // A megabyte there and back.
    let many = vec![0.5; 1 << 18];
    assert_eq!(values(&node.run(NAME, inputs(&many), GPU)?), vec![2.0; 1 << 18]);

    let process = native.process().ok_or("it has ended")?;
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    assert_eq!(field("NoNewPrivs:"), Some("1"));
    assert_eq!(field("CapPrm:"), Some("0000000000000000"));
    let environment = std::fs::read(format!("/proc/{process}/environ"))?;
    let mut environment: Vec<_> =
        environment.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()).collect();
    environment.sort_unstable();
    let given = ["LIBRARIES=/of/the/vendor", "STARBELT_NATIVE_PROTOCOL=1", "STARBELT_SOCKET_FD=0"];
    assert_eq!(environment, given.map(str::as_bytes));
    drop((node, native));
    assert!(!Path::new(&format!("/proc/{process}")).exists(), "it outlived its back end");
    Ok(())
}

#[test]
fn inputs_are_checked_before_the_program_sees_them() -> Result {
    let (node, _) = node_of(config("right")?)?;
    let refused = |inputs| node.run(NAME, inputs, GPU).unwrap_err();
    let x = f32s("x", &[1], &[1.0]);
    assert!(matches!(refused(vec![x.clone()]), Fault::MissingInput { name, .. } if name == "y"));
    assert!(matches!(refused(vec![x.clone(), x.clone()]), Fault::UnexpectedInput { .. }));
    let square = vec![x.clone(), f32s("y", &[1, 1], &[1.0])];
    assert!(matches!(refused(square), Fault::WrongDims { name, .. } if name == "y"));
    assert!(matches!(refused(inputs(&[f32::NAN])), Fault::NotFinite { .. }));
    let other = node.run("native/other", vec![x], GPU).unwrap_err();
    assert_eq!(other, Fault::UnknownModel("native/other".into()));
    assert!(node.is_advertised(NAME));
    Ok(())
}

#[test]
fn the_processor_is_no_place_for_a_program() -> Result {
    let (node, _) = node_of(config("right")?)?;
    for mode in [ExecutionMode::Cpu, ExecutionMode::CpuPreferred] {
        let fault = node.run(NAME, inputs(&[1.0]), mode).unwrap_err();
        assert!(matches!(fault, Fault::NoBackend { .. }), "{fault:?}");
        let text = fault.to_string();
        assert!(
            text.contains("for a graphics processor") && text.contains("no fallback"),
            "{text}"
        );
    }
    Ok(())
}

#[test]
fn what_does_not_start_or_answer_the_example_is_not_advertised() -> Result {
    for (argument, part, again) in [
        ("exit", "native/saxpy has ended: exit status: 7", true),
        ("garbage", "its hello is not as the protocol says", true),
        ("protocol-9", "it speaks protocol 9, this agent speaks 1", true),
        ("no-kind", "\"x\": a kind is u8, i32, i64, f16 or f32", true),
        ("wrong", "the operator's example: a value of \"z\" is off by", false),
    ] {
        let (node, native) = node_of(config(argument)?)?;
        let (reason, is_tried_again) = out(&node);
        assert!(reason.contains(part), "{argument}: {reason}");
        assert_eq!((is_tried_again, native.process()), (again, None), "{argument}");
    }
    let mut nowhere = config("right")?;
    nowhere.program = "/no/such/program".into();
    assert!(out(&node_of(nowhere)?.0).0.contains("has ended: exit status"));
    let mut unfit = config("right")?;
    unfit.probe_input.pop();
    assert!(out(&node_of(unfit)?.0).0.contains("probe_input does not fit"));
    Ok(())
}

#[test]
fn every_broken_rule_ends_the_program_and_a_new_one_serves() -> Result {
    for (what, part) in [
        (1002.0, "has ended: signal: 6 (SIGABRT)"),
        (1003.0, "has ended: exit status: 3"),
        (1004.0, "was killed: its answer is not as the protocol says"),
        (1005.0, "but 1 was asked"),
        (1006.0, "was killed: it sent memory that is not sealed"),
        (1007.0, "was killed: it sent more bytes than an answer may have"),
        (1009.0, "native/saxpy says: no luck"),
        (1010.0, "its answer lacks the output \"z\""),
        (1011.0, "a packet of more than 64 KiB"),
        (1012.0, "neither ok with memory nor an error"),
        (1013.0, "was killed: safetensors: "),
        (1014.0, "was killed: it sent memory that is not sealed"),
    ] {
        let (node, native) = node_of(config("right")?)?;
        let first = native.process();
        node.events();
        let fault = node.run(NAME, inputs(&[what]), GPU).unwrap_err();
        let Fault::BackendLost { backend, reason } = fault else { panic!("{what}: {fault:?}") };
        assert!(backend == NAME && reason.contains(part), "{what}: {reason}");
        let events = node.events();
        let [Event::Demoted { back_off, .. }] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(back_off, &Duration::from_secs(1));
        node.wait_until(|_| native.process().is_none());
        // Left alone for a second, then probed again, and back in use.
        node.wait_until(|node| node.run(NAME, inputs(&[1.0]), GPU).is_ok());
        assert_ne!(native.process(), first);
    }
    Ok(())
}

#[test]
fn an_error_of_one_job_is_not_the_end_of_the_program() -> Result {
    let (node, native) = node_of(config("right")?)?;
    let first = native.process();
    let fault = node.run(NAME, inputs(&[1008.0]), GPU).unwrap_err();
    assert!(
        matches!(&fault, Fault::NoBackend { reason, .. } if reason.contains("says: no luck")),
        "{fault:?}"
    );
    assert_eq!(values(&node.run(NAME, inputs(&[1.0]), GPU)?), [3.0]);
    assert_eq!(native.process(), first);
    Ok(())
}

#[test]
fn one_that_is_still_at_work_after_its_deadline_is_killed() -> Result {
    let (node, native) = node_of(config("right")?)?;
    let start = Instant::now();
    let deadline = start + Duration::from_millis(50);
    let job = Job { model: NAME.into(), inputs: inputs(&[1001.0]), mode: GPU, deadline };
    assert_eq!(node.infer.run(&job).unwrap_err(), Fault::Deadline);
    // The grace, and room for a busy machine; the program would sleep for a minute.
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(out(&node).0.contains("was killed: it did not answer in time"));
    node.wait_until(|_| native.process().is_none());
    Ok(())
}

#[test]
fn a_fallback_answers_where_the_program_cannot() -> Result {
    // The kernel has the same inputs when the program is asked for a and b; here only names differ, so that is refused.
    let misnamed = Config { fallback: Some("kernel/add-relu".into()), ..config("right")? };
    let (node, _) = node_of(misnamed)?;
    assert_eq!(values(&node.run(NAME, inputs(&[1.0]), GPU)?), [3.0]);
    let fault = node.run(NAME, inputs(&[1.0]), ExecutionMode::Cpu).unwrap_err();
    assert!(matches!(fault, Fault::UnexpectedInput { .. }), "{fault:?}");

    let Some(add) = python("add_relu.py")? else { return Ok(()) };
    let (node, native) = node_of(Config { fallback: Some("kernel/add-relu".into()), ..add })?;
    let job = || vec![f32s("a", &[2], &[1.0, -3.0]), f32s("b", &[2], &[0.5, 1.0])];
    let answer = node.run(NAME, job(), ExecutionMode::GpuPreferred)?;
    assert_eq!(
        (values(&answer).as_slice(), answer.timing.backend.as_str()),
        (&[1.5, 0.0][..], NAME)
    );
    let cpu = node.run(NAME, job(), ExecutionMode::Cpu)?;
    assert_eq!((values(&cpu), cpu.timing.processor), (vec![1.5, 0.0], Processor::InferCpu));
    node.events();
    let process = native.process().ok_or("it has ended")?;
    assert!(Command::new("kill").args(["-KILL", &process.to_string()]).status()?.success());
    let answer = node.run(NAME, job(), ExecutionMode::GpuPreferred)?;
    assert_eq!(
        (values(&answer), answer.timing.backend.as_str()),
        (vec![1.5, 0.0], "cpu-reference")
    );
    let events = node.events();
    let [Event::Demoted { reason, .. }, Event::FellBack { model, from, to, .. }] =
        events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert!(reason.contains("has ended: signal: 9"), "{reason}");
    assert_eq!((model.as_str(), from.as_str(), to.as_str()), (NAME, NAME, "cpu-reference"));
    Ok(())
}

/// The example of the documentation, in a language with nothing of ours; `None` where there is no Python.
fn python(script: &str) -> Result<Option<Config>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/native-python");
    let python = Path::new("/usr/bin/python3");
    if !python.exists() {
        writeln!(std::io::stdout(), "skipped: {script}: there is no /usr/bin/python3")?;
        return Ok(None);
    }
    let probe = |name: &str| -> Result<Vec<Tensor>> {
        Ok(infer::safetensors::decode(&std::fs::read(folder.join(name))?)?)
    };
    Ok(Some(Config {
        program: python.into(),
        arguments: vec![folder.join(script).into()],
        environment: Vec::new(),
        probe_input: probe("probe-input.safetensors")?,
        probe_output: probe("probe-output.safetensors")?,
        ..config("")?
    }))
}

#[test]
fn a_program_dies_with_the_agent() -> Result {
    let mut agent = Command::new(program()?).arg("agent").stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    std::io::BufReader::new(agent.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    let status = PathBuf::from(format!("/proc/{}/status", line.trim()));
    assert!(status.exists());
    agent.kill()?;
    agent.wait()?;
    let end = Instant::now() + LONG;
    // Gone, or dead and not yet collected by whoever collects orphans here.
    while std::fs::read_to_string(&status).is_ok_and(|status| !status.contains("State:\tZ")) {
        assert!(Instant::now() < end, "the program outlived the agent");
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

#[test]
fn names_are_plain() -> Result {
    let long = "n".repeat(33);
    for name in ["", "Upper", "a/b", &long] {
        let config = Config { name: name.to_owned(), ..config("right")? };
        assert!(Native::new(config).unwrap_err().to_string().contains("1 to 32"));
    }
    Ok(())
}
