//! One host after another for the time of a run: a hand-over wherever an objective would be violated, and nowhere else.

use std::collections::BTreeMap;

use topology::NodeIx;
use types::Capacity;

use super::bound::Bounds;
use super::cost::{Cost, coarse};
use super::scene::{Scene, Stays};
use crate::forecast::Step;
use crate::job::{Input, Origin, Stay};

/// So many nodes that could follow are compared around each place where they are looked for.
const FOLLOWERS: usize = 32;
/// So many of those that have room for a task that hangs on this one, too: it would find its input where it is.
const ROOMY: usize = 4;

/// Where a task is in all of its run.
#[derive(Clone, Debug)]
pub(super) struct Itinerary {
    pub(super) stays: Vec<Stay>,
    /// Steps at which an objective is violated all the same.
    pub(super) violated: u32,
    /// What is taken from the batteries of all hosts.
    pub(super) drawn: u64,
}

/// Where a task goes from a step on at which its host does not do: the best of all that begins then. It does not depend on the host before.
#[derive(Clone, Copy, Debug)]
struct Follow {
    /// To whom; nowhere where no node does: then it stays, and an objective is violated.
    node: Option<NodeIx>,
    /// When the next one is needed; after the last step if none is.
    until: Step,
    rank: Rank,
}

/// Steps of violation; what is taken from batteries, by what hangs on the task too; latency that is left to that in units of the resolution;
/// hand-overs; latency of the first in bits.
type Rank = (u32, u64, u64, u32, u64);

/// The itineraries of one task, given where its inputs come from.
#[derive(Debug)]
pub(super) struct Itineraries {
    task: usize,
    start: Step,
    last: Step,
    /// By step.
    follows: BTreeMap<Step, Follow>,
}

/// What an itinerary is decided with.
pub(super) struct Tools<'t, 'w, 'a, 'f, 'j> {
    pub(super) scene: &'t mut Scene<'w, 'a, 'f, 'j>,
    pub(super) bounds: &'t mut Bounds,
    pub(super) stays: Stays<'t>,
    /// What the tasks of the same plan that have their stays take on a node.
    pub(super) taken: &'t dyn Fn(NodeIx) -> Capacity,
}

impl Itineraries {
    pub(super) fn new(scene: &Scene<'_, '_, '_, '_>, task: usize) -> Self {
        let (start, last) = (scene.start(task), scene.last(task));
        Self { task, start, last, follows: BTreeMap::new() }
    }

    /// The hosts of the task if it starts on one.
    pub(super) fn from(
        &mut self,
        tools: &mut Tools<'_, '_, '_, '_, '_>,
        host: NodeIx,
    ) -> Itinerary {
        let stays = vec![Stay { node: host, from: self.start }];
        let mut found = Itinerary { stays, violated: 0, drawn: 0 };
        let mut step = self.held_until(tools, host, self.start);
        while step <= self.last {
            let follow = self.follow(tools, step);
            match follow.node {
                Some(node) if found.stays.last().is_some_and(|stay| stay.node != node) => {
                    found.stays.push(Stay { node, from: step });
                }
                Some(_) => {}
                None => found.violated += 1,
            }
            step = follow.until;
        }
        found.drawn = self.drawn(tools.scene, &found.stays);
        found
    }

    /// What is taken from the batteries of hosts, one after the other.
    fn drawn(&self, scene: &Scene<'_, '_, '_, '_>, stays: &[Stay]) -> u64 {
        let ends = stays.iter().skip(1).map(|next| next.from).chain([self.last]);
        let drawn = |(stay, end): (&Stay, Step)| {
            scene.drawn_between(self.task, stay.node, (stay.from, end))
        };
        stays.iter().zip(ends).map(drawn).sum()
    }

    /// The same without any hand-over, whatever it violates: where others need the room, that may be all that is left.
    pub(super) fn staying(&self, tools: &mut Tools<'_, '_, '_, '_, '_>, host: NodeIx) -> Itinerary {
        let breaks = |step: &Step| self.longest_ms(tools, host, *step).is_none();
        let violated = (self.start..=self.last).filter(breaks).count();
        let violated = u32::try_from(violated).unwrap_or(u32::MAX);
        let drawn = tools.scene.drawn(self.task, host);
        Itinerary { stays: vec![Stay { node: host, from: self.start }], violated, drawn }
    }

    /// Dynamic programming over the steps at which a hand-over is needed.
    fn follow(&mut self, tools: &mut Tools<'_, '_, '_, '_, '_>, step: Step) -> Follow {
        if let Some(known) = self.follows.get(&step) {
            return *known;
        }
        let candidates = self.candidates(tools, step);
        let mut ranked = Vec::with_capacity(candidates.len());
        for (node, latency_ms) in candidates {
            ranked.push(self.ranked(tools, step, (node, latency_ms)));
        }
        // Stable: of equal ones the one found first stays first. Whether it bears the task is asked last, since that takes the longest.
        ranked.sort_by_key(|follow| follow.rank);
        let bears = |follow: &Follow| {
            follow.node.is_some_and(|node| tools.scene.bears_from(self.task, node, step))
        };
        let best = ranked.into_iter().find(bears);
        let found = best.unwrap_or_else(|| {
            let then = self.rest(tools, step + 1);
            let rank = (then.0 + 1, then.1, then.2, then.3, 0);
            Follow { node: None, until: step + 1, rank }
        });
        self.follows.insert(step, found);
        found
    }

    /// What it is to go to a node at a step.
    fn ranked(
        &mut self,
        tools: &mut Tools<'_, '_, '_, '_, '_>,
        step: Step,
        (node, latency_ms): (NodeIx, f64),
    ) -> Follow {
        let until = self.held_until(tools, node, step);
        let left = self.left(tools, node, (step, until));
        let drawn = tools.scene.drawn_between(self.task, node, (step, until));
        let then = self.rest(tools, until);
        let rank = (
            then.0,
            drawn.saturating_add(left.battery).saturating_add(then.1),
            coarse(left.latency_ms).saturating_add(then.2),
            then.3.saturating_add(1),
            latency_ms.to_bits(),
        );
        Follow { node: Some(node), until, rank }
    }

    fn rest(&mut self, tools: &mut Tools<'_, '_, '_, '_, '_>, step: Step) -> Rank {
        if self.last < step { (0, 0, 0, 0, 0) } else { self.follow(tools, step).rank }
    }

    /// The least cost of what hangs on the task and starts while it is on a node; it stays where it ended.
    fn left(
        &self,
        tools: &mut Tools<'_, '_, '_, '_, '_>,
        node: NodeIx,
        (from, until): (Step, Step),
    ) -> Cost {
        let mut left = Cost::ZERO;
        for child in tools.scene.children(self.task) {
            let start = tools.scene.start(child);
            if from <= start && (start < until || self.last < until) {
                left = left + tools.bounds.of(tools.scene, child, Some(node));
            }
        }
        left
    }

    /// The first step at which an objective is violated on a node; the one after the last if none is.
    fn held_until(&self, tools: &mut Tools<'_, '_, '_, '_, '_>, node: NodeIx, from: Step) -> Step {
        let breaks = |step: &Step| self.longest_ms(tools, node, *step).is_none();
        (from..=self.last).find(breaks).unwrap_or(self.last + 1)
    }

    /// The longest latency of the inputs on a node at a step, ms; `None` where an objective is violated.
    fn longest_ms(
        &self,
        tools: &mut Tools<'_, '_, '_, '_, '_>,
        node: NodeIx,
        step: Step,
    ) -> Option<f64> {
        let inputs = tools.scene.task(self.task).inputs.iter();
        let origin = |input: &Input| {
            Some((tools.scene.origin(input, step, tools.stays)?, input.latency_max_ms))
        };
        let origins: Vec<_> = inputs.map(origin).collect::<Option<_>>()?;
        tools.scene.latencies().longest_within(node, step, origins)
    }

    /// Nodes that have a place and meet all objectives at a step, with their longest latency in ms: the nearest to where the task takes its first input from, and to
    /// where tasks that hang on it take theirs from; and the nearest that have room for one of these, too.
    fn candidates(&self, tools: &mut Tools<'_, '_, '_, '_, '_>, step: Step) -> Vec<(NodeIx, f64)> {
        let mut found: Vec<(NodeIx, f64)> = Vec::new();
        let centres = self.centres(tools, step);
        for centre in &centres {
            self.add_candidates(tools, step, (*centre, FOLLOWERS), None, &mut found);
        }
        for child in tools.scene.children(self.task) {
            if let Some(centre) = centres.first()
                && step <= tools.scene.start(child)
            {
                self.add_candidates(tools, step, (*centre, ROOMY), Some(child), &mut found);
            }
        }
        found
    }

    /// Adds at most so many around a centre.
    fn add_candidates(
        &self,
        tools: &mut Tools<'_, '_, '_, '_, '_>,
        step: Step,
        ((centre, at), most): ((NodeIx, Step), usize),
        with: Option<usize>,
        found: &mut Vec<(NodeIx, f64)>,
    ) {
        let (mut nth, mut new) = (0, 0);
        while new < most
            && let Some((node, _)) = tools.scene.latencies().nth_nearest(centre, at, nth)
        {
            nth += 1;
            let is_known = found.iter().any(|(known, _)| *known == node);
            let fits = with.is_none_or(|child| tools.scene.fit_together(child, node));
            if is_known || !fits || !self.has_place(tools, node, step) {
                continue;
            }
            if let Some(latency_ms) = self.longest_ms(tools, node, step) {
                found.push((node, latency_ms));
                new += 1;
            }
        }
    }

    fn has_place(&self, tools: &Tools<'_, '_, '_, '_, '_>, node: NodeIx, step: Step) -> bool {
        let beside = (tools.taken)(node);
        tools.scene.has_place(self.task, node, step)
            && tools.scene.has_room_beside(self.task, node, step, beside)
    }

    /// Where followers are looked for, each with the step whose network counts.
    fn centres(&self, tools: &Tools<'_, '_, '_, '_, '_>, step: Step) -> Vec<(NodeIx, Step)> {
        let scene = &tools.scene;
        let own = scene.task(self.task).inputs.first();
        let own = own.and_then(|input| Some((scene.origin(input, step, tools.stays)?, step)));
        let of_child = |child: usize| {
            let start = scene.start(child);
            let inputs = scene.task(child).inputs.iter();
            inputs.filter_map(move |input| match input.origin {
                Origin::Node(node) => Some((node, start)),
                Origin::Task(_) => None,
            })
        };
        let children = scene.children(self.task).into_iter();
        let children = children.filter(|child| step <= scene.start(*child));
        own.into_iter().chain(children.flat_map(of_child)).collect()
    }
}
