//! The whole fleet as real processes: the demo with faults, without prediction, cut off, and killed.
//!
//! Each test has the machine to itself: a lock between tests of one process, a test group under nextest.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use hil_tests::demo;
use hil_tests::fleet::{NODES, splitmix};
use hil_tests::options::Options;
use hil_tests::report::Report;
use rustix::process::{Pid, Signal, kill_process_group};
use types::Epoch;

static MACHINE: Mutex<()> = Mutex::new(());

/// The machine, or `None` with the reason printed when the guests are not built.
#[expect(clippy::print_stdout, reason = "read by the runner, and by whoever repeats a failure")]
fn machine(test: &str) -> Option<MutexGuard<'static, ()>> {
    match artifacts::available() {
        Ok(()) => Some(MACHINE.lock().unwrap_or_else(PoisonError::into_inner)),
        Err(missing) => {
            println!("skipped: {test}: {missing}");
            None
        }
    }
}

fn run(dir: &Path, args: &[&str]) -> Report {
    let port = free_port().to_string();
    let report = dir.join("report.json");
    let all = [
        "demo",
        "--headless",
        "--port",
        &port,
        "--report",
        report.to_str().expect("the bed works"),
    ];
    let options = Options::parse_from(all.iter().chain(args));
    demo::run(&options, &dir.join("bed"), &Arc::new(AtomicBool::new(false)))
        .expect("the bed works")
        .expect("nobody stops it")
}

fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0))
        .expect("the bed works")
        .local_addr()
        .expect("the bed works")
        .port()
}

/// A seed that nobody chose: the day since 1970. Printed, so that a failure can be repeated.
#[expect(clippy::print_stdout, reason = "read by the runner, and by whoever repeats a failure")]
fn seed_of_the_day() -> String {
    let days =
        std::time::SystemTime::UNIX_EPOCH.elapsed().expect("the bed works").as_secs() / 86_400;
    let seed = (splitmix(days) % 100_000).to_string();
    println!("seed {seed}");
    seed
}

#[test]
fn functions_and_state_move_ahead_of_the_sky_and_nothing_is_lost_in_faults() {
    let Some(_machine) = machine("functions_and_state_move_ahead_of_the_sky") else { return };
    let dir = tempfile::tempdir().expect("the bed works");
    let report = run(dir.path(), &["--seconds", "90", "--seed", &seed_of_the_day()]);
    let text = serde_json::to_string_pretty(&report).expect("the bed works");
    assert_eq!(report.nodes_reporting, NODES, "{text}");
    assert!(5 <= report.workflows_completed, "{text}");
    assert_eq!(report.workflows_failed, 0, "{text}");
    assert_eq!((report.state_lost, report.state_forked), (0, 0), "{text}");
    assert_eq!(report.state_unreachable, 0, "{text}");
    assert!(report.state_went_back.is_empty(), "{text}");
    assert!(0 < report.state_writes_acknowledged, "{text}");
    assert!(1 <= report.handovers_before_close, "{text}");
    assert!(!report.failovers.is_empty(), "{text}");
    assert!(report.handovers.is_sorted_by_key(|one| one.decided_at), "{text}");
    assert!(100 < report.link_rtt_error_ms.samples, "{text}");
    let within = report.link_rtt_error_ms.within_tolerance_ratio;
    assert!(0.0 < within && within <= 1.0, "{text}");
    check_moves(&serde_json::to_value(&report).expect("the bed works"));
    for one in &report.failovers {
        // Two of our leases.
        assert!(one.detection_ms.is_none_or(|ms| ms <= 6_000), "{text}");
    }
}

/// A hand-over before its window closed has every field; times have a date, milliseconds and are UTC.
#[track_caller]
fn check_moves(report: &serde_json::Value) {
    let list = |name: &str| report[name].as_array().expect("a list").clone();
    let is_time = |value: &serde_json::Value| {
        let text = value.as_str().expect("text");
        let shape: String =
            text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        shape == "0000-00-00T00:00:00.000Z"
    };
    for one in list("handovers").iter().chain(&list("failovers")) {
        for (name, value) in one.as_object().expect("an object") {
            let is_of_time = name.ends_with("_at") || name == "predicted_close";
            assert!(!is_of_time || value.is_null() || is_time(value), "{name} of {one}");
        }
    }
    let time = |value: &serde_json::Value| Epoch::parse(value.as_str()?).ok();
    for one in list("handovers") {
        let (Some(close), Some(took_over)) =
            (time(&one["predicted_close"]), time(&one["took_over_at"]))
        else {
            continue;
        };
        if took_over < close {
            for name in ["function", "from", "to", "window_id", "decided_at", "prefetch_done_at"] {
                assert!(!one[name].is_null(), "{name} of {one}");
            }
            assert!(!one["first_call_at"].is_null(), "first_call_at of {one}");
        }
    }
}

#[test]
fn without_prediction_nothing_moves_before_a_window_closes() {
    let Some(_machine) = machine("without_prediction_nothing_moves") else { return };
    let dir = tempfile::tempdir().expect("the bed works");
    let report = run(dir.path(), &["--seconds", "50", "--no-prediction"]);
    assert_eq!(report.handovers_before_close, 0);
    assert_eq!(report.state_lost, 0);
}

#[test]
fn a_malformed_constellation_starts_nothing_and_exits_78() {
    let dir = tempfile::tempdir().expect("the bed works");
    let path = dir.path().join("bad.json");
    std::fs::write(&path, "[{\"OBJECT_NAME\": \"X\", \"EPOCH\": \"yesterday\"}]")
        .expect("the bed works");
    let output =
        program(dir.path()).arg("--constellation").arg(&path).output().expect("the bed works");
    assert_eq!(output.status.code(), Some(78));
    let message = String::from_utf8(output.stderr).expect("the bed works");
    assert!(message.contains("bad.json"), "{message}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_port_in_use_is_said_before_anything_starts() {
    let Some(_machine) = machine("a_port_in_use_is_said") else { return };
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("the bed works");
    let port = taken.local_addr().expect("the bed works").port().to_string();
    let dir = tempfile::tempdir().expect("the bed works");
    let output = program(dir.path()).args(["--port", &port]).output().expect("the bed works");
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).expect("the bed works");
    assert!(message.contains(&port) && message.contains("--port"), "{message}");
}

#[test]
fn nothing_is_left_behind_when_the_demo_is_killed() {
    let Some(_machine) = machine("nothing_is_left_behind") else { return };
    let dir = tempfile::tempdir().expect("the bed works");
    let mut demo = program(dir.path())
        .args(["--seconds", "60", "--port", &free_port().to_string()])
        .stdout(Stdio::null())
        .spawn()
        .expect("the bed works");
    let children = wait_for_children(&demo);
    demo.kill().expect("the bed works");
    demo.wait().expect("the bed works");
    check_gone(&children.expect("the demo starts a bridge, a controller and its agents"));
}

#[test]
fn a_report_without_a_place_is_said_before_anything_starts() {
    let Some(_machine) = machine("a_report_without_a_place_is_said") else { return };
    let dir = tempfile::tempdir().expect("the bed works");
    let report = dir.path().join("no-such-folder/out.json");
    let output = program(dir.path())
        .args(["--port", &free_port().to_string(), "--report"])
        .arg(&report)
        .output()
        .expect("the bed works");
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).expect("the bed works");
    assert!(message.contains("no-such-folder") && message.contains("--report"), "{message}");
    assert!(output.stdout.is_empty());
}

/// As a terminal does it: the signal goes to all processes of the demo's group.
#[test]
fn ctrl_c_ends_the_demo_cleanly_while_it_starts_and_while_it_runs() {
    let Some(_machine) = machine("ctrl_c_ends_the_demo_cleanly") else { return };
    // A second line tells that processes are started, a line of the fleet that it is watched.
    let starts: fn(&str) -> bool = |text| 2 <= text.lines().count();
    let runs: fn(&str) -> bool = |text| text.contains("  runs ");
    for (is_time, words) in [(starts, "nothing to report"), (runs, "report  ")] {
        let dir = tempfile::tempdir().expect("the bed works");
        let out = dir.path().join("out.txt");
        let file = std::fs::File::create(&out).expect("the bed works");
        let errors = file.try_clone().expect("the bed works");
        let mut demo = program(dir.path())
            .args(["--seconds", "600", "--port", &free_port().to_string()])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .expect("the bed works");
        let text = || std::fs::read_to_string(&out).expect("the bed works");
        let reached = wait_for(Duration::from_secs(90), || is_time(&text()).then_some(()));
        let children = children_of(&demo);
        let group = Pid::from_raw(i32::try_from(demo.id()).expect("a process id"));
        kill_process_group(group.expect("a process id"), Signal::INT).expect("the bed works");
        let status = wait_for(Duration::from_secs(90), || demo.try_wait().expect("the bed works"));
        // Ends its children, too.
        demo.kill().ok();
        let text = text();
        assert!(reached.is_some() && !children.is_empty(), "{text}");
        assert_eq!(status.and_then(|status| status.code()), Some(0), "{text}");
        assert!(text.contains(words) && !text.contains("ended ("), "{text}");
        check_gone(&children);
    }
}

/// A headless demo whose files are in a folder of its own below this one.
fn program(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command.args(["--headless", "--dir"]).arg(dir.join("bed"));
    command
}

/// All processes of a bed.
fn wait_for_children(demo: &Child) -> Option<Vec<u32>> {
    wait_for(Duration::from_secs(30), || {
        let found = children_of(demo);
        (NODES + 2 <= found.len()).then_some(found)
    })
}

#[track_caller]
fn check_gone(children: &[u32]) {
    let gone = wait_for(Duration::from_secs(15), || {
        (!children.iter().any(|pid| is_running(*pid))).then_some(())
    });
    assert!(gone.is_some(), "some of {children:?} still run");
}

fn wait_for<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if limit < started.elapsed() {
            return None;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A process that has ended and that nobody waited for does not run.
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().next());
    state.is_some_and(|state| state != "Z")
}

/// Processes whose parent is this child, from `/proc/<pid>/stat` (the fourth field).
fn children_of(parent: &Child) -> Vec<u32> {
    let parent = parent.id().to_string();
    let entries = std::fs::read_dir("/proc").expect("the bed works");
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            after.split_ascii_whitespace().nth(1) == Some(parent.as_str())
        })
        .collect()
}
