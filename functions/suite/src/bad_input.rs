//! Why a function refuses its body.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::ops::RangeInclusive;

/// Why a function refuses its body: what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadInput(pub String);

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for BadInput {}

/// Reads a body that is a whole number, in decimal.
///
/// # Errors
/// When it is none, or not within `range`.
pub(crate) fn number(what: &str, body: &[u8], range: RangeInclusive<u32>) -> Result<u32, BadInput> {
    let text = core::str::from_utf8(body).ok();
    let number = text.and_then(|text| text.trim().parse().ok());
    number.filter(|number| range.contains(number)).ok_or_else(|| {
        let (low, high, bytes) = (range.start(), range.end(), body.len());
        BadInput(format!("{what}: {bytes} bytes that are no number from {low} to {high}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_range() {
        assert_eq!(number("n", b" 12\n", 1..=12), Ok(12));
        let said = "n: 2 bytes that are no number from 1 to 12";
        assert_eq!(number("n", b"13", 1..=12), Err(BadInput(said.into())));
        assert!(number("n", b"-1", 0..=12).is_err() && number("n", b"\xff", 0..=12).is_err());
    }
}
