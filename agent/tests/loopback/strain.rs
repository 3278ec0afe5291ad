//! A node at the end of its charge, or too warm: what runs comes to its end, what is remembered is kept, nothing more begins.

use std::fs;
use std::path::Path;

use protocol::desired::{Phase, TaskSpec};
use protocol::invoke::{Fault, Invoke, Invoked, Outcome};
use protocol::manifest::slots::Warm;

use crate::calls;
use crate::component::{puppet, rememberer};
use crate::signing;
use crate::support::{Agent, Session, desired, eventually, invoke, is_taken};

/// One that spins until its deadline, and one that counts its calls in its own memory.
const SPINS: &str = "puppet";
const REMEMBERS: &str = "rememberer";

/// A tree of the kernel in which a battery has so many percent and a processor so many thousandths of a degree.
fn tree(root: &Path, percent: u32, millidegrees: u32) {
    let battery = root.join("sys/class/power_supply/BAT0");
    let zone = root.join("sys/class/thermal/thermal_zone0");
    let (percent, millidegrees) = (percent.to_string(), millidegrees.to_string());
    for (folder, file, text) in [
        (&battery, "type", "Battery"),
        (&battery, "present", "1"),
        (&battery, "status", "Discharging"),
        (&battery, "capacity", percent.as_str()),
        (&zone, "type", "cpu-thermal"),
        (&zone, "temp", millidegrees.as_str()),
    ] {
        fs::create_dir_all(folder).expect("a writable folder");
        // As the kernel: whoever reads sees the old value or the new one.
        let new = folder.join("new");
        fs::write(&new, format!("{text}\n")).expect("a writable folder");
        fs::rename(new, folder.join(file)).expect("a writable folder");
    }
}

fn spec(controller: &Session, name: &str, component: &[u8], warm: Option<Warm>) -> TaskSpec {
    controller.hold(component);
    let mut manifest = signing::manifest(name, component);
    manifest.warm = warm;
    calls::spec(controller, &manifest, component)
}

/// What came of a call of the task that counts: its number, and whether the instance had served one before.
fn counted(controller: &Session, agent: &Agent, run: u64) -> Result<(u64, bool), Fault> {
    let Invoked { outcome, record } = controller.invoke(&agent.name, &invoke(REMEMBERS, run, "c"));
    match outcome {
        Outcome::Committed(done) => {
            let eight = done.body.as_slice().try_into().expect("eight bytes");
            Ok((u64::from_le_bytes(eight), record.warm))
        }
        Outcome::Failed(fault) => Err(fault),
    }
}

/// Waits until the agent has said it so many times.
fn said(dir: &Path, words: &str, times: usize) {
    eventually(words, || {
        let log = fs::read_to_string(dir.join("sat-1.log")).expect("an agent has a log");
        (times <= log.matches(words).count()).then_some(())
    });
}

#[test]
fn at_the_floor_calls_end_state_is_kept_and_no_more_begin() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("tree");
    tree(&root, 60, 45_000);
    let extra = format!(
        "[sensors]\nsysfs_root = {root:?}\n[battery]\nreserve = 0.3\nfloor = 0.2\n[thermal]\nceiling_c = 90\n"
    );
    let agent = Agent::start(dir.path(), "sat-1", &[], &extra);
    let controller = Session::controller(&[agent.port], &[]);
    let long = Warm { idle_ms: 600_000, calls_max: 1_000 };
    let tasks = [
        spec(&controller, SPINS, &puppet(), None),
        spec(&controller, REMEMBERS, &rememberer(), Some(long)),
    ];
    assert!(is_taken(&controller.tell(&desired(&agent.name, 1, &tasks, &[]))));
    eventually("the tasks", || {
        let all = controller.status(&agent.name).tasks;
        (all.len() == 2 && all.iter().all(|one| one.phase == Phase::Active)).then_some(())
    });
    assert_eq!(counted(&controller, &agent, 1), Ok((1, false)));
    assert_eq!(counted(&controller, &agent, 2), Ok((2, true)));
    let spin = &|run| {
        let call = Invoke { deadline_ms: 6_000, ..invoke(SPINS, run, "s") };
        controller.invoke(&agent.name, &call).outcome
    };
    std::thread::scope(|scope| {
        // One runs, one waits for it.
        let under_way: Vec<_> = (1..=2).map(|run| scope.spawn(move || spin(run))).collect();
        eventually("the calls under way", || {
            (controller.queue(&agent.name)?.invocations_waiting == 1).then_some(())
        });
        tree(&root, 12, 45_000);
        said(dir.path(), "no work begins strain=the battery has 12.0 %", 1);
        assert_eq!(counted(&controller, &agent, 3), Err(Fault::Busy));
        let refused = spin(3);
        assert!(matches!(refused, Outcome::Failed(Fault::Busy)), "{refused:?}");
        assert!(under_way.iter().all(|call| !call.is_finished()), "what was under way goes on");
        for call in under_way {
            let ended = call.join().expect("no panic");
            assert!(matches!(ended, Outcome::Failed(Fault::Deadline)), "{ended:?}");
        }
    });
    // A little above the floor is not enough.
    tree(&root, 21, 45_000);
    assert_eq!(counted(&controller, &agent, 4), Err(Fault::Busy));
    tree(&root, 60, 45_000);
    said(dir.path(), "work begins again", 1);
    assert_eq!(counted(&controller, &agent, 5), Ok((3, false)), "kept by the one before");
    tree(&root, 60, 91_000);
    said(dir.path(), "no work begins strain=the node has 91.0 °C", 1);
    assert_eq!(counted(&controller, &agent, 6), Err(Fault::Busy));
    tree(&root, 60, 70_000);
    said(dir.path(), "work begins again", 2);
    assert_eq!(counted(&controller, &agent, 7), Ok((4, false)));
}
