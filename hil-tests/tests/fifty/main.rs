//! Fifty seeded schedules over real processes: links are cut or swallow everything, agents and the controller are killed
//! with SIGKILL at any moment and start again, while a workflow runs and nodes do things at times.
//!
//! At the end, when all is whole again: what is wanted runs, no acknowledged state and no durable event is missing, nothing
//! came twice, no task was taken over twice under one epoch, and no command was done twice.

mod bed;
mod chaos;
mod judge;

use bed::Bed;
use chaos::{Given, Seen};

/// Schedules.
const SEEDS: u64 = 50;

#[test]
fn fifty_schedules_of_real_processes_lose_and_repeat_nothing() {
    if let Err(missing) = artifacts::available() {
        println!("skipped: fifty_schedules_of_real_processes_lose_and_repeat_nothing: {missing}");
        return;
    }
    let mut bed = Bed::start();
    bed.runs_a_workflow();
    let (mut seen, mut given) = (Seen::default(), Vec::<Given>::new());
    for seed in 0..SEEDS {
        chaos::schedule(&mut bed, seed, &mut seen, &mut given);
    }
    // A schedule in which nothing happens proves nothing.
    println!("{SEEDS} schedules: {seen:?}, {} commands", given.len());
    assert!(10 <= seen.cuts && 10 <= seen.agents && 10 <= seen.controllers, "{seen:?}");
    bed.is_whole();
    judge::desired_runs(&bed);
    judge::nothing_waits_or_is_lost(&bed);
    judge::state_is_kept(&bed);
    let told = judge::told(&bed);
    judge::nothing_needless(&told);
    judge::every_event_came(&bed, &told, &seen.kills);
    judge::commands_once(&told, &given);
}
