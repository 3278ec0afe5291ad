//! The best plan there is: every decision of every task in order of time, best first, with what is proven to come at least.
//!
//! A plan is decided step by step, at each step task by task: where one starts, and where it goes when an objective does not hold. Two beginnings
//! from which everything can go on alike are one: the dearer is dropped. The first complete plan that comes up is the best, since no beginning
//! can end below what it was put in at.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::bound::Bounds;
use super::problem::{From, Problem};
use super::{Cost, Rule, Unsolved};

/// A task comes to a node at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Arrival {
    pub(super) task: u8,
    pub(super) node: u8,
    pub(super) from: u8,
}

/// The beginning of a plan.
#[derive(Clone, Debug)]
struct Begun {
    arrivals: Vec<Arrival>,
    cost: Cost,
    /// The step and the task that are to be decided.
    at: (usize, usize),
}

/// What is to be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Start,
    HandOver,
}

/// Where a beginning stands in the queue: least cost of its end, then the latest.
type Key = (Cost, Reverse<(usize, usize)>, usize);

struct Search<'p> {
    problem: &'p Problem,
    rule: Rule,
    bounds: Bounds<'p>,
    begun: Vec<Option<Begun>>,
    open: BinaryHeap<Reverse<Key>>,
    /// By what matters for the rest: costs of which none is as good as another in all respects.
    seen: BTreeMap<Vec<u8>, Vec<Cost>>,
    /// Nodes on which tasks may take room from each other, as bits.
    tight: u64,
    has_batteries: bool,
}

/// The best plan, and how many beginnings were looked at.
#[derive(Clone, Debug)]
pub(super) struct Solved {
    pub(super) cost: Cost,
    pub(super) looks: usize,
}

/// The best plan; `Ok(None)` where there is none at all.
pub(super) fn search(
    problem: &Problem,
    rule: Rule,
    looks_max: usize,
) -> Result<Option<Solved>, Unsolved> {
    let mut search = Search {
        problem,
        rule,
        bounds: Bounds::new(problem, rule == Rule::WhereNeeded),
        begun: vec![],
        open: BinaryHeap::new(),
        seen: BTreeMap::new(),
        tight: tight(problem),
        has_batteries: problem.has_batteries(),
    };
    search.add(Begun { arrivals: vec![], cost: Cost::default(), at: (0, 0) });
    let mut looks = 0;
    while let Some(Reverse((_, _, number))) = search.open.pop() {
        let Some(begun) = search.begun[number].take() else { continue };
        if search.is_dropped(&begun) {
            continue;
        }
        looks += 1;
        if looks_max < looks {
            return Err(Unsolved { looks_max });
        }
        match search.decision(&begun) {
            None => return Ok(Some(Solved { cost: begun.cost, looks })),
            Some(decision) => search.decide(&begun, decision),
        }
    }
    Ok(None)
}

impl Search<'_> {
    /// Goes on to what is to be decided next, and puts that in the queue.
    fn add(&mut self, mut begun: Begun) {
        while self.decision(&begun).is_none() && begun.at.0 < self.problem.steps {
            self.go_on(&mut begun);
        }
        let hosts = self.hosts(&begun);
        let (violated, rest) = self.bounds.rest(&hosts, begun.at);
        if rest.is_none() || !self.is_new(&begun, &hosts) {
            return;
        }
        let least = Cost {
            violated: begun.cost.violated + violated,
            battery_uwh: begun.cost.battery_uwh + rest.uwh,
            latency_us: begun.cost.latency_us + rest.us,
            moves: begun.cost.moves,
        };
        self.open.push(Reverse((least, Reverse(begun.at), self.begun.len())));
        self.begun.push(Some(begun));
    }

    /// Leaves what is decided, with what the task takes from a battery where it is.
    fn go_on(&self, begun: &mut Begun) {
        let (step, task) = begun.at;
        let of = &self.problem.tasks[task];
        if self.has_batteries && of.start <= step && step < of.last {
            let node = self.hosts(begun)[task].expect("a task that runs has a host");
            let promised = self.promised(begun, node);
            let before = promised.iter().filter(|(other, from)| {
                *other < task && *from <= step && step < self.problem.tasks[*other].until
            });
            let beside_w = before.map(|(other, _)| self.problem.tasks[*other].watts).sum();
            begun.cost.battery_uwh += self.problem.drawn_uwh(task, node, step, beside_w);
        }
        begun.at = next(begun.at, self.problem.tasks.len());
    }

    /// What is to be decided where a plan stands, if anything.
    fn decision(&self, begun: &Begun) -> Option<Decision> {
        let (step, task) = begun.at;
        let of = self.problem.tasks.get(task).filter(|_| step < self.problem.steps)?;
        if step == of.start {
            return Some(Decision::Start);
        }
        if step < of.start || of.last < step {
            return None;
        }
        let hosts = self.hosts(begun);
        let host = hosts[task].expect("a task that runs has a host");
        self.longest_us(&hosts, begun.at, host).is_none().then_some(Decision::HandOver)
    }

    fn decide(&mut self, begun: &Begun, decision: Decision) {
        let (step, task) = begun.at;
        let hosts = self.hosts(begun);
        if decision == Decision::HandOver {
            let mut stays = begun.clone();
            stays.cost.violated += 1;
            self.go_on(&mut stays);
            self.add(stays);
            if self.rule == Rule::Fixed {
                return;
            }
        }
        for node in 0..self.problem.nodes {
            if hosts[task] == Some(node) || !self.can_come(begun, node) {
                continue;
            }
            let Some(latency_us) = self.longest_us(&hosts, begun.at, node) else { continue };
            let mut comes = begun.clone();
            match decision {
                Decision::Start => comes.cost.latency_us += latency_us,
                Decision::HandOver => comes.cost.moves += 1,
            }
            let byte = |number| u8::try_from(number).expect("instances are small");
            comes.arrivals.push(Arrival { task: byte(task), node: byte(node), from: byte(step) });
            self.go_on(&mut comes);
            self.add(comes);
        }
    }

    /// By task: where it is.
    fn hosts(&self, begun: &Begun) -> Vec<Option<usize>> {
        let mut hosts = vec![None; self.problem.tasks.len()];
        for arrival in &begun.arrivals {
            hosts[usize::from(arrival.task)] = Some(usize::from(arrival.node));
        }
        hosts
    }

    /// The longest latency of the inputs of the task that is to be decided, on a node, µs; `None` where an objective does not hold.
    fn longest_us(
        &self,
        hosts: &[Option<usize>],
        (step, task): (usize, usize),
        node: usize,
    ) -> Option<u32> {
        let mut longest_us = 0;
        for input in &self.problem.tasks[task].inputs {
            let from = match input.from {
                From::Node(node) => node,
                From::Task(before) => hosts[before].expect("predecessors start before"),
            };
            let delay_us = self.problem.delay_us(step, from, node);
            if input.limit_us < delay_us {
                return None;
            }
            longest_us = longest_us.max(delay_us);
        }
        Some(longest_us)
    }

    /// Whether the task that is to be decided may come to a node: it can run it, is open, has room until the end, and bears it.
    fn can_come(&self, begun: &Begun, node: usize) -> bool {
        let (step, task) = begun.at;
        let (problem, of) = (self.problem, &self.problem.tasks[task]);
        if !of.is_able(node) || !problem.is_open(node, step) {
            return false;
        }
        let mut there = self.promised(begun, node);
        if there.iter().any(|(other, _)| *other == task) {
            // It was there before: what it was promised then is kept.
            return true;
        }
        let has_room = |step: usize| {
            let others = there.iter().map(|(other, _)| &problem.tasks[*other]);
            let others = others.filter(|other| step < other.until);
            let all = others
                .fold(of.needs, |all, other| [all[0] + other.needs[0], all[1] + other.needs[1]]);
            problem.has_room(node, step, all)
        };
        if !(step..of.until).all(has_room) {
            return false;
        }
        there.push((task, step));
        problem.bears(node, &there)
    }

    /// The tasks that were promised something on a node, each from a step on: once, from when it first came.
    fn promised(&self, begun: &Begun, node: usize) -> Vec<(usize, usize)> {
        let mut promised: Vec<(usize, usize)> = Vec::new();
        for arrival in begun.arrivals.iter().filter(|arrival| usize::from(arrival.node) == node) {
            let task = usize::from(arrival.task);
            if promised.iter().all(|(other, _)| *other != task) {
                promised.push((task, usize::from(arrival.from)));
            }
        }
        promised
    }

    /// Whether nothing as good was begun that can go on alike.
    fn is_new(&mut self, begun: &Begun, hosts: &[Option<usize>]) -> bool {
        let matters = self.matters(begun, hosts);
        let costs = self.seen.entry(matters).or_default();
        if costs.iter().any(|cost| cost.is_as_good_as(&begun.cost)) {
            return false;
        }
        costs.retain(|cost| !begun.cost.is_as_good_as(cost));
        costs.push(begun.cost);
        true
    }

    /// Whether something better was begun since it was put in the queue.
    fn is_dropped(&self, begun: &Begun) -> bool {
        let matters = self.matters(begun, &self.hosts(begun));
        self.seen.get(&matters).is_none_or(|costs| !costs.contains(&begun.cost))
    }

    /// What of a beginning matters for the rest: where it stands, hosts that something runs on or still takes from, rooms, and what boards bear.
    fn matters(&self, begun: &Begun, hosts: &[Option<usize>]) -> Vec<u8> {
        let (step, at) = begun.at;
        let tasks = &self.problem.tasks;
        let byte = |number| u8::try_from(number).expect("instances are small");
        let mut matters = vec![byte(step), byte(at)];
        for (task, host) in hosts.iter().enumerate() {
            let takes = |of: &super::problem::Task| {
                step <= of.last && of.inputs.iter().any(|input| input.from == From::Task(task))
            };
            let is_needed = step <= tasks[task].last || tasks.iter().any(takes);
            matters.push(host.filter(|_| is_needed).map_or(u8::MAX, byte));
        }
        let mut rooms: Vec<Arrival> = Vec::new();
        for arrival in &begun.arrivals {
            let (task, node) = (usize::from(arrival.task), usize::from(arrival.node));
            let is_first =
                rooms.iter().all(|of| (of.task, of.node) != (arrival.task, arrival.node));
            if !is_first {
                continue;
            }
            if self.problem.is_limited(node) {
                rooms.push(*arrival);
            } else if step < tasks[task].until && self.tight >> node & 1 == 1 {
                rooms.push(Arrival { from: 0, ..*arrival });
            }
        }
        rooms.sort_unstable();
        matters.extend(rooms.iter().flat_map(|of| [of.task, of.node, of.from]));
        matters
    }
}

fn next((step, task): (usize, usize), tasks: usize) -> (usize, usize) {
    if task + 1 < tasks { (step, task + 1) } else { (step + 1, 0) }
}

/// The nodes that have not always room for all tasks at once.
fn tight(problem: &Problem) -> u64 {
    let all =
        problem.tasks.iter().fold([0, 0], |all, of| [all[0] + of.needs[0], all[1] + of.needs[1]]);
    let end = problem.tasks.iter().map(|of| of.until).max().unwrap_or(0);
    let is_tight = |node: &usize| !(0..end).all(|step| problem.has_room(*node, step, all));
    (0..problem.nodes).filter(is_tight).fold(0, |set, node| set | 1 << node)
}
