//! The operator's program against a controller in this process: exit codes, data on stdout, words on stderr.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use controller::api;
use support::component;
use support::served::start_server;
use support::signing::function_toml;

/// What a command did.
struct Done {
    code: i32,
    stdout: String,
    stderr: String,
}

struct Operator {
    url: String,
    dir: tempfile::TempDir,
}

async fn operator() -> Operator {
    let dir = tempfile::tempdir().expect("the test's set-up works");
    let served = start_server(dir.path()).await;
    Operator { url: format!("http://{}", served.address), dir }
}

fn run(url: &str, arguments: &[&str]) -> Done {
    run_in(url, None, arguments)
}

/// The same; keys are looked for below a folder of configuration.
fn run_in(url: &str, config_home: Option<&str>, arguments: &[&str]) -> Done {
    let output = Command::new(env!("CARGO_BIN_EXE_starbelt"))
        .args(arguments)
        .env("STARBELT_CONTROLLER", url)
        .env("XDG_CONFIG_HOME", config_home.unwrap_or("/nonexistent"))
        .output()
        .expect("the test's set-up works");
    Done {
        code: output.status.code().expect("the test's set-up works"),
        stdout: String::from_utf8(output.stdout).expect("the test's set-up works"),
        stderr: String::from_utf8(output.stderr).expect("the test's set-up works"),
    }
}

impl Operator {
    /// Runs a command that must do what it says.
    #[track_caller]
    fn good(&self, arguments: &[&str]) -> String {
        let done = run(&self.url, arguments);
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{arguments:?}");
        done.stdout
    }

    /// Runs a command that must end with a code and say why, on stderr only.
    #[track_caller]
    fn refused(&self, arguments: &[&str], code: i32, words: &str) {
        let done = run(&self.url, arguments);
        assert_eq!((done.code, done.stdout.as_str()), (code, ""), "{}", done.stderr);
        assert!(done.stderr.contains(words), "{}", done.stderr);
    }

    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).expect("the test's set-up works");
        path.display().to_string()
    }

    /// Makes a key and has it trusted, as on the first day; answers its file.
    fn key(&self) -> String {
        let dir = self.dir.path().join("keys").display().to_string();
        let file = format!("{dir}/laptop.key");
        if !Path::new(&file).exists() {
            let made = self.good(&["key", "new", "laptop", "--dir", &dir]);
            assert!(made.contains("key id") && made.contains("starbelt key trust"), "{made}");
            let trusted = self.good(&["key", "trust", &format!("{dir}/laptop.pub")]);
            assert!(trusted.contains("laptop") && trusted.contains("trusted"), "{trusted}");
        }
        file
    }

    fn deploy(&self) -> String {
        let (key, module) = (self.key(), self.file("f.wasm", &component(1)));
        for name in ["ingest", "extract"] {
            let said = self.file("said.toml", function_toml(name, 1).as_bytes());
            let push = ["fn", "push", name, &module, "--manifest", &said, "--key", &key];
            let table = self.good(&push);
            assert!(table.starts_with("FUNCTION") && table.contains(name), "{table}");
        }
        let workflow = toml::to_string(&support::workflow()).expect("the test's set-up works");
        self.good(&["workflow", "submit", &self.file("flood.toml", workflow.as_bytes())])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_are_for_people() {
    let operator = operator().await;
    let submitted = operator.deploy();
    assert!(submitted.contains("ingest -> extract"), "{submitted}");
    let nodes = operator.good(&["node", "ls"]);
    let lines: Vec<&str> = nodes.lines().collect();
    assert_eq!(lines.len(), 5);
    assert!(lines[0].starts_with("NODE") && lines[3].starts_with("sat-1"), "{nodes}");
    assert!(lines[3].contains("88 %") && lines[3].contains("extract"), "{nodes}");
    let column = lines[0].find("STATE").expect("the test's set-up works");
    assert!(lines[1..].iter().all(|line| line[column..].starts_with("up")), "{nodes}");
    assert!(operator.good(&["node", "show", "drone"]).contains("flood.ingest: owner, Active"));
    let status = operator.good(&["workflow", "status", "flood"]);
    assert!(status.contains("placement     placed"), "{status}");
    assert!(operator.good(&["workflow", "ls"]).contains("every 1.0 s"));
    let why = operator.good(&["place", "explain", "flood", "extract"]);
    assert!(why.contains("sat-2 at 2026-01-01T00:0"), "{why}");
    assert!(why.contains("not on"), "{why}");
    let contact = operator.good(&["topo", "next-contact", "sat-1", "drone", "--latency-ms", "20"]);
    assert!(contact.contains("now") && contact.contains("2026-01-01T00:10:00Z"), "{contact}");
    assert!(operator.good(&["fn", "ls"]).contains("flood"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_is_what_the_api_answers() {
    let operator = operator().await;
    operator.deploy();
    let text = operator.good(&["-o", "json", "fn", "ls"]);
    let mut answer = ureq::get(format!("{}{}/functions", operator.url, api::PREFIX))
        .call()
        .expect("the test's set-up works");
    assert_eq!(
        text.trim_end(),
        answer.body_mut().read_to_string().expect("the test's set-up works")
    );
    let nodes: api::NodeList = serde_json::from_str(&operator.good(&["node", "ls", "-o", "json"]))
        .expect("the test's set-up works");
    assert_eq!(nodes.nodes.len(), 4);
    let plan = operator.good(&["topo", "next-contact", "drone", "sat-1", "-o", "json"]);
    let plan: api::PlanInfo = serde_json::from_str(&plan).expect("the test's set-up works");
    assert!(plan.asked.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_codes_tell_scripts_what_happened() {
    let operator = operator().await;
    operator.refused(&["node", "list"], 2, "list");
    operator.refused(&["node", "show", "Sat!"], 2, "a-z");
    operator.refused(&["--timeout", "0", "node", "ls"], 2, "timeout");
    operator.refused(&["--controller", "here", "node", "ls"], 2, "http://127.0.0.1:8080");
    operator.refused(&["node", "show", "sat-9"], 3, "known: drone");
    operator.refused(&["workflow", "status", "flood"], 3, "there is none");
    operator.refused(
        &["topo", "next-contact", "sat-1", "drone", "--latency-ms", "5"],
        3,
        "no contact",
    );
    operator.refused(&["--controller", "http://127.0.0.1:1", "node", "ls"], 4, "does not answer");
    let workflow = toml::to_string(&support::workflow()).expect("the test's set-up works");
    let file = operator.file("early.toml", workflow.as_bytes());
    operator.refused(&["workflow", "submit", &file], 3, "fn push ingest");
    operator.deploy();
    let mut fewer = support::workflow();
    fewer.tasks.pop();
    let fewer = operator
        .file("fewer.toml", toml::to_string(&fewer).expect("the test's set-up works").as_bytes());
    operator.refused(&["workflow", "submit", &fewer], 6, "other tasks");
    let bad = workflow.replace("pinned", "pined");
    let line =
        bad.lines().position(|line| line.contains("pined")).expect("the test's set-up works") + 1;
    let bad = operator.file("bad.toml", bad.as_bytes());
    operator.refused(&["workflow", "submit", &bad], 78, &format!("bad.toml:{line}: pined"));
    let zero = workflow.replace("run_deadline_ms = 10000", "run_deadline_ms = 0");
    let zero = operator.file("zero.toml", zero.as_bytes());
    operator.refused(&["workflow", "submit", &zero], 78, "run_deadline_ms 0 is not greater than 0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushing_tells_scripts_what_is_wrong_with_files_keys_and_versions() {
    let operator = operator().await;
    let module = operator.file("m.wasm", &component(1));
    let manifest = operator.file("function.toml", function_toml("f", 2).as_bytes());
    let push = ["fn", "push", "f", &module, "--manifest", &manifest];
    operator.refused(&["fn", "push", "f", "--manifest", &manifest], 2, "COMPONENT");
    operator.refused(&["fn", "push", "nowhere"], 3, "nowhere has no function.toml");
    // A laptop without a key, then with one that nobody trusts.
    let home = operator.dir.path().join("config").display().to_string();
    let with_home = |arguments: &[&str]| run_in(&operator.url, Some(&home), arguments);
    let done = with_home(&push);
    assert_eq!(done.code, 3, "{}", done.stderr);
    assert!(done.stderr.contains("make one: starbelt key new NAME"), "{}", done.stderr);
    assert_eq!(with_home(&["key", "new", "laptop"]).code, 0);
    let twice = with_home(&["key", "new", "laptop"]);
    assert_eq!(twice.code, 6, "{}", twice.stderr);
    let denied = with_home(&push);
    assert_eq!(denied.code, 5, "{}", denied.stderr);
    assert!(denied.stderr.contains("starbelt key trust FILE"), "{}", denied.stderr);
    let public = format!("{home}/starbelt/keys/laptop.pub");
    operator.good(&["key", "trust", &public]);
    // The only key, by its name, and by its file.
    assert!(with_home(&push).stdout.contains("f "));
    let by_name = [&push[..], &["--key", "laptop"]].concat();
    assert_eq!(with_home(&by_name).code, 0);
    let nobody = with_home(&[&push[..], &["--key", "nobody"]].concat());
    assert_eq!(nobody.code, 3, "{}", nobody.stderr);
    assert!(nobody.stderr.contains("(there: laptop); make it: starbelt key new nobody"));
    let secret = format!("{home}/starbelt/keys/laptop.key");
    let signed = [&push[..], &["--key", &secret]].concat();
    operator.good(&signed);
    // The manifest lies beside the component; then the folder of both, where `fn build` puts components.
    operator.good(&[&signed[..4], &["--key", &secret]].concat());
    let folder = operator.dir.path().display().to_string();
    operator.refused(&["fn", "push", &folder, "--key", &secret], 3, "f.wasm is not built yet");
    operator.file("f.wasm", &component(1));
    operator.good(&["fn", "push", &folder, "--key", &secret]);
    assert_eq!(with_home(&["key", "new", "other"]).code, 0);
    assert_eq!(with_home(&push).code, 2, "two keys to choose from");

    operator.file("function.toml", function_toml("f", 1).as_bytes());
    operator.refused(&signed, 6, "version 1 is lower than 2");
    let said = function_toml("f", 3).replace("deadline_ms = 1000", "deadline_ms = 0");
    operator.file("function.toml", said.as_bytes());
    operator.refused(&signed, 78, "function.limits.deadline_ms: 0 is outside 1 to 30000");
    operator.file("function.toml", function_toml("g", 3).as_bytes());
    operator.refused(&signed, 78, "function.name: g is not f");
    let nowhere = ["fn", "push", "g", "/nowhere.wasm", "--manifest", &manifest, "--key", &secret];
    operator.refused(&nowhere, 1, "/nowhere.wasm cannot be read");

    let keys: api::KeyList = serde_json::from_str(&operator.good(&["-o", "json", "key", "list"]))
        .expect("the test's set-up works");
    let id = keys.keys[0].id.to_string();
    operator.refused(&["key", "revoke", "0101010101010101"], 3, "there is no key");
    operator.refused(&["key", "revoke", "1"], 2, "16 hexadecimal digits");
    assert!(operator.good(&["key", "revoke", &id]).contains("nodes stop running f"));
    operator.file("function.toml", function_toml("f", 3).as_bytes());
    operator.refused(&signed, 5, "was revoked");
    operator.refused(&["key", "trust", &public], 6, "stays so");
    assert!(operator.good(&["fn", "list"]).contains("(revoked)"));
    assert!(operator.good(&["fn", "remove", "f"]).contains("f "));
    operator.refused(&["fn", "rm", "f"], 3, "f");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_placed_is_told_by_the_exit_code_and_explained() {
    let operator = operator().await;
    operator.deploy();
    let mut tight = support::workflow();
    tight.id = types::WorkflowId::new("tight").expect("the test's set-up works");
    tight.tasks[1].after[0].latency_max_ms = Some(1.0);
    let file = operator
        .file("tight.toml", toml::to_string(&tight).expect("the test's set-up works").as_bytes());
    let done = run(&operator.url, &["workflow", "submit", &file]);
    assert_eq!(done.code, 7, "{}", done.stderr);
    assert!(done.stdout.contains("refused") && done.stderr.contains("no feasible placement"));
    let done = run(&operator.url, &["place", "explain", "tight"]);
    assert_eq!(done.code, 7);
    assert!(done.stdout.contains("not on") && done.stderr.contains("no feasible node"));
    let helps = "extract: feasible with latency to ingest >= 50 ms instead of 1 ms";
    assert!(done.stdout.contains(helps), "{}", done.stdout);
    let list = run(&operator.url, &["-o", "json", "place", "explain", "tight"]);
    let list: api::PlacementList =
        serde_json::from_str(&list.stdout).expect("the test's set-up works");
    let one = &list.alternatives[0];
    assert_eq!((one.kind.as_str(), one.limit, one.asked), ("latency", Some(50.0), Some(1.0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ifs_are_answered_and_change_nothing() {
    let operator = operator().await;
    operator.deploy();
    let before = operator.good(&["workflow", "ls"]);
    // A second one finds both satellites taken, now and later.
    let mut other = support::workflow();
    other.id = types::WorkflowId::new("other").expect("the test's set-up works");
    let written = |workflow: &placement::Workflow| {
        let text = toml::to_string(workflow).expect("the test's set-up works");
        operator.file("other.toml", text.as_bytes())
    };
    let file = written(&other);
    let done = run(&operator.url, &["workflow", "submit", "--dry-run", &file]);
    assert_eq!(done.code, 7, "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("no node can host extract"), "{}", done.stdout);
    let helps = "feasible with latency to ingest >= 50 ms instead of 20 ms";
    assert!(done.stdout.contains(helps), "{}", done.stdout);
    assert!(done.stderr.contains("other would have no feasible placement at"), "{}", done.stderr);
    // What it names holds.
    other.tasks[1].after[0].latency_max_ms = Some(50.0);
    let file = written(&other);
    let told = operator.good(&["workflow", "submit", "--dry-run", &file]);
    assert!(told.contains("extract on ground at 50 ms"), "{told}");
    // Of nodes of which nothing is said, none may see restricted data.
    other.tasks[1].class = Some(types::DataClass::Restricted);
    let done = run(&operator.url, &["workflow", "submit", "--dry-run", &written(&other)]);
    assert_eq!(done.code, 7, "{}", done.stderr);
    let why = "ground: is trusted with internal data, not with restricted ones";
    assert!(done.stdout.contains(why) && !done.stdout.contains("feasible"), "{}", done.stdout);

    let at = |seconds: f64| support::start().plus_s(seconds).to_string();
    let later = operator.good(&["place", "explain", "flood", "--at", &at(700.0)]);
    assert!(later.contains("extract on sat-2 at 10 ms"), "{later}");
    let beyond = ["place", "explain", "flood", "--at", &at(1_300.0)];
    operator.refused(&beyond, 1, "where the contact plan ends");
    operator.refused(&["place", "explain", "flood", "--at", &at(-1.0)], 1, "is not between now");
    operator.refused(&["place", "explain", "flood", "--at", "soon"], 2, "RFC 3339");
    operator.refused(&["workflow", "submit", &file, "--at", &at(700.0)], 2, "--dry-run");
    operator.refused(&["place", "explain", "nothing", "--at", &at(700.0)], 3, "known: flood");
    assert_eq!(operator.good(&["workflow", "ls"]).lines().count(), before.lines().count());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_has_seen_enough_is_no_error() {
    let operator = operator().await;
    let mut child = Command::new(env!("CARGO_BIN_EXE_starbelt"))
        .args(["node", "ls"])
        .env("STARBELT_CONTROLLER", &operator.url)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the test's set-up works");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the test's set-up works");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).expect("the test's set-up works"), "");
}

#[test]
fn config_check_says_what_is_wrong_and_ends_with_78() {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/controller");
    let check = |file: &Path| {
        let output = Command::new(env!("CARGO_BIN_EXE_starbelt-controller"))
            .args(["config", "check", "--config"])
            .arg(file)
            .output()
            .expect("the test's set-up works");
        let text = |bytes| String::from_utf8(bytes).expect("the test's set-up works");
        (
            output.status.code().expect("the test's set-up works"),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let (code, stdout, stderr) = check(&configs.join("laptop.toml"));
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.contains("good, 3 nodes, 1584 satellites"), "{stdout}");

    let dir = tempfile::tempdir().expect("the test's set-up works");
    // The example of the package, with the sky that comes along.
    let packages = configs.join("../../cross/packages/starbelt-controller");
    for (from, to) in [
        (packages.join("controller.toml"), "controller.toml"),
        (configs.join("../sky/walker-72x22.toml"), "sky.toml"),
    ] {
        std::fs::copy(from, dir.path().join(to)).expect("the test's set-up works");
    }
    let (code, _, stderr) = check(&dir.path().join("controller.toml"));
    assert_eq!((code, stderr.as_str()), (0, ""));

    let text =
        std::fs::read_to_string(configs.join("laptop.toml")).expect("the test's set-up works");
    let bad = text.replace("ms = 3000", "ms = 3").replace("tcp/127.0.0.1:7501", "udp/here");
    let file = dir.path().join("bad.toml");
    std::fs::write(&file, bad).expect("the test's set-up works");
    let (code, stdout, stderr) = check(&file);
    assert_eq!((code, stdout.as_str()), (78, ""));
    assert!(stderr.contains("lease.ms: 3 is outside 100"), "{stderr}");
    assert!(stderr.contains("bus.listen: \"udp/here\" is not an address"), "{stderr}");
    let (code, _, stderr) = check(Path::new("/nowhere.toml"));
    assert_eq!(code, 78);
    assert!(stderr.contains("/nowhere.toml: cannot be read"), "{stderr}");
}
