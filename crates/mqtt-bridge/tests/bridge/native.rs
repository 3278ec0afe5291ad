//! The connection of the native, Home Assistant and AWS profiles: what is said when, and what is not.

use mqtt_bridge::{Heard, Notice, Offline, Profile, Qos, Settings, Told, machines};

use crate::sample::{
    ME, at, event, machine, open, power, report, said, settings, started, tell, text, thermal,
    topics,
};

#[test]
fn the_will_and_the_farewell_say_why_a_node_is_offline() {
    let mut machine = machine(&settings(&[Profile::Native]));
    let will = machine.open(&at(0)).will.unwrap();
    assert_eq!(will.topic, "starbelt/demo/station-1/status");
    assert_eq!(text(&will), r#"{"online":false,"reason":"lwt"}"#);
    assert_eq!((will.qos, will.retain), (Qos::AtLeastOnce, true));
    machine.opened(&at(0));
    let all = said(&mut *machine, &at(0));
    assert_eq!((topics(&all), text(&all[0])), (vec![will.topic.as_str()], r#"{"online":true}"#));
    machine.close(&at(1));
    tell(&mut *machine, &at(1), 1, thermal(40.0));
    let all = said(&mut *machine, &at(1));
    assert_eq!(all.len(), 1, "nothing follows the farewell: {:?}", topics(&all));
    assert_eq!(text(&all[0]), r#"{"online":false,"reason":"ended"}"#);
    assert!(machine.is_idle());
}

#[test]
fn a_group_is_said_when_it_changed_and_not_too_often() {
    let mut machine = open(&settings(&[Profile::Native]));
    // Second, temperature, whether it is said: each 5 s, in steps of 0.2 °C, and after 60 s anyway.
    let table = [
        (10, 40.0, true),
        (12, 50.0, false),
        (15, 40.1, false),
        (16, 40.25, true),
        (30, 40.4, false),
        (75, 40.3, false),
        (76, 40.3, true),
        (80, 90.0, false),
        (81, 90.0, true),
    ];
    for (seq, (second, hottest_c, is_said)) in (1..).zip(table) {
        tell(&mut *machine, &at(second), seq, thermal(hottest_c));
        let all = said(&mut *machine, &at(second));
        assert_eq!(!all.is_empty(), is_said, "{hottest_c} °C at {second} s");
    }
}

#[test]
fn what_waited_for_a_broker_comes_behind_what_is_new_and_on_its_own_topic() {
    let mut machine = open(&settings(&[Profile::Native]));
    machine.closed(&at(5));
    tell(&mut *machine, &at(10), 1, thermal(40.0));
    machine.tell(&at(11), Told::Event(&event(ME, &at(11), 1, started())));
    tell(&mut *machine, &at(20), 2, thermal(50.0));
    assert!(said(&mut *machine, &at(20)).is_empty(), "there is nobody to hear it");
    machine.open(&at(30));
    machine.opened(&at(30));
    let all = said(&mut *machine, &at(30));
    let expected = [
        "starbelt/demo/station-1/status",
        "starbelt/demo/station-1/tlm/thermal",
        "starbelt/demo/station-1/hist/thermal",
        "starbelt/demo/station-1/evt",
        "starbelt/demo/station-1/hist/thermal",
    ];
    assert_eq!(topics(&all), expected);
    assert!(all[2..].iter().all(|publish| publish.qos == Qos::AtLeastOnce));
    assert!(text(&all[1]).contains(r#""hottest_c":50.0"#), "{}", text(&all[1]));
    assert!(text(&all[2]).contains(r#""hottest_c":40.0"#), "{}", text(&all[2]));
}

#[test]
fn nothing_waits_if_an_operator_says_so() {
    let dropping = Settings { offline: Offline::Drop, ..settings(&[Profile::Native]) };
    let mut machine = open(&dropping);
    machine.closed(&at(5));
    tell(&mut *machine, &at(10), 1, thermal(40.0));
    machine.open(&at(30));
    machine.opened(&at(30));
    let all = said(&mut *machine, &at(30));
    let expected = ["starbelt/demo/station-1/status", "starbelt/demo/station-1/tlm/thermal"];
    assert_eq!(topics(&all), expected, "what is known is said");
    assert_eq!(machine.counts().dropped_offline, 1);
}

#[test]
fn home_assistant_is_told_everything_when_it_starts() {
    let mut machine = open(&settings(&[Profile::HomeAssistant]));
    assert_eq!(machine.open(&at(0)).subscribe, ["homeassistant/status"]);
    tell(&mut *machine, &at(1), 1, power(0.8, 6.0));
    said(&mut *machine, &at(1));
    let heard = |payload, retain| Heard { topic: "homeassistant/status", payload, retain };
    assert_eq!(machine.hear(&at(2), heard(b"online", true)), None, "that is long known");
    assert_eq!(machine.hear(&at(2), heard(b"offline", false)), None);
    assert!(said(&mut *machine, &at(2)).is_empty());
    assert!(matches!(machine.hear(&at(2), heard(b"online", false)), Some(Notice::Asked(_))));
    let all = said(&mut *machine, &at(2));
    let expected = ["homeassistant/device/station-1/config", "starbelt/demo/station-1/tlm/power"];
    assert_eq!(topics(&all), expected);
}

#[test]
fn other_nodes_come_and_go_with_their_reports() {
    let mut machine = open(&settings(&[Profile::HomeAssistant]));
    let now = at(10);
    machine.tell(&now, Told::Report(&report("sat-1", &now, 1, thermal(20.0))));
    let all = said(&mut *machine, &now);
    assert_eq!(all[0].topic, "starbelt/demo/sat-1/status");
    assert_eq!(text(&all[0]), r#"{"online":true}"#);
    let document = all.iter().find(|publish| publish.topic.ends_with("sat-1/config")).unwrap();
    let both = r#""availability":[{"topic":"starbelt/demo/sat-1/status""#;
    assert!(text(document).contains(both), "{}", text(document));
    assert!(text(document).contains("starbelt-demo-station-1"), "it is seen by this node");
    assert_eq!(machine.deadline(), Some(at(40).at));
    machine.timer(&at(39));
    assert!(said(&mut *machine, &at(39)).is_empty());
    machine.timer(&at(40));
    let all = said(&mut *machine, &at(40));
    assert_eq!(text(&all[0]), r#"{"online":false,"reason":"silent"}"#);
    assert_eq!(machine.deadline(), None);
    // A new connection says so again.
    machine.closed(&at(41));
    machine.open(&at(42));
    machine.opened(&at(42));
    let all = said(&mut *machine, &at(42));
    let status = all.iter().find(|publish| publish.topic == "starbelt/demo/sat-1/status").unwrap();
    assert_eq!(text(status), r#"{"online":false,"reason":"silent"}"#);
}

#[test]
fn the_shadow_is_written_once_an_interval_and_refusals_are_noticed() {
    let mut machine = open(&settings(&[Profile::Aws]));
    let rejected = "$aws/things/station-1/shadow/name/telemetry/update/rejected";
    assert_eq!(machine.open(&at(0)).subscribe, [rejected]);
    tell(&mut *machine, &at(10), 1, thermal(40.0));
    machine.timer(&at(10));
    assert_eq!(said(&mut *machine, &at(10)).len(), 1);
    tell(&mut *machine, &at(11), 2, power(0.5, 5.0));
    assert_eq!(machine.deadline(), Some(at(15).at));
    machine.timer(&at(14));
    assert!(said(&mut *machine, &at(14)).is_empty());
    machine.timer(&at(15));
    assert_eq!(said(&mut *machine, &at(15)).len(), 1);
    let payload = br#"{"code":413,"message":"too large"}"#;
    let heard = Heard { topic: rejected, payload, retain: false };
    let notice = machine.hear(&at(16), heard);
    assert!(matches!(&notice, Some(Notice::Useless(words)) if words.contains("413")), "{notice:?}");
}

#[test]
fn a_will_each_takes_a_connection_each() {
    let both = machines(&settings(&[Profile::Native, Profile::Sparkplug, Profile::Aws]));
    let suffixes: Vec<_> = both.iter().map(|machine| machine.suffix()).collect();
    assert_eq!(suffixes, ["", "sparkplug"]);
    let one = machines(&settings(&[Profile::Sparkplug]));
    assert_eq!((one.len(), one[0].suffix()), (1, ""));
    assert!(machines(&settings(&[])).is_empty());
}

#[test]
fn energy_drawn_grows_only_while_the_load_is_known() {
    let mut machine = open(&settings(&[Profile::Native]));
    let drawn = |machine: &mut dyn mqtt_bridge::Machine, second, seq, body| {
        tell(machine, &at(second), seq, body);
        let all = said(machine, &at(second));
        let value: serde_json::Value = serde_json::from_slice(&all[0].payload).unwrap();
        value["values"]["drawn_wh"].as_f64()
    };
    assert_eq!(drawn(&mut *machine, 10, 1, power(0.8, 6.0)), Some(0.0));
    // 36 s at 8 W on average.
    assert_eq!(drawn(&mut *machine, 46, 2, power(0.8, 10.0)), Some(0.08));
    // Ten minutes of silence: nobody knows.
    assert_eq!(drawn(&mut *machine, 646, 3, power(0.8, 10.0)), Some(0.08));
    assert_eq!(drawn(&mut *machine, 682, 4, power(0.8, 10.0)), Some(0.18));
}
