//! What all tasks after one cost at least: what they take from batteries and their latency, as if only neighbours took room from each other, and
//! steps at which nobody can host them.
//!
//! Dynamic programming over (task, host of its parent, for how long that is sure): exact for chains and for workflows in which each task has one
//! predecessor, as long as none is handed over. A task whose host may violate an objective before the next one starts may be anywhere by then:
//! what hangs on it is bounded by its other inputs, and what it takes from a battery as if it were where that is least. Where a task has more
//! predecessors, one of them counts: of those that are decided the one from which most is left. What is found is never too much, except where more
//! hosts draw from their batteries than are looked at. When it is late, what is not known by then is bounded by the latency of the nearest host.

use std::collections::BTreeMap;

use topology::NodeIx;

use super::cost::Cost;
use super::order::{Order, Origins};
use super::scene::Scene;
use crate::forecast::{ROUNDING_MS, Step};
use crate::job::{Input, Origin};

/// So many hosts of a task that draw from their batteries are looked at: in a region that is dark all do, and none can be left out by its cost.
const DRAWING_MAX: usize = 24;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    /// By task and its parent (none: it hangs on no planned task, or that may be anywhere).
    below: BTreeMap<(usize, Option<Parent>), Cost>,
    /// By task, step and predecessor: whether any node would do then.
    holds: BTreeMap<(usize, Step, Before), bool>,
    /// By task, predecessor and steps: at how many none would.
    violated: BTreeMap<(usize, Before, (Step, Step)), u32>,
}

/// A task that another takes from, and its host, if that counts.
type Before = Option<(usize, NodeIx)>;

/// A planned task that another takes from, where it is when that one starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Parent {
    pub(super) task: usize,
    pub(super) node: NodeIx,
    /// The first step at which it may be elsewhere.
    pub(super) sure: Step,
}

impl Bounds {
    /// The least cost of a task and of all that hang on it, given its parent; [`Cost::NONE`] where there is no host.
    pub(super) fn of(
        &mut self,
        scene: &mut Scene<'_, '_, '_, '_>,
        task: usize,
        parent: Option<Parent>,
    ) -> Cost {
        // For how long the parent is sure matters only to what comes after and to what is drawn, and not beyond the end.
        let is_alike = scene.children(task).is_empty() && !scene.has_batteries();
        let parent = parent.map(|of| {
            let is_always = is_alike || scene.last(task) < of.sure;
            let sure = if is_always { Step::MAX } else { of.sure };
            Parent { sure, ..of }
        });
        if let Some(known) = self.below.get(&(task, parent)) {
            return *known;
        }
        let origins = relaxed_origins(scene, task, parent, scene.start(task));
        let best = if origins.is_empty() {
            // Nothing says where: what hangs on it may find it anywhere, too.
            let children = scene.children(task);
            children.into_iter().map(|child| self.of(scene, child, None)).sum()
        } else {
            self.best_of(scene, (task, parent), Order::new(scene, task, origins))
        };
        self.below.insert((task, parent), best);
        best
    }

    /// The least of all hosts of a task.
    fn best_of(
        &mut self,
        scene: &mut Scene<'_, '_, '_, '_>,
        (task, parent): (usize, Option<Parent>),
        mut order: Order,
    ) -> Cost {
        let (mut best, mut nth, mut drawing) = (Cost::NONE, 0, 0);
        while let Some((latency_ms, host)) = order.nth(scene, nth) {
            if best <= (Cost { battery: 0, latency_ms }) {
                break;
            }
            nth += 1;
            if scene.is_late() {
                best = best.min(Cost { battery: 0, latency_ms });
                break;
            }
            let beside = parent.filter(|parent| parent.node == host);
            let has_room = beside.is_none_or(|parent| scene.fit_together(task, parent.task, host));
            let draws = 0 < scene.drawn(task, host);
            let may_draw = !draws || drawing < DRAWING_MAX;
            if !has_room || !may_draw {
                continue;
            }
            let own = Cost { battery: drawn_surely(scene, task, (host, parent)), latency_ms };
            if best <= own || !scene.bears(task, host, scene.start(task)) {
                continue;
            }
            drawing += usize::from(draws);
            best = best.min(own + self.after(scene, task, host, parent));
        }
        best
    }

    /// The least cost of all that hangs on a task, given its first host and its parent.
    fn after(
        &mut self,
        scene: &mut Scene<'_, '_, '_, '_>,
        task: usize,
        node: NodeIx,
        parent: Option<Parent>,
    ) -> Cost {
        let children = scene.children(task);
        let Some(latest) = children.iter().map(|child| scene.last(*child)).max() else {
            return Cost::ZERO;
        };
        let sure = sure_until(scene, task, (node, parent), latest);
        let mut all = Cost::ZERO;
        for child in children {
            let there = (scene.start(child) < sure).then_some(Parent { task, node, sure });
            let there = there.map(|there| self.of(scene, child, Some(there)));
            // Where no host would do from there, the task may have been handed over by then.
            let known = there.filter(Cost::is_finite);
            all = all + known.unwrap_or_else(|| self.of(scene, child, None));
        }
        all
    }

    /// Steps of some, at which a task runs, at which no node at all would meet its objectives, given a predecessor on a node.
    pub(super) fn violated(
        &mut self,
        scene: &mut Scene<'_, '_, '_, '_>,
        task: usize,
        before: Before,
        (from, until): (Step, Step),
    ) -> u32 {
        let from = from.max(scene.start(task) + 1);
        let until = until.min(scene.last(task).saturating_add(1));
        if let Some(known) = self.violated.get(&(task, before, (from, until))) {
            return *known;
        }
        let mut violated = 0;
        for step in from..until {
            let key = (task, step, before);
            let known = self.holds.get(&key).copied();
            let holds = known.unwrap_or_else(|| can_hold(scene, task, before, step));
            self.holds.insert(key, holds);
            violated += u32::from(!holds);
        }
        self.violated.insert((task, before, (from, until)), violated);
        violated
    }
}

/// What a task takes at least, µWh: from the battery of its first host before it may be handed over, then from any.
fn drawn_surely(
    scene: &mut Scene<'_, '_, '_, '_>,
    task: usize,
    (host, parent): (NodeIx, Option<Parent>),
) -> u64 {
    if scene.drawn(task, host) == 0 {
        return 0;
    }
    let (start, last) = (scene.start(task), scene.last(task));
    let sure = sure_until(scene, task, (host, parent), last);
    scene.drawn_between(task, host, (start, sure)) + scene.spared_between(task, (sure, last))
}

/// The first step after its start, of those until one, at which a task may be handed over that starts on a node; the last number if there is none.
fn sure_until(
    scene: &mut Scene<'_, '_, '_, '_>,
    task: usize,
    (node, parent): (NodeIx, Option<Parent>),
    latest: Step,
) -> Step {
    let (first, last) = (scene.start(task) + 1, scene.last(task).min(latest));
    let moves = |input: &Input, scene: &Scene<'_, '_, '_, '_>, step: Step| match input.origin {
        Origin::Node(_) => false,
        Origin::Task(of) => {
            let is_sure = parent.is_some_and(|parent| parent.task == of && step < parent.sure);
            input.latency_max_ms.is_some() && scene.tail.contains(&of) && !is_sure
        }
    };
    let mut breaks = |step: &Step| {
        if scene.is_late() {
            return true;
        }
        let inputs = &scene.task(task).inputs;
        inputs.iter().any(|input| moves(input, scene, *step)) || {
            let origins = relaxed_origins(scene, task, parent, *step);
            !scene.all_within(node, *step, origins)
        }
    };
    (first..=last).find(&mut breaks).unwrap_or(Step::MAX)
}

/// Whether any node that can run a task would meet its objectives at a step, given a predecessor on a node.
fn can_hold(scene: &mut Scene<'_, '_, '_, '_>, task: usize, before: Before, step: Step) -> bool {
    let parent = before.map(|(task, node)| Parent { task, node, sure: Step::MAX });
    let origins = relaxed_origins(scene, task, parent, step);
    let Some((first, limit_ms)) = origins.first().copied() else { return true };
    if scene.is_late() {
        return true;
    }
    if let Some(holds) = can_hold_on_the_way(scene, task, &origins, step) {
        return holds;
    }
    let mut nth = 0;
    while let Some((node, ms)) = scene.latencies().nth_nearest(first, step, nth)
        && limit_ms.is_none_or(|limit_ms| ms <= limit_ms)
    {
        nth += 1;
        let others = origins.iter().skip(1).copied();
        if scene.can_run(task, node) && scene.all_within(node, step, others) {
            return true;
        }
    }
    false
}

/// The same as far as the ways from the first origin to the others say so: a node on one of them is as near to both as any, and where one is longer
/// than both limits together there is none at all. Only the others are searched from, which are the same for all predecessors.
fn can_hold_on_the_way(
    scene: &mut Scene<'_, '_, '_, '_>,
    task: usize,
    origins: &Origins,
    step: Step,
) -> Option<bool> {
    let (&(first, limit_ms), others) = origins.split_first()?;
    if scene.can_run(task, first) && scene.all_within(first, step, others.iter().copied()) {
        return Some(true);
    }
    let limit_ms = limit_ms.unwrap_or(f64::INFINITY);
    for (other, other_ms) in others {
        let way = scene.latencies().path(*other, first, step);
        let all_ms = way.first()?.1;
        if limit_ms + other_ms.unwrap_or(f64::INFINITY) + ROUNDING_MS < all_ms {
            return Some(false);
        }
        let is_near = |(_, ms): &&(NodeIx, f64)| all_ms - ms <= limit_ms - ROUNDING_MS;
        for (node, _) in way.iter().take_while(is_near) {
            if scene.can_run(task, *node) && scene.all_within(*node, step, others.iter().copied()) {
                return Some(true);
            }
        }
    }
    None
}

/// The origins of a task at a step that do not hang on what is not decided, and its parent.
fn relaxed_origins(
    scene: &Scene<'_, '_, '_, '_>,
    task: usize,
    parent: Option<Parent>,
    step: Step,
) -> Origins {
    let origin = |input: &Input| {
        let of_parent = parent.filter(|parent| input.origin == Origin::Task(parent.task));
        let node = match of_parent {
            Some(parent) => parent.node,
            None => scene.origin(input, step, &|_| None)?,
        };
        Some((node, input.latency_max_ms))
    };
    scene.task(task).inputs.iter().filter_map(origin).collect()
}
