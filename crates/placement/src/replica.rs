//! Who keeps the second copy of a task's state.

use std::cmp::Reverse;

use topology::PairState;
use types::{LatencyUs, NodeId};

use crate::choose::{Placed, no_room};
use crate::world::{Waiting, World};

/// The successor, if there is one. Else, among the living nodes that may see its data and that the host reaches now: those that
/// could host a whole run beside all that is placed before those that have room, and these before the rest (who keeps
/// a copy and could not run the task is no heir); then the present keeper, then the one that stays in contact longest,
/// then the nearest, then in order.
pub(crate) fn replica<'a>(
    world: &World<'a>,
    all: &[Placed<'_, 'a>],
    placed: &Placed<'_, 'a>,
) -> Option<&'a NodeId> {
    if let Some(next) = &placed.next {
        return Some(next.id());
    }
    let task = placed.survey.task;
    let host = placed.candidate().id();
    let keeper = world.owner(&task.id).and_then(|owner| owner.replica.as_ref());
    let bookings: Vec<_> = all.iter().map(Placed::booking).collect();
    let rows = world.nodes.iter().zip(&placed.survey.rows);
    let others = rows.filter(|(node, _)| node.id != *host && node.alive);
    let others = others.filter(|(node, _)| world.data_refusal(node, task).is_none());
    let reached = others.filter_map(|(node, row)| {
        let (until, latency) = contact(world, host, &node.id)?;
        let load = world.load(&node.id, &task.id, &bookings, Waiting::Counts);
        let whole = row.as_ref().is_ok_and(|candidate| candidate.whole);
        let is_kind = task.kinds.is_empty() || task.kinds.contains(&node.kind);
        let has_room = is_kind && no_room(node, load, task, world.view.now).is_none();
        let could = whole && has_room;
        let kept = keeper == Some(&node.id);
        let order = world.order_of(&node.id);
        Some(((!could, !has_room, !kept, Reverse(until), latency, order), &node.id))
    });
    reached.min().map(|(_, id)| id)
}

/// Until which step two nodes stay connected from now on, and their latency now.
fn contact(world: &World<'_>, a: &NodeId, b: &NodeId) -> Option<(u32, LatencyUs)> {
    let view = world.view;
    let PairState::Path(now) = view.plan.state(a, b, view.now) else { return None };
    let grid = world.grid;
    let series = view.plan.pair(a, b)?;
    let up = |step: &u32| series.states[*step as usize].is_some();
    let until = (grid.soon..=grid.last).take_while(up).last()?;
    Some((until, now.latency))
}
