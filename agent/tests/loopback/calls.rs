//! What manifests grant, call by call, with functions in a runner of their own: state, objects, topics, models, calls.
//!
//! All are the guest of the runtime's own tests, under different names: the first byte of a body says what it does.

use std::sync::{Arc, Mutex};

use protocol::desired::{CalleeSpec, Phase, Role, TaskSpec};
use protocol::invoke::{Fault, HandOver, Invoked, Outcome};
use protocol::manifest::{Grants, Manifest};
use protocol::topic::TopicMessage;
use types::{FunctionId, NodeId, OwnerEpoch, StateKey, TenantId};

use crate::component::{PUPPET, component_of, puppet};
use crate::signing::{self, sha256, sign};
use crate::support::{
    Agent, Session, collect, desired, eventually, invoke, is_taken, keys, node, task, workflow,
};

/// The guest; it calls the function of that name.
pub(super) fn puppet_that_calls(name: &str) -> Vec<u8> {
    let text = PUPPET.replace("(data (i32.const 320) \"puppet\")", &callee(name));
    let text = text.replace("(i32.const 320) (i32.const 6)", &named(name));
    component_of("function", &text)
}

/// Where the guest has the name of what it calls; the longest name that has room there.
fn callee(name: &str) -> String {
    assert!(name.len() <= 16, "{name} is longer than the room for it");
    format!("(data (i32.const 320) \"{name}\")")
}

fn named(name: &str) -> String {
    format!("(i32.const 320) (i32.const {})", name.len())
}

/// A node with functions of that guest, each with a task of its name.
pub(super) struct Stage {
    pub(super) agent: Agent,
    pub(super) controller: Session,
    heard: Arc<Mutex<Vec<TopicMessage>>>,
    run: u64,
    _dir: tempfile::TempDir,
}

impl Stage {
    pub(super) fn with(manifests: &[(&str, Grants)]) -> Self {
        Self::changed(manifests, |_| {})
    }

    /// The same; every manifest is changed before it is signed.
    pub(super) fn changed(
        manifests: &[(&str, Grants)],
        mut change: impl FnMut(&mut Manifest),
    ) -> Self {
        let dir = tempfile::tempdir().expect("a writable directory");
        let agent = Agent::start(dir.path(), "sat-1", &[], "");
        let controller = Session::controller(&[agent.port], &[]);
        let heard = Arc::<Mutex<Vec<_>>>::default();
        let all = Arc::clone(&heard);
        collect(
            &controller.zenoh,
            &format!("{}/**", keys().topic(&node("sat-1"), "x").trim_end_matches("/x")),
            move |message| {
                all.lock().expect("no panic").push(message);
            },
        );
        let component = puppet();
        controller.hold(&component);
        let specs: Vec<TaskSpec> = manifests
            .iter()
            .map(|(name, grants)| {
                let mut manifest = signing::manifest(name, &component);
                manifest.grants = grants.clone();
                change(&mut manifest);
                spec(&controller, &manifest, &component)
            })
            .collect();
        assert!(is_taken(&controller.tell(&desired(&agent.name, 1, &specs, &[]))));
        eventually("tasks at hand", || {
            let tasks = controller.status(&agent.name).tasks;
            let active = tasks.iter().filter(|task| task.phase == Phase::Active).count();
            (active == specs.len()).then_some(())
        });
        Self { agent, controller, heard, run: 0, _dir: dir }
    }

    /// Calls a task once.
    pub(super) fn call(&mut self, name: &str, body: impl Into<Vec<u8>>) -> Invoked {
        self.run += 1;
        let invoke = invoke(name, self.run, body);
        self.controller.invoke(&self.agent.name, &invoke)
    }

    #[track_caller]
    fn good(&mut self, name: &str, body: &str) -> Vec<u8> {
        match self.call(name, body).outcome {
            Outcome::Committed(done) => done.body,
            Outcome::Failed(fault) => panic!("{name} {body}: {fault:?}"),
        }
    }

    #[track_caller]
    pub(super) fn fault(&mut self, name: &str, body: &str) -> Fault {
        match self.call(name, body).outcome {
            Outcome::Failed(fault) => fault,
            done @ Outcome::Committed(_) => panic!("{name} {body}: {done:?}"),
        }
    }

    /// A call is denied, and the caller learns which grant is missing.
    #[track_caller]
    pub(super) fn denied(&mut self, name: &str, body: &str, words: &str) {
        match self.fault(name, body) {
            Fault::Denied(text) => assert!(text.contains(words), "{text}"),
            other => panic!("{name} {body}: {other:?}"),
        }
    }

    /// What was published so far, once it is so much.
    #[track_caller]
    fn heard(&self, count: usize) -> Vec<(String, Vec<u8>)> {
        let all = eventually("messages", || {
            let heard = self.heard.lock().expect("no panic");
            (count <= heard.len()).then(|| heard.clone())
        });
        let said = |message: TopicMessage| {
            assert_eq!(message.topic, "copy");
            (message.function.as_str().to_owned(), message.body)
        };
        all.into_iter().map(said).collect()
    }
}

/// The task of a function that this node owns, of which the controller has the signed manifest; the component is held by who makes it.
pub(super) fn spec(controller: &Session, manifest: &Manifest, component: &[u8]) -> TaskSpec {
    let signed = sign(manifest);
    controller.hold(&signed);
    let function = protocol::desired::FunctionRef {
        name: manifest.name.clone(),
        sha256: sha256(component),
        bytes: u32::try_from(component.len()).expect("a few kilobytes"),
        manifest: sha256(&signed),
    };
    TaskSpec {
        workflow: workflow(),
        task: task(manifest.name.as_str()),
        function,
        role: Role::Owner { owner_epoch: OwnerEpoch(1), successor: None },
        replica: None,
        milli_cpu: types::MilliCpu(500),
        memory_mib: types::MiB(64),
        linear_memory_mib: types::MiB(64),
        deadline_ms: 20_000,
        sources: Vec::new(),
    }
}

/// Where the task of a function is.
pub(super) fn callee_spec(manifest: &Manifest, node: NodeId) -> CalleeSpec {
    let (function, workflow) = (manifest.name.clone(), workflow());
    CalleeSpec { function, workflow, task: task(manifest.name.as_str()), node }
}

pub(super) fn state(prefix: &str) -> Vec<StateKey> {
    vec![StateKey::new(prefix).expect("a valid key")]
}

fn calls() -> Vec<FunctionId> {
    vec![FunctionId::new("puppet").expect("a valid name")]
}

fn number(body: &[u8]) -> u64 {
    u64::from_le_bytes(body.try_into().expect("eight bytes"))
}

#[test]
fn state_is_what_the_manifest_grants() {
    let granted = Grants { state_prefixes: state("counter"), ..Grants::default() };
    let other = Grants { state_prefixes: state("counter2"), ..Grants::default() };
    let mut stage =
        Stage::with(&[("counts", granted), ("other", other), ("none", Grants::default())]);
    assert_eq!(number(&stage.good("counts", "c")), 1);
    assert_eq!(number(&stage.good("counts", "c")), 2);
    let missing = "does not grant state key \"counter\"";
    for name in ["other", "none"] {
        // get, put with a version, delete, a range: each by its own way to the host.
        for body in ["c", "v", "x", "0\0\0\0\0"] {
            stage.denied(name, body, missing);
        }
    }
    // A batch of two keys of which one is granted writes neither.
    stage.denied("counts", "2\0\0\0\0", "does not grant state key \"copy\"");
    assert_eq!(number(&stage.good("counts", "c")), 3);
}

#[test]
fn a_called_function_has_its_own_state_and_grants() {
    let caller = Grants { calls: calls(), ..Grants::default() };
    let puppet = Grants { state_prefixes: state("counter"), ..Grants::default() };
    let both = Grants { state_prefixes: state("counter"), calls: calls(), ..Grants::default() };
    let mut stage = Stage::with(&[("caller", caller), ("both", both), ("puppet", puppet)]);
    // The caller may not touch state, the function that it calls may.
    stage.denied("caller", "c", "the manifest of caller");
    assert_eq!(number(&stage.good("caller", "3c")), 1);
    assert_eq!(number(&stage.good("caller", "3c")), 2);
    // Where both may, each finds its own under the same key.
    assert_eq!(number(&stage.good("both", "c")), 1);
    assert_eq!(number(&stage.good("both", "3c")), 1);
    assert_eq!(number(&stage.good("both", "c")), 2);
    assert_eq!(number(&stage.good("puppet", "c")), 1);
    // What a function calls may not call: that is for its own manifest to say.
    stage.denied(
        "caller",
        "33c",
        "the manifest of puppet (version 1) does not grant call \"puppet\"",
    );
    stage.denied("puppet", "3c", "does not grant call \"puppet\"");
    // A function that is called and traps leaves nothing, and its caller goes on.
    assert!(matches!(stage.fault("caller", "3u"), Fault::Internal(_)));
    assert_eq!(number(&stage.good("caller", "3c")), 3);
    // Objects go along with a call, and to nobody who was not given them.
    assert_eq!(stage.good("caller", "4i"), b"4i");
}

#[test]
fn functions_of_other_tenants_and_those_that_are_not_here_are_not_called() {
    let caller = Grants { calls: calls(), ..Grants::default() };
    let mut stage = Stage::with(&[("caller", caller.clone())]);
    assert!(matches!(stage.fault("caller", "3Echo"), Fault::NotFound(_)));
    drop(stage);
    let mut stage = Stage::changed(&[("caller", caller), ("puppet", Grants::default())], |said| {
        if said.name.as_str() == "puppet" {
            said.tenant = TenantId::new("other").expect("a valid name");
        }
    });
    stage.denied("caller", "3Echo", "does not grant calls to functions of tenant \"default\"");
}

#[test]
fn messages_are_published_when_their_call_commits_and_not_before() {
    let topics = vec!["copy".to_owned()];
    let said = Grants { topics: topics.clone(), calls: calls(), ..Grants::default() };
    let mut stage = Stage::with(&[
        ("says", said),
        ("mute", Grants { calls: calls(), ..Grants::default() }),
        ("puppet", Grants { topics, ..Grants::default() }),
    ]);
    assert_eq!(stage.good("says", "5one"), b"5one");
    assert_eq!(stage.heard(1), [("says".to_owned(), b"5one".to_vec())]);
    stage.denied(
        "mute",
        "5two",
        "does not grant topic \"copy\"; it would be said in function.grants.topics",
    );
    // A called function says it in its own name, as soon as its caller commits.
    assert_eq!(stage.good("mute", "35three"), b"5three");
    // Nothing is heard of a call that fails after it emitted, nor of a called function, though its caller goes on.
    assert!(matches!(stage.fault("says", "=four"), Fault::Internal(_)));
    assert_eq!(stage.good("mute", "%=five"), b"%=five");
    assert_eq!(stage.good("says", "5last"), b"5last");
    let heard = stage.heard(3);
    assert_eq!(heard[1], ("puppet".to_owned(), b"5three".to_vec()));
    assert_eq!(heard[2], ("says".to_owned(), b"5last".to_vec()));
    assert_eq!(heard.len(), 3);
}

#[test]
fn a_called_function_that_fails_takes_its_writes_back_and_not_those_of_its_caller() {
    let caller = Grants { calls: calls(), ..Grants::default() };
    let puppet = Grants { state_prefixes: state("counter"), ..Grants::default() };
    let mut stage = Stage::with(&[("caller", caller), ("puppet", puppet)]);
    assert_eq!(number(&stage.good("caller", "3c")), 1);
    assert_eq!(stage.good("caller", "%=x"), b"%=x");
    assert_eq!(number(&stage.good("caller", "3c")), 2);
}

#[test]
fn a_model_must_be_granted_and_be_there() {
    let models = vec!["copy".to_owned()];
    let granted = Grants { models, ..Grants::default() };
    let mut stage = Stage::with(&[("granted", granted), ("none", Grants::default())]);
    stage.denied(
        "none",
        "&",
        "does not grant model \"copy\"; it would be said in function.grants.models",
    );
    assert!(matches!(stage.fault("granted", "&"), Fault::NotFound(_)));
}

#[test]
fn a_chain_of_calls_ends_with_the_signed_budget() {
    let caller = Grants { calls: calls(), ..Grants::default() };
    let mut stage = Stage::changed(&[("caller", caller), ("puppet", Grants::default())], |said| {
        said.budgets.calls = Some(0);
    });
    assert!(matches!(stage.fault("caller", "3Echo"), Fault::TooLarge(_)));
}

#[test]
fn a_function_stops_when_its_time_is_over_and_callers_are_told() {
    let over = types::Epoch::from_unix_s(4_000_000_000).expect("2096");
    let caller = Grants { calls: calls(), ..Grants::default() };
    let manifests = [("caller", caller), ("puppet", Grants::default())];
    let mut stage = Stage::changed(&manifests, |said| {
        said.not_after = (said.name.as_str() == "puppet").then_some(over);
    });
    assert_eq!(stage.good("puppet", "Echo"), b"Echo");
    assert_eq!(stage.good("caller", "3Echo"), b"Echo");
    // Somebody who counts vouches for a later time: for the node, it is that time now.
    let list = protocol::signed::Signers { at: over.plus_s(1.0), ..signing::signers(2, true) };
    stage.controller.trust(&list);
    let why = "puppet: it was valid until 2096";
    eventually("the end of its time", || {
        matches!(stage.call("puppet", "Echo").outcome, Outcome::Failed(_)).then_some(())
    });
    stage.denied("puppet", "Echo", why);
    stage.denied("caller", "3Echo", why);
    // Others go on, and the controller learns that this one does not.
    assert_eq!(stage.good("caller", "Echo"), b"Echo");
    eventually("its task to have failed", || {
        let tasks = stage.controller.status(&stage.agent.name).tasks;
        let failed = tasks.iter().filter(|task| task.phase == Phase::Failed);
        (failed.map(|task| task.task.as_str()).collect::<Vec<_>>() == ["puppet"]).then_some(())
    });
    stage.denied("puppet", "Echo", why);
}

#[test]
fn a_function_stops_when_its_key_is_revoked_and_callers_are_told() {
    let mut stage = Stage::with(&[("puppet", Grants::default())]);
    assert_eq!(stage.good("puppet", "Echo"), b"Echo");
    stage.controller.trust(&signing::signers(2, false));
    eventually("the revocation", || {
        matches!(stage.call("puppet", "Echo").outcome, Outcome::Failed(_)).then_some(())
    });
    stage.denied("puppet", "Echo", "which was revoked");
}

#[test]
fn functions_that_both_say_so_share_a_store_and_answer_the_same() {
    let caller = Grants { calls: calls(), ..Grants::default() };
    let puppet = Grants { state_prefixes: state("counter"), ..Grants::default() };
    let manifests = [("caller", caller), ("puppet", puppet)];
    for (says, mode) in [
        (&["caller", "puppet"][..], HandOver::Fused),
        (&["caller"], HandOver::Process),
        (&["puppet"], HandOver::Process),
    ] {
        let mut stage = Stage::changed(&manifests, |said| {
            said.sharing.fuse = says.contains(&said.name.as_str());
        });
        let invoked = stage.call("caller", "3Echo");
        assert!(matches!(&invoked.outcome, Outcome::Committed(done) if done.body == b"Echo"));
        assert_eq!(invoked.record.hand_over, Some(mode), "{says:?}");
        // Grants and state are each one's own, and what fails is taken back, in either mode.
        stage.denied("caller", "c", "the manifest of caller");
        assert_eq!(number(&stage.good("caller", "3c")), 1);
        assert_eq!(stage.good("caller", "%=x"), b"%=x");
        assert_eq!(number(&stage.good("caller", "3c")), 2);
        assert!(matches!(stage.fault("caller", "3u"), Fault::Internal(_)));
    }
}
