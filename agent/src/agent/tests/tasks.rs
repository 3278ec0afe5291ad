//! Stories of the tasks on a node: taken over, prepared, handed over.

use super::*;

#[test]
fn an_owner_is_prepared_takes_over_and_tells_its_first_call() {
    let mut story = Story::begin();
    story.obeys(desired(1, 3, &[spec("ingest", OWNER)]));
    assert_eq!(story.phase("ingest"), Some(Phase::Preparing));
    let (workflow, task) = (WorkflowId::new("flood").unwrap(), TaskId::new("ingest").unwrap());
    let outputs = story.takes_role("ingest", Some(1), status(Ownership::Owner, 1, false));
    let took = EventKind::TookOver {
        workflow: workflow.clone(),
        task: task.clone(),
        owner_epoch: OwnerEpoch(1),
        from: None,
    };
    assert_eq!(events(&outputs), [took]);
    let outputs = story.loads("ingest");
    let generation = Generation(3);
    let prepared =
        EventKind::Prepared { workflow: workflow.clone(), task: task.clone(), generation };
    assert_eq!(events(&outputs), [prepared]);
    assert_eq!(story.phase("ingest"), Some(Phase::Active));
    let called = |run| Input::Called {
        group: group_named("ingest"),
        run: RunId(run),
        status: status(Ownership::Owner, 1, true),
    };
    let owner_epoch = OwnerEpoch(1);
    let first = EventKind::FirstCall { workflow, task, run: RunId(40), owner_epoch };
    assert_eq!(events(&story.says(called(40))), [first]);
    assert_eq!(events(&story.says(called(41))), []);
}

#[test]
fn a_standby_is_ready_when_code_and_state_are_here() {
    let mut story = Story::begin();
    let role = Role::Standby { owner: node("sat-2"), expected_at: now_at(60_000).sky };
    story.obeys(desired(1, 1, &[spec("detect", role)]));
    story.takes_role("detect", None, status(Ownership::Standby, 1, false));
    assert_eq!(events(&story.loads("detect")), []);
    assert_eq!(story.phase("detect"), Some(Phase::Preparing));
    let outputs = story.says(Input::GroupChanged {
        event: GroupEvent::ReplicaCurrent { group: group_named("detect") },
        status: status(Ownership::Standby, 1, true),
    });
    assert!(matches!(&events(&outputs)[..], [EventKind::Prepared { .. }]), "{outputs:?}");
    assert_eq!(story.phase("detect"), Some(Phase::Ready));
    let outputs = story.says(Input::GroupChanged {
        event: GroupEvent::TookOver {
            group: group_named("detect"),
            owner_epoch: OwnerEpoch(2),
            from: node("sat-2"),
        },
        status: status(Ownership::Owner, 2, false),
    });
    let [EventKind::TookOver { owner_epoch: OwnerEpoch(2), from: Some(from), .. }] =
        &events(&outputs)[..]
    else {
        panic!("{outputs:?}")
    };
    assert_eq!(from.as_str(), "sat-2");
    assert_eq!(story.phase("detect"), Some(Phase::Active));
    // The controller catches up: the same node, now as owner. Nothing is prepared again.
    let role = Role::Owner { owner_epoch: OwnerEpoch(2), successor: None };
    assert_eq!(events(&story.obeys(desired(1, 2, &[spec("detect", role)]))), []);
    let outputs = story.takes_role("detect", None, status(Ownership::Owner, 2, false));
    assert_eq!(events(&outputs), []);
}

pub(super) fn handing_over(at_ms: u64) -> Role {
    let successor = Successor {
        node: node("sat-2"),
        at: now_at(at_ms).sky,
        window: WindowId(9),
        window_closes: now_at(at_ms + 1000).sky,
    };
    Role::Owner { owner_epoch: OwnerEpoch(1), successor: Some(successor) }
}

#[test]
fn a_planned_hand_over_copies_at_once_and_hands_over_at_its_time_in_the_sky() {
    let mut story = Story::serving("detect", OWNER);
    let (group, to) = (group_named("detect"), node("sat-2"));
    let outputs = story.obeys(desired(1, 2, &[spec("detect", handing_over(4000))]));
    let copy = Output::Replicate { group: group.clone(), to: to.clone() };
    assert!(outputs.contains(&copy), "{outputs:?}");
    story.says(Input::Replicated {
        group: group.clone(),
        to: node("sat-2"),
        result: Ok(()),
        status: status(Ownership::Owner, 1, true),
    });
    assert_eq!(story.at(3999).says(Input::Timer), []);
    let hand_over = Output::HandOver { group: group.clone(), to: to.clone() };
    let outputs = story.at(4000).says(Input::Timer);
    assert_eq!(outputs, std::slice::from_ref(&hand_over));
    assert_eq!(story.at(4001).says(Input::Timer), [], "one at a time");
    // Nobody answers; the grant stands and is sent again.
    let reason = "no link".to_owned();
    story.says(Input::HandedOver {
        group: group.clone(),
        result: Err(TransferError::Unanswered { to: to.clone(), reason }),
        status: status(Ownership::Granting { to: to.clone() }, 1, false),
    });
    assert_eq!(story.phase("detect"), Some(Phase::Freezing));
    assert_eq!(story.at(4500).says(Input::Timer), []);
    assert_eq!(story.at(4501).says(Input::Timer), [hand_over]);
    story.says(Input::HandedOver {
        group,
        result: Ok(OwnerEpoch(2)),
        status: status(Ownership::Released { to }, 2, false),
    });
    assert_eq!(story.phase("detect"), Some(Phase::Released));
    assert_eq!(story.at(9000).says(Input::Timer), []);
}

#[test]
fn the_alarm_clock_is_set_to_the_hand_over() {
    let quiet_setup = Setup {
        report_interval: Duration::from_secs(3600),
        ping_interval: Duration::from_secs(3600),
        ..setup()
    };
    let (agent, _) = Agent::start(quiet_setup, Remembered::default(), &now_at(0));
    let mut story = Story { agent, ms: 0, next_ticket: 0 };
    story.obeys(desired(1, 1, &[spec("detect", handing_over(4000))]));
    story.takes_role("detect", Some(1), status(Ownership::Owner, 1, false));
    story.says(Input::Replicated {
        group: group_named("detect"),
        to: node("sat-2"),
        result: Ok(()),
        status: status(Ownership::Owner, 1, true),
    });
    let deadline = story.agent.deadline(&now_at(1000)).unwrap();
    assert!((Instant(3_999_999_000)..=Instant(4_000_001_000)).contains(&deadline), "{deadline:?}");
}

#[test]
fn a_refused_hand_over_is_told_and_tried_again_later() {
    let mut story = Story::serving("detect", handing_over(1000));
    let (group, to) = (group_named("detect"), node("sat-2"));
    let outputs = story.at(1000).says(Input::Timer);
    assert_eq!(outputs, [], "the copy is still under way");
    story.says(Input::Replicated {
        group: group.clone(),
        to: node("sat-2"),
        result: Ok(()),
        status: status(Ownership::Owner, 1, true),
    });
    let reason = "no space".to_owned();
    let outputs = story.at(1100).says(Input::HandedOver {
        group: group.clone(),
        result: Err(TransferError::Refused { to: to.clone(), reason }),
        status: status(Ownership::Owner, 2, false),
    });
    let [EventKind::Refused { reason }] = &events(&outputs)[..] else { panic!("{outputs:?}") };
    assert!(reason.contains("no space"), "{reason}");
    assert_eq!(story.at(3099).says(Input::Timer), []);
    assert_eq!(story.at(3100).says(Input::Timer), [Output::HandOver { group, to }]);
}

#[test]
fn a_role_that_could_not_be_stored_is_tried_again() {
    let mut story = Story::begin();
    let ingest = spec("ingest", OWNER);
    story.obeys(desired(1, 1, std::slice::from_ref(&ingest)));
    let outputs = story.says(Input::RoleTaken {
        group: group_named("ingest"),
        result: Err("disk full".to_owned()),
        status: status(Ownership::Unknown, 0, false),
    });
    assert!(matches!(&events(&outputs)[..], [EventKind::Refused { .. }]));
    assert_eq!(story.at(2000).says(Input::Timer), [Output::Hold(Box::new(ingest))]);
}

#[test]
fn code_that_cannot_run_is_told_and_loaded_anew_only_when_asked() {
    let mut story = Story::begin();
    story.obeys(desired(1, 1, &[spec("ingest", OWNER)]));
    let manifest = spec("ingest", OWNER).function.manifest;
    let result = Err("not a component".to_owned());
    let outputs = story.says(Input::Loaded { manifest, result });
    let [EventKind::Refused { reason }] = &events(&outputs)[..] else { panic!("{outputs:?}") };
    assert_eq!(reason, "flood.ingest cannot run ingest: not a component");
    assert_eq!(story.phase("ingest"), Some(Phase::Failed));
    // It is looked at again when the list of signers changes: no news is not told twice, good news counts.
    let result = Err("not a component".to_owned());
    assert_eq!(events(&story.says(Input::Loaded { manifest, result })), []);
    story.says(Input::Loaded { manifest, result: Ok(()) });
    assert_ne!(story.phase("ingest"), Some(Phase::Failed));
    let result = Err("it is signed with a key that was revoked".to_owned());
    let outputs = story.says(Input::Loaded { manifest, result });
    assert!(matches!(&events(&outputs)[..], [EventKind::Refused { .. }]), "{outputs:?}");
    assert_eq!(story.phase("ingest"), Some(Phase::Failed));
    let changed = TaskSpec { deadline_ms: 1, ..spec("ingest", OWNER) };
    let outputs = story.obeys(desired(1, 2, &[changed]));
    assert!(matches!(&outputs[0], Output::Load(_)), "{outputs:?}");
}
