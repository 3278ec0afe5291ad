//! From the running table to what each node is to hold and to drive.

use std::collections::BTreeMap;

use placement::{Task, Workflow};
use protocol::desired::{DriveSpec, FunctionRef, Role, SourceRef, StageSpec, Successor, TaskSpec};
use types::{FunctionId, NodeId, TaskId};

use super::{Host, Hosting, TaskKey};
use crate::executor::Wanted;

/// The code of each function.
pub type FunctionTable = BTreeMap<FunctionId, FunctionRef>;

impl Hosting {
    /// What each node is to do; a node that is not among the keys is to do nothing.
    ///
    /// `drives` tells whether runs of a workflow are to be started.
    pub fn wanted<'a>(
        &self,
        workflows: impl Iterator<Item = &'a Workflow>,
        functions: &FunctionTable,
        drives: impl Fn(&Workflow) -> bool,
    ) -> BTreeMap<NodeId, Wanted> {
        let mut wanted: BTreeMap<NodeId, Wanted> = BTreeMap::new();
        for workflow in workflows {
            for task in &workflow.tasks {
                let key = TaskKey { workflow: workflow.id.clone(), task: task.id.clone() };
                let host = self.hosts.get(&key);
                let Some((host, code)) = host.zip(functions.get(&task.function)) else { continue };
                let owner = owner_spec(&key, task, code, host);
                wanted.entry(host.node.clone()).or_default().tasks.push(owner);
                if let Some((to, standby)) = standby_spec(&key, task, code, host) {
                    wanted.entry(to).or_default().tasks.push(standby);
                }
            }
            if let Some((driver, drive)) = self.drive(workflow, drives(workflow)) {
                wanted.entry(driver).or_default().drives.push(drive);
            }
        }
        wanted
    }

    /// How the node of the first task is to drive a workflow; `None` before all tasks have a host.
    fn drive(&self, workflow: &Workflow, starts_runs: bool) -> Option<(NodeId, DriveSpec)> {
        let node_of = |task: &TaskId| {
            let key = TaskKey { workflow: workflow.id.clone(), task: task.clone() };
            self.hosts.get(&key).map(|host| host.node.clone())
        };
        let driver = node_of(&workflow.tasks.first()?.id)?;
        let stages: Option<Vec<StageSpec>> = workflow
            .tasks
            .iter()
            .map(|task| node_of(&task.id).map(|node| stage(workflow, task, node)))
            .collect();
        let drive = DriveSpec {
            workflow: workflow.id.clone(),
            every_ms: if starts_runs { workflow.every_ms } else { 0 },
            run_deadline_ms: workflow.run_deadline_ms,
            stages: stages?,
        };
        Some((driver, drive))
    }
}

fn owner_spec(key: &TaskKey, task: &Task, code: &FunctionRef, host: &Host) -> TaskSpec {
    let announced = host.step.as_ref().and_then(|step| step.at.map(|at| (step, at)));
    let successor = announced.map(|(step, at)| Successor {
        node: step.to.clone(),
        at,
        window: step.window,
        window_closes: step.window_closes,
    });
    let role = Role::Owner { owner_epoch: host.owner_epoch, successor };
    task_spec(key, task, code, role, host.second_copy().cloned())
}

fn standby_spec(
    key: &TaskKey,
    task: &Task,
    code: &FunctionRef,
    host: &Host,
) -> Option<(NodeId, TaskSpec)> {
    let step = host.step.as_ref()?;
    let expected_at = step.at.unwrap_or(step.window_closes);
    let role = Role::Standby { owner: host.node.clone(), expected_at };
    // Once it owns, the old owner keeps the second copy: it has everything already.
    Some((step.to.clone(), task_spec(key, task, code, role, Some(host.node.clone()))))
}

fn task_spec(
    key: &TaskKey,
    task: &Task,
    code: &FunctionRef,
    role: Role,
    replica: Option<NodeId>,
) -> TaskSpec {
    TaskSpec {
        workflow: key.workflow.clone(),
        task: key.task.clone(),
        function: code.clone(),
        role,
        replica,
        milli_cpu: task.milli_cpu,
        memory_mib: task.memory_mib,
        linear_memory_mib: task.linear_memory_mib,
        deadline_ms: task.deadline_ms,
    }
}

fn stage(workflow: &Workflow, task: &Task, node: NodeId) -> StageSpec {
    let holder = |name: &TaskId| {
        workflow.sources.iter().find(|source| source.name == *name).map(|s| s.node.clone())
    };
    let sources = task.sources.iter().filter_map(|need| {
        holder(&need.source).map(|node| SourceRef { name: need.source.clone(), node })
    });
    StageSpec {
        task: task.id.clone(),
        node,
        deadline_ms: task.deadline_ms,
        after: task.after.iter().map(|after| after.task.clone()).collect(),
        sources: sources.collect(),
    }
}
