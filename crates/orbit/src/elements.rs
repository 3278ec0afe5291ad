//! Element sets: what is known of an orbit, and what was wrong with the text that told it.

use types::Epoch;

use crate::propagate::Propagator;
use crate::{omm, tle};

/// Mean elements in the sense of SGP4: TEME of date, Kozai mean motion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanElements {
    /// Inclination in degrees.
    pub inclination_deg: f64,
    /// Right ascension of the ascending node in degrees.
    pub raan_deg: f64,
    /// Eccentricity, 0 to below 1.
    pub eccentricity: f64,
    /// Argument of perigee in degrees.
    pub arg_perigee_deg: f64,
    /// Mean anomaly in degrees.
    pub mean_anomaly_deg: f64,
    /// Mean motion in revolutions per day.
    pub mean_motion_rev_day: f64,
    /// Drag term B* in inverse Earth radii.
    pub bstar: f64,
}

/// One object: its names, its elements, and the propagator made of them.
#[derive(Clone, Debug)]
pub struct Elements {
    /// Name; the catalogue number where the text gives none.
    pub name: String,
    /// Catalogue number in decimal without leading zeros; empty for synthetic satellites.
    pub catalog: String,
    /// The moment for which the elements hold, UTC.
    pub epoch: Epoch,
    /// The mean elements at that moment.
    pub mean: MeanElements,
    /// The line of the text on which the object begins, from 1; 0 for synthetic satellites.
    pub line: usize,
    pub(crate) propagator: Propagator,
}

/// Longest text of element sets that shells read, in bytes: 100,000 satellites as OMM JSON.
pub const ELEMENTS_BYTES_MAX: u64 = 64 << 20;

/// What is wrong with a text of element sets, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, {}: {value:?} {rule}", self.place())]
pub struct ElementError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1; in JSON, where a whole set may stand on one line.
    pub column: Option<usize>,
    /// The record at fault with its name, where that is known.
    pub object: Option<String>,
    /// The field or key at fault; for a text that does not read on, the last key before.
    pub field: String,
    /// What stands there, cut to 64 characters.
    pub value: String,
    /// The rule that it breaks, beginning with "must".
    pub rule: String,
}

impl ElementError {
    pub(crate) fn new(line: usize, field: &str, value: &str, rule: impl Into<String>) -> Self {
        let field = cut(field);
        Self { line, column: None, object: None, field, value: cut(value), rule: rule.into() }
    }

    /// The same, said of the record with this number, from 1, and this name.
    pub(crate) fn of(self, record: usize, name: Option<String>) -> Self {
        let name = name.map_or_else(String::new, |name| format!(" {:?}", cut(&name)));
        Self { object: Some(format!("record {record}{name}")), ..self }
    }

    /// Where it is beyond the line: column, record and field, as far as known.
    pub fn place(&self) -> String {
        let column = self.column.map(|column| format!("column {column}"));
        let parts = column.into_iter().chain(self.object.clone());
        parts.chain([self.field.clone()]).collect::<Vec<_>>().join(", ")
    }
}

/// Names and values are told up to this length.
const TOLD_CHARS_MAX: usize = 64;

fn cut(text: &str) -> String {
    text.chars().take(TOLD_CHARS_MAX).collect()
}

/// Takes the bytes of a file as text.
///
/// # Errors
/// [`ElementError`] with the line of the first byte that is not UTF-8.
pub fn text_of(bytes: Vec<u8>) -> Result<String, ElementError> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let line = 1 + bytes[..at].iter().filter(|b| **b == b'\n').count();
        let rule = match bytes {
            [0x1f, 0x8b, ..] => "must be UTF-8 text; this is gzip, unpack it",
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "must be UTF-8 text; this is UTF-16, convert it",
            _ => "must be UTF-8 text",
        };
        ElementError::new(line, "file", &format!("byte 0x{:02x}", bytes[at]), rule)
    })
}

/// The numbers that a field may hold, both ends included, and the rule in words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) rule: &'static str,
}

impl Range {
    pub(crate) fn holds(self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

pub(crate) const INCLINATION: Range =
    Range { low: 0.0, high: 180.0, rule: "must be a number from 0 to 180 degrees" };
pub(crate) const ANGLE: Range =
    Range { low: -360.0, high: 360.0, rule: "must be a number from -360 to 360 degrees" };
pub(crate) const ECCENTRICITY: Range = Range {
    low: 0.0,
    high: 1.0 - f64::EPSILON,
    rule: "must be a number from 0 to below 1 (a closed orbit)",
};
/// At 17 revolutions per day an orbit touches the ground; 20 leaves room for decaying objects. The slowest of the
/// verification set of Vallado et al. has 0.00001, which is a heliocentric orbit; such objects are read and are down,
/// see `world.rs`.
pub(crate) const MEAN_MOTION: Range = Range {
    low: 1.0e-5,
    high: 20.0,
    rule: "must be a number from 0.00001 to 20 revolutions per day",
};
/// The field of a TLE ends at 0.99999e9.
pub(crate) const BSTAR: Range =
    Range { low: -1.0e9, high: 1.0e9, rule: "must be a number from -1e9 to 1e9 per Earth radius" };

/// Reads a text of element sets, JSON (OMM) if its first non-blank character is `[` or `{`, else TLE.
///
/// # Errors
/// The first [`ElementError`]: a malformed record, a catalogue number that comes twice, no record at all.
pub fn parse_elements(text: &str) -> Result<Vec<Elements>, ElementError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_json = text.trim_start().starts_with(['[', '{']);
    if is_json {
        return omm::parse_json(text);
    }
    refuse_other_formats(text)?;
    let elements = tle::parse(text)?;
    if elements.is_empty() {
        return Err(ElementError::new(1, "file", "", "must hold at least one element set"));
    }
    refuse_twins(&elements)?;
    Ok(elements)
}

/// Formats that are easily taken for ours, by how their first line begins.
const OTHER_FORMATS: [(&str, &str); 3] =
    [("<", "XML or HTML"), ("CCSDS_OMM_VERS", "OMM as KVN"), ("OBJECT_NAME,", "OMM as CSV")];

fn refuse_other_formats(text: &str) -> Result<(), ElementError> {
    let lines = text.lines().enumerate();
    let Some((index, first)) = lines.map(|(i, l)| (i, l.trim())).find(|(_, l)| !l.is_empty())
    else {
        return Ok(());
    };
    match OTHER_FORMATS.iter().find(|(begin, _)| first.starts_with(begin)) {
        None => Ok(()),
        Some((_, format)) => {
            let rule = format!("must be TLE, or OMM as JSON; this looks like {format}");
            Err(ElementError::new(index + 1, "file", first, rule))
        }
    }
}

fn refuse_twins(elements: &[Elements]) -> Result<(), ElementError> {
    let mut by_catalog: Vec<(&str, usize)> =
        elements.iter().enumerate().map(|(index, e)| (e.catalog.as_str(), index)).collect();
    by_catalog.sort_unstable();
    let twins = by_catalog.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    // The first of the records that repeat a number, in the order of the text.
    match twins.min_by_key(|pair| pair[1].1) {
        None => Ok(()),
        Some(pair) => {
            let (first, again) = (pair[0].1, pair[1].1);
            let rule = twin_rule(first, &elements[first]);
            let error = ElementError::new(elements[again].line, "catalog number", pair[1].0, rule);
            Err(error.of(again + 1, Some(elements[again].name.clone())))
        }
    }
}

/// The rule that a second object with the catalogue number of `first` breaks.
pub(crate) fn twin_rule(index: usize, first: &Elements) -> String {
    let (record, name, line) = (index + 1, &first.name, first.line);
    format!("must not come twice, but is that of record {record} {name:?} on line {line} already")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_line_field_value_and_rule() {
        let error = ElementError::new(12, "checksum", "5", "must be 7");
        assert_eq!(error.to_string(), "line 12, checksum: \"5\" must be 7");
    }

    #[test]
    fn an_empty_text_is_refused_and_an_empty_array_is_not() {
        for text in ["", "\n\r\n", "# only a comment\n"] {
            let error = parse_elements(text).unwrap_err();
            assert_eq!((error.line, error.field.as_str()), (1, "file"));
        }
        assert!(parse_elements(" [ ] ").unwrap().is_empty());
    }

    #[test]
    fn a_catalogue_number_that_comes_twice_is_refused_where_it_comes_again() {
        let set = |number: u32| {
            format!(
                r#"{{"EPOCH":"2026-01-01T00:00:00","MEAN_MOTION":15,"ECCENTRICITY":0,"INCLINATION":53,
                "RA_OF_ASC_NODE":0,"ARG_OF_PERICENTER":0,"MEAN_ANOMALY":0,"BSTAR":0,"NORAD_CAT_ID":{number}}}"#
            )
        };
        let text = [9, 7, 8, 7, 9].map(set).join(",\n");
        let error = parse_elements(&format!("[{text}]")).unwrap_err();
        let expected = "line 8, column 100, record 4, NORAD_CAT_ID: \"7\" must not come twice, \
            but is that of record 2 \"7\" on line 3 already";
        assert_eq!(error.to_string(), expected);
    }

    #[track_caller]
    fn refused(text: &str, message: &str) {
        assert_eq!(parse_elements(text).unwrap_err().to_string(), message);
    }

    #[test]
    fn other_formats_are_called_by_their_names() {
        refused(
            "\n<!DOCTYPE html>\n<html></html>",
            "line 2, file: \"<!DOCTYPE html>\" must be TLE, or OMM as JSON; this looks like XML or HTML",
        );
        refused(
            "OBJECT_NAME,EPOCH\nA,2026",
            "line 1, file: \"OBJECT_NAME,EPOCH\" must be TLE, or OMM as JSON; this looks like OMM as CSV",
        );
        refused(
            "CCSDS_OMM_VERS = 2.0\n",
            "line 1, file: \"CCSDS_OMM_VERS = 2.0\" must be TLE, or OMM as JSON; this looks like OMM as KVN",
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_with_their_line() {
        assert_eq!(text_of(b"IRIDIUM\r\n\xef\xbb\xbf".to_vec()).unwrap().len(), 12);
        let message = |bytes: &[u8]| text_of(bytes.to_vec()).unwrap_err().to_string();
        let latin = message(b"A\nB\nSATELLITE No\xe9mie\n");
        assert_eq!(latin, "line 3, file: \"byte 0xe9\" must be UTF-8 text");
        let packed = message(b"\x1f\x8b\x08\x00");
        assert_eq!(
            packed,
            "line 1, file: \"byte 0x8b\" must be UTF-8 text; this is gzip, unpack it"
        );
    }
}
