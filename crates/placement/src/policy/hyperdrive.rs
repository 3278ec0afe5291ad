//! The published policy, as it is: who is near, who fits, what network and heat say at this moment (polaris-slo-cloud/hyper-drive, 4072ae0).
//!
//! Select (vicinity of the first predecessor) → filter (resources, latency now) → score (latency and heat, equal weights) → the first of the
//! best three that still fits. It knows neither battery nor bandwidth nor any later moment.

use topology::NodeIx;

use super::{Choice, NoChoice, Policy, World, vicinity};
use crate::job::{Job, JobTask, Origin, Stay, origin_at};

/// So many of the best are tried.
const COMMITS: usize = 3;

/// The published policy.
#[derive(Clone, Copy, Debug, Default)]
pub struct HyperDrive;

/// The published policy, with what is published of the constraints but not in its code: the temperature of the orbit and of the execution together
/// stay below the highest, and the battery has the energy of the run above its reserve.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublishedConstraints;

/// A node that can host a task.
struct Eligible {
    node: NodeIx,
    /// The longest latency, whole ms; -1 without a path, as published.
    raw_ms: i64,
}

impl Policy for HyperDrive {
    fn name(&self) -> &'static str {
        "hyperdrive"
    }

    fn choose(
        &mut self,
        world: &mut World<'_, '_>,
        job: &Job,
        task: usize,
    ) -> Result<Choice, NoChoice> {
        choose(world, job, task, |_, _| true)
    }
}

impl Policy for PublishedConstraints {
    fn name(&self) -> &'static str {
        "published-constraints"
    }

    fn choose(
        &mut self,
        world: &mut World<'_, '_>,
        job: &Job,
        task: usize,
    ) -> Result<Choice, NoChoice> {
        choose(world, job, task, |world, node| {
            let heat = world.heat_after(node, job, task);
            heat.is_none_or(|(heat, after_c)| after_c <= heat.max_c)
                && has_energy(world, node, &job.tasks[task])
        })
    }
}

/// Whether a battery has what a run takes, at this moment's charge and without the Sun.
fn has_energy(world: &World<'_, '_>, node: NodeIx, task: &JobTask) -> bool {
    let Some((board, now)) = world.boards.get(node.index()) else { return true };
    board.power.is_none_or(|power| {
        let arch = world.nodes[node.index()].arch;
        let run_h = task.run_s(arch).unwrap_or(0.0) / 3600.0;
        let left_wh = (now.store.soc - power.reserve) * power.cells.capacity_left_wh(&now.store);
        (board.idle_w + task.watts) * run_h <= left_wh
    })
}

fn choose(
    world: &mut World<'_, '_>,
    job: &Job,
    task: usize,
    allows: impl Fn(&World<'_, '_>, NodeIx) -> bool,
) -> Result<Choice, NoChoice> {
    let sources = world.sources(job, task)?;
    let candidates = candidates(world, job, task);
    let name = || job.tasks[task].name.clone();
    if candidates.is_empty() {
        return Err(NoChoice::NoCandidate { task: name() });
    }
    let considered = candidates.len();
    let eligible: Vec<_> = candidates
        .into_iter()
        .filter_map(|node| eligible(world, node, (job, task), &sources))
        .collect();
    let eligible: Vec<_> = eligible.into_iter().filter(|one| allows(world, one.node)).collect();
    let mut scored = scored(world, job, task, &eligible);
    // Stable: of equal ones the earlier candidate stays first.
    scored.sort_by_key(|(_, score)| std::cmp::Reverse(*score));
    let best = scored.into_iter().take(COMMITS).find(|(node, _)| world.fits(*node, job, task));
    let (node, score) = best.ok_or_else(|| NoChoice::NoneEligible { task: name(), considered })?;
    let stays = vec![Stay { node, from: world.now }];
    Ok(Choice { stays, score, considered, eligible: eligible.len() })
}

/// The nodes near the host of the first predecessor; all where there is none, or where it is not known where it is. (Published for the first case
/// is a draw with replacement, which its scenario never comes to.)
fn candidates(world: &World<'_, '_>, job: &Job, task: usize) -> Vec<NodeIx> {
    let inputs = &job.tasks[task].inputs;
    let first = inputs.iter().find(|input| matches!(input.origin, Origin::Task(_)));
    let centre = first.and_then(|input| {
        let host = origin_at(job, input, world.now)?;
        world.latencies.forecast().place(host, world.now)
    });
    centre.map_or_else(|| vicinity::all(world), |centre| vicinity::near(world, centre))
}

/// The node, if the task fits there and each latency is within its limit now.
fn eligible(
    world: &mut World<'_, '_>,
    node: NodeIx,
    (job, task): (&Job, usize),
    sources: &[(NodeIx, Option<f64>)],
) -> Option<Eligible> {
    if !world.fits(node, job, task) {
        return None;
    }
    let mut longest_ms = -1.0_f64;
    for (source, limit_ms) in sources {
        let latency_ms = world.latencies.between(*source, node, world.now);
        match (latency_ms, limit_ms) {
            (Some(latency_ms), Some(limit_ms)) if *limit_ms < latency_ms => return None,
            (None, Some(_)) => return None,
            (latency_ms, _) => longest_ms = longest_ms.max(latency_ms.unwrap_or(-1.0)),
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "a latency in ms")]
    let raw_ms = longest_ms.round_ties_even() as i64;
    Some(Eligible { node, raw_ms })
}

/// Each with its score: the mean of network and heat, whole.
fn scored(
    world: &World<'_, '_>,
    job: &Job,
    task: usize,
    eligible: &[Eligible],
) -> Vec<(NodeIx, u32)> {
    let raw = || eligible.iter().map(|one| one.raw_ms);
    let (low, high) = (raw().min().unwrap_or(0), raw().max().unwrap_or(0).max(0));
    let span = if high == low { 1 } else { high - low };
    let score = |one: &Eligible| {
        // ⌊(hi − raw)/d·100⌋ over those that are eligible.
        #[expect(clippy::cast_precision_loss, reason = "latencies in ms")]
        let share = (high - one.raw_ms) as f64 / span as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
        let network = (share * 100.0).floor() as u32;
        (one.node, u32::midpoint(network, heat_score(world, one.node, job, task)))
    };
    eligible.iter().map(score).collect()
}

fn heat_score(world: &World<'_, '_>, node: NodeIx, job: &Job, task: usize) -> u32 {
    world.heat_after(node, job, task).map_or(100, |(heat, after_c)| heat.score(after_c))
}
