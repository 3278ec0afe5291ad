//! Stories of moves: planned, after a violation, forced; and of those that come to nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use placement::{Assignment, Constraint, Next, NodeRefusal, Plan, Workflow};
use protocol::desired::{FunctionRef, Phase, Role, SourceRef, TaskStatus};
use topology::ContactWindow;
use types::{Capacity, FunctionId, LatencyUs, MiB, MilliCpu};

use super::*;
use crate::api::{HandoverKind, HandoverState};
use crate::event::Moment;

/// Sky seconds per wall second, as in the demo.
const RATE: f64 = 30.0;

fn id(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn sky(seconds: f64) -> Epoch {
    Epoch::parse("2026-01-01T00:00:00Z").unwrap().plus_s(seconds)
}

fn key() -> TaskKey {
    TaskKey { workflow: WorkflowId::new("w").unwrap(), task: TaskId::new("t").unwrap() }
}

fn window(close_s: f64) -> ContactWindow {
    ContactWindow {
        id: WindowId(7),
        a: id("a"),
        b: id("drone"),
        open: sky(0.0),
        close: sky(close_s),
        open_known: true,
        close_known: true,
        latency_max: LatencyUs(20_000),
    }
}

/// A table with one task, and the world around it.
struct Story {
    hosting: Hosting,
    world: World,
    plan: Plan,
}

impl Story {
    /// A task on `a` whose window closes at 600 s, with its second copy on `c`.
    fn new() -> Self {
        let room = Capacity { milli_cpu: MilliCpu(4000), memory_mib: MiB(4096) };
        let node = NodeNow { is_alive: true, silence: Duration::ZERO, capacity: room };
        let nodes = ["a", "b", "c", "d"].map(|name| (id(name), node));
        let assignment = Assignment {
            task: key().task,
            node: id("a"),
            because: "it holds".to_owned(),
            window: Some(window(600.0)),
            next: None,
            replica: Some(id("c")),
            latency_now: None,
            refused: vec![],
        };
        let mut story = Self {
            hosting: Hosting::default(),
            world: World {
                moment: Moment { instant: Instant(0), sky: sky(0.0), rate: RATE },
                nodes: BTreeMap::from(nodes),
                promises: BTreeMap::from([(key(), room)]),
                pinned: BTreeSet::new(),
                forbidden: BTreeSet::new(),
                declined: BTreeMap::new(),
            },
            plan: Plan {
                workflow: key().workflow,
                at: sky(0.0),
                assignments: vec![assignment],
                sets_aside: vec![],
            },
        };
        story.apply();
        story.stands("a", Phase::Active, 1);
        story
    }

    fn at(&mut self, seconds: f64) -> &mut Self {
        let wall_ns = Duration::from_secs_f64(seconds / RATE).as_nanos();
        self.world.moment.instant = Instant(u64::try_from(wall_ns).unwrap());
        self.world.moment.sky = sky(seconds);
        self
    }

    fn assignment(&mut self) -> &mut Assignment {
        &mut self.plan.assignments[0]
    }

    /// The planner sees `b` follow at `at_s`.
    fn next_at(&mut self, at_s: f64) -> &mut Self {
        let window = window(1200.0);
        self.assignment().next = Some(Next { node: id("b"), at: sky(at_s), window });
        self
    }

    fn lose(&mut self, name: &str) -> &mut Self {
        let node = self.world.nodes.get_mut(&id(name)).unwrap();
        node.is_alive = false;
        node.silence = Duration::from_millis(3100);
        self
    }

    fn apply(&mut self) -> &mut Self {
        self.hosting.apply(&self.world, &self.plan);
        self.hosting.tend(&self.world, |_| true);
        self
    }

    fn prepared(&mut self, name: &str) -> &mut Self {
        let at = self.world.moment.sky;
        self.hosting.prepared(&self.world, &key(), &id(name), at);
        self
    }

    fn took_over(&mut self, name: &str, epoch: u64, from: &str) -> bool {
        let at = self.world.moment.sky;
        self.hosting.took_over(&key(), &id(name), OwnerEpoch(epoch), Some(&id(from)), at)
    }

    fn stands(&mut self, name: &str, phase: Phase, epoch: u64) -> &mut Self {
        let TaskKey { workflow, task } = key();
        let owner_epoch = OwnerEpoch(epoch);
        let status = TaskStatus { workflow, task, phase, owner_epoch, state_bytes: 0 };
        self.hosting.stands(&self.world, &id(name), &status);
        self
    }

    fn host(&self) -> &Host {
        self.hosting.host(&key()).unwrap()
    }

    /// Owner, epoch, second copy, next host.
    fn stand(&self) -> (&str, u64, Option<&str>, Option<&str>) {
        let host = self.host();
        (
            host.node.as_str(),
            host.owner_epoch.0,
            host.second_copy().map(NodeId::as_str),
            host.step.as_ref().map(|step| step.to.as_str()),
        )
    }

    /// What each node is told about the task.
    fn told(&self) -> Vec<String> {
        let text = r#"
            id = "w"
            run_deadline_ms = 1
            [[task]]
            id = "t"
            function = "f"
            milli_cpu = 4000
            memory_mib = 4096
            linear_memory_mib = 1
            expected_run_s = 1.0
            deadline_ms = 1
            sources = [{ source = "dem" }]
            [[source]]
            name = "dem"
            node = "d"
        "#;
        let workflow: Workflow = toml::from_str(text).unwrap();
        let name = FunctionId::new("f").unwrap();
        let code = FunctionRef { name: name.clone(), sha256: [0; 32], bytes: 1, manifest: [1; 32] };
        let known = KnownFunction { code, calls: vec![] };
        let functions = BTreeMap::from([(name, known)]);
        let wanted = self.hosting.wanted([&workflow].into_iter(), &functions, |_| true);
        let all = wanted.into_iter().flat_map(|(node, wanted)| {
            let drives = wanted.drives.len();
            wanted.tasks.into_iter().map(move |task| {
                // Who runs it and who is to follow fetch its data ahead.
                let dem = SourceRef { name: TaskId::new("dem").unwrap(), node: id("d") };
                assert_eq!(task.sources, [dem]);
                let role = match task.role {
                    Role::Owner { owner_epoch, successor } => {
                        let to =
                            successor.map_or_else(|| "nobody".to_owned(), |s| s.node.to_string());
                        format!("owner {owner_epoch} then {to}")
                    }
                    Role::Standby { owner, .. } => format!("waits for {owner}"),
                };
                let copy =
                    task.replica.map_or_else(|| "nowhere".to_owned(), |node| node.to_string());
                format!("{node}: {role}, copy on {copy}, {drives} drives")
            })
        });
        all.collect()
    }

    fn record(&self) -> &crate::api::Handover {
        self.hosting.ledger().records().last().unwrap()
    }
}

#[test]
fn a_planned_hand_over_is_announced_prepared_taken_over_and_recorded() {
    let mut story = Story::new();
    assert_eq!(story.stand(), ("a", 1, Some("c"), None));
    story.next_at(500.0).at(300.0).apply();
    assert_eq!(
        story.told(),
        ["a: owner 1 then b, copy on b, 1 drives", "b: waits for a, copy on a, 0 drives"]
    );
    story.at(330.0).prepared("b").at(400.0).apply();
    story.at(501.0);
    assert!(story.took_over("b", 2, "a"));
    assert_eq!(story.stand(), ("b", 2, Some("a"), None));
    assert_eq!(story.told(), ["b: owner 2 then nobody, copy on a, 1 drives"]);
    story.at(520.0);
    let now = story.world.moment.sky;
    story.hosting.first_call(&key(), &id("b"), OwnerEpoch(2), now);
    let record = story.record();
    assert_eq!((record.kind, record.planned), (HandoverKind::Planned, true));
    assert_eq!((record.from.as_str(), record.to.as_str()), ("a", "b"));
    assert_eq!(record.window_id.as_deref(), Some("0000000000000007"));
    assert_eq!(record.predicted_close, Some(sky(600.0)));
    assert_eq!(record.decided_at, sky(300.0));
    assert_eq!(record.prefetch_done_at, Some(sky(330.0)));
    assert_eq!(record.took_over_at, Some(sky(501.0)));
    assert_eq!(record.first_call_at, Some(sky(520.0)));
    assert_eq!(record.state, HandoverState::Serving);
}

#[test]
fn what_lies_far_ahead_is_not_announced_yet() {
    let mut story = Story::new();
    story.next_at(5_000.0).apply();
    assert_eq!(story.stand().3, None);
    story.at(3_200.0).apply();
    assert_eq!(story.stand().3, Some("b"));
}

#[test]
fn a_hand_over_that_is_due_at_once_waits_for_its_preparation() {
    let mut story = Story::new();
    story.next_at(520.0).at(500.0).apply();
    assert_eq!(
        story.told(),
        ["a: owner 1 then nobody, copy on b, 1 drives", "b: waits for a, copy on a, 0 drives"]
    );
    story.at(530.0).prepared("b");
    assert!(story.record().planned);
    assert_eq!(story.told()[0], "a: owner 1 then b, copy on b, 1 drives");
}

#[test]
fn without_prediction_a_move_comes_after_the_violation_and_is_not_planned() {
    let mut story = Story::new();
    story.assignment().window = None;
    story.at(300.0).apply();
    story.assignment().node = id("b");
    story.at(610.0).apply();
    assert_eq!(story.told()[0], "a: owner 1 then nobody, copy on b, 1 drives");
    story.at(640.0).prepared("b");
    assert_eq!(story.told()[0], "a: owner 1 then b, copy on b, 1 drives");
    story.at(680.0).took_over("b", 2, "a");
    let record = story.record();
    assert_eq!((record.kind, record.planned), (HandoverKind::Reactive, false));
    assert_eq!((record.window_id.as_deref(), record.predicted_close), (None, None));
}

#[test]
fn a_successor_lost_in_time_costs_nothing() {
    let mut story = Story::new();
    story.next_at(500.0).at(100.0).apply();
    story.assignment().next = None;
    story.at(200.0).lose("b").apply();
    assert_eq!(story.stand(), ("a", 1, Some("c"), None));
    assert_eq!(story.record().state, HandoverState::Abandoned);
    assert_eq!(story.told(), ["a: owner 1 then nobody, copy on c, 1 drives"]);
}

#[test]
fn a_successor_lost_while_the_grant_may_be_on_its_way_is_fenced_off() {
    let mut story = Story::new();
    story.next_at(500.0).at(100.0).apply();
    story.assignment().next = None;
    story.at(510.0).lose("b").apply();
    assert_eq!(story.stand(), ("a", 3, Some("c"), None));
    // What it says when it comes back is of an older epoch.
    assert!(!story.took_over("b", 2, "a"));
    assert_eq!(story.stand().0, "a");
}

#[test]
fn a_successor_that_does_not_take_over_is_given_up_and_the_old_host_fences_it() {
    let mut story = Story::new();
    story.next_at(500.0).at(100.0).apply();
    story.at(510.0).apply();
    assert_eq!(story.stand(), ("a", 1, Some("b"), Some("b")));
    story.assignment().next = None;
    // Six wall seconds after its time.
    story.at(500.0 + 6.0 * RATE).apply();
    assert_eq!(story.stand(), ("a", 3, Some("c"), None));
}

#[test]
fn plans_that_flutter_move_nothing() {
    let mut story = Story::new();
    story.next_at(500.0).at(100.0).apply();
    let to_d = |story: &mut Story| {
        story.assignment().next.as_mut().unwrap().node = id("d");
    };
    to_d(&mut story);
    story.at(110.0).apply();
    story.next_at(500.0).at(120.0).apply();
    to_d(&mut story);
    story.at(130.0).apply().at(160.0).apply();
    assert_eq!(story.stand().3, Some("b"));
    // Two wall seconds of the same other wish are a change of plan.
    story.at(191.0).apply().at(192.0).apply();
    assert_eq!(story.stand().3, Some("d"));
    assert_eq!(story.hosting.ledger().records()[0].state, HandoverState::Abandoned);
}

#[test]
fn a_corrected_close_corrects_the_time() {
    let mut story = Story::new();
    story.next_at(500.0).at(100.0).apply();
    story.next_at(503.0).at(110.0).apply();
    assert_eq!(story.host().step.as_ref().unwrap().at, Some(sky(500.0)));
    story.assignment().window = Some(window(650.0));
    story.next_at(550.0).at(120.0).apply();
    assert_eq!(story.host().step.as_ref().unwrap().at, Some(sky(550.0)));
    assert_eq!(story.record().predicted_close, Some(sky(650.0)));
}

#[test]
fn a_lost_host_is_followed_by_who_is_prepared() {
    let mut story = Story::new();
    story.next_at(500.0).at(100.0).apply().prepared("b");
    story.assignment().node = id("d");
    story.at(200.0).lose("a").apply();
    assert_eq!(story.stand(), ("b", 3, Some("c"), None));
    let record = story.record();
    assert_eq!((record.kind, record.planned), (HandoverKind::Failover, false));
    assert_eq!(record.detection_ms, Some(3100));
    assert!(record.reason.contains("a was silent for 3.1 s"), "{}", record.reason);
    assert_eq!(story.hosting.ledger().records()[0].state, HandoverState::Abandoned);
    // It says so itself, and answers.
    assert!(!story.took_over("b", 3, "a"));
    assert_eq!(story.record().took_over_at, Some(sky(200.0)));
}

#[test]
fn a_lost_host_is_followed_by_its_second_copy_even_if_another_node_suits_better() {
    let mut story = Story::new();
    story.assignment().node = id("d");
    story.at(200.0).lose("a").apply();
    assert_eq!((story.stand().0, story.stand().1), ("c", 3));
}

#[test]
fn a_second_copy_that_cannot_run_the_task_does_not_follow() {
    let mut story = Story::new();
    story.assignment().node = id("d");
    story.assignment().refused = vec![NodeRefusal {
        node: id("c"),
        constraint: Constraint::Cpu,
        at: sky(0.0),
        value: 0.0,
        limit: 4000.0,
        unit: "mCPU",
    }];
    story.at(200.0).lose("a").apply();
    assert_eq!(story.stand().0, "a", "its state is on a living node, which may get room");
    story.at(200.0 + 20.0 * RATE).apply();
    assert_eq!((story.stand().0, story.stand().1), ("d", 3));
}

#[test]
fn when_all_who_hold_the_state_are_lost_one_may_come_back_before_the_task_starts_anew() {
    let mut story = Story::new();
    story.assignment().node = id("d");
    story.at(200.0).lose("a").lose("c").apply();
    assert_eq!((story.stand().0, story.stand().1), ("a", 1));
    story
        .at(200.0 + 0.9 * HEIR_WAIT.as_secs_f64() * RATE)
        .world
        .nodes
        .get_mut(&id("c"))
        .unwrap()
        .is_alive = true;
    story.apply();
    assert_eq!((story.stand().0, story.stand().1), ("c", 3));
}

#[test]
fn state_without_a_second_copy_is_waited_for_and_a_task_that_never_served_is_not() {
    for (has_served, host) in [(true, "a"), (false, "d")] {
        let mut story = Story::new();
        let kept = story.hosting.hosts.get_mut(&key()).unwrap();
        (kept.replica, kept.has_served) = (None, has_served);
        story.assignment().replica = None;
        story.assignment().node = id("d");
        story.at(200.0).lose("a").apply();
        assert_eq!(story.stand().0, host);
    }
}

#[test]
fn a_pinned_task_stays_with_its_node_also_when_that_is_lost() {
    let mut story = Story::new();
    story.world.pinned.insert(key());
    story.at(200.0).lose("a");
    story.hosting.tend(&story.world, |_| false);
    assert_eq!((story.stand().0, story.stand().1), ("a", 1));
}

#[test]
fn a_lost_keeper_of_the_second_copy_is_not_named_any_more() {
    let mut story = Story::new();
    story.assignment().replica = None;
    story.at(200.0).apply();
    assert_eq!(story.host().replica, Some(id("c")), "nobody better is known");
    story.lose("c").apply();
    assert_eq!(story.host().replica, None);
}

#[test]
fn a_keeper_that_must_not_see_the_data_is_not_named_any_more() {
    let mut story = Story::new();
    story.assignment().replica = None;
    story.world.forbidden.insert((key(), id("c")));
    story.at(200.0).apply();
    assert_eq!(story.host().replica, None);
}

#[test]
fn without_a_plan_neither_heir_nor_keeper_is_one_that_must_not_see_the_data() {
    let mut story = Story::new();
    story.world.forbidden.extend([(key(), id("b")), (key(), id("c"))]);
    story.at(200.0).lose("a");
    story.hosting.tend(&story.world, |_| false);
    assert_eq!(
        (story.stand().0, story.stand().1),
        ("a", 1),
        "c holds the copy, but must not run it"
    );
    let mut story = Story::new();
    story.world.forbidden.insert((key(), id("b")));
    story.at(200.0).lose("a");
    story.hosting.tend(&story.world, |_| false);
    assert_eq!(story.stand().0, "c");
    assert_eq!(story.host().replica, Some(id("d")), "b comes before it, but must not see the data");
}

#[test]
fn without_a_plan_a_second_copy_still_follows_a_lost_host() {
    let mut story = Story::new();
    story.at(200.0).lose("a");
    story.hosting.tend(&story.world, |_| false);
    assert_eq!((story.stand().0, story.stand().1), ("c", 3));
}

#[test]
fn without_a_plan_somebody_alive_keeps_the_second_copy() {
    let mut story = Story::new();
    story.at(200.0).lose("a");
    story.hosting.tend(&story.world, |_| false);
    assert_eq!(story.host().replica, Some(id("b")), "the first in order that is alive");
    story.lose("b");
    story.hosting.tend(&story.world, |_| false);
    assert_eq!(story.host().replica, Some(id("d")));
}

#[test]
fn a_full_node_is_not_told_to_wait_for_a_task() {
    let mut story = Story::new();
    let other = TaskKey { task: TaskId::new("other").unwrap(), ..key() };
    let promise = story.world.promises[&key()];
    story.world.promises.insert(other.clone(), promise);
    let mut host = story.host().clone();
    host.node = id("b");
    story.hosting.hosts.insert(other.clone(), host);
    story.next_at(500.0).at(300.0).apply();
    assert_eq!(story.stand().3, None);
    story.hosting.hosts.remove(&other);
    story.apply();
    assert_eq!(story.stand().3, Some("b"));
}

#[test]
fn an_owner_that_the_table_does_not_know_of_is_adopted() {
    let mut story = Story::new();
    story.stands("b", Phase::Active, 2);
    assert_eq!(story.stand(), ("b", 2, Some("a"), None));
}

#[test]
fn an_owner_that_does_not_serve_for_long_gets_a_new_epoch() {
    let mut story = Story::new();
    story.at(30.0).stands("a", Phase::Released, 4).apply();
    assert_eq!(story.hosting.doubtful().count(), 1);
    story.at(60.0).stands("a", Phase::Active, 1).apply();
    assert_eq!(story.hosting.doubtful().count(), 0);
    story.at(90.0).stands("a", Phase::Released, 4).apply();
    story.at(90.0 + 4.0 * RATE).stands("a", Phase::Released, 4).apply();
    assert_eq!((story.stand().0, story.stand().1), ("a", 6));
}

#[test]
fn an_old_preparation_of_the_same_node_does_not_count() {
    let mut story = Story::new();
    story.next_at(500.0).at(100.0).apply();
    story.hosting.prepared(&story.world, &key(), &id("b"), sky(10.0));
    assert_eq!(story.record().state, HandoverState::Decided);
    story.stands("b", Phase::Ready, 1);
    assert_eq!(story.record().state, HandoverState::Prepared);
}

#[test]
fn the_table_survives_its_file() {
    let mut story = Story::new();
    story.next_at(500.0).at(100.0).apply().prepared("b");
    let text = serde_json::to_string(&story.hosting.save()).unwrap();
    let restored = Hosting::restore(serde_json::from_str(&text).unwrap());
    assert_eq!(restored.hosts, story.hosting.hosts);
    assert_eq!(restored.ledger().records(), story.hosting.ledger().records());
}

proptest::proptest! {
    /// Whatever plans, losses and events come: there is one owner at a time, and epochs only rise.
    #[test]
    fn one_owner_at_a_time_and_epochs_only_rise(
        steps in proptest::collection::vec((0..7_u8, 0..4_usize, 0..4_usize), 1..60),
    ) {
        let names = ["a", "b", "c", "d"];
        let mut story = Story::new();
        let mut epoch = story.host().owner_epoch;
        for (index, (what, one, other)) in (1_u32..).zip(steps) {
            story.at(f64::from(index) * 40.0);
            match what {
                0 => story.assignment().node = id(names[one]),
                1 => {
                    let at = story.world.moment.sky.plus_s(200.0);
                    let window = window(f64::from(index) * 40.0 + 600.0);
                    story.assignment().next = Some(Next { node: id(names[one]), at, window });
                }
                2 => story.assignment().next = None,
                3 => {
                    let node = story.world.nodes.get_mut(&id(names[one])).unwrap();
                    node.is_alive = !node.is_alive;
                }
                4 => {
                    story.prepared(names[one]);
                }
                5 => {
                    let next = story.host().owner_epoch.next().0;
                    story.took_over(names[one], next, names[other]);
                }
                _ => {
                    let next = story.host().owner_epoch.0 + u64::from(one == 0);
                    story.stands(names[other], [Phase::Active, Phase::Released][one % 2], next);
                }
            }
            story.assignment().replica = Some(id(names[other]));
            story.apply();
            let host = story.host();
            proptest::prop_assert!(epoch <= host.owner_epoch);
            epoch = host.owner_epoch;
            proptest::prop_assert_ne!(host.second_copy(), Some(&host.node));
            proptest::prop_assert!(host.step.as_ref().is_none_or(|step| step.to != host.node));
            let told = story.told();
            let owners = told.iter().filter(|line| line.contains("owner")).count();
            proptest::prop_assert_eq!(owners, 1, "{:?}", told);
            proptest::prop_assert!(told.len() <= 2, "{:?}", told);
        }
    }
}

#[test]
fn what_a_node_declined_before_it_served_begins_elsewhere_at_once() {
    for has_served in [false, true] {
        let mut story = Story::new();
        story.hosting.hosts.get_mut(&key()).unwrap().has_served = has_served;
        story.world.declined.insert((key(), id("a")), "no room".to_owned());
        story.assignment().node = id("b");
        story.apply();
        let expected = if has_served {
            // There is state to hand over: it is prepared first.
            ("a", 1, Some("b"), Some("b"))
        } else {
            ("b", 3, Some("c"), None)
        };
        let (node, epoch, copy, next) = story.stand();
        assert_eq!((node, epoch, next), (expected.0, expected.1, expected.3), "{copy:?}");
    }
}
