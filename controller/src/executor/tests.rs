//! Stories of generations, answers and retries.

use protocol::desired::Role;
use protocol::event::NodeFacts;
use types::{
    Arch, Capacity, EnergySource, FunctionId, MiB, MilliCpu, NodeKind, OwnerEpoch, TaskId,
    WorkflowId,
};

use super::*;

const OURS: LeaderEpoch = LeaderEpoch(5);

fn node() -> NodeId {
    NodeId::new("sat-1").unwrap()
}

fn at_ms(ms: u64) -> Instant {
    Instant(ms * 1_000_000)
}

fn wanted(owner_epoch: u64) -> Wanted {
    let task = TaskSpec {
        workflow: WorkflowId::new("w").unwrap(),
        task: TaskId::new("t").unwrap(),
        function: protocol::desired::FunctionRef {
            name: FunctionId::new("f").unwrap(),
            sha256: [1; 32],
            bytes: 9,
            manifest: [2; 32],
        },
        role: Role::Owner { owner_epoch: OwnerEpoch(owner_epoch), successor: None },
        replica: None,
        milli_cpu: MilliCpu(1),
        memory_mib: MiB(1),
        linear_memory_mib: MiB(1),
        deadline_ms: 1,
        sources: Vec::new(),
    };
    Wanted { tasks: vec![task], ..Wanted::default() }
}

fn reply(verdict: Verdict, epoch: u64, generation: u64, digest: u8) -> DesiredReply {
    let facts = NodeFacts {
        kind: NodeKind::Satellite,
        arch: Arch::Arm64,
        capacity: Capacity::default(),
        energy: EnergySource::Unknown,
        version: "1".to_owned(),
        epoch: LeaderEpoch(epoch),
        generation: Generation(generation),
    };
    DesiredReply { verdict, facts, digest: [digest; 32], tasks: vec![] }
}

/// An executor whose node has said how it stands: nothing yet.
fn met() -> Executor {
    let mut executor = Executor::new(OURS, [node()].into_iter());
    executor.came(&node());
    assert_eq!(executor.due(at_ms(0), |_| true), [Order::Ask(node())]);
    let nothing = reply(Verdict::Reported, 0, 0, 0);
    assert_eq!(executor.answered(at_ms(10), &node(), None, &nothing), Verdicts::Fine);
    executor
}

fn want(executor: &mut Executor, owner_epoch: u64) -> Generation {
    let sky = Epoch::from_unix_ns(0);
    executor.want(&node(), wanted(owner_epoch), PlanVersion(1), sky)
}

/// The generations that are sent at a moment.
fn sent(executor: &mut Executor, ms: u64) -> Vec<u64> {
    let orders = executor.due(at_ms(ms), |_| true);
    let generation = |order: &Order| match order {
        Order::Tell(desired) => {
            assert_eq!((&desired.node, desired.epoch), (&node(), OURS));
            desired.generation.0
        }
        Order::Ask(_) => 0,
    };
    orders.iter().map(generation).collect()
}

#[test]
fn a_change_is_a_new_generation_and_no_change_is_none() {
    let mut executor = met();
    assert_eq!(want(&mut executor, 1), Generation(1));
    assert_eq!(want(&mut executor, 1), Generation(1));
    assert_eq!(want(&mut executor, 2), Generation(2));
    assert_eq!(sent(&mut executor, 20), [2]);
    assert_eq!(sent(&mut executor, 21), [] as [u64; 0]);
    let done = reply(Verdict::Accepted, 5, 2, 2);
    executor.answered(at_ms(30), &node(), Some(Generation(2)), &done);
    assert_eq!(executor.generations(&node()), (Generation(2), Generation(2)));
    assert!(executor.is_settled(&node()));
    assert_eq!(sent(&mut executor, 60_000), [] as [u64; 0]);
}

#[test]
fn silence_is_answered_by_saying_it_again_with_growing_pauses() {
    let mut executor = met();
    want(&mut executor, 1);
    let mut tries = Vec::new();
    for ms in (100..20_000).step_by(50) {
        if sent(&mut executor, ms) == [1] {
            tries.push(ms);
            executor.unanswered(at_ms(ms), &node(), Some(Generation(1)));
        }
    }
    let pauses: Vec<u64> = tries.windows(2).map(|two| two[1] - two[0]).collect();
    assert_eq!(pauses[..5], [200, 400, 800, 1600, 2000]);
    assert!(pauses[5..].iter().all(|pause| *pause == 2000), "{pauses:?}");
}

#[test]
fn a_command_whose_answer_never_comes_back_from_the_shell_is_said_again() {
    let mut executor = met();
    want(&mut executor, 1);
    assert_eq!(sent(&mut executor, 0), [1]);
    assert_eq!(sent(&mut executor, 3_900), [] as [u64; 0]);
    assert_eq!(sent(&mut executor, 4_000), [1]);
}

#[test]
fn an_answer_to_an_older_generation_changes_nothing() {
    let mut executor = met();
    want(&mut executor, 1);
    assert_eq!(sent(&mut executor, 20), [1]);
    want(&mut executor, 2);
    assert_eq!(sent(&mut executor, 30), [2], "a newer one does not wait for the older");
    let old = reply(Verdict::Accepted, 5, 1, 1);
    let verdict = executor.answered(at_ms(40), &node(), Some(Generation(1)), &old);
    assert_eq!(verdict, Verdicts::Old);
    executor.unanswered(at_ms(41), &node(), Some(Generation(1)));
    assert!(!executor.is_settled(&node()));
    assert_eq!(sent(&mut executor, 50), [] as [u64; 0], "the newer one is still under way");
}

#[test]
fn a_refusal_is_told_and_tried_again_later() {
    let mut executor = met();
    want(&mut executor, 1);
    assert_eq!(sent(&mut executor, 0), [1]);
    let no = reply(Verdict::Denied { reason: "no room".to_owned() }, 5, 0, 0);
    let verdict = executor.answered(at_ms(10), &node(), Some(Generation(1)), &no);
    assert_eq!(verdict, Verdicts::Refused("no room".to_owned()));
    assert_eq!(sent(&mut executor, 1_900), [] as [u64; 0]);
    assert_eq!(sent(&mut executor, 2_010), [1]);
}

#[test]
fn a_node_that_obeyed_a_later_generation_is_told_one_after_that() {
    let mut executor = met();
    want(&mut executor, 1);
    sent(&mut executor, 0);
    let epoch = OURS;
    let stale = reply(Verdict::Stale { epoch, generation: Generation(7) }, 5, 7, 0);
    executor.answered(at_ms(10), &node(), Some(Generation(1)), &stale);
    assert_eq!(sent(&mut executor, 500), [8]);
}

#[test]
fn a_higher_epoch_deposes_this_controller_for_good() {
    for verdict in [
        Verdict::Stale { epoch: LeaderEpoch(9), generation: Generation(1) },
        Verdict::Reported,
        Verdict::Accepted,
    ] {
        let mut executor = met();
        want(&mut executor, 1);
        sent(&mut executor, 0);
        let other = reply(verdict, 9, 1, 0);
        let verdict = executor.answered(at_ms(10), &node(), Some(Generation(1)), &other);
        assert_eq!(verdict, Verdicts::Deposed(LeaderEpoch(9)));
        assert_eq!(executor.deposed_by(), Some(LeaderEpoch(9)));
        assert_eq!(sent(&mut executor, 60_000), [] as [u64; 0]);
    }
}

#[test]
fn a_node_that_comes_back_is_asked_first_and_adopted_if_it_runs_what_it_should() {
    let mut executor = met();
    want(&mut executor, 1);
    sent(&mut executor, 20);
    executor.answered(at_ms(30), &node(), Some(Generation(1)), &reply(Verdict::Accepted, 5, 1, 1));
    executor.came(&node());
    assert_eq!(executor.due(at_ms(40), |_| true), [Order::Ask(node())]);
    executor.answered(at_ms(50), &node(), None, &reply(Verdict::Reported, 5, 1, 1));
    assert!(executor.is_settled(&node()));
    assert_eq!(sent(&mut executor, 60), [] as [u64; 0]);
    // Another digest: it runs something else, it is told again.
    executor.came(&node());
    executor.due(at_ms(70), |_| true);
    executor.answered(at_ms(80), &node(), None, &reply(Verdict::Reported, 5, 1, 2));
    assert_eq!(sent(&mut executor, 90), [1]);
}

#[test]
fn nobody_is_told_who_cannot_be_reached() {
    let mut executor = met();
    want(&mut executor, 1);
    assert_eq!(executor.due(at_ms(20), |_| false), []);
    assert_eq!(sent(&mut executor, 30), [1]);
}
