//! Table tests over the key space. What includes what is decided here by a second, small reading of Zenoh's rules; the
//! real one decides in the tests of the sessions.

use alloc::string::String;
use alloc::vec::Vec;

use types::LeaderEpoch;

use super::*;
use crate::join::Member;

fn name(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn fleet() -> FleetId {
    FleetId::new("f").unwrap()
}

fn members() -> Members {
    let roles = [
        ("bridge", Role::Bridge),
        ("ctl", Role::Controller),
        ("eve", Role::Node),
        ("n1", Role::Node),
        ("n2", Role::Node),
        ("relay", Role::Relay),
        ("viewer", Role::Viewer),
    ];
    let members = roles.map(|(member, role)| Member { name: name(member), role });
    Members {
        epoch: LeaderEpoch(1),
        serial: 1,
        members: members.to_vec(),
        revoked: [name("eve")].to_vec(),
        keys: Vec::new(),
    }
}

/// Whether everything that matches `key` matches `rule`, chunk by chunk: `*` one, `**` any number, neither an `@` chunk.
fn includes(rule: &[&str], key: &[&str]) -> bool {
    match (rule, key) {
        ([], []) => true,
        (["**", rest @ ..], key) => {
            includes(rest, key)
                || matches!(key, [first, others @ ..] if !first.starts_with('@') && includes(rule, others))
        }
        (["*", rest @ ..], [first, others @ ..]) => {
            !first.starts_with('@') && *first != "**" && includes(rest, others)
        }
        ([a, rest @ ..], [b, others @ ..]) => a == b && includes(rest, others),
        _ => false,
    }
}

fn is_allowed(at: &str, subject: &str, flow: Flow, act: Act, key: &str) -> bool {
    let key = if key.starts_with("_sim") { String::from(key) } else { format!("starbelt/f/{key}") };
    let chunks: Vec<&str> = key.split('/').collect();
    let policies = policies(&fleet(), &members(), &name(at));
    let policy = policies.iter().find(|policy| policy.subject.as_str() == subject);
    let rules = policy.iter().flat_map(|policy| &policy.rules);
    rules.filter(|rule| rule.flow == flow && rule.acts.contains(&act)).any(|rule| {
        rule.keys.iter().any(|rule| includes(&rule.split('/').collect::<Vec<_>>(), &chunks))
    })
}

#[test]
fn a_node_writes_below_its_own_key_only() {
    for at in ["ctl", "n2", "relay"] {
        for (act, key, allowed) in [
            (Act::Put, "n1/tlm/power", true),
            (Act::Put, "n1/tlm", true),
            (Act::Put, "n1/evt", true),
            (Act::Put, "n1/evt/log", true),
            (Act::Put, "n1/topic/fire", true),
            (Act::Put, "n1/mcu/00ff/report", true),
            (Act::Delete, "n1/tlm/power", true),
            (Act::Put, "n2/tlm/power", false),
            (Act::Put, "*/tlm/power", false),
            (Act::Put, "**", false),
            (Act::Delete, "n2/tlm/power", false),
            (Act::Put, "n1/cmd/1", false),
            (Act::Put, "n1x/tlm/power", false),
            (Act::Put, "_topo/plan", false),
            (Act::Put, "_ctl/members", false),
            (Act::Put, "_ctl/signers", false),
            (Act::Put, "_sim/clock", false),
            (Act::Reply, "n1/desired", true),
            (Act::Reply, "n2/desired", false),
            (Act::Reply, "_topo/plan", false),
            (Act::Reply, "_fn/f/module", false),
            (Act::DeclareQueryable, "n1/cmd/*", true),
            (Act::DeclareQueryable, "n1/fn/*/invoke", true),
            (Act::DeclareQueryable, "n1/ping", true),
            (Act::DeclareQueryable, "n2/cmd/*", false),
            (Act::DeclareQueryable, "*/cmd/*", false),
            (Act::DeclareQueryable, "_ctl/signers", false),
            (Act::DeclareQueryable, "_ctl/backlog/n1", false),
            (Act::Reply, "_ctl/backlog/n1", false),
            (Act::Token, "n1/@alive/7", true),
            (Act::Token, "n2/@alive/7", false),
            (Act::Token, "n1/alive", false),
        ] {
            assert_eq!(is_allowed(at, "n1", Flow::In, act, key), allowed, "at {at}: {act:?} {key}");
        }
    }
}

#[test]
fn a_node_asks_and_hears_what_it_needs() {
    for at in ["ctl", "n2"] {
        for (act, key, allowed) in [
            (Act::Query, "n2/fn/w.t/invoke", true),
            (Act::Query, "n2/fn/w.t/call", true),
            (Act::Query, "n2/belt/fetch", true),
            (Act::Query, "n2/ping", true),
            (Act::Query, "ctl/ping", true),
            (Act::Query, "_topo/plan", true),
            (Act::Query, "_ctl/signers", true),
            (Act::Query, "_fn/f/module", true),
            (Act::Query, "_ctl/members", true),
            (Act::Query, "_ctl/backlog/n1", true),
            (Act::Query, "_ctl/backlog/n2", false),
            (Act::Query, "_ctl/**", false),
            (Act::Query, "n2/cmd/1", false),
            (Act::Query, "n2/desired", false),
            (Act::Query, "n2/evt", false),
            (Act::Query, "**", false),
            (Act::DeclareSubscriber, "_topo/plan", true),
            (Act::DeclareSubscriber, "_ctl/members", true),
            (Act::DeclareSubscriber, "**", false),
            (Act::DeclareSubscriber, "*/tlm/*", false),
            (Act::DeclareSubscriber, "n2/tlm/*", false),
            (Act::DeclareSubscriber, "n2/cmd/*", false),
            (Act::TokenSubscriber, "*/@alive/*", false),
            (Act::TokenQuery, "*/@alive/*", false),
        ] {
            assert_eq!(is_allowed(at, "n1", Flow::In, act, key), allowed, "at {at}: {act:?} {key}");
        }
        for (act, key, allowed) in [
            (Act::Query, "n1/cmd/1", true),
            (Act::Query, "n1/desired", true),
            (Act::Query, "n2/desired", false),
            (Act::Put, "_topo/plan", true),
            (Act::Put, "_ctl/members", true),
            (Act::Put, "n2/tlm/power", false),
            (Act::Put, "n2/evt", false),
            (Act::Reply, "n2/fn/w.t/invoke", true),
            (Act::Reply, "n2/evt", false),
            (Act::DeclareSubscriber, "*/tlm/*", true),
            (Act::DeclareQueryable, "n2/fn/*/invoke", true),
        ] {
            assert_eq!(
                is_allowed(at, "n1", Flow::Out, act, key),
                allowed,
                "at {at}: {act:?} {key}"
            );
        }
    }
}

#[test]
fn the_controller_may_everything_within_its_fleet() {
    for flow in [Flow::In, Flow::Out] {
        for act in ACTS {
            for key in ["n1/desired", "_ctl/members", "*/tlm/*", "**", "*/@alive/*", "n1/@alive/1"]
            {
                assert!(is_allowed("n1", "ctl", flow, act, key), "{act:?} {key}");
            }
            assert!(!is_allowed("n1", "ctl", flow, act, "_sim/clock"));
        }
    }
    let elsewhere = policies(&FleetId::new("g").unwrap(), &members(), &name("n1"));
    assert!(
        elsewhere
            .iter()
            .flat_map(|p| &p.rules)
            .flat_map(|r| &r.keys)
            .all(|k| k.starts_with("starbelt/g/"))
    );
}

#[test]
fn a_relay_speaks_for_nodes_to_the_controller_and_for_it_to_nodes() {
    let at = |at, act, key| is_allowed(at, "relay", Flow::In, act, key);
    assert!(at("ctl", Act::Put, "n1/tlm/power"));
    assert!(at("ctl", Act::Token, "n1/@alive/7"));
    assert!(!at("ctl", Act::Put, "_ctl/members"), "not even a relay commands the controller");
    assert!(!at("ctl", Act::Query, "ctl/desired"));
    assert!(!at("ctl", Act::DeclareSubscriber, "**"));
    assert!(at("n1", Act::Query, "n1/desired"), "commands come through it");
    assert!(at("n1", Act::Put, "_topo/plan"));
}

#[test]
fn a_viewer_looks_and_a_bridge_and_the_revoked_are_nobody() {
    for (act, key, allowed) in [
        (Act::DeclareSubscriber, "*/tlm/*", true),
        (Act::DeclareSubscriber, "*/evt", true),
        (Act::Query, "n1/actual", true),
        (Act::DeclareSubscriber, "**", false),
        (Act::Put, "n1/tlm/power", false),
        (Act::Query, "n1/cmd/1", false),
        (Act::Query, "n1/fn/w.t/invoke", false),
    ] {
        assert_eq!(is_allowed("ctl", "viewer", Flow::In, act, key), allowed, "{act:?} {key}");
    }
    assert!(is_allowed("ctl", "viewer", Flow::Out, Act::Put, "n1/tlm/power"));
    assert!(!is_allowed("ctl", "viewer", Flow::Out, Act::Put, "_ctl/members"));
    let subjects: Vec<String> = policies(&fleet(), &members(), &name("ctl"))
        .iter()
        .map(|policy| String::from(policy.subject.as_str()))
        .collect();
    assert_eq!(subjects, ["n1", "n2", "relay", "viewer"]);
}

#[test]
fn each_policy_says_something() {
    let mut members = members();
    members.revoked.clear();
    for at in ["ctl", "n1", "relay"] {
        for policy in policies(&fleet(), &members, &name(at)) {
            assert!(!policy.rules.is_empty(), "{}", policy.subject);
            assert!(policy.rules.iter().all(|rule| !rule.keys.is_empty() && !rule.acts.is_empty()));
        }
    }
}
