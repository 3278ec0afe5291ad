//! What is asked of a search: which tasks, when, from where, and who may host them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use topology::NodeIx;
use types::{Capacity, MiB, MilliCpu};

use super::cost::uwh;
use crate::book::Promise;
use crate::forecast::{Latencies, Step};
use crate::job::{Input, Job, JobTask, Origin, Stay, host_at};
use crate::policy::World;

/// The tasks that are planned together, and what is known for them.
#[derive(Debug)]
pub(super) struct Scene<'w, 'a, 'f, 'j> {
    world: &'w mut World<'a, 'f>,
    pub(super) job: &'j Job,
    /// What is planned: the task that starts now and all later ones without a host, in the order of the job.
    pub(super) tail: Vec<usize>,
    /// By task: the planned one whose host counts for its bound before any is decided, and those whose bound hangs on it.
    parents: Vec<Option<usize>>,
    children: Vec<Vec<usize>>,
    /// Nodes that most is near to, each asked for anyway: latencies to them say much of all others.
    landmarks: Vec<NodeIx>,
    /// Whether a node bears a task from a step on, as far as that was asked.
    borne: RefCell<BTreeMap<(usize, NodeIx, Step), bool>>,
    /// What a task takes from the battery of a node from a step until another, as far as that was asked.
    drawn: RefCell<BTreeMap<(usize, NodeIx, Step, Step), u64>>,
    /// The least that a task takes from any battery at a step, as far as that was asked.
    spared: RefCell<BTreeMap<(usize, Step), u64>>,
    /// Work that is not that of latencies.
    others: Cell<u64>,
}

/// A decision is to have a plan after so much work, in units of [`Scene::work`], and to end after so much: some 20 ms where nodes are thousands.
const WORK_LATE: u64 = 8_000;
const WORK_MAX: u64 = 28_000;
/// Where there is no plan by then, one is looked for until so much work is done.
const WORK_HOPELESS: u64 = 100_000;
/// That is where so few tasks are planned together; with each one more it is twice as much, so often at most.
const TASKS_FEW: usize = 3;
const DOUBLINGS_MAX: usize = 5;
/// Where none is known, less often: who waits for a refusal waits in vain.
const DOUBLINGS_HOPELESS: usize = 2;
/// And where no more tasks than this ask for a host at once; of more, each has its share of it.
const WAITING_FEW: usize = 8;

/// So many are asked: each takes a search for each step.
const LANDMARKS_MAX: usize = 4;

/// Where an input comes from, in a plan in which some tasks have their stays.
pub(super) type Stays<'s> = &'s dyn Fn(usize) -> Option<&'s [Stay]>;

impl<'w, 'a, 'f, 'j> Scene<'w, 'a, 'f, 'j> {
    pub(super) fn new(world: &'w mut World<'a, 'f>, job: &'j Job, task: usize) -> Self {
        let later = (task + 1..job.tasks.len()).filter(|later| job.tasks[*later].stays.is_empty());
        let tail: Vec<_> = std::iter::once(task).chain(later).collect();
        let parents: Vec<_> = (0..job.tasks.len()).map(|task| parent(job, &tail, task)).collect();
        let of =
            |task| tail.iter().copied().filter(|child| parents[*child] == Some(task)).collect();
        let children = (0..job.tasks.len()).map(of).collect();
        let landmarks = landmarks(job, &tail, world.now);
        let (borne, drawn, spared, others) = Default::default();
        world.latencies.begin();
        Self { world, job, tail, parents, children, landmarks, borne, drawn, spared, others }
    }

    /// What the decision took so far: nodes settled, and steps of batteries and boards followed. Each takes about as long, and how many there are
    /// depends on what is asked only, so that a search that ends by this ends alike on every machine.
    fn work(&self) -> u64 {
        self.world.latencies.work() + self.others.get()
    }

    /// Counts work that is not that of latencies.
    pub(super) fn worked(&self, work: u64) {
        self.others.set(self.others.get() + work);
    }

    /// Whether it is time to have a plan: from now on bounds are rough and few ways are weighed.
    pub(super) fn is_late(&self) -> bool {
        self.scaled(WORK_LATE) <= self.work()
    }

    /// Whether it is time to end with the best plan that is known.
    pub(super) fn is_over(&self) -> bool {
        self.scaled(WORK_MAX) <= self.work()
    }

    /// Whether it is time to end where none is known.
    pub(super) fn is_hopeless(&self) -> bool {
        let most = WORK_HOPELESS << self.doublings().min(DOUBLINGS_HOPELESS);
        most.max(self.for_tail(WORK_MAX)) <= self.work()
    }

    /// What counts for the workflows of few tasks, for this one: with each more that is planned there are far more plans.
    fn scaled(&self, few: u64) -> u64 {
        let share = self.world.waiting.saturating_sub(1) / WAITING_FEW + 1;
        self.for_tail(few) / share as u64
    }

    fn for_tail(&self, few: u64) -> u64 {
        few << self.doublings()
    }

    /// The same of what is tried, and no more than a number.
    pub(super) fn scaled_to(&self, few: usize, most: usize) -> usize {
        (few << self.doublings()).min(most)
    }

    fn doublings(&self) -> usize {
        self.tail.len().saturating_sub(TASKS_FEW).min(DOUBLINGS_MAX)
    }

    pub(super) fn task(&self, task: usize) -> &'j JobTask {
        &self.job.tasks[task]
    }

    /// When a task starts: not before now.
    pub(super) fn start(&self, task: usize) -> Step {
        self.job.tasks[task].start.max(self.world.now)
    }

    /// The last step of a run that is predicted: nothing is known of later ones.
    pub(super) fn last(&self, task: usize) -> Step {
        let start = self.start(task);
        let end = start.saturating_add(self.world.run_steps(self.task(task)));
        end.min(self.world.latencies.forecast().steps().saturating_sub(1)).max(start)
    }

    /// The first step at which a task needs nothing any more.
    fn until(&self, task: usize) -> Step {
        self.world.kept_until(self.task(task), self.start(task))
    }

    pub(super) fn latencies(&mut self) -> &mut Latencies<'f> {
        self.world.latencies
    }

    /// Whether a node meets the limits of some others at a step.
    pub(super) fn all_within(
        &mut self,
        node: NodeIx,
        step: Step,
        origins: impl IntoIterator<Item = (NodeIx, Option<f64>)>,
    ) -> bool {
        self.world.latencies.all_within(node, step, origins, &self.landmarks)
    }

    pub(super) fn world(&self) -> &World<'a, 'f> {
        self.world
    }

    /// The planned task whose host counts for the bound of a task: of those that it takes from the last to start.
    pub(super) fn parent(&self, task: usize) -> Option<usize> {
        self.parents[task]
    }

    /// The tasks whose bound hangs on a task.
    pub(super) fn children(&self, task: usize) -> Vec<usize> {
        self.children[task].clone()
    }

    /// The planned tasks that take from a task.
    pub(super) fn takers(&self, task: usize) -> Vec<usize> {
        let takes = |input: &Input| input.origin == Origin::Task(task);
        let tail = self.tail.iter().copied();
        tail.filter(|later| self.task(*later).inputs.iter().any(takes)).collect()
    }

    /// Where an input comes from at a step. Of tasks that are planned the stays are given; `None` where they are not.
    pub(super) fn origin(&self, input: &Input, step: Step, stays: Stays<'_>) -> Option<NodeIx> {
        match input.origin {
            Origin::Node(node) => Some(node),
            Origin::Task(task) => match stays(task) {
                Some(stays) => host_at(stays, step),
                None => self.job.tasks.get(task)?.host_at(step),
            },
        }
    }

    /// Whether a node has a place for a task from a step on: it is there, can run it, has room and stays cool.
    pub(super) fn has_place(&self, task: usize, node: NodeIx, from: Step) -> bool {
        self.world().suits(node, (self.job, task), (from, self.until(task))).is_ok()
    }

    /// The same beside what else is planned there.
    pub(super) fn has_place_beside(
        &self,
        task: usize,
        node: NodeIx,
        from: Step,
        planned: &[Promise],
    ) -> bool {
        self.has_place(task, node, from) && self.has_room_beside(task, node, from, planned)
    }

    /// Whether battery and board bear a task from a step until the end of its run.
    pub(super) fn bears(&self, task: usize, node: NodeIx, from: Step) -> bool {
        if self.world().boards.get(node.index()).is_none_or(|(board, _)| board.is_unlimited()) {
            return true;
        }
        let key = (task, node, from);
        if let Some(known) = self.borne.borrow().get(&key) {
            return *known;
        }
        let bears = self.is_borne(task, node, from, &[]);
        self.borne.borrow_mut().insert(key, bears);
        bears
    }

    /// The same beside what else is planned there.
    pub(super) fn bears_beside(
        &self,
        task: usize,
        node: NodeIx,
        from: Step,
        planned: &[Promise],
    ) -> bool {
        let beside = || planned.is_empty() || self.is_borne(task, node, from, planned);
        self.bears(task, node, from) && beside()
    }

    fn is_borne(&self, task: usize, node: NodeIx, from: Step, planned: &[Promise]) -> bool {
        let run = (from, self.last(task).saturating_add(1));
        let (first, end) = self.world().looked_at(run);
        self.worked(u64::from(end.saturating_sub(first)));
        self.world().bears(node, self.task(task).watts, run, planned)
    }

    /// Whether any node has a battery.
    pub(super) fn has_batteries(&self) -> bool {
        self.world().boards.iter().any(|(board, _)| board.power.is_some())
    }

    /// What a task takes from the battery of a node in all of its run, µWh.
    pub(super) fn drawn(&self, task: usize, node: NodeIx) -> u64 {
        self.drawn_between(task, node, (self.start(task), self.last(task)))
    }

    /// The least that a task takes from any battery at a step, µWh.
    pub(super) fn spared(&self, task: usize, step: Step) -> u64 {
        if !self.has_batteries() {
            return 0;
        }
        let known = self.spared.borrow().get(&(task, step)).copied();
        known.unwrap_or_else(|| {
            let mut least = u64::MAX;
            for node in self.world().numbers().filter(|node| self.can_run(task, *node)) {
                let wh = self.drawn_wh(task, node, (step, step + 1), &[]);
                least = least.min(uwh(wh));
                if least == 0 {
                    break;
                }
            }
            self.spared.borrow_mut().insert((task, step), least);
            least
        })
    }

    /// The same over some steps until its end.
    pub(super) fn spared_between(&self, task: usize, (from, until): (Step, Step)) -> u64 {
        let spared = (from..until.min(self.last(task))).map(|step| self.spared(task, step));
        spared.fold(0, u64::saturating_add)
    }

    /// The same from a step until another, which comes after its end if it is the last.
    pub(super) fn drawn_between(
        &self,
        task: usize,
        node: NodeIx,
        (from, until): (Step, Step),
    ) -> u64 {
        if self.world().boards.get(node.index()).is_none_or(|(board, _)| board.power.is_none()) {
            return 0;
        }
        let until = until.min(self.last(task));
        let wh = || self.drawn_wh(task, node, (from, until), &[]);
        *self.drawn.borrow_mut().entry((task, node, from, until)).or_insert_with(|| uwh(wh()))
    }

    /// The same beside what else is planned there.
    pub(super) fn drawn_beside(
        &self,
        task: usize,
        node: NodeIx,
        (from, until): (Step, Step),
        planned: &[Promise],
    ) -> u64 {
        let until = until.min(self.last(task));
        if planned.iter().all(|of| until <= of.from || of.until <= from) {
            return self.drawn_between(task, node, (from, until));
        }
        uwh(self.drawn_wh(task, node, (from, until), planned))
    }

    fn drawn_wh(
        &self,
        task: usize,
        node: NodeIx,
        (from, until): (Step, Step),
        planned: &[Promise],
    ) -> f64 {
        self.worked(u64::from(until.saturating_sub(from)));
        self.world().drawn_wh(node, self.task(task).watts, (from, until), planned)
    }

    /// What is promised to a task once it is on a node from a step on.
    pub(super) fn promise(&self, task: usize, from: Step) -> Promise {
        let of = self.task(task);
        Promise { from, until: self.until(task), needs: of.needs, watts: of.watts }
    }

    /// Whether a node has room for a task beside one that it takes from.
    pub(super) fn fit_together(&self, task: usize, before: usize, node: NodeIx) -> bool {
        let from = self.start(task);
        self.has_room_beside(task, node, from, &[self.promise(before, from)])
    }

    /// Whether a node is there and can run a task.
    pub(super) fn can_run(&self, task: usize, node: NodeIx) -> bool {
        let view = self.world().nodes.get(node.index());
        view.is_some_and(|view| view.alive && self.task(task).runs_on(view.arch))
    }

    /// Whether a node has room from a step on for a task, and for what else is planned there.
    fn has_room_beside(&self, task: usize, node: NodeIx, from: Step, planned: &[Promise]) -> bool {
        let (until, book) = (self.until(task), self.world().book);
        let overlaps = |of: &&Promise| of.from < until && from < of.until;
        let mut moments: Vec<_> = planned
            .iter()
            .filter(overlaps)
            .flat_map(|of| [of.from, of.until])
            .filter(|moment| from < *moment && *moment < until)
            .chain([from, until])
            .collect();
        moments.sort_unstable();
        let ends = moments.iter().skip(1);
        moments.iter().zip(ends).all(|(from, until)| {
            let at = planned.iter().filter(|of| of.from <= *from && *from < of.until);
            let needs = at.fold(self.task(task).needs, |all, of| sum(all, of.needs));
            book.has_room(node, needs, *from, *until)
        })
    }

    /// How many nodes have a place for the task that starts now.
    pub(super) fn eligible_now(&self) -> usize {
        let task = self.tail[0];
        let has_place = |node: &NodeIx| self.has_place(task, *node, self.start(task));
        self.world().numbers().filter(has_place).count()
    }
}

fn parent(job: &Job, tail: &[usize], task: usize) -> Option<usize> {
    let origins = job.tasks[task].inputs.iter().filter_map(|input| match input.origin {
        Origin::Task(origin) => Some(origin).filter(|origin| tail.contains(origin)),
        Origin::Node(_) => None,
    });
    origins.max_by_key(|origin| (job.tasks[*origin].start, *origin))
}

/// Where the planned tasks take what is not planned from: few nodes, each at all steps.
fn landmarks(job: &Job, tail: &[usize], now: Step) -> Vec<NodeIx> {
    let inputs = tail.iter().flat_map(|task| &job.tasks[*task].inputs);
    let place = |input: &Input| match input.origin {
        Origin::Node(node) => Some(node),
        Origin::Task(task) if tail.contains(&task) => None,
        Origin::Task(task) => job.tasks.get(task)?.host_at(now),
    };
    let mut all: Vec<_> = inputs.filter_map(place).collect();
    all.sort_unstable();
    all.dedup();
    all.truncate(LANDMARKS_MAX);
    all
}

fn sum(a: Capacity, b: Capacity) -> Capacity {
    Capacity {
        milli_cpu: MilliCpu(a.milli_cpu.0.saturating_add(b.milli_cpu.0)),
        memory_mib: MiB(a.memory_mib.0.saturating_add(b.memory_mib.0)),
    }
}
