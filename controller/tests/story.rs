//! The controller without its shell and four fake agents, stepped through twenty minutes of sky.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use controller::api::{Handover, HandoverKind, HandoverState, HealthState, PlacementState};
use controller::controller::{Controller, Saved, SavedFunction, SubmitError};
use controller::event::{Input, Now, Output};
use protocol::desired::{Phase, Role};
use protocol::manifest::Code;
use protocol::signed::KeyId;
use support::{FakeAgent, contact_plan, id, queue, signing, start, workflow};
use types::{Epoch, FunctionId, Instant, LeaderEpoch, NodeId, SkyClock, WallTime, WorkflowId};

/// Sky seconds per wall second.
const RATE: f64 = 30.0;
/// Wall milliseconds between two looks.
const STEP_MS: u64 = 100;

struct Bed {
    controller: Controller,
    agents: BTreeMap<NodeId, FakeAgent>,
    /// Who cannot be heard and does not hear.
    lost: Vec<NodeId>,
    saved: Saved,
    ms: u64,
    tells: Vec<(u64, NodeId)>,
}

fn function(name: &str, key: KeyId) -> SavedFunction {
    let name = FunctionId::new(name).expect("the test's set-up works");
    let tenant = protocol::manifest::default_tenant();
    let (manifest, sha256, imports, calls) = ([6; 32], [7; 32], vec![], vec![]);
    SavedFunction {
        name,
        version: 1,
        manifest,
        key,
        tenant,
        sha256,
        bytes: 100,
        imports,
        calls,
        code: Code::Component,
    }
}

impl Bed {
    fn new(prediction: bool) -> Self {
        let names = ["drone", "ground", "sat-1", "sat-2"];
        let agents = names.map(|name| (id(name), FakeAgent::new(name, 1)));
        let mut bed = Self {
            controller: Controller::new(
                support::config(prediction),
                LeaderEpoch(1),
                Saved::default(),
                Now { instant: Instant(0), wall: WallTime(0) },
            ),
            agents: BTreeMap::from(agents),
            lost: vec![],
            saved: Saved::default(),
            ms: 0,
            tells: vec![],
        };
        bed.begin();
        bed
    }

    /// The clock and the plan, as every controller gets them.
    fn begin(&mut self) {
        let clock = SkyClock::new(start(), WallTime(0), RATE).expect("the test's set-up works");
        self.input(Input::Clock(clock));
        self.input(Input::Plan(Arc::new(contact_plan())));
    }

    /// Another controller process, with what the last one left.
    fn restart_controller(&mut self, epoch: u64) {
        self.controller = Controller::new(
            support::config(true),
            LeaderEpoch(epoch),
            self.saved.clone(),
            self.now(),
        );
        self.begin();
    }

    fn deploy(&mut self) {
        let key = signing::key();
        let (name, public) = (key.name().clone(), key.public());
        let trusted = self.controller.trust(self.now(), name, public);
        let (key, outputs) = trusted.expect("the test's set-up works");
        self.carry_out(outputs);
        for name in ["ingest", "extract"] {
            let outputs = self.controller.push(self.now(), function(name, key));
            let outputs = outputs.expect("the test's set-up works");
            self.carry_out(outputs);
        }
        let outputs =
            self.controller.submit(self.now(), workflow()).expect("the test's set-up works");
        self.carry_out(outputs);
    }

    fn now(&self) -> Now {
        let ns = self.ms * 1_000_000;
        Now {
            instant: Instant(ns),
            wall: WallTime(i64::try_from(ns).expect("the test's set-up works")),
        }
    }

    fn sky(&self) -> Epoch {
        let ms = u32::try_from(self.ms).expect("the test's set-up works");
        start().plus_s(f64::from(ms) / 1000.0 * RATE)
    }

    fn input(&mut self, input: Input) {
        let outputs = self.controller.handle(self.now(), input);
        self.carry_out(outputs);
    }

    fn carry_out(&mut self, outputs: Vec<Output>) {
        let sky = self.sky();
        for output in outputs {
            match output {
                Output::Save => self.saved = self.controller.save(),
                Output::Signers => {}
                Output::Replay { node, from_seq } => {
                    let frame = if self.lost.contains(&node) {
                        Err("lost".to_owned())
                    } else {
                        Ok(self.agents[&node].page(from_seq))
                    };
                    self.input(Input::Replayed { node, frame });
                }
                Output::Ask(node) => self.answer(sky, node, None, &[]),
                Output::Tell(desired) => {
                    self.tells.push((self.ms, desired.node.clone()));
                    let frame = protocol::encode(&*desired).expect("the test's set-up works");
                    self.answer(sky, desired.node, Some(desired.generation), &frame);
                }
            }
        }
    }

    fn answer(&mut self, sky: Epoch, node: NodeId, told: Option<types::Generation>, frame: &[u8]) {
        let frame = if self.lost.contains(&node) {
            Err("lost".to_owned())
        } else {
            Ok(self.agents.get_mut(&node).expect("the test's set-up works").desired(sky, frame))
        };
        self.input(Input::Answered { node, told, frame });
    }

    /// Lets the time pass until so many sky seconds after the start.
    fn until(&mut self, sky_s: f64) {
        while self.sky() < start().plus_s(sky_s) {
            self.ms += STEP_MS;
            self.step();
        }
    }

    fn step(&mut self) {
        let sky = self.sky();
        let names: Vec<NodeId> = self.agents.keys().cloned().collect();
        let present: Vec<&NodeId> = names.iter().filter(|n| !self.lost.contains(n)).collect();
        for name in &present {
            for (key, to, epoch) in
                self.agents.get_mut(*name).expect("the test's set-up works").due(sky)
            {
                if !self.lost.contains(&to) {
                    self.agents
                        .get_mut(&to)
                        .expect("the test's set-up works")
                        .take_over(sky, key, epoch, name);
                }
            }
        }
        for name in &present {
            let agent = self.agents.get_mut(*name).expect("the test's set-up works");
            let said = agent.events.len();
            if self.ms.is_multiple_of(1000) {
                agent.call_all(sky, self.ms / 1000);
            }
            // Events of calls come at once; those of answers are asked for after a report.
            let fresh: Vec<_> = agent.events[said..].to_vec();
            let report = self.ms.is_multiple_of(1000).then(|| agent.report(sky, queue()));
            for event in fresh {
                let frame = protocol::encode(&event).expect("the test's set-up works");
                self.input(Input::Event { key: format!("starbelt/demo/{name}/evt"), frame });
            }
            if let Some(frame) = report {
                self.input(Input::Report { key: format!("starbelt/demo/{name}/tlm/queue"), frame });
            }
        }
        self.input(Input::Tick);
    }

    fn host(&self, task: &str) -> String {
        let list =
            self.controller.placements(self.now(), None, None).expect("the test's set-up works");
        let found = list
            .placements
            .iter()
            .find(|p| p.task.as_str() == task)
            .expect("the test's set-up works");
        found.node.as_ref().map_or_else(|| "nowhere".to_owned(), ToString::to_string)
    }

    fn moves(&self) -> Vec<Handover> {
        let list = self.controller.handovers(true);
        let mut all = [list.handovers, list.failovers].concat();
        all.sort_by_key(|record| record.id);
        all
    }
}

fn before(a: Option<Epoch>, b: Option<Epoch>) -> bool {
    a.zip(b).is_some_and(|(a, b)| a < b)
}

#[test]
fn a_task_follows_the_sky_before_its_window_closes() {
    let mut bed = Bed::new(true);
    bed.until(30.0);
    bed.deploy();
    assert_eq!((bed.host("ingest").as_str(), bed.host("extract").as_str()), ("drone", "sat-1"));
    bed.until(1_000.0);
    assert_eq!(bed.host("extract"), "sat-2");
    let moves = bed.moves();
    let [record] = moves.as_slice() else { panic!("{moves:#?}") };
    assert_eq!((record.kind, record.planned), (HandoverKind::Planned, true));
    assert_eq!(record.state, HandoverState::Serving);
    assert_eq!(record.predicted_close, Some(start().plus_s(600.0)));
    assert!(Some(record.decided_at) <= record.prefetch_done_at);
    assert!(before(record.prefetch_done_at, record.predicted_close));
    assert!(before(record.took_over_at, record.predicted_close));
    assert!(record.took_over_at <= record.first_call_at && record.first_call_at.is_some());
    let info = bed
        .controller
        .workflow(&WorkflowId::new("flood").expect("the test's set-up works"))
        .expect("the test's set-up works");
    assert_eq!(info.placement, PlacementState::Placed);
    assert!(info.slo_violation_s.abs() < 1e-9, "{}", info.slo_violation_s);
    assert!(900.0 < info.placed_s);
}

#[test]
fn without_prediction_it_follows_after_the_violation() {
    let mut bed = Bed::new(false);
    bed.until(30.0);
    bed.deploy();
    let first = bed.host("extract");
    bed.until(1_000.0);
    assert_eq!((first.as_str(), bed.host("extract").as_str()), ("sat-1", "sat-2"));
    for record in bed.moves() {
        assert_eq!((record.kind, record.planned), (HandoverKind::Reactive, false));
        assert_eq!(record.predicted_close, None);
        assert!(record.first_call_at.is_some());
    }
    let info = bed
        .controller
        .workflow(&WorkflowId::new("flood").expect("the test's set-up works"))
        .expect("the test's set-up works");
    assert!(0.0 < info.slo_violation_s);
}

#[test]
fn runs_start_when_every_task_is_served_and_the_driver_knows_every_move() {
    let mut bed = Bed::new(true);
    bed.until(30.0);
    bed.deploy();
    let last_drive = |bed: &Bed| {
        let desired =
            bed.agents[&id("drone")].obeyed.last().expect("the test's set-up works").clone();
        let drive = desired.drives.first().expect("the test's set-up works").clone();
        (drive.every_ms, drive.stages[1].node.to_string())
    };
    bed.until(60.0);
    assert_eq!(last_drive(&bed), (1000, "sat-1".to_owned()));
    bed.until(1_000.0);
    assert_eq!(last_drive(&bed), (1000, "sat-2".to_owned()));
}

#[test]
fn a_lost_host_is_noticed_within_two_leases_and_its_tasks_move() {
    let mut bed = Bed::new(true);
    bed.until(330.0);
    bed.deploy();
    bed.until(360.0);
    let host = id(&bed.host("extract"));
    let lost_at_ms = bed.ms;
    bed.lost.push(host.clone());
    bed.until(700.0);
    let moves = bed.moves();
    let failover =
        moves.iter().find(|m| m.kind == HandoverKind::Failover).expect("the test's set-up works");
    assert_eq!(failover.from, host);
    assert!(failover.detection_ms.is_some_and(|ms| (3_000..=6_000).contains(&ms)), "{failover:?}");
    assert!(failover.first_call_at.is_some());
    assert_ne!(bed.host("extract"), host.to_string());
    assert!(lost_at_ms < bed.ms);
    // It comes back with what it remembers, and is told that the task is gone.
    bed.lost.clear();
    bed.agents.get_mut(&host).expect("the test's set-up works").restart();
    let obeyed = bed.agents[&host].obeyed.len();
    bed.until(760.0);
    let agent = &bed.agents[&host];
    assert!(obeyed < agent.obeyed.len());
    let owns = agent
        .obeyed
        .last()
        .expect("the test's set-up works")
        .tasks
        .iter()
        .any(|task| matches!(task.role, Role::Owner { .. }) && task.task.as_str() == "extract");
    assert!(!owns);
}

/// How a node is made to decline a task.
type Way = fn(&mut FakeAgent, types::TaskId);

#[test]
fn a_node_that_declines_a_task_is_passed_over_and_asked_again() {
    let extract = || types::TaskId::new("extract").expect("the test's set-up works");
    let ways: [(&str, Way); 2] = [
        ("no room for that", |agent, task| agent.declines.push(task)),
        ("it cannot run the function", |agent, task| agent.cannot_run.push(task)),
    ];
    for (reason, decline) in ways {
        let mut bed = Bed::new(true);
        // Both satellites would do from here on, `sat-2` for longer.
        bed.until(330.0);
        decline(bed.agents.get_mut(&id("sat-2")).expect("the test's set-up works"), extract());
        bed.deploy();
        bed.until(420.0);
        assert_eq!(bed.host("extract"), "sat-1", "{reason}");
        let flood = WorkflowId::new("flood").expect("the test's set-up works");
        let explained = bed.controller.decision(&flood).expect("a decision").decision;
        let said = format!("sat-2: has declined the task: {reason}");
        assert!(explained.contains(&said), "{explained}");
        let owners = |bed: &Bed, node: &str| {
            let held = &bed.agents[&id(node)].held;
            held.iter()
                .filter(|(key, held)| key.1 == extract() && held.phase == Phase::Active)
                .count()
        };
        assert_eq!((owners(&bed, "sat-1"), owners(&bed, "sat-2")), (1, 0), "{reason}");

        // It was started anew with room, and is asked before the window of the other closes.
        let agent = bed.agents.get_mut(&id("sat-2")).expect("the test's set-up works");
        (agent.declines, agent.cannot_run) = (vec![], vec![]);
        agent.restart();
        bed.until(1_100.0);
        assert_eq!(bed.host("extract"), "sat-2", "{reason}");
        assert_eq!((owners(&bed, "sat-1"), owners(&bed, "sat-2")), (0, 1), "{reason}");
        let planned = bed.moves().iter().filter(|m| m.planned && m.took_over_at.is_some()).count();
        assert_eq!(planned, 1, "{reason}: {:#?}", bed.moves());
    }
}

#[test]
fn where_all_decline_nothing_is_placed_and_each_says_why() {
    let mut bed = Bed::new(true);
    bed.until(330.0);
    for agent in bed.agents.values_mut() {
        agent.declines.push(types::TaskId::new("extract").expect("the test's set-up works"));
    }
    bed.deploy();
    bed.until(420.0);
    let flood = WorkflowId::new("flood").expect("the test's set-up works");
    let info = bed.controller.workflow(&flood).expect("it is known");
    assert_eq!(info.placement, PlacementState::Refused);
    let explained = bed.controller.decision(&flood).expect("a decision").decision;
    for node in ["sat-1", "sat-2"] {
        let said = format!("{node}: has declined the task: no room for that");
        assert!(explained.contains(&said), "{explained}");
    }
}

#[test]
fn a_controller_that_is_started_anew_adopts_what_runs() {
    let mut bed = Bed::new(true);
    bed.until(30.0);
    bed.deploy();
    bed.until(1_000.0);
    let (host, moves) = (bed.host("extract"), bed.moves());
    let tasks =
        bed.agents[&id("sat-2")].obeyed.last().expect("the test's set-up works").tasks.clone();
    bed.restart_controller(2);
    assert_eq!(bed.controller.health(bed.now(), 0).state, HealthState::Starting);
    bed.until(1_060.0);
    assert_eq!(bed.controller.health(bed.now(), 0).state, HealthState::Ready);
    assert_eq!((bed.host("extract"), bed.moves()), (host, moves));
    let newest = bed.agents[&id("sat-2")].obeyed.last().expect("the test's set-up works");
    assert_eq!(newest.epoch, LeaderEpoch(2));
    assert_eq!(newest.tasks, tasks, "the same again: adopted, nothing restarts");
}

#[test]
fn a_controller_that_missed_a_hand_over_adopts_the_new_owner() {
    let mut bed = Bed::new(true);
    bed.until(30.0);
    bed.deploy();
    bed.until(510.0);
    assert_eq!(bed.host("extract"), "sat-1");
    let left = bed.saved.clone();
    bed.until(700.0);
    assert_eq!(bed.host("extract"), "sat-2");
    // What the old process kept last was written before the hand-over.
    bed.saved = left;
    bed.restart_controller(2);
    bed.until(760.0);
    assert_eq!(bed.host("extract"), "sat-2");
    assert!(bed.moves().iter().all(|record| record.kind == HandoverKind::Planned));
}

#[test]
fn a_deposed_controller_keeps_quiet() {
    let mut bed = Bed::new(true);
    bed.until(30.0);
    bed.deploy();
    bed.until(60.0);
    for agent in bed.agents.values_mut() {
        agent.epoch = LeaderEpoch(9);
        agent.restart();
    }
    bed.until(90.0);
    assert_eq!(bed.controller.health(bed.now(), 0).state, HealthState::Deposed);
    let told = bed.tells.len();
    bed.until(900.0);
    assert_eq!(bed.tells.len(), told);
}

#[test]
fn a_workflow_that_cannot_be_is_refused_with_the_reason() {
    let mut bed = Bed::new(true);
    bed.until(30.0);
    let missing = bed.controller.submit(bed.now(), workflow()).unwrap_err();
    assert!(matches!(missing, SubmitError::NoFunction { .. }), "{missing}");
    bed.deploy();
    let mut other = workflow();
    other.tasks[0].pinned = Some(id("nowhere"));
    let error = bed.controller.submit(bed.now(), other).unwrap_err();
    assert!(error.to_string().contains("no node nowhere"), "{error}");
    let mut other = workflow();
    other.tasks.pop();
    let error = bed.controller.submit(bed.now(), other).unwrap_err();
    assert!(matches!(error, SubmitError::OtherTasks(_)), "{error}");
    let mut tight = workflow();
    tight.id = WorkflowId::new("tight").expect("the test's set-up works");
    tight.tasks[1].after[0].latency_max_ms = Some(1.0);
    let outputs = bed.controller.submit(bed.now(), tight.clone()).expect("the test's set-up works");
    bed.carry_out(outputs);
    let info = bed.controller.workflow(&tight.id).expect("the test's set-up works");
    assert_eq!(info.placement, PlacementState::Refused);
    let on_sat =
        info.refusals.iter().find(|r| r.node == id("sat-2")).expect("the test's set-up works");
    assert!(on_sat.text.contains("sat-2"), "{on_sat:?}");
}

/// Nodes that own a task of a workflow, as they say, each with its epoch.
fn owners(bed: &Bed, workflow: &str, task: &str) -> Vec<(String, u64)> {
    let is_it = |key: &support::Key| key.0.as_str() == workflow && key.1.as_str() == task;
    let of = |(node, agent): (&NodeId, &FakeAgent)| {
        let held =
            agent.held.iter().filter(|(key, held)| is_it(key) && held.phase == Phase::Active);
        held.map(|(_, held)| (node.to_string(), held.epoch.0)).collect::<Vec<_>>()
    };
    bed.agents.iter().flat_map(of).collect()
}

fn submit(bed: &mut Bed, workflow: placement::Workflow) {
    let outputs = bed.controller.submit(bed.now(), workflow).expect("the test's set-up works");
    bed.carry_out(outputs);
}

#[test]
fn a_workflow_gives_way_to_one_of_a_higher_class_and_goes_on_when_there_is_room() {
    let mut bed = Bed::new(true);
    let (flood, storm) = (workflow().id, WorkflowId::new("storm").expect("a name"));
    bed.until(30.0);
    bed.deploy();
    bed.until(60.0);
    assert_eq!(owners(&bed, "flood", "extract"), [("sat-1".to_owned(), 1)]);
    // Until 300 s one satellite is near the drone, and it carries one of the two.
    let mut other = workflow();
    (other.id, other.priority) = (storm.clone(), placement::Priority::Normal);
    submit(&mut bed, other.clone());
    let state = |bed: &Bed, id: &WorkflowId| bed.controller.workflow(id).expect("known").placement;
    assert_eq!(state(&bed, &storm), PlacementState::Refused);
    other.priority = placement::Priority::Critical;
    submit(&mut bed, other);
    bed.until(90.0);
    assert_eq!(state(&bed, &storm), PlacementState::Placed);
    let info = bed.controller.workflow(&flood).expect("known");
    assert_eq!(
        (info.placement, info.set_aside_for),
        (PlacementState::SetAside, Some(storm.clone()))
    );
    assert_eq!(owners(&bed, "storm", "extract"), [("sat-1".to_owned(), 1)]);
    for task in ["ingest", "extract"] {
        assert_eq!(owners(&bed, "flood", task), [], "gang: none of it runs");
    }
    // What it stored is where it was.
    let extract = types::TaskId::new("extract").expect("a name");
    assert_eq!(bed.controller.holders(&flood, &extract).first(), Some(&id("sat-1")));
    let why = bed.controller.placements(bed.now(), Some(&flood), None).expect("known");
    assert!(why.placements.iter().all(|p| p.node.is_none()), "{why:#?}");
    let because = &why.placements[1].because;
    assert!(because.starts_with("set aside for storm since 2026-01-01T00:01:"), "{because}");

    bed.restart_controller(2);
    bed.until(200.0);
    assert_eq!(state(&bed, &flood), PlacementState::SetAside);
    // The other satellite is near by now, and kept free for the hand-over of the storm.
    bed.until(420.0);
    assert_eq!(state(&bed, &flood), PlacementState::SetAside);
    let outputs = bed.controller.remove_workflow(bed.now(), &storm).expect("it is there");
    bed.carry_out(outputs);
    bed.until(450.0);
    assert_eq!(state(&bed, &flood), PlacementState::Placed);
    // Under an epoch that fences off all before.
    assert_eq!(owners(&bed, "flood", "ingest"), [("drone".to_owned(), 3)]);
    assert_eq!(owners(&bed, "flood", "extract").len(), 1);
    assert!(owners(&bed, "flood", "extract").iter().all(|(_, epoch)| *epoch == 3));
    let info = bed.controller.workflow(&flood).expect("known");
    assert!(info.driving && info.set_aside_for.is_none());
}

#[test]
fn a_removed_workflow_leaves_its_nodes_and_one_of_its_name_goes_on_under_a_higher_epoch() {
    let mut bed = Bed::new(true);
    bed.until(30.0);
    bed.deploy();
    bed.until(60.0);
    let flood = workflow().id;
    let extract = FunctionId::new("extract").expect("a name");
    bed.controller.remove(bed.now(), &extract).expect_err("it is used");
    let outputs = bed.controller.remove_workflow(bed.now(), &flood).expect("it is there");
    bed.carry_out(outputs);
    bed.until(90.0);
    assert_eq!(
        (owners(&bed, "flood", "ingest"), owners(&bed, "flood", "extract")),
        (vec![], vec![])
    );
    assert_eq!(bed.controller.workflows().workflows, []);
    let error = bed.controller.remove_workflow(bed.now(), &flood).expect_err("it is gone");
    assert_eq!(error.to_string(), "workflow flood is not known; there is none");
    bed.restart_controller(2);
    bed.until(150.0);
    assert_eq!(bed.controller.workflows().workflows, []);

    // Other tasks are no matter any more.
    let mut other = workflow();
    other.tasks[1].milli_cpu.0 = 3_000;
    submit(&mut bed, other);
    bed.until(210.0);
    assert_eq!(owners(&bed, "flood", "extract"), [("sat-1".to_owned(), 3)]);
    let outputs = bed.controller.remove_workflow(bed.now(), &flood).expect("it is there");
    bed.carry_out(outputs);
    bed.controller.remove(bed.now(), &extract).expect("nothing uses it");
}
