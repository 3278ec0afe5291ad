//! `starbelt-sim place --program`: policies that are programs, what they are told, and what is said of those that are wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use sim_bridge::offline::place::program::wire::Answer;

/// Seconds of work, and edge nodes see satellites most of the time.
const SMALL: [&str; 4] = ["--planes", "24", "--slots-per-plane", "14"];
/// What people read of it.
const GUIDE: &str = include_str!("../../docs/guide-policies.md");
/// Its first lines: it is ready whatever the hello says.
const READY: &str = "read -r hello\necho '{\"ready\":1}'\n";

fn place(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_starbelt-sim"));
    command.args(["place", "--scenario", "hyperdrive-v2"]).args(SMALL).args(arguments);
    command.env("RAYON_NUM_THREADS", "2").output().expect("the program can be started")
}

/// The example in Python, as `--program` takes it; `None`, and said so, without Python.
#[expect(clippy::print_stdout, reason = "what was skipped is counted from the tests' output")]
fn nearest(test: &str) -> Option<String> {
    let python = Command::new("python3").arg("--version").stdout(Stdio::null()).status();
    if !python.is_ok_and(|status| status.success()) {
        println!("skipped: {test}: python3 is not installed (apt-get install python3)");
        return None;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policy_nearest.py");
    Some(format!("nearest=python3 '{}'", file.display()))
}

/// A policy in the language of the shell, in a folder of its own.
struct Script {
    dir: tempfile::TempDir,
}

impl Script {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder can be made");
        fs::write(dir.path().join("policy.sh"), text).expect("a file can be written");
        Self { dir }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).expect("the policy has written it")
    }

    /// Its folder is `$1`.
    fn argument(&self) -> String {
        let dir = self.dir.path().display();
        format!("mine=/bin/sh '{dir}/policy.sh' '{dir}'")
    }

    fn run(&self, more: &[&str]) -> Output {
        let program = self.argument();
        let few = ["--program", &program, "--workflows", "1", "--minutes", "1"];
        place(&[&few[..], more].concat())
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn answer(output: &Output) -> Value {
    assert!(output.status.success(), "{}", said(output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A policy that is ready, and answers its first question so.
#[track_caller]
fn check(answer: &str, parts: &[&str]) {
    let script = Script::new(&format!("{READY}read -r question\n{answer}\nread -r nothing\n"));
    let result = script.file("result.json");
    let output = script.run(&["--json", result.to_str().expect("UTF-8")]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{answer}: {said}");
    for part in ["starbelt-sim: program mine, "].iter().chain(parts) {
        assert!(said.contains(part), "{answer}: {part:?} is not in: {said}");
    }
    assert!(!result.exists(), "{answer}");
}

#[test]
fn a_program_decides_as_the_built_in_policy_that_it_says_in_other_words() {
    let test = "a_program_decides_as_the_built_in_policy_that_it_says_in_other_words";
    let Some(program) = nearest(test) else { return };
    let run = |who: [&str; 2]| {
        let asked = ["--workflows", "12", "--minutes", "6", "--json", "-"];
        answer(&place(&[&who[..], &asked].concat()))
    };
    let (mine, theirs) = (run(["--program", &program]), run(["--policy", "greedy-nearest"]));
    assert_eq!((&mine["policy"], &theirs["policy"]), (&json!("nearest"), &json!("greedy-nearest")));
    let flows = |found: &Value| found["workflows"].as_array().expect("a list").clone();
    let (mine, theirs) = (flows(&mine), flows(&theirs));
    assert_eq!(mine.len(), 12);
    let good = mine.iter().filter(|flow| flow["end"] == "good").count();
    assert!(0 < good, "{mine:?}");
    for (mine, theirs) in mine.iter().zip(&theirs) {
        for key in ["end", "finished_s", "tasks", "battery_wh"] {
            assert_eq!(mine[key], theirs[key], "{key}: {mine}\n{theirs}");
        }
    }
}

/// The commands of the guide, on a small sky and for a few minutes.
#[test]
fn what_the_guide_says_is_so() {
    let test = "what_the_guide_says_is_so";
    let commands: Vec<_> =
        GUIDE.lines().filter(|line| line.starts_with("starbelt-sim place ")).collect();
    assert_eq!(commands.len(), 2);
    let forms = GUIDE.split('`').filter(|text| {
        let is_form = ["{\"place\"", "{\"none\"", "{\"ask\""].iter().any(|of| text.starts_with(of));
        is_form && !text.contains('…')
    });
    let forms: Vec<_> = forms.collect();
    assert!(10 < forms.len(), "{forms:?}");
    for form in forms {
        let value = serde_json::from_str(form).expect(form);
        Answer::of(value).unwrap_or_else(|error| panic!("{form}: {error}"));
    }
    if nearest(test).is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for command in commands {
        let page = dir.path().join("policies.html").display().to_string();
        let command = command.replace("policies.html", &page);
        let words = shlex::split(&command).unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_starbelt-sim"));
        program.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        let output =
            program.args(&words[1..]).args(SMALL).args(["--minutes", "3"]).output().unwrap();
        assert!(output.status.success(), "{command}: {}", said(&output));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("nearest"), "{command}: {text}");
    }
}

#[test]
fn programs_are_compared_like_all_others_on_any_number_of_threads() {
    let test = "programs_are_compared_like_all_others_on_any_number_of_threads";
    let Some(program) = nearest(test) else { return };
    let none = Script::new(&format!(
        "{READY}while read -r question; do echo '{{\"none\":\"never\"}}'; done\n"
    ));
    let dir = tempfile::tempdir().unwrap();
    let html = dir.path().join("all.html");
    let output = place(&[
        "--compare",
        "--program",
        &program,
        "--program",
        &none.argument(),
        "--seeds",
        "2",
        "--starts",
        "1",
        "--load",
        "4",
        "--minutes",
        "4",
        "--json",
        "-",
        "--html",
        html.to_str().unwrap(),
    ]);
    let found = answer(&output);
    let rows = found["rows"].as_array().unwrap();
    let row = |name: &str| rows.iter().find(|row| row["policy"] == name).expect(name);
    assert_eq!(row("nearest")["means"], row("greedy-nearest")["means"]);
    assert_eq!(row("mine")["means"]["unplaced"]["mean"], 4.0);
    let page = fs::read_to_string(html).unwrap();
    assert!(page.contains("nearest</span>") && page.contains("mine</span>"));
}

#[test]
fn what_is_told_is_all_that_a_policy_may_know() {
    let script = Script::new(
        r#"read -r hello
echo "$hello" > "$1/hello"
echo '{"ready":1}'
read -r question
echo "$question" > "$1/question"
ask() { echo "$2"; read -r told; echo "$told" > "$1"; }
ask "$1/latency" '{"ask":"latency","node":"sat-00-00","step":20}'
ask "$1/light" '{"ask":"light"}'
ask "$1/places" '{"ask":"places","step":3}'
ask "$1/boards" '{"ask":"boards"}'
ask "$1/watts" '{"ask":"watts"}'
ask "$1/free" '{"ask":"free","from":4,"until":9}'
ask "$1/fits" '{"ask":"fits"}'
ask "$1/bears" '{"ask":"bears","node":"sat-00-00"}'
echo '{"none":"enough seen"}'
while read -r question; do echo '{"none":"enough seen"}'; done
"#,
    );
    let found = answer(&script.run(&["--seed", "3", "--json", "-"]));
    assert_eq!(found["workflows"][0]["reason"], "enough seen");
    assert_eq!(found["summary"]["unplaced"]["enough seen"], 1);
    let read = |name: &str| -> Value { serde_json::from_str(&script.read(name)).expect("JSON") };
    let hello = read("hello");
    assert_eq!((&hello["hello"], &hello["version"]), (&json!("starbelt-policy"), &json!(1)));
    for (key, value) in [
        ("policy", json!("mine")),
        ("scenario", json!("hyperdrive-v2")),
        ("seed", json!(3)),
        ("start", json!("2024-07-02T01:00:00.000Z")),
        ("step_s", json!(30.0)),
        ("tenure", json!("run")),
    ] {
        assert_eq!(hello[key], value, "{key}");
    }
    let nodes = hello["nodes"].as_array().unwrap();
    let satellite = &nodes[0];
    assert_eq!(satellite["name"], "sat-00-00");
    assert_eq!(satellite["arch"], "arm64");
    assert!(satellite["battery"]["reserve"].is_number() && satellite["chip_max_c"].is_number());
    assert!(nodes[336]["battery"].is_null() && nodes[336]["kind"] == "edge", "{}", nodes[336]);
    let question = read("question");
    let task = usize::try_from(question["task"].as_u64().unwrap()).unwrap();
    assert_eq!((&question["question"], &question["workflow"]), (&json!(1), &json!(0)));
    assert!(question["step"].as_u64() < question["until"].as_u64());
    assert!(question["tasks"][task]["inputs"][0]["task"].is_number());
    let host = &question["tasks"][0]["stays"][0]["node"];
    assert_eq!(&question["sources"][0]["node"], host);
    let at = nodes.iter().position(|node| node["name"] == *host).unwrap();
    assert_eq!(question["sources"][0]["latency_ms"][at], 0.0);
    assert_eq!(question["free"]["milli_cpu"][0], 4000);
    let len = |value: &Value| value.as_array().map(Vec::len);
    let all = Some(nodes.len());
    assert_eq!(len(&read("latency")["latency_ms"]), all);
    assert_eq!(read("latency")["latency_ms"][0], 0.0);
    assert_eq!(len(&read("light")["light"]), all);
    assert_eq!(len(&read("places")["places"]["lat_deg"]), all);
    assert!(read("boards")["boards"]["charge"][0].is_number());
    assert!(read("boards")["boards"]["charge"][336].is_null());
    assert_eq!(read("watts")["watts"][0], 0.0);
    assert_eq!(read("free")["free"]["down"], json!([]));
    assert!(read("fits")["fits"]["why_not"][0].is_null());
    assert_eq!(read("bears"), json!({ "bears": { "why_not": null } }));
}

#[test]
fn a_program_may_plan_hand_overs() {
    // Each task to one satellite, and to its neighbour a step later.
    let script = Script::new(
        r#"read -r hello
echo '{"ready":1}'
while read -r question; do
  step=${question#*\"step\":}; step=${step%%,*}
  until=${question#*\"until\":}; until=${until%%,*}
  stays="{\"node\":\"sat-00-00\"}"
  test $((step + 1)) -lt "$until" && stays="$stays,{\"node\":\"sat-00-01\",\"from\":$((step + 1))}"
  echo "{\"place\":[$stays]}"
done
"#,
    );
    let found = answer(&script.run(&["--json", "-"]));
    let tasks = found["workflows"][0]["tasks"].as_array().unwrap();
    assert!(1 < tasks.len(), "{tasks:?}");
    assert_eq!(tasks[1]["stays"].as_array().map(Vec::len), Some(2), "{tasks:?}");
    assert!(1 <= found["summary"]["hand_overs"].as_u64().unwrap());
}

#[test]
fn what_a_program_does_wrong_is_named() {
    let asked = "asked for task ";
    for (answer, parts) in [
        ("exit 3", &[asked, "of workflow 0 in minute ", "it ended (exit status: 3)"][..]),
        ("exec >&-; read -r x", &[asked, "closed its standard output"]),
        ("echo thinking", &[asked, r#"it answered "thinking", which is no JSON"#, "stderr"]),
        ("echo '{\"where\":1}'", &["which is no answer", "place, none and ask"]),
        (
            "echo '{\"place\":[{\"nod\":\"a\"}]}'",
            &["unknown field `nod`", r#"{"place":[{"node":NAME"#],
        ),
        ("echo '{\"ask\":\"weather\"}'", &["unknown variant `weather`", "`latency`"]),
        (
            "echo '{\"place\":[{\"node\":\"sat-00-0\"}]}'",
            &[r#"it named "sat-00-0", which is no node"#, "sat-00-00", "hello"],
        ),
        (
            "echo '{\"place\":[{\"node\":\"sat-00-00\",\"from\":77}]}'",
            &["it named step 77 as the start; the task starts now"],
        ),
        (
            "echo \"{\\\"place\\\":[{\\\"node\\\":\\\"sat-00-00\\\"},{\\\"node\\\":\\\"sat-00-01\\\",\\\"from\\\":9999}]}\"",
            &["it named step 9999 as a hand-over", "the end of the run"],
        ),
        ("echo '{\"place\":[]}'", &["on no node", "{\"none\":REASON}"]),
        ("echo '{\"none\":\" \"}'", &["without a reason"]),
        (
            "echo '{\"ask\":\"light\",\"step\":99999}'",
            &["it named step 99999 as a moment", "what can be asked for"],
        ),
        (
            "echo '{\"ask\":\"fits\",\"until\":0}'",
            &["it named step 0 as the end of a time", "must come after"],
        ),
        (
            "i=0; while test $i -lt 7000; do printf 0123456789; i=$((i + 1)); done; read -r x",
            &["more than 65536 bytes in one line", "\"0123456789", "…"],
        ),
        (
            "while :; do echo '{\"ask\":\"light\"}'; done",
            &["does not read what is written to its standard input"],
        ),
    ] {
        check(answer, parts);
    }
}

#[test]
fn a_node_that_has_no_room_is_named_with_what_it_has() {
    // All tasks on one satellite: it runs one at a time.
    let script = Script::new(&format!(
        "{READY}while read -r question; do echo '{{\"place\":[{{\"node\":\"sat-00-00\"}}]}}'; done\n"
    ));
    let program = script.argument();
    let output = place(&["--program", &program, "--workflows", "30", "--minutes", "2"]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in ["it chose sat-00-00 from step ", " mCPU free, ", "{\"ask\":\"fits\"}"] {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
}

#[test]
fn who_does_not_answer_in_time_or_is_not_ready_is_named_and_gone() {
    let silent = "echo $$ > \"$1/pid\"\nsleep 600 &\necho $! > \"$1/other\"\nwait\n";
    let greeting = |answer: &str| format!("read -r hello\necho '{answer}'\nread -r nothing\n");
    for (text, part) in [
        (silent.to_owned(), "no answer within 1 s; give it more time with --program-timeout"),
        (greeting("{\"ready\":2}"), "it speaks version 2 of the protocol, this is version 1"),
        (greeting("{\"ready\":true}"), "answers are {\"ready\":1}"),
        (greeting("hello"), "which is no JSON"),
        ("exit 1\n".to_owned(), "it ended (exit status: 1)"),
    ] {
        let script = Script::new(&text);
        let output = script.run(&["--program-timeout", "1"]);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        for part in ["program mine, asked by the hello whether it is ready: ", part] {
            assert!(said.contains(part), "{part:?} is not in: {said}");
        }
        for file in ["pid", "other"].map(|name| script.file(name)) {
            if let Ok(pid) = fs::read_to_string(file) {
                assert!(is_gone(pid.trim()), "{pid} lives");
            }
        }
    }
    let output = place(&["--program", "mine=/nowhere/policy"]);
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(
        said.contains("program mine, at its start: /nowhere/policy cannot be started"),
        "{said}"
    );
}

/// Whether a process has ended, be it that nobody has asked how.
fn is_gone(pid: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat"));
    state.map_or(true, |text| text.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
}

#[test]
fn one_that_is_broken_ends_a_comparison() {
    let script = Script::new(&format!("{READY}read -r question\nexit 7\n"));
    let program = script.argument();
    let few = ["--seeds", "1", "--starts", "1", "--load", "2", "--minutes", "1"];
    let output = place(&[&["--compare", "--program", &program], &few[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("program mine, asked for task"), "{}", said(&output));
    assert!(output.stdout.is_empty());
}

#[test]
fn who_ends_the_run_ends_its_programs() {
    use std::os::unix::process::ExitStatusExt as _;
    let script = Script::new(&format!(
        "{READY}mkfifo \"$1/pipe\"\nread -r question\necho $$ > \"$1/pid\"\nmv \"$1/pid\" \"$1/told\"\nwhile :; do read -r never < \"$1/pipe\"; done\n"
    ));
    let mut command = Command::new(env!("CARGO_BIN_EXE_starbelt-sim"));
    command.args(["place", "--scenario", "hyperdrive-v2"]).args(SMALL);
    command.args(["--program", &script.argument(), "--workflows", "1", "--minutes", "1"]);
    let mut run = command.stdout(Stdio::null()).spawn().unwrap();
    while !script.file("told").exists() {
        assert!(run.try_wait().unwrap().is_none(), "it ended");
        std::thread::yield_now();
    }
    let id = run.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let ended = run.wait().unwrap();
    assert_eq!((ended.code(), ended.signal()), (Some(130), None));
    let pid = script.read("told");
    // The signal was sent before the process ended; to die may take a moment.
    while !is_gone(pid.trim()) {
        std::thread::yield_now();
    }
}

#[test]
fn options_that_do_not_fit_are_named() {
    for (arguments, code, part) in [
        (vec!["--program", "lookahead=x"], 2, "lookahead is the name of a built-in policy"),
        (vec!["--program", "mine"], 2, "NAME=COMMAND"),
        (vec!["--program", "a=x", "--program", "b=y"], 78, "--program a, b: one decides in a run"),
        (
            vec!["--compare", "--program", "a=x", "--program", "a=y"],
            78,
            "--program a is given twice",
        ),
        (
            vec!["--policy", "random", "--program", "a=x"],
            78,
            "--policy random and --program a: one",
        ),
        (vec!["--program", "a=x", "--load", "5"], 78, "--load is for comparisons"),
        (vec!["--program", "a=x", "--program-timeout", "0"], 2, "0 is not in 1..=86400"),
    ] {
        let output = place(&arguments);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
}
