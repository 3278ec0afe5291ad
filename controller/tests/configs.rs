//! Every file that an operator edits is loaded as the programs load it.

mod support;

use std::path::{Path, PathBuf};

use controller::config::Config;
use controller::function_file::FunctionFile;
use placement::Workflow;
use protocol::manifest::{Code, NO_BYTES_SHA256, NO_WORLD};
use types::{DataClass, ExecutionMode};

fn files(kind: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs").join(kind);
    let entries = std::fs::read_dir(&dir).expect("the directory is part of the repository");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{}", dir.display());
    files
}

#[test]
fn controllers_and_the_skies_that_they_name() {
    for path in files("controller") {
        let config = Config::load(&path, std::iter::empty()).expect("the test's set-up works");
        let sky = controller::shell::sky::load(&Config::resolve(&path, &config.sky.file))
            .expect("the test's set-up works");
        for name in config.node.iter().map(|node| &node.name).chain([&config.controller.name]) {
            let is_there = sky.endpoints().iter().any(|endpoint| endpoint.node == *name);
            assert!(is_there, "{}: {name} has no place in the sky", path.display());
        }
    }
}

#[test]
fn skies() {
    for path in files("sky") {
        controller::shell::sky::load(&path).expect("the test's set-up works");
    }
}

/// The blocks of a kind in a page of the documentation.
fn blocks(page: &str, kind: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    let text = std::fs::read_to_string(&path).expect("the page is part of the repository");
    let begin = format!("```{kind}\n");
    let after = text.split(&begin).skip(1);
    after.filter_map(|rest| rest.split_once("```").map(|(block, _)| block.to_owned())).collect()
}

#[test]
fn the_workflow_of_the_guide_makes_sense_and_shows_every_need() {
    let all = blocks("guide-workflows.md", "toml");
    let [text] = all.as_slice() else { panic!("one workflow, not {}", all.len()) };
    let workflow: Workflow = toml::from_str(text).expect("a workflow");
    workflow.check().expect("one that makes sense");
    let written = serde_json::to_value(&workflow).expect("JSON");
    let page = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide-workflows.md"),
    );
    let page = page.expect("the page is part of the repository");
    // What a file may say, the page explains.
    let tasks = written["task"].as_array().expect("tasks");
    let paths = tasks.iter().flat_map(|task| task["after"].as_array().expect("a list"));
    let rows = tasks.iter().chain(paths).chain([&written]);
    for key in rows.flat_map(|row| row.as_object().expect("a table").keys()) {
        let is_there =
            [format!("`{key}`"), format!("`[[{key}]]`")].iter().any(|k| page.contains(k));
        assert!(is_there || key == "task", "{key}");
    }
}

#[test]
fn workflows_and_their_four_tasks() {
    for path in files("workflows") {
        let text = std::fs::read_to_string(&path).expect("the test's set-up works");
        let workflow: Workflow = toml::from_str(&text).expect("the test's set-up works");
        workflow.check().expect("the test's set-up works");
        assert_eq!(
            path.file_stem().expect("the test's set-up works").to_str(),
            Some(workflow.id.as_str())
        );
        let tasks: Vec<(&str, u32, u32)> = workflow
            .tasks
            .iter()
            .map(|task| (task.id.as_str(), task.milli_cpu.0, task.memory_mib.0))
            .collect();
        // Resources as published with HyperDrive.
        let published = [
            ("ingest", 1000, 2048),
            ("extract-frames", 4000, 2048),
            ("object-det", 4000, 2048),
            ("prepare-ds", 4000, 4096),
        ];
        assert_eq!(tasks, published, "{}", path.display());
        assert_eq!(workflow.tasks[1].after[0].latency_max_ms, Some(20.0));
    }
}

#[test]
fn sections_of_later_versions_are_refused_by_name_and_line() {
    let dir = tempfile::tempdir().expect("the test's set-up works");
    let path = dir.path().join("controller.toml");
    let text = std::fs::read_to_string(&files("controller")[0]).expect("the test's set-up works");
    let lines = text.lines().count();
    std::fs::write(&path, format!("{text}[sizing]\nx = 1\n[cost.energy]\n")).expect("a file");
    let variable = ("STARBELT_LEARNING__ROUNDS".to_owned(), "3".to_owned());
    let message = Config::load(&path, std::iter::once(variable)).unwrap_err().to_string();
    let rule = "not supported by this version";
    let expected = format!(
        "{0}:{1}: sizing: {rule}\n{0}:{2}: cost: {rule}\n\
         environment variable STARBELT_LEARNING__ROUNDS: learning: {rule}",
        path.display(),
        lines + 1,
        lines + 3,
    );
    assert_eq!(message, expected);
}

#[test]
fn a_node_stands_outside_and_sees_internal_data_unless_something_is_said() {
    let dir = tempfile::tempdir().expect("the test's set-up works");
    let path = dir.path().join("controller.toml");
    let text = std::fs::read_to_string(&files("controller")[0]).expect("the test's set-up works");
    let load = |text: &str| {
        std::fs::write(&path, text).expect("a file");
        Config::load(&path, std::iter::empty()).map_err(|error| error.to_string())
    };
    let node = |text: &str| load(text).expect("a good file").node[0].clone();
    assert_eq!((node(&text).region, node(&text).trust), (None, DataClass::Internal));
    let commented = ["# region = \"eu\"", "# trust = \"confidential\""];
    let said = commented.iter().fold(text, |text, line| {
        assert!(text.contains(line), "the file shows {line}");
        text.replacen(line, line.trim_start_matches("# "), 1)
    });
    let said_node = node(&said);
    assert_eq!(said_node.region.as_ref().map(types::Region::as_str), Some("eu"));
    assert_eq!(said_node.trust, DataClass::Confidential);
    let wrong = load(&said.replace("region = \"eu\"", "region = \"*\"")).unwrap_err();
    assert!(wrong.contains("label \"*\" is not 1 to 64 characters"), "{wrong}");
    let wrong = load(&said.replace("\"confidential\"", "\"secret\"")).unwrap_err();
    assert!(wrong.contains("secret"), "{wrong}");
}

const KEY: protocol::signed::KeyId = protocol::signed::KeyId([7; 8]);

const FUNCTION: &str = r#"
[function]
name = "detect"
version = 3
world = "starbelt:function/function@0.2.0"
[function.limits]
linear_memory_mib = 32
deadline_ms = 4000
[function.grants]
state_prefixes = ["tracks"]
topics = ["alerts"]
[function.exec]
gap_ms = 100
probe = { share = 0.1, min = 5, seconds = 30 }
[function.slo]
latency_p95_ms = 1000
[function.capability]
name = "detection"
accuracy = 0.5
[[function.profile]]
id = "256mib-500m"
milli_cpu = 500
memory_mib = 256
"#;

/// The model of the probe: a convolution and a linear layer.
const MODEL: &[u8] = include_bytes!("../../functions/infer/src/probe/model.onnx");

fn function(text: &str) -> Result<FunctionFile, String> {
    let dir = tempfile::tempdir().expect("the test's set-up works");
    let path = dir.path().join("function.toml");
    std::fs::write(&path, text).expect("the test's set-up works");
    FunctionFile::load(&path)
        .map_err(|error| error.to_string().replace(&format!("{}/", dir.path().display()), ""))
}

#[test]
fn functions_say_what_they_are_and_it_makes_a_manifest() {
    let said = function(FUNCTION).expect("a good file");
    let component = support::component(1);
    let manifest = said.manifest(&component, KEY).expect("a manifest");
    assert_eq!(manifest.exec.chosen, None, "auto is the default");
    assert_eq!(manifest.exec.mode(), ExecutionMode::Cpu);
    assert_eq!((manifest.exec.switch.gap_ms, manifest.exec.switch.up_dwell_s), (100, 60));
    let slo = manifest.slo.expect("an objective");
    assert_eq!((slo.low_rate_latency_ms, slo.window_s), (2000, 600));
    assert!(protocol::encode(&manifest).is_ok());
    let chosen = function(&FUNCTION.replace("gap_ms = 100", "mode = \"cpu\""));
    let chosen = chosen.expect("a good file").manifest(&component, KEY).expect("a manifest");
    assert_eq!(chosen.exec.chosen, Some(ExecutionMode::Cpu), "an author who says so is told apart");
    assert_eq!(chosen.exec.identified, manifest.exec.identified);
    assert!(said.manifest(b"no component", KEY).is_err());
}

#[test]
fn a_function_shares_with_nobody_unless_it_says_so() {
    let component = support::component(1);
    let sharing = |text: &str| {
        let said = function(&format!("{FUNCTION}\n{text}"))?;
        Ok::<_, String>(said.manifest(&component, KEY).expect("a manifest").sharing)
    };
    let nobody = sharing("").expect("a good file");
    assert!(nobody.tenants.is_empty() && !nobody.fuse);
    let all = sharing("[function.sharing]\ntenants = [\"other\"]\nfuse = true\n");
    let all = all.expect("a good file");
    assert_eq!((all.tenants[0].as_str(), all.tenants.len(), all.fuse), ("other", 1, true));
    let twice = sharing("[function.sharing]\ntenants = [\"other\", \"other\"]\n").unwrap_err();
    assert!(
        twice.contains("function.sharing.tenants: a tenant that may call occurs twice"),
        "{twice}"
    );
    let unknown = sharing("[function.sharing]\nfused = true\n").unwrap_err();
    assert!(unknown.contains("fused: unknown field"), "{unknown}");
}

#[test]
fn what_is_wrong_with_a_function_is_said_with_line_field_and_rule() {
    for (good, bad, message) in [
        ("gap_ms = 100", "gap_mss = 100", "function.toml:13: gap_mss: unknown field"),
        ("gap_ms = 100", "mode = \"fast\"", "function.toml:13: mode: unknown variant `fast`"),
        ("gap_ms = 100", "gap_ms = 3600001", "function.toml:13: function.exec.gap_ms: 3600001 is"),
        ("gap_ms = 100", "min_rate = nan", "function.toml:13: function.exec.min_rate: NaN is"),
        ("share = 0.1", "share = 1.1", "function.toml:14: function.exec.probe: 1.1"),
        ("p95_ms = 1000", "p95_ms = 0", "function.toml:16: function.slo.latency_p95_ms: 0 is"),
        (
            "p95_ms = 1000",
            "p95_ms = 1000\nlow_rate_latency_ms = 10",
            "function.toml:17: function.slo.low_rate_latency_ms: 10 is less",
        ),
        ("version = 3", "version = 0", "function.toml:4: function.version: 0 is not 1 or more"),
        ("@0.2.0", "@9.1.0", "function.toml:5: function.world:"),
        ("mib = 32", "mib = 512", "function.toml:7: function.limits.linear_memory_mib: 512 is"),
        ("\"alerts\"", "\"\"", "function.toml:11: function.grants.topics: \"\" is not a name"),
        ("memory_mib = 256", "memory_mib = 0", "function.toml:23: function.profile.memory_mib: 0"),
    ] {
        let text = FUNCTION.replace(good, bad);
        let said = function(&text).unwrap_err();
        assert!(said.starts_with(message), "{said}\nfor {bad}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

/// A function that is a model, with more lines in its sections.
fn program(head: &str, limits: &str, rest: &str) -> String {
    format!(
        "[function]\nname = \"f\"\nversion = 1\n{head}\n[function.limits]\ndeadline_ms = 100\n{limits}\n{rest}\n"
    )
}

#[test]
fn models_and_kernels_of_the_nodes_are_functions() {
    let model = function(&program("kind = \"onnx\"", "", "")).expect("a good file");
    assert_eq!(model.function.module(), Some("model.onnx".into()));
    let manifest = model.manifest(MODEL, KEY).expect("a manifest");
    assert_eq!((&manifest.code, manifest.world), (&Code::Onnx, NO_WORLD));
    assert_eq!(manifest.exec.mode(), ExecutionMode::GpuPreferred);
    // 2 · 2 · 9 · 4 of the convolution and 8 · 3 of the linear layer, and an addition or comparison for each element besides.
    assert!(144 + 48 <= manifest.exec.facts.weighted_flops, "{}", manifest.exec.reason);
    assert!(protocol::encode(&manifest).is_ok());
    for cut in [0, 1, MODEL.len() / 2, MODEL.len() - 1] {
        let refused = model.manifest(&MODEL[..cut], KEY).unwrap_err().to_string();
        assert!(refused.starts_with("the model is refused: "), "{refused}");
    }
    let component = model.manifest(&support::component(1), KEY).unwrap_err().to_string();
    assert!(component.starts_with("the model is refused: "), "{component}");

    let kernel = "kind = \"named\"\nruns = \"kernel/matmul\"";
    let kernel = function(&program(kernel, "", "[function.exec]\nmode = \"gpu\"")).expect("good");
    assert_eq!(kernel.function.module(), None);
    let manifest = kernel.manifest(b"", KEY).expect("a manifest");
    assert_eq!(manifest.code, Code::Named("kernel/matmul".to_owned()));
    assert_eq!((manifest.sha256, manifest.exec.mode()), (NO_BYTES_SHA256, ExecutionMode::Gpu));
    assert!(kernel.manifest(b"x", KEY).unwrap_err().to_string().contains("without bytes"));
}

/// What is said of a program, in its section and in others, and why it is refused.
fn refused_of_programs() -> Vec<(String, &'static str, &'static str, &'static str)> {
    let onnx = "kind = \"onnx\"\n";
    let named = "kind = \"named\"\n";
    vec![
        (format!("{onnx}world = \"x\""), "", "", ":5: function.world: a model knows no contract"),
        (
            onnx.into(),
            "linear_memory_mib = 8",
            "",
            ":8: function.limits.linear_memory_mib: a model has",
        ),
        (onnx.into(), "", "[function.grants]\nmodels = [\"m\"]", "grants.models: a model runs no"),
        (onnx.into(), "", "[function.grants]\ncalls = [\"g\"]", "grants.calls: a model calls"),
        (onnx.into(), "", "[function.grants]\ntopics = [\"t\"]", "grants.topics: a model emits"),
        (onnx.into(), "", "[function.grants]\nstate_prefixes = [\"k\"]", "a model has no state"),
        (
            onnx.into(),
            "",
            "[function.warm]\nidle_ms = 100\ncalls_max = 1",
            "a model has no instance",
        ),
        (onnx.into(), "", "[function.sharing]\nfuse = true", "a model has no store to share"),
        (onnx.into(), "", "[function.budget]\ncalls = 1", "function.budget.calls: a model calls"),
        (
            format!("{onnx}module = \"../m.onnx\""),
            "",
            "",
            ":5: function.module: ../m.onnx leads out",
        ),
        (format!("{onnx}module = \"/m.onnx\""), "", "", "leads out of the folder"),
        (
            format!("{onnx}runs = \"kernel/matmul\""),
            "",
            "",
            "function.runs: \"kernel/matmul\" is of the",
        ),
        (named.into(), "", "", "function.runs: is missing"),
        (
            format!("{named}runs = \"kernel/fft\""),
            "",
            "",
            "\"kernel/fft\" is no kernel; there are kernel/",
        ),
        (
            format!("{named}runs = \"matmul\""),
            "",
            "",
            ":5: function.runs: what a node has itself is named",
        ),
        (
            format!("{named}runs = \"kernel/matmul\"\nmodule = \"m\""),
            "",
            "",
            "function.module: what a node has itself has no file",
        ),
        (
            "module = \"f.wasm\"\nworld = \"starbelt:function/function@0.2.0\"".into(),
            "linear_memory_mib = 1",
            "",
            "only a model is a file",
        ),
        (
            "world = \"starbelt:function/function@0.2.0\"".into(),
            "",
            "",
            "linear_memory_mib: is missing",
        ),
        (String::new(), "linear_memory_mib = 1", "", "function.world: is missing"),
        ("kind = \"cuda\"".into(), "", "", "unknown variant `cuda`"),
    ]
}

#[test]
fn what_means_nothing_for_a_model_or_kernel_is_refused() {
    let named = "kind = \"named\"\n";
    for (head, limits, rest, message) in refused_of_programs() {
        let said = function(&program(&head, limits, rest)).unwrap_err();
        assert!(said.contains(message), "{said}\nfor {head} {limits} {rest}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let native = function(&program(&format!("{named}runs = \"native/fft\""), "", ""));
    let native = native.expect("whether it is there only a node knows");
    assert!(native.manifest(b"", KEY).is_ok());
}

#[test]
fn the_examples_have_good_files_under_their_names() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/examples");
    let text = std::fs::read_to_string(&files("workflows")[0]).expect("the test's set-up works");
    let workflow: Workflow = toml::from_str(&text).expect("the test's set-up works");
    for task in &workflow.tasks {
        let path = examples.join(task.function.as_str()).join("function.toml");
        assert!(path.is_file(), "{} is no example", task.function);
    }
    let folders = std::fs::read_dir(examples).expect("the test's set-up works");
    let folders = folders.map(|entry| entry.expect("the test's set-up works").path());
    for folder in folders.filter(|folder| folder.join("function.toml").is_file()) {
        let said = FunctionFile::load(&folder.join("function.toml"));
        let said = said.expect("the example's file is good").function;
        assert_eq!(folder.file_name(), Some(said.name.as_str().as_ref()));
    }
}

#[test]
fn what_is_wrong_is_said_with_file_line_field_and_rule_and_all_at_once() {
    let dir = tempfile::tempdir().expect("the test's set-up works");
    let path = dir.path().join("controller.toml");
    let text = std::fs::read_to_string(&files("controller")[0]).expect("the test's set-up works");
    let bad = text
        .replace("listen = \"127.0.0.1:8080\"", "listen = \"0.0.0.0:8080\"")
        .replace("reserve = 0.2              # of", "reserve = 2.0 # of");
    std::fs::write(&path, &bad).expect("the test's set-up works");
    let message = Config::load(&path, std::iter::empty()).unwrap_err().to_string();
    let line_of = |what: &str| {
        bad.lines().position(|line| line.contains(what)).expect("the test's set-up works") + 1
    };
    let http = format!("controller.toml:{}: http.listen: 0.0.0.0:8080", line_of("0.0.0.0"));
    let reserve = format!("controller.toml:{}: node.reserve: 2 of drone", line_of("2.0 # of"));
    for part in [http.as_str(), "this API knows no certificates", reserve.as_str(), "0 to 1"] {
        assert!(message.contains(part), "{message}");
    }
    std::fs::write(&path, text.replace("refresh_s", "refesh_s")).expect("the test's set-up works");
    let message = Config::load(&path, std::iter::empty()).unwrap_err().to_string();
    assert!(message.contains("refesh_s") && message.contains("`refresh_s`"), "{message}");
}

#[test]
fn links_are_tls_unless_insecure_is_asked_for_on_this_machine() {
    let dir = tempfile::tempdir().expect("the test's set-up works");
    let path = dir.path().join("controller.toml");
    let load = |bus: &str, more: &str| {
        let text = format!(
            "version = 1\n[controller]\nfleet = \"f\"\nstate_dir = \"state\"\n[bus]\n{bus}\n[sky]\nfile = \"sky.toml\"\n{more}"
        );
        std::fs::write(&path, text).expect("the test's set-up works");
        Config::load(&path, std::iter::empty()).map_err(|error| error.to_string())
    };
    let identity = "[identity]\nauthority = \"ca\"\njoin = \"0.0.0.0:7449\"\n";
    for (bus, more, words) in [
        ("listen = [\"tcp/127.0.0.1:1\"]", "", "is not encrypted"),
        ("listen = [\"tcp/127.0.0.1:1\"]", identity, "is not encrypted"),
        ("insecure = true\nlisten = [\"tcp/0.0.0.0:1\"]", "", "is not a loopback address"),
        ("insecure = true\nconnect = [\"tcp/10.0.0.1:1\"]", "", "is not a loopback address"),
        ("listen = [\"tls/0.0.0.0:1\"]", "", "needs certificates"),
        ("insecure = true\nlisten = [\"tls/0.0.0.0:1\"]", "", "is encrypted, but"),
        ("insecure = true", identity, "an [identity] is of no use"),
    ] {
        let message = load(bus, more).unwrap_err();
        assert!(message.contains(words), "{bus} {more}: {message}");
    }
    load("listen = [\"tls/0.0.0.0:1\"]", identity).expect("certificates are configured");
    load("insecure = true\nlisten = [\"tcp/127.0.0.1:1\"]", "").expect("it was asked for");
}

#[test]
fn drop_ins_and_variables_override_the_file() {
    let dir = tempfile::tempdir().expect("the test's set-up works");
    let path = dir.path().join("controller.toml");
    std::fs::copy(&files("controller")[0], &path).expect("the test's set-up works");
    std::fs::create_dir(dir.path().join("controller.d")).expect("the test's set-up works");
    let drop_in = "[lease]\nms = 5000\n[plan]\nrefresh_s = 60\n";
    std::fs::write(dir.path().join("controller.d/10.toml"), drop_in)
        .expect("the test's set-up works");
    let variables = [("STARBELT_LEASE__MS", "7000"), ("STARBELT_LOG", "debug")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::load(&path, variables.into_iter()).expect("the test's set-up works");
    assert_eq!((config.lease.ms, config.plan.refresh_s), (7000, 60));
    let bad = [("STARBELT_LEASE__MS".to_owned(), "1".to_owned())];
    let message = Config::load(&path, bad.into_iter()).unwrap_err().to_string();
    assert!(message.contains("STARBELT_LEASE__MS") && message.contains("100 to"), "{message}");
}
