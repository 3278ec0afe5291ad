//! Stories of a node: what it is told, what it does, in which order.

use protocol::desired::{FunctionRef, Phase, Role, Successor, TaskSpec};
use protocol::encode;
use protocol::event::{Event, EventQuery};
use protocol::report::{NoReading, Reading};
use types::{
    Arch, Epoch, FunctionId, Generation, LeaderEpoch, OwnerEpoch, PlanVersion, RunId, TaskId,
    WallTime, WindowId, WorkflowId,
};

use super::*;
use crate::state::{GroupEvent, GroupId, GroupStatus, Ownership, RoleChange, TransferError};

mod boards;
mod life;
mod reports;
mod tasks;
mod timed;

/// Sky seconds per wall second in these stories.
const RATE: f64 = 30.0;

pub(super) fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

pub(super) fn now_at(ms: u64) -> Now {
    let wall = i64::try_from(ms).unwrap() * 1_000_000;
    let seconds = f64::from(u32::try_from(ms).unwrap()) / 1e3;
    let sky = Epoch::from_unix_ns(1_700_000_000_000_000_000).plus_s(seconds * RATE);
    Now { at: Instant(ms * 1_000_000), wall: WallTime(wall), sky, rate: RATE }
}

fn setup() -> Setup {
    Setup {
        node: node("sat-1"),
        boot: BootId(7),
        kind: NodeKind::Satellite,
        arch: Arch::Arm64,
        capacity: Capacity { milli_cpu: MilliCpu(4000), memory_mib: MiB(1024) },
        energy: EnergySource::Photovoltaic,
        report_interval: Duration::from_secs(1),
        peers: vec![node("drone"), node("cloud")],
        ping_interval: Duration::from_secs(2),
        safe_mode: None,
    }
}

fn spec(task: &str, role: Role) -> TaskSpec {
    TaskSpec {
        workflow: WorkflowId::new("flood").unwrap(),
        task: TaskId::new(task).unwrap(),
        function: FunctionRef {
            name: FunctionId::new(task).unwrap(),
            sha256: [u8::try_from(task.len()).unwrap(); 32],
            bytes: 1000,
            manifest: [u8::try_from(task.len()).unwrap(); 32],
        },
        role,
        replica: None,
        milli_cpu: MilliCpu(1000),
        memory_mib: MiB(256),
        linear_memory_mib: MiB(32),
        deadline_ms: 2000,
        sources: Vec::new(),
    }
}

const OWNER: Role = Role::Owner { owner_epoch: OwnerEpoch(1), successor: None };

fn desired(epoch: u64, generation: u64, tasks: &[TaskSpec]) -> Desired {
    Desired {
        node: node("sat-1"),
        epoch: LeaderEpoch(epoch),
        generation: Generation(generation),
        decided_at: now_at(0).sky,
        plan: PlanVersion(1),
        tasks: tasks.to_vec(),
        callees: Vec::new(),
        drives: Vec::new(),
    }
}

fn group_named(task: &str) -> GroupId {
    group(&WorkflowId::new("flood").unwrap(), &TaskId::new(task).unwrap())
}

fn status(ownership: Ownership, epoch: u64, replica_current: bool) -> GroupStatus {
    let owner_epoch = OwnerEpoch(epoch);
    GroupStatus { ownership, owner_epoch, state_bytes: 10, objects: 1, replica_current }
}

/// A node under test; reports and measurements are left out of what it says.
struct Story {
    agent: Agent,
    ms: u64,
    next_ticket: u64,
}

impl Story {
    fn begin() -> Self {
        Self::again(Remembered::default(), 0).0
    }

    fn again(remembered: Remembered, ms: u64) -> (Self, Vec<Output>) {
        let (agent, outputs) = Agent::start(setup(), remembered, &now_at(ms));
        (Self { agent, ms, next_ticket: 0 }, quiet(outputs))
    }

    fn says(&mut self, input: Input) -> Vec<Output> {
        quiet(self.agent.handle(&now_at(self.ms), input))
    }

    fn at(&mut self, ms: u64) -> &mut Self {
        self.ms = ms;
        self
    }

    fn told(&mut self, desired: Desired) -> Vec<Output> {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.says(Input::Desired { desired: Box::new(desired), ticket })
    }

    /// Tells a desired state and makes it durable.
    fn obeys(&mut self, desired: Desired) -> Vec<Output> {
        let saves = self.told(desired);
        let [Output::Save { record: Record::Desired, .. }] = &saves[..] else {
            panic!("{saves:?}");
        };
        self.says(Input::Saved { record: Record::Desired, result: Ok(()) })
    }

    fn takes_role(&mut self, task: &str, took: Option<u64>, status: GroupStatus) -> Vec<Output> {
        let result = Ok(RoleChange { took_over: took.map(OwnerEpoch), ..RoleChange::default() });
        self.says(Input::RoleTaken { group: group_named(task), result, status })
    }

    fn loads(&mut self, task: &str) -> Vec<Output> {
        let manifest = spec(task, OWNER).function.manifest;
        self.says(Input::Loaded { manifest, result: Ok(()) })
    }

    /// Owns a task that takes calls, since epoch 1.
    fn serving(task: &str, role: Role) -> Self {
        let mut story = Self::begin();
        story.obeys(desired(1, 1, &[spec(task, role)]));
        story.takes_role(task, Some(1), status(Ownership::Owner, 1, false));
        story.loads(task);
        story
    }

    fn phase(&mut self, task: &str) -> Option<Phase> {
        let outputs = self.says(Input::StatusAsked(Ticket(99)));
        let [Output::AnswerDesired { reply, .. }] = &outputs[..] else { panic!("{outputs:?}") };
        let found = reply.tasks.iter().find(|status| status.task.as_str() == task);
        found.map(|status| status.phase)
    }
}

fn quiet(outputs: Vec<Output>) -> Vec<Output> {
    let is_told = |output: &Output| !matches!(output, Output::Sample(_) | Output::Ping(_));
    outputs.into_iter().filter(is_told).collect()
}

fn verdicts(outputs: &[Output]) -> Vec<Verdict> {
    let verdict = |output: &Output| match output {
        Output::AnswerDesired { reply, .. } => Some(reply.verdict.clone()),
        _ => None,
    };
    outputs.iter().filter_map(verdict).collect()
}

fn events(outputs: &[Output]) -> Vec<EventKind> {
    let kind = |output: &Output| match output {
        Output::Event(event) => Some(event.kind.clone()),
        _ => None,
    };
    outputs.iter().filter_map(kind).collect()
}

fn denied(outputs: &[Output], part: &str) -> bool {
    matches!(&verdicts(outputs)[..], [Verdict::Denied { reason }] if reason.contains(part))
}

#[test]
fn what_is_desired_is_durable_before_it_is_obeyed() {
    let mut story = Story::begin();
    let ingest = spec("ingest", OWNER);
    let wanted = desired(1, 1, std::slice::from_ref(&ingest));
    let bytes = encode(&wanted).unwrap();
    assert_eq!(story.told(wanted), [Output::Save { record: Record::Desired, bytes }]);
    let outputs = story.says(Input::Saved { record: Record::Desired, result: Ok(()) });
    assert_eq!(outputs[0], Output::Load(ingest.function.clone()));
    assert_eq!(outputs[1], Output::Hold(Box::new(ingest)));
    assert_eq!(verdicts(&outputs), [Verdict::Accepted]);
}

#[test]
fn what_cannot_be_made_durable_is_not_obeyed() {
    let mut story = Story::begin();
    story.told(desired(1, 1, &[spec("ingest", OWNER)]));
    let result = Err("disk full".to_owned());
    let outputs = story.says(Input::Saved { record: Record::Desired, result });
    assert!(denied(&outputs, "disk full"), "{outputs:?}");
    assert_eq!(outputs.len(), 1);
    // The same again is taken once the disk has room.
    assert_eq!(verdicts(&story.obeys(desired(1, 1, &[]))), [Verdict::Accepted]);
}

#[test]
fn older_epochs_and_generations_are_stale() {
    let mut story = Story::begin();
    story.obeys(desired(2, 5, &[]));
    for (epoch, generation) in [(2, 4), (1, 9), (0, 0)] {
        let stale = Verdict::Stale { epoch: LeaderEpoch(2), generation: Generation(5) };
        assert_eq!(verdicts(&story.told(desired(epoch, generation, &[]))), [stale]);
    }
    assert_eq!(verdicts(&story.told(desired(2, 5, &[]))), [Verdict::Adopted]);
    // A new epoch counts anew.
    story.obeys(desired(3, 1, &[]));
    assert_eq!(story.agent.facts().generation, Generation(1));
}

#[test]
fn equal_content_is_adopted_and_nothing_restarts() {
    let tasks = [spec("ingest", OWNER)];
    let remembered = Remembered { desired: Some(desired(4, 7, &tasks)), ..Remembered::default() };
    let (mut story, outputs) = Story::again(remembered, 0);
    // It serves what was desired before, link or no link.
    let EventKind::Started(facts) = &events(&outputs)[0] else { panic!("{outputs:?}") };
    assert_eq!((facts.epoch, facts.generation), (LeaderEpoch(4), Generation(7)));
    assert!(outputs.contains(&Output::Hold(Box::new(tasks[0].clone()))));
    // The controller's next incarnation wants the same.
    let outputs = story.obeys(desired(5, 1, &tasks));
    assert_eq!(verdicts(&outputs), [Verdict::Adopted]);
    assert_eq!(outputs.len(), 1, "{outputs:?}");
    assert_eq!(story.agent.facts().epoch, LeaderEpoch(5));
}

#[test]
fn a_task_that_stays_the_same_is_left_alone() {
    let mut story = Story::begin();
    story.obeys(desired(1, 1, &[spec("ingest", OWNER), spec("detect-x", OWNER)]));
    let outputs = story.obeys(desired(1, 2, &[spec("ingest", OWNER), spec("new", OWNER)]));
    let held: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Hold(spec) => Some(format!("hold {}", spec.task)),
            Output::LetGo(group) => Some(format!("let go {}", group.task)),
            Output::Load(function) => Some(format!("load {}", function.name)),
            Output::Unload(manifest) => Some(format!("unload {}", manifest[0])),
            _ => None,
        })
        .collect();
    assert_eq!(held, ["let go detect-x", "load new", "hold new", "unload 8"]);
}

#[test]
fn two_controllers_cannot_share_an_epoch() {
    let mut story = Story::begin();
    story.obeys(desired(1, 1, &[]));
    let outputs = story.told(desired(1, 1, &[spec("ingest", OWNER)]));
    assert!(denied(&outputs, "two controllers share an epoch"), "{outputs:?}");
}

#[test]
fn a_node_refuses_what_is_not_for_it_or_more_than_it_carries() {
    let mut story = Story::begin();
    let other = Desired { node: node("sat-2"), ..desired(1, 1, &[]) };
    assert!(denied(&story.told(other), "this is sat-1, not sat-2"));
    let many: Vec<_> = ["a", "bb", "ccc", "dddd", "eeeee"].map(|t| spec(t, OWNER)).to_vec();
    assert!(denied(&story.told(desired(1, 1, &many)), "need 5000 thousandths of a core"));
    let large = TaskSpec { memory_mib: MiB(2000), ..spec("a", OWNER) };
    assert!(denied(&story.told(desired(1, 1, &[large])), "need 2000 MiB"));
    let twice = [spec("a", OWNER), spec("a", OWNER)];
    assert!(denied(&story.told(desired(1, 1, &twice)), "flood.a is given twice"));
}

#[test]
fn orders_wait_for_the_one_being_saved_and_the_last_wins() {
    let mut story = Story::begin();
    assert_eq!(story.told(desired(1, 1, &[])).len(), 1);
    assert_eq!(story.told(desired(1, 3, &[spec("ingest", OWNER)])), []);
    assert_eq!(story.told(desired(1, 2, &[])), []);
    let outputs = story.says(Input::Saved { record: Record::Desired, result: Ok(()) });
    assert_eq!(verdicts(&outputs), [Verdict::Accepted]);
    assert!(matches!(outputs.last(), Some(Output::Save { .. })), "{outputs:?}");
    let outputs = story.says(Input::Saved { record: Record::Desired, result: Ok(()) });
    let stale = Verdict::Stale { epoch: LeaderEpoch(1), generation: Generation(3) };
    assert_eq!(verdicts(&outputs), [Verdict::Accepted, stale]);
}

#[test]
fn texts_are_cut_between_letters() {
    assert_eq!(cut("é".repeat(400)).len(), TEXT_BYTES_MAX);
    assert_eq!(cut("x".repeat(513)).len(), TEXT_BYTES_MAX);
    assert_eq!(cut("short".to_owned()), "short");
}
