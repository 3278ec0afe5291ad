//! Commands over MQTT: obeyed once, only if allowed, and answered in any case.

use std::collections::BTreeSet;

use mqtt_bridge::{Heard, Machine, Notice, Profile, Publish, Settings, Verb};
use proptest::prelude::*;

use crate::sample::{at, machine, open, said, settings, tell, text, thermal, topics};

const TOPIC: &str = "starbelt/demo/station-1/cmd/";

fn command(machine: &mut dyn Machine, id: &str, payload: &[u8], retain: bool) -> Vec<Publish> {
    let topic = format!("{TOPIC}{id}");
    machine.hear(&at(1), Heard { topic: &topic, payload, retain });
    said(machine, &at(1))
}

#[test]
fn a_bridge_is_read_only_unless_told_otherwise() {
    let read_only = Settings { read_only: true, ..settings(&[Profile::Native]) };
    let mut machine = machine(&read_only);
    assert!(machine.open(&at(0)).subscribe.is_empty());
    machine.opened(&at(0));
    said(&mut *machine, &at(0));
    assert!(command(&mut *machine, "c1", br#"{"verb":"nop"}"#, false).is_empty());
}

#[test]
fn a_command_goes_through_its_states_and_only_who_asked_clears_it() {
    let mut machine = open(&settings(&[Profile::Native]));
    assert_eq!(machine.open(&at(0)).subscribe, ["starbelt/demo/station-1/cmd/+"]);
    let all = command(&mut *machine, "c1", br#"{"verb":"nop","status":"init"}"#, false);
    let status = format!("{TOPIC}c1/status");
    assert_eq!(topics(&all), [status.as_str(); 2]);
    assert!(all.iter().all(|publish| publish.retain));
    let words: Vec<_> = all.iter().map(text).collect();
    assert_eq!(words, [r#"{"status":"executing"}"#, r#"{"status":"successful"}"#]);
    // The same again is answered, not obeyed; so is a new connection.
    let all = command(&mut *machine, "c1", br#"{"verb":"report-now"}"#, false);
    assert_eq!((all.len(), text(&all[0])), (1, r#"{"status":"successful"}"#));
    machine.closed(&at(2));
    machine.open(&at(3));
    machine.opened(&at(3));
    let all = said(&mut *machine, &at(3));
    assert!(topics(&all).contains(&status.as_str()));
    let all = command(&mut *machine, "c1", b"", false);
    assert_eq!((topics(&all), text(&all[0]), all[0].retain), (vec![status.as_str()], "", true));
}

#[test]
fn report_now_says_everything_again() {
    let mut machine = open(&settings(&[Profile::Native]));
    tell(&mut *machine, &at(1), 1, thermal(40.0));
    said(&mut *machine, &at(1));
    let all = command(&mut *machine, "c2", br#"{"verb":"report-now"}"#, false);
    assert!(topics(&all).contains(&"starbelt/demo/station-1/tlm/thermal"), "{:?}", topics(&all));
}

#[test]
fn what_cannot_be_obeyed_fails_with_a_reason() {
    let only_nop =
        Settings { commands: BTreeSet::from([Verb::Nop]), ..settings(&[Profile::Native]) };
    let long = vec![b' '; 5000];
    let table: [(&[u8], bool, &str); 7] = [
        (br#"{"verb":"report-now"}"#, false, "not in mqtt.commands"),
        (br#"{"verb":"reboot"}"#, false, "none of nop, report-now"),
        (br#"{"verb":"nop"}"#, true, "without retain"),
        (br#"{"verb":"nop","args":1}"#, false, "unknown field"),
        (br#"{"verb":"nop","status":"executing"}"#, false, "\\\"init\\\""),
        (b"nop", false, "not a command"),
        (&long, false, "at most 4096"),
    ];
    for (payload, retain, reason) in table {
        let mut machine = open(&only_nop);
        let all = command(&mut *machine, "c3", payload, retain);
        assert_eq!(all.len(), 1, "{reason}");
        assert!(text(&all[0]).starts_with(r#"{"status":"failed","reason":""#), "{}", text(&all[0]));
        assert!(text(&all[0]).contains(reason), "{}", text(&all[0]));
    }
    let mut machine = open(&only_nop);
    for id in ["UP", "a/b", "", &"x".repeat(64)] {
        let topic = format!("{TOPIC}{id}");
        let heard = Heard { topic: &topic, payload: b"{}", retain: false };
        assert!(matches!(machine.hear(&at(1), heard), Some(Notice::Useless(_))), "{id:?}");
        assert!(said(&mut *machine, &at(1)).is_empty(), "{id:?} goes into no topic");
    }
}

proptest! {
    /// Whatever comes, nothing breaks, and all that is said goes to this node's own topics.
    #[test]
    fn bytes_of_others_are_taken_or_refused(
        topic in "(starbelt/demo/station-1/cmd/|homeassistant/|spBv1.0/demo/NCMD/|)[ -~]{0,80}",
        payload in prop::collection::vec(any::<u8>(), 0..300),
        retain: bool,
    ) {
        for profile in [Profile::Native, Profile::HomeAssistant, Profile::Sparkplug, Profile::Aws] {
            let mut machine = open(&settings(&[profile]));
            machine.hear(&at(1), Heard { topic: &topic, payload: &payload, retain });
            for publish in said(&mut *machine, &at(1)) {
                let own = ["starbelt/demo/station-1/", "homeassistant/", "spBv1.0/demo/N", "$aws/"];
                prop_assert!(own.iter().any(|start| publish.topic.starts_with(start)), "{}", publish.topic);
                prop_assert!(!publish.topic.contains(['+', '#']), "{}", publish.topic);
            }
        }
    }
}
