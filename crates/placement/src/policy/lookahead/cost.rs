//! What a plan costs once its objectives are met: the charge that it takes from batteries, then the latency of its inputs.

use std::iter::Sum;
use std::ops::Add;

/// What differs by less is the same, ms: predictions are not better than that, and a hand-over is not worth it.
const RESOLUTION_MS: f64 = 0.1;
/// The same of energy, µWh: what a core draws in a quarter of a minute.
const RESOLUTION_UWH: u64 = 10_000;
const UWH_PER_WH: f64 = 1e6;

/// What tasks cost. Compared field by field; sums of what is least of each are least, so that dynamic programming finds the best.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) struct Cost {
    /// What is taken from batteries, µWh: whole ones, so that sums of equal things are equal.
    pub(super) battery: u64,
    /// The latency of the inputs, ms: for each task the longest, when it starts.
    pub(super) latency_ms: f64,
}

impl Cost {
    /// Of nothing.
    pub(super) const ZERO: Self = Self { battery: 0, latency_ms: 0.0 };
    /// Of what cannot be had.
    pub(super) const NONE: Self = Self { battery: u64::MAX, latency_ms: f64::INFINITY };

    /// Whether it can be had.
    pub(super) const fn is_finite(&self) -> bool {
        self.latency_ms.is_finite()
    }

    /// The lesser of two.
    pub(super) fn min(self, other: Self) -> Self {
        if other < self { other } else { self }
    }

    /// It as a share of another, 0 to 100: of what is taken from batteries where that differs, or else of the latency.
    pub(super) fn percent_of(self, other: Self) -> u32 {
        #[expect(clippy::cast_precision_loss, reason = "less than a megawatt hour")]
        let battery = (self.battery as f64, other.battery as f64);
        let (part, whole) =
            if battery.0 < battery.1 { battery } else { (self.latency_ms, other.latency_ms) };
        let share = if whole <= 0.0 { 1.0 } else { (part / whole).clamp(0.0, 1.0) };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
        let percent = (share * 100.0).round() as u32;
        percent
    }

    /// The greater of two.
    pub(super) fn max(self, other: Self) -> Self {
        if self < other { other } else { self }
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let battery = self.battery.saturating_add(other.battery);
        Self { battery, latency_ms: self.latency_ms + other.latency_ms }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Add::add)
    }
}

/// A latency in units of the resolution, cut off; the largest number for an infinite one.
pub(super) fn coarse(ms: f64) -> u64 {
    units(ms / RESOLUTION_MS)
}

/// An energy in µWh in units of the resolution, cut off.
pub(super) const fn coarse_uwh(uwh: u64) -> u64 {
    uwh / RESOLUTION_UWH
}

/// An energy in whole µWh.
pub(super) fn uwh(wh: f64) -> u64 {
    units((wh * UWH_PER_WH).round())
}

fn units(share: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and float to int saturates"
    )]
    let units = share as u64;
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batteries_come_before_latency_and_what_cannot_be_had_comes_last() {
        let cost = |battery, latency_ms| Cost { battery, latency_ms };
        let ascending =
            [Cost::ZERO, cost(0, 90.0), cost(1, 5.0), cost(1, 6.0), cost(70, 1.0), Cost::NONE];
        assert!(ascending.is_sorted_by(|one, next| one < next), "{ascending:?}");
        assert_eq!(cost(2, 3.0).min(cost(1, 9.0)), cost(1, 9.0));
        assert_eq!([cost(2, 3.0), cost(1, 9.0)].into_iter().sum::<Cost>(), cost(3, 12.0));
        assert_eq!(cost(2, 3.0).max(cost(1, 9.0)), cost(2, 3.0));
        let percent =
            [cost(2, 3.0), cost(1, 9.0), cost(0, 0.0)].map(|of| cost(1, 3.0).percent_of(of));
        assert_eq!(percent, [50, 33, 100]);
        assert!(!(Cost::NONE + cost(1, 1.0)).is_finite());
        assert_eq!((coarse_uwh(uwh(1.239)), coarse(f64::INFINITY)), (123, u64::MAX));
    }
}
