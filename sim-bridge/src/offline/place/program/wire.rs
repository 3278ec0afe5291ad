//! The lines of the protocol, as they are written and read. Lists of numbers have one for each node, in the order of the hello.

use placement::heat::Heat;
use placement::policy::Tenure;
use placement::{Job, JobTask, NodeView, Origin, Step};
use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use types::{Arch, Epoch, NodeKind};

use super::stage::Stage;

/// The version of the protocol.
pub const VERSION: u32 = 1;

/// The first line: what does not change in a run.
#[derive(Debug, Serialize)]
pub struct Hello<'a> {
    hello: &'static str,
    version: u32,
    policy: &'a str,
    scenario: &'a str,
    seed: u64,
    start: Option<Epoch>,
    step_s: f64,
    steps: Step,
    tenure: &'static str,
    nodes: Vec<Node<'a>>,
}

#[derive(Debug, Serialize)]
struct Node<'a> {
    name: &'a str,
    kind: NodeKind,
    arch: Arch,
    milli_cpu: u32,
    memory_mib: u32,
    idle_w: f64,
    battery: Option<Battery>,
    chip_max_c: Option<f64>,
    heat: Option<HeatTold>,
}

#[derive(Debug, Serialize)]
struct Battery {
    capacity_wh: f64,
    panels_w: f64,
    reserve: f64,
    charge_efficiency: f64,
    discharge_efficiency: f64,
    charge_w_max: f64,
}

#[derive(Debug, Serialize)]
struct HeatTold {
    start_c: f64,
    max_c: f64,
    recommended_c: f64,
    rise_c_min: f64,
    radiated_c_min: f64,
    orbit_base_c: f64,
}

/// Where a task is to go.
#[derive(Debug, Serialize)]
pub struct Question<'a> {
    /// Its number in the run, counted from 1.
    pub question: u64,
    /// Now.
    pub step: Step,
    /// The number of the workflow.
    pub workflow: usize,
    /// The number of the task in it.
    pub task: usize,
    /// The first step at which it surely needs nothing any more; `None` for good.
    pub until: Option<Step>,
    /// All tasks of the workflow.
    pub tasks: Vec<Task<'a>>,
    /// Where its inputs come from now.
    pub sources: Vec<Source<'a>>,
    /// What is free in all of the time from now until then.
    pub free: Room<'a>,
}

/// A task of a workflow.
#[derive(Debug, Serialize)]
pub struct Task<'a> {
    name: &'a str,
    milli_cpu: u32,
    memory_mib: u32,
    watts: f64,
    runs: Vec<Run>,
    start: Step,
    inputs: Vec<Input<'a>>,
    stays: Vec<Stay<'a>>,
}

#[derive(Debug, Serialize)]
struct Run {
    arch: Arch,
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct Input<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    latency_max_ms: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Stay<'a> {
    node: &'a str,
    from: Step,
}

/// Where an input comes from now.
#[derive(Debug, Serialize)]
pub struct Source<'a> {
    /// The node.
    pub node: &'a str,
    /// The most that the latency may be, ms; `None` for any.
    pub latency_max_ms: Option<f64>,
    /// What it is, ms; `None` where no path leads.
    pub latency_ms: Vec<Option<f64>>,
}

/// What is free over some time.
#[derive(Debug, Serialize)]
pub struct Room<'a> {
    /// Thousandths of a core.
    pub milli_cpu: Vec<u32>,
    /// MiB.
    pub memory_mib: Vec<u32>,
    /// Nodes that are down now.
    pub down: Vec<&'a str>,
    /// Nodes that something else takes soon: whoever plans ahead begins nothing there.
    pub closed: Vec<&'a str>,
}

/// An answer to what a program asks: an object with one key.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of docs/guide-policies.md")]
pub enum Told<'a> {
    LatencyMs(Vec<Option<f64>>),
    Light(Vec<f64>),
    Places { lat_deg: Vec<Option<f64>>, lon_deg: Vec<Option<f64>>, alt_km: Vec<Option<f64>> },
    Boards { charge: Vec<Option<f64>>, chip_c: Vec<Option<f64>> },
    Watts(Vec<f64>),
    Free(Room<'a>),
    Fits { why_not: Vec<Option<String>> },
    Bears { why_not: Option<String> },
}

/// What a program says to a question.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// Where the task goes, one node after the other.
    Place(Vec<Placed>),
    /// That it goes nowhere, and why.
    None(String),
    /// Something that it wants to know first.
    Ask(Ask),
}

/// That a task goes to a node.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placed {
    /// The name of the node.
    pub node: String,
    /// From when on; now if not said.
    pub from: Option<Step>,
}

/// What a program may want to know. A moment that is not named is now, an end that of the question.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are those of docs/guide-policies.md")]
pub enum Ask {
    Latency { node: String, step: Option<Step> },
    Light { step: Option<Step> },
    Places { step: Option<Step> },
    Boards {},
    Watts { step: Option<Step> },
    Free { from: Option<Step>, until: Option<Step> },
    Fits { from: Option<Step>, until: Option<Step> },
    Bears { node: String, from: Option<Step>, until: Option<Step> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    place: Vec<Placed>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nowhere {
    none: String,
}

#[derive(Deserialize)]
struct Ready {
    ready: u32,
}

impl Answer {
    /// Of a value that was read.
    ///
    /// # Errors
    /// What is wrong with its form.
    pub fn of(value: Value) -> Result<Self, serde_json::Error> {
        let has = |key: &str| value.get(key).is_some();
        match (has("place"), has("none"), has("ask")) {
            (true, false, false) => Ok(Self::Place(Place::deserialize(value)?.place)),
            (false, true, false) => Ok(Self::None(Nowhere::deserialize(value)?.none)),
            (false, false, true) => Ok(Self::Ask(Ask::deserialize(value)?)),
            _ => Err(serde_json::Error::custom("it has not one of place, none and ask")),
        }
    }
}

/// The version that a program speaks that is ready.
///
/// # Errors
/// What is wrong with the form of what it says.
pub fn ready(value: Value) -> Result<u32, serde_json::Error> {
    Ok(Ready::deserialize(value)?.ready)
}

impl<'a> Hello<'a> {
    /// To a program of a name.
    pub fn new(policy: &'a str, stage: &Stage<'a>) -> Self {
        let node = |(at, view): (usize, &'a NodeView)| node(view, at, stage);
        Self {
            hello: "starbelt-policy",
            version: VERSION,
            policy,
            scenario: stage.scenario,
            seed: stage.seed,
            start: stage.start,
            step_s: stage.forecast.step_s(),
            steps: stage.forecast.steps(),
            tenure: match stage.tenure {
                Tenure::Run => "run",
                Tenure::ForGood => "for-good",
            },
            nodes: stage.nodes.iter().enumerate().map(node).collect(),
        }
    }
}

fn node<'a>(view: &'a NodeView, at: usize, stage: &Stage<'_>) -> Node<'a> {
    let board = stage.boards.get(at);
    let battery = board.and_then(|board| board.power).map(|power| Battery {
        capacity_wh: power.cells.capacity_wh,
        panels_w: power.panels_w,
        reserve: power.reserve,
        charge_efficiency: power.cells.charge_efficiency,
        discharge_efficiency: power.cells.discharge_efficiency,
        charge_w_max: power.cells.charge_w_max,
    });
    let thermal = board.and_then(|board| board.thermal);
    Node {
        name: view.id.as_str(),
        kind: view.kind,
        arch: view.arch,
        milli_cpu: view.capacity.milli_cpu.0,
        memory_mib: view.capacity.memory_mib.0,
        idle_w: view.idle_w,
        battery,
        chip_max_c: thermal.map(|thermal| thermal.chip_max_c - thermal.margin_k),
        heat: stage.heat.get(at).and_then(Option::as_ref).map(HeatTold::of),
    }
}

impl HeatTold {
    const fn of(heat: &Heat) -> Self {
        let Heat { start_c, max_c, recommended_c, rise_c_min, radiated_c_min, orbit_base_c } =
            *heat;
        Self { start_c, max_c, recommended_c, rise_c_min, radiated_c_min, orbit_base_c }
    }
}

/// All tasks of a job.
pub fn tasks<'a>(job: &'a Job, nodes: &'a [NodeView]) -> Vec<Task<'a>> {
    job.tasks.iter().map(|of| task(of, nodes)).collect()
}

fn task<'a>(of: &'a JobTask, nodes: &'a [NodeView]) -> Task<'a> {
    let input = |input: &placement::Input| {
        let (task, node) = match input.origin {
            Origin::Task(task) => (Some(task), None),
            Origin::Node(node) => (None, Some(nodes[node.index()].id.as_str())),
        };
        Input { task, node, latency_max_ms: input.latency_max_ms }
    };
    let stay = |stay: &placement::Stay| Stay {
        node: nodes[stay.node.index()].id.as_str(),
        from: stay.from,
    };
    Task {
        name: &of.name,
        milli_cpu: of.needs.milli_cpu.0,
        memory_mib: of.needs.memory_mib.0,
        watts: of.watts,
        runs: of.runs.iter().map(|run| Run { arch: run.arch, seconds: run.seconds }).collect(),
        start: of.start,
        inputs: of.inputs.iter().map(input).collect(),
        stays: of.stays.iter().map(stay).collect(),
    }
}
