//! Which terminals are still free, and which satellites hang together already.

use super::TERMINALS;

/// Free terminals of each satellite.
#[derive(Debug)]
pub(super) struct Terminals(Vec<u8>);

impl Terminals {
    pub(super) fn new(satellites: usize) -> Self {
        Self(vec![TERMINALS; satellites])
    }

    pub(super) fn free(&self, satellite: u32) -> u8 {
        self.0[satellite as usize]
    }

    /// Takes one terminal of each, if both have one left.
    pub(super) fn join(&mut self, a: u32, b: u32) -> bool {
        let both = 0 < self.free(a) && 0 < self.free(b);
        if both {
            self.0[a as usize] -= 1;
            self.0[b as usize] -= 1;
        }
        both
    }
}

/// Union-find with path halving; the lower number represents a set.
#[derive(Debug)]
pub(super) struct Sets(Vec<u32>);

impl Sets {
    pub(super) fn new(satellites: u32) -> Self {
        Self((0..satellites).collect())
    }

    pub(super) fn of(&mut self, satellite: u32) -> u32 {
        let parents = &mut self.0;
        let mut here = satellite;
        while parents[here as usize] != here {
            let above = parents[parents[here as usize] as usize];
            parents[here as usize] = above;
            here = above;
        }
        here
    }

    pub(super) fn unite(&mut self, a: u32, b: u32) {
        let (a, b) = (self.of(a), self.of(b));
        self.0[a.max(b) as usize] = a.min(b);
    }
}

impl Sets {
    /// The set with the most members; of equal ones that of the lowest satellite. 0 without satellites.
    pub(super) fn largest(&mut self) -> u32 {
        let mut members = vec![0_u32; self.0.len()];
        let count = u32::try_from(self.0.len()).expect("satellites are counted in u32");
        for satellite in 0..count {
            members[self.of(satellite) as usize] += 1;
        }
        (0..count).rev().max_by_key(|set| members[*set as usize]).unwrap_or(0)
    }
}

/// An order of costs that are not negative and not NaN; ties go to the lower numbers.
pub(super) fn by_cost(cost: f64, a: u32, b: u32) -> (u64, u32, u32) {
    (cost.to_bits(), a, b)
}
