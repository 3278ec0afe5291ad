//! What is to run: a workflow, its tasks, and what they need.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use topology::LinkNeed;
use types::{FunctionId, LatencyUs, MiB, MilliCpu, NodeId, NodeKind, TaskId, WorkflowId};

/// Most tasks of a workflow, as on the wire.
pub const TASKS_MAX: usize = 32;
/// Most inputs of a task, predecessors and data sources together, as on the wire.
pub const INPUTS_MAX: usize = 16;
/// Longest run that a task may expect, in sky seconds: a day. More is a service, not a run.
pub const EXPECTED_RUN_S_MAX: f64 = 86_400.0;

/// A directed acyclic graph of tasks that is deployed as a whole and then runs again and again.
///
/// As TOML:
///
/// ```toml
/// id = "flood"
/// every_ms = 5000
/// run_deadline_ms = 30000
///
/// [[source]]
/// name = "eo-reference"
/// node = "sat-2"
///
/// [[task]]
/// id = "ingest"
/// function = "ingest"
/// milli_cpu = 1000
/// memory_mib = 512
/// linear_memory_mib = 64
/// expected_run_s = 60.0
/// deadline_ms = 2000
/// pinned = "drone"
///
/// [[task]]
/// id = "object-det"
/// function = "object-det"
/// milli_cpu = 4000
/// memory_mib = 1024
/// linear_memory_mib = 128
/// expected_run_s = 60.0
/// deadline_ms = 5000
/// watts = 6.0
/// kinds = ["satellite", "edge"]
/// after = [{ task = "ingest", latency_max_ms = 150.0 }]
/// sources = [{ source = "eo-reference", latency_max_ms = 175.0 }]
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workflow {
    /// Its name.
    pub id: WorkflowId,
    /// Starts a run so often, in milliseconds of wall time; 0 starts none.
    #[serde(default)]
    pub every_ms: u32,
    /// A run that takes longer has failed, in milliseconds of wall time.
    pub run_deadline_ms: u32,
    /// The tasks, each listed after those whose outputs it takes. The node of the first drives the runs.
    #[serde(rename = "task")]
    pub tasks: Vec<Task>,
    /// The standing data sources.
    #[serde(rename = "source", default)]
    pub sources: Vec<DataSource>,
}

/// One function at one place in a workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Its name, unique in the workflow.
    pub id: TaskId,
    /// What it runs.
    pub function: FunctionId,
    /// Processor that it is promised, in thousandths of a core.
    pub milli_cpu: MilliCpu,
    /// Memory that it is promised, in MiB.
    pub memory_mib: MiB,
    /// Largest linear memory of the guest, in MiB.
    pub linear_memory_mib: MiB,
    /// Sky seconds over which its objectives must hold from any new placement.
    pub expected_run_s: f64,
    /// Wall time that one call may take, in milliseconds.
    pub deadline_ms: u32,
    /// The tasks whose outputs it takes.
    #[serde(default)]
    pub after: Vec<After>,
    /// The data sources that it reads.
    #[serde(default)]
    pub sources: Vec<SourceNeed>,
    /// The only node that may host it.
    #[serde(default)]
    pub pinned: Option<NodeId>,
    /// The kinds of node that may host it; none named = any.
    #[serde(default)]
    pub kinds: Vec<NodeKind>,
    /// What it draws beside the idle load of its host, in watts.
    #[serde(default)]
    pub watts: f64,
}

/// A task that comes before another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct After {
    /// The one whose outputs are taken.
    pub task: TaskId,
    /// Longest one-way latency from its node, in milliseconds; `None` asks for any path.
    #[serde(default)]
    pub latency_max_ms: Option<f64>,
}

/// A data source that a task reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceNeed {
    /// The name of the source.
    pub source: TaskId,
    /// Longest one-way latency from its node, in milliseconds; `None` asks for any path.
    #[serde(default)]
    pub latency_max_ms: Option<f64>,
}

/// A standing data source: objects that a node holds for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSource {
    /// Its name, a task-like owner of objects.
    pub name: TaskId,
    /// The node that holds it.
    pub node: NodeId,
}

/// A workflow that makes no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WorkflowError {
    /// No task, or too many.
    #[error("workflow {workflow} has {tasks} tasks; 1 to {TASKS_MAX} are possible")]
    Tasks {
        /// The workflow.
        workflow: WorkflowId,
        /// How many it has.
        tasks: usize,
    },
    /// Two tasks, two sources, or a task and a source of one name.
    #[error(
        "workflow {workflow}: the name {name} occurs twice; tasks and sources share one set of names"
    )]
    Twice {
        /// The workflow.
        workflow: WorkflowId,
        /// The name.
        name: TaskId,
    },
    /// A predecessor that is not listed before.
    #[error(
        "task {task}: after {after} does not name a task listed before it; list each task after its predecessors (a cycle cannot be listed)"
    )]
    After {
        /// The task at fault.
        task: TaskId,
        /// What it names.
        after: TaskId,
    },
    /// A source that is not declared.
    #[error("task {task}: source {name} is not declared; add a [[source]] of that name")]
    Source {
        /// The task at fault.
        task: TaskId,
        /// What it names.
        name: TaskId,
    },
    /// An input that is named twice.
    #[error("task {task} names the input {name} twice")]
    InputTwice {
        /// The task at fault.
        task: TaskId,
        /// The input.
        name: TaskId,
    },
    /// Too many inputs.
    #[error("task {task} has {inputs} inputs; at most {INPUTS_MAX} are possible")]
    Inputs {
        /// The task at fault.
        task: TaskId,
        /// How many it has.
        inputs: usize,
    },
    /// A number outside its range.
    #[error("{of}: {field} {value} is not {rule}")]
    OutOfRange {
        /// The task or workflow at fault.
        of: String,
        /// The field.
        field: &'static str,
        /// The refused value.
        value: f64,
        /// The rule in words.
        rule: &'static str,
    },
}

impl Workflow {
    /// The task of a name.
    pub fn task(&self, id: &TaskId) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == *id)
    }

    /// Checks all that its types do not: names, order, references, ranges.
    ///
    /// # Errors
    /// The first [`WorkflowError`], in the order of the file.
    pub fn check(&self) -> Result<(), WorkflowError> {
        if self.tasks.is_empty() || TASKS_MAX < self.tasks.len() {
            let tasks = self.tasks.len();
            return Err(WorkflowError::Tasks { workflow: self.id.clone(), tasks });
        }
        let of = || format!("workflow {}", self.id);
        positive(of, "run_deadline_ms", f64::from(self.run_deadline_ms))?;
        let mut names = BTreeSet::new();
        let all = self.sources.iter().map(|source| &source.name);
        for name in all.chain(self.tasks.iter().map(|task| &task.id)) {
            if !names.insert(name) {
                let (workflow, name) = (self.id.clone(), name.clone());
                return Err(WorkflowError::Twice { workflow, name });
            }
        }
        let mut before = BTreeSet::new();
        for task in &self.tasks {
            self.check_inputs(task, &before)?;
            check_numbers(task)?;
            before.insert(&task.id);
        }
        Ok(())
    }

    fn check_inputs(&self, task: &Task, before: &BTreeSet<&TaskId>) -> Result<(), WorkflowError> {
        if let Some(after) = task.after.iter().find(|after| !before.contains(&after.task)) {
            let (task, after) = (task.id.clone(), after.task.clone());
            return Err(WorkflowError::After { task, after });
        }
        let declared = |name: &TaskId| self.sources.iter().any(|source| source.name == *name);
        if let Some(need) = task.sources.iter().find(|need| !declared(&need.source)) {
            let (task, name) = (task.id.clone(), need.source.clone());
            return Err(WorkflowError::Source { task, name });
        }
        let inputs = task.after.len() + task.sources.len();
        if INPUTS_MAX < inputs {
            return Err(WorkflowError::Inputs { task: task.id.clone(), inputs });
        }
        let mut seen = BTreeSet::new();
        let sources = task.sources.iter().map(|need| &need.source);
        let mut names = task.after.iter().map(|after| &after.task).chain(sources);
        match names.find(|name| !seen.insert(*name)) {
            Some(name) => {
                let (task, name) = (task.id.clone(), name.clone());
                Err(WorkflowError::InputTwice { task, name })
            }
            None => Ok(()),
        }
    }
}

fn check_numbers(task: &Task) -> Result<(), WorkflowError> {
    let of = || format!("task {}", task.id);
    let refuse =
        |field, value, rule| Err(WorkflowError::OutOfRange { of: of(), field, value, rule });
    positive(of, "milli_cpu", f64::from(task.milli_cpu.0))?;
    positive(of, "memory_mib", f64::from(task.memory_mib.0))?;
    positive(of, "linear_memory_mib", f64::from(task.linear_memory_mib.0))?;
    positive(of, "deadline_ms", f64::from(task.deadline_ms))?;
    if !(0.0..=EXPECTED_RUN_S_MAX).contains(&task.expected_run_s) {
        return refuse("expected_run_s", task.expected_run_s, "between 0 and 86400");
    }
    if !(0.0..=1e6).contains(&task.watts) {
        return refuse("watts", task.watts, "between 0 and 1000000");
    }
    let limits = task.after.iter().map(|after| after.latency_max_ms);
    for limit_ms in limits.chain(task.sources.iter().map(|need| need.latency_max_ms)).flatten() {
        if LatencyUs::from_ms(limit_ms).is_none() {
            return refuse("latency_max_ms", limit_ms, "between 0 and 4294967");
        }
    }
    Ok(())
}

fn positive(
    of: impl FnOnce() -> String,
    field: &'static str,
    value: f64,
) -> Result<(), WorkflowError> {
    if 0.0 < value {
        Ok(())
    } else {
        Err(WorkflowError::OutOfRange { of: of(), field, value, rule: "greater than 0" })
    }
}

/// The need of a path that is at most `latency_max_ms` long.
///
/// A limit that is no latency (which [`Workflow::check`] refuses) is met by nothing but a latency of 0.
pub(crate) fn link_need(latency_max_ms: Option<f64>) -> LinkNeed {
    let latency_max = latency_max_ms.map(|ms| LatencyUs::from_ms(ms).unwrap_or_default());
    LinkNeed { latency_max, ..LinkNeed::default() }
}
