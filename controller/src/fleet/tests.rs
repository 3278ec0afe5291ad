//! Stories of leases, starts, gaps and bad frames.

use std::cell::Cell;

use protocol::encode;
use protocol::event::EventKind;
use protocol::report::{
    Group, Header, NoReading, PowerReport, QueueReport, Reading, Source, ThermalReport,
};
use types::{BootId, EnergySource, Epoch, Uptime};

use super::*;
use crate::config::Config;

const LEASE: Duration = Duration::from_secs(3);

fn id(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn at_ms(ms: u64) -> Instant {
    Instant(ms * 1_000_000)
}

fn fleet() -> Fleet {
    let text = r#"
        version = 1
        [controller]
        fleet = "demo"
        state_dir = "x"
        [bus]
        [sky]
        file = "sky.toml"
        [[node]]
        name = "sat-1"
        kind = "satellite"
        milli_cpu = 4000
        memory_mib = 4096
        [[node]]
        name = "sat-2"
        kind = "satellite"
        milli_cpu = 4000
        memory_mib = 4096
    "#;
    let config: Config = toml::from_str(text).unwrap();
    Fleet::new(config.controller.fleet, LEASE, &config.node)
}

fn header(node: &str, boot: u64, seq: u64) -> Header {
    let at = Epoch::from_unix_ns(0);
    Header { node: id(node), boot: BootId(boot), seq, at, uptime: Uptime(seq * 1000) }
}

fn queue() -> ReportBody {
    ReportBody::Queue(QueueReport {
        invocations_waiting: 0,
        transfers_waiting: 0,
        state_bytes: 0,
        frames_dropped: 0,
        reports_dropped: 0,
    })
}

fn report(boot: u64, seq: u64, last_event_seq: u64) -> Vec<u8> {
    let header = header("sat-1", boot, seq);
    encode(&Report { header, last_event_seq, body: queue() }).unwrap()
}

fn event(boot: u64, seq: u64) -> Event {
    let kind = EventKind::Refused { reason: format!("number {seq}") };
    Event { header: header("sat-1", boot, seq), kind }
}

const QUEUE_KEY: &str = "starbelt/demo/sat-1/tlm/queue";
const EVENT_KEY: &str = "starbelt/demo/sat-1/evt";

/// What happens at a moment, in milliseconds.
#[derive(Clone, Copy)]
enum Step {
    /// A report of a start, with its number.
    Report(u64, u64),
    /// The time is looked at.
    Look,
    /// From now on the plan predicts silence for so many milliseconds.
    Predict(u64),
}

fn name(change: &Change) -> String {
    match change {
        Change::Up(_) => "up".to_owned(),
        Change::Restarted(_) => "restarted".to_owned(),
        Change::Silent(_) => "silent".to_owned(),
        Change::Down { silence, .. } => format!("down after {} ms", silence.as_millis()),
        Change::Event(event) => format!("event {}", event.header.seq),
        Change::Past(event) => format!("past event {}", event.header.seq),
        Change::Missing { from_seq, .. } => format!("missing from {from_seq}"),
        Change::Measured { .. } => "measured".to_owned(),
    }
}

#[track_caller]
fn check(story: &[(u64, Step)], expected: &[(u64, &str)]) {
    let mut fleet = fleet();
    let silence_ends = Cell::new(0);
    let mut told = Vec::new();
    for (ms, step) in story {
        let now = at_ms(*ms);
        let changes = match step {
            Step::Report(boot, seq) => {
                fleet.report(now, QUEUE_KEY, &report(*boot, *seq, 0)).unwrap()
            }
            Predict(length_ms) => {
                silence_ends.set(ms + length_ms);
                Vec::new()
            }
            Look => {
                let left = silence_ends.get().saturating_sub(*ms);
                fleet.tick(now, |_| (left != 0).then(|| Duration::from_millis(left)))
            }
        };
        told.extend(changes.iter().map(|change| (*ms, name(change))));
    }
    let expected: Vec<(u64, String)> =
        expected.iter().map(|(ms, what)| (*ms, (*what).to_owned())).collect();
    assert_eq!(told, expected);
}

use Step::{Look, Predict, Report as Say};

#[test]
fn silence_brings_a_node_down_once() {
    check(
        &[
            (0, Say(1, 1)),
            (1000, Say(1, 2)),
            (3900, Look),
            (4000, Look),
            (4250, Look),
            (9000, Look),
        ],
        &[(0, "up"), (4000, "down after 3000 ms")],
    );
}

#[test]
fn a_report_renews_the_lease_and_brings_a_lost_node_back() {
    check(
        &[
            (0, Say(1, 1)),
            (2900, Say(1, 2)),
            (5800, Look),
            (6000, Look),
            (8000, Say(1, 3)),
            (8100, Look),
        ],
        &[(0, "up"), (6000, "down after 3100 ms"), (8000, "up")],
    );
}

#[test]
fn predicted_silence_stretches_the_lease() {
    check(
        &[
            (0, Say(1, 1)),
            (1000, Predict(20_000)),
            (3000, Look),
            (20_900, Look),
            (23_900, Look),
            (24_000, Look),
        ],
        &[(0, "up"), (3000, "silent"), (24_000, "down after 24000 ms")],
    );
}

#[test]
fn a_node_that_speaks_after_predicted_silence_was_never_down() {
    check(
        &[
            (0, Say(1, 1)),
            (1000, Predict(20_000)),
            (3000, Look),
            (21_500, Say(1, 2)),
            (24_000, Look),
        ],
        &[(0, "up"), (3000, "silent"), (21_500, "up")],
    );
}

#[test]
fn a_plan_that_shortens_the_silence_shortens_the_lease() {
    check(
        &[
            (0, Say(1, 1)),
            (1000, Predict(60_000)),
            (3000, Look),
            (4000, Predict(0)),
            (4000, Look),
            (7000, Look),
        ],
        &[(0, "up"), (3000, "silent"), (7000, "down after 7000 ms")],
    );
}

#[test]
fn a_new_start_is_noticed_and_stragglers_of_the_old_one_are_not_heard() {
    check(
        &[(0, Say(1, 1)), (1000, Say(1, 2)), (2000, Say(7, 1)), (2100, Say(1, 3)), (5100, Look)],
        &[(0, "up"), (2000, "restarted"), (5100, "down after 3100 ms")],
    );
}

#[test]
fn a_copy_renews_nothing() {
    check(
        &[(0, Say(1, 5)), (2900, Say(1, 5)), (2950, Say(1, 4)), (3000, Look)],
        &[(0, "up"), (3000, "down after 3000 ms")],
    );
}

#[test]
fn lost_reports_are_counted() {
    let mut fleet = fleet();
    for seq in [1, 2, 5] {
        fleet.report(at_ms(seq), QUEUE_KEY, &report(1, seq, 0)).unwrap();
    }
    let node = fleet.node(&id("sat-1")).unwrap();
    assert_eq!((node.reports, node.reports_missed), (3, 2));
}

#[test]
fn events_out_of_order_are_asked_for_and_taken_in_order() {
    let mut fleet = fleet();
    let mut told = Vec::new();
    let mut note = |changes: Vec<Change>| told.extend(changes.iter().map(name));
    for seq in [1, 4, 5] {
        note(fleet.event(at_ms(seq), EVENT_KEY, &encode(&event(1, seq)).unwrap()).unwrap());
    }
    let page = EventPage { events: (2..=5).map(|seq| event(1, seq)).collect(), lost: 0 };
    note(fleet.replayed(at_ms(20), &id("sat-1"), Ok(&encode(&page).unwrap())).unwrap());
    note(fleet.event(at_ms(30), EVENT_KEY, &encode(&event(1, 6)).unwrap()).unwrap());
    note(fleet.event(at_ms(31), EVENT_KEY, &encode(&event(1, 6)).unwrap()).unwrap());
    assert_eq!(
        told,
        ["event 1", "missing from 2", "event 2", "event 3", "event 4", "event 5", "event 6"]
    );
    assert_eq!(fleet.node(&id("sat-1")).unwrap().events(), (6, 0));
}

#[test]
fn a_report_that_promises_events_makes_the_controller_ask_after_a_while_and_again() {
    let mut fleet = fleet();
    let say = |fleet: &mut Fleet, ms: u64, seq: u64| {
        let changes = fleet.report(at_ms(ms), QUEUE_KEY, &report(1, seq, 2)).unwrap();
        changes.iter().map(name).collect::<Vec<_>>()
    };
    let look = |fleet: &mut Fleet, ms: u64| {
        fleet.tick(at_ms(ms), |_| None).iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(say(&mut fleet, 0, 1), ["up"]);
    assert_eq!(look(&mut fleet, 400), [] as [&str; 0]);
    assert_eq!(look(&mut fleet, 500), ["missing from 1"]);
    assert_eq!(say(&mut fleet, 1000, 2), [] as [&str; 0]);
    fleet.replayed(at_ms(1500), &id("sat-1"), Err("no answer")).unwrap();
    assert_eq!(look(&mut fleet, 2500), [] as [&str; 0]);
    assert_eq!(say(&mut fleet, 3500, 3), ["missing from 1"]);
}

#[test]
fn what_a_node_has_forgotten_is_counted_as_lost() {
    let mut fleet = fleet();
    fleet.report(at_ms(0), QUEUE_KEY, &report(1, 1, 9)).unwrap();
    let page = EventPage { events: (6..=9).map(|seq| event(1, seq)).collect(), lost: 5 };
    let page = encode(&page).unwrap();
    let changes = fleet.replayed(at_ms(600), &id("sat-1"), Ok(&page)).unwrap();
    assert_eq!(changes.len(), 4);
    assert_eq!(fleet.node(&id("sat-1")).unwrap().events(), (4, 5));
}

#[test]
fn a_page_that_never_brings_what_was_promised_is_not_asked_for_for_ever() {
    let mut fleet = fleet();
    fleet.report(at_ms(0), QUEUE_KEY, &report(1, 1, 3)).unwrap();
    let empty = encode(&EventPage { events: vec![], lost: 0 }).unwrap();
    for _ in 0..5 {
        fleet.replayed(at_ms(600), &id("sat-1"), Ok(&empty)).unwrap();
    }
    assert_eq!(fleet.tick(at_ms(900), |_| None), []);
    assert_eq!(fleet.node(&id("sat-1")).unwrap().events(), (0, 3));
}

#[test]
fn events_of_a_new_start_count_anew() {
    let mut fleet = fleet();
    fleet.event(at_ms(0), EVENT_KEY, &encode(&event(1, 1)).unwrap()).unwrap();
    let changes = fleet.event(at_ms(1), EVENT_KEY, &encode(&event(2, 1)).unwrap()).unwrap();
    assert_eq!(changes.iter().map(name).collect::<Vec<_>>(), ["restarted", "event 1"]);
    let late = fleet.event(at_ms(2), EVENT_KEY, &encode(&event(1, 2)).unwrap()).unwrap();
    assert_eq!(late, []);
}

/// A frame whose values cannot be, which the encoder would refuse.
fn impossible(body: ReportBody, good: f32, bad: f32) -> Vec<u8> {
    let header = header("sat-1", 1, 1);
    let frame = encode(&Report { header, last_event_seq: 0, body }).unwrap();
    let at = frame
        .windows(4)
        .position(|bytes| bytes == good.to_le_bytes())
        .expect("the value is in the frame");
    [&frame[..at], &bad.to_le_bytes(), &frame[at + 4..]].concat()
}

#[test]
fn bad_frames_are_counted_renew_nothing_and_flag_the_node() {
    let unknown = Reading::Unknown(NoReading::NoSensor);
    let power = ReportBody::Power(PowerReport {
        state_of_charge: Reading::known(0.625, Source::Virtual),
        capacity_wh: unknown,
        load_w: unknown,
        solar_w: unknown,
        source: EnergySource::Battery,
    });
    let thermal = ReportBody::Thermal(ThermalReport {
        hottest_c: Reading::known(31.25, Source::Virtual),
        limit_c: unknown,
    });
    let foreign =
        encode(&Report { header: header("sat-2", 1, 1), last_event_seq: 0, body: queue() })
            .unwrap();
    let truncated = report(1, 1, 0)[..9].to_vec();
    let trailing = [report(1, 1, 0), vec![0]].concat();
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("power", impossible(power.clone(), 0.625, f32::NAN), "0 to 1"),
        ("power", impossible(power, 0.625, -0.5), "0 to 1"),
        ("thermal", impossible(thermal, 31.25, 5000.0), "-150 to 500"),
        ("queue", foreign, "claims to come from sat-2"),
        ("queue", truncated, "does not decode"),
        ("queue", trailing, "1 bytes follow"),
        ("queue", vec![9, 1, 0], "version 9"),
        ("queue", vec![], "no header"),
    ];
    let mut fleet = fleet();
    for (index, (group, frame, rule)) in cases.iter().enumerate() {
        let key = format!("starbelt/demo/sat-1/tlm/{group}");
        let error = fleet.report(at_ms(0), &key, frame).unwrap_err();
        assert!(error.to_string().contains(rule), "{error}");
        let node = fleet.node(&id("sat-1")).unwrap();
        assert_eq!(node.frames_refused, index as u64 + 1);
        assert_eq!((node.lease, node.reports), (Lease::Unheard, 0));
        assert!(node.flags.iter().any(|flag| flag.contains(rule)), "{:?}", node.flags);
    }
    for key in ["starbelt/demo/sat-9/tlm/queue", "starbelt/other/sat-1/tlm/queue", "x", ""] {
        assert!(matches!(
            fleet.report(at_ms(0), key, &report(1, 1, 0)),
            Err(FrameError::Stranger(_))
        ));
    }
    assert_eq!(fleet.strange_frames(), 4);
    // The session goes on: a good frame after all of these is taken.
    fleet.report(at_ms(1), QUEUE_KEY, &report(1, 1, 0)).unwrap();
    assert_eq!(Group::Queue.as_str(), "queue");
    assert!(fleet.is_alive(&id("sat-1")));
}

proptest::proptest! {
    /// Events that come (0), get lost (1) or come twice (2), and questions that are answered or not.
    #[test]
    fn every_event_is_taken_once_and_in_order(
        fates in proptest::collection::vec((0..3_u8, proptest::bool::ANY), 1..80),
    ) {
        let mut fleet = fleet();
        let all: Vec<Event> = (1..).take(fates.len()).map(|seq| event(1, seq)).collect();
        let page = |from: u64| {
            let wanted = all.iter().filter(|event| from <= event.header.seq);
            let events = wanted.take(protocol::event::PAGE_EVENTS_MAX).cloned().collect();
            encode(&EventPage { events, lost: 0 }).unwrap()
        };
        let mut taken = Vec::new();
        let mut ms = 0;
        let mut last_promise = 0;
        for (index, (fate, is_answered)) in fates.iter().enumerate() {
            ms += 700;
            let mut changes = Vec::new();
            for _ in 0..[1, 0, 2][usize::from(*fate)] {
                let frame = encode(&all[index]).unwrap();
                changes.extend(fleet.event(at_ms(ms), EVENT_KEY, &frame).unwrap());
            }
            last_promise += 1;
            let promise = report(1, last_promise, index as u64 + 1);
            changes.extend(fleet.report(at_ms(ms), QUEUE_KEY, &promise).unwrap());
            while let Some(change) = changes.pop() {
                match change {
                    Change::Event(event) => taken.push(event.header.seq),
                    Change::Missing { from_seq, .. } => {
                        let frame = if *is_answered { Ok(page(from_seq)) } else { Err("lost") };
                        let frame = frame.as_deref().map_err(|words| *words);
                        let more = fleet.replayed(at_ms(ms), &id("sat-1"), frame).unwrap();
                        // The newest is looked at first: put the older ones on top.
                        changes.extend(more.into_iter().rev());
                    }
                    _ => {}
                }
            }
        }
        for _ in 0..4 {
            ms += 2_500;
            let mut changes = fleet.tick(at_ms(ms), |_| None);
            last_promise += 1;
            let promise = report(1, last_promise, all.len() as u64);
            changes.extend(fleet.report(at_ms(ms), QUEUE_KEY, &promise).unwrap());
            for change in changes {
                if let Change::Missing { from_seq, .. } = change {
                    let frame = page(from_seq);
                    for change in fleet.replayed(at_ms(ms), &id("sat-1"), Ok(&frame)).unwrap() {
                        if let Change::Event(event) = change {
                            taken.push(event.header.seq);
                        }
                    }
                }
            }
        }
        let expected: Vec<u64> = (1..).take(all.len()).collect();
        proptest::prop_assert_eq!(taken, expected);
        proptest::prop_assert_eq!(fleet.node(&id("sat-1")).unwrap().events().1, 0);
    }
}

fn late(boot: u64, seqs: &[u64]) -> Vec<Line> {
    let line = |seq: &u64| {
        let (node, boot) = (id("sat-1"), BootId(boot));
        let said = Said::Event(Box::new(event(boot.0, *seq)));
        Line { node, boot, stream: protocol::backlog::LateStream::Events, id: *seq, said }
    };
    seqs.iter().map(line).collect()
}

#[test]
fn a_receipt_names_the_reports_that_came_and_the_events_without_a_gap() {
    let mut fleet = fleet();
    let receipt = |fleet: &Fleet, late| fleet.node(&id("sat-1")).unwrap().receipt(BootId(1), late);
    assert_eq!(receipt(&fleet, 0), (0, 0, 0));
    for seq in [1, 2, 4, 3, 7] {
        fleet.report(at_ms(seq), QUEUE_KEY, &report(1, seq, 0)).unwrap();
    }
    assert_eq!(receipt(&fleet, 0), (7, 0b111_1001, 0));
    fleet.report(at_ms(90), QUEUE_KEY, &report(1, 200, 0)).unwrap();
    assert_eq!(receipt(&fleet, 0).1, 1, "what is too long ago is not named");
    for seq in [1, 2, 3, 5] {
        fleet.event(at_ms(100), EVENT_KEY, &encode(&event(1, seq)).unwrap()).unwrap();
    }
    assert_eq!(receipt(&fleet, 0).2, 3);
    assert_eq!(fleet.node(&id("sat-1")).unwrap().receipt(BootId(2), 9), (0, 0, 9), "another start");
}

#[test]
fn an_event_that_is_gone_is_not_receipted_until_it_came_late() {
    let mut fleet = fleet();
    fleet.event(at_ms(0), EVENT_KEY, &encode(&event(1, 1)).unwrap()).unwrap();
    // The node remembers no more than the fifth of six.
    let page = EventPage { events: vec![event(1, 6)], lost: 4 };
    let page = encode(&page).unwrap();
    fleet.replayed(at_ms(10), &id("sat-1"), Ok(&page)).unwrap();
    let receipt =
        |fleet: &Fleet, late| fleet.node(&id("sat-1")).unwrap().receipt(BootId(1), late).2;
    assert_eq!(receipt(&fleet, 0), 1);
    assert_eq!(receipt(&fleet, 3), 3);
    assert_eq!(receipt(&fleet, 5), 6);
}

#[test]
fn what_comes_late_is_history_and_renews_nothing() {
    let mut fleet = fleet();
    fleet.report(at_ms(0), QUEUE_KEY, &report(2, 1, 0)).unwrap();
    fleet.report(at_ms(1), QUEUE_KEY, &report(2, 5, 0)).unwrap();
    assert_eq!(fleet.node(&id("sat-1")).unwrap().reports_missed, 3);
    let changes = fleet.late(late(1, &[7, 8]));
    assert_eq!(changes.iter().map(name).collect::<Vec<_>>(), ["past event 7", "past event 8"]);
    // Of the present start, the next one is taken as if it had come in time.
    let changes = fleet.late(late(2, &[1, 3]));
    assert_eq!(changes.iter().map(name).collect::<Vec<_>>(), ["event 1", "past event 3"]);
    let line = |seq| {
        let report: Report = decode(&report(2, seq, 0)).unwrap();
        let said = Said::Report(Box::new(report));
        let stream = protocol::backlog::LateStream::Reports;
        Line { node: id("sat-1"), boot: BootId(2), stream, id: seq, said }
    };
    fleet.late(vec![line(2), line(3)]);
    let node = fleet.node(&id("sat-1")).unwrap();
    assert_eq!((node.reports, node.reports_missed, node.reports_late), (2, 1, 2));
    assert_eq!(node.events_late, 4);
    let down = fleet.tick(at_ms(3_001), |_| None);
    assert!(matches!(&down[..], [Change::Down { .. }]), "{down:?}");
}
