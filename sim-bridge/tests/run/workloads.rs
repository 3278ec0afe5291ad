//! Workflows: where tasks run, for how long, and what happens when the sky moves away.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use sim_bridge::offline::moment::Moment;
use sim_bridge::offline::plugin::{Plugin, PluginError};
use sim_bridge::offline::scenario::{Reference, Scenario, TaskEntry};
use sim_bridge::offline::simulation::{Simulation, SimulationView};
use sim_bridge::offline::summary::WorkloadSummary;
use sim_bridge::offline::watch::NoWatch;
use topology::NodeIx;

use super::{START, cities, scenario, simulation};

/// What a step did to the workload.
fn step(simulation: &mut Simulation) -> WorkloadSummary {
    let (_, summary) = simulation.step(&mut NoWatch).expect("a step");
    summary.workload.expect("there are workflows")
}

/// The hosts of each instance, ascending.
fn placements(simulation: &Simulation) -> Vec<(u64, NodeIx, Vec<Option<NodeIx>>)> {
    let workload = simulation.workload();
    let placed = |id| {
        let (anchor, hosts) = workload.placement(id).expect("it runs");
        (id.0, anchor, hosts.to_vec())
    };
    workload.instances().map(placed).collect()
}

/// The flood workflow of the paper: a random anchor, four tasks.
const FLOOD: &str = "
    [[workflow]]
    name = 'flood'
    [[workflow.task]]
    name = 'object-det'
    milli_cpu = 4000
    memory_mib = 2048
    latency_max_ms = 175.0
    [[workflow.task]]
    name = 'extract-frames'
    milli_cpu = 4000
    memory_mib = 2048
    latency_max_ms = 150.0
    to = { task = 'object-det' }
    [[workflow.task]]
    name = 'ingest'
    milli_cpu = 1000
    memory_mib = 2048
    latency_max_ms = 100.0
    to = { task = 'extract-frames' }
    [[workflow.task]]
    name = 'prepare-ds'
    milli_cpu = 4000
    memory_mib = 4096
    latency_max_ms = 100.0
    to = { task = 'object-det' }
";

fn shell(walker: &str, tail: &str) -> Scenario {
    scenario(&format!(
        "start = '{START}'\nsteps = 20\nstep_s = 60.0\n[sources]\nwalker = ['{walker}@{START}']\n{tail}"
    ))
}

#[test]
fn the_flood_workflow_of_the_paper_finds_a_place_at_each_of_20_steps() {
    for orchestrator in ["workflow", "task"] {
        let head = format!("orchestrator = '{orchestrator}'\n");
        let text = format!("[links]\nprotocol = 'mst_smart_loop'\n{FLOOD}");
        let mut scenario = shell("24x22:550:53:17", &text);
        scenario.orchestrator = orchestrator.to_owned();
        let mut simulation = simulation(&scenario, cities());
        for number in 1..=20 {
            let done = step(&mut simulation);
            assert_eq!((done.deployed, done.refused), (1, 0), "{head}step {number}: {done:?}");
            assert_eq!((done.instances, done.tasks), (number, 4 * number));
            assert_held(&simulation, &scenario, &done);
        }
    }
}

/// Room, classes, services and latencies of all that runs are as they should be.
fn assert_held(simulation: &Simulation, scenario: &Scenario, done: &WorkloadSummary) {
    let tasks = &scenario.workflows[0].tasks;
    let moment = simulation.now().expect("a step was done");
    let workload = simulation.workload();
    let mut used: BTreeMap<NodeIx, (u32, u32)> = BTreeMap::new();
    let mut running: BTreeMap<(&str, NodeIx), u32> = BTreeMap::new();
    let mut off = 0;
    for (_, anchor, hosts) in placements(simulation) {
        for (task, host) in tasks.iter().zip(&hosts) {
            let Some(host) = host else { continue };
            let room = used.entry(*host).or_default();
            *room = (room.0 + task.milli_cpu, room.1 + task.memory_mib);
            *running.entry((&task.name, *host)).or_default() += 1;
            let class = workload.compute().class(*host).expect("a host computes");
            assert!(task.on.contains(&class));
        }
        let held = (0..tasks.len()).all(|task| is_held(moment, tasks, task, anchor, &hosts));
        off += usize::from(!held);
    }
    assert!(off <= done.broken, "{off} instances are off, {done:?}");
    for node in
        (0..moment.graph.node_count()).map(|node| NodeIx(u32::try_from(node).expect("few nodes")))
    {
        let (total, in_use) = (workload.compute().total(node), workload.compute().used(node));
        let sum = used.get(&node).copied().unwrap_or_default();
        assert_eq!((in_use.milli_cpu, in_use.memory_mib), sum, "node {node:?}");
        assert!(sum.0 <= total.milli_cpu && sum.1 <= total.memory_mib, "node {node:?}");
    }
    for task in tasks {
        let hosts: Vec<NodeIx> = workload.services().hosts(&task.name).collect();
        let ours = running.keys().filter(|(name, _)| *name == task.name).map(|(_, host)| *host);
        assert_eq!(hosts, ours.collect::<Vec<_>>(), "{}", task.name);
    }
}

/// Whether a task runs within its limit, by the tree of shortest paths from what it refers to.
fn is_held(
    moment: &Moment,
    tasks: &[TaskEntry],
    task: usize,
    anchor: NodeIx,
    hosts: &[Option<NodeIx>],
) -> bool {
    let Some(host) = hosts[task] else { return false };
    let from = match &tasks[task].to {
        Reference::Anchor => Some(anchor),
        Reference::Task(name) => {
            tasks.iter().position(|task| task.name == *name).and_then(|before| hosts[before])
        }
        other => panic!("not made here: {other:?}"),
    };
    let Some(from) = from else { return false };
    let Some(limit_ms) = tasks[task].latency_max_ms else { return true };
    let delay_us = moment.graph.shortest_paths(from).delay_us(host);
    delay_us.is_some_and(|delay_us| delay_us <= limit_ms * 1000.0)
}

/// What is drawn for a task: processor, memory, limit, what it must be near to, where it may run.
type DrawnTask = (u32, u32, Option<f64>, prop::sample::Index, &'static str);

fn task_text(index: usize, (milli_cpu, memory_mib, limit, to, on): &DrawnTask) -> String {
    let limit = limit.map(|limit| format!("latency_max_ms = {limit:?}\n"));
    // The anchor, or one of the tasks before.
    let to = match to.index(index + 1).checked_sub(1) {
        None => "'anchor'".to_owned(),
        Some(before) => format!("{{ task = 't{before}' }}"),
    };
    format!(
        "[[workflow.task]]\nname = 't{index}'\nmilli_cpu = {milli_cpu}\nmemory_mib = {memory_mib}\non = {on}\n\
         to = {to}\n{}",
        limit.unwrap_or_default()
    )
}

/// A workflow of up to four tasks, its orchestrator, the seed.
fn random_workload() -> impl Strategy<Value = Scenario> {
    let limit = prop_oneof![Just(None), (0.5..60.0_f64).prop_map(Some)];
    let on = prop_oneof![Just("['space']"), Just("['space', 'edge', 'cloud']"), Just("['cloud']")];
    let task = (1_u32..9_000, 1_u32..9_000, limit, any::<prop::sample::Index>(), on);
    let tasks = prop::collection::vec(task, 1..5);
    let orchestrator = prop::sample::select(&["workflow", "task", "direct-uplink"][..]);
    let life = prop_oneof![Just(None), (1_u64..4).prop_map(Some)];
    (tasks, orchestrator, life, 1_u32..5, any::<u32>()).prop_map(
        |(tasks, orchestrator, life, instances, seed)| {
            let life = life.map(|life: u64| format!("lifetime_steps = {life}\n"));
            let tasks = (0..).zip(&tasks).map(|(index, task)| task_text(index, task));
            let text = [
                format!("[[workflow]]\nname = 'w'\ninstances = {instances}\n"),
                life.unwrap_or_default(),
                tasks.collect(),
                // A host fails, too, and comes back.
                "[[change]]\nnode = 'Sydney'\ndown = true\nfrom_s = 120.0\nto_s = 240.0\n"
                    .to_owned(),
            ]
            .concat();
            let mut scenario = shell("8x8:1200:60:3", &text);
            scenario.orchestrator = orchestrator.to_owned();
            scenario.seed = u64::from(seed);
            scenario
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..Default::default() })]

    #[test]
    fn room_is_never_exceeded_limits_are_held_and_the_same_seed_gives_the_same(
        scenario in random_workload(),
    ) {
        let mut one = simulation(&scenario, cities());
        let mut two = simulation(&scenario, cities());
        let workflow = &scenario.workflows[0];
        let mut alive = 0;
        for _ in 0..6 {
            let done = step(&mut one);
            assert_held(&one, &scenario, &done);
            prop_assert_eq!(done.deployed + done.refused, workflow.instances as usize);
            alive = alive + done.deployed - done.ended;
            prop_assert_eq!(done.instances, alive);
            prop_assert_eq!(step(&mut two), done);
            prop_assert_eq!(placements(&one), placements(&two));
        }
    }
}

#[test]
fn instances_are_removed_at_the_end_of_their_life() {
    let text = "[[workflow]]\nname = 'w'\nfirst_step = 2\nevery_steps = 2\nlifetime_steps = 3\ninstances = 2\n\
        [[workflow.task]]\nname = 't'\nmilli_cpu = 1\nmemory_mib = 1\n";
    let mut simulation = simulation(&shell("8x8:1200:60:3", text), cities());
    let steps: Vec<WorkloadSummary> = (0..9).map(|_| step(&mut simulation)).collect();
    let each = |part: fn(&WorkloadSummary) -> usize| steps.iter().map(part).collect::<Vec<_>>();
    assert_eq!(each(|s| s.deployed), [0, 0, 2, 0, 2, 0, 2, 0, 2]);
    assert_eq!(each(|s| s.ended), [0, 0, 0, 0, 0, 2, 0, 2, 0]);
    assert_eq!(each(|s| s.instances), [0, 0, 2, 2, 4, 2, 4, 2, 4]);
    assert_eq!(each(|s| s.tasks), each(|s| s.instances));
}

/// One task near to Vienna, on a satellite.
fn near_vienna(limit_ms: f64, tail: &str) -> Scenario {
    let text = format!(
        "[[workflow]]\nname = 'w'\nevery_steps = 0\nanchor = {{ node = 'Vienna' }}\n\
         [[workflow.task]]\nname = 't'\nmilli_cpu = 1\nmemory_mib = 1\non = ['space']\nlatency_max_ms = {limit_ms:?}\n{tail}"
    );
    shell("24x22:550:53:17", &text)
}

fn host(simulation: &Simulation) -> Option<NodeIx> {
    placements(simulation).first()?.2[0]
}

#[test]
fn a_task_moves_when_its_host_fails_and_no_failed_node_takes_one() {
    let mut untouched = simulation(&near_vienna(20.0, ""), cities());
    step(&mut untouched);
    let first = host(&untouched).expect("placed");
    let name = untouched.nodes().name(first).to_owned();
    let change = format!("[[change]]\nnode = '{name}'\ndown = true\nfrom_s = 60.0\n");
    let mut changed = simulation(&near_vienna(20.0, &change), cities());
    assert_eq!(step(&mut changed).deployed, 1);
    assert_eq!(host(&changed), Some(first));
    let done = step(&mut changed);
    assert_eq!((done.moved, done.broken, done.instances), (1, 0, 1));
    assert_ne!(host(&changed), Some(first));
    // With its anchor on the failed satellite there is no place at all, least of all there.
    let mut scenario = near_vienna(20.0, &change);
    scenario.workflows[0].anchor = sim_bridge::offline::scenario::Anchor::Node(name);
    let mut anchored = simulation(&scenario, cities());
    step(&mut anchored);
    assert_eq!(host(&anchored), Some(first));
    for _ in 0..2 {
        let done = step(&mut anchored);
        assert_eq!((done.moved, done.broken, done.tasks), (0, 1, 0), "{done:?}");
        assert_eq!(host(&anchored), None);
    }
}

#[test]
fn a_task_follows_the_sky_as_soon_as_it_is_too_far() {
    let scenario = near_vienna(4.0, "");
    let mut simulation = simulation(&scenario, cities());
    let (mut moved, mut hosts) = (0, Vec::new());
    for _ in 0..20 {
        let done = step(&mut simulation);
        moved += done.moved;
        assert_held(&simulation, &scenario, &done);
        hosts.extend(host(&simulation));
    }
    hosts.dedup();
    // 20 minutes are several passes.
    assert!(2 < moved, "{moved}");
    assert_eq!(hosts.len(), moved + 1);
}

#[test]
fn under_direct_uplink_all_tasks_of_a_workflow_share_one_satellite_at_all_times() {
    // The partner would be near enough for an hour.
    let partner = "[[workflow.task]]\nname = 'partner'\nmilli_cpu = 1\nmemory_mib = 1\non = ['space']\n\
        latency_max_ms = 200.0\nto = { task = 't' }\n";
    let mut scenario = near_vienna(4.0, partner);
    scenario.orchestrator = "direct-uplink".to_owned();
    let mut simulation = simulation(&scenario, cities());
    let (mut moved, mut seen) = (0, Vec::new());
    for _ in 0..20 {
        let done = step(&mut simulation);
        assert_held(&simulation, &scenario, &done);
        let placed = placements(&simulation).remove(0).2;
        assert!(placed[0].is_some() && placed[0] == placed[1], "{placed:?}");
        moved += done.moved;
        seen.extend(placed[0]);
    }
    seen.dedup();
    assert!(3 < seen.len(), "{seen:?}");
    assert_eq!(moved, 2 * (seen.len() - 1));
}

/// Closes all nodes from a step on.
#[derive(Debug)]
struct Closes(u64);

impl Plugin for Closes {
    fn name(&self) -> &'static str {
        "closes"
    }

    fn before_step(&mut self, view: &mut SimulationView<'_>) -> Result<(), PluginError> {
        if self.0 <= view.step {
            let nodes = u32::try_from(view.nodes().len()).expect("few nodes");
            (0..nodes).for_each(|node| view.set_open(NodeIx(node), false));
        }
        Ok(())
    }
}

#[test]
fn what_runs_on_a_node_that_takes_no_new_tasks_stays_even_when_it_is_too_far() {
    let scenario = near_vienna(4.0, "");
    let mut simulation = simulation(&scenario, cities());
    simulation.add_plugin(Box::new(Closes(1)));
    step(&mut simulation);
    let first = host(&simulation).expect("placed");
    let mut broken = 0;
    for _ in 0..19 {
        let done = step(&mut simulation);
        broken += done.broken;
        assert_eq!((done.moved, done.tasks, host(&simulation)), (0, 1, Some(first)), "{done:?}");
    }
    assert!(5 < broken, "{broken}");
}

#[test]
fn a_task_near_a_service_runs_within_its_limit_of_the_nearest_host() {
    let text = "[[workflow]]\nname = 'store'\nevery_steps = 0\ninstances = 3\nanchor = 'random-satellite'\n\
        [[workflow.task]]\nname = 'db'\nmilli_cpu = 10\nmemory_mib = 10\non = ['space']\n\
        [[workflow]]\nname = 'reader'\nfirst_step = 1\nanchor = 'random-station'\n\
        [[workflow.task]]\nname = 'read'\nmilli_cpu = 10\nmemory_mib = 10\nlatency_max_ms = 9.0\nto = { service = 'db' }\n\
        [[workflow]]\nname = 'lost'\n\
        [[workflow.task]]\nname = 'x'\nmilli_cpu = 10\nmemory_mib = 10\nto = { service = 'nothing' }\n";
    let mut simulation = simulation(&shell("24x22:550:53:17", text), cities());
    for number in 0..5 {
        let done = step(&mut simulation);
        // Nothing offers what the last workflow wants.
        assert_eq!((done.refused, done.broken), (1, 0), "{done:?}");
        let moment = Arc::clone(simulation.now().expect("a step"));
        let workload = simulation.workload();
        let stores: Vec<NodeIx> = workload.services().hosts("db").collect();
        let readers: Vec<NodeIx> = workload.services().hosts("read").collect();
        assert!(!stores.is_empty() && readers.is_empty() == (number == 0));
        for reader in readers {
            let tree = moment.graph.shortest_paths(reader);
            let delays = stores.iter().filter_map(|store| tree.delay_us(*store));
            assert!(delays.fold(f64::INFINITY, f64::min) <= 9_000.0);
        }
    }
}
