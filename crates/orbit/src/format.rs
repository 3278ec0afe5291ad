//! The formats of element sets, and how to tell them apart.

use std::fmt;

use crate::elements::ElementError;

/// A format of element sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Two-line element sets, with or without name lines.
    Tle,
    /// OMM as JSON: an array of records, or one.
    OmmJson,
    /// OMM as CSV: a header with keywords in any order, a record a line.
    OmmCsv,
    /// OMM as KVN, the "keyword = value" notation of CCSDS 502.0-B; any number of messages.
    OmmKvn,
    /// OMM as XML: an `ndm` with any number of `omm`, or one `omm`.
    OmmXml,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Tle, Self::OmmJson, Self::OmmCsv, Self::OmmKvn, Self::OmmXml];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tle => "tle",
            Self::OmmJson => "omm-json",
            Self::OmmCsv => "omm-csv",
            Self::OmmKvn => "omm-kvn",
            Self::OmmXml => "omm-xml",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What providers answer in the place of element sets when they have none.
const NO_DATA: [&str; 2] = ["No GP data found", "No SupGP data found"];

/// Whether the text is a provider's answer that there are no such element sets.
pub fn says_no_data(text: &str) -> bool {
    NO_DATA.contains(&text.trim())
}

/// The text without the mark that some editors put before UTF-8.
pub(crate) fn unmarked(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Which format a text has, by how it begins; what begins like nothing else is taken as TLE.
///
/// # Errors
/// [`ElementError`] for what is easily taken for element sets and is none.
pub fn detect(text: &str) -> Result<Format, ElementError> {
    let lines = unmarked(text).lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let mut lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let Some((number, first)) = lines.next() else { return Ok(Format::Tle) };
    let refuse = |rule| Err(ElementError::new(number, "file", first, rule));
    let begins =
        |begin: &str| first.get(..begin.len()).is_some_and(|b| b.eq_ignore_ascii_case(begin));
    match first.as_bytes()[0] {
        b'[' | b'{' => Ok(Format::OmmJson),
        b'<' if begins("<!doctype html") || begins("<html") => {
            refuse("must be element sets; this looks like a web page")
        }
        b'<' => Ok(Format::OmmXml),
        _ if is_keyword(first, "CCSDS_OMM_VERS") || is_keyword(first, "COMMENT") => {
            Ok(Format::OmmKvn)
        }
        _ if first.starts_with("CCSDS_") => {
            refuse("must be an OMM, which begins with CCSDS_OMM_VERS")
        }
        _ if is_header(first) => Ok(Format::OmmCsv),
        _ => Ok(Format::Tle),
    }
}

fn is_keyword(line: &str, keyword: &str) -> bool {
    let rest = line.strip_prefix(keyword);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '=']))
}

/// A header has commas between keywords; no name of a satellite has this one.
fn is_header(line: &str) -> bool {
    let mut columns = line.split(',').map(|column| column.trim().trim_matches('"'));
    line.contains(',') && columns.any(|column| column.eq_ignore_ascii_case("MEAN_MOTION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_is_known_by_its_beginning() {
        for (text, format) in [
            ("", Format::Tle),
            ("# made up\n0 ISS\n1 25544U", Format::Tle),
            ("COMET SAT\n1 25544U", Format::Tle),
            ("COMMENTARY\n1 25544U", Format::Tle),
            ("SAT A, B\n1 25544U", Format::Tle),
            ("\u{feff}\n [", Format::OmmJson),
            ("{\"OBJECT_NAME\"", Format::OmmJson),
            ("<?xml version=\"1.0\"?>", Format::OmmXml),
            ("<ndm>", Format::OmmXml),
            ("\r\nCCSDS_OMM_VERS = 2.0", Format::OmmKvn),
            ("CCSDS_OMM_VERS=3.0", Format::OmmKvn),
            ("COMMENT made up\nCCSDS_OMM_VERS=3.0", Format::OmmKvn),
            ("OBJECT_NAME,EPOCH,MEAN_MOTION\n", Format::OmmCsv),
            ("\"EPOCH\",\"MEAN_MOTION\"\n", Format::OmmCsv),
        ] {
            assert_eq!(detect(text), Ok(format), "{text:?}");
        }
        for text in ["<!DOCTYPE html>", "<HTML>", "CCSDS_OPM_VERS = 2.0", "CCSDS_OMM_VERSION = 2"] {
            assert_eq!(detect(text).unwrap_err().field, "file", "{text:?}");
        }
    }
}
