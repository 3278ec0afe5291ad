//! Best first: partial plans by what they cost so far and the least that the rest can cost (P. Hart, N. Nilsson, B. Raphael, 1968).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use topology::NodeIx;
use types::Capacity;

use super::bound::Bounds;
use super::cost::{Cost, coarse};
use super::itinerary::{Itineraries, Itinerary, Tools};
use super::order::{Order, Origins};
use super::scene::{Scene, sum};
use crate::job::{Input, Stay, host_at};

/// So many partial plans are looked at; then the best one is completed as it comes.
const LOOKS_MAX: usize = 20_000;
/// So many hosts of a task are tried then.
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
    /// The least that tasks without stays can add.
    rest: Cost,
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
    /// What each task of the tail needs.
    needs: Vec<Capacity>,
    bounds: Bounds,
    parts: Vec<Part>,
    /// By partial plan: the hosts of its next task, and where that goes from each.
    orders: Vec<Option<Order>>,
    itineraries: Vec<Option<Itineraries>>,
    open: BinaryHeap<Reverse<(Key, Item)>>,
    came: usize,
}

/// The best plan of all tasks of a scene; `None` where one of them can have no host.
pub(super) fn search(scene: &mut Scene<'_, '_, '_, '_>) -> Option<Found> {
    let mut bounds = Bounds::default();
    let roots: Vec<_> = scene.tail.clone();
    let roots = roots.into_iter().filter(|task| scene.parent(*task).is_none()).collect::<Vec<_>>();
    let rest = roots.into_iter().map(|task| bounds.of(scene, task, None)).sum();
    let part = Part {
        before: None,
        depth: 0,
        stays: vec![],
        violated: 0,
        moves: 0,
        cost: Cost::ZERO,
        rest,
    };
    let needs = scene.tail.iter().map(|task| scene.task(*task).needs).collect();
    let mut search = Search {
        scene,
        needs,
        bounds,
        parts: vec![],
        orders: vec![],
        itineraries: vec![],
        open: BinaryHeap::new(),
        came: 0,
    };
    search.add(part);
    search.run()
}

impl Search<'_, '_, '_, '_, '_> {
    fn run(&mut self) -> Option<Found> {
        let bound = self.parts[0].rest;
        for _ in 0..LOOKS_MAX {
            let Reverse((_, item)) = self.open.pop()?;
            match item {
                Item::Part(part) if self.parts[part].depth == self.scene.tail.len() => {
                    return Some(self.found(part, bound));
                }
                Item::Part(part) => self.offer(part, 0),
                Item::Host(part, nth) => {
                    self.offer(part, nth + 1);
                    self.consider(part, nth);
                }
                Item::Drawing(part, nth) => {
                    self.extend(part, nth);
                }
            }
        }
        self.dive(bound)
    }

    /// Completes the deepest of the best partial plans, each task on the first host that can be had.
    fn dive(&mut self, bound: Cost) -> Option<Found> {
        while let Some(Reverse((_, item))) = self.open.pop() {
            let Item::Part(mut part) = item else { continue };
            while self.parts[part].depth < self.scene.tail.len() {
                let next = self.parts.len();
                if !(0..DIVE_HOSTS).any(|nth| self.extend(part, nth)) {
                    break;
                }
                part = next;
            }
            if self.parts[part].depth == self.scene.tail.len() {
                return Some(self.found(part, bound));
            }
        }
        None
    }

    fn found(&self, part: usize, bound: Cost) -> Found {
        let score = bound.percent_of(self.parts[part].cost);
        Found { stays: stays_of(&self.parts, part, 0).unwrap_or_default().to_vec(), score }
    }

    fn stays_of_task(&self, part: usize, task: usize) -> Option<&[Stay]> {
        let place = self.scene.tail.iter().position(|planned| *planned == task)?;
        stays_of(&self.parts, part, place)
    }

    fn add(&mut self, part: Part) {
        let key = self.key((part.violated, part.moves), part.cost + part.rest);
        self.open.push(Reverse((key, Item::Part(self.parts.len()))));
        self.parts.push(part);
        self.orders.push(None);
        self.itineraries.push(None);
    }

    fn key(&mut self, (violated, moves): (u32, u32), cost: Cost) -> Key {
        self.came += 1;
        let Cost { battery, latency_ms } = cost;
        (violated, battery, coarse(latency_ms), moves, latency_ms.to_bits(), self.came)
    }

    /// Puts the `nth` host of the next task after a partial plan on the list.
    fn offer(&mut self, part: usize, nth: usize) {
        let Some((latency_ms, _)) = self.host(part, nth) else { return };
        self.push(part, Cost { battery: 0, latency_ms }, Item::Host(part, nth));
    }

    /// Goes on with the `nth` host of the next task after a partial plan: now, or when its turn comes by what it draws.
    fn consider(&mut self, part: usize, nth: usize) {
        let Some((latency_ms, host)) = self.host(part, nth) else { return };
        match self.scene.drawn(self.scene.tail[self.parts[part].depth], host) {
            0 => {
                self.extend(part, nth);
            }
            battery => self.push(part, Cost { battery, latency_ms }, Item::Drawing(part, nth)),
        }
    }

    /// Puts a step of the next task after a partial plan on the list, which costs at least so much.
    fn push(&mut self, part: usize, own: Cost, item: Item) {
        let others = self.others(part);
        let of = &self.parts[part];
        let (violated, moves) = (of.violated, of.moves);
        let mut least = of.cost + own + others;
        // Whatever the next task does, all that is left takes at least what all that is left takes.
        least.battery = least.battery.max(of.cost.battery.saturating_add(of.rest.battery));
        if least.is_finite() {
            let key = self.key((violated, moves), least);
            self.open.push(Reverse((key, item)));
        }
    }

    /// The least that tasks can add that hang neither on the next one nor are it.
    fn others(&mut self, part: usize) -> Cost {
        let task = self.scene.tail[self.parts[part].depth];
        let parent = self.parent_host(part, task);
        let with_it = self.bounds.of(self.scene, task, parent);
        self.parts[part].rest.without(with_it)
    }

    fn parent_host(&self, part: usize, task: usize) -> Option<NodeIx> {
        let parent = self.scene.parent(task)?;
        host_at(self.stays_of_task(part, parent)?, self.scene.start(task))
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

    /// The partial plans with the `nth` host of its next task; false where there are none.
    fn extend(&mut self, part: usize, nth: usize) -> bool {
        let Some((latency_ms, host)) = self.host(part, nth) else { return false };
        let task = self.scene.tail[self.parts[part].depth];
        let beside = taken(&self.needs, &self.parts, part, host);
        let has_room = self.scene.has_room_beside(task, host, self.scene.start(task), beside);
        if !has_room || !self.scene.bears(task, host) {
            return false;
        }
        let others = self.others(part);
        let before = self.parts.len();
        for found in self.itineraries(part, task, host) {
            let rest = others + self.bounds.after_stays(self.scene, task, &found.stays);
            let of = &self.parts[part];
            let moves = u32::try_from(found.stays.len() - 1).unwrap_or(u32::MAX);
            let next = Part {
                before: Some(part),
                depth: of.depth + 1,
                violated: of.violated.saturating_add(found.violated),
                moves: of.moves.saturating_add(moves),
                cost: of.cost + Cost { battery: found.drawn, latency_ms },
                rest,
                stays: found.stays,
            };
            if next.rest.is_finite() {
                self.add(next);
            }
        }
        before < self.parts.len()
    }

    /// Where a task is in all of its run if it starts on a host, after a partial plan: with hand-overs, and without if there are any.
    fn itineraries(&mut self, part: usize, task: usize, host: NodeIx) -> Vec<Itinerary> {
        let Self { scene, parts, bounds, itineraries, needs, .. } = self;
        let tail = scene.tail.clone();
        let stays = |origin: usize| {
            let place = tail.iter().position(|planned| *planned == origin)?;
            stays_of(parts, part, place)
        };
        let taken = |node| taken(needs, parts, part, node);
        let of = itineraries[part].get_or_insert_with(|| Itineraries::new(scene, task));
        let tools = &mut Tools { scene, bounds, stays: &stays, taken: &taken };
        let best = of.from(tools, host);
        if best.stays.len() == 1 { vec![best] } else { vec![best, of.staying(tools, host)] }
    }
}

/// What the tasks that have their stays in a partial plan take on a node, given what each task of the tail needs.
fn taken(needs: &[Capacity], parts: &[Part], part: usize, node: NodeIx) -> Capacity {
    let comes = |place: &usize| {
        let stays = stays_of(parts, part, *place).unwrap_or_default();
        stays.iter().any(|stay| stay.node == node)
    };
    let places = (0..parts[part].depth).filter(comes);
    places.fold(Capacity::default(), |all, place| sum(all, needs[place]))
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
