//! The hosts that have a place for a task, those of the shortest latency first, as far as they are asked for. Whether they bear it is for others to
//! ask: that takes longer than all else.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use topology::NodeIx;

use super::scene::Scene;
use crate::forecast::Step;

/// Where the inputs of a task come from when it starts, each with its longest latency in ms.
pub(super) type Origins = Vec<(NodeIx, Option<f64>)>;

/// Hosts by the longest latency to any origin.
#[derive(Debug)]
pub(super) struct Order {
    task: usize,
    step: Step,
    origins: Origins,
    /// How many of the nodes around the first origin were looked at.
    looked: usize,
    /// All that are nearer to the first origin were looked at, ms; infinite when all were.
    radius_ms: f64,
    /// Those whose latency may not be the next one. Latencies are not negative: their bits are ordered as they are.
    waiting: BinaryHeap<Reverse<(u64, NodeIx)>>,
    ready: Vec<(f64, NodeIx)>,
}

impl Order {
    pub(super) fn new(scene: &Scene<'_, '_, '_, '_>, task: usize, origins: Origins) -> Self {
        let step = scene.start(task);
        let mut order = Self {
            task,
            step,
            origins,
            looked: 0,
            radius_ms: 0.0,
            waiting: BinaryHeap::new(),
            ready: Vec::new(),
        };
        if order.origins.is_empty() {
            // Nothing is taken from anywhere: any host is as near as any other.
            let all = scene.world().numbers();
            let hosts = all.filter(|node| scene.has_place(task, *node, step));
            order.ready = hosts.map(|node| (0.0, node)).collect();
            order.radius_ms = f64::INFINITY;
        }
        order
    }

    /// The `nth` host, counted from 0, and its longest latency in ms; `None` beyond the last that meets all objectives when the task starts.
    pub(super) fn nth(
        &mut self,
        scene: &mut Scene<'_, '_, '_, '_>,
        nth: usize,
    ) -> Option<(f64, NodeIx)> {
        while self.ready.len() <= nth {
            let next = self.waiting.peek().map(|Reverse(next)| *next);
            match next {
                Some((bits, node)) if f64::from_bits(bits) <= self.radius_ms => {
                    self.waiting.pop();
                    self.ready.push((f64::from_bits(bits), node));
                }
                _ if self.radius_ms.is_infinite() => return None,
                _ => self.look(scene),
            }
        }
        self.ready.get(nth).copied()
    }

    /// Looks at one more node around the first origin.
    fn look(&mut self, scene: &mut Scene<'_, '_, '_, '_>) {
        let (first, limit_ms) = self.origins[0];
        let nearest = scene.latencies().nth_nearest(first, self.step, self.looked);
        self.looked += 1;
        let within = nearest.filter(|(_, ms)| limit_ms.is_none_or(|limit_ms| *ms <= limit_ms));
        let Some((node, latency_ms)) = within else {
            self.radius_ms = f64::INFINITY;
            return;
        };
        self.radius_ms = latency_ms;
        if scene.has_place(self.task, node, self.step)
            && let Some(longest_ms) = self.longest_ms(scene, node, latency_ms)
        {
            self.waiting.push(Reverse((longest_ms.to_bits(), node)));
        }
    }

    /// The longest latency to any origin, ms; `None` where one is beyond its limit.
    fn longest_ms(
        &self,
        scene: &mut Scene<'_, '_, '_, '_>,
        node: NodeIx,
        first_ms: f64,
    ) -> Option<f64> {
        let others = self.origins[1..].iter().copied();
        let others_ms = scene.latencies().longest_if_within(node, self.step, others)?;
        Some(others_ms.max(first_ms))
    }
}
