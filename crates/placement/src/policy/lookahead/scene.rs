//! What is asked of a search: which tasks, when, from where, and who may host them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use topology::NodeIx;
use types::{Capacity, MiB, MilliCpu};

use super::cost::coarse_wh;
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
    /// By task: the planned one whose host counts for its bound, and those whose bound hangs on it.
    parents: Vec<Option<usize>>,
    children: Vec<Vec<usize>>,
    /// Whether a node bears a task from a step on, as far as that was asked.
    borne: RefCell<BTreeMap<(usize, NodeIx, Step), bool>>,
    /// What a task takes from the battery of a node from a step until another, as far as that was asked.
    drawn: RefCell<BTreeMap<(usize, NodeIx, Step, Step), u64>>,
}

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
        let (borne, drawn) = (RefCell::default(), RefCell::default());
        Self { world, job, tail, parents, children, borne, drawn }
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

    pub(super) fn world(&self) -> &World<'a, 'f> {
        self.world
    }

    /// The planned task whose host counts for the bound of a task: that of its first planned input.
    pub(super) fn parent(&self, task: usize) -> Option<usize> {
        self.parents[task]
    }

    /// The tasks whose bound hangs on a task.
    pub(super) fn children(&self, task: usize) -> Vec<usize> {
        self.children[task].clone()
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
        let (world, of) = (self.world(), self.task(task));
        let Some(view) = world.nodes.get(node.index()) else { return false };
        view.alive
            && of.runs_on(view.arch)
            && world.book.is_open(node, from)
            && world.book.has_room(node, of.needs, from, self.until(task))
            && self.stays_cool(task, node)
    }

    /// Whether battery and board bear a task from a step until the end of its run.
    pub(super) fn bears_from(&self, task: usize, node: NodeIx, from: Step) -> bool {
        if self.world().boards.get(node.index()).is_none_or(|(board, _)| board.is_unlimited()) {
            return true;
        }
        let key = (task, node, from);
        if let Some(known) = self.borne.borrow().get(&key) {
            return *known;
        }
        let until = self.last(task).saturating_add(1);
        let bears = self.world().bears(node, self.task(task).watts, (from, until));
        self.borne.borrow_mut().insert(key, bears);
        bears
    }

    /// Whether battery and board of a node bear a task in all of its run.
    pub(super) fn bears(&self, task: usize, node: NodeIx) -> bool {
        self.bears_from(task, node, self.start(task))
    }

    /// What a task takes from the battery of a node in all of its run.
    pub(super) fn drawn(&self, task: usize, node: NodeIx) -> u64 {
        self.drawn_between(task, node, (self.start(task), self.last(task)))
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
        let (watts, until) = (self.task(task).watts, until.min(self.last(task)));
        let wh = || self.world().drawn_wh(node, watts, (from, until));
        *self.drawn.borrow_mut().entry((task, node, from, until)).or_insert_with(|| coarse_wh(wh()))
    }

    /// Whether a node has room for a task beside its parent.
    pub(super) fn fit_together(&self, task: usize, node: NodeIx) -> bool {
        let parent = self.parent(task).map(|parent| self.task(parent).needs);
        self.has_room_beside(task, node, self.start(task), parent.unwrap_or_default())
    }

    /// Whether a node has room from a step on for a task and for more that is planned.
    pub(super) fn has_room_beside(
        &self,
        task: usize,
        node: NodeIx,
        from: Step,
        beside: Capacity,
    ) -> bool {
        let needs = sum(self.task(task).needs, beside);
        self.world().book.has_room(node, needs, from, self.until(task))
    }

    /// In the published model of heat; it counts only where nothing better is known of a board.
    fn stays_cool(&self, task: usize, node: NodeIx) -> bool {
        let board = self.world().boards.get(node.index());
        if board.is_some_and(|(board, _)| board.thermal.is_some()) {
            return true;
        }
        let after = self.world().heat_after(node, self.job, task);
        after.is_none_or(|(heat, after_c)| after_c <= heat.recommended_c)
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
        Origin::Task(origin) => Some(origin),
        Origin::Node(_) => None,
    });
    origins.into_iter().find(|origin| tail.contains(origin))
}

pub(super) fn sum(a: Capacity, b: Capacity) -> Capacity {
    Capacity {
        milli_cpu: MilliCpu(a.milli_cpu.0.saturating_add(b.milli_cpu.0)),
        memory_mib: MiB(a.memory_mib.0.saturating_add(b.memory_mib.0)),
    }
}
