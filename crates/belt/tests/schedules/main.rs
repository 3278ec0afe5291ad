//! Thousands of schedules of crashes, cuts, losses and hand-overs over the real machines: nothing acknowledged is lost,
//! no epoch has two owners. And the other way round: each rule, when broken on purpose, is found by the same checker.

mod audit;
mod control;
mod disk;
mod node;
mod plan;
mod rng;
mod send;
mod world;

use audit::Violation;
use plan::Mutation;
use world::{Faults, play, tell};

/// Schedules of each kind; a thousand take two seconds.
const SCHEDULES: u64 = 1000;
/// Schedules in which a broken rule must show; most do within a hundred.
const SEARCHED: u64 = 10_000;

#[derive(Debug, Default)]
struct Totals {
    acknowledged: usize,
    two_copies: usize,
    hand_overs: u32,
    failovers: u32,
    resumed: u32,
    crashes: u32,
}

#[track_caller]
fn nothing_is_lost(faults: Faults) -> Totals {
    let mut totals = Totals::default();
    for seed in 0..SCHEDULES {
        let report = play(seed, faults, Mutation::None);
        assert!(
            report.violations.is_empty(),
            "{}\nseed {seed} of {faults:?} violates {:?}",
            tell(seed, faults, Mutation::None).join("\n"),
            report.violations
        );
        totals.acknowledged += report.audit.acknowledgements();
        totals.two_copies += report.audit.with_two_copies();
        totals.hand_overs += report.audit.hand_overs;
        totals.failovers += report.audit.failovers;
        totals.resumed += report.audit.resumed;
        totals.crashes += report.audit.crashes;
    }
    totals
}

#[test]
fn crashes_and_cuts_lose_nothing() {
    let totals = nothing_is_lost(Faults::CrashesAndCuts);
    println!("{SCHEDULES} schedules with crashes and cuts: {totals:?}");
    // The schedules are worth something only if they are eventful.
    assert!(20_000 < totals.acknowledged && 15_000 < totals.two_copies, "{totals:?}");
    assert!(3_000 < totals.hand_overs && 500 < totals.failovers, "{totals:?}");
    assert!(50 < totals.resumed && 2_000 < totals.crashes, "{totals:?}");
}

#[test]
fn a_dead_disk_loses_nothing() {
    let totals = nothing_is_lost(Faults::OneDisk);
    println!("{SCHEDULES} schedules with a dead disk: {totals:?}");
    assert!(20_000 < totals.two_copies && 3_000 < totals.hand_overs, "{totals:?}");
}

#[test]
fn a_kill_in_the_middle_of_a_change_loses_nothing() {
    let totals = nothing_is_lost(Faults::OneKill);
    println!("{SCHEDULES} schedules with a kill: {totals:?}");
    assert!(20_000 < totals.two_copies && 3_000 < totals.hand_overs, "{totals:?}");
}

#[test]
fn a_seed_tells_one_story() {
    for faults in [Faults::CrashesAndCuts, Faults::OneDisk] {
        assert_eq!(tell(7, faults, Mutation::None), tell(7, faults, Mutation::None));
        assert_ne!(tell(7, faults, Mutation::None), tell(8, faults, Mutation::None));
    }
}

/// Breaks one rule in the hands that carry the outputs out, and expects the checker to find the damage.
#[track_caller]
fn find(mutation: Mutation, faults: Faults, damage: fn(&Violation) -> bool) -> String {
    for seed in 0..SEARCHED {
        let found = play(seed, faults, mutation).violations;
        if let Some(violation) = found.iter().find(|violation| damage(violation)) {
            return format!("{mutation:?}: seed {seed} of {faults:?} finds {violation:?}");
        }
    }
    panic!("{mutation:?} stays unnoticed in {SEARCHED} schedules of {faults:?}");
}

const fn is_lost(violation: &Violation) -> bool {
    matches!(violation, Violation::StateLost { .. } | Violation::OutputsLost { .. })
}

#[test]
fn leaving_a_sync_out_loses_acknowledged_writes() {
    println!("{}", find(Mutation::NoSyncOfCalls, Faults::CrashesAndCuts, is_lost));
    println!("{}", find(Mutation::NoSyncOfBundles, Faults::CrashesAndCuts, is_lost));
    println!("{}", find(Mutation::AnswerBeforePersist, Faults::CrashesAndCuts, is_lost));
}

#[test]
fn sending_a_grant_before_it_is_durable_lets_two_nodes_serve() {
    let served_on = |violation: &Violation| matches!(violation, Violation::ServedAfterGrant { .. });
    println!("{}", find(Mutation::NoSyncOfRecords, Faults::CrashesAndCuts, served_on));
}

#[test]
fn leaving_the_fence_out_loses_acknowledged_writes() {
    println!("{}", find(Mutation::IgnoreFence, Faults::CrashesAndCuts, is_lost));
    println!("{}", find(Mutation::FenceOnlyAtOffer, Faults::CrashesAndCuts, is_lost));
    println!("{}", find(Mutation::FailoverByOne, Faults::CrashesAndCuts, is_lost));
    println!("{}", find(Mutation::NoFenceShown, Faults::OneKill, is_lost));
}

#[test]
fn leaving_the_second_copy_out_loses_acknowledged_writes() {
    println!("{}", find(Mutation::NoSecondCopy, Faults::OneDisk, is_lost));
    println!("{}", find(Mutation::NoSecondCopy, Faults::CrashesAndCuts, is_lost));
    println!("{}", find(Mutation::NothingKept, Faults::CrashesAndCuts, is_lost));
    println!("{}", find(Mutation::NoCatchUp, Faults::OneKill, is_lost));
}

#[test]
fn taking_silence_for_a_refusal_makes_two_owners() {
    let two = |violation: &Violation| matches!(violation, Violation::TwoOwners { .. });
    println!("{}", find(Mutation::SilenceIsRefusal, Faults::CrashesAndCuts, two));
}

#[test]
fn without_stage_table_or_hashes_the_state_is_wrong() {
    let twice = |violation: &Violation| matches!(violation, Violation::Twice { .. });
    println!("{}", find(Mutation::NoStageTable, Faults::CrashesAndCuts, twice));
    let garbage = |violation: &Violation| matches!(violation, Violation::Garbage);
    println!("{}", find(Mutation::NoHashCheck, Faults::CrashesAndCuts, garbage));
}
