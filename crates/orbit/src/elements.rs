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

/// What is wrong with a text of element sets, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, {field}: {value:?} {rule}")]
pub struct ElementError {
    /// The line, from 1; in JSON that of the record.
    pub line: usize,
    /// The field or key at fault.
    pub field: &'static str,
    /// What stands there, cut to 64 characters.
    pub value: String,
    /// The rule that it breaks, beginning with "must".
    pub rule: String,
}

impl ElementError {
    pub(crate) fn new(
        line: usize,
        field: &'static str,
        value: &str,
        rule: impl Into<String>,
    ) -> Self {
        Self { line, field, value: value.chars().take(64).collect(), rule: rule.into() }
    }
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
/// At 17 revolutions per day an orbit touches the ground; 20 leaves room for decaying objects.
pub(crate) const MEAN_MOTION: Range = Range {
    low: f64::MIN_POSITIVE,
    high: 20.0,
    rule: "must be a number above 0 and at most 20 revolutions per day",
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
    let elements = if is_json { omm::parse_json(text)? } else { tle::parse(text)? };
    if elements.is_empty() && !is_json {
        return Err(ElementError::new(1, "file", "", "must hold at least one element set"));
    }
    refuse_twins(&elements)?;
    Ok(elements)
}

fn refuse_twins(elements: &[Elements]) -> Result<(), ElementError> {
    let mut by_catalog: Vec<(&str, usize)> =
        elements.iter().map(|e| (e.catalog.as_str(), e.line)).collect();
    by_catalog.sort_unstable();
    let twins = by_catalog.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    // The first of the lines that repeat a number, in the order of the text.
    match twins.min_by_key(|pair| pair[1].1) {
        None => Ok(()),
        Some(pair) => Err(ElementError::new(
            pair[1].1,
            "catalog number",
            pair[1].0,
            format!("must not come twice, but stands on line {} already", pair[0].1),
        )),
    }
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
            assert_eq!((error.line, error.field), (1, "file"));
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
        let expected =
            "line 7, catalog number: \"7\" must not come twice, but stands on line 3 already";
        assert_eq!(error.to_string(), expected);
    }
}
