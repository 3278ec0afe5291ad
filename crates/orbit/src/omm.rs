//! Orbit mean-elements messages in JSON, as CelesTrak and Space-Track serve them (CCSDS 502.0-B-3).
//!
//! Numbers may be JSON numbers or strings. What is not needed is not read; what contradicts SGP4 is refused.

use std::collections::BTreeMap;

use types::Epoch;

use crate::elements::{
    ANGLE, BSTAR, ECCENTRICITY, ElementError, Elements, INCLINATION, MEAN_MOTION, MeanElements,
    Range, twin_rule,
};
use crate::propagate::Propagator;
use json::{Cursor, JSON, Members};

mod json;

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
/// The first [`ElementError`] of the text, with the place of the faulty value and the record that holds it.
pub fn parse_json(text: &str) -> Result<Vec<Elements>, ElementError> {
    let mut cursor = Cursor::new(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut records = Records::default();
    if cursor.peek() == Some('{') {
        records.read(&mut cursor)?;
        cursor.end(
            "must end after the record; several stand in brackets, with commas between them",
        )?;
        return Ok(records.elements);
    }
    cursor.expect('[', JSON, "must begin with '[' or '{'")?;
    if !cursor.takes(']') {
        loop {
            records.read(&mut cursor)?;
            if !cursor.takes(',') {
                cursor.expect(']', JSON, "must go on with ',' or end with ']' after a record")?;
                break;
            }
        }
    }
    cursor.end("must end after the records")?;
    Ok(records.elements)
}

/// What has been read so far.
#[derive(Debug, Default)]
struct Records {
    elements: Vec<Elements>,
    /// The position of the record of each catalogue number.
    by_catalog: BTreeMap<String, usize>,
}

impl Records {
    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<(), ElementError> {
        cursor.peek();
        let (at, line, mut members) = (cursor.at(), cursor.line(), Members::new());
        let read = cursor.object(&mut members);
        let record = Record { cursor, at, members };
        let elements = read.and_then(|()| {
            let elements = record.elements(line)?;
            self.check_twin(&record, &elements)?;
            Ok(elements)
        });
        let number = self.elements.len() + 1;
        let elements = elements.map_err(|error| error.of(number, record.text("OBJECT_NAME")))?;
        self.by_catalog.insert(elements.catalog.clone(), number - 1);
        self.elements.push(elements);
        Ok(())
    }

    fn check_twin(&self, record: &Record<'_, '_>, new: &Elements) -> Result<(), ElementError> {
        let Some(first) = self.by_catalog.get(&new.catalog) else { return Ok(()) };
        let rule = twin_rule(*first, &self.elements[*first]);
        Err(record.wrong("NORAD_CAT_ID", &new.catalog, rule))
    }
}

/// One message.
#[derive(Debug)]
struct Record<'a, 'b> {
    cursor: &'b Cursor<'a>,
    /// Where it begins.
    at: usize,
    members: Members<'a>,
}

impl Record<'_, '_> {
    fn elements(&self, line: usize) -> Result<Elements, ElementError> {
        for (key, allowed) in IMPLIED {
            self.check_implied(key, allowed)?;
        }
        let catalog = self.catalog()?;
        let epoch = self.epoch()?;
        let mean = MeanElements {
            inclination_deg: self.number("INCLINATION", INCLINATION)?,
            raan_deg: self.number("RA_OF_ASC_NODE", ANGLE)?,
            eccentricity: self.number("ECCENTRICITY", ECCENTRICITY)?,
            arg_perigee_deg: self.number("ARG_OF_PERICENTER", ANGLE)?,
            mean_anomaly_deg: self.number("MEAN_ANOMALY", ANGLE)?,
            mean_motion_rev_day: self.number("MEAN_MOTION", MEAN_MOTION)?,
            bstar: self.number("BSTAR", BSTAR)?,
        };
        let name = self.name(&catalog)?;
        let propagator = Propagator::from_mean(epoch, &mean).map_err(|e| {
            let value = mean.mean_motion_rev_day.to_string();
            self.wrong("MEAN_MOTION", &value, format!("must be an orbit: {e}"))
        })?;
        Ok(Elements { name, catalog, epoch, mean, line, propagator })
    }

    /// What is wrong with the value of a key; the place is that of the record where the key is missing.
    fn wrong(&self, key: &str, value: &str, rule: impl Into<String>) -> ElementError {
        let at = self.members.get(key).map_or(self.at, |member| member.at);
        self.cursor.wrong(at, key, value, rule)
    }

    /// The value of a key as text; `None` where it is missing, null or empty.
    fn text(&self, key: &str) -> Option<String> {
        match self.members.get(key)?.raw {
            "null" => None,
            raw if raw.starts_with('"') => {
                // What is no text in the end, such as half a character, stands for itself.
                let text = serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.to_owned());
                Some(text.trim().to_owned()).filter(|t| !t.is_empty())
            }
            raw => Some(raw.to_owned()),
        }
    }

    fn required(&self, key: &'static str) -> Result<String, ElementError> {
        self.text(key).ok_or_else(|| {
            let alike = self.members.iter().find(|(other, _)| other.eq_ignore_ascii_case(key));
            match alike {
                Some((other, member)) if other != key => {
                    let rule = format!("must be written in capitals, as {key}");
                    self.cursor.wrong(member.at, key, other, rule)
                }
                _ => self.wrong(key, "", "must be present"),
            }
        })
    }

    fn number(&self, key: &'static str, range: Range) -> Result<f64, ElementError> {
        let text = self.required(key)?;
        // Neither `inf`, which Rust reads, nor a list.
        let is_number = text.bytes().any(|b| b.is_ascii_digit());
        let value = if is_number { text.parse::<f64>().ok() } else { None };
        value.filter(|v| range.holds(*v)).ok_or_else(|| self.wrong(key, &text, range.rule))
    }

    fn catalog(&self) -> Result<String, ElementError> {
        const KEY: &str = "NORAD_CAT_ID";
        let text = self.required(KEY)?;
        let rule = "must be a whole number of up to nine digits";
        let number = catalog_number(&text).ok_or_else(|| self.wrong(KEY, &text, rule))?;
        Ok(number.to_string())
    }

    fn epoch(&self) -> Result<Epoch, ElementError> {
        let text = self.required("EPOCH")?;
        epoch(&text).ok_or_else(|| {
            let rule = "must be UTC like 2024-10-29T14:54:30.235392 or 2024-303T14:54:30.235392";
            self.wrong("EPOCH", &text, rule)
        })
    }

    fn name(&self, catalog: &str) -> Result<String, ElementError> {
        let name = self.text("OBJECT_NAME").unwrap_or_else(|| catalog.to_owned());
        if NAME_CHARS_MAX < name.chars().count() {
            return Err(self.wrong("OBJECT_NAME", &name, "must be at most 64 characters"));
        }
        Ok(name)
    }

    fn check_implied(&self, key: &'static str, allowed: &[&str]) -> Result<(), ElementError> {
        match self.text(key) {
            Some(value) if !allowed.contains(&value.to_uppercase().as_str()) => {
                Err(self.wrong(key, &value, format!("must be {}", allowed[0])))
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
