//! When a certificate is renewed: at two thirds of its life, spread out so that a fleet that joined together does not
//! come back together, and again and again until it succeeds.

use std::time::Duration;

/// Shortest pause between two tries.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest pause between two tries: a link may come for minutes only.
const PAUSE_MAX: Duration = Duration::from_secs(3600);
/// Of the life of a certificate, a pause takes at least so small a part.
const PAUSES_PER_LIFE: u32 = 60;

/// From when to when a certificate counts, seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// From when.
    pub not_before_s: i64,
    /// Until when.
    pub not_after_s: i64,
}

impl Life {
    const fn span_s(self) -> i64 {
        let span_s = self.not_after_s.saturating_sub(self.not_before_s);
        if span_s < 0 { 0 } else { span_s }
    }

    /// When it is to be renewed, seconds since 1970: at 2/3 of its life, and up to 1/24 later. `spread` is 0 to 255 and
    /// differs from node to node.
    pub const fn due_s(self, spread: u8) -> i64 {
        let span_s = self.span_s();
        let late_s = (span_s / 24).saturating_mul(spread as i64) / 256;
        self.not_before_s.saturating_add(span_s - span_s / 3).saturating_add(late_s)
    }

    /// The pause after so many tries that failed: doubles from 1/60 of the life, within a second and an hour.
    pub fn pause(self, failures: u32) -> Duration {
        let span_s = u64::try_from(self.span_s()).unwrap_or_default();
        let first = Duration::from_secs(span_s) / PAUSES_PER_LIFE;
        let first = first.clamp(PAUSE_MIN, PAUSE_MAX);
        first.saturating_mul(1 << failures.min(12)).min(PAUSE_MAX.min(first * 8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_at_two_thirds_and_a_little_later() {
        for (from, until, spread, due) in [
            (0, 90, 0, 60),
            (1_000, 1_000 + 7_776_000, 0, 1_000 + 5_184_000),
            (0, 7_776_000, 255, 5_184_000 + 324_000 * 255 / 256),
            (0, 6, 255, 4),
            (10, 10, 0, 10),
            (10, 0, 9, 10),
            (i64::MIN, i64::MAX, 255, i64::MAX),
        ] {
            let life = Life { not_before_s: from, not_after_s: until };
            let said = life.due_s(spread);
            if until != i64::MAX {
                assert_eq!(said, due, "{from} {until} {spread}");
                assert!(said <= until.max(from));
            }
        }
    }

    #[test]
    fn tries_come_further_apart_but_never_too_far() {
        let life = Life { not_before_s: 0, not_after_s: 7_776_000 };
        assert_eq!(life.pause(0), PAUSE_MAX, "a life of 90 days: an hour");
        let short = Life { not_before_s: 0, not_after_s: 600 };
        let pauses: Vec<u64> = (0..5).map(|failures| short.pause(failures).as_secs()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 80]);
        assert_eq!(Life { not_before_s: 0, not_after_s: 3 }.pause(0), PAUSE_MIN);
        assert_eq!(life.pause(u32::MAX), PAUSE_MAX);
    }
}
