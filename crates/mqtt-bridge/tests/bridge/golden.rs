//! Payloads byte by byte: dashboards and clouds are written against them.

use mqtt_bridge::{Discovery, Profile, Publish, Told};
use protocol::event::{BackEndChange, EventKind, RunRecord, TimedOutcome};
use protocol::report::{BacklogReport, Line, LinkReport, LinkSample, ReportBody};
use types::{Generation, LeaderEpoch, OwnerEpoch, RunId, TaskId, WorkflowId};

use crate::sample::{
    ME, at, event, machine, node, open, power, said, settings, started, tell, text, thermal, topics,
};

fn of<'p>(all: &'p [Publish], topic: &str) -> &'p Publish {
    let found = all.iter().find(|publish| publish.topic == topic);
    found.unwrap_or_else(|| panic!("nothing on {topic}: {:?}", topics(all)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[track_caller]
fn same(name: &str, is: &str, golden: &str) {
    assert_eq!(is, golden.trim_end(), "golden {name} is now: {is}");
}

#[test]
fn values_are_json_with_source_deviation_and_reason() {
    let mut machine = open(&settings(&[Profile::Native]));
    tell(&mut *machine, &at(10), 1, power(0.8, 6.25));
    tell(&mut *machine, &at(20), 2, power(0.7, 7.25));
    let all = said(&mut *machine, &at(20));
    assert_eq!(topics(&all), ["starbelt/demo/station-1/tlm/power"; 2]);
    same("power", text(&all[1]), include_str!("../golden/power.json"));
    tell(&mut *machine, &at(20), 3, thermal(41.5));
    let all = said(&mut *machine, &at(20));
    same("thermal", text(&all[0]), include_str!("../golden/thermal.json"));
}

#[test]
fn links_are_counted_and_the_nearest_is_named() {
    let mut machine = open(&settings(&[Profile::Native]));
    let sample = |peer: &str, rtt_us| LinkSample { peer: node(peer), at: at(9).sky, rtt_us };
    let samples = vec![sample("a", Some(45_250)), sample("b", None), sample("c", Some(12_500))];
    tell(&mut *machine, &at(10), 1, ReportBody::Link(LinkReport { samples }));
    let all = said(&mut *machine, &at(10));
    same("link", text(&all[0]), include_str!("../golden/link.json"));
}

#[test]
fn what_waits_is_counted_and_what_is_lost_is_one_sum() {
    let mut machine = open(&settings(&[Profile::Native]));
    let backlog = BacklogReport {
        records: 7,
        disk_bytes: 4096,
        quota_bytes: 1 << 20,
        memory_bytes: 0,
        thinned: 3,
        lost_full: 1,
        lost_expired: 20,
        lost_memory: 300,
        damaged_bytes: 0,
        disk_failures: 2,
        line: Line::Silent,
    };
    tell(&mut *machine, &at(10), 1, ReportBody::Backlog(backlog));
    let all = said(&mut *machine, &at(10));
    assert_eq!(topics(&all), ["starbelt/demo/station-1/tlm/backlog"]);
    same("backlog", text(&all[0]), include_str!("../golden/backlog.json"));
}

#[test]
fn the_contact_plan_is_a_group_of_its_own() {
    let mut machine = open(&settings(&[Profile::Native]));
    machine.tell(&at(10), Told::Contact(Some(at(700).sky)));
    let all = said(&mut *machine, &at(10));
    same("contact", text(&all[0]), include_str!("../golden/contact.json"));
}

#[test]
fn home_assistant_gets_one_document_for_a_device() {
    let mut machine = open(&settings(&[Profile::HomeAssistant]));
    machine.tell(&at(1), Told::Event(&event(ME, &at(1), 1, started())));
    tell(&mut *machine, &at(2), 1, power(0.8, 6.25));
    machine.tell(&at(2), Told::Contact(None));
    let all = said(&mut *machine, &at(2));
    let document = all.iter().rfind(|publish| publish.topic.ends_with("/config")).unwrap();
    assert!(document.retain, "the broker keeps it");
    same("homeassistant", text(document), include_str!("../golden/homeassistant.json"));
}

#[test]
fn an_older_home_assistant_gets_one_for_each_entity() {
    let entities = settings(&[Profile::HomeAssistant]);
    let mut machine = open(&mqtt_bridge::Settings { discovery: Discovery::Entities, ..entities });
    tell(&mut *machine, &at(2), 1, thermal(40.0));
    let all = said(&mut *machine, &at(2));
    let expected = [
        "homeassistant/sensor/station-1/thermal_hottest_c/config",
        "homeassistant/sensor/station-1/thermal_limit_c/config",
        "starbelt/demo/station-1/tlm/thermal",
    ];
    assert_eq!(topics(&all), expected);
    same("entity", text(&all[0]), include_str!("../golden/entity.json"));
}

#[test]
fn aws_gets_the_shadow_of_the_node() {
    let mut machine = open(&settings(&[Profile::Aws]));
    tell(&mut *machine, &at(2), 1, power(0.8, 6.25));
    tell(&mut *machine, &at(2), 2, thermal(40.0));
    assert_eq!(machine.deadline(), Some(at(2).at));
    machine.timer(&at(2));
    let all = said(&mut *machine, &at(2));
    assert_eq!(topics(&all), ["$aws/things/station-1/shadow/name/telemetry/update"]);
    same("shadow", text(&all[0]), include_str!("../golden/shadow.json"));
}

#[test]
fn sparkplug_births_and_deaths_are_protobuf() {
    let settings = settings(&[Profile::Sparkplug]);
    let mut machine = machine(&settings);
    tell(&mut *machine, &at(1), 1, power(0.8, 6.25));
    let will = machine.open(&at(2)).will.unwrap();
    assert_eq!((will.topic.as_str(), will.retain), ("spBv1.0/demo/NDEATH/station-1", false));
    same("ndeath", &hex(&will.payload), include_str!("../golden/ndeath.hex"));
    machine.opened(&at(2));
    let all = said(&mut *machine, &at(3));
    let birth = of(&all, "spBv1.0/demo/NBIRTH/station-1");
    same("nbirth", &hex(&birth.payload), include_str!("../golden/nbirth.hex"));
    tell(&mut *machine, &at(8), 2, power(0.7, 6.25));
    let all = said(&mut *machine, &at(8));
    let data = of(&all, "spBv1.0/demo/NDATA/station-1");
    same("ndata", &hex(&data.payload), include_str!("../golden/ndata.hex"));
}

#[test]
fn events_say_what_happened_and_carry_no_results() {
    let (workflow, task) = (WorkflowId::new("flood").unwrap(), TaskId::new("detect").unwrap());
    let run = RunRecord {
        workflow: workflow.clone(),
        run: RunId(9),
        started_at: at(0).sky,
        wall_us: 1_234_567,
        failure: Some("no node".to_owned()),
        stages: Vec::new(),
        result: b"secret".to_vec(),
    };
    let kinds = [
        started(),
        EventKind::Prepared {
            workflow: workflow.clone(),
            task: task.clone(),
            generation: Generation(3),
        },
        EventKind::TookOver {
            workflow: workflow.clone(),
            task: task.clone(),
            owner_epoch: OwnerEpoch(4),
            from: Some(node("sat-1")),
        },
        EventKind::FirstCall { workflow, task, run: RunId(9), owner_epoch: OwnerEpoch(4) },
        EventKind::RunFinished(run),
        EventKind::Refused { reason: "stale".to_owned() },
        EventKind::BackEnd {
            name: "cpu".to_owned(),
            change: BackEndChange::Advertised,
            reason: "tract".to_owned(),
        },
        EventKind::Timed { epoch: LeaderEpoch(5), id: 12, outcome: TimedOutcome::Missed },
    ];
    let mut machine = open(&settings(&[Profile::Native]));
    for (seq, kind) in (1..).zip(kinds) {
        machine.tell(&at(10), Told::Event(&event(ME, &at(10), seq, kind)));
    }
    let all = said(&mut *machine, &at(10));
    assert!(all.iter().all(|publish| publish.topic == "starbelt/demo/station-1/evt"));
    let lines: Vec<_> = all.iter().map(text).collect();
    same("events", &lines.join("\n"), include_str!("../golden/events.ndjson"));
}
