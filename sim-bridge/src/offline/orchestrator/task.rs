//! Each task alone, at the nearest place.

use topology::NodeIx;

use super::{Board, Orchestrator, TaskSpec};

/// Places each task at the node nearest to what it refers to; a task that finds no place does not hold up the others.
#[derive(Clone, Copy, Debug)]
pub struct TaskOrchestrator;

impl Orchestrator for TaskOrchestrator {
    fn name(&self) -> &'static str {
        "task"
    }

    fn place(
        &mut self,
        board: &mut Board<'_>,
        tasks: &[TaskSpec],
        anchor: NodeIx,
        hosts: &mut [Option<NodeIx>],
    ) -> bool {
        for (index, task) in tasks.iter().enumerate() {
            if hosts[index].is_none() {
                hosts[index] = board.place_nearest(index, task, anchor, hosts);
            }
        }
        hosts.iter().all(Option::is_some)
    }
}
