//! A process that is killed in the middle of its work: a real SIGKILL, a real file.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use agent::state::{Begin, StateService, StoreConfig};
use tokio::time::{Duration, Instant};

use crate::bed::{Bed, QUOTA, append_run, group, invoke, node, own, read_log};

/// Tells the child where to work; without it the child's test has nothing to do.
const DIR: &str = "STATE_KILL_DIR";

fn config(dir: &Path) -> StoreConfig {
    StoreConfig { dir: dir.join("store"), quota_bytes: QUOTA, audit_log: Some(dir.join("audit")) }
}

/// The child: commits for ever and says so, run by run.
#[tokio::test]
async fn child_that_is_killed() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let service = StateService::open(&config(Path::new(&dir)), node("a")).unwrap();
    service.set_role(&group(), &own(1), None).unwrap();
    let bus = Bed::new(&[]).bus("a");
    for run in 1.. {
        let Begin::Ready(mut state) = service.begin(&invoke(run, 1)).unwrap() else { continue };
        let body = append_run(&mut state, run);
        let deadline = Instant::now() + Duration::from_secs(5);
        service.commit(&bus, &invoke(run, 1), state, body, deadline).await.unwrap();
        println!("acknowledged {run}");
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn what_a_killed_process_acknowledged_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for kills in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child_that_is_killed", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let told = lines.map_while(Result::ok);
        let mut told =
            told.filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u64>().ok());
        let last = told.by_ref().find(|run| acknowledged + 10 <= *run);
        child.kill().unwrap();
        child.wait().unwrap();
        // What was said before the kill counts too.
        acknowledged = told.last().or(last).expect("the child came to its tenth run");
        let service = StateService::open(&config(dir.path()), node("a")).unwrap();
        let log = read_log(&service);
        let expected: Vec<u64> = (1..=log.len() as u64).collect();
        assert_eq!(log, expected, "kill {kills}");
        assert!(
            acknowledged <= log.len() as u64,
            "{acknowledged} acknowledged, {} held",
            log.len()
        );
    }
    let audit = std::fs::read_to_string(dir.path().join("audit")).unwrap();
    let states = audit.lines().filter(|line| line.contains("flood/-/detect/log")).count() as u64;
    assert!(acknowledged <= states, "{acknowledged} acknowledged, {states} in the log");
}
