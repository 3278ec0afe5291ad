//! Numbers that look drawn and are the same for the same seed, on every machine.

/// SplitMix64 (G. Steele, D. Lea, C. Flood, 2014).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitMix64 {
    state: u64,
}

/// 2^-53: what one step of the fraction of an `f64` below 1 is worth.
const UNIT: f64 = 1.0 / 9_007_199_254_740_992.0;

impl SplitMix64 {
    /// Draws from a seed.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a count; 0 where there is none. The bias of the remainder is below count / 2^64.
    pub const fn below(&mut self, count: usize) -> usize {
        let bits = self.bits();
        if count == 0 {
            return 0;
        }
        #[expect(clippy::cast_possible_truncation, reason = "the rest is smaller than the count")]
        let at = (bits % count as u64) as usize;
        at
    }

    /// A number from 0 to below 1.
    pub const fn unit(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let fraction = (self.bits() >> 11) as f64;
        fraction * UNIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of the published program for the seed 1234567.
    #[test]
    fn the_published_numbers_come_out() {
        let mut draw = SplitMix64::new(1_234_567);
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973];
        assert_eq!([draw.bits(), draw.bits()], expected);
    }

    #[test]
    fn numbers_keep_their_ranges() {
        let mut draw = SplitMix64::new(7);
        assert_eq!(draw.below(0), 0);
        for _ in 0..1000 {
            assert!(draw.below(3) < 3);
            assert!((0.0..1.0).contains(&draw.unit()));
        }
    }
}
