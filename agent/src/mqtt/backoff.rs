//! How long to wait before the broker is tried again: twice as long each time, up to a bound, and never the same for all nodes.

use std::time::Duration;

/// After the first failure.
const SHORTEST: Duration = Duration::from_secs(1);
/// After many.
const LONGEST: Duration = Duration::from_secs(60);

/// Waits between tries.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    next: Duration,
    random: u64,
}

impl Backoff {
    /// From the shortest on; the seed tells nodes apart.
    pub(super) const fn new(seed: u64) -> Self {
        Self { next: SHORTEST, random: seed }
    }

    /// The next wait: half of the bound at least, so that a fleet does not come back at once.
    pub(super) fn wait(&mut self) -> Duration {
        let longest = self.next;
        self.next = (self.next * 2).min(LONGEST);
        let share = u32::try_from(self.draw() >> 33).unwrap_or(0);
        let half = longest / 2;
        half + half.mul_f64(f64::from(share) / f64::from(u32::MAX >> 1))
    }

    /// The broker was there for a while.
    pub(super) const fn reset(&mut self) {
        self.next = SHORTEST;
    }

    /// SplitMix64.
    const fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute_and_differ_from_node_to_node() {
        let mut backoff = Backoff::new(1);
        let waits: Vec<_> = (0..20).map(|_| backoff.wait()).collect();
        for (wait, bound_s) in waits.iter().zip([1, 2, 4, 8, 16, 32, 60, 60, 60]) {
            let bound = Duration::from_secs(bound_s);
            assert!(bound / 2 <= *wait && *wait <= bound, "{wait:?} of {bound:?}");
        }
        assert!(waits[7] != waits[8], "the same twice: {waits:?}");
        assert!(Backoff::new(2).wait() != waits[0]);
        backoff.reset();
        assert!(backoff.wait() <= SHORTEST);
    }
}
