//! What `starbelt-sim run --json` writes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use types::Epoch;

/// A whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The scenario's name, or what the flags said.
    pub scenario: String,
    /// The model of motion.
    pub model: String,
    /// How many satellites there are.
    pub satellites: usize,
    /// How many stations there are.
    pub stations: usize,
    /// The steps, in order; the first is the state at the start itself.
    pub steps: Vec<StepSummary>,
    /// What plugins found, by plugin and name with its unit; left out where there are no plugins.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, BTreeMap<String, Option<f64>>>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepSummary {
    /// The instant.
    pub time: Epoch,
    /// A hash of all positions, bit by bit: equal for equal input on any number of threads.
    pub positions_hash: String,
    /// Satellites without a position at this step.
    pub down: usize,
    /// Links between satellites.
    pub links: usize,
    /// Links between stations and satellites.
    pub ground_links: usize,
    /// Length of the spanning forest, which holds no link that is down; `null` for protocols that build none.
    pub tree_weight_km: Option<f64>,
    /// Edges of the spanning forest; `null` for protocols that build none.
    pub tree_edges: Option<usize>,
    /// Parts of the network of satellites that hang together; those that are down do not count.
    pub components: usize,
    /// The routes asked for.
    pub routes: Vec<RouteSummary>,
    /// Wall time of each part, milliseconds.
    pub ms: StepMs,
    /// Tasks; left out where no workflow was ever deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<WorkloadSummary>,
}

/// What happened to workflows at one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkloadSummary {
    /// Instances that were placed completely.
    pub deployed: usize,
    /// Instances for which there was no place.
    pub refused: usize,
    /// Tasks that were moved because their latency had become too long, or their host was gone.
    pub moved: usize,
    /// Instances with a task that is too far, or nowhere, and for which there is no better place.
    pub broken: usize,
    /// Instances whose time was over.
    pub ended: usize,
    /// Instances that run now.
    pub instances: usize,
    /// Tasks that run now.
    pub tasks: usize,
    /// Wall time of all this, milliseconds.
    pub ms: f64,
}

/// A route at one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteSummary {
    /// Where it starts.
    pub from: String,
    /// Where it ends.
    pub to: String,
    /// One-way latency; `null` where there is no route that meets the need.
    pub latency_ms: Option<f64>,
    /// Links passed; `null` where there is no route.
    pub hops: Option<usize>,
    /// The names of the nodes passed, both ends included; empty where there is no route.
    pub path: Vec<String>,
}

/// Wall time of the parts of a step, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepMs {
    /// Positions of satellites and stations.
    pub positions: f64,
    /// Links between satellites.
    pub links: f64,
    /// Links between stations and satellites.
    pub ground_links: f64,
    /// Graph and routes.
    pub routing: f64,
}
