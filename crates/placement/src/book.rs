//! What is promised to whom on which node, and when: calendars instead of counters.

use std::collections::BTreeMap;

use topology::NodeIx;
use types::{Capacity, MiB, MilliCpu};

use crate::forecast::Step;
use crate::job::Stay;

/// What is promised to one task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Promise {
    /// The first step.
    pub from: Step,
    /// The first step that it does not cover; [`Step::MAX`] for one that does not end.
    pub until: Step,
    /// Processor and memory.
    pub needs: Capacity,
    /// What the task draws beside the idle load of the node, W.
    pub watts: f64,
}

/// The calendars of all nodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Book {
    capacity: Vec<Capacity>,
    /// By node, in the order in which they were made.
    promises: Vec<Vec<Promise>>,
    /// From when on nothing new begins on a node.
    closed: BTreeMap<NodeIx, Step>,
}

impl Book {
    /// Empty calendars of nodes that can carry so much.
    pub fn new(capacity: impl IntoIterator<Item = Capacity>) -> Self {
        let capacity: Vec<_> = capacity.into_iter().collect();
        let promises = vec![Vec::new(); capacity.len()];
        Self { capacity, promises, closed: BTreeMap::new() }
    }

    /// What is free on a node in all of `from..until`: the least of it at any step. Nothing on a node that is not there.
    pub fn free(&self, node: NodeIx, from: Step, until: Step) -> Capacity {
        let Some(capacity) = self.capacity.get(node.index()) else { return Capacity::default() };
        let overlapping = |promise: &&Promise| promise.from < until && from < promise.until;
        let promises = || self.promises[node.index()].iter().filter(overlapping);
        // What is taken only grows where a promise begins.
        let moments = promises().map(|promise| promise.from.max(from)).chain([from]);
        let taken = moments.map(|step| {
            let at = |promise: &&Promise| promise.from <= step && step < promise.until;
            promises().filter(at).fold((0, 0), |(cpu, memory), promise| {
                let needs = promise.needs;
                (cpu + u64::from(needs.milli_cpu.0), memory + u64::from(needs.memory_mib.0))
            })
        });
        let (cpu, memory) =
            taken.fold((0, 0), |most, taken| (most.0.max(taken.0), most.1.max(taken.1)));
        Capacity {
            milli_cpu: MilliCpu(left(capacity.milli_cpu.0, cpu)),
            memory_mib: MiB(left(capacity.memory_mib.0, memory)),
        }
    }

    /// Whether a node has room for something in all of `from..until`.
    pub fn has_room(&self, node: NodeIx, needs: Capacity, from: Step, until: Step) -> bool {
        let free = self.free(node, from, until);
        needs.milli_cpu <= free.milli_cpu && needs.memory_mib <= free.memory_mib
    }

    /// What all that is promised on a node at a step draws, W.
    pub fn watts(&self, node: NodeIx, step: Step) -> f64 {
        let promises = self.promises.get(node.index()).map_or(&[][..], Vec::as_slice);
        let at = promises.iter().filter(|promise| promise.from <= step && step < promise.until);
        at.fold(0.0, |all, promise| all + promise.watts)
    }

    /// Promises something to a task, whether there is room or not: whoever asks has looked.
    pub fn promise(&mut self, node: NodeIx, promise: Promise) {
        if let Some(promises) = self.promises.get_mut(node.index()) {
            promises.push(promise);
        }
    }

    /// Promises a task what it needs on each node where it will be, once, from when it first comes there until a step.
    pub fn promise_stays(&mut self, stays: &[Stay], until: Step, needs: Capacity, watts: f64) {
        for (at, stay) in stays.iter().enumerate() {
            if stays[..at].iter().all(|before| before.node != stay.node) {
                self.promise(stay.node, Promise { from: stay.from, until, needs, watts });
            }
        }
    }

    /// Says that nothing new begins on a node from a step on: what it has left is needed for something else then. What began before stays.
    pub fn close(&mut self, node: NodeIx, from: Step) {
        let closed = self.closed.entry(node).or_insert(from);
        *closed = from.min(*closed);
    }

    /// Whether something new may begin on a node at a step.
    pub fn is_open(&self, node: NodeIx, step: Step) -> bool {
        self.closed.get(&node).is_none_or(|from| step < *from)
    }

    /// Ends a promise within a step instead of later: its task is done, or given up. What it was promised is free from that step on; what it has
    /// drawn in it still counts there. Nothing happens where there is no such promise.
    pub fn end(&mut self, node: NodeIx, promise: &Promise, at: Step) {
        let Some(promises) = self.promises.get_mut(node.index()) else { return };
        let Some(found) = promises.iter().position(|made| made == promise) else { return };
        if promise.from < at {
            promises[found].until = promise.until.min(at);
        } else {
            promises.remove(found);
        }
        if promise.from <= at && at < promise.until {
            let drawn = Promise { from: at, until: at.saturating_add(1), ..*promise };
            promises.push(Promise { needs: Capacity::default(), ..drawn });
        }
    }

    /// Forgets what ended by a step: nobody asks for the past, and who asks for what is free looks at every promise.
    pub fn forget(&mut self, before: Step) {
        for promises in &mut self.promises {
            promises.retain(|promise| before < promise.until);
        }
    }

    /// Promises all that is left of a node, from a step on, for good.
    pub fn take_all(&mut self, node: NodeIx, from: Step) {
        let needs = self.free(node, from, Step::MAX);
        self.promise(node, Promise { from, until: Step::MAX, needs, watts: 0.0 });
    }
}

fn left(capacity: u32, taken: u64) -> u32 {
    u32::try_from(u64::from(capacity).saturating_sub(taken)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeIx = NodeIx(0);

    const fn cores(milli_cpu: u32) -> Capacity {
        Capacity { milli_cpu: MilliCpu(milli_cpu), memory_mib: MiB(milli_cpu) }
    }

    fn book(promises: &[(Step, Step, u32)]) -> Book {
        let mut book = Book::new([cores(1000)]);
        for (from, until, milli_cpu) in promises {
            book.promise(
                NODE,
                Promise { from: *from, until: *until, needs: cores(*milli_cpu), watts: 1.5 },
            );
        }
        book
    }

    #[test]
    fn what_is_free_is_the_least_of_all_steps() {
        let book = book(&[(0, 5, 300), (4, 8, 500), (8, 9, 900)]);
        let free = |from, until| book.free(NODE, from, until).milli_cpu.0;
        assert_eq!(free(0, 4), 700);
        assert_eq!(free(0, 5), 200);
        assert_eq!(free(5, 8), 500);
        assert_eq!(free(5, 9), 100);
        assert_eq!(free(9, Step::MAX), 1000);
        let watts = [0, 4, 5, 9].map(|step| book.watts(NODE, step));
        assert_eq!(watts.map(f64::to_bits), [1.5, 3.0, 1.5, 0.0].map(f64::to_bits));
        assert!(book.has_room(NODE, cores(500), 5, 8));
        assert!(!book.has_room(NODE, cores(501), 5, 8));
        assert_eq!(book.free(NodeIx(7), 0, 1), Capacity::default());
    }

    #[test]
    fn a_node_that_closes_takes_nothing_new_from_then_on() {
        let mut book = book(&[]);
        assert!(book.is_open(NODE, Step::MAX));
        book.close(NODE, 5);
        book.close(NODE, 7);
        assert_eq!([4, 5, 7].map(|step| book.is_open(NODE, step)), [true, false, false]);
    }

    #[test]
    fn more_than_there_is_leaves_nothing() {
        let book = book(&[(0, Step::MAX, u32::MAX), (0, Step::MAX, u32::MAX)]);
        assert_eq!(book.free(NODE, 0, 1), Capacity::default());
    }

    #[test]
    fn who_comes_back_is_promised_once() {
        let mut book = Book::new([cores(1000), cores(1000)]);
        let stays = [(0, 1), (1, 2), (0, 3)].map(|(node, from)| Stay { node: NodeIx(node), from });
        book.promise_stays(&stays, Step::MAX, cores(400), 2.0);
        assert_eq!(book.free(NODE, 0, 1), cores(1000));
        assert_eq!(book.free(NODE, 9, 10), cores(600));
        assert_eq!(book.free(NodeIx(1), 2, 3), cores(600));
    }

    #[test]
    fn what_ends_early_leaves_room() {
        let mut book = book(&[(0, 9, 300), (4, 9, 300)]);
        let promise = |from| Promise { from, until: 9, needs: cores(300), watts: 1.5 };
        book.end(NODE, &promise(0), 2);
        assert_eq!((book.free(NODE, 0, 2), book.free(NODE, 2, 4)), (cores(700), cores(1000)));
        book.end(NODE, &promise(4), 4);
        book.end(NODE, &promise(5), 6);
        assert_eq!(book.free(NODE, 2, Step::MAX), cores(1000));
        // What both have drawn in the steps in which they ended stays.
        let watts = [1, 2, 3, 4, 5].map(|step| book.watts(NODE, step));
        assert_eq!(watts.map(f64::to_bits), [1.5, 1.5, 0.0, 1.5, 0.0].map(f64::to_bits));
        book.forget(5);
        assert_eq!(book, Book::new([cores(1000)]));
    }

    #[test]
    fn a_node_that_is_taken_keeps_what_is_promised_and_has_no_more() {
        let mut book = book(&[(0, 9, 300)]);
        book.take_all(NODE, 5);
        assert_eq!(book.free(NODE, 0, 5), cores(700));
        assert_eq!(book.free(NODE, 5, 6), cores(0));
    }
}
