//! Stations as CSV: `name,lat_deg,lon_deg,kind[,alt_m]` with a header, columns in any order.

use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};
use orbit::station::{Station, StationKind};
use serde::Deserialize;
use types::Geodetic;

use super::{Told, check, problem};
use crate::toml_file::FileError;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    lat_deg: f64,
    lon_deg: f64,
    kind: StationKind,
    alt_m: Option<f64>,
}

pub(super) fn read(file: &Path, text: &str) -> Result<Vec<Told>, FileError> {
    let mut reader =
        ReaderBuilder::new().trim(Trim::All).flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| problem(file, Some(1), "", &words(&error)))?;
    let header = header.clone();
    if let Some(twin) = orbit::station::first_same_name(&header) {
        let rule = "must not name a column twice";
        return Err(problem(file, Some(1), &header[twin.1], rule).into());
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map(|at| line_of(text, at.byte()));
            problem(file, line, "", &words(&error))
        })?;
        let line = record.position().map(|at| line_of(text, at.byte()));
        let record = as_wide(&header, record).map_err(|rule| problem(file, line, "", &rule))?;
        let row: Row = record.deserialize(Some(&header)).map_err(|error| {
            let field = match error.kind() {
                csv::ErrorKind::Deserialize { err, .. } => err.field(),
                _ => None,
            };
            let field = field.and_then(|index| header.get(usize::try_from(index).ok()?));
            problem(file, line, field.unwrap_or_default(), &words(&error))
        })?;
        rows.push(told(file, line, row)?);
    }
    Ok(rows)
}

/// A record with a value for each column; the height may be left out at the end.
fn as_wide(header: &StringRecord, mut record: StringRecord) -> Result<StringRecord, String> {
    if record.len() + 1 == header.len() && header.iter().next_back() == Some("alt_m") {
        record.push_field("");
    }
    if record.len() == header.len() {
        return Ok(record);
    }
    Err(format!("{} values must be {} like the header", record.len(), header.len()))
}

/// What is wrong, without the place, which the problem tells in its own way.
fn words(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => err.kind().to_string(),
        _ => error.to_string(),
    }
}

/// The line, from 1, of the record that is read from this byte on; line ends and empty lines before it do not belong to it.
fn line_of(text: &str, byte: u64) -> usize {
    let at = usize::try_from(byte).unwrap_or(usize::MAX).min(text.len());
    let bytes = text.as_bytes();
    let skipped = bytes[at..].iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    1 + bytes[..at + skipped].iter().filter(|b| **b == b'\n').count()
}

fn told(file: &Path, line: Option<usize>, row: Row) -> Result<Told, FileError> {
    let Row { name, lat_deg, lon_deg, kind, alt_m } = row;
    // Height 0 when absent, as the format says.
    let place = Geodetic { lat_deg, lon_deg, alt_km: alt_m.unwrap_or(0.0) / 1000.0 };
    let station =
        Station { name, kind, place, min_elevation_deg: None, terminals: None, way: Vec::new() };
    check(file, &station, |found| {
        (line, if found.key == "alt_km" { "alt_m" } else { found.key }.to_owned())
    })?;
    Ok(Told { station, file: file.to_owned(), line, field: String::new() })
}
