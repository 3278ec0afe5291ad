//! Starts that end badly again and again: the node goes on without functions, and comes back.

use std::path::Path;

use protocol::command::{Command, CommandReply, CommandVerdict, Verb};
use protocol::encode;
use protocol::event::{Event, EventKind};
use protocol::report::{Report, ReportBody, SafeMode};
use types::{BootId, Capacity, Epoch, LeaderEpoch};

use crate::support::{Agent, Session, eventually, keys};

/// Two failed starts are too many, and none proves itself within a test.
const START: &str = "[start]\nfailures_max = 2\nhealthy_s = 3600\n";

fn is_started(event: &Event) -> Option<(BootId, Capacity)> {
    match &event.kind {
        EventKind::Started(facts) => Some((event.header.boot, facts.capacity)),
        _ => None,
    }
}

/// Waits for a start that is none of these, and what it offers.
#[track_caller]
fn start_after(controller: &Session, known: &mut Vec<BootId>) -> Capacity {
    let (boot, capacity) = controller.event("another start", |event| {
        is_started(event).filter(|(boot, _)| !known.contains(boot))
    });
    known.push(boot);
    capacity
}

fn fails(agent: &mut Agent) {
    agent.kill();
    agent.restart();
}

/// In safe mode: how the newest report tells of it.
fn safe_mode(controller: &Session, boot: BootId) -> Option<SafeMode> {
    let of_boot = |report: &&Report| report.header.boot == boot;
    let reports = controller.reports();
    reports.iter().rev().filter(of_boot).find_map(|report| match &report.body {
        ReportBody::Life(life) => life.safe_mode,
        _ => None,
    })
}

fn resume(controller: &Session, agent: &Agent, id: u64) -> CommandVerdict {
    let deadline = Epoch::from_unix_ns(i64::MAX);
    let (node, epoch) = (agent.name.clone(), LeaderEpoch(1));
    let command = Command { id, seq: id, epoch, node, deadline, verb: Verb::Resume };
    let key = keys().command(&agent.name, id);
    controller.answer::<CommandReply>(&key, &encode(&command).expect("a valid message")).verdict
}

#[test]
fn after_so_many_failed_starts_it_goes_on_without_functions_until_an_operator_says_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(dir.path(), "sat-1", &[], START);
    let controller = Session::controller(&[agent.port], &[]);
    let mut known = Vec::new();
    let all = start_after(&controller, &mut known);
    assert_ne!(all, Capacity::default());
    fails(&mut agent);
    assert_eq!(start_after(&controller, &mut known), all, "once is nothing");
    fails(&mut agent);
    assert_eq!(start_after(&controller, &mut known), Capacity::default(), "it offers nothing");
    let failed = controller.event("safe mode", |event| match event.kind {
        EventKind::SafeMode { failed, .. } => Some(failed),
        _ => None,
    });
    assert_eq!(failed, 2);
    let told = eventually("a report of safe mode", || safe_mode(&controller, known[2]));
    assert!(told.failed == 2 && 500 < told.left_s, "{told:?}");
    // Told to end and started again, it stays there.
    assert_eq!(agent.terminate().code(), Some(0));
    agent.restart();
    assert_eq!(start_after(&controller, &mut known), Capacity::default());
    assert_eq!(resume(&controller, &agent, 1), CommandVerdict::Done);
    assert_eq!(start_after(&controller, &mut known), all, "in the same process, with functions");
    assert_eq!(resume(&controller, &agent, 2), CommandVerdict::Done, "nothing to leave");
    assert_eq!(agent.terminate().code(), Some(0));
}

#[test]
fn it_comes_out_of_safe_mode_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let extra = format!("{START}backoff_s = 2\n");
    let mut agent = Agent::start(dir.path(), "sat-1", &[], &extra);
    let controller = Session::controller(&[agent.port], &[]);
    let mut known = Vec::new();
    let all = start_after(&controller, &mut known);
    for _ in 0..2 {
        fails(&mut agent);
        start_after(&controller, &mut known);
    }
    assert_eq!(start_after(&controller, &mut known), all, "after two seconds");
    // The next failure is one too many again, and waits for twice as long.
    fails(&mut agent);
    assert_eq!(start_after(&controller, &mut known), Capacity::default());
    let told = eventually("a report of safe mode", || safe_mode(&controller, known[4]));
    assert!((2..=4).contains(&told.left_s), "{told:?}");
}

#[test]
fn a_clean_end_and_a_start_that_proves_itself_count_as_good() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(dir.path(), "sat-1", &[], START);
    let controller = Session::controller(&[agent.port], &[]);
    let mut known = Vec::new();
    let all = start_after(&controller, &mut known);
    for _ in 0..4 {
        assert_eq!(agent.terminate().code(), Some(0));
        agent.restart();
        assert_eq!(start_after(&controller, &mut known), all);
    }
    let dir = tempfile::tempdir().unwrap();
    let quick = "[start]\nfailures_max = 1\nhealthy_s = 1\n";
    let mut agent = Agent::start(dir.path(), "drone", &[], quick);
    let controller = Session::controller(&[agent.port], &[]);
    let mut known = Vec::new();
    for _ in 0..3 {
        assert_ne!(start_after(&controller, &mut known), Capacity::default());
        eventually("a start that counts as good", || counted(dir.path(), "drone", 0));
        fails(&mut agent);
    }
}

/// Whether the counter of starts says so.
fn counted(dir: &Path, name: &str, failed: u32) -> Option<()> {
    let text = std::fs::read_to_string(dir.join(format!("{name}-store/starts"))).ok()?;
    text.contains(&format!("\"failed\":{failed},")).then_some(())
}

#[test]
fn a_counter_that_cannot_be_read_and_a_store_that_cannot_be_opened_are_no_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(dir.path(), "sat-1", &[], START);
    let controller = Session::controller(&[agent.port], &[]);
    let mut known = Vec::new();
    let all = start_after(&controller, &mut known);
    agent.kill();
    let store = dir.path().join("sat-1-store");
    std::fs::write(store.join("starts"), "{\"failed\":99").unwrap();
    agent.restart();
    assert_eq!(start_after(&controller, &mut known), all, "it counts from the beginning");
    agent.kill();
    let database = store.join("state.redb");
    std::fs::write(&database, vec![0x5a; 8192]).unwrap();
    // It cannot start, and does not, until it is in safe mode.
    agent.restart();
    let mut ends = 0;
    let offers_nothing = |kind: &EventKind| matches!(kind, EventKind::Started(facts) if facts.capacity == Capacity::default());
    eventually("a start in safe mode", || {
        if let Some(status) = agent.has_ended() {
            assert!(!status.success());
            ends += 1;
            agent.restart();
        }
        controller.events_of(&agent.name).iter().any(offers_nothing).then_some(())
    });
    assert_eq!(ends, 1, "the killed start is the other one");
    assert_eq!(std::fs::read(&database).unwrap(), vec![0x5a; 8192], "it is left as it is");
}
