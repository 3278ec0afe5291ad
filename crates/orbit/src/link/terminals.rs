//! Which terminals are still free, and which links come first.

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

/// An order of costs that are not negative and not NaN; ties go to the lower numbers.
pub(super) fn by_cost(cost: f64, a: u32, b: u32) -> (u64, u32, u32) {
    (cost.to_bits(), a, b)
}
