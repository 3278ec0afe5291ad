//! What may forbid a node to host a task, and the number that says so.

use serde::Serialize;
use topology::{Arrival, LinkNeed, PairState, PathState};
use types::{DataClass, Epoch, LatencyUs, NodeId, Region, TaskId};

use crate::workflow::{Task, Workflow};

/// What speaks against a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Constraint {
    /// Its lease has run out.
    Alive,
    /// The task is pinned to another node.
    Pinned,
    /// It is not of a kind that may host the task.
    Kind,
    /// It has said that it will not or cannot run the task.
    Declined {
        /// What it said.
        reason: String,
    },
    /// It is not trusted with the data of the task.
    Trust {
        /// Their class.
        class: DataClass,
        /// The highest that it may see.
        trust: DataClass,
    },
    /// The data of the task may not be where it stands.
    Region {
        /// Where they may be.
        allowed: Vec<Region>,
        /// Where it stands, if that is known.
        region: Option<Region>,
    },
    /// Too little processor is free.
    Cpu,
    /// Too little memory is free.
    Memory,
    /// A data source is held by a node that is down or not known.
    Source {
        /// The source.
        source: TaskId,
    },
    /// The path to an input is too long.
    Latency {
        /// The task or source.
        to: TaskId,
    },
    /// The path to an input is too narrow.
    Bandwidth {
        /// The task or source.
        to: TaskId,
    },
    /// The path to an input loses too much.
    Loss {
        /// The task or source.
        to: TaskId,
    },
    /// The latency of the path to an input changes by too much from one step of the contact plan to the next.
    Jitter {
        /// The task or source.
        to: TaskId,
    },
    /// What a call takes from an input takes too long to arrive.
    Arrival {
        /// The task or source.
        to: TaskId,
        /// How much it is, KiB.
        kib: u32,
    },
    /// There is no path to an input.
    Outage {
        /// The task or source.
        to: TaskId,
    },
    /// The contact plan does not say how an input is reached.
    Unplanned {
        /// The task or source.
        to: TaskId,
    },
    /// The task shares the node of another one, which is not there.
    With {
        /// The other task.
        task: TaskId,
        /// Where that is, if it is known.
        node: Option<NodeId>,
    },
    /// The task keeps apart from another one, which is there.
    Apart {
        /// The other task.
        task: TaskId,
    },
    /// Its battery would fall below the reserve.
    Battery,
    /// Its board would become too hot.
    Temperature,
    /// It would do, but not for as long as the chosen one.
    Shorter,
    /// It would do for as long, but is farther away.
    Farther,
    /// It would do just as well, but comes later in order.
    Order,
    /// It would do, but the task stays where it is, or where it is moving to already.
    Stays,
    /// It would do, but the second copy of the state lies on the chosen one.
    Copy,
    /// It would do, but a task before this one is to come there, and both do not fit.
    Awaits {
        /// The task that is to come.
        task: TaskId,
    },
    /// It would do, but would leave no node for a later task.
    Followers {
        /// The task without a node.
        task: TaskId,
    },
}

/// Why a node does not host a task: constraint, time, value and limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeRefusal {
    /// The node.
    pub node: NodeId,
    /// What speaks against it.
    pub constraint: Constraint,
    /// When it does (sky).
    pub at: Epoch,
    /// The value then; 0 for a plain no.
    pub value: f64,
    /// What it must not exceed or fall below; 1 for a plain no.
    pub limit: f64,
    /// The unit of both; empty for a plain no.
    pub unit: &'static str,
}

impl NodeRefusal {
    /// A no without a number.
    pub(crate) fn plain(node: &NodeId, constraint: Constraint, at: Epoch) -> Self {
        Self { node: node.clone(), constraint, at, value: 0.0, limit: 1.0, unit: "" }
    }
}

/// What ties the host of a task to where another task or a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tie {
    /// A path from there that offers this.
    Path(LinkNeed),
    /// The same node.
    With,
    /// Any other node.
    Apart,
}

/// Whether a task on a node has the links that its objectives ask for, shares the node of those that it goes with, and
/// no node with those that it keeps apart from, at a moment; `None` if all is so.
///
/// `host_of` tells where each predecessor is then, and `state` how two nodes are connected then, as
/// planned ([`topology::ContactPlan::state`]) or as measured. The planner filters with the same rule. How much a latency
/// changes is not to be seen at one moment: what breaks `jitter_max_ms` is no violation here.
pub fn violation(
    workflow: &Workflow,
    task: &Task,
    node: &NodeId,
    at: Epoch,
    host_of: impl Fn(&TaskId) -> Option<NodeId>,
    state: impl Fn(&NodeId, &NodeId) -> PairState,
) -> Option<NodeRefusal> {
    ties(task).find_map(|(to, tie)| {
        let source = workflow.sources.iter().find(|source| source.name == *to);
        let peer = source.map(|source| source.node.clone()).or_else(|| host_of(to));
        let state = peer.as_ref().map_or(PairState::Outside, |peer| state(node, peer));
        tie.refusal((node, at), to, peer.as_ref(), state)
    })
}

/// All that ties a task to others and to sources: those that it goes with or keeps apart from first, since a path from
/// there tells less; then its inputs.
pub(crate) fn ties(task: &Task) -> impl Iterator<Item = (&TaskId, Tie)> {
    let with = task.with.iter().map(|to| (to, Tie::With));
    let apart = task.apart.iter().map(|to| (to, Tie::Apart));
    with.chain(apart).chain(inputs(task).map(|(to, need)| (to, Tie::Path(need))))
}

impl Tie {
    /// What speaks against a node at a moment, given where the other end is and how the two are connected then: the one
    /// rule that filter, window and violation ask.
    pub(crate) fn refusal(
        &self,
        (node, at): (&NodeId, Epoch),
        to: &TaskId,
        peer: Option<&NodeId>,
        state: PairState,
    ) -> Option<NodeRefusal> {
        let is_here = peer == Some(node);
        let constraint = match self {
            Self::Path(need) => return link_refusal(node, to, need, state, at),
            Self::With if !is_here => Constraint::With { task: to.clone(), node: peer.cloned() },
            Self::Apart if is_here => Constraint::Apart { task: to.clone() },
            Self::With | Self::Apart => return None,
        };
        Some(NodeRefusal::plain(node, constraint, at))
    }

    /// What a path must offer, if one is asked for.
    pub(crate) const fn path(&self) -> Option<&LinkNeed> {
        match self {
            Self::Path(need) => Some(need),
            Self::With | Self::Apart => None,
        }
    }
}

/// The inputs of a task, predecessors first, with what their paths must offer.
pub(crate) fn inputs(task: &Task) -> impl Iterator<Item = (&TaskId, LinkNeed)> {
    task.needs().map(|need| (need.to, need.link()))
}

/// The one rule for links.
fn link_refusal(
    node: &NodeId,
    to: &TaskId,
    need: &LinkNeed,
    state: PairState,
    at: Epoch,
) -> Option<NodeRefusal> {
    let to = || to.clone();
    match state {
        PairState::Same => None,
        PairState::Path(path) if need.is_met_by(&path) => None,
        PairState::Path(path) => Some(too_poor(node, to(), need, &path, at)),
        PairState::Down => Some(NodeRefusal::plain(node, Constraint::Outage { to: to() }, at)),
        PairState::Outside => {
            Some(NodeRefusal::plain(node, Constraint::Unplanned { to: to() }, at))
        }
    }
}

/// What a path that does not meet a need is short of.
fn too_poor(
    node: &NodeId,
    to: TaskId,
    need: &LinkNeed,
    path: &PathState,
    at: Epoch,
) -> NodeRefusal {
    let percent = |ppm: u32| f64::from(ppm) / 1e4;
    let far = need.latency_max.filter(|max| *max < path.latency);
    let narrow = need.rate_kbps_min.filter(|min| path.rate_kbps < *min);
    let meets =
        |arrival: &Arrival| path.arrival(arrival.kib).is_some_and(|us| us <= arrival.within);
    let late = need.arrival.filter(|arrival| !meets(arrival));
    let (constraint, value, limit, unit) = match (far, narrow, late) {
        (Some(max), _, _) => (Constraint::Latency { to }, path.latency.as_ms(), max.as_ms(), "ms"),
        (None, Some(min), _) => {
            let (value, limit) = (f64::from(path.rate_kbps), f64::from(min));
            (Constraint::Bandwidth { to }, value, limit, "kbit/s")
        }
        (None, None, Some(Arrival { kib, within })) => {
            // What never arrives takes the longest time that can be said.
            let value = path.arrival(kib).unwrap_or(LatencyUs(u32::MAX));
            (Constraint::Arrival { to, kib }, value.as_ms(), within.as_ms(), "ms")
        }
        (None, None, None) => {
            let limit = percent(need.loss_ppm_max.unwrap_or_default());
            (Constraint::Loss { to }, percent(path.loss_ppm), limit, "%")
        }
    };
    NodeRefusal { node: node.clone(), constraint, at, value, limit, unit }
}
