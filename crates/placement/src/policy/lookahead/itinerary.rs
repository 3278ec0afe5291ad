//! One host after another for the time of a run: a hand-over wherever an objective would be violated, and nowhere else.

use std::collections::BTreeMap;

use topology::NodeIx;

use super::bound::{Bounds, Parent};
use super::cost::{Cost, coarse};
use super::order::Origins;
use super::scene::{Scene, Stays};
use crate::book::Promise;
use crate::forecast::Step;
use crate::job::{Input, Origin, Stay};

/// So many nodes that could follow are compared around each place where they are looked for; so many when it is late and few tasks are planned.
const FOLLOWERS: usize = 32;
const FOLLOWERS_LATE: usize = 8;
/// So many of those that have room for a task that hangs on this one, too: it would find its input where it is.
const ROOMY: usize = 4;
/// So many ways to go on from a step are weighed: the best one for the task alone may take room from others, or lead away from them.
const WAYS: usize = 24;
const WAYS_LATE: usize = 6;

/// Where a task is in all of its run.
#[derive(Clone, Debug)]
pub(super) struct Itinerary {
    pub(super) stays: Vec<Stay>,
    /// Steps at which an objective is violated all the same.
    pub(super) violated: u32,
    /// What is taken from the batteries of all hosts, µWh.
    pub(super) drawn: u64,
}

/// Where a task goes from a step on at which its host does not do, and then. It does not depend on the host before.
#[derive(Clone, Copy, Debug)]
struct Follow {
    /// To whom; nowhere where no node does, or where others need it here: then it stays, and an objective is violated.
    node: Option<NodeIx>,
    /// When the next one is needed; after the last step if none is.
    until: Step,
    /// Which of those that begin then.
    then: usize,
    rank: Rank,
}

/// Steps of violation, of what takes from the task too; what is taken from batteries, µWh, by what hangs on the task too; latency that is left to that
/// in units of the resolution; hand-overs; latency of the first in bits.
type Rank = (u32, u64, u64, u32, u64);

/// The itineraries of one task, given where its inputs come from.
#[derive(Debug)]
pub(super) struct Itineraries {
    task: usize,
    start: Step,
    last: Step,
    /// How many are kept that begin at a step: more than one only where another task is planned after this one.
    ways: usize,
    /// By step: the best that begin then, the best first.
    follows: BTreeMap<Step, Vec<Follow>>,
}

/// What an itinerary is decided with.
pub(super) struct Tools<'t, 'w, 'a, 'f, 'j> {
    pub(super) scene: &'t mut Scene<'w, 'a, 'f, 'j>,
    pub(super) bounds: &'t mut Bounds,
    pub(super) stays: Stays<'t>,
    /// What the tasks of the same plan that have their stays will be promised on a node.
    pub(super) planned: &'t dyn Fn(NodeIx) -> Vec<Promise>,
}

impl Tools<'_, '_, '_, '_, '_> {
    /// What a task takes from the battery of a node from a step until another, beside what is planned there.
    fn drawn(&self, task: usize, node: NodeIx, span: (Step, Step)) -> u64 {
        self.scene.drawn_beside(task, node, span, &(self.planned)(node))
    }
}

impl Itineraries {
    pub(super) fn new(scene: &Scene<'_, '_, '_, '_>, task: usize) -> Self {
        let (start, last) = (scene.start(task), scene.last(task));
        let ways = if scene.tail.last() == Some(&task) { 1 } else { WAYS };
        Self { task, start, last, ways, follows: BTreeMap::new() }
    }

    /// The hosts of the task if it starts on one: the best ways to go on from there, the best first.
    pub(super) fn from(
        &mut self,
        tools: &mut Tools<'_, '_, '_, '_, '_>,
        host: NodeIx,
    ) -> Vec<Itinerary> {
        let held = self.held_until(tools, host, self.start);
        let ways = if self.last < held { 1 } else { self.follow(tools, held).len() };
        (0..ways).map(|way| self.way(tools, host, (held, way))).collect()
    }

    /// The hosts of the task if it starts on one and goes on from a step in one of the ways that begin then.
    fn way(
        &mut self,
        tools: &mut Tools<'_, '_, '_, '_, '_>,
        host: NodeIx,
        (mut step, mut way): (Step, usize),
    ) -> Itinerary {
        let stays = vec![Stay { node: host, from: self.start }];
        let mut found = Itinerary { stays, violated: 0, drawn: 0 };
        let mut host = host;
        while step <= self.last {
            let follow = self.follow(tools, step)[way];
            let mut next = (follow.until, follow.then);
            if let Some(node) = follow.node {
                found.stays.push(Stay { node, from: step });
                host = node;
            } else {
                found.violated += 1;
                let held = self.held_until(tools, host, step + 1);
                if held != follow.until {
                    // It does again: nothing is needed before it fails next.
                    next = (held, 0);
                }
            }
            (step, way) = next;
        }
        found.drawn = self.drawn(tools, &found.stays);
        found
    }

    /// What is taken from the batteries of hosts, one after the other.
    fn drawn(&self, tools: &Tools<'_, '_, '_, '_, '_>, stays: &[Stay]) -> u64 {
        let ends = stays.iter().skip(1).map(|next| next.from).chain([self.last]);
        let drawn =
            |(stay, end): (&Stay, Step)| tools.drawn(self.task, stay.node, (stay.from, end));
        stays.iter().zip(ends).map(drawn).sum()
    }

    /// What is taken at least, µWh: from the battery of a host on which the task starts before it may leave that, then from any.
    pub(super) fn drawn_surely(&self, tools: &mut Tools<'_, '_, '_, '_, '_>, host: NodeIx) -> u64 {
        let held = self.held_until(tools, host, self.start);
        let rest = tools.scene.spared_between(self.task, (held, self.last));
        tools.drawn(self.task, host, (self.start, held)).saturating_add(rest)
    }

    /// The same without any hand-over, whatever it violates: where others need the room, that may be all that is left.
    pub(super) fn staying(&self, tools: &mut Tools<'_, '_, '_, '_, '_>, host: NodeIx) -> Itinerary {
        let breaks = |step: &Step| !self.is_held(tools, host, *step);
        let violated = (self.start..=self.last).filter(breaks).count();
        let violated = u32::try_from(violated).unwrap_or(u32::MAX);
        let stays = vec![Stay { node: host, from: self.start }];
        let drawn = self.drawn(tools, &stays);
        Itinerary { stays, violated, drawn }
    }

    /// Dynamic programming over the steps at which a hand-over is needed.
    fn follow(&mut self, tools: &mut Tools<'_, '_, '_, '_, '_>, step: Step) -> Vec<Follow> {
        if let Some(known) = self.follows.get(&step) {
            return known.clone();
        }
        let mut found: Vec<Follow> = Vec::new();
        for candidate in self.candidates(tools, step) {
            self.add_follows(tools, step, candidate, &mut found);
        }
        let until = step + 1;
        let spared = tools.scene.spared_between(self.task, (step, until));
        for (then, rest) in self.rest(tools, until).into_iter().enumerate() {
            let rank = (rest.0.saturating_add(1), spared.saturating_add(rest.1), rest.2, rest.3, 0);
            found.push(Follow { node: None, until, then, rank });
        }
        // Stable: of equal ones the one found first stays first.
        found.sort_by_key(|follow| follow.rank);
        let found = self.borne(tools, step, found);
        self.follows.insert(step, found.clone());
        found
    }

    /// Adds the ways to go on from a node that is gone to at a step.
    fn add_follows(
        &mut self,
        tools: &mut Tools<'_, '_, '_, '_, '_>,
        step: Step,
        (node, latency_ms): (NodeIx, f64),
        found: &mut Vec<Follow>,
    ) {
        let until = self.held_until(tools, node, step);
        let (violated, left) = self.left(tools, node, (step, until));
        if !left.is_finite() {
            return;
        }
        let drawn = tools.drawn(self.task, node, (step, until)).saturating_add(left.battery);
        for (then, rest) in self.rest(tools, until).into_iter().enumerate() {
            let rank = (
                violated.saturating_add(rest.0),
                drawn.saturating_add(rest.1),
                coarse(left.latency_ms).saturating_add(rest.2),
                rest.3.saturating_add(1),
                latency_ms.to_bits(),
            );
            found.push(Follow { node: Some(node), until, then, rank });
        }
    }

    /// The first ways whose node bears the task, as many as are kept. That is asked last, since it takes the longest.
    fn borne(
        &self,
        tools: &Tools<'_, '_, '_, '_, '_>,
        step: Step,
        ranked: Vec<Follow>,
    ) -> Vec<Follow> {
        let mut known: BTreeMap<NodeIx, bool> = BTreeMap::new();
        let mut bears = |node| {
            let asked = || tools.scene.bears_beside(self.task, node, step, &(tools.planned)(node));
            *known.entry(node).or_insert_with(asked)
        };
        let borne = ranked.into_iter().filter(|follow| follow.node.is_none_or(&mut bears));
        let most =
            if tools.scene.is_late() { tools.scene.scaled_to(WAYS_LATE, WAYS) } else { WAYS };
        borne.take(self.ways.min(most)).collect()
    }

    fn rest(&mut self, tools: &mut Tools<'_, '_, '_, '_, '_>, step: Step) -> Vec<Rank> {
        if self.last < step {
            return vec![(0, 0, 0, 0, 0)];
        }
        self.follow(tools, step).iter().map(|follow| follow.rank).collect()
    }

    /// What is left to tasks that take from this one while it is on a node, where it stays if it ends there: steps at which none of them can be
    /// hosted anywhere, and the least cost of those that start then.
    fn left(
        &self,
        tools: &mut Tools<'_, '_, '_, '_, '_>,
        node: NodeIx,
        (from, until): (Step, Step),
    ) -> (u32, Cost) {
        let until = if self.last < until { Step::MAX } else { until };
        let (mut violated, mut left) = (0_u32, Cost::ZERO);
        for taker in tools.scene.takers(self.task) {
            let before = Some((self.task, node));
            violated += tools.bounds.violated(tools.scene, taker, before, (from, until));
        }
        for child in tools.scene.children(self.task) {
            let start = tools.scene.start(child);
            if from <= start && start < until {
                let parent = Parent { task: self.task, node, sure: until };
                left = left + tools.bounds.of(tools.scene, child, Some(parent));
            }
        }
        (violated, left)
    }

    /// The first step at which an objective is violated on a node; the one after the last if none is.
    fn held_until(&self, tools: &mut Tools<'_, '_, '_, '_, '_>, node: NodeIx, from: Step) -> Step {
        let breaks = |step: &Step| !self.is_held(tools, node, *step);
        (from..=self.last).find(breaks).unwrap_or(self.last + 1)
    }

    /// Whether all objectives are met on a node at a step.
    fn is_held(&self, tools: &mut Tools<'_, '_, '_, '_, '_>, node: NodeIx, step: Step) -> bool {
        let origins = self.origins(tools, step);
        origins.is_some_and(|origins| tools.scene.all_within(node, step, origins))
    }

    /// Where all inputs come from at a step, each with its longest latency in ms.
    fn origins(&self, tools: &Tools<'_, '_, '_, '_, '_>, step: Step) -> Option<Origins> {
        let inputs = tools.scene.task(self.task).inputs.iter();
        let origin = |input: &Input| {
            Some((tools.scene.origin(input, step, tools.stays)?, input.latency_max_ms))
        };
        inputs.map(origin).collect()
    }

    /// The longest latency of the inputs on a node at a step, ms; `None` where an objective is violated.
    fn longest_ms(
        &self,
        tools: &mut Tools<'_, '_, '_, '_, '_>,
        node: NodeIx,
        step: Step,
    ) -> Option<f64> {
        let origins = self.origins(tools, step)?;
        tools.scene.latencies().longest_if_within(node, step, origins)
    }

    /// Nodes that have a place and meet all objectives at a step, with their longest latency in ms: the nearest to where the task takes its first
    /// input from, and to where tasks that hang on it take theirs from; and the nearest that have room for one of these, too.
    fn candidates(&self, tools: &mut Tools<'_, '_, '_, '_, '_>, step: Step) -> Vec<(NodeIx, f64)> {
        let mut found: Vec<(NodeIx, f64)> = Vec::new();
        let centres = self.centres(tools, step);
        for centre in &centres {
            let most = if tools.scene.is_late() {
                tools.scene.scaled_to(FOLLOWERS_LATE, FOLLOWERS)
            } else {
                FOLLOWERS
            };
            self.add_candidates(tools, step, (*centre, most), None, &mut found);
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
            let fits = with.is_none_or(|child| tools.scene.fit_together(child, self.task, node));
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
        tools.scene.has_place_beside(self.task, node, step, &(tools.planned)(node))
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
