//! `starbelt fn new`, `build` and `run` in folders outside of the repository, up to where a compiler or the agent is needed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use controller::function_file::FunctionFile;

/// What a command did.
struct Done {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Runs the CLI in a folder, with a search path that has nothing: no compiler, no rustup, no apt, no agent.
fn starbelt(dir: &Path, arguments: &[&str]) -> Done {
    let output = Command::new(env!("CARGO_BIN_EXE_starbelt"))
        .args(arguments)
        .current_dir(dir)
        .env("PATH", dir)
        .env_remove("CARGO")
        .env("XDG_CACHE_HOME", dir)
        .stdin(Stdio::null())
        .output()
        .expect("the test's set-up works");
    let text = |bytes| String::from_utf8(bytes).expect("the test's set-up works");
    Done {
        code: output.status.code().expect("the test's set-up works"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

#[track_caller]
fn refused(dir: &Path, arguments: &[&str], code: i32, words: &[&str]) {
    let done = starbelt(dir, arguments);
    assert_eq!((done.code, done.stdout.as_str()), (code, ""), "{}", done.stderr);
    for words in words {
        assert!(done.stderr.contains(words), "{words:?}: {}", done.stderr);
    }
}

fn entries(dir: &Path) -> usize {
    fs::read_dir(dir).expect("the test's set-up works").count()
}

#[test]
fn names_against_the_rule_make_nothing() {
    let dir = tempfile::tempdir().expect("the test's set-up works");
    let long = "a".repeat(64);
    for name in ["", "Hello", "-x", "a_b", "a/b", "..", ".", "ä", "a b", long.as_str()] {
        refused(dir.path(), &["fn", "new", "--", name], 2, &["a-z"]);
    }
    refused(dir.path(), &["fn", "new", "x", "--lang", "cobol"], 2, &["rust-std"]);
    assert_eq!(entries(dir.path()), 0);
}

#[test]
fn what_is_there_is_never_written_over() {
    let dir = tempfile::tempdir().expect("the test's set-up works");
    fs::create_dir(dir.path().join("mine")).expect("the test's set-up works");
    fs::write(dir.path().join("file"), "mine").expect("the test's set-up works");
    for name in ["mine", "file"] {
        refused(dir.path(), &["fn", "new", name], 6, &[name, "is there already"]);
    }
    assert_eq!(entries(&dir.path().join("mine")), 0);
    assert_eq!(fs::read(dir.path().join("file")).expect("the test's set-up works"), b"mine");
}

#[test]
fn all_that_a_function_needs_is_in_its_folder() {
    let dir = tempfile::tempdir().expect("the test's set-up works");
    for (lang, source) in [("rust", "lib.rs"), ("rust-std", "lib.rs"), ("c", "function.c")] {
        // A digit first, and a word that Rust reserves: both are names of functions.
        for name in [format!("3-{lang}"), format!("fn-{lang}"), lang.to_owned()] {
            let done = starbelt(dir.path(), &["fn", "new", &name, "--lang", lang]);
            assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{name}");
            assert!(done.stdout.contains(&format!("starbelt fn build {name}")), "{}", done.stdout);
            let folder = dir.path().join(&name);
            for file in ["function.toml", "README.md", ".gitignore", "wit/world.wit"] {
                let text = fs::read_to_string(folder.join(file)).expect("it was written");
                assert!(
                    !text.contains("{{") && !text.contains(env!("CARGO_MANIFEST_DIR")),
                    "{file}"
                );
            }
            assert!(folder.join("src").join(source).is_file());
            assert_eq!(folder.join("Cargo.lock").is_file(), lang != "c");
        }
    }
}

#[test]
fn a_model_and_a_kernel_have_their_folders_and_need_no_compiler() {
    let dir = tempfile::tempdir().expect("the test's set-up works");
    for (lang, source, said) in [
        ("onnx", "model.onnx", &["x f32 [1, 1, 4, 4]", "y f32 [1, 3]", "multiply-accumulates"][..]),
        ("kernel", "function.toml", &["kernel/matmul, which the node has", "a, b"]),
    ] {
        let name = format!("f-{lang}");
        let made = starbelt(dir.path(), &["fn", "new", &name, "--lang", lang]);
        assert_eq!((made.code, made.stderr.as_str()), (0, ""));
        assert!(
            made.stdout.contains(&format!("its source is {name}/{source}\n")),
            "{}",
            made.stdout
        );
        let folder = dir.path().join(&name);
        for file in ["function.toml", "README.md", "wit/ABI.md"] {
            let text = fs::read_to_string(folder.join(file)).expect("it was written");
            assert!(!text.contains("{{"), "{file}");
        }
        let request = fs::read(folder.join("request.safetensors")).expect("it was written");
        assert!(infer::safetensors::decode(&request).is_ok_and(|tensors| !tensors.is_empty()));
        let built = starbelt(dir.path(), &["fn", "build", &name]);
        assert_eq!((built.code, built.stderr.as_str()), (0, ""), "{}", built.stdout);
        for said in said {
            assert!(built.stdout.contains(said), "{said}: {}", built.stdout);
        }
        let json = starbelt(dir.path(), &["--output", "json", "fn", "build", &name]);
        let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
        assert_eq!(json["name"], name.as_str());
        assert!(json["inputs"].as_array().is_some_and(|inputs| !inputs.is_empty()), "{json}");
    }
}

#[test]
fn a_model_that_no_node_takes_is_refused_where_it_lies() {
    let dir = tempfile::tempdir().expect("the test's set-up works");
    starbelt(dir.path(), &["fn", "new", "f", "--lang", "onnx"]);
    let file = dir.path().join("f/model.onnx");
    let model = fs::read(&file).expect("it was written");
    fs::write(&file, &model[..model.len() - 9]).expect("the test's set-up works");
    refused(
        dir.path(),
        &["fn", "build", "f"],
        13,
        &["a node would refuse f: the model is refused"],
    );
    fs::write(&file, vec![0; 4 * 1024 * 1024 + 1]).expect("the test's set-up works");
    refused(dir.path(), &["fn", "build", "f"], 13, &["4194305 bytes", "quantise it"]);
    fs::remove_file(&file).expect("it was there");
    for verb in ["build", "run"] {
        refused(dir.path(), &["fn", verb, "f"], 3, &["model.onnx is not there"]);
    }
}

#[test]
fn a_missing_compiler_is_said_with_what_to_install() {
    let dir = tempfile::tempdir().expect("the test's set-up works");
    for (lang, words) in [
        ("rust", "rustup target add wasm32-unknown-unknown"),
        ("rust-std", "rustup target add wasm32-wasip1"),
        ("c", "apt-get install clang lld wasi-libc libclang-rt-dev-wasm32"),
    ] {
        starbelt(dir.path(), &["fn", "new", lang, "--lang", lang]);
        refused(dir.path(), &["fn", "build", lang], 1, &["functions cannot be built", words]);
        assert!(!dir.path().join(lang).join(format!("{lang}.wasm")).exists());
        // Who allows one way only hears of that one only.
        let one = ["fn", "build", lang, "--compiler", "installed"];
        let done = starbelt(dir.path(), &one);
        assert!(!done.stderr.contains("debian:"), "{}", done.stderr);
    }
    refused(dir.path(), &["fn", "build", "--compiler", "gcc"], 2, &["installed, rustup or debian"]);
}

#[test]
fn what_is_missing_in_a_folder_is_said() {
    let dir = tempfile::tempdir().expect("the test's set-up works");
    refused(dir.path(), &["fn", "build"], 3, &["has no function.toml", "starbelt fn new"]);
    refused(dir.path(), &["fn", "run", "nobody"], 3, &["nobody: there is no such folder"]);
    starbelt(dir.path(), &["fn", "new", "f"]);
    refused(
        dir.path(),
        &["fn", "run", "f"],
        3,
        &["f.wasm is not built yet", "starbelt fn build f"],
    );
    let manifest = dir.path().join("f/function.toml");
    let text = fs::read_to_string(&manifest).expect("it was written");
    let bad = text.replace("deadline_ms = 2000", "deadline_ms = 0");
    fs::write(&manifest, bad).expect("the test's set-up works");
    for verb in ["build", "run"] {
        refused(dir.path(), &["fn", verb, "f"], 78, &["deadline_ms: 0 is outside 1 to 30000"]);
    }
    fs::write(&manifest, text).expect("the test's set-up works");
    let cargo = dir.path().join("f/Cargo.toml");
    fs::write(&cargo, "[package.metadata.function]\ntarget = \"x86\"\n").expect("it is there");
    refused(dir.path(), &["fn", "build", "f"], 78, &["package.metadata.function.target", "x86"]);
}

/// The versions of the lock file are those that this repository is tested with, so that its cache has them, too.
#[test]
fn a_new_function_is_locked_to_the_versions_of_the_workspace() {
    let packages = |text: &str| -> Vec<(String, String, String)> {
        let table: toml::Table = text.parse().expect("cargo wrote it");
        let packages = table["package"].as_array().expect("cargo wrote it").clone();
        let field = |package: &toml::Value, key: &str| {
            package.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned()
        };
        let all = packages.iter().map(|package| {
            (field(package, "name"), field(package, "version"), field(package, "checksum"))
        });
        all.collect()
    };
    let ours = packages(include_str!("../../Cargo.lock"));
    let theirs = packages(include_str!("../../functions/templates/lock.toml"));
    assert!(theirs.iter().any(|(name, ..)| name == "wit-bindgen"));
    for package in theirs.iter().filter(|(.., checksum)| !checksum.is_empty()) {
        let next = "`starbelt fn new x`, put Cargo.lock of the workspace in its place, `cargo metadata` there, and put what it became \
                    into functions/templates/lock.toml";
        assert!(ours.contains(package), "{package:?} is another in the workspace: {next}");
    }
    let workspace: toml::Table = include_str!("../../Cargo.toml").parse().expect("cargo reads it");
    let sdk: toml::Table = include_str!("../../functions/templates/sdk.toml").parse().expect("it");
    let asked = &workspace["workspace"]["dependencies"]["wit-bindgen"];
    assert_eq!(&sdk["dependencies"]["wit-bindgen"], asked);
}

/// All sources of the guest crate go into a new function.
#[test]
fn no_source_of_the_guest_crate_is_forgotten() {
    let dir = tempfile::tempdir().expect("the test's set-up works");
    starbelt(dir.path(), &["fn", "new", "f"]);
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/sdk/src");
    for entry in fs::read_dir(sources).expect("the test's set-up works") {
        let source = entry.expect("the test's set-up works").path();
        let copy = dir.path().join("f/sdk/src").join(source.file_name().expect("it has a name"));
        assert_eq!(fs::read(&copy).ok(), fs::read(&source).ok(), "{}", copy.display());
    }
}

/// What a line of a comment says if it is TOML, and the line itself if it is no comment.
fn uncommented(line: &str) -> Option<&str> {
    let Some(comment) = line.strip_prefix("# ") else {
        return (!line.starts_with('#')).then_some(line);
    };
    let is_section = comment.starts_with('[');
    let key = comment.split_once(" = ").map(|(key, _)| key);
    let is_key = key.is_some_and(|key| key.bytes().all(is_key_byte));
    (is_section || is_key).then_some(comment)
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
}

/// The first thing that a user reads about manifests says all that can be said, and all of it is good.
#[test]
fn the_manifest_of_a_new_function_shows_all_that_can_be_said() {
    let dir = tempfile::tempdir().expect("the test's set-up works");
    starbelt(dir.path(), &["fn", "new", "f"]);
    let manifest = dir.path().join("f/function.toml");
    let text = fs::read_to_string(&manifest).expect("it was written");
    let all: Vec<_> = text.lines().filter_map(uncommented).collect();
    // What is kept warm is of another world; all else goes together.
    let whole = all.join("\n").replace("/function@", "/stateful-function@");
    fs::write(&manifest, whole).expect("the test's set-up works");
    FunctionFile::load(&manifest).expect("it is good as a whole");
    let said: toml::Table = all.join("\n").parse().expect("it is TOML");
    let abi = include_str!("../../functions/wit/ABI.md");
    let rows = abi.lines().filter(|line| line.starts_with("| `[") && line.contains("function"));
    let mut sections = 0;
    for row in rows {
        let heads = row.split('|').nth(1).expect("a row has cells");
        for head in heads.split('`').filter(|head| head.starts_with('[')) {
            sections += 1;
            assert!(all.contains(&head), "{head} is not in the template");
            for key in keys_of(row) {
                assert!(shows(&said, head, key), "{head} {key} is not in the template");
            }
        }
    }
    assert!(10 < sections, "{sections}");
}

/// The keys that a row of the table in ABI.md tells of: code that is a name, before the column that says what is enforced.
fn keys_of(row: &str) -> impl Iterator<Item = &str> {
    let keys = row.split('|').nth(2).expect("a row has cells");
    let is_name = |word: &&str| word.bytes().all(is_key_byte);
    // A topic needs a grant, so the template does not show it.
    let is_shown = |word: &&str| !["topic", "state", "dead_letter", "app"].contains(word);
    keys.split('`').skip(1).step_by(2).filter(move |word| is_name(word) && is_shown(word))
}

fn shows(said: &toml::Table, head: &str, key: &str) -> bool {
    let path = head.trim_matches(['[', ']']).split('.');
    let mut at = Some(toml::Value::Table(said.clone()));
    for part in path {
        at = at.and_then(|value| value.get(part).cloned());
    }
    let tables = match at {
        Some(toml::Value::Array(tables)) => tables,
        other => Vec::from_iter(other),
    };
    tables.iter().any(|table| table.get(key).is_some())
}

/// The CLI has no engine: functions are run by the agent.
#[test]
fn the_cli_links_no_engine() {
    let lock = include_str!("../../Cargo.lock");
    let table: toml::Table = lock.parse().expect("cargo wrote it");
    assert!(table["package"].as_array().is_some_and(|all| {
        all.iter().any(|package| package["name"].as_str() == Some("wasmtime"))
    }));
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["tree", "--offline", "--package", "controller", "--edges", "normal"]);
    cargo.args(["--prefix", "none", "--format", "{p}"]);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    let tree = String::from_utf8(output.stdout).expect("it is text");
    assert!(output.status.success() && tree.contains("wit-component"), "{tree}");
    for package in tree.lines() {
        let is_engine = ["wasmtime", "cranelift", "runtime ", "tract-", "ort ", "wgpu "]
            .iter()
            .any(|p| package.starts_with(p));
        assert!(!is_engine, "{package}");
    }
}
