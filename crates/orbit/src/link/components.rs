//! Which satellites hang together already, how many such sets there are, and which is the largest.

/// Union-find by size with path halving (Tarjan and van Leeuwen 1984).
#[derive(Clone, Debug, Default)]
pub(super) struct Components {
    parents: Vec<u32>,
    sizes: Vec<u32>,
}

impl Components {
    /// Each satellite alone.
    pub(super) fn reset(&mut self, satellites: usize) {
        let count = u32::try_from(satellites).expect("satellites are counted in u32");
        self.parents.clear();
        self.parents.extend(0..count);
        self.sizes.clear();
        self.sizes.resize(satellites, 1);
    }

    /// The satellite that stands for the set of this one.
    pub(super) fn of(&mut self, satellite: u32) -> u32 {
        let parents = &mut self.parents;
        let mut here = satellite;
        while parents[here as usize] != here {
            let above = parents[parents[here as usize] as usize];
            parents[here as usize] = above;
            here = above;
        }
        here
    }

    /// How many satellites hang together with this one, itself included.
    pub(super) fn size_of(&mut self, satellite: u32) -> u32 {
        let root = self.of(satellite);
        self.sizes[root as usize]
    }

    /// Makes one set of the sets of both; answers whether they were two.
    pub(super) fn unite(&mut self, a: u32, b: u32) -> bool {
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

    /// The satellite that stands for the largest set; among equal ones the lowest. `u32::MAX` without satellites.
    pub(super) fn largest(&self) -> u32 {
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
