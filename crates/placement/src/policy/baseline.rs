//! What others are compared with: first fit, round robin, random, and the nearest of all nodes.
//!
//! All but the last ignore objectives, as published.

use topology::NodeIx;

use super::{Choice, NoChoice, Policy, World, vicinity};
use crate::job::{Job, Stay};

/// The first node that fits: ground stations, clouds, edge, satellites, each by number.
#[derive(Clone, Copy, Debug, Default)]
pub struct FirstFit;

/// The next node that fits, by number, after the one chosen last.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundRobin {
    last: Option<NodeIx>,
}

/// Any node that fits.
#[derive(Clone, Copy, Debug)]
pub struct Random {
    state: u64,
}

/// Of the nodes that fit and meet all objectives now, the one whose longest latency is the shortest.
#[derive(Clone, Copy, Debug, Default)]
pub struct GreedyNearest;

impl Random {
    /// Draws from a seed.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// SplitMix64 (G. Steele, D. Lea, C. Flood, 2014).
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Policy for FirstFit {
    fn name(&self) -> &'static str {
        "first-fit"
    }

    fn choose(
        &mut self,
        world: &mut World<'_, '_>,
        job: &Job,
        task: usize,
    ) -> Result<Choice, NoChoice> {
        let fitting = fitting(world, job, task)?;
        Ok(chosen(world, fitting[0], &fitting))
    }
}

impl Policy for RoundRobin {
    fn name(&self) -> &'static str {
        "round-robin"
    }

    fn choose(
        &mut self,
        world: &mut World<'_, '_>,
        job: &Job,
        task: usize,
    ) -> Result<Choice, NoChoice> {
        let fitting = fitting(world, job, task)?;
        let later = fitting.iter().filter(|node| self.last.is_none_or(|last| last < **node)).min();
        let node = later.or_else(|| fitting.iter().min()).copied().unwrap_or(fitting[0]);
        self.last = Some(node);
        Ok(chosen(world, node, &fitting))
    }
}

impl Policy for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn choose(
        &mut self,
        world: &mut World<'_, '_>,
        job: &Job,
        task: usize,
    ) -> Result<Choice, NoChoice> {
        let fitting = fitting(world, job, task)?;
        #[expect(clippy::cast_possible_truncation, reason = "the rest is smaller than the list")]
        let at = (self.draw() % fitting.len() as u64) as usize;
        Ok(chosen(world, fitting[at], &fitting))
    }
}

impl Policy for GreedyNearest {
    fn name(&self) -> &'static str {
        "greedy-nearest"
    }

    fn choose(
        &mut self,
        world: &mut World<'_, '_>,
        job: &Job,
        task: usize,
    ) -> Result<Choice, NoChoice> {
        let sources = world.sources(job, task)?;
        let fitting = fitting(world, job, task)?;
        let considered = fitting.len();
        let mut best: Option<(f64, NodeIx)> = None;
        let mut eligible = 0;
        for node in fitting {
            let Some(longest_ms) = longest_ms(world, node, &sources) else { continue };
            eligible += 1;
            if best.is_none_or(|(best_ms, _)| longest_ms < best_ms) {
                best = Some((longest_ms, node));
            }
        }
        let task = &job.tasks[task].name;
        let none = || NoChoice::NoneEligible { task: task.clone(), considered };
        let (_, node) = best.ok_or_else(none)?;
        let stays = vec![Stay { node, from: world.now }];
        Ok(Choice { stays, score: 100, considered, eligible })
    }
}

/// The longest latency to the sources, ms; `None` where one is beyond its limit, or where no path leads.
fn longest_ms(
    world: &mut World<'_, '_>,
    node: NodeIx,
    sources: &[(NodeIx, Option<f64>)],
) -> Option<f64> {
    let mut longest_ms = 0.0_f64;
    for (source, limit_ms) in sources {
        let latency_ms = world.latencies.between(*source, node, world.now)?;
        if limit_ms.is_some_and(|limit_ms| limit_ms < latency_ms) {
            return None;
        }
        longest_ms = longest_ms.max(latency_ms);
    }
    Some(longest_ms)
}

/// All nodes that can run a task and have room for it; at least one.
fn fitting(world: &World<'_, '_>, job: &Job, task: usize) -> Result<Vec<NodeIx>, NoChoice> {
    let tasks = job.tasks.len();
    let of = job.tasks.get(task).ok_or(NoChoice::UnknownTask { task, tasks })?;
    let all = vicinity::all(world);
    let considered = all.len();
    let fitting: Vec<_> = all.into_iter().filter(|node| world.fits(*node, job, task)).collect();
    let none = || NoChoice::NoneEligible { task: of.name.clone(), considered };
    if fitting.is_empty() { Err(none()) } else { Ok(fitting) }
}

fn chosen(world: &World<'_, '_>, node: NodeIx, fitting: &[NodeIx]) -> Choice {
    let stays = vec![Stay { node, from: world.now }];
    Choice { stays, score: 100, considered: world.nodes.len(), eligible: fitting.len() }
}
