//! The least that all tasks after one can cost, as if only neighbours took room from each other.
//!
//! Dynamic programming over (task, host): exact for chains and for workflows in which each task has one predecessor. Where a task has more, only
//! its first planned one counts. For plans without hand-overs what is found is never too much while no battery is drawn from; a hand-over may be
//! better than that, and where all hosts draw from their batteries only the nearest of them are looked at.

use std::collections::BTreeMap;

use topology::NodeIx;

use super::cost::Cost;
use super::order::{Order, Origins};
use super::scene::Scene;
use crate::job::{Input, Origin, Stay, host_at};

/// So many hosts of a task that draw from their batteries are looked at: in a region that is dark all do, and none can be left out by its cost.
const DRAWING_MAX: usize = 24;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    /// By task and host of its parent (none: it hangs on no planned task).
    below: BTreeMap<(usize, Option<NodeIx>), Cost>,
}

impl Bounds {
    /// The least cost of a task and of all that hang on it, given the host of its parent; [`Cost::NONE`] where there is no host.
    pub(super) fn of(
        &mut self,
        scene: &mut Scene<'_, '_, '_, '_>,
        task: usize,
        parent: Option<NodeIx>,
    ) -> Cost {
        if let Some(known) = self.below.get(&(task, parent)) {
            return *known;
        }
        let origins = relaxed_origins(scene, task, parent);
        let mut order = Order::new(scene, task, origins);
        let (mut best, mut nth, mut drawing) = (Cost::NONE, 0, 0);
        while let Some((latency_ms, host)) = order.nth(scene, nth) {
            if best <= (Cost { battery: 0, latency_ms }) {
                break;
            }
            nth += 1;
            let own = Cost { battery: scene.drawn(task, host), latency_ms };
            let may_draw = own.battery == 0 || drawing < DRAWING_MAX;
            let has_room = parent != Some(host) || scene.fit_together(task, host);
            if best <= own || !may_draw || !has_room || !scene.bears(task, host) {
                continue;
            }
            drawing += usize::from(0 < own.battery);
            best = best.min(own + self.after(scene, task, host));
        }
        self.below.insert((task, parent), best);
        best
    }

    /// The least cost of all that hangs on a task, given its first host. Nothing is known where no host would do from there: the task may have
    /// been handed over by then.
    pub(super) fn after(
        &mut self,
        scene: &mut Scene<'_, '_, '_, '_>,
        task: usize,
        host: NodeIx,
    ) -> Cost {
        let children = scene.children(task);
        let each = children.into_iter().map(|child| self.of(scene, child, Some(host)));
        each.filter(Cost::is_finite).sum()
    }

    /// The same, given where the task is when each of them starts; [`Cost::NONE`] where one can have no host.
    pub(super) fn after_stays(
        &mut self,
        scene: &mut Scene<'_, '_, '_, '_>,
        task: usize,
        stays: &[Stay],
    ) -> Cost {
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
