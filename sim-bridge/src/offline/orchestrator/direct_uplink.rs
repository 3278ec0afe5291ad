//! Everything on one node right above: no links between satellites are used between the tasks of a workflow.

use topology::NodeIx;

use super::{Board, Orchestrator, Target, TaskSpec};

/// Places all tasks of a workflow on one satellite that the anchor holds a link with, the nearest one that has room for
/// all; on the anchor itself where that is a satellite.
#[derive(Clone, Copy, Debug)]
pub struct DirectUplink;

impl Orchestrator for DirectUplink {
    fn name(&self) -> &'static str {
        "direct-uplink"
    }

    fn place(
        &mut self,
        board: &mut Board<'_>,
        tasks: &[TaskSpec],
        anchor: NodeIx,
        hosts: &mut [Option<NodeIx>],
    ) -> bool {
        candidates(board, anchor)
            .into_iter()
            .any(|node| place_all(board, tasks, anchor, hosts, node))
    }

    fn moves_all(&self) -> bool {
        true
    }
}

/// The satellites over the anchor, nearest first.
fn candidates(board: &Board<'_>, anchor: NodeIx) -> Vec<NodeIx> {
    if anchor.index() < board.nodes.satellites() {
        return vec![anchor];
    }
    let linked = board.moment.graph.links_of(anchor);
    let mut satellites: Vec<(u64, NodeIx)> = linked
        .filter(|(node, _)| node.index() < board.nodes.satellites())
        .map(|(node, link)| (link.delay_us.to_bits(), node))
        .collect();
    satellites.sort_unstable();
    satellites.into_iter().map(|(_, node)| node).collect()
}

/// Places all tasks without a host on `node`, or none.
fn place_all(
    board: &mut Board<'_>,
    tasks: &[TaskSpec],
    anchor: NodeIx,
    hosts: &mut [Option<NodeIx>],
    node: NodeIx,
) -> bool {
    let missing: Vec<usize> = (0..tasks.len()).filter(|index| hosts[*index].is_none()).collect();
    for (count, index) in missing.iter().enumerate() {
        let task = &tasks[*index];
        let fits = near_enough(board, task, anchor, hosts, node)
            && board.takes(node, task)
            && board.compute.take(node, task.need);
        if !fits {
            for placed in &missing[..count] {
                board.compute.give(node, tasks[*placed].need);
                hosts[*placed] = None;
            }
            return false;
        }
        hosts[*index] = Some(node);
    }
    true
}

fn near_enough(
    board: &mut Board<'_>,
    task: &TaskSpec,
    anchor: NodeIx,
    hosts: &[Option<NodeIx>],
    node: NodeIx,
) -> bool {
    let sources = board.sources(task, anchor, hosts);
    if sources.contains(&node) {
        return true;
    }
    // Without a limit a service has to run somewhere, and a node to be there.
    if task.limit_us.is_infinite() && !matches!(task.to, Target::Service(_)) {
        return !sources.is_empty();
    }
    let mut search = board.lend_search(0);
    search.start_all(&board.moment.graph, sources);
    let delay = search.delay_within(&board.moment.graph, node, task.limit_us);
    board.return_search(0, search);
    delay.is_some()
}
