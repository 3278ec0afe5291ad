//! The least latency that all tasks after one can have, as if only neighbours took room from each other.
//!
//! Dynamic programming over (task, host): exact for chains and for workflows in which each task has one predecessor. Where a task has more, only
//! its first planned one counts. For plans without hand-overs what is found is never too much; a hand-over may be better than that.

use std::collections::BTreeMap;

use topology::NodeIx;

use super::order::{Order, Origins};
use super::scene::Scene;
use crate::job::{Input, Origin, Stay, host_at};

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    /// By task and host of its parent (none: it hangs on no planned task), ms.
    below: BTreeMap<(usize, Option<NodeIx>), f64>,
}

impl Bounds {
    /// The least latency of the inputs of a task and of all that hang on it, ms, given the host of its parent; infinite where there is no host.
    pub(super) fn of(
        &mut self,
        scene: &mut Scene<'_, '_, '_, '_>,
        task: usize,
        parent: Option<NodeIx>,
    ) -> f64 {
        if let Some(known_ms) = self.below.get(&(task, parent)) {
            return *known_ms;
        }
        let origins = relaxed_origins(scene, task, parent);
        let mut order = Order::new(scene, task, origins);
        let (mut best_ms, mut nth) = (f64::INFINITY, 0);
        while let Some((latency_ms, host)) = order.nth(scene, nth) {
            if best_ms <= latency_ms {
                break;
            }
            nth += 1;
            if parent != Some(host) || scene.fit_together(task, host) {
                best_ms = best_ms.min(latency_ms + self.after(scene, task, host));
            }
        }
        self.below.insert((task, parent), best_ms);
        best_ms
    }

    /// The least latency of all that hangs on a task, ms, given its first host. Nothing is known where no host would do from there: the task
    /// may have been handed over by then.
    pub(super) fn after(
        &mut self,
        scene: &mut Scene<'_, '_, '_, '_>,
        task: usize,
        host: NodeIx,
    ) -> f64 {
        let children = scene.children(task);
        let each = children.into_iter().map(|child| self.of(scene, child, Some(host)));
        each.filter(|ms| ms.is_finite()).sum()
    }

    /// The same, given where the task is when each of them starts; infinite where one can have no host.
    pub(super) fn after_stays(
        &mut self,
        scene: &mut Scene<'_, '_, '_, '_>,
        task: usize,
        stays: &[Stay],
    ) -> f64 {
        let children = scene.children(task);
        let host = |scene: &Scene<'_, '_, '_, '_>, child| host_at(stays, scene.start(child));
        children.into_iter().map(|child| self.of(scene, child, host(scene, child))).sum()
    }
}

/// The origins of a task that do not hang on what is not decided, and its parent.
fn relaxed_origins(scene: &Scene<'_, '_, '_, '_>, task: usize, parent: Option<NodeIx>) -> Origins {
    let (step, parent_task) = (scene.start(task), scene.parent(task));
    let origin = |input: &Input| {
        let of_parent = match input.origin {
            Origin::Task(origin) if Some(origin) == parent_task => parent,
            Origin::Task(_) | Origin::Node(_) => None,
        };
        let node = of_parent.or_else(|| scene.origin(input, step, &|_| None))?;
        Some((node, input.latency_max_ms))
    };
    scene.task(task).inputs.iter().filter_map(origin).collect()
}
