//! After Vela (polaris-slo-cloud/vela-scheduler): a sample of the nodes, the least used of them first, the first of the best three that still fits.
//!
//! Vela's own decision pipeline sorts the other way and takes the worst of its sample; that is not kept. Objectives are not asked for, as there.

use topology::NodeIx;

use super::{Choice, NoChoice, Policy, World, fitting};
use crate::draw::SplitMix64;
use crate::job::{Job, Stay};

/// One node in so many is looked at: half of the clusters, four in a hundred of their nodes.
const ONE_IN: usize = 50;
/// So many samples are drawn until one fits.
const PASSES: usize = 5;
/// So many of the best are tried.
const COMMITS: usize = 3;

/// A sampling policy.
#[derive(Clone, Debug)]
pub struct VelaLike {
    draw: SplitMix64,
}

impl VelaLike {
    /// Draws from a seed.
    pub const fn new(seed: u64) -> Self {
        Self { draw: SplitMix64::new(seed) }
    }
}

impl Policy for VelaLike {
    fn name(&self) -> &'static str {
        "vela-like"
    }

    fn choose(
        &mut self,
        world: &mut World<'_, '_>,
        job: &Job,
        task: usize,
    ) -> Result<Choice, NoChoice> {
        world.sources(job, task)?;
        // Who fits nowhere is told so, whatever is drawn.
        fitting(world, job, task)?;
        let nodes = world.nodes.len();
        let size = (nodes / ONE_IN).max(1);
        let mut sample: Vec<NodeIx> = Vec::new();
        for _ in 0..PASSES {
            let drawn = (0..size).map(|_| self.draw.below(nodes));
            sample.extend(drawn.filter_map(|at| u32::try_from(at).ok()).map(NodeIx));
            let mut eligible: Vec<_> =
                sample.iter().copied().filter(|node| world.fits(*node, job, task)).collect();
            eligible.sort_by_key(|node| (used_percent(world, *node), *node));
            eligible.dedup();
            let fits = |node: &NodeIx| world.fits(*node, job, task);
            if let Some(node) = eligible.iter().copied().take(COMMITS).find(fits) {
                let score = 100_u32.saturating_sub(used_percent(world, node));
                let stays = vec![Stay { node, from: world.now }];
                let (considered, eligible) = (sample.len(), eligible.len());
                return Ok(Choice { stays, score, considered, eligible });
            }
        }
        let task = job.tasks[task].name.clone();
        Err(NoChoice::NoneEligible { task, considered: sample.len() })
    }
}

/// How much of a node is promised, the mean of processor and memory, in whole per cent.
fn used_percent(world: &World<'_, '_>, node: NodeIx) -> u32 {
    let capacity = world.nodes[node.index()].capacity;
    let free = world.book.free(node, world.now, world.now + 1);
    let used = |free: u32, all: u32| u64::from(all - free.min(all)) * 100 / u64::from(all.max(1));
    let cpu = used(free.milli_cpu.0, capacity.milli_cpu.0);
    let memory = used(free.memory_mib.0, capacity.memory_mib.0);
    u32::try_from(u64::midpoint(cpu, memory)).unwrap_or(100)
}
