//! Element sets: what is known of an orbit, and what was wrong with the text that told it.

use types::Epoch;

use crate::catalog::{Catalog, ReadPolicy, SameNames};
use crate::format::unmarked;
use crate::propagate::{Sgp4Constants, UnusableElements};

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

/// What a record says beside the orbit: nothing that SGP4 needs, kept so that no conversion loses it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// International designator as OMM writes it (`1998-067A`); `None` where the record has none.
    pub object_id: Option<Box<str>>,
    /// Classification, one letter: `U`, `C` or `S`; `C` also marks supplemental sets made by CelesTrak.
    pub classification: Option<char>,
    /// Ephemeris type: 0, 2 or 3, all for SGP4.
    pub ephemeris_type: Option<u8>,
    /// Number of the element set.
    pub element_set: Option<u32>,
    /// Revolution at epoch.
    pub revolution: Option<u32>,
    /// Half the first derivative of mean motion, rev/day^2, as TLE and OMM print it.
    pub mean_motion_dot: Option<f64>,
    /// A sixth of the second derivative of mean motion, rev/day^3, as TLE and OMM print it.
    pub mean_motion_ddot: Option<f64>,
}

/// One object: its names, its elements, and what SGP4 derives from them.
#[derive(Clone, Debug)]
pub struct Elements {
    /// Name; the catalogue number where the text gives none.
    pub name: String,
    /// Catalogue number in decimal without leading zeros; empty for synthetic satellites and OMM without one.
    pub catalog: String,
    /// The moment for which the elements hold, UTC.
    pub epoch: Epoch,
    /// The mean elements at that moment.
    pub mean: MeanElements,
    /// What else the record says.
    pub facts: Facts,
    /// The line of the text on which the object begins, from 1; 0 for synthetic satellites.
    pub line: usize,
    pub(crate) sgp4: Sgp4Constants,
}

impl Elements {
    /// A satellite that no text describes: no catalogue number, and nothing is known of it beside its orbit.
    ///
    /// # Errors
    /// Why SGP4 makes no orbit of these elements.
    pub fn made_up(name: String, epoch: Epoch, mean: MeanElements) -> Result<Self, String> {
        let sgp4 = Sgp4Constants::from_mean(epoch, &mean).map_err(|e| e.to_string())?;
        let (catalog, facts) = (String::new(), Facts::default());
        Ok(Self { name, catalog, epoch, mean, facts, line: 0, sgp4 })
    }

    /// The same orbit under another name and at another epoch.
    ///
    /// # Errors
    /// [`UnusableElements`] when SGP4 makes no orbit of it, which the elements' own epoch can decide for deep space.
    pub(crate) fn at_epoch(&self, name: String, epoch: Epoch) -> Result<Self, UnusableElements> {
        let sgp4 = Sgp4Constants::from_mean(epoch, &self.mean)?;
        Ok(Self { name, epoch, sgp4, ..self.clone() })
    }

    /// Whether both records say the same, wherever they stand.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        let parts = |e: &Self| (e.epoch, e.mean);
        (&self.name, &self.catalog, &self.facts) == (&other.name, &other.catalog, &other.facts)
            && parts(self) == parts(other)
    }
}

/// Longest text of element sets that shells read, in bytes: 100,000 satellites as pretty-printed OMM XML (1.6 kB each)
/// with room; as TLE they take 17 MB, as OMM JSON 45 MB, as KVN 75 MB.
pub const ELEMENTS_BYTES_MAX: u64 = 192 << 20;

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

/// Half the first and a sixth of the second derivative of mean motion: kept, not used by SGP4.
pub(crate) const DERIVATIVE: Range =
    Range { low: -1.0e9, high: 1.0e9, rule: "must be a number, like -.00001273" };

/// Longest name and longest designator that are taken, in characters; the formats know 24 and 11, catalogues use more.
pub(crate) const NAME_CHARS_MAX: usize = 64;

/// Reads a text of element sets in any [format](crate::format::Format): all of it or nothing.
///
/// Names may repeat, and an empty array of JSON is a constellation without satellites; [`crate::catalog::read`] wants names
/// unique and at least one record.
///
/// # Errors
/// The first [`ElementError`]: a malformed record, a catalogue number that comes twice, no record at all.
pub fn parse_elements(text: &str) -> Result<Vec<Elements>, ElementError> {
    let policy = ReadPolicy { same_names: SameNames::Keep, ..ReadPolicy::default() };
    let mut catalog = Catalog::new(policy);
    catalog.read(text, None)?;
    if catalog.is_empty() && unmarked(text).trim_start().starts_with('[') {
        return Ok(Vec::new());
    }
    Ok(catalog.finish()?.0)
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
    fn a_made_up_satellite_flies_if_sgp4_has_an_orbit_for_it() {
        let epoch = Epoch::parse("2026-01-01T00:00:00Z").unwrap();
        let mean = MeanElements {
            inclination_deg: 53.0,
            raan_deg: 0.0,
            eccentricity: 0.0001,
            arg_perigee_deg: 0.0,
            mean_anomaly_deg: 0.0,
            mean_motion_rev_day: 15.05,
            bstar: 0.0,
        };
        let one = Elements::made_up("A".to_owned(), epoch, mean).unwrap();
        assert_eq!((one.name.as_str(), one.catalog.as_str(), one.line), ("A", "", 0));
        assert!(one.state_teme(10.0).is_ok());
        let open = MeanElements { eccentricity: 1.5, ..mean };
        assert!(Elements::made_up("A".to_owned(), epoch, open).is_err());
    }

    #[test]
    fn an_empty_text_is_refused_and_an_empty_array_is_not() {
        assert!(parse_elements(" [ ] ").unwrap().is_empty());
        for text in ["", "\n\r\n", "# only a comment\n", "<ndm/>", "No GP data found"] {
            let error = parse_elements(text).unwrap_err();
            assert_eq!((error.line, error.field.as_str()), (1, "file"), "{error}");
        }
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
            "line 2, file: \"<!DOCTYPE html>\" must be element sets; this looks like a web page",
        );
        refused(
            "CCSDS_OEM_VERS = 2.0\n",
            "line 1, file: \"CCSDS_OEM_VERS = 2.0\" must be an OMM, which begins with CCSDS_OMM_VERS",
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
