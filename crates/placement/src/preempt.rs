//! Who gives way to a workflow of a higher class for which there is no room.

use std::collections::BTreeSet;

use types::WorkflowId;

use crate::constraint::Constraint;
use crate::decision::{Decision, Plan, Refusal};
use crate::planner::beside_all;
use crate::view::{Options, Running, WorldView};
use crate::workflow::{Priority, Workflow};

/// Most workflows that are weighed, the lowest classes first: each takes two decisions.
const WEIGHED_MAX: usize = 64;

/// The plan of a workflow that is refused, and the workflows of lower classes that have to give way to it: one of the lowest
/// class that is enough alone, or else some of which none could stay, those of higher classes kept where possible.
/// `None` where none of them stands in its way, or all of them together are not enough.
pub(crate) fn making_room(
    view: &WorldView<'_>,
    workflow: &Workflow,
    options: &Options,
    refusal: &Refusal,
) -> Option<Plan> {
    let lower = lower_than(view, workflow);
    if lower.is_empty() || !refusal.nodes.iter().any(|no| is_of_room(&no.constraint)) {
        return None;
    }
    let asking = Asking { view, workflow, options };
    let mut aside: BTreeSet<&WorkflowId> = lower.iter().copied().collect();
    let mut plan = asking.without(&aside)?;
    if let Some(alone) = lower.iter().find_map(|one| asking.without(&BTreeSet::from([*one]))) {
        return Some(alone);
    }
    for kept in lower.iter().rev() {
        aside.remove(kept);
        match asking.without(&aside) {
            Some(better) => plan = better,
            None => {
                aside.insert(kept);
            }
        }
    }
    Some(plan)
}

/// Workflows of lower classes that run, the lowest first, then in order of names.
fn lower_than<'a>(view: &WorldView<'a>, workflow: &Workflow) -> Vec<&'a WorkflowId> {
    let is_lower = |running: &&Running| {
        running.priority < workflow.priority && running.workflow != workflow.id
    };
    let lower = view.running.iter().filter(is_lower);
    let all: BTreeSet<(Priority, &WorkflowId)> =
        lower.map(|running| (running.priority, &running.workflow)).collect();
    all.into_iter().map(|(_, id)| id).take(WEIGHED_MAX).collect()
}

/// Whether fewer tasks on a node might help.
const fn is_of_room(constraint: &Constraint) -> bool {
    matches!(
        constraint,
        Constraint::Cpu | Constraint::Memory | Constraint::Battery | Constraint::Temperature
    )
}

struct Asking<'a> {
    view: &'a WorldView<'a>,
    workflow: &'a Workflow,
    options: &'a Options,
}

impl Asking<'_> {
    /// The plan if some workflows did not run.
    fn without(&self, aside: &BTreeSet<&WorkflowId>) -> Option<Plan> {
        let stays = |running: &&Running| !aside.contains(&running.workflow);
        let running: Vec<Running> = self.view.running.iter().filter(stays).cloned().collect();
        let view = WorldView { running: &running, ..*self.view };
        let sets_aside = aside.iter().map(|id| (*id).clone()).collect();
        match beside_all(&view, self.workflow, self.options) {
            Decision::Placed(plan) => Some(Plan { sets_aside, ..plan }),
            Decision::Refused(_) => None,
        }
    }
}
