//! Ours: a workflow is placed as a whole, for all the time that it will run, on the sky as it will be.
//!
//! When a task starts, it and all tasks after it are planned together, each at its own time. Counted are, in this order, the time in which an
//! objective is violated, what is taken from batteries, the latency of the inputs of all tasks, and hand-overs: an objective that is met is met,
//! and what a battery keeps serves whoever comes later. Only the task that starts now is bound; the rest is planned again when its time has come.
//!
//! A decision ends when so much work is done, which is counted and not measured (`scene`): then with the best plan that is known.
//!
//! Reading order: `scene` (what is asked), `cost` (what is counted), `order` (the hosts of a task by latency), `bound` (the best that can be had
//! after a task, as if room did not matter), `itinerary` (one host after another for the time of a run), `search` (best first, with that bound).

mod bound;
mod cost;
mod itinerary;
mod order;
mod scene;
mod search;

use self::scene::Scene;
use self::search::Found;
use super::{Choice, NoChoice, Policy, World};
use crate::job::Job;

/// Ours.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lookahead;

impl Policy for Lookahead {
    fn name(&self) -> &'static str {
        "lookahead"
    }

    fn choose(
        &mut self,
        world: &mut World<'_, '_>,
        job: &Job,
        task: usize,
    ) -> Result<Choice, NoChoice> {
        world.sources(job, task)?;
        let considered = world.nodes.len();
        let mut scene = Scene::new(world, job, task);
        let eligible = scene.eligible_now();
        let found = search::search(&mut scene);
        let Found { stays, score } = found.ok_or_else(|| NoChoice::NoneEligible {
            task: job.tasks[task].name.clone(),
            considered,
        })?;
        Ok(Choice { stays, score, considered, eligible })
    }
}
