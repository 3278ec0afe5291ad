//! Three kinds of time, never mixed: [`Epoch`] of the sky, monotonic [`Instant`], [`Uptime`];
//! and the [`SkyClock`] that ties the sky of a replay to the wall clock.

use alloc::string::String;
use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

const NS_PER_S: i64 = 1_000_000_000;
const S_PER_DAY: i64 = 86_400;

/// A moment of the sky: UTC, in nanoseconds since 1970-01-01T00:00:00Z without leap seconds.
///
/// Covers the years 1678 to 2262. Printed and read as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(i64);

/// Text that is no RFC 3339 UTC time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time like 2026-11-22T10:30:00Z (RFC 3339, UTC, years 1678 to 2261)")]
pub struct InvalidEpoch(pub String);

impl Epoch {
    /// From nanoseconds since 1970.
    pub const fn from_unix_ns(ns: i64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since 1970.
    pub const fn unix_ns(self) -> i64 {
        self.0
    }

    /// From whole seconds since 1970; `None` outside the years 1678 to 2261.
    pub const fn from_unix_s(s: i64) -> Option<Self> {
        match s.checked_mul(NS_PER_S) {
            Some(ns) => Some(Self(ns)),
            None => None,
        }
    }

    /// `seconds` later (earlier when negative), saturating.
    #[must_use]
    pub fn plus_s(self, seconds: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "float to int saturates")]
        Self(self.0.saturating_add((seconds * 1e9) as i64))
    }

    /// `duration` later, saturating.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// Seconds from `earlier` to this; negative when this comes first.
    pub fn seconds_since(self, earlier: Self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a span of seconds")]
        {
            self.0.saturating_sub(earlier.0) as f64 / 1e9
        }
    }

    /// From a calendar date and time in UTC; `None` when no such moment exists.
    pub fn from_utc(date: (i32, u32, u32), time: (u32, u32, u32), nanos: u32) -> Option<Self> {
        let (year, month, day) = date;
        let (hour, minute, second) = time;
        let valid = (1678..=2261).contains(&year)
            && (1..=12).contains(&month)
            && 1 <= day
            && day <= days_in_month(year, month)
            && hour < 24
            && minute < 60
            && second < 60
            && nanos < 1_000_000_000;
        if !valid {
            return None;
        }
        let seconds = days_from_civil(year, month, day) * S_PER_DAY
            + i64::from(hour) * 3600
            + i64::from(minute) * 60
            + i64::from(second);
        seconds.checked_mul(NS_PER_S)?.checked_add(i64::from(nanos)).map(Self)
    }

    /// Reads RFC 3339 in UTC (`Z`, `+00:00`, `-00:00` or, as CCSDS writes it, no zone; in small letters, too), up to nine decimals.
    ///
    /// # Errors
    /// [`InvalidEpoch`] with the refused text.
    pub fn parse(text: &str) -> Result<Self, InvalidEpoch> {
        parse_utc(text).ok_or_else(|| InvalidEpoch(text.chars().take(64).collect()))
    }
}

fn parse_utc(text: &str) -> Option<Epoch> {
    let zones = ["Z", "z", "+00:00", "-00:00"];
    let text = zones.iter().find_map(|zone| text.strip_suffix(zone)).unwrap_or(text);
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    if fraction.is_empty() || 9 < fraction.len() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let scale = 10_u32.pow(9 - u32::try_from(fraction.len()).ok()?);
    let nanos = fraction.parse::<u32>().ok()?.checked_mul(scale)?;
    Epoch::from_utc((i32::try_from(year).ok()?, month, day), (hour, minute, second), nanos)
}

fn numbers<const N: usize>(text: &str, mark: char, widths: [usize; N]) -> Option<[u32; N]> {
    let mut parts = text.split(mark);
    let mut out = [0; N];
    for (slot, width) in out.iter_mut().zip(widths) {
        let part = parts.next()?;
        if part.len() != width || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *slot = part.parse().ok()?;
    }
    parts.next().is_none().then_some(out)
}

/// Days since 1970-01-01. H. Hinnant, "chrono-compatible low-level date algorithms", `days_from_civil`.
fn days_from_civil(year: i32, month: u32, day: u32) -> i64 {
    let y = i64::from(year) - i64::from(month <= 2);
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let month_index = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * month_index + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_in_month(year: i32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

impl fmt::Display for Epoch {
    /// RFC 3339 in UTC with milliseconds (rounded down); `{:.0}` prints whole seconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_euclid(NS_PER_S);
        let (year, month, day) = civil_from_days(seconds.div_euclid(S_PER_DAY));
        let of_day = seconds.rem_euclid(S_PER_DAY);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match f.precision() {
            Some(0) => f.write_str("Z"),
            _ => write!(f, ".{:03}Z", self.0.rem_euclid(NS_PER_S) / 1_000_000),
        }
    }
}

impl Serialize for Epoch {
    /// RFC 3339 text for people, nanoseconds since 1970 for machines.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            Self::parse(&text).map_err(serde::de::Error::custom)
        } else {
            i64::deserialize(deserializer).map(Self)
        }
    }
}

/// A moment of a monotonic clock, in nanoseconds since an origin that only its process knows.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Instant(pub u64);

impl Instant {
    /// `duration` later, saturating.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// The span from `earlier` to this, zero if `earlier` is later.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// How long a process has run, in milliseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Uptime(pub u64);

/// A moment of the wall clock of the machine, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallTime(pub i64);

/// Ties the sky of a replay to the wall clock: `sky = sky_at + rate * (wall - wall_at)`.
///
/// Without a replay the two are one clock, see [`SkyClock::REAL`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SkyClock {
    /// The sky at the anchor.
    pub sky_at: Epoch,
    /// The wall clock at the anchor.
    pub wall_at: WallTime,
    /// Sky seconds per wall second; 1 is real time.
    pub rate: f64,
}

/// A clock rate outside 0.001 to 1,000,000.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("a sky clock rate of {0} is outside 0.001 to 1000000")]
pub struct InvalidSkyClock(pub f64);

impl SkyClock {
    /// The sky is the wall clock: real nodes under the real sky.
    pub const REAL: Self = Self { sky_at: Epoch(0), wall_at: WallTime(0), rate: 1.0 };

    /// A clock that shows `sky_at` when the wall shows `wall_at`.
    ///
    /// # Errors
    /// [`InvalidSkyClock`] for a rate outside 0.001 to 1,000,000.
    pub fn new(sky_at: Epoch, wall_at: WallTime, rate: f64) -> Result<Self, InvalidSkyClock> {
        if (0.001..=1_000_000.0).contains(&rate) {
            Ok(Self { sky_at, wall_at, rate })
        } else {
            Err(InvalidSkyClock(rate))
        }
    }

    /// The sky when the wall shows `wall`.
    pub fn sky(&self, wall: WallTime) -> Epoch {
        #[expect(clippy::cast_precision_loss, reason = "spans of days keep microseconds")]
        let elapsed_ns = wall.0.saturating_sub(self.wall_at.0) as f64;
        #[expect(clippy::cast_possible_truncation, reason = "float to int saturates")]
        Epoch(self.sky_at.0.saturating_add((elapsed_ns * self.rate) as i64))
    }

    /// The wall clock when the sky shows `sky`.
    pub fn wall(&self, sky: Epoch) -> WallTime {
        #[expect(clippy::cast_precision_loss, reason = "spans of days keep microseconds")]
        let elapsed_ns = sky.0.saturating_sub(self.sky_at.0) as f64;
        #[expect(clippy::cast_possible_truncation, reason = "float to int saturates")]
        WallTime(self.wall_at.0.saturating_add((elapsed_ns / self.rate) as i64))
    }
}
