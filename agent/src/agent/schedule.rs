//! When reports and measurements are due: each once an interval, reports together, measurements spread over it.

use std::time::Duration;

use protocol::report::Group;
use types::{Instant, NodeId};

/// The groups that every node reports.
///
/// What a node does not have, a graphics processor or a place, is not reported; neither is what there is nothing to say of.
pub(super) const GROUPS: [Group; 10] = [
    Group::Power,
    Group::Thermal,
    Group::Compute,
    Group::Link,
    Group::Function,
    Group::Queue,
    Group::Gpu,
    Group::Position,
    Group::Backlog,
    Group::Life,
];

/// Things that recur.
#[derive(Debug)]
pub(super) struct Rounds<T> {
    interval: Duration,
    next: Vec<(T, Instant)>,
}

impl<T: Clone> Rounds<T> {
    /// All at once: a node that has nothing else to do wakes up once.
    pub(super) fn together(start: Instant, interval: Duration, things: &[T]) -> Self {
        Self { interval, next: things.iter().map(|thing| (thing.clone(), start)).collect() }
    }

    /// Evenly over the interval.
    pub(super) fn spread(start: Instant, interval: Duration, things: &[T]) -> Self {
        let count = u32::try_from(things.len()).unwrap_or(u32::MAX).max(1);
        let spread = interval / count;
        let mut at = start;
        let mut next = Vec::new();
        for thing in things {
            next.push((thing.clone(), at));
            at = at.plus(spread);
        }
        Self { interval, next }
    }

    /// What is due. What was missed is not caught up on.
    pub(super) fn due(&mut self, now: Instant) -> Vec<T> {
        let mut due = Vec::new();
        for (thing, at) in &mut self.next {
            if now < *at {
                continue;
            }
            due.push(thing.clone());
            let planned = at.plus(self.interval);
            *at = if now < planned { planned } else { now.plus(self.interval) };
        }
        due
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next.iter().map(|(_, at)| *at).min()
    }
}

/// Reports and measurements of one node.
#[derive(Debug)]
pub(super) struct Schedule {
    pub(super) reports: Rounds<Group>,
    pub(super) pings: Rounds<NodeId>,
}

impl Schedule {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.reports.deadline().into_iter().chain(self.pings.deadline()).min()
    }
}
