//! The view of one decision, put in order: nodes by name, time in grid steps, loads by node.

use std::collections::BTreeMap;

use types::{Epoch, NodeId, TaskId};

use crate::constraint::NodeRefusal;
use crate::demand::Demand;
use crate::view::{NodeView, Options, Prediction, Running, WorldView};
use crate::workflow::{Task, Workflow};

/// The steps of the contact plan that a decision looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// The grid point at or before now.
    pub(crate) first: u32,
    /// The grid point at or after now. What holds at `first` and here, holds now.
    pub(crate) soon: u32,
    /// The last grid point of the look-ahead.
    pub(crate) last: u32,
    /// The guard in steps, rounded up.
    pub(crate) guard: u32,
    /// Whether anything beyond the present counts.
    pub(crate) ahead: bool,
    /// Whether the plan says anything about now.
    pub(crate) blind: bool,
}

/// What tasks ask of a node together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Load {
    pub(crate) milli_cpu: u64,
    pub(crate) memory_mib: u64,
    pub(crate) watts: f64,
}

/// Whether tasks of the workflow that are not placed yet count where they run now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// They take room.
    Counts,
    /// They may be anywhere by then.
    Ignored,
}

/// A task with its host and the next one, as far as loads go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Booking<'a> {
    pub(crate) task: &'a Task,
    pub(crate) node: &'a NodeId,
    pub(crate) next: Option<&'a NodeId>,
}

impl Booking<'_> {
    /// Whether it takes room on a node.
    pub(crate) fn is_on(&self, node: &NodeId) -> bool {
        self.node == node || self.next == Some(node)
    }
}

/// The view of one decision.
#[derive(Clone, Debug)]
pub(crate) struct World<'a> {
    pub(crate) view: &'a WorldView<'a>,
    pub(crate) workflow: &'a Workflow,
    pub(crate) options: &'a Options,
    pub(crate) grid: Grid,
    /// Sorted by name, each once.
    pub(crate) nodes: Vec<&'a NodeView>,
    /// The newest owner of each task of the workflow.
    own: BTreeMap<&'a TaskId, &'a Running>,
    /// What runs of other workflows, and of tasks that this workflow no longer has.
    others: Vec<&'a Running>,
    /// What each task asks of its hosts for the sake of its data.
    demands: BTreeMap<&'a TaskId, Demand>,
    /// Whether tasks of this workflow may be pushed off the nodes that earlier tasks need.
    displace: bool,
}

impl<'a> World<'a> {
    pub(crate) fn new(
        view: &'a WorldView<'a>,
        workflow: &'a Workflow,
        options: &'a Options,
    ) -> Self {
        let mut nodes: Vec<_> = view.nodes.iter().collect();
        nodes.sort_by(|x, y| x.id.cmp(&y.id));
        nodes.dedup_by(|later, first| later.id == first.id);
        let ours = |running: &&Running| {
            running.workflow == workflow.id && workflow.task(&running.task).is_some()
        };
        let (mine, mut others): (Vec<_>, Vec<_>) = view.running.iter().partition(ours);
        // Sums of floats depend on their order: fix it.
        others
            .sort_by(|x, y| (&x.workflow, &x.task, &x.node).cmp(&(&y.workflow, &y.task, &y.node)));
        let mut own = BTreeMap::<&TaskId, &Running>::new();
        for running in mine {
            let newest = own.entry(&running.task).or_insert(running);
            if (newest.owner_epoch, &newest.node) < (running.owner_epoch, &running.node) {
                *newest = running;
            }
        }
        let grid = Grid::new(view, options);
        let demands = workflow.demands().collect();
        Self { view, workflow, options, grid, nodes, own, others, demands, displace: false }
    }

    /// The same, but tasks of this workflow may be pushed off their nodes.
    pub(crate) fn displacing(self) -> Self {
        Self { displace: true, ..self }
    }

    pub(crate) fn node(&self, id: &NodeId) -> Option<&'a NodeView> {
        self.nodes.binary_search_by(|node| node.id.cmp(id)).ok().map(|at| self.nodes[at])
    }

    /// What speaks against a node that is to see the data of a task: as its host, as one that follows, or as the keeper
    /// of the second copy.
    pub(crate) fn data_refusal(&self, node: &NodeView, task: &Task) -> Option<NodeRefusal> {
        self.demands.get(&task.id)?.refusal(node, self.view.now)
    }

    /// Who owns a task of the workflow now.
    pub(crate) fn owner(&self, task: &TaskId) -> Option<&'a Running> {
        self.own.get(task).copied()
    }

    /// Whether a task that is not placed yet counts on a node, where it runs or is to come.
    pub(crate) fn is_waiting_at(&self, node: &NodeId, task: &TaskId, waiting: Waiting) -> bool {
        let counts = waiting == Waiting::Counts && !self.displace;
        let is_there = |owner: &Running| {
            let next = owner.successor.as_ref().map(|successor| &successor.node);
            owner.node == *node || next == Some(node)
        };
        counts && self.owner(task).is_some_and(is_there)
    }

    /// What tasks other than `task` ask of a node: all that runs, hosts and announced successors alike,
    /// with the tasks placed so far in their new places.
    pub(crate) fn load(
        &self,
        node: &NodeId,
        task: &TaskId,
        placed: &[Booking<'_>],
        waiting: Waiting,
    ) -> Load {
        let counts = waiting == Waiting::Counts && !self.displace;
        let is_placed = |id: &TaskId| placed.iter().any(|booking| booking.task.id == *id);
        let waiting = self
            .own
            .values()
            .filter(|running| counts && running.task != *task && !is_placed(&running.task));
        let mut load = Load::default();
        for running in self.others.iter().chain(waiting) {
            let next = running.successor.as_ref().map(|successor| &successor.node);
            if running.node == *node || next == Some(node) {
                load.add(running.milli_cpu.0, running.memory_mib.0, running.watts);
            }
        }
        for booking in placed.iter().filter(|booking| booking.task.id != *task) {
            if booking.is_on(node) {
                let task = booking.task;
                load.add(task.milli_cpu.0, task.memory_mib.0, task.watts);
            }
        }
        load
    }

    /// The moment of a grid point, but never before now.
    pub(crate) fn time_of(&self, step: u32) -> Epoch {
        let now = self.view.now;
        if self.grid.blind { now } else { self.view.plan.time_of(step).max(now) }
    }

    /// The grid point of a moment at or before it, within the look-ahead; `None` outside.
    pub(crate) fn step_of(&self, at: Epoch) -> Option<u32> {
        let step = self.view.plan.step_at(at)?;
        (self.grid.soon <= step && step <= self.grid.last).then_some(step)
    }

    /// The order of nodes that are equal in all that counts.
    pub(crate) fn order_of(&self, node: &'a NodeId) -> (u64, &'a NodeId) {
        (draw(self.options.seed, node), node)
    }
}

impl Load {
    /// The same beside a task.
    pub(crate) fn with(mut self, task: &Task) -> Self {
        self.add(task.milli_cpu.0, task.memory_mib.0, task.watts);
        self
    }

    fn add(&mut self, milli_cpu: u32, memory_mib: u32, watts: f64) {
        self.milli_cpu += u64::from(milli_cpu);
        self.memory_mib += u64::from(memory_mib);
        self.watts += watts;
    }
}

impl Grid {
    fn new(view: &WorldView<'_>, options: &Options) -> Self {
        let plan = view.plan;
        let Some(first) = plan.step_at(view.now) else {
            return Self { first: 0, soon: 0, last: 0, guard: 0, ahead: false, blind: true };
        };
        let soon = first + u32::from(plan.time_of(first) < view.now);
        let ahead = view.prediction == Prediction::On;
        let end = plan.step_at(view.now.plus_s(options.horizon_s.max(0.0)));
        let last = if ahead { end.unwrap_or(plan.steps - 1).max(soon) } else { soon };
        let guard_steps = (options.guard_s.max(0.0) * 1000.0 / f64::from(plan.step_ms)).ceil();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and float to int saturates"
        )]
        let guard = guard_steps as u32;
        Self { first, soon, last, guard, ahead, blind: false }
    }
}

/// A number that a seed gives to a name (FNV-1a over both); 0 for seed 0.
fn draw(seed: u64, node: &NodeId) -> u64 {
    if seed == 0 {
        return 0;
    }
    let bytes = seed.to_le_bytes();
    let all = bytes.iter().chain(node.as_str().as_bytes());
    all.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
