//! Functions that call functions on another node, and in the process of another tenant: two agents, and what ends their calls.

use std::time::{Duration, Instant};

use protocol::call::{Call, Called, FIRST_CALL, Waiting};
use protocol::desired::Phase;
use protocol::encode;
use protocol::invoke::{Fault, HandOver, Input, Invoke, Invoked, Outcome};
use protocol::manifest::{Grants, Manifest};
use types::{FunctionId, RunId, TenantId};

use crate::calls::{callee_spec, puppet_that_calls, spec, state};
use crate::signing::{self, sign};
use crate::support::{
    Agent, Session, desired, eventually, invoke, is_taken, keys, node, task, workflow,
};

/// A function that calls this one, and where it is placed.
struct Placed {
    manifest: Manifest,
    component: Vec<u8>,
    node: &'static str,
}

/// A function on a node that may call these; the guest calls the first one.
fn placed(name: &str, node: &'static str, calls: &[&str]) -> Placed {
    let component = puppet_that_calls(calls.first().copied().unwrap_or("puppet"));
    let mut manifest = signing::manifest(name, &component);
    manifest.grants = Grants { state_prefixes: state("counter"), ..Grants::default() };
    manifest.grants.calls = calls.iter().map(|name| function(name)).collect();
    Placed { manifest, component, node }
}

fn function(name: &str) -> FunctionId {
    FunctionId::new(name).expect("a valid name")
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("a valid name")
}

/// Two nodes with functions.
struct Pair {
    agents: [Agent; 2],
    controller: Session,
    run: u64,
    _dir: tempfile::TempDir,
}

impl Pair {
    fn with(functions: &[Placed]) -> Self {
        let dir = tempfile::tempdir().expect("a writable directory");
        let one = Agent::start(dir.path(), "sat-1", &[], "");
        let two = Agent::start(dir.path(), "sat-2", &[one.port], "");
        let controller = Session::controller(&[one.port, two.port], &[]);
        let callee = |placed: &Placed| callee_spec(&placed.manifest, node(placed.node));
        for agent in [&one, &two] {
            let here = functions.iter().filter(|placed| placed.node == agent.name.as_str());
            let specs: Vec<_> = here
                .map(|placed| {
                    controller.hold(&placed.component);
                    spec(&controller, &placed.manifest, &placed.component)
                })
                .collect();
            let mut wanted = desired(&agent.name, 1, &specs, &[]);
            wanted.callees = functions.iter().map(callee).collect();
            assert!(is_taken(&controller.tell(&wanted)));
            eventually("tasks at hand", || {
                let tasks = controller.status(&agent.name).tasks;
                let active = tasks.iter().filter(|task| task.phase == Phase::Active).count();
                (active == specs.len()).then_some(())
            });
        }
        Self { agents: [one, two], controller, run: 0, _dir: dir }
    }

    fn invoke(&mut self, name: &str, body: impl Into<Vec<u8>>) -> Invoke {
        self.run += 1;
        invoke(name, self.run, body)
    }

    /// Calls a task of the first node once.
    fn call(&mut self, name: &str, body: impl Into<Vec<u8>>) -> Invoked {
        let invoke = self.invoke(name, body);
        self.controller.invoke(&node("sat-1"), &invoke)
    }

    #[track_caller]
    fn good(&mut self, name: &str, body: impl Into<Vec<u8>>) -> Vec<u8> {
        match self.call(name, body).outcome {
            Outcome::Committed(done) => done.body,
            Outcome::Failed(fault) => panic!("{name}: {fault:?}"),
        }
    }

    #[track_caller]
    fn fault(&mut self, name: &str, body: &str) -> Fault {
        match self.call(name, body).outcome {
            Outcome::Failed(fault) => fault,
            done @ Outcome::Committed(_) => panic!("{name} {body}: {done:?}"),
        }
    }

    #[track_caller]
    fn denied(&mut self, name: &str, body: &str, words: &str) {
        match self.fault(name, body) {
            Fault::Denied(text) => assert!(text.contains(words), "{text}"),
            other => panic!("{name} {body}: {other:?}"),
        }
    }

    /// A call of a function of the second node, as the node of its caller would send it.
    fn forged(&mut self, caller: &Placed, name: &str, body: &str) -> Call {
        let mut invoke = self.invoke(name, body);
        invoke.run = RunId(FIRST_CALL.0 + self.run);
        invoke.hops = 1;
        Call {
            invoke,
            function: function(name),
            caller: sign(&caller.manifest),
            through: vec![Waiting { workflow: workflow(), task: task("elsewhere") }],
        }
    }

    fn send(&self, call: &Call) -> Called {
        let key = keys().call(&node("sat-2"), &workflow(), &call.invoke.task);
        self.controller.answer(&key, &encode(call).expect("a valid message"))
    }
}

fn number(body: &[u8]) -> u64 {
    u64::from_le_bytes(body.try_into().expect("eight bytes"))
}

#[test]
fn a_function_calls_one_of_another_node_and_both_sides_know_what_it_cost() {
    let mut pair =
        Pair::with(&[placed("caller", "sat-1", &["puppet"]), placed("puppet", "sat-2", &[])]);
    let invoked = pair.call("caller", "3Echo");
    let Outcome::Committed(done) = &invoked.outcome else { panic!("{invoked:?}") };
    assert_eq!(done.body, b"Echo");
    assert_eq!((invoked.record.calls, invoked.record.hand_over), (1, Some(HandOver::Network)));
    // A body of a few megabytes, and an object of one that lies in the memory of the caller, in parts.
    let large = [&b"3E"[..], &vec![7; 3 * 1024 * 1024]].concat();
    assert_eq!(pair.good("caller", large.clone()), large[1..]);
    let handed = [&b"8"[..], &(3_u32 << 20).to_le_bytes()].concat();
    assert_eq!(pair.good("caller", handed), vec![7; 3 << 20]);
    assert_eq!(pair.good("caller", "4i"), b"4i");
    // What it keeps is that of its task, and commits with its own answer.
    assert_eq!(number(&pair.good("caller", "3c")), 1);
    assert_eq!(number(&pair.good("caller", "3c")), 2);
    let direct = pair.invoke("puppet", "c");
    match pair.controller.invoke(&node("sat-2"), &direct).outcome {
        Outcome::Committed(done) => assert_eq!(number(&done.body), 3),
        failed @ Outcome::Failed(_) => panic!("{failed:?}"),
    }
    // What is left of the budget goes along: two calls deep in the chain there is one less.
    let left = pair.good("caller", "3?");
    assert_eq!((number(&left[..8]), number(&left[16..24])), (63, 1));
    // A trap there is an internal fault here, and neither node is harmed.
    assert!(matches!(pair.fault("caller", "3u"), Fault::Internal(_)));
    assert!(matches!(pair.fault("caller", "3fail"), Fault::Internal(text) if text == "fail"));
    assert_eq!(pair.good("caller", "3Echo"), b"Echo");
    // Nobody is there any more.
    pair.agents[1].kill();
    eventually("silence", || {
        let outcome = pair.call("caller", "3Echo").outcome;
        matches!(outcome, Outcome::Failed(Fault::Busy | Fault::Deadline)).then_some(())
    });
    assert_eq!(pair.good("caller", "Echo"), b"Echo");
}

#[test]
fn the_node_of_the_callee_believes_signed_manifests_and_nothing_else() {
    let caller = placed("caller", "sat-1", &["puppet"]);
    let callee = placed("puppet", "sat-2", &[]);
    let mut pair = Pair::with(&[caller, callee]);
    let granted = placed("caller", "sat-1", &["puppet"]);
    let good = pair.forged(&granted, "puppet", "c");
    let called = pair.send(&good);
    assert!(matches!(called.invoked.outcome, Outcome::Committed(_)), "{called:?}");
    assert!(called.used.cpu_us != 0 && called.used.calls == 0);
    // The same again: it does not run twice.
    match pair.send(&good).invoked.outcome {
        Outcome::Committed(done) => assert!(done.again && number(&done.body) == 1),
        failed @ Outcome::Failed(_) => panic!("{failed:?}"),
    }

    let denied = |pair: &Pair, call: &Call, words: &str| match pair.send(call).invoked.outcome {
        Outcome::Failed(Fault::Denied(text)) => assert!(text.contains(words), "{text}"),
        other => panic!("{words}: {other:?}"),
    };
    let without = placed("caller-2", "sat-1", &[]);
    let call = pair.forged(&without, "puppet", "c");
    denied(&pair, &call, "does not grant call \"puppet\"");
    let mut changed = pair.forged(&granted, "puppet", "c");
    changed.caller[40] ^= 1;
    denied(&pair, &changed, "");
    changed.caller = Vec::new();
    denied(&pair, &changed, "");
    let mut over = placed("caller-3", "sat-1", &["puppet"]);
    over.manifest.not_after = types::Epoch::from_unix_s(1);
    let call = pair.forged(&over, "puppet", "c");
    denied(&pair, &call, "it was valid until");
    let mut other = placed("caller-4", "sat-1", &["puppet"]);
    other.manifest.tenant = tenant("other");
    let call = pair.forged(&other, "puppet", "c");
    denied(&pair, &call, "does not grant calls to functions of tenant \"other\"");
    // Another function than that of the task, and objects that are somebody else's.
    let mut call = pair.forged(&placed("caller", "sat-1", &["caller"]), "puppet", "c");
    call.function = function("caller");
    // That manifest has a version that was seen with other content, on the node where it was.
    match pair.send(&call).invoked.outcome {
        Outcome::Failed(Fault::NotFound(text)) => assert!(text.contains("runs puppet"), "{text}"),
        other => panic!("{other:?}"),
    }
    let mut call = pair.forged(&granted, "puppet", "i");
    let id = types::ObjectId {
        workflow: workflow(),
        run: None,
        task: task("puppet"),
        key: types::StateKey::new("counter").expect("a valid key"),
    };
    let object = protocol::belt::ObjectMeta {
        id,
        version: types::Version(1),
        owner_epoch: types::OwnerEpoch(1),
        hash: [0; 32],
        bytes: 8,
    };
    call.invoke.inputs = vec![Input { object, holder: node("sat-2") }];
    let outcome = pair.send(&call).invoked.outcome;
    assert!(matches!(outcome, Outcome::Failed(Fault::BadInput(_))), "{outcome:?}");
    // Revoked: it counts no more, though it is not a function of this node.
    pair.controller.trust(&signing::signers(2, false));
    eventually("the revocation", || {
        let call = pair.forged(&granted, "puppet", "c");
        let outcome = pair.send(&call).invoked.outcome;
        matches!(outcome, Outcome::Failed(Fault::Denied(text)) if text.contains("revoked"))
            .then_some(())
    });
}

#[test]
fn a_function_of_another_tenant_is_called_where_both_manifests_say_so() {
    let of_other = |name: &str, at: &'static str, shared: bool| {
        let mut placed = placed(name, at, &[]);
        placed.manifest.tenant = tenant("other");
        if shared {
            placed.manifest.sharing.tenants = vec![protocol::manifest::default_tenant()];
        }
        placed
    };
    let mut pair = Pair::with(&[
        placed("near", "sat-1", &["shared"]),
        placed("far", "sat-1", &["shared-far"]),
        placed("closed", "sat-1", &["private"]),
        placed("closed-far", "sat-1", &["private-far"]),
        placed("ungranted", "sat-1", &[]),
        of_other("shared", "sat-1", true),
        of_other("shared-far", "sat-2", true),
        of_other("private", "sat-1", false),
        of_other("private-far", "sat-2", false),
    ]);
    for (caller, mode) in [("near", HandOver::Node), ("far", HandOver::Network)] {
        let invoked = pair.call(caller, "3c");
        assert!(matches!(&invoked.outcome, Outcome::Committed(done) if number(&done.body) == 1));
        assert_eq!(invoked.record.hand_over, Some(mode), "{caller}");
        assert_eq!(pair.good(caller, "4i"), b"4i");
        let handed = [&b"8"[..], &(1_u32 << 20).to_le_bytes()].concat();
        assert_eq!(pair.good(caller, handed), vec![7; 1 << 20]);
        assert!(matches!(pair.fault(caller, "3u"), Fault::Internal(_)));
    }
    for caller in ["closed", "closed-far"] {
        pair.denied(caller, "3c", "function.sharing.tenants");
    }
    pair.denied("ungranted", "3c", "does not grant call \"puppet\"");
}

#[test]
fn chains_over_nodes_end_within_their_budget() {
    let mut pair =
        Pair::with(&[placed("ping", "sat-1", &["pong"]), placed("pong", "sat-2", &["ping"])]);
    assert_eq!(pair.good("ping", "33Echo"), b"Echo");
    // Each calls the other with the same body, and so itself: six calls, and the last one has none left.
    let started = Instant::now();
    let mut endless = pair.invoke("ping", "!");
    endless.budget.calls = 6;
    let invoked = pair.controller.invoke(&node("sat-1"), &endless);
    assert!(matches!(invoked.outcome, Outcome::Failed(Fault::TooLarge(_))), "{invoked:?}");
    assert_eq!(invoked.record.calls, 6);
    // Without that bound others hold: places for calls, memory, hops.
    let invoked = pair.call("ping", "!");
    let ended = matches!(invoked.outcome, Outcome::Failed(Fault::TooLarge(_) | Fault::Busy));
    assert!(ended && invoked.record.calls <= 64, "{invoked:?}");
    // A bomb: each calls the other twice, and what comes of that does not matter.
    let mut bomb = pair.invoke("ping", "6");
    bomb.budget.calls = 20;
    let invoked = pair.controller.invoke(&node("sat-1"), &bomb);
    assert!(matches!(invoked.outcome, Outcome::Committed(_)), "{invoked:?}");
    assert!(invoked.record.calls <= 20, "{}", invoked.record.calls);
    // Hops count over nodes.
    let mut last = pair.invoke("ping", "3Echo");
    last.hops = 32;
    let invoked = pair.controller.invoke(&node("sat-1"), &last);
    assert!(matches!(invoked.outcome, Outcome::Failed(Fault::TooLarge(_))), "{invoked:?}");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert_eq!(pair.good("ping", "33Echo"), b"Echo");
}

#[test]
fn time_that_is_used_elsewhere_is_used_here() {
    let mut pair =
        Pair::with(&[placed("caller", "sat-1", &["puppet"]), placed("puppet", "sat-2", &[])]);
    // It spins there until the processor time of the chain is used up, long before the deadline.
    let started = Instant::now();
    let mut spin = pair.invoke("caller", "3s");
    spin.budget.cpu_us = 200_000;
    let invoked = pair.controller.invoke(&node("sat-1"), &spin);
    assert!(matches!(invoked.outcome, Outcome::Failed(Fault::TooLarge(_))), "{invoked:?}");
    // Nothing is left for a second call, though the first one's fault did not matter to the caller.
    let mut bomb = pair.invoke("caller", "%s");
    bomb.budget.cpu_us = 200_000;
    let invoked = pair.controller.invoke(&node("sat-1"), &bomb);
    assert!(matches!(invoked.outcome, Outcome::Failed(Fault::TooLarge(_))), "{invoked:?}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    // And until the deadline of the caller, if that comes first.
    let started = Instant::now();
    let mut late = pair.invoke("caller", "3s");
    late.deadline_ms = 400;
    let invoked = pair.controller.invoke(&node("sat-1"), &late);
    assert!(matches!(invoked.outcome, Outcome::Failed(Fault::Deadline)), "{invoked:?}");
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert_eq!(pair.good("caller", "3Echo"), b"Echo");
}
