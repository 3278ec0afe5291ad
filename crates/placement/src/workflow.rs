//! What is to run: a workflow, its tasks, and what they need.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use types::{
    DataClass, FunctionId, LatencyUs, MiB, MilliCpu, NodeId, NodeKind, Region, TaskId, WorkflowId,
};

use crate::demand::{self, Demand};
use crate::need::Need;

/// Most tasks of a workflow, as on the wire.
pub const TASKS_MAX: usize = 32;
/// Most inputs of a task, predecessors and data sources together, as on the wire.
pub const INPUTS_MAX: usize = 16;
/// Most regions that are listed, as in the manifest of a function.
pub const REGIONS_MAX: usize = 64;
/// Longest run that a task may expect, in sky seconds: a day. More is a service, not a run.
pub const EXPECTED_RUN_S_MAX: f64 = 86_400.0;

/// A directed acyclic graph of tasks that is deployed as a whole and then runs again and again.
///
/// As TOML:
///
/// ```toml
/// id = "flood"
/// priority = "critical"
/// every_ms = 5000
/// run_deadline_ms = 30000
///
/// [[source]]
/// name = "eo-reference"
/// node = "sat-2"
/// class = "confidential"
/// regions = ["eu", "at"]
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
/// after = [{ task = "ingest", latency_max_ms = 150.0, jitter_max_ms = 10.0, kib = 512, arrives_within_ms = 900.0 }]
/// sources = [{ source = "eo-reference", latency_max_ms = 175.0, bandwidth_min_kbps = 2000 }]
/// releases = { class = "internal" }
///
/// [[task]]
/// id = "alert"
/// function = "alert"
/// milli_cpu = 500
/// memory_mib = 256
/// linear_memory_mib = 32
/// expected_run_s = 60.0
/// deadline_ms = 2000
/// after = [{ task = "object-det" }]
/// with = ["object-det"]
/// apart = ["ingest"]
/// ```
///
/// `object-det` sees confidential data that may be in `eu` and `at` only: so may its hosts, those that follow them
/// and the keepers of its second copies be, whether an input far up says so or the task itself ([`Workflow::demand`]).
/// What it passes on is internal, and still bound to these regions. `alert` goes wherever `object-det` goes, and never
/// to where `ingest` is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workflow {
    /// Its name.
    pub id: WorkflowId,
    /// Who gives way to whom where there is no room for all.
    #[serde(default)]
    pub priority: Priority,
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

/// The class of a workflow: where there is no room for all, those of lower classes are set aside until there is. Within a
/// class nobody gives way.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// Takes what is left.
    Background,
    /// What is not said to be anything else.
    #[default]
    Normal,
    /// Must not wait: lives hang on it, or the satellite itself does.
    Critical,
}

impl Priority {
    /// As it is written in files and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Background => "background",
            Self::Normal => "normal",
            Self::Critical => "critical",
        }
    }
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
    /// The tasks listed before it whose node it shares at all times: placed there, and handed over when they are.
    #[serde(default)]
    pub with: Vec<TaskId>,
    /// The tasks listed before it that it never shares a node with: it is gone before they come.
    #[serde(default)]
    pub apart: Vec<TaskId>,
    /// The only node that may host it.
    #[serde(default)]
    pub pinned: Option<NodeId>,
    /// The kinds of node that may host it; none named = any.
    #[serde(default)]
    pub kinds: Vec<NodeKind>,
    /// What it draws beside the idle load of its host, in watts.
    #[serde(default)]
    pub watts: f64,
    /// The class of what it works on, if that is above those of its inputs; a task without inputs and without a class
    /// works on internal data.
    #[serde(default)]
    pub class: Option<DataClass>,
    /// The regions that it may run in, of those that its inputs allow; none named = all of them.
    #[serde(default)]
    pub regions: Vec<Region>,
    /// What its output asks for, if that is less than what its inputs ask for.
    #[serde(default)]
    pub releases: Option<Release>,
}

/// That the output of a task is less confidential than its inputs, or may be in more regions. Only a release makes it
/// so: whoever writes it vouches for what the function does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The class of the output, at most that of the task; `None` leaves it.
    #[serde(default)]
    pub class: Option<DataClass>,
    /// The regions that the output may be in, with all that the task may run in; `None` leaves them, an empty list is
    /// everywhere.
    #[serde(default)]
    pub regions: Option<Vec<Region>>,
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
    /// Smallest rate of the path to its node, in kbit/s; `None` asks for none.
    #[serde(default)]
    pub bandwidth_min_kbps: Option<u32>,
    /// Largest loss on that path, as a share from 0 to 1; `None` bears any.
    #[serde(default)]
    pub loss_max: Option<f64>,
    /// What a call takes from there, in KiB.
    #[serde(default)]
    pub kib: Option<u32>,
    /// Longest time until all of `kib` is there, in milliseconds: the one-way latency, and its bits at the rate of the
    /// path; `None` asks for none.
    #[serde(default)]
    pub arrives_within_ms: Option<f64>,
    /// Largest change of the latency of a path from one step of the contact plan to the next, in milliseconds; another
    /// path after a hand-over is no change. `None` bears any.
    #[serde(default)]
    pub jitter_max_ms: Option<f64>,
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
    /// Smallest rate of the path to its node, in kbit/s; `None` asks for none.
    #[serde(default)]
    pub bandwidth_min_kbps: Option<u32>,
    /// Largest loss on that path, as a share from 0 to 1; `None` bears any.
    #[serde(default)]
    pub loss_max: Option<f64>,
    /// What a call takes from there, in KiB.
    #[serde(default)]
    pub kib: Option<u32>,
    /// Longest time until all of `kib` is there, in milliseconds: the one-way latency, and its bits at the rate of the
    /// path; `None` asks for none.
    #[serde(default)]
    pub arrives_within_ms: Option<f64>,
    /// Largest change of the latency of a path from one step of the contact plan to the next, in milliseconds; another
    /// path after a hand-over is no change. `None` bears any.
    #[serde(default)]
    pub jitter_max_ms: Option<f64>,
}

/// A standing data source: objects that a node holds for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSource {
    /// Its name, a task-like owner of objects.
    pub name: TaskId,
    /// The node that holds it.
    pub node: NodeId,
    /// Who may see its data.
    #[serde(default)]
    pub class: DataClass,
    /// The regions that its data may be in; none named = everywhere.
    #[serde(default)]
    pub regions: Vec<Region>,
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
    /// A time until all has arrived, but not how much.
    #[error(
        "task {task}: arrives_within_ms for {input} says nothing without an amount; add kib, what a call takes from it"
    )]
    NoAmount {
        /// The task at fault.
        task: TaskId,
        /// The input.
        input: TaskId,
    },
    /// A companion that is not listed before.
    #[error(
        "task {task}: {list} {name} does not name a task listed before it; list each task after those that it goes with or keeps apart from"
    )]
    Companion {
        /// The task at fault.
        task: TaskId,
        /// The list: `with` or `apart`.
        list: &'static str,
        /// What it names.
        name: TaskId,
    },
    /// A companion that is named twice, in one list or in both.
    #[error(
        "task {task} names {name} twice in with and apart; name each task once, in one of the two"
    )]
    CompanionTwice {
        /// The task at fault.
        task: TaskId,
        /// The companion.
        name: TaskId,
    },
    /// Too many companions.
    #[error("task {task} names {names} tasks in {list}; at most {INPUTS_MAX} are possible")]
    Companions {
        /// The task at fault.
        task: TaskId,
        /// The list: `with` or `apart`.
        list: &'static str,
        /// How many it names.
        names: usize,
    },
    /// Data that may be in no region at all.
    #[error(
        "task {task}: no region is left: its data may be in {regions} so far, and in {by_regions} because of {by}; no region is in both"
    )]
    NoRegion {
        /// The task at fault.
        task: TaskId,
        /// The regions that were left before.
        regions: String,
        /// The input that leaves none, or the task itself.
        by: TaskId,
        /// The regions that it allows.
        by_regions: String,
    },
    /// A release that would make data more confidential.
    #[error(
        "task {task} works on {} data and releases {} ones: a release only lowers the class", of.as_str(), class.as_str()
    )]
    ReleaseClass {
        /// The task at fault.
        task: TaskId,
        /// The class of its output.
        class: DataClass,
        /// Its own class.
        of: DataClass,
    },
    /// A release that would hold the output in fewer regions than the task runs in.
    #[error(
        "task {task} releases into {regions}, but may run in {}: a release names these regions, too", if of.is_empty() { "all regions" } else { of }
    )]
    ReleaseRegions {
        /// The task at fault.
        task: TaskId,
        /// The regions of its output.
        regions: String,
        /// Those that it may run in; empty for all.
        of: String,
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

    /// [`Workflow::demand`] for each task, in order.
    pub fn demands(&self) -> impl Iterator<Item = (&TaskId, Demand)> {
        self.tasks.iter().map(|task| &task.id).zip(demand::demands(self))
    }

    /// What a task asks of its hosts for the sake of the data that it sees: its own class and regions, and those of all
    /// that it takes, directly or over other tasks.
    pub fn demand(&self, id: &TaskId) -> Option<Demand> {
        self.demands().find(|(task, _)| *task == id).map(|(_, demand)| demand)
    }

    /// Checks all that its types do not: names, order, references, ranges, where data may be.
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
            check_companions(task, &before)?;
            check_numbers(task)?;
            before.insert(&task.id);
        }
        for source in &self.sources {
            few_regions(|| format!("source {}", source.name), &source.regions)?;
        }
        demand::check(self)
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

fn check_companions(task: &Task, before: &BTreeSet<&TaskId>) -> Result<(), WorkflowError> {
    let mut seen = BTreeSet::new();
    for (list, names) in [("with", &task.with), ("apart", &task.apart)] {
        if INPUTS_MAX < names.len() {
            let (task, names) = (task.id.clone(), names.len());
            return Err(WorkflowError::Companions { task, list, names });
        }
        for name in names {
            let (task, is_new) = (task.id.clone(), seen.insert(name));
            if !before.contains(name) {
                return Err(WorkflowError::Companion { task, list, name: name.clone() });
            }
            if !is_new {
                return Err(WorkflowError::CompanionTwice { task, name: name.clone() });
            }
        }
    }
    Ok(())
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
    for need in task.needs() {
        if let Some(limit_ms) = need.latency_max_ms.filter(|ms| LatencyUs::from_ms(*ms).is_none()) {
            return refuse("latency_max_ms", limit_ms, "between 0 and 4294967");
        }
        if let Some(ms) = need.jitter_max_ms.filter(|ms| LatencyUs::from_ms(*ms).is_none()) {
            return refuse("jitter_max_ms", ms, "between 0 and 4294967");
        }
        if let Some(loss) = need.loss_max.filter(|loss| !(0.0..=1.0).contains(loss)) {
            return refuse("loss_max", loss, "between 0 and 1");
        }
        check_amount(task, &need)?;
    }
    few_regions(of, &task.regions)?;
    let released = task.releases.as_ref().and_then(|releases| releases.regions.as_ref());
    released.map_or(Ok(()), |regions| few_regions(of, regions))
}

fn check_amount(task: &Task, need: &Need<'_>) -> Result<(), WorkflowError> {
    let of = || format!("task {}", task.id);
    need.kib.map_or(Ok(()), |kib| positive(of, "kib", f64::from(kib)))?;
    let Some(value) = need.arrives_within_ms else { return Ok(()) };
    if LatencyUs::from_ms(value).is_none() {
        let (field, rule) = ("arrives_within_ms", "between 0 and 4294967");
        return Err(WorkflowError::OutOfRange { of: of(), field, value, rule });
    }
    if need.kib.is_none() {
        let (task, input) = (task.id.clone(), need.to.clone());
        return Err(WorkflowError::NoAmount { task, input });
    }
    Ok(())
}

fn few_regions(of: impl FnOnce() -> String, regions: &[Region]) -> Result<(), WorkflowError> {
    let value = regions.len();
    if value <= REGIONS_MAX {
        return Ok(());
    }
    #[expect(clippy::cast_precision_loss, reason = "a length of a list in a file")]
    let value = value as f64;
    let rule = "at most 64, the number of regions";
    Err(WorkflowError::OutOfRange { of: of(), field: "regions", value, rule })
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
