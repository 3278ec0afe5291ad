//! Logs of functions over a real socket: what is kept, what comes, and the bounds of those who follow.

mod support;

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Command, Stdio};

use controller::api::{self, ErrorBody, LogEntry, PREFIX};
use controller::deploy::UPLOAD_TYPE;
use controller::shell::logs::LogBook;
use protocol::encode;
use protocol::log::{LogBatch, LogLevel, LogLine};
use protocol::report::Header;
use support::id;
use support::served::start_server;
use support::signing::{key, trust_body, upload};
use types::{BootId, FunctionId, RunId, TaskId, Uptime, WorkflowId};

struct Bed {
    url: String,
    logs: LogBook,
    _dir: tempfile::TempDir,
}

/// A server with a function `f`.
async fn bed() -> Bed {
    let dir = tempfile::tempdir().expect("a directory");
    let served = start_server(dir.path()).await;
    let url = format!("http://{}", served.address);
    let key = key();
    for (path, kind, body) in [
        ("/keys", "application/json", trust_body(&key)),
        ("/functions", UPLOAD_TYPE, upload("f", 1, 1, &key)),
    ] {
        let post = ureq::post(format!("{url}{PREFIX}{path}")).header("content-type", kind);
        post.send(&body[..]).expect("it is taken");
    }
    Bed { url, logs: served.logs, _dir: dir }
}

impl Bed {
    /// A node says a line.
    fn says(&self, seq: u64, text: &str) {
        let at = support::start();
        let line = LogLine { at, run: RunId(3), level: LogLevel::Warn, text: text.to_owned() };
        let header = Header { node: id("sat-1"), boot: BootId(1), seq, at, uptime: Uptime(1) };
        let batch = LogBatch {
            header,
            workflow: WorkflowId::new("flood").expect("a name"),
            task: TaskId::new("extract").expect("a name"),
            function: FunctionId::new("f").expect("a name"),
            lines: vec![line],
            dropped: 0,
        };
        self.logs.take("starbelt/demo/sat-1/evt/log", &encode(&batch).expect("it fits"));
    }

    fn get(&self, path: &str) -> ureq::http::Response<ureq::Body> {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let agent = ureq::Agent::new_with_config(config);
        agent.get(format!("{}{PREFIX}{path}", self.url)).call().expect("an answer")
    }

    fn follow(&self) -> BufReader<impl Read + use<>> {
        let answer = self.get("/functions/f/logs?follow=true");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
        BufReader::new(answer.into_body().into_reader())
    }
}

fn next(lines: &mut impl std::io::BufRead) -> LogEntry {
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).expect("a line");
        // A sign of life says nothing.
        if !line.trim().is_empty() {
            return serde_json::from_str(&line).expect("an entry");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_kept_comes_first_and_then_what_happens() {
    let bed = bed().await;
    bed.says(1, "one");
    bed.says(2, "two");
    let mut answer = bed.get("/functions/f/logs");
    let text = answer.body_mut().read_to_string().expect("text");
    let entries: Vec<LogEntry> =
        text.lines().map(|line| serde_json::from_str(line).expect("an entry")).collect();
    let texts: Vec<&str> = entries.iter().map(|entry| entry.text.as_str()).collect();
    assert_eq!(texts, ["one", "two"]);
    assert_eq!((entries[0].level, entries[0].run), (Some(LogLevel::Warn), Some(RunId(3))));
    let mut lines = bed.follow();
    assert_eq!(next(&mut lines).text, "one");
    assert_eq!(next(&mut lines).text, "two");
    bed.says(5, "five");
    assert_eq!(next(&mut lines).lost, 2);
    assert_eq!(next(&mut lines).text, "five");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_follows_is_bounded_and_must_know_the_function() {
    let bed = bed().await;
    for (path, status, code) in [
        ("/functions/g/logs", 404, "not_found"),
        ("/functions/f/logs?follow=perhaps", 400, "bad_request"),
        ("/functions/f/logs?since=1", 400, "bad_request"),
    ] {
        let mut answer = bed.get(path);
        assert_eq!(answer.status(), status, "{path}");
        let error: ErrorBody = answer.body_mut().read_json().expect("an error");
        assert_eq!(error.error.code, code, "{path}");
    }
    bed.says(1, "one");
    let mut all: Vec<_> = (0..16).map(|_| bed.follow()).collect();
    assert!(all.iter_mut().all(|lines| next(lines).text == "one"));
    assert_eq!(bed.get("/functions/f/logs?follow=true").status(), 503);
    // Others are served, and who goes makes room as soon as that is noticed.
    let list: api::FunctionList = bed.get("/functions").body_mut().read_json().expect("a list");
    assert_eq!(list.functions.len(), 1);
    all.clear();
    let begun = std::time::Instant::now();
    while bed.get("/functions/f/logs?follow=true").status() != 200 {
        assert!(begun.elapsed().as_secs() < 30, "nobody's place became free");
        bed.says(2, "again");
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_command_line_follows_until_ctrl_c() {
    let bed = bed().await;
    bed.says(1, "one");
    let starbelt = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_starbelt"));
        command.env("STARBELT_CONTROLLER", &bed.url);
        command
    };
    let kept = starbelt().args(["fn", "logs", "f"]).output().expect("it is built");
    let text = String::from_utf8(kept.stdout).expect("text");
    assert_eq!(kept.status.code(), Some(0));
    assert!(text.ends_with("sat-1  flood.extract  run 3  warn   one\n"), "{text}");
    let unknown = starbelt().args(["fn", "logs", "g"]).output().expect("it is built");
    assert_eq!(unknown.status.code(), Some(3));

    let mut child = starbelt()
        .args(["fn", "logs", "f", "-f"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it is built");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    assert!(lines.next().expect("a line").expect("text").ends_with("one"));
    bed.says(2, "two");
    assert!(lines.next().expect("a line").expect("text").ends_with("two"));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    let mut said = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    assert_eq!((child.wait().expect("ours").code(), said.as_str()), (Some(0), ""));
}
