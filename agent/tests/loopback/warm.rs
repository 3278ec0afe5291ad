//! Instances that are kept between calls: on a node, over the end of its agent, and from node to node. The guest counts its calls in
//! its own memory; nothing of it is in lasting state.

use std::path::Path;

use protocol::desired::{Phase, Role, Successor, TaskSpec};
use protocol::event::EventKind;
use protocol::invoke::{Invoked, Outcome};
use protocol::manifest::slots::Warm;
use tempfile::TempDir;
use types::{NodeId, OwnerEpoch, WindowId};

use crate::calls;
use crate::component::{puppet, rememberer};
use crate::signing::{self, sha256, sign};
use crate::support::{Agent, Session, desired, eventually, invoke, is_taken, sky};

const TASK: &str = "rememberer";
/// Longer than a test takes, and more calls than it makes.
const LONG: Warm = Warm { idle_ms: 600_000, calls_max: 1_000 };

/// Two nodes, and a controller that has the function.
struct Stage {
    drone: Agent,
    sat: Agent,
    controller: Session,
    run: u64,
    dir: TempDir,
}

impl Stage {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a writable directory");
        let drone = Agent::start(dir.path(), "drone", &[], "");
        let sat = Agent::start(dir.path(), "sat-1", &[drone.port], "");
        let controller = Session::controller(&[drone.port, sat.port], &[]);
        Self { drone, sat, controller, run: 0, dir }
    }

    /// The task with a version of the function that is kept like this.
    fn spec(&self, version: u64, warm: Warm, role: Role) -> TaskSpec {
        let component = rememberer();
        let mut manifest = signing::manifest(TASK, &component);
        (manifest.version, manifest.warm) = (version, Some(warm));
        self.controller.hold(&component);
        TaskSpec { role, ..calls::spec(&self.controller, &manifest, &component) }
    }

    /// Has a node hold the task, and waits until it serves it.
    fn place(&self, node: &NodeId, generation: u64, spec: TaskSpec) {
        assert!(is_taken(&self.controller.tell(&desired(node, generation, &[spec], &[]))));
        self.await_phase(node, Phase::Active);
    }

    fn await_phase(&self, node: &NodeId, phase: Phase) {
        eventually("the phase of the task", || {
            let tasks = self.controller.status(node).tasks;
            tasks.iter().any(|task| task.phase == phase).then_some(())
        });
    }

    fn call(&mut self, at: &NodeId, body: &str) -> Invoked {
        self.run += 1;
        self.controller.invoke(at, &invoke(TASK, self.run, body))
    }

    /// What the instance has counted, and whether it had served a call before.
    #[track_caller]
    fn count(&mut self, at: &NodeId) -> (u64, bool) {
        let Invoked { outcome, record } = self.call(at, "c");
        match outcome {
            Outcome::Committed(done) => {
                let eight = done.body.as_slice().try_into().expect("eight bytes");
                (u64::from_le_bytes(eight), record.warm)
            }
            Outcome::Failed(fault) => panic!("{fault:?}"),
        }
    }
}

fn owner(epoch: u64) -> Role {
    Role::Owner { owner_epoch: OwnerEpoch(epoch), successor: None }
}

/// Waits until an agent has said it so many times.
fn said(dir: &Path, name: &str, words: &str, times: usize) {
    let log = dir.join(name).with_extension("log");
    eventually(words, || {
        let log = std::fs::read_to_string(&log).expect("an agent has a log");
        (times <= log.matches(words).count()).then_some(())
    });
}

#[test]
fn what_an_instance_remembers_goes_with_its_task_to_the_next_node() {
    let mut stage = Stage::start();
    let (drone, sat) = (stage.drone.name.clone(), stage.sat.name.clone());
    stage.place(&drone, 1, stage.spec(1, LONG, owner(1)));
    assert_eq!(stage.count(&drone), (1, false));
    assert_eq!(stage.count(&drone), (2, true));
    let at = sky(1.0).sky_at.plus_s(2.0);
    let standby = Role::Standby { owner: drone.clone(), expected_at: at };
    let wanted = desired(&sat, 2, &[stage.spec(1, LONG, standby)], &[]);
    assert!(is_taken(&stage.controller.tell(&wanted)));
    let window_closes = at.plus_s(60.0);
    let successor = Successor { node: sat.clone(), at, window: WindowId(1), window_closes };
    let role = Role::Owner { owner_epoch: OwnerEpoch(1), successor: Some(successor) };
    let wanted = desired(&drone, 3, &[stage.spec(1, LONG, role)], &[]);
    assert!(is_taken(&stage.controller.tell(&wanted)));
    stage.controller.event("taken over", |event| match &event.kind {
        EventKind::TookOver { from: Some(from), .. } => {
            assert_eq!((from, &event.header.node), (&drone, &sat));
            Some(())
        }
        _ => None,
    });
    // Remembered on the drone, resumed on the satellite.
    assert_eq!(stage.count(&sat), (3, false));
    assert_eq!(stage.count(&sat), (4, true));
    stage.await_phase(&drone, Phase::Released);
}

#[test]
fn an_agent_that_ends_keeps_what_is_remembered_and_one_that_is_killed_loses_it() {
    let mut stage = Stage::start();
    let drone = stage.drone.name.clone();
    stage.place(&drone, 1, stage.spec(1, LONG, owner(1)));
    assert_eq!(stage.count(&drone), (1, false));
    assert_eq!(stage.count(&drone), (2, true));
    assert!(stage.drone.terminate().success());
    stage.drone.restart();
    stage.await_phase(&drone, Phase::Active);
    assert_eq!(stage.count(&drone), (3, false));
    stage.drone.kill();
    stage.drone.restart();
    stage.await_phase(&drone, Phase::Active);
    // Not that of the time before, either: the instance that had it is gone.
    assert_eq!(stage.count(&drone), (1, false));
}

#[test]
fn an_instance_ends_with_its_time_its_calls_and_its_version_and_the_next_one_goes_on() {
    let mut stage = Stage::start();
    let drone = stage.drone.name.clone();
    let twice = Warm { calls_max: 2, ..LONG };
    stage.place(&drone, 1, stage.spec(1, twice, owner(1)));
    for (count, warm) in [(1, false), (2, true), (3, false), (4, true), (5, false)] {
        assert_eq!(stage.count(&drone), (count, warm));
    }
    // Another version, which waits a moment only.
    let short = Warm { idle_ms: 100, ..LONG };
    stage.place(&drone, 2, stage.spec(2, short, owner(1)));
    let suspended = "an instance was suspended";
    assert_eq!(stage.count(&drone), (6, false));
    said(stage.dir.path(), "drone", suspended, 4);
    assert_eq!(stage.count(&drone), (7, false));
    said(stage.dir.path(), "drone", suspended, 5);
    // A trap leaves nothing, and is no harm to what was remembered before.
    assert!(matches!(stage.call(&drone, "t").outcome, Outcome::Failed(_)));
    assert_eq!(stage.count(&drone), (8, false));
}

#[test]
fn a_manifest_that_asks_for_it_needs_a_component_that_can() {
    let stage = Stage::start();
    let drone = stage.drone.name.clone();
    let component = puppet();
    let mut manifest = signing::manifest(TASK, &component);
    manifest.warm = Some(LONG);
    let signed = sign(&manifest);
    stage.controller.hold(&component);
    stage.controller.hold(&signed);
    let mut spec = stage.spec(1, LONG, owner(1));
    (spec.function.sha256, spec.function.manifest) = (sha256(&component), sha256(&signed));
    spec.function.bytes = u32::try_from(component.len()).expect("a few kilobytes");
    assert!(is_taken(&stage.controller.tell(&desired(&drone, 1, &[spec], &[]))));
    stage.await_phase(&drone, Phase::Failed);
    stage.controller.event("refused", |event| match &event.kind {
        EventKind::Refused { reason } => reason.contains("[function.warm]").then_some(()),
        _ => None,
    });
}
