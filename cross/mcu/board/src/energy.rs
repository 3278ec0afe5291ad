//! Energy from samples of power: exact in integers, however long it runs, and honest about what is missing.

/// Longest time between two samples that is bridged, in ms: ten at 10 Hz. What is longer is a gap, not an estimate.
pub const GAP_MS: u32 = 1000;
/// A mWh in halves of a nJ (µW · ms): the trapezoid rule halves a sum, and this keeps the half.
const HALF_NJ_PER_MWH: i64 = 2 * 3_600_000_000;

/// Energy since the start or the last reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Energy {
    mwh: i32,
    /// What is left below a mWh, in halves of a nJ, with the sign of what came last.
    rest: i64,
    /// The sample before: when, in ms, and µW.
    last: Option<(u32, i64)>,
    has_gap: bool,
}

impl Energy {
    /// None yet.
    pub const fn new() -> Self {
        Self { mwh: 0, rest: 0, last: None, has_gap: false }
    }

    /// Adds a sample: mV and mA (positive into the battery), at a time that may turn over.
    ///
    /// W = (P₀ + P₁) / 2 · Δt, the trapezoid rule.
    pub fn sample(&mut self, now_ms: u32, bus_mv: u16, cur_ma: i16) {
        let now_uw = i64::from(bus_mv) * i64::from(cur_ma);
        if let Some((then_ms, then_uw)) = self.last.replace((now_ms, now_uw)) {
            let span_ms = now_ms.wrapping_sub(then_ms);
            if GAP_MS < span_ms {
                self.has_gap = true;
            } else {
                self.rest += (then_uw + now_uw) * i64::from(span_ms);
            }
        }
        let whole = self.rest / HALF_NJ_PER_MWH;
        self.rest -= whole * HALF_NJ_PER_MWH;
        // One sample makes 597 mWh at most; the sum ends at its limits, which are 2 MWh away.
        self.mwh = self.mwh.saturating_add(i32::try_from(whole).unwrap_or_default());
    }

    /// A sample is beyond the range of a message, so that it cannot be added.
    pub const fn lost(&mut self) {
        self.has_gap = true;
        self.last = None;
    }

    /// Whole mWh into the battery, less what was taken out.
    pub const fn mwh(&self) -> i32 {
        self.mwh
    }

    /// Whether samples are missing in it.
    pub const fn has_gap(&self) -> bool {
        self.has_gap
    }

    /// Counts from zero; the sample before still counts as the start of what follows.
    pub const fn reset(&mut self) {
        (self.mwh, self.rest, self.has_gap) = (0, 0, false);
    }
}

#[cfg(test)]
mod tests {
    use super::{Energy, GAP_MS};

    #[test]
    fn an_hour_of_three_watts_is_three_watt_hours() {
        let mut energy = Energy::new();
        for step in 0..=36_000 {
            energy.sample(step * 100, 12_000, -250);
        }
        assert_eq!((energy.mwh(), energy.has_gap()), (-3000, false));
    }

    #[test]
    fn what_goes_in_and_out_leaves_nothing() {
        let mut energy = Energy::new();
        let start = u32::MAX - 5000;
        for step in 0..=72_000_u32 {
            // Full swings with all corners of the range, across the turn of the clock.
            let current = if step % 2 == 0 { i16::MAX } else { -i16::MAX };
            energy.sample(start.wrapping_add(step * 100), u16::MAX, current);
        }
        assert_eq!((energy.mwh(), energy.rest, energy.has_gap()), (0, 0, false));
    }

    #[test]
    fn a_ramp_is_its_triangle() {
        let mut energy = Energy::new();
        // 0 to 36 W in 200 s are 3600 J, or 1000 mWh.
        for step in 0..=2000_u32 {
            energy.sample(step * 100, 36_000, i16::try_from(step / 2).unwrap());
        }
        // Each second step is level: half a step of 36 mW less in the middle of 200 s are 0.5 mWh at most.
        assert!((999..=1000).contains(&energy.mwh()), "{}", energy.mwh());
    }

    #[test]
    fn a_gap_is_told_and_not_filled() {
        let mut energy = Energy::new();
        energy.sample(0, 10_000, 1000);
        energy.sample(GAP_MS, 10_000, 1000);
        assert!(!energy.has_gap());
        let before = energy;
        energy.sample(2 * GAP_MS + 1, 10_000, 1000);
        assert_eq!((energy.mwh(), energy.rest), (before.mwh(), before.rest));
        assert!(energy.has_gap());
        energy.reset();
        assert!(!energy.has_gap());
    }
}
