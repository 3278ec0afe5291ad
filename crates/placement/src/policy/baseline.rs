//! What others are compared with: first fit, round robin, random, and the nearest of all nodes.
//!
//! All but the last ignore objectives, as published.

use topology::NodeIx;

use super::{Choice, NoChoice, Policy, World, fitting};
use crate::draw::SplitMix64;
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
    draw: SplitMix64,
}

/// Of the nodes that fit and meet all objectives now, the one whose longest latency is the shortest.
#[derive(Clone, Copy, Debug, Default)]
pub struct GreedyNearest;

impl Random {
    /// Draws from a seed.
    pub const fn new(seed: u64) -> Self {
        Self { draw: SplitMix64::new(seed) }
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
        let at = self.draw.below(fitting.len());
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
            let Some(longest_ms) = world.longest_ms(node, &sources) else { continue };
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

fn chosen(world: &World<'_, '_>, node: NodeIx, fitting: &[NodeIx]) -> Choice {
    let stays = vec![Stay { node, from: world.now }];
    Choice { stays, score: 100, considered: world.nodes.len(), eligible: fitting.len() }
}
