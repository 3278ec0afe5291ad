//! What a message means, whatever notation it came in.

use std::borrow::Cow;

use types::Epoch;

use super::place::Mark;
use super::{catalog_number, epoch};
use crate::catalog::{Place, Read};
use crate::elements::{
    ANGLE, BSTAR, DERIVATIVE, ECCENTRICITY, ElementError, Elements, Facts, INCLINATION,
    MEAN_MOTION, MeanElements, NAME_CHARS_MAX, Range,
};
use crate::propagate::Sgp4Constants;

/// Most keywords of a message: a full OMM with covariance and 40 user-defined ones has about 100.
pub(super) const KEYS_MAX: usize = 512;
/// Keywords that, where present, must have the value that SGP4 implies.
const IMPLIED: [(&str, &[&str]); 4] = [
    ("CENTER_NAME", &["EARTH"]),
    ("REF_FRAME", &["TEME", "TEME OF DATE"]),
    ("TIME_SYSTEM", &["UTC"]),
    ("MEAN_ELEMENT_THEORY", &["SGP4", "SGP/SGP4"]),
];
/// Versions of the message that differ in nothing that is read here.
const VERSIONS: [&str; 3] = ["1.0", "2.0", "3.0"];
/// Keywords that may come more than once.
const REPEATABLE: [&str; 2] = ["COMMENT", "USER_DEFINED"];

/// The value of a keyword.
#[derive(Clone, Debug)]
pub(super) struct Field<'a> {
    pub(super) key: Cow<'a, str>,
    /// Where the value begins; `None` where the notation hides it.
    pub(super) at: Option<usize>,
    /// Without white space around it; empty stands for absent.
    pub(super) text: Cow<'a, str>,
}

/// One message, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Message<'a> {
    source: &'a str,
    /// Where it begins.
    pub(super) begin: Mark,
    fields: Vec<Field<'a>>,
    /// The first thing that is wrong with how it is written.
    fault: Option<ElementError>,
}

/// The unit that a number may carry in brackets.
const fn unit_of(key: &str) -> Option<&'static str> {
    match key.as_bytes() {
        b"INCLINATION" | b"RA_OF_ASC_NODE" | b"ARG_OF_PERICENTER" | b"MEAN_ANOMALY" => Some("deg"),
        b"MEAN_MOTION" => Some("rev/day"),
        b"BSTAR" => Some("1/ER"),
        b"MEAN_MOTION_DOT" => Some("rev/day**2"),
        b"MEAN_MOTION_DDOT" => Some("rev/day**3"),
        _ => None,
    }
}

impl<'a> Message<'a> {
    pub(super) fn new(source: &'a str, begin: Mark) -> Self {
        Self { source, begin, fields: Vec::with_capacity(24), fault: None }
    }

    /// Takes a field in, unless it breaks a rule: no keyword twice, and a bound on their number.
    pub(super) fn push(&mut self, field: Field<'a>) {
        let repeatable = REPEATABLE.contains(&field.key.as_ref());
        let rule = if !repeatable && self.field(&field.key).is_some() {
            "must not come twice in a record"
        } else if KEYS_MAX <= self.fields.len() {
            "must be one of at most 512 keywords of a record"
        } else {
            self.fields.push(field);
            return;
        };
        let error = self.place(field.at).map_or_else(
            || ElementError::new(self.begin.line, &field.key, &field.text, rule),
            |mark| mark.wrong(&field.key, &field.text, rule),
        );
        self.spoil(error);
    }

    /// Takes a field in that is known to be no other's equal, and one of few.
    pub(super) fn push_known(&mut self, field: Field<'a>) {
        self.fields.push(field);
    }

    /// Says that the message is not written as it should be; only what is said first counts.
    pub(super) fn spoil(&mut self, error: ElementError) {
        self.fault.get_or_insert(error);
    }

    /// Where the last value begins, if it stands in quotes.
    pub(super) fn last_quoted_at(&self) -> Option<usize> {
        let at = self.fields.last()?.at?;
        self.source[at..].starts_with('"').then_some(at)
    }

    fn place(&self, at: Option<usize>) -> Option<Mark> {
        at.map(|at| self.begin.on(self.source, at))
    }

    /// What it says as record `number`, from 1, of its text.
    pub(super) fn read(&self, number: usize) -> Result<Read, ElementError> {
        let read = match &self.fault {
            Some(fault) => Err(fault.clone()),
            None => self.understood(),
        };
        read.map_err(|error| self.name_in(error, number))
    }

    /// The error with the record that it is about.
    pub(super) fn name_in(&self, error: ElementError, number: usize) -> ElementError {
        error.of(number, self.text("OBJECT_NAME").map(str::to_owned))
    }

    fn understood(&self) -> Result<Read, ElementError> {
        for (key, allowed) in IMPLIED {
            self.check_word(key, allowed)?;
        }
        self.check_word("CCSDS_OMM_VERS", &VERSIONS)?;
        let catalog = self.catalog()?;
        let name = self.name(&catalog)?;
        let epoch = self.epoch()?;
        let mean = self.mean()?;
        let sgp4 = Sgp4Constants::from_mean(epoch, &mean).map_err(|e| {
            let value = mean.mean_motion_rev_day.to_string();
            self.wrong("MEAN_MOTION", &value, format!("must be an orbit: {e}"))
        })?;
        let facts = self.facts()?;
        let id = self.wrong("NORAD_CAT_ID", "", "");
        let id = Place { line: id.line, column: id.column, field: "NORAD_CAT_ID" };
        let line = self.begin.line;
        let elements = Elements { name, catalog, epoch, mean, facts, line, sgp4 };
        Ok(Read { elements, id, wrong_checksums: 0 })
    }

    fn mean(&self) -> Result<MeanElements, ElementError> {
        Ok(MeanElements {
            inclination_deg: self.required_number("INCLINATION", INCLINATION)?,
            raan_deg: self.required_number("RA_OF_ASC_NODE", ANGLE)?,
            eccentricity: self.required_number("ECCENTRICITY", ECCENTRICITY)?,
            arg_perigee_deg: self.required_number("ARG_OF_PERICENTER", ANGLE)?,
            mean_anomaly_deg: self.required_number("MEAN_ANOMALY", ANGLE)?,
            mean_motion_rev_day: self.required_number("MEAN_MOTION", MEAN_MOTION)?,
            bstar: self.required_number("BSTAR", BSTAR)?,
        })
    }

    fn facts(&self) -> Result<Facts, ElementError> {
        let object_id = self.plain_text("OBJECT_ID")?;
        Ok(Facts {
            object_id: object_id.map(Box::from),
            classification: self.classification()?,
            ephemeris_type: self.ephemeris_type()?,
            element_set: self.count("ELEMENT_SET_NO")?,
            revolution: self.count("REV_AT_EPOCH")?,
            mean_motion_dot: self.number("MEAN_MOTION_DOT", DERIVATIVE)?,
            mean_motion_ddot: self.number("MEAN_MOTION_DDOT", DERIVATIVE)?,
        })
    }

    fn field(&self, key: &str) -> Option<&Field<'a>> {
        self.fields.iter().find(|field| field.key == key)
    }

    /// The value of a keyword; `None` where it is absent.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.field(key).map(|field| field.text.as_ref()).filter(|text| !text.is_empty())
    }

    /// What is wrong with the value of a keyword; the place is that of the message where the keyword is missing.
    pub(super) fn wrong(&self, key: &str, value: &str, rule: impl Into<String>) -> ElementError {
        match self.field(key).map(|field| field.at) {
            None => self.begin.wrong(key, value, rule),
            Some(at) => match self.place(at) {
                None => ElementError::new(self.begin.line, key, value, rule),
                Some(mark) => mark.wrong(key, value, rule),
            },
        }
    }

    fn required(&self, key: &'static str) -> Result<&str, ElementError> {
        self.text(key).ok_or_else(|| {
            let alike = self.fields.iter().find(|field| field.key.eq_ignore_ascii_case(key));
            match alike {
                Some(field) if field.key != key => {
                    let rule = format!("must be written in capitals, as {key}");
                    let error = self.wrong(&field.key, &field.key, rule);
                    ElementError { field: key.to_owned(), ..error }
                }
                _ => self.wrong(key, "", "must be present"),
            }
        })
    }

    fn required_number(&self, key: &'static str, range: Range) -> Result<f64, ElementError> {
        self.required(key)?;
        self.number(key, range)?.ok_or_else(|| self.wrong(key, "", "must be present"))
    }

    fn number(&self, key: &'static str, range: Range) -> Result<Option<f64>, ElementError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        let digits = self.without_unit(key, text)?;
        // Neither `inf`, which Rust reads, nor a list.
        let is_number = digits.bytes().any(|b| b.is_ascii_digit());
        let value = if is_number { digits.parse::<f64>().ok() } else { None };
        let value = value.filter(|v| range.holds(*v));
        value.map(Some).ok_or_else(|| self.wrong(key, text, range.rule))
    }

    /// The number before a unit in brackets, which must be the one that the standard knows.
    fn without_unit<'b>(&self, key: &str, text: &'b str) -> Result<&'b str, ElementError> {
        let Some((digits, unit)) = text.strip_suffix(']').and_then(|t| t.split_once('[')) else {
            return Ok(text);
        };
        match unit_of(key) {
            Some(known) if unit.trim().eq_ignore_ascii_case(known) => Ok(digits.trim_end()),
            Some(known) => Err(self.wrong(key, text, format!("must be in units of {known}"))),
            None => Err(self.wrong(key, text, "must be a number without a unit")),
        }
    }

    /// A whole number of up to nine digits, perhaps after zeros and a plus sign.
    fn count(&self, key: &'static str) -> Result<Option<u32>, ElementError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        let rule = "must be a whole number of up to nine digits";
        catalog_number(text).map(Some).ok_or_else(|| self.wrong(key, text, rule))
    }

    fn catalog(&self) -> Result<String, ElementError> {
        Ok(self.count("NORAD_CAT_ID")?.map_or_else(String::new, |number| number.to_string()))
    }

    fn name(&self, catalog: &str) -> Result<String, ElementError> {
        match self.plain_text("OBJECT_NAME")? {
            Some(name) => Ok(name.to_owned()),
            None if catalog.is_empty() => {
                self.required("NORAD_CAT_ID").map_err(|error| ElementError {
                    rule: "must be present where there is no OBJECT_NAME".to_owned(),
                    ..error
                })?;
                Ok(String::new())
            }
            None => Ok(catalog.to_owned()),
        }
    }

    fn plain_text(&self, key: &'static str) -> Result<Option<&str>, ElementError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        if NAME_CHARS_MAX < text.chars().count() {
            return Err(self.wrong(key, text, "must be at most 64 characters"));
        }
        if text.chars().any(char::is_control) {
            return Err(self.wrong(key, text, "must not hold control characters"));
        }
        Ok(Some(text))
    }

    fn epoch(&self) -> Result<Epoch, ElementError> {
        let text = self.required("EPOCH")?;
        epoch(text).ok_or_else(|| {
            let rule = "must be UTC like 2024-10-29T14:54:30.235392 or 2024-303T14:54:30.235392";
            self.wrong("EPOCH", text, rule)
        })
    }

    fn classification(&self) -> Result<Option<char>, ElementError> {
        const KEY: &str = "CLASSIFICATION_TYPE";
        let Some(text) = self.text(KEY) else { return Ok(None) };
        let mut letters = text.chars();
        match (letters.next().filter(char::is_ascii_alphabetic), letters.next()) {
            (Some(letter), None) => Ok(Some(letter.to_ascii_uppercase())),
            _ => Err(self.wrong(KEY, text, "must be one letter, like U")),
        }
    }

    fn ephemeris_type(&self) -> Result<Option<u8>, ElementError> {
        const KEY: &str = "EPHEMERIS_TYPE";
        let Some(text) = self.text(KEY) else { return Ok(None) };
        match catalog_number(text) {
            Some(0) => Ok(Some(0)),
            Some(2) => Ok(Some(2)),
            Some(3) => Ok(Some(3)),
            // 4 is SGP4-XP, another theory, which SGP4 would read without complaint.
            _ => Err(self.wrong(KEY, text, "must be 0, 2 or 3 (elements for SGP4)")),
        }
    }

    fn check_word(&self, key: &'static str, allowed: &[&str]) -> Result<(), ElementError> {
        match self.text(key) {
            Some(value) if !allowed.contains(&value.to_uppercase().as_str()) => {
                Err(self.wrong(key, value, format!("must be {}", allowed.join(" or "))))
            }
            _ => Ok(()),
        }
    }
}
