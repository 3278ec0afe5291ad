//! Whether a back end is advertised, and how long one that failed is left alone. Reads no clock.

use std::time::{Duration, Instant};

/// The first time that a back end is left alone after it failed: a driver resets a device within seconds.
pub const BACK_OFF_MIN: Duration = Duration::from_secs(1);
/// The longest: a device that comes back is found within a few minutes.
pub const BACK_OFF_MAX: Duration = Duration::from_secs(300);

/// What may be done with a back end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is being probed.
    Probing,
    /// It answered a probe as the processor did, on this device.
    Advertised {
        /// Which device.
        device: String,
    },
    /// It is not used.
    Out {
        /// Why.
        reason: String,
        /// When it is probed again; `None`: not before a restart.
        until: Option<Instant>,
    },
}

/// The standing of one back end over time.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    standing: Standing,
    /// Failures that followed each other with less than [`BACK_OFF_MAX`] of good service between them.
    failures: u32,
    /// When it was last advertised.
    since: Option<Instant>,
}

impl Default for Health {
    fn default() -> Self {
        Self { standing: Standing::Probing, failures: 0, since: None }
    }
}

impl Health {
    pub(crate) fn standing(&self) -> &Standing {
        &self.standing
    }

    pub(crate) fn is_advertised(&self) -> bool {
        matches!(self.standing, Standing::Advertised { .. })
    }

    /// It answered a probe rightly.
    pub(crate) fn proven(&mut self, device: String, now: Instant) {
        self.standing = Standing::Advertised { device };
        self.since = Some(now);
    }

    /// It failed; says for how long it is left alone. The time doubles with each failure in a row.
    pub(crate) fn failed(&mut self, reason: String, now: Instant) -> Duration {
        let served = self.since.take().map(|since| now.saturating_duration_since(since));
        if served.is_some_and(|served| BACK_OFF_MAX <= served) {
            self.failures = 0;
        }
        let doubled = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let time = BACK_OFF_MIN.saturating_mul(doubled).min(BACK_OFF_MAX);
        self.failures = self.failures.saturating_add(1).min(u32::BITS - 1);
        self.standing = Standing::Out { reason, until: now.checked_add(time) };
        time
    }

    /// It answered a probe wrongly: nothing that it says can be believed.
    pub(crate) fn distrusted(&mut self, reason: String) {
        self.standing = Standing::Out { reason, until: None };
    }

    /// Whether it is time to probe it again; from then on it counts as being probed.
    pub(crate) fn take_probe(&mut self, now: Instant) -> bool {
        let is_due =
            matches!(&self.standing, Standing::Out { until: Some(until), .. } if *until <= now);
        if is_due {
            self.standing = Standing::Probing;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_out_doubles_and_is_bounded() {
        let mut health = Health::default();
        let start = Instant::now();
        let mut times = Vec::new();
        let mut now = start;
        for _ in 0..40 {
            let time = health.failed("gone".into(), now);
            assert!(!health.take_probe(now + time - Duration::from_nanos(1)));
            now += time;
            assert!(health.take_probe(now) && !health.take_probe(now));
            times.push(time.as_secs());
            health.proven("gpu".into(), now);
        }
        assert_eq!(times[..10], [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert!(times[10..].iter().all(|time| *time == 300));
    }

    #[test]
    fn good_service_is_forgiven_and_wrong_numbers_are_not() {
        let now = Instant::now();
        let mut health = Health::default();
        health.failed("gone".into(), now);
        health.proven("gpu".into(), now);
        assert!(health.is_advertised());
        let later = now + BACK_OFF_MAX;
        assert_eq!(health.failed("gone".into(), later), BACK_OFF_MIN);
        health.distrusted("wrong".into());
        assert!(!health.take_probe(later + BACK_OFF_MAX));
        assert!(!health.is_advertised());
    }
}
