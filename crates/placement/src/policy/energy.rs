//! Policies that look at batteries, light and warmth at this moment, after published ideas of which we know the abstracts only.
//!
//! Both consider the nodes that fit and meet all objectives now; neither looks at any later moment.

use std::cmp::Reverse;

use topology::NodeIx;

use super::{Choice, NoChoice, Policy, World, fitting};
use crate::endurance::{Board, Condition};
use crate::job::{Job, Stay};

/// After Phoenix (arXiv 2407.07337): nodes in sunlight before nodes in shadow, of these the one with the most charge above its reserve, of these
/// the nearest.
#[derive(Clone, Copy, Debug, Default)]
pub struct PhoenixLike;

/// After Equinox (arXiv 2604.19958): the node where the task costs least, by prices that rise without bound as charge, headroom or room run out:
/// the sum of `−ln x` over what would be left, each as a share of what there can be.
#[derive(Clone, Copy, Debug, Default)]
pub struct EquinoxLike;

/// What is left of something that is used up, as a share, is never priced as less.
const SHARE_MIN: f64 = 1e-6;
/// Headroom that is as good as any, K.
const HEADROOM_FULL_K: f64 = 60.0;

impl Policy for PhoenixLike {
    fn name(&self) -> &'static str {
        "phoenix-like"
    }

    fn choose(
        &mut self,
        world: &mut World<'_, '_>,
        job: &Job,
        task: usize,
    ) -> Result<Choice, NoChoice> {
        best(world, job, task, |world, node| {
            let sunlit = world.latencies.forecast().sunlit(node, world.now);
            let charge = board(world, node).map_or(1.0, |(board, now)| charge_left(board, now));
            (Reverse(parts(sunlit)), Reverse(parts(charge)))
        })
    }
}

impl Policy for EquinoxLike {
    fn name(&self) -> &'static str {
        "equinox-like"
    }

    fn choose(
        &mut self,
        world: &mut World<'_, '_>,
        job: &Job,
        task: usize,
    ) -> Result<Choice, NoChoice> {
        let of = &job.tasks[task.min(job.tasks.len().saturating_sub(1))];
        let (needs, watts) = (of.needs, of.watts);
        best(world, job, task, move |world, node| {
            let capacity = world.nodes[node.index()].capacity.milli_cpu.0;
            let free = world.book.free(node, world.now, world.now + 1).milli_cpu.0;
            let left = f64::from(free.saturating_sub(needs.milli_cpu.0));
            let room = left / f64::from(capacity.max(1));
            let [charge, headroom] = shares_left(world, node, watts);
            parts(price(charge) + price(headroom) + price(room))
        })
    }
}

/// The node of the lowest key among those that fit and meet all objectives now; of equal ones the nearest, then the first in order.
fn best<K: Ord>(
    world: &mut World<'_, '_>,
    job: &Job,
    task: usize,
    key: impl Fn(&World<'_, '_>, NodeIx) -> K,
) -> Result<Choice, NoChoice> {
    let sources = world.sources(job, task)?;
    let fitting = fitting(world, job, task)?;
    let considered = fitting.len();
    let mut eligible = 0;
    let mut best: Option<(K, u64, NodeIx)> = None;
    for (order, node) in (0_u64..).zip(fitting) {
        let Some(longest_ms) = world.longest_ms(node, &sources) else { continue };
        eligible += 1;
        // Latencies are not negative: their bits are ordered as they are.
        let found = (key(world, node), longest_ms.to_bits(), node);
        if best.as_ref().is_none_or(|best| (&found.0, found.1, order) < (&best.0, best.1, order)) {
            best = Some(found);
        }
    }
    let none = || NoChoice::NoneEligible { task: job.tasks[task].name.clone(), considered };
    let (_, _, node) = best.ok_or_else(none)?;
    let stays = vec![Stay { node, from: world.now }];
    Ok(Choice { stays, score: 100, considered, eligible })
}

fn board<'w>(world: &World<'w, '_>, node: NodeIx) -> Option<&'w (Board, Condition)> {
    world.boards.get(node.index())
}

/// State of charge above the reserve; 1 without a battery.
fn charge_left(board: &Board, now: &Condition) -> f64 {
    board.power.map_or(1.0, |power| now.store.soc - power.reserve)
}

/// What is left of charge and headroom if a task runs for an hour in this light, as shares.
fn shares_left(world: &World<'_, '_>, node: NodeIx, watts: f64) -> [f64; 2] {
    let Some((board, now)) = board(world, node) else { return [1.0; 2] };
    let load_w = board.idle_w + world.book.watts(node, world.now) + watts;
    let sunlit = world.latencies.forecast().sunlit(node, world.now);
    let then = board.after(*now, 3600.0, load_w, sunlit);
    let charge = board.power.map_or(1.0, |power| {
        (then.store.soc - power.reserve) / (1.0 - power.reserve).max(SHARE_MIN)
    });
    let headroom = board.thermal.map_or(1.0, |thermal| {
        (thermal.chip_max_c - thermal.margin_k - then.warmth.chip_c) / HEADROOM_FULL_K
    });
    [charge, headroom]
}

/// `−ln x`: nothing for all of it, more and more as it runs out.
fn price(share: f64) -> f64 {
    -share.clamp(SHARE_MIN, 1.0).ln()
}

/// In millionths, to be compared.
fn parts(value: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "float to int saturates")]
    let parts = (value * 1e6).round() as i64;
    parts
}
