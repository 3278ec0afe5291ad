//! What an agent does with functions that it may not run, and with code that comes slowly.

use protocol::desired::{Phase, Role, TaskSpec};
use protocol::event::EventKind;
use types::OwnerEpoch;

use crate::signing::{self, sha256, sign};
use crate::support::{
    Agent, Session, desired, eventually, functions_are_built, is_taken, module, node, task_spec,
};

const OWNER: Role = Role::Owner { owner_epoch: OwnerEpoch(1), successor: None };

/// How the only task stands.
fn phase(controller: &Session, agent: &Agent) -> Option<Phase> {
    controller.status(&agent.name).tasks.first().map(|task| task.phase)
}

#[track_caller]
fn becomes(controller: &Session, agent: &Agent, wanted: Phase) {
    eventually(&format!("{wanted:?}"), || (phase(controller, agent) == Some(wanted)).then_some(()));
}

/// Waits for the event that says why a function does not run.
#[track_caller]
fn refused(controller: &Session, words: &str) {
    controller.event(words, |event| match &event.kind {
        EventKind::Refused { reason } if reason.contains(words) => Some(()),
        _ => None,
    });
}

/// The task of `prepare-ds` under another manifest, which the controller has.
fn with_manifest(
    controller: &Session,
    change: impl FnOnce(&mut protocol::manifest::Manifest),
) -> TaskSpec {
    let component = module("prepare-ds");
    let mut manifest = signing::manifest("prepare-ds", &component);
    change(&mut manifest);
    let signed = sign(&manifest);
    controller.hold(&signed);
    let mut spec = task_spec("prepare-ds", OWNER, None);
    spec.function.manifest = sha256(&signed);
    spec
}

#[test]
fn a_key_is_trusted_while_the_agent_runs_and_revoked_for_good() {
    if !functions_are_built() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(dir.path(), "drone", &[], "");
    let nobody = protocol::signed::Signers { trusted: Vec::new(), ..signing::signers(2, true) };
    let controller = Session::trusting(&[agent.port], &["prepare-ds"], nobody);
    let spec = task_spec("prepare-ds", OWNER, None);
    assert!(is_taken(&controller.tell(&desired(&node("drone"), 1, &[spec], &[]))));
    becomes(&controller, &agent, Phase::Failed);
    refused(&controller, "which is not trusted");
    controller.trust(&signing::signers(3, true));
    becomes(&controller, &agent, Phase::Active);
    controller.trust(&signing::signers(4, false));
    becomes(&controller, &agent, Phase::Failed);
    refused(&controller, "which was revoked");
    // Neither an older list, nor a newer one that forgot, nor a kill brings it back.
    controller.trust(&signing::signers(3, true));
    controller.trust(&signing::signers(5, true));
    agent.kill();
    agent.restart();
    becomes(&controller, &agent, Phase::Failed);
    // It is refused for that, and not because nobody could be asked.
    let told = |kind: &EventKind| matches!(kind, EventKind::Refused { reason } if reason.contains("which was revoked"));
    eventually("the same refusal", || {
        (2 <= controller.events_of(&agent.name).iter().filter(|kind| told(kind)).count())
            .then_some(())
    });
}

#[test]
fn an_older_version_and_one_out_of_its_time_do_not_run() {
    if !functions_are_built() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(dir.path(), "drone", &[], "");
    let controller = Session::controller(&[agent.port], &["prepare-ds"]);
    let newest = with_manifest(&controller, |manifest| manifest.version = 7);
    assert!(is_taken(&controller.tell(&desired(
        &node("drone"),
        1,
        std::slice::from_ref(&newest),
        &[]
    ))));
    becomes(&controller, &agent, Phase::Active);
    agent.kill();
    agent.restart();
    becomes(&controller, &agent, Phase::Active);
    let older = with_manifest(&controller, |manifest| manifest.version = 6);
    assert!(is_taken(&controller.tell(&desired(&node("drone"), 2, &[older], &[]))));
    becomes(&controller, &agent, Phase::Failed);
    refused(&controller, "version 6 is lower than 7");
    let epoch = types::Epoch::from_unix_s(1_000_000_000).expect("2001");
    let expired = with_manifest(&controller, |manifest| {
        (manifest.version, manifest.not_after) = (8, Some(epoch));
    });
    assert!(is_taken(&controller.tell(&desired(&node("drone"), 3, &[expired], &[]))));
    refused(&controller, "it was valid until 2001");
    let elsewhere = with_manifest(&controller, |manifest| {
        (manifest.version, manifest.world) = (9, [0; 32]);
    });
    assert!(is_taken(&controller.tell(&desired(&node("drone"), 4, &[elsewhere], &[]))));
    refused(&controller, "another contract");
    // After all that the good one runs.
    assert!(is_taken(&controller.tell(&desired(&node("drone"), 5, &[newest], &[]))));
    becomes(&controller, &agent, Phase::Active);
}

#[test]
fn a_module_that_comes_late_is_waited_for() {
    if !functions_are_built() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let agent = Agent::start(dir.path(), "drone", &[], "");
    // The controller has neither component nor manifest yet.
    let controller = Session::controller(&[agent.port], &[]);
    let spec = with_manifest(&controller, |_| {});
    assert!(is_taken(&controller.tell(&desired(&node("drone"), 1, &[spec], &[]))));
    becomes(&controller, &agent, Phase::Preparing);
    controller.hold(&module("prepare-ds"));
    becomes(&controller, &agent, Phase::Active);
}
