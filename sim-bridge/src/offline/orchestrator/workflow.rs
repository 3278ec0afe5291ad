//! All tasks or none, each near to its predecessor.

use topology::NodeIx;

use super::{Board, Orchestrator, TaskSpec};

/// Most nodes that the search for one workflow looks at: several times all nodes of the largest constellation of today. A
/// workflow for which this is not enough is refused.
pub const LOOKS_MAX: usize = 200_000;

/// Places tasks in order, each at the nearest node; where a later one finds no place, the ones before are moved on to
/// their next candidate, until all combinations were tried or [`LOOKS_MAX`] nodes looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct WorkflowOrchestrator {
    looks: usize,
}

impl Orchestrator for WorkflowOrchestrator {
    fn name(&self) -> &'static str {
        "workflow"
    }

    fn place(
        &mut self,
        board: &mut Board<'_>,
        tasks: &[TaskSpec],
        anchor: NodeIx,
        hosts: &mut [Option<NodeIx>],
    ) -> bool {
        self.looks = 0;
        self.place_from(0, board, tasks, anchor, hosts)
    }
}

impl WorkflowOrchestrator {
    /// Places the task at `index` and those after it; leaves all of them as they were if that fails.
    fn place_from(
        &mut self,
        index: usize,
        board: &mut Board<'_>,
        tasks: &[TaskSpec],
        anchor: NodeIx,
        hosts: &mut [Option<NodeIx>],
    ) -> bool {
        let Some(task) = tasks.get(index) else { return true };
        if hosts[index].is_some() {
            return self.place_from(index + 1, board, tasks, anchor, hosts);
        }
        let mut search = board.lend_search(index);
        let sources = board.sources(task, anchor, hosts);
        search.start_all(&board.moment.graph, sources);
        let mut placed = false;
        while !placed
            && self.looks < LOOKS_MAX
            && let Some((node, delay_us)) = search.next(&board.moment.graph)
            && delay_us <= task.limit_us
        {
            self.looks += 1;
            if !board.takes(node, task) || !board.compute.take(node, task.need) {
                continue;
            }
            hosts[index] = Some(node);
            placed = self.place_from(index + 1, board, tasks, anchor, hosts);
            if !placed {
                hosts[index] = None;
                board.compute.give(node, task.need);
            }
        }
        board.return_search(index, search);
        placed
    }
}
