//! Two nodes that run a workflow of real functions together: driven, handed over, killed.

use protocol::desired::{DriveSpec, Phase, Role, SourceRef, Successor, TaskSpec};
use protocol::event::{EventKind, RunRecord};
use protocol::invoke::{Fault, Invoke, Invoked, Outcome};
use types::{NodeId, OwnerEpoch, RunId, WindowId};

use crate::support::{
    Agent, Session, desired, eventually, functions_are_built, invoke, is_taken, say, sky, stage,
    task, task_spec, workflow,
};

const SEED: u64 = 5;
const BURSTS: u32 = 3;
const FUNCTIONS: [&str; 4] = ["ingest", "extract-frames", "object-det", "prepare-ds"];

fn owner(epoch: u64) -> Role {
    Role::Owner { owner_epoch: OwnerEpoch(epoch), successor: None }
}

/// A drone with bursts, and a satellite with the reference map.
struct Fleet {
    drone: Agent,
    sat: Agent,
    controller: Session,
    /// Removed last, since a failed test shows the logs in it.
    _dir: tempfile::TempDir,
}

impl Fleet {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a writable directory");
        let input = dir.path().join("input");
        std::fs::create_dir(&input).expect("a writable directory");
        for index in 0..BURSTS {
            let burst = artifacts::burst::generate(SEED, index);
            std::fs::write(input.join(format!("{index:04}.burst")), burst.bytes)
                .expect("a writable directory");
        }
        let reference = artifacts::burst::reference(SEED);
        std::fs::write(dir.path().join("reference"), reference).expect("a writable directory");
        let source =
            "[[source]]\nname = \"eo-reference\"\nkey = \"reference/v1\"\nfile = \"reference\"\n";
        let drone = Agent::start(dir.path(), "drone", &[], "[input]\ndir = \"input\"\n");
        let sat = Agent::start(dir.path(), "sat-1", &[drone.port], source);
        let controller = Session::controller(&[drone.port, sat.port], &FUNCTIONS);
        Self { drone, sat, controller, _dir: dir }
    }

    /// Ingest and extract-frames on the drone, the others on the satellite; each is the other's second copy.
    fn tasks(&self) -> (Vec<TaskSpec>, Vec<TaskSpec>) {
        let (drone, sat) = (&self.drone.name, &self.sat.name);
        let on_drone =
            ["ingest", "extract-frames"].map(|name| task_spec(name, owner(1), Some(sat)));
        let on_sat =
            ["object-det", "prepare-ds"].map(|name| task_spec(name, owner(1), Some(drone)));
        (on_drone.to_vec(), on_sat.to_vec())
    }

    fn drive(&self, every_ms: u32) -> DriveSpec {
        let (drone, sat) = (&self.drone.name, &self.sat.name);
        let mut detect = stage("object-det", sat, &["extract-frames"]);
        detect.sources = vec![SourceRef { name: task("eo-reference"), node: sat.clone() }];
        DriveSpec {
            workflow: workflow(),
            every_ms,
            run_deadline_ms: 60_000,
            stages: vec![
                stage("ingest", drone, &[]),
                stage("extract-frames", drone, &["ingest"]),
                detect,
                stage("prepare-ds", sat, &["object-det"]),
            ],
        }
    }

    /// Places all tasks and waits until they take calls.
    fn place(&self) {
        let (on_drone, on_sat) = self.tasks();
        for (agent, tasks) in [(&self.drone, &on_drone), (&self.sat, &on_sat)] {
            assert!(is_taken(&self.controller.tell(&desired(&agent.name, 1, tasks, &[]))));
            self.await_phases(&agent.name, Phase::Active, tasks.len());
        }
    }

    fn await_phases(&self, node: &NodeId, phase: Phase, count: usize) {
        eventually("the phases of the tasks", || {
            let status = self.controller.status(node);
            let there = status.tasks.iter().filter(|task| task.phase == phase).count();
            (there == count).then_some(())
        });
    }

    fn start_runs(&self, generation: u64, every_ms: u32) {
        let (on_drone, _) = self.tasks();
        let wanted = desired(&self.drone.name, generation, &on_drone, &[self.drive(every_ms)]);
        assert!(is_taken(&self.controller.tell(&wanted)));
    }

    /// The runs that the drone told of so far, in order.
    fn runs(&self) -> Vec<RunRecord> {
        let run = |kind| match kind {
            EventKind::RunFinished(run) => Some(run),
            _ => None,
        };
        self.controller.events_of(&self.drone.name).into_iter().filter_map(run).collect()
    }

    fn await_runs(&self, count: usize) -> Vec<RunRecord> {
        eventually("finished runs", || Some(self.runs()).filter(|runs| count <= runs.len()))
    }
}

/// A run found the known targets of its burst.
#[track_caller]
fn assert_right(run: &RunRecord) {
    assert_eq!(run.failure, None);
    let index = u32::try_from(run.run.0 % u64::from(BURSTS)).expect("a small number");
    let burst = artifacts::burst::generate(SEED, index);
    artifacts::burst::check(&burst, &run.result).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn one_agent_drives_a_workflow_over_two() {
    if !functions_are_built() {
        return;
    }
    let fleet = Fleet::start();
    fleet.place();
    fleet.start_runs(2, 200);
    let runs = fleet.await_runs(4);
    for (count, run) in (1..).zip(&runs) {
        assert_right(run);
        assert_eq!(run.run, RunId(1_000_000_000 + count));
        let stages: Vec<_> =
            run.stages.iter().map(|s| (s.task.as_str(), s.node.as_str(), s.copies.len())).collect();
        let expected = [
            ("ingest", "drone", 2),
            ("extract-frames", "drone", 2),
            ("object-det", "sat-1", 2),
            ("prepare-ds", "sat-1", 2),
        ];
        assert_eq!(stages, expected);
    }
    for stage in &runs[3].stages {
        let cost = &stage.record;
        say(&format!(
            "{}: {} us, run {} us, commit {} us, fetched {} B, pushed {} B",
            stage.task,
            (cost.route_ns + cost.queue_ns + cost.fetch_ns + cost.instantiate_ns) / 1000,
            cost.run_ns / 1000,
            cost.commit_ns / 1000,
            cost.fetched_bytes,
            cost.pushed_bytes
        ));
        assert!(cost.cpu_ns != 0 && cost.run_ns != 0 && cost.commit_ns != 0, "{cost:?}");
        assert!(cost.input_bytes != 0 && cost.peak_memory_bytes != 0 && !cost.cold, "{cost:?}");
    }
    // Data goes ahead of its stage: nothing had to be fetched where it is consumed.
    assert_eq!(runs[3].stages[3].record.fetched_bytes, 0);
}

#[test]
fn a_killed_driver_goes_on_and_no_run_is_numbered_twice() {
    if !functions_are_built() {
        return;
    }
    let mut fleet = Fleet::start();
    fleet.place();
    fleet.start_runs(2, 100);
    let before = fleet.await_runs(2).len();
    fleet.drone.kill();
    fleet.drone.restart();
    let runs = fleet.await_runs(before + 3);
    runs.iter().for_each(assert_right);
    let mut numbers: Vec<_> = runs.iter().map(|run| run.run.0).collect();
    // A run may be told again when the kill came between telling and noting it.
    numbers.dedup();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
}

#[test]
fn a_killed_consumer_comes_back_and_the_run_goes_on() {
    if !functions_are_built() {
        return;
    }
    let mut fleet = Fleet::start();
    fleet.place();
    fleet.start_runs(2, 100);
    let before = fleet.await_runs(1).len();
    fleet.sat.kill();
    fleet.sat.restart();
    let runs = fleet.await_runs(before + 3);
    runs.iter().for_each(assert_right);
}

#[test]
fn a_planned_hand_over_moves_the_task_and_calls_follow_it() {
    if !functions_are_built() {
        return;
    }
    let fleet = Fleet::start();
    fleet.place();
    fleet.start_runs(2, 100);
    fleet.await_runs(1);
    let (drone, sat) = (fleet.drone.name.clone(), fleet.sat.name.clone());
    // The drone's extract-frames, with what it learned, goes to the satellite.
    let (mut on_drone, mut on_sat) = fleet.tasks();
    let at = sky(1.0).sky_at.plus_s(3.0);
    let window_closes = at.plus_s(60.0);
    on_sat.push(task_spec(
        "extract-frames",
        Role::Standby { owner: drone.clone(), expected_at: at },
        None,
    ));
    assert!(is_taken(&fleet.controller.tell(&desired(&sat, 2, &on_sat, &[]))));
    let successor = Successor { node: sat.clone(), at, window: WindowId(1), window_closes };
    on_drone[1].role = Role::Owner { owner_epoch: OwnerEpoch(1), successor: Some(successor) };
    let wanted = desired(&drone, 3, &on_drone, &[fleet.drive(100)]);
    assert!(is_taken(&fleet.controller.tell(&wanted)));
    let is_it = |found: &types::TaskId| *found == task("extract-frames");
    let prepared_at = fleet.controller.event("prepared", |event| match &event.kind {
        EventKind::Prepared { task, .. } if is_it(task) && event.header.node == sat => {
            Some(event.header.at)
        }
        _ => None,
    });
    let took_over_at = fleet.controller.event("taken over", |event| match &event.kind {
        EventKind::TookOver { task, owner_epoch, from: Some(from), .. } if is_it(task) => {
            assert_eq!((*owner_epoch, from, &event.header.node), (OwnerEpoch(2), &drone, &sat));
            Some(event.header.at)
        }
        _ => None,
    });
    let first_call_at = fleet.controller.event("called", |event| match &event.kind {
        EventKind::FirstCall { task, owner_epoch: OwnerEpoch(2), .. } if is_it(task) => {
            Some(event.header.at)
        }
        _ => None,
    });
    assert!(prepared_at <= at && at <= took_over_at && took_over_at <= first_call_at);
    let before = fleet.runs().len();
    let runs = fleet.await_runs(before + 2);
    runs.iter().for_each(assert_right);
    let moved = &runs.last().unwrap().stages[1];
    assert_eq!((moved.task.as_str(), &moved.node, moved.attempts), ("extract-frames", &sat, 1));
    // The former owner sends late callers on.
    let invoked = call(&fleet.controller, &drone, "extract-frames", 1);
    let moved = Fault::Moved { to: sat, owner_epoch: OwnerEpoch(2) };
    assert_eq!(invoked.outcome, Outcome::Failed(moved));
    fleet.await_phases(&drone, Phase::Released, 1);
}

fn call(session: &Session, at: &NodeId, name: &str, run: u64) -> Invoked {
    let invoke = Invoke { deadline_ms: 5_000, ..invoke(name, run, "") };
    session.invoke(at, &invoke)
}

#[test]
fn calls_that_cannot_be_served_say_why() {
    if !functions_are_built() {
        return;
    }
    let fleet = Fleet::start();
    fleet.place();
    let fault = |at: &NodeId, name: &str| match call(&fleet.controller, at, name, 7).outcome {
        Outcome::Failed(fault) => fault,
        done @ Outcome::Committed(_) => panic!("{done:?}"),
    };
    let (drone, sat) = (&fleet.drone.name, &fleet.sat.name);
    assert!(matches!(fault(sat, "ingest"), Fault::NotFound(_)));
    assert!(matches!(fault(drone, "ingest"), Fault::BadInput(_)), "no burst came with the call");
}

#[test]
fn an_agent_that_is_told_to_end_finishes_its_call() {
    if !functions_are_built() {
        return;
    }
    let mut fleet = Fleet::start();
    fleet.place();
    fleet.start_runs(2, 50);
    let before = fleet.await_runs(1).len();
    assert_eq!(fleet.drone.terminate().code(), Some(0));
    fleet.drone.restart();
    let runs = fleet.await_runs(before + 2);
    runs.iter().for_each(assert_right);
}

/// The runner of an agent: its child with that verb.
fn runner_of(agent: u32) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").expect("a system with /proc");
    processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok()).find(
        |process| {
            let of = |file: &str| std::fs::read(format!("/proc/{process}/{file}"));
            let stat = of("stat").unwrap_or_default();
            let stat = String::from_utf8_lossy(&stat);
            // After the name in parentheses: state, then the parent.
            let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1));
            let command = of("cmdline").unwrap_or_default();
            parent.is_some_and(|parent| parent == agent.to_string())
                && command.split(|byte| *byte == 0).any(|word| word == b"run-functions")
        },
    )
}

#[test]
fn functions_are_in_their_runner_before_the_first_call() {
    if !functions_are_built() {
        return;
    }
    let fleet = Fleet::start();
    assert_eq!(runner_of(fleet.drone.pid()), None);
    fleet.place();
    for agent in [&fleet.drone, &fleet.sat] {
        eventually("a runner without any call", || runner_of(agent.pid()));
    }
    assert!(fleet.runs().is_empty());
}

#[test]
fn killed_runners_are_replaced_and_runs_go_on() {
    if !functions_are_built() {
        return;
    }
    let fleet = Fleet::start();
    fleet.place();
    fleet.start_runs(2, 200);
    let mut runs = fleet.await_runs(1).len();
    for agent in [&fleet.drone, &fleet.sat, &fleet.drone] {
        let old = eventually("a runner", || runner_of(agent.pid()));
        let pid = rustix::process::Pid::from_raw(old.cast_signed()).expect("a process id");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it is there");
        let new =
            eventually("another runner", || runner_of(agent.pid()).filter(|runner| *runner != old));
        assert_ne!(new, old);
        runs = fleet.await_runs(runs + 2).len();
    }
    // What was in flight was tried again: the same results, each run once.
    let runs = fleet.runs();
    runs.iter().for_each(assert_right);
    for (count, run) in (1..).zip(&runs) {
        assert_eq!(run.run, RunId(1_000_000_000 + count));
    }
}
