//! The reference against everything that can be done, on instances of 4 nodes, 2 or 3 tasks and 5 steps.

use body::{Body, Cells, Store, Warmth};
use placement::draw::SplitMix64;
use placement::endurance::{Board, Condition, Power, Thermal};
use placement::{Book, Input, Job, JobTask, Origin, Promise, Run, Stay, Step};
use types::{Arch, NodeKind};

use super::instance::{Instance, Sky};
use super::judge::judge;
use super::problem::{Problem, number};
use super::search::search;
use super::{Cost, RESOLUTION_UWH, Rule};
use crate::sample::{cores, node};

const NODES: usize = 4;
const STEPS: usize = 5;
const SEEDS: u64 = 500;
/// No tiny instance needs nearly as many.
const LOOKS_MAX: usize = 100_000;

#[test]
fn the_reference_finds_what_trying_everything_finds() {
    let (mut solved, mut handed_over, mut violated, mut drawn) = (0, 0, 0, 0);
    for seed in 0..SEEDS {
        let instance = tiny(seed);
        let problem = Problem::of(&instance);
        for rule in [Rule::Fixed, Rule::WhereNeeded] {
            let found = search(&problem, rule, LOOKS_MAX).unwrap().map(|solved| solved.cost);
            let best = best_of_all(&instance, rule);
            assert_eq!(found, best, "seed {seed}, {rule:?}: {:?}", instance.job);
            let best = best.unwrap_or_default();
            solved += u32::from(found.is_some());
            handed_over += u32::from(0 < best.moves);
            violated += u32::from(0 < best.violated);
            drawn += u32::from(RESOLUTION_UWH < best.battery_uwh);
        }
    }
    let enough = 200 < solved && 40 < handed_over && 40 < violated && 40 < drawn;
    assert!(
        enough,
        "{solved} solved, {handed_over} with hand-overs, {violated} with violations, {drawn} from batteries"
    );
}

/// The least cost of all ways to be somewhere at each step.
fn best_of_all(instance: &Instance, rule: Rule) -> Option<Cost> {
    let mut best = None;
    try_all(instance, rule, &Job::default(), &mut best);
    best
}

/// Goes on with the next task, wherever it can be.
fn try_all(instance: &Instance, rule: Rule, job: &Job, best: &mut Option<Cost>) {
    let Ok(cost) = judge(instance, job) else { return };
    let Some(task) = instance.job.tasks.get(job.tasks.len()) else {
        *best = Some(best.map_or(cost, |best| best.min(cost)));
        return;
    };
    let steps: Vec<Step> = (task.start..Step::try_from(STEPS).expect("few")).collect();
    let ways = match rule {
        Rule::Fixed => NODES,
        Rule::WhereNeeded => NODES.pow(u32::try_from(steps.len()).expect("few")),
    };
    for way in 0..ways {
        let mut task = task.clone();
        let mut left = way;
        for step in &steps {
            let host = number(left % NODES);
            if rule == Rule::WhereNeeded {
                left /= NODES;
            }
            if task.stays.last().is_none_or(|stay| stay.node != host) {
                task.stays.push(Stay { node: host, from: *step });
            }
        }
        let mut job = job.clone();
        job.tasks.push(task);
        try_all(instance, rule, &job, best);
    }
}

fn tiny(seed: u64) -> Instance {
    let mut draw = SplitMix64::new(seed ^ 0x5eed);
    let links = (0..STEPS).map(|_| links(&mut draw)).collect();
    let sunlit = (0..STEPS).map(|_| (0..NODES).map(|_| draw.unit()).collect()).collect();
    let size = |draw: &mut SplitMix64| [0, 1000, 1000, 2000][draw.below(4)];
    let nodes: Vec<_> =
        (0..NODES).map(|at| node(at, NodeKind::Satellite, size(&mut draw))).collect();
    let mut book = Book::new(nodes.iter().map(|node| node.capacity));
    for node in 0..NODES {
        if draw.below(3) == 0 {
            let from = step(&mut draw, STEPS);
            let until = from + 1 + step(&mut draw, 3);
            let promise = Promise { from, until, needs: cores(1000), watts: 3.0 };
            book.promise(number(node), promise);
        }
        if draw.below(6) == 0 {
            book.close(number(node), step(&mut draw, STEPS));
        }
    }
    let boards = match seed % 3 {
        0 => (0..NODES).map(|_| board(&mut draw)).collect(),
        _ => vec![],
    };
    let job = job(&mut draw);
    Instance { nodes, sky: Sky::new(NODES, links, sunlit), book, boards, job }
}

fn links(draw: &mut SplitMix64) -> Vec<(usize, usize, u32)> {
    let pairs = (0..NODES).flat_map(|a| (a + 1..NODES).map(move |b| (a, b)));
    let linked: Vec<_> = pairs.filter(|_| draw.below(3) != 0).collect();
    linked.into_iter().map(|(a, b)| (a, b, 1000 + 1000 * step(draw, 40))).collect()
}

fn job(draw: &mut SplitMix64) -> Job {
    let mut job = Job::default();
    for task in 0..2 + draw.below(2) {
        let start = job.tasks.last().map_or(0, |before| before.start) + step(draw, 3);
        let limit = |draw: &mut SplitMix64| {
            Some(f64::from(10 + step(draw, 40))).filter(|_| draw.below(4) != 0)
        };
        let mut inputs = vec![];
        for before in 0..task {
            if draw.below(3) != 0 {
                let latency_max_ms = limit(draw);
                inputs.push(Input { origin: Origin::Task(before), latency_max_ms });
            }
        }
        if inputs.is_empty() || draw.below(2) == 0 {
            let latency_max_ms = limit(draw);
            inputs.push(Input { origin: Origin::Node(number(draw.below(NODES))), latency_max_ms });
        }
        let seconds = 60.0 * f64::from(1 + step(draw, 3));
        job.tasks.push(JobTask {
            name: format!("t{task}"),
            needs: cores([500, 1000][draw.below(2)]),
            watts: 20.0 * draw.unit(),
            runs: vec![Run { arch: Arch::Arm64, seconds }],
            start: start.min(3),
            inputs,
            stays: vec![],
        });
    }
    job
}

/// A battery that some tasks empty, and a board that some warm too much.
fn board(draw: &mut SplitMix64) -> (Board, Condition) {
    let cells = Cells {
        capacity_wh: 3.0,
        charge_efficiency: 1.0,
        discharge_efficiency: 1.0,
        charge_w_max: 10.0,
        fade_per_cycle: 0.0,
        fade_per_year: 0.0,
    };
    let body = Body {
        heat_capacity_j_k: 60.0,
        conductance_w_k: 0.3,
        chip: None,
        radiating_m2: 0.0,
        absorbing_m2: 0.0,
    };
    let board = Board {
        idle_w: 1.0,
        power: Some(Power { cells, panels_w: 4.0, reserve: 0.2 }),
        thermal: Some(Thermal { body, ambient_c: 0.0, chip_max_c: 70.0, margin_k: 5.0 }),
    };
    let store = Store { soc: 0.3 + 0.6 * draw.unit(), ..Store::default() };
    (board, Condition { store, warmth: Warmth { chip_c: 20.0, structure_c: 20.0 } })
}

fn step(draw: &mut SplitMix64, below: usize) -> Step {
    Step::try_from(draw.below(below)).expect("few steps")
}
