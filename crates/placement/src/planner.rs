//! The decision: tasks in order, each on the best node that leaves room for those after it.

use types::TaskId;

use crate::choose::{Chooser, Placed};
use crate::decision::{Assignment, Decision, Next, Plan, Refusal};
use crate::explain::{because, verdict};
use crate::preempt;
use crate::replica::replica;
use crate::view::{Options, WorldView};
use crate::workflow::Workflow;
use crate::world::World;

/// Most times that the nodes are considered for a task in one search: 32 tasks and a way back for each
/// of them seven times.
const SURVEYS_MAX: u32 = 256;

/// Decides where each task of a workflow runs from now on, and where it goes when that ends.
///
/// Tasks are placed together or not at all, in the order of the workflow; each on a node that is alive,
/// has room beside all that runs, and meets every need now. A host is kept as long as it lasts; a new one
/// is a node that no earlier task is to come to, of these the one that lasts longest, then the nearest, then the first
/// in order. Where the choices before it
/// leave a task without a node, the next best of those are tried. Where there is no room, workflows of lower classes give
/// way, as few as are found ([`Plan::sets_aside`]). Equal input yields an equal decision.
///
/// Expects a workflow that passed [`Workflow::check`]; one that did not is refused or placed without the
/// needs that make no sense, but never panics.
pub fn plan(view: &WorldView<'_>, workflow: &Workflow, options: &Options) -> Decision {
    match beside_all(view, workflow, options) {
        Decision::Refused(refusal) => {
            let plan = preempt::making_room(view, workflow, options, &refusal);
            plan.map_or(Decision::Refused(refusal), Decision::Placed)
        }
        placed @ Decision::Placed(_) => placed,
    }
}

/// The same beside all that runs: nobody gives way.
pub(crate) fn beside_all(view: &WorldView<'_>, workflow: &Workflow, options: &Options) -> Decision {
    let world = World::new(view, workflow, options);
    // What cannot be placed, or goes nowhere when its window closes, may be helped by moving what is in its way.
    match search(&world) {
        Ok(plan) if dead_ends(&plan) == 0 => Decision::Placed(plan),
        Ok(plan) => match search(&world.displacing()) {
            Ok(other) if dead_ends(&other) < dead_ends(&plan) => Decision::Placed(other),
            Ok(_) | Err(_) => Decision::Placed(plan),
        },
        Err(refusal) => match search(&world.displacing()) {
            Ok(plan) => Decision::Placed(plan),
            Err(_) => Decision::Refused(refusal),
        },
    }
}

/// Whether there is a place beside all that runs, without what else is found out.
pub(crate) fn is_possible(view: &WorldView<'_>, workflow: &Workflow, options: &Options) -> bool {
    let world = World::new(view, workflow, options);
    Search::new(&world).place(0).is_ok() || Search::new(&world.displacing()).place(0).is_ok()
}

/// Tasks whose window is known to close and that nobody is known to follow.
fn dead_ends(plan: &Plan) -> usize {
    let ends = |assignment: &&Assignment| {
        assignment.next.is_none() && assignment.window.as_ref().is_some_and(|w| w.close_known)
    };
    plan.assignments.iter().filter(ends).count()
}

fn search(world: &World<'_>) -> Result<Plan, Refusal> {
    let mut search = Search::new(world);
    search.place(0)?;
    let placed = &search.placed;
    Ok(Plan {
        workflow: world.workflow.id.clone(),
        at: world.view.now,
        assignments: placed.iter().map(|one| assignment(world, placed, one)).collect(),
        sets_aside: vec![],
    })
}

struct Search<'w, 'a> {
    world: &'w World<'a>,
    placed: Vec<Placed<'w, 'a>>,
    surveys: u32,
}

impl<'w, 'a> Search<'w, 'a> {
    const fn new(world: &'w World<'a>) -> Self {
        Self { world, placed: vec![], surveys: SURVEYS_MAX }
    }

    /// Places the tasks from one on; on failure those before are as they were.
    fn place(&mut self, index: usize) -> Result<(), Refusal> {
        let Some(task) = self.world.workflow.tasks.get(index) else { return Ok(()) };
        self.surveys = self.surveys.saturating_sub(1);
        let survey = Chooser::new(self.world, task, &self.placed).survey();
        let mut spoiled: Vec<(usize, TaskId)> = vec![];
        let mut first_refusal = None;
        for (host, why) in survey.choices.iter().copied() {
            let chooser = Chooser::new(self.world, task, &self.placed);
            let mut placed = chooser.settle(survey.clone(), host, why);
            placed.spoiled.clone_from(&spoiled);
            self.placed.push(placed);
            match self.place(index + 1) {
                Ok(()) => return Ok(()),
                Err(refusal) => {
                    self.placed.truncate(index);
                    spoiled.push((host, refusal.task.clone()));
                    first_refusal.get_or_insert(refusal);
                }
            }
            if self.surveys == 0 {
                break;
            }
        }
        Err(first_refusal.unwrap_or_else(|| Refusal {
            workflow: self.world.workflow.id.clone(),
            task: task.id.clone(),
            at: self.world.view.now,
            nodes: survey.rows.into_iter().filter_map(Result::err).collect(),
            alternatives: vec![],
        }))
    }
}

fn assignment<'a>(
    world: &World<'a>,
    all: &[Placed<'_, 'a>],
    placed: &Placed<'_, 'a>,
) -> Assignment {
    let host = placed.candidate();
    let next = placed.next.as_ref().map(|next| Next {
        node: next.id().clone(),
        at: world.view.plan.time_of(next.span.from),
        window: next.prospect.window(&next.span),
    });
    let others = placed.survey.rows.iter().enumerate().filter(|(row, _)| *row != placed.host);
    Assignment {
        task: placed.survey.task.id.clone(),
        node: host.id().clone(),
        because: because(world, placed),
        window: world.grid.ahead.then(|| host.prospect.window(&host.span)),
        replica: replica(world, all, placed).cloned(),
        next,
        latency_now: host.latency,
        refused: others.map(|(row, _)| verdict(world, placed, row)).collect(),
    }
}
