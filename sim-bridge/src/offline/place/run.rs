//! The published driver: workflows one after another, each task placed at its minute, nothing ever released.

use placement::ground::distance_km;
use placement::policy::Tenure;
use placement::{
    Book, Input, Job, JobTask, Latencies, NoChoice, Origin, Policy, Run, Stay, Step, World,
};
use serde::Serialize;
use topology::NodeIx;
use types::{Capacity, MiB, MilliCpu};

use super::entrant::Broken;
use super::fixture::{ArchName, ExecMs, Fixture, TaskSpec};
use super::published_sky::PublishedSky;
use super::summary::Summary;

/// How a policy did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The policy.
    pub policy: String,
    /// How many nodes there are.
    pub size: usize,
    /// Where each task went, in the order in which it was decided; a task that is put on its drone is not listed.
    pub decisions: Vec<Decided>,
    /// Hand-overs of running tasks, in the same order.
    pub moves: Vec<Move>,
    /// All of it in a few numbers.
    pub summary: Summary,
}

/// Where a task went.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decided {
    /// When, counted from 1.
    pub minute: u32,
    /// The workflow, counted from 0.
    pub workflow: usize,
    /// The task.
    pub task: String,
    /// The number of the node; absent if it went nowhere.
    pub node: Option<u32>,
    /// How good the policy found it, 0 to 100.
    pub score: Option<u32>,
    /// One-way latency from the predecessor's node then, ms; absent where no path leads.
    pub pred_latency_ms: Option<f64>,
    /// One-way latency from the satellite that holds the data then, ms; absent for tasks without.
    pub data_latency_ms: Option<f64>,
    /// How long the decision took, microseconds.
    pub decision_us: u64,
    /// Nodes that were considered.
    pub candidates: usize,
    /// Of these, how many could host it.
    pub eligible: usize,
    /// Why it went nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A hand-over of a running task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Move {
    /// From when on the new node has it, counted from 1.
    pub minute: u32,
    /// The workflow.
    pub workflow: usize,
    /// The task.
    pub task: String,
    /// The node that had it.
    pub from: u32,
    /// The node that has it.
    pub to: u32,
}

/// A workflow under way.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) job: Job,
    /// The satellite that holds its data.
    pub(super) data: Option<NodeIx>,
}

impl Flow {
    /// The satellite that holds the data, if it is taken by them as soon as a task has been decided: the first one. All that plan ahead know.
    fn data_taken_with(&self, task: usize) -> Option<NodeIx> {
        let is_first = self.job.tasks[..task].iter().all(|before| before.start == 0);
        self.data.filter(|_| is_first)
    }
}

/// Tells how long something took, microseconds since any moment.
pub type Clock<'c> = &'c dyn Fn() -> u64;

/// Places the whole workload by a policy.
///
/// # Errors
/// [`Broken`] as soon as the policy is.
pub fn run(
    fixture: &Fixture,
    sky: &PublishedSky,
    policy: &mut dyn Policy,
    clock: Clock<'_>,
) -> Result<Outcome, Broken> {
    let mut flows: Vec<_> =
        (0..fixture.workload.workflows).map(|k| flow(fixture, sky, k)).collect();
    let mut book = Book::new(fixture.nodes.iter().map(|node| node.capacity));
    for flow in &flows {
        for task in &flow.job.tasks {
            book.promise_stays(&task.stays, Step::MAX, task.needs, task.watts);
        }
    }
    let mut latencies = Latencies::new(sky);
    let (mut decisions, mut moves) = (Vec::new(), Vec::new());
    for (minute, workflow, task) in events(fixture) {
        let data = flows[workflow].data_taken_with(task);
        if let Some(data) = data {
            book.close(data, minute);
        }
        let mut world = World {
            nodes: &fixture.nodes,
            heat: &fixture.heat,
            boards: &[],
            tenure: Tenure::ForGood,
            book: &book,
            latencies: &mut latencies,
            now: minute - 1,
            waiting: 1,
        };
        let began_us = clock();
        let choice = policy.choose(&mut world, &flows[workflow].job, task);
        let decision_us = clock().saturating_sub(began_us);
        if let Err(NoChoice::Broken { reason }) = choice {
            return Err(Broken(reason));
        }
        let flow = &mut flows[workflow];
        let of = &mut flow.job.tasks[task];
        if let Ok(choice) = &choice {
            of.stays.clone_from(&choice.stays);
            book.promise_stays(&of.stays, Step::MAX, of.needs, of.watts);
            moves.extend(moves_of(workflow, &of.name, &of.stays));
        }
        decisions.push(decided((minute, workflow, task), flow, &choice, (sky, decision_us)));
        if let Some(data) = data {
            book.take_all(data, minute - 1);
        }
    }
    let summary = Summary::of(fixture, sky, &flows, &decisions);
    let (policy, size) = (policy.name().to_owned(), fixture.nodes.len());
    Ok(Outcome { policy, size, decisions, moves, summary })
}

/// Minute, workflow and number of each task that is to be decided, in order of time.
fn events(fixture: &Fixture) -> Vec<(u32, usize, usize)> {
    let tasks = fixture.workload.tasks.iter().enumerate();
    let decided = tasks.filter_map(|(at, task)| Some((at, task.minute?)));
    let of = |(task, minute): (usize, super::fixture::Minute)| {
        (0..fixture.workload.workflows).map(move |workflow| (minute.of(workflow), workflow, task))
    };
    let mut events: Vec<_> = decided.flat_map(of).collect();
    events.sort_unstable();
    events
}

/// The workflow of a drone, with what is put there before the first minute.
fn flow(fixture: &Fixture, sky: &PublishedSky, workflow: usize) -> Flow {
    let drone = number(fixture.satellites + workflow);
    let workload = &fixture.workload;
    let submitted =
        workload.tasks.iter().filter_map(|task| task.minute).map(|m| m.of(workflow)).min();
    let data = submitted.and_then(|minute| data_satellite(fixture, sky, drone, minute - 1));
    let tasks = workload.tasks.iter().map(|spec| {
        let start = spec.minute.map_or(0, |minute| minute.of(workflow) - 1);
        let stays = match spec.minute {
            None => vec![Stay { node: drone, from: 0 }],
            Some(_) => vec![],
        };
        JobTask {
            name: spec.name.clone(),
            needs: Capacity {
                milli_cpu: MilliCpu(spec.milli_cpu),
                memory_mib: MiB(spec.memory_mib),
            },
            watts: 0.0,
            runs: runs(spec),
            start,
            inputs: inputs(&workload.tasks, spec, data),
            stays,
        }
    });
    Flow { job: Job { number: workflow, tasks: tasks.collect() }, data }
}

fn runs(spec: &TaskSpec) -> Vec<Run> {
    let ExecMs { arm64, x86_64 } = spec.exec_ms;
    let ms = |name: ArchName| match name {
        ArchName::Arm64 => arm64,
        ArchName::X86 => x86_64,
    };
    let run =
        |name: &ArchName| Run { arch: (*name).into(), seconds: ms(*name).unwrap_or(0.0) / 1000.0 };
    spec.cpu_archs.iter().map(run).collect()
}

fn inputs(all: &[TaskSpec], spec: &TaskSpec, data: Option<NodeIx>) -> Vec<Input> {
    let before = spec.predecessor.as_ref();
    let before = before.and_then(|name| all.iter().position(|task| task.name == *name));
    let predecessor = before
        .map(|task| Input { origin: Origin::Task(task), latency_max_ms: spec.pred_latency_slo_ms });
    let data = spec.data_latency_slo_ms.zip(data).map(|(limit_ms, node)| Input {
        origin: Origin::Node(node),
        latency_max_ms: Some(limit_ms),
    });
    predecessor.into_iter().chain(data).collect()
}

/// Of the first so many satellites whose sub-points are near a drone, the last.
fn data_satellite(
    fixture: &Fixture,
    sky: &PublishedSky,
    drone: NodeIx,
    step: Step,
) -> Option<NodeIx> {
    use placement::Forecast as _;
    let choice = fixture.workload.eo_choice;
    let here = sky.place(drone, step)?;
    let is_near = |node: &NodeIx| {
        sky.place(*node, step).is_some_and(|place| distance_km(here, place) <= choice.radius_km)
    };
    (0..fixture.satellites).map(number).filter(is_near).take(choice.max).last()
}

pub(super) fn number(node: usize) -> NodeIx {
    NodeIx(u32::try_from(node).expect("a graph has fewer nodes"))
}

fn moves_of(workflow: usize, task: &str, stays: &[Stay]) -> Vec<Move> {
    let change = |pair: &[Stay]| Move {
        minute: pair[1].from + 1,
        workflow,
        task: task.to_owned(),
        from: pair[0].node.0,
        to: pair[1].node.0,
    };
    stays.windows(2).map(change).collect()
}

fn decided(
    (minute, workflow, task): (u32, usize, usize),
    flow: &Flow,
    choice: &Result<placement::Choice, NoChoice>,
    (sky, decision_us): (&PublishedSky, u64),
) -> Decided {
    let step = minute - 1;
    let mut latencies = Latencies::new(sky);
    let (pred_latency_ms, data_latency_ms) = input_latencies_ms(flow, task, step, &mut latencies);
    let made = choice.as_ref().ok();
    Decided {
        minute,
        workflow,
        task: flow.job.tasks[task].name.clone(),
        node: made.and_then(|choice| choice.stays.first()).map(|stay| stay.node.0),
        score: made.map(|choice| choice.score),
        pred_latency_ms,
        data_latency_ms,
        decision_us,
        candidates: made.map_or(0, |choice| choice.considered),
        eligible: made.map_or(0, |choice| choice.eligible),
        failure: choice.as_ref().err().map(ToString::to_string),
    }
}

/// Latency from the predecessor, and from the data, at a step, ms.
pub(super) fn input_latencies_ms(
    flow: &Flow,
    task: usize,
    step: Step,
    latencies: &mut Latencies<'_>,
) -> (Option<f64>, Option<f64>) {
    let of = &flow.job.tasks[task];
    let Some(host) = of.host_at(step) else { return (None, None) };
    let mut found = (None, None);
    for input in &of.inputs {
        match input.origin {
            Origin::Node(node) => found.1 = latencies.between(node, host, step),
            Origin::Task(before) => {
                let node = flow.job.tasks[before].host_at(step);
                found.0 = node.and_then(|node| latencies.between(node, host, step));
            }
        }
    }
    found
}
