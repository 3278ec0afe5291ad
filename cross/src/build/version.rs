//! Versions of the C library: programs that were linked with a newer one do not start.

use std::fmt;
use std::str::FromStr;

use anyhow::{Error, anyhow};
use serde::Deserialize;

/// A release of the GNU C library, such as 2.31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Glibc {
    major: u32,
    minor: u32,
}

impl Glibc {
    /// The first that reads a bitmap of what is adjusted at the start of a program (`DT_RELR`).
    pub(super) const WITH_BITMAPS: Self = Self { major: 2, minor: 36 };
}

impl FromStr for Glibc {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || anyhow!("{text:?} is no release of the C library like \"2.31\"");
        // Symbols of corrections have three numbers: GLIBC_2.3.4.
        let mut numbers = text.split('.').map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) if numbers.all(|number| number.is_ok()) => {
                Ok(Self { major, minor })
            }
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Glibc {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl fmt::Display for Glibc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::Glibc;

    #[test]
    fn releases_are_ordered_as_numbers() {
        let parse = |text: &str| text.parse::<Glibc>().unwrap();
        assert!(parse("2.4") < parse("2.31") && parse("2.31") < parse("2.36"));
        assert_eq!(parse("2.3.4"), parse("2.3"));
        assert_eq!(parse("2.31").to_string(), "2.31");
        for wrong in ["", "2", "2.x", "2.31-0ubuntu9", "2.3.x"] {
            assert!(wrong.parse::<Glibc>().is_err(), "{wrong}");
        }
    }
}
