//! Stories of a driver: stages, faults and restarts in time.

use std::collections::BTreeMap;

use protocol::belt::ObjectMeta;
use protocol::invoke::Invoked;
use types::{ObjectId, RunId, StateKey, Version};

use super::*;
use crate::agent::tests::{node, now_at};

fn task(name: &str) -> TaskId {
    TaskId::new(name).unwrap()
}

fn workflow() -> WorkflowId {
    WorkflowId::new("flood").unwrap()
}

fn stage(name: &str, at: &str, after: &[&str]) -> StageSpec {
    StageSpec {
        task: task(name),
        node: node(at),
        deadline_ms: 2000,
        after: after.iter().map(|name| task(name)).collect(),
        sources: Vec::new(),
    }
}

fn spec(detect_at: &str) -> DriveSpec {
    DriveSpec {
        workflow: workflow(),
        every_ms: 1000,
        run_deadline_ms: 10_000,
        stages: vec![stage("ingest", "drone", &[]), stage("detect", detect_at, &["ingest"])],
    }
}

fn output(run: RunId, of: &str) -> ObjectMeta {
    ObjectMeta {
        id: ObjectId {
            workflow: workflow(),
            run: Some(run),
            task: task(of),
            key: StateKey::new("out").unwrap(),
        },
        version: Version(1),
        owner_epoch: OwnerEpoch(0),
        hash: [1; 32],
        bytes: 5,
    }
}

fn committed(call: &StageCall, body: &[u8]) -> Answer {
    let done = Committed {
        outputs: vec![output(call.run, call.task.as_str())],
        copies: std::iter::once(call.node.clone()).chain(call.outputs_to.clone()).collect(),
        single_copy: None,
        state_writes: 0,
        local_at_start: true,
        again: false,
        body: body.to_vec(),
    };
    let (outcome, record) = (Outcome::Committed(done), InvocationRecord::default());
    Answer::Invoked(Box::new(Invoked { outcome, record }))
}

fn id(call: &StageCall) -> CallId {
    CallId {
        workflow: call.workflow.clone(),
        run: call.run,
        task: call.task.clone(),
        attempt: call.attempt,
    }
}

/// A driver whose store and nodes are played by the story. Saves succeed at once unless the disk is full.
struct Story {
    driver: Driver,
    ms: u64,
    disk: BTreeMap<String, Vec<u8>>,
    is_disk_full: bool,
    owner_epoch: u64,
    calls: Vec<StageCall>,
    runs: Vec<RunRecord>,
    refused: Vec<String>,
}

impl Story {
    fn begin(spec: &DriveSpec) -> Self {
        let mut story = Self {
            driver: Driver::default(),
            ms: 0,
            disk: BTreeMap::new(),
            is_disk_full: false,
            owner_epoch: 1,
            calls: Vec::new(),
            runs: Vec::new(),
            refused: Vec::new(),
        };
        story.wants(std::slice::from_ref(spec));
        story
    }

    fn wants(&mut self, specs: &[DriveSpec]) {
        let now = now_at(self.ms);
        self.step(|driver, effects| driver.apply(&now, specs, effects));
    }

    fn step(&mut self, act: impl FnOnce(&mut Driver, &mut Effects)) {
        let now = now_at(self.ms);
        let epoch = OwnerEpoch(self.owner_epoch);
        let mut effects = Effects::default();
        act(&mut self.driver, &mut effects);
        // What the agent does around each input, until nothing follows any more.
        loop {
            self.driver.tick(&now, |_, _| Some(epoch), &mut effects);
            for event in effects.events.drain(..) {
                match event {
                    EventKind::RunFinished(run) => self.runs.push(run),
                    EventKind::Refused { reason } => self.refused.push(reason),
                    other => panic!("{other:?}"),
                }
            }
            let outputs = std::mem::take(&mut effects.outputs);
            if outputs.is_empty() {
                return;
            }
            for output in outputs {
                self.perform(output, &mut effects);
            }
        }
    }

    fn perform(&mut self, output: Output, effects: &mut Effects) {
        let now = now_at(self.ms);
        match output {
            Output::Call(call) => self.calls.push(*call),
            Output::Read(record) => {
                let bytes = self.disk.get(&record.to_string()).cloned();
                self.driver.opened(&now, &workflow(), bytes.as_deref(), effects);
            }
            Output::Save { record, .. } if self.is_disk_full => {
                let Record::Journal(workflow) = record else { panic!("{record:?}") };
                self.driver.saved(&now, &workflow, Err("disk full".to_owned()), effects);
            }
            Output::Save { record, bytes } => {
                self.disk.insert(record.to_string(), bytes);
                self.driver.saved(&now, &workflow(), Ok(()), effects);
            }
            other => panic!("{other:?}"),
        }
    }

    fn at(&mut self, ms: u64) -> &mut Self {
        self.ms = ms;
        self.step(|_, _| {});
        self
    }

    fn answers(&mut self, answer: Answer) {
        let call = self.calls.last().expect("a call is under way").clone();
        let now = now_at(self.ms);
        self.step(|driver, effects| {
            driver.answered(&now, &id(&call), answer, effects);
        });
    }

    /// A call is answered when nobody waits for it any more.
    fn late(&mut self, ms: u64, call: &StageCall, answer: Answer) {
        self.ms = ms;
        let now = now_at(ms);
        self.step(|driver, effects| driver.answered(&now, &id(call), answer, effects));
    }

    fn commits(&mut self, body: &[u8]) {
        let call = self.calls.last().expect("a call is under way").clone();
        self.answers(committed(&call, body));
    }

    fn fails(&mut self, fault: Fault) {
        self.says(Outcome::Failed(fault));
    }

    fn says(&mut self, outcome: Outcome) {
        let record = InvocationRecord::default();
        self.answers(Answer::Invoked(Box::new(Invoked { outcome, record })));
    }

    /// Calls since the story was asked last, as `task@node#attempt`.
    fn called(&mut self) -> Vec<String> {
        let words = |call: &StageCall| format!("{}@{}#{}", call.task, call.node, call.attempt);
        let called = self.calls.iter().map(words).collect();
        if let Some(last) = self.calls.pop() {
            self.calls = vec![last];
        }
        called
    }

    /// The process is killed and starts again later with the same disk.
    fn restarts(self, spec: &DriveSpec, ms: u64) -> Self {
        let mut story = Self { driver: Driver::default(), ms, calls: Vec::new(), ..self };
        story.wants(std::slice::from_ref(spec));
        story
    }

    fn last_run(&self) -> u64 {
        self.calls.last().expect("a call is under way").run.0
    }
}

const FIRST: u64 = journal::RUNS_PER_EPOCH + 1;

#[test]
fn a_run_goes_through_its_stages_and_hands_outputs_on() {
    let mut story = Story::begin(&spec("sat-1"));
    let call = story.calls[0].clone();
    assert_eq!((call.run, call.attempt, call.hops), (RunId(FIRST), 1, 0));
    assert_eq!((call.trigger, call.outputs_to), (Some(FIRST), Some(node("sat-1"))));
    story.at(30).commits(b"");
    let call = story.calls[1].clone();
    assert_eq!((call.task.as_str(), call.hops, call.trigger), ("detect", 1, None));
    let input = invoke::Input { object: output(RunId(FIRST), "ingest"), holder: node("drone") };
    // What nobody takes goes to who drives the run, so that there are two copies.
    assert_eq!((call.inputs, call.outputs_to), (vec![input], Some(node("drone"))));
    story.at(80).commits(b"{\"targets\":2}");
    let run = &story.runs[0];
    assert_eq!((run.run, run.wall_us, &run.failure), (RunId(FIRST), 80_000, &None));
    assert_eq!(run.result, b"{\"targets\":2}");
    let stages: Vec<_> = run.stages.iter().map(|s| (s.task.as_str(), s.attempts)).collect();
    assert_eq!(stages, [("ingest", 1), ("detect", 1)]);
}

#[test]
fn runs_follow_each_other_and_never_overlap() {
    let mut story = Story::begin(&spec("sat-1"));
    let mut starts = Vec::new();
    for (first_ms, second_ms) in [(100, 200), (1100, 3400), (3500, 3600), (4500, 4600)] {
        starts.push((story.ms, story.last_run() - FIRST));
        story.at(first_ms).commits(b"");
        story.at(second_ms).commits(b"");
        for ms in (second_ms..5000).step_by(100) {
            if story.at(ms).calls.last().is_some_and(|call| call.task == task("ingest")) {
                break;
            }
        }
    }
    // The second took 2.4 s: the third starts at once, the fourth a second after that.
    assert_eq!(starts, [(0, 0), (1000, 1), (3400, 2), (4400, 3)]);
}

#[test]
fn a_stage_is_tried_again_after_growing_pauses() {
    let mut story = Story::begin(&spec("sat-1"));
    story.called();
    let mut pauses = Vec::new();
    for _ in 0..7 {
        let failed_at = story.ms;
        story.answers(Answer::Silence("nobody answers".to_owned()));
        let before = story.calls.len();
        while story.calls.len() == before {
            let next = story.ms + 10;
            story.at(next);
        }
        pauses.push(story.ms - failed_at);
    }
    assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000]);
    assert_eq!(story.called().last().map(String::as_str), Some("ingest@drone#8"));
}

#[test]
fn inputs_are_sought_at_each_copy_in_turn() {
    let mut story = Story::begin(&spec("sat-1"));
    story.commits(b"");
    story.wants(&[spec("sat-3")]);
    story.answers(Answer::Silence("gone".to_owned()));
    let mut holders = Vec::new();
    for ms in [100, 1000, 2000] {
        story.at(ms);
        let call = story.calls.last().unwrap();
        assert_eq!(call.node, node("sat-3"));
        holders.push(call.inputs[0].holder.as_str().to_owned());
        story.fails(Fault::InputMissing("flood/1/ingest/out".to_owned()));
    }
    // Made on the drone, pushed to sat-1 before the task moved on to sat-3.
    assert_eq!(holders, ["sat-1", "drone", "sat-1"]);
}

#[test]
fn a_call_follows_the_task_to_its_new_owner() {
    let mut story = Story::begin(&spec("sat-1"));
    story.commits(b"");
    story.called();
    story.fails(Fault::Moved { to: node("sat-2"), owner_epoch: OwnerEpoch(2) });
    assert_eq!(story.called(), ["detect@sat-1#1", "detect@sat-2#2"]);
    story.commits(b"");
    // The next run goes there at once, and its outputs too, until the controller says otherwise.
    story.at(1000);
    assert_eq!(story.calls.last().unwrap().outputs_to, Some(node("sat-2")));
    story.commits(b"");
    assert_eq!(story.called().last().unwrap(), "detect@sat-2#1");
    story.commits(b"");
    story.wants(&[spec("sat-3")]);
    story.at(2000).commits(b"");
    assert_eq!(story.called().last().unwrap(), "detect@sat-3#1");
}

#[test]
fn nodes_that_send_calls_in_a_circle_are_given_time() {
    let mut story = Story::begin(&spec("sat-1"));
    story.commits(b"");
    story.fails(Fault::Moved { to: node("sat-2"), owner_epoch: OwnerEpoch(2) });
    story.called();
    story.fails(Fault::Moved { to: node("sat-1"), owner_epoch: OwnerEpoch(1) });
    assert_eq!(story.called(), ["detect@sat-2#2"]);
    story.at(99);
    assert_eq!(story.called(), ["detect@sat-2#2"]);
    story.at(100);
    assert_eq!(story.called(), ["detect@sat-2#2", "detect@sat-1#3"]);
}

#[test]
fn a_stage_that_moves_while_it_is_called_is_waited_for_a_moment() {
    let mut story = Story::begin(&spec("sat-1"));
    story.at(100).commits(b"");
    story.at(200).wants(&[spec("sat-2")]);
    story.at(2199);
    assert_eq!(story.called().last().unwrap(), "detect@sat-1#1");
    let late = story.calls.last().unwrap().clone();
    story.at(2200);
    assert_eq!(story.called().last().unwrap(), "detect@sat-2#2");
    // The old node's answer comes too late to count.
    story.late(2300, &late, Answer::Silence("timeout".to_owned()));
    story.commits(b"");
    assert_eq!(story.runs.len(), 1);
    assert_eq!(story.runs[0].stages[1].attempts, 2);
}

#[test]
fn a_late_answer_of_one_stage_is_not_taken_for_that_of_the_next() {
    let mut three = spec("sat-1");
    three.stages.push(stage("prepare", "cloud", &["detect"]));
    let mut story = Story::begin(&three);
    story.commits(b"");
    let late = story.calls.last().unwrap().clone();
    three.stages[1].node = node("sat-2");
    story.at(100).wants(&[three]);
    story.at(2100).commits(b"");
    assert_eq!(
        story.called(),
        ["ingest@drone#1", "detect@sat-1#1", "detect@sat-2#2", "prepare@cloud#1"]
    );
    story.late(2200, &late, committed(&late, b"of detect"));
    assert_eq!(story.runs, [], "prepare has not answered");
    story.commits(b"of prepare");
    assert_eq!(story.runs[0].result, b"of prepare");
}

#[test]
fn a_run_fails_at_its_deadline_and_says_where() {
    let mut story = Story::begin(&spec("sat-1"));
    story.commits(b"");
    story.fails(Fault::InputMissing("flood/1/ingest/out".to_owned()));
    story.at(9999);
    assert_eq!(story.runs, []);
    assert_eq!(story.calls.last().unwrap().deadline_ms, 1);
    story.at(10_000);
    let failure = story.runs[0].failure.clone().unwrap();
    for part in ["10000 ms", "detect", "sat-1", "InputMissing"] {
        assert!(failure.contains(part), "{part} is not in {failure}");
    }
    assert_eq!(story.runs[0].stages.len(), 1);
    assert_eq!(story.last_run(), FIRST + 1, "the next run starts");
}

#[test]
fn a_fault_that_no_try_can_heal_fails_the_run_at_once() {
    for fault in [
        Fault::BadInput("no burst".to_owned()),
        Fault::Denied("not granted".to_owned()),
        Fault::TooLarge("body".to_owned()),
        Fault::Unsupported,
    ] {
        let mut story = Story::begin(&spec("sat-1"));
        story.fails(fault);
        let failure = story.runs[0].failure.clone().unwrap();
        assert!(failure.contains("no other try can help"), "{failure}");
    }
}

#[test]
fn a_restarted_driver_goes_on_where_it_was() {
    let mut story = Story::begin(&spec("sat-1"));
    story.at(500).commits(b"");
    let mut story = story.restarts(&spec("sat-1"), 6000);
    let call = story.calls[0].clone();
    assert_eq!((call.task.as_str(), call.run, call.attempt), ("detect", RunId(FIRST), 1));
    assert_eq!(call.inputs[0].object, output(RunId(FIRST), "ingest"));
    story.at(6100).commits(b"done");
    assert_eq!(story.runs[0].wall_us, 6_100_000);
    assert_eq!(story.runs[0].stages.len(), 2);
    assert_eq!(story.at(7000).last_run(), FIRST + 1);
}

#[test]
fn a_run_that_ran_out_while_the_driver_was_down_has_failed() {
    let mut story = Story::begin(&spec("sat-1"));
    story.at(500).commits(b"");
    let story = story.restarts(&spec("sat-1"), 11_000);
    assert!(story.runs[0].failure.as_ref().unwrap().contains("deadline"), "{:?}", story.runs);
    assert_eq!(story.last_run(), FIRST + 1);
}

#[test]
fn no_number_is_used_twice_by_any_driver() {
    let mut story = Story::begin(&spec("sat-1"));
    let mut numbers = vec![story.last_run()];
    for (ms, epoch) in [(1, 1), (2, 1), (3, 4), (4, 4), (5, 2)] {
        story.owner_epoch = epoch;
        story = story.restarts(&spec("sat-1"), ms * 20_000);
        story.at(ms * 20_000 + 1);
        numbers.push(story.last_run());
    }
    let fourth = 4 * journal::RUNS_PER_EPOCH;
    // An epoch never goes back: a driver of an older one keeps counting in the newest.
    let expected = [FIRST, FIRST + 1, FIRST + 2, fourth + 1, fourth + 2, fourth + 3];
    assert_eq!(numbers, expected);
}

#[test]
fn nothing_is_called_before_the_journal_is_durable() {
    let mut story = Story::begin(&DriveSpec { every_ms: 0, ..spec("sat-1") });
    story.is_disk_full = true;
    story.wants(&[spec("sat-1")]);
    assert_eq!(story.at(500).calls, []);
    story.is_disk_full = false;
    story.at(1500);
    assert_eq!(story.called(), ["ingest@drone#1"]);
    assert!(story.disk.contains_key("journal/flood"));
}

#[test]
fn an_unreadable_journal_stops_the_driver_rather_than_repeat_numbers() {
    let mut story = Story::begin(&DriveSpec { every_ms: 0, ..spec("sat-1") });
    story.disk.insert("journal/flood".to_owned(), b"{".to_vec());
    let story = story.restarts(&spec("sat-1"), 1000);
    assert_eq!(story.calls, []);
    assert!(story.refused[0].contains("flood is not driven"), "{:?}", story.refused);
}

#[test]
fn a_workflow_that_is_not_driven_any_more_finishes_its_run() {
    let mut story = Story::begin(&spec("sat-1"));
    story.wants(&[]);
    story.at(100).commits(b"");
    story.at(200).commits(b"");
    assert_eq!(story.runs.len(), 1);
    assert_eq!(story.at(5000).calls.len(), 2);
    assert!(story.driver.drives.is_empty());
}

#[test]
fn nothing_starts_while_the_agent_stops_or_does_not_own_the_first_task() {
    let mut story = Story::begin(&spec("sat-1"));
    story.driver.stop();
    story.at(100).commits(b"");
    story.at(200).commits(b"");
    assert_eq!(story.at(5000).calls.len(), 2);
    let mut driver = Driver::default();
    let mut effects = Effects::default();
    driver.apply(&now_at(0), &[spec("sat-1")], &mut effects);
    driver.opened(&now_at(0), &workflow(), None, &mut effects);
    effects.outputs.clear();
    driver.tick(&now_at(0), |_, _| None, &mut effects);
    assert_eq!(effects.outputs, []);
    assert_eq!(driver.deadline(|_, _| None), None);
}
