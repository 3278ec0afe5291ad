//! Every file that an operator edits is loaded as the programs load it.

use std::path::{Path, PathBuf};

use controller::config::Config;
use placement::Workflow;

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
    for part in [http.as_str(), "no certificates are configured", reserve.as_str(), "0 to 1"] {
        assert!(message.contains(part), "{message}");
    }
    std::fs::write(&path, text.replace("refresh_s", "refesh_s")).expect("the test's set-up works");
    let message = Config::load(&path, std::iter::empty()).unwrap_err().to_string();
    assert!(message.contains("refesh_s") && message.contains("`refresh_s`"), "{message}");
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
