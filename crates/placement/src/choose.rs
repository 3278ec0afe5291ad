//! The choice of a host for one task, given where the tasks before it are and will be.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use types::{Epoch, LatencyUs, NodeId, TaskId};

use crate::constraint::{Constraint, NodeRefusal};
use crate::span::{Ending, Itinerary, Prospect, Span};
use crate::view::{Declined, NodeView, Running};
use crate::workflow::Task;
use crate::world::{Booking, Load, Waiting, World};

/// Most hand-overs of one task that are looked ahead: two orbits of windows of three minutes.
const HOPS_MAX: usize = 64;

/// Why a node is the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It is the host already, and no move is needed.
    Stays,
    /// An announced hand-over to it is due.
    Announced,
    /// The owner is down and it holds the second copy of the state.
    Copy,
    /// It is the best of those that can.
    Best,
}

/// A node that can host the task.
#[derive(Clone, Debug)]
pub(crate) struct Candidate<'w, 'a> {
    pub(crate) prospect: Prospect<'w, 'a>,
    pub(crate) span: Span<'a>,
    /// The longest latency to an input at the beginning of the span.
    pub(crate) latency: Option<LatencyUs>,
    /// A task before this one that is to come there within the span, where both do not fit.
    pub(crate) awaits: Option<&'a TaskId>,
    /// What it would mean for tasks after this one.
    pub(crate) impact: Impact<'a>,
    /// Whether it, and those that follow it, hold for a whole run.
    pub(crate) whole: bool,
}

/// What a task on a node means for those after it that go with it or keep apart from it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Impact<'a> {
    /// One that would have no place at all.
    strands: Option<&'a TaskId>,
    /// One that would have to leave.
    drives_off: Option<&'a TaskId>,
}

impl<'a> Impact<'a> {
    /// One that would suffer.
    pub(crate) fn victim(&self) -> Option<&'a TaskId> {
        self.strands.or(self.drives_off)
    }
}

/// All nodes, considered for one task.
#[derive(Clone, Debug)]
pub(crate) struct Survey<'w, 'a> {
    pub(crate) task: &'a Task,
    /// One for each node, in order of names.
    pub(crate) rows: Vec<Result<Candidate<'w, 'a>, NodeRefusal>>,
    /// Those that can, the best first, each with why it comes where it comes.
    pub(crate) choices: Vec<(usize, Why)>,
}

/// A task that has its place.
#[derive(Clone, Debug)]
pub(crate) struct Placed<'w, 'a> {
    pub(crate) survey: Survey<'w, 'a>,
    /// Which row is the host.
    pub(crate) host: usize,
    pub(crate) why: Why,
    /// Better rows that leave no node for a later task, and that task.
    pub(crate) spoiled: Vec<(usize, TaskId)>,
    /// The planned hand-over.
    pub(crate) next: Option<Candidate<'w, 'a>>,
    pub(crate) itinerary: Itinerary<'a>,
}

impl<'a> Candidate<'_, 'a> {
    pub(crate) fn id(&self) -> &'a NodeId {
        &self.prospect.node().id
    }
}

impl<'w, 'a> Placed<'w, 'a> {
    /// The host.
    pub(crate) fn candidate(&self) -> &Candidate<'w, 'a> {
        self.survey.rows[self.host].as_ref().expect("a host is chosen among those that can")
    }

    /// What it takes, and where.
    pub(crate) fn booking(&self) -> Booking<'a> {
        let next = self.next.as_ref().map(Candidate::id);
        Booking { task: self.survey.task, node: self.candidate().id(), next }
    }
}

/// What a node is short of for a task beside a load, if anything.
pub(crate) fn no_room(node: &NodeView, load: Load, task: &Task, now: Epoch) -> Option<NodeRefusal> {
    let short = |constraint, capacity: u32, used: u64, needed: u32, unit| {
        // No more than the capacity can be free.
        let free = u32::try_from(u64::from(capacity).saturating_sub(used)).unwrap_or(capacity);
        (free < needed).then(|| NodeRefusal {
            value: f64::from(free),
            limit: f64::from(needed),
            unit,
            ..NodeRefusal::plain(&node.id, constraint, now)
        })
    };
    let capacity = &node.capacity;
    let cpu = (capacity.milli_cpu.0, load.milli_cpu, task.milli_cpu.0);
    let memory = (capacity.memory_mib.0, load.memory_mib, task.memory_mib.0);
    short(Constraint::Cpu, cpu.0, cpu.1, cpu.2, "mCPU")
        .or_else(|| short(Constraint::Memory, memory.0, memory.1, memory.2, "MiB"))
}

/// What candidates are ordered by.
type Rank<'a> = (bool, bool, Reverse<u32>, Option<LatencyUs>, (u64, &'a NodeId));

/// Considers nodes for one task.
#[derive(Clone, Debug)]
pub(crate) struct Chooser<'w, 'p, 'a> {
    world: &'w World<'a>,
    task: &'a Task,
    owner: Option<&'a Running>,
    placed: &'p [Placed<'w, 'a>],
    bookings: Vec<Booking<'a>>,
}

impl<'w, 'p, 'a> Chooser<'w, 'p, 'a> {
    pub(crate) fn new(world: &'w World<'a>, task: &'a Task, placed: &'p [Placed<'w, 'a>]) -> Self {
        let bookings = placed.iter().map(Placed::booking).collect();
        Self { world, task, owner: world.owner(&task.id), placed, bookings }
    }

    /// All nodes as hosts from now on.
    pub(crate) fn survey(&self) -> Survey<'w, 'a> {
        let first = self.world.grid.first;
        let consider = |node: &&'a NodeView| {
            let mut candidate = self.consider(node, first, Waiting::Counts)?;
            if let Some(refusal) = self.too_short(&candidate) {
                // What runs already takes what there is.
                self.owner.ok_or(refusal)?;
                candidate.whole = false;
            }
            Ok(candidate)
        };
        let rows: Vec<_> = self.world.nodes.iter().map(consider).collect();
        let choices = self.choices(&rows);
        Survey { task: self.task, rows, choices }
    }

    /// The task on a node of its survey, with its hand-overs to come.
    pub(crate) fn settle(&self, survey: Survey<'w, 'a>, host: usize, why: Why) -> Placed<'w, 'a> {
        let candidate = survey.rows[host].as_ref().expect("chosen among those that can");
        let (itinerary, next) = self.itinerary(candidate);
        Placed { survey, host, why, spoiled: vec![], next, itinerary }
    }

    fn consider(
        &self,
        node: &'a NodeView,
        from: u32,
        waiting: Waiting,
    ) -> Result<Candidate<'w, 'a>, NodeRefusal> {
        let load = self.world.load(&node.id, &self.task.id, &self.bookings, waiting);
        if let Some(refusal) = self.plain_refusal(node, load, self.task) {
            return Err(refusal);
        }
        let itinerary_of = |task: &TaskId| {
            let placed = self.placed.iter().find(|placed| placed.survey.task.id == *task);
            placed.map(|placed| &placed.itinerary)
        };
        let prospect = Prospect::new(self.world, self.task, node, load.watts, itinerary_of);
        let span = prospect.scan(from)?;
        let latency = prospect.latency_at(from);
        let awaits = self.awaited_at(node, &span, load);
        let impact = self.impact(node, load, waiting);
        Ok(Candidate { prospect, span, latency, awaits, impact, whole: true })
    }

    fn impact(&self, node: &'a NodeView, load: Load, waiting: Waiting) -> Impact<'a> {
        let tasks = &self.world.workflow.tasks;
        let after = tasks.iter().skip_while(|task| task.id != self.task.id).skip(1);
        let mut load = load.with(self.task);
        let mut together = BTreeSet::from([&self.task.id]);
        let mut impact = Impact::default();
        for task in after {
            if task.apart.iter().any(|other| together.contains(other)) {
                let is_pinned = task.pinned.as_ref() == Some(&node.id);
                let is_there = self.world.is_waiting_at(&node.id, &task.id, waiting);
                impact.strands = impact.strands.or_else(|| is_pinned.then_some(&task.id));
                impact.drives_off = impact.drives_off.or_else(|| is_there.then_some(&task.id));
            }
            if task.with.iter().any(|other| together.contains(other)) {
                together.insert(&task.id);
                // What it takes where it is or is to come is in the load already.
                if !self.world.is_waiting_at(&node.id, &task.id, waiting) {
                    let refusal = self.plain_refusal(node, load, task);
                    impact.strands = impact.strands.or_else(|| refusal.map(|_| &task.id));
                    load = load.with(task);
                }
            }
        }
        impact
    }

    /// A placed task that comes to a node within a span, where both do not fit.
    fn awaited_at(&self, node: &NodeView, span: &Span<'a>, load: Load) -> Option<&'a TaskId> {
        let is_booked = |placed: &Placed<'w, 'a>| placed.booking().is_on(&node.id);
        let comes = |placed: &Placed<'w, 'a>| {
            let begins = placed.itinerary.stays.iter().map(|(from, _)| *from);
            let ends = begins.skip(1).chain([u32::MAX]);
            let mut stays = placed.itinerary.stays.iter().zip(ends);
            stays.any(|((from, id), end)| **id == node.id && *from <= span.last && span.from < end)
        };
        let others = self.placed.iter().filter(|placed| !is_booked(placed) && comes(placed));
        let too_many = |placed: &&Placed<'w, 'a>| {
            let more = load.with(placed.survey.task);
            no_room(node, more, self.task, self.world.view.now).is_some()
        };
        others.filter(too_many).map(|placed| &placed.survey.task.id).next()
    }

    /// What forbids a node at any time.
    fn plain_refusal(&self, node: &NodeView, load: Load, task: &Task) -> Option<NodeRefusal> {
        let now = self.world.view.now;
        let no = |constraint| Some(NodeRefusal::plain(&node.id, constraint, now));
        // First, so that who carries out a decision learns of each node that must not see the data.
        if let Some(refusal) = self.world.data_refusal(node, task) {
            return Some(refusal);
        }
        if task.pinned.as_ref().is_some_and(|pinned| *pinned != node.id) {
            return no(Constraint::Pinned);
        }
        if !node.alive {
            return no(Constraint::Alive);
        }
        if !task.kinds.is_empty() && !task.kinds.contains(&node.kind) {
            return no(Constraint::Kind);
        }
        let workflow = &self.world.workflow.id;
        let said = node.declined.iter().find(|no| no.workflow == *workflow && no.task == task.id);
        if let Some(Declined { reason, .. }) = said {
            return no(Constraint::Declined { reason: reason.clone() });
        }
        if let Some(source) = self.lost_source(task) {
            return no(Constraint::Source { source: source.clone() });
        }
        no_room(node, load, task, now)
    }

    /// A data source of the task whose node cannot be read.
    fn lost_source<'t>(&self, task: &'t Task) -> Option<&'t TaskId> {
        let lost = |name: &TaskId| {
            let source = self.world.workflow.sources.iter().find(|source| source.name == *name);
            let node = source.and_then(|source| self.world.node(&source.node));
            !node.is_some_and(|node| node.alive)
        };
        task.sources.iter().map(|need| &need.source).find(|name| lost(name))
    }

    /// What breaks the objectives of a new placement within the run that it is to carry, if neither the
    /// node nor those that follow it are planned to hold them for so long.
    fn too_short(&self, candidate: &Candidate<'w, 'a>) -> Option<NodeRefusal> {
        let Ending::Fails(refusal) = &candidate.span.ending else { return None };
        let run_s = self.world.options.prepare_s.max(0.0) + self.task.expected_run_s;
        let needed = self.world.view.now.plus_s(run_s);
        let covers = |last: u32| last == u32::MAX || needed <= self.world.view.plan.time_of(last);
        let held = covers(candidate.span.last) || covers(self.itinerary(candidate).0.known_until);
        (!held).then(|| refusal.clone())
    }

    fn choices(&self, rows: &[Result<Candidate<'w, 'a>, NodeRefusal>]) -> Vec<(usize, Why)> {
        let rank = |row: &usize| rows[*row].as_ref().map(|candidate| self.rank(candidate)).ok();
        let mut choices: Vec<_> = (0..rows.len()).filter(|row| rows[*row].is_ok()).collect();
        choices.sort_by_key(rank);
        let mut choices: Vec<_> = choices.into_iter().map(|row| (row, Why::Best)).collect();
        if let Some((row, why)) = self.preferred(rows)
            && let Some(at) = choices.iter().position(|(best, _)| *best == row)
        {
            choices[..=at].rotate_right(1);
            choices[0].1 = why;
        }
        choices
    }

    /// Those first that no earlier task is to come to; then those that have a place for what goes with it later; then the
    /// longest; then the nearest; then in order.
    fn rank(&self, candidate: &Candidate<'w, 'a>) -> Rank<'a> {
        let order = self.world.order_of(candidate.id());
        let (awaits, harms) = (candidate.awaits.is_some(), candidate.impact.victim().is_some());
        (awaits, harms, Reverse(candidate.span.last), candidate.latency, order)
    }

    /// The node that comes before all others because of what is already under way.
    fn preferred(&self, rows: &[Result<Candidate<'w, 'a>, NodeRefusal>]) -> Option<(usize, Why)> {
        let owner = self.owner?;
        let row_of = |id: &NodeId| {
            let fits = |row: &Result<Candidate<'w, 'a>, NodeRefusal>| {
                row.as_ref().is_ok_and(|candidate| candidate.id() == id)
            };
            rows.iter().position(fits)
        };
        let announced = owner.successor.as_ref();
        let successor = announced.and_then(|successor| row_of(&successor.node));
        let due = announced.is_some_and(|successor| successor.at <= self.world.view.now);
        if let Some(row) = successor.filter(|_| due) {
            return Some((row, Why::Announced));
        }
        let grid = self.world.grid;
        let stays = |row: &usize| {
            let candidate = rows[*row].as_ref().ok();
            candidate.is_some_and(|candidate| match candidate.span.ending {
                Ending::Fails(_) => {
                    candidate.span.leave_by(grid.guard).is_some_and(|step| grid.soon <= step)
                }
                Ending::Horizon | Ending::Guess(_) => true,
            })
        };
        if let Some(row) = row_of(&owner.node).filter(stays) {
            return Some((row, Why::Stays));
        }
        if let Some(row) = successor {
            return Some((row, Why::Announced));
        }
        let down = !self.world.node(&owner.node).is_some_and(|node| node.alive);
        let copy = owner.replica.as_ref().filter(|_| down).and_then(row_of);
        copy.map(|row| (row, Why::Copy))
    }

    /// Where the task goes from a host on, as far as one follows the other without a gap.
    fn itinerary(&self, host: &Candidate<'w, 'a>) -> (Itinerary<'a>, Option<Candidate<'w, 'a>>) {
        let mut stays = vec![(self.world.grid.first, host.id())];
        let mut next = None;
        let mut current = host.clone();
        for hop in 0..HOPS_MAX {
            let successor = if hop == 0 {
                let soon = self.world.grid.soon;
                let announced = self.announced(&current);
                announced.or_else(|| self.successor(&current, soon, Waiting::Counts))
            } else {
                // Later hand-overs come after the one before, when the others may have moved on too.
                self.successor(&current, current.span.from + 1, Waiting::Ignored)
            };
            let Some(successor) = successor else { break };
            stays.push((successor.span.from, successor.id()));
            current = successor.clone();
            next.get_or_insert(successor);
        }
        let known_until = match current.span.ending {
            Ending::Fails(_) | Ending::Guess(_) => current.span.last,
            Ending::Horizon => u32::MAX,
        };
        (Itinerary { stays, known_until }, next)
    }

    /// The best node to follow a host that has to hand over, at `from` or later: the guard before the end, or if nobody
    /// can then, as soon after that as somebody can.
    fn successor(
        &self,
        host: &Candidate<'w, 'a>,
        from: u32,
        waiting: Waiting,
    ) -> Option<Candidate<'w, 'a>> {
        let guard = self.world.grid.guard;
        let leave_by = host.span.leave_by(guard)?;
        (leave_by.max(from)..=host.span.last).find_map(|step| {
            let nodes = self.world.nodes.iter();
            let all = nodes.filter_map(|node| self.follows(host, node, step, waiting));
            // A move at short notice has to be worth it.
            let lasts = |next: &Candidate<'_, '_>| host.span.last + guard <= next.span.last;
            let all = all.filter(|next| step == leave_by || lasts(next));
            all.min_by(|x, y| self.rank(x).cmp(&self.rank(y)))
        })
    }

    /// The announced hand-over of the owner, if it still serves: not after the last possible step, and not
    /// much before. It is kept also when the reason for it has become a guess.
    fn announced(&self, host: &Candidate<'w, 'a>) -> Option<Candidate<'w, 'a>> {
        let owner = self.owner.filter(|owner| owner.node == *host.id())?;
        let announced = owner.successor.as_ref()?;
        let node = self.world.node(&announced.node)?;
        let guard = self.world.grid.guard;
        let last = host.span.guarded(guard).filter(|last| self.world.grid.soon <= *last)?;
        let step = self.world.step_of(announced.at);
        let step = step.filter(|step| (last.saturating_sub(guard)..=last).contains(step));
        step.and_then(|step| self.follows(host, node, step, Waiting::Counts))
            .or_else(|| self.follows(host, node, last, Waiting::Counts))
    }

    /// A node that can take over at a step, together with those that go with the task, and holds for longer than the host.
    fn follows(
        &self,
        host: &Candidate<'w, 'a>,
        node: &'a NodeView,
        step: u32,
        waiting: Waiting,
    ) -> Option<Candidate<'w, 'a>> {
        if node.id == *host.id() {
            return None;
        }
        let candidate = self.consider(node, step, waiting).ok()?;
        let serves = candidate.impact.strands.is_none() && host.span.last < candidate.span.last;
        serves.then_some(candidate)
    }
}
