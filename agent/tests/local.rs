//! `starbelt-agent fn run`, as a shell sees it: stdin, stdout, what it says, and how it ends.
//!
//! The guest is that of the runtime's own tests: the first byte of a body says what it does.

#[path = "support/component.rs"]
#[expect(dead_code, reason = "tests over the bus use the rest")]
mod component;
#[path = "../../functions/infer/tests/support/onnx.rs"]
#[expect(dead_code, reason = "tests of inference itself use the rest")]
mod onnx;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use infer::{Tensor, safetensors};

/// What a run did.
#[derive(Debug)]
struct Done {
    code: i32,
    stdout: Vec<u8>,
    stderr: String,
}

/// A folder with the guest in it, and how it is run there.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a writable directory");
        let guest = component::puppet();
        fs::write(dir.path().join("f.wasm"), guest).expect("there is room");
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, body: &[u8], options: &[&str]) -> Done {
        self.run_code(&["--component", "f.wasm", "--name", "puppet"], body, options)
    }

    fn run_code(&self, code: &[&str], body: &[u8], options: &[&str]) -> Done {
        let mut agent = Command::new(env!("CARGO_BIN_EXE_starbelt-agent"))
            .args(["fn", "run"])
            .args(code)
            .args(options)
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        // An agent that refuses before it reads closes the pipe.
        agent.stdin.take().expect("a pipe").write_all(body).ok();
        let output = agent.wait_with_output().expect("it ends");
        Done {
            code: output.status.code().expect("no signal ended it"),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// No answer, this code, and these words.
    #[track_caller]
    fn refused(&self, (body, options): (&[u8], &[&str]), code: i32, words: &[&str]) {
        let done = self.run(body, options);
        assert_eq!((done.code, done.stdout.as_slice()), (code, &b""[..]), "{}", done.stderr);
        for words in words {
            assert!(done.stderr.contains(words), "{words:?}: {}", done.stderr);
        }
    }
}

#[test]
fn stdin_is_the_body_and_stdout_the_answer_byte_for_byte() {
    let bench = Bench::new();
    let body = [0xff, 0, b'\n', 0xc3, 0x28];
    for options in [&[][..], &["--no-isolation"]] {
        let done = bench.run(&body, options);
        assert_eq!((done.code, done.stdout.as_slice()), (0, &body[..]), "{}", done.stderr);
        for words in ["puppet: answered 5 bytes", "instantiate", "KiB of 32 MiB"] {
            assert!(done.stderr.contains(words), "{}", done.stderr);
        }
    }
}

#[test]
fn each_way_to_end_has_its_code() {
    let bench = Bench::new();
    bench.refused((b"fbecause", &[]), 10, &["because"]);
    bench.refused((b"u", &[]), 11, &["did not answer", "unreachable"]);
    bench.refused((b"r", &[]), 11, &["call stack exhausted"]);
    bench.refused((b"g", &["--linear-memory-mib", "1"]), 11, &["KiB of 1 MiB"]);
    bench.refused((b"s", &["--deadline-ms", "50"]), 12, &["deadline"]);
    bench.refused((b"s", &["--cpu-ms", "20"]), 11, &["budget"]);
    fs::write(bench.path("f.wasm"), b"\0asm\x01\0\0\0").expect("there is room");
    bench.refused((b"", &[]), 13, &["a node would refuse the component", "starbelt fn build"]);
    fs::write(bench.path("f.wasm"), b"not wasm").expect("there is room");
    bench.refused((b"", &[]), 13, &["a node would refuse the component"]);
    fs::remove_file(bench.path("f.wasm")).expect("it was there");
    bench.refused((b"", &[]), 1, &["f.wasm cannot be read"]);
}

fn f32s(name: &str, dims: &[u32], values: &[f32]) -> Tensor {
    Tensor::from_f32(name, dims.to_vec(), values).expect("a sound tensor")
}

#[test]
fn a_model_and_a_kernel_run_here_as_on_a_node() {
    let bench = Bench::new();
    fs::write(bench.path("linear.onnx"), onnx::linear()).expect("there is room");
    let model = ["--onnx", "linear.onnx", "--name", "detect"];
    let body = safetensors::encode(&[f32s("x", &[1, 3], &[1.0, -1.0, 2.0])]);
    let done = bench.run_code(&model, &body, &[]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let answer = safetensors::decode(&done.stdout).expect("tensors");
    // 1 - 3 + 10 + 0.5 and 2 - 4 + 12 - 0.5, by hand.
    assert_eq!(answer[0].to_f32(), Some(vec![8.5, 9.5]));
    for words in ["detect: answered", "load", "cpu-tract"] {
        assert!(done.stderr.contains(words), "{}", done.stderr);
    }
    let kernel = ["--runs", "kernel/add-relu"];
    let body = safetensors::encode(&[f32s("a", &[2], &[1.0, -3.0]), f32s("b", &[2], &[0.5, 1.0])]);
    let done = bench.run_code(&kernel, &body, &[]);
    let answer = safetensors::decode(&done.stdout).expect("tensors");
    assert_eq!((done.code, answer[0].to_f32()), (0, Some(vec![1.5, 0.0])), "{}", done.stderr);

    fs::write(bench.path("half.onnx"), &onnx::linear()[..40]).expect("there is room");
    for (code, body, options, ends, words) in [
        (&model[..], &b"no tensors"[..], &[][..], 10, "bad input"),
        (&model, &body, &[], 10, "it takes x"),
        (&kernel, &body, &["--gpu"], 10, "mode Gpu"),
        (&["--onnx", "half.onnx"], b"", &[], 13, "a node would refuse it"),
        (&["--onnx", "none.onnx"], b"", &[], 1, "none.onnx cannot be read"),
        (&["--runs", "kernel/fft"], b"", &[], 13, "no kernel \"kernel/fft\""),
        (&model, &body, &["--state", "kept"], 2, "--state"),
        (&model, &body, &["--runs", "kernel/matmul"], 2, "--runs"),
        (&[], b"", &[], 2, "--component"),
    ] {
        let done = bench.run_code(code, body, options);
        assert_eq!((done.code, done.stdout.as_slice()), (ends, &b""[..]), "{}", done.stderr);
        assert!(done.stderr.contains(words), "{words}: {}", done.stderr);
    }
}

#[test]
fn a_body_beyond_the_limit_is_refused_with_what_to_do() {
    let body = vec![b'x'; runtime::BODY_BYTES_MAX + 1];
    Bench::new().refused((&body, &[]), 2, &["8388608", "--object KEY=FILE"]);
}

#[test]
fn state_lasts_from_run_to_run_where_asked_and_only_if_the_call_succeeds() {
    let bench = Bench::new();
    let granted = ["--state-prefix", "counter", "--state", "kept"];
    for count in 1..=3_u64 {
        assert_eq!(bench.run(b"c", &granted).stdout, count.to_le_bytes());
    }
    // Counts, and traps.
    bench.refused((b"=", &granted), 11, &[]);
    assert_eq!(bench.run(b"c", &granted).stdout, 4_u64.to_le_bytes());
    // Nowhere to keep it, and not granted.
    assert_eq!(bench.run(b"c", &granted[..2]).stdout, 1_u64.to_le_bytes());
    bench.refused((b"c", &[]), 10, &["denied: state key \"counter\"", "state_prefixes"]);
    fs::write(bench.path("kept/state.json"), "{").expect("there is room");
    bench.refused((b"c", &granted), 1, &["kept/state.json", "mend it"]);
}

#[test]
fn objects_come_from_files_and_go_to_a_folder() {
    let bench = Bench::new();
    fs::write(bench.path("image"), b"pixels").expect("there is room");
    let done = bench.run(b"i", &["--object", "frames/1=image"]);
    assert_eq!(done.stdout, b"pixels", "{}", done.stderr);
    let done = bench.run(b"wfor later", &["--out", "made/here"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let made = fs::read(bench.path("made/here/copy")).expect("it was written");
    assert_eq!(made, b"wfor later");
    let done = bench.run(b"wfor later", &[]);
    assert!(done.stderr.contains("copy: 10 bytes, not kept: --out DIR"), "{}", done.stderr);
    let twice = ["--object", "a=image", "--object", "a=image"];
    bench.refused((b"i", &twice), 2, &["--object a: twice"]);
    bench.refused((b"i", &["--object", "../a=image"]), 2, &["--object"]);
    bench.refused((b"i", &["--object", "a=nowhere"]), 1, &["nowhere cannot be read"]);
}

#[test]
fn messages_functions_and_models_are_as_granted() {
    let bench = Bench::new();
    let done = bench.run(b"5hello", &["--topic", "copy"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("copy: 6 bytes, to nobody here"), "{}", done.stderr);
    bench.refused((b"5hello", &[]), 10, &["denied: topic \"copy\"", "function.grants.topics"]);
    bench.refused((b"3a", &[]), 10, &["\"puppet\" is not called"]);
    bench.refused((b"&", &[]), 10, &["denied: model \"copy\"", "function.grants.models"]);
    bench.refused((b"&", &["--model", "copy"]), 10, &["--models DIR"]);
    // A model is run: it asks for an input that this guest does not give.
    let models: &Path = &bench.path("models");
    fs::create_dir(models).expect("there is room");
    fs::write(models.join("copy.onnx"), onnx::linear()).expect("there is room");
    let given = ["--model", "copy", "--models", "models"];
    bench.refused((b"&", &given), 10, &["bad input", "\"x\""]);
}
