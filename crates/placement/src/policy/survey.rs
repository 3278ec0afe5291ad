//! Why a task could go to each of all nodes, or not: what would hold there, for how long, and the number that speaks against it.
//!
//! The rules are those by which `lookahead` finds hosts. A task is looked at as if it stayed where it starts: nodes that hold its objectives for a
//! while only say until when.

use topology::NodeIx;

use super::obstacle::Obstacle;
use super::{NoChoice, World};
use crate::endurance::Least;
use crate::forecast::Step;
use crate::job::{Job, origin_at};

/// What a node could offer a task that starts now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offer {
    /// The longest latency of an input now, ms; 0 without any.
    pub latency_ms: f64,
    /// The least that is left of charge and headroom until an orbit after the run.
    pub left: Least,
    /// The first step of the run at which an objective would be violated, and which; `None` where all hold until its end.
    pub ends: Option<(Step, Obstacle)>,
}

/// What is to be said of a node.
pub type Verdict = Result<Offer, Obstacle>;

/// A verdict on each node, by number, for a task that starts now.
///
/// # Errors
/// [`NoChoice`] for a task that there is not, or whose predecessor has no host.
pub fn survey(world: &mut World<'_, '_>, job: &Job, task: usize) -> Result<Vec<Verdict>, NoChoice> {
    world.sources(job, task)?;
    let of = &job.tasks[task];
    let forecast_end = world.latencies.forecast().steps().saturating_sub(1);
    let last = world.now.saturating_add(world.run_steps(of)).min(forecast_end).max(world.now);
    let until = world.kept_until(of, world.now);
    let nodes: Vec<_> = world.numbers().collect();
    Ok(nodes
        .into_iter()
        .map(|node| {
            world.suits(node, (job, task), (world.now, until))?;
            // Links before batteries: they are known from searches that all nodes share.
            let latency_ms = links(world, (job, task), node, world.now)?;
            let left = world.left_with(node, (job, task), (world.now, last.saturating_add(1)))?;
            let mut later = world.now + 1..=last;
            let ends =
                later.find_map(|step| Some((step, links(world, (job, task), node, step).err()?)));
            Ok(Offer { latency_ms, left, ends })
        })
        .collect())
}

/// The longest latency of an input of a task on a node at a step, ms.
fn links(
    world: &mut World<'_, '_>,
    (job, task): (&Job, usize),
    node: NodeIx,
    step: Step,
) -> Result<f64, Obstacle> {
    let inputs = job.tasks[task].inputs.iter();
    let origins =
        inputs.filter_map(|input| Some((origin_at(job, input, step)?, input.latency_max_ms)));
    let longest_ms = world.latencies.longest_within(node, step, origins);
    longest_ms.map_err(|excess| Obstacle::Far { step, excess })
}
