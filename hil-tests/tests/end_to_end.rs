//! The whole fleet as real processes: the demo with faults, without prediction, cut off, and killed.
//!
//! Each test has the machine to itself: a lock between tests of one process, a test group under nextest.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use hil_tests::demo;
use hil_tests::fleet::{NODES, splitmix};
use hil_tests::options::Options;
use hil_tests::report::Report;

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
    assert!(report.state_went_back.is_empty(), "{text}");
    assert!(0 < report.state_writes_acknowledged, "{text}");
    assert!(1 <= report.handovers_before_close, "{text}");
    assert!(!report.failovers.is_empty(), "{text}");
    assert!(report.handovers.is_sorted_by_key(|one| one.decided_at), "{text}");
    for one in &report.failovers {
        // Two of our leases.
        assert!(one.detection_ms.is_none_or(|ms| ms <= 6_000), "{text}");
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
    let output = Command::new(program())
        .args(["--headless", "--constellation"])
        .arg(&path)
        .output()
        .expect("the bed works");
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
    let output = Command::new(program())
        .args(["--headless", "--port", &port])
        .output()
        .expect("the bed works");
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).expect("the bed works");
    assert!(message.contains(&port) && message.contains("--port"), "{message}");
}

#[test]
fn nothing_is_left_behind_when_the_demo_is_killed() {
    let Some(_machine) = machine("nothing_is_left_behind") else { return };
    let mut demo = Command::new(program())
        .args(["--headless", "--seconds", "60", "--port", &free_port().to_string()])
        .stdout(Stdio::null())
        .spawn()
        .expect("the bed works");
    let children = wait_for(Duration::from_secs(30), || {
        let found = children_of(&demo);
        (NODES + 2 <= found.len()).then_some(found)
    });
    demo.kill().expect("the bed works");
    demo.wait().expect("the bed works");
    let children = children.expect("the demo starts a bridge, a controller and its agents");
    let gone = wait_for(Duration::from_secs(15), || {
        (!children.iter().any(|pid| is_running(*pid))).then_some(())
    });
    assert!(gone.is_some(), "some of {children:?} still run");
}

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_demo"))
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
