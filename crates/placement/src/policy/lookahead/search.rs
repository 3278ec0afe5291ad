//! Best first: partial plans by what they cost so far and the least that the rest can cost (P. Hart, N. Nilsson, B. Raphael, 1968).
//!
//! Where that takes long, a plan is completed from the best beginnings of each length (beam search), and the search goes on only below its cost, until
//! so much work is done as the scene allows.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use topology::NodeIx;

use super::bound::{Bounds, Parent};
use super::cost::{Cost, coarse, coarse_uwh};
use super::itinerary::{Itineraries, Itinerary, Tools};
use super::order::{Order, Origins};
use super::scene::Scene;
use crate::book::Promise;
use crate::forecast::Step;
use crate::job::{Input, Origin, Stay, host_at};

/// What it takes to take up one partial plan, or one host, in the measure of [`Scene::work`].
const TURN_WORK: u64 = 4;
/// So many beginnings of each length are kept when a plan of few tasks is completed, and at most; so many hosts of the next task are tried after each.
const BEAM: (usize, usize) = (12, 64);
const BEAM_HOSTS: (usize, usize) = (6, 12);
/// Those are the ones that draw nothing, if so many of the nearest have any.
const BEAM_NEAREST: usize = 256;
/// So many of them may go on from the same beginning, beyond the first task: else they differ in little.
const BEAM_ALIKE: usize = 3;
/// So many hosts of a task are tried where no beginning that was kept can be completed.
const DIVE_HOSTS: usize = 64;

/// The best plan that was found, of it the task that starts now.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) stays: Vec<Stay>,
    /// The bound as a share of the cost, in per cent.
    pub(super) score: u32,
}

/// A partial plan: the tasks of the tail up to one.
#[derive(Clone, Debug)]
struct Part {
    before: Option<usize>,
    /// How many tasks of the tail have their stays.
    depth: usize,
    stays: Vec<Stay>,
    violated: u32,
    moves: u32,
    cost: Cost,
    /// The least that tasks without stays can add: steps of violation, and the rest.
    rest: (u32, Cost),
}

/// Steps of violation, battery and latency in units of their resolutions, hand-overs, then the exact latency and the order in which they came.
type Key = (u32, u64, u64, u32, u64, usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    /// A partial plan whose numbers are known.
    Part(usize),
    /// The `nth` host of the next task after a partial plan, and all that come after it.
    Host(usize, usize),
    /// That one alone, which draws from its battery.
    Drawing(usize, usize),
}

struct Search<'s, 'w, 'a, 'f, 'j> {
    scene: &'s mut Scene<'w, 'a, 'f, 'j>,
    /// What each task of the tail is promised where it starts.
    promises: Vec<Promise>,
    bounds: Bounds,
    parts: Vec<Part>,
    /// By partial plan: the hosts of its next task, where that goes from each, and the least that tasks can add that hang not on it.
    orders: Vec<Option<Order>>,
    itineraries: Vec<Option<Itineraries>>,
    others: Vec<Option<Cost>>,
    open: BinaryHeap<Reverse<(Key, Item)>>,
    came: usize,
}

/// The best plan of all tasks of a scene; `None` where one of them can have no host.
pub(super) fn search(scene: &mut Scene<'_, '_, '_, '_>) -> Option<Found> {
    let promises = scene.tail.iter().map(|task| scene.promise(*task, scene.start(*task))).collect();
    let mut search = Search {
        scene,
        promises,
        bounds: Bounds::default(),
        parts: vec![],
        orders: vec![],
        itineraries: vec![],
        others: vec![],
        open: BinaryHeap::new(),
        came: 0,
    };
    let nothing = Part {
        before: None,
        depth: 0,
        stays: vec![],
        violated: 0,
        moves: 0,
        cost: Cost::ZERO,
        rest: (0, Cost::ZERO),
    };
    let start = search.add(nothing)?;
    search.queue(start);
    search.run()
}

impl Search<'_, '_, '_, '_, '_> {
    fn run(&mut self) -> Option<Found> {
        let mut known: Option<usize> = None;
        let mut has_beam = false;
        while !self.scene.is_over() || (known.is_none() && !self.scene.is_hopeless()) {
            if self.scene.is_late() && !has_beam {
                known = self.beam();
                has_beam = true;
            }
            let Some(Reverse((key, item))) = self.open.pop() else {
                return known.map(|plan| self.found(plan));
            };
            if known.is_some_and(|plan| self.key(plan) <= key) {
                break;
            }
            self.scene.worked(TURN_WORK);
            match item {
                Item::Part(part) if self.is_complete(part) => return Some(self.found(part)),
                Item::Part(part) => self.offer(part, 0),
                Item::Host(part, nth) => {
                    self.offer(part, nth + 1);
                    self.consider(part, nth);
                }
                Item::Drawing(part, nth) => self.go_on(part, nth),
            }
        }
        let known = known.or_else(|| if has_beam { None } else { self.beam() });
        let plan = known.or_else(|| self.dive())?;
        Some(self.found(plan))
    }

    /// Puts the partial plans with the `nth` host of the next task on the list.
    fn go_on(&mut self, part: usize, nth: usize) {
        for next in self.extend(part, nth) {
            self.queue(next);
        }
    }

    /// A plan completed by going on from the best beginnings of each length only.
    fn beam(&mut self) -> Option<usize> {
        let mut kept = vec![0];
        for _ in 0..self.scene.tail.len() {
            let mut next: Vec<usize> = Vec::new();
            'parts: for part in kept {
                for nth in self.beam_hosts(part) {
                    next.extend(self.extend(part, nth));
                    if !next.is_empty() && self.scene.is_over() {
                        break 'parts;
                    }
                }
            }
            next.sort_by_key(|part| self.key(*part));
            let mut alike: BTreeMap<usize, usize> = BTreeMap::new();
            next.retain(|part| {
                let before = self.parts[*part].before.filter(|before| *before != 0);
                let nth = before.map(|before| alike.entry(before).or_default());
                nth.is_none_or(|nth| {
                    *nth += 1;
                    *nth <= BEAM_ALIKE
                })
            });
            next.truncate(self.scene.scaled_to(BEAM.0, BEAM.1));
            kept = next;
        }
        kept.first().copied()
    }

    /// The hosts of the next task after a partial plan that are tried there: those that draw least, of these the nearest.
    fn beam_hosts(&mut self, part: usize) -> Vec<usize> {
        let task = self.scene.tail[self.parts[part].depth];
        let most = self.scene.scaled_to(BEAM_HOSTS.0, BEAM_HOSTS.1);
        let (mut hosts, mut spared) = (Vec::new(), 0);
        for nth in 0..BEAM_NEAREST {
            let Some((_, host)) = self.host(part, nth).filter(|_| spared < most) else {
                break;
            };
            let drawn = self.scene.drawn(task, host);
            spared += usize::from(drawn == 0);
            hosts.push((drawn, nth));
        }
        hosts.sort_unstable();
        hosts.into_iter().take(most).map(|(_, nth)| nth).collect()
    }

    /// Completes the deepest of the best partial plans, each task on the first host that can be had.
    fn dive(&mut self) -> Option<usize> {
        while let Some(Reverse((_, item))) = self.open.pop() {
            let Item::Part(mut part) = item else { continue };
            while !self.is_complete(part) {
                let mut hosts = 0..DIVE_HOSTS;
                let Some(next) = hosts.find_map(|nth| self.extend(part, nth).first().copied())
                else {
                    break;
                };
                part = next;
            }
            if self.is_complete(part) {
                return Some(part);
            }
        }
        None
    }

    fn is_complete(&self, part: usize) -> bool {
        self.parts[part].depth == self.scene.tail.len()
    }

    fn found(&self, part: usize) -> Found {
        let score = self.parts[0].rest.1.percent_of(self.parts[part].cost);
        Found { stays: stays_of(&self.parts, part, 0).unwrap_or_default().to_vec(), score }
    }

    fn stays_of_task(&self, part: usize, task: usize) -> Option<&[Stay]> {
        let place = self.scene.tail.iter().position(|planned| *planned == task)?;
        stays_of(&self.parts, part, place)
    }

    /// Keeps a partial plan, with the least that its rest can cost; `None` where there is no rest.
    fn add(&mut self, part: Part) -> Option<usize> {
        let number = self.parts.len();
        let depth = part.depth;
        self.parts.push(part);
        let rest = self.rest(number, depth);
        if !rest.1.is_finite() {
            self.parts.pop();
            return None;
        }
        self.parts[number].rest = rest;
        self.orders.push(None);
        self.itineraries.push(None);
        self.others.push(None);
        Some(number)
    }

    fn queue(&mut self, part: usize) {
        self.open.push(Reverse((self.key(part), Item::Part(part))));
    }

    fn key(&self, part: usize) -> Key {
        let of = &self.parts[part];
        key(of, of.cost + of.rest.1, part)
    }

    /// Puts the `nth` host of the next task after a partial plan on the list.
    fn offer(&mut self, part: usize, nth: usize) {
        let Some((latency_ms, _)) = self.host(part, nth) else { return };
        self.push(part, Cost { battery: 0, latency_ms }, Item::Host(part, nth));
    }

    /// Goes on with the `nth` host of the next task after a partial plan: now, or when its turn comes by what it draws.
    fn consider(&mut self, part: usize, nth: usize) {
        let Some((latency_ms, host)) = self.host(part, nth) else { return };
        match self.drawn_surely(part, host) {
            0 => self.go_on(part, nth),
            battery => self.push(part, Cost { battery, latency_ms }, Item::Drawing(part, nth)),
        }
    }

    /// Puts a step of the next task after a partial plan on the list, which costs at least so much.
    fn push(&mut self, part: usize, own: Cost, item: Item) {
        let others = match self.others[part] {
            Some(known) => known,
            None => self.rest(part, self.parts[part].depth + 1).1,
        };
        self.others[part] = Some(others);
        let of = &self.parts[part];
        let mut least = of.cost + own + others;
        // Whatever the next task does, all that is left takes at least what all that is left takes.
        least.battery = least.battery.max(of.cost.battery.saturating_add(of.rest.1.battery));
        if least.is_finite() {
            self.came += 1;
            let key = key(of, least, self.came);
            self.open.push(Reverse((key, item)));
        }
    }

    /// The least that the tasks from a place of the tail on can add to a partial plan, without those that hang on a task that has no stays in it.
    fn rest(&mut self, part: usize, from: usize) -> (u32, Cost) {
        let (mut violated, mut rest) = (0, Cost::ZERO);
        for place in from..self.scene.tail.len() {
            let task = self.scene.tail[place];
            let mut most_violated = self.bounds.violated(self.scene, task, None, ALL);
            let hangs = self.scene.parent(task);
            let hangs = hangs.is_some_and(|parent| self.stays_of_task(part, parent).is_none());
            let mut most = Cost::ZERO;
            let mut is_bound = false;
            for input in &self.scene.task(task).inputs {
                let Origin::Task(before) = input.origin else { continue };
                let Some(stays) = self.stays_of_task(part, before).map(<[Stay]>::to_vec) else {
                    continue;
                };
                most_violated = most_violated.max(self.violated(task, (before, &stays)));
                if let Some(parent) = parent(before, &stays, self.scene.start(task))
                    && !hangs
                {
                    is_bound = true;
                    most = most.max(self.bounds.of(self.scene, task, Some(parent)));
                }
            }
            if !hangs && !is_bound {
                most = self.bounds.of(self.scene, task, None);
            }
            violated += most_violated;
            rest = rest + most;
        }
        (violated, rest)
    }

    /// The least steps of violation of a task, given where one is that it takes from.
    fn violated(&mut self, task: usize, (before, stays): (usize, &[Stay])) -> u32 {
        let mut violated = 0;
        for (at, stay) in stays.iter().enumerate() {
            let from = if at == 0 { 0 } else { stay.from };
            let until = stays.get(at + 1).map_or(Step::MAX, |next| next.from);
            let before = Some((before, stay.node));
            violated += self.bounds.violated(self.scene, task, before, (from, until));
        }
        violated
    }

    fn host(&mut self, part: usize, nth: usize) -> Option<(f64, NodeIx)> {
        if self.orders[part].is_none() {
            let task = self.scene.tail[self.parts[part].depth];
            let origins = self.origins(part, task)?;
            self.orders[part] = Some(Order::new(self.scene, task, origins));
        }
        self.orders[part].as_mut()?.nth(self.scene, nth)
    }

    /// Where all inputs of a task come from when it starts.
    fn origins(&self, part: usize, task: usize) -> Option<Origins> {
        let stays = |origin| self.stays_of_task(part, origin);
        let (step, inputs) = (self.scene.start(task), &self.scene.task(task).inputs);
        let origin =
            |input: &Input| Some((self.scene.origin(input, step, &stays)?, input.latency_max_ms));
        inputs.iter().map(origin).collect()
    }

    /// The partial plans with the `nth` host of its next task.
    fn extend(&mut self, part: usize, nth: usize) -> Vec<usize> {
        let Some((latency_ms, host)) = self.host(part, nth) else { return vec![] };
        let task = self.scene.tail[self.parts[part].depth];
        let (start, planned) =
            (self.scene.start(task), planned(&self.promises, &self.parts, part, host));
        let has_place = self.scene.has_place_beside(task, host, start, &planned);
        if !has_place || !self.scene.bears_beside(task, host, start, &planned) {
            return vec![];
        }
        let mut added = Vec::new();
        for found in self.itineraries(part, host) {
            let of = &self.parts[part];
            let moves = u32::try_from(found.stays.len() - 1).unwrap_or(u32::MAX);
            let next = Part {
                before: Some(part),
                depth: of.depth + 1,
                violated: of.violated.saturating_add(found.violated),
                moves: of.moves.saturating_add(moves),
                cost: of.cost + Cost { battery: found.drawn, latency_ms },
                rest: (0, Cost::ZERO),
                stays: found.stays,
            };
            added.extend(self.add(next));
        }
        added
    }

    /// Where a task is in all of its run if it starts on a host, after a partial plan: with hand-overs, and without if there are any.
    fn itineraries(&mut self, part: usize, host: NodeIx) -> Vec<Itinerary> {
        self.asked(part, |of, tools| {
            let mut found = of.from(tools, host);
            if found.iter().any(|itinerary| 1 < itinerary.stays.len()) {
                found.push(of.staying(tools, host));
            }
            found
        })
    }

    /// What the next task after a partial plan takes from the battery of its first host before it may leave that.
    fn drawn_surely(&mut self, part: usize, host: NodeIx) -> u64 {
        let task = self.scene.tail[self.parts[part].depth];
        if self.scene.drawn(task, host) == 0 {
            return 0;
        }
        self.asked(part, |of, tools| of.drawn_surely(tools, host))
    }

    /// Asks the itineraries of the next task after a partial plan.
    fn asked<T>(
        &mut self,
        part: usize,
        ask: impl FnOnce(&mut Itineraries, &mut Tools<'_, '_, '_, '_, '_>) -> T,
    ) -> T {
        let Self { scene, parts, bounds, itineraries, promises, .. } = self;
        let tail = scene.tail.clone();
        let stays = |origin: usize| {
            let place = tail.iter().position(|planned| *planned == origin)?;
            stays_of(parts, part, place)
        };
        let planned = |node| planned(promises, parts, part, node);
        let task = tail[parts[part].depth];
        let of = itineraries[part].get_or_insert_with(|| Itineraries::new(scene, task));
        ask(of, &mut Tools { scene, bounds, stays: &stays, planned: &planned })
    }
}

/// All steps.
const ALL: (Step, Step) = (0, Step::MAX);

fn key(of: &Part, least: Cost, came: usize) -> Key {
    let violated = of.violated.saturating_add(of.rest.0);
    let Cost { battery, latency_ms } = least;
    (violated, coarse_uwh(battery), coarse(latency_ms), of.moves, latency_ms.to_bits(), came)
}

/// A task with these stays as another finds it that starts at a step.
fn parent(task: usize, stays: &[Stay], start: Step) -> Option<Parent> {
    let node = host_at(stays, start)?;
    let next = stays.iter().find(|stay| start < stay.from);
    Some(Parent { task, node, sure: next.map_or(Step::MAX, |next| next.from) })
}

/// What the tasks that have their stays in a partial plan will be promised on a node, given what each task of the tail is promised where it
/// starts.
fn planned(promises: &[Promise], parts: &[Part], part: usize, node: NodeIx) -> Vec<Promise> {
    let promise = |place: usize| {
        let stays = stays_of(parts, part, place).unwrap_or_default();
        let first = stays.iter().find(|stay| stay.node == node)?;
        Some(Promise { from: first.from, ..promises[place] })
    };
    (0..parts[part].depth).filter_map(promise).collect()
}

/// The stays of the task at a place of the tail, in a partial plan.
fn stays_of(parts: &[Part], part: usize, place: usize) -> Option<&[Stay]> {
    let mut at = Some(part);
    while let Some(part) = at {
        let part = &parts[part];
        if part.depth == place + 1 {
            return Some(&part.stays);
        }
        at = part.before;
    }
    None
}
