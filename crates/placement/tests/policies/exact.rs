//! The best plan there is, proven, of small instances: what ours is measured against. Nothing of it is ours: own delays, own room, own search.
//!
//! **Counted**, in this order, as ours promises: steps of runs at which an objective is violated; what is taken from batteries, by each task where it
//! is beyond what the node idles with, what others were promised there, and what the tasks before it in the job are, in units of 0.01 Wh; the
//! latency of the inputs of all tasks, for each the longest when it starts, in units of 0.1 ms; hand-overs; then the rest of both.
//!
//! **Which plans there are.** Each task starts at its own step on a node that meets all its objectives then. A node must be there, run the task, be open, have
//! room from when the task first comes until its run ends (on the slowest processor that may run it; nothing is given back before), and bear
//! all that is planned there over all steps. [`Rule::Fixed`] keeps each task where it starts, whatever it violates. [`Rule::WhereNeeded`] may hand
//! it over at any step at which its host violates an objective, to any node that violates none: where, and whether, is free. That is what ours
//! means by a hand-over. A hand-over that is not needed, made only to lower a latency or to make room, is in neither.
//!
//! Reading order: `instance` (what is asked, from a seed), `judge` (what a plan costs), `problem`, `bound` and `search` (the best plan), `brute` (that it is
//! the best, on instances small enough to try everything), `gap` (ours against it), `table` (what was solved).

mod bound;
mod brute;
mod gap;
mod instance;
mod judge;
mod problem;
mod search;
mod table;

use std::cmp::Ordering;

/// What a plan costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cost {
    /// Steps of runs at which an objective is violated.
    violated: u32,
    /// What is taken from batteries, µWh.
    battery_uwh: u32,
    /// The longest latency of the inputs of each task when it starts, µs, all together.
    latency_us: u32,
    /// Hand-overs.
    moves: u32,
}

/// So many µs are the same: 0.1 ms.
const RESOLUTION_US: u32 = 100;
/// So many µWh are the same: 0.01 Wh.
const RESOLUTION_UWH: u32 = 10_000;

impl Cost {
    const fn key(&self) -> (u32, u32, u32, u32, (u32, u32)) {
        let (battery, latency) =
            (self.battery_uwh / RESOLUTION_UWH, self.latency_us / RESOLUTION_US);
        (self.violated, battery, latency, self.moves, (self.latency_us, self.battery_uwh))
    }

    /// Whether it is not dearer, whatever is added to both.
    const fn is_as_good_as(&self, other: &Self) -> bool {
        self.violated < other.violated
            || (self.violated == other.violated
                && self.battery_uwh <= other.battery_uwh
                && self.latency_us <= other.latency_us
                && self.moves <= other.moves)
    }
}

impl Ord for Cost {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Cost {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Which plans there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// No hand-overs.
    Fixed,
    /// Hand-overs where an objective is violated.
    WhereNeeded,
}

/// That nothing is proven: more beginnings than were allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unsolved {
    looks_max: usize,
}
