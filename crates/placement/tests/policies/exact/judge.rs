//! What a plan costs, read from its stays alone, and whether it keeps the rules; and the plan that a policy ends with.

use placement::endurance::{Board, Condition};
use placement::policy::{Tenure, catalog};
use placement::{Book, Job, JobTask, Latencies, NoChoice, Origin, Step, World};
use topology::NodeIx;

use super::Cost;
use super::instance::Instance;
use super::problem::{run_steps, uwh};

/// What is wrong with a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A task has no stay, or does not begin with one at its start.
    NoHost,
    /// A node is not there, cannot run the task, is closed, or has no room.
    NoPlace,
    /// A battery or a board does not bear it.
    Exhausted,
    /// An objective does not hold when a task starts.
    StartsBadly,
    /// A hand-over that nothing asks for, or to a node that is no better.
    NotNeeded,
}

/// The cost of a job of which all tasks have their stays.
pub(super) fn judge(instance: &Instance, job: &Job) -> Result<Cost, Fault> {
    has_places(instance, job)?;
    let mut latencies = Latencies::new(&instance.sky);
    let mut cost = Cost::default();
    for task in &job.tasks {
        let last = last(instance, task);
        let starts_ms =
            longest_ms(&mut latencies, (job, task), task.start, host(task, task.start)?);
        cost.latency_us += us(starts_ms.ok_or(Fault::StartsBadly)?);
        for step in task.start + 1..=last {
            let at = longest_ms(&mut latencies, (job, task), step, host(task, step)?);
            cost.violated += u32::from(at.is_none());
        }
        for (before, stay) in task.stays.iter().zip(&task.stays[1..]) {
            let mut meets =
                |node| longest_ms(&mut latencies, (job, task), stay.from, node).is_some();
            if meets(before.node) || !meets(stay.node) || last < stay.from {
                return Err(Fault::NotNeeded);
            }
            cost.moves += 1;
        }
    }
    cost.battery_uwh = drawn_uwh(instance, job)?;
    Ok(cost)
}

/// What is taken from batteries, µWh: by each task where it is, beside all that was promised before it.
fn drawn_uwh(instance: &Instance, job: &Job) -> Result<u32, Fault> {
    let mut book = instance.book.clone();
    let mut drawn_uwh = 0;
    for task in &job.tasks {
        for step in task.start..last(instance, task) {
            let node = host(task, step)?;
            let Some((board, _)) = instance.boards.get(node.index()) else { continue };
            let (watts, sunlit) = load(instance, &book, node, step);
            let without_w = board.idle_w + watts;
            let drained_w = board.drained_w(without_w + task.watts, sunlit)
                - board.drained_w(without_w, sunlit);
            drawn_uwh += uwh(drained_w, instance.sky.step_s);
        }
        book.promise_stays(&task.stays, until(instance, task), task.needs, task.watts);
    }
    Ok(drawn_uwh)
}

/// Whether each node has a place for all that comes to it, and bears it.
fn has_places(instance: &Instance, job: &Job) -> Result<(), Fault> {
    let mut book = instance.book.clone();
    for task in &job.tasks {
        let first = task.stays.first().ok_or(Fault::NoHost)?;
        if first.from != task.start || !task.stays.is_sorted_by_key(|stay| stay.from) {
            return Err(Fault::NoHost);
        }
        let until = until(instance, task);
        for (at, stay) in task.stays.iter().enumerate() {
            let view = &instance.nodes[stay.node.index()];
            let was_there = task.stays[..at].iter().any(|before| before.node == stay.node);
            let has_room = was_there || book.has_room(stay.node, task.needs, stay.from, until);
            let is_open = book.is_open(stay.node, stay.from);
            if !view.alive || !task.runs_on(view.arch) || !is_open || !has_room {
                return Err(Fault::NoPlace);
            }
        }
        book.promise_stays(&task.stays, until, task.needs, task.watts);
    }
    for stay in job.tasks.iter().flat_map(|task| &task.stays) {
        let Some((board, now)) = instance.boards.get(stay.node.index()) else { continue };
        let at = |step| load(instance, &book, stay.node, step);
        let found = board.endures(*now, (0, steps(instance)), instance.sky.step_s, at);
        found.map_err(|_breach| Fault::Exhausted)?;
    }
    Ok(())
}

/// What all that is promised draws, W, and the light.
fn load(instance: &Instance, book: &Book, node: NodeIx, step: Step) -> (f64, f64) {
    (book.watts(node, step), instance.sky.mean_sun(node.index(), step as usize))
}

/// The longest latency of the inputs of a task on a node, ms; `None` where an objective is violated.
fn longest_ms(
    latencies: &mut Latencies<'_>,
    (job, task): (&Job, &JobTask),
    step: Step,
    node: NodeIx,
) -> Option<f64> {
    let mut longest_ms = 0.0_f64;
    for input in &task.inputs {
        let origin = match input.origin {
            Origin::Node(node) => node,
            Origin::Task(before) => host(&job.tasks[before], step).ok()?,
        };
        let latency_ms = latencies.between(origin, node, step)?;
        if input.latency_max_ms.is_some_and(|limit_ms| limit_ms < latency_ms) {
            return None;
        }
        longest_ms = longest_ms.max(latency_ms);
    }
    Some(longest_ms)
}

fn host(task: &JobTask, step: Step) -> Result<NodeIx, Fault> {
    let mut stays = task.stays.iter().rev().filter(|stay| stay.from <= step);
    stays.next().map(|stay| stay.node).ok_or(Fault::NoHost)
}

fn run(instance: &Instance, task: &JobTask) -> Step {
    Step::try_from(run_steps(task, instance.sky.step_s)).expect("few steps")
}

/// The last step at which the objectives of a task count.
fn last(instance: &Instance, task: &JobTask) -> Step {
    (task.start + run(instance, task)).min(steps(instance) - 1)
}

/// The first step at which a task keeps nothing any more.
fn until(instance: &Instance, task: &JobTask) -> Step {
    task.start + run(instance, task) + 1
}

fn steps(instance: &Instance) -> Step {
    Step::try_from(instance.sky.links.len()).expect("few steps")
}

/// The plan that a policy ends with: asked for one task after another, each when it starts, and held to what it said.
pub(super) fn drive(instance: &Instance, policy: &str) -> Result<Job, NoChoice> {
    let mut policy = catalog::of_name(policy, 7).expect("a policy of that name");
    let (mut job, mut book) = (instance.job.clone(), instance.book.clone());
    let mut latencies = Latencies::new(&instance.sky);
    for task in 0..job.tasks.len() {
        let now = job.tasks[task].start;
        let boards = boards_at(instance, &book, now);
        let mut world = World {
            nodes: &instance.nodes,
            heat: &[],
            boards: &boards,
            book: &book,
            tenure: Tenure::Run,
            latencies: &mut latencies,
            now,
            waiting: 1,
        };
        let choice = policy.choose(&mut world, &job, task)?;
        let of = &mut job.tasks[task];
        of.stays = choice.stays;
        let until = until(instance, of);
        book.promise_stays(&of.stays, until, of.needs, of.watts);
    }
    Ok(job)
}

/// How boards are at a step, after all that ran on them.
fn boards_at(instance: &Instance, book: &Book, now: Step) -> Vec<(Board, Condition)> {
    let mut boards = instance.boards.clone();
    for (node, (board, condition)) in (0..).map(NodeIx).zip(&mut boards) {
        for step in 0..now {
            let (watts, sunlit) = load(instance, book, node, step);
            *condition = board.after(*condition, instance.sky.step_s, board.idle_w + watts, sunlit);
        }
    }
    boards
}

fn us(ms: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "less than an hour"
    )]
    let us = (ms * 1000.0).round() as u32;
    us
}
