//! What must hold at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use controller::api;
use hil_tests::checker::{self, Acknowledged, Bounds, Found, ReadBack};
use hil_tests::fleet::CONTROLLER;
use serde::Deserialize;
use types::{Epoch, NodeId};

use crate::bed::{Bed, wait};
use crate::chaos::Given;

/// What waits on disks has come by then.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(60);
/// Records that wait for a receipt all the time.
const LIVE_RECORDS: u64 = 64;
/// An event that was told so many seconds before a kill may have been on its way to the disk, of which the machine has one.
const ON_ITS_WAY_S: f64 = 2.0;

/// What a start of an agent has told, by number, as its log says.
pub(crate) type Told = BTreeMap<(NodeId, u64), BTreeMap<u64, (Epoch, String)>>;

/// Every task is where it is wanted, and the nodes have taken the newest that was made for them.
pub(crate) fn desired_runs(bed: &Bed) {
    assert_eq!(bed.unserved(), Vec::<String>::new());
    let settled = wait(CAUGHT_UP_WITHIN, || {
        let list = bed.api.get::<api::NodeList>("/nodes").ok()?;
        list.nodes.iter().all(|node| node.generation == node.acknowledged).then_some(())
    });
    assert!(settled.is_some(), "a node does not take what is wanted");
}

/// The queues are empty but for what is live, and gave nothing up.
pub(crate) fn nothing_waits_or_is_lost(bed: &Bed) {
    let caught_up = wait(CAUGHT_UP_WITHIN, || {
        let list = bed.api.get::<api::NodeList>("/nodes").ok()?;
        let is_empty = |node: &api::NodeInfo| {
            node.backlog.is_some_and(|backlog| backlog.records <= LIVE_RECORDS)
        };
        list.nodes.iter().all(is_empty).then_some(())
    });
    let list = bed.api.get::<api::NodeList>("/nodes").expect("it answers");
    let stand = |node: &api::NodeInfo| format!("{}: {:?}", node.id, node.backlog);
    let stands: Vec<String> = list.nodes.iter().map(stand).collect();
    assert!(caught_up.is_some(), "records still wait: {stands:?}");
    for node in &list.nodes {
        let backlog = node.backlog.expect("it is reported");
        let lost = (backlog.lost_full, backlog.lost_expired, backlog.lost_memory);
        assert_eq!(
            (lost, backlog.damaged_bytes, backlog.disk_failures),
            ((0, 0, 0), 0, 0),
            "{stands:?}"
        );
        assert_eq!(node.frames_refused, 0, "{}", node.id);
    }
}

struct Reader<'a>(&'a Bed);

impl ReadBack for Reader<'_> {
    fn read(&self, node: &NodeId, write: &Acknowledged) -> Result<Found, String> {
        self.0.api.read_object(node, write)
    }

    fn sky(&self) -> Epoch {
        self.0.api.get::<api::ClockInfo>("/clock").expect("it answers").sky
    }
}

/// Acknowledged state is there, in one version.
pub(crate) fn state_is_kept(bed: &Bed) {
    let mut writes = Vec::new();
    for node in bed.nodes() {
        let log = bed.processes.layout().audit_log(&node);
        writes.extend(checker::read_log(&log).expect("a log"));
    }
    assert!(!writes.is_empty(), "nothing was written");
    let stored_before_s = f64::from(bed.workflow.run_deadline_ms) / 1000.0;
    let kept_s = checker::RUNS_KEPT.as_secs_f64();
    let bounds = Bounds { kept_s, stored_before_s, outputs_max: 500 };
    let verdict = checker::check(&writes, &bed.nodes(), &Reader(bed), bounds, |_, _| {});
    let verdict = verdict.expect("it answers");
    assert_eq!(verdict.lost, Vec::<String>::new());
    assert_eq!(verdict.forked, Vec::<String>::new());
}

/// What the agents have told, from their logs.
pub(crate) fn told(bed: &Bed) -> Told {
    let mut told = Told::new();
    for node in bed.nodes() {
        let text = std::fs::read_to_string(bed.processes.layout().log(node.as_str()));
        let text = text.expect("a log");
        let mut boot = None;
        for line in text.lines() {
            if line.contains(": up ") {
                boot = field(line, "boot=").and_then(|text| text.parse::<u64>().ok());
            }
            let (Some(boot), Some((_, event))) = (boot, line.split_once(" event=")) else {
                continue;
            };
            let seq = field(line, "seq=").and_then(|seq| seq.parse().ok()).expect("a number");
            let at = field(line, "sky=").and_then(|sky| Epoch::parse(sky).ok()).expect("a time");
            let of = told.entry((node.clone(), boot)).or_default();
            of.insert(seq, (at, event.to_owned()));
        }
    }
    assert!(told.len() > bed.nodes().len(), "starts of agents are in their logs");
    told
}

fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_once(name)?.1.split([' ', ',']).next()
}

/// No start of an agent took a task over twice under one epoch.
pub(crate) fn nothing_needless(told: &Told) {
    let mut count = 0;
    for ((node, boot), events) in told {
        let mut taken = BTreeSet::new();
        for (_, event) in events.values() {
            let Some((task, rest)) = event.split_once(" taken over from ") else { continue };
            let epoch = rest.rsplit(' ').next().expect("an epoch");
            assert!(taken.insert((task, epoch)), "{node}, boot {boot}: {event} again");
            count += 1;
        }
    }
    assert!(0 < count, "nobody took anything over");
}

/// A line of what came late, as far as it is read here.
#[derive(Debug, Deserialize)]
struct Line {
    node: NodeId,
    boot: u64,
    stream: String,
    id: u64,
}

/// What came late came once, and every event came, late or live, but those right before a kill.
pub(crate) fn every_event_came(bed: &Bed, told: &Told, kills: &[(NodeId, Epoch)]) {
    let path = bed.processes.layout().dir.join(CONTROLLER).join("state/late.ndjson");
    let text = std::fs::read_to_string(&path).expect("something came late");
    let (mut late, mut came) = (BTreeSet::new(), live(bed));
    for line in text.lines().filter(|line| !line.is_empty()) {
        // A line that a kill has torn was not acknowledged, and came again.
        let Ok(line) = serde_json::from_str::<Line>(line) else { continue };
        let id = (line.node.clone(), line.boot, line.stream.clone(), line.id);
        assert!(late.insert(id), "{line:?} is kept twice");
        if line.stream == "Events" {
            came.insert((line.node, line.boot, line.id));
        }
    }
    let until = bed.sky();
    let mut due = 0;
    for ((node, boot), events) in told {
        let begun = events.values().map(|(at, _)| *at).min().expect("one");
        let of_node = kills.iter().filter(|(killed, at)| killed == node && begun < *at);
        let end = of_node.map(|(_, at)| *at).min().unwrap_or(until);
        for (seq, (at, event)) in events {
            if at.plus_s(ON_ITS_WAY_S) < end {
                due += 1;
                let id = (node.clone(), *boot, *seq);
                assert!(came.contains(&id), "{node}, boot {boot}: event {seq} never came: {event}");
            }
        }
    }
    let late = late.iter().filter(|(_, _, stream, _)| stream == "Events").count();
    assert!(0 < late && late < due, "{late} of {due} events came late");
}

/// The events that controllers took live, or asked for again, as their log says.
fn live(bed: &Bed) -> BTreeSet<(NodeId, u64, u64)> {
    let text = std::fs::read_to_string(bed.processes.layout().log(CONTROLLER)).expect("a log");
    let events = text.lines().filter_map(|line| line.split_once(": event ").map(|(_, rest)| rest));
    let read = |line: &str| {
        let number = |name| field(line, name)?.parse().ok();
        Some((NodeId::new(field(line, "node=")?).ok()?, number("boot=")?, number("seq=")?))
    };
    events.filter_map(read).collect()
}

/// No command was done twice, or is still waiting; those that were taken were told of, unless a kill came between.
pub(crate) fn commands_once(told: &Told, given: &[Given]) {
    let mut ends: BTreeMap<(NodeId, String), Vec<String>> = BTreeMap::new();
    for ((node, _), events) in told {
        for (_, event) in events.values().filter(|(_, event)| event.starts_with("command ")) {
            let (name, outcome) = event
                .split_once(" was ")
                .or_else(|| event.split_once(" missed "))
                .or_else(|| event.split_once(" is "))
                .expect("an outcome");
            ends.entry((node.clone(), name.to_owned())).or_default().push(outcome.to_owned());
        }
    }
    let (mut taken, mut done) = (0, 0);
    for Given { node, name, is_taken } in given {
        let text = format!("command {} of epoch {}", name.id, name.epoch);
        let ends = ends.get(&(node.clone(), text)).cloned().unwrap_or_default();
        assert!(ends.len() <= 1, "{node}: {name:?} ended more than once: {ends:?}");
        taken += usize::from(*is_taken);
        done += ends.iter().filter(|end| *end == "done").count();
    }
    assert!(0 < taken && taken / 3 <= done, "{taken} of {} taken, {done} done", given.len());
}
