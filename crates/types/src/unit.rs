//! Quantities: each a type of its own, built only from values that can exist.

use alloc::string::{String, ToString};
use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// A number outside the range of its unit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{unit} {value} is outside {range}")]
pub struct InvalidUnit {
    /// The unit, for example `temperature in °C`.
    pub unit: &'static str,
    /// The refused number.
    pub value: String,
    /// The allowed range in words.
    pub range: &'static str,
}

macro_rules! quantities {
    ($($(#[$doc:meta])* $name:ident = $unit:literal, $low:expr, $high:expr, $range:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            /// Takes a number of the allowed range.
            ///
            /// # Errors
            /// [`InvalidUnit`] when the number is not finite or outside the range.
            pub fn new(value: f64) -> Result<Self, InvalidUnit> {
                if ($low..=$high).contains(&value) {
                    Ok(Self(value))
                } else {
                    Err(InvalidUnit { unit: $unit, value: value.to_string(), range: $range })
                }
            }

            /// The bare number.
            pub const fn get(self) -> f64 {
                self.0
            }
        }

        impl TryFrom<f64> for $name {
            type Error = InvalidUnit;

            fn try_from(value: f64) -> Result<Self, InvalidUnit> {
                Self::new(value)
            }
        }

        impl From<$name> for f64 {
            fn from(quantity: $name) -> Self {
                quantity.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    )*};
}

quantities! {
    /// A temperature in degrees Celsius, between absolute zero and what no board survives.
    Celsius = "temperature in °C", -273.15, 1000.0, "-273.15 to 1000";
    /// A distance in kilometres; finite and not negative.
    Km = "distance in km", 0.0, 1.0e9, "0 to 1e9";
    /// The charge of a battery as a fraction of its present capacity, 0 to 1.
    StateOfCharge = "state of charge", 0.0, 1.0, "0 to 1";
    /// Power in watts; negative where it flows the other way.
    Watts = "power in W", -1.0e9, 1.0e9, "-1e9 to 1e9";
}

/// Processor time per time, in thousandths of a core.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct MilliCpu(pub u32);

/// Memory in mebibytes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct MiB(pub u32);

/// A one-way delay in microseconds; up to 71 minutes, 12 times the distance to the Sun.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct LatencyUs(pub u32);

impl LatencyUs {
    /// From milliseconds, rounded to the nearest microsecond; `None` if negative, not finite or too long.
    pub fn from_ms(ms: f64) -> Option<Self> {
        let us = ms * 1000.0 + 0.5;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range is checked"
        )]
        (0.5 <= us && us < f64::from(u32::MAX)).then_some(Self(us as u32))
    }

    /// In milliseconds.
    pub fn as_ms(self) -> f64 {
        f64::from(self.0) / 1000.0
    }

    /// As a duration.
    pub const fn as_duration(self) -> Duration {
        Duration::from_micros(self.0 as u64)
    }
}

impl fmt::Display for LatencyUs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ms", self.as_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_refuse_what_cannot_exist() {
        assert!(Celsius::new(-40.0).is_ok());
        assert!(Celsius::new(-300.0).is_err());
        assert!(Km::new(-3.0).is_err());
        assert!(StateOfCharge::new(1.01).is_err());
        assert!(Watts::new(f64::NAN).is_err());
        assert_eq!(Km::new(-3.0).unwrap_err().to_string(), "distance in km -3 is outside 0 to 1e9");
    }

    #[test]
    fn latency_rounds_to_microseconds() {
        assert_eq!(LatencyUs::from_ms(1.0004), Some(LatencyUs(1000)));
        assert_eq!(LatencyUs::from_ms(0.0), Some(LatencyUs(0)));
        assert_eq!(LatencyUs::from_ms(-1.0), None);
        assert_eq!(LatencyUs::from_ms(f64::NAN), None);
    }
}
