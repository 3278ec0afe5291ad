//! From the running table to what each node is to hold and to drive.

use std::collections::{BTreeMap, BTreeSet};

use placement::{Task, Workflow};
use protocol::desired::{
    CALLEES_MAX, CalleeSpec, DriveSpec, FunctionRef, Role, SourceRef, StageSpec, Successor,
    TaskSpec,
};
use types::{FunctionId, NodeId, TaskId};

use super::{Host, Hosting, TaskKey};
use crate::executor::Wanted;

/// What is known of each function.
pub type FunctionTable = BTreeMap<FunctionId, KnownFunction>;

/// A function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownFunction {
    /// Its code.
    pub code: FunctionRef,
    /// The functions that its manifest lets it call.
    pub calls: Vec<FunctionId>,
}

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
        let mut placed: Vec<CalleeSpec> = Vec::new();
        for workflow in workflows {
            for task in &workflow.tasks {
                let key = TaskKey { workflow: workflow.id.clone(), task: task.id.clone() };
                let host = self.hosts.get(&key);
                let Some((host, known)) = host.zip(functions.get(&task.function)) else { continue };
                let code = &known.code;
                placed.push(callee(&key, task, host));
                let owner = owner_spec(workflow, task, code, host);
                wanted.entry(host.node.clone()).or_default().tasks.push(owner);
                if let Some((to, standby)) = standby_spec(workflow, task, code, host) {
                    wanted.entry(to).or_default().tasks.push(standby);
                }
            }
            if let Some((driver, drive)) = self.drive(workflow, drives(workflow)) {
                wanted.entry(driver).or_default().drives.push(drive);
            }
        }
        for (node, wanted) in &mut wanted {
            wanted.callees = callees_of(node, &wanted.tasks, functions, &placed);
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

fn callee(key: &TaskKey, task: &Task, host: &Host) -> CalleeSpec {
    let (workflow, task_id) = (key.workflow.clone(), key.task.clone());
    let (function, node) = (task.function.clone(), host.node.clone());
    CalleeSpec { function, workflow, task: task_id, node }
}

/// The tasks that run what the functions of these tasks may call. A node is told only of those, so that no other move concerns it.
fn callees_of(
    node: &NodeId,
    tasks: &[TaskSpec],
    functions: &FunctionTable,
    placed: &[CalleeSpec],
) -> Vec<CalleeSpec> {
    let known = tasks.iter().filter_map(|task| functions.get(&task.function.name));
    let called: BTreeSet<&FunctionId> = known.flat_map(|known| &known.calls).collect();
    let mut callees: Vec<CalleeSpec> =
        placed.iter().filter(|callee| called.contains(&callee.function)).cloned().collect();
    if CALLEES_MAX < callees.len() {
        let left_out = callees.len() - CALLEES_MAX;
        tracing::warn!(%node, left_out, "a node is told of {CALLEES_MAX} tasks to call");
        callees.truncate(CALLEES_MAX);
    }
    callees
}

fn owner_spec(workflow: &Workflow, task: &Task, code: &FunctionRef, host: &Host) -> TaskSpec {
    let announced = host.step.as_ref().and_then(|step| step.at.map(|at| (step, at)));
    let successor = announced.map(|(step, at)| Successor {
        node: step.to.clone(),
        at,
        window: step.window,
        window_closes: step.window_closes,
    });
    let role = Role::Owner { owner_epoch: host.owner_epoch, successor };
    task_spec(workflow, task, code, role, host.second_copy().cloned())
}

fn standby_spec(
    workflow: &Workflow,
    task: &Task,
    code: &FunctionRef,
    host: &Host,
) -> Option<(NodeId, TaskSpec)> {
    let step = host.step.as_ref()?;
    let expected_at = step.at.unwrap_or(step.window_closes);
    let role = Role::Standby { owner: host.node.clone(), expected_at };
    // Once it owns, the old owner keeps the second copy: it has everything already.
    Some((step.to.clone(), task_spec(workflow, task, code, role, Some(host.node.clone()))))
}

fn task_spec(
    workflow: &Workflow,
    task: &Task,
    code: &FunctionRef,
    role: Role,
    replica: Option<NodeId>,
) -> TaskSpec {
    TaskSpec {
        workflow: workflow.id.clone(),
        task: task.id.clone(),
        function: code.clone(),
        role,
        replica,
        milli_cpu: task.milli_cpu,
        memory_mib: task.memory_mib,
        linear_memory_mib: task.linear_memory_mib,
        deadline_ms: task.deadline_ms,
        sources: sources_of(workflow, task),
    }
}

/// The data sources of a task, and who holds them.
fn sources_of(workflow: &Workflow, task: &Task) -> Vec<SourceRef> {
    let holder = |name: &TaskId| {
        workflow.sources.iter().find(|source| source.name == *name).map(|s| s.node.clone())
    };
    let sources = task.sources.iter().filter_map(|need| {
        holder(&need.source).map(|node| SourceRef { name: need.source.clone(), node })
    });
    sources.collect()
}

fn stage(workflow: &Workflow, task: &Task, node: NodeId) -> StageSpec {
    StageSpec {
        task: task.id.clone(),
        node,
        deadline_ms: task.deadline_ms,
        after: task.after.iter().map(|after| after.task.clone()).collect(),
        sources: sources_of(workflow, task),
    }
}

#[cfg(test)]
mod tests {
    use types::{MiB, MilliCpu, OwnerEpoch, WorkflowId};

    use super::*;

    fn function(name: &str) -> FunctionId {
        FunctionId::new(name).unwrap()
    }

    fn known(name: &str, calls: &[&str]) -> (FunctionId, KnownFunction) {
        let code =
            FunctionRef { name: function(name), sha256: [0; 32], bytes: 1, manifest: [1; 32] };
        let calls = calls.iter().map(|name| function(name)).collect();
        (function(name), KnownFunction { code, calls })
    }

    fn placed(name: &str, node: &str) -> CalleeSpec {
        let (workflow, task) = (WorkflowId::new("w").unwrap(), TaskId::new(name).unwrap());
        CalleeSpec { function: function(name), workflow, task, node: NodeId::new(node).unwrap() }
    }

    fn task(known: &KnownFunction) -> TaskSpec {
        TaskSpec {
            workflow: WorkflowId::new("w").unwrap(),
            task: TaskId::new(known.code.name.as_str()).unwrap(),
            function: known.code.clone(),
            role: Role::Owner { owner_epoch: OwnerEpoch(1), successor: None },
            replica: None,
            milli_cpu: MilliCpu(1),
            memory_mib: MiB(1),
            linear_memory_mib: MiB(1),
            deadline_ms: 1,
            sources: Vec::new(),
        }
    }

    #[test]
    fn a_node_is_told_where_that_is_which_its_functions_may_call_and_nothing_else() {
        let node = NodeId::new("sat-1").unwrap();
        let functions =
            FunctionTable::from([known("a", &["b", "gone"]), known("b", &[]), known("c", &["a"])]);
        let all = [placed("a", "sat-1"), placed("b", "sat-2"), placed("c", "sat-3")];
        let told =
            |name: &str| callees_of(&node, &[task(&functions[&function(name)])], &functions, &all);
        assert_eq!(told("a"), [placed("b", "sat-2")]);
        assert_eq!(told("b"), []);
        assert_eq!(told("c"), [placed("a", "sat-1")]);
        let many = vec![placed("b", "sat-2"); CALLEES_MAX + 1];
        let tasks = [task(&functions[&function("a")])];
        assert_eq!(callees_of(&node, &tasks, &functions, &many).len(), CALLEES_MAX);
    }
}
