//! In which order several workflows that wait are decided about, so that as many as possible find a place: one that can only be
//! on one node has to come before one that takes just that and could be anywhere.

use crate::decision::Decision;
use crate::planner::beside_all;
use crate::view::{Options, Running, WorldView};
use crate::workflow::Workflow;

/// So many orders are tried at most: each takes a decision for each workflow.
const ORDERS_MAX: usize = 6;

/// The order of workflows that run nowhere yet, as their positions in `waiting`: that in which most of them are placed, of those
/// that are tried. First as given, then with those in front that were refused in the order before.
pub fn order(view: &WorldView<'_>, waiting: &[&Workflow], options: &Options) -> Vec<usize> {
    let mut best: Vec<usize> = (0..waiting.len()).collect();
    if waiting.len() < 2 {
        return best;
    }
    let (mut placed, mut refused) = one_by_one(view, waiting, options, &best);
    let mut most = placed.len();
    for _ in 1..ORDERS_MAX {
        if refused.is_empty() {
            break;
        }
        let tried = [refused, placed].concat();
        (placed, refused) = one_by_one(view, waiting, options, &tried);
        if most < placed.len() {
            (best, most) = (tried, placed.len());
        }
    }
    best
}

/// Which workflows find a place and which do not, one after the other, each beside those before.
fn one_by_one(
    view: &WorldView<'_>,
    waiting: &[&Workflow],
    options: &Options,
    order: &[usize],
) -> (Vec<usize>, Vec<usize>) {
    let mut running = view.running.to_vec();
    let (mut placed, mut refused) = (vec![], vec![]);
    for at in order {
        let now = WorldView { running: &running, ..*view };
        match beside_all(&now, waiting[*at], options) {
            Decision::Placed(plan) => {
                let tasks = waiting[*at].tasks.iter().zip(&plan.assignments);
                running.extend(tasks.map(|(task, host)| Running::begun(waiting[*at], task, host)));
                placed.push(*at);
            }
            Decision::Refused(_) => refused.push(*at),
        }
    }
    (placed, refused)
}
