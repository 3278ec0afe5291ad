//! Topics and payloads of our own: `starbelt/<fleet>/<node>/…`.
//!
//! | topic | | |
//! |---|---|---|
//! | `status` | kept by the broker, at least once | `{"online":true}`, `{"online":false,"reason":"lwt"}` |
//! | `tlm/<group>` | at most once | values at a time |
//! | `hist/<group>` | at least once | values that had to wait for a connection |
//! | `evt` | at least once | what happened |
//! | `cmd/<id>`, `cmd/<id>/status` | kept, at least once | see [`crate::command`] |

use std::collections::BTreeMap;

use protocol::event::{Event, EventKind, TimedOutcome};
use serde::Serialize;
use types::{Epoch, FleetId, NodeId};

use crate::message::{Publish, Qos};
use crate::metric::{METRICS, Part};
use crate::nodes::{Node, Stamp};
use crate::value::{self, Json, Value};

/// A topic of a node.
pub(crate) fn topic(fleet: &FleetId, node: &NodeId, rest: &str) -> String {
    format!("starbelt/{fleet}/{node}/{rest}")
}

#[derive(Serialize)]
struct Status<'a> {
    online: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// Whether a node is online, and why not.
pub(crate) fn status(fleet: &FleetId, node: &NodeId, offline_because: Option<&str>) -> Publish {
    let status = Status { online: offline_because.is_none(), reason: offline_because };
    Publish {
        topic: topic(fleet, node, "status"),
        payload: json(&status),
        qos: Qos::AtLeastOnce,
        retain: true,
    }
}

/// A group of values.
#[derive(Serialize)]
struct Telemetry<'a> {
    at: Epoch,
    #[serde(skip_serializing_if = "Option::is_none")]
    boot: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_s: Option<u64>,
    values: BTreeMap<&'a str, Json>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    sigma: BTreeMap<&'a str, f32>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    source: BTreeMap<&'a str, &'static str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    unknown: BTreeMap<&'a str, &'static str>,
}

/// All values of a group, and the topic for them if they have to wait.
pub(crate) fn telemetry(
    fleet: &FleetId,
    name: &NodeId,
    node: &Node,
    part: Part,
    stamp: Stamp,
) -> (Publish, String) {
    let mut told = Telemetry {
        at: stamp.at,
        boot: stamp.boot.map(|boot| boot.0),
        seq: stamp.seq,
        uptime_s: stamp.uptime.map(|uptime| uptime.0 / 1000),
        values: BTreeMap::new(),
        sigma: BTreeMap::new(),
        source: BTreeMap::new(),
        unknown: BTreeMap::new(),
    };
    for (index, metric) in part.metrics() {
        let sampled = node.latest()[index];
        told.values.insert(metric.key, sampled.value.json());
        if let Value::Unknown(reason) = sampled.value {
            told.unknown.insert(metric.key, value::reason(reason));
        }
        if let Some(sigma) = sampled.sigma {
            told.sigma.insert(metric.key, sigma);
        }
        if let Some(source) = sampled.source {
            told.source.insert(metric.key, value::source(source));
        }
    }
    let to = |segment| topic(fleet, name, &format!("{segment}/{}", part.as_str()));
    let payload = json(&told);
    let publish = Publish { topic: to("tlm"), payload, qos: Qos::AtMostOnce, retain: false };
    (publish, to("hist"))
}

/// All values, group by group: the shadow of a thing.
pub(crate) fn values(node: &Node) -> BTreeMap<&'static str, BTreeMap<&'static str, Json>> {
    let mut all: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for (metric, sampled) in METRICS.iter().zip(node.latest()) {
        if node.stamp(metric.part).is_some() {
            let part = all.entry(metric.part.as_str()).or_default();
            part.insert(metric.key, sampled.value.json());
        }
    }
    all
}

#[derive(Default, Serialize)]
struct Happened<'a> {
    at: Epoch0,
    boot: u64,
    seq: u64,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner_epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wall_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stages: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    back_end: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader_epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_starts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    for_s: Option<u32>,
}

/// A moment; 1970 until it is set.
#[derive(Serialize)]
#[serde(transparent)]
struct Epoch0(Epoch);

impl Default for Epoch0 {
    fn default() -> Self {
        Self(Epoch::from_unix_ns(0))
    }
}

/// Something that happened. Results of runs stay in the fleet: MQTT carries no state.
pub(crate) fn event(fleet: &FleetId, event: &Event) -> Publish {
    let header = &event.header;
    let mut told = Happened {
        at: Epoch0(header.at),
        boot: header.boot.0,
        seq: header.seq,
        ..Happened::default()
    };
    match &event.kind {
        EventKind::Started(facts) => {
            told.kind = "started";
            told.generation = Some(facts.generation.0);
            told.version = Some(&facts.version);
        }
        EventKind::Prepared { workflow, task, generation } => {
            told.kind = "prepared";
            (told.workflow, told.task) = (Some(workflow.as_str()), Some(task.as_str()));
            told.generation = Some(generation.0);
        }
        EventKind::TookOver { workflow, task, owner_epoch, from } => {
            told.kind = "took-over";
            (told.workflow, told.task) = (Some(workflow.as_str()), Some(task.as_str()));
            told.owner_epoch = Some(owner_epoch.0);
            told.from = from.as_ref().map(NodeId::as_str);
        }
        EventKind::FirstCall { workflow, task, run, owner_epoch } => {
            told.kind = "first-call";
            (told.workflow, told.task) = (Some(workflow.as_str()), Some(task.as_str()));
            (told.run, told.owner_epoch) = (Some(run.0), Some(owner_epoch.0));
        }
        EventKind::RunFinished(run) => {
            told.kind = "run-finished";
            (told.workflow, told.run) = (Some(run.workflow.as_str()), Some(run.run.0));
            (told.wall_ms, told.stages) = (Some(run.wall_us / 1000), Some(run.stages.len()));
            told.failure = run.failure.as_deref();
        }
        EventKind::Refused { reason } => {
            told.kind = "refused";
            told.reason = Some(reason);
        }
        EventKind::BackEnd { name, change, reason } => {
            told.kind = "back-end";
            (told.back_end, told.change) = (Some(name.as_str()), Some(change.words()));
            told.reason = Some(reason);
        }
        EventKind::Timed { epoch, id, outcome: ended } => {
            told.kind = "timed";
            (told.command, told.leader_epoch) = (Some(*id), Some(epoch.0));
            told.outcome = Some(outcome(*ended));
        }
        EventKind::Update { number, version, step, reason } => {
            told.kind = "update";
            (told.number, told.version) = (Some(*number), Some(version.as_str()));
            (told.step, told.reason) = (Some(step.words()), Some(reason.as_str()));
        }
        EventKind::SafeMode { failed, for_s } => {
            told.kind = "safe-mode";
            (told.failed_starts, told.for_s) = (Some(*failed), Some(*for_s));
        }
    }
    Publish {
        topic: topic(fleet, &header.node, "evt"),
        payload: json(&told),
        qos: Qos::AtLeastOnce,
        retain: false,
    }
}

/// How a command that had its time ended, in a word.
const fn outcome(outcome: TimedOutcome) -> &'static str {
    match outcome {
        TimedOutcome::Done => "done",
        TimedOutcome::Missed => "missed",
        TimedOutcome::Cancelled => "cancelled",
        TimedOutcome::Stale => "stale",
        TimedOutcome::Interrupted => "interrupted",
    }
}

/// JSON of one of our own types, none of which can fail: no maps with keys other than text, no errors of their own.
pub(crate) fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
