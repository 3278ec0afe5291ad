//! A thousand seeded schedules of cut links, killed agents, restarted controllers, reboots and jumping clocks, over the
//! cores that decide: agent, line, queue, and the controller's fleet, executor and book of what came late.
//!
//! Shells are played here: a disk that forgets what was not synced, a link that loses questions and answers. At the
//! end, when all is whole again: what runs is what is wanted, nothing was restarted without need, no durable event is
//! missing, no command was done twice.

mod controller_side;
mod node_side;
mod world;

use world::{Chaos, World};

/// Schedules.
const SEEDS: u64 = 1_000;

#[test]
fn whatever_happens_actual_is_desired_and_nothing_is_lost_or_done_twice() {
    let mut seen = world::Seen::default();
    for seed in 0..SEEDS {
        let mut world = World::begin(seed);
        world.lives(120_000, Chaos::default());
        world.heals(seed);
        world.judge(seed);
        seen.add(&world.seen());
    }
    // A schedule in which nothing happens proves nothing.
    println!("{SEEDS} schedules: {seen:?}");
    assert!(SEEDS < seen.cuts && SEEDS < seen.kills && SEEDS < seen.reboots, "{seen:?}");
    assert!(SEEDS < seen.controllers && SEEDS < seen.commands && SEEDS < seen.late, "{seen:?}");
}

#[test]
fn without_the_queue_on_disk_events_are_lost() {
    let mut lost = 0;
    for seed in 0..50 {
        let mut world = World::begin(seed);
        world.lives(120_000, Chaos { forgets_disk: true, ..Chaos::default() });
        world.heals(seed);
        lost += world.lost_events();
    }
    assert!(0 < lost, "the checker sees nothing");
}

#[test]
fn without_the_record_of_what_has_begun_commands_are_done_twice() {
    let mut twice = 0;
    for seed in 0..200 {
        let mut world = World::begin(seed);
        world.lives(120_000, Chaos { forgets_timetable: true, ..Chaos::default() });
        world.heals(seed);
        twice += world.done_twice();
    }
    assert!(0 < twice, "the checker sees nothing");
}
