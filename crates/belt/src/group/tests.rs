//! Ownership, told as stories: what happens to a node, and what it does.

use proptest::prelude::*;

use super::*;

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

const fn e(epoch: u64) -> OwnerEpoch {
    OwnerEpoch(epoch)
}

const fn stamp(epoch: u64, seq: u64) -> Stamp {
    Stamp { epoch: OwnerEpoch(epoch), seq }
}

fn incoming(kind: Kind, epoch: u64, from: &str, stamp: Stamp) -> Incoming {
    Incoming { kind, epoch: e(epoch), from: node(from), stamp, room: true }
}

fn copy(epoch: u64, from: &str, seq: u64) -> Incoming {
    incoming(Kind::Copy, epoch, from, stamp(epoch, seq))
}

/// A grant of `epoch` by the owner of the epoch before.
fn grant(epoch: u64, from: &str, seq: u64) -> Incoming {
    incoming(Kind::Grant, epoch, from, stamp(epoch - 1, seq))
}

/// Outputs in short: `persist` once for each record, without what is in it.
fn shown(outputs: &[Output]) -> String {
    let word = |output: &Output| match output {
        Output::Persist { with: With::Nothing, .. } => "persist".to_owned(),
        Output::Persist { with: With::Call, .. } => "persist call".to_owned(),
        Output::Persist { with: With::Bundle { keep_old: false }, .. } => {
            "persist bundle".to_owned()
        }
        Output::Persist { with: With::Bundle { keep_old: true }, .. } => {
            "persist bundle and keep old".to_owned()
        }
        Output::Admit { epoch } => format!("admit {epoch}"),
        Output::RefuseCall(CallRefusal::NotHere) => "not here".to_owned(),
        Output::RefuseCall(CallRefusal::Wait) => "wait".to_owned(),
        Output::RefuseCall(CallRefusal::Moved { to, epoch }) => format!("moved {to} {epoch}"),
        Output::Committed { stamp } => format!("committed {}.{}", stamp.epoch, stamp.seq),
        Output::Quiet => "quiet".to_owned(),
        Output::SendGrant { to, epoch } => format!("send grant {to} {epoch}"),
        Output::Released { to, epoch } => format!("released {to} {epoch}"),
        Output::Resumed { epoch } => format!("resumed {epoch}"),
        Output::TookOver { epoch, from: None } => format!("took over {epoch}"),
        Output::TookOver { epoch, from: Some(from) } => format!("took over {epoch} from {from}"),
        Output::SteppedDown => "stepped down".to_owned(),
        Output::Outranked { fence } => format!("outranked {fence}"),
        Output::NotOwner => "not owner".to_owned(),
        Output::Take => "take".to_owned(),
        Output::ReplyDurable => "durable".to_owned(),
        Output::ReplyFenced { epoch } => format!("fenced {epoch}"),
        Output::ReplyDeclined => "declined".to_owned(),
        Output::ReplyNoRoom => "no room".to_owned(),
    };
    outputs.iter().map(word).collect::<Vec<_>>().join(", ")
}

/// Plays the inputs to a new machine. `None` is a crash: what was persisted last is all that is left.
#[track_caller]
fn check(story: Vec<(Option<Input>, &str)>) -> Group {
    let mut group = Group::new(Record::default());
    let mut disk = Record::default();
    for (step, (input, expected)) in story.into_iter().enumerate() {
        let Some(input) = input else {
            group = Group::new(disk.clone());
            continue;
        };
        let outputs = group.handle(input.clone());
        assert_eq!(shown(&outputs), expected, "step {step}: {input:?}");
        for output in outputs {
            if let Output::Persist { record, .. } = output {
                disk = record;
            }
        }
    }
    group
}

fn own(epoch: u64) -> Option<Input> {
    Some(Input::Own { epoch: e(epoch) })
}

fn stand_by(owner: &str) -> Option<Input> {
    Some(Input::StandBy { owner: node(owner) })
}

fn freeze(to: &str, epoch: u64) -> Option<Input> {
    Some(Input::Freeze { to: node(to), epoch: e(epoch) })
}

fn caught_up(epoch: u64, seq: u64) -> Option<Input> {
    Some(Input::CaughtUp { found: Some(stamp(epoch, seq)) })
}

fn commit(epoch: u64) -> Option<Input> {
    Some(Input::Commit { epoch: e(epoch) })
}

fn grant_answered(epoch: u64, answer: Answer) -> Option<Input> {
    Some(Input::GrantAnswered { epoch: e(epoch), answer })
}

fn copy_answered(stamp: Stamp, answer: Answer) -> Option<Input> {
    Some(Input::CopyAnswered { stamp, answer })
}

const CALL: Option<Input> = Some(Input::Call);
const ENDED: Option<Input> = Some(Input::CallEnded);
const GRANT: Option<Input> = Some(Input::Grant);
const CRASH: Option<Input> = None;

#[test]
fn an_owner_serves_hands_over_and_sends_callers_on() {
    let group = check(vec![
        (CALL, "not here"),
        (own(1), "persist, took over 1"),
        (own(1), ""),
        (CALL, "admit 1"),
        (CALL, "admit 1"),
        (commit(1), "persist call, committed 1.1"),
        (ENDED, ""),
        (freeze("b", 1), ""),
        (CALL, "wait"),
        (commit(1), "persist call, committed 1.2"),
        (ENDED, "quiet"),
        (GRANT, "persist, send grant b 2"),
        (CALL, "moved b 2"),
        (commit(1), "moved b 2"),
        (grant_answered(2, Answer::Silence), ""),
        (freeze("b", 1), "send grant b 2"),
        (freeze("c", 1), "not owner"),
        (grant_answered(2, Answer::Durable), "persist, released b 2"),
        (grant_answered(2, Answer::Durable), ""),
        (freeze("b", 1), "released b 2"),
        (CALL, "moved b 2"),
        (own(1), "outranked 2"),
    ]);
    assert_eq!(group.covered(e(2)), Covered::By(node("b")));
    assert_eq!(group.covered(e(4)), Covered::No);
}

#[test]
fn a_standby_becomes_owner_when_the_grant_has_arrived() {
    check(vec![
        (stand_by("a"), "persist"),
        (CALL, "wait"),
        (Some(Input::Offered(copy(1, "a", 5))), "persist, take"),
        (Some(Input::Arrived(copy(1, "a", 5))), "persist bundle, durable"),
        (Some(Input::Offered(copy(1, "a", 4))), "durable"),
        (Some(Input::Offered(grant(2, "a", 7))), "take"),
        (CRASH, ""),
        (Some(Input::Offered(grant(2, "a", 7))), "take"),
        (Some(Input::Arrived(grant(2, "a", 7))), "persist bundle, durable, took over 2 from a"),
        (Some(Input::Arrived(grant(2, "a", 7))), "durable"),
        (Some(Input::Offered(grant(2, "a", 7))), "durable"),
        (Some(Input::Offered(copy(1, "a", 8))), "fenced 2"),
        // The word that led to the grant comes again, for example after a restart.
        (stand_by("a"), ""),
        (CRASH, ""),
        (stand_by("a"), ""),
        (CALL, "admit 2"),
        (commit(2), "persist call, committed 2.8"),
        (own(2), ""),
    ]);
}

#[test]
fn a_grant_that_brings_nothing_new_is_taken_at_once() {
    check(vec![
        (stand_by("a"), "persist"),
        (Some(Input::Arrived(copy(1, "a", 5))), "persist bundle, durable"),
        (Some(Input::Offered(grant(2, "a", 5))), "persist, durable, took over 2 from a"),
    ]);
}

#[test]
fn after_a_crash_a_persisted_grant_stands_and_a_freeze_does_not() {
    check(vec![
        (own(1), "persist, took over 1"),
        (freeze("b", 1), "quiet"),
        (CRASH, ""),
        (CALL, "admit 1"),
        (ENDED, ""),
        (freeze("b", 1), "quiet"),
        (GRANT, "persist, send grant b 2"),
        (CRASH, ""),
        (own(1), "outranked 2"),
        (CALL, "moved b 2"),
        (freeze("b", 1), "send grant b 2"),
    ]);
}

#[test]
fn a_declined_grant_comes_back_under_its_own_epoch() {
    check(vec![
        (own(1), "persist, took over 1"),
        (freeze("b", 1), "quiet"),
        (GRANT, "persist, send grant b 2"),
        (grant_answered(2, Answer::Declined), "persist, resumed 2"),
        (CALL, "admit 2"),
        (commit(1), "wait"),
        (commit(2), "persist call, committed 2.1"),
        // A late answer to the same grant means nothing any more.
        (grant_answered(2, Answer::Durable), ""),
        // The controller has not said epoch 2 yet: nothing may be granted that it cannot know of.
        (freeze("c", 1), "not owner"),
        (freeze("c", 2), ""),
    ]);
}

#[test]
fn who_declines_a_grant_never_takes_it_later() {
    check(vec![
        (Some(Input::Offered(grant(2, "a", 7))), "persist, declined"),
        (stand_by("a"), "persist"),
        (Some(Input::Offered(grant(2, "a", 7))), "declined"),
        (CRASH, ""),
        (Some(Input::Arrived(grant(2, "a", 7))), "declined"),
        (Some(Input::Offered(copy(1, "a", 7))), "fenced 2"),
        (Some(Input::Offered(copy(2, "a", 8))), "take"),
        (Some(Input::Offered(grant(3, "a", 8))), "take"),
        (Some(Input::Arrived(grant(3, "a", 8))), "persist bundle, durable, took over 3 from a"),
    ]);
}

#[test]
fn without_room_a_copy_is_refused_and_a_grant_declined() {
    let full = |incoming: Incoming| Input::Offered(Incoming { room: false, ..incoming });
    check(vec![
        (stand_by("a"), "persist"),
        (Some(full(copy(1, "a", 5))), "persist, no room"),
        (Some(full(grant(2, "a", 5))), "persist, declined"),
        (Some(Input::Offered(grant(2, "a", 5))), "declined"),
    ]);
}

#[test]
fn a_failover_outranks_owner_standby_and_grant() {
    check(vec![
        (own(1), "persist, took over 1"),
        (CALL, "admit 1"),
        (copy_answered(stamp(1, 0), Answer::Fenced { epoch: e(3) }), "persist, stepped down"),
        (commit(1), "not here"),
        (CALL, "not here"),
        (own(1), "outranked 3"),
        (Some(Input::Offered(copy(3, "c", 0))), "take"),
    ]);
    check(vec![
        (stand_by("a"), "persist"),
        (Some(Input::Arrived(copy(1, "a", 5))), "persist bundle, durable"),
        (own(3), "persist, took over 3"),
        (Some(Input::Offered(grant(2, "a", 6))), "fenced 3"),
        (Some(Input::Arrived(copy(1, "a", 6))), "fenced 3"),
        (commit(3), "persist call, committed 3.6"),
    ]);
    check(vec![
        (own(1), "persist, took over 1"),
        (freeze("b", 1), "quiet"),
        (GRANT, "persist, send grant b 2"),
        (grant_answered(2, Answer::Fenced { epoch: e(4) }), "persist, stepped down"),
        (CALL, "moved b 2"),
        (own(3), "outranked 4"),
        (own(5), "persist, took over 5"),
        (CALL, "admit 5"),
    ]);
}

#[test]
fn after_a_failover_the_freshest_copy_counts() {
    let group = check(vec![
        (Some(Input::Arrived(copy(1, "a", 5))), "persist bundle, durable"),
        (own(3), "persist, took over 3"),
        (CRASH, ""),
        (freeze("b", 3), "not owner"),
        (caught_up(1, 9), "persist bundle"),
        (caught_up(1, 11), ""),
        (commit(3), "persist call, committed 3.10"),
    ]);
    assert_eq!(group.record().unchecked, None);
    // Nothing fresher, or nothing that could be: what is held stays.
    for (epoch, seq) in [(1, 4), (1, 5), (3, 9), (4, 1)] {
        check(vec![
            (Some(Input::Arrived(copy(1, "a", 5))), "persist bundle, durable"),
            (own(3), "persist, took over 3"),
            (caught_up(epoch, seq), "persist"),
            (commit(3), "persist call, committed 3.6"),
        ]);
    }
    // Too late, or not needed.
    check(vec![
        (own(3), "persist, took over 3"),
        (commit(3), "persist call, committed 3.1"),
        (caught_up(1, 9), ""),
    ]);
    check(vec![(own(1), "persist, took over 1"), (caught_up(0, 9), "")]);
    check(vec![
        (stand_by("a"), "persist"),
        (Some(Input::Arrived(grant(2, "a", 7))), "persist bundle, durable, took over 2 from a"),
        (caught_up(1, 9), ""),
    ]);
}

#[test]
fn the_fence_is_asked_again_when_all_has_arrived() {
    check(vec![
        (Some(Input::Offered(copy(1, "a", 5))), "persist, take"),
        (own(3), "persist, took over 3"),
        (Some(Input::Arrived(copy(1, "a", 5))), "fenced 3"),
    ]);
}

#[test]
fn an_owner_that_meets_a_newer_one_steps_down_and_keeps_what_only_it_has() {
    check(vec![
        (own(1), "persist, took over 1"),
        (commit(1), "persist call, committed 1.1"),
        (copy_answered(stamp(1, 1), Answer::Durable), ""),
        (commit(1), "persist call, committed 1.2"),
        (Some(Input::Offered(copy(3, "c", 1))), "persist, stepped down, take"),
        (Some(Input::Arrived(copy(3, "c", 1))), "persist bundle and keep old, durable"),
        (Some(Input::Arrived(copy(3, "c", 2))), "persist bundle, durable"),
    ]);
    check(vec![
        (own(1), "persist, took over 1"),
        (commit(1), "persist call, committed 1.1"),
        (copy_answered(stamp(1, 1), Answer::Durable), ""),
        (Some(Input::Arrived(copy(3, "c", 1))), "persist bundle, durable, stepped down"),
    ]);
}

#[test]
fn the_desired_state_can_end_an_ownership() {
    check(vec![
        (own(1), "persist, took over 1"),
        (Some(Input::Drop), "persist, stepped down"),
        (Some(Input::Drop), ""),
        (own(1), "persist, took over 1"),
        (stand_by("c"), "persist, stepped down"),
        (own(1), "persist, took over 1"),
        (Some(Input::Offered(copy(3, "c", 1))), "persist, stepped down, take"),
        (own(1), "outranked 3"),
    ]);
}

fn any_input() -> impl Strategy<Value = Option<Input>> {
    let names = prop::sample::select(vec!["a", "b", "c"]);
    let answers = prop_oneof![
        Just(Answer::Durable),
        Just(Answer::Declined),
        Just(Answer::Silence),
        (1_u64..9).prop_map(|epoch| Answer::Fenced { epoch: e(epoch) }),
    ];
    let bundles = (any::<bool>(), 1_u64..9, names.clone(), 0_u64..9, any::<bool>()).prop_map(
        |(is_grant, epoch, from, seq, room)| {
            let bundle = if is_grant { grant(epoch, from, seq) } else { copy(epoch, from, seq) };
            Incoming { room, ..bundle }
        },
    );
    prop_oneof![
        Just(CRASH),
        Just(CALL),
        Just(ENDED),
        Just(GRANT),
        Just(Some(Input::Drop)),
        Just(Some(Input::Thaw)),
        (1_u64..9).prop_map(own),
        (1_u64..9).prop_map(commit),
        (0_u64..9, 0_u64..9).prop_map(|(epoch, seq)| caught_up(epoch, seq)),
        names.clone().prop_map(stand_by),
        (names, 1_u64..9).prop_map(|(to, epoch)| freeze(to, epoch)),
        (1_u64..9, answers.clone()).prop_map(|(epoch, answer)| grant_answered(epoch, answer)),
        (1_u64..9, 0_u64..9, answers)
            .prop_map(|(epoch, seq, answer)| copy_answered(stamp(epoch, seq), answer)),
        bundles.clone().prop_map(|bundle| Some(Input::Offered(bundle))),
        bundles.prop_map(|bundle| Some(Input::Arrived(bundle))),
    ]
}

proptest! {
    /// Whatever comes in whatever order: the fence never falls, what was owned or declined is remembered, an epoch
    /// once granted or lost is never owned again, and whatever was said rests on what is durable.
    #[test]
    fn no_order_of_events_breaks_the_rules(inputs in prop::collection::vec(any_input(), 1..60)) {
        let mut group = Group::new(Record::default());
        let mut disk = Record::default();
        let mut granted = std::collections::BTreeSet::new();
        for input in inputs {
            let Some(input) = input else {
                group = Group::new(disk.clone());
                continue;
            };
            let before = group.record().clone();
            let outputs = group.handle(input);
            let after = group.record();
            prop_assert!(before.fence <= after.fence);
            prop_assert!(before.owned <= after.owned);
            prop_assert!(before.declined <= after.declined);
            prop_assert!(before.stamp <= after.stamp, "{before:?} {after:?}");
            for output in outputs {
                match output {
                    Output::Persist { record, .. } => disk = record,
                    Output::SendGrant { epoch, .. } => {
                        prop_assert!(matches!(disk.part, Part::Granted { .. }), "sent before durable");
                        granted.insert(epoch);
                    }
                    Output::TookOver { epoch, .. } | Output::Resumed { epoch } => {
                        prop_assert_eq!(disk.owned, epoch, "owner before durable");
                        prop_assert!(!granted.iter().any(|g| epoch < *g), "owner below its own grant");
                        prop_assert_eq!(disk.fence, epoch);
                    }
                    Output::Admit { epoch } => {
                        prop_assert_eq!(disk.fence, epoch, "serves under an old epoch");
                        let owner = matches!(disk.part, Part::Owner { .. });
                        prop_assert!(owner, "serves without owning");
                    }
                    Output::ReplyDeclined => prop_assert!(disk.declined.is_some()),
                    _ => {}
                }
            }
        }
    }
}
