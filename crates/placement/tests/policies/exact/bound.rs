//! What is to come can cost at least: the latency of each task that has not started, with its own data and one predecessor, on any host that has
//! room; and what is taken from batteries, as if each task were alone, and free to be wherever it violates nothing once it may be handed over. Each
//! on its own.
//!
//! Over (task, host of the predecessor, how long it is sure to stay there). Other predecessors, and what other tasks take, are left out: what is
//! found is never too much.

use std::collections::BTreeMap;

use super::problem::{From, Input, NO_PATH_US, Problem, Task};

/// More than any plan costs: there is none, µs.
const NONE_US: u32 = u32::MAX;
/// No step at which a host is given up.
pub(super) const EVER: usize = usize::MAX;

/// A predecessor that has a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Known {
    pub(super) task: usize,
    pub(super) host: usize,
    /// It is there at least until the step before this one.
    pub(super) sure: usize,
}

/// The least that can be taken from batteries, and the least latency: not always of the same plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Least {
    pub(super) uwh: u32,
    pub(super) us: u32,
}

impl Least {
    const NONE: Self = Self { uwh: u32::MAX, us: NONE_US };

    /// Whether there is no plan.
    pub(super) const fn is_none(&self) -> bool {
        self.us == NONE_US
    }

    fn and(self, other: Self) -> Self {
        Self { uwh: self.uwh.saturating_add(other.uwh), us: self.us.saturating_add(other.us) }
    }

    fn or(self, other: Self) -> Self {
        Self { uwh: self.uwh.min(other.uwh), us: self.us.min(other.us) }
    }
}

/// A task and its host, if one is known.
type Placed = Option<(usize, usize)>;

/// The least that is found so far.
#[derive(Debug)]
pub(super) struct Bounds<'p> {
    problem: &'p Problem,
    /// By task: its predecessor that starts last.
    primary: Vec<Option<usize>>,
    below: BTreeMap<(usize, Option<Known>), Least>,
    anywhere: BTreeMap<(usize, usize), Least>,
    /// By task, step and a predecessor on a host: the least that it takes from any battery then, µWh.
    spared_uwh: BTreeMap<(usize, usize, Placed), Option<u32>>,
    /// By task, step and a predecessor on a host: whether any host would do then.
    holds: BTreeMap<(usize, usize, Placed), bool>,
    /// Whether tasks are handed over at all.
    moves: bool,
}

impl<'p> Bounds<'p> {
    pub(super) fn new(problem: &'p Problem, moves: bool) -> Self {
        let tasks = &problem.tasks;
        let primary = |task: &Task| {
            let origins = task.inputs.iter().filter_map(|input| match input.from {
                From::Task(origin) => Some(origin),
                From::Node(_) => None,
            });
            origins.max_by_key(|origin| (tasks[*origin].start, *origin))
        };
        Self {
            problem,
            primary: tasks.iter().map(primary).collect(),
            below: BTreeMap::new(),
            anywhere: BTreeMap::new(),
            spared_uwh: BTreeMap::new(),
            holds: BTreeMap::new(),
            moves,
        }
    }

    /// The least that comes, given the hosts of tasks that have started and where a plan stands: steps of violation, and the rest.
    pub(super) fn rest(&mut self, hosts: &[Option<usize>], at: (usize, usize)) -> (u32, Least) {
        let sure = self.sure(hosts, at);
        let mut rest = self.not_started(hosts, &sure);
        if self.problem.has_batteries() {
            for (task, host) in hosts.iter().enumerate() {
                let Some(host) = *host else { continue };
                let first = if task < at.1 { at.0 + 1 } else { at.0 };
                let origins = self.problem.tasks[task].inputs.iter();
                let before = origins.filter_map(|input| match input.from {
                    From::Task(task) => Some(Known { task, host: hosts[task]?, sure: sure[task] }),
                    From::Node(_) => None,
                });
                let before: Vec<_> = before.collect();
                let drawn_uwh = self.drawn_uwh(task, host, (first, sure[task]), &before);
                rest.uwh = rest.uwh.saturating_add(drawn_uwh);
            }
        }
        (self.violated(hosts, &sure, at), rest)
    }

    /// What a task takes at least from a step on, µWh: from a host until that is not sure any more, then from any.
    fn drawn_uwh(
        &mut self,
        task: usize,
        host: usize,
        (first, sure): (usize, usize),
        before: &[Known],
    ) -> u32 {
        if !self.problem.has_batteries() {
            return 0;
        }
        let mut drawn_uwh = 0;
        for step in first..self.problem.tasks[task].last {
            if step < sure {
                drawn_uwh += self.problem.drawn_uwh(task, host, step, 0.0);
                continue;
            }
            let known = before.iter().filter(|known| step < known.sure);
            let placed = known.map(|known| Some((known.task, known.host))).chain([None]);
            // Where nobody would do, it violates an objective anyway, and may be with anyone.
            let mut most_uwh = Some(0);
            for known in placed {
                let spared_uwh = self.spared_uwh(task, step, known);
                most_uwh = most_uwh.zip(spared_uwh).map(|(a, b)| a.max(b));
            }
            drawn_uwh += most_uwh.unwrap_or_else(|| self.anywhere_uwh(task, step));
        }
        drawn_uwh
    }

    /// The least that a task takes from the battery of any host that would do at a step, given a predecessor on a host; who is elsewhere violates
    /// more than needed.
    fn spared_uwh(&mut self, task: usize, step: usize, known: Placed) -> Option<u32> {
        if let Some(known_uwh) = self.spared_uwh.get(&(task, step, known)) {
            return *known_uwh;
        }
        let near = self.able(task).filter(|host| self.is_near(task, *host, step, known));
        let spared_uwh = near.map(|host| self.problem.drawn_uwh(task, host, step, 0.0)).min();
        self.spared_uwh.insert((task, step, known), spared_uwh);
        spared_uwh
    }

    /// The same of any host.
    fn anywhere_uwh(&self, task: usize, step: usize) -> u32 {
        let drawn = self.able(task).map(|host| self.problem.drawn_uwh(task, host, step, 0.0));
        drawn.min().unwrap_or(0)
    }

    fn able(&self, task: usize) -> impl Iterator<Item = usize> + use<'p> {
        let problem = self.problem;
        (0..problem.nodes).filter(move |host| problem.tasks[task].is_able(*host))
    }

    /// The least violations from where a plan stands on.
    fn violated(&mut self, hosts: &[Option<usize>], sure: &[usize], at: (usize, usize)) -> u32 {
        let problem = self.problem;
        let mut violated = 0;
        for (task, of) in problem.tasks.iter().enumerate() {
            let first = if task < at.1 { at.0 + 1 } else { at.0 };
            for step in first.max(of.start + 1)..=of.last {
                let host = hosts[task].filter(|_| !self.moves);
                let mut holds = self.can_hold(task, step, None);
                for input in &of.inputs {
                    let node = match input.from {
                        From::Node(node) => Some(node),
                        From::Task(before) => hosts[before].filter(|_| step < sure[before]),
                    };
                    if let (From::Task(before), Some(node)) = (input.from, node) {
                        holds = holds && self.can_hold(task, step, Some((before, node)));
                    }
                    if let (Some(node), Some(host)) = (node, host) {
                        holds = holds && self.holds(input, node, host, step);
                    }
                }
                violated += u32::from(!holds);
            }
        }
        violated
    }

    /// Whether any host would do for a task at a step, given a predecessor on a host, wherever the others are.
    fn can_hold(&mut self, task: usize, step: usize, known: Placed) -> bool {
        let key = (task, step, known);
        if let Some(holds) = self.holds.get(&key) {
            return *holds;
        }
        let holds = self.able(task).any(|host| self.is_near(task, host, step, known));
        self.holds.insert(key, holds);
        holds
    }

    /// Whether a host would do for a task at a step, given a predecessor on a host, wherever the others are.
    fn is_near(&self, task: usize, host: usize, step: usize, known: Placed) -> bool {
        let problem = self.problem;
        let near = |input: &Input| match (input.from, known) {
            (From::Node(node), _) => self.holds(input, node, host, step),
            (From::Task(before), Some((of, node))) if of == before => {
                self.holds(input, node, host, step)
            }
            (From::Task(before), _) => (0..problem.nodes).any(|node| {
                problem.tasks[before].is_able(node) && self.holds(input, node, host, step)
            }),
        };
        problem.tasks[task].inputs.iter().all(near)
    }

    /// The least of all tasks that have not started.
    fn not_started(&mut self, hosts: &[Option<usize>], sure: &[usize]) -> Least {
        let mut rest = Least::default();
        for task in 0..hosts.len() {
            let hangs = self.primary[task].is_some_and(|before| hosts[before].is_none());
            if hosts[task].is_some() || hangs {
                continue;
            }
            let of = &self.problem.tasks[task];
            let mut most = if of.inputs.iter().all(|input| matches!(input.from, From::Node(_))) {
                self.below(task, None)
            } else {
                Least::default()
            };
            for input in &of.inputs {
                if let From::Task(before) = input.from
                    && let Some(host) = hosts[before]
                {
                    let known = Known { task: before, host, sure: sure[before] };
                    let after = self.after(task, known);
                    most = Least { uwh: most.uwh.max(after.uwh), us: most.us.max(after.us) };
                }
            }
            rest = rest.and(most);
        }
        rest
    }

    /// By task: the first step at which it may be handed over, as far as the hosts say.
    fn sure(&self, hosts: &[Option<usize>], (step, at): (usize, usize)) -> Vec<usize> {
        let mut sure: Vec<usize> = Vec::with_capacity(hosts.len());
        for (task, of) in self.problem.tasks.iter().enumerate() {
            let first = if task < at { step + 1 } else { step };
            let found = hosts[task].filter(|_| self.moves).and_then(|host| {
                let holds = |input: &Input, step| match input.from {
                    From::Node(node) => self.holds(input, node, host, step),
                    From::Task(before) => hosts[before].is_some_and(|node| {
                        step < sure[before] && self.holds(input, node, host, step)
                    }),
                };
                (first..=of.last).find(|step| !of.inputs.iter().all(|input| holds(input, *step)))
            });
            sure.push(found.unwrap_or(EVER));
        }
        sure
    }

    fn holds(&self, input: &Input, from: usize, to: usize, step: usize) -> bool {
        self.problem.delay_us(step, from, to) <= input.limit_us
    }

    /// The least of a task and of what hangs on it, given one of its predecessors.
    fn after(&mut self, task: usize, known: Known) -> Least {
        if self.problem.tasks[task].start < known.sure {
            self.below(task, Some(known))
        } else {
            self.anywhere(task, known.task)
        }
    }

    /// The same, wherever the predecessor has been handed over to.
    fn anywhere(&mut self, task: usize, before: usize) -> Least {
        if let Some(known) = self.anywhere.get(&(task, before)) {
            return *known;
        }
        let sure = self.problem.tasks[task].start + 1;
        let mut best = Least::NONE;
        for host in 0..self.problem.nodes {
            if self.problem.tasks[before].is_able(host) {
                best = best.or(self.below(task, Some(Known { task: before, host, sure })));
            }
        }
        self.anywhere.insert((task, before), best);
        best
    }

    fn below(&mut self, task: usize, known: Option<Known>) -> Least {
        if let Some(known) = self.below.get(&(task, known)) {
            return *known;
        }
        let mut best = Least::NONE;
        for host in 0..self.problem.nodes {
            let Some(us) = self.own_us(task, host, known) else { continue };
            let sure = self.sure_below(task, host, known);
            let first = self.problem.tasks[task].start;
            let uwh = self.drawn_uwh(task, host, (first, sure), known.as_slice());
            let mut all = Least { uwh, us };
            for child in task + 1..self.problem.tasks.len() {
                if self.primary[child] == Some(task) && !all.is_none() {
                    all = all.and(self.after(child, Known { task, host, sure }));
                }
            }
            if !all.is_none() {
                best = best.or(all);
            }
        }
        self.below.insert((task, known), best);
        best
    }

    /// The longest latency that is known of a task that starts on a host, µs; `None` where it cannot.
    fn own_us(&self, task: usize, host: usize, known: Option<Known>) -> Option<u32> {
        let (problem, of) = (self.problem, &self.problem.tasks[task]);
        let has_room = (of.start..of.until).all(|step| problem.has_room(host, step, of.needs));
        if !of.is_able(host) || !problem.is_open(host, of.start) || !has_room {
            return None;
        }
        let mut longest_us = 0;
        for input in &of.inputs {
            let node = match input.from {
                From::Node(node) => Some(node),
                From::Task(before) => known.filter(|known| known.task == before).map(|of| of.host),
            };
            if let Some(node) = node {
                let delay_us = problem.delay_us(of.start, node, host);
                if input.limit_us < delay_us {
                    return None;
                }
                longest_us = longest_us.max(delay_us);
            }
        }
        let beside =
            known.filter(|known| known.host == host).map(|known| &problem.tasks[known.task]);
        let beside = beside.filter(|beside| of.start < beside.until).map_or([0, 0], |of| of.needs);
        let both = [of.needs[0] + beside[0], of.needs[1] + beside[1]];
        problem.has_room(host, of.start, both).then_some(longest_us)
    }

    /// The first step at which a task that starts on a host may be handed over.
    fn sure_below(&self, task: usize, host: usize, known: Option<Known>) -> usize {
        if !self.moves {
            return EVER;
        }
        let of = &self.problem.tasks[task];
        let holds = |input: &Input, step: usize| match (input.from, known) {
            (From::Node(node), _) => self.holds(input, node, host, step),
            (From::Task(before), Some(known)) if known.task == before && step < known.sure => {
                self.holds(input, known.host, host, step)
            }
            (From::Task(_), _) => false,
        };
        let breaks = |step: &usize| !of.inputs.iter().all(|input| holds(input, *step));
        (of.start + 1..=of.last).find(breaks).unwrap_or(EVER)
    }
}

const _: () = assert!(NO_PATH_US == NONE_US, "no path is no plan");
