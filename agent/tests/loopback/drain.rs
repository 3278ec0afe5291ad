//! The end of an agent that is told to end: what is under way comes to its end and is answered.

use protocol::desired::{Phase, TaskSpec};
use protocol::encode;
use protocol::invoke::{Invoke, Invoked};

use crate::calls;
use crate::component::puppet;
use crate::signing;
use crate::support::{Agent, Session, desired, eventually, invoke, is_taken, keys, task, workflow};

const TASK: &str = "puppet";
/// Calls at once: one runs, the others wait for it.
const CALLS: u64 = 3;

fn spec(controller: &Session) -> TaskSpec {
    let component = puppet();
    controller.hold(&component);
    calls::spec(controller, &signing::manifest(TASK, &component), &component)
}

#[test]
fn calls_under_way_are_answered_before_the_agent_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(dir.path(), "sat-1", &[], "");
    let name = agent.name.clone();
    let controller = Session::controller(&[agent.port], &[]);
    assert!(is_taken(&controller.tell(&desired(&name, 1, &[spec(&controller)], &[]))));
    eventually("the phase of the task", || {
        let tasks = controller.status(&name).tasks;
        tasks.iter().any(|task| task.phase == Phase::Active).then_some(())
    });
    // It spins until its deadline; what waits gets its answer at its own.
    let key = keys().invoke(&name, &workflow(), &task(TASK));
    let call = |run| Invoke { deadline_ms: 2500, ..invoke(TASK, run, "s") };
    std::thread::scope(|scope| {
        let asks: Vec<_> = (1..=CALLS)
            .map(|run| {
                let frame = encode(&call(run)).expect("a valid message");
                let (controller, key) = (&controller, &key);
                scope.spawn(move || controller.ask(key, frame))
            })
            .collect();
        eventually("calls that wait", || {
            let waiting = controller.queue(&name)?.invocations_waiting;
            (u64::from(waiting) == CALLS - 1).then_some(())
        });
        assert_eq!(agent.terminate().code(), Some(0));
        for (run, asked) in (1..).zip(asks) {
            let answer = asked.join().expect("no panic");
            let answer = answer.unwrap_or_else(|| panic!("call {run} was not answered"));
            protocol::decode::<Invoked>(&answer).expect("a valid frame");
        }
    });
    let log = std::fs::read_to_string(dir.path().join("sat-1.log")).expect("an agent has a log");
    assert!(log.contains("complete=true"), "the end is complete");
    assert!(!log.contains("were cut off"), "nothing is cut off");
}
