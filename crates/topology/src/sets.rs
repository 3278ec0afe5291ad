//! Which members of a whole hang together already, joined pair by pair.

/// Disjoint sets of members counted from 0: union by size with path halving (Tarjan and van Leeuwen 1984).
#[derive(Clone, Debug, Default)]
pub struct Sets {
    parents: Vec<u32>,
    sizes: Vec<u32>,
}

impl Sets {
    /// Each of `members` alone; in the memory that is held already.
    ///
    /// # Panics
    /// For more members than a `u32` counts.
    pub fn reset(&mut self, members: usize) {
        let count = u32::try_from(members).expect("members are counted in u32");
        self.parents.clear();
        self.parents.extend(0..count);
        self.sizes.clear();
        self.sizes.resize(members, 1);
    }

    /// The member that stands for the set of this one.
    ///
    /// # Panics
    /// For a member that does not exist.
    pub fn of(&mut self, member: u32) -> u32 {
        let parents = &mut self.parents;
        let mut here = member;
        while parents[here as usize] != here {
            let above = parents[parents[here as usize] as usize];
            parents[here as usize] = above;
            here = above;
        }
        here
    }

    /// Makes one set of the sets of both; answers whether they were two.
    ///
    /// # Panics
    /// For a member that does not exist.
    pub fn unite(&mut self, a: u32, b: u32) -> bool {
        let (a, b) = (self.of(a), self.of(b));
        if a == b {
            return false;
        }
        let (size_a, size_b) = (self.sizes[a as usize], self.sizes[b as usize]);
        let (large, small) = if (size_b, b) < (size_a, a) { (a, b) } else { (b, a) };
        self.parents[small as usize] = large;
        self.sizes[large as usize] = size_a + size_b;
        true
    }

    /// How many members the set of this one has, itself included.
    ///
    /// # Panics
    /// For a member that does not exist.
    pub fn size_of(&mut self, member: u32) -> u32 {
        let root = self.of(member);
        self.sizes[root as usize]
    }

    /// The member that stands for the largest set; among equal ones the lowest. `u32::MAX` without members.
    pub fn largest(&self) -> u32 {
        let (mut largest, mut members) = (u32::MAX, 0);
        for (own, parent) in (0_u32..).zip(&self.parents) {
            let size = self.sizes[own as usize];
            if own == *parent && members < size {
                (largest, members) = (own, size);
            }
        }
        largest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Graph, Link, NodeIx, Parts};

    proptest! {
        #[test]
        fn what_is_united_is_what_a_walk_over_the_links_finds(
            pairs in prop::collection::vec((0_u32..30, 0_u32..30), 0..40),
        ) {
            let mut sets = Sets::default();
            sets.reset(30);
            let pairs: Vec<(u32, u32)> = pairs.into_iter().filter(|(a, b)| a != b).collect();
            let joined = pairs.iter().filter(|(a, b)| sets.unite(*a, *b)).count();
            let link = |(a, b): &(u32, u32)| Link {
                a: NodeIx(*a),
                b: NodeIx(*b),
                delay_us: 1.0,
                rate_kbps: 1,
                loss_ppm: 0,
            };
            let links: Vec<Link> = pairs.iter().map(link).collect();
            let parts = Parts::of(&Graph::new(30, &links).unwrap());
            prop_assert_eq!(30 - joined, parts.count());
            for (a, b) in (0..30).flat_map(|a| (0..30).map(move |b| (a, b))) {
                prop_assert_eq!(sets.of(a) == sets.of(b), parts.joined(NodeIx(a), NodeIx(b)));
            }
            let sizes: Vec<u32> = (0..30).map(|member| sets.size_of(member)).collect();
            let largest = sets.largest();
            prop_assert!(sets.of(largest) == largest);
            prop_assert_eq!(sizes.iter().max(), sizes.get(largest as usize));
        }
    }
}
