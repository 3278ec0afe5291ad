//! Orbit mean-elements messages (CCSDS 502.0-B-3) as JSON, CSV, KVN and XML, as CelesTrak and Space-Track serve them.
//!
//! Each reader takes a text apart into [messages](message), keyword by keyword, and remembers where each value stands; what
//! a message means is told once for all of them. Unknown keywords are passed over; what contradicts SGP4 is refused.

use types::Epoch;

use crate::catalog::{Catalog, ReadPolicy, SameNames, Sink};
use crate::elements::{ElementError, Elements};
use crate::format::{Format, unmarked};

mod csv;
mod json;
mod kvn;
mod message;
mod place;
mod write;
mod xml;

pub use write::{csv as to_csv, json as to_json, kvn as to_kvn, xml as to_xml};

/// Largest catalogue number: CCSDS knows nine digits.
const CATALOG_MAX: u64 = 999_999_999;

/// Reads an array of messages in JSON, or one: all of it or nothing. Names may repeat, catalogue numbers not.
///
/// # Errors
/// The first [`ElementError`] of the text, with the place of the faulty value and the record that holds it.
pub fn parse_json(text: &str) -> Result<Vec<Elements>, ElementError> {
    let policy = ReadPolicy { same_names: SameNames::Keep, ..ReadPolicy::default() };
    let mut catalog = Catalog::new(policy);
    catalog.read(text, Some(Format::OmmJson))?;
    Ok(catalog.into_elements())
}

/// Hands the messages of a text in `format` to `sink`.
pub(crate) fn read(text: &str, format: Format, sink: &mut dyn Sink) -> Result<(), ElementError> {
    let text = unmarked(text);
    match format {
        Format::OmmJson => json::read(text, sink),
        Format::OmmCsv => csv::read(text, sink),
        Format::OmmKvn => kvn::read(text, sink),
        Format::OmmXml => xml::read(text, sink),
        Format::Tle => unreachable!("TLE is no OMM; the caller tells them apart"),
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

/// A time as CCSDS writes it, to the microsecond, or to the nanosecond where that says more.
pub(crate) fn epoch_text(epoch: Epoch) -> String {
    let nanos = epoch.unix_ns().rem_euclid(1_000_000_000);
    let seconds = format!("{epoch:.0}");
    let seconds = seconds.trim_end_matches('Z');
    match nanos % 1000 {
        0 => format!("{seconds}.{:06}", nanos / 1000),
        _ => format!("{seconds}.{nanos:09}"),
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
