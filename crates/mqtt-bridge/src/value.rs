//! A value at a time: a number, a count, a moment, or why there is none.

use protocol::report::{NoReading, Reading, Source};
use serde::Serialize;
use types::Epoch;

/// A value, in the unit of its metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    /// A number.
    Real(f32),
    /// A number that needs more digits: a place.
    Wide(f64),
    /// A count.
    Count(u64),
    /// A moment of the sky.
    Time(Epoch),
    /// None, and why. Unknown is not zero.
    Unknown(NoReading),
}

impl Value {
    /// Whether it differs from `other` by at least `step`, or in kind.
    pub(crate) fn differs(self, other: Self, step: f64) -> bool {
        match (self, other) {
            (Self::Real(a), Self::Real(b)) => apart(f64::from(a), f64::from(b), step),
            (Self::Wide(a), Self::Wide(b)) => apart(a, b, step),
            (Self::Time(a), Self::Time(b)) => apart(a.seconds_since(b), 0.0, step),
            (a, b) => a != b,
        }
    }

    /// As JSON shows it.
    pub(crate) fn json(self) -> Json {
        match self {
            Self::Real(value) => Json::Real(value),
            Self::Wide(value) => Json::Wide(value),
            Self::Count(value) => Json::Count(value),
            Self::Time(at) => Json::Time(at),
            Self::Unknown(_) => Json::Nothing,
        }
    }
}

fn apart(a: f64, b: f64, step: f64) -> bool {
    // Not `step <=`: with a step of 0 every change counts, and equal values still do not.
    let gap = (a - b).abs();
    0.0 < gap && step <= gap
}

/// A value in JSON; a number keeps the digits of its width.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Json {
    /// A number of 32 bits.
    Real(f32),
    /// A number of 64 bits.
    Wide(f64),
    /// A count.
    Count(u64),
    /// A moment, RFC 3339.
    Time(Epoch),
    /// `null`.
    Nothing,
}

/// A value with what is known about it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sampled {
    /// The value.
    pub(crate) value: Value,
    /// Its standard deviation in the same unit, where it is an estimate.
    pub(crate) sigma: Option<f32>,
    /// Where it comes from, if a report says so.
    pub(crate) source: Option<Source>,
}

impl Sampled {
    /// A value without more.
    pub(crate) const fn plain(value: Value) -> Self {
        Self { value, sigma: None, source: None }
    }

    /// Nothing, and why.
    pub(crate) const fn unknown(reason: NoReading) -> Self {
        Self::plain(Value::Unknown(reason))
    }

    /// A reading, times `factor`: shares become percent.
    pub(crate) fn of(reading: Reading, factor: f32) -> Self {
        match reading {
            Reading::Known { value, sigma, source } => Self {
                value: Value::Real(value * factor),
                sigma: sigma.map(|sigma| sigma * factor),
                source: Some(source),
            },
            Reading::Unknown(reason) => Self::unknown(reason),
        }
    }
}

/// A reason in a word.
pub(crate) const fn reason(reason: NoReading) -> &'static str {
    match reason {
        NoReading::NoSensor => "no-sensor",
        NoReading::ReadFailed => "read-failed",
        NoReading::NotSupported => "not-supported",
        NoReading::NotYet => "not-yet",
    }
}

/// A source in a word.
pub(crate) const fn source(source: Source) -> &'static str {
    match source {
        Source::Measured => "measured",
        Source::Kernel => "kernel",
        Source::Estimated => "estimated",
        Source::Virtual => "virtual",
        Source::Configured => "configured",
    }
}
