//! Orbit mean-elements messages in JSON, as CelesTrak and Space-Track serve them (CCSDS 502.0-B-3).
//!
//! Numbers may be JSON numbers or strings. What is not needed is not read; what contradicts SGP4 is refused.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use types::Epoch;

use crate::elements::{
    ANGLE, BSTAR, ECCENTRICITY, ElementError, Elements, INCLINATION, MEAN_MOTION, MeanElements,
    Range,
};
use crate::propagate::Propagator;

/// Largest catalogue number: CCSDS knows nine digits.
const CATALOG_MAX: u64 = 999_999_999;
/// Longest name that is taken, in characters.
const NAME_CHARS_MAX: usize = 64;
/// Keys that, where present, must have the value that SGP4 implies.
const IMPLIED: [(&str, &[&str]); 5] = [
    ("CENTER_NAME", &["EARTH"]),
    ("REF_FRAME", &["TEME", "TEME OF DATE"]),
    ("TIME_SYSTEM", &["UTC"]),
    ("MEAN_ELEMENT_THEORY", &["SGP4", "SGP/SGP4"]),
    // 4 is SGP4-XP, another theory.
    ("EPHEMERIS_TYPE", &["0", "2", "3"]),
];

/// Reads an array of messages, or one: all of it or nothing.
///
/// # Errors
/// The first [`ElementError`]; its line is that of the record (of the text, where the JSON itself is broken).
pub fn parse_json(text: &str) -> Result<Vec<Elements>, ElementError> {
    let mut cursor = Cursor::new(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut elements = Vec::new();
    if cursor.peek() == Some('{') {
        elements.push(cursor.record()?);
        return cursor.end(elements);
    }
    cursor.expect("[", "must begin with '[' or '{'")?;
    if cursor.peek() == Some(']') {
        cursor.expect("]", "")?;
        return cursor.end(elements);
    }
    loop {
        elements.push(cursor.record()?);
        if cursor.peek() == Some(',') {
            cursor.expect(",", "")?;
        } else {
            cursor.expect("]", "must continue with ',' or end with ']' after a record")?;
            return cursor.end(elements);
        }
    }
}

/// Where the reader stands: what is left of the text, and the line on which that begins.
#[derive(Debug)]
struct Cursor<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text, line: 1 }
    }

    fn skip(&mut self, bytes: usize) {
        let (done, rest) = self.rest.split_at(bytes);
        self.line += done.bytes().filter(|b| *b == b'\n').count();
        self.rest = rest;
    }

    /// The next character that is no white space.
    fn peek(&mut self) -> Option<char> {
        let blank = self.rest.len() - self.rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        self.skip(blank);
        self.rest.chars().next()
    }

    fn expect(&mut self, mark: &str, rule: &str) -> Result<(), ElementError> {
        let found = self.peek();
        if self.rest.starts_with(mark) {
            self.skip(mark.len());
            return Ok(());
        }
        let found = found.map_or_else(|| "end of text".to_owned(), |_| self.rest.to_owned());
        Err(ElementError::new(self.line, "json", &found, rule))
    }

    fn end(mut self, elements: Vec<Elements>) -> Result<Vec<Elements>, ElementError> {
        match self.peek() {
            None => Ok(elements),
            Some(_) => {
                Err(ElementError::new(self.line, "json", self.rest, "must end after the records"))
            }
        }
    }

    fn record(&mut self) -> Result<Elements, ElementError> {
        self.peek();
        let line = self.line;
        let mut stream = serde_json::Deserializer::from_str(self.rest).into_iter::<Record>();
        match stream.next() {
            None => Err(ElementError::new(line, "json", "end of text", "must hold a record here")),
            Some(Ok(record)) => {
                let used = stream.byte_offset();
                self.skip(used);
                record.elements(line)
            }
            Some(Err(error)) => {
                let excerpt = self.rest.lines().next().unwrap_or_default();
                let at = line + error.line().saturating_sub(1);
                let rule = format!("must be a well-formed record: {error}");
                Err(ElementError::new(at, "json", excerpt, rule))
            }
        }
    }
}

/// The keys of one message; no key may come twice.
#[derive(Debug)]
struct Record(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Record;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with the keys of an orbit mean-elements message")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
                let mut keys = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if let Some(_first) = keys.insert(key.clone(), value) {
                        return Err(serde::de::Error::custom(format!("key {key} comes twice")));
                    }
                }
                Ok(Record(keys))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

impl Record {
    fn elements(&self, line: usize) -> Result<Elements, ElementError> {
        for (key, allowed) in IMPLIED {
            self.check_implied(line, key, allowed)?;
        }
        let catalog = self.catalog(line)?;
        let epoch = self.epoch(line)?;
        let mean = MeanElements {
            inclination_deg: self.number(line, "INCLINATION", INCLINATION)?,
            raan_deg: self.number(line, "RA_OF_ASC_NODE", ANGLE)?,
            eccentricity: self.number(line, "ECCENTRICITY", ECCENTRICITY)?,
            arg_perigee_deg: self.number(line, "ARG_OF_PERICENTER", ANGLE)?,
            mean_anomaly_deg: self.number(line, "MEAN_ANOMALY", ANGLE)?,
            mean_motion_rev_day: self.number(line, "MEAN_MOTION", MEAN_MOTION)?,
            bstar: self.number(line, "BSTAR", BSTAR)?,
        };
        let name = self.name(line, &catalog)?;
        let propagator = Propagator::from_mean(epoch, &mean).map_err(|e| {
            ElementError::new(line, "MEAN_MOTION", &name, format!("must be an orbit: {e}"))
        })?;
        Ok(Elements { name, catalog, epoch, mean, line, propagator })
    }

    /// The value of a key as text; `None` where it is missing, null or empty.
    fn text(&self, key: &str) -> Option<String> {
        match self.0.get(key)? {
            Value::Null => None,
            Value::String(text) => Some(text.trim().to_owned()).filter(|t| !t.is_empty()),
            other => Some(other.to_string()),
        }
    }

    fn required(&self, line: usize, key: &'static str) -> Result<String, ElementError> {
        self.text(key).ok_or_else(|| ElementError::new(line, key, "", "must be present"))
    }

    fn number(&self, line: usize, key: &'static str, range: Range) -> Result<f64, ElementError> {
        let text = self.required(line, key)?;
        let is_number = matches!(self.0.get(key), Some(Value::Number(_) | Value::String(_)))
            && text.bytes().any(|b| b.is_ascii_digit());
        let value = if is_number { text.parse::<f64>().ok() } else { None };
        value
            .filter(|v| range.holds(*v))
            .ok_or_else(|| ElementError::new(line, key, &text, range.rule))
    }

    fn catalog(&self, line: usize) -> Result<String, ElementError> {
        const KEY: &str = "NORAD_CAT_ID";
        let text = self.required(line, KEY)?;
        catalog_number(&text).map(|n| n.to_string()).ok_or_else(|| {
            ElementError::new(line, KEY, &text, "must be a whole number of up to nine digits")
        })
    }

    fn epoch(&self, line: usize) -> Result<Epoch, ElementError> {
        let text = self.required(line, "EPOCH")?;
        epoch(&text).ok_or_else(|| {
            let rule = "must be UTC like 2024-10-29T14:54:30.235392 or 2024-303T14:54:30.235392";
            ElementError::new(line, "EPOCH", &text, rule)
        })
    }

    fn name(&self, line: usize, catalog: &str) -> Result<String, ElementError> {
        let name = self.text("OBJECT_NAME").unwrap_or_else(|| catalog.to_owned());
        if NAME_CHARS_MAX < name.chars().count() {
            return Err(ElementError::new(
                line,
                "OBJECT_NAME",
                &name,
                "must be at most 64 characters",
            ));
        }
        Ok(name)
    }

    fn check_implied(
        &self,
        line: usize,
        key: &'static str,
        allowed: &[&str],
    ) -> Result<(), ElementError> {
        match self.text(key) {
            Some(value) if !allowed.contains(&value.to_uppercase().as_str()) => {
                Err(ElementError::new(line, key, &value, format!("must be {}", allowed[0])))
            }
            _ => Ok(()),
        }
    }
}

/// Decodes `NORAD_CAT_ID` as text: up to nine digits after leading zeros and an optional plus sign.
pub fn catalog_number(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse::<u64>().ok().filter(|n| *n <= CATALOG_MAX)?;
    u32::try_from(number).ok()
}

/// Decodes a CCSDS time (502.0-B-3, 7.5.10): calendar date or day of year, any decimals, optional `Z`.
///
/// A leap second (`23:59:60`) is read as the first moment of the next day.
pub fn epoch(text: &str) -> Option<Epoch> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once('T')?;
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Nanoseconds; what lies below is cut.
    let nanos = format!("{fraction:0<9}").get(..9)?.parse::<i64>().ok()?;
    let &[hour, minute, second] = fixed_numbers(clock, ':', &[2, 2, 2])?.as_slice() else {
        return None;
    };
    let leap = (hour, minute, second) == (23, 59, 60);
    if 24 <= hour || 60 <= minute || (60 <= second && !leap) {
        return None;
    }
    let of_day_ns = i64::from(hour * 3600 + minute * 60 + second) * 1_000_000_000 + nanos;
    match date.len() {
        8 => match fixed_numbers(date, '-', &[4, 3])?.as_slice() {
            &[year, day] => day_of_year(i32::try_from(year).ok()?, day, of_day_ns),
            _ => None,
        },
        _ => match fixed_numbers(date, '-', &[4, 2, 2])?.as_slice() {
            &[year, month, day] => {
                let midnight =
                    Epoch::from_utc((i32::try_from(year).ok()?, month, day), (0, 0, 0), 0)?;
                midnight.unix_ns().checked_add(of_day_ns).map(Epoch::from_unix_ns)
            }
            _ => None,
        },
    }
}

/// Parts of exactly these widths, all digits.
fn fixed_numbers(text: &str, mark: char, widths: &[usize]) -> Option<Vec<u32>> {
    let parts: Vec<&str> = text.split(mark).collect();
    let fits = |(part, width): (&&str, &usize)| {
        part.len() == *width && part.bytes().all(|b| b.is_ascii_digit())
    };
    if parts.len() != widths.len() || !parts.iter().zip(widths).all(fits) {
        return None;
    }
    parts.iter().map(|part| part.parse().ok()).collect()
}

/// The moment `of_day_ns` after the beginning of day `day` (1 = January 1st) of `year`.
pub(crate) fn day_of_year(year: i32, day: u32, of_day_ns: i64) -> Option<Epoch> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if !(1..=365 + u32::from(is_leap)).contains(&day) {
        return None;
    }
    let new_year = Epoch::from_utc((year, 1, 1), (0, 0, 0), 0)?;
    let days_ns = i64::from(day - 1) * 86_400_000_000_000;
    new_year.unix_ns().checked_add(days_ns)?.checked_add(of_day_ns).map(Epoch::from_unix_ns)
}

#[cfg(test)]
mod tests;
