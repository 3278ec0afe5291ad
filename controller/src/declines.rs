//! Which node has declined which task: what it was told was too much for it, or it cannot run the function.
//!
//! A node knows best what it can do, and the planner goes by what it was told before. So a node's no sends the task to
//! the next best one at once; and since the reason may pass, it is asked again, each time after twice as long. Performs
//! no I/O and reads no clock.

use std::collections::BTreeMap;
use std::time::Duration;

use types::{Instant, NodeId, WorkflowId};

use crate::hosting::TaskKey;

/// For how long (wall) a first no counts, and at most each that follows on it.
const COUNTS: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(640));
/// A no that has not been repeated for so long (wall) after it counted is forgotten.
const REMEMBERED: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug, PartialEq)]
struct Decline {
    reason: String,
    until: Instant,
    counts: Duration,
}

/// All that nodes have declined.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declines {
    by_node: BTreeMap<NodeId, BTreeMap<TaskKey, Decline>>,
}

impl Declines {
    /// A node says no; `true` if that is news.
    pub fn add(&mut self, now: Instant, node: &NodeId, key: &TaskKey, reason: &str) -> bool {
        let of = self.by_node.entry(node.clone()).or_default();
        let (first, longest) = COUNTS;
        let counts = match of.get(key) {
            Some(known) if now < known.until => return false,
            Some(known) if now <= known.until.plus(REMEMBERED) => {
                known.counts.saturating_mul(2).min(longest)
            }
            Some(_) | None => first,
        };
        let decline = Decline { reason: reason.to_owned(), until: now.plus(counts), counts };
        of.insert(key.clone(), decline);
        true
    }

    fn of(&self, now: Instant, node: &NodeId) -> impl Iterator<Item = (&TaskKey, &str)> {
        let all = self.by_node.get(node).into_iter().flatten();
        all.filter(move |(_, decline)| now < decline.until)
            .map(|(key, decline)| (key, decline.reason.as_str()))
    }

    /// All that counts now, each with the reason.
    pub fn all(&self, now: Instant) -> impl Iterator<Item = (&TaskKey, &NodeId, &str)> {
        let of = move |node| self.of(now, node).map(move |(key, reason)| (key, node, reason));
        self.by_node.keys().flat_map(of)
    }

    /// A node has changed, or was started anew: it may do now what it could not.
    pub fn forget_node(&mut self, node: &NodeId) {
        self.by_node.remove(node);
    }

    /// A workflow asks for something else now.
    pub fn forget_workflow(&mut self, workflow: &WorkflowId) {
        for of in self.by_node.values_mut() {
            of.retain(|key, _| key.workflow != *workflow);
        }
    }
}

#[cfg(test)]
mod tests {
    use types::TaskId;

    use super::*;

    fn key() -> TaskKey {
        TaskKey { workflow: WorkflowId::new("w").unwrap(), task: TaskId::new("t").unwrap() }
    }

    fn second(seconds: u64) -> Instant {
        Instant(0).plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_no_counts_for_longer_each_time_until_it_is_forgotten() {
        let (node, other) = (NodeId::new("a").unwrap(), NodeId::new("b").unwrap());
        let mut declines = Declines::default();
        assert!(declines.add(second(0), &node, &key(), "too hot"));
        assert!(!declines.add(second(9), &node, &key(), "still too hot"), "it counts already");
        let said: Vec<_> = declines.of(second(9), &node).collect();
        assert_eq!(said, [(&key(), "too hot")]);
        assert_eq!(declines.of(second(10), &node).count(), 0);
        assert_eq!(declines.of(second(9), &other).count(), 0);

        assert!(declines.add(second(12), &node, &key(), "still too hot"));
        assert_eq!(declines.all(second(31)).count(), 1, "twice as long");
        assert_eq!(declines.all(second(32)).count(), 0);
        for _ in 0..20 {
            let at = second(10_000);
            declines.add(at, &node, &key(), "no");
        }
        assert_eq!(declines.all(second(10_009)).count(), 1);
        assert_eq!(declines.all(second(10_010)).count(), 0, "the first after an hour of silence");
    }

    #[test]
    fn no_no_counts_for_more_than_eleven_minutes() {
        let node = NodeId::new("a").unwrap();
        let mut declines = Declines::default();
        let mut now = 0;
        for _ in 0..12 {
            declines.add(second(now), &node, &key(), "no");
            now += 640;
        }
        assert_eq!(declines.all(second(now - 1)).count(), 1);
        assert_eq!(declines.all(second(now)).count(), 0);
    }

    #[test]
    fn what_changes_is_asked_again() {
        let node = NodeId::new("a").unwrap();
        let mut declines = Declines::default();
        declines.add(second(0), &node, &key(), "no");
        declines.forget_workflow(&WorkflowId::new("another").unwrap());
        assert_eq!(declines.all(second(1)).count(), 1);
        let mut other = declines.clone();
        declines.forget_workflow(&key().workflow);
        other.forget_node(&node);
        assert_eq!(declines.all(second(1)).count() + other.all(second(1)).count(), 0);
    }
}
