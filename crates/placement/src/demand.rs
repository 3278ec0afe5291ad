//! What data ask of the nodes that see them: how far a node is trusted, and in which regions it may stand. It goes
//! with the data along the workflow.
//!
//! A task sees the outputs of all tasks and sources that it takes as inputs: the highest of their classes is the class
//! of its own, and only regions that all of them allow remain. What it makes of them is as confidential as that, unless
//! it says that it releases less.

use std::collections::{BTreeMap, BTreeSet};

use types::{DataClass, Epoch, Region, TaskId};

use crate::constraint::{Constraint, NodeRefusal};
use crate::view::NodeView;
use crate::workflow::{Task, Workflow, WorkflowError};

/// What a node must be to see some data; in force for hosts, for those that follow them and for second copies alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The class of the data.
    pub class: DataClass,
    /// The regions that they may be in; `None` is everywhere.
    pub regions: Option<BTreeSet<Region>>,
}

impl Demand {
    /// A class with the regions of a list, in which none stands for all.
    fn new(class: DataClass, regions: &[Region]) -> Self {
        let regions = (!regions.is_empty()).then(|| regions.iter().cloned().collect());
        Self { class, regions }
    }

    /// What speaks against a node that is to see such data.
    pub fn refusal(&self, node: &NodeView, at: Epoch) -> Option<NodeRefusal> {
        let constraint = self.objection(node.trust, node.region.as_ref())?;
        Some(NodeRefusal::plain(&node.id, constraint, at))
    }

    /// What speaks against a node of such trust and place: the one rule for trust and geography.
    pub fn objection(&self, trust: DataClass, region: Option<&Region>) -> Option<Constraint> {
        if trust < self.class {
            return Some(Constraint::Trust { class: self.class, trust });
        }
        let allowed = self.regions.as_ref()?;
        // Where it is not known where a node stands, it stands outside.
        if region.is_some_and(|region| allowed.contains(region)) {
            return None;
        }
        let allowed = allowed.iter().cloned().collect();
        Some(Constraint::Region { allowed, region: region.cloned() })
    }

    /// The same, of data that come from both; what both allow may be nothing.
    fn with(&self, other: &Self) -> Self {
        let regions = match (&self.regions, &other.regions) {
            (Some(mine), Some(theirs)) => Some(mine.intersection(theirs).cloned().collect()),
            (one, other) => one.clone().or_else(|| other.clone()),
        };
        Self { class: self.class.max(other.class), regions }
    }

    fn is_impossible(&self) -> bool {
        self.regions.as_ref().is_some_and(BTreeSet::is_empty)
    }

    fn words(&self) -> String {
        let words: Vec<&str> = self.regions.iter().flatten().map(Region::as_str).collect();
        words.join(", ")
    }
}

/// What each task asks of its hosts, in the order of the workflow.
///
/// Of a workflow that was never checked: data with no region left may be nowhere, and what is released against the
/// rules is not released.
pub(crate) fn demands(workflow: &Workflow) -> Vec<Demand> {
    flow(workflow, |_| {})
}

/// The first thing that makes no sense about classes and regions.
pub(crate) fn check(workflow: &Workflow) -> Result<(), WorkflowError> {
    let mut first = None;
    flow(workflow, |error| {
        first.get_or_insert(error);
    });
    first.map_or(Ok(()), Err)
}

/// Goes through the tasks with what their inputs ask for.
fn flow(workflow: &Workflow, mut complain: impl FnMut(WorkflowError)) -> Vec<Demand> {
    let source = |source: &crate::workflow::DataSource| {
        (source.name.clone(), Demand::new(source.class, &source.regions))
    };
    let mut outputs: BTreeMap<TaskId, Demand> = workflow.sources.iter().map(source).collect();
    let mut all = vec![];
    for task in &workflow.tasks {
        let demand = demand_of(task, &outputs, &mut complain);
        let output = released(task, &demand).unwrap_or_else(|error| {
            complain(error);
            demand.clone()
        });
        outputs.insert(task.id.clone(), output);
        all.push(demand);
    }
    all
}

fn demand_of(
    task: &Task,
    outputs: &BTreeMap<TaskId, Demand>,
    complain: &mut impl FnMut(WorkflowError),
) -> Demand {
    let after = task.after.iter().map(|after| &after.task);
    let inputs = after.chain(task.sources.iter().map(|need| &need.source));
    let inputs = inputs.filter_map(|name| Some((name, outputs.get(name)?.clone())));
    // What takes nothing makes data of which nothing is known, unless it says so.
    let is_first = task.after.is_empty() && task.sources.is_empty();
    let least = if is_first { DataClass::default() } else { DataClass::Public };
    let own = Demand::new(task.class.unwrap_or(least), &task.regions);
    let mut demand = Demand { class: DataClass::Public, regions: None };
    for (name, more) in inputs.chain([(&task.id, own)]) {
        let both = demand.with(&more);
        if both.is_impossible() && !demand.is_impossible() {
            let (task, by) = (task.id.clone(), name.clone());
            let (regions, by_regions) = (demand.words(), more.words());
            complain(WorkflowError::NoRegion { task, regions, by, by_regions });
        }
        demand = both;
    }
    demand
}

/// What the output of a task asks for.
fn released(task: &Task, demand: &Demand) -> Result<Demand, WorkflowError> {
    let Some(releases) = &task.releases else { return Ok(demand.clone()) };
    let class = releases.class.unwrap_or(demand.class);
    if demand.class < class {
        let task = task.id.clone();
        return Err(WorkflowError::ReleaseClass { task, class, of: demand.class });
    }
    let Some(regions) = &releases.regions else {
        return Ok(Demand { class, regions: demand.regions.clone() });
    };
    let output = Demand::new(class, regions);
    let is_narrower = match (&output.regions, &demand.regions) {
        (None, _) => false,
        (Some(output), Some(held)) => !held.is_subset(output),
        (Some(_), None) => true,
    };
    if is_narrower {
        let (task, regions, of) = (task.id.clone(), output.words(), demand.words());
        return Err(WorkflowError::ReleaseRegions { task, regions, of });
    }
    Ok(output)
}
