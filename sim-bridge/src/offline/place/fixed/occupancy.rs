//! What runs on each node at this moment, counted apart from the calendars, so that what those promise is checked by what happens.

use std::collections::BTreeMap;

use topology::NodeIx;
use types::Capacity;

use super::fleet::WATTS_PER_CORE;

/// All nodes.
#[derive(Clone, Debug)]
pub struct Occupancy {
    places: Vec<Place>,
    oversubscribed: usize,
}

#[derive(Clone, Debug)]
struct Place {
    capacity: Capacity,
    milli_cpu: u64,
    memory_mib: u64,
    /// What runs: for whom, thousandths of a core.
    running: Vec<(usize, u64)>,
    /// Since when that runs, and what was worked before, by whom it was for: thousandths of a core times microseconds.
    since_us: u64,
    worked: BTreeMap<usize, u128>,
}

impl Occupancy {
    /// Nothing runs on nodes that can carry so much.
    pub fn new(capacities: impl IntoIterator<Item = Capacity>) -> Self {
        let place = |capacity| Place {
            capacity,
            milli_cpu: 0,
            memory_mib: 0,
            running: Vec::new(),
            since_us: 0,
            worked: BTreeMap::new(),
        };
        Self { places: capacities.into_iter().map(place).collect(), oversubscribed: 0 }
    }

    /// A task of somebody comes to a node.
    pub fn enter(&mut self, node: NodeIx, (whose, needs): (usize, Capacity), at_us: u64) {
        let place = &mut self.places[node.index()];
        place.count(at_us);
        place.running.push((whose, u64::from(needs.milli_cpu.0)));
        place.milli_cpu += u64::from(needs.milli_cpu.0);
        place.memory_mib += u64::from(needs.memory_mib.0);
        let capacity = place.capacity;
        let fits = place.milli_cpu <= u64::from(capacity.milli_cpu.0)
            && place.memory_mib <= u64::from(capacity.memory_mib.0);
        if !fits {
            self.oversubscribed += 1;
        }
    }

    /// A task leaves a node that it came to.
    pub fn leave(&mut self, node: NodeIx, (whose, needs): (usize, Capacity), at_us: u64) {
        let place = &mut self.places[node.index()];
        place.count(at_us);
        let left = (whose, u64::from(needs.milli_cpu.0));
        if let Some(found) = place.running.iter().position(|running| *running == left) {
            place.running.swap_remove(found);
        }
        place.milli_cpu = place.milli_cpu.saturating_sub(u64::from(needs.milli_cpu.0));
        place.memory_mib = place.memory_mib.saturating_sub(u64::from(needs.memory_mib.0));
    }

    /// What the tasks of a node drew since this was asked last, J, by whom they were for.
    pub fn drawn_j(&mut self, node: NodeIx, at_us: u64) -> Vec<(usize, f64)> {
        let place = &mut self.places[node.index()];
        place.count(at_us);
        let worked = std::mem::take(&mut place.worked);
        worked.into_iter().map(|(whose, worked)| (whose, joules(worked))).collect()
    }

    /// How often a task came to a node that could not carry it.
    pub const fn oversubscribed(&self) -> usize {
        self.oversubscribed
    }
}

fn joules(worked: u128) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a node of 128 cores has worked 4e12 in a step")]
    let worked = worked as f64;
    worked / 1.0e9 * WATTS_PER_CORE
}

impl Place {
    fn count(&mut self, at_us: u64) {
        let passed_us = at_us.saturating_sub(self.since_us);
        for (whose, milli_cpu) in &self.running {
            if 0 < passed_us && 0 < *milli_cpu {
                *self.worked.entry(*whose).or_insert(0) +=
                    u128::from(*milli_cpu) * u128::from(passed_us);
            }
        }
        self.since_us = self.since_us.max(at_us);
    }
}

#[cfg(test)]
mod tests {
    use types::{MiB, MilliCpu};

    use super::*;

    const NODE: NodeIx = NodeIx(0);

    #[test]
    fn work_is_counted_and_too_much_is_noticed() {
        let cores = |milli| Capacity { milli_cpu: MilliCpu(milli), memory_mib: MiB(100) };
        let mut all =
            Occupancy::new([Capacity { milli_cpu: MilliCpu(4000), memory_mib: MiB(250) }]);
        all.enter(NODE, (7, cores(4000)), 0);
        all.leave(NODE, (7, cores(4000)), 10_000_000);
        all.enter(NODE, (8, cores(2000)), 10_000_000);
        assert_eq!(all.oversubscribed(), 0);
        // Four cores for 10 s and two for 10 s, 2.5 W each.
        assert_eq!(all.drawn_j(NODE, 20_000_000), [(7, 100.0), (8, 50.0)]);
        assert_eq!(all.drawn_j(NODE, 20_000_000), []);
        all.enter(NODE, (9, cores(2500)), 20_000_000);
        assert_eq!(all.oversubscribed(), 1);
        all.enter(NODE, (9, cores(0)), 20_000_000);
        assert_eq!(all.oversubscribed(), 2);
    }
}
