//! Whatever the seed: the program finds a start from which function and state can be handed on.
//!
//! Plans only, no processes: the sky of the demo, its contact plan, and the decisions about its workflow.

use std::path::Path;
use std::time::Duration;

use clap::Parser;
use hil_tests::fleet::{Fleet, Member};
use hil_tests::layout;
use hil_tests::options::Options;
use placement::{Assignment, Decision, NodeView, Prediction, Running, Snapshot, Task, Workflow};
use topology::ContactPlan;
use types::{Arch, Epoch, NodeId, PlanVersion};

/// What the demo's controller uses.
const GUARD_S: f64 = 45.0;
const STEP_MS: u32 = 10_000;
/// How long the fleet takes to come up, sky seconds.
const UP_AFTER_S: f64 = 150.0;

/// The function that follows the sky.
const FOLLOWER: &str = "extract-frames";

fn fleet(arguments: &[&str]) -> Fleet {
    let options = Options::parse_from([&["demo"], arguments].concat());
    Fleet::choose(&options).expect("a fleet for every seed")
}

fn view(member: &Member) -> NodeView {
    let mut view = NodeView::new(member.node.clone(), member.kind, Arch::X86_64, member.capacity);
    view.battery_wh = member.body.battery_wh;
    view.state_of_charge = member.body.battery_wh.map(|_| 0.9);
    view.idle_w = member.body.idle_w;
    view.solar_w = member.body.solar_w;
    view.reserve = 0.2;
    view
}

/// What runs once a plan is carried out, with the follower at its next host.
fn carried_out(workflow: &Workflow, assignments: &[Assignment], hop: bool) -> Vec<Running> {
    let running = |(assignment, task): (&Assignment, &Task)| {
        let next = assignment.next.as_ref().filter(|_| hop && task.id.as_str() == FOLLOWER);
        let node = next.map_or(&assignment.node, |next| &next.node).clone();
        Running { node, ..Running::begun(workflow, task, assignment) }
    };
    assignments.iter().zip(&workflow.tasks).map(running).collect()
}

struct Story {
    snapshot: Snapshot,
    seed: String,
}

impl Story {
    fn new(fleet: &Fleet, seed: &str) -> Self {
        let text = layout::workflow_toml(fleet, layout::FLOOD_RESPONSE);
        let workflow: Workflow = toml::from_str(&text).expect("a shipped workflow");
        let horizon = Duration::from_secs(6_000);
        let plan: ContactPlan = fleet
            .sky
            .contact_plan(PlanVersion(1), fleet.start, horizon, STEP_MS)
            .expect("a plan for every start");
        let options = placement::Options { guard_s: GUARD_S, ..placement::Options::default() };
        let snapshot = Snapshot {
            now: fleet.start.plus_s(UP_AFTER_S),
            plan,
            nodes: fleet.members.iter().map(view).collect(),
            running: Vec::new(),
            prediction: Prediction::On,
            options,
            workflow,
        };
        Self { snapshot, seed: seed.to_owned() }
    }

    fn decide(&self) -> Vec<Assignment> {
        match self.snapshot.decide() {
            Decision::Placed(plan) => plan.assignments,
            Decision::Refused(refusal) => panic!("seed {}: {refusal}", self.seed),
        }
    }

    /// Takes the next hand-over of the follower, if one is planned: who it goes to, when, and when the window closes.
    fn hop(&mut self) -> Option<(NodeId, Epoch, Epoch)> {
        // Placed, then looked at again with what runs: a second look may have to make room first.
        for _ in 0..3 {
            let placed = self.decide();
            self.snapshot.running = carried_out(&self.snapshot.workflow, &placed, false);
        }
        let placed = self.decide();
        let follower = placed.iter().find(|one| one.task.as_str() == FOLLOWER);
        let follower = follower.expect("the workflow has one");
        let next = follower.next.clone()?;
        let close = follower.window.as_ref().expect("predicted").close;
        self.snapshot.running = carried_out(&self.snapshot.workflow, &placed, true);
        self.snapshot.now = next.at.plus_s(10.0);
        Some((next.node, next.at, close))
    }
}

/// How many hand-overs in a row are planned from a seed's start on, at most two; the first within a minute (wall).
fn hops(arguments: &[&str], seed: u32) -> usize {
    let seed = seed.to_string();
    let fleet = fleet(&[arguments, &["--seed", &seed]].concat());
    let mut story = Story::new(&fleet, &seed);
    let Some((first, at, close)) = story.hop() else { return 0 };
    assert!(at < close, "seed {seed}");
    let after_s = close.seconds_since(fleet.start);
    assert!((300.0..=1_800.0).contains(&after_s), "seed {seed}: closes after {after_s} s");
    let Some((second, again, close)) = story.hop() else { return 1 };
    assert!(first != second && at < again && again < close, "seed {seed}");
    2
}

#[test]
fn every_start_above_the_built_in_shell_has_two_planned_hand_overs() {
    for seed in 1..6 {
        assert_eq!(hops(&[], seed), 2, "seed {seed}");
    }
}

#[test]
fn most_starts_above_iridium_have_a_planned_hand_over() {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/omm/iridium-next.json");
    if !file.is_file() {
        println!(
            "skipped: most_starts_above_iridium_have_a_planned_hand_over: {} is not there",
            file.display()
        );
        return;
    }
    let arguments = ["--constellation", file.to_str().unwrap(), "--min-elevation", "10"];
    // 66 satellites leave gaps in which nobody is within 20 ms of the drone: not every start has a neighbour in time.
    let without: Vec<u32> = (1..31).filter(|seed| hops(&arguments, *seed) == 0).collect();
    println!("starts without a planned hand-over of 30: {without:?}");
    assert!(without.len() <= 6, "{without:?}");
}
